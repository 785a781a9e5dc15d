//! `--html FILE`: one page that a person can read, filter and keep. What failed comes first, by
//! class; then what changed against the run before, slices, flaky cases, and the matrix of cases
//! and checks, each case with its answer beside the one of the run before.
//!
//! Nothing is loaded from outside: the page works offline and from `file://`. Its one script hides
//! and shows rows; without it everything is there. Its policy allows that script by a name that
//! follows from all answers, and no other, so that an answer which is HTML can do nothing even
//! where an escape were missing.

mod matrix;

use super::words::Words;
use crate::clock::rfc3339;
use crate::lang::Lang;
use crate::view::spent;
use matrix::Matrix;
use std::fmt::Write as _;
use std::io;
use tidegate_core::evidence::page::{esc, lang};
use tidegate_core::gate::{EvalReport, FailureRow, GateVerdict, PairedTest, RowError, Tally};
use tidegate_core::ids::Digest;

const CSS: &str = include_str!("html.css");
const SCRIPT: &str = include_str!("html.js");
/// Cases in the matrix: what failed comes first, and a page of more is slow to open.
const CASES_MAX: usize = 5_000;
/// Longest text of a case that the page shows whole, characters; the report's JSON has all of it.
const TEXT_MAX: usize = 20_000;

/// The page of a run in a language, beside the run before where there was one.
///
/// # Errors
/// It cannot be written, or a result cannot be read.
pub(crate) fn html(
    to: Lang,
    report: &EvalReport,
    previous: Option<&EvalReport>,
    file: &mut dyn io::Write,
) -> io::Result<()> {
    let (words, mut out) = (Words::of(to), String::new());
    begin(&mut out, words, report).map_err(io::Error::other)?;
    failures(&mut out, words, &report.failure_table);
    comparison(&mut out, words, report);
    slices(&mut out, words, report);
    let matrix = Matrix::of(words, report, previous).map_err(io::Error::other)?;
    matrix.flaky(&mut out);
    file.write_all(out.as_bytes())?;
    matrix.write(file)?;
    let nonce = nonce(report);
    writeln!(file, "</main>\n<script nonce=\"{nonce}\">{SCRIPT}</script>\n</body>\n</html>")
}

fn begin(out: &mut String, words: &Words, report: &EvalReport) -> Result<(), RowError> {
    let title = format!("{} – {}", report.run_id, words.verdict(report.verdict));
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'nonce-{}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n",
        words.lang.tag(),
        nonce(report),
        esc(&title),
    );
    let EvalReport { run_id, model, version_set, cases_digest, at, .. } = report;
    let class = class(report.verdict);
    let word = words.verdict(report.verdict);
    let share = |value: f64| format!("{:.1} %", value * 100.0);
    let _ = write!(
        out,
        "<header>\n<h1>Eval <code>{}</code></h1>\n<p><span class=\"verdict {class}\">{word}</span> \
         {}</p>\n",
        esc(run_id),
        words.accuracy(
            &format!("<b>{}</b>", share(report.accuracy)),
            (report.correct, report.total),
            &share(report.threshold),
        ),
    );
    if !report.reasons.is_empty() {
        out.push_str("<ul>\n");
        for reason in &report.reasons {
            let _ = writeln!(out, "<li{}>{}</li>", lang(reason), esc(reason));
        }
        out.push_str("</ul>\n");
    }
    let _ = writeln!(
        out,
        "<p class=\"sub\">{} <code>{}</code> · {} <code>{version_set}</code> · {} <code>{}</code> \
         · {}</p>",
        words.model,
        esc(model),
        words.version_set,
        words.columns[1],
        cases_digest.short(12),
        rfc3339(*at),
    );
    if let Some(spent) = spent(words.lang, report) {
        let _ = writeln!(out, "<p class=\"sub\">{spent}</p>");
    }
    out.push_str("<p class=\"sub\">");
    // A report of an earlier version has none.
    let metrics = match report.metrics.is_empty() {
        true => Tally::of(&report.results)?.metrics(),
        false => report.metrics.clone(),
    };
    for (name, value) in metrics {
        let _ = write!(out, "<span class=\"metric\">{} <b>{value:.3}</b></span> ", esc(&name));
    }
    out.push_str("</p>\n</header>\n<main>\n");
    Ok(())
}

fn class(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Pass => "pass",
        GateVerdict::Fail => "fail",
        GateVerdict::Inconclusive => "open",
    }
}

fn failures(out: &mut String, words: &Words, rows: &[FailureRow]) {
    let [class, cases, failed, no_answer] = words.columns;
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<table class=\"by\">\n<thead><tr><th>{class}</th><th class=\"num\">{cases}\
         </th><th class=\"num\">{failed}</th><th class=\"num\">{no_answer}</th></tr></thead>\n\
         <tbody>",
        words.by_class,
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
        let left_out = (failed.len() + errors.len()).saturating_sub(CASES_MAX);
        let failed = failed.iter().map(|(id, why)| (id, why, words.failed));
        let errors = errors.iter().map(|(id, why)| (id, why, words.no_answer));
        for (id, why, what) in failed.chain(errors).take(CASES_MAX) {
            let _ = writeln!(
                out,
                "<tr class=\"why\"><td><a href=\"#{}\">{}</a></td><td colspan=\"3\"{}>{what}: \
                 {}</td></tr>",
                anchor(id),
                esc(id),
                lang(why),
                esc(&cut(words, why)),
            );
        }
        if left_out > 0 {
            let more = words.more_cases(left_out);
            let _ = writeln!(out, "<tr class=\"why\"><td></td><td colspan=\"3\">{more}</td></tr>");
        }
    }
    out.push_str("</tbody>\n</table>\n");
}

fn comparison(out: &mut String, words: &Words, report: &EvalReport) {
    let Some(comparison) = &report.comparison else { return };
    let run = format!("<code>{}</code>", esc(&comparison.previous_run));
    let _ = writeln!(out, "<h2>{}</h2>", words.against(&run));
    let lists = words.changes.into_iter();
    let lists = lists.zip([&comparison.broken, &comparison.fixed, &comparison.new]);
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
    let [metric, cases, before, now, p, beyond] = words.tests;
    let _ = writeln!(
        out,
        "<table>\n<thead><tr><th>{metric}</th><th class=\"num\">{cases}</th><th class=\"num\">\
         {before}</th><th class=\"num\">{now}</th><th class=\"num\">{p}</th><th>{beyond}</th></tr>\
         </thead>\n<tbody>"
    );
    let [worse, better, no] = words.tested;
    for test in &comparison.tests {
        let PairedTest { metric, cases, before, now, p: _, p_holm } = test;
        let (class, word) = match (test.is_change(), now < before) {
            (true, true) => (" class=\"fail\"", worse),
            (true, false) => (" class=\"pass\"", better),
            (false, _) => ("", no),
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
        let _ = writeln!(out, "<p class=\"sub\">{}</p>", words.smallest_drop(drop * 100.0));
    }
}

fn slices(out: &mut String, words: &Words, report: &EvalReport) {
    if report.slices.is_empty() {
        return;
    }
    let [slice, correct, accuracy, interval] = words.of_slices;
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<table>\n<thead><tr><th>{slice}</th><th class=\"num\">{correct}</th>\
         <th class=\"num\">{accuracy}</th><th class=\"num\">{interval}</th><th></th></tr></thead>\n\
         <tbody>",
        words.slices,
    );
    for row in &report.slices {
        let (low, high) = row.interval;
        let note = if row.decides() { "" } else { words.too_few };
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

/// The text up to the bound.
fn cut(words: &Words, text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… {}", &text[..at], words.rest),
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
