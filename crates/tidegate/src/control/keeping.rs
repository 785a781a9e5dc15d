//! Which looks are kept: everything that moves, pauses or says something new; a look that only
//! finds more of the same now and then, for the numbers that a restart goes on from.

use tidegate_core::decide::{Decision, DecisionKind, Metric, ReasonCode, ReleaseState, Signal};
use tidegate_core::ids::UnixMs;

/// While a fault is shared it is left out piece by piece: the longer apart two kept looks are, the
/// more of the good time around it goes with it, ms.
const FAULT_EVERY_MS: u64 = 5_000;

/// Looks of the same are kept often at a rung's start, where they are watched, and less later, so
/// that a day-long rung stays small.
fn every_ms(on_rung_ms: u64) -> u64 {
    (on_rung_ms / 30).clamp(1_000, 60_000)
}

/// What a decision says, as far as it would be news to say something else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Said {
    kind: DecisionKind,
    signal: Signal,
    reason: Option<(ReasonCode, Option<Metric>)>,
}

impl Said {
    pub(crate) fn by(decision: &Decision) -> Said {
        let reason = decision.reasons.first().map(|reason| (reason.code, reason.metric));
        Said { kind: decision.kind, signal: decision.signal, reason }
    }

    fn is_fault(self) -> bool {
        self.reason.is_some_and(|(code, _)| code == ReasonCode::SharedFault)
    }
}

/// Whether to keep a decision on the state `before`, of which `last` was the last one kept, at
/// `kept_at`.
pub(crate) fn is_worth_keeping(
    before: &ReleaseState,
    last: Option<Said>,
    decision: &Decision,
    kept_at: UnixMs,
) -> bool {
    let said = Said::by(decision);
    let moves = !decision.actions.is_empty() || decision.state.phase != before.phase;
    if moves || last != Some(said) {
        return true;
    }
    let more = decision.state.seen_candidate != before.seen_candidate
        || decision.state.seen_stable != before.seen_stable;
    let every_ms = match said.is_fault() {
        true => FAULT_EVERY_MS,
        false => every_ms(decision.at.since(decision.state.rung_since)),
    };
    more && decision.at.since(kept_at) >= every_ms
}
