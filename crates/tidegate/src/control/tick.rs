//! One look at the lines, and what follows from it.

use super::command::Answer;
use super::{Control, no_service};
use crate::error::{CliError, Result};
use crate::output;
use std::time::Instant;
use tidegate_core::act::next_table;
use tidegate_core::decide::{Decision, Observation, Order, OrderKind, decide};
use tidegate_core::journal::{Event, Release};

/// Decisions that change nothing are journalled at most this often, ms; they carry the numbers that
/// a restart goes on from.
const SNAPSHOT_MS: u64 = 10_000;

impl Control {
    /// Looks at the lines once; what it decided, while a release runs.
    pub(crate) async fn tick(&mut self) -> Result<Option<Decision>> {
        if self.state.active.is_none() {
            if let Some(plane) = &self.plane {
                report_other_events(plane);
            }
            return Ok(None);
        }
        self.look(None).await.map(Some)
    }

    /// Carries out an operator's order on the running release.
    pub(super) async fn order(&mut self, order: Order) -> Result<Answer> {
        let Some(active) = self.state.active.clone() else {
            return Err(CliError::usage("no release is running")
                .hint("`tidegate release status` lists what there was"));
        };
        let kind = order.kind;
        let decision = self.look(Some(order)).await?;
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

    async fn look(&mut self, order: Option<Order>) -> Result<Decision> {
        let decided = Instant::now();
        let release = self.state.active_release().cloned().ok_or_else(no_service)?;
        let observation = self.observation(&release, order.clone());
        let now = self.clock.now();
        let decision = decide(&release.plan, &release.state, &observation, now);
        // An order is kept whatever comes of it: what was acknowledged can be looked up.
        if order.is_none() && !self.is_worth_journalling(&release, &decision) {
            return Ok(decision);
        }
        let current = self.state.table.clone().ok_or_else(no_service)?;
        let table = next_table(&current, &release.plan, &decision);
        let change_id = release.plan.change_id.clone();
        let event = Event::Decided {
            change_id: change_id.clone(),
            decision: Box::new(decision.clone()),
            order,
            table: table.clone(),
        };
        self.append(vec![event]).await?;
        self.snapshot_at = now;
        if let Some(table) = table {
            self.apply(&table, decided).await?;
        }
        if decision.state.phase.is_final() {
            if let Some(plane) = &self.plane {
                plane.collector.end();
            }
            self.aftermath(&change_id).await?;
        }
        Ok(decision)
    }

    fn observation(&self, release: &Release, order: Option<Order>) -> Observation {
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
        Observation { stable, candidate, gap: None, red_events, order }
    }

    /// Everything that moves, pauses or says something new is journalled; a look that only finds
    /// more of the same is journalled every [`SNAPSHOT_MS`].
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
        news || (more && decision.at.since(self.snapshot_at) >= SNAPSHOT_MS)
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
