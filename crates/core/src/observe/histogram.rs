//! A sparse log-linear histogram with exact, order-free merging.
//!
//! Values below 64 have a bucket each; above, every power of two is cut into 64 buckets, so a
//! bucket is at most 1/64 (1.6 %) wide. Buckets are fixed, not adaptive: two histograms merge by
//! adding counts, and the same values give the same bytes whatever the order.

use serde::{Deserialize, Serialize};

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;

/// Counts of non-negative integers (microseconds, tokens) by bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct Histogram {
    // In order, without zeros: a copy is one allocation, and looks copy it every second.
    buckets: Vec<(u16, u64)>,
    count: u64,
}

impl From<Vec<(u16, u64)>> for Histogram {
    fn from(pairs: Vec<(u16, u64)>) -> Self {
        let mut histogram = Histogram::default();
        for (bucket, count) in pairs {
            if count > 0 {
                histogram.put(bucket, count);
            }
        }
        histogram
    }
}

impl From<Histogram> for Vec<(u16, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.buckets
    }
}

impl Histogram {
    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        self.put(bucket_of(value), 1);
    }

    fn put(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
        self.count += count;
    }

    /// Adds the other's counts.
    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in &other.buckets {
            self.put(*bucket, *count);
        }
    }

    /// What is here and was not in `earlier`; `None` when a count went backwards.
    pub fn since(&self, earlier: &Histogram) -> Option<Histogram> {
        let mut rest = Histogram::default();
        let mut before = earlier.buckets.iter().peekable();
        for (bucket, count) in &self.buckets {
            let mut left = *count;
            if let Some((_, gone)) = before.next_if(|(other, _)| other == bucket) {
                left = left.checked_sub(*gone)?;
            }
            if left > 0 {
                rest.buckets.push((*bucket, left));
                rest.count += left;
            }
        }
        // A bucket that was there before and is not now is a count that went backwards.
        before.peek().is_none().then_some(rest)
    }

    /// What of it may lie above `value`: whole buckets.
    pub fn tail(&self, value: f64) -> Histogram {
        let first = self.buckets.partition_point(|(bucket, _)| upper_edge(*bucket) as f64 <= value);
        Histogram::from(self.buckets[first..].to_vec())
    }

    /// What `n` values come to of which the share `above(x)`, falling in x, lies above x: from the
    /// bucket of `least` on, rounded so that what lies above an edge is right to half a value.
    pub(crate) fn spread(n: f64, least: u64, above: impl Fn(f64) -> f64) -> Histogram {
        let left = |value: f64| (n * above(value)).round().max(0.0) as u64;
        let mut bucket = bucket_of(least);
        let mut before = left(lower_edge(bucket) as f64);
        let mut pairs = Vec::new();
        while before > 0 && bucket < bucket_of(u64::MAX) {
            let after = left(upper_edge(bucket) as f64 + 1.0).min(before);
            pairs.push((bucket, before - after));
            (before, bucket) = (after, bucket + 1);
        }
        Histogram::from(pairs)
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The upper edge of the bucket that holds the `q` quantile (0 to 1); `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| upper_edge(*bucket))
        })
    }

    /// The buckets in order: (lower edge, upper edge, how many values are at or below it).
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.buckets.iter().scan(0, |seen, (bucket, count)| {
            *seen += count;
            Some((lower_edge(*bucket), upper_edge(*bucket), *seen))
        })
    }

    /// The buckets in order: (lower edge, upper edge, count).
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.buckets.iter().map(|(b, count)| (lower_edge(*b), upper_edge(*b), *count))
    }
}

pub(super) fn bucket_of(value: u64) -> u16 {
    if value < SUB {
        return value as u16;
    }
    let exponent = 63 - value.leading_zeros();
    let sub = (value >> (exponent - SUB_BITS)) - SUB;
    ((u64::from(exponent - SUB_BITS) + 1) * SUB + sub) as u16
}

fn lower_edge(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < SUB {
        return bucket;
    }
    (SUB + bucket % SUB) << (bucket / SUB - 1).min(57)
}

fn upper_edge(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < SUB {
        return bucket;
    }
    let width = 1u64 << (bucket / SUB - 1).min(57);
    ((SUB + bucket % SUB) << (bucket / SUB - 1).min(57)).saturating_add(width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.add(*value);
        }
        histogram
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket_and_buckets_are_narrow(value in 0u64..10_000_000_000) {
            let bucket = bucket_of(value);
            let (low, high) = (lower_edge(bucket), upper_edge(bucket));
            prop_assert!(low <= value && value <= high);
            prop_assert!((high - low) as f64 <= (low as f64 / 64.0).max(0.0));
        }

        #[test]
        fn merging_is_exact_in_any_order(a in prop::collection::vec(0u64..1_000_000, 0..50), b in prop::collection::vec(0u64..1_000_000, 0..50)) {
            let (x, y) = (of(&a), of(&b));
            let (mut xy, mut yx) = (x.clone(), y.clone());
            xy.merge(&y);
            yx.merge(&x);
            prop_assert_eq!(&xy, &yx);
            prop_assert_eq!(serde_json::to_string(&xy).unwrap(), serde_json::to_string(&yx).unwrap());
            prop_assert_eq!(xy.since(&x), Some(y));
        }

        #[test]
        fn a_quantile_is_within_a_bucket_of_the_exact_one(mut values in prop::collection::vec(1u64..5_000_000, 1..200), q in 0.01f64..1.0) {
            let histogram = of(&values);
            values.sort_unstable();
            let exact = values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
            let got = histogram.quantile(q).unwrap();
            prop_assert!(got >= exact && got as f64 <= exact as f64 * (1.0 + 1.0 / 64.0) + 1.0);
        }
    }

    #[test]
    fn values_are_spread_as_told() {
        // Evenly from 0 to 100,000.
        let spread = |n, least| Histogram::spread(n, least, |x| (1.0 - x / 1e5).max(0.0));
        let all = spread(1_000.0, 0);
        assert_eq!(all.count(), 1_000);
        let median = all.quantile(0.5).unwrap();
        assert!((49_000..=51_000).contains(&median), "{median}");
        // From the bucket of 90,000 on, which begins at 89,088.
        assert_eq!(spread(1_000.0, 90_000).count(), 109);
        assert_eq!(spread(0.4, 0), Histogram::default());
    }

    #[test]
    fn counts_that_go_backwards_are_seen() {
        assert_eq!(of(&[1]).since(&of(&[1, 2])), None);
        assert_eq!(Histogram::default().quantile(0.95), None);
    }
}
