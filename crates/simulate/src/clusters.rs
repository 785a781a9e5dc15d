//! Clusters: users that differ from each other, so that a user's requests say less than as many
//! requests of different users.

use tidegate_core::random::Random;

/// Each user's own error share: Beta-distributed with this mean and intra-class correlation, so
/// that a = mean (1 − ρ) / ρ and b = (1 − mean) (1 − ρ) / ρ.
pub(super) fn user_rates(seed: u64, users: u32, mean: f64, correlation: f64) -> Vec<f64> {
    let mut random = Random::new(seed, "user rates");
    let size = (1.0 - correlation) / correlation;
    (0..users).map(|_| beta(&mut random, mean * size, (1.0 - mean) * size)).collect()
}

fn beta(random: &mut Random, a: f64, b: f64) -> f64 {
    let (x, y) = (gamma(random, a), gamma(random, b));
    // For a tiny shape the gamma value is below what a number can hold: a user without errors.
    if x + y > 0.0 { x / (x + y) } else { 0.0 }
}

/// A gamma value of this shape and scale 1 (Marsaglia and Tsang, 2000).
fn gamma(random: &mut Random, shape: f64) -> f64 {
    if shape < 1.0 {
        let boost = (1.0 - random.unit()).powf(1.0 / shape);
        return gamma(random, shape + 1.0) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = random.normals().0;
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - random.unit();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_and_the_correlation_are_as_asked() {
        let check = |mean: f64, correlation: f64| {
            let rates = user_rates(3, 200_000, mean, correlation);
            let n = rates.len() as f64;
            let average = rates.iter().sum::<f64>() / n;
            let variance = rates.iter().map(|r| (r - average).powi(2)).sum::<f64>() / n;
            // Var = ρ mean (1 − mean); both standard errors are below 2 % of the value.
            assert!((average / mean - 1.0).abs() < 0.08, "{average} for {mean}");
            let got = variance / (mean * (1.0 - mean));
            assert!((got / correlation - 1.0).abs() < 0.08, "{got} for {correlation}");
        };
        check(0.02, 0.1);
        check(0.02, 0.3);
        check(0.3, 0.01);
    }
}
