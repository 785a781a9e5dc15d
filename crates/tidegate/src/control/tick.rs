//! One look at the lines, and what follows from it.

use super::ahead::{Owed, Relief, goes_back};
use super::command::Answer;
use super::error::{ControlError, Result};
use super::resolve::{Target, target};
use super::{Control, PackOf};
use crate::observe::lasts;
use crate::store::Evals as _;
use std::time::Instant;
use tidegate_core::act::{next_table, reopened};
use tidegate_core::decide::{
    Action, Decision, DecisionDigest, Gap, Look, Observation, Order, OrderKind, Plan, decide,
};
use tidegate_core::ids::ChangeId;
use tidegate_core::journal::{Event, Release};
use tidegate_core::observe::Window;
use tidegate_core::route::Arm;

impl Control {
    /// Looks at the lines once; what it decided, while a release runs.
    pub(crate) async fn tick(&mut self) -> Result<Option<Decision>> {
        self.store.check_place();
        self.note_store();
        self.file_red_lines().await;
        self.file_outage(false).await;
        self.retry_post_release().await;
        self.book_shadow().await;
        if self.settle().await.is_err() {
            // The candidate is out already, and why it cannot be written is in the log. A red line
            // in an answer that was on its way still shuts the entrance.
            self.ahead.look(self.clock.now());
            return Ok(None);
        }
        let Some(active) = self.state.active.clone() else {
            self.look_at_shadow().await?;
            return Ok(None);
        };
        // Nothing can steer the candidate any more once nothing can be written for good.
        let order = self.store.stopped().map(|why| Order {
            kind: OrderKind::RollBack,
            by: "tidegate".to_owned(),
            reason: why.message,
        });
        let looked = self.look(&active, order).await;
        if looked.is_err() {
            // What cannot be journalled holds the release; what is bad enough ends it all the same.
            self.ahead.look(self.clock.now());
        }
        looked.map(Some)
    }

    /// Says once that nothing can be written, and once that it can be again, also where control has
    /// nothing to write.
    fn note_store(&mut self) {
        let failing = self.store.failing();
        let was_failing = std::mem::replace(&mut self.store_fails, failing.is_some());
        match failing {
            Some(why) => self.ahead.cannot_write(&why),
            None if was_failing => self.ahead.has_written(),
            None => {}
        }
    }

    /// Looks once more and journals what was seen, so that a restart goes on from it.
    pub(super) async fn keep_numbers(&mut self) -> Result<()> {
        self.watch.hurry();
        self.tick().await.map(|_| ())
    }

    /// Carries out an operator's order. A rollback and a pause are in force when this returns,
    /// whether or not they could be written.
    pub(super) async fn order(&mut self, order: Order, named: Option<ChangeId>) -> Result<Answer> {
        let kind = order.kind;
        let owed = self.ahead.owed().filter(|owed| owed.decision.state.phase.went_back() > 1);
        let is_meant = |id: &ChangeId| named.as_ref().is_none_or(|named| named == id);
        if let Some(Owed { change_id, .. }) = owed
            && kind == OrderKind::RollBack
            && is_meant(&change_id)
        {
            return Ok(self.ahead.answer(kind, change_id, false));
        }
        let Target { change_id, before } = target(&self.state, kind, named)?;
        let decision = self.look(&change_id, Some(order)).await?;
        let still = before == Some(decision.state.phase);
        let still = still && matches!(kind, OrderKind::Pause | OrderKind::Resume);
        Ok(self.ahead.answer(kind, change_id, still))
    }

    async fn look(&mut self, change_id: &ChangeId, order: Option<Order>) -> Result<Decision> {
        let decided = Instant::now();
        let release = self.state.releases.get(change_id).cloned().ok_or(ControlError::NoService)?;
        let owed = self.ahead.owed().filter(|owed| owed.change_id == *change_id);
        let owed = owed.and_then(|owed| owed.order);
        let mut observation = self.observation(&release, order.clone());
        let now = self.clock.now();
        let last = release.last_decision.as_ref().map(DecisionDigest::of);
        let from = (&release.state, last);
        let Look { mut decision, mut is_due } =
            self.watch.look(&release.plan, from, &mut observation, now);
        let mut order = order;
        // A pause that could not be written is tried again; red lines still act meanwhile.
        if let (None, Some(owed), false) = (&order, owed, goes_back(&decision)) {
            let observation = Observation { order: Some(owed.clone()), ..observation };
            decision = decide(&release.plan, &release.state, &observation, now);
            is_due = true;
            order = Some(owed);
        }
        if !is_due {
            return Ok(decision);
        }
        if goes_back(&decision) {
            self.go_back(&release.plan, &decision, order.as_ref()).await?;
            return Ok(decision);
        }
        let current = self.state.table.clone().ok_or(ControlError::NoService)?;
        let table = next_table(&current, &release.plan, &decision);
        if let Some(table) = &table {
            // A set that cannot be served any more is found before the decision is journalled.
            self.live_table(table)?;
        }
        let is_pause = order.as_ref().is_some_and(|order| order.kind == OrderKind::Pause);
        let event = Event::Decided {
            change_id: change_id.clone(),
            decision: Box::new(decision.clone()),
            order: order.clone(),
            table: table.clone(),
        };
        if let Err(error) = self.append(vec![event]).await {
            return match order.filter(|_| is_pause) {
                Some(order) if self.plane.is_some() => {
                    self.ahead.pause(change_id, decision.clone(), order);
                    Ok(decision)
                }
                Some(_) | None => Err(error),
            };
        }
        self.watch.journalled(now);
        self.red_events.clear();
        let pause = self.ahead.owed().filter(|owed| !owed.goes_back());
        if pause.is_some() {
            self.ahead.settled(pause.as_ref(), false);
        }
        let is_said =
            table.is_some() || order.is_some() || decision.state.phase != release.state.phase;
        if let Some(table) = table {
            self.apply(&table, decided).await?;
        }
        if is_said {
            self.log_move(change_id, &decision);
        }
        self.leave_evidence(&release.plan, &decision).await;
        Ok(decision)
    }

    /// What a decision leaves beside the switch: the counts of a release that is over, and the
    /// cases and pack of one that is over or was paused by its lines.
    async fn leave_evidence(&mut self, plan: &Plan, decision: &Decision) {
        let is_over = decision.state.phase.is_final();
        if is_over {
            self.end_counting(plan).await;
        }
        let opens = |action: &Action| matches!(action, Action::OpenIncident { .. });
        if is_over || decision.actions.iter().any(opens) {
            self.post(PackOf::Release(plan.change_id.clone())).await;
        }
    }

    /// Rolls back in memory, then in the journal. With a server, what cannot be written now is
    /// written by a later look; what only a command knows would end with it.
    async fn go_back(
        &mut self,
        plan: &Plan,
        decision: &Decision,
        order: Option<&Order>,
    ) -> Result<()> {
        self.prepare_way_back(plan);
        self.ahead.take_back(plan, decision, order);
        self.say_that_stable_fails(plan);
        self.red_events.clear();
        match self.settle().await {
            Err(error) if self.plane.is_none() => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A candidate that must go goes, also where the version set before it fails as well: then
    /// somebody must know.
    fn say_that_stable_fails(&self, plan: &Plan) {
        let Some(plane) = &self.plane else { return };
        // Of a release that was promoted the stable arm is its own set.
        let runs = self.state.active.as_ref() == Some(&plan.change_id);
        let Some(outage) = plane.collector.outage(Arm::Stable).filter(|_| runs) else { return };
        let upstream = self.live.get(&plan.from).map_or("", |live| live.upstream_name.as_str());
        let what = "control: everyone is sent back to a version set whose requests fail";
        let why = lasts(Arm::Stable, upstream, &outage, self.clock.now());
        self.log_failed(Some(&plan.change_id), what, &why);
    }

    /// The set that a promoted release replaced must be ready before it can serve again.
    fn prepare_way_back(&mut self, plan: &Plan) {
        if self.plane.is_none() {
            return;
        }
        match self.live_set(&plan.from) {
            Ok(_) => self.ahead.keep_live(&self.live),
            Err(error) => {
                let what = format!(
                    "control: version set {}, which this release replaces, cannot be loaded",
                    plan.from
                );
                self.log_failed(Some(&plan.change_id), &what, &error);
            }
        }
    }

    /// Writes what is in force and not in the journal yet.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let decided = Instant::now();
        let owed = self.ahead.owed().filter(Owed::goes_back);
        let opened = self.ahead.opened();
        let had_opened = opened.is_some();
        let relief = self.ahead.relief();
        if owed.is_none() && opened.is_none() && relief.is_none() {
            return Ok(());
        }
        let mut table = self.state.table.clone().ok_or(ControlError::NoService)?;
        let mut events = Vec::new();
        let release = owed.as_ref().and_then(|owed| self.state.releases.get(&owed.change_id));
        let release = release.cloned();
        if let (Some(owed), Some(release)) = (&owed, &release) {
            let next = next_table(&table, &release.plan, &owed.decision);
            events.push(Event::Decided {
                change_id: owed.change_id.clone(),
                decision: Box::new(owed.decision.clone()),
                order: owed.order.clone(),
                table: next.clone(),
            });
            table = next.unwrap_or(table);
        }
        if let Some(opened) = opened
            && table.entrance != tidegate_core::route::Entrance::Open
        {
            table = reopened(&table);
            let (by, reason) = (opened.by, opened.reason);
            events.push(Event::EntranceOpened { table: table.clone(), by, reason });
        }
        // It may have been written though the answer was an error.
        let unwritten = relief.as_ref().filter(|relief| !relief.is_in(&self.state));
        events.extend(unwritten.map(Relief::event));
        let changed = self.state.table.as_ref() != Some(&table);
        self.append(events).await?;
        if let Some(relief) = &relief {
            self.ahead.relieved(relief);
            self.log_degraded(relief);
        }
        if owed.is_none() && !had_opened {
            return Ok(());
        }
        self.ahead.settled(owed.as_ref(), had_opened);
        self.watch.journalled(self.clock.now());
        if changed {
            self.apply(&table, decided).await?;
        }
        if let (Some(owed), Some(release)) = (owed, release) {
            self.log_move(&owed.change_id, &owed.decision);
            self.leave_evidence(&release.plan, &owed.decision).await;
        }
        Ok(())
    }

    /// Opens the entrance again. It is open when this returns, whether or not that is written.
    pub(super) async fn reopen(&mut self, by: String, reason: String) -> Result<Answer> {
        let open = tidegate_core::route::Entrance::Open;
        let table = self.ahead.effective().table.ok_or(ControlError::NoService)?;
        if table.entrance == open {
            return Err(ControlError::AlreadyOpen);
        }
        let at = self.clock.now();
        self.ahead.open_entrance(super::ahead::Opened { by, reason, at });
        match self.settle().await {
            Ok(()) => {}
            Err(_) if self.plane.is_some() => {}
            Err(error) => return Err(error),
        }
        Ok(self.ahead.opened_answer())
    }

    /// What both arms did while the release ran belongs to the days of their sets.
    async fn end_counting(&mut self, plan: &Plan) {
        let Some((stable, candidate)) = self.plane.as_ref().and_then(|p| p.collector.end()) else {
            return;
        };
        let now = self.clock.now();
        for (set, window) in [(&plan.from, stable), (&plan.to, candidate)] {
            let window = window.without_cohorts();
            if let Err(error) = self.store.add_baseline(set, now, &window).await {
                let what =
                    format!("control: the counts of {set} for the 7-day baseline were not stored");
                self.log_failed(Some(&plan.change_id), &what, &error);
            }
        }
    }

    fn observation(&mut self, release: &Release, order: Option<Order>) -> Observation {
        let Some(plane) = &self.plane else {
            // Without a server nothing new is seen; what was seen last is repeated.
            return Observation {
                stable: release.state.seen_stable.clone(),
                candidate: release.state.seen_candidate.clone(),
                before: None,
                gap: Some(Gap::NoServer),
                drift: None,
                red_events: Vec::new(),
                order,
            };
        };
        let (stable, candidate, red_events) = plane.collector.snapshot();
        self.red_events.extend(red_events.into_iter().map(|sighting| sighting.event));
        let red_events = self.red_events.clone();
        let drift = self.state.sentinel.change().map(Box::new);
        Observation { stable, candidate, before: None, gap: None, drift, red_events, order }
    }

    /// Adds what stable did since the last time to its days, for the 7-day baseline.
    pub(crate) async fn keep_baseline(&mut self) -> Result<()> {
        let (Some(plane), Some(table)) = (&self.plane, &self.state.table) else { return Ok(()) };
        let window = plane.collector.take_baseline();
        if window == Window::default() {
            return Ok(());
        }
        Ok(self.store.add_baseline(&table.stable, self.clock.now(), &window).await?)
    }
}
