//! Arms whose tokens are known in different ways, through every line.

use super::*;
use crate::decide::{LineRule, Plan, Reason, ReasonCode, ReleaseState, decide};
use crate::ids::UnixMs;
use crate::observe::{Estimate, Outcome, Timing};
use crate::route::Weight;

/// How an arm's upstream counts: what it reports for an answer of 100 tokens by our estimate.
#[derive(Clone, Copy)]
enum Upstream {
    Reports(u64),
    Silent(u64),
    /// As an older version kept it: reported or not, no estimate beside it.
    Old(u64),
}

fn answer(upstream: Upstream, i: u64) -> Outcome {
    let estimate = |tokens: u64| Some(Estimate { tokens, cost_micro_usd: tokens * 2 });
    // Answers differ in length by a fifth.
    let length = |tokens: u64| tokens * (90 + i % 20) / 100;
    let (tokens, tokens_estimated, estimate) = match upstream {
        Upstream::Reports(tokens) => (length(tokens), false, estimate(length(100))),
        Upstream::Silent(tokens) => (length(tokens), true, estimate(length(tokens))),
        Upstream::Old(tokens) => (length(tokens), true, None),
    };
    let timing = Timing { total_us: 700_000, ..Timing::default() };
    let cost_micro_usd = tokens * 2;
    Outcome {
        tokens_out: tokens,
        tokens_estimated,
        estimate,
        cost_micro_usd,
        timing,
        ..Outcome::default()
    }
}

fn feed(window: &mut Window, answers: u64, upstream: Upstream) {
    (0..answers).for_each(|i| window.add(&answer(upstream, i), UnixMs(1)));
}

fn rule(metric: Metric) -> LineRule {
    let defaults = LineRule::defaults();
    let tokens = defaults.into_iter().find(|rule| rule.metric == Metric::TokensPerRequest);
    LineRule { metric, ..tokens.unwrap() }
}

/// What the metric's line says after these two arms.
fn said(metric: Metric, stable: &Window, candidate: &Window) -> Reason {
    let half = Weight::from_pct(50.0).unwrap();
    let defaults = crate::decide::tests::plan(vec![rule(metric)]);
    let mut plan = Plan { alpha: 0.01, ..defaults };
    plan.rungs[0].weight = half;
    plan.rungs.remove(1);
    let mut state = ReleaseState::start(UnixMs(0));
    let mut seen = crate::decide::Observation::default();
    // Anchors come from a first look.
    let mut reasons = vec![];
    for (times, at) in [(1, 1_000), (10, 2_000)] {
        for (window, of) in [(&mut seen.stable, stable), (&mut seen.candidate, candidate)] {
            (0..times).for_each(|_| window.merge(of));
        }
        let decision = decide(&plan, &state, &seen, UnixMs(at));
        if !state.phase.is_final() {
            (state, reasons) = (decision.state, decision.reasons);
        }
    }
    reasons.into_iter().find(|reason| reason.metric() == Some(metric)).unwrap()
}

fn arm(parts: &[(u64, Upstream)]) -> Window {
    let mut window = Window::default();
    parts.iter().for_each(|(answers, upstream)| feed(&mut window, *answers, *upstream));
    window
}

use crate::say::Lang;
use Upstream::{Old, Reports, Silent};

#[test]
fn reported_and_estimated_tokens_are_not_compared_as_if_alike() {
    // The same answers; only the candidate's upstream reports, with its chat template in it.
    let (silent, reports) = (arm(&[(400, Silent(100))]), arm(&[(400, Reports(180))]));
    for (stable, candidate) in [(&silent, &reports), (&reports, &silent)] {
        let reason = said(Metric::TokensPerRequest, stable, candidate);
        assert_eq!(reason.code(), ReasonCode::Pass, "{}", Lang::En.sentence(&reason));
        assert_eq!(reason.comparison().unwrap().yardstick, Some(Yardstick::Estimated));
        assert_eq!(
            (reason.numbers().unwrap().stable, reason.numbers().unwrap().candidate),
            (Some(99.5), Some(99.5))
        );
        assert!(
            Lang::En.sentence(&reason).contains("both estimated"),
            "{}",
            Lang::En.sentence(&reason)
        );
    }
    // What is dearer by the common yardstick rolls back, by that yardstick.
    let reason = said(Metric::TokensPerRequest, &reports, &arm(&[(400, Silent(200))]));
    assert_eq!(reason.code(), ReasonCode::OverRollback, "{}", Lang::En.sentence(&reason));
    assert_eq!(reason.comparison().unwrap().yardstick, Some(Yardstick::Estimated));
}

#[test]
fn without_a_common_yardstick_nothing_is_said() {
    let (old, reports) = (arm(&[(400, Old(100))]), arm(&[(400, Reports(180))]));
    let reason = said(Metric::TokensPerRequest, &old, &reports);
    assert_eq!(reason.code(), ReasonCode::Skipped);
    assert_eq!(reason.comparison().unwrap().yardstick, Some(Yardstick::Unlike));
    let says = "reports usage for 100 % of the candidate's answers and 0 % of stable's";
    assert!(Lang::En.sentence(&reason).contains(says), "{}", Lang::En.sentence(&reason));
}

#[test]
fn a_few_answers_without_usage_are_left_out() {
    let stable = arm(&[(400, Reports(100))]);
    // One in twenty breaks off before its usage comes, and is estimated at far less.
    let candidate = arm(&[(380, Reports(100)), (20, Silent(1_000))]);
    let reason = said(Metric::TokensPerRequest, &stable, &candidate);
    assert_eq!(
        (reason.code(), reason.comparison().unwrap().yardstick),
        (ReasonCode::Pass, None),
        "{}",
        Lang::En.sentence(&reason)
    );
    assert_eq!(
        (reason.numbers().unwrap().stable, reason.numbers().unwrap().candidate),
        (Some(99.5), Some(99.5))
    );
    assert_eq!(reason.numbers().unwrap().samples_candidate, Some(380 * 11));
}

#[test]
fn cost_is_compared_by_the_same_yardstick_and_never_beside_a_model_without_a_price() {
    for metric in [Metric::CostPerRequest, Metric::CostPerSuccess] {
        let (silent, reports) = (arm(&[(400, Silent(100))]), arm(&[(400, Reports(180))]));
        let reason = said(metric, &silent, &reports);
        assert_eq!(reason.code(), ReasonCode::Pass, "{}", Lang::En.sentence(&reason));
        assert_eq!(reason.comparison().unwrap().yardstick, Some(Yardstick::Estimated));

        let mut free = Window::default();
        for i in 0..400 {
            let cost_micro_usd = 0;
            let unpriced = Outcome { cost_micro_usd, unpriced: true, ..answer(Reports(100), i) };
            free.add(&unpriced, UnixMs(1));
        }
        for (stable, candidate) in [(&reports, &free), (&free, &reports)] {
            let reason = said(metric, stable, candidate);
            assert_eq!(reason.code(), ReasonCode::Skipped, "{}", Lang::En.sentence(&reason));
            assert_eq!(reason.comparison().unwrap().yardstick, Some(Yardstick::Unpriced));
        }
    }
}

/// Counts of before the yardsticks were kept apart are read as they were: all reported.
#[test]
fn what_an_older_version_stored_is_compared_as_before() {
    let old = arm(&[(400, Reports(100))]);
    let text = serde_json::to_value(&old).unwrap();
    let mut stored = text.as_object().unwrap().clone();
    assert!(stored.remove("usage").is_some());
    let read: Window = serde_json::from_value(stored.into()).unwrap();
    assert_eq!(Yardstick::of(Metric::TokensPerRequest, &read, &old), Yardstick::Reported);
}
