//! The few distributions that the benchmark and its peers need: the normal, the beta, and the exact
//! binomial bounds of Clopper and Pearson (1934).
//!
//! They are series and continued fractions of the textbooks (Abramowitz & Stegun 6.1.41, 7.1.5,
//! 7.1.14, 26.5.8), good to about 1e-12; inverses are bisections, for they are rarely asked.

use std::f64::consts::PI;

/// Steps of a bisection that halves [0, 1], or [-40, 40], to below the spacing of doubles.
const HALVINGS: u32 = 80;

/// Most terms of a series or continued fraction; below 100 are ever used here.
const TERMS_MAX: u32 = 10_000;

/// Where a series or a continued fraction stops: a term changes the result by less than this.
const ENOUGH: f64 = 1e-15;

/// A stand-in for zero in denominators of continued fractions (Lentz's method).
const TINY: f64 = 1e-300;

/// The probability that a standard normal value is above `z`.
pub(crate) fn normal_above(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// The probability that a standard normal value is at or below `z`.
pub(crate) fn normal_below(z: f64) -> f64 {
    normal_above(-z)
}

/// The `z` that a standard normal value is at or below with probability `p`, which lies strictly
/// within 0 and 1; outside of it, minus or plus 40.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    // The smaller tail is the one that keeps its digits.
    if p > 0.5 { -lower_quantile(1.0 - p) } else { lower_quantile(p) }
}

fn lower_quantile(p: f64) -> f64 {
    bisect(-40.0, 40.0, |z| normal_below(z) < p)
}

/// The point where `is_left` turns from true to false between `low` and `high`.
fn bisect(mut low: f64, mut high: f64, is_left: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if is_left(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The complementary error function.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x > 27.0 {
        return 0.0;
    }
    if x < 2.0 { 1.0 - erf_series(x) } else { erfc_fraction(x) }
}

/// erf x = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)); all terms are positive.
fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..TERMS_MAX {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
        if term < ENOUGH * sum {
            break;
        }
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// √π · e^(x²) · erfc x = 1/(x + ½/(x + 1/(x + 1½/(x + …)))), by Lentz's method.
fn erfc_fraction(x: f64) -> f64 {
    let (mut value, mut c, mut d) = (x, x, 0.0);
    for n in 1..TERMS_MAX {
        let a = f64::from(n) / 2.0;
        d = 1.0 / (x + a * d);
        c = x + a / c;
        value *= c * d;
        if (c * d - 1.0).abs() < ENOUGH {
            break;
        }
    }
    (-x * x).exp() / PI.sqrt() / value
}

/// ln Γ(x) for x > 0, by Stirling's series after moving x up to at least 10.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0
        - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0))))
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - shift
}

/// The probability that a Beta(a, b) value is at or below `x`; `a` and `b` are above 0.
pub(crate) fn beta_below(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    // The fraction converges fast left of the mean; right of it the other tail's does.
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * beta_fraction(x, a, b) / a
    } else {
        1.0 - front.exp() * beta_fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for n in 1..TERMS_MAX {
        let m = f64::from(n);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0).abs() < ENOUGH {
            break;
        }
    }
    value
}

/// The exact one-sided upper bound for a rate of which `hits` of `n` trials were seen: the true
/// rate is above it with probability at most 1 − `confidence`. 1 for no trials.
pub(crate) fn rate_at_most(hits: u64, n: u64, confidence: f64) -> f64 {
    if hits >= n {
        return 1.0;
    }
    let (a, b) = (hits as f64 + 1.0, (n - hits) as f64);
    bisect(0.0, 1.0, |x| beta_below(x, a, b) < confidence)
}

/// The exact one-sided lower bound for a rate; see [`rate_at_most`]. 0 for no trials.
pub(crate) fn rate_at_least(hits: u64, n: u64, confidence: f64) -> f64 {
    1.0 - rate_at_most(n.saturating_sub(hits), n, confidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL_SF: [(f64, f64); 6] = [
        (0.1, 0.460172162722971),
        (0.674489, 0.2500002383948),
        (1.644854, 0.049999961525413035),
        (1.99, 0.02329546775021182),
        (2.83, 0.0023274002067315515),
        (8.0, 6.22096057427174e-16),
    ];

    const NORMAL_PPF: [(f64, f64); 5] = [
        (0.01, -2.3263478740408408),
        (0.95, 1.6448536269514722),
        (0.975, 1.959963984540054),
        (0.99, 2.3263478740408408),
        (1e-06, -4.753424308822899),
    ];

    const BETA_CDF: [(f64, f64, f64, f64); 5] = [
        (0.3, 2.0, 5.0, 0.5798250000000003),
        (0.01, 0.5, 0.5, 0.06376856085851985),
        (0.012, 11.0, 1990.0, 0.9989695162615432),
        (0.9, 40.0, 3.5, 0.2758748906628961),
        (0.2, 1.0, 200.0, 1.0),
    ];

    const CLOPPER_PEARSON: [(u64, u64, f64, f64); 6] = [
        (0, 2_000, 0.0, 0.0022999361774466826),
        (1, 2_000, 5.025155300615524e-06, 0.0033145012418919094),
        (10, 2_000, 0.0020676190093135882, 0.010046808268162066),
        (37, 300, 0.08276211451607972, 0.1742259038424167),
        (1950, 2_000, 0.9656314746964232, 0.9824220696369866),
        (2000, 2_000, 0.9977000638225533, 1.0),
    ];

    fn close(got: f64, expected: f64, relative: f64) {
        let error = (got - expected).abs();
        assert!(error <= relative * expected.abs(), "got {got}, expected {expected}");
    }

    /// `python3 -c "from scipy.stats import norm; print(norm.sf(0.1))"` and so on, scipy 1.17.1.
    #[test]
    fn the_normal_tail_is_scipys() {
        for (z, expected) in NORMAL_SF {
            close(normal_above(z), expected, 1e-11);
            close(normal_below(-z), expected, 1e-11);
        }
        assert_eq!(normal_above(0.0), 0.5);
        assert_eq!((normal_above(60.0), normal_above(-60.0)), (0.0, 1.0));
    }

    /// `norm.ppf(p)` of scipy 1.17.1.
    #[test]
    fn the_normal_quantile_is_scipys() {
        for (p, expected) in NORMAL_PPF {
            close(normal_quantile(p), expected, 1e-10);
        }
        assert!(normal_quantile(0.5).abs() < 1e-12);
    }

    /// `beta.cdf(x, a, b)` of scipy 1.17.1.
    #[test]
    fn the_beta_distribution_is_scipys() {
        for (x, a, b, expected) in BETA_CDF {
            close(beta_below(x, a, b), expected, 1e-10);
        }
        assert_eq!((beta_below(-0.1, 2.0, 3.0), beta_below(1.0, 2.0, 3.0)), (0.0, 1.0));
    }

    /// `beta.ppf(0.99, k + 1, n - k)` and `beta.ppf(0.01, k, n - k + 1)` of scipy 1.17.1.
    #[test]
    fn exact_bounds_of_a_rate_are_scipys() {
        for (hits, n, low, high) in CLOPPER_PEARSON {
            close(rate_at_most(hits, n, 0.99), high, 1e-9);
            close(rate_at_least(hits, n, 0.99), low, 1e-9);
        }
        // The rule of three: 2,995 clean trials bound a rate by 0.1 % at 95 %.
        close(rate_at_most(0, 2_995, 0.95), 0.001, 1e-3);
        assert_eq!((rate_at_most(0, 0, 0.99), rate_at_least(0, 0, 0.99)), (1.0, 0.0));
        assert_eq!((rate_at_least(0, 9, 0.99), rate_at_most(9, 9, 0.99)), (0.0, 1.0));
    }
}
