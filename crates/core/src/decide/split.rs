//! Checks beside the lines: does the split send what the weight says, and what does it prove that
//! nothing red was seen.

use super::interval::log_e_of_rate;
use super::levels::level;
use super::plan::Plan;
use super::reason::Reason;
use super::state::ReleaseState;
use super::strata;
use crate::ids::UnixMs;
use crate::route::{Audience, Weight};

/// Chance of a false alarm of the split's check over a release; it only holds.
const SPLIT_ALPHA: f64 = 0.05;
/// Busy users bend the share a little; only what is further off than this share of the smaller arm
/// is a fault.
const SPLIT_SLACK: f64 = 0.1;
/// What was asked before a rise ends within this time after it, ms.
const IN_FLIGHT_MS: f64 = 60_000.0;
/// Fewest cohorts' worth of subjects before the split is judged.
const FEWEST_UNITS: f64 = 16.0;
/// Confidence of the bound on what was never seen: 95 %.
const CLEAN_ALPHA: f64 = 0.05;
/// The rate that the bound is tightest at.
const CLEAN_TUNED_FOR: f64 = 0.001;

/// The split sends the candidate more, or less, than its weight: a fault of the router (or of who
/// is sticky by what), so nothing it shows can be trusted. An always-on check of the sample ratio.
///
/// Answers take time, so right after a rise the share may still be that of the weight before. An
/// allow-list sets no share.
pub(super) fn uneven_split(plan: &Plan, state: &ReleaseState, now: UnixMs) -> Option<Reason> {
    let weight = plan.rungs.get(state.rung)?.weight;
    let drawn = match plan.audience {
        Audience::Users | Audience::Tenants | Audience::Keys => weight < Weight::FULL,
        Audience::AllowList { .. } => false,
    };
    if !drawn {
        return None;
    }
    let before = state.rung.checked_sub(1).and_then(|rung| plan.rungs.get(rung));
    let before = before.map_or(weight, |rung| rung.weight).fraction();
    let (stable, candidate) = strata::asked_at(&state.strata, weight);
    let n = (stable + candidate) as f64;
    let share = candidate as f64 / n;
    let late = (IN_FLIGHT_MS / now.since(state.rung_since).max(1) as f64).min(1.0);
    let weight_now = weight.fraction();
    let slack = SPLIT_SLACK * weight_now.min(1.0 - weight_now);
    let low = weight_now - (weight_now - before) * late - slack;
    let high = weight_now + slack;
    let limit = if share > high { high } else { low };
    if n == 0.0 || (low..=high).contains(&share) {
        return None;
    }
    let effect = split_effect(state)?;
    let log_e = log_e_of_rate(candidate as f64 / effect, n / effect, limit);
    if log_e < level(SPLIT_ALPHA) {
        return None;
    }
    Some(Reason::SampleRatio {
        share,
        weight_pct: weight,
        samples_candidate: candidate,
        samples_stable: stable,
    })
}

/// How much more the share varies over cohorts than if each request were drawn by itself: a user is
/// drawn once. `None` with too few subjects.
fn split_effect(state: &ReleaseState) -> Option<f64> {
    let (stable, candidate) = (state.stable(), state.candidate());
    let pairs = || {
        let old = stable.cohorts.iter().map(|counts| counts.requests);
        let new = candidate.cohorts.iter().map(|counts| counts.requests);
        old.chain(std::iter::repeat(0)).zip(new.chain(std::iter::repeat(0))).take(64)
    };
    let (mut n, mut x, mut squares) = (0.0, 0.0, 0.0);
    for (old, new) in pairs() {
        let size = (old + new) as f64;
        n += size;
        x += new as f64;
        squares += size * size;
    }
    let share = x / n;
    let units = n * n / squares;
    // NaN without subjects fails the comparison.
    if !(units >= FEWEST_UNITS && share > 0.0 && share < 1.0) {
        return None;
    }
    let apart: f64 =
        pairs().map(|(old, new)| (new as f64 - share * (old + new) as f64).powi(2)).sum();
    Some((apart / (share * (1.0 - share) * n)).max(1.0))
}

/// What it proves that no red-line event was seen in so many answers: an upper bound on their rate
/// that holds at every moment at once, the inversion of a Beta mixture's evidence.
pub(super) fn clean(state: &ReleaseState) -> Option<Reason> {
    let window = state.candidate();
    let answers = window.answered();
    if window.red_events > 0 || answers == 0 {
        return None;
    }
    let n = answers as f64;
    let prior = 3.0 / CLEAN_TUNED_FOR;
    let bound = 1.0 - (CLEAN_ALPHA * prior / (prior + n)).powf(1.0 / n);
    Some(Reason::Clean { samples_candidate: answers, high: bound })
}

#[cfg(test)]
mod tests;
