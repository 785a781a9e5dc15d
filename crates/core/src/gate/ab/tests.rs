use super::*;
use crate::gate::testing::{self, report};
use proptest::prelude::*;

fn result(id: usize, input: &str, score: f64) -> CaseResult {
    let mut result = testing::result(testing::case(&format!("case-{id:03}")), score);
    (result.case.input, result.latency_ms) = (input.to_owned(), 100 + id as u64);
    result
}

fn compare_ab(a: &EvalReport, b: &EvalReport, seed: u64) -> Option<AbReport> {
    super::compare_ab(a, b, seed).unwrap()
}

fn of(run: &str, scores: &[f64]) -> EvalReport {
    let results = scores.iter().enumerate().map(|(id, score)| result(id, "问", *score));
    report(run, results.collect())
}

#[test]
fn the_seeds_names_are_in_the_json() {
    let compared = compare_ab(&of("a", &[1.0, 0.5, 0.0]), &of("b", &[1.0, 1.0, 1.0]), 1).unwrap();
    let json = serde_json::to_value(&compared).unwrap();
    for side in ["A", "B"] {
        for key in ["count", "avg_score", "avg_latency", "score_std"] {
            assert!(json[side][key].is_number(), "{side}.{key} in {json}");
        }
    }
    assert!(json["p_value"].is_number() && json["significant"].is_boolean(), "{json}");
    assert_eq!(
        (json["A"]["count"].as_u64(), json["A"]["avg_latency"].as_f64()),
        (Some(3), Some(101.0))
    );
    assert_eq!(json["mcnemar"]["only_b"], 2);
}

#[test]
fn the_p_value_is_that_of_the_paired_test() {
    let (a, b) = ([0.9, 0.4, 0.7, 0.2, 0.5], [1.0, 0.6, 0.8, 0.5, 0.6]);
    let compared = compare_ab(&of("a", &a), &of("b", &b), 1).unwrap();
    assert_eq!(compared.p_value, paired(&a, &b).map(|test| test.p));
    assert_eq!(compared.welch_t, welch(&a, &b));
    assert!(compared.significant && !compared.welch_t.is_some_and(|test| test.p < 0.05));
}

#[test]
fn what_is_not_asked_alike_in_both_is_left_out() {
    let mut a = of("a", &[1.0, 1.0, 1.0, 1.0]);
    let mut b = of("b", &[0.0, 1.0, 1.0, 1.0, 1.0]);
    a.results.hold().unwrap()[1].error = Some("no connection".to_owned());
    b.results.hold().unwrap()[2] = result(2, "another question", 1.0);
    let compared = compare_ab(&a, &b, 1).unwrap();
    assert_eq!(compared.left_out, ["case-001", "case-002", "case-004"]);
    assert_eq!((compared.a.count, compared.b.count), (2, 2));
    assert_eq!(compare_ab(&of("a", &[]), &b, 1), None);
    let other = report("c", vec![result(0, "another question", 1.0)]);
    assert_eq!(compare_ab(&a, &other, 1), None);
}

#[test]
fn no_difference_is_no_proof_and_one_case_is_none() {
    let compared = compare_ab(&of("a", &[0.5; 9]), &of("b", &[0.5; 9]), 1).unwrap();
    assert_eq!((compared.p_value, compared.significant), (Some(1.0), false));
    assert_eq!((compared.bootstrap.low, compared.bootstrap.high), (0.0, 0.0));
    let one = compare_ab(&of("a", &[0.0]), &of("b", &[1.0]), 1).unwrap();
    assert_eq!((one.p_value, one.significant), (None, false));
}

proptest! {
    /// Naming the runs the other way round turns everything around and changes no p.
    #[test]
    fn runs_are_alike(
        scores in prop::collection::vec((0u8..=4, 0u8..=4), 1..60),
        seed in any::<u64>(),
    ) {
        let of = |which: fn(&(u8, u8)) -> u8| {
            let scores: Vec<f64> = scores.iter().map(|p| f64::from(which(p)) / 4.0).collect();
            self::of("run", &scores)
        };
        let (a, b) = (of(|pair| pair.0), of(|pair| pair.1));
        let one = compare_ab(&a, &b, seed).unwrap();
        let other = compare_ab(&b, &a, seed).unwrap();
        prop_assert_eq!(one.p_value, other.p_value);
        prop_assert_eq!(one.mcnemar.p, other.mcnemar.p);
        prop_assert_eq!(one.mcnemar.only_a, other.mcnemar.only_b);
        prop_assert!((one.bootstrap.difference + other.bootstrap.difference).abs() < 1e-12);
        let AbInterval { difference, low, high } = one.bootstrap;
        prop_assert!(low <= difference + 1e-9 && difference <= high + 1e-9);
    }
}

/// Two runs of one model differ by chance: they are called different as often as the level says.
#[test]
fn identical_models_are_called_different_at_the_level_at_most() {
    let mut random = Random::new(20261129, "the same model");
    let mut different = 0;
    for _ in 0..400 {
        let mut run = |name: &str| {
            let scores: Vec<f64> =
                (0..60).map(|_| f64::from(u8::from(random.unit() < 0.7))).collect();
            of(name, &scores)
        };
        let compared = compare_ab(&run("a"), &run("b"), 1).unwrap();
        different += u32::from(compared.significant);
    }
    // 20 are expected at 5 %; 35 or more come by chance once in two thousand times.
    assert!((5..35).contains(&different), "{different} of 400");
}
