//! What one `decide` costs: `cargo bench -p tidegate-core --bench decide`.
//!
//! Prints, for releases of more and more requests, microseconds a call (the middle and the slowest
//! of twenty rounds) and the bytes of the state. Neither may grow with traffic. Two releases: one
//! whose requests are independent, so that its lines soon pass beyond doubt; and one that is all
//! doubt, whose outcomes are those of 200 users, alike for each, so that no line is ever decided
//! and every test is worked out in full. It measures on whatever machine it runs on and fails
//! nothing.

#![expect(clippy::print_stdout, reason = "a bench is there to print")]

use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;
use tidegate_core::decide::{
    Decision, LineRule, Observation, Plan, Preset, ReleaseState, SharedFault, decide,
};
use tidegate_core::ids::{ChangeId, IdError, ServiceName, UnixMs, VersionSetId};
use tidegate_core::observe::{Outcome, Timing, Window};
use tidegate_core::route::{Audience, Cohort, Weight};
use tidegate_core::upstream::Failure;

/// The goal is stated for so many lines.
const LINES: usize = 8;
const ROUNDS: usize = 20;
const CALLS: u32 = 200;
const LOOK_MS: u64 = 1_000;

fn plan() -> Result<Plan, IdError> {
    let mut rules = LineRule::defaults();
    rules.truncate(LINES);
    Ok(Plan {
        change_id: ChangeId::parse("bench-decide-00000")?,
        service: ServiceName::parse("bench")?,
        from: VersionSetId::parse("vs-000000000000")?,
        to: VersionSetId::parse("vs-000000000001")?,
        salt: "bench".to_owned(),
        audience: Audience::Users,
        rungs: Preset::Ladder.rungs(),
        rules,
        alpha: 0.01,
        bad_budget: 20,
        hold_back: Weight::ZERO,
        min_samples: 50,
        stale_after_ms: 120_000,
        harm_budget: 50,
        pause_max_ms: 600_000,
        shared_fault: SharedFault::default(),
        same_upstream: true,
        close_entrance: true,
        baseline: None,
        ab: None,
        created_at: UnixMs(0),
    })
}

/// Who asks: how outcomes are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Subjects {
    /// Each request by itself.
    Many,
    /// 200 users, whose outcomes are always the same.
    Few,
}

/// One request in 200 fails by itself; of users who are always the same, some always do.
fn failure(subjects: Subjects, hash: u64) -> Option<Failure> {
    match (subjects, hash % 200) {
        (Subjects::Many, 0) => Some(Failure::ServerError),
        (Subjects::Many, _) => None,
        (Subjects::Few, 0..20) => Some(Failure::Refused),
        (Subjects::Few, 20..40) => Some(Failure::TotalTimeout),
        (Subjects::Few, _) => None,
    }
}

/// Requests more, of which the candidate has its share: the look after them has news to take in.
fn feed(seen: &mut Observation, subjects: Subjects, share: f64, requests: Range<u64>, at: UnixMs) {
    for i in requests {
        let who = match subjects {
            Subjects::Many => i,
            Subjects::Few => i * 7_919 % 200,
        };
        // A multiplicative hash spreads users, times and tokens; one in 200 fails.
        let hash = who.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        // Of users who are always the same, one in ten is always bad in this way.
        let alike = |way: u32| subjects == Subjects::Few && (hash >> (way % 8)).is_multiple_of(10);
        let outcome = Outcome {
            failure: failure(subjects, hash),
            timing: Timing { total_us: 200_000 + (hash % 4_096).pow(2) / 8, ..Timing::default() },
            tokens_in: 100,
            tokens_out: 50 + hash % 700,
            cost_micro_usd: 20 + hash % 900,
            contract_ok: Some(!alike(20)),
            refused: alike(21),
            cohort: Some(Cohort::new((hash % 64) as u8)),
            ..Outcome::default()
        };
        let is_candidate = match subjects {
            Subjects::Many => ((i * 7_919 % 10_000) as f64) < share * 10_000.0,
            Subjects::Few => (who as f64) < share * 200.0,
        };
        let window: &mut Window = if is_candidate { &mut seen.candidate } else { &mut seen.stable };
        window.add(&outcome, at);
    }
}

/// Microseconds a call: of the middle round and of the slowest.
fn time(plan: &Plan, state: &ReleaseState, seen: &Observation, now: UnixMs) -> (f64, f64) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..CALLS {
                black_box(decide(black_box(plan), black_box(state), black_box(seen), now));
            }
            began.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    (rounds[ROUNDS / 2], rounds[ROUNDS - 1])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = plan()?;
    plan.check()?;
    println!("{} lines, 20 requests more at each look", plan.rules.len());
    for (subjects, name) in [(Subjects::Many, "independent"), (Subjects::Few, "200 users")] {
        run(&plan, subjects, name)?;
    }
    Ok(())
}

fn run(plan: &Plan, subjects: Subjects, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    println!("{name}:");
    println!(
        "{:>9}  {:>11}  {:>12}  {:>11}",
        "requests", "µs, middle", "µs, slowest", "state bytes"
    );
    let (mut state, mut seen) = (ReleaseState::start(UnixMs(0)), Observation::default());
    let (mut fed, mut now) = (0, UnixMs(0));
    for requests in [1_000, 10_000, 100_000, 1_000_000] {
        let share = |state: &ReleaseState| {
            plan.rungs.get(state.rung).map_or(1.0, |rung| rung.weight.fraction())
        };
        while fed < requests {
            now = now.plus(LOOK_MS);
            feed(&mut seen, subjects, share(&state), fed..fed + 1_000, now);
            fed += 1_000;
            let decision: Decision = decide(plan, &state, &seen, now);
            state = decision.state;
            if state.phase.is_final() {
                println!("{fed:>9}  the release is over: {}", state.phase.as_str());
                return Ok(());
            }
        }
        now = now.plus(LOOK_MS);
        let before = (seen.stable.counts.clone(), seen.candidate.counts.clone());
        seen.before = Some(Box::new(before));
        feed(&mut seen, subjects, share(&state), fed..fed + 20, now);
        fed += 20;
        let (middle, slowest) = time(plan, &state, &seen, now);
        let bytes = serde_json::to_vec(&state)?.len();
        println!("{fed:>9}  {middle:>11.1}  {slowest:>12.1}  {bytes:>11}");
    }
    Ok(())
}
