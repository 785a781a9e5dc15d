//! The bets against what they promise, by enumerating every outcome.

use super::*;
use proptest::prelude::*;

/// Probabilities of 0, 1, … n hits.
fn binomial(n: u32, p: f64) -> Vec<f64> {
    let mut mass = vec![0.0; n as usize + 1];
    mass[0] = 1.0;
    for _ in 0..n {
        for k in (1..mass.len()).rev() {
            mass[k] = mass[k] * (1.0 - p) + mass[k - 1] * p;
        }
        mass[0] *= 1.0 - p;
    }
    mass
}

fn pair(anchor: f64, (stable_n, candidate_n): (u32, u32)) -> Pair {
    let (stable_n, candidate_n) = (f64::from(stable_n), f64::from(candidate_n));
    let share = (candidate_n / (stable_n + candidate_n)).clamp(1e-4, 1.0 - 1e-4);
    Pair { share, anchor, stable_n, stable_x: 0.0, candidate_n, candidate_x: 0.0 }
}

fn growth(pair: &Pair, null: Null, against: Against) -> [f64; BETS] {
    let mut growth = [0.0; BETS];
    add_growth(pair, null, against, &mut growth);
    growth
}

/// Expected stake at these rates (stable, candidate), by every pair of sums.
fn expected(
    empty: Pair,
    null: Null,
    against: Against,
    (rate_b, rate_c): (f64, f64),
    divisor: f64,
) -> f64 {
    let stable = binomial(empty.stable_n as u32, rate_b);
    let candidate = binomial(empty.candidate_n as u32, rate_c);
    let mut sum = 0.0;
    for (stable_x, chance_b) in stable.iter().enumerate() {
        for (candidate_x, chance_c) in candidate.iter().enumerate() {
            let (stable_x, candidate_x) = (stable_x as f64, candidate_x as f64);
            let stake = growth(&Pair { stable_x, candidate_x, ..empty }, null, against);
            sum += chance_b * chance_c * mean_stake(&stake, divisor).exp();
        }
    }
    sum
}

const NULLS: [(f64, f64); 9] = [
    (1.0, 0.0),
    (1.0, 0.05),
    (1.0, -0.03),
    (0.9, 0.1),
    (0.97, 0.03),
    (1.05, -0.05),
    (0.5, 0.5),
    (1.5, 0.0),
    (2.0, -0.2),
];

/// Runs over nulls, rates on the line and inside it, anchors near and far, and arms of all sizes.
fn each_null_point(mut check: impl FnMut(Pair, Null, Against, (f64, f64))) -> u32 {
    let mut points = 0;
    for (kappa, offset) in NULLS {
        let null = Null { kappa, offset };
        for rate_b in [0.0, 0.004, 0.05, 0.3, 0.7, 1.0] {
            let line = kappa * rate_b + offset;
            let inside_most = [line, 0.8 * line, line.min(0.0).max(line - 0.3)];
            let inside_least = [line, f64::midpoint(line, 1.0), 1.0];
            for (against, rates) in
                [(Against::AtMost, inside_most), (Against::AtLeast, inside_least)]
            {
                let holds = |rate: &f64| match against {
                    Against::AtMost => (0.0..=1.0).contains(rate) && *rate <= line,
                    Against::AtLeast => (0.0..=1.0).contains(rate) && *rate >= line,
                };
                for rate_c in rates.into_iter().filter(holds) {
                    for anchor in [1e-4, 0.02, 0.3, 0.98] {
                        for sizes in [(1, 1), (12, 1), (1, 12), (7, 5), (12, 12), (12, 2)] {
                            check(pair(anchor, sizes), null, against, (rate_b, rate_c));
                            points += 1;
                        }
                    }
                }
            }
        }
    }
    points
}

/// What makes it evidence: no stake is expected to grow against a null that holds.
#[test]
fn no_null_expects_a_stake_above_1() {
    let mut nearest = f64::NEG_INFINITY;
    let points = each_null_point(|empty, null, against, rates| {
        let stake = expected(empty, null, against, rates, 1.0);
        assert!(stake <= 1.0 + 1e-9, "{stake} for {empty:?} {null:?} {against:?} {rates:?}");
        nearest = nearest.max(stake);
    });
    assert!(points > 3_000, "{points}");
    // And nothing is given away: where the anchor is right, a null on the line expects 1.
    assert!(nearest > 1.0 - 1e-6, "{nearest}");
}

/// Dividing the logarithm by a design effect is taking a root, which only lowers what is expected.
#[test]
fn a_design_effect_keeps_the_expectation_below_1() {
    each_null_point(|empty, null, against, rates| {
        let stake = expected(empty, null, against, rates, 2.5);
        assert!(stake <= 1.0 + 1e-9, "{stake} for {empty:?} {null:?} {against:?} {rates:?}");
    });
}

/// Every split of up to four outcomes of 0, ½ and 1 an arm, with means on the line.
#[test]
fn halves_keep_the_expectation_below_1() {
    let three = |n: u32, mean: f64, half: f64| -> Vec<(f64, f64)> {
        // Outcomes 0, ½, 1 with the chances none, half, one; one + half/2 = mean.
        let one = mean - half / 2.0;
        let chances = [(0.0, 1.0 - half - one), (0.5, half), (1.0, one)];
        let mut sums = vec![(0.0, 1.0)];
        for _ in 0..n {
            let step = |(x, p): &(f64, f64)| chances.map(|(y, q)| (x + y, p * q));
            sums = sums.iter().flat_map(step).collect();
        }
        sums
    };
    for (kappa, offset) in [(1.0, 0.1), (0.9, 0.1), (1.2, 0.0)] {
        let null = Null { kappa, offset };
        let (rate_b, half) = (0.2, 0.2);
        let rate_c = kappa * rate_b + offset;
        for against in [Against::AtMost, Against::AtLeast] {
            let empty = pair(0.15, (4, 4));
            let mut stake = 0.0;
            for (stable_x, chance_b) in three(4, rate_b, half) {
                for (candidate_x, chance_c) in three(4, rate_c, half) {
                    let stakes = growth(&Pair { stable_x, candidate_x, ..empty }, null, against);
                    stake += chance_b * chance_c * mean_stake(&stakes, 1.0).exp();
                }
            }
            assert!(stake <= 1.0 + 1e-9, "{stake} {null:?} {against:?}");
            // Halves carry less than whole outcomes of the same mean, so strictly below.
            let whole = expected(empty, null, against, (rate_b, rate_c), 1.0);
            assert!(stake < whole, "{stake} {whole}");
        }
    }
}

fn divergence(p: f64, q: f64) -> f64 {
    let term = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// The most that any evidence can grow by, a request of either arm: the divergence from the nearest
/// point of the null, found by golden section over its line.
fn information(share: f64, null: Null, (rate_b, rate_c): (f64, f64)) -> f64 {
    let at = |p: f64| {
        let q = null.kappa * p + null.offset;
        share * divergence(rate_c, q) + (1.0 - share) * divergence(rate_b, p)
    };
    let mut low = (-null.offset / null.kappa).max(0.0) + 1e-12;
    let mut high = ((1.0 - null.offset) / null.kappa).min(1.0) - 1e-12;
    for _ in 0..200 {
        let (left, right) = (low + (high - low) * 0.382, low + (high - low) * 0.618);
        if at(left) < at(right) { high = right } else { low = left }
    }
    at(f64::midpoint(low, high))
}

/// Growth is linear in the counts, so its expectation is the growth at the expected counts.
#[test]
fn the_best_bet_grows_nearly_as_fast_as_any_evidence_can() {
    let mut worst = 1.0f64;
    for (kappa, offset) in [(1.0, 0.005), (1.0, 0.05), (0.97, 0.03), (1.2, 0.0)] {
        let null = Null { kappa, offset };
        for rate_b in [0.005, 0.02, 0.1, 0.3] {
            for share in [0.01, 0.05, 0.25, 0.5] {
                for (against, odds) in [
                    (Against::AtMost, 1.25),
                    (Against::AtMost, 1.6),
                    (Against::AtMost, 2.4),
                    (Against::AtMost, 5.0),
                    (Against::AtLeast, 0.8),
                    (Against::AtLeast, 1.0 / 2.4),
                    (Against::AtLeast, 0.2),
                ] {
                    let line = kappa * rate_b + offset;
                    let rate_c = line * odds / (1.0 - line + line * odds);
                    let n = 1e4;
                    let seen = Pair {
                        share,
                        anchor: rate_b,
                        stable_n: n * (1.0 - share),
                        stable_x: n * (1.0 - share) * rate_b,
                        candidate_n: n * share,
                        candidate_x: n * share * rate_c,
                    };
                    let bets = growth(&seen, null, against);
                    let best = bets.into_iter().fold(f64::NEG_INFINITY, f64::max) / n;
                    let most = information(share, null, (rate_b, rate_c));
                    let reached = best / most;
                    let case = format!("{null:?} {rate_b} {share} {against:?} ×{odds}");
                    assert!(reached < 1.0 + 1e-6, "{case}: {reached}: more than there is");
                    assert!(reached > 0.85, "{case}: {reached}");
                    worst = worst.min(reached);
                }
            }
        }
    }
    assert!(worst < 1.0);
}

#[test]
fn the_mean_of_the_stakes_is_a_mean() {
    assert!((mean_stake(&[3.0; BETS], 1.0) - 3.0).abs() < 1e-12);
    assert!((mean_stake(&[3.0; BETS], 2.0) - 1.5).abs() < 1e-12);
    let mut one = [f64::NEG_INFINITY; BETS];
    one[2] = 10.0;
    assert!((mean_stake(&one, 1.0) - (10.0 - (BETS as f64).ln())).abs() < 1e-12);
    // Logarithms beyond what a float's exponent holds.
    assert!((mean_stake(&[5_000.0; BETS], 1.0) - 5_000.0).abs() < 1e-9);
}

#[test]
fn nothing_of_the_candidate_is_no_evidence() {
    let nothing = Pair { candidate_n: 0.0, ..pair(0.02, (1_000, 1)) };
    let null = Null { kappa: 1.0, offset: 0.05 };
    for against in [Against::AtMost, Against::AtLeast] {
        assert_eq!(growth(&nothing, null, against), [0.0; BETS]);
    }
    assert_eq!(growth_bound(&nothing, null), 0.0);
}

fn any_pair() -> impl Strategy<Value = Pair> {
    let arm = || (1u32..4_000, 0.0..=1.0f64);
    // As `evidence` makes them, with the share of the counts themselves.
    (arm(), arm(), 1e-4..0.98f64).prop_map(|((old, b), (new, c), anchor)| {
        let empty = pair(anchor, (old, new));
        let stable_x = (f64::from(old) * b.powi(3)).round();
        let candidate_x = (f64::from(new) * c.powi(3)).round();
        Pair { stable_x, candidate_x, ..empty }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::default() })]

    /// The short cut that most looks take must never hide evidence.
    #[test]
    fn no_bet_grows_more_than_the_bound(
        pair in any_pair(),
        kappa in 0.3..2.0f64,
        offset in -0.5..0.6f64,
    ) {
        let null = Null { kappa, offset };
        let most = growth(&pair, null, Against::AtMost).into_iter().fold(0.0, f64::max);
        let bound = growth_bound(&pair, null);
        prop_assert!(bound >= most - 1e-9 * most.abs(), "{most} is over the bound {bound}");
    }

    /// A fraction of an outcome is worth at most what a mixture of whole ones is.
    #[test]
    fn a_fraction_lowers_the_stake(
        anchor in 1e-4..0.98f64,
        share in 0.01..0.99f64,
        offset in -0.2..0.3f64,
        x in 0.01..0.99f64,
    ) {
        let null = Null { kappa: 1.0, offset };
        let one = |candidate_x| Pair {
            share, anchor, stable_n: 0.0, stable_x: 0.0, candidate_n: 1.0, candidate_x,
        };
        for against in [Against::AtMost, Against::AtLeast] {
            let [none, part, whole] = [0.0, x, 1.0].map(|x| growth(&one(x), null, against));
            for bet in 0..BETS {
                let line = (1.0 - x) * none[bet].exp() + x * whole[bet].exp();
                prop_assert!(part[bet].exp() <= line + 1e-12, "bet {bet}: {} {line}", part[bet]);
            }
        }
    }

    /// More harm never speaks less against "at most", nor more against "at least".
    #[test]
    fn evidence_rises_with_harm(pair in any_pair(), offset in -0.05..0.3f64) {
        let null = Null { kappa: 1.0, offset };
        let worse = Pair { candidate_x: (pair.candidate_x + 1.0).min(pair.candidate_n), ..pair };
        let over = |pair| mean_stake(&growth(pair, null, Against::AtMost), 1.0);
        let within = |pair| mean_stake(&growth(pair, null, Against::AtLeast), 1.0);
        prop_assert!(over(&worse) >= over(&pair) - 1e-9);
        prop_assert!(within(&worse) <= within(&pair) + 1e-9);
    }
}
