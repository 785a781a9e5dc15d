//! `Idempotency-Key`: a request that is sent again is carried out once.
//!
//! As at Stripe: while the first runs the others get 409; what it was answered is given again for
//! some time; the same key with another body is a mistake, 422. Only answers are kept: what failed
//! may be tried again under its key. A stream is not kept: the next one under its key is carried
//! out.
//! All of it is in memory, so a restart forgets it.

use super::auth::Caller;
use super::bounds::{REPEAT_KEY_MAX, REPEATS_BYTES, REPEATS_KEPT, REPEATS_MAX};
use super::code::Code;
use super::problem::{Next, Problem};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tidegate_core::ids::Digest;

/// The client's name for a request, the same however often it sends it.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before, as at Stripe.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Whose key it is, and the key: two tenants may use the same.
type Key = (Option<Arc<str>>, Option<Arc<str>>, String);

/// The requests with a key that run, and the answers of the last ones.
#[derive(Default)]
pub(super) struct Repeats {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Kept answers, the oldest first.
    order: VecDeque<(Key, Instant)>,
    bytes: usize,
}

struct Entry {
    body: Digest,
    /// `None` while the request runs.
    answer: Option<Kept>,
}

/// An answer that is given again.
#[derive(Clone)]
pub(super) struct Kept {
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body.
    pub(super) body: Bytes,
}

/// What a request with a key is.
pub(super) enum Begun {
    /// The first; its turn ends when this is dropped.
    First(Turn),
    /// One that was answered before.
    Again(Kept),
}

/// The right to carry a request out; nobody else has it under this key.
pub(super) struct Turn {
    repeats: Arc<Repeats>,
    key: Key,
    answer: Option<Kept>,
}

impl Repeats {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole after its statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request of this caller under its key; `body` are its bytes.
    pub(super) fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        key: &HeaderValue,
        body: &[u8],
    ) -> Result<Begun, Problem> {
        let Caller { key: credential, tenant, holder: _ } = caller;
        // A tenant's keys are all its own.
        let credential = credential.clone().filter(|_| tenant.is_none());
        let key = (tenant.clone(), credential, checked(key)?);
        let body = Digest::of(body);
        let mut state = self.state();
        state.forget(Instant::now());
        match state.entries.get(&key) {
            None => {
                state.entries.insert(key.clone(), Entry { body, answer: None });
                Ok(Begun::First(Turn { repeats: Arc::clone(self), key, answer: None }))
            }
            Some(entry) if entry.body != body => Err(other_body()),
            Some(Entry { answer: None, .. }) => Err(in_progress()),
            Some(Entry { answer: Some(kept), .. }) => Ok(Begun::Again(kept.clone())),
        }
    }
}

impl State {
    /// Forgets answers that are old, and the oldest where there are too many.
    fn forget(&mut self, now: Instant) {
        while let Some((key, at)) = self.order.front() {
            let is_over = now.duration_since(*at) >= REPEATS_KEPT
                || self.order.len() > REPEATS_MAX
                || self.bytes > REPEATS_BYTES;
            if !is_over {
                return;
            }
            let kept = self.entries.remove(key).and_then(|entry| entry.answer);
            self.bytes -= kept.map_or(0, |kept| kept.body.len());
            self.order.pop_front();
        }
    }
}

impl Turn {
    /// Keeps the answer for those who ask again.
    pub(super) fn keep(mut self, headers: &HeaderMap, body: &Bytes) {
        let mut headers = headers.clone();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        // A slice of a larger buffer would hold all of that.
        let body = Bytes::copy_from_slice(body);
        self.answer = Some(Kept { headers, body });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.repeats.state();
        match (self.answer.take(), state.entries.get_mut(&self.key)) {
            (Some(kept), Some(entry)) => {
                let bytes = kept.body.len();
                entry.answer = Some(kept);
                let now = Instant::now();
                state.bytes += bytes;
                state.order.push_back((self.key.clone(), now));
                state.forget(now);
            }
            (Some(_) | None, _) => drop(state.entries.remove(&self.key)),
        }
    }
}

fn checked(key: &HeaderValue) -> Result<String, Problem> {
    let text = key.to_str().ok().filter(|text| (1..=REPEAT_KEY_MAX).contains(&text.len()));
    text.map(str::to_owned).ok_or_else(|| {
        let message = format!("`idempotency-key` must have 1 to {REPEAT_KEY_MAX} ASCII characters");
        Problem::bad_request(Code::BadHeaders, message)
    })
}

fn in_progress() -> Problem {
    let message = "a request with this `idempotency-key` is being answered; ask again later";
    let status = StatusCode::CONFLICT;
    Problem::client(status, Code::IdempotencyInProgress, message.to_owned())
        .next(Next::RetryAfter(1))
}

fn other_body() -> Problem {
    let message = "this `idempotency-key` was used with another body; use a new key";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::client(status, Code::IdempotencyKeyReused, message.to_owned()).next(Next::DoNotRetry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(
        repeats: &Arc<Repeats>,
        tenant: &str,
        key: &str,
        body: &str,
    ) -> Result<Begun, Problem> {
        let caller = Caller { key: Some("app".into()), tenant: Some(tenant.into()), holder: None };
        repeats.begin(&caller, &HeaderValue::from_str(key).unwrap(), body.as_bytes())
    }

    #[track_caller]
    fn first(begun: Result<Begun, Problem>) -> Turn {
        match begun {
            Ok(Begun::First(turn)) => turn,
            Ok(Begun::Again(_)) => panic!("it was answered before"),
            Err(problem) => panic!("{problem:?}"),
        }
    }

    #[track_caller]
    fn check_refused(begun: Result<Begun, Problem>, status: u16) {
        assert_eq!(begun.err().map(|problem| problem.status.as_u16()), Some(status));
    }

    #[test]
    fn a_key_has_one_turn_and_then_its_answer() {
        let repeats = Arc::new(Repeats::default());
        let turn = first(begin(&repeats, "acme", "k", "a"));
        check_refused(begin(&repeats, "acme", "k", "a"), 409);
        check_refused(begin(&repeats, "acme", "k", "b"), 422);
        drop(first(begin(&repeats, "beta", "k", "b")));
        drop(turn);
        let turn = first(begin(&repeats, "acme", "k", "b"));
        turn.keep(&HeaderMap::new(), &Bytes::from_static(b"answer"));
        assert!(matches!(begin(&repeats, "acme", "k", "b"), Ok(Begun::Again(_))));
        check_refused(begin(&repeats, "acme", "k", "a"), 422);
        check_refused(begin(&repeats, "acme", "", "a"), 400);
        check_refused(begin(&repeats, "acme", &"k".repeat(REPEAT_KEY_MAX + 1), "a"), 400);
    }

    #[test]
    fn what_is_kept_has_bounds() {
        let repeats = Arc::new(Repeats::default());
        let large = Bytes::from(vec![b'x'; REPEATS_BYTES / 4]);
        for n in 0..9 {
            first(begin(&repeats, "acme", &format!("k{n}"), "a")).keep(&HeaderMap::new(), &large);
        }
        let state = repeats.state();
        assert!(state.bytes <= REPEATS_BYTES && state.entries.len() == 4, "{}", state.bytes);
        drop(state);
        let small = Bytes::from_static(b"x");
        for n in 0..REPEATS_MAX + 9 {
            first(begin(&repeats, "acme", &format!("s{n}"), "a")).keep(&HeaderMap::new(), &small);
        }
        let mut state = repeats.state();
        assert_eq!((state.order.len(), state.entries.len()), (REPEATS_MAX, REPEATS_MAX));
        state.forget(Instant::now() + REPEATS_KEPT);
        assert_eq!((state.bytes, state.entries.len()), (0, 0));
    }
}
