use super::*;
use crate::decide::strata::Stratum;
use crate::decide::{LineRule, Rung};
use crate::observe::{Outcome, Window};
use crate::route::Cohort;
use crate::upstream::Failure;

/// A release on this rung of two, 10 % and 95 %, since `on_rung_ms`, with so many requests of
/// subjects on stable and on the candidate, evenly over all cohorts.
fn asked(at: usize, on_rung_ms: u64, requests: (u64, u64), failure: Option<Failure>) -> bool {
    let rung = |pct| Rung { weight: Weight::from_pct(pct).unwrap(), look_ms: 10_000 };
    let rungs = vec![rung(10.0), rung(95.0)];
    let plan = Plan { rungs, ..crate::decide::tests::plan(LineRule::defaults()) };
    let mut state = ReleaseState::start(UnixMs(0));
    state.rung = at;
    state.rung_since = UnixMs(1_000_000);
    let window = |requests: u64| {
        let mut window = Window::default();
        for i in 0..requests {
            let cohort = Some(Cohort::new((i % 64) as u8));
            window.add(&Outcome { cohort, failure, ..Outcome::default() }, UnixMs(1));
        }
        window
    };
    let (stable, candidate) = (window(requests.0), window(requests.1));
    let nothing = Window::default();
    let mut stratum = Stratum::open(&plan, plan.rungs[at].weight, 0, (&nothing, &nothing));
    stratum.add(&plan, &stable, &candidate);
    state.strata.push(stratum);
    state.seen_stable = stable;
    state.seen_candidate = candidate;
    uneven_split(&plan, &state, UnixMs(1_000_000 + on_rung_ms)).is_some()
}

#[test]
fn too_much_and_too_little_are_told_at_the_first_rung() {
    assert!(!asked(0, 10_000, (9_000, 1_000), None));
    assert!(asked(0, 10_000, (9_000, 1_300), None));
    assert!(asked(0, 10_000, (9_000, 700), None));
    // What the client broke was sent there all the same.
    assert!(!asked(0, 10_000, (9_000, 1_000), Some(Failure::Refused)));
}

#[test]
fn right_after_a_rise_answers_of_the_weight_before_still_come() {
    let before = (9_000, 1_000);
    assert!(!asked(1, 1_000, before, None));
    assert!(asked(1, 600_000, before, None), "ten minutes later they do not");
    assert!(!asked(1, 600_000, (500, 9_500), None));
    // A router that forgets the hold-back is one that is off as well.
    assert!(asked(1, 600_000, (20, 9_980), None));
}

#[test]
fn few_requests_tell_nothing() {
    assert!(!asked(0, 10_000, (20, 0), None));
    assert!(!asked(0, 10_000, (0, 0), None));
}
