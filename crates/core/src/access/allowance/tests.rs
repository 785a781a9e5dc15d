use super::*;
use crate::access::bounds::{BUDGET_MAX, CONCURRENT_MAX, PER_MIN_MAX};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW: UnixMs = UnixMs(1_795_000_000_000);

fn allowance(bounds: Bounds) -> Allowance {
    Allowance::of(&bounds, NOW, |_| None).unwrap()
}

fn bounds(requests: Option<u64>, tokens: Option<u64>, concurrent: Option<u32>) -> Bounds {
    let (requests_per_min, tokens_per_min) = (requests, tokens);
    Bounds { requests_per_min, tokens_per_min, concurrent, ..Bounds::default() }
}

fn asked(tokens: u64) -> Asked {
    Asked { tokens, most: None }
}

fn begin(key: &mut Allowance, tokens: u64, now_us: u64) -> Result<Begun, (usize, Refused)> {
    begin_all(&mut [Some(key), None, None], asked(tokens), (now_us, NOW))
}

fn end(key: &mut Allowance, reserved: u64, used: u64, now_us: u64) {
    key.end(asked(reserved), Used { tokens: used, ..Used::default() }, now_us);
}

fn refused(key: &mut Allowance, tokens: u64, now_us: u64) -> (BoundKind, Option<u64>) {
    let (0, Refused::Bound(over)) = begin(key, tokens, now_us).unwrap_err() else { panic!() };
    (over.bound, over.wait_us)
}

#[test]
fn each_bound_holds_and_a_refusal_takes_nothing() {
    let mut key = allowance(bounds(Some(2), Some(100), Some(1)));
    begin(&mut key, 60, 0).unwrap();
    assert_eq!(refused(&mut key, 1, 0), (BoundKind::Concurrent, None));
    end(&mut key, 60, 60, 0);
    assert_eq!(refused(&mut key, 50, 0), (BoundKind::Tokens, Some(6_000_000)));
    begin(&mut key, 40, 0).unwrap();
    end(&mut key, 40, 0, 0);
    assert_eq!(refused(&mut key, 10, 0), (BoundKind::Requests, Some(30_000_000)));
    assert_eq!(refused(&mut key, 101, 60_000_000), (BoundKind::Tokens, None));
    let [requests, tokens] = key.levels(0);
    assert_eq!(requests.map(|level| level.left), Some(0));
    assert_eq!(tokens.map(|level| (level.left, level.full_in_us)), Some((40, 36_000_000)));
}

#[test]
fn more_than_was_reserved_is_made_up_for() {
    let mut key = allowance(bounds(None, Some(60), None));
    begin(&mut key, 10, 0).unwrap();
    end(&mut key, 10, 90, 0);
    assert_eq!(refused(&mut key, 1, 0), (BoundKind::Tokens, Some(31_000_000)));
}

#[test]
fn what_one_scope_refuses_is_taken_from_none() {
    let mut key = allowance(bounds(Some(10), None, Some(10)));
    let mut tenant = allowance(bounds(None, Some(50), None));
    let before = (key.clone(), tenant.clone());
    let found = begin_all(&mut [Some(&mut key), None, Some(&mut tenant)], asked(51), (0, NOW));
    assert!(matches!(found, Err((2, Refused::Bound(_)))), "{found:?}");
    assert_eq!((&key, &tenant), (&before.0, &before.1));
    let found = begin_all(&mut [Some(&mut key), None, Some(&mut tenant)], asked(50), (0, NOW));
    assert_eq!(found, Ok(Begun::Granted));
    assert_eq!((key.running, tenant.running), (1, 1));
}

fn budgets(day: u64, month: u64) -> Bounds {
    let (budget_day, budget_month) = (Some(Money(day)), Some(Money(month)));
    Bounds { budget_day, budget_month, ..Bounds::default() }
}

#[test]
fn a_model_without_a_price_is_refused_only_under_a_budget() {
    let mut key = allowance(bounds(Some(10), None, None));
    begin(&mut key, 0, 0).unwrap();
    let mut key = allowance(budgets(100, 100));
    let before = key.clone();
    assert_eq!(begin(&mut key, 0, 0), Err((0, Refused::Unpriced)));
    assert_eq!(key, before);
    assert_eq!(Allowance::of(&Bounds::default(), NOW, |_| None), None);
}

/// Begins as a process does: writes ahead where it has to.
fn run(
    mut scopes: [Option<&mut Allowance>; SCOPES_MAX],
    disk: &mut BTreeMap<(usize, Period), Spent>,
    asked: Asked,
) -> Result<(), (usize, Refused)> {
    loop {
        match begin_all(&mut scopes, asked, (0, NOW))? {
            Begun::Granted => return Ok(()),
            Begun::WriteAhead(all) => {
                for Ahead { scope, period, spent } in all {
                    disk.insert((scope, period), spent);
                    scopes[scope].as_mut().unwrap().is_ahead(period, spent);
                }
            }
        }
    }
}

#[test]
fn the_smaller_budget_of_all_scopes_decides() {
    let mut key = allowance(budgets(100, 1_000));
    let mut tenant = allowance(budgets(60, 1_000));
    let mut disk = BTreeMap::new();
    let cost = |most| Asked { tokens: 0, most: Some(Money(most)) };
    run([Some(&mut key), Some(&mut tenant), None], &mut disk, cost(50)).unwrap();
    let found = run([Some(&mut key), Some(&mut tenant), None], &mut disk, cost(20));
    let Err((1, Refused::Budget(over))) = found else { panic!("{found:?}") };
    assert_eq!((over.budget.period, over.left, over.asked), (Period::Day, Money(10), Money(20)));
    assert_eq!(key.ledgers().map(|l| l.gone().0).collect::<Vec<_>>(), [50, 50]);
    key.end(cost(50), Used { tokens: 0, cost: Money(5) }, 0);
    assert_eq!(key.ledgers().map(|l| l.gone().0).collect::<Vec<_>>(), [5, 5]);
}

proptest! {
    /// Never more at a time than allowed, and all places are given back.
    #[test]
    fn places_are_neither_lost_nor_made(
        limit in 1_u32..6, steps in prop::collection::vec(any::<bool>(), 1..80),
    ) {
        let mut key = allowance(bounds(None, None, Some(limit)));
        let mut running = 0;
        for begins in steps {
            if begins {
                prop_assert_eq!(begin(&mut key, 7, 0).is_ok(), running < limit);
                running = (running + 1).min(limit);
            } else if running > 0 {
                end(&mut key, 7, 3, 0);
                running -= 1;
            }
            prop_assert_eq!(key.running, running);
        }
    }

    /// Three scopes with budgets each: none gives out more than it has, all know the same, and a
    /// kill forgets nothing.
    #[test]
    fn no_scope_gives_out_more_than_it_has(
        limits in prop::array::uniform3(1_u64..2_000),
        steps in prop::collection::vec((0_u8..6, 1_u64..300, 0_u64..=100), 1..80),
    ) {
        let open = |disk: &BTreeMap<(usize, Period), Spent>| {
            [0, 1, 2].map(|scope: usize| {
                let on_disk = |period| disk.get(&(scope, period)).copied();
                let limit = limits[scope];
                Allowance::of(&budgets(limit, limit * 2), NOW, on_disk).unwrap()
            })
        };
        let mut disk = BTreeMap::new();
        let mut scopes = open(&disk);
        let (mut flying, mut spent) = (Vec::new(), 0);
        for (kind, amount, part) in steps {
            let asked = Asked { tokens: 0, most: Some(Money(amount)) };
            match kind {
                0..=2 => {
                    let all = scopes.each_mut().map(Some);
                    if run(all, &mut disk, asked).is_ok() {
                        flying.push(amount);
                    }
                }
                3 | 4 => if let Some(amount) = flying.pop() {
                    let cost = amount * part / 100;
                    spent += cost;
                    let asked = Asked { tokens: 0, most: Some(Money(amount)) };
                    for scope in &mut scopes {
                        scope.end(asked, Used { tokens: 0, cost: Money(cost) }, 0);
                    }
                },
                _ => {
                    spent += flying.drain(..).sum::<u64>();
                    scopes = open(&disk);
                }
            }
            let promised = spent + flying.iter().sum::<u64>();
            prop_assert!(promised <= *limits.iter().min().unwrap());
            for ledger in scopes.iter().flat_map(Allowance::ledgers) {
                prop_assert!(ledger.gone().0 >= promised);
            }
        }
    }
}

/// Numbers at the edges of their type and of a range, and any between.
fn edges(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(most),
        Just(most.saturating_add(1)),
        Just(u64::MAX),
        0..=most,
        any::<u64>(),
    ]
}

fn any_bounds() -> impl Strategy<Value = Bounds> {
    let count = || prop::option::of(edges(PER_MIN_MAX));
    let at_a_time = prop::option::of(edges(u64::from(CONCURRENT_MAX)));
    let money = || prop::option::of(edges(BUDGET_MAX.0));
    (count(), count(), at_a_time, money(), money()).prop_map(
        |(requests_per_min, tokens_per_min, concurrent, day, month)| Bounds {
            requests_per_min,
            tokens_per_min,
            concurrent: concurrent.map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            budget_day: day.map(Money),
            budget_month: month.map(Money),
        },
    )
}

proptest! {
    /// Whatever the bounds are, also those that are refused everywhere, and whatever requests ask
    /// for and use: nothing overflows and nothing passes that does not fit.
    #[test]
    fn no_number_is_a_free_pass(
        bounds in any_bounds(),
        steps in prop::collection::vec(
            (any::<bool>(), edges(1_000), prop::option::of(edges(BUDGET_MAX.0)), any::<u64>()),
            1..40,
        ),
        now_us in edges(60_000_000),
    ) {
        let Some(mut key) = Allowance::of(&bounds, NOW, |_| None) else { return Ok(()) };
        let budgets: Vec<Money> = [bounds.budget_day, bounds.budget_month].into_iter().flatten()
            .collect();
        let mut disk = BTreeMap::new();
        let (mut flying, mut spent, mut passed) = (Vec::new(), 0_u128, 0_u64);
        let (mut tokens, mut has_settled) = (0_u128, false);
        for (begins, asks, most, uses) in steps {
            let most = most.map(Money);
            let asked = Asked { tokens: asks, most };
            if !begins {
                if let Some(asked) = flying.pop() {
                    key.end(asked, Used { tokens: uses, cost: Money(uses) }, now_us);
                    spent += u128::from(uses);
                    has_settled = true;
                }
                continue;
            }
            let begun = loop {
                match begin_all(&mut [Some(&mut key), None, None], asked, (now_us, NOW)) {
                    Ok(Begun::WriteAhead(all)) => for Ahead { scope, period, spent } in all {
                        // What is written ahead never exceeds the budget, so it fits the disk.
                        prop_assert!(budgets.iter().any(|budget| spent.sum <= *budget));
                        prop_assert!(spent.sum <= BUDGET_MAX);
                        disk.insert((scope, period), spent);
                        key.is_ahead(period, spent);
                    },
                    Ok(Begun::Granted) => break true,
                    Err(_) => break false,
                }
            };
            if !begun {
                continue;
            }
            flying.push(asked);
            passed += 1;
            tokens += u128::from(asks);
            prop_assert!(most.is_some() || budgets.is_empty(), "an unknown price passed");
            let promised: u128 =
                flying.iter().map(|it| u128::from(it.most.unwrap_or_default().0)).sum();
            for budget in &budgets {
                prop_assert!(spent + promised <= u128::from(budget.0));
            }
            prop_assert!(bounds.requests_per_min.is_none_or(|most| passed <= most));
            let running = u32::try_from(flying.len()).unwrap();
            prop_assert!(bounds.concurrent.is_none_or(|most| running <= most));
            if !has_settled {
                let most = bounds.tokens_per_min.map(u128::from);
                prop_assert!(most.is_none_or(|most| tokens <= most));
            }
        }
    }
}
