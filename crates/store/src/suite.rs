//! What holds of every store, whatever is below it. An implementation gives a [`Bench`] and has all
//! of these tests by [`suite!`].

mod books;

use crate::{
    Books, Budgets, Evals, Journal, RecordQuery, Records, Result, Sets, StoreError, StoreErrorKind,
};
use std::collections::BTreeMap;
use tidegate_core::access::{Period, Spent};
use tidegate_core::evidence::Record;
use tidegate_core::gate::{EvalReport, GateVerdict};
use tidegate_core::ids::{ChangeId, Digest, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event, verify_chain};
use tidegate_core::money::Money;
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::route::Arm;
use tidegate_core::upstream::Failure;
use tidegate_core::version_set::{
    Artifact, ArtifactKind, NamedSet, PackedSet, VersionKeys, VersionSet,
};

const DAY_MS: u64 = 86_400_000;

/// Where a store of one kind is tried; empty at first.
pub(crate) trait Bench {
    /// The implementation under test.
    type Store: Journal + Records + Sets + Evals + Budgets + Books + Clone + Send + Sync + 'static;

    /// Opens it to write.
    fn open(&self) -> Self::Store;

    /// Opens it to write where another still does, as if nothing kept a second one out.
    fn open_beside(&self) -> Self::Store;
}

/// Makes a test of every function here, each on a new bench.
macro_rules! suite {
    ($bench:expr) => {
        suite!($bench =>
            a_set_comes_back_as_it_was_packed
            a_set_that_does_not_match_its_files_is_not_taken
            records_are_found_by_trace_release_arm_and_failure
            exposure_counts_requests_and_distinct_users
            old_records_and_feedback_are_pruned
            the_first_feedback_of_a_kind_stays
            eval_reports_are_kept_once_and_found
            a_baseline_is_the_last_seven_days_merged
            an_append_is_all_or_none
            an_append_follows_the_entry_it_names
            of_many_that_follow_one_entry_one_is_taken
            an_earlier_writer_is_refused
            what_was_spent_only_rises_until_it_is_set
            the_books_add_up_and_are_priced_again
            what_has_no_record_is_booked_apart
        );
    };
    ($bench:expr => $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::suite::$name($bench).await;
            }
        )*
    };
}
pub(crate) use suite;

pub(crate) use books::{the_books_add_up_and_are_priced_again, what_has_no_record_is_booked_apart};

/// Appends after what is the last entry now.
pub(crate) async fn append<S: Journal>(
    store: &S,
    at: UnixMs,
    events: Vec<Event>,
) -> Result<Vec<Entry>> {
    let after = store.journal(1)?.last().map_or(0, |entry| entry.seq);
    store.append(after, store.epoch(), at, events).await
}

pub(crate) fn error<T>(result: Result<T>) -> StoreError {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error,
    }
}

pub(crate) fn set_id(n: u64) -> VersionSetId {
    VersionSetId::parse(&format!("vs-{n:012x}")).unwrap()
}

pub(crate) fn packed_event(n: u64) -> Event {
    Event::SetPacked { set: set_id(n), label: format!("提示词 v{n}") }
}

pub(crate) fn packed_set(prompt: &str) -> PackedSet {
    let mut blobs = BTreeMap::new();
    let artifacts = ArtifactKind::REQUIRED
        .into_iter()
        .map(|kind| {
            let text = if kind == ArtifactKind::Prompt { prompt } else { kind.as_str() };
            let content = text.as_bytes().to_vec();
            blobs.insert(Digest::of(&content), content.clone());
            let files = BTreeMap::from([("正文.md".to_owned(), content)]);
            (kind, Artifact::from_files("v1", &files))
        })
        .collect();
    let set = VersionSet::new(artifacts).unwrap();
    PackedSet { set, label: format!("prompt {prompt}"), blobs }
}

pub(crate) fn trace_id(n: u64) -> TraceId {
    TraceId::parse(&format!("canary-test-{n:03}")).unwrap()
}

pub(crate) fn change_id() -> ChangeId {
    ChangeId::parse("prompt-v3-a1b2c").unwrap()
}

pub(crate) fn record(n: u64, arm: Arm, user: Option<&str>, tenant: Option<&str>) -> Record {
    Record {
        trace_id: trace_id(n),
        request_id: format!("req-{n}"),
        traceparent: None,
        at: UnixMs(n),
        tenant: tenant.map(str::to_owned),
        user: user.map(str::to_owned),
        key: None,
        arm,
        set: NamedSet { id: set_id(1), keys: VersionKeys::default() },
        change_id: Some(change_id()),
        cohort: None,
        status: 200,
        failure: None,
        streamed: false,
        tokens_in: 10,
        tokens_out: 20,
        tokens_estimated: false,
        cost_micro_usd: 30,
        charge: None,
        degraded: None,
        timing: Default::default(),
        tool_calls: Vec::new(),
        cached: false,
        retrieval: None,
        tool_results: Vec::new(),
        finish_reason: None,
        upstream_model: None,
        upstream_said: None,
        fallback: None,
        contract_problem: None,
        repair: None,
        redacted: false,
        refused: false,
        pii: false,
        risk: Vec::new(),
        signals: Vec::new(),
        prompt_length: 4,
        response_length: 4,
        decoding: None,
        input: Some("退款要多久？".to_owned()),
        output: Some("七個工作天".to_owned()),
    }
}

pub(crate) fn report(run_id: &str, set: u64, at: u64, accuracy: f64) -> EvalReport {
    EvalReport {
        model: "gpt-4o-mini".to_owned(),
        total: 0,
        correct: 0,
        accuracy,
        passed: accuracy >= 0.8,
        threshold: 0.8,
        run_id: run_id.to_owned(),
        at: UnixMs(at),
        version_set: set_id(set),
        cases_digest: Digest::of(b"cases"),
        held_to: None,
        verdict: GateVerdict::Pass,
        reasons: Vec::new(),
        failure_table: Vec::new(),
        metrics: Default::default(),
        slices: Vec::new(),
        judge: None,
        avg_tokens: None,
        cost_per_query: None,
        model_files: None,
        comparison: None,
        results: Vec::new().into(),
    }
}

pub(crate) async fn a_set_comes_back_as_it_was_packed<B: Bench>(bench: B) {
    let store = bench.open();
    let (old, new) = (packed_set("你是客服"), packed_set("あなたは店員です"));
    store.put_set(&old, UnixMs(5_000)).await.unwrap();
    store.put_set(&new, UnixMs(6_000)).await.unwrap();
    let relabelled = PackedSet { label: "another".to_owned(), ..old.clone() };
    store.put_set(&relabelled, UnixMs(7_000)).await.unwrap();
    let kept = store.set(&old.set.id).unwrap();
    assert_eq!((&kept.set, &kept.label, &kept.blobs), (&old.set, &old.label, &old.blobs));
    let listed: Vec<(VersionSetId, u64)> =
        store.sets().unwrap().into_iter().map(|(set, _, at)| (set.id, at.0)).collect();
    assert_eq!(listed, [(new.set.id.clone(), 6_000), (old.set.id, 5_000)]);
    let unknown = error(store.set(&set_id(7)));
    assert!(unknown.message.contains("`vs-000000000007` is not kept here"), "{unknown}");
    assert!(unknown.hints[0].contains(new.set.id.as_str()), "{:?}", unknown.hints);
}

pub(crate) async fn a_set_that_does_not_match_its_files_is_not_taken<B: Bench>(bench: B) {
    let store = bench.open();
    let mut packed = packed_set("a");
    packed.blobs.clear();
    assert!(error(store.put_set(&packed, UnixMs(1)).await).message.contains("is missing"));
    assert_eq!(store.sets().unwrap().len(), 0);
}

pub(crate) async fn records_are_found_by_trace_release_arm_and_failure<B: Bench>(bench: B) {
    let store = bench.open();
    let mut failed = record(3, Arm::Candidate, Some("mei"), None);
    failed.failure = Some(Failure::ServerError);
    let mut elsewhere = record(1, Arm::Candidate, None, None);
    elsewhere.change_id = None;
    let mut again = record(2, Arm::Stable, None, None);
    again.at = UnixMs(9);
    let first = record(2, Arm::Stable, None, None);
    for record in [failed.clone(), elsewhere, first, again.clone()] {
        assert!(store.record(store.begin(), record));
    }
    store.flush().await.unwrap();
    assert_eq!(store.trace(None, &trace_id(3)).unwrap(), Some(failed));
    assert_eq!(
        store.trace(None, &trace_id(2)).unwrap(),
        Some(again),
        "the latest of an id used twice"
    );
    assert_eq!(store.trace(None, &trace_id(8)).unwrap(), None);
    let check = |change, arm, failing_only, limit, expected: &[u64]| {
        let change_id: Option<ChangeId> = change;
        let query = RecordQuery { change_id, arm, failing_only, limit, ..RecordQuery::default() };
        let found = store.records(&query).unwrap();
        assert_eq!(found.iter().map(|r| r.at.0).collect::<Vec<_>>(), expected, "{query:?}");
    };
    check(None, None, false, 10, &[1, 2, 3, 9]);
    check(None, None, false, 2, &[1, 2]);
    check(Some(change_id()), None, false, 10, &[2, 3, 9]);
    check(Some(change_id()), Some(Arm::Stable), false, 10, &[2, 9]);
    check(None, Some(Arm::Candidate), false, 10, &[1, 3]);
    check(Some(change_id()), Some(Arm::Candidate), true, 10, &[3]);
    check(Some("other-change".parse().unwrap()), None, false, 10, &[]);
    let newest = RecordQuery { newest_first: true, limit: 2, ..RecordQuery::default() };
    let found = store.records(&newest).unwrap();
    assert_eq!(found.iter().map(|r| r.at.0).collect::<Vec<_>>(), [9, 3]);
}

pub(crate) async fn exposure_counts_requests_and_distinct_users<B: Bench>(bench: B) {
    let store = bench.open();
    let of = |n, user, tenant| {
        assert!(store.record(store.begin(), record(n, Arm::Candidate, user, tenant)))
    };
    of(1, Some("mei"), Some("acme"));
    of(2, Some("mei"), Some("acme"));
    of(3, Some("mei"), Some("other"));
    of(4, None, Some("acme"));
    of(5, None, Some("acme"));
    of(6, None, None);
    of(7, None, None);
    of(8, Some("acme"), None);
    assert!(store.record(store.begin(), record(9, Arm::Stable, Some("bob"), None)));
    store.flush().await.unwrap();
    // mei of acme, mei of other, acme without a user, two nameless, the user called acme.
    assert_eq!(store.exposure(&change_id(), Arm::Candidate).unwrap(), (8, 6));
    assert_eq!(store.exposure(&change_id(), Arm::Stable).unwrap(), (1, 1));
    let other = "other-change".parse().unwrap();
    assert_eq!(store.exposure(&other, Arm::Stable).unwrap(), (0, 0));
}

pub(crate) async fn old_records_and_feedback_are_pruned<B: Bench>(bench: B) {
    let store = bench.open();
    let rows = 1_010;
    for n in 0..rows {
        assert!(store.record(store.begin(), record(n, Arm::Stable, None, None)));
    }
    store.put_feedback(None, &trace_id(1), UnixMs(1), Feedback::Like(true)).await.unwrap();
    store.put_feedback(None, &trace_id(2), UnixMs(rows), Feedback::Like(true)).await.unwrap();
    assert_eq!(store.prune_records(UnixMs(rows - 5)).await.unwrap(), rows - 5);
    assert_eq!(store.prune_records(UnixMs(rows - 5)).await.unwrap(), 0);
    let query = RecordQuery { limit: 100, ..RecordQuery::default() };
    let left: Vec<u64> = store.records(&query).unwrap().iter().map(|r| r.at.0).collect();
    assert_eq!(left, (rows - 5..rows).collect::<Vec<_>>());
    let left = store.feedback_on(&[(None, trace_id(1)), (None, trace_id(2))]).unwrap();
    assert_eq!(left.into_keys().collect::<Vec<_>>(), [(None, trace_id(2))]);
    assert_eq!(store.prune_records(UnixMs(u64::MAX)).await.unwrap(), 5);
}

pub(crate) async fn the_first_feedback_of_a_kind_stays<B: Bench>(bench: B) {
    let store = bench.open();
    let id = trace_id(1);
    let put = |feedback| store.put_feedback(None, &id, UnixMs(1), feedback);
    assert!(put(Feedback::Like(true)).await.unwrap());
    assert!(!put(Feedback::Like(false)).await.unwrap());
    assert!(put(Feedback::Satisfaction(0.3)).await.unwrap());
    let kept = [Feedback::Like(true), Feedback::Satisfaction(0.3)];
    // A trace that a thousand others are asked with, twice.
    let asked: Vec<_> = (0..1_000).chain([1]).map(|n| (None, trace_id(n))).collect();
    let found = store.feedback_on(&asked).unwrap();
    assert_eq!(found, BTreeMap::from([((None, id.clone()), kept.to_vec())]));
    assert!(error(put(Feedback::Satisfaction(f64::NAN)).await).message.contains("not finite"));
}

pub(crate) async fn eval_reports_are_kept_once_and_found<B: Bench>(bench: B) {
    let store = bench.open();
    for report in [report("b", 1, 20, 0.9), report("a", 1, 10, 0.8), report("c", 2, 30, 0.7)] {
        store.put_eval(&report).await.unwrap();
        store.put_eval(&report).await.unwrap();
    }
    let run = |report: Result<Option<EvalReport>>| report.unwrap().map(|r| r.run_id);
    assert_eq!(store.latest_eval(&set_id(1)).unwrap(), Some(report("b", 1, 20, 0.9)));
    assert_eq!(run(store.latest_eval(&set_id(3))), None);
    assert_eq!(run(store.last_passed_eval()).as_deref(), Some("b"));
    assert_eq!(store.eval("a").unwrap(), Some(report("a", 1, 10, 0.8)));
    assert_eq!(run(store.eval("d")), None);
    assert_eq!(store.eval_runs().unwrap(), ["c", "b", "a"]);
    let other = error(store.put_eval(&report("a", 1, 10, 0.1)).await);
    assert!(other.message.contains("`a` is kept already"), "{other}");
}

pub(crate) async fn a_baseline_is_the_last_seven_days_merged<B: Bench>(bench: B) {
    let store = bench.open();
    use tidegate_core::observe::Counts;
    let counts = |requests| Counts { requests, ..Counts::default() };
    let window = |requests| Window { counts: counts(requests), ..Window::default() };
    let at = |day: u64| UnixMs(day * DAY_MS + 5);
    for (day, requests) in [(10, 1), (11, 10), (14, 100), (14, 100), (17, 1_000), (18, 10_000)] {
        store.add_baseline(&set_id(1), at(day), &window(requests)).await.unwrap();
    }
    store.add_baseline(&set_id(2), at(17), &Window::default()).await.unwrap();
    let check = |set, day, expected: Option<(u64, u32)>| {
        let found = store.baseline(&set_id(set), at(day)).unwrap();
        assert_eq!(found.map(|(w, days)| (w.requests, days)), expected, "set {set}, day {day}");
    };
    check(1, 17, Some((1_210, 3)));
    check(1, 16, Some((211, 3)));
    check(1, 20, Some((11_200, 3)));
    check(1, 30, None);
    check(1, 3, None);
    check(2, 17, None);
    check(3, 17, None);
}

pub(crate) async fn an_append_is_all_or_none<B: Bench>(bench: B) {
    let store = bench.open();
    assert_eq!(append(&store, UnixMs(1), Vec::new()).await.unwrap(), []);
    let refused = error(append(&store, UnixMs(u64::MAX), vec![packed_event(1)]).await);
    assert!(refused.message.contains("cannot keep the time"), "{refused}");
    // A bad one among good ones refuses its own append only.
    let opened = |estimate: f64| {
        use tidegate_core::decide::{Comparison, Metric, Numbers, Reason, Unit};
        let decision = tidegate_core::decide::Decision {
            at: UnixMs(1),
            kind: tidegate_core::decide::DecisionKind::Hold,
            signal: tidegate_core::decide::Signal::Yellow,
            reasons: vec![Reason::Uncertain(Box::new(Comparison::new(
                Metric::ErrorRate,
                Unit::Points,
                Numbers { estimate: Some(estimate), ..Numbers::default() },
            )))],
            actions: Vec::new(),
            state: tidegate_core::decide::ReleaseState::start(UnixMs(1)),
        };
        let decision = Box::new(decision);
        Event::Decided { change_id: change_id(), decision, order: None, table: None }
    };
    let (good, bad, other) = tokio::join!(
        store.append(0, store.epoch(), UnixMs(1), vec![opened(0.1)]),
        store.append(1, store.epoch(), UnixMs(1), vec![packed_event(1), opened(f64::NAN)]),
        store.append(1, store.epoch(), UnixMs(1), vec![packed_event(2)]),
    );
    assert!(good.is_ok() && other.is_ok());
    assert!(error(bad).message.contains("not finite"));
    let kept = store.journal(0).unwrap();
    assert_eq!((kept.len(), verify_chain(&kept)), (2, Ok(())));
}

/// Whoever decided on a journal that has moved on since must decide again.
pub(crate) async fn an_append_follows_the_entry_it_names<B: Bench>(bench: B) {
    let store = bench.open();
    let put = |after, n| store.append(after, store.epoch(), UnixMs(n), vec![packed_event(n)]);
    assert_eq!(put(0, 1).await.unwrap()[0].seq, 1);
    for after in [0, 2, 9] {
        let moved = error(put(after, 2).await);
        assert_eq!(moved.kind, StoreErrorKind::JournalMoved, "{moved}");
        assert!(moved.message.contains("ends with entry 1"), "{moved}");
    }
    assert_eq!(put(1, 2).await.unwrap()[0].seq, 2);
    assert_eq!(verify_chain(&store.journal(1).unwrap()), Ok(()));
}

pub(crate) async fn of_many_that_follow_one_entry_one_is_taken<B: Bench>(bench: B) {
    let store = bench.open();
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let store = store.clone();
            let event = vec![packed_event(n)];
            tokio::spawn(async move { store.append(0, store.epoch(), UnixMs(n), event).await })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => taken += 1,
            Err(moved) => assert_eq!(moved.kind, StoreErrorKind::JournalMoved, "{moved}"),
        }
    }
    assert_eq!((taken, store.journal(1).unwrap().len()), (1, 1));
}

/// Where no lock kept the second writer out, the first is refused before it journals anything.
pub(crate) async fn an_earlier_writer_is_refused<B: Bench>(bench: B) {
    let first = bench.open();
    append(&first, UnixMs(1), vec![packed_event(1)]).await.unwrap();
    let second = bench.open_beside();
    assert!(second.epoch() > first.epoch(), "{:?}, {:?}", first.epoch(), second.epoch());
    let refused = error(append(&first, UnixMs(2), vec![packed_event(2)]).await);
    assert_eq!(refused.kind, StoreErrorKind::SecondWriter, "{refused}");
    assert!(refused.message.contains("took over this state"), "{refused}");
    assert_eq!(append(&second, UnixMs(3), vec![packed_event(3)]).await.unwrap()[0].seq, 2);
    assert!(append(&first, UnixMs(4), vec![packed_event(4)]).await.is_err(), "and stays refused");
    assert_eq!(verify_chain(&second.journal(1).unwrap()), Ok(()));
}

/// What overtook another on its way to the disk is not undone by it.
pub(crate) async fn what_was_spent_only_rises_until_it_is_set(bench: impl Bench) {
    let store = bench.open();
    let name = |period| ("key/客服".to_owned(), period);
    let spent = |first, sum| Spent { first: UnixMs(first), sum: Money(sum) };
    assert!(store.spent().unwrap().is_empty());
    let raise = async |first, sum| {
        store.raise_spent(vec![(name(Period::Day), spent(first, sum))]).await.unwrap();
        store.spent().unwrap()[&name(Period::Day)]
    };
    assert_eq!(raise(100, 5).await, spent(100, 5));
    assert_eq!(raise(100, 3).await, spent(100, 5), "a smaller sum came late");
    assert_eq!(raise(100, 7).await, spent(100, 7));
    assert_eq!(raise(200, 1).await, spent(200, 1), "the next day");
    assert_eq!(raise(100, 9).await, spent(200, 1), "one of the day before came late");
    let both = [(name(Period::Day), spent(50, 2)), (name(Period::Month), spent(0, u64::MAX))];
    store.set_spent(both.to_vec()).await.unwrap();
    drop(store);
    let found = bench.open().spent().unwrap();
    assert_eq!(found[&name(Period::Day)], spent(50, 2));
    assert!(found[&name(Period::Month)].sum > Money::of_usd(9_000_000), "{found:?}");
}
