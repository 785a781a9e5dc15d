//! The store: the only SQL in the project. One SQLite file, `.tidegate/state.db`.
//!
//! One process writes, kept alone by an OS lock; inside it one thread owns the write connection. It
//! takes what waits, writes it in one transaction, and answers only after the commit is on disk
//! (WAL, `synchronous=FULL`): what was acknowledged survives a power cut. Grouping makes that
//! affordable, since a commit costs a few milliseconds however much is in it.
//!
//! Records of requests must never hold a request up, so they go through a bounded queue of their
//! own and are dropped, and counted, when it is full. Control events are never dropped: they are
//! on disk or their caller has the error.
//!
//! When a commit fails in a way that leaves open what is on disk (an fsync error), nothing is
//! acknowledged any more until the process starts anew and reads what is there: a second fsync may
//! succeed without the pages of the first (reliability S3). What failed so was not acknowledged,
//! and may yet be found there: whoever starts decides again on what is found. A full disk is
//! different, it undoes cleanly: records make way, control writes into space set aside for it, and
//! writing goes on by itself once there is room (S2).
//!
//! Reads go through connections of their own and see what is committed.

mod inbox;
mod lock;
mod reader;
mod reserve;
mod row;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

use crate::clock::Clock;
use crate::error::{CliError, Result};
use crate::version_set::PackedSet;
use inbox::{Done, Inbox, Work};
use lock::Lock;
use reader::Readers;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tidegate_core::evidence::Record;
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::route::Arm;
use tidegate_core::version_set::VersionSet;

/// Records that may wait for the writer. At 1,000 requests a second and a commit of 20 ms about 20
/// wait; 8,192 ride out a disk that stalls for 8 seconds.
const RECORDS_MAX: usize = 8_192;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To write: takes the lock file `.tidegate/lock`; a second one is refused.
    Exclusive,
    /// To read beside a writer; writes are errors.
    Read,
}

/// What a store may be opened with.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Says when a set was first packed.
    pub(crate) clock: Clock,
    /// Records that may wait for the writer before further ones are dropped; at least 1.
    pub(crate) records_max: usize,
    /// Largest size of the file in pages of 4 KiB; `None` for as much as the disk takes. Beyond it
    /// writing fails as on a full disk.
    pub(crate) pages_max: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Options { clock: Clock::Real, records_max: RECORDS_MAX, pages_max: None }
    }
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

/// The project's state on disk; cheap to clone. The last clone to go writes what still waits.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    clock: Clock,
    readers: Readers,
    writer: Option<Writing>,
}

/// What only a store opened to write has. The lock is given up last, after the thread ended.
struct Writing {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
    _lock: Lock,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has answered its waiters by dropping them.
            let _ = thread.join();
        }
    }
}

impl Store {
    /// Whether the project has a state already.
    pub(crate) fn exists(root: &Path) -> bool {
        root.join(".tidegate").join("state.db").exists()
    }

    /// Opens `<root>/.tidegate/state.db`, making it where `access` is exclusive.
    ///
    /// # Errors
    /// When another process writes to it, when there is none to read, when it was written by a
    /// newer tidegate, or when the disk refuses.
    pub(crate) fn open(root: &Path, access: Access) -> Result<Store> {
        Store::open_with(root, access, Options::default())
    }

    /// Whether a project has any state yet.
    pub(crate) fn is_there(root: &Path) -> bool {
        root.join(".tidegate").join("state.db").exists()
    }

    /// Opens with a clock and bounds of one's own; otherwise as [`Store::open`].
    pub(crate) fn open_with(root: &Path, access: Access, options: Options) -> Result<Store> {
        let folder = root.join(".tidegate");
        let path = folder.join("state.db");
        let Options { clock, records_max, pages_max } = options;
        let writer = match access {
            Access::Read => {
                schema::check_to_read(&path)?;
                None
            }
            Access::Exclusive => {
                schema::make_folder(&folder)?;
                let lock = Lock::take(&folder)?;
                let connection = schema::open_to_write(&path, pages_max)?;
                let inbox = Arc::new(Inbox::new(records_max));
                let thread = writer::start(connection, &path, Arc::clone(&inbox))?;
                Some(Writing { inbox, thread: Some(thread), _lock: lock })
            }
        };
        let readers = Readers::new(path.clone());
        Ok(Store { inner: Arc::new(Inner { path, clock, readers, writer }) })
    }

    /// Appends events as one group, all or none; returns when they are on disk (fsync). Given up
    /// midway (the future is dropped), they may be written all the same.
    ///
    /// # Errors
    /// When they could not be written; none of them is then acknowledged.
    pub(crate) async fn append(&self, at: UnixMs, events: Vec<Event>) -> Result<Vec<Entry>> {
        match self.call(Work::Append { at, events }).await? {
            Done::Entries(entries) => Ok(entries),
            other => Err(mismatch(&other)),
        }
    }
    /// The whole journal from `from_seq` on, as stored; replaying it verifies the chain.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    pub(crate) fn journal(&self, from_seq: u64) -> Result<Vec<Entry>> {
        self.inner.readers.read(|db| reader::journal(db, from_seq, None))
    }

    /// Keeps a packed set and its files; keeping it again changes nothing but mends damaged files.
    ///
    /// # Errors
    /// When the set does not match its files, or could not be written.
    pub(crate) async fn put_set(&self, packed: &PackedSet) -> Result<()> {
        statements::check_set(&packed.set, &packed.blobs)?;
        let at = self.inner.clock.now();
        self.call(Work::PutSet { packed: Box::new(packed.clone()), at }).await.map(|_| ())
    }
    /// A kept set with its files, verified against its id.
    ///
    /// # Errors
    /// When it is not kept here, or a file of it is missing or altered; the file is named.
    pub(crate) fn set(&self, id: &VersionSetId) -> Result<PackedSet> {
        self.inner.readers.read(|db| reader::set(db, id))
    }
    /// All kept sets: set, label, when first packed; newest first.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    pub(crate) fn sets(&self) -> Result<Vec<(VersionSet, String, UnixMs)>> {
        self.inner.readers.read(reader::sets)
    }

    /// Hands a record to the writer; false when its queue is full and the record is dropped.
    pub(crate) fn record(&self, record: Record) -> bool {
        self.inner.writer.as_ref().is_some_and(|w| w.inbox.push_record(record))
    }
    /// Records dropped since the start: the queue was full, or the disk refused them.
    pub(crate) fn dropped_records(&self) -> u64 {
        self.inner.writer.as_ref().map_or(0, |w| w.inbox.dropped())
    }
    /// Why nothing is acknowledged any more, once that is so: the process is to stop and start
    /// anew. `None` while all is well.
    pub(crate) fn stopped(&self) -> Option<CliError> {
        self.inner.writer.as_ref().and_then(|w| w.inbox.stopped())
    }
    /// Waits until everything handed over so far is on disk.
    ///
    /// # Errors
    /// When records handed over just before could not be written.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.call(Work::Flush).await.map(|_| ())
    }
    /// The record of a trace; the latest where an id was used twice.
    ///
    /// # Errors
    /// When the row cannot be read; it is named.
    pub(crate) fn trace(&self, id: &TraceId) -> Result<Option<Record>> {
        self.inner.readers.read(|db| reader::trace(db, id))
    }
    /// Feedback given on a trace, in the order it came.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    pub(crate) fn feedback_of(&self, id: &TraceId) -> Result<Vec<Feedback>> {
        self.inner.readers.read(|db| reader::feedback_of(db, id))
    }
    /// Records by release, arm and failure, oldest first.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    pub(crate) fn records(&self, query: &RecordQuery) -> Result<Vec<Record>> {
        self.inner.readers.read(|db| reader::records(db, query))
    }
    /// Requests and distinct users of an arm of a release. A user is told apart by tenant and
    /// name; a request without a user counts by its tenant, without both by itself.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn exposure(&self, change_id: &ChangeId, arm: Arm) -> Result<(u64, u64)> {
        self.inner.readers.read(|db| reader::exposure(db, change_id, arm))
    }
    /// Deletes records and feedback from before a moment, in batches that let control through;
    /// gives how many records went.
    ///
    /// # Errors
    /// When a batch could not be written; those before it are gone.
    pub(crate) async fn prune_records(&self, before: UnixMs) -> Result<u64> {
        let mut total = 0;
        loop {
            match self.call(Work::Prune { before }).await? {
                Done::Pruned { records, more } => {
                    total += records;
                    if !more {
                        return Ok(total);
                    }
                }
                other => return Err(mismatch(&other)),
            }
        }
    }

    /// Keeps feedback; false when the trace had feedback of this kind already (the first stays).
    ///
    /// # Errors
    /// When it is not a finite number, or could not be written.
    pub(crate) async fn put_feedback(
        &self,
        id: &TraceId,
        at: UnixMs,
        feedback: Feedback,
    ) -> Result<bool> {
        match self.call(Work::PutFeedback { id: id.clone(), at, feedback }).await? {
            Done::Kept(kept) => Ok(kept),
            other => Err(mismatch(&other)),
        }
    }

    /// Keeps an eval report; keeping the same again changes nothing.
    ///
    /// # Errors
    /// When another report is kept under its run id, or it could not be written.
    pub(crate) async fn put_eval(&self, report: &EvalReport) -> Result<()> {
        self.call(Work::PutEval { report: Box::new(report.clone()) }).await.map(|_| ())
    }
    /// The latest report on a set.
    ///
    /// # Errors
    /// When the row cannot be read; it is named.
    pub(crate) fn latest_eval(&self, set: &VersionSetId) -> Result<Option<EvalReport>> {
        self.inner.readers.read(|db| reader::latest_eval(db, set))
    }

    /// The latest report that passed its gate, of whatever set: what a new run is compared with.
    ///
    /// # Errors
    /// When the row cannot be read; it is named.
    pub(crate) fn last_passed_eval(&self) -> Result<Option<EvalReport>> {
        self.inner.readers.read(reader::last_passed_eval)
    }

    /// Adds a window to the stable set's counts of the day `at` falls in (UTC).
    ///
    /// # Errors
    /// When the counts of that day cannot be read, or could not be written.
    pub(crate) async fn add_baseline(
        &self,
        set: &VersionSetId,
        at: UnixMs,
        window: &Window,
    ) -> Result<()> {
        let window = Box::new(window.clone());
        self.call(Work::AddBaseline { set: set.clone(), at, window }).await.map(|_| ())
    }
    /// The set's counts of the 7 days before `at`, merged, with how many days have any (1 to 7).
    /// Days are UTC; the last of the 7 is the one `at` falls in.
    ///
    /// # Errors
    /// When a day's row cannot be read; it is named.
    pub(crate) fn baseline(&self, set: &VersionSetId, at: UnixMs) -> Result<Option<(Window, u32)>> {
        self.inner.readers.read(|db| reader::baseline(db, set, at))
    }

    /// What is wrong with what is kept: pages, the journal's chain and head, the sets and their
    /// files. Empty when all is well. Reads everything but the records' contents.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub(crate) fn integrity(&self) -> Result<Vec<String>> {
        self.inner.readers.read(reader::integrity)
    }

    async fn call(&self, work: Work) -> Result<Done> {
        match &self.inner.writer {
            Some(writing) => writing.inbox.call(work).await,
            None => Err(CliError::internal(format!(
                "state {} was opened to read only; nothing can be written through it",
                self.inner.path.display()
            ))),
        }
    }
}

fn mismatch(done: &Done) -> CliError {
    CliError::internal(format!("the store's writer gave an answer to another question: {done:?}"))
}
