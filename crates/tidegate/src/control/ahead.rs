//! What is in force before the journal has it. Going back, an operator's pause and the opening of
//! the entrance never wait for the store: they are carried out here, in memory, and written by the
//! first look that can write them.
//!
//! The loop that owns control waits for the store whenever it journals. Whoever asks control and
//! gets no answer in [`PATIENCE`] decides here, on the state that was journalled last and on what
//! the collector has counted since. Only moves to stable are made so; everything that gives the
//! candidate more is journalled first.

mod relief;
mod table;

pub(super) use relief::{Opened, Relief};

use super::Plane;
use super::command::{Answer, Command};
use super::error::{ControlError, Result};
use super::keys::find as find_key;
use super::logged::service_of;
use super::resolve::{Target, target};
use crate::access::KeyTable;
use crate::log::{self, About};
use crate::version_set::LiveSet;
use crate::view::Done;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_core::act::{next_table, reopened};
use tidegate_core::decide::{
    Action, Decision, DecisionKind, Observation, Order, OrderKind, PausedBy, Phase, Plan,
    ReleaseState, Watch,
};
use tidegate_core::ids::{ChangeId, UnixMs, VersionSetId};
use tidegate_core::journal::{ControlState, Event};
use tidegate_core::route::Entrance;

/// How long the loop may take before the way back does without it. An answer comes in a few ms
/// where the disk is well; with the tick of a second, going back stays near one second.
pub(super) const PATIENCE: Duration = Duration::from_millis(400);

/// What is said while the store neither writes nor fails.
pub(super) const STALLED: &str = "the disk does not answer";

/// A decision that is in force and not in the journal yet.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    pub(super) change_id: ChangeId,
    pub(super) decision: Decision,
    pub(super) order: Option<Order>,
}

impl Owed {
    /// Whether the candidate is out.
    pub(super) fn goes_back(&self) -> bool {
        goes_back(&self.decision)
    }
}

/// Whether a decision takes the candidate out.
pub(super) fn goes_back(decision: &Decision) -> bool {
    decision.state.phase.went_back() > 0
}

/// What is ahead of the journal; shared by the loop and by those who ask it.
pub(crate) struct Ahead {
    inner: Mutex<Inner>,
}

struct Inner {
    state: Arc<ControlState>,
    plane: Option<Plane>,
    live: BTreeMap<VersionSetId, Arc<LiveSet>>,
    owed: Option<Owed>,
    opened: Option<Opened>,
    relief: Option<Relief>,
    /// How far the looks without the store have come.
    looks: Option<Looks>,
    /// Why the journal could not be written at the last try.
    unwritten: Option<String>,
}

/// The looks at a release since the journal's last entry. Evidence is made stretch by stretch: were
/// each look to start from the journal again, all that came since would be one first stretch, which
/// proves nothing however much is in it.
struct Looks {
    change_id: ChangeId,
    /// The entry that they follow; with another one they start again.
    seq: u64,
    state: ReleaseState,
    watch: Watch,
}

impl Ahead {
    pub(super) fn new(state: Arc<ControlState>) -> Arc<Ahead> {
        let inner = Inner {
            state,
            plane: None,
            live: BTreeMap::new(),
            owed: None,
            opened: None,
            relief: None,
            looks: None,
            unwritten: None,
        };
        Arc::new(Ahead { inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is whole after its statement: a panic elsewhere leaves it usable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn attach(&self, plane: Plane) {
        self.inner().plane = Some(plane);
    }

    /// The state as the journal has it now.
    pub(super) fn publish(&self, state: Arc<ControlState>) {
        self.inner().state = state;
    }

    /// The sets that are ready to serve.
    pub(super) fn keep_live(&self, live: &BTreeMap<VersionSetId, Arc<LiveSet>>) {
        self.inner().live = live.clone();
    }

    pub(super) fn owed(&self) -> Option<Owed> {
        self.inner().owed.clone()
    }

    /// The journal could not be written. Said once for each reason.
    pub(super) fn cannot_write(&self, why: &dyn std::fmt::Display) {
        let mut inner = self.inner();
        let why = why.to_string();
        if inner.unwritten.as_ref() != Some(&why) {
            if inner.plane.is_some() {
                inner.log(None, &log::Event::JournalUnwritten { why: &why });
            }
            inner.unwritten = Some(why);
        }
    }

    /// The journal has been written.
    pub(super) fn has_written(&self) {
        let mut inner = self.inner();
        if inner.unwritten.take().is_some() && inner.plane.is_some() {
            inner.log(None, &log::Event::JournalWritten);
        }
    }

    /// The journal holds this of what was owed; the opened entrance too, where `opened`. What came
    /// while that was being written stays: a red line in a late answer, say.
    pub(super) fn settled(&self, written: Option<&Owed>, opened: bool) {
        let mut inner = self.inner();
        let is_later = |owed: &Owed| written.is_none_or(|it| it.decision != owed.decision);
        inner.owed = inner.owed.take().filter(is_later);
        inner.opened = inner.opened.take().filter(|_| !opened);
        let Some(plane) = &inner.plane else { return };
        plane.router.settled();
        if let Some(owed) = inner.owed.as_ref().filter(|owed| owed.goes_back()) {
            inner.retreat(owed);
        }
        if inner.opened.is_some() {
            plane.router.open_entrance();
        }
    }

    /// The state is another one than was decided on. What is owed may be in it already: it was
    /// written though the answer was an error.
    pub(super) fn replayed(&self, state: Arc<ControlState>) {
        self.publish(state);
        let owed = self.owed().filter(|owed| {
            let inner = self.inner();
            let release = inner.state.releases.get(&owed.change_id);
            release.and_then(|release| release.last_decision.as_ref()) == Some(&owed.decision)
        });
        if let Some(owed) = owed {
            self.settled(Some(&owed), false);
        }
    }

    /// Carries a decision to roll back out in memory, at once. The first one for a release stays,
    /// unless a later one shuts the entrance as well.
    pub(super) fn take_back(&self, plan: &Plan, decision: &Decision, order: Option<&Order>) {
        self.inner().take_back(plan, decision, order);
    }

    /// An operator's pause is in force though it could not be written: nothing rises meanwhile.
    pub(super) fn pause(&self, change_id: &ChangeId, decision: Decision, order: Order) {
        let mut inner = self.inner();
        if inner.owed.is_none() {
            inner.owed = Some(Owed { change_id: change_id.clone(), decision, order: Some(order) });
        }
    }

    /// Closes a key at once; what is done, once the journal has it.
    pub(super) fn close_key(&self, named: &str, now: UnixMs) -> Result<Done> {
        let inner = self.inner();
        let held = find_key(&inner.state, named, now)?;
        let (key, name) = (held.grant.key.clone(), held.grant.name.clone());
        if let Some(plane) = &inner.plane {
            plane.keys.close(&key);
        }
        Ok(Done::KeyRevoked { key, name })
    }

    /// The keys that open; `None` where no server runs.
    pub(super) fn keys(&self) -> Option<Arc<KeyTable>> {
        self.inner().plane.as_ref().map(|plane| Arc::clone(&plane.keys))
    }

    /// Looks at the running release without the store, and rolls back if that is what follows. A
    /// red line in an answer that was on its way still shuts the entrance after a rollback.
    pub(super) fn look(&self, now: UnixMs) {
        let mut inner = self.inner();
        let owed = inner.owed.clone().filter(Owed::goes_back);
        if owed.is_some() && !inner.has_red_events() {
            return;
        }
        let Some(active) = inner.state.active.clone() else { return };
        let order = owed.and_then(|owed| owed.order);
        let Some(decision) = inner.decide(&active, order.clone(), now) else { return };
        if goes_back(&decision) {
            inner.go_back(&active, &decision, order.as_ref());
        }
    }

    /// The version set that is asked before this order, ready to be asked where it is in memory.
    /// What is out already needs no question.
    pub(super) fn way_back(
        &self,
        order: &Order,
        named: Option<&ChangeId>,
        anyway: bool,
    ) -> Option<(VersionSetId, Option<Arc<LiveSet>>)> {
        let inner = self.inner();
        if inner.owed.as_ref().is_some_and(Owed::goes_back) {
            return None;
        }
        let set = super::way_back::asked(&inner.state, order, named, anyway)?;
        let live = inner.live.get(&set).cloned();
        Some((set, live))
    }

    /// Carries out an operator's rollback or pause without the store.
    pub(super) fn order(
        &self,
        order: &Order,
        named: Option<ChangeId>,
        now: UnixMs,
    ) -> Result<Answer> {
        let mut inner = self.inner();
        let Target { change_id, .. } = target(&inner.state, order.kind, named)?;
        // A rollback after the end of an A/B test blocks its set as well.
        let enough = if order.kind == OrderKind::RollBack { 2 } else { 1 };
        let is_less = |owed: &Owed| owed.decision.state.phase.went_back() < enough;
        if inner.owed.as_ref().is_none_or(is_less) {
            let decision = inner.decide(&change_id, Some(order.clone()), now);
            let decision = decision.ok_or(ControlError::NoService)?;
            if goes_back(&decision) {
                inner.go_back(&change_id, &decision, Some(order));
            } else {
                let (change_id, order) = (change_id.clone(), Some(order.clone()));
                inner.owed = Some(Owed { change_id, decision, order });
            }
        }
        inner.unwritten.get_or_insert_with(|| STALLED.to_owned());
        drop(inner);
        Ok(self.answer(order.kind, change_id, false))
    }

    /// Opens the entrance without the store.
    pub(super) fn reopen(&self, by: String, reason: String, at: UnixMs) -> Result<Answer> {
        let table = self.effective().table.ok_or(ControlError::NoService)?;
        if table.entrance == Entrance::Open {
            return Err(ControlError::AlreadyOpen);
        }
        self.open_entrance(Opened { by, reason, at });
        self.inner().unwritten.get_or_insert_with(|| STALLED.to_owned());
        Ok(self.opened_answer())
    }

    /// The answer to a command that the loop has carried out and not answered yet, because it is
    /// writing a pack, say: asked once more, it would find nothing to do and call that an error.
    /// `before` is what was in force when the command came.
    pub(super) fn has_become(&self, before: &ControlState, command: &Command) -> Option<Answer> {
        match command {
            Command::Order { order, release, anyway: _ } => {
                let meant = target(before, order.kind, release.clone()).ok()?.change_id;
                let phase = self.effective().releases.get(&meant)?.state.phase;
                let is_so = match order.kind {
                    OrderKind::RollBack => matches!(phase, Phase::RolledBack | Phase::ShutOff),
                    OrderKind::End => phase == Phase::Ended,
                    OrderKind::Pause => phase == Phase::Paused(PausedBy::Operator),
                    OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully => false,
                };
                is_so.then(|| self.answer(order.kind, meant, false))
            }
            Command::Reopen { .. } => {
                let is_open = |state: &ControlState| {
                    state.table.as_ref().is_some_and(|table| table.entrance == Entrance::Open)
                };
                let opened = !is_open(before) && is_open(&self.effective());
                opened.then(|| self.opened_answer())
            }
            Command::Start(_)
            | Command::StartAb(_)
            | Command::Approve(_)
            | Command::Pack(_)
            | Command::RecordEval(_)
            | Command::Book(_)
            | Command::KeepSentinel(_)
            | Command::AcceptSentinel { .. }
            | Command::Degrade { .. }
            | Command::StartShadow(_)
            | Command::KeepShadow(_)
            | Command::StopShadow { .. }
            | Command::CloseIncident { .. }
            | Command::MakeKey(_)
            | Command::RotateKey { .. }
            | Command::DeleteRecords(_)
            | Command::RevokeKey { .. }
            | Command::Reprice { .. }
            | Command::WritePack { .. } => None,
        }
    }

    /// What is in force of a release after a rollback or a pause, and whether it is on disk;
    /// `still` where the order changed nothing.
    pub(super) fn answer(&self, kind: OrderKind, change_id: ChangeId, still: bool) -> Answer {
        let state = self.effective();
        let about = change_id.clone();
        let done = match kind {
            OrderKind::RollBack => {
                let stable = state.table.as_ref().map(|table| table.stable.clone());
                Done::RolledBack { change_id, stable }
            }
            OrderKind::End => {
                let stable = state.table.as_ref().map(|table| table.stable.clone());
                Done::AbEnded { change_id, stable }
            }
            OrderKind::Pause | OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully => {
                let phase = state.releases.get(&change_id).map(|release| release.state.phase);
                let weight = state.split().map(|split| split.weight);
                Done::Moved { change_id, phase, weight, still }
            }
        };
        Answer { change_id: Some(about), ..Answer::unwritten(done, self.not_written()) }
    }

    /// The entrance is open, and whether that is on disk.
    pub(super) fn opened_answer(&self) -> Answer {
        Answer::unwritten(Done::Opened, self.not_written())
    }

    /// Why what is in force is not in the journal; `None` when it is.
    pub(super) fn not_written(&self) -> Option<String> {
        let inner = self.inner();
        let is_owed = inner.owed.is_some() || inner.opened.is_some() || inner.relief.is_some();
        let why = || inner.unwritten.clone().unwrap_or_else(|| "it is being written".to_owned());
        is_owed.then(why)
    }

    /// Why the journal could not be written at the last try, whether or not anything is owed.
    pub(super) fn journal_problem(&self) -> Option<String> {
        self.inner().unwritten.clone()
    }

    /// The journal's last entry that this state is of.
    pub(super) fn journalled(&self) -> Arc<ControlState> {
        Arc::clone(&self.inner().state)
    }

    /// The state as it is in force: the journalled one with what is owed.
    pub(super) fn effective(&self) -> ControlState {
        let inner = self.inner();
        let mut state = ControlState::clone(&inner.state);
        let mut at = UnixMs(0);
        let mut events = Vec::new();
        if let Some(Owed { change_id, decision, order }) = &inner.owed {
            at = decision.at;
            let plan = state.releases.get(change_id).map(|release| &release.plan);
            let table = match (&state.table, plan) {
                (Some(table), Some(plan)) => next_table(table, plan, decision),
                (None, _) | (_, None) => None,
            };
            events.push(Event::Decided {
                change_id: change_id.clone(),
                decision: Box::new(decision.clone()),
                order: order.clone(),
                table,
            });
        }
        for event in events {
            // What does not fit any more has been overtaken by the journal.
            let _ = state.apply(at, &event);
        }
        if let (Some(Opened { by, reason, at }), Some(table)) = (&inner.opened, &state.table)
            && table.entrance != Entrance::Open
        {
            let (table, by, reason) = (reopened(table), by.clone(), reason.clone());
            let _ = state.apply(*at, &Event::EntranceOpened { table, by, reason });
        }
        if let Some(relief) = &inner.relief {
            let _ = state.apply(relief.at, &relief.event());
        }
        state
    }
}

impl Inner {
    fn decide(
        &mut self,
        change_id: &ChangeId,
        order: Option<Order>,
        now: UnixMs,
    ) -> Option<Decision> {
        let plane = self.plane.as_ref()?;
        let release = self.state.releases.get(change_id)?;
        let (stable, candidate, red_events) = match self.state.active.as_ref() == Some(change_id) {
            true => plane.collector.snapshot(),
            // One that was promoted is not counted any more.
            false => {
                let state = &release.state;
                (state.seen_stable.clone(), state.seen_candidate.clone(), Vec::new())
            }
        };
        let red_events = red_events.into_iter().map(|sighting| sighting.event).collect();
        let drift = self.state.sentinel.change().map(Box::new);
        let mut observation =
            Observation { stable, candidate, before: None, gap: None, drift, red_events, order };
        let seq = self.state.seq;
        let goes_on = |looks: &Looks| looks.change_id == *change_id && looks.seq == seq;
        let mut looks = self.looks.take().filter(goes_on).unwrap_or_else(|| Looks {
            change_id: change_id.clone(),
            seq,
            state: release.state.clone(),
            watch: Watch::default(),
        });
        let from = (&looks.state, None);
        let decision = looks.watch.look(&release.plan, from, &mut observation, now).decision;
        // Nothing rises without the journal, and a red line may follow what ends the release: the
        // looks go on from before it.
        if decision.kind != DecisionKind::Advance && !decision.state.phase.is_final() {
            looks.state = decision.state.clone();
        }
        self.looks = Some(looks);
        Some(decision)
    }

    fn has_red_events(&self) -> bool {
        self.plane.as_ref().is_some_and(|plane| plane.collector.has_red_events())
    }

    fn go_back(&mut self, change_id: &ChangeId, decision: &Decision, order: Option<&Order>) {
        let Some(release) = self.state.releases.get(change_id).cloned() else { return };
        self.take_back(&release.plan, decision, order);
        self.log(Some(change_id), &log::Event::ReleaseTakenBack { change_id, decision });
    }

    fn log(&self, change_id: Option<&ChangeId>, event: &log::Event<'_>) {
        let release = change_id.and_then(|id| self.state.releases.get(id));
        let set = release.and_then(|release| self.live.get(&release.plan.to)).map(|l| l.named());
        let service = service_of(&self.state);
        About { change_id, set: set.as_ref(), ..About::service(service) }.log(event);
    }

    fn take_back(&mut self, plan: &Plan, decision: &Decision, order: Option<&Order>) {
        let is_worse =
            |owed: &Owed| decision.state.phase.went_back() > owed.decision.state.phase.went_back();
        let of_this = |owed: &&Owed| owed.goes_back() && owed.change_id == plan.change_id;
        if self.owed.as_ref().filter(of_this).is_some_and(|owed| !is_worse(owed)) {
            return;
        }
        let (change_id, decision) = (plan.change_id.clone(), decision.clone());
        let owed = Owed { change_id, decision, order: order.cloned() };
        self.retreat(&owed);
        self.owed = Some(owed);
    }

    /// Takes the candidate of this decision out in memory.
    fn retreat(&self, owed: &Owed) {
        let closed = owed.decision.actions.iter().find_map(|action| match action {
            Action::CloseEntrance { reason } => Some(reason.as_str()),
            Action::SetWeight { .. }
            | Action::Promote
            | Action::End
            | Action::RollBack
            | Action::OpenIncident { .. } => None,
        });
        let release = self.state.releases.get(&owed.change_id);
        if let (Some(plane), Some(release)) = (&self.plane, release) {
            let Plan { from, to, .. } = &release.plan;
            plane.router.retreat(to, self.live.get(from).cloned(), closed);
        }
    }
}
