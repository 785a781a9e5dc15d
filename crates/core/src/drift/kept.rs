//! What the journal says of runs of the fixed cases, and what control keeps of them.

use super::{Drift, DriftVerdict};
use crate::decide::{Changed, ModelDrift};
use crate::ids::{Digest, IncidentId, UnixMs, VersionSetId};
use crate::money::Money;
use serde::{Deserialize, Serialize};

/// What runs used. It is in no book of requests: nobody asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SentinelSpent {
    /// Questions that were sent.
    pub requests: u64,
    /// Prompt tokens, as far as they were reported.
    pub tokens_in: u64,
    /// Answer tokens, as far as they were reported.
    pub tokens_out: u64,
    /// What they cost by the project's prices; what has none costs nothing here.
    pub cost: Money,
}

impl SentinelSpent {
    /// The sum.
    #[must_use]
    pub fn plus(self, other: SentinelSpent) -> SentinelSpent {
        SentinelSpent {
            requests: self.requests.saturating_add(other.requests),
            tokens_in: self.tokens_in.saturating_add(other.tokens_in),
            tokens_out: self.tokens_out.saturating_add(other.tokens_out),
            cost: self.cost.plus(other.cost),
        }
    }
}

/// A run as it is journalled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentinelNote {
    /// Its id.
    pub run_id: String,
    /// The version set that was asked.
    pub set: VersionSetId,
    /// The upstream's name in the project.
    pub upstream: String,
    /// Where it is, without a key.
    pub endpoint: String,
    /// The model that was asked for.
    pub model: String,
    /// Digest of the whole run, where it is kept: a reference, or one that may become it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
    /// What it says beside the reference; absent where it becomes the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What it used.
    pub spent: SentinelSpent,
    /// The incident that it opens, goes on with, or closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
}

impl SentinelNote {
    /// What it says; a new reference has nothing to say.
    pub fn verdict(&self) -> Option<DriftVerdict> {
        self.drift.as_ref().map(|drift| drift.verdict)
    }

    /// The change that it found.
    pub fn change(&self) -> Option<ModelDrift> {
        let drift = self.drift.as_ref()?;
        let names = |names: &super::Names| (names.before.join(", "), names.now.join(", "));
        let changed = match drift.verdict {
            DriftVerdict::ModelRenamed => {
                let (before, now) = names(&drift.models);
                Changed::Model { before, now }
            }
            DriftVerdict::FingerprintChanged => {
                let (before, now) = names(&drift.fingerprints);
                Changed::Fingerprint { before, now }
            }
            DriftVerdict::AnswersChanged => {
                let test = drift.proven()?;
                Changed::Answers {
                    measure: test.metric.clone(),
                    mean_before: test.before,
                    mean_now: test.now,
                    p: test.p_holm,
                    cases: test.cases,
                }
            }
            DriftVerdict::Unchanged | DriftVerdict::CannotTell => return None,
        };
        let (upstream, endpoint) = (self.upstream.clone(), self.endpoint.clone());
        Some(ModelDrift { upstream, endpoint, model: self.model.clone(), changed })
    }
}

/// The run that others are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its id.
    pub run_id: String,
    /// The version set that it asked.
    pub set: VersionSetId,
    /// Finds it in the store.
    pub report: Digest,
    /// When it became the reference.
    pub at: UnixMs,
    /// Who accepted it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What control knows of the model behind stable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sentinel {
    /// What runs are compared with; absent before the first good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The last run, and when it was journalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<(UnixMs, Box<SentinelNote>)>,
    /// The last run that found a change, while that is neither accepted nor gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Box<SentinelNote>>,
    /// Runs so far.
    pub runs: u64,
    /// What they used.
    pub spent: SentinelSpent,
}

impl Sentinel {
    /// Whether no run was journalled.
    pub fn is_empty(&self) -> bool {
        *self == Sentinel::default()
    }

    /// Takes a run.
    pub fn ran(&mut self, at: UnixMs, note: &SentinelNote) {
        self.runs = self.runs.saturating_add(1);
        self.spent = self.spent.plus(note.spent);
        self.last = Some((at, Box::new(note.clone())));
        match note.verdict() {
            None => {
                self.changed = None;
                self.reference = note.report.clone().map(|report| Reference {
                    run_id: note.run_id.clone(),
                    set: note.set.clone(),
                    report,
                    at,
                    by: None,
                });
            }
            Some(verdict) if verdict.is_change() => self.changed = Some(Box::new(note.clone())),
            Some(DriftVerdict::Unchanged) => self.changed = None,
            Some(_) => {}
        }
    }

    /// Makes what changed the reference.
    pub fn accepted(&mut self, at: UnixMs, run_id: &str, report: &Digest, by: &str) {
        let Some(changed) = self.changed.take() else { return };
        self.reference = Some(Reference {
            run_id: run_id.to_owned(),
            set: changed.set,
            report: report.clone(),
            at,
            by: Some(by.to_owned()),
        });
    }

    /// The reference for this set.
    pub fn reference_of(&self, set: &VersionSetId) -> Option<&Reference> {
        self.reference.as_ref().filter(|reference| reference.set == *set)
    }

    /// The change that nobody has accepted and that is not gone.
    pub fn change(&self) -> Option<ModelDrift> {
        self.changed.as_ref().and_then(|note| note.change())
    }
}
