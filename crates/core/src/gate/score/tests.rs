use super::*;
use crate::gate::{Checks, Risk, testing};
use proptest::prelude::*;

fn case(keywords: &[&str], expected: Option<&str>, contains: Option<&str>) -> Case {
    let checks = Checks {
        expected_keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
        expected_contains: contains.map(str::to_owned),
        ..Checks::default()
    };
    let expected = expected.map(str::to_owned);
    Case { expected, checks, risk: Risk::Regression, ..testing::case("a") }
}

fn check(case: &Case, answer: &str, similarity: f64, expected: Option<f64>) {
    let got = legacy_score(case, answer, similarity);
    let same = match (got, expected) {
        (Some(got), Some(expected)) => (got - expected).abs() < 1e-12,
        (got, expected) => got == expected,
    };
    assert!(same, "{answer}: {got:?}, expected {expected:?}");
}

#[test]
fn the_legacy_formula_is_literal() {
    let all = case(&["学习", "数据"], Some("参考"), Some("def "));
    check(&all, "学习 数据 def f", 1.0, Some(1.0));
    check(&all, "学习 def f", 0.5, Some(0.25 + 0.15 + 0.2));
    check(&all, "没有", 0.0, Some(0.0));
    // Keywords alone never reach 0.8.
    check(&case(&["学习"], None, None), "学习", 1.0, Some(0.5));
    check(&case(&[], Some("参考"), None), "x", 1.0, Some(0.3));
    check(&case(&[], None, Some("def ")), "def f", 1.0, Some(0.2));
    check(&case(&[], None, None), "x", 1.0, None);
    // The formula looks for a keyword as it is written.
    check(&case(&["API"], None, None), "the api", 0.0, Some(0.0));
    // An empty reference is none.
    check(&case(&["API"], Some(""), None), "API", 1.0, Some(0.5));
    // A cosine below 0 takes nothing away.
    check(&case(&["API"], Some("x"), None), "API", -0.5, Some(0.5));
}

#[test]
fn renormalised_every_case_can_reach_1() {
    let check = |case: &Case, answer: &str, similarity: f64, expected: Option<f64>| {
        let got = renormalised_score(case, answer, similarity);
        let same = got.zip(expected).is_some_and(|(got, wanted)| (got - wanted).abs() < 1e-12);
        assert!(same || (got, expected) == (None, None), "{answer}: {got:?}, not {expected:?}");
    };
    check(&case(&["学习"], None, None), "学习", 0.0, Some(1.0));
    check(&case(&["学习", "数据"], None, None), "学习", 0.0, Some(0.5));
    check(&case(&["学习"], Some("参考"), None), "学习", 0.2, Some((0.5 + 0.06) / 0.8));
    let all = case(&["学习", "数据"], Some("参考"), Some("def "));
    check(&all, "学习 def f", 0.5, Some(0.25 + 0.15 + 0.2));
    check(&case(&[], None, None), "x", 1.0, None);
}

fn checks() -> impl Strategy<Value = Vec<CheckResult>> {
    let names = prop::sample::select(vec!["expected_contains", "citation", "forbidden_keywords"]);
    let one = (names, 0.0..=1.0_f64).prop_map(|(check, score)| CheckResult::new(check, score, ""));
    prop::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn a_score_is_between_0_and_1(checks in checks()) {
        let score = mean_score(&checks);
        prop_assert!((0.0..=1.0).contains(&score), "{score}");
    }

    /// The weights of the checks that a case has sum to 1, however many there are.
    #[test]
    fn the_weights_are_those_of_the_checks_there_are(share in 0.0..=1.0_f64, count in 1..9_usize) {
        let one = CheckResult::new("regex", share, "");
        let score = mean_score(&vec![one; count]);
        prop_assert!((score - share).abs() < 1e-12, "{score} of {share}");
    }

    #[test]
    fn a_forbidden_keyword_makes_the_score_0(mut checks in checks(), at in 0..9_usize) {
        let forbidden =
            CheckResult::new(HARD[at % 2], 0.0, "x");
        checks.insert(at.min(checks.len()), forbidden);
        prop_assert_eq!(mean_score(&checks), 0.0);
    }

    #[test]
    fn the_legacy_score_is_between_0_and_1(
        keywords in prop::collection::vec("[a-c学]{1,2}", 0..4),
        expected in prop::option::of("[a-c]{0,3}"),
        contains in prop::option::of("[a-c]{0,3}"),
        answer in "[a-c学习 ]{0,12}",
        similarity in -1.0..=1.5_f64,
    ) {
        let words: Vec<&str> = keywords.iter().map(String::as_str).collect();
        let case = case(&words, expected.as_deref(), contains.as_deref());
        if let Some(score) = legacy_score(&case, &answer, similarity) {
            prop_assert!((0.0..=1.0).contains(&score), "{score}");
            let renormalised = renormalised_score(&case, &answer, similarity).unwrap();
            prop_assert!((score..=1.0).contains(&renormalised), "{renormalised} of {score}");
        }
    }
}
