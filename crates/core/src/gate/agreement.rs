//! The judge model of a run, and how far it agrees with people.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The judge of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JudgeRecord {
    /// Its upstream.
    pub upstream: String,
    /// The model that was asked for.
    pub model: String,
    /// The version that is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How often it answered, by the name that its server gave it.
    pub answered_as: BTreeMap<String, u64>,
    /// Whether it is of the judged model's own family: such a judge prefers what sounds like
    /// itself.
    pub same_family: bool,
    /// How far it agrees with people, by kind of check; empty where no case has a label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agreement: BTreeMap<String, Agreement>,
}

/// Verdicts of a judge beside labels of people, case by case.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Agreement {
    /// Cases with both.
    pub cases: u64,
    /// Good to both.
    pub both_pass: u64,
    /// Bad to both.
    pub both_fail: u64,
    /// Good to the judge alone.
    pub judge_passes: u64,
    /// Good to people alone.
    pub people_pass: u64,
    /// Cohen's kappa, -1 to 1: 0 is what chance gives. Absent where both said the same of every
    /// case: nothing is known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kappa: Option<f64>,
}

impl Agreement {
    /// Counts pairs of the judge's verdict and a person's.
    pub fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Agreement {
        let mut all = Agreement::default();
        for pair in pairs {
            all.cases += 1;
            *match pair {
                (true, true) => &mut all.both_pass,
                (false, false) => &mut all.both_fail,
                (true, false) => &mut all.judge_passes,
                (false, true) => &mut all.people_pass,
            } += 1;
        }
        let share = |count: u64| count as f64 / all.cases.max(1) as f64;
        let judge = share(all.both_pass + all.judge_passes);
        let people = share(all.both_pass + all.people_pass);
        let observed = share(all.both_pass + all.both_fail);
        let by_chance = judge * people + (1.0 - judge) * (1.0 - people);
        let kappa = (observed - by_chance) / (1.0 - by_chance);
        all.kappa = (all.cases > 0 && by_chance < 1.0).then_some(kappa);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(counts: [usize; 4], kappa: Option<f64>) {
        let kinds = [(true, true), (false, false), (true, false), (false, true)];
        let pairs = kinds.into_iter().zip(counts);
        let pairs = pairs.flat_map(|(pair, count)| std::iter::repeat_n(pair, count));
        let got = Agreement::of(pairs).kappa;
        match (got, kappa) {
            (Some(got), Some(kappa)) => assert!((got - kappa).abs() < 1e-9, "{counts:?}: {got}"),
            (got, kappa) => assert_eq!(got, kappa, "{counts:?}"),
        }
    }

    /// The numbers are those of `sklearn.metrics.cohen_kappa_score`.
    #[test]
    fn kappa_is_agreement_beyond_chance() {
        check([20, 15, 5, 10], Some(0.4));
        check([45, 15, 25, 15], Some(0.130_434_782_608_695_65));
        check([5, 5, 0, 0], Some(1.0));
        check([0, 0, 5, 5], Some(-1.0));
        check([9, 0, 1, 0], Some(0.0));
        check([10, 0, 0, 0], None);
        check([0, 0, 0, 0], None);
    }
}
