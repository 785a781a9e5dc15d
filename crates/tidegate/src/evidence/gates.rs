//! `gates/`: what had to hold, with the raw output of each.

use super::clean::CleanData;
use super::diff::way_back_problems;
use super::error::{EvidenceError, Result};
use super::html::cell;
use super::journal::Step;
use crate::clock::rfc3339;
use crate::lang::Lang;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tidegate_core::approval::{Approval, Approver};
use tidegate_core::decide::{Line, Reason, ReasonCode};
use tidegate_core::evidence::{GateEntry, GateLevel, GateStatus};
use tidegate_core::gate::{EvalReport, GateVerdict, HeldTo, JudgedBy, ModelFiles};

const SUMMARY: &str = "gates/summary.md";
const EVAL_REPORT: &str = "gates/eval-report.json";
const JUNIT: &str = "gates/junit.xml";

/// One gate, for the manifest and for people.
pub(super) struct Gate {
    /// Its name.
    pub(super) name: String,
    /// Level, status and where its raw output is.
    pub(super) entry: GateEntry,
    /// Why it came out so.
    pub(super) reason: String,
}

/// Every gate of the release: the eval, the four lines, the way back, a person's verdict, and what
/// else was run.
pub(super) fn gates(data: &CleanData) -> Vec<Gate> {
    let mut gates = vec![eval_gate(data)];
    gates.extend(Line::ALL.into_iter().map(|line| line_gate(line, &data.steps)));
    gates.push(way_back_gate(data));
    gates.extend(operator_gate(data));
    gates.extend(approval_gate(data));
    for output in &data.gates {
        let path = output_path(&output.name);
        let entry = GateEntry { level: output.level, status: output.status, evidence: path };
        let reason = output.text.lines().next().unwrap_or_default().to_owned();
        gates.push(Gate { name: output.name.clone(), entry, reason });
    }
    gates
}

fn gate(name: &str, level: GateLevel, status: GateStatus, path: &str, reason: String) -> Gate {
    let entry = GateEntry { level, status, evidence: path.to_owned() };
    Gate { name: name.to_owned(), entry, reason }
}

fn eval_gate(data: &CleanData) -> Gate {
    let Some(eval) = &data.eval else {
        let reason = "no eval run on the candidate is in the store".to_owned();
        return gate("eval", GateLevel::L0, GateStatus::Inconclusive, SUMMARY, reason);
    };
    let status = match eval.verdict {
        GateVerdict::Pass => GateStatus::Pass,
        GateVerdict::Fail => GateStatus::Fail,
        GateVerdict::Inconclusive => GateStatus::Inconclusive,
    };
    gate("eval", GateLevel::L0, status, EVAL_REPORT, eval.reasons.join("; "))
}

/// A line's gate: what the last decision that spoke of the line said. Risk must hold (L0); the
/// others may be overridden by a named person.
fn line_gate(line: Line, steps: &[Step]) -> Gate {
    let level = match line {
        Line::Risk => GateLevel::L0,
        Line::Quality | Line::Latency | Line::Cost => GateLevel::L1,
    };
    let last = steps.iter().rev().find_map(|step| {
        let said: Vec<&Reason> =
            step.decision.reasons.iter().filter(|r| is_about(r, line)).collect();
        (!said.is_empty()).then_some(said)
    });
    let Some(said) = last else {
        let reason = "no decision names this line".to_owned();
        return gate(line.as_str(), level, GateStatus::Inconclusive, "decisions.jsonl", reason);
    };
    let status = line_status(&said);
    let weighty = said.iter().find(|r| weight_of(r.code()) == Some(status)).or(said.first());
    let reason = weighty.map(|r| Lang::En.sentence(r)).unwrap_or_default();
    gate(line.as_str(), level, status, "decisions.jsonl", reason)
}

fn is_about(reason: &Reason, line: Line) -> bool {
    reason.line() == Some(line) || (line == Line::Risk && reason.code() == ReasonCode::RedLine)
}

/// Fails if anything fails; passes if something passes and nothing is open.
fn line_status(said: &[&Reason]) -> GateStatus {
    let statuses: Vec<GateStatus> = said.iter().filter_map(|r| weight_of(r.code())).collect();
    if statuses.contains(&GateStatus::Fail) {
        GateStatus::Fail
    } else if !statuses.is_empty() && statuses.iter().all(|s| *s == GateStatus::Pass) {
        GateStatus::Pass
    } else {
        GateStatus::Inconclusive
    }
}

/// What one reason says of its line; `None` when it says nothing either way.
fn weight_of(code: ReasonCode) -> Option<GateStatus> {
    match code {
        ReasonCode::RedLine
        | ReasonCode::OverRollback
        | ReasonCode::OverCeiling
        | ReasonCode::OverBudget
        | ReasonCode::PauseLimit => Some(GateStatus::Fail),
        ReasonCode::Pass | ReasonCode::AllPass => Some(GateStatus::Pass),
        ReasonCode::Gap
        | ReasonCode::SharedFault
        | ReasonCode::SampleRatio
        | ReasonCode::OverPause
        | ReasonCode::BetweenPassAndPause
        | ReasonCode::Uncertain
        | ReasonCode::TooFewSamples
        | ReasonCode::Drift
        | ReasonCode::NoData => Some(GateStatus::Inconclusive),
        ReasonCode::Order
        | ReasonCode::Looking
        | ReasonCode::AbRuns
        | ReasonCode::AbOver
        | ReasonCode::Clean
        | ReasonCode::ColdStart
        | ReasonCode::Skipped
        | ReasonCode::BaselineDrift
        | ReasonCode::Decided
        | ReasonCode::Final
        | ReasonCode::Paused
        | ReasonCode::PausedByLines
        | ReasonCode::Outage => None,
    }
}

/// A person's verdict, where one ended the release; it fails like any other gate.
fn operator_gate(data: &CleanData) -> Option<Gate> {
    let step = super::rollback::step(data)?;
    let order = step.order.as_ref()?;
    let reason = format!("{} rolled it back: {}", order.by, Lang::En.why(order));
    Some(gate("operator", GateLevel::L0, GateStatus::Fail, "decisions.jsonl", reason))
}

/// The approvals that it started with, where there were any.
fn approval_gate(data: &CleanData) -> Option<Gate> {
    let who: Vec<String> = data.release.approvals.iter().map(|it| it.by.clone()).collect();
    let reason = format!("approved by {}", who.join(", "));
    (!who.is_empty()).then(|| gate("approval", GateLevel::L0, GateStatus::Pass, SUMMARY, reason))
}

fn way_back_gate(data: &CleanData) -> Gate {
    let (status, reason) = match way_back_problems(data) {
        None => (GateStatus::Inconclusive, "one of the two sets is not in the store".to_owned()),
        Some(problems) if problems.is_empty() => {
            (GateStatus::Pass, "switching back restores the old behaviour".to_owned())
        }
        Some(problems) => (GateStatus::Fail, problems.join("; ")),
    };
    gate("way_back", GateLevel::L1, status, "diffs/summary.md", reason)
}

/// `gates/<name>.txt` with the name in ASCII.
fn output_path(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).take(60).collect();
    format!("gates/{name}.txt")
}

/// The files of `gates/`.
pub(super) fn files(data: &CleanData, gates: &[Gate]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    files.insert(SUMMARY.to_owned(), summary(data, gates).into_bytes());
    if let Some(eval) = &data.eval {
        let json =
            serde_json::to_vec_pretty(eval).map_err(EvidenceError::part("the eval report"))?;
        files.insert(EVAL_REPORT.to_owned(), json);
    }
    if let Some(junit) = &data.junit {
        files.insert(JUNIT.to_owned(), junit.clone().into_bytes());
    }
    for output in &data.gates {
        files.insert(output_path(&output.name), output.text.clone().into_bytes());
    }
    Ok(files)
}

fn approvals(text: &mut String, approvals: &[Approval]) {
    if approvals.is_empty() {
        return;
    }
    text.push_str("\n## Approvals\n\n| who | is a | when | why | latest eval run then |\n");
    text.push_str("|---|---|---|---|---|\n");
    for Approval { by, approver, reason, at, run_id } in approvals {
        let kind = match approver {
            Approver::Person => "person",
            Approver::Machine => "machine",
        };
        let (at, run) = (rfc3339(*at), run_id.as_deref().unwrap_or("none"));
        let (by, reason, run) = (cell(by), cell(reason), cell(run));
        let _ = writeln!(text, "| {by} | {kind} | {at} | {reason} | {run} |");
    }
}

/// What the run was held to, and the digests of it and of its cases.
fn held_to(text: &mut String, eval: &EvalReport) {
    let Some(HeldTo { policy, counts_as }) = &eval.held_to else { return };
    let bars = policy.thresholds.iter();
    let mut bars: Vec<String> =
        bars.map(|(metric, bar)| format!("{} at least {bar}", cell(metric))).collect();
    bars.extend(policy.max_drop.map(|drop| format!("no loss over {drop} against the run before")));
    bars.extend(policy.judge.as_ref().map(|JudgedBy { model, version }| {
        let version =
            version.as_ref().map(|version| format!(", which names itself `{}`", cell(version)));
        format!("the judge `{}`{}", cell(model), version.unwrap_or_default())
    }));
    let _ = writeln!(
        text,
        "It was held to {} (sha256:{counts_as}), on cases sha256:{}.\n",
        bars.join(", "),
        eval.cases_digest
    );
}

fn summary(data: &CleanData, gates: &[Gate]) -> String {
    let mut text = format!("# Gates of {}\n\n", data.change_id);
    text.push_str("| gate | level | status | why | raw output |\n|---|---|---|---|---|\n");
    for gate in gates {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | `{}` |",
            cell(&gate.name),
            gate.entry.level.as_str(),
            gate.entry.status.as_str(),
            cell(&gate.reason),
            gate.entry.evidence,
        );
    }
    approvals(&mut text, &data.release.approvals);
    let Some(eval) = &data.eval else { return text };
    let _ = writeln!(
        text,
        "\n## Eval run `{}`\n\nModel {}: {} of {} correct, accuracy {:.3}, {} needed.\n",
        cell(&eval.run_id),
        cell(&eval.model),
        eval.correct,
        eval.total,
        eval.accuracy,
        eval.threshold,
    );
    held_to(&mut text, eval);
    if let Some(ModelFiles { from, digest, files, bytes }) = &eval.model_files {
        let from = cell(from);
        let _ = writeln!(
            text,
            "The model's files were those of `{from}`: {files} files, {bytes} bytes, \
             sha256:{digest}.\n"
        );
    }
    text.push_str("| class | cases | failed | no answer |\n|---|---|---|---|\n");
    for row in &eval.failure_table {
        let list = |items: &[(String, String)]| {
            let items: Vec<String> =
                items.iter().map(|(id, why)| format!("{}: {}", cell(id), cell(why))).collect();
            if items.is_empty() { "–".to_owned() } else { items.join("; ") }
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            row.risk.as_str(),
            row.total,
            list(&row.failed),
            list(&row.errors)
        );
    }
    text
}
