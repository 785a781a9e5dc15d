//! What an A/B test found, on the page.

use crate::clock::rfc3339;
use crate::evidence::clean::CleanData;
use crate::evidence::html::esc;
use crate::view::AbAnswer;
use std::fmt::Write as _;
use tidegate_core::decide::{AbArm, AbLine, AbVerdict, BandUnit};

/// Both arms and what is proven; nothing of a release that is no A/B test.
pub(in crate::evidence) fn section(out: &mut String, data: &CleanData) {
    let Some(ab) = AbAnswer::of(&data.release) else { return };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "<h2>A/B test: {}</h2>\n<p class=\"sub\">The difference holds at all looks at once, and p \
         is of any look: what was proven while it ran is proven. Higher is worse. All of it is in \
         <code>signals/ab.json</code>.</p>\n<table><thead><tr><th>Arm</th><th>Version set</th>\
         <th class=\"num\">Answers</th><th class=\"num\">Scored</th><th class=\"num\">Score</th>\
         <th class=\"num\">Std</th><th class=\"num\">Latency</th></tr></thead><tbody>",
        esc(&ab.name)
    );
    for arm in [&ab.a, &ab.b] {
        let AbArm { arm, version_set, count, scored, avg_score, avg_latency, score_std } = arm;
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td><code>{version_set}</code></td><td class=\"num\">{count}</td>\
             <td class=\"num\">{scored}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
             <td class=\"num\">{}</td></tr>",
            esc(arm),
            or_dash(*avg_score, |score| format!("{score:.3}")),
            or_dash(*score_std, |std| format!("{std:.3}")),
            or_dash(*avg_latency, |ms| format!("{ms:.0} ms")),
        );
    }
    out.push_str(
        "</tbody></table>\n<table><thead><tr><th>Metric</th><th>Found</th>\
         <th class=\"num\">Difference</th><th class=\"num\">From</th><th class=\"num\">To</th>\
         <th class=\"num\">p</th></tr></thead><tbody>\n",
    );
    for line in &ab.metrics {
        let by = |by: Option<f64>| or_dash(by, |by| moved(line, by));
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
             <td class=\"num\">{}</td><td class=\"num\">{:.4}</td></tr>",
            line.metric.as_str(),
            esc(&found(line, [&ab.a.arm, &ab.b.arm])),
            by(line.difference),
            by(line.low),
            by(line.high),
            line.p_value,
        );
    }
    out.push_str("</tbody></table>\n");
}

fn found(line: &AbLine, [a, b]: [&str; 2]) -> String {
    let (better, worse) = match line.verdict {
        AbVerdict::Open => return "no difference was proven".to_owned(),
        AbVerdict::Better => (b, a),
        AbVerdict::Worse => (a, b),
    };
    let at = line.found_at.map(rfc3339).unwrap_or_default();
    format!("{better} is better than {worse}, proven {at}")
}

fn moved(line: &AbLine, by: f64) -> String {
    match line.unit {
        BandUnit::Points => format!("{:+.1} pt", by * 100.0),
        BandUnit::Relative => format!("{:+.1} %", by * 100.0),
    }
}

fn or_dash(value: Option<f64>, shown: impl FnOnce(f64) -> String) -> String {
    value.map_or("–".to_owned(), shown)
}
