//! How much at a time: a token bucket that is exact.
//!
//! A bucket of `limit` in a minute is full at first and is refilled evenly. It is kept as one
//! number, the moment at which it would be full again (the generic cell rate algorithm, ITU-T
//! I.371): a taking of `n` moves that moment by `n` minutes / `limit`. Moments are counted in
//! µs × `limit`, so that nothing is ever rounded: in any stretch of time no more passes than
//! `limit` and what was refilled meanwhile.

/// What a bucket is refilled in, µs.
const MINUTE_US: u128 = 60_000_000;

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It can be taken in so many µs, if nothing else is taken meanwhile.
    For {
        /// µs until then.
        wait_us: u64,
    },
    /// It is more than the bucket ever holds.
    Never,
}

/// A bucket of so many in a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    limit: u64,
    /// When it is full again, µs × `limit`.
    full_at: u128,
}

impl Bucket {
    /// A full bucket; one of 0 lets nothing through.
    pub fn per_minute(limit: u64) -> Bucket {
        Bucket { limit, full_at: 0 }
    }

    /// What it holds when it is full.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    fn moment(&self, now_us: u64) -> u128 {
        u128::from(now_us) * u128::from(self.limit)
    }

    /// How far from full it is, µs × `limit`.
    fn missing(&self, now_us: u64) -> u128 {
        self.full_at.saturating_sub(self.moment(now_us))
    }

    /// What can be taken now. A clock that runs backwards refills nothing twice.
    pub fn left(&self, now_us: u64) -> u64 {
        let full = u128::from(self.limit) * MINUTE_US;
        let left = full.saturating_sub(self.missing(now_us)) / MINUTE_US;
        u64::try_from(left).unwrap_or(self.limit)
    }

    /// µs until it is full again.
    pub fn full_in_us(&self, now_us: u64) -> u64 {
        let limit = u128::from(self.limit.max(1));
        u64::try_from(self.missing(now_us).div_ceil(limit)).unwrap_or(u64::MAX)
    }

    /// Takes `count`, or nothing.
    ///
    /// # Errors
    /// [`Denied`] when there is not as much.
    pub fn take(&mut self, count: u64, now_us: u64) -> Result<(), Denied> {
        if count > self.limit {
            return Err(Denied::Never);
        }
        let full = u128::from(self.limit) * MINUTE_US;
        let after = self.missing(now_us).saturating_add(u128::from(count) * MINUTE_US);
        if after > full {
            let limit = u128::from(self.limit.max(1));
            let wait_us = u64::try_from((after - full).div_ceil(limit)).unwrap_or(u64::MAX);
            return Err(Denied::For { wait_us });
        }
        self.full_at = self.moment(now_us).saturating_add(after);
        Ok(())
    }

    /// Puts back what was taken and not used.
    pub fn give_back(&mut self, count: u64) {
        self.full_at = self.full_at.saturating_sub(u128::from(count) * MINUTE_US);
    }

    /// Takes what was used beyond what was taken before; what is missing is made up for by those
    /// who come next.
    pub fn owe(&mut self, count: u64, now_us: u64) {
        let from = self.full_at.max(self.moment(now_us));
        self.full_at = from.saturating_add(u128::from(count).saturating_mul(MINUTE_US));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_full_bucket_is_taken_at_once_and_refilled_evenly() {
        let mut bucket = Bucket::per_minute(6);
        for _ in 0..6 {
            assert_eq!(bucket.take(1, 5 * SECOND), Ok(()));
        }
        assert_eq!(bucket.take(1, 5 * SECOND), Err(Denied::For { wait_us: 10 * SECOND }));
        assert_eq!(bucket.take(1, 15 * SECOND - 1), Err(Denied::For { wait_us: 1 }));
        assert_eq!(bucket.take(1, 15 * SECOND), Ok(()));
        assert_eq!(bucket.left(15 * SECOND), 0);
        assert_eq!(bucket.left(75 * SECOND), 6);
        assert_eq!(bucket.full_in_us(15 * SECOND), 60 * SECOND);
    }

    #[test]
    fn more_than_it_holds_never_passes() {
        assert_eq!(Bucket::per_minute(5).take(6, 0), Err(Denied::Never));
        assert_eq!(Bucket::per_minute(0).take(1, u64::MAX), Err(Denied::Never));
        assert_eq!(Bucket::per_minute(0).take(0, 0), Ok(()));
    }

    #[test]
    fn what_was_used_beyond_is_made_up_for() {
        let mut bucket = Bucket::per_minute(60);
        assert_eq!(bucket.take(10, 0), Ok(()));
        bucket.owe(100, 0);
        assert_eq!(bucket.take(1, 0), Err(Denied::For { wait_us: 51 * SECOND }));
        bucket.give_back(110);
        assert_eq!(bucket.left(0), 60);
    }

    proptest! {
        /// In any stretch no more passes than the limit and what was refilled in it; and who
        /// waits as long as was said gets through.
        #[test]
        fn it_is_exact(
            limit in 1_u64..1_000_000,
            steps in prop::collection::vec((0_u64..5_000_000, 1_u64..2_000), 1..60),
        ) {
            let mut bucket = Bucket::per_minute(limit);
            let mut now = 0_u64;
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for (wait, count) in steps {
                now += wait;
                match bucket.take(count, now) {
                    Ok(()) => taken.push((now, count)),
                    Err(Denied::Never) => prop_assert!(count > limit),
                    Err(Denied::For { wait_us }) => {
                        prop_assert!(count > bucket.left(now));
                        prop_assert!(bucket.clone().take(count, now + wait_us - 1).is_err());
                        prop_assert!(bucket.clone().take(count, now + wait_us).is_ok());
                    }
                }
            }
            for from in 0..taken.len() {
                let mut sum = 0_u128;
                for &(at, count) in &taken[from..] {
                    sum += u128::from(count) * MINUTE_US;
                    let span = u128::from(at - taken[from].0);
                    prop_assert!(sum <= u128::from(limit) * (MINUTE_US + span));
                }
            }
        }

        /// A clock that is set back refills nothing.
        #[test]
        fn a_clock_set_back_refills_nothing(limit in 1_u64..1000, back in 0_u64..u64::MAX / 2) {
            let mut bucket = Bucket::per_minute(limit);
            let now = u64::MAX / 2;
            prop_assert_eq!(bucket.take(limit, now), Ok(()));
            prop_assert!(bucket.take(1, now - back).is_err());
        }
    }
}
