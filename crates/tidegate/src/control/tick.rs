//! One look at the lines, and what follows from it.

use super::command::Answer;
use super::{Control, no_service};
use crate::error::{CliError, Result};
use crate::output;
use crate::store::Evals as _;
use std::time::Instant;
use tidegate_core::act::next_table;
use tidegate_core::decide::{
    Action, Decision, DecisionDigest, Look, Observation, Order, OrderKind, Phase, Plan, ReasonCode,
};
use tidegate_core::guard::RiskEvent;
use tidegate_core::ids::ChangeId;
use tidegate_core::journal::{Event, Release};
use tidegate_core::observe::Window;
use tidegate_core::route::Table;

impl Control {
    /// Looks at the lines once; what it decided, while a release runs.
    pub(crate) async fn tick(&mut self) -> Result<Option<Decision>> {
        let owed = || self.must_go_back.as_ref().map(|(id, _)| id.clone());
        let Some(active) = self.state.active.clone().or_else(owed) else {
            if let Some(plane) = &self.plane {
                report_other_events(plane);
            }
            return Ok(None);
        };
        self.look(&active, None).await.map(Some)
    }

    /// Looks once more and journals what was seen, so that a restart goes on from it.
    pub(super) async fn keep_numbers(&mut self) -> Result<()> {
        self.watch.hurry();
        self.tick().await.map(|_| ())
    }

    /// Carries out an operator's order. What was promoted is taken back only by its name: the same
    /// command typed twice must not take back a second, good release.
    pub(super) async fn order(&mut self, order: Order, named: Option<ChangeId>) -> Result<Answer> {
        let kind = order.kind;
        let promoted = self.promoted().filter(|_| kind == OrderKind::RollBack);
        let active = match (self.state.active.clone(), named, promoted) {
            (Some(active), None, _) => active,
            (Some(active), Some(named), _) if named == active => active,
            (Some(active), Some(named), _) => {
                return Err(CliError::usage(format!("release `{named}` is not the running one"))
                    .hint(format!("the running one is `{active}`")));
            }
            (None, Some(named), Some(promoted)) if named == promoted => promoted,
            (None, named, promoted) => {
                let phase = |id: &ChangeId| self.state.releases.get(id).map(|r| r.state.phase);
                return Err(nothing_runs(named.map(|id| (id.clone(), phase(&id))), promoted));
            }
        };
        let before = self.state.releases.get(&active).map(|release| release.state.phase);
        let decision = self.look(&active, Some(order)).await?;
        let text = match kind {
            OrderKind::Pause | OrderKind::Resume | OrderKind::Promote | OrderKind::PromoteFully => {
                let weight = self
                    .state
                    .split()
                    .map_or(String::new(), |split| format!(" at {}", split.weight));
                let phase = decision.state.phase;
                let rises = matches!(kind, OrderKind::Promote | OrderKind::PromoteFully);
                let now = if before == Some(phase) && !rises { "still" } else { "now" };
                format!("release {active} is {now} {}{weight}", phase.as_str())
            }
            OrderKind::RollBack => {
                let stable = self.state.table.as_ref().map(|table| table.stable.to_string());
                let stable = stable.unwrap_or_default();
                format!("release {active} is rolled back; everyone is on {stable} again")
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
        let owed = self.must_go_back.as_ref().filter(|(id, _)| id == change_id);
        let order = owed.map(|(_, order)| order.clone()).or(order);
        let release = self.state.releases.get(change_id).cloned().ok_or_else(no_service)?;
        let mut observation = self.observation(&release, order.clone());
        let now = self.clock.now();
        let last = release.last_decision.as_ref().map(DecisionDigest::of);
        let from = (&release.state, last);
        let Look { decision, is_due } = self.watch.look(&release.plan, from, &mut observation, now);
        if !is_due {
            return Ok(decision);
        }
        let current = self.state.table.clone().ok_or_else(no_service)?;
        let table = next_table(&current, &release.plan, &decision);
        if let Some(table) = &table {
            // A set that cannot be served any more is found before the decision is journalled.
            self.live_table(table)?;
        }
        let is_told = table.is_some() || order.is_some();
        let event = Event::Decided {
            change_id: change_id.clone(),
            decision: Box::new(decision.clone()),
            order,
            table: table.clone(),
        };
        if let Err(error) = self.append(vec![event]).await {
            self.retreat(change_id, &decision);
            return Err(error);
        }
        self.watch.journalled(now);
        self.red_events.clear();
        self.must_go_back = self.must_go_back.take().filter(|(id, _)| id != change_id);
        if let Some(table) = table {
            self.apply(&table, decided).await?;
        }
        if is_told || decision.state.phase != release.state.phase {
            self.log_move(change_id, &decision);
        }
        if decision.state.phase.is_final() {
            self.end_counting(&release.plan).await;
            self.aftermath(change_id).await?;
        }
        Ok(decision)
    }

    /// Whether there is a log: a server's; what a command did is its answer.
    fn logs(&self) -> bool {
        self.plane.is_some() && !self.clock.is_demo()
    }

    /// Says that a release began.
    pub(super) fn log_start(&self, change_id: &ChangeId, table: &Table) {
        if !self.logs() {
            return;
        }
        let weight = table.split.as_ref().map_or(String::new(), |split| split.weight.to_string());
        output::log(&format!("release {change_id}: started, now at {weight}"));
    }

    fn log_move(&self, change_id: &ChangeId, decision: &Decision) {
        if !self.logs() {
            return;
        }
        let phase = decision.state.phase.as_str();
        let weight =
            self.state.split().map_or(phase.to_owned(), |split| format!("at {}", split.weight));
        let order = decision.reasons.iter().find(|reason| reason.code == ReasonCode::Order);
        let why = order.or(decision.reasons.first()).map_or("", |reason| reason.text.as_str());
        let kind = decision.kind.as_str();
        output::log(&format!("release {change_id}: {kind}, now {weight}: {why}"));
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
                output::log(&format!("control: the baseline of {set} was not kept: {error}"));
            }
        }
    }

    /// The journal could not be written. A decision to go back is carried out all the same, in
    /// memory, and made durable by the first look that can be; when the store has failed for good,
    /// the candidate is taken out as well, since nothing can steer it any more. Stable traffic
    /// flows on either way (invariant 10).
    fn retreat(&mut self, change_id: &ChangeId, decision: &Decision) {
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
            let order = Order {
                kind: OrderKind::RollBack,
                by: "tidegate".to_owned(),
                reason: format!(
                    "it went back before, when the journal could not be written: {why}"
                ),
            };
            self.must_go_back = Some((change_id.clone(), order));
        }
        output::log("control: the journal cannot be written; everyone is on stable");
    }

    fn observation(&mut self, release: &Release, order: Option<Order>) -> Observation {
        let Some(plane) = &self.plane else {
            // Without a server nothing new is seen; what was seen last is repeated.
            return Observation {
                stable: release.state.seen_stable.clone(),
                candidate: release.state.seen_candidate.clone(),
                before: None,
                gap: Some("no server is running".to_owned()),
                red_events: Vec::new(),
                order,
            };
        };
        let (stable, candidate, red_events) = plane.collector.snapshot();
        report_other_events(plane);
        self.red_events.extend(red_events.into_iter().map(|sighting| sighting.event));
        let red_events = self.red_events.clone();
        Observation { stable, candidate, before: None, gap: None, red_events, order }
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

fn nothing_runs(named: Option<(ChangeId, Option<Phase>)>, promoted: Option<ChangeId>) -> CliError {
    let error = match named {
        Some((named, Some(Phase::RolledBack | Phase::ShutOff))) => {
            return CliError::usage(format!("release `{named}` is rolled back already"))
                .hint(format!("when and why: `tidegate release status {named}`"));
        }
        Some((named, _)) => {
            CliError::usage(format!("release `{named}` neither runs nor made stable what it is"))
        }
        None => CliError::usage("no release is running"),
    };
    match promoted {
        Some(promoted) => error.hint(format!(
            "to take back the one that made stable what it is: `tidegate rollback {promoted}`"
        )),
        None => error.hint("`tidegate release status` shows the last one"),
    }
}

/// Says red-line events that are not the running candidate's: there is nothing to go back from, so
/// a person must look. Their answers were withheld and their records hold what was seen.
fn report_other_events(plane: &super::Plane) {
    for sighting in plane.collector.take_other_events() {
        let RiskEvent { kind, detail } = &sighting.event;
        let held = if sighting.blocked { "was withheld" } else { "went out" };
        output::log(&format!(
            "RED LINE on {}: {} ({detail}); the answer {held}, look at it now: `tidegate trace {}`",
            sighting.arm.as_str(),
            kind.as_str(),
            sighting.trace_id.as_str()
        ));
    }
}
