//! Two runs beside each other.

use crate::lang::Lang;
use crate::output::{Tone, aligned, paint, wrapped};
use tidegate_core::gate::{AbReport, AbSide};

/// Cases that are named where they are not compared.
const LEFT_OUT_SHOWN: usize = 5;

/// What two runs say of each other.
pub(crate) fn ab(lang: Lang, report: &AbReport) -> Vec<String> {
    let AbReport { a, b, bootstrap, mcnemar, .. } = report;
    let heads = match lang {
        Lang::En => ["", "run", "cases", "score", "std", "accuracy", "latency"],
        Lang::Zh => ["", "运行", "用例", "得分", "标准差", "正确率", "延迟"],
        Lang::Ja => ["", "実行", "ケース", "スコア", "標準偏差", "正答率", "遅延"],
    };
    let row = |name: &str, side: &AbSide| {
        [
            name.to_owned(),
            format!("{} ({})", side.run_id, side.version_set),
            side.count.to_string(),
            format!("{:.3}", side.avg_score),
            format!("{:.3}", side.score_std),
            format!("{:.1} %", side.accuracy * 100.0),
            format!("{:.0} ms", side.avg_latency),
        ]
    };
    let mut lines = aligned(&[heads.map(str::to_owned), row("A", a), row("B", b)], 2);
    let p = |p: Option<f64>| p.map_or("–".to_owned(), |p| format!("{p:.4}"));
    let welch = p(report.welch_t.map(|test| test.p));
    let said = match lang {
        Lang::En => format!(
            "score, B less A: {:+.3} ({:+.3} to {:+.3}, 95 %); p {} paired, {welch} unpaired",
            bootstrap.difference,
            bootstrap.low,
            bootstrap.high,
            p(report.p_value)
        ),
        Lang::Zh => format!(
            "得分，B 减 A：{:+.3}（{:+.3} 到 {:+.3}，95 %）；p 配对 {}，非配对 {welch}",
            bootstrap.difference,
            bootstrap.low,
            bootstrap.high,
            p(report.p_value)
        ),
        Lang::Ja => format!(
            "スコア、B − A：{:+.3}（{:+.3} ～ {:+.3}、95 %）。p は対応あり {}、対応なし {welch}",
            bootstrap.difference,
            bootstrap.low,
            bootstrap.high,
            p(report.p_value)
        ),
    };
    lines.extend(wrapped(&said, 2));
    let (only_a, only_b, exact) = (mcnemar.only_a, mcnemar.only_b, mcnemar.p);
    lines.push(match lang {
        Lang::En => {
            format!("right in A only: {only_a}, in B only: {only_b}; p {exact:.4} (McNemar)")
        }
        Lang::Zh => format!("只有 A 对：{only_a}，只有 B 对：{only_b}；p {exact:.4}（McNemar）"),
        Lang::Ja => format!("A だけ正解：{only_a}、B だけ：{only_b}。p {exact:.4}（McNemar）"),
    });
    lines.push(verdict(lang, report));
    lines.extend(left_out(lang, &report.left_out).iter().flat_map(|text| wrapped(text, 2)));
    lines
}

fn verdict(lang: Lang, report: &AbReport) -> String {
    let is_b = report.bootstrap.difference > 0.0;
    let text = match (lang, report.significant, is_b) {
        (Lang::En, false, _) => "no difference beyond chance",
        (Lang::En, true, true) => "B is better than A",
        (Lang::En, true, false) => "A is better than B",
        (Lang::Zh, false, _) => "没有超出偶然的差别",
        (Lang::Zh, true, true) => "B 比 A 好",
        (Lang::Zh, true, false) => "A 比 B 好",
        (Lang::Ja, false, _) => "偶然を超える差はない",
        (Lang::Ja, true, true) => "B は A より良い",
        (Lang::Ja, true, false) => "A は B より良い",
    };
    paint(if report.significant { Tone::Green } else { Tone::Yellow }, text)
}

fn left_out(lang: Lang, ids: &[String]) -> Option<String> {
    let shown: Vec<&str> = ids.iter().take(LEFT_OUT_SHOWN).map(String::as_str).collect();
    let (count, shown) = (ids.len(), shown.join(", "));
    let dots = if count > LEFT_OUT_SHOWN { ", …" } else { "" };
    (count > 0).then(|| match lang {
        Lang::En => format!("not compared: {count} cases ({shown}{dots})"),
        Lang::Zh => format!("未比较：{count} 个用例（{shown}{dots}）"),
        Lang::Ja => format!("比較しない：{count} ケース（{shown}{dots}）"),
    })
}
