//! One arm's outcomes, counted.

use super::histogram::Histogram;
use crate::ids::UnixMs;
use crate::upstream::{Failure, Fault};
use serde::{Deserialize, Serialize};

use super::detect::RiskKind;

#[cfg(test)]
mod tests;

/// How long the parts of a request took, in microseconds (requirement R171).
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
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Whether the answer kept the output contract; `None` when there is none to keep.
    pub contract_ok: Option<bool>,
    /// Whether the model refused.
    pub refused: bool,
    /// Whether personal data stood in the answer.
    pub pii: bool,
    /// Red-line events seen in the answer.
    pub risk: Vec<RiskKind>,
}

/// What a user said of an answer, by trace id (requirements R220, R221).
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

/// A sum of squares; wide, and written as decimal text since JSON numbers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WideSum(pub u128);

impl Serialize for WideSum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for WideSum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(WideSum).map_err(serde::de::Error::custom)
    }
}

/// Counts of one arm over some time. All fields only grow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
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
    /// Sum of squares of each request's tokens.
    pub tokens_squared: WideSum,
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Sum of squares of each request's cost.
    pub cost_squared: WideSum,
    /// Red-line events.
    pub red_events: u64,
    /// Answers that repeat the system prompt (a probabilistic detector, so a rate).
    pub prompt_echoes: u64,
    /// End-to-end time of answered requests, µs. Failures are left out, so that a fast error
    /// never looks like a good latency.
    pub latency_us: Histogram,
    /// Time to first token of answered streams, µs.
    pub first_token_us: Histogram,
    /// When the last outcome came in; 0 when none did.
    pub last_at: UnixMs,
}

impl Window {
    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.requests.saturating_sub(self.errors())
    }

    /// Requests that failed by the upstream's fault or ours.
    pub fn errors(&self) -> u64 {
        self.upstream_errors + self.own_errors
    }

    /// Counts one request.
    pub fn add(&mut self, outcome: &Outcome, at: UnixMs) {
        self.last_at = self.last_at.max(at);
        self.red_events += outcome.risk.iter().filter(|kind| kind.is_red_line()).count() as u64;
        match outcome.failure.map(Failure::fault) {
            Some(Fault::Client) => {
                self.client_faults += 1;
                self.rejected += u64::from(outcome.failure == Some(Failure::Refused));
                return;
            }
            Some(Fault::Upstream) => self.upstream_errors += 1,
            Some(Fault::Ours) => self.own_errors += 1,
            None => self.add_answer(outcome),
        }
        self.requests += 1;
        if outcome.failure.is_some_and(Failure::is_timeout) {
            self.timeouts += 1;
        }
    }

    fn add_answer(&mut self, outcome: &Outcome) {
        self.latency_us.add(outcome.timing.total_us);
        if outcome.streamed {
            self.first_token_us.add(outcome.timing.first_token_us);
        }
        if let Some(ok) = outcome.contract_ok {
            self.contract_checked += 1;
            self.contract_broken += u64::from(!ok);
        }
        self.refusals += u64::from(outcome.refused);
        self.pii += u64::from(outcome.pii);
        self.prompt_echoes += u64::from(outcome.risk.contains(&RiskKind::PromptEcho));
        let tokens = outcome.tokens_in + outcome.tokens_out;
        self.tokens_in += outcome.tokens_in;
        self.tokens_out += outcome.tokens_out;
        self.tokens_squared.0 += u128::from(tokens).pow(2);
        self.cost_micro_usd += outcome.cost_micro_usd;
        self.cost_squared.0 += u128::from(outcome.cost_micro_usd).pow(2);
    }

    /// Counts what a user said.
    pub fn add_feedback(&mut self, feedback: Feedback, at: UnixMs) {
        self.last_at = self.last_at.max(at);
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

    /// Adds the other's counts.
    pub fn merge(&mut self, other: &Window) {
        self.combine(other, |mine, theirs| Some(mine + theirs), |mine, theirs| Some(mine + theirs));
        self.latency_us.merge(&other.latency_us);
        self.first_token_us.merge(&other.first_token_us);
        self.last_at = self.last_at.max(other.last_at);
    }

    /// What is here and was not in `earlier`; `None` when any count went backwards.
    pub fn since(&self, earlier: &Window) -> Option<Window> {
        let mut rest = self.clone();
        let fits = rest.combine(earlier, u64::checked_sub, u128::checked_sub);
        rest.latency_us = self.latency_us.since(&earlier.latency_us)?;
        rest.first_token_us = self.first_token_us.since(&earlier.first_token_us)?;
        fits.then_some(rest)
    }

    /// Combines every count with the other's; false when one of the results does not exist.
    fn combine(
        &mut self,
        other: &Window,
        narrow: fn(u64, u64) -> Option<u64>,
        wide: fn(u128, u128) -> Option<u128>,
    ) -> bool {
        // Full destructuring: a new count that is forgotten here does not compile.
        let Window {
            requests,
            client_faults,
            rejected,
            upstream_errors,
            own_errors,
            timeouts,
            contract_checked,
            contract_broken,
            refusals,
            pii,
            likes,
            dislikes,
            adopted,
            not_adopted,
            tasks_done,
            tasks_failed,
            satisfaction_count,
            satisfaction_milli,
            tokens_in,
            tokens_out,
            tokens_squared,
            cost_micro_usd,
            cost_squared,
            red_events,
            prompt_echoes,
            latency_us: _,
            first_token_us: _,
            last_at: _,
        } = other;
        let mut fits = true;
        let mut count = |mine: &mut u64, theirs: &u64| match narrow(*mine, *theirs) {
            Some(value) => *mine = value,
            None => fits = false,
        };
        count(&mut self.requests, requests);
        count(&mut self.client_faults, client_faults);
        count(&mut self.rejected, rejected);
        count(&mut self.upstream_errors, upstream_errors);
        count(&mut self.own_errors, own_errors);
        count(&mut self.timeouts, timeouts);
        count(&mut self.contract_checked, contract_checked);
        count(&mut self.contract_broken, contract_broken);
        count(&mut self.refusals, refusals);
        count(&mut self.pii, pii);
        count(&mut self.likes, likes);
        count(&mut self.dislikes, dislikes);
        count(&mut self.adopted, adopted);
        count(&mut self.not_adopted, not_adopted);
        count(&mut self.tasks_done, tasks_done);
        count(&mut self.tasks_failed, tasks_failed);
        count(&mut self.satisfaction_count, satisfaction_count);
        count(&mut self.satisfaction_milli, satisfaction_milli);
        count(&mut self.tokens_in, tokens_in);
        count(&mut self.tokens_out, tokens_out);
        count(&mut self.cost_micro_usd, cost_micro_usd);
        count(&mut self.red_events, red_events);
        count(&mut self.prompt_echoes, prompt_echoes);
        let mut square = |mine: &mut WideSum, theirs: &WideSum| match wide(mine.0, theirs.0) {
            Some(value) => mine.0 = value,
            None => fits = false,
        };
        square(&mut self.tokens_squared, tokens_squared);
        square(&mut self.cost_squared, cost_squared);
        fits
    }
}
