//! Report: what came of the runs, as numbers, as a table and as Markdown.

use super::climb::{End, Named, Run};
use super::run::{Cell, Options};
use super::scenario::{Scenario, Truth};
use crate::output::{Tone, padded, paint};
use serde::Serialize;

/// A share of runs with its 99 % bounds (Clopper and Pearson, 1934).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Share {
    /// Runs.
    pub(crate) runs: usize,
    /// Of all, 0 to 1.
    pub(crate) share: f64,
}

/// One engine in one scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// What would be right: `good`, `tolerable`, `bad` or `unknowable`.
    pub(crate) truth: &'static str,
    /// The engine's name.
    pub(crate) engine: &'static str,
    /// Runs that went back.
    pub(crate) rolled_back: Share,
    /// Runs that ended with the candidate as stable.
    pub(crate) promoted: Share,
    /// Runs that were paused at the horizon.
    pub(crate) paused: Share,
    /// Runs that were still climbing at the horizon.
    pub(crate) undecided: Share,
    /// Runs in which the weight rose at least once.
    pub(crate) rose: Share,
    /// Of the runs that went back, those that named the line that was broken; only where one was,
    /// and only for engines that name lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named_right: Option<Share>,
    /// Minutes until the end, the middle run's.
    pub(crate) minutes_median: f64,
    /// Requests of the candidate until the end, since its harm set in: the middle run's.
    pub(crate) candidate_requests_median: f64,
    /// The same, of the 95th of 100 runs.
    pub(crate) candidate_requests_p95: f64,
    /// Requests spoilt, the middle run's.
    pub(crate) spoilt_median: f64,
    /// The same, of the 95th of 100 runs.
    pub(crate) spoilt_p95: f64,
}

/// The whole benchmark.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// The version of this program.
    pub(crate) version: &'static str,
    /// The seed.
    pub(crate) seed: u64,
    /// Repetitions of each scenario.
    pub(crate) reps: usize,
    /// How often our engine looked, s.
    pub(crate) look_s: f64,
    /// A row for each scenario and engine.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Counts the runs.
    pub(crate) fn new(cells: &[Cell<'_>], options: &Options) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION"),
            seed: options.seed,
            reps: options.reps,
            look_s: options.look_ms as f64 / 1000.0,
            rows: cells.iter().map(row).collect(),
        }
    }
}

fn row(cell: &Cell<'_>) -> Row {
    let Cell { scenario, engine, runs } = cell;
    let ended = |end: End| share(runs, |run| run.end == end);
    let candidate: Vec<f64> = runs.iter().map(|run| run.candidate as f64).collect();
    let spoilt: Vec<f64> = runs.iter().map(|run| run.spoilt).collect();
    let minutes: Vec<f64> = runs.iter().map(|run| run.at_ms as f64 / 60_000.0).collect();
    Row {
        scenario: scenario.name.clone(),
        truth: scenario.truth.as_str(),
        engine: engine.name(),
        rolled_back: ended(End::RolledBack),
        promoted: ended(End::Promoted),
        paused: ended(End::Paused),
        undecided: ended(End::Undecided),
        rose: share(runs, |run| run.rises > 0),
        named_right: named_right(scenario, runs),
        minutes_median: quantile(minutes, 0.5),
        candidate_requests_median: quantile(candidate.clone(), 0.5),
        candidate_requests_p95: quantile(candidate, 0.95),
        spoilt_median: quantile(spoilt.clone(), 0.5),
        spoilt_p95: quantile(spoilt, 0.95),
    }
}

fn named_right(scenario: &Scenario, runs: &[Run]) -> Option<Share> {
    let Truth::Bad(broken) = &scenario.truth else { return None };
    let back: Vec<Run> = runs.iter().filter(|run| run.end == End::RolledBack).copied().collect();
    let names = back.iter().any(|run| run.named != Named::Nothing);
    names.then(|| {
        share(&back, |run| match run.named {
            Named::Metric(metric) => broken.contains(&metric),
            Named::RedLine => broken.is_empty(),
            Named::Nothing => false,
        })
    })
}

fn share(runs: &[Run], is_so: impl Fn(&Run) -> bool) -> Share {
    let hits = runs.iter().filter(|run| is_so(run)).count();
    Share { runs: hits, share: hits as f64 / runs.len().max(1) as f64 }
}

/// The value that a share `q` of the values is at or below; 0 without values.
fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// The table's head.
const HEAD: [&str; 9] =
    ["scenario", "truth", "engine", "back", "promoted", "open", "minutes", "candidate", "spoilt"];

fn cells(row: &Row) -> [String; 9] {
    let pct = |share: f64| format!("{:.1} %", share * 100.0);
    [
        row.scenario.clone(),
        row.truth.to_owned(),
        row.engine.to_owned(),
        pct(row.rolled_back.share),
        pct(row.promoted.share),
        pct(row.paused.share + row.undecided.share),
        format!("{:.1}", row.minutes_median),
        format!("{:.0}", row.candidate_requests_median),
        format!("{:.1}", row.spoilt_median),
    ]
}

/// The table for a terminal, a line each.
pub(crate) fn table(report: &Report) -> Vec<String> {
    let rows: Vec<[String; 9]> = report.rows.iter().map(cells).collect();
    let width = |i: usize| {
        let widest = rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        widest.max(HEAD[i].chars().count())
    };
    let line = |row: &[String; 9]| {
        let cells = row.iter().enumerate().map(|(i, cell)| padded(cell, width(i)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(&HEAD.map(str::to_owned));
    let body = rows.iter().map(line);
    std::iter::once(paint(Tone::Bold, &head)).chain(body).collect()
}

/// The table as Markdown, a line each.
pub(crate) fn markdown(report: &Report) -> Vec<String> {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let head = line(&HEAD.map(str::to_owned));
    let rule = format!("|{}", "---|".repeat(HEAD.len()));
    [head, rule].into_iter().chain(report.rows.iter().map(|row| line(&cells(row)))).collect()
}
