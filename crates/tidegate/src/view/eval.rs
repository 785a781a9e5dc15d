//! An eval run: the failure table by class first, never one average; then what changed
//! against the run before; the accuracy last.

use super::judge;
use super::words::{EvalWords, Words};
use crate::lang::{self, Lang};
use crate::output::{Tone, one_line, padded, paint, right};
use std::collections::BTreeSet;
use tidegate_core::gate::{
    CaseResult, EvalReport, FailureRow, GateVerdict, PairedTest, Repeats, RowError, Rows,
    RunComparison, SLICE_CASES_MIN, SliceRow, detectable_drop, predictability,
};
use unicode_width::UnicodeWidthStr as _;

/// Failing cases of one class, or ids of one list, that a terminal shows; the file has them all.
const SHOWN: usize = 6;
/// Widest column of ids on a terminal.
const ID_WIDTH: usize = 40;
/// Columns of a class's name.
const CLASS_WIDTH: usize = 13;

/// The report in the reader's language.
///
/// # Errors
/// A result cannot be read.
pub(crate) fn eval(report: &EvalReport) -> Result<Vec<String>, RowError> {
    Ok(eval_in(lang::reader(), report)?.into_iter().map(painted).collect())
}

/// What changed between two runs, in the reader's language.
pub(super) fn compared_lines(lang: Lang, comparison: &RunComparison) -> Vec<String> {
    compared(lang, &Words::of(lang).eval, comparison).into_iter().map(painted).collect()
}

fn painted((tone, text): (Option<Tone>, String)) -> String {
    match tone {
        Some(tone) => paint(tone, &text),
        None => text,
    }
}

/// What is shown of single results.
#[derive(Debug, Default)]
struct Seen {
    /// Cases whose answer could not be judged: it is there, and its error says what is missing.
    unjudged: BTreeSet<String>,
    /// The first cases that passed in some of their repeats.
    flaky: Vec<(String, Repeats)>,
    flaky_count: usize,
    repeats: Vec<Repeats>,
    answered: u64,
}

impl Seen {
    fn of(report: &EvalReport) -> Result<Seen, RowError> {
        let mut seen = Seen::default();
        for result in report.results.iter() {
            let result = result?;
            seen.answered += u64::from(result.error.is_none());
            if result.error.is_some() && result.actual.is_some() {
                seen.unjudged.insert(result.case.id.clone());
            }
            seen.repeats.extend(result.repeats);
            if result.is_flaky() {
                seen.flaky_count += 1;
                if seen.flaky.len() < SHOWN {
                    let repeats = result.repeats.unwrap_or_default();
                    seen.flaky.push((result.case.id.clone(), repeats));
                }
            }
        }
        Ok(seen)
    }
}

/// The report's lines with their tones.
///
/// # Errors
/// A result cannot be read.
pub(crate) fn eval_in(
    lang: Lang,
    report: &EvalReport,
) -> Result<Vec<(Option<Tone>, String)>, RowError> {
    let words = &Words::of(lang).eval;
    let seen = Seen::of(report)?;
    let mut lines = table(lang, words, report, &seen.unjudged);
    lines.extend(flaky(lang, &seen));
    lines.extend(report.judge.iter().flat_map(|record| judge::lines(lang, record)));
    lines.extend(slices(lang, &report.slices));
    if let Some(comparison) = &report.comparison {
        lines.push((None, String::new()));
        lines.extend(compared(lang, words, comparison));
    }
    lines.push((None, String::new()));
    let share = |value: f64| format!("{:.1} %", value * 100.0);
    let (correct, total) = (report.correct, report.total);
    let counts = match lang {
        Lang::En => format!("({correct} of {total} correct)"),
        Lang::Zh => format!("（{total} 个里 {correct} 个正确）"),
        Lang::Ja => format!("（{total} 件中 {correct} 件が正解）"),
    };
    let labels = [words.accuracy, words.threshold, words.status];
    let width = labels.map(|label| label.width()).into_iter().max().unwrap_or(0);
    let row = |label: &str, value: &str| format!("{} {value}", padded(label, width));
    lines.push((None, row(words.accuracy, &format!("{} {counts}", share(report.accuracy)))));
    lines.push((None, row(words.threshold, &share(report.threshold))));
    lines.extend(spent(lang, report).map(|text| (None, text)));
    let (tone, word) = verdict(words, report.verdict);
    lines.push((Some(tone), row(words.status, word)));
    let reasons = report.reasons.iter().take(SHOWN);
    lines.extend(reasons.map(|reason| (Some(Tone::Dim), format!("  {}", one_line(reason)))));
    lines.push((Some(Tone::Dim), detectable(lang, report, seen.answered)));
    Ok(lines)
}

fn verdict(words: &EvalWords, verdict: GateVerdict) -> (Tone, &'static str) {
    match verdict {
        GateVerdict::Pass => (Tone::Green, words.passed),
        GateVerdict::Fail => (Tone::Red, words.failed),
        GateVerdict::Inconclusive => (Tone::Yellow, words.inconclusive),
    }
}

fn table(
    lang: Lang,
    words: &EvalWords,
    report: &EvalReport,
    unjudged: &BTreeSet<String>,
) -> Vec<(Option<Tone>, String)> {
    let rows = report.failure_table.as_slice();
    let row = |[class, cases, failed, unanswered]: [&str; 4]| {
        let class = padded(class, CLASS_WIDTH);
        format!("{class}{}{}{}", right(cases, 7), right(failed, 9), right(unanswered, 11))
    };
    let mut lines = vec![
        (Some(Tone::Bold), words.by_class.to_owned()),
        (Some(Tone::Dim), format!("  {}", row(words.columns))),
    ];
    let all = rows.iter().flat_map(|row| row.failed.iter().chain(&row.errors));
    let width = all.map(|(id, _)| one_line(id).width()).max().unwrap_or(0).min(ID_WIDTH);
    for FailureRow { risk, total, failed, errors, .. } in rows {
        let tone = match (failed.len(), errors.len(), total) {
            (1.., _, _) => Some(Tone::Red),
            (0, 1.., _) => Some(Tone::Yellow),
            (0, 0, 0) => Some(Tone::Dim),
            (0, 0, 1..) => None,
        };
        let counts = [*total, failed.len(), errors.len()].map(|count| count.to_string());
        let cells = [risk.as_str(), &counts[0], &counts[1], &counts[2]];
        lines.push((tone, format!("  {}", row(cells))));
        let failed = failed.iter().map(|(id, why)| (id, one_line(why)));
        let errors = errors.iter();
        let errors = errors.map(|(id, why)| match unjudged.contains(id) {
            true => (id, one_line(why)),
            false => (id, format!("{}: {}", words.no_answer, one_line(why))),
        });
        let named: Vec<(&String, String)> = failed.chain(errors).collect();
        for (id, why) in named.iter().take(SHOWN) {
            lines.push((None, format!("    {}  {why}", padded(&one_line(id), width))));
        }
        if named.len() > SHOWN {
            let more = named.len() - SHOWN;
            let more = match lang {
                Lang::En => format!("    +{more} more in the report"),
                Lang::Zh => format!("    报告里还有 {more} 个"),
                Lang::Ja => format!("    ほか {more} 件はレポートにある"),
            };
            lines.push((Some(Tone::Dim), more));
        }
    }
    lines
}

fn compared(
    lang: Lang,
    words: &EvalWords,
    comparison: &RunComparison,
) -> Vec<(Option<Tone>, String)> {
    let RunComparison { previous_run, broken, fixed, new, tests, detectable_drop: _ } = comparison;
    let (run, counts) = (one_line(previous_run), [broken.len(), fixed.len(), new.len()]);
    let [b, f, n] = counts;
    let head = match lang {
        Lang::En => format!("Against run {run}: {b} broken, {f} fixed, {n} new"),
        Lang::Zh => format!("与运行 {run} 相比：变坏 {b} 个，修好 {f} 个，新增 {n} 个"),
        Lang::Ja => format!("実行 {run} と比べて：悪化 {b} 件、改善 {f} 件、新規 {n} 件"),
    };
    let mut lines = vec![(Some(Tone::Bold), head)];
    let lists = [(Tone::Red, words.broken, broken), (Tone::Green, words.fixed, fixed)];
    for (tone, word, ids) in lists {
        if ids.is_empty() {
            continue;
        }
        let mut names: Vec<String> = ids.iter().take(SHOWN).map(|id| one_line(id)).collect();
        let rest = ids.len().saturating_sub(SHOWN);
        if rest > 0 {
            names.push(match lang {
                Lang::En => format!("+{rest} more"),
                Lang::Zh => format!("还有 {rest} 个"),
                Lang::Ja => format!("ほか {rest} 件"),
            });
        }
        lines.push((Some(tone), format!("  {}{}", padded(word, 8), names.join(", "))));
    }
    lines.extend(tests.iter().filter(|test| test.is_change()).map(|test| changed(lang, test)));
    if !tests.is_empty() && !tests.iter().any(PairedTest::is_change) {
        let text = match lang {
            Lang::En => "  no metric changed beyond chance",
            Lang::Zh => "  没有指标的变化超出偶然",
            Lang::Ja => "  偶然を超える指標の変化はない",
        };
        lines.push((Some(Tone::Dim), text.to_owned()));
    }
    lines
}

/// A metric that changed beyond chance, with its numbers.
fn changed(lang: Lang, test: &PairedTest) -> (Option<Tone>, String) {
    let PairedTest { metric, cases, before, now, p: _, p_holm } = test;
    let tone = if now < before { Tone::Red } else { Tone::Green };
    let text = match lang {
        Lang::En => format!("  {metric} {before:.3} -> {now:.3} over {cases} cases, p {p_holm:.4}"),
        Lang::Zh => format!("  {metric} {before:.3} -> {now:.3}，{cases} 个用例，p {p_holm:.4}"),
        Lang::Ja => format!("  {metric} {before:.3} -> {now:.3}、{cases} 件、p {p_holm:.4}"),
    };
    (Some(tone), text)
}

/// What an answer took on average; nothing where it is not known.
pub(crate) fn spent(lang: Lang, report: &EvalReport) -> Option<String> {
    let tokens = report.avg_tokens.map(|tokens| match lang {
        Lang::En => format!("{tokens:.1} tokens"),
        Lang::Zh => format!("{tokens:.1} 个 token"),
        Lang::Ja => format!("{tokens:.1} トークン"),
    });
    let cost = report.cost_per_query.map(|cost| format!("{} USD", in_usd(cost)));
    let both: Vec<String> = tokens.into_iter().chain(cost).collect();
    let text = match lang {
        Lang::En => format!("An answer took {} on average", both.join(", ")),
        Lang::Zh => format!("平均每个回答用 {}", both.join("，")),
        Lang::Ja => format!("回答 1 件の平均は {}", both.join("、")),
    };
    (!both.is_empty()).then_some(text)
}

/// Dollars with three digits that say something.
fn in_usd(cost: f64) -> String {
    let digits = match cost > 0.0 {
        true => (2.0 - cost.log10().floor()).clamp(2.0, 12.0),
        false => 0.0,
    };
    // From 0 to 12 just above.
    format!("{cost:.*}", digits as usize)
}

/// The cases that passed in some of their repeats; nothing where none did.
fn flaky(lang: Lang, seen: &Seen) -> Option<(Option<Tone>, String)> {
    let name = |(id, Repeats { answered, passed }): &(String, Repeats)| {
        format!("{} {passed}/{answered}", one_line(id))
    };
    let names: Vec<String> = seen.flaky.iter().map(name).collect();
    let (count, names) = (seen.flaky_count, names.join(", "));
    let agree = predictability(seen.repeats.iter().copied()).unwrap_or(1.0);
    let text = match lang {
        Lang::En => format!("Flaky: {count} ({names}); predictability {agree:.3}"),
        Lang::Zh => format!("时对时错：{count} 个（{names}）；可预测性 {agree:.3}"),
        Lang::Ja => format!("不安定：{count} 件（{names}）。予測可能性 {agree:.3}"),
    };
    (count > 0).then_some((Some(Tone::Yellow), text))
}

/// The slices that did worst; nothing where no case has one.
fn slices(lang: Lang, rows: &[SliceRow]) -> Vec<(Option<Tone>, String)> {
    if rows.is_empty() {
        return Vec::new();
    }
    let (count, least) = (rows.len(), SLICE_CASES_MIN);
    let head = match lang {
        Lang::En => format!("Slices, the worst first, with 95 % intervals ({count} in all)"),
        Lang::Zh => format!("切片，最差的在前，附 95 % 区间（共 {count} 个）"),
        Lang::Ja => format!("スライス、悪い順、95 % 区間つき（全 {count} 件）"),
    };
    let few = match lang {
        Lang::En => format!("fewer than {least} cases: decides nothing"),
        Lang::Zh => format!("不到 {least} 个用例：不作判定"),
        Lang::Ja => format!("{least} 件未満：判定に使わない"),
    };
    let shown = &rows[..rows.len().min(SHOWN)];
    let width = shown.iter().map(|row| one_line(&row.slice).width()).max().unwrap_or(0);
    let row = |row: &SliceRow| {
        let SliceRow { slice, answered, correct, accuracy, interval: (low, high), .. } = row;
        let name = padded(&one_line(slice), width.min(ID_WIDTH));
        let [accuracy, low, high] = [accuracy, low, high].map(|share| share * 100.0);
        let counts = right(&format!("{correct}/{answered}"), 11);
        let text = format!("  {name} {counts}  {accuracy:5.1} % ({low:.0}-{high:.0} %)");
        match row.decides() {
            true => (None, text),
            false => (Some(Tone::Dim), format!("{text}  {few}")),
        }
    };
    std::iter::once((Some(Tone::Bold), head)).chain(shown.iter().map(row)).collect()
}

/// The metric that is no share: how long answers took.
pub(crate) const LATENCY: &str = "latency";

/// These metrics in a line; one that the run does not measure is a dash.
///
/// # Errors
/// A result cannot be read.
pub(crate) fn metrics(
    lang: Lang,
    names: &[String],
    report: &EvalReport,
) -> Result<String, RowError> {
    let head = match lang {
        Lang::En => "Metrics: ",
        Lang::Zh => "指标：",
        Lang::Ja => "指標：",
    };
    let value = |name: &String| {
        Ok(match report.metrics.get(name) {
            _ if name == LATENCY => format!("{LATENCY} {}", latency(&report.results)?),
            Some(value) => format!("{name} {value:.3}"),
            None => format!("{name} –"),
        })
    };
    let values: Result<Vec<String>, RowError> = names.iter().map(value).collect();
    Ok(format!("{head}{}", values?.join(", ")))
}

/// The median and the 95th percentile of what was answered.
fn latency(results: &Rows<CaseResult>) -> Result<String, RowError> {
    let mut times: Vec<u64> = Vec::new();
    for result in results.iter() {
        let result = result?;
        if result.error.is_none() {
            times.push(result.latency_ms);
        }
    }
    times.sort_unstable();
    // The least time that so many answers do not exceed.
    let at = |pct: usize| times.get((times.len() * pct).div_ceil(100).saturating_sub(1));
    Ok(match (at(50), at(95)) {
        (Some(half), Some(most)) => format!("p50 {half} ms, p95 {most} ms"),
        (None, _) | (_, None) => "–".to_owned(),
    })
}

/// The smallest drop of accuracy that a comparison over these cases shows.
fn detectable(lang: Lang, report: &EvalReport, answered: u64) -> String {
    let drop = match &report.comparison {
        Some(comparison) if !comparison.tests.is_empty() => comparison.detectable_drop,
        Some(_) | None => detectable_drop(answered, 0),
    };
    match (lang, drop.map(|drop| format!("{:.1}", drop * 100.0))) {
        (Lang::En, Some(points)) => {
            format!("  smallest drop that this many cases show: {points} points")
        }
        (Lang::En, None) => "  too few cases to show any drop by comparison".to_owned(),
        (Lang::Zh, Some(points)) => format!("  这么多用例能看出的最小下降：{points} 个百分点"),
        (Lang::Zh, None) => "  用例太少，比较看不出任何下降".to_owned(),
        (Lang::Ja, Some(points)) => format!("  この件数で分かる最小の低下：{points} ポイント"),
        (Lang::Ja, None) => "  件数が少なく、比較では低下が分からない".to_owned(),
    }
}
