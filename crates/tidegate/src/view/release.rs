//! A release on a screen: its ladder, its lines, and why it stands where it stands.

use super::words::{ReleaseWords, VerdictWords, Words};
use crate::clock::{rfc3339, spoken};
use crate::lang::{self, Lang};
use crate::output::{self, Tone, padded, paint, terminal_width, wrapped};
use serde::Serialize;
use tidegate_core::decide::{
    BandUnit, Decision, Line, LineRule, Phase, Plan, Reason, ReasonCode, Signal, readings,
};
use tidegate_core::ids::{IncidentId, UnixMs};
use tidegate_core::incident::{Incident, Subject};
use tidegate_core::journal::{ControlState, Release};
use tidegate_core::route::Weight;

/// The tone of a signal.
pub(crate) fn tone(signal: Signal) -> Tone {
    match signal {
        Signal::Green => Tone::Green,
        Signal::Yellow => Tone::Yellow,
        Signal::Red => Tone::Red,
        Signal::Black => Tone::Black,
    }
}

/// A release in full.
pub(crate) fn release(release: &Release, state: &ControlState, now: UnixMs) -> Vec<String> {
    let (lang, plan) = (lang::reader(), &release.plan);
    let words = &Words::of(lang).release;
    let label = |id| state.sets.get(id).map_or("", |set| set.label.as_str());
    let until = release.ended_at.unwrap_or(now);
    let mut lines = vec![
        format!(
            "{} {}  {} → {}  {}",
            paint(Tone::Bold, words.release),
            paint(Tone::Bold, plan.change_id.as_str()),
            label(&plan.from),
            label(&plan.to),
            paint(
                Tone::Dim,
                &format!(
                    "{} · {}",
                    lang.phase(release.state.phase),
                    span(lang, until.since(release.started_at) as f64 / 1000.0)
                )
            ),
        ),
        labelled(words.ladder, &ladder(words, release)),
    ];
    if let Some(decision) = &release.last_decision {
        lines.extend(wrapped(&labelled(words.signal, &headline(decision)), LABEL));
        let pause = decision.reasons.iter().skip(1).find(|r| r.code() == ReasonCode::PausedByLines);
        let pause = pause.map(|reason| labelled(words.pause, &lang.sentence(reason)));
        lines.extend(pause.iter().flat_map(|text| wrapped(text, LABEL)));
        lines.extend(table(lang, plan, decision));
    }
    if let Some(incident) = state.incident_of(&plan.change_id) {
        lines.push(self::incident(&IncidentId::of_release(&plan.change_id), incident));
    }
    if let Some(pack) = &release.pack {
        lines.push(labelled(words.evidence, &pack.path));
    }
    lines
}

/// Columns of a row's label with the blank after it.
const LABEL: usize = 9;

fn labelled(label: &str, text: &str) -> String {
    format!("{}{text}", padded(label, LABEL))
}

/// A length of time, to the second.
fn span(lang: Lang, seconds: f64) -> String {
    let [h, min, s, ms] = match lang {
        Lang::En => return spoken(seconds),
        Lang::Zh => ["小时", "分", "秒", "毫秒"],
        Lang::Ja => ["時間", "分", "秒", "ミリ秒"],
    };
    let text = spoken(seconds);
    let words = text.split(' ').map(|word| match word {
        "h" => h,
        "min" => min,
        "s" => s,
        "ms" => ms,
        number => number,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A release in one line, for logs and pipes.
pub(crate) fn one_line(release: &Release, state: &ControlState) -> String {
    let weight = weight(release.state.phase, state);
    let headline = release.last_decision.as_ref().map(headline).unwrap_or_default();
    let at = release.last_decision.as_ref().map_or(release.started_at, |d| d.at);
    format!("{} {} {weight} {headline}", rfc3339(at), lang::reader().phase(release.state.phase))
}

/// The share that the candidate has; one that was promoted has everyone.
pub(crate) fn weight(phase: Phase, state: &ControlState) -> Weight {
    if phase == Phase::Promoted {
        return Weight::FULL;
    }
    state.split().map_or(Weight::ZERO, |split| split.weight)
}

/// A decision as one line of JSON, for pipes.
pub(crate) fn json_line(decision: &Decision, state: &ControlState) -> String {
    let first = decision.reasons.first();
    serde_json::json!({
        "at": rfc3339(decision.at),
        "phase": decision.state.phase.as_str(),
        "weight_pct": state.split().map(|split| split.weight.pct()),
        "decision": decision.kind,
        "signal": decision.signal,
        "reason": first.map(Told::of),
    })
    .to_string()
}

/// A reason in JSON: its code and numbers, and the sentence in English beside them.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    #[serde(flatten)]
    reason: &'a Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Told<'_> {
    pub(crate) fn of(reason: &Reason) -> Told<'_> {
        // A stored reason has its text already.
        let text = match reason {
            Reason::Stored(_) => None,
            reason => Some(Lang::En.sentence(reason)),
        };
        Told { reason, text }
    }
}

/// One incident in one line.
pub(crate) fn incident(id: &IncidentId, incident: &Incident) -> String {
    let status = match &incident.closed {
        Some((_, conclusion)) => format!("closed: {conclusion}"),
        None => format!("open, {} case(s) written back", incident.case_ids.len()),
    };
    let seen = match &incident.subject {
        Subject::Release { .. } => String::new(),
        Subject::Service { set, .. } => format!(
            " {} answers of {set}, {} of them sent to a client:",
            incident.red_lines, incident.went_out
        ),
    };
    format!(
        "incident {id}: {}:{seen} {} ({status})",
        paint(tone(incident.signal), incident.signal.as_str()),
        lang::reader().cause(&incident.reason)
    )
}

/// What was decided, from what, and why, in one line.
pub(crate) fn headline(decision: &Decision) -> String {
    let lang = lang::reader();
    let why = decision.reasons.first().map(|reason| lang.sentence(reason)).unwrap_or_default();
    let signal = paint(tone(decision.signal), &format!("● {}", lang.signal(decision.signal)));
    let kind = lang.decision(decision.kind);
    match lang {
        Lang::En => format!("{signal} {kind}: {why}"),
        Lang::Zh | Lang::Ja => format!("{signal} {kind}：{why}"),
    }
}

fn ladder(words: &ReleaseWords, release: &Release) -> String {
    let rungs: Vec<String> = release
        .plan
        .rungs
        .iter()
        .enumerate()
        .map(|(i, rung)| {
            let here = i == release.state.rung;
            let passed = || match release.ordered_rungs.contains(&i) {
                // No evidence passed it.
                true => paint(Tone::Yellow, &format!("{} {}", rung.weight, words.by_order)),
                false => paint(Tone::Green, &format!("{} ✓", rung.weight)),
            };
            match release.state.phase {
                Phase::Promoted => passed(),
                Phase::RolledBack | Phase::ShutOff if release.taken_back => passed(),
                Phase::RolledBack | Phase::ShutOff if here => {
                    paint(Tone::Red, &format!("[{} ✗]", rung.weight))
                }
                Phase::Running | Phase::Paused(_) if here => {
                    paint(Tone::Bold, &format!("[{}]", rung.weight))
                }
                _ if i < release.state.rung => passed(),
                _ => paint(Tone::Dim, &rung.weight.to_string()),
            }
        })
        .collect();
    let after =
        if release.taken_back { format!(" ▸ {}", words.taken_back) } else { String::new() };
    format!("{}{after}", rungs.join(" ▸ "))
}

/// The lines with their numbers, one metric a row.
fn table(lang: Lang, plan: &Plan, decision: &Decision) -> Vec<String> {
    let words = &Words::of(lang).release;
    let mut rows: Vec<&Reason> = Vec::new();
    for reason in &decision.reasons {
        if reason.metric().is_some() && !rows.iter().any(|row| row.metric() == reason.metric()) {
            rows.push(reason);
        }
    }
    // An order on what is over already looks at no lines.
    if rows.is_empty() {
        return Vec::new();
    }
    rows.sort_by_key(|reason| reason.line());
    let mut lines = vec![paint(Tone::Dim, &row(words.columns.map(str::to_owned), None))];
    let watched: Vec<&LineRule> = rows
        .iter()
        .filter_map(|row| plan.rules.iter().find(|rule| Some(rule.metric) == row.metric()))
        .collect();
    // A decision works out the interval of its own reason only.
    let readings = readings(plan, &decision.state);
    let at_most = |reason: &Reason| {
        let reading = readings.iter().find(|reading| reading.metric() == reason.metric());
        let high = |reason: &Reason| reason.numbers().and_then(|numbers| numbers.high);
        high(reason).or(reading.and_then(high))
    };
    lines.extend(rows.iter().filter_map(|reason| metric_row(lang, plan, reason, at_most(reason))));
    let notes = notes(lang, &watched).into_iter().flat_map(|note| wrapped(&note, 2));
    lines.extend(notes.map(|note| paint(Tone::Dim, &note)));
    lines
}

/// How differences are read where that is not plain from the two values beside them.
fn notes(lang: Lang, rules: &[&LineRule]) -> Vec<String> {
    let mut notes = Vec::new();
    if !rules.is_empty() {
        notes.push(Words::of(lang).release.differences.to_owned());
    }
    for rule in rules.iter().filter(|rule| rule.floor > 0.0) {
        let floor = lang.value(rule.metric, rule.floor);
        let metric = rule.metric.as_str();
        notes.push(match lang {
            Lang::En => format!("{metric}: the first {floor} of a difference do not count"),
            Lang::Zh => format!("{metric}：{floor} 以内的差不计"),
            Lang::Ja => format!("{metric}：{floor} 以内の差は数えない"),
        });
    }
    let of_good_share =
        |rule: &&&LineRule| rule.band.is_some_and(|band| band.unit == BandUnit::Relative);
    for rule in rules.iter().filter(|rule| rule.metric.is_rate()).filter(of_good_share) {
        let metric = rule.metric.as_str();
        notes.push(match lang {
            Lang::En => {
                format!("{metric}: differences are relative to the good share, 100 % less it")
            }
            Lang::Zh => format!("{metric}：差是相对于好的那部分（100 % 减去它）"),
            Lang::Ja => format!("{metric}：差は良い側の割合（100 % からの残り）に対する比"),
        });
    }
    notes
}

/// `at_most` is the harm that is proven not to be exceeded.
fn metric_row(lang: Lang, plan: &Plan, reason: &Reason, at_most: Option<f64>) -> Option<String> {
    let (metric, numbers) = (reason.metric()?, reason.numbers()?);
    let words = &Words::of(lang).release;
    let rule = plan.rules.iter().find(|rule| rule.metric == metric)?;
    let unit = rule.band.map_or(BandUnit::Relative, |band| band.unit);
    let value = |value: Option<f64>| value.map_or("–".to_owned(), |v| lang.value(metric, v));
    let harm = |harm: Option<f64>| harm.map_or("–".to_owned(), |h| lang.harm(h, unit));
    let limit = match (rule.band, rule.ceiling) {
        (Some(band), _) => lang.harm(band.rollback, unit),
        (None, Some(ceiling)) => lang.value(metric, ceiling),
        (None, None) => "–".to_owned(),
    };
    let count = |count: Option<u64>| count.unwrap_or_default();
    let (word, tone) = verdict(&words.verdicts, reason.code());
    let cells = [
        line_name(words, reason.line()?).to_owned(),
        word.to_owned(),
        metric.as_str().to_owned(),
        value(numbers.candidate),
        value(numbers.stable),
        harm(numbers.estimate),
        harm(at_most),
        limit,
        format!("{} / {}", count(numbers.samples_candidate), count(numbers.samples_stable)),
    ];
    Some(row(cells, Some(tone)))
}

/// Widths of the table's columns; the last is as wide as it needs.
const WIDTHS: [usize; 9] = [8, 8, 21, 13, 13, 12, 12, 12, 14];
/// Columns that a narrow terminal goes without, the first to go first.
const DROPPED: [usize; 4] = [0, 6, 8, 4];

/// Which columns fit into a terminal of this width.
fn fitting(width: usize) -> [bool; 9] {
    let mut shown = [true; 9];
    for column in DROPPED {
        let taken: usize =
            WIDTHS.iter().zip(shown).filter(|(_, shown)| *shown).map(|(width, _)| width + 1).sum();
        if taken <= width {
            break;
        }
        shown[column] = false;
    }
    shown
}

/// One row of the table; the verdict's word takes the tone.
fn row(cells: [String; 9], tone: Option<Tone>) -> String {
    let shown = fitting(terminal_width());
    let mut text = String::new();
    for (i, (cell, width)) in cells.iter().zip(WIDTHS).enumerate().filter(|(i, _)| shown[*i]) {
        let cell = padded(cell, width);
        match tone {
            Some(tone) if i == 1 => text.push_str(&paint(tone, &cell)),
            Some(_) | None => text.push_str(&cell),
        }
        text.push(' ');
    }
    text.trim_end().to_owned()
}

fn line_name(words: &ReleaseWords, line: Line) -> &'static str {
    let [quality, latency, cost, risk] = words.lines;
    match line {
        Line::Quality => quality,
        Line::Latency => latency,
        Line::Cost => cost,
        Line::Risk => risk,
    }
}

fn verdict(words: &VerdictWords, code: ReasonCode) -> (&'static str, Tone) {
    match code {
        ReasonCode::Pass => (words.pass, Tone::Green),
        ReasonCode::OverRollback
        | ReasonCode::OverCeiling
        | ReasonCode::OverBudget
        | ReasonCode::PauseLimit => (words.over, Tone::Red),
        ReasonCode::OverPause => (words.pause, Tone::Yellow),
        ReasonCode::BetweenPassAndPause => (words.hold, Tone::Yellow),
        ReasonCode::BaselineDrift => (words.drift, Tone::Yellow),
        ReasonCode::Uncertain => (words.unsure, Tone::Yellow),
        ReasonCode::Skipped => (words.no_data, Tone::Dim),
        ReasonCode::RedLine => (words.red_line, Tone::Black),
        ReasonCode::SampleRatio => (words.split, Tone::Yellow),
        ReasonCode::Order
        | ReasonCode::AllPass
        | ReasonCode::Gap
        | ReasonCode::Clean
        | ReasonCode::ColdStart
        | ReasonCode::SharedFault
        | ReasonCode::TooFewSamples
        | ReasonCode::NoData
        | ReasonCode::Looking
        | ReasonCode::Decided
        | ReasonCode::Final
        | ReasonCode::Paused
        | ReasonCode::PausedByLines => ("", Tone::Dim),
    }
}

/// Draws lines over the ones drawn before; gives how many rows they take.
pub(crate) fn redraw(lines: &[String], drawn: usize) -> usize {
    let width = terminal_width();
    let mut text = String::new();
    if drawn > 0 {
        text.push_str(&format!("\u{1b}[{drawn}A"));
    }
    let mut rows = 0;
    for line in lines {
        let line = cut(line, width);
        rows += 1;
        text.push_str(&format!("\u{1b}[2K{line}\n"));
    }
    for _ in rows..drawn {
        text.push_str("\u{1b}[2K\n");
    }
    output::raw(&text);
    rows.max(drawn)
}

/// The text cut to a width in columns, escape sequences not counted.
fn cut(text: &str, width: usize) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for (c, wide) in output::columns(text) {
        if used + wide > width.saturating_sub(1) {
            out.push('…');
            // Colours are closed even where their end was cut off.
            out.push_str("\u{1b}[0m");
            return out;
        }
        used += wide;
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_keeps_what_decides() {
        assert_eq!(fitting(usize::MAX), [true; 9]);
        let narrow = fitting(80);
        // The verdict, the metric, the candidate, the difference and the line it must not pass.
        for column in [1, 2, 3, 5, 7] {
            assert!(narrow[column], "{column}");
        }
        let taken: usize =
            WIDTHS.iter().zip(narrow).filter(|(_, shown)| *shown).map(|(w, _)| w + 1).sum();
        assert!(taken <= 80, "{taken}");
    }

    #[test]
    fn a_cut_keeps_wide_characters_whole() {
        assert_eq!(cut("退款 refund", 6), "退款 …\u{1b}[0m");
        assert_eq!(cut("short", 20), "short");
    }
}
