//! What is compared in a pair, and what its differences say beside a limit.

use super::differences::Differences;
use crate::decide::{ADVANCE_ALPHA, LN_ODDS_MAX, level};
use serde::{Deserialize, Serialize};

/// What is compared in a pair, read as harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairMetric {
    /// No answer came.
    Failed,
    /// The answer breaks the output contract.
    ContractBroken,
    /// The model refused.
    Refused,
    /// The answer calls another set of tools than stable's does.
    ToolsDiffer,
    /// How long the answer is, characters.
    Length,
    /// Tokens of prompt and answer.
    Tokens,
    /// What it costs.
    Cost,
    /// How long it took.
    Latency,
    /// Which of the two a judge prefers.
    Judge,
    /// How far the answer is from stable's, by embeddings: 1 − cosine, at most 1.
    Distance,
}

/// How differences of a metric read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairUnit {
    /// A difference of two rates, in points.
    Points,
    /// A ratio: how many times stable's.
    Times,
}

impl PairMetric {
    /// All of them, in the order in which they are shown.
    pub const ALL: [PairMetric; 10] = [
        PairMetric::Failed,
        PairMetric::ContractBroken,
        PairMetric::Refused,
        PairMetric::ToolsDiffer,
        PairMetric::Length,
        PairMetric::Tokens,
        PairMetric::Cost,
        PairMetric::Latency,
        PairMetric::Judge,
        PairMetric::Distance,
    ];

    /// The name in files, in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            PairMetric::Failed => "failed",
            PairMetric::ContractBroken => "contract_broken",
            PairMetric::Refused => "refused",
            PairMetric::ToolsDiffer => "tools_differ",
            PairMetric::Length => "length",
            PairMetric::Tokens => "tokens",
            PairMetric::Cost => "cost",
            PairMetric::Latency => "latency",
            PairMetric::Judge => "judge",
            PairMetric::Distance => "distance",
        }
    }

    /// The metric of this name.
    pub fn parse(name: &str) -> Option<PairMetric> {
        PairMetric::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// How its differences read.
    pub fn unit(self) -> PairUnit {
        match self {
            PairMetric::Length | PairMetric::Tokens | PairMetric::Cost | PairMetric::Latency => {
                PairUnit::Times
            }
            PairMetric::Failed
            | PairMetric::ContractBroken
            | PairMetric::Refused
            | PairMetric::ToolsDiffer
            | PairMetric::Judge
            | PairMetric::Distance => PairUnit::Points,
        }
    }

    /// The limit where the project names none: the rollback lines of a release. `None` is a metric
    /// that is shown and decides nothing: that two answers differ is not yet harm.
    pub fn default_limit(self) -> Option<Limit> {
        match self {
            PairMetric::Failed
            | PairMetric::ContractBroken
            | PairMetric::Refused
            | PairMetric::Judge => Some(Limit(0.05)),
            PairMetric::Tokens | PairMetric::Cost | PairMetric::Latency => {
                Some(Limit::of_times(1.25))
            }
            PairMetric::ToolsDiffer | PairMetric::Length | PairMetric::Distance => None,
        }
    }
}

/// The mean difference that passes, strictly between −1 and 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limit(f64);

impl Limit {
    /// A limit; `None` where it is not strictly between −1 and 1.
    pub fn new(difference: f64) -> Option<Limit> {
        (difference > -1.0 && difference < 1.0).then_some(Limit(difference))
    }

    /// The limit of so many times stable's, above 0.
    pub fn of_times(times: f64) -> Limit {
        Limit(super::relative(1.0, times))
    }

    /// The mean difference.
    pub fn difference(self) -> f64 {
        self.0
    }
}

/// What pairs say of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairVerdict {
    /// Proven within the limit.
    Within,
    /// Proven over it.
    Over,
    /// Neither.
    Open,
    /// It has no limit, or no pair has it: shown, and decides nothing.
    Shown,
}

/// One metric of the pairs so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairLine {
    /// What is compared.
    pub metric: PairMetric,
    /// Pairs that have it on both sides.
    pub pairs: u64,
    /// Pairs in which the candidate is worse.
    pub worse: u64,
    /// Pairs in which it is better.
    pub better: u64,
    /// The mean difference; absent without pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The lower end of where it is, at the confidence of a line (99 %), at every moment at once.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The limit it is compared with; absent where it decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Odds that it is within the limit.
    pub odds_within: f64,
    /// Odds that it is over.
    pub odds_over: f64,
    /// Odds that are proof of "over".
    pub needed_over: f64,
    /// The verdict.
    pub verdict: PairVerdict,
    /// About how many more pairs like these settle it; absent where it is settled, or these never
    /// would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}

/// The chances of an error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdicts {
    /// That a candidate within all limits is ever found over one, over all metrics together.
    pub alpha: f64,
    /// How many metrics share it, at least 1.
    pub lines: usize,
}

impl PairLine {
    /// What the differences say. "Within" needs the odds that a release's lines need to pass; it is
    /// not corrected, since all lines must be within. "Over" needs its share of `alpha`.
    pub fn of(
        metric: PairMetric,
        differences: &Differences,
        limit: Option<Limit>,
        of: Verdicts,
    ) -> PairLine {
        let (worse, better) = differences.worse_and_better();
        let (low, high) = differences.interval(ADVANCE_ALPHA);
        let needed_over = level(of.alpha / of.lines.max(1) as f64);
        let pairs = differences.pairs();
        let log_odds = limit.map(|limit| {
            let limit = limit.difference();
            (differences.log_odds_within(limit), differences.log_odds_over(limit))
        });
        let verdict = match log_odds.filter(|_| pairs > 0) {
            None => PairVerdict::Shown,
            Some((_, over)) if over >= needed_over => PairVerdict::Over,
            Some((within, _)) if within >= level(ADVANCE_ALPHA) => PairVerdict::Within,
            Some(_) => PairVerdict::Open,
        };
        let odds = |log: f64| log.min(LN_ODDS_MAX).exp();
        let (within, over) = log_odds.unwrap_or_default();
        let more = limit.filter(|_| verdict == PairVerdict::Open).and_then(|limit| {
            let limit = limit.difference();
            let is_over = differences.mean()? > limit;
            let level = if is_over { needed_over } else { level(ADVANCE_ALPHA) };
            Some(differences.needed(limit, is_over, level)?.saturating_sub(pairs).max(1))
        });
        PairLine {
            metric,
            pairs,
            worse,
            better,
            mean: differences.mean(),
            low,
            high,
            limit,
            odds_within: odds(within),
            odds_over: odds(over),
            needed_over: odds(needed_over),
            verdict,
            more,
        }
    }
}

/// What all metrics say together: over where one is, within where all that decide are, and open
/// where neither is so, or none decides.
pub fn verdict(lines: &[PairLine]) -> PairVerdict {
    let of = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    let has_no_pairs = lines.iter().any(|line| line.limit.is_some() && line.pairs == 0);
    if of(PairVerdict::Over) > 0 {
        PairVerdict::Over
    } else if of(PairVerdict::Open) > 0 || of(PairVerdict::Within) == 0 || has_no_pairs {
        PairVerdict::Open
    } else {
        PairVerdict::Within
    }
}
