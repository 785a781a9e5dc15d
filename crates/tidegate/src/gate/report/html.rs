//! `--html FILE`: one page that a person can read, filter and keep. What failed comes first, by
//! class; then what changed against the run before, slices, flaky cases, and the matrix of cases
//! and checks, each case with its answer beside the one of the run before.
//!
//! Nothing is loaded from outside: the page works offline and from `file://`. Its one script hides
//! and shows rows; without it everything is there. Its policy allows that script by a name that
//! follows from all answers, and no other, so that an answer which is HTML can do nothing even
//! where an escape were missing.

use crate::clock::rfc3339;
use crate::version_set::{Edit, by_words};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tidegate_core::evidence::page::{esc, lang};
use tidegate_core::gate::{
    CaseResult, CheckResult, EvalReport, FailureRow, GateVerdict, PairedTest, Repeats, metrics,
};
use tidegate_core::ids::Digest;

const CSS: &str = include_str!("html.css");
const SCRIPT: &str = include_str!("html.js");
/// Cases in the matrix: what failed comes first, and a page of more is slow to open.
const CASES_MAX: usize = 5_000;
/// Longest text of a case that the page shows whole, characters; the report's JSON has all of it.
const TEXT_MAX: usize = 20_000;

/// The page of a run, beside the run before where there was one.
pub(crate) fn html(report: &EvalReport, previous: Option<&EvalReport>) -> String {
    let mut out = String::new();
    begin(&mut out, report);
    failures(&mut out, &report.failure_table);
    comparison(&mut out, report);
    slices(&mut out, report);
    flaky(&mut out, report);
    matrix(&mut out, report, previous);
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "</main>\n<script nonce=\"{}\">{SCRIPT}</script>\n</body>\n</html>\n",
        nonce(report)
    );
    out
}

fn begin(out: &mut String, report: &EvalReport) {
    let title = format!("{} – {}", report.run_id, super::verdict(report.verdict));
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'nonce-{}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n",
        nonce(report),
        esc(&title),
    );
    let EvalReport { run_id, model, version_set, cases_digest, at, .. } = report;
    let class = class(report.verdict);
    let word = super::verdict(report.verdict);
    let share = |value: f64| format!("{:.1} %", value * 100.0);
    let _ = write!(
        out,
        "<header>\n<h1>Eval <code>{}</code></h1>\n<p><span class=\"verdict {class}\">{word}</span> \
         accuracy <b>{}</b>, {} of {} cases correct; {} needed</p>\n",
        esc(run_id),
        share(report.accuracy),
        report.correct,
        report.total,
        share(report.threshold),
    );
    if !report.reasons.is_empty() {
        out.push_str("<ul>\n");
        for reason in &report.reasons {
            let _ = writeln!(out, "<li{}>{}</li>", lang(reason), esc(reason));
        }
        out.push_str("</ul>\n");
    }
    let _ = write!(
        out,
        "<p class=\"sub\">model <code>{}</code> · version set <code>{version_set}</code> · cases \
         <code>{}</code> · {}</p>\n<p class=\"sub\">",
        esc(model),
        cases_digest.short(12),
        rfc3339(*at),
    );
    for (name, value) in metrics(&report.results) {
        let _ = write!(out, "<span class=\"metric\">{} <b>{value:.3}</b></span> ", esc(&name));
    }
    out.push_str("</p>\n</header>\n<main>\n");
}

fn class(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Pass => "pass",
        GateVerdict::Fail => "fail",
        GateVerdict::Inconclusive => "open",
    }
}

fn failures(out: &mut String, rows: &[FailureRow]) {
    out.push_str(
        "<h2>Failures by class</h2>\n<table class=\"by\">\n<thead><tr><th>class</th>\
         <th class=\"num\">cases</th><th class=\"num\">failed</th><th class=\"num\">no answer</th>\
         </tr></thead>\n<tbody>\n",
    );
    for FailureRow { risk, total, failed, errors } in rows {
        let class = match (failed.len(), errors.len()) {
            (1.., _) => " class=\"fail\"",
            (0, 1..) => " class=\"open\"",
            (0, 0) => "",
        };
        let _ = writeln!(
            out,
            "<tr{class}><th scope=\"row\">{}</th><td class=\"num\">{total}</td>\
             <td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
            risk.as_str(),
            failed.len(),
            errors.len(),
        );
        let failed = failed.iter().map(|(id, why)| (id, why, "failed"));
        let errors = errors.iter().map(|(id, why)| (id, why, "no answer"));
        for (id, why, what) in failed.chain(errors) {
            let _ = writeln!(
                out,
                "<tr class=\"why\"><td><a href=\"#{}\">{}</a></td><td colspan=\"3\"{}>{what}: \
                 {}</td></tr>",
                anchor(id),
                esc(id),
                lang(why),
                esc(&cut(why)),
            );
        }
    }
    out.push_str("</tbody>\n</table>\n");
}

fn comparison(out: &mut String, report: &EvalReport) {
    let Some(comparison) = &report.comparison else { return };
    let _ = writeln!(out, "<h2>Against run <code>{}</code></h2>", esc(&comparison.previous_run));
    let lists =
        [("broken", &comparison.broken), ("fixed", &comparison.fixed), ("new", &comparison.new)];
    out.push_str("<ul>\n");
    for (word, ids) in lists {
        let links: Vec<String> = ids
            .iter()
            .take(CASES_MAX)
            .map(|id| format!("<a href=\"#{}\">{}</a>", anchor(id), esc(id)))
            .collect();
        let _ = writeln!(out, "<li>{word}: {} {}</li>", ids.len(), links.join(", "));
    }
    out.push_str("</ul>\n");
    if comparison.tests.is_empty() {
        return;
    }
    out.push_str(
        "<table>\n<thead><tr><th>metric</th><th class=\"num\">cases</th><th class=\"num\">before\
         </th><th class=\"num\">now</th><th class=\"num\">p, corrected</th><th>beyond chance</th>\
         </tr></thead>\n<tbody>\n",
    );
    for test in &comparison.tests {
        let PairedTest { metric, cases, before, now, p: _, p_holm } = test;
        let (class, word) = match (test.is_change(), now < before) {
            (true, true) => (" class=\"fail\"", "worse"),
            (true, false) => (" class=\"pass\"", "better"),
            (false, _) => ("", "no"),
        };
        let _ = writeln!(
            out,
            "<tr{class}><th scope=\"row\">{}</th><td class=\"num\">{cases}</td>\
             <td class=\"num\">{before:.3}</td><td class=\"num\">{now:.3}</td>\
             <td class=\"num\">{p_holm:.4}</td><td>{word}</td></tr>",
            esc(metric),
        );
    }
    out.push_str("</tbody>\n</table>\n");
    if let Some(drop) = comparison.detectable_drop {
        let points = drop * 100.0;
        let _ = writeln!(
            out,
            "<p class=\"sub\">The smallest drop of accuracy that these cases show: {points:.1} \
             points.</p>"
        );
    }
}

fn slices(out: &mut String, report: &EvalReport) {
    if report.slices.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Slices, the worst first</h2>\n<table>\n<thead><tr><th>slice</th><th class=\"num\">\
         correct</th><th class=\"num\">accuracy</th><th class=\"num\">95 % interval</th><th></th>\
         </tr></thead>\n<tbody>\n",
    );
    for row in &report.slices {
        let (low, high) = row.interval;
        let note = if row.decides() { "" } else { "too few cases to decide anything" };
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\"{}>{}</th><td class=\"num\">{}/{}</td><td class=\"num\">{:.1} %\
             </td><td class=\"num\">{:.0}–{:.0} %</td><td class=\"sub\">{note}</td></tr>",
            lang(&row.slice),
            esc(&row.slice),
            row.correct,
            row.answered,
            row.accuracy * 100.0,
            low * 100.0,
            high * 100.0,
        );
    }
    out.push_str("</tbody>\n</table>\n");
}

fn flaky(out: &mut String, report: &EvalReport) {
    let flaky: Vec<&CaseResult> = report.results.iter().filter(|r| r.is_flaky()).collect();
    if flaky.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h2>Flaky: {} cases</h2>\n<ul>", flaky.len());
    for result in flaky {
        let Repeats { answered, passed } = result.repeats.unwrap_or_default();
        let id = &result.case.id;
        let (anchor, id) = (anchor(id), esc(id));
        let _ = writeln!(
            out,
            "<li><a href=\"#{anchor}\">{id}</a>: correct in {passed} of {answered} repeats</li>"
        );
    }
    out.push_str("</ul>\n");
}

fn matrix(out: &mut String, report: &EvalReport, previous: Option<&EvalReport>) {
    let before: BTreeMap<&str, &CaseResult> = previous
        .into_iter()
        .flat_map(|report| &report.results)
        .map(|result| (result.case.id.as_str(), result))
        .collect();
    let mut results: Vec<&CaseResult> = report.results.iter().collect();
    // Stable: within a status, the order of the files.
    results.sort_by_key(|result| Status::of(result));
    let left_out = results.len().saturating_sub(CASES_MAX);
    results.truncate(CASES_MAX);
    out.push_str("<h2>Cases</h2>\n");
    filters(out, &results);
    if left_out > 0 {
        let _ = writeln!(
            out,
            "<p class=\"note\">{left_out} more cases are in the report's JSON file.</p>"
        );
    }
    let changed: BTreeSet<&str> = report
        .comparison
        .iter()
        .flat_map(|comparison| comparison.broken.iter().chain(&comparison.fixed))
        .map(String::as_str)
        .collect();
    for result in results {
        let id = result.case.id.as_str();
        case(out, result, before.get(id).copied(), changed.contains(id));
    }
}

fn filters(out: &mut String, results: &[&CaseResult]) {
    let slices: BTreeSet<String> = results.iter().flat_map(|r| r.case.slices()).collect();
    let options = |values: &mut dyn Iterator<Item = String>| -> String {
        values.map(|value| format!("<option>{}</option>", esc(&value))).collect()
    };
    let statuses = options(&mut Status::ALL.iter().map(|status| status.word().to_owned()));
    let risks: BTreeSet<&str> = results.iter().map(|r| r.case.risk.as_str()).collect();
    let risks = options(&mut risks.into_iter().map(str::to_owned));
    let _ = write!(
        out,
        "<form id=\"filters\" hidden>\n<label>text <input id=\"text\" type=\"search\"></label>\n\
         <label>status <select id=\"status\"><option value=\"\">all</option>{statuses}</select>\
         </label>\n<label>class <select id=\"risk\"><option value=\"\">all</option>{risks}\
         </select></label>\n"
    );
    if !slices.is_empty() {
        let slices = options(&mut slices.into_iter());
        let _ = writeln!(
            out,
            "<label>slice <select id=\"slice\"><option value=\"\">all</option>{slices}</select>\
             </label>"
        );
    }
    out.push_str(
        "<label><input id=\"changed\" type=\"checkbox\"> changed</label>\n\
         <output id=\"shown\"></output>\n</form>\n",
    );
}

/// What became of a case, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Failed,
    Unanswered,
    Flaky,
    Correct,
}

impl Status {
    const ALL: [Status; 4] = [Status::Failed, Status::Unanswered, Status::Flaky, Status::Correct];

    fn of(result: &CaseResult) -> Status {
        match (result.error.is_some(), result.is_correct()) {
            (true, _) => Status::Unanswered,
            (false, false) => Status::Failed,
            (false, true) if result.is_flaky() => Status::Flaky,
            (false, true) => Status::Correct,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Status::Failed => "failed",
            Status::Unanswered => "no answer",
            Status::Flaky => "flaky",
            Status::Correct => "correct",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Status::Failed => "fail",
            Status::Unanswered | Status::Flaky => "open",
            Status::Correct => "pass",
        }
    }
}

fn case(out: &mut String, result: &CaseResult, before: Option<&CaseResult>, changed: bool) {
    let case = &result.case;
    let status = Status::of(result);
    let slices: Vec<String> = case.slices().into_iter().collect();
    let _ = write!(
        out,
        "<details id=\"{}\" class=\"case\" data-status=\"{}\" data-risk=\"{}\" data-slices=\"{}\" \
         data-changed=\"{}\">\n<summary><span class=\"status {}\">{}</span> <b>{}</b> \
         <span class=\"sub\">{} · {} · {:.2} · {} ms</span> ",
        anchor(&case.id),
        status.word(),
        case.risk.as_str(),
        esc(&slices.join("\n")),
        u8::from(changed),
        status.class(),
        status.word(),
        esc(&case.id),
        case.risk.as_str(),
        case.severity.as_str(),
        result.score,
        result.latency_ms,
    );
    result.checks.iter().for_each(|check| chip(out, check));
    out.push_str("</summary>\n");
    text(out, "asked", &case.input);
    if !case.expected_behavior.is_empty() {
        text(out, "should happen", &case.expected_behavior);
    }
    if let Some(expected) = &case.expected {
        text(out, "reference", expected);
    }
    if let Some(error) = &result.error {
        text(out, "no answer", error);
    }
    let counts = |check: &&CheckResult| check.weight > 0.0 && !check.detail.is_empty();
    for check in result.checks.iter().filter(counts) {
        text(out, &check.check, &check.detail);
    }
    let before = before.and_then(|before| before.actual.as_deref());
    match (before, result.actual.as_deref()) {
        (Some(before), Some(now)) if before != now => side_by_side(out, before, now),
        (Some(_), Some(now)) => text(out, "answer, as before", now),
        (None, Some(now)) => text(out, "answer", now),
        (Some(before), None) => text(out, "answer before", before),
        (None, None) => {}
    }
    let _ = writeln!(out, "<p class=\"sub\">{}</p>\n</details>", esc(&case.source));
}

fn chip(out: &mut String, check: &CheckResult) {
    let (class, mark) = match (check.holds(), check.score < 1.0) {
        // It is measured only.
        _ if check.weight == 0.0 => ("sub", "·"),
        (true, false) => ("pass", "✓"),
        (true, true) => ("open", "~"),
        (false, _) => ("fail", "✗"),
    };
    let measured = check.measured.map(|value| format!(" {value:.2}")).unwrap_or_default();
    let _ =
        write!(out, "<span class=\"chip {class}\">{mark} {}{measured}</span> ", esc(&check.check));
}

fn text(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "<h4>{}</h4>\n<pre{}>{}</pre>", esc(label), lang(text), esc(&cut(text)));
}

/// Both answers, what differs marked.
fn side_by_side(out: &mut String, before: &str, now: &str) {
    let (before, now) = (cut(before), cut(now));
    let mut sides = [String::new(), String::new()];
    let hunks = by_words(&before, &now);
    for (place, hunk) in hunks.iter().enumerate() {
        if place > 0 || hunk.line_after > 1 {
            sides.iter_mut().for_each(|side| side.push_str("…\n"));
        }
        for piece in &hunk.pieces {
            let [left, right] = &mut sides;
            let escaped = esc(&piece.text);
            let _ = match piece.edit {
                Edit::Kept => write!(left, "{escaped}").and_then(|()| write!(right, "{escaped}")),
                Edit::Removed => write!(left, "<del>{escaped}</del>"),
                Edit::Added => write!(right, "<ins>{escaped}</ins>"),
            };
        }
    }
    let [left, right] = sides;
    let _ = writeln!(
        out,
        "<div class=\"sides\"><div><h4>answer before</h4><pre{}>{left}</pre></div>\
         <div><h4>answer</h4><pre{}>{right}</pre></div></div>",
        lang(&before),
        lang(&now),
    );
}

/// The text up to the bound.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… (the rest is in the JSON file)", &text[..at]),
    }
}

/// An id as the name of a place in the page: any script, and nothing that ends an attribute.
fn anchor(id: &str) -> String {
    format!("c-{}", Digest::of(id.as_bytes()).short(12))
}

/// What the page's own script is named by: no answer can know it, since it follows from all of
/// them.
fn nonce(report: &EvalReport) -> String {
    let parts = [report.run_id.as_bytes(), report.cases_digest.as_str().as_bytes()];
    Digest::of_parts(&parts).short(32).to_owned()
}
