//! How strata and starts make one number.

use super::*;
use crate::decide::metric::Metric;
use crate::observe::Histogram;

fn rule(metric: Metric) -> LineRule {
    let mut rule = LineRule::defaults().into_iter().find(|rule| rule.metric == metric).unwrap();
    rule.floor = 0.0;
    rule
}

fn rate(stable: (u64, u64), candidate: (u64, u64)) -> Cell {
    let share = |(n, bad): (u64, u64)| Share { n, milli: bad * 1000 };
    Cell::Rate { anchor: Some(0.02), stable: share(stable), candidate: share(candidate) }
}

fn against(cells: &[Cell], effect: f64, harm: f64, against: Against) -> f64 {
    let rule = rule(Metric::ErrorRate);
    let weight = Weight::from_pct(20.0).unwrap();
    EProcess::new(&rule, cells.iter().map(|cell| (cell, weight)), effect).against(harm, against)
}

/// Hours of good service do not excuse what comes after them.
#[test]
fn late_trouble_is_not_excused() {
    let good = rate((40_000, 800), (10_000, 200));
    let bad = rate((400, 8), (100, 20));
    let all = against(&[good, bad.clone()], 1.0, 0.05, Against::AtMost);
    let alone = against(std::slice::from_ref(&bad), 1.0, 0.05, Against::AtMost);
    assert!(alone > 5.0, "{alone}");
    assert!(all > alone - 2.0, "{all}, alone {alone}");
}

/// What is found in the newest strata alone is a part of the whole: to stop there decides as the
/// whole would, and what is not enough is given in full.
#[test]
fn to_stop_early_changes_nothing() {
    let mut stopped = 0;
    let mut looks = 0;
    for late in 0..12 {
        let calm = rate((8_000, 160), (2_000, 40));
        let cells = [calm.clone(), calm, rate((400, 8), (100, 2 + late))];
        let (rule, weight) = (rule(Metric::ErrorRate), Weight::from_pct(20.0).unwrap());
        let e_process = EProcess::new(&rule, cells.iter().map(|cell| (cell, weight)), 1.0);
        for against in [Against::AtMost, Against::AtLeast] {
            for harm in [0.0, 0.01, 0.02, 0.05] {
                let whole = e_process.against(harm, against);
                for enough in [-5.0, 0.0, 1.0, 3.0, 7.0, 27.0] {
                    let (part, _) = e_process.up_to(enough, harm, against);
                    assert_eq!(part >= enough, whole >= enough, "{part} {whole} {enough}");
                    assert!(part == whole || (enough <= part && part < whole), "{part} {whole}");
                    assert_eq!(e_process.proves(enough, harm, against), whole >= enough);
                    (looks, stopped) = (looks + 1, stopped + u32::from(part != whole));
                }
            }
        }
    }
    assert!(stopped > looks / 10 && stopped < looks, "{stopped} of {looks}");
}

/// A rise changes the weight, and the hour: what changed with it is not the candidate's doing.
/// Added up, the candidate's 4 % against stable's 1.4 % would be over.
#[test]
fn a_ramp_is_not_a_difference() {
    let calm = rate((18_000, 180), (2_000, 20));
    let busy = rate((2_000, 100), (2_000, 100));
    for harm in [0.005, 0.01] {
        let apart = against(&[calm.clone(), busy.clone()], 1.0, harm, Against::AtMost);
        assert!(apart < 0.0, "{harm}: {apart}");
        let added = rate((20_000, 280), (4_000, 160));
        assert!(against(&[added], 1.0, harm, Against::AtMost) > 5.0);
    }
}

#[test]
fn a_design_effect_is_a_root_of_the_stake() {
    let cells = [rate((4_000, 80), (1_000, 120))];
    let (one, four) =
        (against(&cells, 1.0, 0.05, Against::AtMost), against(&cells, 4.0, 0.05, Against::AtMost));
    assert!(one > 10.0 && four < one / 2.0 && four > one / 8.0, "{one} {four}");
    let cells = [rate((4_000, 80), (1_000, 20))];
    let within = |effect| against(&cells, effect, 0.05, Against::AtLeast);
    assert!(within(1.0) > 10.0 && within(4.0) < within(1.0) / 2.0);
}

/// All of the candidate is in the bucket that holds the point where 20 % slower would lie. It
/// counts by how much of the bucket lies beyond: nothing at its upper edge, all at its lower.
#[test]
fn the_bucket_that_holds_the_point_counts_in_part() {
    let rule = rule(Metric::LatencyP95);
    let mut values = Histogram::default();
    (0..1_000).for_each(|_| values.add(1_200_000));
    let (lower, upper, count) = values.buckets().map(float).next().unwrap();
    let beyond = |point: f64| {
        let stable = Share { n: 4_000, milli: 200_000 };
        let pair = pair(0.05, stable, Share { n: 1_000, milli: 0 });
        let beyond = vec![(lower, upper, count)];
        let tail = TailPair { anchor_us: point / 1.2, pair, beyond };
        let e_process = EProcess::new(&rule, std::iter::empty(), 1.0);
        e_process.cut(&tail, 0.2).candidate_x
    };
    let width = upper + 1.0 - lower;
    for part in [0.0, 0.25, 0.5, 0.9] {
        let got = beyond(lower + part * width);
        assert!((got - (1.0 - part) * 1_000.0).abs() < 0.1, "{part}: {got}");
    }
    assert!((beyond(lower - 10.0) - 1_000.0).abs() < 1e-9);
    assert!(beyond(upper + 10.0).abs() < 1e-9);
}

/// With nobody on stable at full weight, and only then, its past replaces it.
#[test]
fn stables_past_stands_in_at_full_weight_only() {
    let rule = rule(Metric::ErrorRate);
    let cells = [rate((8_000, 160), (2_000, 40)), rate((0, 0), (2_000, 400))];
    let at = |pct| {
        let weights = [Weight::from_pct(50.0).unwrap(), Weight::from_pct(pct).unwrap()];
        let e_process = EProcess::new(&rule, cells.iter().zip(weights), 1.0);
        (e_process.against(0.05, Against::AtMost), e_process.alone)
    };
    assert!(at(100.0).0 > 20.0 && at(100.0).1);
    assert!(at(50.0).0 < 5.0 && !at(50.0).1, "{:?}", at(50.0));
}
