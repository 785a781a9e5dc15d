//! Starts: an e-process is the weighted mean of products, one from each stratum on.
//!
//! Three quarters of the weight are on the whole release; the k-th later start has a quarter of
//! 1/(k(k+1)). The weights sum to 1 at most, and a mean of e-processes is one.

/// Weight of the whole release among all starts.
const WHOLE: f64 = 0.75;

/// Weight of the `k`-th start in the mean of all; 0 is the whole release.
pub(super) fn weight_of_start(k: usize) -> f64 {
    let k = k as f64;
    if k == 0.0 { WHOLE } else { (1.0 - WHOLE) / (k * (k + 1.0)) }
}

/// ln of the weighted mean of the e-values from each start on, given as logarithms.
pub(super) fn mean_of_starts(from_each: impl IntoIterator<Item = f64>) -> f64 {
    let parts = from_each.into_iter().enumerate().map(|(k, log)| log + weight_of_start(k).ln());
    sum_of_parts(&parts.collect::<Vec<f64>>())
}

/// ln of the sum of the numbers with these logarithms; 0, which proves nothing, of none.
pub(super) fn sum_of_parts(logs: &[f64]) -> f64 {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return 0.0;
    }
    top + logs.iter().map(|log| (log - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights of the starts are a distribution: stakes of 1 on all of them are a stake of 1,
    /// and one start's win counts by its weight.
    #[test]
    fn the_starts_share_one_stake() {
        for starts in [1, 2, 3, 10, 70] {
            let even = mean_of_starts(vec![0.0; starts]);
            assert!(even <= 1e-12, "{starts}: {even}");
            let (mut last, won) = (vec![-1e9; starts], 50.0);
            last[starts - 1] = won;
            let paid = mean_of_starts(last) - won;
            assert!(paid <= WHOLE.ln() + 1e-9 && paid > -10.0, "{starts}: {paid}");
        }
        let whole: f64 = mean_of_starts(vec![0.0; 10_000]);
        assert!(whole.abs() < 1e-3, "all of it is spent at last: {whole}");
        assert!(mean_of_starts([]).abs() < 1e-12);
    }
}
