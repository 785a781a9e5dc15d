//! The books.

use super::{Bench, DAY_MS, record};
use crate::api::{Books as _, Records as _};
use crate::query::RecordQuery;
use tidegate_core::calendar::Day;
use tidegate_core::evidence::Record;
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{Bill, Charge, LineKey, Metered, Money, PriceTable, Purpose, Rates};
use tidegate_core::route::Arm;

/// The record of a call that used and cost so much on a day.
fn charged(n: u64, tenant: Option<&str>, day: u64, input: u64, cost: u64) -> Record {
    let bill = Bill { input_cost: Money(cost), ..Bill::default() };
    let used = Metered { input, ..Metered::default() };
    let charge = Charge { used, bill, ..Charge::default() };
    let at = UnixMs(day * DAY_MS + n);
    Record { at, charge: Some(charge), ..record(n, Arm::Stable, None, tenant) }
}

pub(crate) async fn the_books_add_up_and_are_priced_again(bench: impl Bench) {
    let store = bench.open();
    let keep = |record: Record| assert!(store.record(store.begin(), record));
    keep(charged(1, Some("甲"), 10, 5, 50));
    keep(charged(2, Some("甲"), 10, 7, 70));
    keep(charged(3, None, 10, 1, u64::MAX));
    store.flush().await.unwrap();
    keep(charged(4, Some("甲"), 11, 2, 20));
    keep(charged(5, None, 10, 1, u64::MAX));
    keep(record(6, Arm::Stable, None, None));
    store.flush().await.unwrap();
    let costs = |from, to| {
        let lines = store.costs(Day(from), Day(to)).unwrap().into_iter();
        let shown = lines.map(|(line, sums)| {
            (line.day.0, line.tenant, sums.requests, sums.used.input, sums.bill.input_cost.0)
        });
        shown.collect::<Vec<_>>()
    };
    let most = i64::MAX as u64;
    let first = (10, Some("甲".to_owned()), 2, 12, 120);
    let second = (11, Some("甲".to_owned()), 1, 2, 20);
    assert_eq!(costs(0, 10), [(10, None, 2, 2, most), first.clone()]);
    assert_eq!(costs(11, u64::MAX), std::slice::from_ref(&second));
    // They stay when the records go.
    store.prune_records(UnixMs(20 * DAY_MS)).await.unwrap();
    assert_eq!(store.records(&RecordQuery { limit: 9, ..RecordQuery::default() }).unwrap(), []);
    assert_eq!(costs(0, u64::MAX).len(), 3);

    let mut table = PriceTable::default();
    let rates = Rates { input: 3, ..Rates::default() };
    table.add("", (None, 0), Day(11).begins(), rates);
    assert_eq!(store.reprice(Day(11), table.clone()).await.unwrap(), (20, 6));
    assert_eq!(costs(11, 11), [(11, second.1, 1, 2, 6)]);
    assert_eq!(costs(0, 10)[1], first, "the days before are as they were");
    store.reprice(Day(0), table).await.unwrap();
    let lines = store.costs(Day(10), Day(10)).unwrap();
    assert!(lines.values().all(|sums| sums.unpriced == sums.requests && sums.requests == 2));
}

pub(crate) async fn what_has_no_record_is_booked_apart(bench: impl Bench) {
    let store = bench.open();
    assert!(store.record(store.begin(), charged(1, None, 11, 2, 20)));
    store.flush().await.unwrap();
    let day = Day(11);
    let served = store.costs(day, day).unwrap();
    assert!(served.keys().all(|line| line.purpose == Purpose::Serve), "{served:?}");
    // Nothing else differs; an arm of none is another line as well.
    let of = |purpose| {
        let line = served.iter().map(|(line, sums)| (line.clone(), *sums));
        line.map(|(line, sums)| (LineKey { purpose, arm: None, ..line }, sums)).collect::<Vec<_>>()
    };
    for purpose in Purpose::ALL {
        store.book(of(purpose)).await.unwrap();
        store.book(of(purpose)).await.unwrap();
    }
    store.book(Vec::new()).await.unwrap();
    drop(store);
    let store = bench.open();
    let booked = store.costs(day, day).unwrap();
    assert_eq!(booked.len(), 1 + Purpose::ALL.len());
    for purpose in Purpose::ALL {
        for (line, sums) in of(purpose) {
            assert_eq!(booked[&line], sums.plus(sums));
        }
    }
    // They are priced again with the others, and a model without a price is marked.
    assert_eq!(store.reprice(day, PriceTable::default()).await.unwrap(), (13 * 20, 0));
    let unpriced = store.costs(day, day).unwrap();
    assert_eq!(unpriced.len(), booked.len());
    assert!(unpriced.values().all(|sums| sums.unpriced == sums.requests && sums.requests > 0));
}
