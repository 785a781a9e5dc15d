//! After a release: failing records become blocking cases, and the evidence is fixed.
//!
//! Traffic has been switched before any of this runs, and nothing here can undo that: a step that
//! fails is said and can be run again (`tidegate evidence <change-id>`).

use super::Control;
use super::command::Answer;
use crate::error::{CliError, Result};
use crate::evidence::{PackInputs, write_pack};
use crate::gate::{Harm, Harmed, write_back, written_back};
use crate::store::{RecordQuery, Records as _};
use tidegate_core::ids::ChangeId;
use tidegate_core::journal::Event;
use tidegate_core::route::Arm;

/// Failing records read for write-back, at most.
pub(super) const FAILING_RECORDS_MAX: usize = 2_000;

impl Control {
    /// Finishes the post-release work that an earlier process did not.
    pub(super) async fn finish_post_release(&mut self) {
        let over = self
            .state
            .releases
            .iter()
            .filter(|(_, release)| release.state.phase.is_final() && release.pack.is_none());
        let undone: Vec<ChangeId> = over.map(|(change_id, _)| change_id.clone()).collect();
        for change_id in &undone {
            self.post_release(change_id).await;
        }
    }

    pub(super) async fn post_release(&mut self, change_id: &ChangeId) {
        if let Err(error) = self.write_cases(change_id).await {
            let what = format!("release {change_id}: its failures were not written back");
            self.log_failed(Some(change_id), &what, &error);
        }
        if let Err(error) = self.write_pack(change_id).await {
            let what = format!("release {change_id}: its evidence pack was not written");
            self.log_failed(Some(change_id), &what, &error);
        }
    }

    /// Writes the failing records of an incident back as blocking cases (R143, R144, R216).
    async fn write_cases(&mut self, change_id: &ChangeId) -> Result<()> {
        if !self.state.incidents.contains_key(change_id) {
            return Ok(());
        }
        self.store.flush().await?;
        let failing = self.store.records(&RecordQuery {
            change_id: Some(change_id.clone()),
            arm: Some(Arm::Candidate),
            failing_only: true,
            limit: FAILING_RECORDS_MAX,
        })?;
        let project = &self.project()?.project;
        let failing: Vec<Harmed<'_>> =
            failing.iter().map(|record| Harmed { record, harm: Harm::Failing }).collect();
        let case_ids = write_back(
            &self.root,
            &project.evals.regression,
            change_id,
            &failing,
            project.contract.output.as_ref(),
        )?;
        if case_ids.is_empty() {
            return Ok(());
        }
        self.append(vec![Event::CasesWritten { change_id: change_id.clone(), case_ids }]).await
    }

    /// Closes an incident. Cases that a person wrote for it count as much as those that were
    /// written back: a record whose content is not kept cannot become a case by itself.
    pub(super) async fn close_incident(
        &mut self,
        change_id: ChangeId,
        by: String,
        conclusion: String,
    ) -> Result<Answer> {
        let mut events = Vec::new();
        if self.state.incidents.get(&change_id).is_some_and(|i| i.case_ids.is_empty()) {
            let regression = &self.project()?.project.evals.regression;
            let case_ids = written_back(&self.root, regression, &change_id)?;
            if !case_ids.is_empty() {
                events.push(Event::CasesWritten { change_id: change_id.clone(), case_ids });
            }
        }
        events.push(Event::IncidentClosed { change_id, by, conclusion });
        self.append(events).await?;
        Ok(Answer::done("the incident is closed"))
    }

    pub(super) async fn write_pack(&mut self, change_id: &ChangeId) -> Result<Answer> {
        if !self.state.releases.contains_key(change_id) {
            return Err(CliError::usage(format!("release `{change_id}` is not known here"))
                .hint("`tidegate release status` lists the releases"));
        }
        self.store.flush().await?;
        let listen = self.project().map_or("127.0.0.1:8787", |loaded| &loaded.project.listen);
        let pack = write_pack(&PackInputs {
            store: &self.store,
            state: &self.state,
            change_id,
            root: &self.root,
            clock: &self.clock,
            base_url: &format!("http://{listen}"),
            junit: None,
            gates: &[],
        })
        .await?;
        let text = format!("evidence pack written to {}", pack.path);
        let event = Event::PackWritten {
            change_id: change_id.clone(),
            path: pack.path,
            manifest: pack.manifest,
        };
        self.append(vec![event]).await?;
        Ok(Answer { change_id: Some(change_id.clone()), ..Answer::done(&text) })
    }
}
