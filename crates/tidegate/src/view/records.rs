//! What is said of a deletion of records.

use crate::lang::Lang;
use std::collections::BTreeMap;

/// What would be deleted, before it is.
pub(crate) fn would_be_deleted(lang: Lang, records: u64) -> Vec<String> {
    let lines = match lang {
        Lang::En => [
            format!("{records} records would be deleted"),
            "nothing was deleted; with `--yes` they are, for ever".to_owned(),
        ],
        Lang::Zh => [
            format!("将删除 {records} 条记录"),
            "尚未删除；加上 `--yes` 才会删除，且无法恢复".to_owned(),
        ],
        Lang::Ja => [
            format!("記録 {records} 件が削除の対象"),
            "まだ何も削除していない。`--yes` を付けると削除し、元に戻せない".to_owned(),
        ],
    };
    lines.into()
}

/// What a deletion does not touch: evidence packs by their folder, with how many of the samples in
/// them are of the one who is deleted.
pub(crate) fn kept_elsewhere(lang: Lang, packs: &BTreeMap<String, u64>) -> Vec<String> {
    let mut lines: Vec<String> = packs
        .iter()
        .map(|(path, samples)| match lang {
            Lang::En => format!("kept: {samples} redacted samples in the evidence pack {path}"),
            Lang::Zh => format!("保留：证据包 {path} 中有 {samples} 条脱敏样本"),
            Lang::Ja => format!("残る: 証拠 {path} に匿名化した見本が {samples} 件"),
        })
        .collect();
    lines.push(
        match lang {
            Lang::En => "kept: regression cases made of records, and the sums of `tidegate cost`",
            Lang::Zh => "保留：由记录生成的回归用例，以及 `tidegate cost` 的合计",
            Lang::Ja => "残る: 記録から作った回帰ケースと、`tidegate cost` の合計",
        }
        .to_owned(),
    );
    lines
}
