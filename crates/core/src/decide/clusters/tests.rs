//! The design effect against the one that the draws were made with.

use super::*;
use crate::decide::tests::chance::Chance;
use crate::ids::UnixMs;
use crate::observe::{Outcome, Timing};
use crate::route::Cohort;
use crate::upstream::Failure;

fn request(bad: bool, cohort: Option<u8>) -> Outcome {
    let failure = bad.then_some(Failure::Malformed);
    Outcome { failure, cohort: cohort.map(Cohort::new), ..Outcome::default() }
}

/// An arm of users with `each` requests, whose failure rates are `rate(chance)`.
fn arm(
    chance: &mut Chance,
    users: u32,
    each: u32,
    mut rate: impl FnMut(&mut Chance) -> f64,
) -> Window {
    let mut window = Window::default();
    for _ in 0..users {
        let cohort = chance.below(64) as u8;
        let rate = rate(chance);
        for _ in 0..each {
            window.add(&request(chance.hit(rate), Some(cohort)), UnixMs(1));
        }
    }
    window
}

/// The mean effect over 20 pairs of arms, so that its own noise is below 5 %.
fn mean_effect(users: u32, each: u32, rate: impl Fn(&mut Chance) -> f64 + Copy) -> f64 {
    let mut chance = Chance(41);
    let mut sum = 0.0;
    for _ in 0..20 {
        let stable = arm(&mut chance, users, each, rate);
        let candidate = arm(&mut chance, users / 4, each, rate);
        let effect = design_effect(Metric::ErrorRate, &stable, &candidate);
        assert!(effect >= 1.0);
        sum += effect;
    }
    sum / 20.0
}

#[test]
fn independent_requests_are_worth_one_each() {
    for rate in [0.02, 0.3] {
        let effect = mean_effect(3_000, 1, |_| rate);
        assert!(effect < 1.25, "{rate}: {effect}");
        // Many requests a user, but nothing that makes them alike.
        let effect = mean_effect(600, 5, |_| rate);
        assert!(effect < 1.25, "{rate}: {effect}");
    }
}

#[test]
fn identical_requests_are_worth_one_a_user() {
    for each in [2, 5, 20] {
        let all_or_nothing = |chance: &mut Chance| f64::from(u8::from(chance.hit(0.1)));
        let effect = mean_effect(800, each, all_or_nothing);
        let ratio = effect / f64::from(each);
        assert!((0.85..1.25).contains(&ratio), "{each} each: {effect}");
    }
}

/// Kish: 1 + (m − 1)·ICC. Users' rates are Beta(1, b), whose ICC is 1/(2 + b).
#[test]
fn alike_requests_are_worth_what_kish_says() {
    for (each, b) in [(5, 3.0), (20, 3.0), (20, 8.0), (40, 18.0)] {
        let effect = mean_effect(800, each, |chance| chance.beta_one(b));
        let kish = 1.0 + (f64::from(each) - 1.0) / (2.0 + b);
        assert!((effect / kish - 1.0).abs() < 0.25, "{each} each, b {b}: {effect}, not {kish}");
    }
}

/// Latency clusters as well: a user whose prompts are long is slow every time.
#[test]
fn times_are_clustered_as_well() {
    let mut chance = Chance(43);
    let mut window = |spread: f64| {
        let mut window = Window::default();
        for _ in 0..600 {
            let cohort = Some(Cohort::new(chance.below(64) as u8));
            let own = chance.normal() * spread;
            for _ in 0..10 {
                let log = own + chance.normal() * (0.25 - spread * spread).sqrt();
                let total_us = (800_000.0 * log.exp()) as u64;
                let timing = Timing { total_us, ..Timing::default() };
                let outcome = Outcome { timing, cohort, ..Outcome::default() };
                window.add(&outcome, UnixMs(1));
            }
        }
        window
    };
    let alone = design_effect(Metric::LatencyP95, &window(0.0), &window(0.0));
    assert!(alone < 1.5, "{alone}");
    // All of the variance is the user's.
    let alike = design_effect(Metric::LatencyP95, &window(0.5), &window(0.5));
    assert!((7.0..14.0).contains(&alike), "{alike}");
}

#[test]
fn without_cohorts_each_request_counts() {
    let mut window = Window::default();
    (0..100).for_each(|i| window.add(&request(i % 9 == 0, None), UnixMs(1)));
    assert!((design_effect(Metric::ErrorRate, &window, &window) - 1.0).abs() < 1e-12);
    let nothing = Window::default();
    assert!((design_effect(Metric::ErrorRate, &nothing, &nothing) - 1.0).abs() < 1e-12);
}

/// One busy user, or three, are hardly more than one outcome each, however many requests.
#[test]
fn few_users_prove_nothing() {
    let mut chance = Chance(47);
    let stable = arm(&mut chance, 2_000, 1, |_| 0.02);
    for users in 1..=3_u8 {
        let mut few = Window::default();
        for i in 0..3_000_u32 {
            few.add(&request(i % 10 == 0, Some((i % u32::from(users)) as u8)), UnixMs(1));
        }
        // As if it had no more outcomes than users.
        let effect = design_effect(Metric::ErrorRate, &stable, &few);
        let alone = design_effect(Metric::ErrorRate, &Window::default(), &few);
        assert!((alone - 3_000.0 / f64::from(users)).abs() < 1e-9, "{users}: {alone}");
        assert!(effect > alone / 2.0, "{users}: {effect}");
    }
}

/// One user whose requests all fail, or all succeed, does not show that all do.
#[test]
fn one_user_proves_nothing_however_alike() {
    let mut chance = Chance(48);
    let stable = arm(&mut chance, 2_000, 1, |_| 0.01);
    for bad in [true, false] {
        for requests in [5_u32, 12, 200, 5_000] {
            let mut one = Window::default();
            (0..requests).for_each(|_| one.add(&request(bad, Some(7)), UnixMs(1)));
            let effect = design_effect(Metric::ErrorRate, &stable, &one);
            assert!(
                effect > f64::from(requests) / 2.0 || (!bad && effect > 50.0),
                "{bad} {effect}"
            );
        }
    }
}

/// Cohorts that differ less than chance would have it are no bonus.
#[test]
fn the_effect_is_never_below_one() {
    let mut even = Window::default();
    for i in 0..6_400_u32 {
        even.add(&request(i / 64 % 10 == 0, Some((i % 64) as u8)), UnixMs(1));
    }
    for metric in Metric::ALL {
        let effect = design_effect(metric, &even, &even);
        assert!(effect >= 1.0, "{}: {effect}", metric.as_str());
    }
}

#[test]
fn few_users_are_counted_by_the_cohorts_without_any() {
    let check = |users: u32, expected: std::ops::RangeInclusive<u64>| {
        let mut chance = Chance(7);
        let window = arm(&mut chance, users, 3, |_| 0.1);
        let got = subjects(&window).unwrap();
        assert!(expected.contains(&got), "{got} for {users}");
    };
    check(1, 1..=1);
    check(25, 21..=29);
    check(100, 85..=115);
    assert_eq!(subjects(&Window::default()), None);
    assert_eq!(subjects(&arm(&mut Chance(7), 5_000, 1, |_| 0.1)), None);
}
