//! `--summary FILE`: the run as Markdown for the page of a job. GitHub takes 1 MiB for a step and
//! shows nothing of a longer one, so what does not fit is left out, the least important first.

use super::verdict;
use std::fmt::Write as _;
use tidegate_core::evidence::page::{cell, esc};
use tidegate_core::gate::{EvalReport, FailureRow, PairedTest, Repeats, RowError};

/// Bytes that GitHub takes of a step's summary, with room for what a step wrote before.
const BYTES_MAX: usize = 1_000_000;
/// Longest reason of one case, characters.
const WHY_MAX: usize = 400;

/// The summary of a run, at most [`BYTES_MAX`] long.
///
/// # Errors
/// A result cannot be read.
pub(crate) fn summary(report: &EvalReport) -> Result<String, RowError> {
    let mut out = head(report);
    let mut sections = vec![by_class(&report.failure_table), comparison(report)];
    sections.extend([slices(report), flaky(report)?]);
    let mut left_out = 0;
    for line in sections.iter().flatten() {
        match out.len() + line.len() <= BYTES_MAX - 200 {
            true if left_out == 0 => out.push_str(line),
            _ => left_out += 1,
        }
    }
    if left_out > 0 {
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "\n\n{left_out} more lines are in the report.\n");
    }
    Ok(out)
}

fn head(report: &EvalReport) -> String {
    let mark = if report.passed { "✅" } else { "❌" };
    let EvalReport { accuracy, correct, total, threshold, .. } = report;
    let mut out = format!(
        "## {mark} Eval {}: accuracy {:.1} % ({correct} of {total} correct, {:.1} % needed)\n\n\
         Model {}, version set {}, run {}.\n\n",
        verdict(report.verdict),
        accuracy * 100.0,
        threshold * 100.0,
        text(&report.model),
        report.version_set,
        text(&report.run_id),
    );
    for reason in report.reasons.iter().take(20) {
        let _ = writeln!(out, "- {}", text(reason));
    }
    if let Some(more) = report.reasons.len().checked_sub(20).filter(|more| *more > 0) {
        let _ = writeln!(out, "- {more} more reasons");
    }
    out
}

fn by_class(rows: &[FailureRow]) -> Vec<String> {
    let mut lines = vec![
        "\n### Failures by class\n\n| class | cases | failed | no answer |\n|---|--:|--:|--:|\n"
            .to_owned(),
    ];
    lines.extend(rows.iter().map(|FailureRow { risk, total, failed, errors }| {
        format!("| {} | {total} | {} | {} |\n", risk.as_str(), failed.len(), errors.len())
    }));
    let wrong = rows.iter().any(|row| !row.failed.is_empty() || !row.errors.is_empty());
    if wrong {
        lines.push("\n| case | class | what |\n|---|---|---|\n".to_owned());
    }
    for FailureRow { risk, failed, errors, total: _ } in rows {
        let failed = failed.iter().map(|(id, why)| (id, why, ""));
        let errors = errors.iter().map(|(id, why)| (id, why, "no answer: "));
        lines.extend(failed.chain(errors).map(|(id, why, what)| {
            format!("| {} | {} | {what}{} |\n", text(id), risk.as_str(), text(why))
        }));
    }
    lines
}

fn comparison(report: &EvalReport) -> Vec<String> {
    let Some(comparison) = &report.comparison else { return Vec::new() };
    let counts = [&comparison.broken, &comparison.fixed, &comparison.new].map(Vec::len);
    let [broken, fixed, new] = counts;
    let mut lines = vec![format!(
        "\n### Against run {}: {broken} broken, {fixed} fixed, {new} new\n\n",
        text(&comparison.previous_run)
    )];
    let changes: Vec<&PairedTest> =
        comparison.tests.iter().filter(|test| test.is_change()).collect();
    if changes.is_empty() {
        lines.push("No metric changed beyond chance.\n".to_owned());
    }
    lines.extend(changes.into_iter().map(|test| {
        let PairedTest { metric, cases, before, now, p: _, p_holm } = test;
        let metric = text(metric);
        format!("- {metric} {before:.3} → {now:.3} over {cases} cases, p {p_holm:.4}\n")
    }));
    if let Some(drop) = comparison.detectable_drop {
        let points = drop * 100.0;
        lines.push(format!("\nThe smallest drop that these cases show: {points:.1} points.\n"));
    }
    lines
}

fn slices(report: &EvalReport) -> Vec<String> {
    if report.slices.is_empty() {
        return Vec::new();
    }
    let head = "\n### Slices, the worst first\n\n| slice | correct | accuracy | 95 % interval |\n\
                |---|--:|--:|--:|\n";
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
    std::iter::once(head.to_owned()).chain(rows).collect()
}

fn flaky(report: &EvalReport) -> Result<Vec<String>, RowError> {
    let mut lines = Vec::new();
    for result in report.results.iter() {
        let result = result?;
        if result.is_flaky() {
            let Repeats { answered, passed } = result.repeats.unwrap_or_default();
            let id = text(&result.case.id);
            lines.push(format!("- {id}: correct in {passed} of {answered} repeats\n"));
        }
    }
    Ok(match lines.len() {
        0 => lines,
        count => std::iter::once(format!("\n### Flaky: {count}\n\n")).chain(lines).collect(),
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
