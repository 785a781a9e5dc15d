//! How few requests could prove what a scenario is about, if everything about it were known.
//!
//! A test that calls a harmless candidate bad with probability at most α, and misses this one with
//! probability at most β, needs at least `nats(α, β)` of information on average (Wald 1945), and a
//! request carries no more than the Kullback–Leibler divergence of the truth from the nearest
//! state on the other side of the line. Their ratio is the floor that engines are measured
//! against. "Nearest" is over both arms: stable may be a little worse than it looks, too.

use super::drawn::Drawn;
use super::judge::Watched;
use super::statistics::{normal_above, normal_quantile};
use tidegate_core::decide::Metric;
use tidegate_core::observe::Histogram;

/// Rates are kept this far from 0 and 1, where a likelihood ratio would be infinite.
const EDGE: f64 = 1e-12;

/// Steps of the bisection for the nearest state on the line.
const HALVINGS: u32 = 60;

/// What the oracle knows: what is true in a scenario, from its first request to its last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Known {
    /// The stable arm's value of the watched metric: share, ms or tokens.
    pub(crate) stable: f64,
    /// The candidate's, in the same unit.
    pub(crate) candidate: f64,
    /// Standard deviation of the logarithm of latency or tokens, both lognormal; unused for
    /// shares.
    pub(crate) sigma: f64,
}

/// One number for each arm: shares, or means in tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Arms {
    /// The candidate's value.
    pub(crate) candidate: f64,
    /// The stable arm's.
    pub(crate) stable: f64,
}

/// The information that a test with these errors needs on average, nats; both lie within 0 and 1.
pub(crate) fn nats(alpha: f64, beta: f64) -> f64 {
    (1.0 - beta) * ((1.0 - beta) / alpha).ln() + beta * (beta / (1.0 - alpha)).ln()
}

/// The divergence of a coin of rate `p` from one of rate `q`, nats a throw.
pub(crate) fn coin(p: f64, q: f64) -> f64 {
    let term = |x: f64, y: f64| if x > 0.0 { x * (x / y).ln() } else { 0.0 };
    let q = q.clamp(EDGE, 1.0 - EDGE);
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// The pair of rates with candidate − stable = `margin` that is hardest to distinguish from `truth`
/// when the candidate has `share` (0 to 1) of the requests.
pub(crate) fn nearest_rates(truth: Arms, margin: f64, share: f64) -> Arms {
    let slope = |p: f64, q: f64| (q - p) / (q * (1.0 - q));
    let (mut low, mut high) = ((-margin).max(0.0) + EDGE, (1.0 - margin).min(1.0) - EDGE);
    for _ in 0..HALVINGS {
        let stable = f64::midpoint(low, high);
        let rises = share * slope(truth.candidate, stable + margin)
            + (1.0 - share) * slope(truth.stable, stable)
            > 0.0;
        if rises {
            high = stable;
        } else {
            low = stable;
        }
    }
    let stable = f64::midpoint(low, high);
    Arms { candidate: stable + margin, stable }
}

/// Information on rates from one request of either arm, nats.
pub(crate) fn of_rates(truth: Arms, margin: f64, share: f64) -> f64 {
    let other = nearest_rates(truth, margin, share);
    share * coin(truth.candidate, other.candidate)
        + (1.0 - share) * coin(truth.stable, other.stable)
}

/// The pair of means with candidate = `ratio` × stable that is hardest to distinguish from `truth`,
/// values being normal with the standard deviations `sd`.
pub(crate) fn nearest_means(truth: Arms, sd: Arms, ratio: f64, share: f64) -> Arms {
    let candidate = share / sd.candidate.powi(2);
    let stable = (1.0 - share) / sd.stable.powi(2);
    let mean = (ratio * candidate * truth.candidate + stable * truth.stable)
        / (ratio * ratio * candidate + stable);
    Arms { candidate: ratio * mean, stable: mean }
}

/// Information on means from one request of either arm, nats. For skewed values it is that of
/// their mean alone; one who knew that they are lognormal would need fewer.
pub(crate) fn of_means(truth: Arms, sd: Arms, ratio: f64, share: f64) -> f64 {
    let other = nearest_means(truth, sd, ratio, share);
    let part = |x: f64, y: f64, sd: f64| (x - y).powi(2) / (2.0 * sd * sd);
    share * part(truth.candidate, other.candidate, sd.candidate)
        + (1.0 - share) * part(truth.stable, other.stable, sd.stable)
}

/// The standard deviations of lognormal values with these means.
pub(crate) fn lognormal_sd(means: Arms, sigma: f64) -> Arms {
    let factor = (sigma * sigma).exp_m1().sqrt();
    Arms { candidate: means.candidate * factor, stable: means.stable * factor }
}

/// A threshold on single values, for one who knows stable: how many of the candidate's are over it,
/// and how many would be if the candidate were exactly on the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Over {
    /// The threshold, µs; the upper edge of a histogram's bucket, so that counts are exact.
    pub(crate) edge_us: u64,
    /// The candidate's true share over it.
    pub(crate) truth: f64,
    /// The share over it on the line.
    pub(crate) line: f64,
}

/// Counts answers over the line's `q` quantile `limit_ms`, when the candidate's is
/// `candidate_ms`; both are lognormal with `sigma`.
pub(crate) fn over(q: f64, candidate_ms: f64, limit_ms: f64, sigma: f64) -> Over {
    let mut bucket = Histogram::default();
    bucket.add((limit_ms * 1e3) as u64);
    let edge_us = bucket.quantile(1.0).unwrap_or_default();
    let z = normal_quantile(q);
    let share =
        |quantile_ms: f64| normal_above(z + (edge_us as f64 / (quantile_ms * 1e3)).ln() / sigma);
    Over { edge_us, truth: share(candidate_ms), line: share(limit_ms) }
}

/// The fewest candidate requests (for task success: labelled answers) that could distinguish the
/// truth from the line with errors `alpha` and `beta`, when the candidate has `share` of them.
/// Infinite when nothing can: on the line, without a stable arm, or for what is not simulated.
pub(crate) fn candidate_requests(
    watched: &Watched,
    truth: &Known,
    share: f64,
    alpha: f64,
    beta: f64,
) -> f64 {
    let arms = Arms { candidate: truth.candidate, stable: truth.stable };
    // Nats for each candidate request, with the stable requests that come along.
    let information = match ReadAs::of(watched.metric) {
        ReadAs::Share => of_rates(arms, watched.limit - watched.stable, share) / share,
        ReadAs::Quantile(q) => {
            let over = over(q, truth.candidate, watched.limit, truth.sigma);
            coin(over.truth, over.line)
        }
        ReadAs::Mean => {
            let sd = lognormal_sd(arms, truth.sigma);
            of_means(arms, sd, watched.limit / watched.stable, share) / share
        }
        ReadAs::Absent => 0.0,
    };
    // Below a piconat a request it is rounding.
    if information > 1e-12 { nats(alpha, beta) / information } else { f64::INFINITY }
}

/// How a metric is read off an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ReadAs {
    /// A share of requests or labelled answers.
    Share,
    /// A quantile (0 to 1) of latency.
    Quantile(f64),
    /// A mean of tokens; what they cost is proportional.
    Mean,
    /// An interval of the simulation has nothing of it.
    Absent,
}

impl ReadAs {
    /// The kind of a metric.
    pub(crate) fn of(metric: Metric) -> ReadAs {
        match Drawn::of(metric) {
            Drawn::Failures | Drawn::TaskFailures => ReadAs::Share,
            Drawn::LatencyP95 => ReadAs::Quantile(0.95),
            Drawn::Tokens => ReadAs::Mean,
            Drawn::Flags | Drawn::Nothing => ReadAs::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64, relative: f64) {
        let error = (got - expected).abs();
        assert!(error <= relative * expected.abs(), "got {got}, expected {expected}");
    }

    /// From the table of a separate Python calculation (shared/anchors/delivery.md, 3h).
    #[test]
    fn the_information_needed_is_walds() {
        close(nats(0.05, 0.1), 2.376, 1e-3);
        close(nats(0.0125, 0.1), 3.620, 1e-3);
    }

    /// The same table's rows for rates: (stable, candidate, line), then candidate requests at 1, 5,
    /// 25 and 50 %.
    #[test]
    fn rates_need_what_the_table_of_bounds_says() {
        let table = [
            ((0.01, 0.02, 0.0), [615.0, 648.0, 866.0, 1378.0]),
            ((0.01, 0.02, 0.005), [3123.0, 3221.0, 3879.0, 5483.0]),
            ((0.01, 0.06, 0.005), [61.0, 64.0, 86.0, 140.0]),
            ((0.01, 0.01, 0.005), [2495.0, 2557.0, 2958.0, 3872.0]),
            ((0.01, 0.01, 0.01), [764.0, 778.0, 861.0, 1037.0]),
            ((0.08, 0.11, 0.01), [1045.0, 1087.0, 1366.0, 2032.0]),
            ((0.08, 0.13, 0.01), [276.0, 287.0, 365.0, 551.0]),
            ((0.08, 0.08, 0.02), [1010.0, 1043.0, 1257.0, 1758.0]),
        ];
        for ((stable, candidate, line), expected) in table {
            let watched = Watched { metric: Metric::ErrorRate, stable, limit: stable + line };
            let truth = Known { stable, candidate, sigma: 0.0 };
            for (share, expected) in [0.01, 0.05, 0.25, 0.5].into_iter().zip(expected) {
                let got = candidate_requests(&watched, &truth, share, 0.05, 0.1);
                assert!((got - expected).abs() < 1.0, "{stable} {candidate} {share}: {got}");
            }
        }
    }

    /// The same table's rows for P95: (sigma, factor, line), share over the line, requests. The
    /// table counts over the line itself and we over the next bucket's edge, hence 1 point in 20.
    #[test]
    fn quantiles_need_what_the_table_of_bounds_says() {
        let table = [
            ((0.4, 1.30, 1.10), 0.1099, 83.0),
            ((0.4, 1.30, 1.15), 0.0904, 169.0),
            ((0.4, 1.00, 1.15), 0.0231, 250.0),
            ((0.7, 1.15, 1.10), 0.0569, 4944.0),
            ((0.7, 1.30, 1.15), 0.0708, 584.0),
            ((0.7, 1.00, 1.25), 0.0248, 291.0),
            ((1.0, 1.30, 1.15), 0.0640, 1253.0),
        ];
        for ((sigma, factor, line), share, expected) in table {
            let exact = normal_above(normal_quantile(0.95) + f64::ln(line / factor) / sigma);
            assert!((exact - share).abs() < 6e-5, "{sigma} {factor} {line}: {exact}");
            let requests = nats(0.05, 0.1) / coin(exact, 0.05);
            // The table cuts fractions off.
            assert!((0.0..1.0).contains(&(requests - expected)), "{requests}");
            let watched =
                Watched { metric: Metric::LatencyP95, stable: 2_000.0, limit: 2_000.0 * line };
            let truth = Known { stable: 2_000.0, candidate: 2_000.0 * factor, sigma };
            let got = candidate_requests(&watched, &truth, 0.05, 0.05, 0.1);
            close(got, expected, 0.05);
        }
    }

    #[test]
    fn the_nearest_means_have_the_closed_form_of_a_difference() {
        let truth = Arms { candidate: 520.0, stable: 400.0 };
        let sd = lognormal_sd(truth, 0.6);
        for share in [0.05, 0.5, 0.75] {
            let gap: f64 = 520.0 - 1.1 * 400.0;
            let spread = sd.candidate.powi(2) / share + (1.1 * sd.stable).powi(2) / (1.0 - share);
            close(of_means(truth, sd, 1.1, share), gap * gap / (2.0 * spread), 1e-12);
        }
    }

    #[test]
    fn nothing_is_told_on_the_line_or_without_a_stable_arm() {
        let watched = Watched { metric: Metric::ErrorRate, stable: 0.01, limit: 0.02 };
        let on_the_line = Known { stable: 0.01, candidate: 0.02, sigma: 0.0 };
        assert_eq!(candidate_requests(&watched, &on_the_line, 0.05, 0.01, 0.01), f64::INFINITY);
        let over = Known { candidate: 0.06, ..on_the_line };
        assert_eq!(candidate_requests(&watched, &over, 1.0, 0.01, 0.01), f64::INFINITY);
        assert!(candidate_requests(&watched, &over, 0.05, 0.01, 0.01) < 200.0);
        let absent = Watched { metric: Metric::PiiRate, ..watched };
        assert_eq!(candidate_requests(&absent, &over, 0.05, 0.01, 0.01), f64::INFINITY);
    }
}
