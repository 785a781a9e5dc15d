//! Bets against a null: how strongly counts of two arms speak against "the harm is at most L", or
//! against "it is at least L".
//!
//! For outcomes in [0, 1] with means p_c and p_b, a null is a line: p_c − κ·p_b − c ≤ 0 (or ≥ 0).
//! Choose any p for the stable arm, q = κp + c, and any θ. A bet multiplies its stake by
//!
//! - 1 + θ (x − q) for every outcome x of the candidate,
//! - 1 − κ θ ρ/(1−ρ) (x − p) for every outcome of the stable arm,
//!
//! where ρ is the candidate's share of requests. On average a request multiplies it by
//! 1 + θρ [(p_c − q) − κ (p_b − p)] = 1 + θρ (p_c − κ p_b − c), which is at most 1 under the null
//! for θ > 0, whatever p_b is and however it drifts: the stake is a supermartingale, and by Ville's
//! inequality it ever reaches 1/α with probability at most α. Looking at every request is free.
//! Averages of stakes are stakes, so several θ are tried at once.
//!
//! With p and θ at the null point nearest to an alternative, the multipliers are likelihood ratios
//! and the stake grows at the largest rate that any test has (the reverse information projection;
//! Turner, Ly & Grünwald 2024). p comes from before the stratum, so it is predictable; being a
//! little off costs second order, because the stable arm's part cancels it.
//!
//! An outcome strictly within 0 and 1 counts as that fraction of a 1 and the rest of a 0, which
//! only lowers the stake, since the logarithm is concave.

/// How many alternatives are bet on at once; more than 8 gain less than 3 % (tried: 6, 8, 12).
pub(super) const BETS: usize = 8;

/// The alternatives, as factors of odds against those of the null: 1.1 to 20 times.
const ODDS: [f64; BETS] = [1.12, 1.25, 1.45, 1.8, 2.4, 3.6, 7.0, 20.0];

/// No bet stakes more than this share on one outcome.
const STAKE_MAX: f64 = 0.95;

/// Which null is bet against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// "The harm is at most L": what wins says it is over the line.
    AtMost,
    /// "The harm is at least L": what wins says it is within it.
    AtLeast,
}

/// The line p_c − κ·p_b − c = 0 between harm and none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Null {
    /// κ, above 0.
    pub(super) kappa: f64,
    /// c.
    pub(super) offset: f64,
}

/// Counts of two arms side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    /// The candidate's share of requests, within (0, 1).
    pub(super) share: f64,
    /// The stable arm's rate as far as was known before these counts, within (0, 1).
    pub(super) anchor: f64,
    /// Outcomes of the stable arm.
    pub(super) stable_n: f64,
    /// Their sum.
    pub(super) stable_x: f64,
    /// Outcomes of the candidate.
    pub(super) candidate_n: f64,
    /// Their sum.
    pub(super) candidate_x: f64,
}

/// Adds the logarithm of each bet's growth over these counts.
pub(super) fn add_growth(pair: &Pair, null: Null, against: Against, growth: &mut [f64; BETS]) {
    if pair.candidate_n <= 0.0 {
        return;
    }
    let Pair { share, anchor, stable_n, stable_x, candidate_n, candidate_x } = *pair;
    let within = |rate: f64| rate.clamp(1e-6, 1.0 - 1e-6);
    let line = null.kappa * anchor + null.offset;
    let start = within(line);
    let ratio = share / (1.0 - share);
    let mut pull = ratio * null.kappa * null.kappa * (anchor * (1.0 - anchor));
    let mut anchor = anchor;
    if start != line {
        // The null says that stable is not at its anchor, since the candidate's rate would be none
        // there. So the bet stays at the null's nearest point, and stable's outcomes win it.
        anchor = within((start - null.offset) / null.kappa);
        pull = 0.0;
    }
    let odds = match against {
        Against::AtMost => ODDS,
        Against::AtLeast => ODDS.map(|odds| 1.0 / odds),
    };
    // All stakes before any logarithm: a loop without calls is worked out several bets at a time.
    let [mut bad, mut good, mut stable_bad, mut stable_good] = [[0.0; BETS]; 4];
    for bet in 0..BETS {
        let odds = odds[bet];
        let aim = within(start * odds / (1.0 - start + start * odds));
        // The null point nearest to (aim, anchor), for rates as near as these.
        let middle = (start + aim) / 2.0;
        let toward = pull / (pull + middle * (1.0 - middle));
        let p = within(anchor + (aim - start) / null.kappa * toward);
        let q = within(null.kappa * p + null.offset);
        let mut theta = (aim - q) / (q * (1.0 - q));
        let mut phi = null.kappa * theta * ratio;
        let risk = if phi > 0.0 { phi * (1.0 - p) } else { -phi * p };
        if risk > STAKE_MAX {
            theta *= STAKE_MAX / risk;
            phi *= STAKE_MAX / risk;
        }
        // The clamps above can turn a bet around; it would then bet on the null.
        if (theta > 0.0) != (against == Against::AtMost) {
            (theta, phi) = (0.0, 0.0);
        }
        bad[bet] = theta * (1.0 - q);
        good[bet] = -theta * q;
        stable_bad[bet] = -phi * (1.0 - p);
        stable_good[bet] = phi * p;
    }
    for (bet, growth) in growth.iter_mut().enumerate() {
        *growth += times(candidate_x, bad[bet])
            + times(candidate_n - candidate_x, good[bet])
            + times(stable_x, stable_bad[bet])
            + times(stable_n - stable_x, stable_good[bet]);
    }
}

/// More than any bet against "at most" can have grown by over these counts: a logarithm is at most
/// linear, and at the candidate's true share the stable arm's centre drops out of the line. No more
/// than three operations, where the bets themselves take hundreds.
pub(super) fn growth_bound(pair: &Pair, null: Null) -> f64 {
    if pair.candidate_n <= 0.0 || pair.stable_n <= 0.0 {
        return 0.0;
    }
    let harm = pair.candidate_x / pair.candidate_n
        - null.kappa * pair.stable_x / pair.stable_n
        - null.offset;
    let start = (null.kappa * pair.anchor + null.offset).clamp(1e-6, 1.0);
    let most = ODDS[BETS - 1] - 1.0;
    (most / (1.0 + most * start) * pair.candidate_n * harm).max(0.0)
}

/// The growth of a stake by 1 + `gain`, `count` times.
fn times(count: f64, gain: f64) -> f64 {
    // Most counts of bad outcomes are 0, and a logarithm is most of the cost of a look.
    // ln(1 + x) loses 1e-16 an outcome against ln_1p, and takes a third of its time.
    if count > 0.0 { count * (1.0 + gain).ln() } else { 0.0 }
}

/// ln of the mean of the stakes whose logarithms are `growth / divisor`.
pub(crate) fn mean_stake<const N: usize>(growth: &[f64; N], divisor: f64) -> f64 {
    let logs = growth.map(|log| log / divisor);
    let top = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - top).exp()).sum();
    top + (sum / N as f64).ln()
}

#[cfg(test)]
mod tests;
