//! How alike the requests of one subject are, and what that costs.
//!
//! Subjects stay on their arm, so the unit that is drawn at random is the subject, not the request:
//! one busy user whose requests all fail is one piece of bad luck, not a thousand. Subjects are
//! hashed into 64 cohorts. Were all requests independent, the cohorts' sums would differ as much as
//! their sizes allow; as much more as they do differ, so much less each request is worth. That
//! ratio is the design effect (Kish 1965), estimated as a grouped sandwich variance is (Liang &
//! Zeger 1986; in streams: Chamandy et al. 2012). All evidence is divided by it.
//!
//! For outcomes that are the same for all requests of a subject this gives back one bet a subject;
//! in between it is an approximation, whose level `tidegate simulate clustered` measures.
//!
//! Few subjects tell little of how much subjects differ: below [`FEWEST_UNITS`] cohorts' worth, the
//! whole arm counts as that many outcomes and decides nothing.

use super::metric::Metric;
use super::tally::Kind;
use crate::observe::{Counts, Window};

/// With fewer cohorts than this, weighted by their sizes, a subject counts as one outcome.
const FEWEST_UNITS: f64 = 4.0;

/// What a request is worth less than an independent one, at least 1.
///
/// Without cohorts (nobody is told apart) it is 1: requests are then split one by one.
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

struct Effect {
    variance: f64,
    n: f64,
    ratio: f64,
    /// Whether the arm has too few subjects to tell how much they differ.
    few: bool,
}

fn arm(metric: Metric, window: &Window) -> Option<Effect> {
    let cohorts: Vec<(f64, f64)> =
        window.cohorts.iter().map(|counts| of_cohort(metric, counts)).collect();
    let (mut n, mut x, mut squares, mut groups) = (0.0, 0.0, 0.0, 0.0);
    for (size, sum) in cohorts.iter().filter(|(size, _)| *size > 0.0) {
        n += size;
        x += sum;
        squares += size * size;
        groups += 1.0;
    }
    if n == 0.0 {
        return None;
    }
    let mean = x / n;
    let units: f64 = n * n / squares;
    let variance = variance(metric, window, mean);
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

/// Outcomes of a cohort and their sum.
fn of_cohort(metric: Metric, counts: &Counts) -> (f64, f64) {
    let pair = |n: u64, x: u64| (n as f64, x as f64);
    match metric {
        Metric::LatencyP95 | Metric::LatencyP99 => pair(counts.answered(), counts.latency_log),
        Metric::FirstTokenP95 => pair(counts.streamed, counts.first_token_log),
        Metric::TokensPerRequest => pair(counts.answered(), counts.tokens_in + counts.tokens_out),
        Metric::CostPerRequest => pair(counts.answered(), counts.cost_micro_usd),
        Metric::CostPerSuccess => pair(counts.useful, counts.cost_micro_usd),
        rate => match rate.kind() {
            Kind::Rate(share) => {
                let share = share(counts);
                (share.n as f64, share.sum())
            }
            Kind::Quantile { .. } | Kind::Mean { .. } => (0.0, 0.0),
        },
    }
}

/// Variance of one outcome, in the unit of [`of_cohort`].
fn variance(metric: Metric, window: &Window, mean: f64) -> f64 {
    let of_squares = |squares: u128, n: u64| (squares as f64 / n as f64 - mean * mean).max(0.0);
    match metric {
        Metric::LatencyP95 | Metric::LatencyP99 => {
            of_squares(window.latency_log_squared.0, window.answered())
        }
        Metric::FirstTokenP95 => of_squares(window.first_token_log_squared.0, window.streamed),
        other => match other.kind() {
            // Never 0: an arm whose one user always fails has not told that its rate is certain.
            Kind::Rate(_) => {
                let n = window.cohorts.iter().map(|c| of_cohort(metric, c).0).sum::<f64>();
                let rate = (mean * n + 0.5) / (n + 1.0);
                rate * (1.0 - rate)
            }
            Kind::Mean { moments, .. } => {
                let sums = moments(window).sums(1.0);
                sums.variance() * sums.by / sums.n
            }
            Kind::Quantile { .. } => 0.0,
        },
    }
}

#[cfg(test)]
mod tests;
