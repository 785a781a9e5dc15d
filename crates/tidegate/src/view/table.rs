//! The lines of a release with their numbers, one metric a row.

use super::words::{ReleaseWords, VerdictWords, Words};
use crate::lang::Lang;
use crate::output::{Tone, padded, paint, terminal_width, wrapped};
use tidegate_core::decide::{
    BandUnit, Decision, Line, LineRule, Plan, Reason, ReasonCode, readings,
};
use unicode_width::UnicodeWidthStr as _;

/// The lines with their numbers, one metric a row.
pub(super) fn table(lang: Lang, plan: &Plan, decision: &Decision) -> Vec<String> {
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
    let watched: Vec<&LineRule> = rows
        .iter()
        .filter_map(|row| plan.rules.iter().find(|rule| Some(rule.metric) == row.metric()))
        .collect();
    // A decision works out only the interval of the metric in its reason.
    let readings = readings(plan, &decision.state);
    let at_most = |reason: &Reason| {
        let reading = readings.iter().find(|reading| reading.metric() == reason.metric());
        let high = |reason: &Reason| reason.numbers().and_then(|numbers| numbers.high);
        high(reason).or(reading.and_then(high))
    };
    let cells = |reason: &&Reason| metric_row(lang, plan, reason, at_most(reason));
    let rows: Vec<Row> = rows.iter().filter_map(cells).collect();
    let header = Row { cells: words.columns.map(str::to_owned), tone: None };
    let widths = widths(&rows);
    let mut lines = vec![paint(Tone::Dim, &header.text(&widths))];
    lines.extend(rows.iter().map(|row| row.text(&widths)));
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
            Lang::Zh => format!("{metric}：{floor} 以内的差值不计"),
            Lang::Ja => format!("{metric}：{floor} 以内の差は数えない"),
        });
    }
    let of_good_share =
        |rule: &&&LineRule| rule.band.is_some_and(|band| band.unit == BandUnit::Relative);
    let rates = rules.iter().filter(|rule| rule.metric.is_rate()).filter(of_good_share);
    let rates: Vec<&str> = rates.map(|rule| rule.metric.as_str()).collect();
    if !rates.is_empty() {
        let rates = rates.join(if lang == Lang::En { ", " } else { "、" });
        notes.push(match lang {
            Lang::En => {
                format!("{rates}: differences are relative to the good share (100 % less the rate)")
            }
            Lang::Zh => format!("{rates}：相差的值相对于良好的比例（100 % 减去该比率）"),
            Lang::Ja => format!("{rates}：差は良い側の割合（100 % からの残り）に対する比"),
        });
    }
    notes
}

/// `at_most` is the harm that is proven not to be exceeded.
fn metric_row(lang: Lang, plan: &Plan, reason: &Reason, at_most: Option<f64>) -> Option<Row> {
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
    Some(Row { cells, tone: Some(tone) })
}

/// A row's cells; the verdict's word takes the tone.
struct Row {
    cells: [String; 9],
    tone: Option<Tone>,
}

/// Widths of the table's columns, at least; the last is as wide as it needs.
const WIDTHS: [usize; 9] = [8, 8, 21, 13, 13, 12, 12, 12, 14];
/// Columns that a narrow terminal goes without, the first to go first.
const DROPPED: [usize; 4] = [0, 6, 8, 4];

/// The columns' widths; units are longer in some languages.
fn widths(rows: &[Row]) -> [usize; 9] {
    std::array::from_fn(|column| {
        let widest = rows.iter().map(|row| row.cells[column].width()).max().unwrap_or(0);
        widest.max(WIDTHS[column])
    })
}

/// Which columns fit into a terminal of this width.
fn fitting(widths: &[usize; 9], width: usize) -> [bool; 9] {
    let mut shown = [true; 9];
    for column in DROPPED {
        let taken: usize =
            widths.iter().zip(shown).filter(|(_, shown)| *shown).map(|(width, _)| width + 1).sum();
        if taken <= width {
            break;
        }
        shown[column] = false;
    }
    shown
}

impl Row {
    fn text(&self, widths: &[usize; 9]) -> String {
        let shown = fitting(widths, terminal_width());
        let mut text = String::new();
        let cells = self.cells.iter().zip(widths).enumerate().filter(|(i, _)| shown[*i]);
        for (i, (cell, width)) in cells {
            let cell = padded(cell, *width);
            match self.tone {
                Some(tone) if i == 1 => text.push_str(&paint(tone, &cell)),
                Some(_) | None => text.push_str(&cell),
            }
            text.push(' ');
        }
        text.trim_end().to_owned()
    }
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
        | ReasonCode::AbRuns
        | ReasonCode::AbOver
        | ReasonCode::Decided
        | ReasonCode::Final
        | ReasonCode::Paused
        | ReasonCode::PausedByLines
        | ReasonCode::Outage
        | ReasonCode::Drift => ("", Tone::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_keeps_what_decides() {
        assert_eq!(fitting(&WIDTHS, usize::MAX), [true; 9]);
        // As wide as units are in Chinese and Japanese.
        for widths in [WIDTHS, [8, 8, 21, 14, 14, 13, 13, 13, 14]] {
            let narrow = fitting(&widths, 80);
            // The verdict, the metric, the candidate, the difference, the line it must not pass.
            for column in [1, 2, 3, 5, 7] {
                assert!(narrow[column], "{column}");
            }
            let taken = widths.iter().zip(narrow).filter(|(_, shown)| *shown).map(|(w, _)| w + 1);
            assert!(taken.sum::<usize>() <= 80);
        }
    }

    #[test]
    fn a_cell_that_is_wider_moves_its_whole_column() {
        let row = |candidate: &str, tone| {
            let mut cells = WIDTHS.map(|_| "-".to_owned());
            cells[3] = candidate.to_owned();
            Row { cells, tone }
        };
        let rows = [row("192.0 个 token", Some(Tone::Green)), row("0.00 %", None)];
        let widths = widths(&rows);
        assert_eq!(widths[3], 14);
        let [wide, narrow] = rows.map(|row| row.text(&widths).width());
        assert_eq!(wide, narrow);
    }
}
