//! Watch: what one look at a running release is, for the server and for the simulator alike.
//!
//! A look starts from the state that the journal has, not from the look before: a look that is not
//! journalled leaves nothing behind but the counts of the last seconds. Journalled is everything
//! that moves, pauses or says something new, and every operator's order; a look that only finds
//! more of the same is journalled now and then, for the numbers that a restart goes on from.

use super::decision::{Decision, DecisionKind, Observation, Signal};
use super::engine::decide;
use super::metric::Metric;
use super::plan::Plan;
use super::reason::ReasonCode;
use super::state::ReleaseState;
use crate::ids::UnixMs;
use crate::observe::{Counts, Window};
use std::collections::VecDeque;

/// How far back [`Observation::before`] reaches, ms: long enough that some requests come in, short
/// enough that a fault is soon most of what is in it.
const RECENT_MS: u64 = 15_000;

/// While a fault is shared it is left out piece by piece: the longer apart two journalled looks
/// are, the more of the good time around it goes with it, ms.
const FAULT_EVERY_MS: u64 = 5_000;

/// Looks of the same are journalled often at a rung's start, where people watch, and less later, so
/// that a day-long rung stays small.
fn every_ms(on_rung_ms: u64) -> u64 {
    (on_rung_ms / 30).clamp(1_000, 60_000)
}

/// What a decision says, as far as it would be news to say something else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecisionDigest {
    kind: DecisionKind,
    signal: Signal,
    reason: Option<(ReasonCode, Option<Metric>)>,
}

impl DecisionDigest {
    /// Of this decision.
    pub fn of(decision: &Decision) -> DecisionDigest {
        let reason = decision.reasons.first().map(|reason| (reason.code(), reason.metric()));
        DecisionDigest { kind: decision.kind, signal: decision.signal, reason }
    }

    fn is_fault(self) -> bool {
        self.reason.is_some_and(|(code, _)| code == ReasonCode::SharedFault)
    }
}

/// The counts of both arms at the looks of the last seconds.
#[derive(Debug, Clone, Default)]
struct RecentCounts {
    looks: VecDeque<(UnixMs, Box<(Counts, Counts)>)>,
}

impl RecentCounts {
    /// Notes what is seen now, and gives what was seen [`RECENT_MS`] ago or, while nothing is that
    /// old, at first; `None` at the first look.
    fn note(
        &mut self,
        now: UnixMs,
        stable: &Window,
        candidate: &Window,
    ) -> Option<Box<(Counts, Counts)>> {
        let is_old = |look: &(UnixMs, _)| now.since(look.0) >= RECENT_MS;
        while self.looks.get(1).is_some_and(is_old) {
            self.looks.pop_front();
        }
        let before = self.looks.front().map(|(_, counts)| counts.clone());
        let counts = (stable.counts.clone(), candidate.counts.clone());
        self.looks.push_back((now, Box::new(counts)));
        before
    }
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What was decided at this look.
    pub decision: Decision,
    /// Whether the caller must journal it, and then say so by [`Watch::journalled`]. The caller
    /// drops a decision that is not to be journalled: the next look starts where this one did.
    pub is_due: bool,
}

/// What the looks at one release have in common, besides what the journal has. A restart begins
/// with an empty one.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    recent: RecentCounts,
    journalled_at: UnixMs,
}

impl Watch {
    /// Looks once, from the journalled `state`; `last` is of the last journalled decision, `None`
    /// where there is none. Notes the counts, so that each moment is to be looked at once; what
    /// [`Observation::before`] holds is put in its place here.
    pub fn look(
        &mut self,
        plan: &Plan,
        (state, last): (&ReleaseState, Option<DecisionDigest>),
        observation: &mut Observation,
        now: UnixMs,
    ) -> Look {
        observation.before = self.recent.note(now, &observation.stable, &observation.candidate);
        let decision = decide(plan, state, observation, now);
        // Whatever comes of an order, what was acknowledged can be looked up.
        let is_due = observation.order.is_some() || self.is_due(state, last, &decision);
        Look { decision, is_due }
    }

    /// The decision of the look at this moment is in the journal.
    pub fn journalled(&mut self, at: UnixMs) {
        self.journalled_at = at;
    }

    /// Makes the next look that finds anything due, for the last numbers before a stop.
    pub fn hurry(&mut self) {
        self.journalled_at = UnixMs(0);
    }

    fn is_due(
        &self,
        before: &ReleaseState,
        last: Option<DecisionDigest>,
        decision: &Decision,
    ) -> bool {
        let digest = DecisionDigest::of(decision);
        let moves = !decision.actions.is_empty()
            || decision.state.phase != before.phase
            || decision.state.ab_found != before.ab_found;
        if moves || last != Some(digest) {
            return true;
        }
        let has_more = decision.state.seen_candidate != before.seen_candidate
            || decision.state.seen_stable != before.seen_stable;
        let every_ms = match digest.is_fault() {
            true => FAULT_EVERY_MS,
            false => every_ms(decision.at.since(decision.state.rung_since)),
        };
        has_more && decision.at.since(self.journalled_at) >= every_ms
    }
}

#[cfg(test)]
mod tests;
