//! `--summary FILE`: the run as Markdown for the page of a job. GitHub takes 1 MiB for a step and
//! shows nothing of a longer one, so what does not fit is left out, the least important first.

use super::words::Words;
use crate::lang::Lang;
use crate::view::spent;
use std::fmt::Write as _;
use tidegate_core::evidence::page::{cell, esc};
use tidegate_core::gate::{EvalReport, FailureRow, PairedTest, Repeats, RowError};

/// Bytes that GitHub takes of a step's summary, with room for what a step wrote before.
const BYTES_MAX: usize = 1_000_000;
/// Longest reason of one case, characters.
const WHY_MAX: usize = 400;

/// The summary of a run in a language, at most [`BYTES_MAX`] long.
///
/// # Errors
/// A result cannot be read.
pub(crate) fn summary(to: Lang, report: &EvalReport) -> Result<String, RowError> {
    let words = Words::of(to);
    let mut out = head(words, report);
    let mut sections = vec![by_class(words, &report.failure_table), comparison(words, report)];
    sections.extend([slices(words, report), flaky(words, report)?]);
    let mut left_out = 0;
    for line in sections.iter().flatten() {
        match out.len() + line.len() <= BYTES_MAX - 200 {
            true if left_out == 0 => out.push_str(line),
            _ => left_out += 1,
        }
    }
    if left_out > 0 {
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "\n\n{}\n", words.more_lines(left_out));
    }
    Ok(out)
}

fn head(words: &Words, report: &EvalReport) -> String {
    let mark = if report.passed { "✅" } else { "❌" };
    let EvalReport { accuracy, correct, total, threshold, .. } = report;
    let share = |value: f64| format!("{:.1} %", value * 100.0);
    let counts = words.accuracy(&share(*accuracy), (*correct, *total), &share(*threshold));
    let mut out = format!(
        "## {mark} Eval {}: {counts}\n\n{} {} · {} {} · {} {}\n\n",
        words.verdict(report.verdict),
        words.model,
        text(&report.model),
        words.version_set,
        report.version_set,
        words.run,
        text(&report.run_id),
    );
    if let Some(spent) = spent(words.lang, report) {
        let _ = writeln!(out, "{spent}\n");
    }
    for reason in report.reasons.iter().take(20) {
        let _ = writeln!(out, "- {}", text(reason));
    }
    if let Some(more) = report.reasons.len().checked_sub(20).filter(|more| *more > 0) {
        let _ = writeln!(out, "- {}", words.more_reasons(more));
    }
    out
}

fn by_class(words: &Words, rows: &[FailureRow]) -> Vec<String> {
    let mut lines = vec![format!(
        "\n### {}\n\n| {} |\n|---|--:|--:|--:|\n",
        words.by_class,
        words.columns.join(" | ")
    )];
    lines.extend(rows.iter().map(|FailureRow { risk, total, failed, errors }| {
        format!("| {} | {total} | {} | {} |\n", risk.as_str(), failed.len(), errors.len())
    }));
    let wrong = rows.iter().any(|row| !row.failed.is_empty() || !row.errors.is_empty());
    if wrong {
        let (case, class, what) = (words.case, words.columns[0], words.what);
        lines.push(format!("\n| {case} | {class} | {what} |\n|---|---|---|\n"));
    }
    for FailureRow { risk, failed, errors, total: _ } in rows {
        let no_answer = format!("{}: ", words.no_answer);
        let failed = failed.iter().map(|(id, why)| (id, why, ""));
        let errors = errors.iter().map(|(id, why)| (id, why, no_answer.as_str()));
        lines.extend(failed.chain(errors).map(|(id, why, what)| {
            format!("| {} | {} | {what}{} |\n", text(id), risk.as_str(), text(why))
        }));
    }
    lines
}

fn comparison(words: &Words, report: &EvalReport) -> Vec<String> {
    let Some(comparison) = &report.comparison else { return Vec::new() };
    let counts = [&comparison.broken, &comparison.fixed, &comparison.new].map(Vec::len);
    let counts = words.changes.into_iter().zip(counts);
    let counts: Vec<String> = counts.map(|(word, count)| format!("{word} {count}")).collect();
    let against = words.against(&text(&comparison.previous_run));
    let mut lines = vec![format!("\n### {against}: {}\n\n", counts.join(", "))];
    let changes: Vec<&PairedTest> =
        comparison.tests.iter().filter(|test| test.is_change()).collect();
    if changes.is_empty() {
        lines.push(format!("{}\n", words.unchanged));
    }
    lines.extend(changes.into_iter().map(|test| {
        let PairedTest { metric, cases, before, now, p: _, p_holm } = test;
        let change = words.metric((&text(metric), *cases), (*before, *now, *p_holm));
        format!("- {change}\n")
    }));
    if let Some(drop) = comparison.detectable_drop {
        lines.push(format!("\n{}\n", words.smallest_drop(drop * 100.0)));
    }
    lines
}

fn slices(words: &Words, report: &EvalReport) -> Vec<String> {
    if report.slices.is_empty() {
        return Vec::new();
    }
    let head = format!(
        "\n### {}\n\n| {} |\n|---|--:|--:|--:|\n",
        words.slices,
        words.of_slices.join(" | ")
    );
    let rows = report.slices.iter().map(|row| {
        let (low, high) = row.interval;
        format!(
            "| {} | {}/{} | {:.1} % | {:.0}–{:.0} % |\n",
            text(&row.slice),
            row.correct,
            row.answered,
            row.accuracy * 100.0,
            low * 100.0,
            high * 100.0
        )
    });
    std::iter::once(head).chain(rows).collect()
}

fn flaky(words: &Words, report: &EvalReport) -> Result<Vec<String>, RowError> {
    let mut lines = Vec::new();
    for result in report.results.iter() {
        let result = result?;
        if result.is_flaky() {
            let Repeats { answered, passed } = result.repeats.unwrap_or_default();
            let id = text(&result.case.id);
            lines.push(format!("- {id}: {}\n", words.correct_in(passed, answered)));
        }
    }
    let head = format!("\n### {}\n\n", words.flaky_cases(lines.len()));
    Ok(match lines.is_empty() {
        true => lines,
        false => std::iter::once(head).chain(lines).collect(),
    })
}

/// A stranger's text on one line of Markdown that makes nothing of it: no markup, no table cell, no
/// link, no mention.
fn text(text: &str) -> String {
    let mut cut: String = text.chars().take(WHY_MAX).collect();
    if text.chars().nth(WHY_MAX).is_some() {
        cut.push('…');
    }
    let mut out = String::with_capacity(cut.len() + 8);
    for c in esc(&cell(&cut)).chars() {
        match c {
            '`' | '*' | '_' | '[' | ']' | '~' | '#' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            // A word joiner after it: nobody is mentioned.
            '@' => out.push_str("@\u{2060}"),
            c => out.push(c),
        }
    }
    out
}
