use super::*;
use crate::guard::RiskKind;
use crate::observe::{Estimate, Timing};
use crate::retrieval::Claims;
use crate::upstream::Failure;
use proptest::prelude::*;

fn failure() -> impl Strategy<Value = Option<Failure>> {
    prop::sample::select(vec![
        None,
        None,
        None,
        Some(Failure::ServerError),
        Some(Failure::FirstByteTimeout),
        Some(Failure::TotalTimeout),
        Some(Failure::Internal),
        Some(Failure::ClientGone),
        Some(Failure::Refused),
    ])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<Option<bool>>());
    let risk = prop::collection::vec(
        prop::sample::select(vec![
            RiskKind::Leak,
            RiskKind::UnauthorisedTool,
            RiskKind::PromptEcho,
        ]),
        0..3,
    );
    let sizes = (0u64..5_000_000, 0u64..200_000, 0u64..200_000, 0u64..u64::from(u32::MAX));
    let cohort = any::<Option<u8>>();
    let known = (any::<bool>(), any::<bool>(), prop::option::of((0u64..9_000, 0u64..9_000)));
    (failure(), sizes, flags, risk, cohort, known).prop_map(
        |(failure, sizes, flags, risk, cohort, known)| {
            let (tokens_estimated, unpriced, estimate) = known;
            let (streamed, refused, pii, contract_ok) = flags;
            let (total_us, tokens_in, tokens_out, cost_micro_usd) = sizes;
            let timing = Timing { total_us, first_token_us: total_us / 3, ..Timing::default() };
            Outcome {
                failure,
                timing,
                streamed,
                tokens_in,
                tokens_out,
                tokens_estimated,
                cost_micro_usd,
                unpriced,
                estimate: estimate
                    .map(|(tokens, cost_micro_usd)| Estimate { tokens, cost_micro_usd }),
                contract_ok,
                refused,
                pii,
                claims: contract_ok.map(|_| {
                    let [made, uncited, ungrounded] =
                        [tokens_in, tokens_out, total_us].map(|n| n % 5);
                    Claims { made, uncited: uncited.min(made), ungrounded: ungrounded.min(made) }
                }),
                risk,
                abandoned: failure == Some(Failure::ClientGone) && streamed,
                cohort: cohort.map(Cohort::new),
            }
        },
    )
}

fn feedback() -> impl Strategy<Value = Feedback> {
    prop_oneof![
        any::<bool>().prop_map(Feedback::Like),
        any::<bool>().prop_map(Feedback::Adopted),
        any::<bool>().prop_map(Feedback::TaskDone),
        (-0.5f64..1.5).prop_map(Feedback::Satisfaction),
    ]
}

fn window() -> impl Strategy<Value = Window> {
    let outcomes = prop::collection::vec((outcome(), 0u64..1_000_000), 0..20);
    let said = prop::collection::vec((feedback(), 0u64..1_000_000), 0..10);
    (outcomes, said).prop_map(|(outcomes, said)| {
        let mut window = Window::default();
        for (outcome, at) in &outcomes {
            window.add(outcome, UnixMs(*at));
        }
        for (feedback, at) in said {
            window.add_feedback(
                feedback,
                at.is_multiple_of(2).then_some(Cohort::new(3)),
                UnixMs(at),
            );
        }
        window
    })
}

fn merged(parts: &[&Window]) -> Window {
    let mut sum = Window::default();
    for part in parts {
        sum.merge(part);
    }
    sum
}

fn bytes(window: &Window) -> String {
    serde_json::to_string(window).unwrap()
}

proptest! {
    #[test]
    fn merging_gives_the_same_bytes_in_any_order(a in window(), b in window(), c in window()) {
        let expected = bytes(&merged(&[&a, &b, &c]));
        prop_assert_eq!(bytes(&merged(&[&c, &a, &b])), expected.clone());
        prop_assert_eq!(bytes(&merged(&[&b, &c, &a])), expected.clone());
        prop_assert_eq!(bytes(&merged(&[&a, &merged(&[&b, &c])])), expected);
    }

    #[test]
    fn counting_in_two_windows_and_merging_is_counting_in_one(
        outcomes in prop::collection::vec((outcome(), 0u64..1_000_000), 0..30),
        split in 0usize..30,
    ) {
        let (mut one, mut left, mut right) =
            (Window::default(), Window::default(), Window::default());
        for (i, (outcome, at)) in outcomes.iter().enumerate() {
            one.add(outcome, UnixMs(*at));
            let side = if i < split { &mut left } else { &mut right };
            side.add(outcome, UnixMs(*at));
        }
        prop_assert_eq!(bytes(&merged(&[&left, &right])), bytes(&one));
    }

    #[test]
    fn since_takes_back_what_merge_added(a in window(), b in window()) {
        let sum = merged(&[&a, &b]);
        let mut expected = b.clone();
        // The last moment is not a count; it stays that of the later window.
        expected.last_at = sum.last_at;
        prop_assert_eq!(sum.since(&a), Some(expected));
    }

    #[test]
    fn a_window_that_went_backwards_is_seen(a in window(), b in outcome()) {
        let mut later = a.clone();
        later.add(&b, UnixMs(1));
        prop_assert_eq!(a.since(&later), None);
    }

    #[test]
    fn a_window_reads_back_as_it_was_written(a in window()) {
        prop_assert_eq!(serde_json::from_str::<Window>(&bytes(&a)).unwrap(), a);
    }

    #[test]
    fn every_request_is_counted_once(outcomes in prop::collection::vec(outcome(), 0..40)) {
        let mut window = Window::default();
        for outcome in &outcomes {
            window.add(outcome, UnixMs(0));
        }
        prop_assert_eq!(window.requests + window.client_faults, outcomes.len() as u64);
        prop_assert_eq!(window.answered() + window.errors(), window.requests);
        prop_assert_eq!(window.latency_us.count(), window.answered());
        prop_assert!(window.timeouts <= window.upstream_errors);
        prop_assert!(window.first_token_us.count() <= window.answered());
    }

    #[test]
    fn a_clients_fault_is_none_of_the_arms(before in window(), outcome in outcome()) {
        let mut after = before.clone();
        let fault = Outcome { failure: Some(Failure::ClientGone), risk: Vec::new(), ..outcome };
        after.add(&fault, before.last_at);
        let mut expected = before;
        expected.client_faults += 1;
        expected.abandoned += u64::from(fault.abandoned);
        prop_assert_eq!(after.counts, expected.counts);
        prop_assert_eq!(after.latency_us, expected.latency_us);
    }

    #[test]
    fn a_failure_says_nothing_about_latency_cost_or_quality(
        before in window(),
        outcome in outcome(),
    ) {
        let mut after = before.clone();
        let failed = Outcome { failure: Some(Failure::ServerError), risk: Vec::new(), ..outcome };
        after.add(&failed, before.last_at);
        let mut expected = before;
        expected.requests += 1;
        expected.upstream_errors += 1;
        prop_assert_eq!(after.counts, expected.counts);
        prop_assert_eq!(after.latency_us, expected.latency_us);
        prop_assert_eq!(after.tokens_squared, expected.tokens_squared);
    }
}

fn one(outcome: Outcome) -> Window {
    let mut window = Window::default();
    window.add(&outcome, UnixMs(7));
    window
}

#[test]
fn a_red_event_counts_whoevers_fault_the_end_was() {
    let red = |failure, risk: &[RiskKind]| {
        one(Outcome { failure, risk: risk.to_vec(), ..Outcome::default() }).red_events
    };
    assert_eq!(red(None, &[RiskKind::Leak, RiskKind::UnauthorisedTool]), 2);
    assert_eq!(red(Some(Failure::ClientGone), &[RiskKind::Leak]), 1);
    assert_eq!(red(None, &[RiskKind::PromptEcho]), 0);
}

#[test]
fn whose_fault_and_timeouts() {
    let check = |failure, counts: (u64, u64, u64, u64)| {
        let window = one(Outcome { failure: Some(failure), ..Outcome::default() });
        let got =
            (window.client_faults, window.upstream_errors, window.own_errors, window.timeouts);
        assert_eq!(got, counts, "{failure:?}");
    };
    check(Failure::Refused, (1, 0, 0, 0));
    check(Failure::ClientGone, (1, 0, 0, 0));
    check(Failure::ServerError, (0, 1, 0, 0));
    check(Failure::IdleTimeout, (0, 1, 0, 1));
    check(Failure::Internal, (0, 0, 1, 0));
}

#[test]
fn sums_and_squares() {
    let window = merged(&[
        &one(Outcome { tokens_in: 3, tokens_out: 4, cost_micro_usd: 5, ..Outcome::default() }),
        &one(Outcome { tokens_in: 1, tokens_out: 1, cost_micro_usd: 2, ..Outcome::default() }),
    ]);
    assert_eq!((window.tokens_in, window.tokens_out, window.tokens_squared.0), (4, 5, 53));
    assert_eq!((window.cost_micro_usd, window.cost_squared.0), (7, 29));
}

#[test]
fn satisfaction_is_held_to_its_range() {
    let mut window = Window::default();
    for score in [-1.0, 0.25, 1.0, 9.0, f64::NAN] {
        window.add_feedback(Feedback::Satisfaction(score), None, UnixMs(1));
    }
    assert_eq!((window.satisfaction_count, window.satisfaction_milli), (5, 2250));
}

#[test]
fn an_unknown_count_is_refused_and_an_absent_one_is_none() {
    let read = |text| serde_json::from_str::<Window>(text);
    assert!(read("{\"counts\":{\"requests\":1,\"other\":2}}").is_err());
    assert!(read("{\"other\":2}").is_err());
    let too_many = format!("{{\"cohorts\":[{:?}]}}", [1; 99]);
    assert!(read(&too_many).unwrap_err().to_string().contains("a cohort has 99 counts"));
    assert_eq!(read("{\"counts\":{\"requests\":1}}").unwrap().likes, 0);
}
