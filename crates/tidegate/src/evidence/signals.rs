//! `signals/`: the four lines over time, candidate beside stable, as data and as charts.
//!
//! A point is a decision; its values are those the decision was made on: the counts that were
//! accepted as evidence since the release started.

use super::chart::{self, Chart, Mark, Series, Style, Unit};
use super::clean::CleanData;
use super::error::{EvidenceError, Result};
use super::journal::Step;
use crate::clock::rfc3339;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tidegate_core::decide::{DecisionKind, Line, LineRule, Metric, Reason, ReasonCode, measure};
use tidegate_core::ids::UnixMs;
use tidegate_core::observe::Window;

/// Most points drawn in a chart; the data files have all.
const CHART_POINTS_MAX: usize = 400;

/// One arm at one decision.
#[derive(Debug, Serialize)]
struct Row {
    seq: u64,
    at: String,
    elapsed_s: f64,
    arm: &'static str,
    requests: u64,
    answered: u64,
    error_rate: Option<f64>,
    contract_broken_rate: Option<f64>,
    dislike_rate: Option<f64>,
    latency_p95_ms: Option<f64>,
    tokens_per_request: Option<f64>,
    cost_per_request_usd: Option<f64>,
    risk_events: u64,
}

/// The files of `signals/`.
pub(super) fn files(
    data: &CleanData,
    charts: &[(Line, String)],
) -> Result<BTreeMap<String, Vec<u8>>> {
    let rows: Vec<Row> = data.steps.iter().flat_map(|step| rows(data, step)).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    for row in &rows {
        csv.serialize(row).map_err(EvidenceError::part("signals"))?;
    }
    let csv = csv.into_inner().map_err(|e| EvidenceError::part("signals")(e.into_error()))?;
    let json = serde_json::to_vec_pretty(&rows).map_err(EvidenceError::part("signals"))?;
    let mut files = BTreeMap::from([
        ("signals/lines.csv".to_owned(), csv),
        ("signals/lines.json".to_owned(), json),
    ]);
    for (line, svg) in charts {
        files.insert(format!("signals/{}.svg", line.as_str()), svg.clone().into_bytes());
    }
    Ok(files)
}

fn rows(data: &CleanData, step: &Step) -> [Row; 2] {
    let at = step.decision.at;
    let row = |arm, window: &Window| Row {
        seq: step.seq,
        at: rfc3339(at),
        elapsed_s: elapsed_s(data, at),
        arm,
        requests: window.requests,
        answered: window.answered(),
        error_rate: measure(Metric::ErrorRate, window),
        contract_broken_rate: measure(Metric::ContractBrokenRate, window),
        dislike_rate: measure(Metric::DislikeRate, window),
        latency_p95_ms: measure(Metric::LatencyP95, window),
        tokens_per_request: measure(Metric::TokensPerRequest, window),
        cost_per_request_usd: measure(Metric::CostPerRequest, window),
        risk_events: window.red_events,
    };
    let state = &step.decision.state;
    [row("stable", &state.stable()), row("candidate", &state.candidate())]
}

fn elapsed_s(data: &CleanData, at: UnixMs) -> f64 {
    at.since(data.release.started_at) as f64 / 1000.0
}

/// What a line's chart shows.
enum Shown<'a> {
    /// A metric with its rule, where the plan has one.
    Metric(Metric, Option<&'a LineRule>),
    /// Red-line events, of which one is enough.
    RiskEvents,
}

/// Which metric speaks for a line: the one that decided against the release, else the first of its
/// rules that has data. Risk is its events, unless a rate decided.
fn shown(data: &CleanData, line: Line) -> Shown<'_> {
    let rules = &data.release.plan.rules;
    let rule_of = |metric: Metric| rules.iter().find(|rule| rule.metric == metric);
    let against = |reason: &&Reason| {
        matches!(
            reason.code(),
            ReasonCode::OverRollback | ReasonCode::OverCeiling | ReasonCode::OverPause
        ) && reason.line() == Some(line)
    };
    let decided = data
        .steps
        .iter()
        .rev()
        .find_map(|step| step.decision.reasons.iter().find(against).and_then(Reason::metric));
    if let Some(metric) = decided {
        return Shown::Metric(metric, rule_of(metric));
    }
    let has_data = |metric: Metric| {
        data.steps.iter().any(|s| measure(metric, &s.decision.state.candidate()).is_some())
    };
    let first = rules.iter().find(|rule| rule.metric.line() == line && has_data(rule.metric));
    match (line, first) {
        (Line::Risk, _) => Shown::RiskEvents,
        (_, Some(rule)) => Shown::Metric(rule.metric, Some(rule)),
        (Line::Quality, None) => Shown::Metric(Metric::ErrorRate, rule_of(Metric::ErrorRate)),
        (Line::Latency, None) => Shown::Metric(Metric::LatencyP95, rule_of(Metric::LatencyP95)),
        (Line::Cost, None) => {
            Shown::Metric(Metric::TokensPerRequest, rule_of(Metric::TokensPerRequest))
        }
    }
}

/// The four charts as SVG.
pub(super) fn charts(data: &CleanData) -> Vec<(Line, String)> {
    let steps = thinned(&data.steps);
    Line::ALL
        .into_iter()
        .map(|line| {
            let chart = match shown(data, line) {
                Shown::Metric(metric, rule) => metric_chart(data, &steps, line, metric, rule),
                Shown::RiskEvents => risk_chart(data, &steps),
            };
            (line, chart::svg(&chart))
        })
        .collect()
}

/// At most [`CHART_POINTS_MAX`] steps: the turns, and evenly many of the rest.
fn thinned(steps: &[Step]) -> Vec<&Step> {
    let every = steps.len().div_ceil(CHART_POINTS_MAX).max(1);
    let last = steps.len().saturating_sub(1);
    let kept = |(i, step): &(usize, &Step)| i % every == 0 || *i == last || step.is_turn();
    steps.iter().enumerate().filter(kept).map(|(_, step)| step).collect()
}

fn metric_chart(
    data: &CleanData,
    steps: &[&Step],
    line: Line,
    metric: Metric,
    rule: Option<&LineRule>,
) -> Chart {
    let values = |of: fn(&Step) -> Cow<'_, Window>| -> Vec<Option<f64>> {
        steps.iter().map(|step| measure(metric, &of(step))).collect()
    };
    let stable = values(|step| step.decision.state.stable());
    let candidate = values(|step| step.decision.state.candidate());
    let limits: Vec<(Option<f64>, Option<f64>)> = stable
        .iter()
        .map(|stable| rule.map_or((None, None), |rule| rule.limits(*stable)))
        .collect();
    let series = vec![
        Series::new("stable", Style::Stable, stable),
        Series::new("candidate", Style::Candidate, candidate),
        Series::new("pause above", Style::Pause, limits.iter().map(|l| l.0).collect()),
        Series::new("roll back above", Style::Rollback, limits.iter().map(|l| l.1).collect()),
    ];
    let (name, unit) = described(metric);
    chart(data, steps, line, name, unit, series)
}

fn risk_chart(data: &CleanData, steps: &[&Step]) -> Chart {
    let values = |of: fn(&Step) -> Cow<'_, Window>| -> Vec<Option<f64>> {
        steps.iter().map(|step| Some(of(step).red_events as f64)).collect()
    };
    let series = vec![
        Series::new("stable", Style::Stable, values(|step| step.decision.state.stable())),
        Series::new("candidate", Style::Candidate, values(|step| step.decision.state.candidate())),
        Series::new("roll back from", Style::Rollback, steps.iter().map(|_| Some(1.0)).collect()),
    ];
    chart(data, steps, Line::Risk, "red-line events", Unit::Count, series)
}

fn chart(
    data: &CleanData,
    steps: &[&Step],
    line: Line,
    name: &str,
    unit: Unit,
    series: Vec<Series>,
) -> Chart {
    let mark = |step: &&&Step| {
        let label = match step.decision.kind {
            DecisionKind::Advance => step.weight().map(|w| w.to_string())?,
            DecisionKind::Hold => return None,
            DecisionKind::Pause => "paused".to_owned(),
            DecisionKind::End => "ended".to_owned(),
            DecisionKind::RollBack => "rolled back".to_owned(),
            DecisionKind::ShutOff => "shut off".to_owned(),
        };
        Some(Mark { x: elapsed_s(data, step.decision.at), label })
    };
    let mut marks: Vec<Mark> = steps.iter().filter_map(|step| mark(&step)).collect();
    // A pause that is said again at every look is one event.
    marks.dedup_by(|later, earlier| later.label == earlier.label);
    Chart {
        id: line.as_str(),
        title: format!("{}: {name}", capital(line.as_str())),
        y_label: format!("{name} ({})", unit.as_str()),
        unit,
        x: steps.iter().map(|step| elapsed_s(data, step.decision.at)).collect(),
        series,
        marks,
    }
}

/// The text with its first letter in upper case.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A metric's name for people, and its unit.
pub(super) fn described(metric: Metric) -> (&'static str, Unit) {
    let name = match metric {
        Metric::ErrorRate => "error rate",
        Metric::RejectedRate => "requests the upstream rejected",
        Metric::ContractBrokenRate => "output contract broken",
        Metric::RefusalRate => "refusals",
        Metric::DislikeRate => "dislikes",
        Metric::NotAdoptedRate => "answers not adopted",
        Metric::TaskFailedRate => "tasks failed",
        Metric::Dissatisfaction => "dissatisfaction",
        Metric::LatencyP95 => "end-to-end time, 95th percentile",
        Metric::LatencyP99 => "end-to-end time, 99th percentile",
        Metric::FirstTokenP95 => "time to first token, 95th percentile",
        Metric::TimeoutRate => "timeouts",
        Metric::TokensPerRequest => "tokens per request",
        Metric::CostPerRequest => "cost per request",
        Metric::CostPerSuccess => "cost per useful answer",
        Metric::PiiRate => "answers with personal data",
        Metric::PromptEchoRate => "answers that repeat the prompt",
        Metric::UncitedRate => "claims without a citation",
        Metric::UngroundedRate => "claims that no source supports",
    };
    (name, Unit::Of(metric.unit()))
}
