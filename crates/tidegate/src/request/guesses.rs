//! Callers that try keys: after ten wrong ones in a minute from one address, or with one beginning,
//! each further one is answered 429. A key that is known is let in all the same, so that nobody is
//! shut out by a neighbour.

use crate::log::{About, Event};
use crate::output;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong keys in a window before the next is answered 429.
const WRONG_MAX: u32 = 10;
/// The window, and how often the log says how many there were.
const WINDOW: Duration = Duration::from_secs(60);
/// Bytes of a key that make it one with others.
const PREFIX: usize = 8;
/// Most addresses and prefixes that are counted at a time; about 100 bytes each.
const COUNTED_MAX: usize = 8_192;

/// Who a wrong key is counted against. No key material is kept, only a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    Prefix([u8; 8]),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    wrong: u32,
}

/// The wrong keys of a listener.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    counts: HashMap<Who, Count>,
    /// Since the last line of the log.
    unsaid: u64,
    addresses: HashSet<IpAddr>,
    /// Whether somebody will say it.
    is_watched: bool,
}

impl Guesses {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a wrong key. Gives for how many seconds more keys like it are answered 429, `None`
    /// where they are not yet.
    pub(super) fn wrong(self: &Arc<Self>, peer: IpAddr, key: &[u8]) -> Option<u64> {
        let mut seen = self.seen();
        let limited = seen.count(network(peer), key, Instant::now());
        if !std::mem::replace(&mut seen.is_watched, true) {
            tokio::spawn(watch(Arc::clone(self)));
        }
        limited
    }
}

impl Seen {
    fn count(&mut self, peer: IpAddr, key: &[u8], now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.addresses.len() < COUNTED_MAX {
            self.addresses.insert(peer);
        }
        if self.counts.len() + 2 > COUNTED_MAX {
            self.counts.retain(|_, count| now.duration_since(count.since) < WINDOW);
        }
        if self.counts.len() + 2 > COUNTED_MAX {
            self.counts.clear();
        }
        let prefix = &key[..key.len().min(PREFIX)];
        let mut digest = [0; 8];
        digest.copy_from_slice(&Sha256::digest(prefix)[..8]);
        let mut limited = None;
        for who in [Who::Address(peer), Who::Prefix(digest)] {
            let count = self.counts.entry(who).or_insert(Count { since: now, wrong: 0 });
            let age = now.duration_since(count.since);
            if age >= WINDOW {
                *count = Count { since: now, wrong: 0 };
            }
            count.wrong = count.wrong.saturating_add(1);
            if count.wrong > WRONG_MAX {
                limited = limited.max(Some((WINDOW.saturating_sub(age)).as_secs().max(1)));
            }
        }
        limited
    }
}

/// One line at once, then one a minute as long as wrong keys come.
async fn watch(guesses: Arc<Guesses>) {
    loop {
        {
            let mut seen = guesses.seen();
            let requests = std::mem::take(&mut seen.unsaid);
            if requests == 0 {
                seen.is_watched = false;
                return;
            }
            let addresses = std::mem::take(&mut seen.addresses).len();
            drop(seen);
            About::service(output::service()).log(&Event::WrongKeys { requests, addresses });
        }
        tokio::time::sleep(WINDOW).await;
    }
}

/// An IPv6 client has a whole network of addresses.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn ten_wrong_keys_a_minute_from_an_address_or_of_a_prefix() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        for key in 0..10 {
            assert_eq!(seen.count(peer(1), format!("{key}-wrong").as_bytes(), now), None);
        }
        assert_eq!(seen.count(peer(1), b"x", now), Some(60));
        assert_eq!(seen.count(peer(2), b"y", now), None, "another address");
        let later = now + WINDOW;
        assert_eq!(seen.count(peer(1), b"z", later), None, "a minute later");
        for last in 10..20 {
            assert_eq!(seen.count(peer(last), b"sk-12345-a", now), None);
        }
        assert!(seen.count(peer(30), b"sk-12345-b", now).is_some(), "one prefix from many");
        assert_eq!(seen.count(peer(31), b"sk-54321-b", now), None);
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        for number in 0..20_000_u32 {
            seen.count(IpAddr::from(number.to_be_bytes()), &number.to_be_bytes(), now);
        }
        assert!(seen.counts.len() <= COUNTED_MAX && seen.addresses.len() <= COUNTED_MAX);
        let far = network("2001:db8:1:2:3:4:5:6".parse().unwrap());
        assert_eq!(far, network("2001:db8:1:2::9".parse::<IpAddr>().unwrap()));
    }
}
