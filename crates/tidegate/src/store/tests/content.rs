//! What is kept comes back: sets, records, feedback, reports, baselines.

use super::*;

const DAY_MS: u64 = 86_400_000;

#[tokio::test]
async fn a_set_comes_back_as_it_was_packed() {
    let root = root();
    let clock = Clock::demo(UnixMs(5_000), 1);
    let options = Options { clock: clock.clone(), ..Options::default() };
    let store = Store::open_with(root.path(), Access::Exclusive, options).unwrap();
    let (old, new) = (packed_set("你是客服"), packed_set("あなたは店員です"));
    store.put_set(&old).await.unwrap();
    clock.advance(1_000);
    store.put_set(&new).await.unwrap();
    store.put_set(&PackedSet { label: "another".to_owned(), ..old.clone() }).await.unwrap();
    let kept = store.set(&old.set.id).unwrap();
    assert_eq!((&kept.set, &kept.label, &kept.blobs), (&old.set, &old.label, &old.blobs));
    let listed: Vec<(VersionSetId, u64)> =
        store.sets().unwrap().into_iter().map(|(set, _, at)| (set.id, at.0)).collect();
    assert_eq!(listed, [(new.set.id.clone(), 6_000), (old.set.id, 5_000)]);
    let unknown = error(store.set(&set_id(7)));
    assert!(unknown.message.contains("`vs-000000000007` is not kept here"), "{unknown}");
    assert!(unknown.hints[0].contains(new.set.id.as_str()), "{:?}", unknown.hints);
}

#[tokio::test]
async fn a_damaged_set_is_named_and_mended_by_packing_again() {
    let root = root();
    let store = open(&root);
    let packed = packed_set("你是客服");
    let digest = packed.set.artifacts[&ArtifactKind::Prompt].files["正文.md"].digest.clone();
    store.put_set(&packed).await.unwrap();
    for (damage, expected) in [
        ("UPDATE blobs SET content = x'00' WHERE digest = ?1", "`正文.md` of prompt was altered"),
        ("DELETE FROM blobs WHERE digest = ?1", "`正文.md` of prompt is missing"),
    ] {
        raw(&root).execute(damage, [digest.as_str()]).unwrap();
        let named = error(store.set(&packed.set.id));
        assert!(named.message.contains(expected), "{named}");
        assert_eq!(store.integrity().unwrap().len(), 1);
        store.put_set(&packed).await.unwrap();
        assert!(store.set(&packed.set.id).is_ok());
    }
    // The id does not cover the list of files directly, but through each artifact's digest.
    let moved = "UPDATE sets SET body = replace(body, '正文.md', '别的.md')";
    raw(&root).execute(moved, []).unwrap();
    let named = error(store.set(&packed.set.id));
    assert!(named.message.contains("was altered"), "{named}");
}

#[tokio::test]
async fn a_set_that_does_not_match_its_files_is_not_taken() {
    let root = root();
    let store = open(&root);
    let mut packed = packed_set("a");
    packed.blobs.clear();
    assert!(error(store.put_set(&packed).await).message.contains("is missing"));
    assert_eq!(store.sets().unwrap().len(), 0);
}

#[tokio::test]
async fn records_are_found_by_trace_release_arm_and_failure() {
    let root = root();
    let store = open(&root);
    let mut failed = record(3, Arm::Candidate, Some("mei"), None);
    failed.failure = Some(Failure::ServerError);
    let mut elsewhere = record(1, Arm::Candidate, None, None);
    elsewhere.change_id = None;
    let mut again = record(2, Arm::Stable, None, None);
    again.at = UnixMs(9);
    let first = record(2, Arm::Stable, None, None);
    for record in [failed.clone(), elsewhere, first, again.clone()] {
        assert!(store.record(record));
    }
    store.flush().await.unwrap();
    assert_eq!(store.trace(&trace_id(3)).unwrap(), Some(failed));
    assert_eq!(store.trace(&trace_id(2)).unwrap(), Some(again), "the latest of an id used twice");
    assert_eq!(store.trace(&trace_id(8)).unwrap(), None);
    let check = |change, arm, failing_only, limit, expected: &[u64]| {
        let change_id: Option<ChangeId> = change;
        let query = RecordQuery { change_id, arm, failing_only, limit };
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
}

#[tokio::test]
async fn exposure_counts_requests_and_distinct_users() {
    let root = root();
    let store = open(&root);
    let of = |n, user, tenant| assert!(store.record(record(n, Arm::Candidate, user, tenant)));
    of(1, Some("mei"), Some("acme"));
    of(2, Some("mei"), Some("acme"));
    of(3, Some("mei"), Some("other"));
    of(4, None, Some("acme"));
    of(5, None, Some("acme"));
    of(6, None, None);
    of(7, None, None);
    of(8, Some("acme"), None);
    assert!(store.record(record(9, Arm::Stable, Some("bob"), None)));
    store.flush().await.unwrap();
    // mei of acme, mei of other, acme without a user, two nameless, the user called acme.
    assert_eq!(store.exposure(&change_id(), Arm::Candidate).unwrap(), (8, 6));
    assert_eq!(store.exposure(&change_id(), Arm::Stable).unwrap(), (1, 1));
    let other = "other-change".parse().unwrap();
    assert_eq!(store.exposure(&other, Arm::Stable).unwrap(), (0, 0));
}

#[tokio::test]
async fn old_records_and_feedback_are_pruned() {
    let root = root();
    let store = open(&root);
    let rows = 2 * statements::PRUNE_BATCH as u64 + 10;
    for n in 0..rows {
        assert!(store.record(record(n, Arm::Stable, None, None)));
    }
    store.put_feedback(&trace_id(1), UnixMs(1), Feedback::Like(true)).await.unwrap();
    store.put_feedback(&trace_id(2), UnixMs(rows), Feedback::Like(true)).await.unwrap();
    assert_eq!(store.prune_records(UnixMs(rows - 5)).await.unwrap(), rows - 5);
    assert_eq!(store.prune_records(UnixMs(rows - 5)).await.unwrap(), 0);
    let query = RecordQuery { limit: 100, ..RecordQuery::default() };
    let left: Vec<u64> = store.records(&query).unwrap().iter().map(|r| r.at.0).collect();
    assert_eq!(left, (rows - 5..rows).collect::<Vec<_>>());
    assert_eq!(store.feedback_of(&trace_id(1)).unwrap(), []);
    assert_eq!(store.feedback_of(&trace_id(2)).unwrap().len(), 1);
    assert_eq!(store.prune_records(UnixMs(u64::MAX)).await.unwrap(), 5);
}

#[tokio::test]
async fn the_first_feedback_of_a_kind_stays() {
    let root = root();
    let store = open(&root);
    let id = trace_id(1);
    let put = |feedback| store.put_feedback(&id, UnixMs(1), feedback);
    assert!(put(Feedback::Like(true)).await.unwrap());
    assert!(!put(Feedback::Like(false)).await.unwrap());
    assert!(put(Feedback::Satisfaction(0.3)).await.unwrap());
    let kept = [Feedback::Like(true), Feedback::Satisfaction(0.3)];
    assert_eq!(store.feedback_of(&id).unwrap(), kept);
    assert!(error(put(Feedback::Satisfaction(f64::NAN)).await).message.contains("not finite"));
}

#[tokio::test]
async fn eval_reports_are_kept_once_and_found() {
    let root = root();
    let store = open(&root);
    for report in [report("b", 1, 20, 0.9), report("a", 1, 10, 0.8), report("c", 2, 30, 0.7)] {
        store.put_eval(&report).await.unwrap();
        store.put_eval(&report).await.unwrap();
    }
    let run = |report: Result<Option<EvalReport>>| report.unwrap().map(|r| r.run_id);
    assert_eq!(store.latest_eval(&set_id(1)).unwrap(), Some(report("b", 1, 20, 0.9)));
    assert_eq!(run(store.latest_eval(&set_id(3))), None);
    assert_eq!(run(store.last_passed_eval()).as_deref(), Some("b"));
    let other = error(store.put_eval(&report("a", 1, 10, 0.1)).await);
    assert!(other.message.contains("`a` is kept already"), "{other}");
}

#[tokio::test]
async fn a_baseline_is_the_last_seven_days_merged() {
    let root = root();
    let store = open(&root);
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

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_without_its_content() {
    let root = root();
    let store = open(&root);
    store.record(record(1, Arm::Stable, None, None));
    store.put_feedback(&trace_id(1), UnixMs(1), Feedback::Like(true)).await.unwrap();
    store.put_eval(&report("run-1", 1, 10, 0.8)).await.unwrap();
    store.add_baseline(&set_id(1), UnixMs(0), &Window::default()).await.unwrap();
    for table in ["records", "feedback", "evals", "baselines"] {
        let sql = format!("UPDATE {table} SET body = '\"a secret prompt\"'");
        assert_eq!(raw(&root).execute(&sql, []).unwrap(), 1, "{table}");
    }
    let check = |error: CliError, row: &str| {
        assert!(error.message.contains(row), "{error}");
        assert!(!error.message.contains("secret"), "{error}");
    };
    check(error(store.trace(&trace_id(1))), "record of trace `canary-test-001`");
    let query = RecordQuery { limit: 1, ..RecordQuery::default() };
    check(error(store.records(&query)), "record 1 ");
    check(error(store.feedback_of(&trace_id(1))), "feedback on trace `canary-test-001`");
    check(error(store.latest_eval(&set_id(1))), "eval run `run-1`");
    check(error(store.baseline(&set_id(1), UnixMs(0))), "baseline of `vs-000000000001`, day 0");
    let added = store.add_baseline(&set_id(1), UnixMs(0), &Window::default()).await;
    check(error(added), "baseline of `vs-000000000001`, day 0");
    assert!(store.append(UnixMs(1), vec![packed_event(1)]).await.is_ok(), "it alone is refused");
}
