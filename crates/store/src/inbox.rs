//! What waits for the writer: work that is answered, and records that are not.

use crate::error::{Result, StoreError, StoreErrorKind};
use crate::work::{Done, Work};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tidegate_core::evidence::Record;
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

#[derive(Default)]
struct Queues {
    jobs: Vec<Job>,
    records: VecDeque<Record>,
    record_bytes: usize,
    oldest_record: Option<Instant>,
    closed: bool,
}

impl Queues {
    /// What the writer does next. A flush is the last of all that came before it, so it takes
    /// every record along.
    fn batch(&mut self) -> (Vec<Job>, Vec<Record>) {
        let jobs = std::mem::take(&mut self.jobs);
        let flushes = jobs.iter().any(|job| matches!(job.work, Work::Flush));
        let most = if flushes { usize::MAX } else { RECORDS_BATCH };
        let count = self.records.len().min(most);
        let records: Vec<Record> = self.records.drain(..count).collect();
        if self.records.is_empty() {
            self.record_bytes = 0;
            self.oldest_record = None;
        } else {
            self.record_bytes -= records.iter().map(text_bytes).sum::<usize>();
        }
        (jobs, records)
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
            dropped: AtomicU64::new(0),
            failing: Mutex::default(),
            stopped: OnceLock::new(),
        }
    }

    /// Hands work over and waits for its answer.
    pub(crate) async fn call(&self, work: Work) -> Result<Done> {
        let gone = || {
            StoreError::new(
                StoreErrorKind::Stopped,
                "the store's writer has ended; nothing is written any more",
            )
        };
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

    /// Queues a record; false, and counted, when there is no room.
    pub(crate) fn push_record(&self, record: Record) -> bool {
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
            queues.records.push_back(record);
            queues.record_bytes += bytes;
            let first = queues.oldest_record.is_none();
            queues.oldest_record.get_or_insert_with(Instant::now);
            first
        };
        if first {
            self.wake.notify_one();
        }
        true
    }

    /// All work that waits and the oldest records, once there is something to do; `None` after the
    /// end. Work is handed out at once, records alone after a short linger. While writing fails,
    /// there is something to do every [`RETRY_AFTER`] though nothing may wait.
    pub(crate) fn take(&self) -> Option<(Vec<Job>, Vec<Record>)> {
        let since = Instant::now();
        let mut queues = self.lock();
        loop {
            let fails = self.failing().is_some();
            let linger = if fails { RETRY_AFTER } else { RECORDS_LINGER };
            let lingered = match (fails, queues.oldest_record) {
                (true, _) => Some(since.elapsed()),
                (false, oldest) => oldest.map(|since| since.elapsed()),
            };
            let due = lingered.is_some_and(|waited| waited >= linger);
            let ends = queues.closed && !queues.records.is_empty();
            if !queues.jobs.is_empty() || due || ends {
                return Some(queues.batch());
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
    pub(crate) fn put_back(&self, records: Vec<Record>) {
        let mut queues = self.lock();
        let mut lost = 0;
        for record in records.into_iter().rev() {
            let bytes = text_bytes(&record);
            let fits = queues.records.len() < self.records_max
                && queues.record_bytes.saturating_add(bytes) <= RECORD_BYTES_MAX;
            if queues.closed || !fits {
                lost += 1;
                continue;
            }
            queues.record_bytes += bytes;
            queues.records.push_front(record);
        }
        if !queues.records.is_empty() {
            queues.oldest_record.get_or_insert_with(Instant::now);
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
        let lost = queues.records.len();
        queues.records.clear();
        drop(queues);
        self.drop_records(lost);
    }

    /// Counts records as dropped.
    pub(crate) fn drop_records(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
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
