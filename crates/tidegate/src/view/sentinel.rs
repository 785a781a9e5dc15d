//! What the runs of the fixed cases say of the model behind stable.

use super::moment::moment;
use crate::lang::{self, Lang};
use crate::output::{Tone, paint};
use tidegate_core::decide::Reason;
use tidegate_core::drift::{
    CASES_MIN, Drift, DriftVerdict, Names, Sentinel, SentinelSpent, Unclear,
};
use tidegate_core::ids::IncidentId;
use tidegate_core::money::usd;

/// A run that was just made: what it says, with its numbers, and what it used.
pub(crate) fn sentinel_run(drift: Option<&Drift>, spent: &SentinelSpent) -> Vec<String> {
    let lang = lang::reader();
    let mut lines = vec![verdict(lang, drift)];
    if let Some(drift) = drift {
        lines.extend(numbers(lang, drift));
    }
    lines.push(paint(Tone::Dim, &used(lang, spent)));
    lines
}

/// What is known: the last run, the reference, the change that holds releases, what it all cost.
pub(crate) fn sentinel_status(sentinel: &Sentinel) -> Vec<String> {
    let lang = lang::reader();
    let Some((at, note)) = &sentinel.last else {
        return vec![
            match lang {
                Lang::En => "no run yet: `tidegate sentinel run`, or `sentinel: {every: 6h}`",
                Lang::Zh => "还没有运行过：`tidegate sentinel run`，或设置 `sentinel: {every: 6h}`",
                Lang::Ja => {
                    "まだ実行していない：`tidegate sentinel run` または `sentinel: {every: 6h}`"
                }
            }
            .to_owned(),
        ];
    };
    let mut lines = vec![verdict(lang, note.drift.as_ref())];
    if let Some(drift) = &note.drift {
        lines.extend(numbers(lang, drift));
    }
    if let Some(changed) = sentinel_change(lang, sentinel) {
        lines.push(paint(Tone::Yellow, &changed));
    }
    let (run, runs, at) = (&note.run_id, sentinel.runs, moment(*at));
    lines.push(match lang {
        Lang::En => format!("last run {run} at {at}, of {runs}"),
        Lang::Zh => format!("上次运行 {run}，{at}，共 {runs} 次"),
        Lang::Ja => format!("最後の実行 {run}、{at}、計 {runs} 回"),
    });
    if let Some(reference) = &sentinel.reference {
        let (run, set, at) = (&reference.run_id, &reference.set, moment(reference.at));
        let by = reference.by.as_deref();
        lines.push(match (lang, by) {
            (Lang::En, None) => format!("compared with {run} of {set}, {at}"),
            (Lang::En, Some(by)) => format!("compared with {run} of {set}, accepted by {by}, {at}"),
            (Lang::Zh, None) => format!("对照 {run}（{set}），{at}"),
            (Lang::Zh, Some(by)) => format!("对照 {run}（{set}），由 {by} 接受，{at}"),
            (Lang::Ja, None) => format!("比較の基準 {run}（{set}）、{at}"),
            (Lang::Ja, Some(by)) => format!("比較の基準 {run}（{set}）、{by} が承認、{at}"),
        });
    }
    lines.push(paint(Tone::Dim, &used(lang, &sentinel.spent)));
    lines
}

/// The change that nobody has accepted, in a sentence.
pub(crate) fn sentinel_change(lang: Lang, sentinel: &Sentinel) -> Option<String> {
    sentinel.change().map(|change| lang.sentence(&Reason::Drift(Box::new(change))))
}

/// What became of a run that control keeps.
pub(super) fn kept(
    lang: Lang,
    verdict: Option<DriftVerdict>,
    incident: Option<&IncidentId>,
) -> String {
    let text = verdict_text(lang, verdict);
    match (incident, lang) {
        (None, _) => text.to_owned(),
        (Some(id), Lang::En) => format!("{text}; incident {id} is open"),
        (Some(id), Lang::Zh) => format!("{text}；事故 {id} 未关闭"),
        (Some(id), Lang::Ja) => format!("{text}。インシデント {id} は未解決"),
    }
}

/// That a change is accepted.
pub(super) fn accepted(lang: Lang, run_id: &str) -> String {
    match lang {
        Lang::En => format!("the model is taken as run {run_id} found it; releases go on"),
        Lang::Zh => format!("已按运行 {run_id} 的结果接受该模型；发布继续"),
        Lang::Ja => format!("実行 {run_id} の結果どおりにモデルを承認した。リリースは続く"),
    }
}

/// What a run says, in a sentence.
fn verdict_text(lang: Lang, verdict: Option<DriftVerdict>) -> &'static str {
    match (verdict, lang) {
        (None, Lang::En) => "kept as the reference: later runs are compared with it",
        (None, Lang::Zh) => "已作为对照保存：以后的运行都与它比较",
        (None, Lang::Ja) => "比較の基準として保存した：以後の実行はこれと比べる",
        (Some(DriftVerdict::Unchanged), Lang::En) => "unchanged",
        (Some(DriftVerdict::Unchanged), Lang::Zh) => "没有变化",
        (Some(DriftVerdict::Unchanged), Lang::Ja) => "変化なし",
        (Some(DriftVerdict::ModelRenamed), Lang::En) => "CHANGED: the server names another model",
        (Some(DriftVerdict::ModelRenamed), Lang::Zh) => "变了：服务器自称另一个模型",
        (Some(DriftVerdict::ModelRenamed), Lang::Ja) => "変化：サーバーが別のモデルを名乗る",
        (Some(DriftVerdict::FingerprintChanged), Lang::En) => "CHANGED: another fingerprint",
        (Some(DriftVerdict::FingerprintChanged), Lang::Zh) => "变了：指纹不同",
        (Some(DriftVerdict::FingerprintChanged), Lang::Ja) => "変化：フィンガープリントが違う",
        (Some(DriftVerdict::AnswersChanged), Lang::En) => "CHANGED: the answers are others",
        (Some(DriftVerdict::AnswersChanged), Lang::Zh) => "变了：回答不同",
        (Some(DriftVerdict::AnswersChanged), Lang::Ja) => "変化：回答が違う",
        (Some(DriftVerdict::CannotTell), Lang::En) => "inconclusive",
        (Some(DriftVerdict::CannotTell), Lang::Zh) => "无法判断",
        (Some(DriftVerdict::CannotTell), Lang::Ja) => "判断できない",
    }
}

fn verdict(lang: Lang, drift: Option<&Drift>) -> String {
    let verdict = drift.map(|drift| drift.verdict);
    let tone = match verdict {
        None | Some(DriftVerdict::Unchanged) => Tone::Green,
        Some(DriftVerdict::CannotTell) => Tone::Yellow,
        Some(
            DriftVerdict::ModelRenamed
            | DriftVerdict::FingerprintChanged
            | DriftVerdict::AnswersChanged,
        ) => Tone::Red,
    };
    paint(tone, verdict_text(lang, verdict))
}

fn numbers(lang: Lang, drift: &Drift) -> Vec<String> {
    let mut lines = Vec::new();
    let (asked, unanswered, cases) = (drift.asked, drift.unanswered, drift.cases);
    lines.extend(drift.unclear.map(|unclear| match (unclear, lang) {
        (Unclear::NoAnswers, Lang::En) => {
            format!("  {unanswered} of {asked} questions got no answer: an outage is no drift")
        }
        (Unclear::NoAnswers, Lang::Zh) => {
            format!("  {asked} 个问题中 {unanswered} 个没有回答：故障不算变化")
        }
        (Unclear::NoAnswers, Lang::Ja) => {
            format!("  {asked} 問のうち {unanswered} 問に回答なし：障害は変化とみなさない")
        }
        (Unclear::TooFewCases, Lang::En) => {
            format!("  {cases} cases have answers in both runs; {CASES_MIN} or more are needed")
        }
        (Unclear::TooFewCases, Lang::Zh) => {
            format!("  两次运行都有回答的用例只有 {cases} 个，至少要 {CASES_MIN} 个")
        }
        (Unclear::TooFewCases, Lang::Ja) => {
            format!("  両方に回答のあるケースは {cases} 件、{CASES_MIN} 件以上が必要")
        }
    }));
    if let Some(error) = drift.error.as_ref().filter(|_| drift.unclear.is_some()) {
        lines.push(format!("  {error}"));
    }
    lines.extend(named("model", &drift.models));
    lines.extend(named("system_fingerprint", &drift.fingerprints));
    lines.extend(drift.tests.iter().map(|test| {
        let (metric, before, now, p) = (&test.metric, test.before, test.now, test.p_holm);
        format!("  {metric:<18} {before:.3} → {now:.3}  (p {p:.4}, n {})", test.cases)
    }));
    lines
}

fn named(what: &str, names: &Names) -> Option<String> {
    let list = |names: &[String]| match names {
        [] => "–".to_owned(),
        names => names.join(", "),
    };
    let is_named = !names.before.is_empty() || !names.now.is_empty();
    is_named.then(|| format!("  {what:<18} {} → {}", list(&names.before), list(&names.now)))
}

fn used(lang: Lang, spent: &SentinelSpent) -> String {
    let SentinelSpent { requests, tokens_in, tokens_out, cost } = *spent;
    let (tokens, cost) = (tokens_in.saturating_add(tokens_out), usd(u128::from(cost.0)));
    match lang {
        Lang::En => format!("{requests} questions, {tokens} tokens, ${cost}; in no user's books"),
        Lang::Zh => format!("{requests} 次提问，{tokens} 个 token，${cost}；不计入任何用户"),
        Lang::Ja => {
            format!("質問 {requests} 回、{tokens} トークン、${cost}。利用者の帳簿には入らない")
        }
    }
}
