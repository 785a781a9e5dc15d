use super::*;
use crate::gate::{CaseResult, GateVerdict, Handling, Risk, Tally, testing};
use proptest::prelude::*;

fn tally(results: &[CaseResult]) -> Tally {
    results.iter().collect()
}

fn verdict_on(
    results: &[CaseResult],
    thresholds: &BTreeMap<String, f64>,
) -> (GateVerdict, Vec<String>) {
    tally(results).verdict_on(thresholds)
}

/// A result of a case with these slices; `None`: no answer.
fn result(n: usize, correct: Option<bool>, tags: &[&str], metadata: &[(&str, &str)]) -> CaseResult {
    let text = |text: &&str| (*text).to_owned();
    let handling = Handling {
        tags: tags.iter().map(text).collect(),
        metadata: metadata.iter().map(|(key, value)| (text(key), text(value))).collect(),
        ..Handling::default()
    };
    let case = Case { risk: Risk::Regression, handling, ..testing::case(&format!("case-{n}")) };
    let score = if correct == Some(true) { 1.0 } else { 0.0 };
    CaseResult {
        actual: correct.map(|_| "答".to_owned()),
        error: correct.is_none().then(|| "no connection".to_owned()),
        checks: vec![],
        ..testing::result(case, score)
    }
}

/// So many results of a tag, of which so many are correct.
fn of_tag(tag: &str, correct: usize, cases: usize) -> Vec<CaseResult> {
    (0..cases).map(|n| result(n, Some(n < correct), &[tag], &[])).collect()
}

fn check_interval(correct: u64, answered: u64, low: f64, high: f64) {
    let got = wilson(correct, answered);
    assert!((got.0 - low).abs() < 1e-6 && (got.1 - high).abs() < 1e-6, "{got:?}");
}

#[test]
fn intervals_are_wilsons() {
    // statsmodels' proportion_confint(…, method="wilson").
    check_interval(8, 10, 0.490_162, 0.943_318);
    check_interval(0, 10, 0.0, 0.277_533);
    check_interval(10, 10, 0.722_467, 1.0);
    check_interval(0, 0, 0.0, 1.0);
}

#[test]
fn a_case_is_in_each_of_its_slices_once() {
    let results = [
        result(1, Some(true), &["vip", "vip"], &[("lang", "zh")]),
        result(2, Some(false), &["vip"], &[("lang", "ja")]),
        result(3, None, &[], &[("lang", "zh")]),
    ];
    let rows = tally(&results).slices();
    let short: Vec<(&str, u64, u64, u64)> =
        rows.iter().map(|r| (r.slice.as_str(), r.cases, r.answered, r.correct)).collect();
    assert_eq!(short, [("lang:ja", 1, 1, 0), ("vip", 2, 2, 1), ("lang:zh", 2, 1, 1)]);
    assert_eq!(tally(&[result(1, Some(true), &[], &[])]).slices(), []);
}

fn check(results: &[CaseResult], threshold: f64, expected: GateVerdict, says: &str) {
    let (verdict, reasons) = verdict_on(results, &[(WORST_SLICE.to_owned(), threshold)].into());
    assert_eq!(verdict, expected, "{reasons:?}");
    assert!(reasons.join(" / ").contains(says), "{reasons:?}");
}

#[test]
fn a_slice_below_the_threshold_fails_the_gate_and_a_small_one_does_not() {
    use GateVerdict::{Fail, Inconclusive, Pass};
    let zh = [of_tag("en", 30, 30), of_tag("zh", 7, 10)].concat();
    check(&zh, 0.8, Fail, "worst_slice = 0.700 < 0.8: slice `zh`, 7 of 10 cases correct");
    check(&zh, 0.7, Pass, "worst_slice 0.700 is at least 0.7: slice `zh`");
    let small = [of_tag("en", 30, 30), of_tag("zh", 6, 9)].concat();
    check(&small, 0.8, Inconclusive, "fewer than 10 cases: slice `zh`, 6 of 9");
    check(&of_tag("zh", 3, 3), 0.8, Pass, "slice `zh`, 3 of 3");
    // One that fails is no less a failure beside one that decides nothing.
    check(&[zh, of_tag("ja", 0, 1)].concat(), 0.8, Fail, "`zh`");
    check(&[result(1, Some(true), &[], &[])], 0.8, Fail, "no case has a tag or metadata");
}

#[test]
fn the_metric_is_of_slices_that_decide() {
    let results = [of_tag("en", 27, 30), of_tag("zh", 1, 2)].concat();
    assert_eq!(tally(&results).metrics().get(WORST_SLICE), Some(&0.9));
    assert_eq!(tally(&of_tag("zh", 1, 2)).metrics().get(WORST_SLICE), None);
}

proptest! {
    /// The interval holds the share and narrows as the same share comes from more cases.
    #[test]
    fn an_interval_holds_its_share(correct in 0_u64..200, wrong in 0_u64..200) {
        let answered = correct + wrong;
        let (low, high) = wilson(correct, answered);
        let share = correct as f64 / answered.max(1) as f64;
        prop_assert!(low <= share + 1e-12 && share <= high + 1e-12 && low >= 0.0 && high <= 1.0);
        let (low_4, high_4) = wilson(correct * 4, answered * 4);
        prop_assert!(high_4 - low_4 <= high - low + 1e-12);
    }

    /// A case more that is wrong never makes a gate pass that did not, and one that is right never
    /// makes it fail.
    #[test]
    fn the_verdict_follows_the_cases(correct in 0_usize..30, wrong in 0_usize..30) {
        let thresholds = [(WORST_SLICE.to_owned(), 0.8)].into();
        let verdict = |correct, wrong| {
            verdict_on(&of_tag("zh", correct, correct + wrong), &thresholds).0
        };
        prop_assume!(correct + wrong > 0);
        if verdict(correct, wrong) != GateVerdict::Pass {
            prop_assert_ne!(verdict(correct, wrong + 1), GateVerdict::Pass);
        }
        if verdict(correct, wrong) == GateVerdict::Pass {
            prop_assert_eq!(verdict(correct + 1, wrong), GateVerdict::Pass);
        }
    }
}
