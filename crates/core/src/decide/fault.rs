//! Shared faults: what hits both arms through their upstream is no verdict on the candidate
//! (invariant 9).
//!
//! A fault begins where stable's upstream fails a fifth of the recent requests or more, and far
//! more than is usual. From then on nothing that comes counts, until stable has answered for a
//! while: were each bad moment of stable's left out by itself, what remained would show stable at
//! its best and the candidate as it is, and a good moment amid a fault would let it climb.

use super::decision::Observation;
use super::interval::log_e_of_rate;
use super::plan::Plan;
use super::reason::{Failures, FaultSeen, Reason};
use super::state::ReleaseState;
use super::strata::is_alone;
use crate::ids::UnixMs;
use crate::observe::{Counts, Window};

/// Odds that stable's failures are more than twice what is usual, from which on a fault is shared.
const UNUSUAL: f64 = 1_000.0;
/// Requests that show whether a fault is over.
const OVER_REQUESTS: u64 = 50;
/// What has lasted for so long is no fault but how the upstream is, ms: an hour.
const USUAL_AFTER_MS: u64 = 3_600_000;

/// A fault that lasts or is just over: what it spoils counts for neither arm.
pub(super) struct OngoingFault {
    pub(super) reason: Reason,
    /// Whether what is fresh is to be left out now; if not, it waits until there is enough of it.
    pub(super) skips_fresh: bool,
}

/// Whether there is a fault, by what is fresh of stable and of the candidate.
pub(super) fn shared_fault(
    plan: &Plan,
    state: &mut ReleaseState,
    observation: &Observation,
    fresh: (&Window, &Window),
    now: UnixMs,
) -> Option<OngoingFault> {
    let (stable, candidate) = (Failures::of(fresh.0), Failures::of(fresh.1));
    let sight = Sight::new(plan, state, stable, candidate);
    let usual = usual(plan, state);
    if let Some(since) = state.fault_since {
        if sight.is_blind(plan, now.since(observation.stable.last_at)) {
            state.fault_since = None;
            return None;
        }
        if now.since(since) >= USUAL_AFTER_MS {
            // From here on it counts, and what was left out counts as what is usual.
            state.fault_since = None;
            state.skipped_stable = Window::default();
            state.skipped_candidate = Window::default();
            return None;
        }
        let limit = (plan.shared_fault.stable_error_rate / 2.0).max(1.5 * usual);
        let skips_fresh = sight.judged().requests >= OVER_REQUESTS;
        let is_over = skips_fresh && sight.judged().rate() < limit;
        if is_over {
            state.fault_since = None;
        }
        return Some(OngoingFault { reason: sight.reason(now.since(since), is_over), skips_fresh });
    }
    let recent = observation.before.as_deref().and_then(|(stable, candidate)| {
        let stable = Failures::of(&observation.stable).since(Failures::of(stable))?;
        let candidate = Failures::of(&observation.candidate).since(Failures::of(candidate))?;
        Some(Sight::new(plan, state, stable, candidate))
    });
    let seen = recent.into_iter().chain([sight]);
    let down = seen.into_iter().find(|sight| sight.is_down(plan, usual))?;
    state.fault_since = Some(now);
    Some(OngoingFault { reason: down.reason(0, false), skips_fresh: true })
}

/// What a fault that lasts says where nothing new has come.
pub(super) fn lasting(state: &ReleaseState, now: UnixMs) -> Option<Reason> {
    let nothing = Failures::default();
    state.fault_since.map(|since| {
        Reason::SharedFault(FaultSeen {
            for_s: now.since(since) / 1000,
            is_over: false,
            is_alone: false,
            stable: nothing,
            candidate: nothing,
        })
    })
}

/// The share of stable's failures that is usual: of these days and of the release so far, less what
/// was left out. Where stable fails a lot at all times, its bad moments are no faults.
fn usual(plan: &Plan, state: &ReleaseState) -> f64 {
    let seen = state.stable();
    let days = plan.baseline.as_ref().map(|baseline| &baseline.window.counts);
    let days = days.map_or((0, 0), |counts| (counts.requests, counts.upstream_errors));
    let requests = (days.0 + seen.requests).max(10 * plan.shared_fault.min_requests);
    (days.1 + seen.upstream_errors) as f64 / requests as f64
}

impl Failures {
    fn of(counts: &Counts) -> Failures {
        Failures { requests: counts.requests, errors: counts.upstream_errors }
    }

    /// What was not there before; `None` when a count went backwards.
    fn since(self, before: Failures) -> Option<Failures> {
        let requests = self.requests.checked_sub(before.requests)?;
        let errors = self.errors.checked_sub(before.errors)?;
        Some(Failures { requests, errors })
    }
}

/// What a fault is seen by.
struct Sight {
    stable: Failures,
    candidate: Failures,
    /// Whether nobody asks stable, so that the candidate shows what the shared upstream does.
    alone: bool,
}

impl Sight {
    fn new(plan: &Plan, state: &ReleaseState, stable: Failures, candidate: Failures) -> Sight {
        let alone =
            stable.requests == 0 && plan.same_upstream && is_alone(plan, state.rung, &state.strata);
        Sight { stable, candidate, alone }
    }

    /// The arm whose failures are the upstream's.
    fn judged(&self) -> Failures {
        if self.alone { self.candidate } else { self.stable }
    }

    fn is_down(&self, plan: &Plan, usual: f64) -> bool {
        let (limit, judged) = (plan.shared_fault, self.judged());
        let (errors, requests) = (judged.errors as f64, judged.requests as f64);
        let unusual = || log_e_of_rate(errors, requests, (2.0 * usual).clamp(0.01, 1.0));
        judged.requests >= limit.min_requests
            && judged.rate() >= limit.stable_error_rate
            && judged.rate() > 2.0 * usual
            && unusual() >= UNUSUAL.ln()
    }

    /// Whether nobody is left on stable whose requests could show that the fault is over.
    fn is_blind(&self, plan: &Plan, silent_ms: u64) -> bool {
        let nobody = self.stable.requests == 0 && self.candidate.requests > 0;
        nobody && !self.alone && silent_ms >= plan.stale_after_ms
    }

    fn reason(&self, for_ms: u64, is_over: bool) -> Reason {
        let Sight { stable, candidate, alone } = *self;
        let for_s = for_ms / 1000;
        Reason::SharedFault(FaultSeen { for_s, is_over, is_alone: alone, stable, candidate })
    }
}

#[cfg(test)]
mod tests;
