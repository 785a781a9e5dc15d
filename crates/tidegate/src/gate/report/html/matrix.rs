//! The matrix of cases and checks, each case with its answer beside the one of the run before.

use super::{CASES_MAX, Words, anchor, cut};
use crate::version_set::{Edit, by_words};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use tidegate_core::evidence::page::{esc, lang};
use tidegate_core::gate::{CaseResult, CheckResult, EvalReport, Repeats, RowError, RunBefore};

/// The cases that the page shows, the worst first.
pub(super) struct Matrix<'a> {
    words: &'a Words,
    report: &'a EvalReport,
    /// The run before, and what finds its results.
    before: Option<(&'a EvalReport, RunBefore)>,
    /// Their places in the run.
    places: Vec<usize>,
    left_out: usize,
    /// What can be filtered by.
    slices: BTreeSet<String>,
    risks: BTreeSet<&'static str>,
    flaky: Vec<(String, Repeats)>,
}

impl<'a> Matrix<'a> {
    pub(super) fn of(
        words: &'a Words,
        report: &'a EvalReport,
        previous: Option<&'a EvalReport>,
    ) -> Result<Matrix<'a>, RowError> {
        let mut flaky = Vec::new();
        let mut places: Vec<(Status, usize)> = Vec::with_capacity(report.results.len());
        for (at, result) in report.results.iter().enumerate() {
            let result = result?;
            places.push((Status::of(&result), at));
            if result.is_flaky() {
                flaky.push((result.case.id.clone(), result.repeats.unwrap_or_default()));
            }
        }
        // Within a status, the order of the files.
        places.sort_unstable();
        let left_out = places.len().saturating_sub(CASES_MAX);
        places.truncate(CASES_MAX);
        let places: Vec<usize> = places.into_iter().map(|(_, at)| at).collect();
        let (mut slices, mut risks) = (BTreeSet::new(), BTreeSet::new());
        for at in &places {
            let result = report.results.read(*at)?;
            slices.extend(result.case.slices());
            risks.insert(result.case.risk.as_str());
        }
        let before = previous.map(|run| RunBefore::of(run).map(|of| (run, of))).transpose()?;
        Ok(Matrix { words, report, before, places, left_out, slices, risks, flaky })
    }

    pub(super) fn flaky(&self, out: &mut String) {
        if self.flaky.is_empty() {
            return;
        }
        let _ = writeln!(out, "<h2>{}</h2>\n<ul>", self.words.flaky_cases(self.flaky.len()));
        for (id, Repeats { answered, passed }) in &self.flaky {
            let (anchor, id) = (anchor(id), esc(id));
            let said = self.words.correct_in(*passed, *answered);
            let _ = writeln!(out, "<li><a href=\"#{anchor}\">{id}</a>: {said}</li>");
        }
        out.push_str("</ul>\n");
    }

    pub(super) fn write(&self, file: &mut dyn io::Write) -> io::Result<()> {
        let words = self.words;
        let mut out = format!("<h2>{}</h2>\n", words.cases);
        self.filters(&mut out);
        if self.left_out > 0 {
            let _ = writeln!(out, "<p class=\"note\">{}</p>", words.more_cases(self.left_out));
        }
        let changed = self.report.comparison.iter();
        let changed =
            changed.flat_map(|comparison| comparison.broken.iter().chain(&comparison.fixed));
        let changed: BTreeSet<&str> = changed.map(String::as_str).collect();
        for at in &self.places {
            let result = self.report.results.read(*at).map_err(io::Error::other)?;
            let id = result.case.id.as_str();
            let before = self.before.as_ref().and_then(|(run, of)| Some((run, of.place_of(id)?)));
            let before = before.map(|(run, at)| run.results.read(at)).transpose();
            let before = before.map_err(io::Error::other)?;
            case(&mut out, words, &result, (before.as_deref(), changed.contains(id)));
            file.write_all(out.as_bytes())?;
            out.clear();
        }
        file.write_all(out.as_bytes())
    }

    fn filters(&self, out: &mut String) {
        let options = |values: &mut dyn Iterator<Item = String>| -> String {
            values.map(|value| format!("<option>{}</option>", esc(&value))).collect()
        };
        let words = self.words;
        let [text, status, class, slice, changed] = words.filters;
        let all = words.all;
        let of_status = |status: &Status| {
            format!("<option value=\"{}\">{}</option>", status.key(), status.word(words))
        };
        let statuses: String = Status::ALL.iter().map(of_status).collect();
        let risks = options(&mut self.risks.iter().map(|risk| (*risk).to_owned()));
        let _ = write!(
            out,
            "<form id=\"filters\" hidden>\n\
             <label>{text} <input id=\"text\" type=\"search\"></label>\n\
             <label>{status} <select id=\"status\"><option value=\"\">{all}</option>\
             {statuses}</select>\
             </label>\n<label>{class} <select id=\"risk\"><option value=\"\">{all}</option>{risks}\
             </select></label>\n"
        );
        if !self.slices.is_empty() {
            let slices = options(&mut self.slices.iter().cloned());
            let _ = writeln!(
                out,
                "<label>{slice} <select id=\"slice\"><option value=\"\">{all}</option>\
                 {slices}</select>\
                 </label>"
            );
        }
        let _ = write!(
            out,
            "<label><input id=\"changed\" type=\"checkbox\"> {changed}</label>\n\
             <output id=\"shown\" data-words=\"{}\"></output>\n</form>\n",
            words.shown,
        );
    }
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

    /// As the page's script knows it.
    fn key(self) -> &'static str {
        match self {
            Status::Failed => "failed",
            Status::Unanswered => "no answer",
            Status::Flaky => "flaky",
            Status::Correct => "correct",
        }
    }

    fn word(self, words: &Words) -> &'static str {
        match self {
            Status::Failed => words.failed,
            Status::Unanswered => words.no_answer,
            Status::Flaky => words.flaky,
            Status::Correct => words.correct,
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

fn case(
    out: &mut String,
    words: &Words,
    result: &CaseResult,
    (before, changed): (Option<&CaseResult>, bool),
) {
    let case = &result.case;
    let status = Status::of(result);
    let slices: Vec<String> = case.slices().into_iter().collect();
    let _ = write!(
        out,
        "<details id=\"{}\" class=\"case\" data-status=\"{}\" data-risk=\"{}\" data-slices=\"{}\" \
         data-changed=\"{}\">\n<summary><span class=\"status {}\">{}</span> <b>{}</b> \
         <span class=\"sub\">{} · {} · {:.2} · {} ms</span> ",
        anchor(&case.id),
        status.key(),
        case.risk.as_str(),
        esc(&slices.join("\n")),
        u8::from(changed),
        status.class(),
        status.word(words),
        esc(&case.id),
        case.risk.as_str(),
        case.severity.as_str(),
        result.score,
        result.latency_ms,
    );
    result.checks.iter().for_each(|check| chip(out, check));
    out.push_str("</summary>\n");
    text(out, words, words.asked, &case.input);
    if !case.expected_behavior.is_empty() {
        text(out, words, words.should, &case.expected_behavior);
    }
    if let Some(expected) = &case.expected {
        text(out, words, words.reference, expected);
    }
    if let Some(error) = &result.error {
        text(out, words, words.no_answer, error);
    }
    let counts = |check: &&CheckResult| check.weight > 0.0 && !check.detail.is_empty();
    for check in result.checks.iter().filter(counts) {
        text(out, words, &check.check, &check.detail);
    }
    let before = before.and_then(|before| before.actual.as_deref());
    match (before, result.actual.as_deref()) {
        (Some(before), Some(now)) if before != now => side_by_side(out, words, before, now),
        (Some(_), Some(now)) => text(out, words, words.answer_as_before, now),
        (None, Some(now)) => text(out, words, words.answer, now),
        (Some(before), None) => text(out, words, words.answer_before, before),
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

fn text(out: &mut String, words: &Words, label: &str, text: &str) {
    let (label, cut) = (esc(label), esc(&cut(words, text)));
    let _ = writeln!(out, "<h4>{label}</h4>\n<pre{}>{cut}</pre>", lang(text));
}

/// Both answers, what differs marked.
fn side_by_side(out: &mut String, words: &Words, before: &str, now: &str) {
    let (before, now) = (cut(words, before), cut(words, now));
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
        "<div class=\"sides\"><div><h4>{}</h4><pre{}>{left}</pre></div>\
         <div><h4>{}</h4><pre{}>{right}</pre></div></div>",
        words.answer_before,
        lang(&before),
        words.answer,
        lang(&now),
    );
}
