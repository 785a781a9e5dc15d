use super::*;
use crate::gate::slice::below;
use crate::gate::{Case, CaseResult, CaseSet, Handling, HeldTo, JudgedBy, Risk, Severity, testing};
use crate::ids::Digest;
use proptest::prelude::*;

fn judge_run(
    policy: &GatePolicy,
    results: &[CaseResult],
    lints: &[String],
) -> (GateVerdict, Vec<String>) {
    super::judge_run(policy, &results.iter().collect(), lints)
}

fn result(n: usize, score: f64, tag: &str) -> CaseResult {
    let handling = Handling { tags: vec![tag.to_owned()], ..Handling::default() };
    let risk = Risk::ALL[n % Risk::ALL.len()];
    testing::result(Case { risk, handling, ..testing::case(&format!("case-{n}")) }, score)
}

fn policy(thresholds: &[(&str, f64)], blocking: &[&str]) -> GatePolicy {
    GatePolicy {
        thresholds: thresholds.iter().map(|(name, bar)| ((*name).to_owned(), *bar)).collect(),
        blocking: blocking.iter().map(|id| (*id).to_owned()).collect(),
        ..GatePolicy::default()
    }
}

fn check(policy: &GatePolicy, results: &[CaseResult], expected: GateVerdict, reason: &str) {
    let (verdict, reasons) = judge_run(policy, results, &["a.md:1:1: short".to_owned()]);
    assert_eq!((verdict, reasons.join(" / ").as_str()), (expected, reason));
}

#[test]
fn tags_and_slices_are_metrics() {
    let results = [result(0, 1.0, "zh"), result(1, 0.0, "zh"), result(2, 1.0, "lang:ja")];
    let bars = [("slice:lang:ja", 1.0), ("tag:zh", 0.5)];
    let says = "slice:lang:ja 1.000 is at least 1 / tag:zh 0.500 is at least 0.5";
    check(&policy(&bars, &[]), &results, GateVerdict::Pass, says);
    let says = "Quality gate failed: tag:zh = 0.500 < 0.6";
    check(&policy(&[("tag:zh", 0.6)], &[]), &results, GateVerdict::Fail, says);
    let says = "Quality gate failed: tag:fr = 0 < 0: this run does not measure it";
    check(&policy(&[("tag:fr", 0.0)], &[]), &results, GateVerdict::Fail, says);
}

#[test]
fn a_case_that_is_named_must_be_in_the_run() {
    let results = [result(0, 1.0, "zh")];
    let says = "blocking case `gone` is not in this run";
    check(&policy(&[], &["case-0", "gone"]), &results, GateVerdict::Fail, says);
    let says =
        format!("{says} / Quality gate failed: bleu = 0 < 0.5: this run does not measure it");
    check(&policy(&[("bleu", 0.5)], &["gone"]), &results, GateVerdict::Fail, &says);
}

#[test]
fn lints_fail_where_the_policy_says_so() {
    let results = [result(0, 1.0, "zh")];
    check(&policy(&[], &[]), &results, GateVerdict::Pass, "");
    let with = GatePolicy { lints: true, ..policy(&[], &[]) };
    check(&with, &results, GateVerdict::Fail, "prompt lint: a.md:1:1: short");
}

#[test]
fn a_named_case_is_marked_and_never_milder_than_it_was() {
    let mut set = CaseSet { cases: (0..3).map(|n| result(n, 1.0, "zh").case).collect() };
    set.cases.hold().unwrap()[0].severity = Severity::RedLine;
    let red = ["case-1".to_owned()].into();
    GatePolicy { red_lines: red, ..policy(&[], &["case-0", "case-1"]) }.mark(&mut set);
    let cases = set.cases.to_vec().unwrap();
    let severities: Vec<Severity> = cases.iter().map(|case| case.severity).collect();
    assert_eq!(severities, [Severity::RedLine, Severity::RedLine, Severity::Normal]);
}

#[test]
fn a_value_below_its_threshold_is_shown_below_it() {
    for (value, threshold, shown) in
        [(0.5, 0.85, "0.500"), (0.849_96, 0.85, "0.84996"), (0.899_999_9, 0.9, "0.8999999")]
    {
        assert_eq!(below(value, threshold), shown);
    }
}

#[test]
fn a_run_under_a_higher_bar_counts_for_the_projects() {
    let own = policy(&[("accuracy", 0.8)], &["a"]);
    let counts = |policy: &GatePolicy| HeldTo::new(policy.clone(), &own).counts_as == own.digest();
    assert!(counts(&own));
    assert!(counts(&policy(&[("accuracy", 0.9), ("bleu", 0.1)], &["a", "b"])));
    assert!(!counts(&policy(&[("accuracy", 0.79)], &["a"])));
    assert!(!counts(&policy(&[("accuracy", 0.9)], &[])));
    assert!(!counts(&policy(&[("bleu", 0.9)], &["a"])));
}

#[test]
fn another_judge_or_a_greater_drop_is_no_proof() {
    let judge = |model: &str, version: Option<&str>| {
        Some(JudgedBy { model: model.to_owned(), version: version.map(str::to_owned) })
    };
    let of = |max_drop, judge| GatePolicy { max_drop, judge, ..policy(&[], &[]) };
    let own = of(Some(0.02), judge("j", Some("1")));
    let counts = |policy: GatePolicy| HeldTo::new(policy, &own).counts_as == own.digest();
    assert!(counts(own.clone()) && counts(of(Some(0.01), own.judge.clone())));
    for other in [
        of(Some(0.03), own.judge.clone()),
        of(None, own.judge.clone()),
        of(Some(0.02), judge("j", Some("2"))),
        of(Some(0.02), judge("j", None)),
        of(Some(0.02), judge("k", Some("1"))),
        of(Some(0.02), None),
    ] {
        assert!(!counts(other.clone()), "{other:?}");
        assert_ne!(other.digest(), own.digest());
    }
    // Without either the digest is the one of before there were such keys.
    let plain = "{\"thresholds\":{\"accuracy\":0.8}}";
    assert_eq!(policy(&[("accuracy", 0.8)], &[]).digest(), Digest::of(plain.as_bytes()));
}

const METRICS: [&str; 8] =
    ["accuracy", "relevance", "safety", "format", "tag:zh", "slice:ja", "worst_slice", "bleu"];

fn policies() -> impl Strategy<Value = GatePolicy> {
    let bars = proptest::collection::btree_map(0..METRICS.len(), 0u8..=4, 0..4);
    let ids = || proptest::collection::btree_set(0usize..30, 0..3);
    let policy = (bars, ids(), ids(), any::<bool>());
    policy.prop_map(|(bars, blocking, red, lints)| GatePolicy {
        thresholds: bars
            .into_iter()
            .map(|(n, bar)| (METRICS[n].to_owned(), f64::from(bar) / 4.0))
            .collect(),
        blocking: blocking.into_iter().map(|n| format!("case-{n}")).collect(),
        red_lines: red.into_iter().map(|n| format!("case-{n}")).collect(),
        lints,
        ..GatePolicy::default()
    })
}

/// Mostly correct runs, so that many of them pass.
fn runs() -> impl Strategy<Value = Vec<CaseResult>> {
    let score = prop_oneof![6 => Just(1.0), 1 => Just(0.8), 1 => Just(0.0)];
    let one = (score, prop_oneof![Just("zh"), Just("ja")]);
    proptest::collection::vec(one, 0..30).prop_map(|all| {
        all.into_iter().enumerate().map(|(n, (score, tag))| result(n, score, tag)).collect()
    })
}

fn marked(policy: &GatePolicy, mut results: Vec<CaseResult>) -> Vec<CaseResult> {
    let mut set = CaseSet { cases: results.iter().map(|result| result.case.clone()).collect() };
    policy.mark(&mut set);
    for (result, case) in results.iter_mut().zip(set.cases.to_vec().unwrap()) {
        result.case = case;
    }
    results
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_worse_score_or_a_lost_answer_makes_no_pass(
        policy in policies(), results in runs(), at in 0usize..30, worse in 0.0..1.0f64,
        lost in any::<bool>(),
    ) {
        let before = marked(&policy, results);
        let mut after = before.clone();
        if let Some(result) = after.get_mut(at) {
            result.score = result.score.min(worse);
            result.checks[0].score = result.score;
            if lost {
                (result.actual, result.error) = (None, Some("no connection".to_owned()));
            }
        }
        if judge_run(&policy, &after, &[]).0 == GateVerdict::Pass {
            prop_assert_eq!(judge_run(&policy, &before, &[]).0, GateVerdict::Pass);
        }
    }

    #[test]
    fn a_metric_that_is_not_measured_never_passes(
        mut policy in policies(), results in runs(), bar in 0.0..=1.0f64,
        missing in prop_oneof![Just("acuracy"), Just("bleu"), Just("tag:fr"), Just("slice:")],
    ) {
        policy.thresholds.insert(missing.to_owned(), bar);
        prop_assert_ne!(judge_run(&policy, &results, &[]).0, GateVerdict::Pass);
    }

    #[test]
    fn what_passes_a_policy_passes_every_weaker_one(
        one in policies(), other in policies(), results in runs(),
    ) {
        // A policy and what is left of it with lower bars: the pairs that a run has in practice.
        let mut weaker = one.clone();
        weaker.lints &= other.lints;
        for (metric, bar) in &mut weaker.thresholds {
            *bar = bar.min(other.thresholds.get(metric).copied().unwrap_or(*bar));
        }
        prop_assert!(one.is_at_least(&weaker));
        for (strict, mild) in [(&one, &weaker), (&one, &other)] {
            let results = marked(strict, results.clone());
            let passes = judge_run(strict, &results, &[]).0 == GateVerdict::Pass;
            if strict.is_at_least(mild) && passes {
                prop_assert_eq!(judge_run(mild, &results, &[]).0, GateVerdict::Pass);
            }
        }
    }
}
