//! The threads that connections are served on: one a core, each with its own runtime.
//!
//! A request that is read, sent upstream and answered on one thread wakes no other one. On a
//! runtime that shares its tasks between threads, each of its four or five wake-ups may be another
//! core's.

use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

/// Most workers: beyond this, what they share (the store's queue, the counters) is the bound.
const WORKERS_MAX: usize = 64;

/// Nice value of the threads for large bodies: a tenth of a worker's share of a busy core.
#[cfg(target_os = "linux")]
const ASIDE_NICE: i32 = 10;

/// How often memory that nobody uses any more is given back.
const SWEEP: Duration = Duration::from_secs(2);
/// Allocations after which a thread's heap lets go of pages that are free: mimalloc's
/// `generic_collect`.
const COLLECTS_AFTER: usize = 10_000;
/// Larger than what has a fast path past that count, bytes; mimalloc's is 1 KiB.
const COUNTED_BYTES: usize = 2_048;

thread_local! {
    /// The worker this thread is; 0 for none.
    static WORKER: Cell<usize> = const { Cell::new(0) };
    /// Where it sends what would hold it up.
    static ASIDE: OnceCell<Arc<[Thread]>> = const { OnceCell::new() };
}

/// How often work was sent aside.
static SENT_ASIDE: AtomicU64 = AtomicU64::new(0);

/// Runs work that keeps a thread for more than a millisecond: on a worker, its other connections
/// would wait for it, so it runs on threads for such work. It ends where this future is dropped.
///
/// # Errors
/// Where the work panicked.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    SENT_ASIDE.fetch_add(1, Ordering::Relaxed);
    let threads = ASIDE.with(|at| at.get().cloned());
    let fewest = threads.as_deref().and_then(fewest);
    let (handle, open) = match fewest {
        Some(thread) => (thread.handle.clone(), Some(Open::one_more(&thread.open))),
        None => (Handle::current(), None),
    };
    let mut running = Running(handle.spawn(async move {
        let done = work.await;
        drop(open);
        done
    }));
    (&mut running.0).await
}

/// Leaves the cores to the workers where both want them: a large body takes tens of milliseconds,
/// for which many small requests would wait.
fn step_back() {
    // Without it, both have the same share.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, ASIDE_NICE);
}

/// Gives memory back while nothing else happens. mimalloc returns what is free to the system when a
/// thread frees more or ends, a second after it became free; where all rest, nothing would. And a
/// thread that rests keeps pages of up to 4 MiB that it might use again: after large bodies each
/// thread lets go of them.
async fn sweep(threads: Vec<Handle>) {
    let (mut before, mut again) = (0, false);
    loop {
        tokio::time::sleep(SWEEP).await;
        // What was sent aside may have ended just now, so that each look is followed by one more.
        let sent = SENT_ASIDE.load(Ordering::Relaxed);
        if sent != before || again {
            threads.iter().for_each(|thread| drop(thread.spawn(async { collect() })));
            again = sent != before;
            before = sent;
        }
        // Its heap begins with its first allocation, which all of it is for.
        let ends = || drop(std::hint::black_box(Vec::<u8>::with_capacity(64)));
        // Where there is no thread to be had, the next one may be.
        let _ = std::thread::Builder::new().name("sweep".to_owned()).spawn(ends);
    }
}

/// Has this thread's heap let go of what is free, by as many allocations as it counts to that: some
/// 0.3 ms. `mi_collect` would need `unsafe` code.
fn collect() {
    for _ in 0..=COLLECTS_AFTER {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(COUNTED_BYTES)));
    }
}

/// A task that ends where this is dropped.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Something that each worker has its own of, and all other threads one together.
#[derive(Debug)]
pub(crate) struct PerWorker<T>(Vec<T>);

impl<T> PerWorker<T> {
    /// Makes one for each.
    pub(crate) fn new(make: impl FnMut() -> T) -> PerWorker<T> {
        PerWorker(std::iter::repeat_with(make).take(workers() + 1).collect())
    }

    /// The caller's own.
    pub(crate) fn get(&self) -> &T {
        &self.0[WORKER.get()]
    }
}

/// How many workers a listener has: one for each core that the process may use, as it was when
/// first asked.
fn workers() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX)
    })
}

/// The workers of a listener; they end when this is stopped.
pub(crate) struct Workers {
    all: Arc<[Thread]>,
    ends: Vec<std::thread::JoinHandle<()>>,
    /// They run until it is dropped.
    going: watch::Sender<()>,
    /// Those that run what would hold them up, until this is dropped.
    _aside: watch::Sender<()>,
}

/// A thread with its own runtime.
struct Thread {
    handle: Handle,
    /// Connections that it has, or work.
    open: Arc<AtomicUsize>,
}

/// The one that has the least.
fn fewest(threads: &[Thread]) -> Option<&Thread> {
    threads.iter().min_by_key(|thread| thread.open.load(Ordering::Relaxed))
}

impl Workers {
    /// Starts one a core.
    ///
    /// # Errors
    /// When the system gives no more threads or descriptors.
    pub(crate) fn start() -> io::Result<Workers> {
        let ((going, _), (running, _)) = (watch::channel(()), watch::channel(()));
        let mut aside = Vec::new();
        for number in 1..=workers() {
            let (thread, _ends) =
                Thread::start(format!("aside-{number}"), running.subscribe(), step_back)?;
            aside.push(thread);
        }
        let (aside, mut all, mut ends) = (Arc::from(aside), Vec::new(), Vec::new());
        for number in 1..=workers() {
            let beside: Arc<[Thread]> = Arc::clone(&aside);
            let begin = move || {
                WORKER.set(number);
                // The thread is new, so nothing is set.
                let _ = ASIDE.with(|at| at.set(beside));
            };
            let (thread, end) =
                Thread::start(format!("worker-{number}"), going.subscribe(), begin)?;
            all.push(thread);
            ends.push(end);
        }
        let handles = all.iter().chain(&*aside).map(|thread| thread.handle.clone());
        if let Some(first) = aside.first() {
            first.handle.spawn(sweep(handles.collect()));
        }
        Ok(Workers { all: all.into(), ends, going, _aside: running })
    }

    /// Runs a connection on the worker that has the fewest.
    pub(super) fn run(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let Some(worker) = fewest(&self.all) else { return };
        let open = Open::one_more(&worker.open);
        worker.handle.spawn(async move {
            connection.await;
            drop(open);
        });
    }

    /// Ends them: what still runs is dropped where it waits, and so counted as cut.
    pub(super) async fn stop(self) {
        let ended = tokio::task::spawn_blocking(move || {
            drop(self.going);
            for thread in self.ends {
                // A worker that panicked has ended too.
                let _ = thread.join();
            }
            // Whoever waited for what is done aside is gone.
        });
        // It only fails where the process ends at once.
        let _ = ended.await;
    }
}

impl Thread {
    /// Starts one, which first does `begin` and runs until the sender of `going` is dropped.
    fn start(
        name: String,
        mut going: watch::Receiver<()>,
        begin: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Thread, std::thread::JoinHandle<()>)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            begin();
            // An error says that the sender is gone, which is what is waited for.
            let _ = runtime.block_on(going.changed());
        })?;
        Ok((Thread { handle, open: Arc::default() }, thread))
    }
}

/// A connection of a worker, or work aside, until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn one_more(count: &Arc<AtomicUsize>) -> Open {
        count.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
