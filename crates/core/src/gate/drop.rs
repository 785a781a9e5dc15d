//! How much a run may lose against the one before.
//!
//! Two runs of the same cases differ by chance as well. A metric that fell by more than is allowed
//! fails the gate where its paired test, corrected for all metrics, shows the fall; where accuracy
//! fell by more than is allowed and chance may have done it, the gate is inconclusive: more cases
//! decide. Other metrics rest on part of the cases and decide only what is shown.

use super::noise::PairedTest;
use super::report::{ACCURACY, GateVerdict, RunComparison};
use super::score::ROUNDING;

/// A verdict with its reasons.
pub type Judged = (GateVerdict, Vec<String>);

/// Whether the run lost more than `max_drop`, 0 to 1, of any metric against the run before; without
/// one it holds. Where no case is in both, the gate is inconclusive.
pub fn judge_drop(comparison: Option<&RunComparison>, max_drop: f64) -> Judged {
    let Some(comparison) = comparison else {
        let reason = format!("there is no run before to lose more than {max_drop} against");
        return (GateVerdict::Pass, vec![reason]);
    };
    let run = &comparison.previous_run;
    let lost = |test: &&PairedTest| test.before - test.now > max_drop + ROUNDING;
    let numbers = |test: &PairedTest| {
        let PairedTest { metric, cases, before, now, p: _, p_holm } = test;
        let by = before - now;
        format!(
            "{metric} fell from {before:.3} to {now:.3} against run {run}, by {by:.3} > {max_drop} \
             ({cases} cases, p {p_holm:.4})"
        )
    };
    let tests = comparison.tests.iter().filter(lost);
    let (shown, open): (Vec<&PairedTest>, Vec<&PairedTest>) = tests.partition(|t| t.is_change());
    if !shown.is_empty() {
        let reason = |test: &&PairedTest| format!("Quality gate failed: {}", numbers(test));
        return (GateVerdict::Fail, shown.iter().map(reason).collect());
    }
    if let Some(test) = open.into_iter().find(|test| test.metric == ACCURACY) {
        let reason = format!("{}, which chance may do: ask more cases", numbers(test));
        return (GateVerdict::Inconclusive, vec![reason]);
    }
    match comparison.tests.iter().find(|test| test.metric == ACCURACY) {
        None => {
            let reason = format!("no case is in run {run} as well: nothing is compared");
            (GateVerdict::Inconclusive, vec![reason])
        }
        Some(test) => (GateVerdict::Pass, vec![kept(test, comparison, max_drop)]),
    }
}

/// That nothing was lost, and how much these cases would have shown.
fn kept(test: &PairedTest, comparison: &RunComparison, max_drop: f64) -> String {
    let PairedTest { cases, before, now, .. } = test;
    let seen = match comparison.detectable_drop {
        Some(drop) => format!("the smallest drop that {cases} cases show is {drop:.3}"),
        None => format!("{cases} cases show no drop at all"),
    };
    let run = &comparison.previous_run;
    format!("accuracy {now:.3} is at most {max_drop} below the {before:.3} of run {run}; {seen}")
}

/// The worse of two verdicts with its reasons; of two that are alike the reasons of both.
pub fn worse(one: Judged, other: Judged) -> Judged {
    let rank = |verdict: GateVerdict| match verdict {
        GateVerdict::Pass => 0,
        GateVerdict::Inconclusive => 1,
        GateVerdict::Fail => 2,
    };
    match rank(one.0).cmp(&rank(other.0)) {
        std::cmp::Ordering::Greater => one,
        std::cmp::Ordering::Less => other,
        std::cmp::Ordering::Equal => (one.0, one.1.into_iter().chain(other.1).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(metric: &str, before: f64, now: f64, p_holm: f64) -> PairedTest {
        PairedTest { metric: metric.to_owned(), cases: 200, before, now, p: p_holm, p_holm }
    }

    fn check(tests: &[PairedTest], verdict: GateVerdict, says: &str) {
        let comparison = RunComparison {
            previous_run: "eval-1".to_owned(),
            tests: tests.to_vec(),
            detectable_drop: Some(0.034),
            ..RunComparison::default()
        };
        let judged = judge_drop(Some(&comparison), 0.02);
        assert_eq!(judged.0, verdict, "{judged:?}");
        assert!(judged.1.iter().any(|reason| reason.contains(says)), "{judged:?}");
    }

    #[test]
    fn a_drop_that_is_shown_fails_and_one_that_is_not_is_open() {
        use GateVerdict::{Fail, Inconclusive, Pass};
        let accuracy = |now, p| test(ACCURACY, 0.9, now, p);
        check(
            &[accuracy(0.8, 0.01)],
            Fail,
            "fell from 0.900 to 0.800 against run eval-1, by 0.100",
        );
        check(&[accuracy(0.8, 0.2)], Inconclusive, "which chance may do");
        // As much as is allowed, to the last bit, is allowed.
        check(&[accuracy(0.88, 0.01)], Pass, "the smallest drop that 200 cases show is 0.034");
        check(&[accuracy(1.0, 0.001)], Pass, "1.000 is at most 0.02 below the 0.900");
        check(&[accuracy(0.9, 1.0), test("safety", 1.0, 0.5, 0.01)], Fail, "safety fell");
        check(&[accuracy(0.9, 1.0), test("safety", 1.0, 0.5, 0.3)], Pass, "accuracy 0.900");
        check(&[], Inconclusive, "no case is in run eval-1");
        assert_eq!(judge_drop(None, 0.02).0, Pass);
    }

    #[test]
    fn the_worse_verdict_counts() {
        use GateVerdict::{Fail, Inconclusive, Pass};
        let of = |verdict, reason: &str| (verdict, vec![reason.to_owned()]);
        assert_eq!(worse(of(Pass, "a"), of(Inconclusive, "b")), of(Inconclusive, "b"));
        assert_eq!(worse(of(Fail, "a"), of(Inconclusive, "b")), of(Fail, "a"));
        assert_eq!(worse(of(Fail, "a"), of(Fail, "b")).1, ["a", "b"]);
    }
}
