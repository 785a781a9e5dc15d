//! What the budget proves on drawn counts: never of a candidate that spoils less, and soon of one
//! that spoils much, clusters or not.

use super::*;
use crate::decide::tests::chance::Chance;

fn pair(stable: (f64, f64), candidate: (f64, f64)) -> Pair {
    let share = candidate.0 / (candidate.0 + stable.0);
    let (stable_n, stable_x) = stable;
    let (candidate_n, candidate_x) = candidate;
    Pair { share, anchor: 0.01, stable_n, stable_x, candidate_n, candidate_x }
}

#[test]
fn nothing_is_spent_without_harm() {
    let check = |pairs: &[Pair], expected: bool| {
        assert_eq!(spent(pairs, (50.0, 0.0), 0.001, 1.0).is_some(), expected, "{pairs:?}");
    };
    check(&[], false);
    check(&[pair((10_000.0, 100.0), (1_000.0, 10.0))], false);
    // Fewer than the budget, however bad.
    check(&[pair((10_000.0, 100.0), (49.0, 49.0))], false);
    // More by the estimate, and not proven.
    check(&[pair((10_000.0, 1_000.0), (600.0, 111.0))], false);
    check(&[pair((10_000.0, 100.0), (1_000.0, 200.0))], true);
    // A candidate without a control proves nothing.
    check(&[pair((0.0, 0.0), (1_000.0, 900.0))], false);
}

#[test]
fn alike_outcomes_take_more() {
    let pairs = [pair((9_000.0, 0.0), (800.0, 130.0))];
    assert!(spent(&pairs, (50.0, 0.0), 0.001, 1.0).is_some());
    assert!(spent(&pairs, (50.0, 0.0), 0.001, 5.0).is_some());
    assert!(spent(&pairs, (50.0, 0.0), 0.001, 12.0).is_none());
}

#[test]
fn what_pass_allows_is_not_spoilt() {
    let pairs = [pair((50_000.0, 500.0), (5_000.0, 200.0))];
    assert!(spent(&pairs, (50.0, 0.0), 0.001, 1.0).is_some());
    assert!(spent(&pairs, (50.0, 0.03), 0.001, 1.0).is_none());
}

/// What comes late is not spread over the good hours before.
#[test]
fn late_harm_is_told_from_its_own_answers() {
    let good = pair((500_000.0, 5_000.0), (50_000.0, 500.0));
    let late = pair((5_000.0, 50.0), (500.0, 150.0));
    let spent = spent(&[good, late], (50.0, 0.0), 0.001, 1.0).unwrap();
    assert!((spent.points - 0.1).abs() < 1e-9, "{spent:?}");
    assert!((140.0..150.0).contains(&spent.spoilt), "{spent:?}");
}

/// Looked at after every batch, a candidate that spoils just under the budget by the end is called
/// over it with at most the chance asked for: 600 releases at 5 % would be 30, plus 3 standard
/// deviations 46.
#[test]
fn what_spoils_less_than_the_budget_is_rarely_over_it() {
    let mut chance = Chance(11);
    let mut over = 0;
    for _ in 0..600 {
        // 40 batches of 50 candidate answers, 2.5 points worse: 50 spoilt at the very end.
        let (mut old, mut new) = ((0.0, 0.0), (0.0, 0.0));
        let is_proven = (0..40).any(|_| {
            for _ in 0..200 {
                old = (old.0 + 1.0, old.1 + f64::from(u8::from(chance.hit(0.01))));
            }
            for _ in 0..50 {
                new = (new.0 + 1.0, new.1 + f64::from(u8::from(chance.hit(0.035))));
            }
            spent(&[pair(old, new)], (50.0, 0.0), 0.05, 1.0).is_some()
        });
        over += u32::from(is_proven);
    }
    assert!(over < 46, "{over} of 600");
}
