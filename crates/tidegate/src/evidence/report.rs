//! `report.html`: one page that a person can read and print.
//!
//! It answers the four questions first: what changed, which version set, how it was verified, how
//! to roll back. Nothing is loaded from outside and nothing runs; every text is escaped.

mod ab;
pub(super) mod parts;

use super::clean::CleanData;
use super::diff::Change;
use super::gates::Gate;
use super::html::{esc, lang};
use super::samples::Sample;
use crate::clock::rfc3339;
use crate::lang::Lang;
use std::fmt::Write as _;
use tidegate_core::decide::{Line, Phase};
use tidegate_core::evidence::{GateStatus, PackVerdict, VerdictDecision};

const CSS: &str = include_str!("report.css");

/// Everything the page shows.
pub(super) struct Page<'a> {
    /// The release.
    pub(super) data: &'a CleanData,
    /// What was decided.
    pub(super) verdict: PackVerdict,
    /// What changed.
    pub(super) changes: &'a [Change],
    /// What had to hold.
    pub(super) gates: &'a [Gate],
    /// Records.
    pub(super) samples: &'a [Sample<'a>],
    /// The four charts.
    pub(super) charts: &'a [(Line, String)],
}

/// The page.
pub(super) fn html(page: &Page<'_>) -> String {
    let data = page.data;
    let title = format!("{} – {}", data.change_id, page.verdict.decision.as_str());
    let mut out = page_begin(&title);
    out.push_str("<header>\n");
    head(&mut out, page);
    out.push_str("</header>\n<main>\n");
    answers(&mut out, page);
    ab::section(&mut out, data);
    parts::timeline(&mut out, data);
    charts(&mut out, page);
    parts::thresholds(&mut out, data);
    parts::gates(&mut out, page.gates);
    parts::failures(&mut out, data);
    parts::diffs(&mut out, page.changes);
    parts::samples(&mut out, &data.origin(), page.samples);
    parts::incident(&mut out, data);
    parts::integrity(&mut out, data);
    out.push_str("</main>\n");
    page_end(&mut out);
    out
}

/// The page up to its header. Nothing may be loaded from anywhere.
pub(super) fn page_begin(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n",
        esc(title),
    )
}

/// Its end.
pub(super) fn page_end(out: &mut String) {
    out.push_str("</body>\n</html>\n");
}

fn head(out: &mut String, page: &Page<'_>) {
    let data = page.data;
    let class = match page.verdict.decision {
        VerdictDecision::Ship => "ship",
        VerdictDecision::Hold => "hold",
        VerdictDecision::Rollback => "rollback",
    };
    let ended = match data.release.ended_at {
        Some(at) => format!(
            ", ended {} after {}",
            rfc3339(at),
            Lang::En.span(at.since(data.release.started_at) as f64 / 1000.0)
        ),
        None => ", still open".to_owned(),
    };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "<h1>Release <code>{}</code></h1>\n\
         <p class=\"sub\">Service <code>{}</code>. Started {} by <span{}>{}</span>{ended}. \
         Page written {}.</p>\n\
         <p><span class=\"verdict {class}\">{}</span> {}: <span{}>{}</span></p>",
        esc(data.change_id.as_str()),
        esc(data.service.as_str()),
        rfc3339(data.release.started_at),
        lang(&data.release.by),
        esc(&data.release.by),
        rfc3339(data.written_at),
        page.verdict.decision.as_str(),
        esc(data.release.state.phase.as_str()),
        lang(&page.verdict.reason),
        esc(&page.verdict.reason),
    );
    if data.simulated_clock {
        out.push_str(
            "<p class=\"note\">A simulation: the times on this page are the demo's clock, not \
             real time.</p>\n",
        );
    }
    if !data.gaps.is_empty() {
        out.push_str("<div class=\"note\"><p>This pack has gaps:</p>\n<ul>\n");
        for gap in &data.gaps {
            let _ = writeln!(out, "<li>{}</li>", esc(gap));
        }
        out.push_str("</ul></div>\n");
    }
}

/// The four questions.
fn answers(out: &mut String, page: &Page<'_>) {
    out.push_str("<h2>In short</h2>\n<table><tbody>\n");
    let mut row = |question: &str, answer: String| {
        let _ = writeln!(out, "<tr><th scope=\"row\">{question}</th><td>{answer}</td></tr>");
    };
    row("What changed", what_changed(page));
    row("Which version set", which_set(page.data));
    row("How it was verified", how_verified(page));
    row("How to roll back", way_back(page.data));
    row("Who saw it", {
        let exposure = page.data.exposure;
        format!("The candidate got {} requests of {} users.", exposure.requests, exposure.users)
    });
    out.push_str("</tbody></table>\n");
}

fn what_changed(page: &Page<'_>) -> String {
    if page.changes.is_empty() {
        return "It cannot be shown: one of the two sets is not in the store.".to_owned();
    }
    let version = |v: &Option<String>| match v {
        Some(v) => format!("<code>{}</code>", esc(v)),
        None => "nothing".to_owned(),
    };
    let changes: Vec<String> = page
        .changes
        .iter()
        .map(|change| {
            let what = &change.what;
            let files = what.files.len();
            let s = if files == 1 { "" } else { "s" };
            let kind = what.kind.as_str();
            let (from, to) = (version(&what.from), version(&what.to));
            format!("{kind}: {from} → {to} ({files} file{s})")
        })
        .collect();
    changes.join("<br>")
}

fn which_set(data: &CleanData) -> String {
    let label = |packed: Option<&crate::version_set::PackedSet>| {
        packed.map(|p| format!(" <span{}>{}</span>", lang(&p.label), esc(&p.label)))
    };
    let plan = &data.release.plan;
    format!(
        "candidate <code>{}</code>{}<br>stable <code>{}</code>{}",
        plan.to,
        label(data.to.as_ref()).unwrap_or_default(),
        plan.from,
        label(data.from.as_ref()).unwrap_or_default(),
    )
}

fn how_verified(page: &Page<'_>) -> String {
    let count = |status| page.gates.iter().filter(|g| g.entry.status == status).count();
    let turns = page.data.steps.iter().filter(|s| s.is_turn()).count();
    format!(
        "{} gates pass, {} fail, {} are inconclusive. {} decisions were made with the two arms \
         side by side; {turns} of them changed something.",
        count(GateStatus::Pass),
        count(GateStatus::Fail),
        count(GateStatus::Inconclusive),
        page.data.steps.len(),
    )
}

fn way_back(data: &CleanData) -> String {
    let from = &data.release.plan.from;
    let how = match data.release.state.phase {
        Phase::RolledBack | Phase::ShutOff => format!(
            "It was rolled back: <code>{from}</code> is stable again and <code>{}</code> is \
             blocked. See <code>rollback.md</code>.",
            data.release.plan.to
        ),
        Phase::Running | Phase::Paused(_) => format!(
            "Roll the release back: one switch of the route table gives everyone \
             <code>{from}</code> again."
        ),
        Phase::Ended => format!(
            "It was an A/B test and is over: everyone is on <code>{from}</code>, and \
             <code>{}</code> is not blocked.",
            data.release.plan.to
        ),
        Phase::Promoted => format!(
            "Release <code>{from}</code> again; its files are kept in the store under that name."
        ),
    };
    match super::diff::way_back_problems(data) {
        Some(problems) if !problems.is_empty() => {
            let problems: Vec<String> = problems.iter().map(|p| esc(p)).collect();
            format!("{how}<br><strong>But:</strong> {}", problems.join("; "))
        }
        Some(_) | None => how,
    }
}

fn charts(out: &mut String, page: &Page<'_>) {
    out.push_str(
        "<h2>The four lines</h2>\n<p class=\"sub\">Candidate beside stable, as each decision saw \
         them: all counts accepted as evidence since the release started. Higher is worse. The \
         numbers are in <code>signals/lines.csv</code>.</p>\n",
    );
    if page.data.steps.is_empty() {
        out.push_str("<p>No decision was made yet, so there is nothing to draw.</p>\n");
        return;
    }
    for (_, svg) in page.charts {
        let _ = writeln!(out, "<figure>\n{svg}</figure>");
    }
}
