use super::*;
use crate::decide::ReleaseState;
use crate::decide::metric::Metric;
use crate::decide::tests::chance::Chance;
use crate::ids::UnixMs;

/// Answers needed to prove a rate of 0 within a bound.
fn clean_answers(bound: f64) -> u64 {
    (1..100_000).find(|n| interval::is_rate_within(0.0, *n as f64, bound, ADVANCE_ALPHA)).unwrap()
}

#[test]
fn a_clean_record_is_proven_in_about_five_over_the_bound() {
    assert_eq!(clean_answers(0.004), 1_319);
    assert_eq!(clean_answers(0.03), 173);
    for (sum, n, limit) in [(0.0, 0.0, 0.5), (5.0, 100.0, 0.05), (1.0, 10.0, 0.0)] {
        assert!(!interval::is_rate_within(sum, n, limit, 0.5), "{sum} of {n} within {limit}");
    }
    assert!(interval::is_rate_within(20.0, 20.0, 1.0, 0.01));
}

/// A candidate exactly at the bound, looked at after every answer, passes alpha of the time at
/// most.
#[test]
fn looking_at_every_answer_keeps_the_level() {
    let mut draw = Chance(5);
    let (alpha, truth) = (0.05, 0.02);
    let passed = (0..1_000)
        .filter(|_| {
            let mut sum = 0.0;
            (1..=1_500).any(|n| {
                sum += f64::from(u8::from(draw.uniform() < truth));
                interval::is_rate_within(sum, f64::from(n), truth, alpha)
            })
        })
        .count();
    // 50 are expected at most; 71 would be three standard deviations more.
    assert!((1..=71).contains(&passed), "{passed} of 1,000");
}

#[test]
fn what_stable_surely_has_is_not_held_against_the_candidate() {
    let rules = LineRule::defaults();
    let pii = rules.iter().find(|rule| rule.metric == Metric::PiiRate).unwrap();
    let ceiling = pii.ceiling.unwrap();
    assert!(ceiling < 0.0041, "a rate of 0.41 % must not be within it");
    assert_eq!(pii.limit(ceiling, 0.0), ceiling);
    assert_eq!(pii.limit(ceiling, 0.0005), ceiling);
    assert!((pii.limit(ceiling, 0.05) - 0.15).abs() < 1e-12);
    let errors = rules.iter().find(|rule| rule.metric == Metric::ErrorRate).unwrap();
    assert_eq!(errors.limit(0.01, 0.5), 0.01, "other lines have an absolute one");
}

#[test]
fn a_rung_bears_the_budget_and_the_last_only_the_ceiling() {
    let plan = crate::decide::tests::plan(LineRule::defaults());
    let pii = plan.rules.iter().find(|rule| rule.metric == Metric::PiiRate).unwrap();
    let state = ReleaseState::start(UnixMs(0));
    let per_ms = Some(0.02);
    let last = plan.rungs.len() - 1;
    assert_eq!(plan.bearable(pii, last, per_ms), 0.0);
    assert_eq!(plan.bearable(pii, state.rung, None), 0.0);
    let next = &plan.rungs[1];
    let expected = 0.02 * next.look_ms as f64 * next.weight.fraction();
    let bearable = (plan.bad_budget as f64 / expected).min(0.03);
    assert!((plan.bearable(pii, 0, per_ms) - bearable).abs() < 1e-12);
    assert_eq!(plan.bearable(pii, 0, Some(1e-9)), 0.03);
}
