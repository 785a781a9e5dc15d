//! A release on a screen: its ladder, its lines, and why it is where it is.

use super::answers::ReleaseAnswer;
use super::live_ab::{AbAnswer, live_ab};
use super::table::table;
use super::words::{ReleaseWords, Words};
use crate::clock::rfc3339;
use crate::lang::{self, Lang};
use crate::output::{self, Tone, padded, paint, terminal_height, terminal_width, wrapped};
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_core::approval::Approval;
use tidegate_core::decide::{Decision, Phase, Reason, ReasonCode, Signal};
use tidegate_core::ids::{IncidentId, UnixMs, VersionSetId};
use tidegate_core::incident::{Incident, Subject};
use tidegate_core::journal::{ControlState, Release};
use tidegate_core::observe::OutageRun;
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
    let lines = [format!(
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
                lang.span(until.since(release.started_at) as f64 / 1000.0)
            )
        ),
    )];
    let mut lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, 2)).collect();
    lines.extend(wrapped(&labelled(words.ladder, &ladder(words, release)), LABEL));
    if let Some(decision) = &release.last_decision {
        lines.extend(wrapped(&labelled(words.signal, &headline(decision)), LABEL));
        let pause = decision.reasons.iter().skip(1).find(|r| r.code() == ReasonCode::PausedByLines);
        let pause = pause.map(|reason| labelled(words.pause, &lang.sentence(reason)));
        lines.extend(pause.iter().flat_map(|text| wrapped(text, LABEL)));
    }
    if let Some(incident) = state.incident_of(&plan.change_id) {
        let id = IncidentId::of_release(&plan.change_id);
        lines.extend(wrapped(&self::incident(&id, incident), LABEL));
    }
    let approvals = release.approvals.iter().map(|it| labelled(approved(lang), &approval(it)));
    lines.extend(approvals.flat_map(|line| wrapped(&line, LABEL)));
    if let Some(pack) = &release.pack {
        lines.push(labelled(words.evidence, &pack.path));
    }
    // The table last: of a low terminal's live view its end is what may be missing.
    if let Some(decision) = &release.last_decision {
        lines.extend(table(lang, plan, decision));
    }
    if let Some(ab) = AbAnswer::of(release) {
        lines.extend(live_ab(lang, &ab));
    }
    lines
}

/// The approvals of sets that no release has had yet.
pub(crate) fn approvals(state: &ControlState) -> Vec<String> {
    let label = approved(lang::reader());
    let started =
        |set: &VersionSetId| state.releases.values().any(|release| release.plan.to == *set);
    let waiting = state.approvals.iter().filter(|(set, _)| !started(set));
    let lines = waiting.flat_map(|(set, approvals)| {
        approvals.iter().map(move |it| labelled(label, &format!("{set}: {}", approval(it))))
    });
    lines.flat_map(|line| wrapped(&line, LABEL)).collect()
}

/// The label of an approval.
fn approved(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "approved",
        Lang::Zh => "批准",
        Lang::Ja => "承認",
    }
}

fn approval(approval: &Approval) -> String {
    let Approval { by, approver: _, reason, at, run_id: _ } = approval;
    format!("{by}, {}: {}", rfc3339(*at), output::one_line(reason))
}

/// Columns of a row's label with the blank after it.
const LABEL: usize = 9;

fn labelled(label: &str, text: &str) -> String {
    format!("{}{text}", padded(label, LABEL))
}

/// A release in one line, for logs and pipes.
pub(crate) fn one_line(release: &Release, state: &ControlState) -> String {
    let weight = weight(release.state.phase, state);
    let headline = release.last_decision.as_ref().map(headline).unwrap_or_default();
    let at = release.last_decision.as_ref().map_or(release.started_at, |d| d.at);
    let phase = lang::reader().phase(release.state.phase);
    format!("{} {phase} {weight} {headline}", rfc3339(at)).trim_end().to_owned()
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
    json!({
        "at": rfc3339(decision.at),
        "phase": decision.state.phase.as_str(),
        "weight_pct": state.split().map(|split| split.weight.pct()),
        "decision": decision.kind,
        "signal": decision.signal,
        "reason": first.map(WithSentence::of),
    })
    .to_string()
}

/// The release as JSON, each reason of its last decision with its sentence, in English as all JSON
/// is.
pub(crate) fn with_sentences(release: &Release) -> Value {
    let mut json = json!(ReleaseAnswer::from(release.clone()));
    let reasons = release.last_decision.iter().flat_map(|decision| &decision.reasons);
    let sentences = reasons.map(|reason| Lang::En.sentence(reason));
    if let Some(Value::Array(shown)) = json.pointer_mut("/last_decision/reasons") {
        for (reason, sentence) in shown.iter_mut().zip(sentences) {
            reason["text"] = json!(sentence);
        }
    }
    json
}

/// A reason in JSON: its code and numbers, and the sentence in English beside them.
#[derive(Serialize)]
pub(crate) struct WithSentence<'a> {
    #[serde(flatten)]
    reason: &'a Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl WithSentence<'_> {
    pub(crate) fn of(reason: &Reason) -> WithSentence<'_> {
        // A stored reason has its text already.
        let text = match reason {
            Reason::Stored(_) => None,
            reason => Some(Lang::En.sentence(reason)),
        };
        WithSentence { reason, text }
    }
}

/// One incident in one line.
pub(crate) fn incident(id: &IncidentId, incident: &Incident) -> String {
    let lang = lang::reader();
    let signal = paint(tone(incident.signal), lang.signal(incident.signal));
    let reason = lang.cause(&incident.reason);
    let (cases, seen, sent) = (incident.case_ids.len(), incident.red_lines, incident.went_out);
    let outage = incident.outage.as_deref().filter(|_| !has_conclusion(incident));
    let status = match (&incident.closed, lang) {
        (Some(_) | None, _) if outage.is_some() => {
            outage.map(|outage| outage_state(lang, outage)).unwrap_or_default()
        }
        (Some((_, conclusion)), _) if conclusion.is_empty() => as_before(lang).to_owned(),
        (Some((_, conclusion)), Lang::En) => format!("closed: {conclusion}"),
        (Some((_, conclusion)), Lang::Zh) => format!("已关闭：{conclusion}"),
        (Some((_, conclusion)), Lang::Ja) => format!("終了：{conclusion}"),
        (None, _) if matches!(incident.subject, Subject::Drift { .. }) => is_open(lang).to_owned(),
        (None, Lang::En) if cases == 1 => "open, 1 case written back".to_owned(),
        (None, Lang::En) => format!("open, {cases} cases written back"),
        (None, Lang::Zh) => format!("未关闭，已写回 {cases} 个用例"),
        (None, Lang::Ja) => format!("未解決、ケース {cases} 件を書き戻し済み"),
    };
    let of = match (&incident.subject, lang) {
        (Subject::Release { .. } | Subject::Outage { .. } | Subject::Drift { .. }, _) => {
            String::new()
        }
        (Subject::Service { set, .. }, Lang::En) => {
            format!(" {seen} answers of {set}, {sent} of them sent to a client:")
        }
        (Subject::Service { set, .. }, Lang::Zh) => {
            format!("{set} 的 {seen} 个回答，其中 {sent} 个到了客户端：")
        }
        (Subject::Service { set, .. }, Lang::Ja) => {
            format!("{set} の回答 {seen} 件、うち {sent} 件はクライアントに届いた：")
        }
    };
    match lang {
        Lang::En => format!("incident {id}: {signal}:{of} {reason} ({status})"),
        Lang::Zh => format!("事故 {id}：{signal}：{of}{reason}（{status}）"),
        Lang::Ja => format!("インシデント {id}：{signal}：{of}{reason}（{status}）"),
    }
}

/// That a changed model is as it was before.
fn as_before(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "over: it is as before",
        Lang::Zh => "已恢复原样",
        Lang::Ja => "元に戻った",
    }
}

/// That nobody has accepted the change.
fn is_open(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "open",
        Lang::Zh => "未关闭",
        Lang::Ja => "未解決",
    }
}

/// Whether a person closed it.
fn has_conclusion(incident: &Incident) -> bool {
    incident.closed.as_ref().is_some_and(|(_, conclusion)| !conclusion.is_empty())
}

/// Whether an outage lasts, and for how long it did.
fn outage_state(lang: Lang, outage: &OutageRun) -> String {
    let Some(ended_at) = outage.ended_at else {
        let since = rfc3339(outage.since);
        return match lang {
            Lang::En => format!("open since {since}"),
            Lang::Zh => format!("未关闭，始于 {since}"),
            Lang::Ja => format!("未解決、{since} から"),
        };
    };
    let lasted = lang.span(outage.lasted_ms(ended_at) as f64 / 1000.0);
    match lang {
        Lang::En => format!("over after {lasted}"),
        Lang::Zh => format!("已恢复，持续 {lasted}"),
        Lang::Ja => format!("復旧済み、{lasted} 継続"),
    }
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

/// Draws lines over the ones drawn before; gives how many rows they take. What is below a low
/// terminal's last row but one is left out: what was scrolled away cannot be drawn over.
pub(crate) fn redraw(lines: &[String], drawn: usize) -> usize {
    let width = terminal_width();
    let mut text = String::new();
    if drawn > 0 {
        text.push_str(&format!("\u{1b}[{drawn}A"));
    }
    let lines = shortened(lang::reader(), lines, terminal_height().saturating_sub(1));
    for line in &lines {
        text.push_str(&format!("\u{1b}[2K{}\n", cut(line, width)));
    }
    for _ in lines.len()..drawn {
        text.push_str("\u{1b}[2K\n");
    }
    output::raw(&text);
    lines.len().max(drawn)
}

/// As many lines as there is room for; the last says how many are missing.
fn shortened(lang: Lang, lines: &[String], room: usize) -> Vec<String> {
    if lines.len() <= room {
        return lines.to_vec();
    }
    let shown = room.saturating_sub(1);
    let missing = lines.len() - shown;
    let more = match lang {
        Lang::En => format!("… {missing} more lines in a taller terminal"),
        Lang::Zh => format!("… 终端再高一些，还能看到 {missing} 行"),
        Lang::Ja => format!("… ほか {missing} 行は端末を高くすると見える"),
    };
    let more = paint(Tone::Dim, &more);
    lines.iter().take(shown).cloned().chain([more]).collect()
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
    fn a_low_terminal_shows_the_first_lines() {
        let lines = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(shortened(Lang::En, &lines, 4), lines);
        let short = shortened(Lang::En, &lines, 3);
        assert_eq!(short[..2], lines[..2]);
        assert!(short.len() == 3 && short[2].contains("2 more lines"), "{short:?}");
    }

    #[test]
    fn a_cut_keeps_wide_characters_whole() {
        assert_eq!(cut("退款 refund", 6), "退款 …\u{1b}[0m");
        assert_eq!(cut("short", 20), "short");
    }
}
