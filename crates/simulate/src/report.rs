//! Report: what came of the runs, as numbers, as a table and as Markdown.

use super::climb::{Named, ReleaseEnd, Run};
use super::engine::Engine;
use super::goals::{Goal, goals};
use super::row::{Row, ShareOfRuns};
use super::run::{RunOptions, ScenarioRuns};
use super::scenario::{Scenario, Truth};
use crate::error::{Result, SimulateError};
use crate::output::{Tone, paint, wrapped};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tidegate_core::decide::defaults;

/// The whole benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The version of this program.
    pub(crate) version: String,
    /// The seed of all draws.
    pub(crate) seed: u64,
    /// Repetitions of each scenario.
    pub(crate) reps: usize,
    /// How often our engine looked, s.
    pub(crate) look_s: f64,
    /// A row for each scenario and engine.
    pub(crate) rows: Vec<Row>,
    /// What the rows say of our engine's goals, as far as they were run.
    #[serde(skip_deserializing)]
    pub(crate) goals: Vec<Goal>,
}

impl Report {
    /// Counts the runs.
    pub(crate) fn new(cells: &[ScenarioRuns<'_>], options: &RunOptions) -> Report {
        let rows: Vec<Row> = cells.iter().map(row).collect();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: options.seed,
            reps: options.reps,
            look_s: options.look_ms as f64 / 1000.0,
            goals: goals(&rows),
            rows,
        }
    }

    /// Reports of the same runs, each of some scenarios or engines, as one: rows in the order of
    /// the scenarios.
    ///
    /// # Errors
    /// When they are of another version, seed, number of repetitions or look, or one row is twice.
    pub(crate) fn join(reports: Vec<Report>) -> Result<Report> {
        let mut reports = reports.into_iter();
        let Some(mut all) = reports.next() else {
            return Err(SimulateError::usage("no report is given"));
        };
        for report in reports {
            let of = |r: &Report| (r.version.clone(), r.seed, r.reps, r.look_s);
            if of(&report) != of(&all) {
                let described = |r: &Report| {
                    let Report { version, seed, reps, look_s, .. } = r;
                    format!(
                        "version {version}, seed {seed}, {reps} repetitions, looks {look_s} s apart"
                    )
                };
                return Err(SimulateError::usage(format!(
                    "reports of different runs cannot be one: {} in the first; {} in another",
                    described(&all),
                    described(&report)
                )));
            }
            all.rows.extend(report.rows);
        }
        let name = |row: &Row| (row.scenario.clone(), row.engine.clone());
        let mut seen = BTreeSet::new();
        if let Some(twice) = all.rows.iter().map(name).find(|row| !seen.insert(row.clone())) {
            let (scenario, engine) = twice;
            return Err(SimulateError::usage(format!("{engine} in {scenario} is in two reports")));
        }
        let order: Vec<String> = super::scenario::all().into_iter().map(|s| s.name).collect();
        let place = |name: &str| order.iter().position(|known| known == name);
        let engines = Engine::all();
        let engine = |name: &str| engines.iter().position(|engine| engine.name() == name);
        // What is real comes last, by name.
        all.rows.sort_by_cached_key(|row| {
            let place = place(&row.scenario).unwrap_or(order.len());
            (place, row.scenario.clone(), engine(&row.engine))
        });
        all.goals = goals(&all.rows);
        Ok(all)
    }
}

fn row(cell: &ScenarioRuns<'_>) -> Row {
    let ScenarioRuns { scenario, engine, runs } = cell;
    let ended = |end: ReleaseEnd| share(runs, |run| run.end == end);
    let candidate: Vec<f64> = runs.iter().map(|run| run.candidate as f64).collect();
    let spoilt: Vec<f64> = runs.iter().map(|run| run.spoilt).collect();
    let candidate_requests_mean = candidate.iter().sum::<f64>() / runs.len().max(1) as f64;
    let alpha = defaults::ALPHA;
    let bound = scenario.bound(alpha);
    let minutes: Vec<f64> = runs.iter().map(|run| run.at_ms as f64 / 60_000.0).collect();
    Row {
        scenario: scenario.name.clone(),
        truth: scenario.truth.as_str().to_owned(),
        engine: engine.name().to_owned(),
        rolled_back: ended(ReleaseEnd::RolledBack),
        back_by_limit: runs.iter().filter(|run| run.by_limit).count(),
        promoted: ended(ReleaseEnd::Promoted),
        paused: ended(ReleaseEnd::Paused),
        undecided: ended(ReleaseEnd::Undecided),
        rose: share(runs, |run| run.rises > 0),
        named_right: named_right(scenario, runs),
        minutes_median: quantile(minutes, 0.5),
        candidate_requests_median: quantile(candidate.clone(), 0.5),
        candidate_requests_mean,
        candidate_requests_error: standard_error(&candidate, candidate_requests_mean),
        candidate_requests_p95: quantile(candidate, 0.95),
        bound,
        bound_one_line: scenario.bound(alpha / scenario.rules.len().max(1) as f64),
        over_bound: bound.map(|bound| candidate_requests_mean / bound),
        spoilt_mean: spoilt.iter().sum::<f64>() / runs.len().max(1) as f64,
        spoilt_median: quantile(spoilt.clone(), 0.5),
        spoilt_p95: quantile(spoilt, 0.95),
    }
}

fn named_right(scenario: &Scenario, runs: &[Run]) -> Option<ShareOfRuns> {
    let Truth::Bad(broken) = &scenario.truth else { return None };
    let back: Vec<Run> =
        runs.iter().filter(|run| run.end == ReleaseEnd::RolledBack).copied().collect();
    let names = back.iter().any(|run| run.named != Named::Nothing);
    names.then(|| {
        share(&back, |run| match run.named {
            Named::Metric(metric) => broken.contains(&metric),
            Named::RedLine => broken.is_empty(),
            Named::Nothing => false,
        })
    })
}

fn share(runs: &[Run], is_so: impl Fn(&Run) -> bool) -> ShareOfRuns {
    let hits = runs.iter().filter(|run| is_so(run)).count();
    ShareOfRuns::of(hits, runs.len())
}

/// The standard error of the mean of the values.
fn standard_error(values: &[f64], mean: f64) -> f64 {
    let n = values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0) / n.max(1.0)).sqrt()
}

/// The value that a share `q` of the values is at or below; 0 without values.
fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// The table's head.
const HEAD: [&str; 12] = [
    "scenario",
    "truth",
    "engine",
    "back %",
    "promoted %",
    "open %",
    "rose %",
    "named %",
    "minutes",
    "candidate",
    "/bound",
    "spoilt",
];

/// A share in percent.
fn pct(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

fn cells(row: &Row, reps: usize) -> [String; 12] {
    let bounds = |share: ShareOfRuns| {
        format!("{} ({}–{})", pct(share.share), pct(share.at_least), pct(share.at_most))
    };
    [
        row.scenario.clone(),
        row.truth.clone(),
        row.engine.clone(),
        bounds(row.rolled_back),
        bounds(row.promoted),
        pct(row.paused.share + row.undecided.share),
        pct(row.rose.share),
        row.named_right.map_or(String::new(), |share| pct(share.share)),
        format!("{:.1}", row.minutes_median),
        format!("{:.0}", row.candidate_requests_median),
        row.over_bound.map_or(String::new(), |ratio| {
            let open = if row.rolled_back.runs < reps { "≥ " } else { "" };
            format!("{open}{ratio:.2}")
        }),
        format!("{:.0}", row.spoilt_median),
    ]
}

/// The words below the table.
const LEGEND: [&str; 4] = [
    "in brackets: 99 % bounds (Clopper–Pearson)",
    "truth: what would be right (good: promote; tolerable: on the line at most; bad: roll back; \
     unknowable: stay); named: of those that rolled back, the line that was broken is named",
    "open: paused or still climbing at the horizon; rose: the weight rose at least once",
    "minutes, candidate (its requests), spoilt: the middle run; /bound: the candidate's mean \
     requests over the fewest that could prove the harm, ≥ where not every run rolled back, below \
     1 where it rolled back without proof",
];

/// The first words below the terminal's table.
const NARROW_LEGEND: [&str; 1] =
    ["back, up (promoted), open, rose, named: % of runs; `--markdown` and `--json` have bounds"];

/// The columns of the terminal's table, which fits 80: without bounds, a scenario a heading.
const NARROW: [(&str, usize); 10] = [
    ("engine", 14),
    ("back", 5),
    ("up", 5),
    ("open", 5),
    ("rose", 5),
    ("named", 5),
    ("minutes", 7),
    ("candidate", 9),
    ("/bound", 8),
    ("spoilt", 7),
];

fn narrow(row: &Row, reps: usize) -> [String; 10] {
    let [_, _, engine, _, _, open, rose, named, minutes, candidate, over_bound, spoilt] =
        cells(row, reps);
    let [back, up] = [row.rolled_back, row.promoted].map(|share| pct(share.share));
    [engine, back, up, open, rose, named, minutes, candidate, over_bound, spoilt]
}

/// The table for a terminal, a line each.
pub(crate) fn table(report: &Report) -> Vec<String> {
    let line = |cells: [String; 10]| {
        let cells = cells.iter().zip(NARROW).enumerate().map(|(i, (cell, (_, width)))| match i {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    let mut lines = Vec::new();
    for rows in report.rows.chunk_by(|a, b| a.scenario == b.scenario) {
        let Some(Row { scenario, truth, .. }) = rows.first() else { continue };
        lines.push(paint(Tone::Bold, &format!("{scenario} ({truth})")));
        lines.push(paint(Tone::Dim, &line(NARROW.map(|(head, _)| head.to_owned()))));
        lines.extend(rows.iter().map(|row| line(narrow(row, report.reps))));
        lines.push(String::new());
    }
    let legend = NARROW_LEGEND.iter().chain(&LEGEND[1..]).flat_map(|text| wrapped(text, 2));
    lines.extend(legend.map(|text| paint(Tone::Dim, &text)));
    if !report.goals.is_empty() {
        lines.push(String::new());
    }
    for Goal { what, goal, measured, met } in &report.goals {
        let text = format!("{}: {what}: {measured}; the goal is {goal}", met.as_str());
        // Painted after it is broken: an escape sequence takes no column.
        let painted = wrapped(&text, 2).into_iter().map(|line| match line.split_once(':') {
            Some((word, rest)) if word == met.as_str() => {
                format!("{}:{rest}", paint(met.tone(), word))
            }
            Some(_) | None => line,
        });
        lines.extend(painted);
    }
    lines
}

/// The goals, the engines side by side and the table, as Markdown, a line each.
pub(crate) fn markdown(report: &Report) -> Vec<String> {
    let owned = |head: &[&str]| head.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let goals = report.goals.iter().map(|goal| {
        let Goal { what, goal, measured, met } = goal;
        owned(&[what, goal, measured, met.as_str()])
    });
    let mut lines = Vec::new();
    if !report.goals.is_empty() {
        lines.extend(markdown_table(&owned(&["measure", "goal", "measured", ""]), goals));
        lines.push(String::new());
    }
    let (head, rows) = side_by_side(report);
    if head.len() > 3 {
        lines.push("Rolled back / promoted, % of runs:".to_owned());
        lines.push(String::new());
        lines.extend(markdown_table(&head, rows.into_iter()));
        lines.push(String::new());
    }
    let rows = report.rows.iter().map(|row| cells(row, report.reps).to_vec());
    lines.extend(markdown_table(&owned(&HEAD), rows));
    lines.push(String::new());
    lines.extend(LEGEND.map(str::to_owned));
    lines
}

fn markdown_table(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(head), format!("|{}", "---|".repeat(head.len()))];
    lines.extend(rows.map(|row| line(&row)));
    lines
}

/// A row for each scenario, a column for each engine.
fn side_by_side(report: &Report) -> (Vec<String>, Vec<Vec<String>>) {
    let mut engines: Vec<&str> = Vec::new();
    let mut scenarios: Vec<(&str, &str)> = Vec::new();
    for row in &report.rows {
        if !engines.contains(&row.engine.as_str()) {
            engines.push(&row.engine);
        }
        if scenarios.last() != Some(&(row.scenario.as_str(), row.truth.as_str())) {
            scenarios.push((&row.scenario, &row.truth));
        }
    }
    let cell = |scenario: &str, engine: &str| {
        let is_it = |row: &&Row| row.scenario == scenario && row.engine == engine;
        report.rows.iter().find(is_it).map_or(String::new(), |row| {
            let pct = |share: ShareOfRuns| (share.share * 100.0).round();
            format!("{} / {}", pct(row.rolled_back), pct(row.promoted))
        })
    };
    let rows = scenarios.iter().map(|(scenario, truth)| {
        let cells = engines.iter().map(|engine| cell(scenario, engine));
        [(*scenario).to_owned(), (*truth).to_owned()].into_iter().chain(cells).collect()
    });
    let head = ["scenario", "truth"].into_iter().chain(engines.iter().copied());
    (head.map(str::to_owned).collect(), rows.collect())
}

#[cfg(test)]
mod tests;
