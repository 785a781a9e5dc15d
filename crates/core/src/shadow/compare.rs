//! What is compared of the two answers to a request, and what all pairs say.

use super::plan::ShadowPlan;
use crate::decide::{ADVANCE_ALPHA, level};
use crate::money::Money;
use crate::pairs::{
    Differences, Limit, PairLine, PairMetric, PairVerdict, Verdicts, relative, verdict,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is compared of one answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Side {
    /// Whether no answer came. Then nothing else of it is compared.
    pub failed: bool,
    /// Whether it keeps the output contract; `None` without one.
    pub contract_ok: Option<bool>,
    /// Whether the model refused.
    pub refused: bool,
    /// The tools that it calls.
    pub tools: BTreeSet<String>,
    /// How long it is, characters.
    pub chars: u64,
    /// Tokens of prompt and answer; `None` where they are not known as those of the other side are.
    pub tokens: Option<u64>,
    /// What it cost; `None` where it is not known so.
    pub cost: Option<Money>,
    /// How long it took, µs: a stream until its first token, since the rest waits for its reader.
    pub latency_us: Option<u64>,
}

/// What pairs say of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowVerdict {
    /// Within all limits, and proven better on one of them.
    Better,
    /// Within all limits.
    NotWorse,
    /// Over a limit, or a red line was crossed.
    Worse,
    /// Neither is proven yet.
    NotYet,
}

impl ShadowVerdict {
    /// All of them.
    pub const ALL: [ShadowVerdict; 4] = [
        ShadowVerdict::Better,
        ShadowVerdict::NotWorse,
        ShadowVerdict::Worse,
        ShadowVerdict::NotYet,
    ];

    /// The name in JSON and in sentences.
    pub fn as_str(self) -> &'static str {
        match self {
            ShadowVerdict::Better => "better",
            ShadowVerdict::NotWorse => "not_worse",
            ShadowVerdict::Worse => "worse",
            ShadowVerdict::NotYet => "not_yet",
        }
    }

    /// Whether a release may follow from it.
    pub fn passes(self) -> bool {
        matches!(self, ShadowVerdict::Better | ShadowVerdict::NotWorse)
    }

    /// What lines say together.
    pub fn of(lines: &[PairLine]) -> ShadowVerdict {
        let is_better = |line: &PairLine| line.limit.is_some() && line.pairs > 0 && line.high < 0.0;
        match verdict(lines) {
            PairVerdict::Over => ShadowVerdict::Worse,
            PairVerdict::Within if lines.iter().any(is_better) => ShadowVerdict::Better,
            PairVerdict::Within => ShadowVerdict::NotWorse,
            PairVerdict::Open | PairVerdict::Shown => ShadowVerdict::NotYet,
        }
    }
}

/// The differences of pairs by metric; parts merge exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PairCounts(BTreeMap<PairMetric, Differences>);

impl PairCounts {
    /// Counts the two answers to one request.
    pub fn add(&mut self, stable: &Side, candidate: &Side) {
        let one = |is: bool| f64::from(u8::from(is));
        let mut count = |metric, difference| self.0.entry(metric).or_default().add(difference);
        count(PairMetric::Failed, one(candidate.failed) - one(stable.failed));
        if stable.failed || candidate.failed {
            return;
        }
        if let (Some(a), Some(b)) = (stable.contract_ok, candidate.contract_ok) {
            count(PairMetric::ContractBroken, one(!b) - one(!a));
        }
        count(PairMetric::Refused, one(candidate.refused) - one(stable.refused));
        count(PairMetric::ToolsDiffer, one(candidate.tools != stable.tools));
        let mut ratio = |metric, both: Option<(u64, u64)>| {
            if let Some((a, b)) = both {
                count(metric, relative(a as f64, b as f64));
            }
        };
        ratio(PairMetric::Length, Some((stable.chars, candidate.chars)));
        ratio(PairMetric::Tokens, stable.tokens.zip(candidate.tokens));
        let cost = stable.cost.zip(candidate.cost);
        ratio(PairMetric::Cost, cost.map(|(a, b)| (a.0, b.0)));
        ratio(PairMetric::Latency, stable.latency_us.zip(candidate.latency_us));
    }

    /// Counts what was compared of a pair beside the answers themselves, which is counted already.
    pub fn compare(&mut self, metric: PairMetric, difference: f64) {
        self.0.entry(metric).or_default().add(difference);
    }

    /// How often anything was compared: it changes with whatever is counted.
    pub fn compared(&self) -> u64 {
        self.0.values().map(Differences::pairs).sum()
    }

    /// Adds another part's pairs.
    pub fn merge(&mut self, other: &PairCounts) {
        for (metric, differences) in &other.0 {
            self.0.entry(*metric).or_default().merge(differences);
        }
    }

    /// The same with another part's pairs.
    #[must_use]
    pub fn with(&self, other: &PairCounts) -> PairCounts {
        let mut all = self.clone();
        all.merge(other);
        all
    }

    /// The same without these, which it has.
    #[must_use]
    pub fn without(&self, these: &PairCounts) -> PairCounts {
        let none = Differences::default();
        let left = |(metric, seen): (&PairMetric, &Differences)| {
            (*metric, seen.without(these.0.get(metric).unwrap_or(&none)))
        };
        PairCounts(self.0.iter().map(left).filter(|(_, seen)| seen.pairs() > 0).collect())
    }

    /// Pairs.
    pub fn pairs(&self) -> u64 {
        self.0.get(&PairMetric::Failed).map_or(0, Differences::pairs)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs() == 0
    }

    /// What each metric says: those that decide, and those that were seen.
    pub fn lines(&self, plan: &ShadowPlan) -> Vec<PairLine> {
        let of = Verdicts { alpha: plan.alpha, lines: plan.limits.len() };
        let none = Differences::default();
        let line = |metric: PairMetric| {
            let (seen, limit) = (self.0.get(&metric), plan.limits.get(&metric).copied());
            let is_shown = seen.is_some() || limit.is_some();
            is_shown.then(|| PairLine::of(metric, seen.unwrap_or(&none), limit, of))
        };
        PairMetric::ALL.into_iter().filter_map(line).collect()
    }

    /// Whether the verdict is known: the same as that of [`Self::lines`], and quicker.
    pub fn is_settled(&self, plan: &ShadowPlan) -> bool {
        let enough = level(plan.alpha / plan.limits.len().max(1) as f64);
        let mut limits = plan.limits.iter();
        let odds =
            |metric: &PairMetric| self.0.get(metric).filter(|differences| differences.pairs() > 0);
        let is_over = |(metric, limit): (&PairMetric, &Limit)| {
            odds(metric).is_some_and(|seen| seen.log_odds_over(limit.difference()) >= enough)
        };
        if limits.clone().any(is_over) {
            return true;
        }
        limits.all(|(metric, limit)| {
            let within = |seen: &Differences| seen.log_odds_within(limit.difference());
            odds(metric).is_some_and(|seen| within(seen) >= level(ADVANCE_ALPHA))
        })
    }
}
