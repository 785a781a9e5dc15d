//! Counts outcomes by arm for the release that runs; the controller reads the sums.
//!
//! The windows are cumulative since the release began, so a look that is missed costs nothing. One
//! mutex guards them; it is held for a few additions and never across an await.

use super::recent::Recent;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_core::guard::Sighting;
use tidegate_core::ids::{ChangeId, TraceId, UnixMs};
use tidegate_core::observe::{
    FailedRequest, Feedback, Outage, OutageChange, OutageLog, OutageRun, OutageWatch, Outcome,
    Window,
};
use tidegate_core::route::{Arm, Cohort};
use tokio::sync::Notify;

/// Red-line events kept until control takes them. One is enough to act, so more than this are
/// counted in the window only.
const EVENTS_MAX: usize = 256;

/// Traces kept, so that feedback that comes soon after needs no store; beyond it the oldest go, and
/// the store is asked. About 6 MiB at most: a trace is kept as a hash of its name, with a share in
/// what many traces have in common.
const RECENT_TRACES: usize = 65_536;
/// From so many kinds of traces on (an arm, a cohort, a tenant, a model) those without a trace go.
const KINDS_KEPT: usize = 8_192;

/// What feedback needs to know of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FeedbackOn {
    /// The arm that answered.
    pub(crate) arm: Arm,
    /// The cohort of the subject that asked, while it is still known.
    pub(crate) cohort: Option<Cohort>,
    /// The release that was running.
    pub(crate) change_id: Option<ChangeId>,
    /// The tenant it belongs to; two tenants may use one id.
    pub(crate) tenant: Option<Arc<str>>,
    /// The model's version name, a label.
    pub(crate) model: Arc<str>,
    /// Whether a fallback answered, or a second answer is what they got, so that what users say is
    /// not of the arm's own.
    pub(crate) is_others: bool,
}

/// A trace that was answered, with the kinds of feedback that it had.
struct Answered {
    on: Arc<FeedbackOn>,
    kinds_seen: u8,
}

/// The last traces. Two that hash alike would be taken for one: of 65,536 with keys that nobody
/// knows, one pair in ten thousand million million.
#[derive(Default)]
struct Traces {
    hash: RandomState,
    answered: Recent<u64, Answered, RECENT_TRACES>,
    kinds: HashSet<Arc<FeedbackOn>>,
    /// How many there may be before the next look through all of them: twice those that were in use
    /// at the last one, so that no request waits for a look that the one before it has made.
    kinds_max: usize,
}

impl Traces {
    fn insert(&mut self, trace: &TraceId, on: FeedbackOn) {
        let whose = self.hash.hash_one((trace, &on.tenant));
        let on = match self.kinds.get(&on) {
            Some(kind) => Arc::clone(kind),
            None => {
                if self.kinds.len() >= self.kinds_max.max(KINDS_KEPT) {
                    self.kinds.retain(|kind| Arc::strong_count(kind) > 1);
                    self.kinds_max = 2 * self.kinds.len();
                }
                let kind = Arc::new(on);
                self.kinds.insert(Arc::clone(&kind));
                kind
            }
        };
        self.answered.insert(whose, Answered { on, kinds_seen: 0 });
    }

    fn get_mut(&mut self, tenant: Option<&Arc<str>>, trace: &TraceId) -> Option<&mut Answered> {
        let whose = self.hash.hash_one((trace, tenant));
        self.answered.get_mut(&whose)
    }
}

/// What came in, by arm.
#[derive(Default)]
pub(crate) struct Collector {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    release: Option<Running>,
    baseline: Window,
    events: Vec<Sighting>,
    other_events: Vec<Sighting>,
    recent: Traces,
    stable_outages: OutageLog,
    candidate_outages: OutageWatch,
    switched: Option<Duration>,
    drained: Option<Duration>,
}

struct Running {
    change_id: ChangeId,
    stable: Window,
    candidate: Window,
}

impl Answered {
    /// Marks a kind of feedback as given; false when it was already.
    fn is_first(&mut self, feedback: Feedback) -> bool {
        let bit = match feedback {
            Feedback::Like(_) => 1,
            Feedback::Adopted(_) => 2,
            Feedback::TaskDone(_) => 4,
            Feedback::Satisfaction(_) => 8,
        };
        let first = self.kinds_seen & bit == 0;
        self.kinds_seen |= bit;
        first
    }
}

impl Collector {
    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are additions: a panic in between leaves them usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts counting for a release, from windows that the journal held where it goes on after a
    /// crash.
    pub(crate) fn begin(&self, change_id: ChangeId, stable: Window, candidate: Window) {
        let mut state = self.state();
        state.release = Some(Running { change_id, stable, candidate });
        state.candidate_outages = OutageWatch::default();
        state.events.clear();
    }

    /// Stops counting for the release; gives its last windows, stable then candidate.
    pub(crate) fn end(&self) -> Option<(Window, Window)> {
        let mut state = self.state();
        // What came after the last look counts as stable's: the candidate may just have become it.
        let late = std::mem::take(&mut state.events);
        state.other_events.extend(late);
        state.candidate_outages = OutageWatch::default();
        state.release.take().map(|running| (running.stable, running.candidate))
    }

    /// Counts one outcome; false when it is of another release than the one that runs, and is
    /// therefore not counted. Without a release, stable's outcomes go to the baseline.
    pub(crate) fn add(
        &self,
        arm: Arm,
        change_id: Option<&ChangeId>,
        outcome: &Outcome,
        at: UnixMs,
    ) -> bool {
        let mut state = self.state();
        match state.window(arm, change_id) {
            Some(window) => window.add(outcome, at),
            None => return false,
        }
        true
    }

    /// Notes how a request ended for [`Self::outage`]; gives the outage that it begins or ends.
    /// Stable's requests count at any time, a candidate's while its release runs. `failed` is asked
    /// of a request of stable that failed.
    pub(crate) fn note_end(
        &self,
        arm: Arm,
        change_id: Option<&ChangeId>,
        outcome: &Outcome,
        at: UnixMs,
        failed: impl FnOnce() -> FailedRequest,
    ) -> Option<OutageChange> {
        let mut state = self.state();
        let running = state.release.as_ref().map(|running| &running.change_id);
        match arm {
            Arm::Stable => state.stable_outages.add(outcome, at, failed),
            Arm::Candidate if running.is_some() && running == change_id => {
                state.candidate_outages.add(outcome, at)
            }
            Arm::Candidate => None,
        }
    }

    /// The outage of an arm, while it lasts.
    pub(crate) fn outage(&self, arm: Arm) -> Option<Outage> {
        let state = self.state();
        match arm {
            Arm::Stable => state.stable_outages.outage(),
            Arm::Candidate => state.candidate_outages.outage(),
        }
    }

    /// The last outage of stable, over or not.
    pub(crate) fn last_outage(&self) -> Option<OutageRun> {
        self.state().stable_outages.run().cloned()
    }

    /// Goes on from an outage of stable that an earlier process saw.
    pub(crate) fn resume_outage(&self, outage: OutageRun) {
        self.state().stable_outages.resume(outage);
    }

    /// Remembers where a trace was answered, for the feedback on it.
    pub(crate) fn remember(&self, trace: &TraceId, on: FeedbackOn) {
        self.state().recent.insert(trace, on);
    }

    /// Where a tenant's trace was answered, if it is one of the last 65,536.
    pub(crate) fn find(&self, tenant: Option<Arc<str>>, trace: &TraceId) -> Option<FeedbackOn> {
        let mut state = self.state();
        let answered = state.recent.get_mut(tenant.as_ref(), trace);
        answered.map(|answered| FeedbackOn::clone(&answered.on))
    }

    /// Counts what a user said of an answer; false when the trace had feedback of this kind, or
    /// belongs to another release than the one that runs.
    pub(crate) fn add_feedback(
        &self,
        trace: &TraceId,
        on: &FeedbackOn,
        feedback: Feedback,
        at: UnixMs,
    ) -> bool {
        let mut state = self.state();
        // Of a trace that is not known any more every kind is the first.
        let answered = state.recent.get_mut(on.tenant.as_ref(), trace);
        if answered.is_some_and(|answered| !answered.is_first(feedback)) {
            return false;
        }
        match state.window(on.arm, on.change_id.as_ref()) {
            Some(window) => window.add_feedback(feedback, on.cohort, at),
            None => return false,
        }
        true
    }

    /// Queues a red-line event and wakes control at once. Only the running release's candidate can
    /// be judged by it; stable's events, and late ones of an earlier release, are kept apart.
    pub(crate) fn red_event(&self, sighting: Sighting) {
        let mut state = self.state();
        let running = state.release.as_ref().map(|running| &running.change_id);
        let queue = match sighting.arm {
            Arm::Candidate if running.is_some() && running == sighting.change_id.as_ref() => {
                &mut state.events
            }
            Arm::Candidate | Arm::Stable => &mut state.other_events,
        };
        if queue.len() < EVENTS_MAX {
            queue.push(sighting);
        }
        drop(state);
        // A permit is kept while no task waits yet, so no event is missed.
        self.wake.notify_one();
    }

    /// Whether red-line events of the running candidate wait to be taken.
    pub(crate) fn has_red_events(&self) -> bool {
        !self.state().events.is_empty()
    }

    /// Waits for a red-line event.
    pub(crate) async fn red_event_seen(&self) {
        self.wake.notified().await;
    }

    /// Says how long after a decision its table was in place.
    pub(crate) fn switched(&self, after: Duration) {
        self.state().switched = Some(after);
    }

    /// Says how long after a decision the last request on the table before it ended.
    pub(crate) fn drained(&self, after: Duration) {
        self.state().drained = Some(after);
    }

    /// The last [`Self::switched`] and [`Self::drained`].
    pub(crate) fn switch_times(&self) -> (Option<Duration>, Option<Duration>) {
        let state = self.state();
        (state.switched, state.drained)
    }

    /// Takes the red-line events that are not the running candidate's.
    pub(crate) fn take_other_events(&self) -> Vec<Sighting> {
        std::mem::take(&mut self.state().other_events)
    }

    /// The release's windows so far, stable then candidate, and the candidate's red-line events
    /// since the last look, which are handed over: they are given once.
    pub(crate) fn snapshot(&self) -> (Window, Window, Vec<Sighting>) {
        let mut state = self.state();
        let events = std::mem::take(&mut state.events);
        match &state.release {
            Some(running) => (running.stable.clone(), running.candidate.clone(), events),
            None => (Window::default(), Window::default(), events),
        }
    }

    /// Takes what stable did while no release ran, and restarts that count.
    pub(crate) fn take_baseline(&self) -> Window {
        std::mem::take(&mut self.state().baseline)
    }
}

impl State {
    fn window(&mut self, arm: Arm, change_id: Option<&ChangeId>) -> Option<&mut Window> {
        match (&mut self.release, change_id) {
            (Some(running), Some(id)) if running.change_id == *id => Some(match arm {
                Arm::Stable => &mut running.stable,
                Arm::Candidate => &mut running.candidate,
            }),
            (None, None) => match arm {
                Arm::Stable => Some(&mut self.baseline),
                Arm::Candidate => None,
            },
            (Some(_), _) | (None, Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::guard::{RiskEvent, RiskKind};
    use tidegate_core::observe::Counts;

    fn id(text: &str) -> ChangeId {
        ChangeId::parse(text).unwrap()
    }

    fn trace(text: &str) -> TraceId {
        TraceId::parse(text).unwrap()
    }

    #[test]
    fn an_outcome_counts_for_its_own_release_only() {
        let collector = Collector::default();
        let outcome = Outcome::default();
        assert!(collector.add(Arm::Stable, None, &outcome, UnixMs(1)));
        collector.begin(id("prompt-v3"), Window::default(), Window::default());
        let (now, before) = (id("prompt-v3"), id("prompt-v2"));
        assert!(collector.add(Arm::Candidate, Some(&now), &outcome, UnixMs(2)));
        assert!(!collector.add(Arm::Candidate, Some(&before), &outcome, UnixMs(2)));
        assert!(!collector.add(Arm::Stable, None, &outcome, UnixMs(2)));
        let (stable, candidate, _) = collector.snapshot();
        assert_eq!((stable.requests, candidate.requests), (0, 1));
        assert_eq!(collector.take_baseline().requests, 1);
        assert_eq!(collector.take_baseline().requests, 0);
        assert!(collector.end().is_some());
        assert!(!collector.add(Arm::Candidate, Some(&now), &outcome, UnixMs(3)));
    }

    #[test]
    fn a_release_goes_on_from_its_windows() {
        let collector = Collector::default();
        let counts = Counts { requests: 40, ..Counts::default() };
        let before = Window { counts, ..Window::default() };
        collector.begin(id("prompt-v3"), before, Window::default());
        collector.add(Arm::Stable, Some(&id("prompt-v3")), &Outcome::default(), UnixMs(1));
        assert_eq!(collector.snapshot().0.requests, 41);
    }

    #[test]
    fn feedback_of_a_kind_counts_once_for_a_trace() {
        let collector = Collector::default();
        let on = FeedbackOn {
            arm: Arm::Stable,
            cohort: None,
            change_id: None,
            tenant: None,
            model: "m".into(),
            is_others: false,
        };
        collector.remember(&trace("t-1"), on.clone());
        let give = |feedback| collector.add_feedback(&trace("t-1"), &on, feedback, UnixMs(1));
        assert!(give(Feedback::Like(false)));
        assert!(!give(Feedback::Like(true)));
        assert!(give(Feedback::Adopted(true)));
        let window = collector.take_baseline();
        assert_eq!((window.likes, window.dislikes, window.adopted), (0, 1, 1));
    }

    #[test]
    fn the_oldest_traces_go_first() {
        let collector = Collector::default();
        let on = FeedbackOn {
            arm: Arm::Stable,
            cohort: None,
            change_id: None,
            tenant: None,
            model: "m".into(),
            is_others: false,
        };
        for n in 0..=RECENT_TRACES {
            collector.remember(&trace(&format!("t-{n}")), on.clone());
        }
        assert_eq!(collector.find(None, &trace("t-0")), None);
        assert!(collector.find(None, &trace("t-1")).is_some());
    }

    #[test]
    fn kinds_of_traces_that_are_gone_go_as_well() {
        let mut traces = Traces::default();
        for n in 0..4 * RECENT_TRACES {
            let tenant = Some(format!("tenant-{n}").into());
            let (cohort, change_id) = (None, None);
            let on = FeedbackOn {
                arm: Arm::Stable,
                cohort,
                change_id,
                tenant,
                model: "m".into(),
                is_others: false,
            };
            traces.insert(&trace("t-1"), on);
        }
        assert!(traces.kinds.len() <= 2 * RECENT_TRACES + 2, "{}", traces.kinds.len());
    }

    #[tokio::test]
    async fn a_red_event_wakes_even_a_late_sleeper() {
        let collector = Collector::default();
        let now = id("prompt-v3");
        collector.begin(now.clone(), Window::default(), Window::default());
        let sighting = |arm, change_id: &ChangeId| Sighting {
            event: RiskEvent { kind: RiskKind::Leak, detail: "planted text 1".to_owned() },
            at: UnixMs(1),
            arm,
            change_id: Some(change_id.clone()),
            trace_id: trace("t-1"),
            caller: None,
            blocked: true,
            banned_s: 0,
        };
        collector.red_event(sighting(Arm::Candidate, &now));
        collector.red_event(sighting(Arm::Stable, &now));
        collector.red_event(sighting(Arm::Candidate, &id("prompt-v2")));
        collector.red_event_seen().await;
        assert_eq!(collector.snapshot().2, [sighting(Arm::Candidate, &now)]);
        assert_eq!(collector.take_other_events().len(), 2);
        assert!(collector.snapshot().2.is_empty(), "events are given once");
    }
}
