use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// scipy's sums are in another order than ours.
const TOLERANCE: f64 = 1e-9;

#[test]
fn every_number_is_scipys() {
    let lines = include_str!("../../../tests/metrics/paired.jsonl");
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let mut seen = [0; 4];
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let count = |key: &str| row[key].as_u64().unwrap();
        let (which, got) = match row["test"].as_str().unwrap() {
            "mcnemar" => (0, vec![mcnemar(count("broken"), count("fixed"))]),
            "flips" => (1, vec![sign_flips(&numbers(&row["differences"]), 7)]),
            "holm" => (2, holm(&numbers(&row["p"]))),
            "drop" => (3, vec![detectable_drop(count("cases"), count("fixed")).unwrap_or(-1.0)]),
            other => panic!("{other} is no test"),
        };
        seen[which] += 1;
        let expected = numbers(&row["result"]);
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= TOLERANCE, "{row}: {got}");
        }
    }
    assert!(seen.iter().all(|count| *count >= 20), "{seen:?}");
}

#[test]
fn what_repeats_say_of_a_case() {
    let of = |answered, passed| Repeats { answered, passed }.stability();
    assert_eq!(of(1, 1), None);
    assert_eq!(of(5, 5), Some(Stability::StablePass));
    assert_eq!(of(5, 4), Some(Stability::Flaky));
    assert_eq!(of(5, 0), Some(Stability::StableFail));
    assert_eq!(of(0, 0), None);
}

#[test]
fn small_sets_show_no_small_drop() {
    assert_eq!(detectable_drop(0, 0), None);
    assert_eq!(detectable_drop(5, 0), None, "five broken cases are no proof");
    assert!(detectable_drop(6, 0).unwrap() > 0.9);
    let points = |cases| detectable_drop(cases, 0).unwrap() * 100.0;
    assert!(points(100) > 7.0 && points(1_000) < 1.0, "{} {}", points(100), points(1_000));
}

/// The same model twice, 400 times: as many false alarms as alpha allows, and no more.
#[test]
fn two_runs_of_the_same_model_differ_by_chance_alone() {
    let mut random = Random::new(20_261_129, "identical models");
    let (mut by_cases, mut by_flips) = (0, 0);
    for round in 0..400 {
        let (mut broken, mut fixed, mut differences) = (0, 0, Vec::new());
        for _ in 0..60 {
            let rate = 0.4 + 0.6 * random.unit();
            // Three repeats a case; the case is correct from two on.
            let mut run = || (0..3).filter(|_| random.unit() < rate).count();
            let (before, now) = (run(), run());
            broken += u64::from(before >= 2 && now < 2);
            fixed += u64::from(before < 2 && now >= 2);
            differences.push((now as f64 - before as f64) / 3.0);
        }
        by_cases += u32::from(mcnemar(broken, fixed) <= ALPHA);
        by_flips += u32::from(sign_flips(&differences, round) <= ALPHA);
    }
    // 20 are expected at alpha; 34 or more would come by chance once in a thousand tests.
    assert!((1..34).contains(&by_cases) && (5..34).contains(&by_flips), "{by_cases} {by_flips}");
}

#[test]
fn predictability_is_how_likely_two_answers_agree() {
    let of = |repeats: &[(u32, u32)]| {
        let repeats = repeats
            .iter()
            .map(|(answered, passed)| Repeats { answered: *answered, passed: *passed });
        predictability(repeats)
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[(1, 1), (0, 0)]), None, "one answer agrees with none");
    assert_eq!(of(&[(5, 5), (5, 0)]), Some(1.0), "what always fails is predictable");
    assert_eq!(of(&[(2, 1)]), Some(0.0));
    assert_eq!(of(&[(5, 4)]), Some(0.6), "6 of 10 pairs");
    assert_eq!(of(&[(2, 1), (100, 100)]), Some(0.5), "the case counts, not the repeat");
}

proptest! {
    #[test]
    fn predictability_is_unbiased(answered in 2..40_u32, of_ten in 0..=10_u32) {
        let p = f64::from(of_ten) / 10.0;
        let n = f64::from(answered);
        // The mean over all outcomes of so many repeats that are each correct with chance p.
        let mut ways = 1.0;
        let mut mean = 0.0;
        for passed in 0..=answered {
            let k = f64::from(passed);
            let chance = ways * p.powf(k) * (1.0 - p).powf(n - k);
            let repeats = Repeats { answered, passed };
            mean += chance * predictability(std::iter::once(repeats)).unwrap();
            ways *= (n - k) / (k + 1.0);
        }
        prop_assert!((mean - (p * p + (1.0 - p) * (1.0 - p))).abs() < 1e-9, "{mean}");
    }
}

proptest! {
    #[test]
    fn p_values_are_shares_that_grow_with_less_evidence(broken in 0..200_u64, fixed in 0..200_u64) {
        let p = mcnemar(broken, fixed);
        prop_assert!((0.0..=1.0).contains(&p));
        prop_assert_eq!(p, mcnemar(fixed, broken), "in either direction");
        if broken >= fixed {
            prop_assert!(mcnemar(broken + 1, fixed) <= p + 1e-12);
        }
    }

    #[test]
    fn holm_keeps_the_order_and_lowers_nothing(p in prop::collection::vec(0.0..=1.0_f64, 0..12)) {
        let corrected = holm(&p);
        for (a, b) in p.iter().zip(&corrected) {
            prop_assert!(a <= b && *b <= 1.0);
        }
        for (a, x) in p.iter().zip(&corrected) {
            for (b, y) in p.iter().zip(&corrected) {
                prop_assert!(a >= b || x <= y);
            }
        }
    }

    #[test]
    fn flips_see_no_direction(d in prop::collection::vec(-1.0..1.0_f64, 0..10)) {
        let negated: Vec<f64> = d.iter().map(|value| -value).collect();
        let p = sign_flips(&d, 1);
        prop_assert!(p > 0.0 && p <= 1.0);
        prop_assert_eq!(p, sign_flips(&negated, 1));
        let with_equals: Vec<f64> = d.iter().copied().chain([0.0; 5]).collect();
        prop_assert_eq!(p, sign_flips(&with_equals, 1), "equal cases say nothing");
    }
}
