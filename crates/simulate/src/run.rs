//! Run: every engine on every repetition of every scenario, on all cores. What comes out depends
//! on the seed alone: each repetition has its own, and results are put in its order.

use super::climb::{Run, climb};
use super::engine::Engine;
use super::ours;
use super::scenario::Scenario;
use super::stream::Stream;
use crate::error::{Result, SimulateError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicUsize, Ordering};
use tidegate_core::random::hash;

/// How the benchmark goes.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    /// Repetitions of each scenario, at least 1.
    pub(crate) reps: usize,
    /// All draws follow from it.
    pub(crate) seed: u64,
    /// How often our engine looks, ms, at least 1.
    pub(crate) look_ms: u64,
    /// Threads, at least 1; they change nothing but the time it takes.
    pub(crate) threads: usize,
    /// Whether to show progress where stderr is a terminal.
    pub(crate) progress: bool,
}

/// What came of one engine in one scenario, a run a repetition.
#[derive(Debug)]
pub(crate) struct ScenarioRuns<'a> {
    /// The scenario that was run.
    pub(crate) scenario: &'a Scenario,
    /// The engine that decided.
    pub(crate) engine: Engine,
    /// Its runs, by repetition.
    pub(crate) runs: Vec<Run>,
}

/// Runs all of it.
///
/// # Errors
/// An internal error when a scenario has a plan that no release could have, or a thread died.
pub(crate) fn run<'a>(
    scenarios: &'a [Scenario],
    engines: &[Engine],
    options: &RunOptions,
) -> Result<Vec<ScenarioRuns<'a>>> {
    let bar = bar(scenarios.len() * engines.len() * options.reps, options.progress);
    let mut cells = Vec::new();
    for scenario in scenarios {
        bar.set_message(scenario.name.clone());
        cells.extend(repeat(scenario, engines, options, &bar)?);
    }
    bar.finish_and_clear();
    Ok(cells)
}

/// All engines on all repetitions of one scenario.
fn repeat<'a>(
    scenario: &'a Scenario,
    engines: &[Engine],
    options: &RunOptions,
    bar: &ProgressBar,
) -> Result<Vec<ScenarioRuns<'a>>> {
    // One task is one repetition, of which all engines see the same requests.
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Run)>> {
        let plan = ours::plan(scenario)?;
        let mut done = Vec::new();
        loop {
            let rep = next.fetch_add(1, Ordering::Relaxed);
            if rep >= options.reps {
                return Ok(done);
            }
            let mut stream = Stream::new(scenario, seed(options.seed, &scenario.name, rep));
            for (e, engine) in engines.iter().enumerate() {
                let every_ms = engine.every_ms(options.look_ms);
                bar.inc(1);
                if let Some(mut climber) = engine.start(scenario, &plan) {
                    let run = climb(scenario, &mut stream, every_ms, climber.as_mut());
                    done.push((rep * engines.len() + e, run));
                }
            }
        }
    };
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            let runs = thread
                .join()
                .map_err(|_| SimulateError::internal("a thread of the simulation died"))??;
            all.extend(runs);
        }
        Ok::<_, SimulateError>(all)
    })?;
    done.sort_by_key(|(task, _)| *task);
    let of = |e: usize| done.iter().filter(move |(task, _)| task % engines.len() == e);
    let cells = engines.iter().enumerate().map(|(e, engine)| ScenarioRuns {
        scenario,
        engine: *engine,
        runs: of(e).map(|(_, run)| *run).collect(),
    });
    Ok(cells.filter(|cell| !cell.runs.is_empty()).collect())
}

/// The seed of a repetition: another scenario has other requests.
pub(super) fn seed(seed: u64, scenario: &str, rep: usize) -> u64 {
    hash(&[scenario, &seed.to_string(), &rep.to_string()])
}

fn bar(runs: usize, shown: bool) -> ProgressBar {
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(runs as u64), target);
    let style = "{bar:30} {pos}/{len} {msg} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::super::scenario::all;
    use super::*;

    fn runs(threads: usize, seed: u64) -> Vec<Vec<Run>> {
        let names = ["error_5", "one_leak", "no_traffic"];
        let scenarios: Vec<Scenario> = all()
            .into_iter()
            .filter(|scenario| names.contains(&scenario.name.as_str()))
            .map(|scenario| Scenario { horizon_s: 600.0, ..scenario })
            .collect();
        assert_eq!(scenarios.len(), names.len());
        let options = RunOptions { reps: 5, seed, look_ms: 30_000, threads, progress: false };
        let cells = run(&scenarios, &Engine::all(), &options).unwrap();
        cells.into_iter().map(|cell| cell.runs).collect()
    }

    #[test]
    fn threads_change_nothing_and_the_seed_does() {
        let one = runs(1, 1);
        assert!(one.len() > 3 && one.iter().all(|runs| runs.len() == 5));
        assert_eq!(one, runs(3, 1));
        assert_ne!(one, runs(3, 2));
    }
}
