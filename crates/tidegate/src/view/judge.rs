//! The judge of an eval run: by which names it answered, and how far it agrees with people.

use crate::lang::Lang;
use crate::output::{Tone, one_line};
use tidegate_core::gate::{Agreement, JudgeRecord};

/// What a run says of its judge.
pub(super) fn lines(lang: Lang, record: &JudgeRecord) -> Vec<(Option<Tone>, String)> {
    let JudgeRecord { model, answered_as, agreement, .. } = record;
    let names: Vec<String> = answered_as.keys().map(|name| one_line(name)).collect();
    let (model, names) = (one_line(model), names.join(", "));
    let head = match (lang, names.is_empty()) {
        (Lang::En, false) => format!("Judge: {model}, answered as {names}"),
        (Lang::Zh, false) => format!("评审模型：{model}，自称 {names}"),
        (Lang::Ja, false) => format!("評価モデル：{model}、応答名 {names}"),
        (Lang::En, true) => format!("Judge: {model}"),
        (Lang::Zh, true) => format!("评审模型：{model}"),
        (Lang::Ja, true) => format!("評価モデル：{model}"),
    };
    let rows = agreement.iter().map(|(kind, counts)| (None, agrees(lang, kind, counts)));
    std::iter::once((Some(Tone::Dim), head)).chain(rows).collect()
}

fn agrees(lang: Lang, kind: &str, counts: &Agreement) -> String {
    let Agreement { cases, both_pass, both_fail, judge_passes, people_pass, kappa } = counts;
    let same = both_pass + both_fail;
    let kappa = kappa.map_or("-".to_owned(), |kappa| format!("{kappa:.2}"));
    match lang {
        Lang::En => format!(
            "  {kind}: agrees with people in {same} of {cases} cases, kappa {kappa}; \
             {judge_passes} good to the judge alone, {people_pass} to people alone"
        ),
        Lang::Zh => format!(
            "  {kind}：与人一致 {same}/{cases}，kappa {kappa}；只有评审模型认可 {judge_passes} 个，\
             只有人认可 {people_pass} 个"
        ),
        Lang::Ja => format!(
            "  {kind}：人と一致 {same}/{cases}、kappa {kappa}、評価モデルだけが可 {judge_passes} 件、\
             人だけが可 {people_pass} 件"
        ),
    }
}
