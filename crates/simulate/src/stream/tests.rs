//! The stream's rates, its stickiness, and that a seed gives the same bytes.

use super::*;
use crate::scenario::{BASE, Labels, all};

fn scenario(name: &str) -> Scenario {
    all().into_iter().find(|scenario| scenario.name == name).unwrap()
}

fn requests(scenario: &Scenario, seed: u64) -> Vec<Draws> {
    let mut stream = Stream::new(scenario, seed);
    std::iter::from_fn(|| stream.next()).collect()
}

/// The share of requests, and five standard errors of it.
#[track_caller]
fn check_share(what: &str, hits: usize, of: usize, expected: f64) {
    let share = hits as f64 / of as f64;
    let within = 5.0 * (expected * (1.0 - expected) / of as f64).sqrt();
    assert!((share - expected).abs() <= within, "{what}: {share}, expected {expected} ± {within}");
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_gives_others() {
    for scenario in all() {
        let scenario = Scenario { horizon_s: 600.0, ..scenario };
        let of = |seed| format!("{:?}", requests(&scenario, seed));
        assert!(of(7) == of(7), "{}", scenario.name);
        assert!(of(7) != of(8) || scenario.rate <= 0.0, "{}", scenario.name);
    }
}

#[test]
fn requests_come_at_the_rate_in_order_and_before_the_horizon() {
    let scenario = scenario("no_change");
    let requests = requests(&scenario, 1);
    let expected = scenario.rate * scenario.horizon_s;
    // A Poisson count's standard deviation is the root of its mean.
    assert!((requests.len() as f64 - expected).abs() < 5.0 * expected.sqrt(), "{}", requests.len());
    assert!(requests.is_sorted_by_key(|request| request.at_ms));
    assert!(requests.last().unwrap().at_ms < (scenario.horizon_s * 1000.0) as u64);
    // As many requests again lie within a mean gap of the one before as an exponential has.
    let near = requests.windows(2).filter(|pair| pair[1].at_ms - pair[0].at_ms < 50).count();
    check_share("gaps below the mean", near, requests.len() - 1, 1.0 - (-1.0f64).exp());
}

#[test]
fn a_user_keeps_position_and_cohort_within_a_release_and_moves_in_another() {
    let scenario = Scenario { horizon_s: 3600.0, ..scenario("no_change") };
    let mut seen = std::collections::BTreeMap::new();
    let first = requests(&scenario, 1);
    for request in &first {
        let place = (request.position, request.cohort);
        assert_eq!(*seen.entry(request.user).or_insert(place), place);
    }
    assert!(seen.len() > 5_000 && seen.len() < first.len(), "{} users", seen.len());
    let below = seen.values().filter(|(position, _)| *position < 0.05).count();
    check_share("users on the candidate at 5 %", below, seen.len(), 0.05);
    let mut moved = 0;
    for request in requests(&scenario, 2) {
        if let Some((position, _)) = seen.get(&request.user) {
            moved += usize::from(request.position != *position);
        }
    }
    assert!(moved > 10_000, "{moved}");
    let of_nine = seen.values().filter(|(_, cohort)| *cohort == Cohort::new(9)).count();
    check_share("users of one cohort", of_nine, seen.len(), 1.0 / 64.0);
}

#[test]
fn the_arms_differ_by_what_the_scenario_says_and_by_nothing_else() {
    let scenario = Scenario {
        candidate: Behaviour { errors: 0.055, latency: 1.3, tokens: 1.2, ..BASE },
        ..scenario("no_change")
    };
    let mut stream = Stream::new(&scenario, 3);
    let (mut n, mut failed, mut failed_new, mut slow, mut slow_new) = (0, 0, 0, 0, 0);
    let (mut tokens, mut task_failed) = (0.0, 0);
    // The P95 of a log-normal: its median times exp(1.645 σ).
    let p95_us = LATENCY_US * (1.644_853_627 * scenario.latency_sigma).exp();
    while let Some(request) = stream.next() {
        let old = stream.seen(&request, Arm::Stable);
        let new = stream.seen(&request, Arm::Candidate);
        assert!(new.failed || !old.failed, "common draws: what fails before fails after");
        assert_eq!(new.task_failed, old.task_failed);
        n += 1;
        failed += usize::from(old.failed);
        failed_new += usize::from(new.failed);
        slow += usize::from(old.latency_us as f64 > p95_us);
        slow_new += usize::from(new.latency_us as f64 > 1.3 * p95_us);
        task_failed += usize::from(old.task_failed);
        tokens += old.tokens as f64;
    }
    check_share("stable's errors", failed, n, 0.005);
    check_share("the candidate's errors", failed_new, n, 0.055);
    check_share("beyond stable's P95", slow, n, 0.05);
    check_share("beyond the candidate's P95", slow_new, n, 0.05);
    check_share("task failures", task_failed, n, 0.08);
    // 288,000 requests: the mean's standard error is 0.12 %; half a token is cut from each.
    let mean = tokens / n as f64;
    assert!((mean / (TOKENS - 0.5) - 1.0).abs() < 0.006, "{mean}");
}

#[test]
fn labels_are_late_and_lost_as_said() {
    let labels = Some(Labels { lost: 0.2, delay_s: 1800.0 });
    let scenario = Scenario { labels, horizon_s: 3600.0, ..scenario("no_change") };
    let mut stream = Stream::new(&scenario, 4);
    let (mut n, mut delays) = (0, Vec::new());
    while let Some(request) = stream.next() {
        n += 1;
        delays.extend(stream.heard_at(&request).map(|at| at - request.at_ms));
    }
    check_share("heard", delays.len(), n, 0.8);
    assert!(delays.iter().all(|delay| *delay <= 1_800_000));
    let soon = delays.iter().filter(|delay| **delay < 450_000).count();
    check_share("heard within a quarter of the time", soon, delays.len(), 0.25);
}

#[test]
fn bursts_and_outages_hit_both_arms() {
    let errors = |name: &str, seed| {
        let scenario = scenario(name);
        let mut stream = Stream::new(&scenario, seed);
        let (mut n, mut hits) = (0, 0);
        while let Some(request) = stream.next() {
            let old = stream.seen(&request, Arm::Stable);
            assert_eq!(old, stream.seen(&request, Arm::Candidate));
            n += 1;
            hits += usize::from(old.failed);
        }
        hits as f64 / n as f64
    };
    // About a sixth of the time is burst, with six times the errors: twice as many in the mean.
    let bursts = (0..8).map(|seed| errors("bursts", seed)).sum::<f64>() / 8.0;
    assert!((0.006..0.014).contains(&bursts), "{bursts}");
    let outage = errors("shared_outage", 1);
    assert!((0.55..0.62).contains(&outage), "{outage}");
}

#[test]
fn one_answer_leaks_and_only_the_candidates() {
    let scenario = scenario("one_leak");
    let mut stream = Stream::new(&scenario, 5);
    let mut leaks = Vec::new();
    while let Some(request) = stream.next() {
        assert!(!stream.seen(&request, Arm::Stable).leaked);
        if stream.seen(&request, Arm::Candidate).leaked {
            leaks.push(request);
        }
    }
    assert_eq!(leaks.len(), 1);
    assert!(leaks[0].position < 0.05 && leaks[0].at_ms >= 120_000, "{leaks:?}");
}
