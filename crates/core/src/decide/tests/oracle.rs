//! The engine's numbers against those of confseq and scipy, which `bench/oracle.py` wrote.

use crate::decide::bets::Against;
use crate::decide::interval::{self, Interval};
use crate::decide::means::{self, Sums};
use crate::observe::Histogram;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    normal_log: Vec<NormalLog>,
    half_normal: Vec<HalfNormal>,
    evidence_of_rate: Vec<EvidenceOfRate>,
    rate: Vec<Rate>,
    mean: Vec<Mean>,
    quantile: Vec<Quantile>,
}

#[derive(Deserialize)]
struct NormalLog {
    z: f64,
    value: f64,
}

#[derive(Deserialize)]
struct HalfNormal {
    score: f64,
    information: f64,
    drift: f64,
    value: f64,
}

#[derive(Deserialize)]
struct EvidenceOfRate {
    by: String,
    sum: f64,
    n: f64,
    p: f64,
    value: f64,
}

#[derive(Deserialize)]
struct Rate {
    sum: f64,
    n: f64,
    alpha: f64,
    low: f64,
    high: f64,
    confseq_low: f64,
    confseq_high: f64,
}

#[derive(Deserialize)]
struct Mean {
    n: f64,
    mean: f64,
    spread: f64,
    alpha: f64,
    radius: f64,
}

#[derive(Deserialize)]
struct Quantile {
    shape: String,
    counts: Vec<u64>,
    q: f64,
    alpha: f64,
    effect: f64,
    low: f64,
    /// Nothing where it is unbounded.
    high: Option<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../tests/oracle/reference.json")).unwrap()
}

/// Relative where numbers are large.
fn close(got: f64, wanted: f64, tolerance: f64, case: &str) {
    let apart = (got - wanted).abs() / wanted.abs().max(1.0);
    assert!(apart <= tolerance, "{case}: {got}, the reference {wanted}");
}

/// The approximation of erfc is good to 1.2e-7.
#[test]
fn normal_log_is_scipys() {
    let cases = reference().normal_log;
    assert!(cases.len() > 10);
    for NormalLog { z, value } in cases {
        close(means::normal_log(z), value, 2e-7, &format!("ln Φ({z})"));
        // Far out on the right it is all but 0, where only its own size means anything.
        assert!(z < 9.0 || means::normal_log(z).abs() < 1e-15);
    }
}

#[test]
fn the_mixture_of_means_is_confseqs() {
    let cases = reference().half_normal;
    assert!(cases.len() > 50);
    for HalfNormal { score, information, drift, value } in cases {
        let case = format!("score {score}, information {information}, drift {drift}");
        let over = means::half_normal(score, information, drift, Against::AtMost);
        close(over, value, 1e-6, &case);
        let within = means::half_normal(-score, information, drift, Against::AtLeast);
        close(within, value, 1e-6, &case);
    }
}

#[test]
fn the_mixture_of_rates_is_confseqs() {
    let cases = reference().evidence_of_rate;
    assert!(cases.iter().filter(|case| case.by == "confseq").count() > 5);
    for EvidenceOfRate { by, sum, n, p, value } in cases {
        let got = interval::log_e_of_rate(sum, n, p);
        close(got, value, 1e-9, &format!("{sum} of {n} against {p} by {by}"));
    }
}

/// The ends are exact. Beside confseq's interval, which is tuned to the very moment it is read at,
/// ours, which is tuned to none, is at most 40 % wider, and 70 % where all outcomes are the same.
#[test]
fn rate_intervals_are_scipys_and_near_confseqs() {
    let cases = reference().rate;
    assert!(cases.len() > 10);
    for Rate { sum, n, alpha, low, high, confseq_low, confseq_high } in cases {
        let got = interval::rate(sum, n, alpha);
        let case = format!("{sum} of {n} at {alpha}");
        close(got.low, low, 1e-9, &case);
        close(got.high, high, 1e-9, &case);
        let wider = (got.high - got.low) / (confseq_high - confseq_low);
        let most = if sum == 0.0 || sum == n { 1.7 } else { 1.4 };
        assert!((0.7..most).contains(&wider), "{case}: {wider} times confseq's");
    }
}

/// The population's variance, as the engine takes it.
#[test]
fn mean_intervals_are_confseqs() {
    let cases = reference().mean;
    assert!(cases.len() > 10);
    for Mean { n, mean, spread, alpha, radius } in cases {
        let (sum, squares) = (n * mean, n * (mean * mean + spread * spread));
        let sums = Sums { n, sum, squares, by: n, cross: sum };
        let Interval { low, high } = interval::mean(&sums, alpha, 1.0);
        let case = format!("n {n}, spread {spread}, alpha {alpha}");
        close(high - mean, radius, 1e-7, &case);
        close(low, (mean - radius).max(0.0), 1e-7, &case);
        // A design effect of 4 is twice the width.
        let clustered = interval::mean(&sums, alpha, 4.0);
        close(clustered.high - mean, 2.0 * radius, 1e-7, &case);
    }
}

#[test]
fn quantile_intervals_are_as_defined() {
    let cases = reference().quantile;
    assert!(cases.iter().any(|case| case.high.is_none()));
    for Quantile { shape, counts, q, alpha, effect, low, high } in cases {
        let mut histogram = Histogram::default();
        for (value, count) in counts.iter().enumerate() {
            (0..*count).for_each(|_| histogram.add(value as u64));
        }
        let got = interval::quantile(&histogram, q, alpha, effect);
        let wanted = Interval { low, high: high.unwrap_or(f64::INFINITY) };
        assert_eq!(got, wanted, "{shape}, the {q} quantile, effect {effect}");
    }
}
