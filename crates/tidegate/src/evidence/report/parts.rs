//! The sections of the page.

use crate::clock::rfc3339;
use crate::evidence::clean::CleanData;
use crate::evidence::diff::{Change, Diff};
use crate::evidence::gates::Gate;
use crate::evidence::html::{esc, lang, number};
use crate::evidence::journal::Step;
use crate::evidence::rollback::{decider, why};
use crate::evidence::samples::{Origin, Sample, curl};
use crate::evidence::signals::described;
use crate::lang::Lang;
use std::fmt::Write as _;
use tidegate_core::decide::{Band, BandUnit, LineRule, Reason, ReasonCode};
use tidegate_core::evidence::{GateStatus, Record};
use tidegate_core::route::Weight;

/// Most lines of one diff on the page; its file has all.
const DIFF_LINES_MAX: usize = 120;
/// Most characters of one text of a sample on the page; its file has all.
const SAMPLE_CHARS_MAX: usize = 1200;
/// Most reasons of one decision on the page; `decisions.jsonl` has all.
const REASONS_MAX: usize = 6;
/// The same for a decision that changed nothing.
const QUIET_REASONS_MAX: usize = 2;

/// The decisions that changed something, and how many did not between them.
pub(super) fn timeline(out: &mut String, data: &CleanData) {
    out.push_str(
        "<h2>Timeline</h2>\n<table><thead><tr><th>When</th><th>What</th><th>Why</th>\
         <th class=\"num\">Candidate<br>share</th><th class=\"num\">Requests<br>candidate / \
         stable</th><th class=\"num\">Switch took</th></tr></thead><tbody>\n",
    );
    let mut share = data.release.plan.rungs.first().map_or(Weight::ZERO, |rung| rung.weight);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "<tr><td class=\"when\">{}</td><td>start</td><td>started by <span{}>{}</span></td>\
         <td class=\"num\">{share}</td><td class=\"num\">0 / 0</td><td class=\"num\">–</td></tr>",
        clock_time(data, data.release.started_at),
        lang(&data.release.by),
        esc(&data.release.by),
    );
    let mut quiet = 0;
    let mut last: Option<&Step> = None;
    for step in &data.steps {
        share = step.weight().unwrap_or(share);
        let same = |l: &Step| {
            l.decision.kind == step.decision.kind && l.decision.signal == step.decision.signal
        };
        if !step.is_turn() && last.is_some_and(same) {
            quiet += 1;
        } else {
            quiet_row(out, &mut quiet);
            step_row(out, data, step, share);
        }
        last = Some(step);
    }
    quiet_row(out, &mut quiet);
    out.push_str("</tbody></table>\n");
}

fn quiet_row(out: &mut String, quiet: &mut usize) {
    if *quiet > 0 {
        let s = if *quiet == 1 { "" } else { "s" };
        let _ = writeln!(
            out,
            "<tr><td></td><td colspan=\"5\" class=\"sub\">{quiet} more decision{s} with the same \
             outcome</td></tr>"
        );
        *quiet = 0;
    }
}

fn step_row(out: &mut String, data: &CleanData, step: &Step, weight: Weight) {
    let decision = &step.decision;
    let state = &decision.state;
    let took = match (step.applied, &step.table) {
        (Some((_, us)), _) if us < 1000 => format!("{us} µs"),
        (Some((_, us)), _) => format!("{} ms", number(us as f64 / 1000.0)),
        (None, Some(_)) => "not confirmed".to_owned(),
        (None, None) => "–".to_owned(),
    };
    let _ = writeln!(
        out,
        "<tr><td class=\"when\">{}</td><td><strong>{}</strong><br><span class=\"{signal}\">\
         {signal}</span></td><td class=\"why\">{}</td><td class=\"num\">{weight}</td>\
         <td class=\"num\">{} / {}</td><td class=\"num\">{took}</td></tr>",
        clock_time(data, decision.at),
        decision.kind.as_str(),
        reasons(step),
        state.candidate().requests,
        state.stable().requests,
        signal = decision.signal.as_str(),
    );
}

/// The time of day with the day where it is another one, and how long after the start.
fn clock_time(data: &CleanData, at: tidegate_core::ids::UnixMs) -> String {
    let (start, text) = (rfc3339(data.release.started_at), rfc3339(at));
    let (day, time) = text.split_at_checked(10).unwrap_or(("", &text));
    let time = time.trim_start_matches('T').split(['.', 'Z']).next().unwrap_or(time);
    let day = if start.starts_with(day) && at != data.release.started_at { "" } else { day };
    let after = Lang::En.span(at.since(data.release.started_at) as f64 / 1000.0);
    format!(
        "{}{}{} Z<br><span class=\"sub\">+{after}</span>",
        day,
        if day.is_empty() { "" } else { " " },
        time
    )
}

fn reasons(step: &Step) -> String {
    let mut texts = Vec::new();
    if let Some(order) = &step.order {
        texts.push(format!(
            "{} ordered by <span{}>{}</span>: <span{}>{}</span>",
            order.kind.words(),
            lang(&order.by),
            esc(&order.by),
            lang(Lang::En.why(order)),
            esc(Lang::En.why(order))
        ));
    }
    let shown = |reason: &&Reason| step.order.is_none() || reason.code() != ReasonCode::Order;
    let all: Vec<&Reason> = step.decision.reasons.iter().filter(shown).collect();
    let most = if step.is_turn() { REASONS_MAX } else { QUIET_REASONS_MAX };
    for reason in all.iter().take(most) {
        let text = Lang::En.sentence(reason);
        texts.push(format!("<span{}>{}</span>", lang(&text), esc(&text)));
    }
    if all.len() > most {
        let more = all.len() - most;
        texts.push(format!("and {more} more in <code>decisions.jsonl</code>"));
    }
    texts.join("<br>")
}

/// The strategy: the ladder and the numbers from which it pauses and rolls back.
pub(super) fn thresholds(out: &mut String, data: &CleanData) {
    let plan = &data.release.plan;
    let rungs: Vec<String> = plan
        .rungs
        .iter()
        .map(|rung| format!("{} for {}", rung.weight, Lang::En.span(rung.look_ms as f64 / 1000.0)))
        .collect();
    let _ = writeln!(
        out,
        "<h2>Strategy</h2>\n<p>Ladder: {}. Each arm needs {} answers at a rung. Chance of rolling \
         back a release that is within every line: at most {} %.</p>\n\
         <table><thead><tr><th>Line</th><th>Metric</th><th class=\"num\">passes up to</th>\
         <th class=\"num\">pauses above</th><th class=\"num\">rolls back above</th>\
         <th class=\"num\">ceiling</th></tr></thead><tbody>",
        rungs.join(", "),
        plan.min_samples,
        number(plan.alpha * 100.0),
    );
    for rule in &plan.rules {
        let (name, unit) = described(rule.metric);
        let band = |of: fn(&Band) -> f64| {
            rule.band.as_ref().map_or_else(|| "–".to_owned(), |b| band_text(of(b), b.unit))
        };
        let ceiling = rule.ceiling.map_or_else(|| "–".to_owned(), |c| unit.show(c));
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{name}{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
             <td class=\"num\">{}</td><td class=\"num\">{ceiling}</td></tr>",
            rule.metric.line().as_str(),
            optional(rule),
            band(|b| b.pass),
            band(|b| b.pause),
            band(|b| b.rollback),
        );
    }
    out.push_str(
        "</tbody></table>\n<p class=\"sub\">Against stable at the same time; “pt” are \
                  percentage points, the rest is relative.</p>\n",
    );
}

fn optional(rule: &LineRule) -> &'static str {
    if rule.required { "" } else { " <span class=\"sub\">(where there is data)</span>" }
}

fn band_text(value: f64, unit: BandUnit) -> String {
    match unit {
        BandUnit::Points => format!("+{} pt", number(value * 100.0)),
        BandUnit::Relative => format!("+{} %", number(value * 100.0)),
    }
}

/// What had to hold.
pub(super) fn gates(out: &mut String, gates: &[Gate]) {
    out.push_str(
        "<h2>Gates</h2>\n<table><thead><tr><th>Gate</th><th>Level</th><th>Status</th><th>Why</th>\
         <th>Raw output</th></tr></thead><tbody>\n",
    );
    for gate in gates {
        let class = match gate.entry.status {
            GateStatus::Pass => "pass",
            GateStatus::Fail => "fail",
            GateStatus::Inconclusive => "inconclusive",
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"status {class}\">{}</td>\
             <td class=\"why\"{}>{}</td>\
             <td><code>{}</code></td></tr>",
            esc(&gate.name),
            gate.entry.level.as_str(),
            gate.entry.status.as_str(),
            lang(&gate.reason),
            esc(&gate.reason),
            esc(&gate.entry.evidence),
        );
    }
    out.push_str("</tbody></table>\n");
}

/// The eval's failure table.
pub(super) fn failures(out: &mut String, data: &CleanData) {
    out.push_str("<h2>Failure table</h2>\n");
    let Some(eval) = &data.eval else {
        out.push_str("<p>No eval run on the candidate is in the store.</p>\n");
        return;
    };
    let _ = writeln!(
        out,
        "<p>Eval run <code>{}</code>, model <code>{}</code>: {} of {} correct, accuracy {:.3}, {} \
         needed.</p>\n<table><thead><tr><th>Class</th><th class=\"num\">Cases</th><th>Failed</th>\
         <th>No answer</th></tr></thead><tbody>",
        esc(&eval.run_id),
        esc(&eval.model),
        eval.correct,
        eval.total,
        eval.accuracy,
        eval.threshold,
    );
    for row in &eval.failure_table {
        let list = |items: &[(String, String)]| {
            let items: Vec<String> = items
                .iter()
                .map(|(id, why)| {
                    format!("<code>{}</code> <span{}>{}</span>", esc(id), lang(why), esc(why))
                })
                .collect();
            if items.is_empty() { "–".to_owned() } else { items.join("<br>") }
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"num\">{}</td><td>{}</td><td>{}</td></tr>",
            row.risk.as_str(),
            row.total,
            list(&row.failed),
            list(&row.errors),
        );
    }
    out.push_str("</tbody></table>\n");
}

/// What changed, line by line.
pub(super) fn diffs(out: &mut String, changes: &[Change]) {
    out.push_str("<h2>What changed</h2>\n");
    if changes.is_empty() {
        out.push_str("<p>No diff could be made.</p>\n");
    }
    for diff in changes.iter().flat_map(|change| &change.diffs) {
        one_diff(out, diff);
    }
}

fn one_diff(out: &mut String, diff: &Diff) {
    let _ = writeln!(out, "<h3><code>{}</code></h3>\n<pre{}>", esc(&diff.path), lang(&diff.text));
    for line in diff.text.lines().take(DIFF_LINES_MAX) {
        let text = esc(line);
        let _ = if line.starts_with('+') && !line.starts_with("+++") {
            writeln!(out, "<ins>{text}</ins>")
        } else if line.starts_with('-') && !line.starts_with("---") {
            writeln!(out, "<del>{text}</del>")
        } else {
            writeln!(out, "{text}")
        };
    }
    let more = diff.text.lines().count().saturating_sub(DIFF_LINES_MAX);
    if more > 0 {
        let _ = writeln!(out, "… {more} more lines in the file");
    }
    out.push_str("</pre>\n");
}

/// Records, failing ones first.
pub(in crate::evidence) fn samples(out: &mut String, origin: &Origin<'_>, samples: &[Sample<'_>]) {
    out.push_str("<h2>Samples</h2>\n");
    if samples.is_empty() {
        out.push_str("<p>No records are kept.</p>\n");
        return;
    }
    out.push_str("<p class=\"sub\">Redacted; users are pseudonyms of this release.</p>\n");
    for sample in samples {
        let record = sample.record;
        let _ = writeln!(
            out,
            "<section class=\"sample\">\n<h3>{}: <code>{}</code></h3>\n<p class=\"sub\">{}</p>",
            if sample.failing { "Failing" } else { "Representative" },
            esc(record.trace_id.as_str()),
            facts(record),
        );
        if let Some(what) = what_failed(record) {
            let _ = writeln!(out, "<p><strong>What failed:</strong> {what}</p>");
        }
        said(out, "Asked", record.input.as_deref());
        said(out, "Answered", record.output.as_deref());
        if sample.failing && curl(origin, record).is_some() {
            let _ = writeln!(out, "<p>Reproduce: <code>{}.curl.sh</code></p>", esc(&sample.stem));
        }
        out.push_str("</section>\n");
    }
}

fn facts(record: &Record) -> String {
    let tenant = record.tenant.as_deref().map(|t| format!(", tenant {}", esc(t)));
    let user = record.user.as_deref().map(|u| format!(", {}", esc(u)));
    format!(
        "{}, {} arm, <code>{}</code>, status {}, {} ms, {} + {} tokens{}{}",
        rfc3339(record.at),
        record.arm.as_str(),
        record.set.id,
        record.status,
        number(record.timing.total_us as f64 / 1000.0),
        record.tokens_in,
        record.tokens_out,
        tenant.unwrap_or_default(),
        user.unwrap_or_default(),
    )
}

fn what_failed(record: &Record) -> Option<String> {
    let mut what = Vec::new();
    what.extend(record.failure.map(|failure| failure.as_str().to_owned()));
    what.extend(record.contract_problem.as_deref().map(|p| format!("contract: {}", esc(p))));
    what.extend(
        record.risk.iter().map(|event| format!("{}: {}", event.kind.as_str(), esc(&event.detail))),
    );
    (!what.is_empty()).then(|| what.join("; "))
}

fn said(out: &mut String, who: &str, text: Option<&str>) {
    let Some(text) = text else {
        let _ = writeln!(out, "<p class=\"sub\">{who}: not kept.</p>");
        return;
    };
    let shown: String = text.chars().take(SAMPLE_CHARS_MAX).collect();
    let cut = if shown.len() < text.len() { " …" } else { "" };
    let _ = writeln!(out, "<p>{who}</p><pre{}>{}{cut}</pre>", lang(text), esc(&shown));
}

/// The incident and what was done about it.
pub(super) fn incident(out: &mut String, data: &CleanData) {
    let Some(incident) = &data.incident else { return };
    let cases = if incident.case_ids.is_empty() {
        "none yet; the incident cannot be closed without one".to_owned()
    } else {
        let ids: Vec<String> =
            incident.case_ids.iter().map(|id| format!("<code>{}</code>", esc(id))).collect();
        ids.join(", ")
    };
    let closed = match &incident.closed {
        Some((at, conclusion)) => format!("closed {}: {}", rfc3339(*at), esc(conclusion)),
        None => "still open".to_owned(),
    };
    let signal = incident.signal.as_str();
    let _ = writeln!(
        out,
        "<h2>Incident</h2>\n<table><tbody>\n\
         <tr><th scope=\"row\">Signal</th><td class=\"{signal}\">{signal}</td></tr>\n\
         <tr><th scope=\"row\">Opened</th><td>{}: {}</td></tr>\n\
         <tr><th scope=\"row\">Blocking cases</th><td>{cases}</td></tr>\n\
         <tr><th scope=\"row\">State</th><td>{closed}</td></tr>\n</tbody></table>",
        rfc3339(incident.opened_at),
        esc(&Lang::En.cause(&incident.reason)),
    );
}

/// How to check that nothing here was changed.
pub(super) fn integrity(out: &mut String, data: &CleanData) {
    let went_back = data.steps.last().map(|s| format!("{}: {}", decider(s), why(s)));
    let redacted = data.journal.iter().filter(|line| line.redacted).count();
    let _ = writeln!(
        out,
        "<h2>Checking this pack</h2>\n<p><code>tidegate verify &lt;this folder&gt;</code> checks \
         every file against <code>manifest.json</code> and every journal entry against its hash, \
         offline.</p>\n<table><tbody>\n\
         <tr><th scope=\"row\">Journal head</th><td>entry {}, <code>{}</code></td></tr>\n\
         <tr><th scope=\"row\">Entries here</th><td>{} of this release{}</td></tr>\n\
         <tr><th scope=\"row\">Last decision</th><td>{}</td></tr>\n\
         <tr><th scope=\"row\">Made on</th><td>{}; {}; {}</td></tr>\n</tbody></table>",
        data.journal_head.0,
        data.journal_head.1,
        data.journal.len(),
        if redacted > 0 { format!(", {redacted} of them redacted") } else { String::new() },
        esc(&went_back.unwrap_or_else(|| "none".to_owned())),
        esc(&data.env.runtime),
        esc(&data.env.os),
        esc(&data.env.hardware),
    );
}
