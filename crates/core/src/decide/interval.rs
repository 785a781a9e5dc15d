//! Anytime-valid intervals: they hold at every moment at once, so looking every second costs no
//! extra false alarms.
//!
//! - Rates: the method of mixtures with a Beta(½, ½) mixture (Robbins 1970; Howard et al. 2021,
//!   "Time-uniform, nonparametric, nonasymptotic confidence sequences"). The likelihood ratio of
//!   the mixture to the true rate is a martingale starting at 1, so by Ville's inequality it ever
//!   exceeds 1/α with probability at most α. It stays valid for observations anywhere in [0, 1]
//!   with that mean, since the ratio is convex in the observation.
//! - Quantiles: the same test on "at or below x" for every bucket edge x (Howard & Ramdas 2022).
//!   The
//!   true quantile lies in one fixed bucket, and only that one must survive, so testing every
//!   bucket needs no correction. Edges are rounded outwards.
//! - Means: the asymptotic confidence sequence of Waudby-Smith et al. (2024). It is valid in the
//!   limit only, so it says nothing below [`MIN_FOR_MEAN`] samples.
//!
//! They are used for ceilings, where one arm is compared with a number.

use super::means::Sums;
use crate::observe::Histogram;

/// Fewest samples for a mean's interval.
const MIN_FOR_MEAN: f64 = 50.0;

/// Sample size at which the mean's interval is tightest.
const MEAN_TUNED_FOR: f64 = 1_000.0;

/// A closed interval; the ends may be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

/// An interval for the mean of `n` observations in [0, 1] that sum to `sum`, at level `alpha`.
pub(crate) fn rate(sum: f64, n: f64, alpha: f64) -> Interval {
    if n <= 0.0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let budget = (1.0 / alpha).ln();
    let mixture = mixture_log(sum, n);
    let outside = |p: f64| mixture - likelihood_log(sum, n, p) >= budget;
    let mean = (sum / n).clamp(0.0, 1.0);
    let low = if outside(f64::MIN_POSITIVE) { edge(f64::MIN_POSITIVE, mean, outside) } else { 0.0 };
    let high = if outside(1.0 - 1e-16) { edge(1.0 - 1e-16, mean, outside) } else { 1.0 };
    Interval { low, high }
}

/// Whether the mean of `n` observations in [0, 1] that sum to `sum` is proven to be at most
/// `limit`, at level `alpha`. Half of the stake goes to the bet that the mean is 0, which wins
/// fastest where it is and is lost with the first observation above; half to the mixture of
/// [`rate`].
pub(crate) fn is_rate_within(sum: f64, n: f64, limit: f64, alpha: f64) -> bool {
    if n <= 0.0 || limit >= 1.0 || sum / n >= limit {
        return n > 0.0 && limit >= 1.0;
    }
    let p = limit.max(f64::MIN_POSITIVE);
    let none = if sum > 0.0 { f64::NEG_INFINITY } else { -n * (-p).ln_1p() };
    let some = log_e_of_rate(sum, n, p);
    let most = none.max(some);
    most + ((none - most).exp() + (some - most).exp()).ln() - 2f64.ln() >= (1.0 / alpha).ln()
}

/// ln of the e-value against the null that `n` observations in [0, 1] that sum to
/// `sum` have rate `p`.
pub(crate) fn log_e_of_rate(sum: f64, n: f64, p: f64) -> f64 {
    mixture_log(sum, n) - likelihood_log(sum, n, p.clamp(f64::MIN_POSITIVE, 1.0 - 1e-16))
}

/// Bisects between a point that is outside and one that is not; gives the outer side of the edge.
fn edge(mut out: f64, mut inside: f64, outside: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = f64::midpoint(out, inside);
        if outside(middle) {
            out = middle;
        } else {
            inside = middle;
        }
    }
    out
}

/// ln of the Beta(½, ½) mixture's likelihood.
fn mixture_log(sum: f64, n: f64) -> f64 {
    ln_beta(0.5 + sum, 0.5 + n - sum) - ln_beta(0.5, 0.5)
}

/// ln of the likelihood of rate `p`, which lies strictly within 0 and 1.
fn likelihood_log(sum: f64, n: f64, p: f64) -> f64 {
    let rest = n - sum;
    let term = |count: f64, log: f64| if count > 0.0 { count * log } else { 0.0 };
    term(sum, p.ln()) + term(rest, (-p).ln_1p())
}

/// An interval for the `q` quantile of what the histogram counts, at level `alpha`; the upper end
/// is infinite and the lower one 0 while there is too little data to bound them.
///
/// `effect` is the design effect of clustered values, at least 1.
pub(crate) fn quantile(histogram: &Histogram, q: f64, alpha: f64, effect: f64) -> Interval {
    let n = histogram.count() as f64 / effect;
    // A side has alpha / 2: one bound is wrong with at most that.
    let budget = (2.0 / alpha).ln();
    let rejects = |count: f64| mixture_log(count, n) - likelihood_log(count, n, q) >= budget;
    let (mut low, mut high) = (None, 0.0);
    let mut below = 0.0;
    for (lower, upper, at_or_below) in histogram.cumulative() {
        let at_or_below = at_or_below as f64 / effect;
        let surely_above = at_or_below < q * n && rejects(at_or_below);
        let surely_below = below > q * n && rejects(below);
        if !surely_above && low.is_none() {
            low = Some(lower as f64);
        }
        if !surely_below {
            high = upper as f64;
        }
        below = at_or_below;
    }
    // Is it plausible that the quantile lies beyond the largest value seen, or below the smallest?
    if n == 0.0 || !rejects(n) {
        high = f64::INFINITY;
    }
    if n == 0.0 || !rejects(0.0) {
        low = Some(0.0);
    }
    Interval { low: low.unwrap_or(0.0), high }
}

/// An interval for a mean from its sums, at level `alpha`; unbounded below [`MIN_FOR_MEAN`]
/// samples. `effect` is the design effect of clustered values, at least 1.
pub(crate) fn mean(sums: &Sums, alpha: f64, effect: f64) -> Interval {
    if sums.n < MIN_FOR_MEAN {
        return Interval { low: 0.0, high: f64::INFINITY };
    }
    let (n, centre, variance) = (sums.n, sums.mean(), sums.variance() * effect);
    let log = -2.0 * alpha.ln();
    let rho_squared = (log + (log + 1.0).ln()) / MEAN_TUNED_FOR;
    let scaled = n * rho_squared + 1.0;
    let radius =
        (2.0 * scaled / (n * n * rho_squared) * (scaled.sqrt() / alpha).ln() * variance).sqrt();
    Interval { low: (centre - radius).max(0.0), high: centre + radius }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln Γ(x) for x > 0, by Stirling's series after moving x up to at least 10 (error below 1e-13).
pub(crate) fn ln_gamma(x: f64) -> f64 {
    let mut x = x;
    let mut shift = 0.0;
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::chance::Chance;

    #[test]
    fn ln_gamma_is_right() {
        // Γ(5) = 24, Γ(½) = √π, Γ(101) = 100!, ln 100! = 363.73937555556349…
        for (x, expected) in [
            (5.0, 24f64.ln()),
            (0.5, std::f64::consts::PI.sqrt().ln()),
            (101.0, 363.739_375_555_563_5),
        ] {
            assert!((ln_gamma(x) - expected).abs() < 1e-11, "{x}: {}", ln_gamma(x));
        }
    }

    #[test]
    fn a_rate_interval_holds_the_estimate_and_narrows() {
        let (small, large) = (rate(2.0, 100.0, 0.01), rate(200.0, 10_000.0, 0.01));
        for interval in [small, large] {
            assert!(interval.low < 0.02 && interval.high > 0.02, "{interval:?}");
        }
        assert!(large.high - large.low < (small.high - small.low) / 5.0);
        assert_eq!(rate(0.0, 0.0, 0.01), Interval { low: 0.0, high: 1.0 });
        assert!(rate(0.0, 50.0, 0.01).low == 0.0 && rate(50.0, 50.0, 0.01).high == 1.0);
    }

    /// Peeking after every observation must miss the truth at most alpha of the time. With 2,000
    /// runs and alpha 5 %, 130 misses would be over 3 standard deviations too many.
    #[test]
    fn peeking_at_every_step_keeps_the_level() {
        let alpha = 0.05;
        for truth in [0.02, 0.3] {
            let mut draw = Chance(7);
            let misses = (0..2_000)
                .filter(|_| {
                    let mut sum = 0.0;
                    (1..=400).any(|n| {
                        sum += f64::from(u8::from(draw.uniform() < truth));
                        let n = f64::from(n);
                        let ratio = mixture_log(sum, n) - likelihood_log(sum, n, truth);
                        ratio >= (1.0f64 / alpha).ln()
                    })
                })
                .count();
            assert!(misses <= 130, "rate {truth}: missed {misses} of 2,000");
            // And it is not so wide that it could not fail.
            assert!(misses > 0, "rate {truth}: never missed");
        }
    }

    #[test]
    fn a_quantile_interval_keeps_the_level_and_is_unbounded_on_little_data() {
        let mut draw = Chance(11);
        let mut missed = 0;
        for _ in 0..300 {
            let mut histogram = Histogram::default();
            let mut miss = false;
            for n in 1..=1_000 {
                // Uniform on 0…1,000,000 µs: the 95th percentile is 950,000.
                histogram.add((draw.uniform() * 1e6) as u64);
                if n <= 20 || n % 50 == 0 {
                    let interval = quantile(&histogram, 0.95, 0.05, 1.0);
                    miss |= interval.low > 950_000.0 || interval.high < 950_000.0;
                }
            }
            missed += u32::from(miss);
        }
        assert!(missed <= 25, "missed {missed} of 300");
        let mut few = Histogram::default();
        (0..20).for_each(|i| few.add(1_000 + i));
        assert_eq!(quantile(&few, 0.95, 0.01, 1.0).high, f64::INFINITY);
        let mut one = Histogram::default();
        one.add(1_000);
        for q in [0.05, 0.95, 0.99] {
            let says = quantile(&one, q, 0.001, 1.0);
            assert_eq!((says.low, says.high), (0.0, f64::INFINITY), "one value says nothing");
        }
        assert_eq!(quantile(&Histogram::default(), 0.95, 0.01, 1.0).low, 0.0);
    }

    #[test]
    fn a_mean_interval_needs_samples_and_holds_the_mean() {
        let of = |n, sum, squares| Sums { n, sum, squares, by: n, cross: sum };
        assert_eq!(mean(&of(49.0, 490.0, 5_000.0), 0.01, 1.0).high, f64::INFINITY);
        // 1,000 values of 90 and 110 in turn.
        let interval = mean(&of(1_000.0, 100_000.0, 10_100_000.0), 0.01, 1.0);
        assert!(interval.low < 100.0 && interval.high > 100.0);
        assert!(interval.high - interval.low < 4.0, "{interval:?}");
    }
}
