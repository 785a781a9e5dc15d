use super::super::breaker::{OPEN_MAX_US, STREAK};
use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000;
const S: u64 = 1_000_000;

/// Calls of a pool, one every `every_us`, each lasting as `act` says of its endpoint; gives how
/// many each endpoint had.
fn run(
    pool: &mut Pool,
    seed: u64,
    calls: u64,
    every_us: u64,
    act: impl Fn(usize, u64) -> (Ended, u64),
) -> Vec<u64> {
    let mut random = Random::new(seed, "calls");
    let mut out: Vec<(u64, Pick, Ended, u64)> = Vec::new();
    let mut had = vec![0; pool.len()];
    for n in 0..calls {
        let now = n * every_us;
        out.sort_by_key(|(until, ..)| std::cmp::Reverse(*until));
        while let Some((until, pick, ended, latency)) = out.pop_if(|(until, ..)| *until <= now) {
            pool.end(pick, ended, latency, until);
        }
        let pick = pool.pick(now, &mut random, &[]).unwrap();
        had[pick.index] += 1;
        let (ended, latency) = act(pick.index, now);
        out.push((now + latency, pick, ended, latency));
    }
    had
}

#[test]
fn endpoints_that_are_alike_share_alike() {
    let had = run(&mut Pool::new([1.0; 4]), 7, 8_000, MS, |_, now| {
        (Ended::Answered, 80 * MS + now % 13 * MS)
    });
    assert!(had.iter().all(|calls| (1_600..2_400).contains(calls)), "{had:?}");
}

#[test]
fn a_slow_endpoint_gets_less_and_a_heavy_one_more() {
    let slow = |index, _| (Ended::Answered, if index == 0 { 400 * MS } else { 100 * MS });
    let had = run(&mut Pool::new([1.0; 3]), 7, 9_000, MS, slow);
    assert!(had[0] * 2 < had[1] && had[0] > 100, "{had:?}");
    let had = run(&mut Pool::new([1.0, 3.0]), 7, 8_000, MS, |_, _| (Ended::Answered, 100 * MS));
    assert!(had[1] > 2 * had[0] && had[1] < 4 * had[0], "{had:?}");
}

#[test]
fn a_failure_that_is_fast_does_not_look_fast() {
    let mut pool = Pool::new([1.0, 1.0]);
    let mut random = Random::new(1, "calls");
    for _ in 0..STREAK - 1 {
        let failing = pool.pick(0, &mut random, &[1]).unwrap();
        pool.end(failing, Ended::Failed(Failure::Unreachable), 1, 0);
    }
    assert_eq!(pool.views(0)[0].latency_us, None);
    let late = pool.pick(0, &mut random, &[1]).unwrap();
    pool.end(late, Ended::Failed(Failure::FirstByteTimeout), 60 * S, 0);
    assert_eq!(pool.views(0)[0].latency_us, Some(60.0 * S as f64));
}

#[test]
fn a_dead_endpoint_costs_few_calls_and_comes_back() {
    let mut pool = Pool::new([1.0, 1.0]);
    let dies = |index: usize, now: u64| match index == 0 && now < 300 * S {
        true => (Ended::Failed(Failure::Unreachable), MS),
        false => (Ended::Answered, 50 * MS),
    };
    // 5 until it opens, then one after 1, 2, 4, 8, 16, 32, 60, … s.
    let had = run(&mut pool, 3, 3_000, 100 * MS, dies);
    assert!((5..=18).contains(&had[0]), "{had:?}");
    let had = run(&mut pool.clone(), 3, 6_000, 100 * MS, dies);
    assert!(had[0] > 500, "well again after 300 s: {had:?}");
}

#[test]
fn a_retry_goes_elsewhere_and_is_no_trial() {
    let mut pool = Pool::new([1.0; 3]);
    let mut random = Random::new(1, "calls");
    for _ in 0..STREAK {
        let pick = pool.pick(0, &mut random, &[1, 2]).unwrap();
        let change = pool.end(pick, Ended::Failed(Failure::ServerError), MS, 0);
        assert_eq!(change.is_some(), pool.views(0)[0].standing == Standing::Open);
    }
    for _ in 0..20 {
        let retry = pool.pick(S, &mut random, &[1]).unwrap();
        assert_eq!(retry.index, 2, "0 is on probation");
        pool.end(retry, Ended::Answered, MS, S);
    }
    let trial = pool.pick(S, &mut random, &[]).unwrap();
    assert_eq!(trial.index, 0);
    assert_ne!(pool.pick(S, &mut random, &[]).unwrap().index, 0, "one at a time");
}

#[test]
fn what_checks_find_dead_gets_no_calls_unless_all_are() {
    let mut pool = Pool::new([1.0, 1.0]);
    let mut random = Random::new(1, "calls");
    assert!(pool.checked(0, false) && !pool.checked(0, false));
    assert!((0..50).all(|_| pool.pick(0, &mut random, &[]).unwrap().index == 1));
    assert!(pool.checked(1, false));
    let both: Vec<usize> = (0..50).map(|_| pool.pick(0, &mut random, &[]).unwrap().index).collect();
    assert!(both.contains(&0), "{both:?}");
    assert!(pool.checked(0, true));
    assert!(!pool.views(0)[0].is_down);
}

fn step() -> impl Strategy<Value = (Ended, u64, bool, usize)> {
    (results(), 0_u64..5 * S, any::<bool>(), 0_usize..6)
}

fn results() -> impl Strategy<Value = Ended> {
    prop_oneof![
        3 => Just(Ended::Answered),
        2 => Just(Ended::Failed(Failure::ServerError)),
        1 => Just(Ended::Failed(Failure::RateLimited)),
        1 => Just(Ended::Failed(Failure::FirstByteTimeout)),
        1 => Just(Ended::Failed(Failure::Refused)),
        1 => Just(Ended::Left),
    ]
}

proptest! {
    /// Whatever happened, a call finds an endpoint, one that was not tried where there is one, and
    /// what is in flight is what was taken and not given back.
    #[test]
    fn there_is_always_an_endpoint(
        count in 1_usize..6,
        steps in prop::collection::vec(step(), 0..200),
        seed in any::<u64>(),
    ) {
        let mut pool = Pool::new(vec![1.0; count]);
        let mut random = Random::new(seed, "calls");
        let (mut now, mut out) = (0, Vec::new());
        for (ended, later, ends, tried) in steps {
            now += later;
            let tried = [tried % (count + 1)];
            let pick = pool.pick(now, &mut random, &tried).unwrap();
            prop_assert!(pick.index < count);
            prop_assert!(count == 1 || pick.index != tried[0]);
            out.push((pick, ended));
            if ends && let Some((pick, ended)) = out.pop() {
                pool.end(pick, ended, later, now);
            }
            let in_flight: u32 = pool.views(now).iter().map(|view| view.in_flight).sum();
            prop_assert_eq!(in_flight as usize, out.len());
        }
        for (pick, ended) in out {
            pool.end(pick, ended, 0, now);
        }
        prop_assert!(pool.views(now).iter().all(|view| view.in_flight == 0));
    }

    /// Requests that clients spoil never take an endpoint away.
    #[test]
    fn clients_take_no_endpoint_away(
        failures in prop::collection::vec(0_usize..5, 0..300),
        seed in any::<u64>(),
    ) {
        let kinds = [
            Ended::Failed(Failure::Refused),
            Ended::Failed(Failure::Unrendered),
            Ended::Failed(Failure::ClientGone),
            Ended::Failed(Failure::ServerStopping),
            Ended::Left,
        ];
        let mut pool = Pool::new([1.0, 1.0]);
        let mut random = Random::new(seed, "calls");
        for kind in failures {
            let pick = pool.pick(0, &mut random, &[]).unwrap();
            prop_assert_eq!(pool.end(pick, kinds[kind], 0, 0), None);
        }
        prop_assert!(pool.views(0).iter().all(|view| view.standing == Standing::Closed));
    }

    /// An endpoint that answers nothing has, beside one that does, a bounded number of calls:
    /// those that open it, and one for each time that it was open.
    #[test]
    fn a_dead_endpoint_spoils_few(seed in any::<u64>(), calls in 1_u64..4_000) {
        let dead = |index, _| match index {
            0 => (Ended::Failed(Failure::ServerError), MS),
            _ => (Ended::Answered, 20 * MS),
        };
        let had = run(&mut Pool::new([1.0, 1.0]), seed, calls, 100 * MS, dead);
        let times = 6 + calls * 100 * MS / OPEN_MAX_US + 1;
        prop_assert!(had[0] <= u64::from(STREAK) + times, "{:?}", had);
    }
}
