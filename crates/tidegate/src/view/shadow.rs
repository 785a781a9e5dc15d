//! What people see of a shadow.

use super::moment::moment;
use crate::lang::Lang;
use crate::output::{Tone, padded, paint, wrapped};
use serde::{Deserialize, Serialize};
use tidegate_core::ids::{UnixMs, VersionSetId};
use tidegate_core::money::Money;
use tidegate_core::pairs::{PairLine, PairUnit, PairVerdict};
use tidegate_core::shadow::{EndReason, Missed, Recorded, Shadow, ShadowEnd, ShadowVerdict, Used};
use unicode_width::UnicodeWidthStr as _;

/// A shadow as answers have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShadowAnswer {
    /// The set that is mirrored to.
    pub(crate) set: VersionSetId,
    label: String,
    /// The set that it is compared with.
    stable: VersionSetId,
    by: String,
    /// Whether it runs.
    pub(crate) running: bool,
    /// What it says so far, or found.
    pub(crate) verdict: ShadowVerdict,
    pairs: u64,
    /// What was used, with what is on its way.
    requests: u64,
    cost_usd: Money,
    max_requests: u64,
    max_cost_usd: Money,
    sample_pct: f64,
    /// Mirrors that were given up since the server started; 0 once it is over.
    dropped: u64,
    /// Requests that the caps, or what is granted of them, left no room for; 0 once it is over.
    #[serde(default)]
    capped: u64,
    started_at: UnixMs,
    ends_at: UnixMs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<UnixMs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<EndReason>,
    /// When the requests were recorded, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recorded: Option<Recorded>,
    lines: Vec<PairLine>,
}

impl ShadowAnswer {
    /// Of a shadow, with what is no pair at its server.
    pub(crate) fn of(shadow: &Shadow, missed: Missed) -> ShadowAnswer {
        let (plan, lines) = (&shadow.plan, shadow.lines());
        let ended = shadow.ended.as_ref();
        let Used { requests, cost } = shadow.used;
        ShadowAnswer {
            set: plan.to.clone(),
            label: plan.label.clone(),
            stable: plan.from.clone(),
            by: shadow.by.clone(),
            running: shadow.runs(),
            verdict: ended.map_or_else(|| ShadowVerdict::of(&lines), |end| end.verdict),
            pairs: shadow.pairs(),
            requests,
            cost_usd: cost,
            max_requests: plan.most.requests,
            max_cost_usd: plan.most.cost,
            sample_pct: plan.sample * 100.0,
            dropped: missed.dropped,
            capped: missed.capped,
            started_at: plan.created_at,
            ends_at: plan.ends_at,
            ended_at: ended.map(|end| end.at),
            why: ended.map(|end| end.why.clone()),
            recorded: plan.recorded,
            lines,
        }
    }

    /// When it began.
    pub(crate) fn started_at(&self) -> UnixMs {
        self.started_at
    }
}

/// A verdict in words.
pub(crate) fn verdict(lang: Lang, verdict: ShadowVerdict) -> &'static str {
    match (lang, verdict) {
        (Lang::En, ShadowVerdict::Better) => "better",
        (Lang::En, ShadowVerdict::NotWorse) => "not worse",
        (Lang::En, ShadowVerdict::Worse) => "worse",
        (Lang::En, ShadowVerdict::NotYet) => "not known yet",
        (Lang::Zh, ShadowVerdict::Better) => "更好",
        (Lang::Zh, ShadowVerdict::NotWorse) => "不更差",
        (Lang::Zh, ShadowVerdict::Worse) => "更差",
        (Lang::Zh, ShadowVerdict::NotYet) => "尚无定论",
        (Lang::Ja, ShadowVerdict::Better) => "より良い",
        (Lang::Ja, ShadowVerdict::NotWorse) => "悪くない",
        (Lang::Ja, ShadowVerdict::Worse) => "より悪い",
        (Lang::Ja, ShadowVerdict::NotYet) => "まだ分からない",
    }
}

/// That a shadow began.
pub(super) fn shadow_started(
    lang: Lang,
    (set, label): (&VersionSetId, &str),
    most: Used,
    ends_at: UnixMs,
) -> String {
    let (Used { requests, cost }, ends) = (most, moment(ends_at));
    match lang {
        Lang::En => format!(
            "shadow of {set} ({label}) started: at most {requests} requests and ${cost}, until \
             {ends}; users get stable's answers"
        ),
        Lang::Zh => format!(
            "{set}（{label}）的影子已开始：最多 {requests} 个请求、${cost}，到 {ends} 为止；\
             用户得到的是稳定版的回答"
        ),
        Lang::Ja => format!(
            "{set}（{label}）のシャドウを開始：最大 {requests} リクエスト、${cost}、{ends} まで。\
             ユーザーには安定版の回答が届く"
        ),
    }
}

/// That a shadow is over, and what it found.
pub(super) fn shadow_ended(
    lang: Lang,
    set: &VersionSetId,
    found: ShadowVerdict,
    pairs: u64,
) -> String {
    let found = verdict(lang, found);
    match lang {
        Lang::En => format!("the shadow of {set} is over: {found}, by {pairs} pairs"),
        Lang::Zh => format!("{set} 的影子已结束：{found}，共 {pairs} 对"),
        Lang::Ja => format!("{set} のシャドウは終了：{found}、{pairs} 組"),
    }
}

/// That there is none, and how to start one.
pub(crate) fn no_shadow(lang: Lang) -> [&'static str; 2] {
    match lang {
        Lang::En => ["no shadow yet", "start one: `tidegate shadow start --prompt v2`"],
        Lang::Zh => ["还没有影子", "开始一个：`tidegate shadow start --prompt v2`"],
        Lang::Ja => ["シャドウはまだない", "始める：`tidegate shadow start --prompt v2`"],
    }
}

/// A shadow in full.
pub(crate) fn shadow(lang: Lang, shadow: &ShadowAnswer) -> Vec<String> {
    let tone = match shadow.verdict {
        ShadowVerdict::Better | ShadowVerdict::NotWorse => Tone::Green,
        ShadowVerdict::Worse => Tone::Red,
        ShadowVerdict::NotYet => Tone::Yellow,
    };
    let word = paint(tone, verdict(lang, shadow.verdict));
    let ShadowAnswer { set, label, pairs, requests, max_requests, .. } = shadow;
    let (cost, most) = (shadow.cost_usd, shadow.max_cost_usd);
    let first = match lang {
        Lang::En => format!("shadow of {set} ({label}): {word}, by {pairs} pairs"),
        Lang::Zh => format!("{set}（{label}）的影子：{word}，共 {pairs} 对"),
        Lang::Ja => format!("{set}（{label}）のシャドウ：{word}、{pairs} 組"),
    };
    let used = match lang {
        Lang::En => format!("used {requests} of {max_requests} requests, ${cost} of ${most}"),
        Lang::Zh => format!("已用 {requests}/{max_requests} 个请求，${cost}/${most}"),
        Lang::Ja => format!("使用 {requests}/{max_requests} リクエスト、${cost}/${most}"),
    };
    let mut lines = wrapped(&first, 2);
    lines.extend(wrapped(&format!("{used}; {}", when(lang, shadow)), 2));
    if let Some(Recorded { since, until }) = shadow.recorded {
        let (since, until) = (moment(since), moment(until));
        lines.push(match lang {
            Lang::En => format!("of requests recorded from {since} to {until}"),
            Lang::Zh => format!("取自 {since} 到 {until} 记录的请求"),
            Lang::Ja => format!("{since} から {until} までに記録されたリクエスト"),
        });
    }
    lines.extend(table(lang, &shadow.lines, paint));
    let more = shadow.lines.iter().filter(|line| line.verdict == PairVerdict::Open);
    if let Some(more) = more.map(|line| line.more).max().flatten().filter(|_| *pairs > 0) {
        lines.push(match lang {
            Lang::En => format!("about {more} more pairs like these settle it"),
            Lang::Zh => format!("像这样的配对再有约 {more} 对就能定论"),
            Lang::Ja => format!("同じような組があと約 {more} あれば判定が出る"),
        });
    }
    lines
}

fn when(lang: Lang, shadow: &ShadowAnswer) -> String {
    let Some((at, why)) = shadow.ended_at.zip(shadow.why.as_ref()) else {
        let ends = moment(shadow.ends_at);
        let ShadowAnswer { dropped, capped, .. } = shadow;
        return match lang {
            Lang::En => format!(
                "runs until {ends} at the latest, {dropped} given up, {capped} without room"
            ),
            Lang::Zh => format!("最迟到 {ends}，放弃了 {dropped} 个，额度不够 {capped} 个"),
            Lang::Ja => format!("遅くとも {ends} まで、断念 {dropped} 件、枠不足 {capped} 件"),
        };
    };
    let why = ended(lang, why);
    match (lang, moment(at)) {
        (Lang::En, at) => format!("ended {at}: {why}"),
        (Lang::Zh, at) => format!("结束于 {at}：{why}"),
        (Lang::Ja, at) => format!("{at} に終了：{why}"),
    }
}

fn ended(lang: Lang, why: &EndReason) -> String {
    let text = match (lang, why) {
        (Lang::En, EndReason::Settled) => "the verdict is known",
        (Lang::En, EndReason::Time) => "its time was over",
        (Lang::En, EndReason::Caps) => "its cap was reached",
        (Lang::En, EndReason::OtherStable) => "stable is another set now",
        (Lang::En, EndReason::AllAsked) => "no more recorded requests",
        (Lang::Zh, EndReason::Settled) => "已有定论",
        (Lang::Zh, EndReason::Time) => "时间已到",
        (Lang::Zh, EndReason::Caps) => "达到上限",
        (Lang::Zh, EndReason::OtherStable) => "稳定版已是另一个版本集",
        (Lang::Zh, EndReason::AllAsked) => "没有更多记录的请求",
        (Lang::Ja, EndReason::Settled) => "判定が出た",
        (Lang::Ja, EndReason::Time) => "時間切れ",
        (Lang::Ja, EndReason::Caps) => "上限に達した",
        (Lang::Ja, EndReason::OtherStable) => "安定版が別のセットになった",
        (Lang::Ja, EndReason::AllAsked) => "記録されたリクエストが尽きた",
        (Lang::En, EndReason::RedLine { kind }) => {
            return format!("the candidate's answer crossed a red line ({})", kind.as_str());
        }
        (Lang::Zh, EndReason::RedLine { kind }) => {
            return format!("候选版的回答越过红线（{}）", kind.as_str());
        }
        (Lang::Ja, EndReason::RedLine { kind }) => {
            return format!("候補の回答がレッドラインを越えた（{}）", kind.as_str());
        }
        (Lang::En, EndReason::Order { by, reason }) => return format!("ordered by {by}: {reason}"),
        (Lang::Zh, EndReason::Order { by, reason }) => return format!("{by} 下令：{reason}"),
        (Lang::Ja, EndReason::Order { by, reason }) => return format!("{by} の指示：{reason}"),
    };
    text.to_owned()
}

/// How a shadow ended, as evidence has it: in English, without colours.
pub(crate) fn shadow_end(end: &ShadowEnd) -> String {
    let ShadowEnd { at, why, verdict: found, lines, pairs } = end;
    let (found, why) = (verdict(Lang::En, *found), ended(Lang::En, why));
    let first = format!("{found}, by {pairs} pairs; ended {}: {why}", moment(*at));
    let plain = |_: Tone, text: &str| text.to_owned();
    let table = table(Lang::En, lines, plain);
    std::iter::once(first).chain(table).collect::<Vec<_>>().join("\n")
}

/// The lines with their numbers, one metric a row.
fn table(lang: Lang, lines: &[PairLine], paint: fn(Tone, &str) -> String) -> Vec<String> {
    let columns = match lang {
        Lang::En => ["verdict", "metric", "difference", "from – to", "limit", "worse/better/pairs"],
        Lang::Zh => ["判定", "指标", "差值", "区间", "上限", "更差/更好/对数"],
        Lang::Ja => ["判定", "指標", "差", "区間", "上限", "悪い/良い/組"],
    };
    let mut rows = vec![(None, columns.map(str::to_owned))];
    rows.extend(lines.iter().map(|line| row(lang, line)));
    let width = |column: usize| rows.iter().map(|(_, row)| row[column].width()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|at| width(at).unwrap_or_default()).collect();
    let text = |(tone, row): &(Option<Tone>, [String; 6])| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let cell = padded(cell, *width);
            match tone {
                Some(tone) if at == 0 => paint(*tone, &cell),
                Some(_) => cell,
                None => paint(Tone::Dim, &cell),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(text).collect()
}

fn row(lang: Lang, line: &PairLine) -> (Option<Tone>, [String; 6]) {
    let value = |difference: f64| shown(difference, line.metric.unit());
    let (word, tone) = match (line.verdict, lang) {
        (PairVerdict::Within, Lang::En) => ("within", Tone::Green),
        (PairVerdict::Over, Lang::En) => ("OVER", Tone::Red),
        (PairVerdict::Open, Lang::En) => ("open", Tone::Yellow),
        (PairVerdict::Shown, Lang::En) => ("–", Tone::Dim),
        (PairVerdict::Within, Lang::Zh) => ("通过", Tone::Green),
        (PairVerdict::Over, Lang::Zh) => ("超限", Tone::Red),
        (PairVerdict::Open, Lang::Zh) => ("未定", Tone::Yellow),
        (PairVerdict::Shown, Lang::Zh) => ("–", Tone::Dim),
        (PairVerdict::Within, Lang::Ja) => ("範囲内", Tone::Green),
        (PairVerdict::Over, Lang::Ja) => ("超過", Tone::Red),
        (PairVerdict::Open, Lang::Ja) => ("未定", Tone::Yellow),
        (PairVerdict::Shown, Lang::Ja) => ("–", Tone::Dim),
    };
    let cells = [
        word.to_owned(),
        line.metric.as_str().to_owned(),
        line.mean.map_or("–".to_owned(), value),
        format!("{} – {}", value(line.low), value(line.high)),
        line.limit.map_or("–".to_owned(), |limit| value(limit.difference())),
        format!("{}/{}/{}", line.worse, line.better, line.pairs),
    ];
    (Some(tone), cells)
}

/// A mean difference as it is read: points of a share, or how many times stable's.
fn shown(difference: f64, unit: PairUnit) -> String {
    match unit {
        PairUnit::Points => format!("{:+.1} pt", difference * 100.0),
        PairUnit::Times if difference >= 0.99 => ">199×".to_owned(),
        PairUnit::Times => format!("{:.2}×", (1.0 + difference) / (1.0 - difference)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_read_as_points_and_times() {
        assert_eq!(shown(0.05, PairUnit::Points), "+5.0 pt");
        assert_eq!(shown(-0.012, PairUnit::Points), "-1.2 pt");
        assert_eq!(shown(1.0 / 3.0, PairUnit::Times), "2.00×");
        assert_eq!(shown(-1.0 / 3.0, PairUnit::Times), "0.50×");
        assert_eq!(shown(1.0, PairUnit::Times), ">199×");
        assert_eq!(shown(-1.0, PairUnit::Times), "0.00×");
    }
}
