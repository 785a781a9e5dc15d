use super::super::tests::chance::Chance;
use super::super::tests::plan as release;
use super::*;
use crate::decide::ab_plan::AB_LASTS_MAX_MS;
use crate::decide::{
    Action, DecisionKind, LineRule, Observation, Order, OrderKind, Phase, ReasonCode, Rung, decide,
};
use crate::guard::{RiskEvent, RiskKind};
use crate::observe::{Feedback, Outcome, Timing};
use crate::route::{Cohort, Weight};
use proptest::prelude::*;

/// Level of each test here, over all metrics and both sides.
const ALPHA: f64 = 0.1;
const ENDS: UnixMs = UnixMs(100_000_000);

fn ab(metrics: &[Metric]) -> AbPlan {
    AbPlan {
        name: "greeting".to_owned(),
        stable_arm: "control".to_owned(),
        candidate_arm: "warm".to_owned(),
        metrics: metrics.to_vec(),
        alpha: ALPHA,
        ends_at: ENDS,
    }
}

/// An A/B test at a split of so many percent; its guard is the rule on errors.
fn plan(pct: f64, metrics: &[Metric]) -> Plan {
    let rules = LineRule::defaults().into_iter().filter(|rule| rule.metric == Metric::ErrorRate);
    let mut plan = release(rules.collect());
    let weight = Weight::from_pct(pct).unwrap();
    plan.rungs = vec![Rung { weight, look_ms: ENDS.0 }];
    plan.ab = Some(Box::new(ab(metrics)));
    plan
}

/// An A/B test that is looked at after every few requests.
struct Test {
    plan: Plan,
    state: ReleaseState,
    seen: Observation,
    now: u64,
}

impl Test {
    fn new(plan: Plan) -> Test {
        plan.check().unwrap();
        let state = ReleaseState::start(UnixMs(0));
        Test { plan, state, seen: Observation::default(), now: 0 }
    }

    fn look(&mut self) -> crate::decide::Decision {
        self.now += 1;
        let decision = decide(&self.plan, &self.state, &self.seen, UnixMs(self.now));
        self.state = decision.state.clone();
        self.seen.order = None;
        decision
    }

    fn order(&mut self, kind: OrderKind) -> crate::decide::Decision {
        let (by, reason) = ("mei".to_owned(), String::new());
        self.seen.order = Some(Order { kind, by, reason });
        self.look()
    }

    /// Whether any difference was ever found in so many requests.
    fn finds(
        mut self,
        chance: &mut Chance,
        requests: u32,
        mut draw: impl FnMut(&mut Chance, bool, &mut Window),
    ) -> Vec<AbFound> {
        let share = self.plan.rungs[0].weight.fraction();
        for _ in 0..requests {
            let is_candidate = chance.hit(share);
            let seen = &mut self.seen;
            let arm = if is_candidate { &mut seen.candidate } else { &mut seen.stable };
            draw(chance, is_candidate, arm);
            self.look();
            if !self.state.ab_found.is_empty() {
                break;
            }
        }
        self.state.ab_found
    }
}

/// An answer of 400 tokens or so after 0.8 s or so; one in ten refuses, a third are rated and a
/// fifth of these disliked.
fn answer(chance: &mut Chance, arm: &mut Window, (dislikes, longer): (f64, f64)) {
    let cohort = Some(Cohort::new(chance.below(64) as u8));
    let outcome = Outcome {
        refused: chance.hit(0.1),
        timing: Timing {
            total_us: (800_000.0 * (chance.normal() * 0.3).exp()) as u64,
            ..Timing::default()
        },
        tokens_out: (400.0 * longer * (chance.normal() * 0.6).exp()) as u64,
        ..Outcome::default()
    };
    arm.add(&outcome, UnixMs(1));
    if chance.hit(0.33) {
        arm.add_feedback(Feedback::Like(!chance.hit(dislikes)), cohort, UnixMs(1));
    }
}

const ALL_KINDS: [Metric; 4] =
    [Metric::DislikeRate, Metric::RefusalRate, Metric::LatencyP95, Metric::TokensPerRequest];

/// Two arms that are one: looked at after each of 400 requests, a difference of any metric, on any
/// side, is found in at most alpha of the tests. At 10 % and 60 tests, 13 would be three standard
/// deviations too many.
#[test]
fn equal_arms_are_told_apart_at_the_level_at_most_however_often_one_looks() {
    for (pct, seed) in [(50.0, 1), (20.0, 2)] {
        let mut chance = Chance(seed);
        let mut sides = [0, 0];
        for _ in 0..60 {
            let test = Test::new(plan(pct, &ALL_KINDS));
            let found = test.finds(&mut chance, 400, |chance, _, arm| {
                answer(chance, arm, (0.2, 1.0));
            });
            if let Some(found) = found.first() {
                sides[usize::from(found.verdict == AbVerdict::Worse)] += 1;
            }
        }
        println!("{pct} %: better {}, worse {} of 60 tests of equal arms", sides[0], sides[1]);
        assert!(sides[0] + sides[1] <= 12, "{pct} %: {sides:?} of 60");
    }
}

/// The same with all of alpha on one metric, on both sides: some are found, so the bound is tested.
#[test]
fn one_metric_of_equal_arms_keeps_the_level_and_can_fail() {
    for metric in [Metric::DislikeRate, Metric::TokensPerRequest] {
        let mut chance = Chance(5);
        let mut found = 0;
        for _ in 0..120 {
            let test = Test::new(plan(50.0, &[metric]));
            let any = test.finds(&mut chance, 400, |chance, _, arm| {
                answer(chance, arm, (0.2, 1.0));
            });
            found += u32::from(!any.is_empty());
        }
        println!("{}: {found} of 120 tests of equal arms", metric.as_str());
        assert!((1..=21).contains(&found), "{}: {found} of 120", metric.as_str());
    }
}

#[test]
fn a_difference_is_found_on_its_side() {
    let check = |metric, (dislikes, longer): (f64, f64), verdict| {
        let mut chance = Chance(9);
        let right = (0..20).filter(|_| {
            let test = Test::new(plan(50.0, &[metric]));
            let found = test.finds(&mut chance, 3_000, |chance, is_candidate, arm| {
                let is = if is_candidate { (dislikes, longer) } else { (0.2, 1.0) };
                answer(chance, arm, is);
            });
            found.first().is_some_and(|found| found.verdict == verdict)
        });
        let right = right.count();
        assert!(right >= 18, "{}: {right} of 20", metric.as_str());
    };
    check(Metric::DislikeRate, (0.4, 1.0), AbVerdict::Worse);
    check(Metric::DislikeRate, (0.05, 1.0), AbVerdict::Better);
    check(Metric::TokensPerRequest, (0.2, 1.3), AbVerdict::Worse);
    check(Metric::TokensPerRequest, (0.2, 0.75), AbVerdict::Better);
}

/// What is proven and what is shown are one: the interval leaves 0 out exactly where the odds are
/// enough, and the p-value is then at most the metric's alpha.
#[test]
fn the_interval_the_p_value_and_the_verdict_agree() {
    let mut chance = Chance(3);
    let mut test = Test::new(plan(50.0, &[Metric::DislikeRate]));
    let mut proven = 0;
    for n in 0..4_000 {
        let is_candidate = chance.hit(0.5);
        let seen = &mut test.seen;
        let arm = if is_candidate { &mut seen.candidate } else { &mut seen.stable };
        answer(&mut chance, arm, (if is_candidate { 0.32 } else { 0.2 }, 1.0));
        test.look();
        if n % 200 != 199 {
            continue;
        }
        let line = ab_lines(&test.plan, &test.state).remove(0);
        let excludes = line.low.is_some_and(|low| low > 0.0);
        let is_small = line.p_value <= line.alpha;
        // The end of an interval is bisected to a hundredth of its width.
        let is_close = line.low.is_some_and(|low| low.abs() < 0.002);
        assert!(excludes == is_small || is_close, "{line:?}");
        assert!(!is_small || line.verdict == AbVerdict::Worse, "{line:?}");
        proven += u32::from(is_small);
        let holds = |low: Option<f64>, high: Option<f64>| {
            low.is_none_or(|low| low <= 0.12) && high.is_none_or(|high| high >= 0.12)
        };
        assert!(holds(line.low, line.high), "{line:?}");
    }
    assert!(proven > 0, "never proven: the test cannot fail");
    assert_eq!(ab_lines(&test.plan, &test.state)[0].more, None, "it is proven");
    let [a, b] = ab_arms(&test.plan, &test.state).unwrap();
    assert_eq!((a.arm.as_str(), b.arm.as_str()), ("control", "warm"));
    assert_eq!((&a.version_set, &b.version_set), (&test.plan.from, &test.plan.to));
    let score = |arm: &AbArm| arm.avg_score.unwrap();
    assert!((score(&a) - 0.8).abs() < 0.06 && (score(&b) - 0.68).abs() < 0.06, "{a:?} {b:?}");
    let (p, n) = (score(&a), a.scored as f64);
    assert!((a.score_std.unwrap() - (p * (1.0 - p) * n / (n - 1.0)).sqrt()).abs() < 1e-12);
    // The mean of a lognormal is exp(σ²/2) times its median.
    assert!((a.avg_latency.unwrap() - 800.0 * 0.045f64.exp()).abs() < 20.0, "{a:?}");
    assert_eq!(a.count + b.count, 4_000);
}

/// However large a difference is, both of its ends are known once there is enough of it: also where
/// a larger one could not be, since a rate has ends.
#[test]
fn an_interval_has_both_ends() {
    for (stable, candidate) in [(0.55, 0.1), (0.1, 0.55), (0.9, 0.08), (0.06, 0.9)] {
        let mut chance = Chance(8);
        let mut test = Test::new(plan(30.0, &[Metric::DislikeRate]));
        for n in 0..1_500 {
            let is_candidate = chance.hit(0.3);
            let seen = &mut test.seen;
            let arm = if is_candidate { &mut seen.candidate } else { &mut seen.stable };
            let dislikes = if is_candidate { candidate } else { stable };
            answer(&mut chance, arm, (dislikes, 1.0));
            if n % 10 == 0 {
                test.look();
            }
        }
        let line = ab_lines(&test.plan, &test.state).remove(0);
        let truth = candidate - stable;
        let (Some(low), Some(high)) = (line.low, line.high) else { panic!("{truth}: {line:?}") };
        assert!(low <= truth && truth <= high && high - low < 0.5, "{truth}: {line:?}");
    }
}

/// What is said of how much more it takes is right to a factor of two or three.
#[test]
fn an_open_line_says_how_much_more_it_takes() {
    let mut chance = Chance(12);
    let mut test = Test::new(plan(50.0, &[Metric::DislikeRate]));
    let mut said = None;
    for n in 0..20_000 {
        let is_candidate = chance.hit(0.5);
        let seen = &mut test.seen;
        let arm = if is_candidate { &mut seen.candidate } else { &mut seen.stable };
        answer(&mut chance, arm, (if is_candidate { 0.27 } else { 0.2 }, 1.0));
        if n % 20 != 0 {
            continue;
        }
        test.look();
        let line = ab_lines(&test.plan, &test.state).remove(0);
        if n >= 200 && said.is_none() {
            said = line.more.map(|more| (line.samples_candidate + more) as f64);
        }
        if let (Some(said), AbVerdict::Worse) = (said, line.verdict) {
            let took = line.samples_candidate as f64;
            assert!((said / 3.0..said * 3.0).contains(&took), "said {said}, took {took}");
            return;
        }
    }
    panic!("never proven, said {said:?}");
}

#[test]
fn nothing_is_promoted_and_its_end_holds_nothing_against_the_candidate() {
    let mut test = Test::new(plan(30.0, &[Metric::DislikeRate]));
    let mut chance = Chance(4);
    for _ in 0..2_000 {
        let is_candidate = chance.hit(0.3);
        let seen = &mut test.seen;
        let arm = if is_candidate { &mut seen.candidate } else { &mut seen.stable };
        answer(&mut chance, arm, (if is_candidate { 0.02 } else { 0.4 }, 1.0));
    }
    for kind in [OrderKind::Promote, OrderKind::PromoteFully, OrderKind::Pause, OrderKind::Resume] {
        let decision = test.order(kind);
        assert_eq!((decision.kind, decision.actions.len()), (DecisionKind::Hold, 0), "{kind:?}");
    }
    assert_eq!(test.look().reasons[0].code(), ReasonCode::AbRuns);
    assert_eq!((test.state.phase, test.state.rung), (Phase::Running, 0));
    let decision = test.order(OrderKind::End);
    assert_eq!((decision.kind, &decision.actions[..]), (DecisionKind::End, &[Action::End][..]));
    assert_eq!(decision.reasons[0].code(), ReasonCode::Order);
    assert_eq!(test.state.phase, Phase::Ended);
    assert_eq!(test.order(OrderKind::RollBack).reasons[0].code(), ReasonCode::Final);
}

#[test]
fn it_has_an_end() {
    let mut test = Test::new(plan(50.0, &[Metric::DislikeRate]));
    test.now = ENDS.0 - 2;
    assert_eq!(test.look().reasons[0].code(), ReasonCode::AbRuns);
    let decision = test.look();
    assert_eq!(decision.reasons[0].code(), ReasonCode::AbOver);
    assert_eq!(test.state.phase, Phase::Ended);
}

#[test]
fn its_lines_and_red_lines_are_those_of_a_release() {
    let red = |kind| RiskEvent { kind, detail: "planted text 1 of 1".to_owned() };
    let ends = |kind| {
        let mut test = Test::new(plan(50.0, &[Metric::DislikeRate]));
        test.seen.red_events = vec![red(kind)];
        // Whoever ends it at the same moment has no say in what the red line means.
        test.order(OrderKind::End);
        test.state.phase
    };
    assert_eq!(ends(RiskKind::Leak), Phase::ShutOff);
    assert_eq!(ends(RiskKind::PromptEcho), Phase::RolledBack);
    let mut test = Test::new(plan(50.0, &[Metric::DislikeRate]));
    let broken =
        Outcome { failure: Some(crate::upstream::Failure::Malformed), ..Outcome::default() };
    for _ in 0..40 {
        (0..20).for_each(|_| test.seen.stable.add(&Outcome::default(), UnixMs(1)));
        (0..20).for_each(|_| test.seen.candidate.add(&broken, UnixMs(1)));
        if test.look().state.phase == Phase::RolledBack {
            return;
        }
    }
    panic!("a candidate that always fails stays: {:?}", test.state.phase);
}

#[test]
fn a_plan_that_is_no_ab_test_is_refused() {
    let sound = plan(50.0, &[Metric::DislikeRate]);
    assert_eq!(sound.check(), Ok(()));
    let check = |change: &dyn Fn(&mut Plan, &mut AbPlan), says: &str| {
        let (mut plan, mut ab) = (sound.clone(), ab(&[Metric::DislikeRate]));
        change(&mut plan, &mut ab);
        plan.ab = Some(Box::new(ab));
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    check(&|_, ab| ab.name = " ".to_owned(), "1 to 60 characters");
    check(&|_, ab| ab.name = "a\nb".to_owned(), r"name `a\nb`");
    check(&|_, ab| ab.name = "名".repeat(61), "1 to 60 characters");
    check(&|_, ab| ab.stable_arm = String::new(), "arm ``");
    check(&|_, ab| ab.candidate_arm = "a b".to_owned(), "arm `a b`");
    check(&|_, ab| ab.candidate_arm = "control".to_owned(), "both arms are called `control`");
    check(&|_, ab| ab.metrics.clear(), "0 metrics; allowed are 1 to 8");
    check(&|_, ab| ab.metrics = vec![Metric::PiiRate; 2], "`pii_rate`: given twice");
    check(&|_, ab| ab.alpha = 0.0, "alpha: given 0");
    check(&|_, ab| ab.alpha = f64::NAN, "alpha: given NaN");
    check(&|_, ab| ab.ends_at = UnixMs(999), "allowed are 1 s to 744 h");
    check(&|_, ab| ab.ends_at = UnixMs(AB_LASTS_MAX_MS + 1), "allowed are 1 s to 744 h");
    check(&|plan, _| plan.rungs[0].weight = Weight::ZERO, "split: given 0 %");
    check(&|plan, _| plan.rungs[0].weight = Weight::FULL, "split: given 100 %");
    check(&|plan, _| plan.rungs = release(vec![]).rungs, "one rung; given 3");
    for pct in [0.0, 0.001, -1.0, 100.0, 101.0, f64::NAN, f64::INFINITY] {
        assert!(AbPlan::split(pct).is_err(), "{pct}");
    }
}

proptest! {
    /// Invariants 1 and 3 of A/B tests: deciding twice at one moment changes nothing, and the
    /// weight is the split's or 0, whatever is seen and ordered.
    #[test]
    fn inv1_inv3_hold_of_ab_tests(
        looks in prop::collection::vec((0u8..9, 0u64..40, 0u64..40), 1..40)
    ) {
        let mut test = Test::new(plan(50.0, &ALL_KINDS));
        for (order, good, bad) in looks {
            let kinds = [
                OrderKind::Pause, OrderKind::Resume, OrderKind::Promote, OrderKind::PromoteFully,
            ];
            if let Some(kind) = kinds.get(usize::from(order)) {
                let (by, reason) = ("mei".to_owned(), String::new());
                test.seen.order = Some(Order { kind: *kind, by, reason });
            }
            (0..good).for_each(|_| test.seen.stable.add(&Outcome::default(), UnixMs(1)));
            let refused = Outcome { refused: true, ..Outcome::default() };
            (0..bad).for_each(|_| test.seen.candidate.add(&refused, UnixMs(1)));
            test.now += 1;
            let once = decide(&test.plan, &test.state, &test.seen, UnixMs(test.now));
            let twice = decide(&test.plan, &once.state, &test.seen, UnixMs(test.now));
            prop_assert_eq!(&once.state, &twice.state);
            prop_assert!(!once.actions.contains(&Action::Promote));
            let rises = |action: &Action| matches!(action, Action::SetWeight { .. });
            prop_assert!(!once.actions.iter().any(rises));
            prop_assert_eq!(once.state.rung, 0);
            test.state = once.state;
            test.seen.order = None;
        }
    }
}
