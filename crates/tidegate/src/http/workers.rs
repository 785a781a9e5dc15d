//! The threads that connections are served on: one a core, each with its own runtime.
//!
//! A request that is read, sent upstream and answered on one thread wakes no other one. On a
//! runtime that shares its tasks between threads, each of its four or five wake-ups may be another
//! core's.

use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

/// Most workers: beyond this, what they share (the store's queue, the counters) is the bound.
const WORKERS_MAX: usize = 64;

/// Nice value of the threads for large bodies: a tenth of a worker's share of a busy core.
#[cfg(target_os = "linux")]
const ASIDE_NICE: i32 = 10;

/// How often memory that nobody uses any more is given back.
const SWEEP: Duration = Duration::from_secs(2);

thread_local! {
    /// The worker this thread is; 0 for none.
    static WORKER: Cell<usize> = const { Cell::new(0) };
    /// Where it sends what would hold it up.
    static ASIDE: OnceCell<Handle> = const { OnceCell::new() };
}

/// Runs work that keeps a thread for more than a millisecond: on a worker, its other connections
/// would wait for it, so it runs on threads for such work. It ends where this future is dropped.
///
/// # Errors
/// Where the work panicked.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    let handle = ASIDE.with(|at| at.get().cloned()).unwrap_or_else(Handle::current);
    let mut running = Running(handle.spawn(work));
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
/// thread frees more or ends, a second after it became free; where all rest, nothing would.
async fn sweep() {
    loop {
        tokio::time::sleep(SWEEP).await;
        // Its heap begins with its first allocation, which all of it is for.
        let ends = || drop(std::hint::black_box(Vec::<u8>::with_capacity(64)));
        // Where there is no thread to be had, the next one may be.
        let _ = std::thread::Builder::new().name("sweep".to_owned()).spawn(ends);
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
    all: Vec<Worker>,
    /// They run until it is dropped.
    going: watch::Sender<()>,
    /// Runs what would hold them up.
    aside: Runtime,
}

struct Worker {
    handle: Handle,
    /// Connections it has.
    open: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Workers {
    /// Starts one a core.
    ///
    /// # Errors
    /// When the system gives no more threads or descriptors.
    pub(crate) fn start() -> io::Result<Workers> {
        let (going, _) = watch::channel(());
        let mut aside = Builder::new_multi_thread();
        aside.worker_threads(workers()).thread_name("aside").enable_all();
        aside.on_thread_start(step_back);
        let aside = aside.build()?;
        aside.spawn(sweep());
        let start = |number| Worker::start(number, aside.handle().clone(), going.subscribe());
        let all = (1..=workers()).map(start).collect::<io::Result<_>>()?;
        Ok(Workers { all, going, aside })
    }

    /// Runs a connection on the worker that has the fewest.
    pub(super) fn run(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let fewest = self.all.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed));
        let Some(worker) = fewest else { return };
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
            for worker in self.all {
                // A worker that panicked has ended too.
                let _ = worker.thread.join();
            }
            // Whoever waited for it is gone.
            self.aside.shutdown_background();
        });
        // It only fails where the process ends at once.
        let _ = ended.await;
    }
}

impl Worker {
    fn start(number: usize, aside: Handle, mut going: watch::Receiver<()>) -> io::Result<Worker> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread =
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                WORKER.set(number);
                // The thread is new, so nothing is set.
                let _ = ASIDE.with(|at| at.set(aside));
                // An error says that the sender is gone, which is what is waited for.
                let _ = runtime.block_on(going.changed());
            })?;
        Ok(Worker { handle, open: Arc::default(), thread })
    }
}

/// A connection of a worker, until it is dropped.
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
