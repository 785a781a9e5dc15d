//! What a release's plan has where the project file does not say, and what the benchmark measures.

use super::metric::Metric;
use super::plan::{Band, BandUnit, LineRule};

/// The rules that a service has beside [`LineRule::defaults`] where its requests are searched for:
/// a candidate that says more without a source than stable pauses first. Never waited for: the
/// claims of an answer are found by rules of thumb.
pub fn claims() -> [LineRule; 2] {
    [Metric::UncitedRate, Metric::UngroundedRate].map(|metric| LineRule {
        metric,
        band: Some(Band { pass: 0.0, pause: 0.05, rollback: 0.15, unit: BandUnit::Points }),
        ceiling: None,
        multiple: None,
        floor: 0.0,
        required: false,
    })
}

/// Probability of rolling back a release that is within every rollback line.
pub const ALPHA: f64 = 0.01;
/// Requests that a worse candidate may be expected to spoil on the next rung.
pub const BAD_BUDGET: u64 = 20;
/// Share of subjects kept on stable at the last rung, percent.
pub const HOLD_BACK_PCT: f64 = 5.0;
/// Answers that each arm needs at a rung before it may advance.
pub const MIN_SAMPLES: u64 = 50;
/// Without a new outcome for so long the data counts as missing, s.
pub const STALE_AFTER_S: u64 = 120;
/// Answers that a candidate may be proven to spoil beyond stable's before it rolls back.
pub const HARM_BUDGET: u64 = 50;
/// A pause by lines ends after so long, s.
pub const PAUSE_MAX_S: u64 = 600;
