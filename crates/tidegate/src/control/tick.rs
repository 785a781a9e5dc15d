//! One look at the lines, and what follows from it.

use super::command::Answer;
use super::{Control, no_service};
use crate::error::{CliError, Result};
use crate::output;
use std::time::Instant;
use tidegate_core::act::next_table;
use tidegate_core::decide::{Action, Decision, Observation, Order, OrderKind, Phase, Plan, decide};
use tidegate_core::ids::ChangeId;
use tidegate_core::journal::{Event, Release};

/// Looks that change nothing are journalled for the numbers that a restart goes on from: often at a
/// rung's start, where they are watched, and less later, so that a day-long rung stays small.
fn snapshot_after_ms(on_rung_ms: u64) -> u64 {
    (on_rung_ms / 30).clamp(1_000, 60_000)
}

impl Control {
    /// Looks at the lines once; what it decided, while a release runs.
    pub(crate) async fn tick(&mut self) -> Result<Option<Decision>> {
        let Some(active) = self.state.active.clone() else {
            if let Some(plane) = &self.plane {
                report_other_events(plane);
            }
            return Ok(None);
        };
        self.look(&active, None).await.map(Some)
    }

    /// Carries out an operator's order on the running release; a rollback without one takes back
    /// the release that made stable what it is.
    pub(super) async fn order(&mut self, order: Order) -> Result<Answer> {
        let kind = order.kind;
        let promoted = || (kind == OrderKind::RollBack).then(|| self.promoted()).flatten();
        let Some(active) = self.state.active.clone().or_else(promoted) else {
            return Err(CliError::usage("no release is running, and none made stable what it is")
                .hint("`tidegate release status` shows the last one"));
        };
        let decision = self.look(&active, Some(order)).await?;
        let text = match kind {
            OrderKind::Pause | OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully => {
                format!("release {active} is now {}", decision.state.phase.as_str())
            }
            OrderKind::RollBack => {
                format!("release {active} is rolled back; everyone is on stable again")
            }
        };
        Ok(Answer { text, change_id: Some(active), version_set: None })
    }

    /// The release whose candidate is stable now.
    fn promoted(&self) -> Option<ChangeId> {
        let stable = &self.state.table.as_ref()?.stable;
        let made_stable = |release: &&std::sync::Arc<Release>| {
            release.state.phase == Phase::Promoted && release.plan.to == *stable
        };
        let releases = self.state.releases.values().filter(made_stable);
        releases.max_by_key(|r| r.ended_at).map(|release| release.plan.change_id.clone())
    }

    async fn look(&mut self, change_id: &ChangeId, order: Option<Order>) -> Result<Decision> {
        let decided = Instant::now();
        let order = order.or_else(|| self.must_go_back.clone());
        let release = self.state.releases.get(change_id).cloned().ok_or_else(no_service)?;
        let observation = self.observation(&release, order.clone());
        let now = self.clock.now();
        let decision = decide(&release.plan, &release.state, &observation, now);
        // An order is kept whatever comes of it: what was acknowledged can be looked up.
        if order.is_none() && !self.is_worth_journalling(&release, &decision) {
            return Ok(decision);
        }
        let current = self.state.table.clone().ok_or_else(no_service)?;
        let table = next_table(&current, &release.plan, &decision);
        if let Some(table) = &table {
            // A set that cannot be served any more is found before the decision is journalled.
            self.live_table(table)?;
        }
        let event = Event::Decided {
            change_id: change_id.clone(),
            decision: Box::new(decision.clone()),
            order,
            table: table.clone(),
        };
        if let Err(error) = self.append(vec![event]).await {
            self.retreat(&decision);
            return Err(error);
        }
        self.snapshot_at = now;
        self.red_events.clear();
        self.must_go_back = None;
        if let Some(table) = table {
            self.apply(&table, decided).await?;
        }
        if decision.state.phase.is_final() {
            self.end_counting(&release.plan).await;
            self.aftermath(change_id).await?;
        }
        Ok(decision)
    }

    /// What both arms did while the release ran belongs to the days of their sets.
    async fn end_counting(&mut self, plan: &Plan) {
        let Some((stable, candidate)) = self.plane.as_ref().and_then(|p| p.collector.end()) else {
            return;
        };
        let now = self.clock.now();
        for (set, window) in [(&plan.from, stable), (&plan.to, candidate)] {
            if let Err(error) = self.store.add_baseline(set, now, &window).await {
                output::log(&format!("control: the baseline of {set} was not kept: {error}"));
            }
        }
    }

    /// The journal could not be written. A decision to go back is carried out all the same, in
    /// memory, and made durable by the first look that can be; when the store has failed for good,
    /// the candidate is taken out as well, since nothing can steer it any more. Stable traffic
    /// flows on either way (invariant 10).
    fn retreat(&mut self, decision: &Decision) {
        let Some(plane) = &self.plane else { return };
        let goes_back = matches!(decision.state.phase, Phase::RolledBack | Phase::ShutOff);
        if !goes_back && self.store.stopped().is_none() {
            return;
        }
        let closed = decision.actions.iter().find_map(|action| match action {
            Action::CloseEntrance { reason } => Some(reason.as_str()),
            Action::SetWeight { .. }
            | Action::Promote
            | Action::RollBack
            | Action::OpenIncident { .. } => None,
        });
        plane.router.retreat(closed);
        if goes_back {
            let why = decision.reasons.first().map(|r| r.text.clone()).unwrap_or_default();
            self.must_go_back = Some(Order {
                kind: OrderKind::RollBack,
                by: "tidegate".to_owned(),
                reason: format!(
                    "it went back before, when the journal could not be written: {why}"
                ),
            });
        }
        output::log("control: the journal cannot be written; everyone is on stable");
    }

    fn observation(&mut self, release: &Release, order: Option<Order>) -> Observation {
        let Some(plane) = &self.plane else {
            // Without a server nothing new is seen; what was seen last is repeated.
            return Observation {
                stable: release.state.seen_stable.clone(),
                candidate: release.state.seen_candidate.clone(),
                gap: Some("no server is running".to_owned()),
                red_events: Vec::new(),
                order,
            };
        };
        let (stable, candidate, red_events) = plane.collector.snapshot();
        report_other_events(plane);
        self.red_events.extend(red_events);
        let red_events = self.red_events.clone();
        Observation { stable, candidate, gap: None, red_events, order }
    }

    /// Everything that moves, pauses or says something new is journalled; a look that only finds
    /// more of the same is journalled now and then ([`snapshot_after_ms`]).
    fn is_worth_journalling(&self, release: &Release, decision: &Decision) -> bool {
        if !decision.actions.is_empty() || decision.state.phase != release.state.phase {
            return true;
        }
        let Some(last) = &release.last_decision else { return true };
        let news = last.kind != decision.kind
            || last.signal != decision.signal
            || last.reasons.first().map(|r| (r.code, r.metric))
                != decision.reasons.first().map(|r| (r.code, r.metric));
        let more = decision.state.seen_candidate != release.state.seen_candidate
            || decision.state.seen_stable != release.state.seen_stable;
        let due = snapshot_after_ms(decision.at.since(decision.state.rung_since));
        news || (more && decision.at.since(self.snapshot_at) >= due)
    }

    /// Adds what stable did since the last time to its days, for the 7-day baseline.
    pub(crate) async fn keep_baseline(&mut self) -> Result<()> {
        let (Some(plane), Some(table)) = (&self.plane, &self.state.table) else { return Ok(()) };
        let window = plane.collector.take_baseline();
        if window.requests == 0 {
            return Ok(());
        }
        self.store.add_baseline(&table.stable, self.clock.now(), &window).await
    }
}

/// Says red-line events that are not the running candidate's: there is nothing to go back from, so
/// a person must look. Their answers were withheld and their records hold what was seen.
fn report_other_events(plane: &super::Plane) {
    for event in plane.collector.take_other_events() {
        output::log(&format!(
            "RED LINE on stable: {} ({}); the answer was withheld, look at it now",
            event.kind.as_str(),
            event.detail
        ));
    }
}
