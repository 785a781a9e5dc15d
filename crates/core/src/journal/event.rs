//! Events and their chain.

use crate::access::{Grant, KeyId};
use crate::approval::Approver;
use crate::calendar::Day;
use crate::decide::{Decision, Order, Plan, Signal};
use crate::degrade::DegradeLevel;
use crate::drift::SentinelNote;
use crate::evidence::GateRun;
use crate::gate::WrittenRecord;
use crate::ids::{ChangeId, Digest, Generation, IncidentId, ServiceName, UnixMs, VersionSetId};
use crate::incident::RedLines;
use crate::observe::OutageRun;
use crate::route::Table;
use crate::shadow::{PairCounts, ShadowEnd, ShadowPlan, Used};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// Everything that can happen to control; closed, so all of it is on this screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A service took its first version set.
    ServiceAdopted {
        /// What clients send as `model`; it never changes for this journal.
        service: ServiceName,
        /// What stable serves from now on, without a release: there was nothing to compare with.
        set: VersionSetId,
        /// What people call the set, such as `prompt v1 · sim-1`; not unique.
        label: String,
        /// Generation 1, stable alone.
        table: Table,
        /// Who started the server, as the command line names its user.
        by: String,
    },
    /// A set that stable serves passed the gate that every later set passes; until then the service
    /// is an experiment.
    ServiceReleased {
        /// What stable serves; a later set gets here by being promoted, without this event.
        set: VersionSetId,
        /// The eval run that it passed.
        run_id: String,
        /// One English sentence for people: what is released, by which run.
        note: String,
    },
    /// A version set was packed into the store.
    SetPacked {
        /// Named by its content, so the same files packed again are the same set.
        set: VersionSetId,
        /// What people call it; the first label stays where it is packed again.
        label: String,
    },
    /// An eval run ended.
    EvalRun {
        /// `eval-`, the Unix time in seconds and six hex digits.
        run_id: String,
        /// The set it ran on.
        set: VersionSetId,
        /// Digest over all cases it ran: a release needs a pass on exactly the cases of now.
        cases: Digest,
        /// Whether its gate passed; an inconclusive run did not.
        passed: bool,
        /// Digest of its report, which the store keeps.
        report: Digest,
        /// Digest of what its gate demanded; absent in journals of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<Digest>,
    },
    /// A version set was approved.
    Approved {
        /// The set.
        set: VersionSetId,
        /// Who, as the command line names its user; with the key that the order came with.
        by: String,
        /// Whether that is a person or a machine.
        approver: Approver,
        /// Why, in the approver's words.
        reason: String,
        /// The latest eval run of the set; absent where there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_id: Option<String>,
    },
    /// A release began.
    ReleaseStarted {
        /// Ladder, rules and error budget, fixed for the whole release.
        plan: Box<Plan>,
        /// The first table with the split, at the weight of rung 0.
        table: Table,
        /// Who started it; with an override, who takes it on.
        by: String,
        /// Why a candidate that was rolled back before is released again; `None` without an
        /// override.
        override_reason: Option<String>,
        /// The smoke test of the candidate; absent where none was run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smoke: Option<GateRun>,
        /// How the gates that users write came out then; empty where none is written.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        written: Vec<WrittenRecord>,
    },
    /// A decision was made; `table` is the intent, absent when nothing is to be switched.
    Decided {
        /// The release that is decided on.
        change_id: ChangeId,
        /// The decision, with its reasons and the release's state after it.
        decision: Box<Decision>,
        /// The operator's order that it carries out; `None` where it follows from data.
        order: Option<Order>,
        /// The table to switch to; journalled before the switch, so that a crash between the two
        /// is made up for at the next start.
        table: Option<Table>,
    },
    /// A table is in force.
    Applied {
        /// The table that serves new requests from now on.
        generation: Generation,
        /// From the decision to the swap, µs.
        took_us: u64,
    },
    /// The entrance was opened again by an operator.
    EntranceOpened {
        /// The next generation, with the entrance open.
        table: Table,
        /// The operator's name, as the command line gave it.
        by: String,
        /// Why it is safe again, in the operator's words.
        reason: String,
    },
    /// The service was degraded to another level by an operator, or is degraded no more.
    Degraded {
        /// How much is switched off from now on; absent where nothing is any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<DegradeLevel>,
        /// The operator's name, as the command line gave it.
        by: String,
        /// Why, in the operator's words.
        reason: String,
    },
    /// A release's incident began. Nothing writes this any more, older journals hold it: a
    /// decision opens its release's incident by itself.
    IncidentOpened {
        /// The release that was rolled back or shut off.
        change_id: ChangeId,
        /// Red or black.
        signal: Signal,
        /// The sentence of the decision's first reason; it cannot be translated any more.
        reason: String,
    },
    /// Red lines were seen in answers that no release decides on. They open an incident of the
    /// service, or join the one they are filed under.
    RedLinesSeen(RedLines),
    /// An outage of stable's model server began, came again, or is over. It opens the incident of
    /// the outage, or closes it.
    OutageSeen {
        /// The incident of the outage.
        incident: IncidentId,
        /// The outage, as far as it has come.
        outage: Box<OutageRun>,
    },
    /// The fixed cases were asked of stable. A change of the model behind it opens an incident; a
    /// run that is as before closes it.
    SentinelRan(Box<SentinelNote>),
    /// A person took a change of the model for good: runs are compared with it from now on.
    SentinelAccepted {
        /// The run that found the change.
        run_id: String,
        /// Digest of the run that is the reference now.
        report: Digest,
        /// The incident that is closed by it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<IncidentId>,
        /// The name of the person.
        by: String,
        /// Why, in that person's words.
        reason: String,
    },
    /// Records became regression cases.
    CasesWritten {
        /// The incident they came from; with them it can be closed.
        #[serde(alias = "change_id", deserialize_with = "incident_of")]
        incident: IncidentId,
        /// Their `case_id`s in the regression file, added to those written before.
        case_ids: Vec<String>,
    },
    /// Records of a promoted release became ordinary cases: what it answers well.
    SamplesWritten {
        /// The release that gave the answers.
        change_id: ChangeId,
        /// Their `case_id`s in the samples file, added to those written before.
        case_ids: Vec<String>,
    },
    /// An incident ended; refused before its cases are written.
    IncidentClosed {
        /// The incident that is over.
        #[serde(alias = "change_id", deserialize_with = "incident_of")]
        incident: IncidentId,
        /// The name of the person who closed it.
        by: String,
        /// What was concluded, in that person's words.
        conclusion: String,
    },
    /// A key was made. Its text was shown once and is nowhere; here is its keyed hash.
    KeyMade {
        /// What its owner may do.
        grant: Box<Grant>,
        /// Who made it.
        by: String,
    },
    /// A key opens no more, from `at` on: at once, or once its successor has taken over.
    KeyRevoked {
        /// The key.
        key: KeyId,
        /// From when on; an earlier time that is journalled already stays.
        at: UnixMs,
        /// Who revoked it.
        by: String,
    },
    /// Records of a tenant or a user are deleted by order: one event before the first of them goes,
    /// and one that says how many went.
    RecordsDeleted {
        /// The tenant; absent for every one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<String>,
        /// The user, behind a pseudonym of the state's own key; absent for every one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Those that came in before this moment.
        before: UnixMs,
        /// Who ordered it.
        by: String,
        /// How many went; absent where it begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        records: Option<u64>,
    },
    /// The books were priced by another table.
    Repriced {
        /// From this day on.
        from: Day,
        /// What they said before, US dollars.
        before: String,
        /// What they say since.
        after: String,
        /// Who ordered it.
        by: String,
    },
    /// A shadow began.
    ShadowStarted {
        /// Which sets are compared, the caps and the end, fixed for the whole shadow.
        plan: Box<ShadowPlan>,
        /// Who started it.
        by: String,
    },
    /// Pairs of the shadow that runs, and how much it may use from now on.
    ShadowSeen {
        /// The pairs since the event before.
        pairs: PairCounts,
        /// What was used in all.
        used: Used,
        /// What may be used in all; after a kill it counts as used.
        granted: Used,
    },
    /// The shadow that runs is over.
    ShadowEnded {
        /// What was used in all.
        used: Used,
        /// Why, and what it found.
        end: Box<ShadowEnd>,
    },
    /// An evidence pack was written.
    PackWritten {
        /// The release that it proves; of a pack about the service, its incident's id.
        change_id: ChangeId,
        /// Its folder, relative to the project.
        path: String,
        /// Digest of its manifest; `verify` compares it, so a rewritten pack is seen.
        manifest: Digest,
    },
}

/// An incident by its id. Older journals name a release's incident by the release.
fn incident_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IncidentId, D::Error> {
    let name = String::deserialize(deserializer)?;
    IncidentId::meant(&name).map_err(D::Error::custom)
}

/// One event in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, from 1, without gaps.
    pub seq: u64,
    /// When it was appended, by the server's clock; it may go backwards where that clock did.
    pub at: UnixMs,
    /// The hash of the entry before; the digest of nothing ([`Entry::origin`]) for the first.
    pub prev: Digest,
    /// SHA-256 over `prev`, `seq`, `at` and `body`, in this order.
    pub hash: Digest,
    /// The event as it was written, byte for byte: hashes are over this text.
    pub body: String,
}

/// What is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A number is missing or double.
    #[error("journal: entry {expected} is missing or out of order; found {found}")]
    Sequence {
        /// One more than the entry before.
        expected: u64,
        /// The number that is there instead.
        found: u64,
    },
    /// An entry does not follow from the one before it.
    #[error("journal: entry {0} does not follow from the one before it; the chain is broken here")]
    Broken(u64),
    /// An entry's content is not what was hashed.
    #[error("journal: entry {0} was altered; its content does not hash to what it says")]
    Altered(u64),
    /// An entry cannot be read.
    #[error("journal: entry {seq} cannot be read: {detail}")]
    Unreadable {
        /// The number of the entry.
        seq: u64,
        /// What the JSON parser says.
        detail: String,
    },
}

impl Entry {
    /// The entry that follows `last` (`None` for the first) with this event.
    ///
    /// # Errors
    /// [`JournalError::Unreadable`] when the event does not read back as it was written (a number
    /// that is not finite becomes `null` in JSON): replaying it would give another state.
    pub fn following(
        last: Option<&Entry>,
        at: UnixMs,
        event: &Event,
    ) -> Result<Entry, JournalError> {
        let seq = last.map_or(1, |entry| entry.seq + 1);
        let unreadable = |detail: String| JournalError::Unreadable { seq, detail };
        let body = serde_json::to_string(event).map_err(|e| unreadable(e.to_string()))?;
        let read: Event = serde_json::from_str(&body).map_err(|e| unreadable(e.to_string()))?;
        if read != *event {
            return Err(unreadable("it holds a number that is not finite".to_owned()));
        }
        let prev = last.map_or_else(Entry::origin, |entry| entry.hash.clone());
        let hash = Entry::hash_of(seq, at, &prev, &body);
        Ok(Entry { seq, at, prev, hash, body })
    }

    /// What the first entry follows: the digest of nothing.
    pub fn origin() -> Digest {
        Digest::of(b"")
    }

    fn hash_of(seq: u64, at: UnixMs, prev: &Digest, body: &str) -> Digest {
        Digest::of_parts(&[
            prev.as_str().as_bytes(),
            &seq.to_le_bytes(),
            &at.0.to_le_bytes(),
            body.as_bytes(),
        ])
    }

    /// Reads the event.
    ///
    /// # Errors
    /// [`JournalError::Unreadable`] when the body is not an event.
    pub fn event(&self) -> Result<Event, JournalError> {
        serde_json::from_str(&self.body)
            .map_err(|e| JournalError::Unreadable { seq: self.seq, detail: e.to_string() })
    }
}

/// Checks that the entries are a chain; they may start anywhere but must follow each other.
///
/// A chain cut off at its end is still a chain: this does not show it. Who must know compares the
/// last entry with a head kept elsewhere (the store keeps one beside the journal, every evidence
/// pack holds one in its manifest). Nor does it show a chain rewritten from some entry on.
///
/// # Errors
/// The first [`JournalError`] found.
pub fn verify_chain(entries: &[Entry]) -> Result<(), JournalError> {
    let mut last: Option<&Entry> = None;
    for entry in entries {
        let expected = last.map_or(entry.seq, |e| e.seq + 1);
        if entry.seq != expected {
            return Err(JournalError::Sequence { expected, found: entry.seq });
        }
        if last.is_some_and(|e| e.hash != entry.prev)
            || (entry.seq == 1 && entry.prev != Entry::origin())
        {
            return Err(JournalError::Broken(entry.seq));
        }
        if Entry::hash_of(entry.seq, entry.at, &entry.prev, &entry.body) != entry.hash {
            return Err(JournalError::Altered(entry.seq));
        }
        last = Some(entry);
    }
    Ok(())
}
