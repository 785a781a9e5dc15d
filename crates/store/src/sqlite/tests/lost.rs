//! What is said after a kill: never more is lost than is said at most, never less than at least.

use super::*;
use crate::Lost;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn counting(root: &TempDir) -> SqliteStore {
    let options = StoreOptions { counts_requests: true, ..StoreOptions::default() };
    SqliteStore::open_with(root.path(), Access::Exclusive, options).unwrap()
}

fn kept(root: &TempDir) -> Option<Kept> {
    Kept::read(&root.path().join(".tidegate/requests"))
}

/// What a kill leaves, once the file has what began: a copy of everything, in another place.
fn killed(root: &TempDir, begun: u64) -> TempDir {
    let until = Instant::now() + Duration::from_secs(60);
    while kept(root).is_none_or(|kept| kept.bound < begun) {
        assert!(Instant::now() < until, "{begun} began, the file has {:?}", kept(root));
        std::thread::sleep(Duration::from_millis(1));
    }
    let to = super::root();
    std::fs::create_dir(to.path().join(".tidegate")).unwrap();
    for name in ["requests", "state.db", "state.db-wal"] {
        let path = |root: &TempDir| root.path().join(".tidegate").join(name);
        std::fs::copy(path(root), path(&to)).unwrap();
    }
    to
}

#[tokio::test]
async fn what_a_kill_loses_is_counted_once() {
    let root = root();
    let store = counting(&root);
    assert_eq!(store.lost_records().unwrap(), LostRecords::default());
    let mut tickets: Vec<_> = (0..5).map(|_| store.begin()).collect();
    for n in 0..2 {
        assert!(store.record(tickets.pop().unwrap(), record(n, Arm::Stable, None, None)));
    }
    store.flush().await.unwrap();
    store.withdraw(tickets.pop().unwrap());
    let left = killed(&root, 5);
    let bound = kept(&left).unwrap().bound;

    // A short command has the state first; it settles nothing.
    drop(open(&left));
    let after = counting(&left);
    let LostRecords { last, total, admitted } = after.lost_records().unwrap();
    // The one that was withdrawn after the last commit counts as well.
    assert_eq!((last.at_least, admitted), (3, 0));
    assert_eq!(last.at_most, bound - 2);
    assert!(bound < 1_000, "{bound} is far ahead of 5");
    assert_eq!(total, last);
    let _ends_with_it = after.begin();
    let again = killed(&left, 1);
    let third = counting(&again).lost_records().unwrap();
    assert_eq!((third.last.at_least, third.total.at_least), (1, 4));
    let read = SqliteStore::open(again.path(), Access::Read).unwrap();
    assert_eq!(read.lost_records().unwrap().total, third.total);

    // In order: a request that ended with a record, and one whose record was dropped, are not lost.
    assert!(store.record(tickets.pop().unwrap(), record(7, Arm::Stable, None, None)));
    let inbox = &store.inner.writer.as_ref().unwrap().inbox;
    inbox.drop_records(1);
    drop(store);
    assert_eq!(kept(&root), Some(Kept { epoch: 1, count: 5, bound: 5 }));
    assert_eq!(counting(&root).lost_records().unwrap(), LostRecords::default());
}

#[tokio::test]
async fn a_server_that_is_killed_while_nothing_runs_has_lost_nothing() {
    let root = root();
    let store = counting(&root);
    for n in 0..300 {
        assert!(store.record(store.begin(), record(n, Arm::Stable, None, None)));
    }
    store.flush().await.unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while kept(&root).is_none_or(|kept| kept.bound != 300) {
        assert!(Instant::now() < until, "{:?}", kept(&root));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let after = counting(&killed(&root, 300)).lost_records().unwrap();
    assert_eq!(after, LostRecords::default());
}

#[test]
fn a_file_that_is_not_whole_or_of_another_process_says_nothing() {
    let root = root();
    let path = root.path().join(".tidegate/requests");
    drop(counting(&root));
    for text in ["", "1 2", "1 2 3", "1 2 x\n", "99 70000 80000\n"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(counting(&root).lost_records().unwrap(), LostRecords::default(), "{text:?}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Begin(u8),
    Record,
    Withdraw,
    Flush,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u8..60).prop_map(Step::Begin),
        6 => Just(Step::Record),
        1 => Just(Step::Withdraw),
        2 => Just(Step::Flush),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Over any history with kills in it, the requests that began and have no record are as many
    /// as is said, within what is said.
    #[test]
    fn what_is_said_to_be_lost_holds_what_is(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut root = root();
        let mut store = counting(&root);
        let (mut open, mut begun, mut all, mut withdrawn) = (Vec::new(), 0u64, 0u64, 0u64);
        for (n, step) in (0..).zip(steps.into_iter().chain([Step::Kill])) {
            match step {
                Step::Begin(count) => {
                    open.extend((0..count).map(|_| store.begin()));
                    begun += u64::from(count);
                    all += u64::from(count);
                }
                Step::Record => if let Some(ticket) = open.pop() {
                    prop_assert!(store.record(ticket, record(n, Arm::Stable, None, None)));
                },
                Step::Withdraw => if let Some(ticket) = open.pop() {
                    store.withdraw(ticket);
                    withdrawn += 1;
                },
                Step::Flush => runtime.block_on(store.flush()).unwrap(),
                Step::Kill => {
                    let left = killed(&root, begun);
                    store = counting(&left);
                    root = left;
                    (open, begun) = (Vec::new(), 0);
                    let query = RecordQuery { limit: 10_000, ..RecordQuery::default() };
                    let kept = store.records(&query).unwrap().len() as u64;
                    let Lost { at_least, at_most } = store.lost_records().unwrap().total;
                    // One that was withdrawn has no record either; it may be among them or not.
                    prop_assert!(at_least <= all - kept, "{at_least} of {all} - {kept}");
                    prop_assert!(at_most >= all - kept - withdrawn, "{at_most} of {all} - {kept}");
                }
            }
        }
    }
}
