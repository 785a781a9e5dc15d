use super::*;
use crate::decide::{
    Band, Baseline, DecisionKind, Line, Observation, Preset, ReleaseState, Rung, decide,
};
use crate::ids::UnixMs;
use crate::observe::{Outcome, Timing, Window};
use crate::upstream::Failure;

fn plan(rungs: Vec<Rung>) -> Plan {
    let like = crate::decide::tests::plan(LineRule::defaults());
    Plan { rungs, alpha: 0.01, min_samples: 50, ..like }
}

fn rung(pct: f64, look_s: u64) -> Rung {
    Rung { weight: Weight::from_pct(pct).unwrap(), look_ms: look_s * 1000 }
}

fn at_rate(requests_per_s: f64) -> Traffic {
    Traffic { requests_per_s, ..Traffic::default() }
}

fn ladder(requests_per_s: f64) -> Outlook {
    outlook(&plan(Preset::Ladder.rungs()), &at_rate(requests_per_s)).unwrap()
}

#[track_caller]
fn line(outlook: &Outlook, rung: usize, metric: Metric) -> &LineOutlook {
    outlook.rungs[rung].lines.iter().find(|line| line.metric == metric).unwrap()
}

fn of(metric: Metric) -> LineRule {
    let defaults = LineRule::defaults();
    let known = defaults.into_iter().find(|rule| rule.metric == metric);
    known.unwrap_or_else(|| {
        let unit = BandUnit::Relative;
        let band = Some(Band { pass: 0.1, pause: 0.15, rollback: 0.25, unit });
        LineRule { metric, band, ceiling: None, multiple: None, floor: 0.0, required: true }
    })
}

/// The example.
#[test]
fn one_percent_of_20_a_second_cannot_prove_a_point_in_an_hour() {
    let mut plan = plan(vec![rung(1.0, 3600), rung(100.0, 3600)]);
    plan.rules = vec![of(Metric::ErrorRate)];
    let band = Band { pass: 0.0, pause: 0.01, rollback: 0.01, unit: BandUnit::Points };
    plan.rules[0].band = Some(band);
    let at = |requests_per_s| outlook(&plan, &at_rate(requests_per_s)).unwrap();
    let slow = at(20.0);
    assert_eq!(slow.rungs[0].candidate_requests, 720);
    assert!(!slow.rungs[0].fits, "{slow:?}");
    assert!(slow.rungs[0].passes_after_s.unwrap() > 3600);
    let errors = line(&slow, 0, Metric::ErrorRate);
    assert!(errors.excludes.unwrap() > 0.01 && errors.rolls_back.unwrap() > 0.02, "{errors:?}");
    // Ten times the traffic can.
    let fast = at(200.0);
    assert!(fast.rungs[0].fits && line(&fast, 0, Metric::ErrorRate).excludes.unwrap() < 0.01);
}

#[test]
fn the_ladder_at_20_a_second_ends_within_an_hour() {
    let outlook = ladder(20.0);
    let total = outlook.total_s.unwrap();
    assert!((1_800..3_600).contains(&total), "{total}");
    let first = &outlook.rungs[0];
    assert_eq!((first.candidate_requests, first.fits), (300, false));
    assert_eq!(first.slowest, Some(Metric::LatencyP95));
    assert!(outlook.rungs[1..].iter().all(|rung| rung.fits), "{outlook:?}");
    assert_eq!(outlook.rungs[5].next_bad_requests, None);
    // At the budget of 20 where it binds; never more than the pause line's share.
    assert_eq!(first.next_bad_requests, Some(20));
    for (index, rung) in outlook.rungs[..5].iter().enumerate() {
        let next = outlook.rungs[index + 1].candidate_requests as f64;
        assert!(rung.next_bad_requests.unwrap() as f64 <= (0.03 * next).max(20.0));
    }
}

#[test]
fn more_traffic_tells_more_and_sooner() {
    let outlooks: Vec<Outlook> = [0.5, 2.0, 8.0, 32.0, 128.0].map(ladder).into();
    for pair in outlooks.windows(2) {
        let total = |outlook: &Outlook| outlook.total_s.unwrap();
        // Where a rung has more answers it bears less of a leak, which may take a little longer.
        assert!(total(&pair[0]) * 11 >= total(&pair[1]) * 10, "{pair:?}");
        for (slow, fast) in pair[0].rungs.iter().zip(&pair[1].rungs) {
            assert!(slow.candidate_requests < fast.candidate_requests);
            for (slow, fast) in slow.lines.iter().zip(&fast.lines) {
                if slow.data == Data::Nothing {
                    continue;
                }
                // The next rung bears less of a leak where it has more answers.
                let sooner = slow.passes_after_s >= fast.passes_after_s;
                assert!(sooner || fast.line == Line::Risk, "{slow:?} {fast:?}");
                let bound = |harm: Option<f64>| harm.unwrap_or(f64::INFINITY);
                assert!(bound(slow.excludes) >= bound(fast.excludes), "{slow:?} {fast:?}");
                assert!(bound(slow.rolls_back) >= bound(fast.rolls_back), "{slow:?} {fast:?}");
                // Nothing is rolled back below its line, or its ceiling on the risk line.
                let least = if fast.line == Line::Risk { 0.002 } else { 0.05 };
                assert!(fast.rolls_back.is_none_or(|harm| harm >= least), "{fast:?}");
            }
        }
    }
}

#[test]
fn a_design_effect_is_so_much_less_traffic() {
    let mut plan = plan(vec![rung(5.0, 600), rung(100.0, 600)]);
    plan.rules = vec![of(Metric::ErrorRate)];
    // Strata are cut by requests, so it is not to the second.
    let passes = |requests_per_s, effect| {
        let traffic = Traffic { design_effect: Some(effect), ..at_rate(requests_per_s) };
        outlook(&plan, &traffic).unwrap().rungs[0].passes_after_s.unwrap() as f64
    };
    let ratio = passes(20.0, 3.0) / passes(20.0, 1.0);
    assert!((2.8..3.2).contains(&ratio), "{ratio}");
}

/// Draws that are the same on every machine.
struct Draw(u64);

impl Draw {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// As assumed without a baseline: 1 % errors, times and tokens lognormal.
    fn outcome(&mut self, error_rate: f64) -> Outcome {
        let failed = self.uniform() < error_rate;
        let mut lognormal = |median: f64| {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            let normal = radius * (2.0 * std::f64::consts::PI * self.uniform()).cos();
            (median * (0.7 * normal).exp()) as u64
        };
        let timing = Timing { total_us: lognormal(1e6), ..Timing::default() };
        let tokens_out = lognormal(626.0);
        let failure = failed.then_some(Failure::ServerError);
        Outcome { failure, timing, tokens_out, ..Outcome::default() }
    }
}

/// When a release first rises, and when it rolls back, s, in the engine itself: at 20 requests a
/// second, with looks every 5 s. The candidate fails at this rate, stable at 1 %.
fn really(plan: &Plan, seed: u64, error_rate: f64) -> (Option<u64>, Option<u64>) {
    let (mut draw, mut state) = (Draw(seed), ReleaseState::start(UnixMs(0)));
    let mut seen = Observation::default();
    let weight = plan.rungs[0].weight.fraction();
    for at_s in (5..5_000).step_by(5) {
        let now = UnixMs(at_s * 1000);
        for _ in 0..100 {
            if draw.uniform() < weight {
                seen.candidate.add(&draw.outcome(error_rate), now);
            } else {
                seen.stable.add(&draw.outcome(0.01), now);
            }
        }
        let decision = decide(plan, &state, &seen, now);
        match decision.kind {
            DecisionKind::Advance => return (Some(at_s), None),
            DecisionKind::RollBack => return (None, Some(at_s)),
            DecisionKind::Hold | DecisionKind::Pause => {}
            DecisionKind::End | DecisionKind::ShutOff => {}
        }
        state = decision.state;
    }
    (None, None)
}

fn one_line(metric: Metric, look_s: u64) -> Plan {
    let mut plan = plan(vec![rung(5.0, look_s), rung(100.0, look_s)]);
    plan.rules = vec![of(metric)];
    plan
}

/// How many of 40 drawn releases did it by then.
fn by(told_s: u64, really: impl Fn(u64) -> Option<u64>) -> usize {
    (0..40).filter(|seed| really(*seed).is_some_and(|at_s| at_s <= told_s)).count()
}

#[test]
fn most_releases_pass_by_the_time_told() {
    for metric in [Metric::ErrorRate, Metric::LatencyP95, Metric::TokensPerRequest] {
        let plan = one_line(metric, 10);
        let after_s = outlook(&plan, &at_rate(20.0)).unwrap().rungs[0].passes_after_s.unwrap();
        let passed = by(after_s, |seed| really(&plan, seed, 0.01).0);
        assert!((18..=34).contains(&passed), "{metric:?}: {passed} of 40 by {after_s} s");
    }
}

#[test]
fn about_half_of_releases_with_the_harm_told_go_back_in_time() {
    let plan = one_line(Metric::ErrorRate, 300);
    let outlook = outlook(&plan, &at_rate(20.0)).unwrap();
    let harm = line(&outlook, 0, Metric::ErrorRate).rolls_back.unwrap();
    let back = |harm: f64| by(300, |seed| really(&plan, seed, 0.01 + harm).1);
    let (less, same, more) = (back(0.7 * harm), back(harm), back(1.5 * harm));
    assert!(less <= 10 && (12..=28).contains(&same) && more >= 34, "{less} {same} {more}");
}

/// What was seen before a turn for the worse says nothing about it.
#[test]
fn harm_begins_with_the_rung_it_is_told_for() {
    let rungs = vec![rung(50.0, 3_600), rung(75.0, 2), rung(100.0, 3_600)];
    let outlook = outlook(&plan(rungs), &at_rate(20.0)).unwrap();
    let long = line(&outlook, 0, Metric::ErrorRate).rolls_back.unwrap();
    let short = line(&outlook, 1, Metric::ErrorRate).rolls_back.unwrap_or(1.0);
    assert!(long < 0.07 && short > 0.2, "{long} {short}");
}

#[test]
fn a_baseline_tells_what_was_assumed_when_it_is_the_same() {
    let mut plan = plan(Preset::Ladder.rungs());
    plan.rules = [Metric::ErrorRate, Metric::LatencyP95, Metric::TokensPerRequest].map(of).into();
    let assumed = outlook(&plan, &at_rate(20.0)).unwrap();
    let (mut window, mut draw) = (Window::default(), Draw(7));
    (0..40_000).for_each(|_| window.add(&draw.outcome(0.01), UnixMs(1)));
    let (service, set) = (plan.service.clone(), plan.from.clone());
    plan.baseline = Some(Baseline { service, set, days: 3, window });
    let known = outlook(&plan, &at_rate(20.0)).unwrap();
    assert_eq!((assumed.baseline_days, known.baseline_days), (0, 3));
    for (guess, seen) in assumed.rungs[0].lines.iter().zip(&known.rungs[0].lines) {
        assert_eq!((guess.data, seen.data), (Data::Assumed, Data::Baseline));
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 0.15, "{guess:?} {seen:?}");
        near(guess.stable.unwrap(), seen.stable.unwrap());
        near(guess.passes_after_s.unwrap() as f64, seen.passes_after_s.unwrap() as f64);
        near(guess.rolls_back.unwrap(), seen.rolls_back.unwrap());
    }
    // What the baseline has nothing of is not judged, and what must be judged is never passed.
    plan.rules.push(of(Metric::DislikeRate));
    assert!(outlook(&plan, &at_rate(20.0)).unwrap().total_s.is_some());
    plan.rules[3].required = true;
    let blocked = outlook(&plan, &at_rate(20.0)).unwrap();
    let dislikes = line(&blocked, 0, Metric::DislikeRate);
    assert_eq!((dislikes.data, dislikes.passes_after_s), (Data::Nothing, None));
    assert_eq!((blocked.total_s, blocked.rungs[0].slowest), (None, Some(Metric::DislikeRate)));
    // A value that is given replaces it, even if nobody has seen it yet.
    let expected = [(Metric::DislikeRate, 0.2), (Metric::LatencyP95, 10_000.0)].into();
    let given = outlook(&plan, &Traffic { expected, ..at_rate(20.0) }).unwrap();
    let stable = |metric| line(&given, 0, metric).stable.unwrap();
    assert_eq!(stable(Metric::DislikeRate), 0.2);
    assert!((stable(Metric::LatencyP95) / 10_000.0 - 1.0).abs() < 0.02);
    assert!(given.total_s.is_some());
}

/// Times, means and shares against a fixed number.
#[test]
fn a_ceiling_is_passed_below_and_rolled_back_above() {
    let check = |metric, below: f64, above: f64| {
        let at = |ceiling| {
            let mut plan = plan(vec![rung(20.0, 600), rung(100.0, 600)]);
            let band = None;
            plan.rules =
                vec![LineRule { band, ceiling: Some(ceiling), required: true, ..of(metric) }];
            outlook(&plan, &at_rate(20.0)).unwrap()
        };
        let well = at(above);
        assert!(well.total_s.is_some(), "{well:?}");
        let harm = line(&well, 0, metric).rolls_back.unwrap();
        assert!(harm > 0.0, "{metric:?}: {harm}");
        let over = at(below);
        assert_eq!((over.total_s, line(&over, 0, metric).rolls_back), (None, Some(0.0)));
    };
    check(Metric::ErrorRate, 0.001, 0.05);
    check(Metric::LatencyP95, 1_000.0, 6_000.0);
    check(Metric::TokensPerRequest, 500.0, 1_200.0);
}

#[test]
fn traffic_that_is_none_is_refused() {
    let check = |traffic: Traffic, says: &str| {
        let error = outlook(&plan(Preset::Simple.rungs()), &traffic).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e6] {
        check(at_rate(rate), "a number over 0");
    }
    for effect in [0.99, -1.0, f64::NAN, f64::INFINITY] {
        check(Traffic { design_effect: Some(effect), ..at_rate(1.0) }, "at least 1");
    }
    let given = |metric, value| Traffic { expected: [(metric, value)].into(), ..at_rate(1.0) };
    check(given(Metric::ErrorRate, 1.0), "`error_rate`; it must be a share");
    check(given(Metric::ErrorRate, f64::NAN), "below 1");
    check(given(Metric::LatencyP95, 0.0), "over 0");
    check(given(Metric::CostPerSuccess, 1.0), "no rule");
}

/// Whatever the traffic, it ends, and what does not fit is said.
#[test]
fn extremes_end() {
    for rate in [1e-9, 1e-3, 1e3, 1e5] {
        let outlook = ladder(rate);
        assert_eq!(outlook.rungs.len(), 6);
        assert_eq!(outlook.total_s.is_some(), rate > 1e-2, "{rate}");
        assert_eq!(outlook.rungs[0].fits, rate >= 1e3);
    }
}
