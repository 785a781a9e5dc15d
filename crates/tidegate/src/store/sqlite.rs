//! Not written yet.
use crate::error::Result;
use crate::version_set::PackedSet;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::evidence::Record;
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, Digest, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::route::Arm;
use tidegate_core::version_set::VersionSet;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To write: takes the lock file `.tidegate/lock`; a second one is refused.
    Exclusive,
    /// To read beside a writer; writes are errors.
    Read,
}

/// Which records to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordQuery {
    /// Of this release.
    pub(crate) change_id: Option<ChangeId>,
    /// Of this arm.
    pub(crate) arm: Option<Arm>,
    /// Only those worth a regression case ([`Record::is_failing`]).
    pub(crate) failing_only: bool,
    /// At most so many, oldest first.
    pub(crate) limit: usize,
}

/// The project's state on disk; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    _inner: Arc<()>,
}

impl Store {
    /// Opens `<root>/.tidegate/state.db`, making it where `access` is exclusive.
    pub(crate) fn open(root: &Path, access: Access) -> Result<Store> {
        let _ = (root, access);
        unimplemented!()
    }

    /// Appends events as one group, all or none; returns when they are on disk (fsync).
    pub(crate) async fn append(&self, at: UnixMs, events: Vec<Event>) -> Result<Vec<Entry>> {
        let _ = (at, events);
        unimplemented!()
    }
    /// The whole journal from `from_seq` on.
    pub(crate) fn journal(&self, from_seq: u64) -> Result<Vec<Entry>> {
        let _ = from_seq;
        unimplemented!()
    }

    /// Keeps a packed set and its files; keeping it again changes nothing.
    pub(crate) async fn put_set(&self, packed: &PackedSet) -> Result<()> {
        let _ = packed;
        unimplemented!()
    }
    /// A kept set with its files, verified against its id.
    pub(crate) fn set(&self, id: &VersionSetId) -> Result<PackedSet> {
        let _ = id;
        unimplemented!()
    }
    /// All kept sets: set, label, when first packed; newest first.
    pub(crate) fn sets(&self) -> Result<Vec<(VersionSet, String, UnixMs)>> {
        unimplemented!()
    }

    /// Hands a record to the writer; false when its queue is full and the record is dropped.
    pub(crate) fn record(&self, record: Record) -> bool {
        let _ = record;
        unimplemented!()
    }
    /// Records dropped since the start.
    pub(crate) fn dropped_records(&self) -> u64 {
        unimplemented!()
    }
    /// Waits until everything handed over so far is on disk.
    pub(crate) async fn flush(&self) -> Result<()> {
        unimplemented!()
    }
    /// The record of a trace; the latest where an id was used twice.
    pub(crate) fn trace(&self, id: &TraceId) -> Result<Option<Record>> {
        let _ = id;
        unimplemented!()
    }
    /// Feedback given on a trace.
    pub(crate) fn feedback_of(&self, id: &TraceId) -> Result<Vec<Feedback>> {
        let _ = id;
        unimplemented!()
    }
    /// Records by release, arm and failure.
    pub(crate) fn records(&self, query: &RecordQuery) -> Result<Vec<Record>> {
        let _ = query;
        unimplemented!()
    }
    /// Requests and distinct users of an arm of a release.
    pub(crate) fn exposure(&self, change_id: &ChangeId, arm: Arm) -> Result<(u64, u64)> {
        let _ = (change_id, arm);
        unimplemented!()
    }

    /// Keeps feedback; false when the trace had feedback of this kind already (the first stays).
    pub(crate) async fn put_feedback(
        &self,
        id: &TraceId,
        at: UnixMs,
        feedback: Feedback,
    ) -> Result<bool> {
        let _ = (id, at, feedback);
        unimplemented!()
    }

    /// Keeps an eval report.
    pub(crate) async fn put_eval(&self, report: &EvalReport) -> Result<()> {
        let _ = report;
        unimplemented!()
    }
    /// A report by run id.
    pub(crate) fn eval(&self, run_id: &str) -> Result<Option<EvalReport>> {
        let _ = run_id;
        unimplemented!()
    }
    /// The latest report on a set.
    pub(crate) fn latest_eval(&self, set: &VersionSetId) -> Result<Option<EvalReport>> {
        let _ = set;
        unimplemented!()
    }
    /// The latest report over exactly these cases, of whatever set, before `not_run`.
    pub(crate) fn previous_eval(&self, cases: &Digest) -> Result<Option<EvalReport>> {
        let _ = cases;
        unimplemented!()
    }

    /// Adds a window to the stable set's counts of the day `at` falls in (UTC).
    pub(crate) async fn add_baseline(
        &self,
        set: &VersionSetId,
        at: UnixMs,
        window: &Window,
    ) -> Result<()> {
        let _ = (set, at, window);
        unimplemented!()
    }
    /// The set's counts of the 7 days before `at`, merged, with how many days have any.
    pub(crate) fn baseline(&self, set: &VersionSetId, at: UnixMs) -> Result<Option<(Window, u32)>> {
        let _ = (set, at);
        unimplemented!()
    }
}
