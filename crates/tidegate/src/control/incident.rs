//! Incidents: red lines that no release decides on, outages of stable's model server, the cases
//! written for an incident, its end.

use super::command::Answer;
use super::error::{ControlError, Result};
use super::{Control, PackOf};
use crate::evidence::of_incident;
use crate::gate::{Answers, Harm, Harmed, Sampled, write_back, write_samples, written_back};
use crate::store::{RecordQuery, Records as _, TenantTrace};
use crate::view::Done;
use std::collections::BTreeSet;
use tidegate_core::decide::{Phase, Signal};
use tidegate_core::evidence::Record;
use tidegate_core::guard::Sighting;
use tidegate_core::ids::{ChangeId, IncidentId, UnixMs};
use tidegate_core::incident::{Incident, RedLines, Subject, blamed};
use tidegate_core::journal::Event;
use tidegate_core::observe::Feedback;
use tidegate_core::route::Arm;

/// Records of an arm that are looked through for an incident, the newest: what went wrong was
/// decided on just now.
const RECORDS_MAX: usize = 2_000;
/// How long further red lines of a known incident are gathered before they are journalled together,
/// ms: a flood of them must not fill the journal. The first is journalled at once.
const GATHERED_MS: u64 = 60_000;
/// Red lines gathered at most; each is in the records as well.
const GATHERED_MAX: usize = 4_096;
/// Below this satisfaction (0 to 1) a user was not content.
const CONTENT_FROM: f64 = 0.5;

/// Red lines that are not journalled yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    sightings: Vec<Sighting>,
    journalled_at: Option<UnixMs>,
}

impl Control {
    /// Takes the red lines that the running candidate is not judged by, files them under incidents
    /// and journals them. They were kept from the client, and their callers banned, before this.
    pub(super) async fn file_red_lines(&mut self) {
        let Some(plane) = &self.plane else { return };
        let fresh = plane.collector.take_other_events();
        let room = GATHERED_MAX.saturating_sub(self.gathered.sightings.len());
        self.gathered.sightings.extend(fresh.into_iter().take(room));
        if self.gathered.sightings.is_empty() {
            return;
        }
        let filed = self.state.file(&self.gathered.sightings);
        let now = self.clock.now();
        let is_new = |lines: &RedLines| !self.state.incidents.contains_key(&lines.incident);
        let waits = self.gathered.journalled_at.is_some_and(|at| now.since(at) < GATHERED_MS);
        if waits && !filed.iter().any(is_new) {
            return;
        }
        let opened: Vec<RedLines> = filed.iter().filter(|lines| is_new(lines)).cloned().collect();
        let events: Vec<Event> = filed.iter().cloned().map(Event::RedLinesSeen).collect();
        // A journal that cannot be written is said by `append`; they stay gathered until it can.
        if !events.is_empty() && self.append(events).await.is_err() {
            return;
        }
        self.gathered = Gathered { sightings: Vec::new(), journalled_at: Some(now) };
        for lines in &opened {
            self.log_incident(lines);
        }
        for lines in filed {
            if self.state.incidents.get(&lines.incident).is_some_and(Incident::is_of_service) {
                self.post(PackOf::Incident(lines.incident)).await;
            }
        }
    }

    /// The same before the end: what is still gathered would be lost.
    pub(super) async fn file_all_red_lines(&mut self) {
        self.gathered.journalled_at = None;
        self.file_red_lines().await;
    }

    /// Journals that an outage of stable's model server began or is over: one incident, however
    /// many requests fail. At the process's end (`is_last`) its numbers are journalled as they are.
    pub(super) async fn file_outage(&mut self, is_last: bool) {
        let seen = self.plane.as_ref().and_then(|plane| plane.collector.last_outage());
        let Some(seen) = seen else { return };
        let events = self.state.file_outage(&seen, self.clock.now(), is_last);
        // A journal that cannot be written is said by `append`; the next look tries again.
        if events.is_empty() || self.append(events.clone()).await.is_err() {
            return;
        }
        for event in events {
            let Event::OutageSeen { incident, outage } = event else { continue };
            if outage.ended_at.is_none() && !is_last {
                self.log_outage(&incident, &outage);
            }
            self.post(PackOf::Incident(incident)).await;
        }
    }

    /// Writes the records that an incident is made of back as cases.
    pub(super) async fn write_cases(&mut self, id: &IncidentId) -> Result<()> {
        let Some(incident) = self.state.incidents.get(id).cloned() else { return Ok(()) };
        let project = &self.project()?.project;
        let (regression, contract) = (&project.evals.regression, project.contract.output.as_ref());
        let write = |source: &str, harmed: &[Harmed<'_>]| {
            write_back(&self.root, regression, source, harmed, contract)
        };
        let case_ids = match &incident.subject {
            // Nothing is proven bad in a pause: what is asked is kept, and blocks nothing.
            Subject::Release { change_id } if incident.signal == Signal::Yellow => {
                let candidate = self.answered(change_id, Arm::Candidate)?;
                let samples = (Sampled::Distribution, &candidate[..]);
                let file = &project.evals.samples;
                write_samples(&self.root, file, change_id.as_str(), samples, contract)?
            }
            Subject::Release { change_id } => {
                let candidate = self.answered(change_id, Arm::Candidate)?;
                let stable = self.answered(change_id, Arm::Stable)?;
                let disliked = self.disliked(&candidate)?;
                let release = self.state.releases.get(change_id);
                let decision = release.and_then(|release| release.last_decision.as_ref());
                let blamed = decision.map(blamed).unwrap_or_default();
                let (candidate, stable) = (&candidate[..], &stable[..]);
                let answers = Answers { candidate, stable, disliked: &disliked };
                write(change_id.as_str(), &answers.harmed(&blamed))?
            }
            Subject::Service { .. } => {
                let records = self.records_of(&incident)?;
                let harmed = |record| Harmed { record, harm: Harm::Failing };
                write(id.as_str(), &records.iter().map(harmed).collect::<Vec<_>>())?
            }
            // What a model server that fails did not answer says nothing of the version set, and
            // what changed of a model was found by cases.
            Subject::Outage { .. } | Subject::Drift { .. } => Vec::new(),
        };
        if case_ids.is_empty() {
            return Ok(());
        }
        self.append(vec![Event::CasesWritten { incident: id.clone(), case_ids }]).await
    }

    /// Writes answers of a promoted release as ordinary cases, once.
    pub(super) async fn write_positive(&mut self, change_id: &ChangeId) -> Result<()> {
        let is_due = self.state.releases.get(change_id).is_some_and(|release| {
            release.state.phase == Phase::Promoted && release.sample_ids.is_empty()
        });
        if !is_due {
            return Ok(());
        }
        let project = &self.project()?.project;
        let (file, contract) = (&project.evals.samples, project.contract.output.as_ref());
        let candidate = self.answered(change_id, Arm::Candidate)?;
        let samples = (Sampled::Positive, &candidate[..]);
        let source = change_id.as_str();
        let case_ids = write_samples(&self.root, file, source, samples, contract)?;
        if case_ids.is_empty() {
            return Ok(());
        }
        let change_id = change_id.clone();
        self.append(vec![Event::SamplesWritten { change_id, case_ids }]).await
    }

    /// The newest records of an arm of a release, and its newest failing ones, each once.
    fn answered(&self, change_id: &ChangeId, arm: Arm) -> Result<Vec<Record>> {
        let query = |failing_only| RecordQuery {
            change_id: Some(change_id.clone()),
            arm: Some(arm),
            failing_only,
            newest_first: true,
            limit: RECORDS_MAX,
            ..RecordQuery::default()
        };
        let mut records = self.store.records(&query(false))?;
        let known: BTreeSet<_> = records.iter().map(whose).collect();
        let failing = self.store.records(&query(true))?;
        records.extend(failing.into_iter().filter(|record| !known.contains(&whose(record))));
        Ok(records)
    }

    /// The records that an incident of the service names.
    pub(super) fn records_of(&self, incident: &Incident) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        for trace in &incident.traces {
            found.extend(of_incident(self.store.traces(trace)?));
        }
        Ok(found)
    }

    /// The traces whose users were not content.
    fn disliked(&self, records: &[Record]) -> Result<BTreeSet<TenantTrace>> {
        let traces: Vec<_> = records.iter().map(whose).collect();
        let said = self.store.feedback_on(&traces)?.into_iter();
        let is_bad = |said: &[Feedback]| said.iter().copied().any(is_discontent);
        Ok(said.filter(|(_, said)| is_bad(said)).map(|(trace, _)| trace).collect())
    }

    /// Closes an incident. Cases that a person wrote for it count as much as those that were
    /// written back: a record whose content is not kept cannot become a case by itself.
    pub(super) async fn close_incident(
        &mut self,
        id: IncidentId,
        by: String,
        conclusion: String,
    ) -> Result<Answer> {
        let Some(incident) = self.state.incidents.get(&id) else {
            let known = self.state.incidents.keys().cloned().collect();
            return Err(ControlError::NoSuchIncident { incident: id, known });
        };
        if let Some((_, conclusion)) = &incident.closed {
            let conclusion = conclusion.clone();
            return Err(ControlError::ClosedAlready { incident: id, conclusion });
        }
        self.refuse_to_close(&id, incident)?;
        let mut events = Vec::new();
        if incident.needs_cases() && incident.case_ids.is_empty() {
            let regression = &self.project()?.project.evals.regression;
            let source = match &incident.subject {
                Subject::Release { change_id } => change_id.as_str(),
                Subject::Service { .. } | Subject::Outage { .. } | Subject::Drift { .. } => {
                    id.as_str()
                }
            };
            let case_ids = written_back(&self.root, regression, source)?;
            if case_ids.is_empty() {
                let case_id = format!("reg-{source}-1");
                let regression = regression.clone();
                return Err(ControlError::NoCase { incident: id, case_id, regression });
            }
            events.push(Event::CasesWritten { incident: id.clone(), case_ids });
        }
        let change_id = incident.subject.change_id().cloned();
        events.push(Event::IncidentClosed { incident: id.clone(), by, conclusion });
        self.append(events).await?;
        Ok(Answer { change_id, ..Answer::of(Done::Closed { incident: id }) })
    }
}

fn is_discontent(feedback: Feedback) -> bool {
    match feedback {
        Feedback::Like(liked) => !liked,
        Feedback::Adopted(adopted) => !adopted,
        Feedback::TaskDone(done) => !done,
        Feedback::Satisfaction(score) => score < CONTENT_FROM,
    }
}

/// The trace that a record is of: two tenants may use the same id.
fn whose(record: &Record) -> TenantTrace {
    (record.tenant.clone(), record.trace_id.clone())
}
