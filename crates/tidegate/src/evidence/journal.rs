//! The release's part of the journal: `journal.jsonl` and `decisions.jsonl`.

use super::data::GateOutput;
use super::error::{EvidenceError, Result};
use crate::clock::rfc3339;
use crate::view::{WithSentence, shadow_end};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tidegate_core::decide::{Action, Decision, DecisionKind, Order, Phase, Signal};
use tidegate_core::evidence::{GateLevel, GateRun, GateStatus, VerifyProblem};
use tidegate_core::gate::{WrittenGate, WrittenRecord};
use tidegate_core::ids::{ChangeId, Digest, Generation, IncidentId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event, verify_chain};
use tidegate_core::route::{Table, Weight};
use tidegate_core::shadow::ShadowVerdict;

/// One line of `journal.jsonl`: an entry as it was chained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalLine {
    /// Its place in the whole journal.
    pub(super) seq: u64,
    /// When it was appended.
    pub(super) at: UnixMs,
    /// Hash of the entry before it, whichever release that belongs to.
    pub(super) prev: Digest,
    /// Its own hash.
    pub(super) hash: Digest,
    /// The event.
    pub(super) body: String,
    /// Whether the body was redacted, so that it no longer hashes to `hash`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) redacted: bool,
}

/// One decision, with what became of it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Its place in the journal.
    pub(super) seq: u64,
    /// Its hash there.
    pub(super) hash: Digest,
    /// The decision.
    pub(super) decision: Decision,
    /// The order it carried out.
    pub(super) order: Option<Order>,
    /// The table it intended.
    pub(super) table: Option<Table>,
    /// When that table was in force and how long it took, µs; absent when it never was.
    pub(super) applied: Option<(UnixMs, u64)>,
}

impl Step {
    /// The candidate's share after it; `None` where it changed nothing.
    pub(super) fn weight(&self) -> Option<Weight> {
        self.decision.actions.iter().find_map(|action| match action {
            Action::SetWeight { weight } => Some(*weight),
            Action::Promote => Some(Weight::FULL),
            Action::End | Action::RollBack => Some(Weight::ZERO),
            Action::CloseEntrance { .. } | Action::OpenIncident { .. } => None,
        })
    }

    /// Whether it changed anything: the table, the phase, or what an operator ordered.
    pub(super) fn is_turn(&self) -> bool {
        self.order.is_some() || self.table.is_some() || !self.decision.actions.is_empty()
    }
}

/// The decisions of the journal, each with its `Applied`.
pub(super) fn steps(journal: &[JournalLine]) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for line in journal {
        let event: Event = serde_json::from_str(&line.body)
            .map_err(|source| EvidenceError::Entry { seq: line.seq, source })?;
        match event {
            Event::Decided { change_id: _, decision, order, table } => steps.push(Step {
                seq: line.seq,
                hash: line.hash.clone(),
                decision: *decision,
                order,
                table,
                applied: None,
            }),
            Event::Applied { generation, took_us } => {
                let intended =
                    |s: &&mut Step| s.table.as_ref().is_some_and(|t| t.generation == generation);
                if let Some(step) = steps.iter_mut().find(intended) {
                    step.applied.get_or_insert((line.at, took_us));
                }
            }
            Event::ServiceAdopted { .. }
            | Event::ServiceReleased { .. }
            | Event::SetPacked { .. }
            | Event::EvalRun { .. }
            | Event::Approved { .. }
            | Event::ReleaseStarted { .. }
            | Event::EntranceOpened { .. }
            | Event::IncidentOpened { .. }
            | Event::RedLinesSeen(_)
            | Event::OutageSeen { .. }
            | Event::SentinelRan(_)
            | Event::SentinelAccepted { .. }
            | Event::CasesWritten { .. }
            | Event::SamplesWritten { .. }
            | Event::IncidentClosed { .. }
            | Event::Degraded { .. }
            | Event::KeyMade { .. }
            | Event::KeyRevoked { .. }
            | Event::RecordsDeleted { .. }
            | Event::Repriced { .. }
            | Event::ShadowStarted { .. }
            | Event::ShadowSeen { .. }
            | Event::ShadowEnded { .. }
            | Event::PackWritten { .. } => {}
        }
    }
    Ok(steps)
}

/// The entries of the whole journal that belong to the release: its own events, what was said of
/// its two sets before, and the swaps of its tables.
pub(super) fn of_release(
    entries: &[Entry],
    change_id: &ChangeId,
    sets: [&VersionSetId; 2],
) -> Result<Vec<Entry>> {
    let mut generations: BTreeSet<Generation> = BTreeSet::new();
    let incident = IncidentId::of_release(change_id);
    let (mut ours, mut shadowed) = (Vec::new(), false);
    for entry in entries {
        let event = entry.event()?;
        let belongs = match &event {
            Event::ServiceAdopted { set, .. }
            | Event::ServiceReleased { set, .. }
            | Event::SetPacked { set, .. }
            | Event::EvalRun { set, .. }
            | Event::Approved { set, .. } => sets.contains(&set),
            Event::ReleaseStarted { plan, table, .. } => {
                let belongs = plan.change_id == *change_id;
                generations.extend(belongs.then_some(table.generation));
                belongs
            }
            Event::Decided { change_id: id, table, .. } => {
                let belongs = id == change_id;
                generations.extend(table.iter().filter(|_| belongs).map(|t| t.generation));
                belongs
            }
            Event::Applied { generation, .. } => generations.contains(generation),
            Event::EntranceOpened { table, .. } => {
                // It has no change id; it follows the release whose table it succeeds.
                let belongs = generations.iter().any(|g| g.next() == table.generation);
                generations.extend(belongs.then_some(table.generation));
                belongs
            }
            Event::IncidentOpened { change_id: id, .. }
            | Event::SamplesWritten { change_id: id, .. }
            | Event::PackWritten { change_id: id, .. } => id == change_id,
            Event::RedLinesSeen(lines) => lines.incident == incident,
            Event::SentinelRan(note) => sets.contains(&&note.set),
            Event::OutageSeen { incident: id, .. }
            | Event::CasesWritten { incident: id, .. }
            | Event::IncidentClosed { incident: id, .. } => *id == incident,
            Event::ShadowStarted { plan, .. } => {
                shadowed = [&plan.from, &plan.to] == sets;
                shadowed
            }
            Event::ShadowEnded { .. } => std::mem::take(&mut shadowed),
            // Its end has all that they say.
            Event::ShadowSeen { .. }
            | Event::SentinelAccepted { .. }
            | Event::Degraded { .. }
            | Event::KeyMade { .. }
            | Event::KeyRevoked { .. }
            | Event::RecordsDeleted { .. }
            | Event::Repriced { .. } => false,
        };
        ours.extend(belongs.then(|| entry.clone()));
    }
    Ok(ours)
}

/// The smoke test that was run when the release started, where one was.
pub(super) fn smoke(entries: &[Entry]) -> Option<GateOutput> {
    entries.iter().find_map(|entry| match entry.event() {
        Ok(Event::ReleaseStarted { smoke, .. }) => {
            let GateRun { status, text } = smoke?;
            Some(GateOutput { name: "smoke".to_owned(), level: GateLevel::L1, status, text })
        }
        Ok(_) | Err(_) => None,
    })
}

/// How the gates that users write came out when the release started. The first guards what a
/// release does; the others guard other steps and are for information.
pub(super) fn written(entries: &[Entry]) -> Vec<GateOutput> {
    let started = entries.iter().find_map(|entry| match entry.event() {
        Ok(Event::ReleaseStarted { written, .. }) => Some(written),
        Ok(_) | Err(_) => None,
    });
    let output = |WrittenRecord { gate, holds, why }: WrittenRecord| GateOutput {
        name: gate.as_str().to_owned(),
        level: if gate == WrittenGate::Share { GateLevel::L0 } else { GateLevel::L2 },
        status: if holds { GateStatus::Pass } else { GateStatus::Fail },
        text: why + "\n",
    };
    started.unwrap_or_default().into_iter().map(output).collect()
}

/// What the last shadow before the release found, where there was one.
pub(super) fn shadow(entries: &[Entry]) -> Option<GateOutput> {
    let ended = |entry: &Entry| match entry.event() {
        Ok(Event::ShadowEnded { end, .. }) => Some(end),
        Ok(_) | Err(_) => None,
    };
    let end = entries.iter().rev().find_map(ended)?;
    let status = match end.verdict {
        ShadowVerdict::Better | ShadowVerdict::NotWorse => GateStatus::Pass,
        ShadowVerdict::Worse => GateStatus::Fail,
        ShadowVerdict::NotYet => GateStatus::Inconclusive,
    };
    let text = shadow_end(&end);
    Some(GateOutput { name: "shadow".to_owned(), level: GateLevel::L2, status, text })
}

/// The entries that belong to an incident of the service: its own events, and what was said of the
/// set that gave the answers.
pub(super) fn of_incident(
    entries: &[Entry],
    incident: &IncidentId,
    set: &VersionSetId,
) -> Result<Vec<Entry>> {
    let belongs = |entry: &Entry| -> Result<bool> {
        let event = entry.event()?;
        Ok(match &event {
            Event::ServiceAdopted { set: of, .. }
            | Event::ServiceReleased { set: of, .. }
            | Event::SetPacked { set: of, .. }
            | Event::EvalRun { set: of, .. }
            | Event::Approved { set: of, .. } => of == set,
            Event::RedLinesSeen(lines) => lines.incident == *incident,
            Event::SentinelRan(note) => note.incident.as_ref() == Some(incident),
            Event::SentinelAccepted { incident: id, .. } => id.as_ref() == Some(incident),
            Event::OutageSeen { incident: id, .. }
            | Event::CasesWritten { incident: id, .. }
            | Event::IncidentClosed { incident: id, .. } => id == incident,
            Event::PackWritten { change_id, .. } => change_id.as_str() == incident.as_str(),
            Event::ReleaseStarted { .. }
            | Event::Decided { .. }
            | Event::Applied { .. }
            | Event::EntranceOpened { .. }
            | Event::SamplesWritten { .. }
            | Event::Degraded { .. }
            | Event::KeyMade { .. }
            | Event::KeyRevoked { .. }
            | Event::RecordsDeleted { .. }
            | Event::Repriced { .. }
            | Event::ShadowStarted { .. }
            | Event::ShadowSeen { .. }
            | Event::ShadowEnded { .. }
            | Event::IncidentOpened { .. } => false,
        })
    };
    let mut ours = Vec::new();
    for entry in entries {
        if belongs(entry)? {
            ours.push(entry.clone());
        }
    }
    Ok(ours)
}

/// One line of `decisions.jsonl`: all a reader needs without the windows, which are in
/// `journal.jsonl` under the same `seq`.
#[derive(Serialize)]
struct DecisionLine<'a> {
    seq: u64,
    hash: &'a Digest,
    at: String,
    at_ms: UnixMs,
    decision: DecisionKind,
    signal: Signal,
    #[serde(flatten)]
    phase: Phase,
    rung: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_pct: Option<Weight>,
    stable_requests: u64,
    candidate_requests: u64,
    reasons: Vec<WithSentence<'a>>,
    actions: &'a [Action],
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<Generation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_took_us: Option<u64>,
}

/// `decisions.jsonl`.
pub(super) fn decisions_jsonl(steps: &[Step]) -> Result<Vec<u8>> {
    jsonl(steps.iter().map(|step| DecisionLine {
        seq: step.seq,
        hash: &step.hash,
        at: rfc3339(step.decision.at),
        at_ms: step.decision.at,
        decision: step.decision.kind,
        signal: step.decision.signal,
        phase: step.decision.state.phase,
        rung: step.decision.state.rung,
        weight_pct: step.weight(),
        stable_requests: step.decision.state.stable().requests,
        candidate_requests: step.decision.state.candidate().requests,
        reasons: step.decision.reasons.iter().map(WithSentence::of).collect(),
        actions: &step.decision.actions,
        order: step.order.as_ref(),
        generation: step.table.as_ref().map(|t| t.generation),
        switch_took_us: step.applied.map(|(_, took_us)| took_us),
    }))
}

/// `journal.jsonl`.
pub(super) fn journal_jsonl(journal: &[JournalLine]) -> Result<Vec<u8>> {
    jsonl(journal.iter())
}

fn jsonl<T: Serialize>(lines: impl Iterator<Item = T>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, &line).map_err(EvidenceError::part("evidence"))?;
        text.push(b'\n');
    }
    Ok(text)
}

/// What the chain check found.
#[derive(Debug, Default)]
pub(super) struct ChainCheck {
    /// Entries whose content hashes to what it says.
    pub(super) entries: usize,
    /// Entries that were redacted: only their place in the chain was checked.
    pub(super) redacted: usize,
    /// What is wrong.
    pub(super) problems: Vec<VerifyProblem>,
}

/// Checks `journal.jsonl` against itself, the manifest's head and `decisions.jsonl`.
///
/// Entries of other releases lie between ours, so a link is checked where two entries follow each
/// other, and every entry's own hash in any case.
pub(super) fn check_chain(journal: &str, decisions: &str, head: &(u64, Digest)) -> ChainCheck {
    let mut check = ChainCheck::default();
    let mut last: Option<JournalLine> = None;
    let mut decided: Vec<(u64, Digest)> = Vec::new();
    for (i, text) in journal.lines().enumerate() {
        let line: JournalLine = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(e) => {
                check.wrong(format!("line {} of journal.jsonl cannot be read: {e}", i + 1));
                continue;
            }
        };
        check.link(last.as_ref(), &line);
        check.own_hash(&line);
        if line.seq > head.0 || (line.seq == head.0 && line.hash != head.1) {
            check.wrong(format!("entry {} does not fit the manifest's journal head", line.seq));
        }
        if matches!(serde_json::from_str(&line.body), Ok(Event::Decided { .. })) {
            decided.push((line.seq, line.hash.clone()));
        }
        last = Some(line);
    }
    // Entry 0 is before the first: a run of a pipeline has no journal.
    if last.is_none() && *head != (0, Entry::origin()) {
        check.wrong("journal.jsonl has no entry".to_owned());
    }
    check.decisions(decisions, &decided);
    check
}

/// The part of a decision's line that says which entry it is.
#[derive(Deserialize)]
struct DecisionRef {
    seq: u64,
    hash: Digest,
}

impl ChainCheck {
    fn wrong(&mut self, detail: String) {
        self.problems.push(VerifyProblem::Chain { detail });
    }

    fn link(&mut self, last: Option<&JournalLine>, line: &JournalLine) {
        let Some(last) = last else { return };
        if line.seq <= last.seq {
            self.wrong(format!("entry {} follows entry {}", line.seq, last.seq));
        } else if line.seq == last.seq + 1 && line.prev != last.hash {
            self.wrong(format!("entry {} does not follow from entry {}", line.seq, last.seq));
        }
    }

    fn own_hash(&mut self, line: &JournalLine) {
        if line.redacted {
            self.redacted += 1;
            return;
        }
        let JournalLine { seq, at, prev, hash, body, redacted: _ } = line.clone();
        match verify_chain(&[Entry { seq, at, prev, hash, body }]) {
            Ok(()) => self.entries += 1,
            Err(e) => self.wrong(e.to_string()),
        }
    }

    fn decisions(&mut self, decisions: &str, decided: &[(u64, Digest)]) {
        let mut shown = Vec::new();
        for (i, text) in decisions.lines().enumerate() {
            match serde_json::from_str(text) {
                Ok(DecisionRef { seq, hash }) => shown.push((seq, hash)),
                Err(e) => {
                    self.wrong(format!("line {} of decisions.jsonl cannot be read: {e}", i + 1));
                }
            }
        }
        if shown != decided {
            self.wrong("decisions.jsonl has other decisions than journal.jsonl".to_owned());
        }
    }
}
