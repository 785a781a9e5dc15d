//! Answers that are given again to the same request, where the project turns this on.
//!
//! The same is to the byte: the caller's tenant (without one, its key), the arm, the version set,
//! the API, the features asked of it, and the whole body. So nothing of one tenant reaches another,
//! and no answer of one arm is another's. Answers are in memory alone and forgotten with a restart,
//! after their time, and the oldest first where there are too many.

use crate::config::CacheConfig;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidegate_core::ids::Digest;
use tidegate_wire::translate::Warnings;

/// What an entry takes beside its answer, bytes: its key twice, and the maps' room.
const ENTRY_BYTES: usize = 512;

/// What a client wants of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Wanted {
    /// An answer that is kept, or one that then is.
    #[default]
    Kept,
    /// A fresh answer, which is then kept: `cache-control: no-cache`.
    Fresh,
    /// Nothing is looked up or kept: `cache-control: no-store`.
    Nothing,
}

impl Wanted {
    /// What a request's headers say.
    pub(super) fn of(headers: &HeaderMap) -> Wanted {
        let mut wanted = Wanted::Kept;
        let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
        for word in lines.flat_map(|line| line.split(',')) {
            match word.trim().to_ascii_lowercase().as_str() {
                "no-store" => return Wanted::Nothing,
                "no-cache" => wanted = Wanted::Fresh,
                _ => {}
            }
        }
        wanted
    }
}

/// Everything that an answer follows from.
pub(super) struct Asked<'a> {
    /// The caller's tenant.
    pub(super) tenant: Option<&'a str>,
    /// The name of the caller's key, which counts where there is no tenant.
    pub(super) key: Option<&'a str>,
    /// The arm.
    pub(super) arm: &'a str,
    /// The version set.
    pub(super) set: &'a str,
    /// The API.
    pub(super) api: &'a str,
    /// Features that are asked of it.
    pub(super) features: &'a [u8],
    /// The digest of the body, to the byte.
    pub(super) body: &'a Digest,
}

impl Asked<'_> {
    /// The name of the answer.
    pub(super) fn name(&self) -> Digest {
        let Asked { tenant, key, arm, set, api, features, body } = *self;
        // A tenant's keys are all its own.
        let (kind, who) = match (tenant, key) {
            (Some(tenant), _) => ("tenant", tenant),
            (None, Some(key)) => ("key", key),
            (None, None) => ("none", ""),
        };
        let texts = [kind, who, arm, set, api, body.as_str()].map(str::as_bytes);
        Digest::of_parts(&[&texts[..], &[features]].concat())
    }
}

/// An answer that is given again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    /// Its body, in the client's form.
    pub(super) body: Bytes,
    /// What was left out of the request.
    pub(super) warnings: Warnings,
}

/// The answers that are kept.
#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: usize,
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<Digest, (Kept, Instant)>,
    /// The oldest first; one that was replaced is here twice, with another time.
    order: VecDeque<(Digest, Instant)>,
    bytes: usize,
}

impl Cache {
    /// The cache of a project; `None` where it has none.
    pub(super) fn of(config: &CacheConfig) -> Option<Cache> {
        let CacheConfig { max_mb, ttl_s } = *config;
        let bytes_max = usize::try_from(max_mb.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        (max_mb > 0).then(|| Cache {
            bytes_max,
            ttl: Duration::from_secs(ttl_s),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole after its statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of this name, unless it is too old.
    pub(super) fn find(&self, name: &Digest, now: Instant) -> Option<Kept> {
        let mut state = self.state();
        state.forget(now, self.ttl, self.bytes_max);
        state.answers.get(name).map(|(kept, _)| kept.clone())
    }

    /// Keeps an answer; one that takes more than a quarter of the memory would push out all others.
    pub(super) fn keep(&self, name: Digest, kept: Kept, now: Instant) {
        if size(&kept) > self.bytes_max / 4 {
            return;
        }
        // A slice of a larger buffer would hold all of that.
        let kept = Kept { body: Bytes::copy_from_slice(&kept.body), ..kept };
        let mut state = self.state();
        state.bytes += size(&kept);
        if let Some((old, _)) = state.answers.insert(name.clone(), (kept, now)) {
            state.bytes -= size(&old);
        }
        state.order.push_back((name, now));
        state.forget(now, self.ttl, self.bytes_max);
    }
}

impl State {
    fn forget(&mut self, now: Instant, ttl: Duration, bytes_max: usize) {
        while let Some((name, at)) = self.order.front() {
            let is_current = self.answers.get(name).is_some_and(|(_, kept_at)| kept_at == at);
            let is_over = now.duration_since(*at) >= ttl || self.bytes > bytes_max;
            if is_current && !is_over {
                return;
            }
            if is_current && let Some((kept, _)) = self.answers.remove(name) {
                self.bytes -= size(&kept);
            }
            self.order.pop_front();
        }
    }
}

fn size(kept: &Kept) -> usize {
    kept.body.len().saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests;
