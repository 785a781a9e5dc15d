use super::*;
use crate::ids::{UnixMs, VersionSetId};
use crate::money::Money;
use crate::pairs::{Limit, PairMetric, PairVerdict};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn set(n: u8) -> VersionSetId {
    VersionSetId::parse(&format!("vs-00000000000{n}")).unwrap()
}

fn plan(most: Used) -> ShadowPlan {
    ShadowPlan {
        from: set(1),
        to: set(2),
        label: "v2".to_owned(),
        sample: 0.25,
        most,
        created_at: UnixMs(1_000),
        ends_at: UnixMs(3_601_000),
        alpha: 0.05,
        recorded: None,
        limits: BTreeMap::from([
            (PairMetric::Failed, Limit::new(0.05).unwrap()),
            (PairMetric::Refused, Limit::new(0.05).unwrap()),
        ]),
    }
}

fn most(requests: u64, cost: u64) -> Used {
    Used { requests, cost: Money(cost) }
}

fn side(failed: bool, refused: bool) -> Side {
    Side { failed, refused, chars: 10, ..Side::default() }
}

fn counts(pairs: &[(Side, Side, u64)]) -> PairCounts {
    let mut counts = PairCounts::default();
    for (stable, candidate, times) in pairs {
        (0..*times).for_each(|_| counts.add(stable, candidate));
    }
    counts
}

#[test]
fn a_plan_ends_and_has_caps() {
    use ShadowPlanError as E;
    let good = plan(most(10, 10));
    assert_eq!(good.check(), Ok(()));
    let check = |change: fn(&mut ShadowPlan), expected: E| {
        let mut plan = plan(most(10, 10));
        change(&mut plan);
        assert_eq!(plan.check(), Err(expected));
    };
    check(|plan| plan.sample = 0.0, E::Sample(0.0));
    check(|plan| plan.sample = 1.5, E::Sample(1.5));
    check(|plan| plan.most.requests = 0, E::Requests(0));
    check(|plan| plan.ends_at = UnixMs(1_500), E::Lasts(500));
    check(|plan| plan.ends_at = UnixMs(0), E::Lasts(0));
    check(|plan| plan.ends_at = UnixMs(u64::MAX), E::Lasts(u64::MAX - 1_000));
    check(|plan| plan.alpha = 0.5, E::Alpha(0.5));
    check(|plan| plan.limits.clear(), E::NoLimit);
    let mut nan = plan(most(10, 10));
    nan.sample = f64::NAN;
    assert!(matches!(nan.check(), Err(E::Sample(_))));
}

#[test]
fn the_share_is_drawn_and_the_same_for_the_same_plan() {
    let plan = plan(most(10, 10));
    let taken = |from: u64| (from..from + 40_000).filter(|n| plan.takes(*n)).count();
    assert!((9_700..10_300).contains(&taken(0)), "{}", taken(0));
    assert_eq!(taken(0), taken(0));
    let all = ShadowPlan { sample: 1.0, ..plan.clone() };
    assert!((0..1_000).all(|n| all.takes(n)));
    // What comes in turns is not missed.
    let every_fourth = (0..40_000).filter(|n| n % 4 == 0 && plan.takes(*n)).count();
    assert!((2_300..2_700).contains(&every_fourth), "{every_fourth}");
}

#[test]
fn only_answers_are_compared_beyond_their_failure() {
    let (failed, answered) = (side(true, false), side(false, true));
    let lines = counts(&[(side(false, false), failed, 3)]).lines(&plan(most(10, 10)));
    let pairs = |metric| lines.iter().find(|line| line.metric == metric).map(|line| line.pairs);
    assert_eq!((pairs(PairMetric::Failed), pairs(PairMetric::Refused)), (Some(3), Some(0)));
    assert_eq!(pairs(PairMetric::Length), None, "what nobody has is not shown");
    let lines = counts(&[(side(false, false), answered, 2)]).lines(&plan(most(10, 10)));
    let refused = lines.iter().find(|line| line.metric == PairMetric::Refused).unwrap();
    assert_eq!((refused.pairs, refused.worse, refused.better), (2, 2, 0));
    let tokens = lines.iter().find(|line| line.metric == PairMetric::Tokens);
    assert!(tokens.is_none(), "unknown on one side");
}

#[test]
fn verdicts() {
    let plan = plan(most(10, 10));
    let of = |pairs: &[(Side, Side, u64)]| {
        let counts = counts(pairs);
        let verdict = ShadowVerdict::of(&counts.lines(&plan));
        let is_settled = verdict != ShadowVerdict::NotYet;
        assert_eq!(counts.is_settled(&plan), is_settled, "{verdict:?}");
        verdict
    };
    let (fine, fails, refuses) = (side(false, false), side(true, false), side(false, true));
    assert_eq!(of(&[]), ShadowVerdict::NotYet);
    assert_eq!(of(&[(fine.clone(), fine.clone(), 30)]), ShadowVerdict::NotYet);
    assert_eq!(of(&[(fine.clone(), fine.clone(), 400)]), ShadowVerdict::NotWorse);
    assert_eq!(of(&[(fine.clone(), fails, 30)]), ShadowVerdict::Worse);
    assert_eq!(of(&[(fine.clone(), refuses.clone(), 30)]), ShadowVerdict::Worse);
    assert_eq!(of(&[(refuses, fine, 400)]), ShadowVerdict::Better);
}

#[test]
fn a_red_line_is_worse_whatever_the_pairs_say() {
    let shadow = Shadow::begin(plan(most(10, 10)), "mei");
    let good = counts(&[(side(false, false), side(false, false), 400)]);
    let why = shadow.ends(&good, Some(crate::guard::RiskKind::Leak), false, UnixMs(2_000));
    assert!(matches!(why, Some(EndReason::RedLine { .. })), "{why:?}");
    let end = shadow.ending(&good, UnixMs(2_000), why.unwrap());
    assert_eq!((end.verdict, end.pairs), (ShadowVerdict::Worse, 400));
    assert_eq!(shadow.ends(&good, None, false, UnixMs(2_000)), Some(EndReason::Settled));
    let none = PairCounts::default();
    assert_eq!(shadow.ends(&none, None, false, UnixMs(2_000)), None);
    assert_eq!(shadow.ends(&none, None, false, UnixMs(3_601_000)), Some(EndReason::Time));
    assert_eq!(shadow.ends(&none, None, true, UnixMs(2_000)), Some(EndReason::Caps));
}

#[test]
fn what_was_granted_counts_as_used_after_a_kill_and_not_after_a_stop() {
    let mut shadow = Shadow::begin(plan(most(100, 1_000)), "mei");
    let mut ledger = Ledger::begun(&shadow);
    assert_eq!((ledger.taken(), ledger.granted()), (most(0, 0), most(5, 50)));
    let held = ledger.take(Money(10)).unwrap();
    ledger.settle(held, Some(Money(3)));
    assert_eq!(ledger.taken(), most(1, 3));
    assert_eq!(Ledger::of(&shadow).taken(), most(5, 50), "killed: all of it may be gone");
    shadow.note(&PairCounts::default(), ledger.taken(), ledger.taken());
    assert_eq!(Ledger::of(&shadow).taken(), most(1, 3), "stopped in order");
}

#[test]
fn a_call_that_costs_more_than_a_part_is_granted_and_no_call_beyond_the_caps() {
    let shadow = Shadow::begin(plan(most(100, 1_000)), "mei");
    let mut ledger = Ledger::begun(&shadow);
    assert_eq!(ledger.take(Money(200)), Err(Full::Grant));
    let wanted = ledger.wants().unwrap();
    assert!(wanted.cost >= Money(200) && wanted.fits(most(100, 1_000)), "{wanted:?}");
    ledger.journalled(wanted, &PairCounts::default());
    let held = ledger.take(Money(200)).unwrap();
    ledger.settle(held, None);
    assert_eq!(ledger.take(Money(801)), Err(Full::Caps));
    assert!(ledger.is_spent(), "such a request does not fit any more");
}

/// What a seeded run of mirrors, looks and kills does to a ledger.
#[derive(Debug, Clone)]
enum Step {
    Take(u64),
    Settle { which: usize, part: u64 },
    GiveUp(usize),
    Look,
    LookFails,
    Kill,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..60).prop_map(Step::Take),
        5 => (any::<usize>(), 0u64..=100).prop_map(|(which, part)| Step::Settle { which, part }),
        2 => any::<usize>().prop_map(Step::GiveUp),
        4 => Just(Step::Look),
        1 => Just(Step::LookFails),
        1 => Just(Step::Kill),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    /// Whatever is mirrored at once, given up, settled late, and however often the server is killed
    /// in between: what was sent never exceeds the caps, in requests or in money, even if every
    /// call cost all that it might.
    #[test]
    fn the_caps_hold_through_everything(
        steps in prop::collection::vec(step(), 1..300),
        requests in 1u64..60,
        cost in 0u64..2_000,
    ) {
        let caps = most(requests, cost);
        let mut journal = Shadow::begin(plan(caps), "mei");
        let mut ledger = Ledger::begun(&journal);
        let (mut flying, mut sent) = (Vec::new(), most(0, 0));
        for step in steps {
            match step {
                Step::Take(money) => if let Ok(held) = ledger.take(Money(money)) {
                    sent = sent.plus(most(1, money));
                    flying.push((held, money));
                },
                Step::Settle { which, part } if !flying.is_empty() => {
                    let (held, money) = flying.swap_remove(which % flying.len());
                    let cost = money * part / 100;
                    sent = sent.less(most(0, money - cost));
                    ledger.settle(held, Some(Money(cost)));
                }
                Step::GiveUp(which) if !flying.is_empty() => {
                    let (held, _) = flying.swap_remove(which % flying.len());
                    ledger.settle(held, None);
                }
                Step::Look | Step::LookFails => if let Some(wanted) = ledger.wants() {
                    prop_assert!(wanted.fits(caps));
                    journal.note(&PairCounts::default(), ledger.taken(), wanted);
                    // An append may be on disk although its answer was an error.
                    if matches!(step, Step::Look) {
                        ledger.journalled(wanted, &PairCounts::default());
                    }
                },
                Step::Kill => {
                    flying.clear();
                    ledger = Ledger::of(&journal);
                }
                Step::Stop => {
                    for (held, _) in flying.drain(..) {
                        ledger.settle(held, None);
                    }
                    journal.note(&PairCounts::default(), ledger.taken(), ledger.taken());
                    ledger = Ledger::of(&journal);
                }
                Step::Settle { .. } | Step::GiveUp(_) => {}
            }
            prop_assert!(sent.fits(caps), "{sent:?} of {caps:?}");
            prop_assert!(sent.fits(ledger.taken()), "{sent:?} beyond {:?}", ledger.taken());
            prop_assert!(ledger.taken().fits(ledger.granted().max(ledger.taken().min(caps))));
        }
    }

    /// Pairs that are journalled while others come are counted once each.
    #[test]
    fn no_pair_is_lost_or_counted_twice(batches in prop::collection::vec(0u64..9, 1..30)) {
        let mut journal = Shadow::begin(plan(most(1_000, 10)), "mei");
        let mut ledger = Ledger::begun(&journal);
        let mut all = 0;
        for (i, batch) in batches.iter().enumerate() {
            let mirrored = |ledger: &mut Ledger| {
                let stable = side(false, i % 2 == 0);
                (0..*batch).for_each(|_| ledger.pair(&stable, &side(false, false)));
            };
            mirrored(&mut ledger);
            let pairs = ledger.fresh().clone();
            mirrored(&mut ledger);
            journal.note(&pairs, ledger.taken(), ledger.granted());
            ledger.journalled(ledger.granted(), &pairs);
            all += 2 * batch;
            prop_assert_eq!(journal.pairs() + ledger.fresh().pairs(), all);
        }
        let lines = journal.with(ledger.fresh(), ledger.taken()).lines();
        let refused = lines.iter().find(|line| line.metric == PairMetric::Refused).unwrap();
        prop_assert_eq!(refused.pairs, all);
        prop_assert!(refused.verdict != PairVerdict::Shown || all == 0);
    }

    /// Swapping the sides turns every difference around.
    #[test]
    fn sides_are_alike(
        sides in prop::collection::vec((any::<[bool; 4]>(), 0u64..500, 0u64..500), 1..40),
    ) {
        let (mut one, mut other) = (PairCounts::default(), PairCounts::default());
        for ([a, b, c, d], x, y) in sides {
            let stable = Side { chars: x, latency_us: Some(x), ..side(a, b) };
            let candidate = Side { chars: y, latency_us: Some(y), ..side(c, d) };
            one.add(&stable, &candidate);
            other.add(&candidate, &stable);
        }
        let plan = plan(most(10, 10));
        for (line, turned) in one.lines(&plan).iter().zip(other.lines(&plan)) {
            prop_assert_eq!((line.metric, line.pairs), (turned.metric, turned.pairs));
            if line.metric != PairMetric::ToolsDiffer {
                prop_assert_eq!((line.worse, line.better), (turned.better, turned.worse));
            }
        }
    }
}
