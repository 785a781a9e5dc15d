//! How alike the requests of one subject are, and what that costs.
//!
//! Subjects stay on their arm, so the unit that is drawn at random is the subject, not the request:
//! one busy user whose requests all fail is one piece of bad luck, not a thousand. Subjects are
//! hashed into 64 cohorts. Were all requests independent, the cohorts' sums would differ as much as
//! their sizes allow; as much more as they do differ, so much less each request is worth. That
//! ratio is the design effect (Kish 1965), estimated as a grouped sandwich variance is (Liang &
//! Zeger 1986; in streams: Chamandy et al. 2012). All logarithms of e-values are divided by it.
//!
//! For outcomes that are the same for all requests of a subject this gives back one bet a subject;
//! in between it is an approximation, whose level `tidegate-simulate clusters_03` measures.
//!
//! A few subjects do not show how much subjects differ: below [`FEWEST_UNITS`] cohorts' worth, the
//! whole arm counts as that many outcomes and decides nothing.

use super::metric::Metric;
use super::tally::MetricKind;
use crate::observe::{Counts, Window};
use crate::route::Cohort;

/// With fewer cohorts than this, weighted by their sizes, a subject counts as one outcome.
const FEWEST_UNITS: f64 = 4.0;

/// What a request is worth less than an independent one, at least 1.
///
/// Without cohorts (subjects are not known) it is 1: requests are then split one by one.
pub(super) fn design_effect(metric: Metric, stable: &Window, candidate: &Window) -> f64 {
    let arms = [arm(metric, stable), arm(metric, candidate)];
    let (mut clustered, mut independent, mut least) = (0.0, 0.0, 1.0);
    for Effect { variance, n, ratio, few } in arms.into_iter().flatten() {
        // Few subjects decide nothing, however sure the other arm is.
        least = if few { ratio.max(least) } else { least };
        // What each arm adds to the variance of the difference.
        clustered += variance / n * ratio;
        independent += variance / n;
    }
    if independent > 0.0 { (clustered / independent).max(least) } else { least }
}

/// How many subjects are behind a window, by how many cohorts have none (linear counting, Whang et
/// al. 1990): within about 15 % up to 150. `None` where subjects are not known, or every cohort has
/// some.
pub(super) fn subjects(window: &Window) -> Option<u64> {
    let asked = |counts: &&Counts| counts.requests + counts.client_faults > 0;
    let (all, taken) = (Cohort::COUNT, window.cohorts.iter().filter(asked).count());
    if taken == 0 || taken >= all {
        return None;
    }
    let free = (all - taken) as f64 / all as f64;
    Some((-free.ln() * all as f64).round() as u64)
}

struct Effect {
    variance: f64,
    n: f64,
    ratio: f64,
    /// Whether the arm has too few subjects to show how much they differ.
    few: bool,
}

fn arm(metric: Metric, window: &Window) -> Option<Effect> {
    let cohorts = of_cohorts(metric, &window.cohorts);
    let (mut n, mut x, mut squares, mut groups) = (0.0, 0.0, 0.0, 0.0);
    for (size, sum) in &cohorts {
        n += size;
        x += if *size > 0.0 { *sum } else { 0.0 };
        squares += size * size;
        groups += if *size > 0.0 { 1.0 } else { 0.0 };
    }
    if n == 0.0 {
        return None;
    }
    let mean = x / n;
    let units: f64 = n * n / squares;
    let variance = variance(metric, window, n, mean);
    if units < FEWEST_UNITS {
        return Some(Effect { variance, n, ratio: n / units, few: true });
    }
    let apart: f64 = cohorts.iter().map(|(size, sum)| (sum - mean * size).powi(2)).sum();
    let expected = variance * n;
    let ratio = if expected > 0.0 { apart / expected * groups / (groups - 1.0) } else { 1.0 };
    // What exceeds 1 by its own standard error or less is noise; what exceeds it by more is taken
    // with a margin, since a variance from so few units may well be too small.
    let noise = (2.0 / units).sqrt();
    let ratio = 1.0 + (ratio - 1.0 - noise).max(0.0) * (1.0 + 4.0 / units);
    Some(Effect { variance, n, ratio, few: false })
}

/// Outcomes of each cohort and their sum.
fn of_cohorts(metric: Metric, cohorts: &[Counts]) -> Vec<(f64, f64)> {
    let each = |of: fn(&Counts) -> (u64, u64)| {
        let float = |(n, x): (u64, u64)| (n as f64, x as f64);
        cohorts.iter().map(|counts| float(of(counts))).collect()
    };
    match metric {
        Metric::LatencyP95 | Metric::LatencyP99 => each(|c| (c.answered(), c.latency_log)),
        Metric::FirstTokenP95 => each(|c| (c.streamed, c.first_token_log)),
        Metric::TokensPerRequest => each(|c| (c.answered(), c.tokens_in + c.tokens_out)),
        Metric::CostPerRequest => each(|c| (c.answered(), c.cost_micro_usd)),
        Metric::CostPerSuccess => each(|c| (c.useful, c.cost_micro_usd)),
        rate => match rate.kind() {
            MetricKind::Rate(share) => {
                cohorts.iter().map(share).map(|share| (share.n as f64, share.sum())).collect()
            }
            MetricKind::Quantile { .. } | MetricKind::Mean { .. } => vec![],
        },
    }
}

/// Variance of one of these `n` outcomes, in the unit of [`of_cohorts`].
fn variance(metric: Metric, window: &Window, n: f64, mean: f64) -> f64 {
    let of_squares = |squares: u128, n: u64| (squares as f64 / n as f64 - mean * mean).max(0.0);
    match metric {
        Metric::LatencyP95 | Metric::LatencyP99 => {
            of_squares(window.latency_log_squared.0, window.answered())
        }
        Metric::FirstTokenP95 => of_squares(window.first_token_log_squared.0, window.streamed),
        other => match other.kind() {
            // Never 0: an arm whose one user always fails does not show that its rate is certain.
            MetricKind::Rate(_) => {
                let rate = (mean * n + 0.5) / (n + 1.0);
                rate * (1.0 - rate)
            }
            MetricKind::Mean { moments, .. } => {
                let sums = moments(window).sums(1.0);
                sums.variance() * sums.by / sums.n
            }
            MetricKind::Quantile { .. } => 0.0,
        },
    }
}

#[cfg(test)]
mod tests;
