//! The decision itself. The order of its checks is the order of this file.

use super::ab::note_found;
use super::ab_plan::AbPlan;
use super::decision::{Action, Decision, DecisionKind, Observation, Signal};
use super::fault::{OngoingFault, lasting, shared_fault};
use super::finding::{Finding, Verdict};
use super::judge::judge_lines;
use super::pause::{Pause, PauseResult};
use super::plan::Plan;
use super::reason::{Gap, Reason, TooFew};
use super::split::{clean, uneven_split};
use super::state::{Order, OrderKind, PausedBy, Phase, ReleaseState};
use super::strata::{self, Stratum};
use crate::guard::RiskSeverity;
use crate::ids::UnixMs;
use crate::route::Weight;

/// What follows from the plan, the state, the observation and the time.
///
/// Pure and idempotent at the same `now`: deciding again on the state it gave changes nothing.
pub fn decide(
    plan: &Plan,
    state: &ReleaseState,
    observation: &Observation,
    now: UnixMs,
) -> Decision {
    if state.phase.is_final() {
        return match &observation.order {
            Some(order) if order.kind == OrderKind::RollBack && state.phase == Phase::Promoted => {
                take_back(plan, state, order, now)
            }
            Some(_) | None => already_over(state, now),
        };
    }
    let mut state = state.clone();
    let absorbed = absorb(plan, &mut state, observation, now);
    let order = fresh_order(&mut state, observation, now);
    let lines = judge_lines(plan, &state, now);
    note_found(plan, &mut state, now);
    // One moment moves a release once: without this, a shared fault read at first would be gone
    // from the second look and let it advance.
    let repeated = state.decided_at == Some(now) && order.is_none();
    state.decided_at = Some(now);
    let step = Step { plan, now, lines, absorbed, order, repeated, notes: vec![] };
    step.decide(state, observation)
}

/// An operator takes back what was promoted: the one way out of a phase that is otherwise final.
/// The lines are shown as they were when it was promoted.
fn take_back(plan: &Plan, state: &ReleaseState, order: &Order, now: UnixMs) -> Decision {
    let last_order = Some((now, order.kind));
    let phase = Phase::RolledBack;
    let reason = Reason::Order(order.clone());
    let incident = Action::OpenIncident { signal: Signal::Red, reason: reason.clone().into() };
    let mut lines = judge_lines(plan, state, now);
    lines.sort_by(Finding::by_urgency);
    let mut reasons = vec![reason];
    reasons.extend(lines.iter().map(Finding::reason));
    Decision {
        at: now,
        kind: DecisionKind::RollBack,
        signal: Signal::Red,
        reasons,
        actions: vec![Action::RollBack, incident],
        state: ReleaseState { phase, last_order, decided_at: Some(now), ..state.clone() },
    }
}

fn already_over(state: &ReleaseState, now: UnixMs) -> Decision {
    let signal = match state.phase {
        Phase::ShutOff => Signal::Black,
        Phase::RolledBack => Signal::Red,
        Phase::Ended | Phase::Promoted | Phase::Running | Phase::Paused(_) => Signal::Green,
    };
    Decision {
        at: now,
        kind: DecisionKind::Hold,
        signal,
        reasons: vec![Reason::Final { phase: state.phase }],
        actions: vec![],
        state: state.clone(),
    }
}

/// Adds what is new in the observation to what is counted; `Some` says why it may not be used.
///
/// A fault that both arms share is read but not counted, so that an outage never counts against
/// the candidate, now or later (invariant 9). The same holds while the model behind stable is
/// another one than the release began with.
fn absorb(
    plan: &Plan,
    state: &mut ReleaseState,
    observation: &Observation,
    now: UnixMs,
) -> Option<Reason> {
    if let Some(gap) = observation.gap {
        return Some(Reason::Gap { gap });
    }
    let drift = observation.drift.clone().map(Reason::Drift);
    if observation.stable == state.seen_stable && observation.candidate == state.seen_candidate {
        return drift.or_else(|| lasting(state, now));
    }
    let fresh = observation
        .stable
        .since(&state.seen_stable)
        .zip(observation.candidate.since(&state.seen_candidate));
    let Some((stable, candidate)) = fresh else {
        return Some(Reason::Gap { gap: Gap::CountFell });
    };
    if stable.requests + candidate.requests > 0 {
        let seen = observation.stable.last_at.max(observation.candidate.last_at);
        state.last_data_at = state.last_data_at.max(seen.min(now));
    }
    if drift.is_some() {
        state.leave_out((&observation.stable, &observation.candidate), (&stable, &candidate));
        return drift;
    }
    let fault = shared_fault(plan, state, observation, (&stable, &candidate), now);
    if let Some(OngoingFault { reason, skips_fresh: false }) = fault {
        return Some(reason);
    }
    if let Some(OngoingFault { reason, .. }) = fault {
        state.leave_out((&observation.stable, &observation.candidate), (&stable, &candidate));
        return Some(reason);
    }
    state.seen_stable = observation.stable.clone();
    state.seen_candidate = observation.candidate.clone();
    if state.strata.is_empty() {
        state.strata.push(Stratum::first(plan));
    }
    if let Some(last) = state.strata.last_mut() {
        last.add(plan, &stable, &candidate);
    }
    open_stratum(plan, state, None);
    None
}

/// Opens a stratum where one is due; `rises` is the weight that begins now.
fn open_stratum(plan: &Plan, state: &mut ReleaseState, rises: Option<Weight>) {
    let requests = state.seen_stable.requests + state.seen_candidate.requests;
    if !strata::is_due(plan, &state.strata, rises, requests) {
        return;
    }
    let counted = state.stable().into_owned();
    let recent = counted.since(&state.anchored).unwrap_or_default();
    let weight = rises.or(state.strata.last().map(|last| last.weight)).unwrap_or_default();
    state.strata.push(Stratum::open(plan, weight, requests, (&counted, &recent)));
    state.anchored = counted.without_cohorts();
}

/// The operator's order, unless it was carried out at this very moment already.
fn fresh_order(state: &mut ReleaseState, observation: &Observation, now: UnixMs) -> Option<Order> {
    let order = observation.order.clone()?;
    if state.last_order == Some((now, order.kind)) {
        return None;
    }
    state.last_order = Some((now, order.kind));
    Some(order)
}

/// One decision in the making: everything it looks at.
struct Step<'a> {
    plan: &'a Plan,
    now: UnixMs,
    lines: Vec<Finding>,
    absorbed: Option<Reason>,
    order: Option<Order>,
    repeated: bool,
    /// What is said beside the deciding reason.
    notes: Vec<Reason>,
}

impl Step<'_> {
    fn decide(self, state: ReleaseState, observation: &Observation) -> Decision {
        let ordered = |kind| self.order.as_ref().filter(|order| order.kind == kind);
        // An operator's stop wins; a red line that comes with it shuts the entrance as well.
        let red = &observation.red_events;
        if red.iter().any(|event| event.kind.severity() == RiskSeverity::Black) {
            return self.shut_off(state, observation);
        }
        if !red.is_empty() {
            let reason = Reason::RedLine { events: red.clone() };
            return self.roll_back(state, reason);
        }
        if let Some(order) = ordered(OrderKind::RollBack) {
            let reason = Reason::Order(order.clone());
            return self.roll_back(state, reason);
        }
        if let Some(over) = Finding::worst(self.lines.iter().filter(|line| line.is_over())) {
            let reason = over.reason();
            return self.roll_back(state, reason);
        }
        if let Some(ab) = &self.plan.ab {
            return self.compare(state, ab);
        }
        if let Some(order) = ordered(OrderKind::Pause) {
            let reason = Reason::Order(order.clone());
            return self.stay(state, Some(PausedBy::Operator), Signal::Yellow, reason);
        }
        if let Some(order) = ordered(OrderKind::PromoteFully) {
            let reason = Reason::Order(order.clone());
            return self.promote(state, reason);
        }
        if let Some(order) = ordered(OrderKind::Promote) {
            let reason = Reason::Order(order.clone());
            return self.advance(state, reason);
        }
        if state.phase == Phase::Paused(PausedBy::Operator) && ordered(OrderKind::Resume).is_none()
        {
            let signal = self.signal();
            return self.stay(state, Some(PausedBy::Operator), signal, Reason::Paused);
        }
        self.look(state)
    }

    /// An A/B test, no line of which is over: it goes on until its end, whatever is proven.
    fn compare(self, mut state: ReleaseState, ab: &AbPlan) -> Decision {
        let ordered = self.order.clone().filter(|order| order.kind == OrderKind::End);
        let lasted_s = self.now.since(state.started_at) / 1000;
        let over = (self.now >= ab.ends_at).then_some(Reason::AbOver { lasted_s });
        if let Some(reason) = ordered.map(Reason::Order).or(over) {
            state.phase = Phase::Ended;
            return self.finish(state, DecisionKind::End, Signal::Green, reason, vec![Action::End]);
        }
        let doubt = self.absorbed.clone().or_else(|| uneven_split(self.plan, &state, self.now));
        if let Some(reason) = doubt {
            return self.stay(state, None, Signal::Yellow, reason);
        }
        let (signal, left_s) = (self.signal(), ab.ends_at.since(self.now).div_ceil(1000));
        self.stay(state, None, signal, Reason::AbRuns { left_s })
    }

    /// Nobody ordered anything and no line is over: hold, pause or advance.
    fn look(self, mut state: ReleaseState) -> Decision {
        if self.repeated {
            let by = match state.phase {
                Phase::Paused(by) => Some(by),
                Phase::Running | Phase::Ended => None,
                Phase::RolledBack | Phase::ShutOff | Phase::Promoted => None,
            };
            let signal = self.signal();
            return self.stay(state, by, signal, Reason::Decided);
        }
        let resumed = self.order.as_ref().is_some_and(|order| order.kind == OrderKind::Resume);
        if resumed && matches!(state.phase, Phase::Paused(_)) {
            // The pause was no look, whatever prevents looking now.
            self.begin_rung(&mut state);
        }
        if let Some(reason) = self.absorbed.clone() {
            let paused = state.phase == Phase::Paused(PausedBy::Lines);
            let by = paused.then_some(PausedBy::Lines);
            return self.stay(state, by, Signal::Yellow, reason);
        }
        if let Some(reason) = uneven_split(self.plan, &state, self.now) {
            let paused = state.phase == Phase::Paused(PausedBy::Lines);
            let by = paused.then_some(PausedBy::Lines);
            return self.stay(state, by, Signal::Yellow, reason);
        }
        let paused = self.lines.iter().filter(|line| line.verdict == Verdict::OverPause);
        if let Some(reason) = Finding::worst(paused).map(|line| line.reason()) {
            return self.pause(state, resumed, reason);
        }
        if self.lines.iter().all(|line| line.verdict != Verdict::Between) {
            state.paused_since = None;
        }
        // An operator's resume comes through here as well.
        if matches!(state.phase, Phase::Paused(_)) {
            // The rung is looked at afresh after a pause.
            self.begin_rung(&mut state);
        }
        if let Some(reason) = self.too_little(&state) {
            return self.stay(state, None, Signal::Yellow, reason);
        }
        if let Some(line) = self.slowest() {
            let reason = line.reason();
            return self.stay(state, None, Signal::Yellow, reason);
        }
        let looked = self.now.since(state.rung_since);
        // At least 1 ms, so that one moment never climbs two rungs.
        let needed = self.plan.rungs.get(state.rung).map_or(1, |rung| rung.look_ms.max(1));
        let looked_s = looked / 1000;
        if looked < needed {
            let reason = Reason::Looking { looked_s, look_s: needed.div_ceil(1000) };
            return self.stay(state, None, Signal::Green, reason);
        }
        self.advance(state, Reason::AllPass { looked_s })
    }

    /// A line is over pause: stay and call for a person, or roll back at the pause's end.
    fn pause(mut self, mut state: ReleaseState, resumed: bool, reason: Reason) -> Decision {
        let pause = Pause::of(&mut state, resumed, self.now);
        match pause.end(self.plan, &self.lines, self.now) {
            // Without data nothing moves, and nobody is harmed meanwhile.
            PauseResult::GoesBack(_) if self.is_silent(&state) => {}
            PauseResult::GoesBack(reason) => return self.roll_back(state, *reason),
            PauseResult::Stays(note) => self.notes.extend(note.map(|note| *note)),
        }
        let why = reason.clone().into();
        let incident = Action::OpenIncident { signal: Signal::Yellow, reason: why };
        let actions = if pause.begins { vec![incident] } else { vec![] };
        state.phase = Phase::Paused(PausedBy::Lines);
        self.finish(state, DecisionKind::Pause, Signal::Yellow, reason, actions)
    }

    /// Of the lines that block, the one that will take longest, as far as that is known; one that
    /// more of the same would not change takes longest of all.
    fn slowest(&self) -> Option<&Finding> {
        let takes = |line: &&Finding| line.shown.numbers.more_s.unwrap_or(u64::MAX);
        let blocking = self.lines.iter().filter(|line| line.blocks());
        // Of equals the first: `max_by_key` would give the last.
        blocking.rev().max_by_key(takes)
    }

    /// Whether no outcome has come for too long.
    fn is_silent(&self, state: &ReleaseState) -> bool {
        self.now.since(state.last_data_at) >= self.plan.stale_after_ms
    }

    /// Too few answers, or none for too long.
    fn too_little(&self, state: &ReleaseState) -> Option<Reason> {
        let candidate_requests = state.seen_candidate.requests;
        if self.is_silent(state) {
            let silent_s = self.now.since(state.last_data_at) / 1000;
            return Some(Reason::NoData { silent_s, candidate_requests });
        }
        let candidate = state.candidate().answered().saturating_sub(state.rung_candidate_from);
        let stable = state.stable().answered().saturating_sub(state.rung_stable_from);
        let needed = self.plan.min_samples;
        let stable_needed =
            if strata::is_alone(self.plan, state.rung, &state.strata) { 0 } else { needed };
        if candidate >= needed && stable >= stable_needed {
            return None;
        }
        let looked_ms = self.now.since(state.rung_since);
        let takes = |seen: u64, needed: u64| match (needed.saturating_sub(seen), seen) {
            (0, _) => Some(0.0),
            (_, 0) => None,
            (missing, _) => Some(missing as f64 * looked_ms as f64 / 1000.0 / seen as f64),
        };
        let more_s = takes(candidate, needed)
            .zip(takes(stable, stable_needed))
            .map(|(candidate, stable)| candidate.max(stable));
        Some(Reason::TooFewSamples(TooFew {
            samples_candidate: candidate,
            needed_candidate: needed,
            samples_stable: stable,
            needed_stable: stable_needed,
            candidate_requests,
            more_s: more_s.map(|seconds| seconds.ceil() as u64),
        }))
    }

    fn signal(&self) -> Signal {
        if self.absorbed.is_some() || self.lines.iter().any(Finding::blocks) {
            Signal::Yellow
        } else {
            Signal::Green
        }
    }

    fn begin_rung(&self, state: &mut ReleaseState) {
        state.rung_since = self.now;
        state.rung_candidate_from = state.candidate().answered();
        state.rung_stable_from = state.stable().answered();
    }

    fn stay(
        self,
        mut state: ReleaseState,
        paused: Option<PausedBy>,
        signal: Signal,
        reason: Reason,
    ) -> Decision {
        state.phase = paused.map_or(Phase::Running, Phase::Paused);
        let kind = if paused.is_some() { DecisionKind::Pause } else { DecisionKind::Hold };
        self.finish(state, kind, signal, reason, vec![])
    }

    fn advance(self, mut state: ReleaseState, reason: Reason) -> Decision {
        let Some(next) = self.plan.rungs.get(state.rung + 1) else {
            return self.promote(state, reason);
        };
        let weight = next.weight;
        state.rung += 1;
        open_stratum(self.plan, &mut state, Some(weight));
        state.phase = Phase::Running;
        self.begin_rung(&mut state);
        let actions = vec![Action::SetWeight { weight }];
        self.finish(state, DecisionKind::Advance, Signal::Green, reason, actions)
    }

    fn promote(self, mut state: ReleaseState, reason: Reason) -> Decision {
        state.phase = Phase::Promoted;
        self.finish(state, DecisionKind::Advance, Signal::Green, reason, vec![Action::Promote])
    }

    fn roll_back(self, mut state: ReleaseState, reason: Reason) -> Decision {
        state.phase = Phase::RolledBack;
        let signal = Signal::Red;
        let incident = Action::OpenIncident { signal, reason: reason.clone().into() };
        let actions = vec![Action::RollBack, incident];
        self.finish(state, DecisionKind::RollBack, signal, reason, actions)
    }

    fn shut_off(self, mut state: ReleaseState, observation: &Observation) -> Decision {
        state.phase = Phase::ShutOff;
        let reason = Reason::RedLine { events: observation.red_events.clone() };
        let mut actions = vec![Action::RollBack];
        if self.plan.close_entrance {
            actions.push(Action::CloseEntrance { reason: reason.clone().into() });
        }
        let incident = reason.clone().into();
        actions.push(Action::OpenIncident { signal: Signal::Black, reason: incident });
        self.finish(state, DecisionKind::ShutOff, Signal::Black, reason, actions)
    }

    /// The deciding reason goes first, then what every line says.
    fn finish(
        self,
        state: ReleaseState,
        kind: DecisionKind,
        signal: Signal,
        reason: Reason,
        actions: Vec<Action>,
    ) -> Decision {
        let mut reasons = vec![reason];
        if let Some(ordered) = self.order.clone().map(Reason::Order)
            && ordered != reasons[0]
        {
            reasons.push(ordered);
        }
        reasons.extend(self.notes);
        let mut lines = self.lines;
        lines.sort_by(Finding::by_urgency);
        for line in lines {
            let reason = line.reason();
            if reason != reasons[0] {
                reasons.push(reason);
            }
        }
        if kind == DecisionKind::Advance {
            reasons.extend(clean(&state));
        }
        if state.rung == 0 && self.plan.baseline.is_none() {
            reasons.push(Reason::ColdStart);
        }
        Decision { at: self.now, kind, signal, reasons, actions, state }
    }
}

#[cfg(test)]
mod tests;
