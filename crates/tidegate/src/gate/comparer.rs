//! Two answers to one request beside each other: which of them a judge prefers, and how far apart
//! their embeddings are. What does not answer, or gives no verdict, says nothing of either.

use super::error::GateError;
use super::outside::Outside;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::spending::Account;
use serde_json::Value;
use tidegate_core::gate::{About, Case, Check, CheckKind, Checks, Found, Handling};
use tidegate_core::money::Money;
use tidegate_core::pairs::PairMetric;
use tidegate_core::random::{Random, hash};

/// Longest answer that is compared, characters: a judge reads both answers twice.
const ANSWER_CHARS: usize = 20_000;

/// Two answers to a conversation, each with its tool calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct TwoAnswers {
    /// What was asked.
    pub(crate) messages: Vec<Value>,
    /// Stable's answer.
    pub(crate) stable: String,
    /// The candidate's.
    pub(crate) candidate: String,
    /// What the candidate was shown of an index.
    pub(crate) retrieved: String,
}

/// What compares them.
#[derive(Debug)]
pub(crate) struct Comparer {
    outside: Outside,
    /// The share of pairs that a judge is asked of, and embeddings.
    shares: [(PairMetric, f64); 2],
}

impl Comparer {
    /// As `release.shadow` of the project says; `None` where it wants neither.
    ///
    /// # Errors
    /// What it asks cannot be asked: no key, no address.
    pub(crate) fn new(loaded: &Loaded, clock: &Clock) -> Result<Option<Comparer>, GateError> {
        let shadow = &loaded.project.release.shadow;
        let shares = [
            (PairMetric::Judge, shadow.judge_pct / 100.0),
            (PairMetric::Distance, shadow.distance_pct / 100.0),
        ];
        let wanted = shares.into_iter().filter(|(_, share)| *share > 0.0);
        let listed: Vec<Check> =
            wanted.filter_map(|(metric, _)| Some(Check::new(kind(metric)?, Value::Null))).collect();
        if listed.is_empty() {
            return Ok(None);
        }
        let asks = Case { checks: Checks { listed, ..Checks::default() }, ..case(Vec::new()) };
        let outside = Outside::new(loaded, &vec![asks].into(), clock, None)?;
        Ok(Some(Comparer { outside, shares }))
    }

    /// What the pair with this number is compared by, drawn for each shadow.
    pub(crate) fn draws(&self, shadow: u64, number: u64) -> Vec<PairMetric> {
        let is_drawn = |(metric, share): &(PairMetric, f64)| {
            let seed = hash(&[metric.as_str()]) ^ shadow;
            Random::nth(seed, number).unit() < *share
        };
        self.shares.into_iter().filter(is_drawn).map(|(metric, _)| metric).collect()
    }

    /// The most that one comparison may cost; `None` where its model has no price.
    pub(crate) fn most(&self, metric: PairMetric, answers: &TwoAnswers) -> Option<Money> {
        let (case, check) = (case(answers.messages.clone()), check(metric, &answers.stable)?);
        self.outside.most(&check, &about(&case, answers))
    }

    /// How much worse the candidate's answer is, −1 to 1, or how far it is from stable's, 0 to 1;
    /// `None` where no judge or embedding says so. It is booked on `account`.
    pub(crate) async fn compare(
        &self,
        metric: PairMetric,
        answers: &TwoAnswers,
        account: &Account,
    ) -> Option<f64> {
        let (case, check) = (case(answers.messages.clone()), check(metric, &answers.stable)?);
        let about = about(&case, answers);
        match self.outside.judge_on(&check, &about, Some(account)).await? {
            // A judge's share is how much better the candidate's is: 0.5 for a tie.
            Found::Share(share, _) if metric == PairMetric::Judge => Some(1.0 - 2.0 * share),
            Found::Share(share, _) => Some(1.0 - share),
            Found::Holds | Found::Wrong(_) | Found::Edits(..) | Found::Unknown(_) => None,
        }
    }
}

fn kind(metric: PairMetric) -> Option<CheckKind> {
    match metric {
        PairMetric::Judge => Some(CheckKind::Prefers),
        PairMetric::Distance => Some(CheckKind::Similar),
        _ => None,
    }
}

/// The check of the candidate's answer beside stable's; `None` where there is no text to compare.
fn check(metric: PairMetric, stable: &str) -> Option<Check> {
    (!stable.is_empty()).then_some(())?;
    Some(Check::new(kind(metric)?, beginning(stable).into()))
}

fn beginning(text: &str) -> String {
    text.chars().take(ANSWER_CHARS).collect()
}

fn about<'a>(case: &'a Case, answers: &'a TwoAnswers) -> About<'a> {
    let TwoAnswers { candidate, retrieved, .. } = answers;
    About { case, answer: candidate, calls: &[], retrieved }
}

fn case(messages: Vec<Value>) -> Case {
    let handling = Handling { messages, ..Handling::default() };
    Case { handling, ..Case::new("shadow", "") }
}
