//! The evals that are kept, one a line, and two of them beside each other.

use super::eval;
use crate::clock::rfc3339;
use crate::lang::{self, Lang};
use crate::output::{aligned, one_line};
use tidegate_core::gate::{EvalReport, GateVerdict, PairedTest, RunRow};

/// Metrics that have their own column, where a run has them.
const COLUMNS: [&str; 6] = ["accuracy", "relevance", "bleu", "rouge_1", "rouge_l", "worst_slice"];

/// The runs as a table; `left_out` fit as well and are not shown.
pub(crate) fn runs(lang: Lang, rows: &[RunRow], left_out: usize) -> Vec<String> {
    if rows.is_empty() {
        let none = match lang {
            Lang::En => "no run fits",
            Lang::Zh => "没有符合的运行",
            Lang::Ja => "条件に合う実行はない",
        };
        return vec![none.to_owned()];
    }
    let head = match lang {
        Lang::En => ["run", "at", "model", "set", "verdict", "cases"],
        Lang::Zh => ["运行", "时间", "模型", "版本集", "结果", "用例"],
        Lang::Ja => ["実行", "日時", "モデル", "バージョンセット", "結果", "件数"],
    };
    let has = |metric: &&str| rows.iter().any(|row| row.metrics.contains_key(*metric));
    let metrics: Vec<&str> = COLUMNS.into_iter().filter(has).collect();
    let mut table =
        vec![head.into_iter().chain(metrics.iter().copied()).map(str::to_owned).collect()];
    table.extend(rows.iter().map(|row| line(row, &metrics)));
    let mut lines = aligned(&table, 5);
    if left_out > 0 {
        lines.push(match lang {
            Lang::En => format!("{left_out} more; `--limit` shows more"),
            Lang::Zh => format!("还有 {left_out} 个；用 `--limit` 显示更多"),
            Lang::Ja => format!("ほか {left_out} 件；`--limit` で増やせる"),
        });
    }
    lines
}

fn line(row: &RunRow, metrics: &[&str]) -> Vec<String> {
    let verdict = match row.verdict {
        GateVerdict::Pass => "pass",
        GateVerdict::Fail => "fail",
        GateVerdict::Inconclusive => "inconclusive",
    };
    let mut cells = vec![
        row.run_id.clone(),
        rfc3339(row.at),
        one_line(&row.model),
        row.version_set.to_string(),
        verdict.to_owned(),
        row.total.to_string(),
    ];
    cells.extend(metrics.iter().map(|metric| match row.metrics.get(*metric) {
        Some(value) => format!("{value:.3}"),
        None => "–".to_owned(),
    }));
    cells
}

/// Two runs: what broke and what is fixed, then every metric that both have.
pub(crate) fn compared(before: &EvalReport, after: &EvalReport) -> Vec<String> {
    let lang = lang::reader();
    let Some(comparison) = &after.comparison else { return Vec::new() };
    let mut lines = eval::compared_lines(lang, comparison);
    let head = match lang {
        Lang::En => ["metric", "cases", "before", "now", "p"],
        Lang::Zh => ["指标", "用例", "之前", "现在", "p"],
        Lang::Ja => ["指標", "件数", "前", "今", "p"],
    };
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(comparison.tests.iter().map(|test| {
        let PairedTest { metric, cases, before, now, p: _, p_holm } = test;
        let numbers = [format!("{before:.3}"), format!("{now:.3}"), format!("{p_holm:.4}")];
        [metric.clone(), cases.to_string()].into_iter().chain(numbers).collect()
    }));
    if table.len() > 1 {
        lines.push(String::new());
        lines.extend(aligned(&table, 1));
    }
    if before.cases_digest != after.cases_digest {
        lines.push(
            match lang {
                Lang::En => {
                    "the cases of the two runs are not the same: only shared ones are compared"
                }
                Lang::Zh => "两次运行的用例不同：只比较共有的用例",
                Lang::Ja => "二つの実行のケースは同じでない：共通のものだけを比べた",
            }
            .to_owned(),
        );
    }
    lines
}
