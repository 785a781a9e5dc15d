//! One SQLite file, `.tidegate/state.db`.
//!
//! One process writes, kept alone by an OS lock; inside it one thread owns the write connection. It
//! takes what waits, writes it in one transaction, and answers only after the commit is on disk
//! (WAL, `synchronous=FULL`): what was acknowledged survives a power cut. Grouping makes that
//! affordable, since a commit costs a few milliseconds however much is in it.
//!
//! Records of requests must never hold a request up, so they go through a bounded queue of their
//! own and are dropped, and counted, when it is full. Control events are never dropped: they are
//! on disk or their caller has the error. So is the admission of a request that asks for one:
//! the request waits for the commit that it shares with all others that wait.
//!
//! While the disk fails, nothing is acknowledged and everything is tried again: work as it comes,
//! records every second, from the queue in which they wait. A commit whose sync failed has not
//! happened, since SQLite publishes a commit to the log's index only after its sync, and the next
//! commit writes the same place of the log again, so that its sync is about pages it wrote itself.
//! A crash before that may leave the commit in the log all the same: whoever starts decides again
//! on what is found. A full disk undoes cleanly as well: records make way, and control writes into
//! space set aside for it.
//!
//! Where a transaction can be neither finished nor undone, or the file is damaged, nothing is
//! acknowledged any more until the process restarts and reads what is there.
//!
//! Reads use separate connections and see what is committed.

mod admissions;
mod books;
mod budgets;
mod evals;
mod fault;
mod lock;
mod lost;
mod reader;
mod records;
mod reserve;
mod row;
mod schema;
pub mod snapshot;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

use crate::api::{
    Books, BudgetName, Budgets, Epoch, Evals, Journal, LostRecords, Records, Sets, TenantTrace,
    Ticket, Unrecorded,
};
use crate::begun::Kept;
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use crate::inbox::Inbox;
use crate::query::{RecordQuery, Whose};
use crate::work::{Done, Work};
use lock::Lock;
use reader::Readers;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tidegate_core::access::Spent;
use tidegate_core::calendar::Day;
use tidegate_core::drift::SentinelRun;
use tidegate_core::evidence::{Admission, Record};
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, Digest, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event};
use tidegate_core::money::{LineKey, PriceTable, Sums};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::route::Arm;
use tidegate_core::version_set::{PackedSet, VersionSet};
use writer::Started;

/// Records that may wait for the writer. At 1,000 requests a second and a commit of 20 ms about 20
/// wait; 8,192 ride out a disk that stalls for 8 seconds.
const RECORDS_MAX: usize = 8_192;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To write: takes the lock file `.tidegate/lock`; a second one is refused.
    Exclusive,
    /// To read beside a writer; writes are errors.
    Read,
}

/// What a store may be opened with.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Records that may wait for the writer before further ones are dropped; at least 1.
    pub records_max: usize,
    /// Largest size of the file in pages of 4 KiB; `None` for as much as the disk takes. Beyond it
    /// writing fails as on a full disk.
    pub pages_max: Option<u32>,
    /// Whether requests are counted, so that after a kill it is known how many have no record: for
    /// who serves.
    pub counts_requests: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { records_max: RECORDS_MAX, pages_max: None, counts_requests: false }
    }
}

/// The project's state on disk; cheap to clone. The last clone to go writes what still waits.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    readers: Arc<Readers>,
    writer: Option<Writing>,
}

/// What only a store opened to write has. The lock is given up last, after the thread ended.
struct Writing {
    epoch: Epoch,
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
    counting: Option<JoinHandle<()>>,
    lost: LostRecords,
    lock: Lock,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has answered its waiters by dropping them.
            let _ = thread.join();
        }
        self.inbox.begun.end();
        if let Some(counting) = self.counting.take() {
            let _ = counting.join();
        }
    }
}

impl SqliteStore {
    /// Whether the project has a state already.
    pub fn exists(root: &Path) -> bool {
        root.join(".tidegate").join("state.db").exists()
    }

    /// Opens `<root>/.tidegate/state.db`, making it where `access` is exclusive.
    ///
    /// # Errors
    /// When another process writes to it, when there is none to read, when it was written by a
    /// newer tidegate, or when the disk refuses.
    pub fn open(root: &Path, access: Access) -> Result<SqliteStore> {
        SqliteStore::open_with(root, access, StoreOptions::default())
    }

    /// Opens with given bounds; otherwise as [`SqliteStore::open`].
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(root: &Path, access: Access, options: StoreOptions) -> Result<SqliteStore> {
        let folder = root.join(".tidegate");
        let path = folder.join("state.db");
        let StoreOptions { records_max, pages_max, counts_requests } = options;
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
                let kept = folder.join("requests");
                let counted = counts_requests.then(|| Kept::read(&kept));
                let Started { epoch, lost, thread } =
                    writer::start(connection, &path, Arc::clone(&inbox), counted)?;
                // Where it cannot be kept, a kill loses the count of what began last.
                let counting = counts_requests.then(|| inbox.begun.keep(&kept, epoch.0).ok());
                let (thread, counting) = (Some(thread), counting.flatten());
                Some(Writing { epoch, inbox, thread, counting, lost, lock })
            }
        };
        let readers = Arc::new(Readers::new(path.clone()));
        Ok(SqliteStore { inner: Arc::new(Inner { path, readers, writer }) })
    }

    /// Notices that the state's folder was deleted or replaced: what is written from then on is
    /// lost, so nothing is acknowledged any more.
    pub fn check_place(&self) {
        let Some(writing) = &self.inner.writer else { return };
        if writing.inbox.stopped().is_none() && !writing.lock.is_in_place() {
            let folder = self.inner.path.parent().unwrap_or(&self.inner.path);
            let why = format!(
                "the state folder {} was deleted or replaced while the server runs",
                folder.display()
            );
            let hint = "stop the server, take `.tidegate/` from a backup, start it again";
            writing.inbox.stop(StoreError::new(Kind::Failed, why).hint(hint));
        }
    }

    /// Why nothing is acknowledged any more, once that is so: the process must be restarted.
    /// `None` while all is well.
    pub fn stopped(&self) -> Option<StoreError> {
        self.inner.writer.as_ref().and_then(|w| w.inbox.stopped())
    }

    /// Requests that were taken on and whose records are neither written nor dropped yet.
    pub fn unwritten_records(&self) -> u64 {
        let of = |writing: &Writing| {
            // Read before what has begun, so that it is not more.
            let ended = writing.inbox.ended();
            writing.inbox.begun.count().saturating_sub(ended)
        };
        self.inner.writer.as_ref().map_or(0, of)
    }

    /// Why nothing could be written at the last try, which is a second ago at most; `None` while
    /// all is well. Writing goes on by itself, unless [`Self::stopped`] has a reason too.
    pub fn failing(&self) -> Option<StoreError> {
        let inbox = self.inner.writer.as_ref().map(|writing| &writing.inbox)?;
        inbox.stopped().or_else(|| inbox.failing())
    }

    /// What is wrong with what is kept: pages, the journal's chain and head, the sets and their
    /// files, the batches of records. Empty when all is well. Reads everything.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn integrity(&self) -> Result<Vec<String>> {
        self.inner.readers.read(reader::integrity)
    }

    async fn call(&self, work: Work) -> Result<Done> {
        self.inbox()?.call(work).await
    }

    fn inbox(&self) -> Result<&Arc<Inbox>> {
        self.inner.writer.as_ref().map(|writing| &writing.inbox).ok_or_else(|| {
            StoreError::new(
                Kind::Refused,
                format!(
                    "state {} was opened to read only; nothing can be written through it",
                    self.inner.path.display()
                ),
            )
        })
    }
}

fn mismatch(done: &Done) -> StoreError {
    StoreError::new(Kind::Failed, format!("unexpected reply from the store writer: {done:?}"))
}

impl Journal for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.inner.writer.as_ref().map_or(Epoch(0), |writing| writing.epoch)
    }

    async fn append(
        &self,
        after: u64,
        epoch: Epoch,
        at: UnixMs,
        events: Vec<Event>,
    ) -> Result<Vec<Entry>> {
        match self.call(Work::Append { after, epoch, at, events }).await? {
            Done::Entries(entries) => Ok(entries),
            other => Err(mismatch(&other)),
        }
    }

    fn journal(&self, from_seq: u64) -> Result<Vec<Entry>> {
        self.inner.readers.read(|db| reader::journal(db, from_seq, None))
    }
}

impl Records for SqliteStore {
    fn begin(&self) -> Ticket {
        if let Ok(inbox) = self.inbox() {
            inbox.begun.one();
        }
        Ticket::default()
    }

    async fn admit(&self, admission: Admission) -> Result<Ticket> {
        self.inbox()?.admit(admission).await
    }

    fn withdraw(&self, ticket: Ticket) {
        if let Ok(inbox) = self.inbox() {
            inbox.withdraw_ticket(ticket);
        }
    }

    fn record(&self, ticket: Ticket, record: Record) -> bool {
        self.inbox().is_ok_and(|inbox| inbox.push_record(ticket, record))
    }

    fn unrecorded(&self, id: &TraceId) -> Result<Vec<Unrecorded>> {
        self.inner.readers.read(|db| admissions::unrecorded(db, id))
    }

    fn lost_records(&self) -> Result<LostRecords> {
        match &self.inner.writer {
            Some(writing) => Ok(writing.lost),
            None => self.inner.readers.read(|db| {
                let (total, admitted) = (lost::total(db)?, admissions::unrecorded_count(db)?);
                Ok(LostRecords { total, admitted, ..LostRecords::default() })
            }),
        }
    }

    fn dropped_records(&self) -> u64 {
        self.inner.writer.as_ref().map_or(0, |w| w.inbox.dropped())
    }

    async fn flush(&self) -> Result<()> {
        self.call(Work::Flush).await.map(|_| ())
    }

    fn trace(&self, tenant: Option<&str>, id: &TraceId) -> Result<Option<Record>> {
        self.inner.readers.read(|db| records::trace(db, tenant, id))
    }

    fn traces(&self, id: &TraceId) -> Result<Vec<Record>> {
        self.inner.readers.read(|db| records::traces(db, id))
    }

    fn records(&self, query: &RecordQuery) -> Result<Vec<Record>> {
        self.inner.readers.read(|db| records::records(db, query))
    }

    fn exposure(&self, change_id: &ChangeId, arm: Arm) -> Result<(u64, u64)> {
        self.inner.readers.read(|db| records::exposure(db, change_id, arm))
    }

    async fn prune_records(&self, before: UnixMs) -> Result<u64> {
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

    fn count_of(&self, whose: &Whose) -> Result<u64> {
        self.inner.readers.read(|db| records::count_of(db, whose))
    }

    async fn erase(&self, whose: &Whose) -> Result<u64> {
        // What waits is on disk before the first step, which begins with the newest batch.
        self.flush().await?;
        let (mut total, mut before) = (0, i64::MAX);
        loop {
            match self.call(Work::Erase { whose: whose.clone(), before }).await? {
                Done::Erased { records, next } => {
                    total += records;
                    let Some(next) = next else { return Ok(total) };
                    before = next;
                }
                other => return Err(mismatch(&other)),
            }
        }
    }

    async fn scrub(&self) -> Result<()> {
        self.call(Work::Scrub).await.map(|_| ())
    }

    async fn put_feedback(
        &self,
        tenant: Option<&str>,
        id: &TraceId,
        at: UnixMs,
        feedback: Feedback,
    ) -> Result<bool> {
        let tenant = tenant.map(str::to_owned);
        match self.call(Work::PutFeedback { tenant, id: id.clone(), at, feedback }).await? {
            Done::Kept(kept) => Ok(kept),
            other => Err(mismatch(&other)),
        }
    }

    fn feedback_on(&self, traces: &[TenantTrace]) -> Result<BTreeMap<TenantTrace, Vec<Feedback>>> {
        self.inner.readers.read(|db| reader::feedback_on(db, traces))
    }
}

impl Sets for SqliteStore {
    async fn put_set(&self, packed: &PackedSet, at: UnixMs) -> Result<()> {
        packed.verify().map_err(|e| StoreError::new(Kind::Refused, e.to_string()))?;
        self.call(Work::PutSet { packed: Box::new(packed.clone()), at }).await.map(|_| ())
    }

    fn set(&self, id: &VersionSetId) -> Result<PackedSet> {
        self.inner.readers.read(|db| reader::set(db, id))
    }

    fn sets(&self) -> Result<Vec<(VersionSet, String, UnixMs)>> {
        self.inner.readers.read(reader::sets)
    }
}

impl Evals for SqliteStore {
    async fn put_eval(&self, report: &EvalReport) -> Result<()> {
        let mut from = 0;
        while let Some(batch) = evals::batch(report, from)? {
            from = batch.end();
            self.call(Work::PutResults { batch }).await?;
        }
        self.call(Work::PutEval { report: Box::new(evals::head(report)) }).await.map(|_| ())
    }

    fn latest_eval(&self, set: &VersionSetId) -> Result<Option<EvalReport>> {
        evals::latest(&self.inner.readers, set)
    }

    fn last_passed_eval(&self) -> Result<Option<EvalReport>> {
        evals::last_passed(&self.inner.readers)
    }

    fn eval(&self, run_id: &str) -> Result<Option<EvalReport>> {
        evals::of_run(&self.inner.readers, run_id)
    }

    fn eval_runs(&self) -> Result<Vec<String>> {
        self.inner.readers.read(evals::runs)
    }

    async fn put_sentinel(&self, run: &SentinelRun) -> Result<Digest> {
        let content = serde_json::to_vec(run).map_err(|error| {
            StoreError::new(Kind::Refused, format!("the run cannot be kept: {error}"))
        })?;
        let report = Digest::of(&content);
        self.call(Work::PutBlob { content }).await.map(|_| report)
    }

    fn sentinel(&self, report: &Digest) -> Result<SentinelRun> {
        self.inner.readers.read(|db| reader::sentinel(db, report))
    }

    async fn add_baseline(&self, set: &VersionSetId, at: UnixMs, window: &Window) -> Result<()> {
        let window = Box::new(window.clone());
        self.call(Work::AddBaseline { set: set.clone(), at, window }).await.map(|_| ())
    }

    fn baseline(&self, set: &VersionSetId, at: UnixMs) -> Result<Option<(Window, u32)>> {
        self.inner.readers.read(|db| reader::baseline(db, set, at))
    }
}

impl Budgets for SqliteStore {
    fn spent(&self) -> Result<BTreeMap<BudgetName, Spent>> {
        self.inner.readers.read(budgets::spent)
    }

    async fn raise_spent(&self, sums: Vec<(BudgetName, Spent)>) -> Result<()> {
        self.call(Work::PutSpent { sums, rises_only: true }).await.map(|_| ())
    }

    async fn set_spent(&self, sums: Vec<(BudgetName, Spent)>) -> Result<()> {
        self.call(Work::PutSpent { sums, rises_only: false }).await.map(|_| ())
    }
}

impl Books for SqliteStore {
    async fn book(&self, lines: Vec<(LineKey, Sums)>) -> Result<()> {
        match lines.is_empty() {
            true => Ok(()),
            false => self.call(Work::Book { lines }).await.map(|_| ()),
        }
    }

    fn costs(&self, from: Day, to: Day) -> Result<BTreeMap<LineKey, Sums>> {
        self.inner.readers.read(|db| books::lines(db, from, to))
    }

    async fn reprice(&self, from: Day, table: PriceTable) -> Result<(u128, u128)> {
        match self.call(Work::Reprice { from, table: Box::new(table) }).await? {
            Done::Repriced(before, after) => Ok((before, after)),
            other => Err(mismatch(&other)),
        }
    }
}
