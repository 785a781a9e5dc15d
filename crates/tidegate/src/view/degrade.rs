//! What people see of a service that is degraded.

use super::moment::moment;
use crate::lang::Lang;
use tidegate_core::degrade::{DegradeLevel, Degraded, Lack};
use tidegate_core::ids::ChangeId;

/// What a level switches off, with the levels before it.
fn what(lang: Lang, level: DegradeLevel) -> &'static str {
    match (lang, level) {
        (Lang::En, DegradeLevel::Short) => "expensive tools are off, answers are cut short",
        (Lang::En, DegradeLevel::Small) => "as 1, retrieval is off, a smaller model answers",
        (Lang::En, DegradeLevel::AllowList) => "as 2, only the allow-list is served",
        (Lang::En, DegradeLevel::FixedText) => "everyone gets a fixed text, no model is asked",
        (Lang::Zh, DegradeLevel::Short) => "关闭昂贵的工具，缩短回答",
        (Lang::Zh, DegradeLevel::Small) => "同 1，并关闭检索，由较小的模型回答",
        (Lang::Zh, DegradeLevel::AllowList) => "同 2，只为白名单服务",
        (Lang::Zh, DegradeLevel::FixedText) => "所有人得到固定文本，不调用模型",
        (Lang::Ja, DegradeLevel::Short) => "高価なツールを止め、回答を短くする",
        (Lang::Ja, DegradeLevel::Small) => "1 に加え、検索を止め、小さいモデルが答える",
        (Lang::Ja, DegradeLevel::AllowList) => "2 に加え、許可リストだけに応える",
        (Lang::Ja, DegradeLevel::FixedText) => "全員に固定の文を返し、モデルを呼ばない",
    }
}

/// What the project does not have, and what happens instead.
fn lacks(lang: Lang, lack: Lack) -> &'static str {
    match (lang, lack) {
        (Lang::En, Lack::ExpensiveTools) => "no tool is marked `expensive`, so all stay on",
        (Lang::En, Lack::Retrieval) => "no index is sent, so there is no retrieval to stop",
        (Lang::En, Lack::SmallerModel) => "no `degrade.model`, so the usual model answers",
        (Lang::En, Lack::AllowList) => "no `degrade.allow`, so everyone is still served",
        (Lang::Zh, Lack::ExpensiveTools) => "没有标为 `expensive` 的工具，工具全部保留",
        (Lang::Zh, Lack::Retrieval) => "没有发送索引，没有检索可关",
        (Lang::Zh, Lack::SmallerModel) => "没有 `degrade.model`，仍由原来的模型回答",
        (Lang::Zh, Lack::AllowList) => "没有 `degrade.allow`，仍为所有人服务",
        (Lang::Ja, Lack::ExpensiveTools) => "`expensive` のツールがなく、すべて残る",
        (Lang::Ja, Lack::Retrieval) => "索引を送っておらず、止める検索がない",
        (Lang::Ja, Lack::SmallerModel) => "`degrade.model` がなく、いつものモデルが答える",
        (Lang::Ja, Lack::AllowList) => "`degrade.allow` がなく、全員に応え続ける",
    }
}

/// The sentence of an order to degrade.
pub(super) fn degraded(
    lang: Lang,
    level: Option<DegradeLevel>,
    missing: &[Lack],
    paused: Option<&ChangeId>,
) -> String {
    let mut parts = vec![match (lang, level) {
        (Lang::En, Some(level)) => format!("degraded to level {level}: {}", what(lang, level)),
        (Lang::Zh, Some(level)) => format!("已降级到 {level} 级：{}", what(lang, level)),
        (Lang::Ja, Some(level)) => format!("レベル {level} に縮退した：{}", what(lang, level)),
        (Lang::En, None) => "degraded no more".to_owned(),
        (Lang::Zh, None) => "已解除降级".to_owned(),
        (Lang::Ja, None) => "縮退を解除した".to_owned(),
    }];
    parts.extend(missing.iter().map(|lack| lacks(lang, *lack).to_owned()));
    parts.extend(paused.map(|change_id| match (lang, level.is_some()) {
        (Lang::En, true) => format!("release {change_id} is paused"),
        (Lang::En, false) => {
            format!("release {change_id} is still paused: `tidegate release resume`")
        }
        (Lang::Zh, true) => format!("发布 {change_id} 已暂停"),
        (Lang::Zh, false) => format!("发布 {change_id} 仍在暂停：`tidegate release resume`"),
        (Lang::Ja, true) => format!("リリース {change_id} を一時停止した"),
        (Lang::Ja, false) => {
            format!("リリース {change_id} は一時停止のまま：`tidegate release resume`")
        }
    }));
    parts.join(match lang {
        Lang::En => "; ",
        Lang::Zh => "；",
        Lang::Ja => "。",
    })
}

/// That the service is degraded, by which person and why.
pub(crate) fn is_degraded(lang: Lang, degraded: &Degraded) -> String {
    let Degraded { level, by, reason, since } = degraded;
    let (what, since) = (what(lang, *level), moment(*since));
    match lang {
        Lang::En => format!("degraded to level {level} ({what}) by {by} since {since}: {reason}"),
        Lang::Zh => format!("{by} 于 {since} 降级到 {level} 级（{what}）：{reason}"),
        Lang::Ja => format!("{by} が {since} にレベル {level} に縮退（{what}）：{reason}"),
    }
}

/// That nothing is switched off.
pub(crate) fn is_not_degraded(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "not degraded",
        Lang::Zh => "没有降级",
        Lang::Ja => "縮退していない",
    }
}
