//! What requests cost, as people and programs see it.

use crate::lang::Lang;
use crate::output::aligned;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tidegate_core::calendar::Day;
use tidegate_core::money::{Bill, LineKey, Money, Sums, usd};

/// What costs are added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CostBy {
    /// The day (UTC) that they came in.
    Day,
    /// The caller's tenant.
    Tenant,
    /// The name of the caller's key.
    Key,
    /// The service.
    Service,
    /// The version set that answered.
    Set,
    /// Its arm.
    Arm,
    /// The model.
    Model,
    /// The tier that the model server says it answered in.
    Tier,
    /// What they were made for.
    Purpose,
}

impl CostBy {
    /// The name in JSON and CSV.
    fn name(self) -> &'static str {
        match self {
            CostBy::Day => "day",
            CostBy::Tenant => "tenant",
            CostBy::Key => "key",
            CostBy::Service => "service",
            CostBy::Set => "version_set",
            CostBy::Arm => "arm",
            CostBy::Model => "model_version",
            CostBy::Tier => "tier",
            CostBy::Purpose => "purpose",
        }
    }

    fn of(self, line: &LineKey, service: &str) -> Option<String> {
        match self {
            CostBy::Day => Some(line.day.to_string()),
            CostBy::Tenant => line.tenant.clone(),
            CostBy::Key => line.key.clone(),
            CostBy::Service => Some(service.to_owned()),
            CostBy::Set => Some(line.set.to_string()),
            CostBy::Arm => line.arm.map(|arm| arm.as_str().to_owned()),
            CostBy::Model => Some(line.model.clone()),
            CostBy::Tier => line.tier.clone(),
            CostBy::Purpose => Some(line.purpose.as_str().to_owned()),
        }
    }
}

/// Sums that are wider than any amount: a sum of all lines must not end at the largest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Wide {
    counts: [u128; 13],
    costs: [u128; 4],
}

/// The names of [`Wide::counts`].
const COUNTS: [&str; 13] = [
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
    "compute_us",
    "estimated_requests",
    "unknown_requests",
    "other_tier_requests",
    "unpriced_requests",
];
/// The names of [`Wide::costs`].
const COSTS: [&str; 4] = ["input_cost", "output_cost", "compute_cost", "total_cost"];

impl Wide {
    fn add(&mut self, sums: &Sums) {
        let Sums { requests, estimated, unknown, other_tier, unpriced, used, bill } = *sums;
        let Bill { input_cost, output_cost, compute_cost } = bill;
        let kinds = [estimated, unknown, other_tier, unpriced];
        let counts = [requests].into_iter().chain(used.numbers()).chain(kinds);
        for (sum, count) in self.counts.iter_mut().zip(counts) {
            *sum += u128::from(count);
        }
        let parts = [input_cost, output_cost, compute_cost].map(|Money(part)| u128::from(part));
        let costs = parts.into_iter().chain([parts.iter().sum()]);
        for (sum, cost) in self.costs.iter_mut().zip(costs) {
            *sum += cost;
        }
    }

    fn values(&self) -> Map<String, Value> {
        let number = |count: u128| json!(u64::try_from(count).unwrap_or(u64::MAX));
        let counts = COUNTS.into_iter().zip(self.counts.map(number));
        let costs = COSTS.into_iter().zip(self.costs.map(|cost| json!(usd(cost))));
        counts.chain(costs).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Tokens of prompts, and of answers.
    fn tokens(&self) -> [u128; 2] {
        let [_, input, read, write, audio_in, output, reasoning, audio_out, ..] = self.counts;
        [input + read + write + audio_in, output + reasoning + audio_out]
    }
}

/// Costs, added up.
#[derive(Debug)]
pub(crate) struct CostTable {
    by: Vec<CostBy>,
    rows: Vec<(Vec<Option<String>>, Wide)>,
    total: Wide,
}

impl CostTable {
    /// The lines of a service, added up; what was made for another purpose is never in one row.
    pub(crate) fn of(lines: &BTreeMap<LineKey, Sums>, by: &[CostBy], service: &str) -> CostTable {
        let last = Some(CostBy::Purpose).filter(|purpose| !by.contains(purpose));
        let by: Vec<CostBy> = by.iter().copied().chain(last).collect();
        let mut rows: BTreeMap<Vec<Option<String>>, Wide> = BTreeMap::new();
        let mut total = Wide::default();
        for (line, sums) in lines {
            let names = by.iter().map(|by| by.of(line, service)).collect();
            rows.entry(names).or_default().add(sums);
            total.add(sums);
        }
        CostTable { by, rows: rows.into_iter().collect(), total }
    }

    /// As JSON: amounts are decimal numbers of dollars, as text.
    pub(crate) fn json(&self, since: Day, until: Day) -> Value {
        let row = |(names, sums): &(Vec<Option<String>>, Wide)| {
            let names = self.by.iter().zip(names);
            let mut row: Map<String, Value> =
                names.map(|(by, name)| (by.name().to_owned(), json!(name))).collect();
            row.extend(sums.values());
            Value::Object(row)
        };
        json!({
            "since": since.to_string(),
            "until": until.to_string(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "total": self.total.values(),
        })
    }

    /// As CSV (RFC 4180), without the total.
    pub(crate) fn csv(&self) -> String {
        let heads = self.by.iter().map(|by| by.name()).chain(COUNTS).chain(COSTS);
        let mut text = heads.collect::<Vec<_>>().join(",") + "\r\n";
        for (names, sums) in &self.rows {
            let names = names.iter().map(|name| quoted(name.as_deref().unwrap_or_default()));
            let counts = sums.counts.iter().map(u128::to_string);
            let costs = sums.costs.iter().map(|cost| usd(*cost));
            text += &names.chain(counts).chain(costs).collect::<Vec<_>>().join(",");
            text += "\r\n";
        }
        text
    }
}

/// A cell of CSV. A spreadsheet takes what begins like a formula for one, unless an apostrophe is
/// before it.
fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    match text.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// The words of the table.
struct CostWords {
    none: &'static str,
    by: [&'static str; 9],
    columns: [&'static str; 7],
    total: &'static str,
    notes: [&'static str; 4],
}

impl CostWords {
    fn of(lang: Lang) -> &'static CostWords {
        match lang {
            Lang::En => &EN,
            Lang::Zh => &ZH,
            Lang::Ja => &JA,
        }
    }
}

static EN: CostWords = CostWords {
    none: "no request reached a model server in these days",
    by: ["day", "tenant", "key", "service", "version set", "arm", "model", "tier", "purpose"],
    columns: ["requests", "tokens in", "tokens out", "input $", "output $", "compute $", "total $"],
    total: "total",
    notes: [
        "requests with an estimated usage",
        "requests that may cost more: nothing came of them, and only their prompts are counted",
        "requests of a tier that `price_list` does not have, at the standard price",
        "requests of a model without a price: their cost is not in the sums",
    ],
};

static ZH: CostWords = CostWords {
    none: "这些天没有请求到达模型服务",
    by: ["日期", "租户", "密钥", "服务", "版本集", "分支", "模型", "档位", "用途"],
    columns: ["请求", "输入 token", "输出 token", "输入 $", "输出 $", "计算 $", "合计 $"],
    total: "合计",
    notes: [
        "个请求的用量是估算的",
        "个请求可能更贵：没有得到结果，只计了提示词",
        "个请求的档位不在 `price_list` 中，按标准价计",
        "个请求的模型没有价格：费用不在合计内",
    ],
};

static JA: CostWords = CostWords {
    none: "この期間にモデルサーバーへ届いたリクエストはない",
    by: [
        "日",
        "テナント",
        "鍵",
        "サービス",
        "バージョンセット",
        "アーム",
        "モデル",
        "ティア",
        "用途",
    ],
    columns: ["リクエスト", "入力トークン", "出力トークン", "入力 $", "出力 $", "計算 $", "合計 $"],
    total: "合計",
    notes: [
        "件の使用量は推定",
        "件はさらに費用がかかりうる：結果がなく、プロンプトだけを数えた",
        "件のティアは `price_list` になく、標準価格で計算",
        "件のモデルには価格がない：費用は合計に含まれない",
    ],
};

/// The table, a line each, and what is to be known of its numbers.
pub(crate) fn cost(lang: Lang, table: &CostTable, (since, until): (Day, Day)) -> Vec<String> {
    let words = CostWords::of(lang);
    if table.rows.is_empty() {
        return vec![format!("{} ({since} – {until})", words.none)];
    }
    let cells = |names: Vec<String>, sums: &Wide| {
        let [tokens_in, tokens_out] = sums.tokens();
        let counts = [sums.counts[0], tokens_in, tokens_out].map(|count| count.to_string());
        let costs = sums.costs.map(usd);
        names.into_iter().chain(counts).chain(costs).collect::<Vec<String>>()
    };
    let head = table.by.iter().map(|by| words.by[*by as usize]).chain(words.columns);
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).collect()];
    rows.extend(table.rows.iter().map(|(names, sums)| {
        cells(
            names.iter().map(|name| name.clone().unwrap_or_else(|| "–".to_owned())).collect(),
            sums,
        )
    }));
    let mut total = vec![String::new(); table.by.len()];
    if let Some(first) = total.first_mut() {
        words.total.clone_into(first);
    }
    rows.push(cells(total, &table.total));
    let mut lines = aligned(&rows, table.by.len());
    let [.., estimated, unknown, other_tier, unpriced] = table.total.counts;
    let notes = [estimated, unknown, other_tier, unpriced].into_iter().zip(words.notes);
    lines.extend(
        notes.filter(|(count, _)| *count > 0).map(|(count, note)| format!("{count} {note}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_cell_is_no_formula() {
        for (text, cell) in [
            ("acme", "acme"),
            ("a,b \"c\"", "\"a,b \"\"c\"\"\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum", "'@sum"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(quoted(text), cell, "{text:?}");
        }
    }
}
