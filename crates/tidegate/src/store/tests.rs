//! The store as its callers see it: who may open it, what survives, what is refused.

mod content;
mod disk;

use super::*;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;
use tidegate_core::gate::GateVerdict;
use tidegate_core::ids::Digest;
use tidegate_core::journal::{ControlState, verify_chain};
use tidegate_core::route::Table;
use tidegate_core::upstream::Failure;
use tidegate_core::version_set::{Artifact, ArtifactKind, VersionKeys};

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
        cohort: None,
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
        passed: accuracy >= 0.8,
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
fn a_state_too_old_to_go_on_from_is_refused_and_left_as_it_is() {
    let root = root();
    drop(open(&root));
    raw(&root).pragma_update(None, "user_version", 1).unwrap();
    for access in [Access::Exclusive, Access::Read] {
        let older = error(Store::open(root.path(), access));
        assert!(older.message.contains("of an older tidegate (schema 1)"), "{older}");
        assert!(older.hints[0].contains("move `.tidegate/` away"), "{:?}", older.hints);
    }
    let left: i64 = raw(&root).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
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
    let hash = "UPDATE journal SET hash = '哈希' WHERE seq = 3";
    check(hash, "journal entry 3 cannot be read", true).await;
}

#[test]
fn an_order_takes_one_batch_of_records_along_and_a_flush_takes_all() {
    let inbox = Inbox::new(2_000);
    let push = |count: u64| {
        (0..count).for_each(|n| assert!(inbox.push_record(record(n, Arm::Stable, None, None))))
    };
    let asked = |work| {
        let mut call = std::pin::pin!(inbox.call(work));
        // One poll hands the work over; nobody answers here.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        let (jobs, records) = inbox.take().unwrap();
        (jobs.len(), records.len())
    };
    push(1_500);
    assert_eq!(asked(Work::Append { at: UnixMs(1), events: Vec::new() }), (1, 512));
    assert_eq!(asked(Work::Flush), (1, 988));
    push(700);
    inbox.close();
    let left: Vec<usize> = std::iter::from_fn(|| inbox.take()).map(|(_, r)| r.len()).collect();
    assert_eq!(left, [512, 188]);
}
