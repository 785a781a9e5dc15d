//! What one request did, and what a user said of its answer: what windows count.

use crate::guard::RiskKind;
use crate::retrieval::Claims;
use crate::route::Cohort;
use crate::upstream::Failure;
use serde::{Deserialize, Serialize};

/// How long the parts of a request took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Waiting for a free slot.
    pub queue_us: u64,
    /// Retrieval, where the service has it.
    pub retrieval_us: u64,
    /// From the request to the upstream until its first token.
    pub first_token_us: u64,
    /// From the first token to the last.
    pub generation_us: u64,
    /// From the first byte of the request to the last of the answer.
    pub total_us: u64,
}

/// What one request did to the lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// `None` when it was answered.
    pub failure: Option<Failure>,
    /// How long it took.
    pub timing: Timing,
    /// Whether the answer was streamed, so that first-token time means something.
    pub streamed: bool,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Answer tokens.
    pub tokens_out: u64,
    /// Whether the tokens are estimated, since the upstream reported none.
    pub tokens_estimated: bool,
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Whether the model has no price, so that the cost is not known.
    pub unpriced: bool,
    /// What the tokens are by our own estimate, reported or not; `None` where none was made.
    pub estimate: Option<Estimate>,
    /// Whether the answer kept the output contract; `None` when there is none to keep.
    pub contract_ok: Option<bool>,
    /// Whether the model refused.
    pub refused: bool,
    /// Whether the answer contains personal data or a secret that the request did not contain.
    pub pii: bool,
    /// What the answer claims, beside what was found for it; `None` where nothing was.
    pub claims: Option<Claims>,
    /// Red-line events seen in the answer.
    pub risk: Vec<RiskKind>,
    /// Whether the client left before any of the answer came.
    pub abandoned: bool,
    /// The cohort of the subject that asked; `None` where nothing was known to be sticky by.
    pub cohort: Option<Cohort>,
}

impl Outcome {
    /// What the arm is counted with where a fallback gave this answer and the arm's own model had
    /// failed so: that failure, and nothing that another model did well. A red line counts: the
    /// fallback is a part of the version set.
    #[must_use]
    pub fn without_fallback(&self, failure: Failure, timing: Timing) -> Outcome {
        let Outcome { streamed, unpriced, risk, cohort, .. } = self;
        Outcome {
            failure: Some(failure),
            timing,
            streamed: *streamed,
            unpriced: *unpriced,
            risk: risk.clone(),
            cohort: *cohort,
            abandoned: failure == Failure::ClientGone,
            ..Outcome::default()
        }
    }

    /// What the arm is counted with where its first answer broke the contract and it was asked
    /// again: an answer that broke the contract, whatever the second one is like, and also where
    /// the client left meanwhile. Time, tokens and cost are those of both.
    #[must_use]
    pub fn by_first(&self, refused: bool) -> Outcome {
        let (failure, contract_ok, abandoned) = (None, Some(false), false);
        let claims = None;
        Outcome { failure, contract_ok, refused, abandoned, claims, ..self.clone() }
    }
}

/// An answer by our own estimate of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens of prompt and answer together.
    pub tokens: u64,
    /// What so many cost, in millionths of a US dollar.
    pub cost_micro_usd: u64,
}

/// What a user said of an answer, by trace id.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
pub enum Feedback {
    /// Like (true) or dislike.
    Like(bool),
    /// Whether the answer was used.
    Adopted(bool),
    /// Whether the task was done.
    TaskDone(bool),
    /// `satisfaction_score`, 0 to 1.
    Satisfaction(f64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UnixMs;
    use crate::observe::Window;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a fallback answers, the window is that of the failures of the arm's model.
        #[test]
        fn a_fallback_never_makes_an_arm_look_good(
            answers in prop::collection::vec(any::<(bool, bool, u16)>(), 1..200),
        ) {
            let (mut with, mut without) = (Window::default(), Window::default());
            for (contract_ok, refused, number) in answers {
                let number = u64::from(number);
                let timing = Timing { total_us: number, ..Timing::default() };
                let cohort = Some(Cohort::new((number % 64) as u8));
                let failure = match number % 3 {
                    0 => Failure::ServerError,
                    1 => Failure::FirstByteTimeout,
                    _ => Failure::Unreachable,
                };
                let answered = Outcome {
                    timing: Timing { total_us: 1, ..Timing::default() },
                    tokens_in: number,
                    tokens_out: number,
                    cost_micro_usd: number,
                    contract_ok: Some(contract_ok),
                    refused,
                    claims: Some(Claims { made: 1, ..Claims::default() }),
                    cohort,
                    estimate: Some(Estimate { tokens: 1, cost_micro_usd: 1 }),
                    ..Outcome::default()
                };
                let at = UnixMs(number);
                with.add(&answered.without_fallback(failure, timing), at);
                let failure = Some(failure);
                let failed = Outcome { failure, timing, cohort, ..Outcome::default() };
                without.add(&failed, at);
            }
            prop_assert_eq!(with, without);
        }

        /// Whatever a second answer is like, and whether or not its client waits for it, the counts
        /// are those of first answers that broke the contract.
        #[test]
        fn a_repair_never_makes_an_arm_look_good(
            answers in prop::collection::vec(any::<(u8, bool, bool, u16)>(), 1..200),
        ) {
            let (mut with, mut without) = (Window::default(), Window::default());
            for (ended, first_refused, refused, number) in answers {
                let number = u64::from(number);
                let (failure, contract_ok) = match ended % 4 {
                    0 => (None, Some(true)),
                    1 => (None, Some(false)),
                    2 => (Some(Failure::ClientGone), None),
                    _ => (Some(Failure::ServerStopping), None),
                };
                let both = Outcome {
                    timing: Timing { total_us: number, ..Timing::default() },
                    tokens_in: number,
                    tokens_out: number,
                    cost_micro_usd: number,
                    cohort: Some(Cohort::new((number % 64) as u8)),
                    ..Outcome::default()
                };
                let abandoned = failure == Some(Failure::ClientGone);
                let claims = Some(Claims { made: 1, ..Claims::default() });
                let second =
                    Outcome { failure, contract_ok, refused, abandoned, claims, ..both.clone() };
                with.add(&second.by_first(first_refused), UnixMs(number));
                let contract_ok = Some(false);
                let first = Outcome { contract_ok, refused: first_refused, ..both };
                without.add(&first, UnixMs(number));
            }
            prop_assert_eq!(with, without);
        }
    }
}
