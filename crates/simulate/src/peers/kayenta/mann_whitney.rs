//! The interval and estimate of a Mann-Whitney test, as R's `wilcox.test(conf.int = TRUE)` finds
//! them for large samples, and Kayenta after it (MannWhitney.scala): the shifts at which the tie-
//! corrected, continuity-corrected normal statistic crosses a quantile.

use crate::statistics::normal_quantile;

/// How near a root is found, in the metric's unit: theirs.
const TOLERANCE: f64 = 1e-4;

/// How far the experiment is above the control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// Lower end of the interval.
    pub(super) low: f64,
    /// Upper end.
    pub(super) high: f64,
    /// The Hodges–Lehmann estimate.
    pub(super) estimate: f64,
}

/// The shift of `x` over `y`, both sorted and not empty, with this two-sided confidence.
pub(super) fn shift(x: &[f64], y: &[f64], confidence: f64) -> Shift {
    let z = normal_quantile(f64::midpoint(1.0, confidence));
    let [low, high, estimate] = [z, -z, 0.0].map(|z| crossing(x, y, z));
    Shift { low, high, estimate }
}

/// The shift at which the statistic falls below `z`, between the smallest and the largest
/// difference.
fn crossing(x: &[f64], y: &[f64], z: f64) -> f64 {
    let (Some(x_min), Some(x_max)) = (x.first(), x.last()) else { return 0.0 };
    let (Some(y_min), Some(y_max)) = (y.first(), y.last()) else { return 0.0 };
    let (mut low, mut high) = (x_min - y_max, x_max - y_min);
    if statistic(x, y, low) <= z {
        return low;
    }
    if statistic(x, y, high) >= z {
        return high;
    }
    while high - low > TOLERANCE {
        let middle = f64::midpoint(low, high);
        let at = statistic(x, y, middle) - z;
        if at == 0.0 {
            return middle;
        }
        if at > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The standardised Mann-Whitney statistic of `x` less `by`, against `y`: positive when `x` is
/// larger. Both are sorted, so one walk over them gives the ranks.
pub(super) fn statistic(x: &[f64], y: &[f64], by: f64) -> f64 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let (mut i, mut j) = (0, 0);
    let (mut seen, mut ranks, mut ties) = (0.0, 0.0, 0.0);
    while i < x.len() || j < y.len() {
        let x_next = x.get(i).map_or(f64::INFINITY, |x| x - by);
        let y_next = y.get(j).copied().unwrap_or(f64::INFINITY);
        let value = x_next.min(y_next);
        let in_x = x[i..].iter().take_while(|x| **x - by == value).count();
        let in_y = y[j..].iter().take_while(|y| **y == value).count();
        let tied = (in_x + in_y) as f64;
        ranks += in_x as f64 * (seen + (tied + 1.0) / 2.0);
        ties += tied.powi(3) - tied;
        seen += tied;
        i += in_x;
        j += in_y;
    }
    let above = ranks - n * (n + 1.0) / 2.0 - n * m / 2.0;
    let variance = n * m / 12.0 * ((n + m + 1.0) - ties / ((n + m) * (n + m - 1.0)));
    if variance <= 0.0 || above == 0.0 {
        return 0.0;
    }
    (above - 0.5 * above.signum()) / variance.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::normal_above;

    fn sorted(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_by(f64::total_cmp);
        values
    }

    /// MannWhitneySuite.scala, "returns expected values": 6, 39 and 22.5.
    #[test]
    fn the_published_example() {
        let shift = shift(&[10.0, 20.0, 30.0, 40.0], &[1.0, 2.0, 3.0, 4.0], 0.95);
        assert!((shift.low - 6.0).abs() <= TOLERANCE, "{shift:?}");
        assert!((shift.high - 39.0).abs() <= TOLERANCE, "{shift:?}");
        assert!((shift.estimate - 22.5).abs() <= TOLERANCE, "{shift:?}");
    }

    fn tied_samples() -> (Vec<f64>, Vec<f64>) {
        let x = (0..40).map(|i| f64::from((i * 7) % 11) + 1.0).collect();
        let y = (0..55).map(|i| f64::from((i * 5) % 9)).collect();
        (sorted(x), sorted(y))
    }

    /// With `x = [(i * 7) % 11 + 1 for i in range(40)]`, `y = [(i * 5) % 9 for i in range(55)]`:
    /// `mannwhitneyu(x, y, method="asymptotic", alternative="greater").pvalue`, scipy 1.17.1.
    #[test]
    fn p_values_with_ties_are_scipys() {
        let (x, y) = tied_samples();
        let p = normal_above(statistic(&x, &y, 0.0));
        assert!((p / 0.0010428002337748907 - 1.0).abs() < 1e-9, "{p}");
    }

    /// The interval's ends are where scipy's two-sided p-value of the shifted samples crosses 2 %.
    #[test]
    fn the_interval_is_where_the_test_turns() {
        let (x, y) = tied_samples();
        let x: Vec<f64> = x.iter().enumerate().map(|(i, x)| x + 0.01 * i as f64).collect();
        let shift = shift(&x, &y, 0.98);
        let p = |by| 2.0 * normal_above(statistic(&x, &y, by).abs());
        for (inside, outside) in
            [(shift.low + 2e-4, shift.low - 2e-4), (shift.high - 2e-4, shift.high + 2e-4)]
        {
            assert!(p(inside) >= 0.02 && p(outside) <= 0.02, "{shift:?}");
        }
        assert!(shift.low < shift.estimate && shift.estimate < shift.high);
    }
}
