use super::*;
use proptest::prelude::*;

const FAILS: Option<Failure> = Some(Failure::Unreachable);

fn outcome(failure: Option<Failure>) -> Outcome {
    Outcome { failure, ..Outcome::default() }
}

/// Adds as many requests, one every `every_ms`; gives the first change and how many it took.
fn run(
    watch: &mut OutageWatch,
    count: u64,
    every_ms: u64,
    failure: impl Fn(u64) -> Option<Failure>,
) -> Option<(u64, OutageChange)> {
    let from = watch.last_at().unwrap_or(UnixMs(1_000_000)).0;
    (1..=count).find_map(|n| {
        let change = watch.add(&outcome(failure(n)), UnixMs(from + n * every_ms));
        change.map(|change| (n, change))
    })
}

fn began(change: Option<(u64, OutageChange)>) -> (u64, Outage) {
    match change {
        Some((n, OutageChange::Began(outage))) => (n, outage),
        other => panic!("{other:?}"),
    }
}

fn ended(change: Option<(u64, OutageChange)>) -> (u64, Outage) {
    match change {
        Some((n, OutageChange::Ended(outage))) => (n, outage),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dead_upstream_is_seen_at_the_fifth_request() {
    let mut watch = OutageWatch::default();
    let (n, outage) = began(run(&mut watch, 20, 10, |_| FAILS));
    assert_eq!((n, outage.requests, outage.failed), (5, 5, 5));
    assert_eq!(outage.failure, Failure::Unreachable);
    assert_eq!(watch.outage(), Some(outage));
}

#[test]
fn it_is_seen_once_and_ends_once() {
    let mut watch = OutageWatch::default();
    began(run(&mut watch, 20, 100, |_| FAILS));
    assert_eq!(run(&mut watch, 1_000, 100, |_| FAILS), None);
    // 30 s must hold less than a tenth of failures.
    let (n, outage) = ended(run(&mut watch, 1_000, 100, |_| None));
    assert!((250..=300).contains(&n), "{n}");
    assert_eq!((outage.failed, outage.requests), (1_005, 1_005 + n));
    assert_eq!(watch.outage(), None);
    assert_eq!(run(&mut watch, 1_000, 100, |_| None), None);
}

#[test]
fn a_quiet_service_is_judged_by_its_last_25_requests() {
    let mut watch = OutageWatch::default();
    assert_eq!(run(&mut watch, 30, 10_000, |_| None), None);
    let (n, outage) = began(run(&mut watch, 10, 10_000, |_| FAILS));
    assert_eq!((n, outage.requests), (5, 5));
    let (n, _) = ended(run(&mut watch, 60, 10_000, |_| None));
    assert_eq!(n, 23);
}

#[test]
fn without_requests_nothing_changes() {
    let mut watch = OutageWatch::default();
    began(run(&mut watch, 5, 10, |_| FAILS));
    // An hour later the first answers come: four are too few to end it, five are enough.
    assert_eq!(run(&mut watch, 1, 3_600_000, |_| None), None);
    let (n, outage) = ended(run(&mut watch, 25, 1_000, |_| None));
    assert_eq!((n, outage.failed, outage.requests), (4, 5, 10));
}

#[test]
fn a_burst_in_much_traffic_is_no_outage() {
    let mut watch = OutageWatch::default();
    assert_eq!(run(&mut watch, 5_000, 10, |_| None), None);
    assert_eq!(run(&mut watch, 100, 10, |_| FAILS), None);
    assert_eq!(run(&mut watch, 5_000, 10, |_| None), None);
}

#[test]
fn a_fifth_of_failures_is_an_outage_and_a_tenth_is_none() {
    let mut watch = OutageWatch::default();
    assert_eq!(run(&mut watch, 3_000, 100, |n| FAILS.filter(|_| n % 10 == 0)), None);
    let (_, outage) = began(run(&mut watch, 3_000, 100, |n| FAILS.filter(|_| n % 4 == 0)));
    assert!(outage.failed >= FAILED_MIN, "{outage:?}");
}

#[test]
fn a_clients_fault_is_no_failure() {
    let mut watch = OutageWatch::default();
    let faults = [Failure::Refused, Failure::Unrendered, Failure::ClientGone];
    assert_eq!(run(&mut watch, 100, 10, |n| Some(faults[n as usize % 3])), None);
    assert_eq!(watch.last_at(), None);
    let (_, outage) = began(run(&mut watch, 100, 10, |_| Some(Failure::Internal)));
    assert_eq!(outage.failure, Failure::Internal);
}

#[test]
fn most_of_the_failures_name_it() {
    let mut watch = OutageWatch::default();
    let kinds = [Failure::ServerError, Failure::RateLimited, Failure::RateLimited];
    let (_, outage) = began(run(&mut watch, 9, 10, |n| Some(kinds[n as usize % 3])));
    assert_eq!(outage.failure, Failure::RateLimited);
}

proptest! {
    /// Whatever comes, beginnings and ends take turns, a beginning has its five failures, and what
    /// is kept is bounded.
    #[test]
    fn beginnings_and_ends_take_turns(
        requests in proptest::collection::vec((0_u64..40_000, 0..4_u8), 1..400),
    ) {
        let mut watch = OutageWatch::default();
        let (mut at, mut lasts) = (1_000_000, false);
        for (pause_ms, kind) in requests {
            // Clocks are set back now and then.
            at = if pause_ms % 97 == 0 { at - 500 } else { at + pause_ms };
            let failure = match kind {
                0 => Some(Failure::ServerError),
                1 => Some(Failure::ClientGone),
                _ => None,
            };
            match watch.add(&outcome(failure), UnixMs(at)) {
                Some(OutageChange::Began(outage)) => {
                    prop_assert!(!lasts);
                    prop_assert!(outage.failed >= FAILED_MIN && outage.failed <= outage.requests);
                    prop_assert!(outage.since <= outage.last_at);
                    lasts = true;
                }
                Some(OutageChange::Ended(outage)) => {
                    prop_assert!(lasts);
                    prop_assert!(outage.failed <= outage.requests);
                    lasts = false;
                }
                None => {}
            }
            prop_assert_eq!(watch.outage().is_some(), lasts);
            prop_assert!(watch.stretches.len() as u64 <= BACK_MAX_MS / STRETCH_MS);
        }
    }

    /// When nothing is answered any more, it is an outage after 25 requests at most, however slowly
    /// they come within five minutes.
    #[test]
    fn a_dead_upstream_is_always_seen(before in 0_u64..2_000, every_ms in 1_u64..12_000) {
        let mut watch = OutageWatch::default();
        prop_assert_eq!(run(&mut watch, before, every_ms, |_| None), None);
        let most = 25.max(2 * BEGIN_MS / every_ms);
        let (n, _) = began(run(&mut watch, most, every_ms, |_| FAILS));
        prop_assert!(n >= FAILED_MIN);
    }
}
