use super::*;
use crate::random::Random;
use proptest::prelude::*;
use serde_json::Value;

fn counted(values: &[f64]) -> Differences {
    let mut differences = Differences::default();
    values.iter().for_each(|value| differences.add(*value));
    differences
}

#[test]
fn the_t_tests_are_scipys() {
    let lines = include_str!("../../tests/metrics/t_tests.jsonl");
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let mut seen = [0; 2];
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (a, b) = (numbers(&row["a"]), numbers(&row["b"]));
        let (which, got) = match row["test"].as_str().unwrap() {
            "welch" => (0, welch(&a, &b).unwrap()),
            "paired" => (1, paired(&a, &b).unwrap()),
            other => panic!("{other} is no test"),
        };
        seen[which] += 1;
        let expected = numbers(&row["result"]);
        assert!((got.p - expected[2]).abs() <= 1e-9, "{line}: {got:?}");
        // Of p-values as small as 1e-200 the size counts as well.
        assert!((got.p / expected[2] - 1.0).abs() <= 1e-7, "{line}: {got:?}");
        let near =
            |got: f64, expected: f64| (got - expected).abs() <= 1e-9 * expected.abs().max(1.0);
        assert!(near(got.t, expected[0]) && near(got.df, expected[1]), "{line}: {got:?}");
    }
    assert!(seen.iter().all(|count| *count >= 150), "{seen:?}");
}

#[test]
fn what_no_t_test_can_say() {
    assert_eq!(welch(&[1.0], &[1.0, 2.0]), None);
    assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), None);
    assert_eq!(paired(&[1.0, 2.0], &[1.0, 2.0]), None, "no pair differs");
    assert_eq!(paired(&[1.0, 2.0], &[1.0]), None);
    assert_eq!(paired(&[], &[]), None);
    let same = paired(&[1.0, 2.0], &[2.0, 3.0]).unwrap();
    assert!(same.t == f64::INFINITY && same.p == 0.0, "{same:?}");
    assert!(paired(&[2.0, 3.0], &[1.0, 2.0]).unwrap().t == f64::NEG_INFINITY);
}

/// The kinds of differences that pairs have: both as wrong as each other, rarely or often; ratios;
/// one that is nearly always the same.
fn draw(kind: usize, random: &mut Random) -> f64 {
    let sign = if random.one_in(2) { 1.0 } else { -1.0 };
    match kind {
        0 => sign * f64::from(u8::from(random.unit() < 0.02)),
        1 => sign * f64::from(u8::from(random.unit() < 0.5)),
        2 => {
            let (a, b) = random.normals();
            // To a tenth: few values are counted in a fraction of the time.
            (relative((0.5 * a).exp(), (0.5 * b).exp()) * 10.0).round() / 10.0
        }
        // One in fifty is 1 and the rest a little below 0: the mean is 0, the tail is not.
        _ => {
            if random.unit() < 0.02 {
                0.98
            } else {
                -0.02
            }
        }
    }
}

/// Two equal arms, looked at after each pair: found apart no more often than alpha, in 2,000 runs
/// of each kind. 5 % of 2,000 is 100, and its standard deviation about 10.
#[test]
fn equal_arms_are_seldom_found_apart_however_often_one_looks() {
    let (alpha, runs, pairs) = (0.05, 2_000, 250);
    let level = f64::ln(1.0 / alpha);
    for kind in 0..4 {
        let mut alarms = [0; 2];
        for run in 0..runs {
            let mut random = Random::nth(20_261_129 + kind as u64, run);
            let mut differences = Differences::default();
            let mut is_found = [false; 2];
            for _ in 0..pairs {
                differences.add(draw(kind, &mut random));
                is_found[0] = is_found[0] || differences.log_odds_over(0.0) >= level;
                is_found[1] = is_found[1] || differences.log_odds_within(0.0) >= level;
            }
            alarms[0] += u32::from(is_found[0]);
            alarms[1] += u32::from(is_found[1]);
        }
        assert!(alarms.iter().all(|alarms| *alarms <= 130), "kind {kind}: {alarms:?}");
    }
}

/// The true mean is in the interval at every moment at once.
#[test]
fn the_interval_holds_the_mean_at_every_look() {
    for (kind, shift) in [(0, 0.0), (1, 0.1), (2, -0.05)] {
        let mut missed = 0;
        for run in 0..200 {
            let mut random = Random::nth(7 + kind as u64, run);
            let mut differences = Differences::default();
            missed += u32::from((0..300).any(|at| {
                // A share of the pairs is worse by 1, or better.
                let moved = random.unit() < f64::abs(shift);
                let value = draw(kind, &mut random);
                differences.add(if moved { f64::signum(shift) } else { value });
                at % 20 == 19 && {
                    let (low, high) = differences.interval(0.05);
                    low > shift || high < shift
                }
            }));
        }
        assert!(missed <= 20, "kind {kind}: missed {missed} of 200");
    }
}

/// A candidate that is worse by 5 points, where one pair in five differs, is found in hundreds.
#[test]
fn a_real_difference_is_found_in_hundreds_of_pairs() {
    let mut random = Random::new(3, "worse");
    let mut found = Vec::new();
    for _ in 0..200 {
        let mut differences = Differences::default();
        let needed = (1..=5_000).find(|_| {
            let (at, mut value) = (random.unit(), 0.0);
            value += f64::from(u8::from(at < 0.125));
            value -= f64::from(u8::from(at > 0.925));
            differences.add(value);
            differences.log_odds_over(0.0) >= f64::ln(100.0)
        });
        found.push(needed.unwrap());
    }
    found.sort_unstable();
    assert!((300..1_500).contains(&found[100]), "median {}", found[100]);
    let mut like_these = Differences::default();
    for (value, times) in [(1.0, 125), (-1.0, 75), (0.0, 800)] {
        like_these.add_times(value, times);
    }
    let expected = like_these.needed(0.0, true, f64::ln(100.0)).unwrap() as f64;
    let ratio = expected / found[100] as f64;
    assert!((0.7..1.5).contains(&ratio), "{expected} expected, {} found", found[100]);
    assert_eq!(like_these.needed(0.0, false, f64::ln(100.0)), None, "they show the opposite");
    assert_eq!(Differences::default().needed(0.0, true, 1.0), None);
}

#[test]
fn odd_values_count_as_the_nearest_or_not_at_all() {
    let odd = counted(&[7.0, -7.0, f64::NAN, f64::INFINITY, 0.0004]);
    assert_eq!((odd.pairs(), odd.worse_and_better()), (4, (2, 1)));
    assert_eq!(relative(0.0, 0.0), 0.0);
    assert_eq!(relative(0.0, 5.0), 1.0);
    assert!((relative(1.0, 2.0) - 1.0 / 3.0).abs() < 1e-12);
    let none = Differences::default();
    assert_eq!((none.mean(), none.interval(0.01)), (None, (-1.0, 1.0)));
    let text = serde_json::to_string(&odd).unwrap();
    assert_eq!(serde_json::from_str::<Differences>(&text).unwrap(), odd);
}

fn line(metric: PairMetric, differences: &Differences) -> PairLine {
    PairLine::of(metric, differences, metric.default_limit(), Verdicts { alpha: 0.01, lines: 4 })
}

#[test]
fn a_line_is_within_over_or_open() {
    let mut same = Differences::default();
    same.add_times(0.0, 300);
    let mut broken = Differences::default();
    broken.add_times(1.0, 40);
    broken.add_times(0.0, 60);
    let few = counted(&[0.0; 20]);
    let within = line(PairMetric::Refused, &same);
    assert_eq!((within.verdict, within.more), (PairVerdict::Within, None));
    let over = line(PairMetric::ContractBroken, &broken);
    assert_eq!((over.verdict, over.worse, over.better), (PairVerdict::Over, 40, 0));
    let open = line(PairMetric::Refused, &few);
    assert_eq!(open.verdict, PairVerdict::Open);
    let more = open.more.unwrap();
    let mut enough = few.clone();
    enough.add_times(0.0, more);
    assert_eq!(line(PairMetric::Refused, &enough).verdict, PairVerdict::Within, "{more} more");
    assert_eq!(line(PairMetric::Length, &broken).verdict, PairVerdict::Shown);
    let none = line(PairMetric::Cost, &Differences::default());
    assert_eq!(none.verdict, PairVerdict::Shown, "no pair has a cost");

    let together =
        |lines: &[&PairLine]| verdict(&lines.iter().map(|l| (*l).clone()).collect::<Vec<_>>());
    assert_eq!(together(&[&within, &over]), PairVerdict::Over);
    assert_eq!(together(&[&within, &open]), PairVerdict::Open);
    assert_eq!(together(&[&within, &none]), PairVerdict::Open, "missing data is never a pass");
    assert_eq!(together(&[&within]), PairVerdict::Within);
    assert_eq!(together(&[]), PairVerdict::Open);
}

#[test]
fn every_metric_is_found_by_its_name() {
    for metric in PairMetric::ALL {
        assert_eq!(PairMetric::parse(metric.as_str()), Some(metric));
        let written = serde_json::to_value(metric).unwrap();
        assert_eq!(written, metric.as_str());
        assert!(metric.default_limit().is_none_or(|m| Limit::new(m.difference()).is_some()));
    }
    assert!(Limit::new(1.0).is_none() && Limit::new(f64::NAN).is_none());
    assert!((Limit::of_times(1.25).difference() - 1.0 / 9.0).abs() < 1e-12);
}

proptest! {
    /// Neither the order of pairs nor how they are parted changes any number.
    #[test]
    fn neither_order_nor_parts_change_a_number(
        mut values in prop::collection::vec(-1.2..1.2f64, 0..200),
        at in 0..200usize,
        limit in -0.5..0.5f64,
    ) {
        let whole = counted(&values);
        let parts = values.split_at(at.min(values.len()));
        let (mut one, other) = (counted(parts.1), counted(parts.0));
        one.merge(&other);
        values.reverse();
        for same in [one, counted(&values)] {
            prop_assert_eq!(&same, &whole);
            let bits = |of: &Differences| {
                [of.log_odds_over(limit), of.log_odds_within(limit)].map(f64::to_bits)
            };
            prop_assert_eq!(bits(&same), bits(&whole));
        }
    }

    /// Swapping the arms swaps over and within, and mirrors the interval.
    #[test]
    fn it_is_the_same_with_the_arms_swapped(
        values in prop::collection::vec(-1.0..1.0f64, 0..200),
        limit in -0.5..0.5f64,
    ) {
        let (one, other) = (counted(&values), counted(&values).swapped());
        let mirrored: Vec<f64> = values.iter().map(|value| -value).collect();
        prop_assert_eq!(&other, &counted(&mirrored));
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(1.0);
        prop_assert!(near(one.log_odds_over(limit), other.log_odds_within(-limit)));
        let ((low, high), (other_low, other_high)) = (one.interval(0.01), other.interval(0.01));
        prop_assert!(near(low, -other_high) && near(high, -other_low));
        prop_assert!(low <= high);
        let mean = one.mean().unwrap_or_default();
        prop_assert!(low <= mean + 1e-9 && mean <= high + 1e-9, "{} {} {}", low, mean, high);
    }

    /// A larger limit is never harder to keep.
    #[test]
    fn a_larger_limit_is_easier_to_keep(
        values in prop::collection::vec(-1.0..1.0f64, 0..200),
        limit in -0.5..0.5f64,
        more in 0.0..0.4f64,
    ) {
        let differences = counted(&values);
        let within = differences.log_odds_within(limit);
        prop_assert!(differences.log_odds_within(limit + more) >= within - 1e-9);
        let over = differences.log_odds_over(limit);
        prop_assert!(differences.log_odds_over(limit + more) <= over + 1e-9);
    }
}
