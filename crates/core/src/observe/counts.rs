//! What is counted of requests, in whole numbers.

use super::histogram::bucket_of;
use super::outcome::{Feedback, Outcome};
use crate::guard::RiskKind;
use crate::upstream::{Failure, FaultOwner};
use serde::{Deserialize, Serialize};

/// How many counts there are.
const COUNTS: usize = 32;

/// Counts of requests over some time. All of them only grow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    /// Requests that say something about the arm: all but the client's own faults.
    pub requests: u64,
    /// Requests that failed by the client's fault; kept apart, never counted against the arm.
    pub client_faults: u64,
    /// Those of them that the upstream, or the version set's own template, refused. A request says
    /// little alone, but a version set that has more of them than stable is the one at fault.
    pub rejected: u64,
    /// Requests that failed by the upstream's fault.
    pub upstream_errors: u64,
    /// Requests that failed by ours.
    pub own_errors: u64,
    /// Those of the upstream's errors that were timeouts.
    pub timeouts: u64,
    /// Answers checked against the output contract.
    pub contract_checked: u64,
    /// Those that broke it.
    pub contract_broken: u64,
    /// Answers that were refusals.
    pub refusals: u64,
    /// Answers with personal data in them.
    pub pii: u64,
    /// Answers that repeat the system prompt (a probabilistic detector, so a rate).
    pub prompt_echoes: u64,
    /// Red-line events.
    pub red_events: u64,
    /// Likes.
    pub likes: u64,
    /// Dislikes.
    pub dislikes: u64,
    /// Answers said to be used.
    pub adopted: u64,
    /// Answers said to be not used.
    pub not_adopted: u64,
    /// Tasks said to be done.
    pub tasks_done: u64,
    /// Tasks said to have failed.
    pub tasks_failed: u64,
    /// Satisfaction scores counted.
    pub satisfaction_count: u64,
    /// Their sum, in thousandths.
    pub satisfaction_milli: u64,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Answer tokens.
    pub tokens_out: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Answers that neither refused nor broke the contract.
    pub useful: u64,
    /// What those cost, in millionths of a US dollar.
    pub useful_cost_micro_usd: u64,
    /// Sum of the bucket numbers of end-to-end times: 64 times a logarithm to base 2, in whole
    /// numbers. It shows how much cohorts differ; a histogram for each would be too large.
    pub latency_log: u64,
    /// Answered streams.
    pub streamed: u64,
    /// The same as [`Counts::latency_log`] for times to first token.
    pub first_token_log: u64,
    /// Requests whose client left before any of the answer came: a timeout by its own patience.
    pub abandoned: u64,
    /// Answers that claim something, of requests that something was found for.
    #[serde(skip_serializing_if = "is_zero")]
    pub claims_checked: u64,
    /// Of each of them the share of its claims that have no citation, added up, thousandths.
    #[serde(skip_serializing_if = "is_zero")]
    pub uncited_milli: u64,
    /// The same of claims that nothing of what was found supports.
    #[serde(skip_serializing_if = "is_zero")]
    pub ungrounded_milli: u64,
}

/// Most services search for nothing: their journals are as they were.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.requests.saturating_sub(self.errors())
    }

    /// Requests that failed by the upstream's fault or ours.
    pub fn errors(&self) -> u64 {
        self.upstream_errors + self.own_errors
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.red_events += outcome.risk.iter().filter(|kind| kind.is_red_line()).count() as u64;
        match outcome.failure.map(Failure::fault) {
            Some(FaultOwner::Client | FaultOwner::Operator) => {
                self.client_faults += 1;
                self.rejected += u64::from(outcome.failure.is_some_and(Failure::is_rejection));
                self.abandoned += u64::from(outcome.abandoned);
                return;
            }
            Some(FaultOwner::Upstream) => self.upstream_errors += 1,
            Some(FaultOwner::Ours) => self.own_errors += 1,
            None => self.add_answer(outcome),
        }
        self.requests += 1;
        self.timeouts += u64::from(outcome.failure.is_some_and(Failure::is_timeout));
    }

    fn add_answer(&mut self, outcome: &Outcome) {
        self.latency_log += u64::from(bucket_of(outcome.timing.total_us));
        if outcome.streamed {
            self.streamed += 1;
            self.first_token_log += u64::from(bucket_of(outcome.timing.first_token_us));
        }
        if let Some(ok) = outcome.contract_ok {
            self.contract_checked += 1;
            self.contract_broken += u64::from(!ok);
        }
        self.refusals += u64::from(outcome.refused);
        self.pii += u64::from(outcome.pii);
        self.prompt_echoes += u64::from(outcome.risk.contains(&RiskKind::PromptEcho));
        if let Some(claims) = outcome.claims.filter(|claims| claims.made > 0) {
            self.claims_checked += 1;
            self.uncited_milli += claims.uncited_milli();
            self.ungrounded_milli += claims.ungrounded_milli();
        }
        self.tokens_in += outcome.tokens_in;
        self.tokens_out += outcome.tokens_out;
        self.cost_micro_usd += outcome.cost_micro_usd;
        if outcome.is_useful() {
            self.useful += 1;
            self.useful_cost_micro_usd += outcome.cost_micro_usd;
        }
    }

    pub(super) fn add_feedback(&mut self, feedback: Feedback) {
        match feedback {
            Feedback::Like(true) => self.likes += 1,
            Feedback::Like(false) => self.dislikes += 1,
            Feedback::Adopted(true) => self.adopted += 1,
            Feedback::Adopted(false) => self.not_adopted += 1,
            Feedback::TaskDone(true) => self.tasks_done += 1,
            Feedback::TaskDone(false) => self.tasks_failed += 1,
            Feedback::Satisfaction(score) => {
                self.satisfaction_count += 1;
                self.satisfaction_milli += (score.clamp(0.0, 1.0) * 1000.0).round() as u64;
            }
        }
    }

    /// Combines every count with the other's; false when one of the results does not exist.
    pub(super) fn combine(
        &mut self,
        other: &Counts,
        with: impl Fn(u64, u64) -> (u64, bool),
    ) -> bool {
        let mut overflows = false;
        for (mine, theirs) in self.numbers_mut().into_iter().zip(other.numbers()) {
            let (value, over) = with(*mine, theirs);
            *mine = value;
            overflows |= over;
        }
        !overflows
    }
}

/// The counts as numbers, to be read and to be changed.
macro_rules! numbers {
    ($($count:ident)*) => {
        impl Counts {
            // Full destructuring: a new count that is forgotten below does not compile.
            fn numbers(&self) -> [u64; COUNTS] {
                let Counts { $($count),* } = *self;
                [$($count),*]
            }

            fn numbers_mut(&mut self) -> [&mut u64; COUNTS] {
                let Counts { $($count),* } = self;
                [$($count),*]
            }
        }
    };
}

// In an order that only ever grows at its end: it is a stored form.
numbers! {
    requests
    client_faults
    rejected
    upstream_errors
    own_errors
    timeouts
    contract_checked
    contract_broken
    refusals
    pii
    prompt_echoes
    red_events
    likes
    dislikes
    adopted
    not_adopted
    tasks_done
    tasks_failed
    satisfaction_count
    satisfaction_milli
    tokens_in
    tokens_out
    cost_micro_usd
    useful
    useful_cost_micro_usd
    latency_log
    streamed
    first_token_log
    abandoned
    claims_checked
    uncited_milli
    ungrounded_milli
}

/// Cohorts as lists of numbers, without the zeros at the end: sixty-four times every name would be
/// most of a journal.
pub(super) mod compact {
    use super::{COUNTS, Counts};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::sync::Arc;

    pub(crate) fn serialize<S: Serializer>(all: &[Counts], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().map(|counts| {
            let mut numbers = counts.numbers().to_vec();
            let used = numbers.iter().rposition(|number| *number > 0).map_or(0, |last| last + 1);
            numbers.truncate(used);
            numbers
        }))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<Vec<Counts>>, D::Error> {
        let lists = Vec::<Vec<u64>>::deserialize(from)?;
        let counts: Result<Vec<Counts>, D::Error> = lists
            .into_iter()
            .map(|list| {
                if list.len() > COUNTS {
                    let given = list.len();
                    let text = format!("a cohort has {given} counts; at most {COUNTS} are known");
                    return Err(D::Error::custom(text));
                }
                let mut counts = Counts::default();
                for (mine, number) in counts.numbers_mut().into_iter().zip(list) {
                    *mine = number;
                }
                Ok(counts)
            })
            .collect();
        counts.map(Arc::new)
    }
}
