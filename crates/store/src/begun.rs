//! How many requests were taken on. What a process knows dies with it, so the number is kept in a
//! file beside the state, and after a kill it can be said how many requests have no record.
//!
//! A write for each request would cost more than the count is worth. So a thread writes two numbers
//! now and then: how many began, and a bound that it keeps ahead of them, by what begins within
//! [`AHEAD_MS`]. The file is not synced: what was handed to the system survives the process, and
//! not a power cut. A request never waits for it: on a disk that does not answer, the numbers stay
//! behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Requests that the bound is ahead by at least: what may begin between the waking of the thread
/// and its write, some ten microseconds later. Each kill makes the bound too high by so many.
const AHEAD_MIN: u64 = 16;
/// Time of requests that it is ahead by, ms; the thread is woken when half of it has gone by.
const AHEAD_MS: u64 = 40;
/// After so long without a request the bound is set to what began, and the next one wakes the
/// thread.
const QUIET: Duration = Duration::from_millis(100);

/// The count of a process.
#[derive(Default)]
pub(crate) struct Begun {
    count: AtomicU64,
    /// The thread is woken from this count on.
    wake_at: AtomicU64,
    over: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Begun {
    /// Counts a request.
    pub(crate) fn one(&self) {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        // Without a thread nobody counts for after a kill.
        if count >= self.wake_at.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// How many began.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Keeps the count of a writer's epoch in a file, from a thread that ends after [`Self::end`].
    pub(crate) fn keep(self: &Arc<Begun>, path: &Path, epoch: u64) -> io::Result<JoinHandle<()>> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        Kept { epoch, count: 0, bound: 0 }.write(&mut file)?;
        let begun = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("tidegate-count".to_owned())
            .spawn(move || begun.run(epoch, &mut file))?;
        let _ = self.thread.set(thread.thread().clone());
        Ok(thread)
    }

    /// Has the thread write the last count and end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn run(&self, epoch: u64, file: &mut File) {
        let mut before = (0, Instant::now());
        loop {
            let (count, now) = (self.count(), Instant::now());
            let arrived = count - before.0;
            let is_over = self.over.load(Ordering::SeqCst);
            if arrived == 0 || is_over {
                self.wake_at.store(count + 1, Ordering::SeqCst);
                if self.count() > count {
                    // It came before it could see that it has to wake this thread.
                    continue;
                }
                // What cannot be written stays behind; nobody waits for it.
                let _ = Kept { epoch, count, bound: count }.write(file);
                if is_over {
                    return;
                }
                std::thread::park();
            } else {
                let elapsed_ms = u64::try_from((now - before.1).as_millis()).unwrap_or(u64::MAX);
                let ahead = AHEAD_MIN + arrived * AHEAD_MS / elapsed_ms.max(1);
                self.wake_at.store(count + ahead / 2, Ordering::SeqCst);
                let _ = Kept { epoch, count, bound: count + ahead }.write(file);
                std::thread::park_timeout(QUIET);
            }
            before = (count, now);
        }
    }
}

/// What is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The writer's epoch.
    pub(crate) epoch: u64,
    /// Requests that had begun when it was written.
    pub(crate) count: u64,
    /// As many at most began until it is written again.
    pub(crate) bound: u64,
}

impl Kept {
    /// As the file has it; `None` where there is none, or half of one.
    pub(crate) fn read(path: &Path) -> Option<Kept> {
        let mut text = String::new();
        File::open(path).ok()?.take(128).read_to_string(&mut text).ok()?;
        let mut numbers = text.strip_suffix('\n')?.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Kept { epoch: next()?, count: next()?, bound: next()? })
    }

    /// In the place of what is there; of one length, so that one write replaces all of it.
    fn write(self, file: &mut File) -> io::Result<()> {
        let Kept { epoch, count, bound } = self;
        file.rewind()?;
        file.write_all(format!("{epoch:020} {count:020} {bound:020}\n").as_bytes())
    }
}
