//! Users who keep asking, each from its own thread, until they are dropped.

use crate::client;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Users a thread speaks for.
const USERS_EACH: u64 = 200;

#[derive(Default)]
struct Shared {
    address: Mutex<Option<SocketAddr>>,
    moved: Condvar,
    over: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
}

/// Users; they wait while there is no server.
pub(crate) struct Users {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What came of their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// 200.
    pub(crate) answered: u64,
    /// Any other status.
    pub(crate) refused: u64,
    /// No whole answer: the server went in between.
    pub(crate) lost: u64,
}

impl Users {
    /// Starts `threads` threads; `text` makes the question of a user's number.
    pub(crate) fn start(threads: u64, text: fn(u64) -> String) -> Users {
        let shared = Arc::new(Shared::default());
        let ask = |thread: u64| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for n in 0.. {
                    let Some(address) = shared.server() else { return };
                    let user = n % USERS_EACH;
                    let name = format!("user-{thread}-{user}");
                    let count = match client::chat(address, Some(&name), &text(user)) {
                        Ok(answer) if answer.status == 200 => &shared.answered,
                        Ok(_) => &shared.refused,
                        // The server is gone; where the next one is will be said.
                        Err(e) if e.kind() == ErrorKind::ConnectionRefused => continue,
                        Err(_) => &shared.lost,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..threads).map(ask).collect();
        Users { shared, threads }
    }

    /// The same on a server that is there.
    pub(crate) fn of(address: SocketAddr, threads: u64, text: fn(u64) -> String) -> Users {
        let users = Users::start(threads, text);
        users.turn_to(Some(address));
        users
    }

    /// Says where the server is, or that there is none.
    pub(crate) fn turn_to(&self, address: Option<SocketAddr>) {
        *self.shared.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        self.shared.moved.notify_all();
    }

    /// What came of the requests so far.
    pub(crate) fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            answered: read(&self.shared.answered),
            refused: read(&self.shared.refused),
            lost: read(&self.shared.lost),
        }
    }
}

impl Shared {
    /// The server's address once there is one; `None` when it is over.
    fn server(&self) -> Option<SocketAddr> {
        let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.over.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(address) = *address {
                return Some(address);
            }
            address = self.moved.wait(address).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the users: {:?}", self.counts());
        }
        {
            let _held = self.shared.address.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.over.store(true, Ordering::Relaxed);
        }
        self.shared.moved.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// A short question.
pub(crate) fn short(n: u64) -> String {
    format!("Can I return lamp {n} that I bought last week?")
}

/// A question whose answer is long.
pub(crate) fn long(n: u64) -> String {
    format!("I bought lamp {n} last week and want to know how returns work. ").repeat(30)
}
