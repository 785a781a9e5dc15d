//! The store as its callers see it: who may open it, what survives, what is refused.

mod admissions;
mod content;
mod disk;
mod lost;
mod states;

use super::*;
use crate::suite::{
    Bench, append, error, packed_event, packed_set, record, report, set_id, suite, trace_id,
};
use rusqlite::Connection;
use std::collections::BTreeSet;
use tempfile::TempDir;
use tidegate_core::journal::{ControlState, verify_chain};
use tidegate_core::route::Table;
use tidegate_core::version_set::ArtifactKind;

impl Bench for TempDir {
    type Store = SqliteStore;

    fn open(&self) -> SqliteStore {
        open(self)
    }

    fn open_beside(&self) -> SqliteStore {
        // The same file by way of another folder, as a disk that is mounted twice shows it: its
        // locks are not those that the first writer holds.
        let beside = self.path().join("beside");
        std::fs::create_dir_all(beside.join(".tidegate")).unwrap();
        let link = beside.join(".tidegate/state.db");
        std::os::unix::fs::symlink(state_db(self), link).unwrap();
        SqliteStore::open(&beside, Access::Exclusive).unwrap()
    }
}

suite!(root());

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(root: &TempDir) -> SqliteStore {
    SqliteStore::open(root.path(), Access::Exclusive).unwrap()
}

fn state_db(root: &TempDir) -> PathBuf {
    root.path().join(".tidegate/state.db")
}

/// A connection past the store, to break things or to hold the file.
fn raw(root: &TempDir) -> Connection {
    Connection::open(state_db(root)).unwrap()
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let root = root();
    let first = open(&root);
    let refused = error(SqliteStore::open(root.path(), Access::Exclusive));
    let expected = format!("another tidegate (pid {}) uses this state", std::process::id());
    assert!(refused.message.starts_with(&expected), "{refused}");
    assert!(refused.message.contains(".tidegate"), "{refused}");
    assert!(refused.hints[0].contains("another project folder"), "{:?}", refused.hints);
    let clone = first.clone();
    drop(first);
    assert!(SqliteStore::open(root.path(), Access::Exclusive).is_err(), "a clone still writes");
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
    let reader = SqliteStore::open(root.path(), Access::Read).unwrap();
    for n in 1..=3 {
        append(&writer, UnixMs(n), vec![packed_event(n)]).await.unwrap();
        assert_eq!(reader.journal(0).unwrap().len() as u64, n);
    }
    assert!(writer.record(writer.begin(), record(1, Arm::Stable, None, None)));
    writer.flush().await.unwrap();
    assert_eq!(reader.trace(None, &trace_id(1)).unwrap().unwrap().at, UnixMs(1));
    let refused = error(append(&reader, UnixMs(4), vec![packed_event(4)]).await);
    assert!(refused.message.contains("read only"), "{refused}");
    assert!(!reader.record(reader.begin(), record(2, Arm::Stable, None, None)));
    drop(writer);
    assert_eq!(reader.journal(0).unwrap().len(), 3, "and goes on without a writer");
    let later = SqliteStore::open(root.path(), Access::Read).unwrap();
    assert_eq!(later.journal(2).unwrap().len(), 2);
}

#[test]
fn no_state_to_read_is_said_with_the_way_on() {
    let root = root();
    let missing = error(SqliteStore::open(root.path(), Access::Read));
    assert!(missing.message.contains("no state yet"), "{missing}");
    assert!(missing.hints[0].contains("tidegate serve"), "{:?}", missing.hints);
    assert!(!root.path().join(".tidegate").exists(), "reading makes nothing");
    let nowhere = error(SqliteStore::open(&root.path().join("no/such"), Access::Exclusive));
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
        let newer = error(SqliteStore::open(root.path(), access));
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
        let older = error(SqliteStore::open(root.path(), access));
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
    let foreign = error(SqliteStore::open(root.path(), Access::Exclusive));
    assert!(foreign.message.contains("not one of tidegate"), "{foreign}");
    let bills: i64 =
        raw(&root).query_row("SELECT count(*) FROM bills", [], |row| row.get(0)).unwrap();
    assert_eq!(bills, 1);
    std::fs::write(state_db(&root), "not a database at all, but long enough to be looked at")
        .unwrap();
    let text = error(SqliteStore::open(root.path(), Access::Exclusive));
    assert!(text.message.contains("not a SQLite database"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_is_readable_and_one_gapless_chain_goes_on_after_a_start() {
    let root = root();
    let store = open(&root);
    // Others write at the same time, into the same commits.
    let others: Vec<_> = (0..100u64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store.record(store.begin(), record(n, Arm::Stable, None, None));
                store
                    .put_feedback(None, &trace_id(n), UnixMs(n), Feedback::Like(true))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for n in 0..50 {
        let events = vec![packed_event(2 * n), packed_event(2 * n + 1)];
        let entries = store.append(2 * n, store.epoch(), UnixMs(n), events).await.unwrap();
        assert_eq!(store.journal(2 * n + 1).unwrap(), entries, "acknowledged is readable");
        seen.extend(entries.iter().map(|entry| entry.seq));
    }
    for other in others {
        assert!(other.await.unwrap());
    }
    assert_eq!(seen, (1..=100).collect());
    let before = store.journal(0).unwrap();
    assert_eq!(verify_chain(&before), Ok(()));
    drop(store);
    let again = open(&root);
    assert_eq!(again.journal(0).unwrap(), before);
    let next = append(&again, UnixMs(7), vec![packed_event(1)]).await.unwrap();
    assert_eq!((next[0].seq, &next[0].prev), (101, &before[99].hash));
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
    append(&store, UnixMs(1), vec![adopted]).await.unwrap();
    let acknowledged = append(&store, UnixMs(2), vec![packed_event(2)]).await.unwrap();
    // What a power cut leaves: the file and its log, without an orderly end.
    std::fs::create_dir(to.path().join(".tidegate")).unwrap();
    for name in ["state.db", "state.db-wal"] {
        let path = |root: &TempDir| root.path().join(".tidegate").join(name);
        std::fs::copy(path(&from), path(&to)).unwrap();
    }
    let reader = SqliteStore::open(to.path(), Access::Read).unwrap();
    assert_eq!(reader.journal(2).unwrap(), acknowledged);
    let writer = open(&to);
    let state = ControlState::replay(&writer.journal(0).unwrap()).unwrap();
    assert_eq!((state.seq, state.sets.len()), (2, 2));
    assert_eq!(append(&writer, UnixMs(3), vec![packed_event(3)]).await.unwrap()[0].seq, 3);
}

#[tokio::test]
async fn what_waits_is_written_when_the_last_handle_goes() {
    let root = root();
    let store = open(&root);
    for n in 0..50 {
        assert!(store.record(store.begin(), record(n, Arm::Stable, None, None)));
    }
    drop(store);
    let query = RecordQuery { limit: 100, ..RecordQuery::default() };
    assert_eq!(open(&root).records(&query).unwrap().len(), 50);
}

#[tokio::test]
async fn a_changed_journal_is_seen() {
    async fn check(damage: &str, expected: &str, opens: bool) {
        let root = root();
        let store = open(&root);
        for n in 1..=4 {
            append(&store, UnixMs(n), vec![packed_event(n)]).await.unwrap();
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
        let reader = SqliteStore::open(root.path(), Access::Read).unwrap();
        let problems = reader.integrity().unwrap();
        assert_eq!(problems.len(), 1, "{damage}: {problems:?}");
        assert!(problems[0].contains(expected), "{damage}: {problems:?}");
        let opened = SqliteStore::open(root.path(), Access::Exclusive);
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
        (0..count).for_each(|n| {
            assert!(inbox.push_record(Ticket::default(), record(n, Arm::Stable, None, None)))
        })
    };
    let asked = |work| {
        let mut call = std::pin::pin!(inbox.call(work));
        // One poll hands the work over; nobody answers here.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        let turn = inbox.take().unwrap();
        (turn.jobs.len(), turn.records.len())
    };
    push(1_500);
    assert_eq!(
        asked(Work::Append { after: 0, epoch: Epoch(1), at: UnixMs(1), events: Vec::new() }),
        (1, 512)
    );
    assert_eq!(asked(Work::Flush), (1, 988));
    push(700);
    inbox.close();
    let left: Vec<usize> =
        std::iter::from_fn(|| inbox.take()).map(|turn| turn.records.len()).collect();
    assert_eq!(left, [512, 188]);
}
