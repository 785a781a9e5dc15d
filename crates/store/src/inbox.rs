//! What waits for the writer: work that is answered, and records that are not.

use crate::api::Ticket;
use crate::begun::Begun;
use crate::error::{Result, StoreError, StoreErrorKind};
use crate::work::{Done, Work};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tidegate_core::evidence::{Admission, Record};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Work that may wait; the next caller waits for a permit. It is also the largest group of one
/// commit: at 100 commits a second it is 25,000 events a second, far beyond what control does.
const WORK_MAX: usize = 256;
/// Text that may wait in records, bytes: answers can be long, and a count alone does not bound it.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// Most records of one commit: about 10 ms of writing, which is how long an order waits at most for
/// records that came before it.
const RECORDS_BATCH: usize = 512;
/// How long records wait for company before they are written, so that an idle gateway does not
/// commit per request and a trace is still found at once.
const RECORDS_LINGER: Duration = Duration::from_millis(20);
/// Admissions that may wait. Each holds up a request, and services take on fewer at a time.
const ADMISSIONS_MAX: usize = 4_096;
/// A turn of the writer that takes so long is one of a disk that does not answer: an admission
/// that comes then is refused at once, and does not hold a place among the requests in progress.
const STALLED_AFTER: Duration = Duration::from_secs(1);
/// How often writing is tried by itself while it fails: records wait in their queue meanwhile, and
/// work that is handed over is tried at once.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Work with the one who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) answer: oneshot::Sender<Result<Done>>,
    _permit: OwnedSemaphorePermit,
}

/// An admission that is on disk, on its way to the request that waits for it. Where it is not
/// taken – the client left, the deadline passed – it is deleted again: nobody was answered.
pub(crate) struct Admitted {
    id: Option<u64>,
    inbox: Arc<Inbox>,
}

impl Admitted {
    /// Of this row.
    pub(crate) fn new(id: u64, inbox: Arc<Inbox>) -> Admitted {
        Admitted { id: Some(id), inbox }
    }

    /// The request has it.
    fn take(mut self) -> Ticket {
        self.inbox.begun.one();
        Ticket { admission: self.id.take() }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.inbox.withdraw(id);
        }
    }
}

/// An admission with the request that waits for it.
pub(crate) struct Asked {
    pub(crate) admission: Admission,
    pub(crate) answer: oneshot::Sender<Result<Admitted>>,
}

/// A record that waits, with the row of its request's admission.
pub(crate) struct Waiting {
    pub(crate) record: Record,
    pub(crate) admission: Option<u64>,
}

/// What the writer does in one transaction.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) jobs: Vec<Job>,
    pub(crate) records: Vec<Waiting>,
    pub(crate) admissions: Vec<Asked>,
    /// Admissions of requests that were not answered after all.
    pub(crate) withdrawn: Vec<u64>,
}

#[derive(Default)]
struct Queues {
    jobs: Vec<Job>,
    admissions: Vec<Asked>,
    withdrawn: Vec<u64>,
    records: VecDeque<Waiting>,
    record_bytes: usize,
    /// Since when something waits that lingers: a record, or an admission to delete.
    lingers_since: Option<Instant>,
    /// Since when the writer is at its turn.
    busy_since: Option<Instant>,
    closed: bool,
}

impl Queues {
    /// What the writer does next. A flush is the last of all that came before it, so it takes
    /// every record along; an admission takes none, since it must not make batches small.
    fn turn(&mut self, lingered: bool) -> Turn {
        let jobs = std::mem::take(&mut self.jobs);
        let flushes = jobs.iter().any(|job| matches!(job.work, Work::Flush));
        let most = match (flushes, jobs.is_empty() && !lingered) {
            (true, _) => usize::MAX,
            (false, true) => 0,
            (false, false) => RECORDS_BATCH,
        };
        let count = self.records.len().min(most);
        let records: Vec<Waiting> = self.records.drain(..count).collect();
        if self.records.is_empty() {
            self.record_bytes = 0;
            self.lingers_since = None;
        } else {
            self.record_bytes -= records.iter().map(|w| text_bytes(&w.record)).sum::<usize>();
        }
        let mut admissions = std::mem::take(&mut self.admissions);
        // Those who gave up meanwhile have refused their requests.
        admissions.retain(|asked| !asked.answer.is_closed());
        let withdrawn = std::mem::take(&mut self.withdrawn);
        self.busy_since = Some(Instant::now());
        Turn { jobs, records, admissions, withdrawn }
    }

    fn linger(&mut self) -> bool {
        let first = self.lingers_since.is_none();
        self.lingers_since.get_or_insert_with(Instant::now);
        first
    }
}

/// Text of a record that is kept, bytes.
fn text_bytes(record: &Record) -> usize {
    let text = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    text(&record.input) + text(&record.output)
}

/// The queues between the handles and the writer thread.
pub(crate) struct Inbox {
    queues: Mutex<Queues>,
    wake: Condvar,
    permits: Arc<Semaphore>,
    records_max: usize,
    /// Requests that were taken on.
    pub(crate) begun: Arc<Begun>,
    ended: AtomicU64,
    dropped: AtomicU64,
    failing: Mutex<Option<StoreError>>,
    stopped: OnceLock<StoreError>,
}

impl Inbox {
    /// An empty one that takes so many records.
    pub(crate) fn new(records_max: usize) -> Inbox {
        Inbox {
            queues: Mutex::default(),
            wake: Condvar::new(),
            permits: Arc::new(Semaphore::new(WORK_MAX)),
            records_max: records_max.max(1),
            begun: Arc::default(),
            ended: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failing: Mutex::default(),
            stopped: OnceLock::new(),
        }
    }

    /// Hands work over and waits for its answer.
    pub(crate) async fn call(&self, work: Work) -> Result<Done> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| gone())?;
        let (answer, waiter) = oneshot::channel();
        {
            let mut queues = self.lock();
            if queues.closed {
                return Err(gone());
            }
            queues.jobs.push(Job { work, answer, _permit: permit });
        }
        self.wake.notify_one();
        waiter.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Waits until an admission is on disk. Given up midway, it is not written, or deleted again.
    pub(crate) async fn admit(&self, admission: Admission) -> Result<Ticket> {
        let (answer, waiter) = oneshot::channel();
        {
            let mut queues = self.lock();
            if queues.closed {
                return Err(gone());
            }
            let busy = queues.busy_since.map(|since| since.elapsed()).unwrap_or_default();
            if busy >= STALLED_AFTER || queues.admissions.len() >= ADMISSIONS_MAX {
                let why = "the disk does not answer: admissions of requests wait for it";
                return Err(StoreError::new(StoreErrorKind::Busy, why));
            }
            queues.admissions.push(Asked { admission, answer });
        }
        self.wake.notify_one();
        waiter.await.unwrap_or_else(|_| Err(gone())).map(Admitted::take)
    }

    /// Ends a request that was refused after all.
    pub(crate) fn withdraw_ticket(&self, Ticket { admission }: Ticket) {
        self.end(1);
        if let Some(id) = admission {
            self.withdraw(id);
        }
    }

    /// Has an admission deleted: its request was not answered.
    fn withdraw(&self, id: u64) {
        let first = {
            let mut queues = self.lock();
            queues.withdrawn.push(id);
            queues.linger()
        };
        if first {
            self.wake.notify_one();
        }
    }

    /// Queues a record; false, and counted, when there is no room.
    pub(crate) fn push_record(&self, ticket: Ticket, record: Record) -> bool {
        let Ticket { admission } = ticket;
        let bytes = text_bytes(&record);
        let first = {
            let mut queues = self.lock();
            let fits = queues.records.len() < self.records_max
                && queues.record_bytes.saturating_add(bytes) <= RECORD_BYTES_MAX;
            if queues.closed || !fits {
                drop(queues);
                self.drop_records(1);
                return false;
            }
            queues.records.push_back(Waiting { record, admission });
            queues.record_bytes += bytes;
            queues.linger()
        };
        if first {
            self.wake.notify_one();
        }
        true
    }

    /// All work that waits and the oldest records, once there is something to do; `None` after the
    /// end. Work and admissions are handed out at once, records alone after a short linger. While
    /// writing fails, there is something to do every [`RETRY_AFTER`] though nothing may wait.
    pub(crate) fn take(&self) -> Option<Turn> {
        let since = Instant::now();
        let mut queues = self.lock();
        queues.busy_since = None;
        loop {
            let fails = self.failing().is_some();
            let linger = if fails { RETRY_AFTER } else { RECORDS_LINGER };
            let lingered = match (fails, queues.lingers_since) {
                (true, _) => Some(since.elapsed()),
                (false, oldest) => oldest.map(|since| since.elapsed()),
            };
            let due = lingered.is_some_and(|waited| waited >= linger);
            let ends = queues.closed && queues.lingers_since.is_some();
            let waits = !queues.jobs.is_empty() || !queues.admissions.is_empty();
            if waits || due || ends {
                return Some(queues.turn(due || ends));
            }
            if queues.closed {
                return None;
            }
            queues = match lingered {
                None => self.wake.wait(queues).unwrap_or_else(PoisonError::into_inner),
                Some(waited) => {
                    let rest = linger.saturating_sub(waited);
                    let woken = self.wake.wait_timeout(queues, rest);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes records back that could not be written, in their order; those that find no room are
    /// dropped, the oldest first, and all of them after the end.
    pub(crate) fn put_back(&self, records: Vec<Waiting>) {
        let mut queues = self.lock();
        let mut lost = 0;
        for waiting in records.into_iter().rev() {
            let bytes = text_bytes(&waiting.record);
            let fits = queues.records.len() < self.records_max
                && queues.record_bytes.saturating_add(bytes) <= RECORD_BYTES_MAX;
            if queues.closed || !fits {
                lost += 1;
                continue;
            }
            queues.record_bytes += bytes;
            queues.records.push_front(waiting);
        }
        if !queues.records.is_empty() {
            queues.linger();
        }
        drop(queues);
        self.drop_records(lost);
    }

    /// Takes nothing more; what waits is still handed out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Takes nothing more and lets go of what waits: the writer is gone.
    pub(crate) fn abandon(&self) {
        let mut queues = self.lock();
        queues.closed = true;
        queues.jobs.clear();
        queues.admissions.clear();
        let lost = queues.records.len();
        queues.records.clear();
        drop(queues);
        self.drop_records(lost);
    }

    /// Counts records as dropped.
    pub(crate) fn drop_records(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
        self.end(count);
    }

    /// Counts requests as ended: their records are written or dropped.
    pub(crate) fn end(&self, count: usize) {
        self.ended.fetch_add(count as u64, Ordering::SeqCst);
    }

    /// How many requests have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Records dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Says that nothing can be written for now, or that it can again.
    pub(crate) fn fails(&self, why: Option<StoreError>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why nothing could be written at the last try.
    pub(crate) fn failing(&self) -> Option<StoreError> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that nothing is acknowledged any more; the first reason stays.
    pub(crate) fn stop(&self, why: StoreError) {
        let _ = self.stopped.set(why);
    }

    /// Why nothing is acknowledged any more.
    pub(crate) fn stopped(&self) -> Option<StoreError> {
        self.stopped.get().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // The queues are whole after every statement, so a panic elsewhere leaves them usable.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> StoreError {
    StoreError::new(
        StoreErrorKind::Stopped,
        "the store's writer has ended; nothing is written any more",
    )
}
