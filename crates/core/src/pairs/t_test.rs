//! The t-tests: for samples whose size is fixed before anybody looks. `bench/pairs.py` compares
//! them with scipy's.

use crate::decide::ln_gamma;
use serde::{Deserialize, Serialize};

/// A t-test's result, two-sided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TTest {
    /// The statistic, above 0 where the second sample's mean is larger; infinite where the
    /// differences are all the same and not 0.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// How often chance alone makes a statistic at least as far from 0.
    pub p: f64,
}

/// Size, mean and spread of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many.
    pub count: usize,
    /// Their mean; 0 of none.
    pub mean: f64,
    /// Their variance with `count − 1`; 0 of fewer than two.
    pub variance: f64,
}

impl Sample {
    /// Of values.
    pub fn of(values: &[f64]) -> Sample {
        let count = values.len();
        if count == 0 {
            return Sample { count, mean: 0.0, variance: 0.0 };
        }
        // Beside the first one: of values that are alike and large a plain sum keeps few digits.
        let first = values.first().copied().unwrap_or_default();
        let beside: f64 = values.iter().map(|value| value - first).sum();
        let mean = first + beside / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = if count > 1 { squares / (count - 1) as f64 } else { 0.0 };
        Sample { count, mean, variance }
    }

    /// The standard deviation.
    pub fn std(&self) -> f64 {
        self.variance.sqrt()
    }
}

/// Welch's t-test of two samples that are not paired. `None` with fewer than two values in one, or
/// where neither varies and the means are equal.
pub fn welch(a: &[f64], b: &[f64]) -> Option<TTest> {
    let (a, b) = (Sample::of(a), Sample::of(b));
    if a.count < 2 || b.count < 2 {
        return None;
    }
    let [part_a, part_b] = [a, b].map(|sample| sample.variance / sample.count as f64);
    let spread = part_a + part_b;
    let share = |part: f64, count: usize| part * part / (count - 1) as f64;
    let df = spread * spread / (share(part_a, a.count) + share(part_b, b.count));
    two_sided(b.mean - a.mean, spread, if df.is_nan() { 1.0 } else { df })
}

/// The t-test of pairs. `None` with fewer than two, where the lists are not equally long, or where
/// all differences are 0.
pub fn paired(a: &[f64], b: &[f64]) -> Option<TTest> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let Sample { count, mean, variance } = Sample::of(&differences);
    two_sided(mean, variance / count as f64, (count - 1) as f64)
}

fn two_sided(difference: f64, spread: f64, df: f64) -> Option<TTest> {
    if spread <= 0.0 {
        let t = f64::INFINITY.copysign(difference);
        return (difference != 0.0).then_some(TTest { t, df, p: 0.0 });
    }
    let t = difference / spread.sqrt();
    let square = t * t;
    let p = incomplete_beta(df / (df + square), square / (df + square), df / 2.0, 0.5);
    Some(TTest { t, df, p })
}

/// The regularised incomplete beta function at x with `rest` = 1 − x, by its continued fraction
/// (Lentz), on the side where that converges at once.
fn incomplete_beta(x: f64, rest: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || rest <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(rest, x, b, a);
    }
    let log_front =
        ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * rest.ln() - a.ln();
    log_front.exp() * fraction(x, a, b)
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for step in 1..=500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = result;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            result *= c * d;
        }
        if (result - before).abs() <= 1e-16 * result.abs() {
            break;
        }
    }
    result
}
