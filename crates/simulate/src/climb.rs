//! Climb: one engine on one repetition of a scenario, from the first request to its end.

use super::drawn::Drawn;
use super::scenario::TOKENS;
use super::scenario::{LookSchedule, Scenario, Truth};
use super::stream::{Draws, Served, Stream};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tidegate_core::decide::Metric;
use tidegate_core::route::{Arm, Cohort};

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReleaseEnd {
    /// Returned to stable.
    RolledBack,
    /// Became stable.
    Promoted,
    /// Paused when the horizon was reached.
    Paused,
    /// On its ladder when the horizon was reached.
    Undecided,
}

/// What the first reason named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// A metric.
    Metric(Metric),
    /// A red-line event.
    RedLine,
    /// Neither, or the engine names nothing.
    Nothing,
}

/// What a user said of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label {
    /// When it is heard, ms.
    pub(crate) at_ms: u64,
    /// Which arm answered.
    pub(crate) arm: Arm,
    /// The user's cohort.
    pub(crate) cohort: Cohort,
    /// Whether the task failed.
    pub(crate) failed: bool,
}

/// An engine on a ladder.
pub(crate) trait Climber {
    /// The candidate's share of users now, 0 to 1.
    fn weight(&self) -> f64;
    /// Takes in a request that its arm has served.
    fn add(&mut self, arm: Arm, request: &Draws, seen: &Served);
    /// Takes in what a user said.
    fn label(&mut self, label: &Label);
    /// Looks; `blind` while no metrics come in. Gives the end when that is it.
    fn look(&mut self, at_ms: u64, blind: bool) -> Option<ReleaseEnd>;
    /// How the release ends when the horizon is reached.
    fn end(&self) -> ReleaseEnd;
    /// How often the weight rose.
    fn rises(&self) -> u32;
    /// What the decision named.
    fn named(&self) -> Named;
    /// Whether it rolled back since a pause's limit or the harm budget was reached: what it says is
    /// that the candidate is worse, not that it is over a line.
    fn by_limit(&self) -> bool {
        false
    }
}

/// What came of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Run {
    /// How it ended.
    pub(crate) end: ReleaseEnd,
    /// When, ms.
    pub(crate) at_ms: u64,
    /// Requests of the candidate since its harm set in.
    pub(crate) candidate: u64,
    /// Requests that the candidate spoilt and stable would not have; of cost, the extra tokens in
    /// answers' worth.
    pub(crate) spoilt: f64,
    /// How often the weight rose.
    pub(crate) rises: u32,
    /// What the decision named.
    pub(crate) named: Named,
    /// Whether it rolled back since a limit was reached, not by a line's proof.
    pub(crate) by_limit: bool,
}

/// Runs an engine, looking every `every_ms`, on the stream from its beginning.
pub(crate) fn climb(
    scenario: &Scenario,
    stream: &mut Stream<'_>,
    every_ms: u64,
    climber: &mut dyn Climber,
) -> Run {
    stream.rewind();
    let mut walk = Walk {
        scenario,
        stream,
        labels: BinaryHeap::new(),
        limit: scenario.watched().limit,
        candidate: 0,
        spoilt: 0.0,
    };
    let (end, at_ms) = walk.go(every_ms.max(1), climber);
    Run {
        end,
        at_ms,
        candidate: walk.candidate,
        spoilt: walk.spoilt,
        rises: climber.rises(),
        named: climber.named(),
        by_limit: end == ReleaseEnd::RolledBack && climber.by_limit(),
    }
}

struct Walk<'a, 's> {
    scenario: &'a Scenario,
    stream: &'a mut Stream<'s>,
    labels: BinaryHeap<Reverse<Label>>,
    /// The watched metric's value at the rollback line.
    limit: f64,
    candidate: u64,
    spoilt: f64,
}

impl Walk<'_, '_> {
    fn go(&mut self, every_ms: u64, climber: &mut dyn Climber) -> (ReleaseEnd, u64) {
        let horizon_ms = (self.scenario.horizon_s * 1000.0) as u64;
        let mut look_at = every_ms;
        let mut request = self.stream.next();
        while look_at <= horizon_ms {
            match request.take() {
                Some(next) if next.at_ms < look_at => {
                    let arm = self.serve(&next, climber);
                    if arm == Arm::Candidate
                        && self.scenario.look == LookSchedule::EveryRequest
                        && let Some(end) = self.look(next.at_ms, climber)
                    {
                        return (end, next.at_ms);
                    }
                    request = self.stream.next();
                }
                later => {
                    request = later;
                    if let Some(end) = self.look(look_at, climber) {
                        return (end, look_at);
                    }
                    look_at += every_ms;
                }
            }
        }
        (climber.end(), horizon_ms)
    }

    fn look(&mut self, at_ms: u64, climber: &mut dyn Climber) -> Option<ReleaseEnd> {
        let blind = self.is_blind(at_ms);
        while let Some(Reverse(label)) = self.labels.peek()
            && label.at_ms <= at_ms
        {
            if !blind {
                climber.label(label);
            }
            self.labels.pop();
        }
        climber.look(at_ms, blind)
    }

    fn is_blind(&self, at_ms: u64) -> bool {
        self.scenario.gap_s.is_some_and(|from| at_ms as f64 >= from * 1000.0)
    }

    /// Sends a request to its arm and counts what became of it.
    fn serve(&mut self, request: &Draws, climber: &mut dyn Climber) -> Arm {
        let share = climber.weight() * self.scenario.router;
        let arm = if request.position < share { Arm::Candidate } else { Arm::Stable };
        let seen = self.stream.seen(request, arm);
        if arm == Arm::Candidate && request.at_ms as f64 >= self.scenario.from_s * 1000.0 {
            self.candidate += 1;
            if self.scenario.truth != Truth::Good {
                self.spoilt += self.spoilt_by(request, &seen);
            }
        }
        if self.is_blind(request.at_ms) {
            return arm;
        }
        climber.add(arm, request, &seen);
        if !seen.failed
            && let Some(at_ms) = self.stream.heard_at(request)
        {
            let label = Label { at_ms, arm, cohort: request.cohort, failed: seen.task_failed };
            self.labels.push(Reverse(label));
        }
        arm
    }

    fn spoilt_by(&self, request: &Draws, seen: &Served) -> f64 {
        let before = self.stream.seen(request, Arm::Stable);
        let worse = |new: bool, old: bool| f64::from(u8::from(new)) - f64::from(u8::from(old));
        match Drawn::of(self.scenario.metric) {
            Drawn::Tokens => (seen.tokens as f64 - before.tokens as f64) / TOKENS,
            Drawn::TaskFailures => worse(seen.task_failed, before.task_failed),
            Drawn::LatencyP95 => {
                let is_slow = |seen: &Served| seen.latency_us as f64 > self.limit * 1000.0;
                worse(is_slow(seen), is_slow(&before))
            }
            Drawn::Flags => worse(seen.flagged, before.flagged),
            Drawn::Failures | Drawn::Nothing => worse(seen.failed || seen.leaked, before.failed),
        }
    }
}
