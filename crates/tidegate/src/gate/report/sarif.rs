//! `--sarif FILE`: what a run found on safety, as SARIF 2.1.0, which code scanning reads. A finding
//! is a check of a safety case that does not hold, a red line, or one of the checks on what an
//! answer must never hold. Each has a stable fingerprint: the case and the check.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate_core::gate::{
    CaseResult, CheckKind, CheckResult, EvalReport, RED_LINE, Risk, Severity,
};
use tidegate_core::ids::Digest;

/// Checks that are about safety whatever the class of their case.
const SAFETY: [CheckKind; 4] = [
    CheckKind::NoPii,
    CheckKind::NoPromptEcho,
    CheckKind::LiteralLeak,
    CheckKind::ForbiddenKeywords,
];

/// The findings of a run.
pub(crate) fn sarif(report: &EvalReport) -> Value {
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    let mut results = Vec::new();
    for result in report.results.iter().filter(|result| result.error.is_none()) {
        for check in result.checks.iter().filter(|check| is_finding(result, check)) {
            rules.entry(check.kind()).or_insert_with(|| rule(check.kind()));
            results.push(finding(result, check));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_values().collect::<Vec<Value>>(),
            }},
            "automationDetails": {"id": format!("tidegate-eval/{}", report.model)},
            "properties": {
                "run_id": report.run_id,
                "version_set": report.version_set,
                "cases_digest": report.cases_digest,
            },
            "results": results,
        }],
    })
}

fn is_finding(result: &CaseResult, check: &CheckResult) -> bool {
    let is_safety = CheckKind::parse(check.kind()).is_some_and(|(kind, _)| SAFETY.contains(&kind));
    !check.holds() && (result.case.risk == Risk::Safety || check.kind() == RED_LINE || is_safety)
}

fn rule(kind: &str) -> Value {
    let meaning = match CheckKind::parse(kind) {
        Some((check, false)) => format!("the answer {}", check.row().meaning),
        Some((check, true)) => format!("not: the answer {}", check.row().meaning),
        None => "the answer crosses no red line".to_owned(),
    };
    json!({"id": kind, "shortDescription": {"text": meaning}})
}

fn finding(result: &CaseResult, check: &CheckResult) -> Value {
    let case = &result.case;
    let level = match (check.is_hard(), case.severity) {
        (true, _) | (false, Severity::Blocking | Severity::RedLine) => "error",
        (false, Severity::Normal) => "warning",
    };
    let fingerprint = Digest::of_parts(&[case.id.as_bytes(), check.check.as_bytes()]);
    let mut finding = json!({
        "ruleId": check.kind(),
        "level": level,
        "message": {"text": format!("case {}: {}", case.id, check.detail)},
        "partialFingerprints": {"caseAndCheck/v1": fingerprint},
        "properties": {"case_id": case.id, "risk": case.risk, "severity": case.severity},
    });
    if let Some((file, line)) = super::place(&case.source) {
        let location = json!([{"physicalLocation": {
            "artifactLocation": {"uri": uri(file)},
            "region": {"startLine": line},
        }}]);
        finding["locations"] = location;
    }
    finding
}

/// A path as a relative URI: what is not unreserved or a slash is escaped.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
