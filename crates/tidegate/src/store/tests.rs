use super::*;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;
use tidegate_core::gate::GateVerdict;
use tidegate_core::journal::{ControlState, verify_chain};
use tidegate_core::route::Table;
use tidegate_core::upstream::Failure;
use tidegate_core::version_set::{Artifact, ArtifactKind, VersionKeys};

const DAY_MS: u64 = 86_400_000;

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(root: &TempDir) -> Store {
    Store::open(root.path(), Access::Exclusive).unwrap()
}

fn state_db(root: &TempDir) -> PathBuf {
    root.path().join(".tidegate/state.db")
}

/// A connection past the store, to break things or to hold the file.
fn raw(root: &TempDir) -> Connection {
    Connection::open(state_db(root)).unwrap()
}

fn error<T>(result: Result<T>) -> CliError {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error,
    }
}

fn set_id(n: u64) -> VersionSetId {
    VersionSetId::parse(&format!("vs-{n:012x}")).unwrap()
}

fn packed_event(n: u64) -> Event {
    Event::SetPacked { set: set_id(n), label: format!("提示词 v{n}") }
}

fn packed_set(prompt: &str) -> PackedSet {
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

fn trace_id(n: u64) -> TraceId {
    TraceId::parse(&format!("canary-test-{n:03}")).unwrap()
}

fn change_id() -> ChangeId {
    ChangeId::parse("prompt-v3-a1b2c").unwrap()
}

fn record(n: u64, arm: Arm, user: Option<&str>, tenant: Option<&str>) -> Record {
    Record {
        trace_id: trace_id(n),
        request_id: format!("req-{n}"),
        traceparent: None,
        at: UnixMs(n),
        tenant: tenant.map(str::to_owned),
        user: user.map(str::to_owned),
        arm,
        version_set: set_id(1),
        keys: VersionKeys::default(),
        change_id: Some(change_id()),
        status: 200,
        failure: None,
        streamed: false,
        tokens_in: 10,
        tokens_out: 20,
        tokens_estimated: false,
        cost_micro_usd: 30,
        timing: Default::default(),
        tool_calls: Vec::new(),
        finish_reason: None,
        upstream_model: None,
        contract_problem: None,
        refused: false,
        pii: false,
        risk: Vec::new(),
        prompt_length: 4,
        response_length: 4,
        input: Some("退款要多久？".to_owned()),
        output: Some("七個工作天".to_owned()),
    }
}

fn report(run_id: &str, set: u64, at: u64, accuracy: f64) -> EvalReport {
    EvalReport {
        model: "gpt-4o-mini".to_owned(),
        total: 0,
        correct: 0,
        accuracy,
        passed: true,
        threshold: 0.8,
        details: Vec::new(),
        run_id: run_id.to_owned(),
        at: UnixMs(at),
        version_set: set_id(set),
        cases_digest: Digest::of(b"cases"),
        verdict: GateVerdict::Pass,
        reasons: Vec::new(),
        failure_table: Vec::new(),
        comparison: None,
        results: Vec::new(),
    }
}

// ---- one writer, many readers

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let root = root();
    let first = open(&root);
    let refused = error(Store::open(root.path(), Access::Exclusive));
    let expected = format!("another tidegate (pid {}) uses this state", std::process::id());
    assert!(refused.message.starts_with(&expected), "{refused}");
    assert!(refused.message.contains(".tidegate"), "{refused}");
    assert!(refused.hints[0].contains("another project folder"), "{:?}", refused.hints);
    let clone = first.clone();
    drop(first);
    assert!(Store::open(root.path(), Access::Exclusive).is_err(), "a clone still writes");
    drop(clone);
    open(&root);
}

#[test]
fn the_lock_file_of_a_dead_process_is_no_obstacle() {
    let root = root();
    std::fs::create_dir(root.path().join(".tidegate")).unwrap();
    std::fs::write(root.path().join(".tidegate/lock"), "4194304 and more digits than ours\n")
        .unwrap();
    let store = open(&root);
    let lock = std::fs::read_to_string(root.path().join(".tidegate/lock")).unwrap();
    assert_eq!(lock.trim(), std::process::id().to_string());
    drop(store);
}

#[cfg(unix)]
#[test]
fn the_state_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = root();
    let _store = open(&root);
    let mode = |name: &str| {
        std::fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(".tidegate"), mode(".tidegate/state.db")), (0o700, 0o600));
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_what_is_committed_and_writes_nothing() {
    let root = root();
    let writer = open(&root);
    let reader = Store::open(root.path(), Access::Read).unwrap();
    for n in 1..=3 {
        writer.append(UnixMs(n), vec![packed_event(n)]).await.unwrap();
        assert_eq!(reader.journal(0).unwrap().len() as u64, n);
    }
    assert!(writer.record(record(1, Arm::Stable, None, None)));
    writer.flush().await.unwrap();
    assert_eq!(reader.trace(&trace_id(1)).unwrap().unwrap().at, UnixMs(1));
    let refused = error(reader.append(UnixMs(4), vec![packed_event(4)]).await);
    assert!(refused.message.contains("read only"), "{refused}");
    assert!(!reader.record(record(2, Arm::Stable, None, None)));
    drop(writer);
    assert_eq!(reader.journal(0).unwrap().len(), 3, "and goes on without a writer");
    let later = Store::open(root.path(), Access::Read).unwrap();
    assert_eq!(later.journal(2).unwrap().len(), 2);
}

#[test]
fn no_state_to_read_is_said_with_the_way_on() {
    let root = root();
    let missing = error(Store::open(root.path(), Access::Read));
    assert!(missing.message.contains("no state yet"), "{missing}");
    assert!(missing.hints[0].contains("tidegate serve"), "{:?}", missing.hints);
    assert!(!root.path().join(".tidegate").exists(), "reading makes nothing");
    let nowhere = error(Store::open(&root.path().join("no/such"), Access::Exclusive));
    assert!(nowhere.message.contains("no/such/.tidegate"), "{nowhere}");
}

// ---- versions

#[test]
fn a_state_of_a_newer_tidegate_names_the_one_needed() {
    let root = root();
    drop(open(&root));
    let db = raw(&root);
    db.execute("UPDATE meta SET value = '9.8.7' WHERE key = 'written_by'", []).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    for access in [Access::Exclusive, Access::Read] {
        let newer = error(Store::open(root.path(), access));
        assert!(newer.message.contains("written by tidegate 9.8.7 (schema 99)"), "{newer}");
        assert!(newer.hints[0].contains("use tidegate 9.8.7"), "{:?}", newer.hints);
    }
}

#[test]
fn what_is_not_a_state_is_left_alone() {
    let root = root();
    std::fs::create_dir(root.path().join(".tidegate")).unwrap();
    raw(&root).execute_batch("CREATE TABLE bills(id); INSERT INTO bills VALUES (1)").unwrap();
    let foreign = error(Store::open(root.path(), Access::Exclusive));
    assert!(foreign.message.contains("not one of tidegate"), "{foreign}");
    let bills: i64 =
        raw(&root).query_row("SELECT count(*) FROM bills", [], |row| row.get(0)).unwrap();
    assert_eq!(bills, 1);
    std::fs::write(state_db(&root), "not a database at all, but long enough to be looked at")
        .unwrap();
    let text = error(Store::open(root.path(), Access::Exclusive));
    assert!(text.message.contains("not a SQLite database"), "{text}");
}

// ---- the journal

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_make_one_gapless_chain() {
    let root = root();
    let store = open(&root);
    let tasks: Vec<_> = (0..200u64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let events = vec![packed_event(2 * n), packed_event(2 * n + 1)];
                let entries = store.append(UnixMs(n), events).await.unwrap();
                let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
                assert_eq!(seqs, [seqs[0], seqs[0] + 1], "events of one append stand together");
                let read = store.journal(seqs[0]).unwrap();
                assert_eq!(read[..2], entries[..], "acknowledged is readable");
                seqs
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for task in tasks {
        seen.extend(task.await.unwrap());
    }
    assert_eq!(seen, (1..=400).collect());
    let before = store.journal(0).unwrap();
    assert_eq!(verify_chain(&before), Ok(()));
    assert_eq!((before.len(), before[0].seq), (400, 1));
    drop(store);
    let again = open(&root);
    assert_eq!(again.journal(0).unwrap(), before);
    let next = again.append(UnixMs(7), vec![packed_event(1)]).await.unwrap();
    assert_eq!((next[0].seq, &next[0].prev), (401, &before[399].hash));
    assert_eq!(again.integrity().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_image_of_a_running_state_holds_all_that_was_acknowledged() {
    let (from, to) = (root(), root());
    let store = open(&from);
    let adopted = Event::ServiceAdopted {
        service: "support-desk".parse().unwrap(),
        set: set_id(1),
        label: "v1".to_owned(),
        table: Table::first(set_id(1)),
        by: "mei".to_owned(),
    };
    store.append(UnixMs(1), vec![adopted]).await.unwrap();
    let acknowledged = store.append(UnixMs(2), vec![packed_event(2)]).await.unwrap();
    // What a power cut leaves: the file and its log, without an orderly end.
    std::fs::create_dir(to.path().join(".tidegate")).unwrap();
    for name in ["state.db", "state.db-wal"] {
        let path = |root: &TempDir| root.path().join(".tidegate").join(name);
        std::fs::copy(path(&from), path(&to)).unwrap();
    }
    let reader = Store::open(to.path(), Access::Read).unwrap();
    assert_eq!(reader.journal(2).unwrap(), acknowledged);
    let writer = open(&to);
    let state = ControlState::replay(&writer.journal(0).unwrap()).unwrap();
    assert_eq!((state.seq, state.sets.len()), (2, 2));
    assert_eq!(writer.append(UnixMs(3), vec![packed_event(3)]).await.unwrap()[0].seq, 3);
}

#[tokio::test]
async fn what_waits_is_written_when_the_last_handle_goes() {
    let root = root();
    let store = open(&root);
    for n in 0..50 {
        assert!(store.record(record(n, Arm::Stable, None, None)));
    }
    drop(store);
    let query = RecordQuery { limit: 100, ..RecordQuery::default() };
    assert_eq!(open(&root).records(&query).unwrap().len(), 50);
}

#[tokio::test]
async fn an_append_is_all_or_none() {
    let root = root();
    let store = open(&root);
    assert_eq!(store.append(UnixMs(1), Vec::new()).await.unwrap(), []);
    let refused = error(store.append(UnixMs(u64::MAX), vec![packed_event(1)]).await);
    assert!(refused.message.contains("cannot keep the time"), "{refused}");
    // A bad one among good ones refuses its own append only.
    let opened = |reason: f64| {
        let mut decision = tidegate_core::decide::Decision {
            at: UnixMs(1),
            kind: tidegate_core::decide::DecisionKind::Hold,
            signal: tidegate_core::decide::Signal::Yellow,
            reasons: vec![tidegate_core::decide::Reason::new(
                tidegate_core::decide::ReasonCode::Gap,
                "gap".to_owned(),
            )],
            actions: Vec::new(),
            state: tidegate_core::decide::ReleaseState::start(UnixMs(1)),
        };
        decision.reasons[0].estimate = Some(reason);
        let decision = Box::new(decision);
        Event::Decided { change_id: change_id(), decision, order: None, table: None }
    };
    let (good, bad, other) = tokio::join!(
        store.append(UnixMs(1), vec![opened(0.1)]),
        store.append(UnixMs(1), vec![packed_event(1), opened(f64::NAN)]),
        store.append(UnixMs(1), vec![packed_event(2)]),
    );
    assert!(good.is_ok() && other.is_ok());
    assert!(error(bad).message.contains("not finite"));
    let kept = store.journal(0).unwrap();
    assert_eq!((kept.len(), verify_chain(&kept)), (2, Ok(())));
}

#[tokio::test]
async fn a_changed_journal_is_seen() {
    async fn check(damage: &str, expected: &str, opens: bool) {
        let root = root();
        let store = open(&root);
        for n in 1..=4 {
            store.append(UnixMs(n), vec![packed_event(n)]).await.unwrap();
        }
        drop(store);
        let db = raw(&root);
        db.execute("UPDATE journal SET at = 0", []).unwrap_err();
        db.execute("DELETE FROM journal", []).unwrap_err();
        db.execute_batch(
            "DROP TRIGGER journal_is_not_changed; DROP TRIGGER journal_is_not_deleted",
        )
        .unwrap();
        db.execute_batch(damage).unwrap();
        let reader = Store::open(root.path(), Access::Read).unwrap();
        let problems = reader.integrity().unwrap();
        assert_eq!(problems.len(), 1, "{damage}: {problems:?}");
        assert!(problems[0].contains(expected), "{damage}: {problems:?}");
        let opened = Store::open(root.path(), Access::Exclusive);
        assert_eq!(opened.is_ok(), opens, "{damage}");
    }
    check("UPDATE journal SET at = 9 WHERE seq = 2", "entry 2 was altered", true).await;
    check("DELETE FROM journal WHERE seq = 2", "entry 2 is missing", true).await;
    check("DELETE FROM journal WHERE seq = 1", "first entry is missing", true).await;
    check("DELETE FROM journal WHERE seq = 4", "should end with entry 4, and ends with 3", false)
        .await;
    check("DELETE FROM journal", "should end with entry 4, and ends with none", false).await;
    check("UPDATE journal SET body = '{}' WHERE seq = 4", "entry 4 was altered", false).await;
    check("UPDATE journal SET hash = '哈希' WHERE seq = 3", "journal entry 3 cannot be read", true)
        .await;
}

// ---- when the disk refuses

#[tokio::test]
async fn a_full_disk_refuses_everything_whole_and_recovers() {
    let root = root();
    let options = Options { pages_max: Some(200), ..Options::default() };
    let store = Store::open_with(root.path(), Access::Exclusive, options).unwrap();
    let mut acknowledged = Vec::new();
    let full = loop {
        let label = "满".repeat(2_000);
        let events = (0..10).map(|n| Event::SetPacked { set: set_id(n), label: label.clone() });
        assert!(acknowledged.len() < 1_000, "the bound must be reached");
        match store.append(UnixMs(1), events.collect()).await {
            Ok(entries) => acknowledged.extend(entries),
            Err(error) => break error,
        }
    };
    assert!(full.message.contains("no room"), "{full}");
    let again = error(store.append(UnixMs(2), vec![packed_set_event_large()]).await);
    assert!(again.message.contains("no room"), "{again}");
    assert!(store.stopped().is_none(), "a full disk passes");
    assert_eq!(store.journal(0).unwrap(), acknowledged, "nothing half written; reads go on");
    drop(store);
    let roomy = open(&root);
    let next = roomy.append(UnixMs(3), vec![packed_set_event_large()]).await.unwrap();
    assert_eq!(next[0].seq, acknowledged.len() as u64 + 1);
    assert_eq!(verify_chain(&roomy.journal(0).unwrap()), Ok(()));
}

fn packed_set_event_large() -> Event {
    Event::SetPacked { set: set_id(1), label: "满".repeat(10_000) }
}

#[tokio::test]
async fn records_make_way_for_control_when_there_is_no_room() {
    let root = root();
    let options = Options { pages_max: Some(200), ..Options::default() };
    let store = Store::open_with(root.path(), Access::Exclusive, options).unwrap();
    let mut large = record(1, Arm::Stable, None, None);
    large.output = Some("x".repeat(2 << 20));
    let blocker = raw(&root);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.record(large));
    let appending = store.append(UnixMs(1), vec![packed_event(1)]);
    let flushing = store.flush();
    let unblock = async { blocker.execute_batch("ROLLBACK").unwrap() };
    let (appended, flushed, ()) = tokio::join!(appending, flushing, unblock);
    assert_eq!(appended.unwrap()[0].seq, 1);
    assert_eq!(store.dropped_records(), 1);
    // The flush knows of the loss when it shared the record's transaction; it may have come after.
    if let Err(why) = flushed {
        assert!(why.message.contains("no room"), "{why}");
    }
    assert_eq!(store.trace(&trace_id(1)).unwrap(), None);
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_acknowledged_until_a_new_start() {
    let root = root();
    let store = open(&root);
    store.append(UnixMs(1), vec![packed_event(1)]).await.unwrap();
    // A commit that fails as a whole, after all its statements went well: what an fsync error
    // looks like from here.
    let db = raw(&root);
    db.execute_batch(
        "CREATE TABLE parents(id INTEGER PRIMARY KEY);
         CREATE TABLE orphans(id REFERENCES parents(id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER trap AFTER INSERT ON journal BEGIN INSERT INTO orphans VALUES (1); END;",
    )
    .unwrap();
    let first = error(store.append(UnixMs(2), vec![packed_event(2)]).await);
    assert!(first.message.contains("stopping to acknowledge"), "{first}");
    db.execute_batch("DROP TRIGGER trap").unwrap();
    let second = error(store.append(UnixMs(3), vec![packed_event(3)]).await);
    assert_eq!(second.message, first.message, "though it would succeed now");
    assert!(error(store.flush().await).message.contains("stopping to acknowledge"));
    assert!(store.stopped().is_some());
    assert!(store.record(record(1, Arm::Stable, None, None)), "records are taken in silence");
    assert!(store.flush().await.is_err());
    assert_eq!(store.dropped_records(), 1, "and counted");
    assert_eq!(store.journal(0).unwrap().len(), 1, "reads go on");
    drop(store);
    let anew = open(&root);
    let next = anew.append(UnixMs(4), vec![packed_event(4)]).await.unwrap();
    assert_eq!(next[0].seq, 2, "the head never moved");
    assert_eq!(anew.integrity().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn records_beyond_the_queue_are_dropped_and_counted() {
    let root = root();
    let options = Options { records_max: 4, ..Options::default() };
    let store = Store::open_with(root.path(), Access::Exclusive, options).unwrap();
    let blocker = raw(&root);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // At most 4 are in the writer's hands and 4 in the queue while the file is held.
    let taken: Vec<bool> =
        (0..20).map(|n| store.record(record(n, Arm::Stable, None, None))).collect();
    let accepted = taken.iter().filter(|taken| **taken).count();
    assert!((4..=8).contains(&accepted), "{taken:?}");
    assert_eq!(store.dropped_records(), 20 - accepted as u64);
    blocker.execute_batch("ROLLBACK").unwrap();
    store.flush().await.unwrap();
    let query = RecordQuery { limit: 100, ..RecordQuery::default() };
    assert_eq!(store.records(&query).unwrap().len(), accepted);
    assert!(store.record(record(99, Arm::Stable, None, None)), "and room again");
}

// ---- version sets

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
    assert_eq!(listed, [(new.set.id, 6_000), (old.set.id, 5_000)]);
    let unknown = error(store.set(&set_id(7)));
    assert!(unknown.message.contains("`vs-000000000007` is not kept here"), "{unknown}");
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

// ---- records and feedback

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

// ---- evals and baselines

#[tokio::test]
async fn eval_reports_are_kept_once_and_found() {
    let root = root();
    let store = open(&root);
    for report in [report("b", 1, 20, 0.9), report("a", 1, 10, 0.8), report("c", 2, 30, 0.7)] {
        store.put_eval(&report).await.unwrap();
        store.put_eval(&report).await.unwrap();
    }
    let run = |report: Result<Option<EvalReport>>| report.unwrap().map(|r| r.run_id);
    assert_eq!(store.eval("a").unwrap(), Some(report("a", 1, 10, 0.8)));
    assert_eq!(run(store.eval("z")), None);
    assert_eq!(run(store.latest_eval(&set_id(1))).as_deref(), Some("b"));
    assert_eq!(run(store.latest_eval(&set_id(3))), None);
    assert_eq!(run(store.previous_eval(&Digest::of(b"cases"))).as_deref(), Some("c"));
    assert_eq!(run(store.previous_eval(&Digest::of(b"other"))), None);
    let other = error(store.put_eval(&report("a", 1, 10, 0.1)).await);
    assert!(other.message.contains("`a` is kept already"), "{other}");
}

#[tokio::test]
async fn a_baseline_is_the_last_seven_days_merged() {
    let root = root();
    let store = open(&root);
    let window = |requests| Window { requests, ..Window::default() };
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
    check(error(store.eval("run-1")), "eval run `run-1`");
    check(error(store.baseline(&set_id(1), UnixMs(0))), "baseline of `vs-000000000001`, day 0");
    let added = store.add_baseline(&set_id(1), UnixMs(0), &Window::default()).await;
    check(error(added), "baseline of `vs-000000000001`, day 0");
    assert!(store.append(UnixMs(1), vec![packed_event(1)]).await.is_ok(), "it alone is refused");
}
