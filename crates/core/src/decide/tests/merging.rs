//! Replicas send windows, not requests: what is decided must not depend on how many there are, nor
//! on the order in which their windows come.

use super::chance::Chance;
use super::plan;
use crate::decide::{Decision, LineRule, Observation, ReleaseState, decide};
use crate::ids::UnixMs;
use crate::observe::{Feedback, Outcome, Timing, Window};
use crate::route::Cohort;
use crate::upstream::Failure;
use proptest::prelude::*;

const REPLICAS: usize = 3;

/// What one replica saw so far: stable, candidate.
type Seen = (Window, Window);

/// One request to the service, and sometimes what its user said of it.
fn request(chance: &mut Chance, window: &mut Window, error_rate: f64, slower: f64, at: UnixMs) {
    let cohort = chance.hit(0.9).then(|| Cohort::new(chance.below(64) as u8));
    let failure = chance.hit(error_rate).then_some(Failure::Malformed);
    let total_us = (700_000.0 * slower * (chance.normal() * 0.3).exp()) as u64;
    let outcome = Outcome {
        failure,
        timing: Timing { total_us, first_token_us: total_us / 4, ..Timing::default() },
        streamed: chance.hit(0.5),
        tokens_in: 100 + chance.below(300),
        tokens_out: 20 + chance.below(200),
        cost_micro_usd: 50 + chance.below(900),
        contract_ok: chance.hit(0.7).then(|| chance.hit(0.98)),
        refused: chance.hit(0.01),
        cohort,
        ..Outcome::default()
    };
    window.add(&outcome, at);
    if chance.hit(0.1) {
        window.add_feedback(Feedback::Like(chance.hit(0.7)), cohort, at);
        window.add_feedback(Feedback::Satisfaction(chance.uniform()), cohort, at);
    }
}

/// The windows of so many replicas after each look, cumulative. The requests are the same for any
/// number of them.
fn looks(
    count: usize,
    seed: u64,
    sizes: &[(u16, u16)],
    (error_rate, slower): (f64, f64),
) -> Vec<Vec<Seen>> {
    let mut chance = Chance(seed);
    let mut replicas = vec![Seen::default(); count];
    let mut looks = Vec::new();
    for (look, (stable, candidate)) in sizes.iter().enumerate() {
        let at = UnixMs(look as u64 * 7_000 + 1);
        for _ in 0..*stable {
            let replica = &mut replicas[chance.below(count as u64) as usize];
            request(&mut chance, &mut replica.0, 0.02, 1.0, at);
        }
        for _ in 0..*candidate {
            let replica = &mut replicas[chance.below(count as u64) as usize];
            request(&mut chance, &mut replica.1, error_rate, slower, at);
        }
        looks.push(replicas.clone());
    }
    looks
}

/// Decides after every look on what `merge` makes of the replicas' windows.
fn decisions(looks: &[Vec<Seen>], merge: impl Fn(usize, &[Seen]) -> Seen) -> Vec<Decision> {
    let plan = plan(LineRule::defaults());
    let mut state = ReleaseState::start(UnixMs(0));
    let step = |(look, replicas): (usize, &Vec<Seen>)| {
        let (stable, candidate) = merge(look, replicas);
        let seen = Observation { stable, candidate, ..Observation::default() };
        let decision = decide(&plan, &state, &seen, UnixMs((look as u64 + 1) * 7_000));
        state = decision.state.clone();
        decision
    };
    looks.iter().enumerate().map(step).collect()
}

fn in_order(replicas: &[Seen], order: [usize; REPLICAS]) -> Seen {
    let mut all = Seen::default();
    for index in order {
        all.0.merge(&replicas[index].0);
        all.1.merge(&replicas[index].1);
    }
    all
}

fn bytes(decisions: &[Decision]) -> String {
    decisions.iter().map(|decision| serde_json::to_string(decision).unwrap() + "\n").collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(8), ..ProptestConfig::default() })]

    /// What invariant 7 rests on: the same looks give the same bytes, on one replica or
    /// three, whose windows come in any order, or were merged among themselves before.
    #[test]
    fn merging_is_exact(
        seed in any::<u64>(),
        sizes in proptest::collection::vec((0u16..400, 0u16..120), 2..7),
        error_rate in prop_oneof![Just(0.02), Just(0.06), Just(0.2)],
        slower in prop_oneof![Just(1.0), Just(1.5)],
    ) {
        let looks = looks(REPLICAS, seed, &sizes, (error_rate, slower));
        let one = decisions(&looks, |_, replicas| in_order(replicas, [0, 1, 2]));
        let wanted = bytes(&one);
        let again = decisions(&looks, |_, replicas| in_order(replicas, [0, 1, 2]));
        prop_assert_eq!(&bytes(&again), &wanted, "replayed");
        let orders = [[2, 1, 0], [1, 2, 0], [0, 2, 1], [2, 0, 1]];
        let turning = decisions(&looks, |look, replicas| in_order(replicas, orders[look % 4]));
        prop_assert_eq!(&bytes(&turning), &wanted, "in another order at each look");
        let grouped = decisions(&looks, |_, replicas| {
            let mut pair = replicas[1].clone();
            pair.0.merge(&replicas[2].0);
            pair.1.merge(&replicas[2].1);
            let mut all = pair;
            all.0.merge(&replicas[0].0);
            all.1.merge(&replicas[0].1);
            all
        });
        prop_assert_eq!(&bytes(&grouped), &wanted, "merged in pairs");
    }
}

/// The windows of three replicas are those of one that had seen every request, and so are the
/// decisions; the state survives being written and read between any two looks.
#[test]
fn three_replicas_decide_as_one() {
    let sizes = [(600, 150), (900, 300), (50, 10), (1_500, 700), (800, 800)];
    for (error_rate, slower) in [(0.15, 1.0), (0.02, 1.6)] {
        let split = looks(REPLICAS, 99, &sizes, (error_rate, slower));
        let one = decisions(&looks(1, 99, &sizes, (error_rate, slower)), |_, all| all[0].clone());
        let mut kinds = Vec::new();
        let plan = plan(LineRule::defaults());
        let mut written = serde_json::to_string(&ReleaseState::start(UnixMs(0))).unwrap();
        for (look, replicas) in split.iter().enumerate() {
            let state: ReleaseState = serde_json::from_str(&written).unwrap();
            let (stable, candidate) = in_order(replicas, [2, 0, 1]);
            let seen = Observation { stable, candidate, ..Observation::default() };
            let decision = decide(&plan, &state, &seen, UnixMs((look as u64 + 1) * 7_000));
            written = serde_json::to_string(&decision.state).unwrap();
            assert_eq!(decision, one[look], "look {look}");
            kinds.push(decision.kind);
        }
        kinds.dedup();
        assert!(kinds.len() > 1, "something happened: {kinds:?}");
    }
}
