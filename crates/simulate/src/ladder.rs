//! Ladder: what a peer's calls do to a release. Bad rolls back at once; at the end of a rung good
//! rises, and from the last rung it is promoted; anything else stays.

use super::climb::{Climber, Label, Named, ReleaseEnd};
use super::judge::{IntervalCounts, Judge, Judgement};
use super::stream::{Draws, Served};
use tidegate_core::decide::Rung;
use tidegate_core::route::Arm;

/// How often a peer is shown what happened, ms.
pub(crate) const INTERVAL_MS: u64 = 60_000;

/// A peer on one release.
pub(crate) struct Ladder<'a> {
    rungs: &'a [Rung],
    judge: Box<dyn Judge>,
    rung: usize,
    since_ms: u64,
    stable: IntervalCounts,
    candidate: IntervalCounts,
}

impl<'a> Ladder<'a> {
    /// A release that begins now.
    pub(crate) fn new(rungs: &'a [Rung], judge: Box<dyn Judge>) -> Ladder<'a> {
        let (stable, candidate) = (IntervalCounts::default(), IntervalCounts::default());
        Ladder { rungs, judge, rung: 0, since_ms: 0, stable, candidate }
    }

    fn interval(&mut self, arm: Arm) -> &mut IntervalCounts {
        match arm {
            Arm::Stable => &mut self.stable,
            Arm::Candidate => &mut self.candidate,
        }
    }

    fn good(&mut self, at_ms: u64) -> Option<ReleaseEnd> {
        let needed = self.rungs.get(self.rung).map_or(0, |rung| rung.look_ms);
        if at_ms - self.since_ms < needed {
            return None;
        }
        if self.rung + 1 >= self.rungs.len() {
            return Some(ReleaseEnd::Promoted);
        }
        self.rung += 1;
        self.since_ms = at_ms;
        None
    }
}

impl Climber for Ladder<'_> {
    fn weight(&self) -> f64 {
        self.rungs.get(self.rung).map_or(0.0, |rung| rung.weight.fraction())
    }

    fn add(&mut self, arm: Arm, _request: &Draws, seen: &Served) {
        let interval = self.interval(arm);
        interval.requests += 1;
        if seen.failed {
            interval.errors += 1;
            return;
        }
        interval.latency_us.add(seen.latency_us);
        interval.tokens.n += 1;
        interval.tokens.sum += seen.tokens as f64;
        interval.tokens.squares += (seen.tokens as f64).powi(2);
    }

    fn label(&mut self, label: &Label) {
        let interval = self.interval(label.arm);
        interval.labels += 1;
        interval.failed += u64::from(label.failed);
    }

    fn look(&mut self, at_ms: u64, _blind: bool) -> Option<ReleaseEnd> {
        // Whoever is shown minutes has nothing to look at between them.
        if !at_ms.is_multiple_of(INTERVAL_MS) {
            return None;
        }
        let stable = std::mem::take(&mut self.stable);
        let candidate = std::mem::take(&mut self.candidate);
        match self.judge.look(&stable, &candidate) {
            Judgement::Bad => Some(ReleaseEnd::RolledBack),
            Judgement::Unsure => None,
            Judgement::Good => self.good(at_ms),
        }
    }

    fn end(&self) -> ReleaseEnd {
        ReleaseEnd::Undecided
    }

    fn rises(&self) -> u32 {
        self.rung as u32
    }

    fn named(&self) -> Named {
        Named::Nothing
    }
}
