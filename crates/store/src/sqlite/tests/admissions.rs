//! Admissions: what is acknowledged is on disk, what is refused is not there, and what is left
//! without a record is named.

use super::*;
use crate::Unrecorded;
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::timeout;

fn admission(n: u64, tenant: Option<&str>) -> Admission {
    let Record { trace_id, request_id, at, tenant, user, arm, set, change_id, .. } =
        record(n, Arm::Stable, Some("mei"), tenant);
    Admission { trace_id, request_id, at, tenant, user, arm, set, change_id }
}

fn rows(root: &TempDir) -> BTreeSet<u64> {
    let db = raw(root);
    let mut select = db.prepare("SELECT at FROM admissions").unwrap();
    let rows = select.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|at| u64::try_from(at.unwrap()).unwrap()).collect()
}

/// Admissions are taken again within ten seconds.
async fn recovers(store: &SqliteStore, n: u64) {
    let recovers = async {
        while store.admit(admission(n, None)).await.map(drop).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), recovers).await.unwrap();
}

#[tokio::test]
async fn inv11_an_admission_is_on_disk_when_it_returns() {
    let (root, to) = (root(), super::root());
    let store = open(&root);
    let ticket = store.admit(admission(1, Some("acme"))).await.unwrap();
    assert_eq!(rows(&root), BTreeSet::from([1]));
    // What a kill or a power cut leaves: the file and its log.
    std::fs::create_dir(to.path().join(".tidegate")).unwrap();
    for name in ["state.db", "state.db-wal"] {
        let path = |root: &TempDir| root.path().join(".tidegate").join(name);
        std::fs::copy(path(&root), path(&to)).unwrap();
    }
    assert_eq!(store.lost_records().unwrap().admitted, 0, "it still runs");
    let running = Unrecorded { admission: admission(1, Some("acme")), is_over: false };
    assert_eq!(store.unrecorded(&trace_id(1)).unwrap(), [running]);
    assert!(store.record(ticket, record(1, Arm::Stable, None, Some("acme"))));
    store.flush().await.unwrap();
    assert_eq!(rows(&root), BTreeSet::new());
    assert!(store.trace(Some("acme"), &trace_id(1)).unwrap().is_some());

    let after = open(&to);
    let over = Unrecorded { admission: admission(1, Some("acme")), is_over: true };
    assert_eq!(after.unrecorded(&trace_id(1)).unwrap(), [over]);
    assert_eq!(after.lost_records().unwrap().admitted, 1);
    assert_eq!(after.unrecorded(&trace_id(2)).unwrap(), []);
    let next = after.admit(admission(7, None)).await.unwrap();
    assert_eq!(rows(&to), BTreeSet::from([1, 7]), "a new one takes no row of an old one");
    after.prune_records(UnixMs(5)).await.unwrap();
    assert_eq!(rows(&to), BTreeSet::from([7]), "it goes with the records of its time");
    after.withdraw(next);
    drop(after);
    assert_eq!(rows(&to), BTreeSet::new(), "what was withdrawn is deleted");
}

/// Where locks do not work, two processes may write to one state.
#[tokio::test]
async fn the_admissions_of_two_writers_do_not_collide() {
    let root = root();
    let (first, second) = (root.open(), root.open_beside());
    let mut tickets = Vec::new();
    for n in 0..3 {
        tickets.push(first.admit(admission(2 * n, None)).await.unwrap());
        let of_second = second.admit(admission(2 * n + 1, None)).await.unwrap();
        second.withdraw(of_second);
    }
    drop(second);
    assert_eq!(rows(&root), BTreeSet::from([0, 2, 4]));
    drop(tickets);
}

#[test]
fn all_that_wait_share_one_commit_and_take_no_records_along() {
    let inbox = Arc::new(Inbox::new(100));
    assert!(inbox.push_record(Ticket::default(), record(0, Arm::Stable, None, None)));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut waiting: Vec<_> =
        (1..=100).map(|n| Box::pin(inbox.admit(admission(n, None)))).collect();
    for call in &mut waiting {
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    waiting.truncate(90);
    let turn = inbox.take().unwrap();
    assert_eq!((turn.admissions.len(), turn.records.len()), (90, 0), "ten have given up");
    let turn = inbox.take().unwrap();
    assert_eq!((turn.admissions.len(), turn.records.len()), (0, 1), "it had its time");
}

#[tokio::test]
async fn who_gives_up_while_the_file_is_held_leaves_no_admission() {
    let root = root();
    let store = open(&root);
    let blocker = raw(&root);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let given_up = timeout(Duration::from_millis(100), store.admit(admission(1, None))).await;
    assert!(given_up.is_err(), "it is not on disk, so it is not acknowledged");
    // The first is in the writer's hands, this one in the queue behind it.
    let waits = timeout(Duration::from_millis(100), store.admit(admission(2, None))).await;
    assert!(waits.is_err());
    // After a second no further one waits.
    let busy = loop {
        let short = timeout(Duration::from_millis(50), store.admit(admission(3, None))).await;
        if let Ok(refused) = short {
            break error(refused);
        }
    };
    assert_eq!(busy.kind, Kind::Busy, "{busy}");
    blocker.execute_batch("ROLLBACK").unwrap();
    recovers(&store, 4).await;
    store.flush().await.unwrap();
    drop(store);
    assert_eq!(rows(&root), BTreeSet::from([4]));
}

#[tokio::test]
async fn without_room_admissions_are_refused_and_control_goes_on() {
    let root = root();
    // A folder in its place: the space cannot be set aside.
    std::fs::create_dir_all(root.path().join(".tidegate/reserve")).unwrap();
    let store = open(&root);
    let refused = error(store.admit(admission(1, None)).await);
    assert_eq!(refused.kind, Kind::NoRoom);
    assert!(append(&store, UnixMs(1), vec![packed_event(1)]).await.is_ok());
    assert_eq!(rows(&root), BTreeSet::new());
    std::fs::remove_dir(root.path().join(".tidegate/reserve")).unwrap();
    recovers(&store, 2).await;
    assert_eq!(rows(&root), BTreeSet::from([2]));
}

#[tokio::test]
async fn a_full_file_refuses_admissions_and_loses_no_earlier_one() {
    let root = root();
    let options = StoreOptions { pages_max: Some(120), ..StoreOptions::default() };
    let store = SqliteStore::open_with(root.path(), Access::Exclusive, options).unwrap();
    let mut admitted = BTreeSet::new();
    let refused = loop {
        let n = admitted.len() as u64 + 1;
        match store.admit(admission(n, Some(&"t".repeat(3_000)))).await {
            Ok(_) => assert!(admitted.insert(n)),
            Err(error) => break error,
        }
        assert!(n < 1_000, "the bound must be reached");
    };
    assert_eq!(refused.kind, Kind::NoRoom);
    assert_eq!(rows(&root), admitted);
    assert!(store.failing().is_none(), "it passes");
    assert!(store.stopped().is_none());
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Recorded,
    Withdrawn,
    /// Its client left while it waited.
    GivenUp,
    /// The process ends first.
    Open,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Recorded),
        1 => Just(Fate::Withdrawn),
        1 => Just(Fate::GivenUp),
        1 => Just(Fate::Open),
    ];
    prop::collection::vec(fate, 1..120)
}

async fn live(store: SqliteStore, n: u64, fate: Fate) {
    if let Fate::GivenUp = fate {
        let wait = Duration::from_micros(n * 37 % 1_500);
        // It may have been too late to give up; then it was admitted, and is withdrawn.
        if let Ok(admitted) = timeout(wait, store.admit(admission(n, None))).await {
            store.withdraw(admitted.unwrap());
        }
        return;
    }
    let ticket = store.admit(admission(n, None)).await.unwrap();
    match fate {
        Fate::Recorded => assert!(store.record(ticket, record(n, Arm::Stable, None, None))),
        Fate::Withdrawn => store.withdraw(ticket),
        Fate::Open => drop(ticket),
        Fate::GivenUp => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever comes of requests and in whatever order, those that were admitted and not ended
    /// have an admission, and no other has one.
    #[test]
    fn inv11_what_is_left_is_what_was_admitted_and_has_no_record(fates in fates()) {
        let root = root();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            let store = open(&root);
            let tasks: Vec<_> = (1..)
                .zip(&fates)
                .map(|(n, fate)| tokio::spawn(live(store.clone(), n, *fate)))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        drop(runtime);
        let expected: BTreeSet<u64> = (1..)
            .zip(&fates)
            .filter_map(|(n, fate)| matches!(fate, Fate::Open).then_some(n))
            .collect();
        prop_assert_eq!(rows(&root), expected.clone());
        let after = open(&root);
        prop_assert_eq!(after.lost_records().unwrap().admitted, expected.len() as u64);
        let recorded = fates.iter().filter(|fate| matches!(fate, Fate::Recorded)).count();
        let query = RecordQuery { limit: 1_000, ..RecordQuery::default() };
        prop_assert_eq!(after.records(&query).unwrap().len(), recorded);
    }
}
