use super::*;
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;
const NOW: UnixMs = UnixMs(1_795_000_000_000);

fn ledger(limit: u64) -> Ledger {
    Ledger::open(Budget { period: Period::Day, limit: Money(limit) }, NOW, None)
}

/// Reserves as a process does: writes ahead where it has to.
fn reserve(ledger: &mut Ledger, disk: &mut Option<Spent>, amount: u64, now: UnixMs) -> bool {
    loop {
        match ledger.reserve(Money(amount), now) {
            Reserved::Granted => return true,
            Reserved::Refused { .. } => return false,
            Reserved::WriteAhead(spent) => {
                *disk = Some(spent);
                ledger.is_ahead(spent);
            }
        }
    }
}

fn check_month(at: u64, first: u64, next: u64) {
    let found = Period::Month.around(UnixMs(at * 1000));
    assert_eq!(found, (UnixMs(first * 1000), UnixMs(next * 1000)), "{at}");
}

#[test]
fn months_begin_at_midnight_utc() {
    check_month(0, 0, 2_678_400);
    // 2024-02-29 23:59:59, a leap year's.
    check_month(1_709_251_199, 1_706_745_600, 1_709_251_200);
    // 2026-12-31 12:00 and 2027-01-01 00:00.
    check_month(1_798_718_400, 1_796_083_200, 1_798_761_600);
    check_month(1_798_761_600, 1_798_761_600, 1_801_440_000);
    let (first, next) = Period::Month.around(UnixMs(u64::MAX));
    assert!(first <= next, "the last moment there is");
}

#[test]
fn nothing_is_granted_before_it_is_on_disk() {
    let mut ledger = ledger(1000);
    let Reserved::WriteAhead(spent) = ledger.reserve(Money(100), NOW) else { panic!() };
    assert_eq!(spent.sum, Money(110));
    // What was written for another period does not count.
    ledger.is_ahead(Spent { first: UnixMs(0), sum: Money(1000) });
    assert!(matches!(ledger.reserve(Money(100), NOW), Reserved::WriteAhead(_)));
    ledger.is_ahead(spent);
    assert_eq!(ledger.reserve(Money(100), NOW), Reserved::Granted);
    let (left, until) = (Money(900), ledger.until());
    assert_eq!(ledger.reserve(Money(901), NOW), Reserved::Refused { left, until });
    assert_eq!(ledger.reserve(Money::MAX, NOW), Reserved::Refused { left, until });
    ledger.settle(Money(100), Money(30));
    assert_eq!(ledger.left(), Money(970));
}

#[test]
fn a_call_that_cost_more_leaves_less() {
    let (mut ledger, mut disk) = (ledger(1000), None);
    assert!(reserve(&mut ledger, &mut disk, 1000, NOW));
    ledger.settle(Money(1000), Money(1500));
    assert_eq!(ledger.left(), Money::ZERO);
    assert!(!reserve(&mut ledger, &mut disk, 0, NOW));
    // A model server that reports 1e30 tokens: the largest amount there is.
    ledger.settle(Money::ZERO, Money::MAX);
    ledger.settle(Money::ZERO, Money::MAX);
    assert_eq!((ledger.left(), ledger.gone()), (Money::ZERO, Money::MAX));
}

#[test]
fn a_budget_of_nothing_lets_only_what_is_free_through() {
    let (mut ledger, mut disk) = (ledger(0), None);
    assert!(!reserve(&mut ledger, &mut disk, 1, NOW));
    assert!(reserve(&mut ledger, &mut disk, 0, NOW));
}

#[test]
fn a_new_day_is_a_new_budget_and_yesterday_s_calls_count_to_it() {
    let (mut ledger, mut disk) = (ledger(100), None);
    assert!(reserve(&mut ledger, &mut disk, 60, NOW));
    let tomorrow = ledger.until();
    assert!(!reserve(&mut ledger, &mut disk, 50, tomorrow), "60 are still in flight");
    assert!(reserve(&mut ledger, &mut disk, 40, tomorrow));
    ledger.settle(Money(60), Money(20));
    assert_eq!(ledger.left(), Money(40));
    // The clock is set back a day: the same budget.
    assert!(!reserve(&mut ledger, &mut disk, 41, NOW));
}

#[test]
fn a_sum_of_another_clock_is_neither_forgotten_nor_in_the_way_for_years() {
    for period in [Period::Day, Period::Month] {
        let budget = Budget { period, limit: Money(100) };
        let (first, next) = period.around(NOW);
        let open = |first| Ledger::open(budget, NOW, Some(Spent { first, sum: Money(70) }));
        assert_eq!((open(first).left(), open(first).until()), (Money(30), next));
        // Of yesterday.
        assert_eq!(open(UnixMs(first.0 - 1)).left(), Money(100));
        // Of the next period, by a clock that was some minutes ahead: kept until its end.
        let ahead = open(next);
        assert_eq!((ahead.left(), ahead.until()), (Money(30), period.around(next).1));
        // Of the year 2106, by a clock that was wrong.
        let wrong = open(period.around(UnixMs(4_294_967_296_000)).0);
        assert_eq!((wrong.left(), wrong.until()), (Money(30), next));
    }
}

#[test]
fn after_an_end_in_order_everything_is_written_ahead_again() {
    let (mut ledger, mut disk) = (ledger(1000), None);
    assert!(reserve(&mut ledger, &mut disk, 500, NOW));
    ledger.settle(Money(500), Money(100));
    let spent = ledger.close();
    assert_eq!(spent.sum, Money(100));
    assert!(matches!(ledger.reserve(Money(1), NOW), Reserved::WriteAhead(_)));
    let again = Ledger::open(ledger.budget(), NOW, Some(spent));
    assert_eq!(again.left(), Money(900));
}

proptest! {
    /// Calls that are granted, end at any cost up to what was reserved, or die with the process:
    /// what was spent is never more than the budget, and never more than is known.
    #[test]
    fn money_is_neither_overspent_nor_forgotten(
        limit in 1_u64..10_000,
        steps in prop::collection::vec((0_u8..9, 1_u64..800, 0_u64..=100), 1..120),
    ) {
        let (mut ledger, mut disk) = (ledger(limit), None);
        let mut flying: Vec<u64> = Vec::new();
        let mut spent = 0_u64;
        for (kind, amount, part) in steps {
            match kind {
                0..=4 => {
                    if reserve(&mut ledger, &mut disk, amount, NOW) {
                        flying.push(amount);
                    }
                }
                5 | 6 => {
                    if let Some(amount) = flying.pop() {
                        let cost = amount * part / 100;
                        spent += cost;
                        ledger.settle(Money(amount), Money(cost));
                    }
                }
                7 => disk = Some(ledger.close()),
                _ => {
                    // Killed: every call in flight may have cost all that was reserved.
                    spent += flying.drain(..).sum::<u64>();
                    ledger = Ledger::open(ledger.budget(), NOW, disk);
                }
            }
            let in_flight: u64 = flying.iter().sum();
            prop_assert!(spent + in_flight <= limit);
            prop_assert!(ledger.gone().0 >= spent + in_flight);
            prop_assert!(disk.map_or(Money::ZERO, |disk| disk.sum) >= ledger.gone());
        }
    }

    /// Whatever the clock does between two starts, a period gives out its budget once.
    #[test]
    fn a_period_is_given_out_once(
        steps in prop::collection::vec((0_u64..3 * DAY_MS, 1_u64..60, any::<bool>()), 1..60),
    ) {
        let budget = Budget { period: Period::Day, limit: Money(100) };
        let (mut now, mut disk) = (NOW, None);
        let mut ledger = Ledger::open(budget, now, disk);
        let mut by_day = std::collections::BTreeMap::<u64, u64>::new();
        for (wait, amount, restarts) in steps {
            now = now.plus(wait);
            if restarts {
                ledger = Ledger::open(budget, now, disk);
            }
            if reserve(&mut ledger, &mut disk, amount, now) {
                ledger.settle(Money(amount), Money(amount));
                *by_day.entry(now.0 / DAY_MS).or_default() += amount;
            }
        }
        prop_assert!(by_day.values().all(|spent| *spent <= 100), "{by_day:?}");
    }
}
