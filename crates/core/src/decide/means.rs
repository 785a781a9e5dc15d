//! E-values on means: tokens, cost, cost per useful answer.
//!
//! Their outcomes have heavy tails and no bound that would be of use: a bet that survives one
//! request at the model's context limit stakes next to nothing on all others. So their test is the
//! asymptotic one (Waudby-Smith et al., "Time-uniform central limit theory", 2024): the difference
//! of means is a random walk with the variance seen, and the likelihood ratio of a half-normal
//! mixture over its drift is a martingale in the limit. It says nothing below [`FEWEST`] outcomes
//! of the candidate.
//!
//! A mean is a ratio, sum over `by`: tokens over answers, or cost over useful answers. The
//! variance is that of `value − ratio·by`, which is linear (the delta method).

use super::bets::Against;

/// Fewest outcomes of the candidate before its mean is tested.
pub(super) const FEWEST: f64 = 100.0;

/// The drift that the mixture expects, as a share of the stable arm's mean.
const TYPICAL_DRIFT: f64 = 0.15;

/// Sums of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sums {
    /// Outcomes.
    pub(super) n: f64,
    /// Sum of values.
    pub(super) sum: f64,
    /// Sum of squared values.
    pub(super) squares: f64,
    /// What the sum is divided by.
    pub(super) by: f64,
    /// Sum of value × by.
    pub(super) cross: f64,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Sums) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
        self.by += other.by;
        self.cross += other.cross;
    }

    /// These sums of twice as many outcomes.
    pub(super) fn twice(&self) -> Sums {
        let mut twice = *self;
        twice.add(self);
        twice
    }

    /// The sum over `by`; NaN or infinite where `by` is 0.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.by
    }

    /// Variance that one outcome contributes to the ratio's sum: the ratio's is this over n.
    pub(super) fn variance(&self) -> f64 {
        let (n, ratio) = (self.n, self.mean());
        // Σ(value − ratio·by)², where by is 0 or 1, so that by² = by.
        let sum = self.squares - 2.0 * ratio * self.cross + ratio * ratio * self.by;
        let per_by = self.by / n;
        (sum / n).max(0.0) / (per_by * per_by)
    }
}

/// One stratum: stable, candidate.
pub(super) type SumsPair = (Sums, Sums);

/// ln of the e-values against the null that the candidate's mean is at most (or at least)
/// `kappa` × stable's + `offset`, for the strata from each start on: the first entry is the whole.
/// `divisor` is the design effect of clustered outcomes.
pub(super) fn log_e_values(
    strata: &[SumsPair],
    (kappa, offset): (f64, f64),
    against: Against,
    divisor: f64,
) -> Vec<f64> {
    let mut from_each = Vec::with_capacity(strata.len());
    let (mut all_stable, mut all_candidate) = (Sums::default(), Sums::default());
    for (stable, candidate) in strata {
        all_stable.add(stable);
        all_candidate.add(candidate);
    }
    let (v_b, v_c) = (all_stable.variance(), all_candidate.variance());
    let drift = TYPICAL_DRIFT * all_stable.mean();
    // Values that are all equal give their mean to a millionth, not exactly.
    let least = (1e-6 * all_stable.mean()).powi(2).max(1e-300);
    let (mut score, mut information, mut n) = (0.0, 0.0, 0.0);
    for (stable, candidate) in strata.iter().rev() {
        if stable.by > 0.0 && candidate.by > 0.0 {
            let variance = (v_c.max(least) / candidate.n
                + kappa * kappa * v_b.max(least) / stable.n)
                * divisor;
            let excess = candidate.mean() - kappa * stable.mean() - offset;
            score += excess / variance;
            information += 1.0 / variance;
            n += candidate.n;
        }
        let enough = n >= FEWEST && all_stable.n >= FEWEST;
        from_each.push(if enough { half_normal(score, information, drift, against) } else { 0.0 });
    }
    from_each.reverse();
    from_each
}

/// ln ∫ exp(δ·score − δ²·information/2) dπ(δ), π half-normal of scale `drift` on the side that the
/// null excludes.
pub(super) fn half_normal(score: f64, information: f64, drift: f64, against: Against) -> f64 {
    let score = match against {
        Against::AtMost => score,
        Against::AtLeast => -score,
    };
    let widened = 1.0 + information * drift * drift;
    let z = score * drift / widened.sqrt();
    std::f64::consts::LN_2 - 0.5 * widened.ln() + z * z / 2.0 + normal_log(z)
}

/// ln Φ(z), by a series of continued fractions for z below −4 and by erfc's approximation above
/// (Numerical Recipes' `erfcc`, relative error below 1.2e-7).
pub(super) fn normal_log(z: f64) -> f64 {
    if z < -4.0 {
        // Φ(z) = φ(z)/(|z| + 1/(|z| + 2/(|z| + 3/…))).
        let x = -z;
        let tail = (1..=20).rev().fold(x, |below, k| x + f64::from(k) / below);
        return -z * z / 2.0 - 0.5 * (2.0 * std::f64::consts::PI).ln() - tail.ln();
    }
    let x = -z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let series = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let exponent = series.iter().fold(0.0, |sum, term| sum * t + term) - x * x;
    let erfc = t * exponent.exp();
    let erfc = if x >= 0.0 { erfc } else { 2.0 - erfc };
    (erfc / 2.0).ln()
}

#[cfg(test)]
mod tests;
