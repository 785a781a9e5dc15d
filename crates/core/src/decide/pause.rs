//! A pause has an end.
//!
//! A pause by lines asks for a person. Nobody may come, and users stay on a candidate that is
//! proven worse all the while: few of them, or users whose answers are alike, may never prove it
//! over the rollback line. So a pause has a limit. After it, the release rolls back where a line
//! that pauses it is proven worse than stable at the release's own error budget, however much
//! worse; where none is, it stays paused and says so. An operator's pause has no limit.
//!
//! The clock of a pause runs until no line is proven worse than pass any more: an estimate that
//! crosses the pause line to and fro does not begin a new pause with each look.

use super::finding::{Finding, Verdict};
use super::plan::Plan;
use super::reason::{PauseEnd, PauseLimit, PauseSoFar, Reason};
use super::state::ReleaseState;
use crate::ids::UnixMs;

/// What the limit makes of a pause.
pub(super) enum PauseResult {
    /// It rolls back, for this reason.
    GoesBack(Box<Reason>),
    /// It stays paused; how long, where there is a limit.
    Stays(Option<Box<Reason>>),
}

/// A pause by lines at this look.
pub(super) struct Pause {
    since: UnixMs,
    /// Whether it begins now, so that people are to be called.
    pub(super) begins: bool,
}

impl Pause {
    /// The pause that goes on, or a new one: after a resume as well, since somebody has looked.
    pub(super) fn of(state: &mut ReleaseState, resumed: bool, now: UnixMs) -> Pause {
        let lasts = state.paused_since.filter(|_| !resumed);
        let since = lasts.unwrap_or(now);
        state.paused_since = Some(since);
        Pause { since, begins: lasts.is_none() }
    }

    /// Whether it is over, by what the lines say now.
    pub(super) fn end(&self, plan: &Plan, lines: &[Finding], now: UnixMs) -> PauseResult {
        let (lasted_s, limit_s) = (now.since(self.since) / 1000, plan.pause_max_ms / 1000);
        if plan.pause_max_ms == 0 {
            return PauseResult::Stays(None);
        }
        let paused = lines.iter().filter(|line| line.verdict == Verdict::OverPause);
        let harmful = Finding::worst(paused.filter(|line| line.is_harmful));
        let is_over = now.since(self.since) >= plan.pause_max_ms;
        let leads_to = match (is_over, harmful) {
            (true, Some(line)) => {
                return PauseResult::GoesBack(Box::new(goes_back(plan, line, (lasted_s, limit_s))));
            }
            (true, None) => PauseEnd::Stays,
            (false, Some(_)) => PauseEnd::GoesBack,
            (false, None) => PauseEnd::GoesBackIfWorse,
        };
        let so_far = PauseSoFar { lasted_s, limit_s, leads_to };
        PauseResult::Stays(Some(Box::new(Reason::PausedByLines(so_far))))
    }
}

/// Why it rolls back: this line, whose odds that the candidate is worse are enough.
fn goes_back(plan: &Plan, line: &Finding, (lasted_s, limit_s): (u64, u64)) -> Reason {
    let mut shown = Box::new(line.shown.clone());
    let rule = plan.rules.iter().find(|rule| rule.metric == shown.metric);
    shown.numbers.alpha = rule.map(|rule| plan.alpha_of(rule));
    shown.numbers.needed = shown.numbers.alpha.map(|alpha| 1.0 / alpha);
    Reason::PauseLimit(Box::new(PauseLimit { lasted_s, limit_s, shown }))
}

#[cfg(test)]
mod tests;
