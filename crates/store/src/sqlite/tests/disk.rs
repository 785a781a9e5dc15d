//! When the disk refuses: nothing is acknowledged that is not there.

use super::*;

#[tokio::test]
async fn a_full_disk_refuses_everything_whole_and_recovers() {
    let root = root();
    let options = StoreOptions { pages_max: Some(200), ..StoreOptions::default() };
    let store = SqliteStore::open_with(root.path(), Access::Exclusive, options).unwrap();
    let mut acknowledged = Vec::new();
    let full = loop {
        let label = "满".repeat(2_000);
        let events = (0..10).map(|n| Event::SetPacked { set: set_id(n), label: label.clone() });
        assert!(acknowledged.len() < 1_000, "the bound must be reached");
        match append(&store, UnixMs(1), events.collect()).await {
            Ok(entries) => acknowledged.extend(entries),
            Err(error) => break error,
        }
    };
    assert!(full.message.contains("no room"), "{full}");
    let again = error(append(&store, UnixMs(2), vec![packed_set_event_large()]).await);
    assert!(again.message.contains("no room"), "{again}");
    assert!(store.stopped().is_none(), "a full disk passes");
    assert_eq!(store.journal(0).unwrap(), acknowledged, "nothing half written; reads go on");
    drop(store);
    let roomy = open(&root);
    let next = append(&roomy, UnixMs(3), vec![packed_set_event_large()]).await.unwrap();
    assert_eq!(next[0].seq, acknowledged.len() as u64 + 1);
    assert_eq!(verify_chain(&roomy.journal(0).unwrap()), Ok(()));
}

fn packed_set_event_large() -> Event {
    Event::SetPacked { set: set_id(1), label: "满".repeat(30_000) }
}

/// Text that cannot be compressed to less than three quarters.
fn noise(bytes: usize) -> String {
    let mut state = 1u64;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + u8::try_from(state >> 58).unwrap())
    });
    letters.take(bytes).collect()
}

#[tokio::test]
async fn records_make_way_for_control_when_there_is_no_room() {
    let root = root();
    let options = StoreOptions { pages_max: Some(200), ..StoreOptions::default() };
    let store = SqliteStore::open_with(root.path(), Access::Exclusive, options).unwrap();
    let mut large = record(1, Arm::Stable, None, None);
    large.output = Some(noise(2 << 20));
    let blocker = raw(&root);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.record(store.begin(), large));
    let appending = append(&store, UnixMs(1), vec![packed_event(1)]);
    let flushing = store.flush();
    let unblock = async { blocker.execute_batch("ROLLBACK").unwrap() };
    let (appended, flushed, ()) = tokio::join!(appending, flushing, unblock);
    assert_eq!(appended.unwrap()[0].seq, 1);
    assert_eq!(store.dropped_records(), 1);
    // The flush knows of the loss when it shared the record's transaction; it may have come after.
    assert!(flushed.err().is_none_or(|why| why.kind == Kind::NoRoom));
    assert_eq!(store.trace(None, &trace_id(1)).unwrap(), None);
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_acknowledged_until_a_new_start() {
    let root = root();
    let store = open(&root);
    append(&store, UnixMs(1), vec![packed_event(1)]).await.unwrap();
    // A commit that fails as a whole, after all its statements went well, for a reason that says
    // nothing of what is on disk.
    let db = raw(&root);
    db.execute_batch(
        "CREATE TABLE parents(id INTEGER PRIMARY KEY);
         CREATE TABLE orphans(id REFERENCES parents(id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER trap AFTER INSERT ON journal BEGIN INSERT INTO orphans VALUES (1); END;",
    )
    .unwrap();
    let first = error(append(&store, UnixMs(2), vec![packed_event(2)]).await);
    assert!(first.message.contains("stopping to acknowledge"), "{first}");
    db.execute_batch("DROP TRIGGER trap").unwrap();
    let second = error(append(&store, UnixMs(3), vec![packed_event(3)]).await);
    assert_eq!(second.message, first.message, "though it would succeed now");
    assert!(error(store.flush().await).message.contains("stopping to acknowledge"));
    assert!(store.stopped().is_some());
    assert!(
        store.record(store.begin(), record(1, Arm::Stable, None, None)),
        "records are taken in silence"
    );
    assert!(store.flush().await.is_err());
    assert_eq!(store.dropped_records(), 1, "and counted");
    assert_eq!(store.journal(0).unwrap().len(), 1, "reads go on");
    drop(store);
    let reopened = open(&root);
    let next = append(&reopened, UnixMs(4), vec![packed_event(4)]).await.unwrap();
    assert_eq!(next[0].seq, 2, "the head never moved");
    assert_eq!(reopened.integrity().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn records_beyond_the_queue_are_dropped_and_counted() {
    let root = root();
    let options = StoreOptions { records_max: 4, ..StoreOptions::default() };
    let store = SqliteStore::open_with(root.path(), Access::Exclusive, options).unwrap();
    let blocker = raw(&root);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // At most 4 are in the writer's hands and 4 in the queue while the file is held.
    let taken: Vec<bool> =
        (0..20).map(|n| store.record(store.begin(), record(n, Arm::Stable, None, None))).collect();
    let accepted = taken.iter().filter(|taken| **taken).count();
    assert!((4..=8).contains(&accepted), "{taken:?}");
    assert_eq!(store.dropped_records(), 20 - accepted as u64);
    blocker.execute_batch("ROLLBACK").unwrap();
    store.flush().await.unwrap();
    let query = RecordQuery { limit: 100, ..RecordQuery::default() };
    assert_eq!(store.records(&query).unwrap().len(), accepted);
    assert!(store.record(store.begin(), record(99, Arm::Stable, None, None)), "and room again");
}

#[tokio::test]
async fn while_nothing_is_set_aside_records_make_way() {
    let root = root();
    // A folder in its place: the space cannot be set aside.
    std::fs::create_dir_all(root.path().join(".tidegate/reserve")).unwrap();
    let store = open(&root);
    assert!(store.record(store.begin(), record(1, Arm::Stable, None, None)));
    let lost = error(store.flush().await);
    assert!(lost.message.contains("no room"), "{lost}");
    assert_eq!(store.dropped_records(), 1);
    assert!(append(&store, UnixMs(1), vec![packed_event(1)]).await.is_ok());
}

#[test]
fn space_set_aside_is_given_up_once() {
    let root = root();
    let mut reserve = reserve::Reserve::new(root.path());
    let file = root.path().join("reserve");
    assert!(reserve.is_held() && file.exists());
    assert!(reserve.release() && !file.exists());
    assert!(!reserve.release() && !reserve.is_held());
    assert!(reserve::Reserve::new(root.path()).is_held());
}
