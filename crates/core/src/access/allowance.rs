//! What one key may do at a time: all of its bounds, taken together or not at all.

use super::grant::Grant;
use super::quota::{Bucket, Denied};
use std::fmt;

/// A bound of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundKind {
    /// Requests in a minute.
    Requests,
    /// Tokens in a minute.
    Tokens,
    /// Requests at a time.
    Concurrent,
}

impl fmt::Display for BoundKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BoundKind::Requests => "requests a minute",
            BoundKind::Tokens => "tokens a minute",
            BoundKind::Concurrent => "requests at a time",
        })
    }
}

/// Why a request is not let through. Nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBound {
    /// The bound that it would break.
    pub bound: BoundKind,
    /// How much is allowed.
    pub limit: u64,
    /// How much was asked for: 1 request, or so many tokens.
    pub asked: u64,
    /// µs until it may pass; `None` where that is not known, or it never will.
    pub wait_us: Option<u64>,
}

impl OverBound {
    /// Whether waiting is of no use: the request alone is more than the bound.
    pub fn is_for_good(&self) -> bool {
        self.asked > self.limit
    }
}

/// How a bucket is filled, for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// What it holds when it is full.
    pub limit: u64,
    /// What can be taken now.
    pub left: u64,
    /// µs until it is full again.
    pub full_in_us: u64,
}

impl Level {
    fn of(bucket: &Bucket, now_us: u64) -> Level {
        let (left, full_in_us) = (bucket.left(now_us), bucket.full_in_us(now_us));
        Level { limit: bucket.limit(), left, full_in_us }
    }
}

/// What a key has used of its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    concurrent: Option<u32>,
    running: u32,
}

impl Allowance {
    /// That of a key that has used nothing; `None` for one without bounds.
    pub fn of(grant: &Grant) -> Option<Allowance> {
        let requests = grant.requests_per_min.map(Bucket::per_minute);
        let tokens = grant.tokens_per_min.map(Bucket::per_minute);
        let concurrent = grant.concurrent;
        let is_bound = requests.is_some() || tokens.is_some() || concurrent.is_some();
        is_bound.then_some(Allowance { requests, tokens, concurrent, running: 0 })
    }

    /// Whether tokens are counted.
    pub fn counts_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Lets one request through that is likely to take so many tokens; [`Allowance::end`] has to
    /// follow.
    ///
    /// # Errors
    /// [`OverBound`] when one of the bounds does not allow it.
    pub fn begin(&mut self, tokens: u64, now_us: u64) -> Result<(), OverBound> {
        if let Some(limit) = self.concurrent.filter(|limit| self.running >= *limit) {
            let (bound, limit) = (BoundKind::Concurrent, u64::from(limit));
            return Err(OverBound { bound, limit, asked: 1, wait_us: None });
        }
        // Both are tried on copies: what one refuses must not be taken from the other.
        let requests = taken(self.requests.as_ref(), BoundKind::Requests, 1, now_us)?;
        let tokens = taken(self.tokens.as_ref(), BoundKind::Tokens, tokens, now_us)?;
        (self.requests, self.tokens) = (requests, tokens);
        self.running = self.running.saturating_add(1);
        Ok(())
    }

    /// A request is over: `reserved` tokens were taken for it, `used` it took.
    pub fn end(&mut self, reserved: u64, used: u64, now_us: u64) {
        self.running = self.running.saturating_sub(1);
        if let Some(bucket) = &mut self.tokens {
            if used > reserved {
                bucket.owe(used - reserved, now_us);
            } else {
                bucket.give_back(reserved - used);
            }
        }
    }

    /// How the buckets are filled: of requests, and of tokens.
    pub fn levels(&self, now_us: u64) -> [Option<Level>; 2] {
        [&self.requests, &self.tokens]
            .map(|bucket| bucket.as_ref().map(|bucket| Level::of(bucket, now_us)))
    }
}

fn taken(
    bucket: Option<&Bucket>,
    bound: BoundKind,
    asked: u64,
    now_us: u64,
) -> Result<Option<Bucket>, OverBound> {
    let Some(bucket) = bucket else { return Ok(None) };
    let mut next = bucket.clone();
    let limit = bucket.limit();
    match next.take(asked, now_us) {
        Ok(()) => Ok(Some(next)),
        Err(Denied::For { wait_us }) => {
            Err(OverBound { bound, limit, asked, wait_us: Some(wait_us) })
        }
        Err(Denied::Never) => Err(OverBound { bound, limit, asked, wait_us: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use crate::access::key::{KeyText, RANDOM_BYTES};
    use crate::ids::Digest;
    use proptest::prelude::*;

    fn allowance(requests: Option<u64>, tokens: Option<u64>, concurrent: Option<u32>) -> Allowance {
        let grant = Grant {
            key: KeyText::of(&[1; RANDOM_BYTES]).id(),
            name: "app".to_owned(),
            hash: Digest::of(b""),
            tenant: None,
            role: Role::Call,
            expires_at: None,
            requests_per_min: requests,
            tokens_per_min: tokens,
            concurrent,
        };
        Allowance::of(&grant).unwrap()
    }

    fn refused(allowance: &mut Allowance, tokens: u64, now_us: u64) -> (BoundKind, Option<u64>) {
        let over = allowance.begin(tokens, now_us).unwrap_err();
        (over.bound, over.wait_us)
    }

    #[test]
    fn each_bound_holds_and_a_refusal_takes_nothing() {
        let mut key = allowance(Some(2), Some(100), Some(1));
        key.begin(60, 0).unwrap();
        assert_eq!(refused(&mut key, 1, 0), (BoundKind::Concurrent, None));
        key.end(60, 60, 0);
        assert_eq!(refused(&mut key, 50, 0), (BoundKind::Tokens, Some(6_000_000)));
        key.begin(40, 0).unwrap();
        key.end(40, 0, 0);
        assert_eq!(refused(&mut key, 10, 0), (BoundKind::Requests, Some(30_000_000)));
        assert_eq!(refused(&mut key, 101, 60_000_000), (BoundKind::Tokens, None));
        let [requests, tokens] = key.levels(0);
        assert_eq!(requests.map(|level| level.left), Some(0));
        assert_eq!(tokens.map(|level| (level.left, level.full_in_us)), Some((40, 36_000_000)));
    }

    #[test]
    fn more_than_was_reserved_is_made_up_for() {
        let mut key = allowance(None, Some(60), None);
        key.begin(10, 0).unwrap();
        key.end(10, 90, 0);
        assert_eq!(refused(&mut key, 1, 0), (BoundKind::Tokens, Some(31_000_000)));
    }

    proptest! {
        /// Never more at a time than allowed, and all places are given back.
        #[test]
        fn places_are_neither_lost_nor_made(
            limit in 1_u32..6, steps in prop::collection::vec(any::<bool>(), 1..80),
        ) {
            let mut key = allowance(None, None, Some(limit));
            let mut running = 0;
            for begins in steps {
                if begins {
                    prop_assert_eq!(key.begin(7, 0).is_ok(), running < limit);
                    running = (running + 1).min(limit);
                } else if running > 0 {
                    key.end(7, 3, 0);
                    running -= 1;
                }
                prop_assert_eq!(key.running, running);
            }
        }
    }
}
