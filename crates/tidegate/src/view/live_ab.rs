//! What people see of an A/B test on live traffic.

use super::moment::moment;
use crate::lang::Lang;
use crate::output::{Tone, aligned, paint};
use serde::Serialize;
use tidegate_core::decide::{
    AbArm, AbLine, AbPlan, AbVerdict, BandUnit, MetricUnit, Phase, ab_arms, ab_lines,
};
use tidegate_core::ids::{ChangeId, UnixMs, VersionSetId};
use tidegate_core::journal::Release;
use tidegate_core::route::Weight;

/// An A/B test as answers and evidence have it, with the names that the offline comparison has.
#[derive(Debug, Serialize)]
pub(crate) struct AbAnswer {
    pub(crate) name: String,
    pub(crate) change_id: ChangeId,
    /// Whether it runs.
    pub(crate) running: bool,
    phase: Phase,
    by: String,
    /// The candidate's share of subjects, percent.
    split_pct: f64,
    started_at: UnixMs,
    ends_at: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<UnixMs>,
    /// When the numbers are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<UnixMs>,
    /// Why it goes on, or ended, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Stable's arm.
    #[serde(rename = "A")]
    pub(crate) a: AbArm,
    /// The candidate's.
    #[serde(rename = "B")]
    pub(crate) b: AbArm,
    /// Of the first metric: how rarely chance alone shows as much, however often one looks.
    p_value: f64,
    /// Whether a difference of the first metric is proven.
    significant: bool,
    /// The chance of finding a difference of any metric where there is none.
    alpha: f64,
    pub(crate) metrics: Vec<AbLine>,
}

impl AbAnswer {
    /// Of a release; `None` where it is no A/B test.
    pub(crate) fn of(release: &Release) -> Option<AbAnswer> {
        let (plan, state) = (&release.plan, &release.state);
        let ab = plan.ab.as_ref()?;
        let [a, b] = ab_arms(plan, state)?;
        let metrics = ab_lines(plan, state);
        let first = metrics.first()?;
        let decision = release.last_decision.as_ref();
        let why = decision.and_then(|decision| decision.reasons.first());
        Some(AbAnswer {
            name: ab.name.clone(),
            change_id: plan.change_id.clone(),
            running: !state.phase.is_final(),
            phase: state.phase,
            by: release.by.clone(),
            split_pct: plan.rungs.first().map_or(0.0, |rung| rung.weight.pct()),
            started_at: release.started_at,
            ends_at: ab.ends_at,
            ended_at: release.ended_at,
            at: decision.map(|decision| decision.at),
            why: why.map(|reason| Lang::En.sentence(reason)),
            a,
            b,
            p_value: first.p_value,
            significant: first.verdict != AbVerdict::Open,
            alpha: ab.alpha,
            metrics,
        })
    }
}

/// That an A/B test began.
pub(super) fn ab_started(
    lang: Lang,
    (change_id, label): (&ChangeId, &str),
    ab: &AbPlan,
    weight: Weight,
) -> String {
    let AbPlan { name, stable_arm, candidate_arm, ends_at, .. } = ab;
    let (rest, ends) = (weight.rest(), moment(*ends_at));
    match lang {
        Lang::En => format!(
            "A/B test {name} ({change_id}) started: {candidate_arm} is {label} for {weight} of \
             users, {stable_arm} is stable for {rest}; until {ends}"
        ),
        Lang::Zh => format!(
            "A/B 测试 {name}（{change_id}）已开始：{candidate_arm} 是 {label}，占 {weight} 的用户；\
             {stable_arm} 是稳定版，占 {rest}；到 {ends} 为止"
        ),
        Lang::Ja => format!(
            "A/B テスト {name}（{change_id}）を開始：{candidate_arm} は {label} でユーザーの \
             {weight}、{stable_arm} は安定版で {rest}。{ends} まで"
        ),
    }
}

/// That it is over.
pub(super) fn ab_ended(lang: Lang, change_id: &ChangeId, stable: Option<&VersionSetId>) -> String {
    let stable = stable.map_or_else(String::new, ToString::to_string);
    match lang {
        Lang::En => format!(
            "A/B test {change_id} is over; everyone is on {stable} again. What it found: `tidegate \
             ab status`"
        ),
        Lang::Zh => {
            format!("A/B 测试 {change_id} 已结束；所有人回到 {stable}。结果：`tidegate ab status`")
        }
        Lang::Ja => format!(
            "A/B テスト {change_id} は終了。全員が {stable} に戻った。結果：`tidegate ab status`"
        ),
    }
}

/// That there is none, and how to start one.
pub(crate) fn no_ab(lang: Lang) -> [&'static str; 2] {
    const START: &str = "`tidegate ab start --prompt v2 --name greeting --metric dislike_rate`";
    match lang {
        Lang::En => ["no A/B test yet", START],
        Lang::Zh => ["还没有 A/B 测试", START],
        Lang::Ja => ["A/B テストはまだない", START],
    }
}

/// An A/B test in full.
pub(crate) fn live_ab(lang: Lang, ab: &AbAnswer) -> Vec<String> {
    let AbAnswer { name, change_id, a, b, .. } = ab;
    let (phase, until) = (lang.phase(ab.phase), moment(ab.ended_at.unwrap_or(ab.ends_at)));
    let state = match (lang, ab.running) {
        (Lang::En, true) => format!("{phase}, until {until}"),
        (Lang::En, false) => format!("{phase} {until}"),
        (Lang::Zh, true) => format!("{phase}，到 {until} 为止"),
        (Lang::Zh, false) => format!("{phase}，{until}"),
        (Lang::Ja, true) => format!("{phase}、{until} まで"),
        (Lang::Ja, false) => format!("{phase}、{until}"),
    };
    let mut lines = vec![format!(
        "{} {}  {}",
        paint(Tone::Bold, "A/B"),
        paint(Tone::Bold, name),
        paint(Tone::Dim, &format!("{change_id} · {state}")),
    )];
    lines.extend(arms(lang, ab.split_pct, [a, b]));
    lines.extend(metrics(lang, &ab.metrics, [&a.arm, &b.arm]));
    lines.extend(ab.metrics.iter().map(|line| verdict(lang, line, [&a.arm, &b.arm])));
    lines
}

fn arms(lang: Lang, split_pct: f64, arms: [&AbArm; 2]) -> Vec<String> {
    let heads = match lang {
        Lang::En => ["arm", "version set", "split", "answers", "scored", "score", "std", "latency"],
        Lang::Zh => ["臂", "版本组合", "占比", "回答", "有评分", "得分", "标准差", "延迟"],
        Lang::Ja => {
            ["アーム", "バージョン", "配分", "回答", "評価あり", "スコア", "標準偏差", "遅延"]
        }
    };
    let score = |score: Option<f64>| score.map_or("–".to_owned(), |score| format!("{score:.3}"));
    let row = |(arm, pct): (&AbArm, f64)| {
        [
            arm.arm.clone(),
            arm.version_set.to_string(),
            format!("{pct} %"),
            arm.count.to_string(),
            arm.scored.to_string(),
            score(arm.avg_score),
            score(arm.score_std),
            arm.avg_latency.map_or("–".to_owned(), |ms| format!("{ms:.0} ms")),
        ]
    };
    let [a, b] = arms;
    aligned(&[heads.map(str::to_owned), row((a, 100.0 - split_pct)), row((b, split_pct))], 2)
}

fn metrics(lang: Lang, lines: &[AbLine], [a, b]: [&str; 2]) -> Vec<String> {
    let (difference, range) = match lang {
        Lang::En => ("difference", "from – to"),
        Lang::Zh => ("差值", "区间"),
        Lang::Ja => ("差", "区間"),
    };
    let metric = match lang {
        Lang::En => "metric",
        Lang::Zh => "指标",
        Lang::Ja => "指標",
    };
    let mut rows = vec![[metric, a, b, difference, range, "p"].map(str::to_owned)];
    rows.extend(lines.iter().map(|line| {
        let value = |value: Option<f64>| value.map_or("–".to_owned(), |v| unit(line, v));
        let moved = |by: Option<f64>, open: &str| by.map_or(open.to_owned(), |by| moved(line, by));
        [
            line.metric.as_str().to_owned(),
            value(line.stable),
            value(line.candidate),
            moved(line.difference, "–"),
            format!("{} – {}", moved(line.low, "−∞"), moved(line.high, "∞")),
            p_value(line.p_value),
        ]
    }));
    aligned(&rows, 2)
}

fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

fn unit(line: &AbLine, value: f64) -> String {
    match line.metric.unit() {
        MetricUnit::Share => format!("{:.2} %", value * 100.0),
        MetricUnit::Ms => format!("{value:.0} ms"),
        MetricUnit::Tokens => format!("{value:.0}"),
        MetricUnit::Usd => format!("${value:.6}"),
    }
}

fn moved(line: &AbLine, by: f64) -> String {
    match line.unit {
        BandUnit::Points => format!("{:+.1} pt", by * 100.0),
        BandUnit::Relative => format!("{:+.1} %", by * 100.0),
    }
}

/// What is known of one metric, as a sentence.
fn verdict(lang: Lang, line: &AbLine, [a, b]: [&str; 2]) -> String {
    let metric = line.metric.as_str();
    let (tone, better, worse) = match line.verdict {
        AbVerdict::Open => {
            let text = match (lang, line.more) {
                (Lang::En, None) => format!("{metric}: no difference is proven so far"),
                (Lang::En, Some(more)) => format!(
                    "{metric}: no difference is proven so far; about {more} more of {b} would \
                     prove one as large as this"
                ),
                (Lang::Zh, None) => format!("{metric}：尚未证明有差别"),
                (Lang::Zh, Some(more)) => {
                    format!("{metric}：尚未证明有差别；{b} 再有约 {more} 个样本可证明这么大的差别")
                }
                (Lang::Ja, None) => format!("{metric}：まだ差は証明されていない"),
                (Lang::Ja, Some(more)) => format!(
                    "{metric}：まだ差は証明されていない。{b} のあと約 {more} 件でこの大きさの差を証明できる"
                ),
            };
            return paint(Tone::Yellow, &text);
        }
        AbVerdict::Better => (Tone::Green, b, a),
        AbVerdict::Worse => (Tone::Red, a, b),
    };
    let at = line.found_at.map(moment).unwrap_or_default();
    let text = match lang {
        Lang::En => format!("{metric}: {better} is better than {worse}, proven {at}"),
        Lang::Zh => format!("{metric}：{better} 比 {worse} 好，证明于 {at}"),
        Lang::Ja => format!("{metric}：{better} は {worse} より良い（{at} に証明）"),
    };
    paint(tone, &text)
}
