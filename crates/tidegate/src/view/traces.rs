//! Requests, one a line.

use super::words::{TraceWords, Words};
use crate::clock::rfc3339;
use crate::lang::Lang;
use crate::output::{Tone, aligned, paint};
use crate::store::RecordQuery;
use tidegate_core::evidence::Record;
use tidegate_core::route::Arm;

/// The words of the list.
struct TracesWords {
    none: &'static str,
    columns: [&'static str; 5],
    contract: &'static str,
}

impl TracesWords {
    fn of(lang: Lang) -> &'static TracesWords {
        match lang {
            Lang::En => &EN,
            Lang::Zh => &ZH,
            Lang::Ja => &JA,
        }
    }
}

static EN: TracesWords = TracesWords {
    none: "no request is kept that fits",
    columns: ["at (UTC)", "arm", "result", "ms", "trace"],
    contract: "contract",
};

static ZH: TracesWords = TracesWords {
    none: "没有符合条件的请求记录",
    columns: ["时间（UTC）", "分支", "结果", "毫秒", "追踪"],
    contract: "违反契约",
};

static JA: TracesWords = TracesWords {
    none: "条件に合うリクエストの記録はない",
    columns: ["時刻（UTC）", "系統", "結果", "ms", "トレース"],
    contract: "契約違反",
};

/// The requests, and whether there are more of them.
pub(crate) fn traces(lang: Lang, query: &RecordQuery, found: &[Record], more: bool) -> Vec<String> {
    let (words, shared) = (TracesWords::of(lang), &Words::of(lang).trace);
    if found.is_empty() {
        return vec![words.none.to_owned()];
    }
    let mut rows = vec![words.columns.map(str::to_owned)];
    rows.extend(found.iter().map(|record| cells(words, shared, record)));
    let tones = std::iter::once(Some(Tone::Dim))
        .chain(found.iter().map(|record| record.is_failing().then_some(Tone::Red)));
    let lines = aligned(&rows, usize::MAX).into_iter().zip(tones);
    let painted = |(line, tone): (String, Option<Tone>)| match tone {
        Some(tone) => paint(tone, &line),
        None => line,
    };
    let mut lines: Vec<String> = lines.map(painted).collect();
    if more {
        let limit = query.limit;
        lines.push(match lang {
            Lang::En => format!("there are more than {limit}: `--limit` shows them"),
            Lang::Zh => format!("超过 {limit} 条：用 `--limit` 显示更多"),
            Lang::Ja => format!("{limit} 件を超える。`--limit` で続きを表示"),
        });
    }
    lines
}

fn cells(words: &TracesWords, shared: &TraceWords, record: &Record) -> [String; 5] {
    let arm = match record.arm {
        Arm::Stable => shared.stable,
        Arm::Candidate => shared.candidate,
    };
    // In a word: the failure, else a broken contract, else the first risk.
    let risk = record.risk.first().map(|event| event.kind.as_str());
    let contract = record.contract_problem.as_ref().map(|_| words.contract);
    let failure = record.failure.map(|failure| failure.as_str());
    [
        // `11-28 14:05:09`: a list rarely spans a year.
        rfc3339(record.at).get(5..19).unwrap_or_default().replace('T', " "),
        arm.to_owned(),
        failure.or(contract).or(risk).unwrap_or(shared.answered).to_owned(),
        (record.timing.total_us / 1_000).to_string(),
        // Whole: it is copied into `tidegate trace`.
        record.trace_id.to_string(),
    ]
}
