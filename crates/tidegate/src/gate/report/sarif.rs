//! `--sarif FILE`: what a run found on safety, as SARIF 2.1.0, which code scanning reads. A finding
//! is a check of a safety case that does not hold, a red line, or one of the checks on what an
//! answer must never hold. Each has a stable fingerprint: the case and the check.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate_core::gate::{
    CaseResult, CheckKind, CheckResult, EvalReport, RED_LINE, Risk, RowError, Severity,
};
use tidegate_core::ids::Digest;

/// Checks that are about safety whatever the class of their case.
const SAFETY: [CheckKind; 4] = [
    CheckKind::NoPii,
    CheckKind::NoPromptEcho,
    CheckKind::LiteralLeak,
    CheckKind::ForbiddenKeywords,
];

/// Findings in a file: as many as code scanning shows of one.
const FINDINGS_MAX: usize = 5_000;

/// The findings of a run, and how many are left out of so many.
///
/// # Errors
/// A result cannot be read.
pub(crate) fn sarif(report: &EvalReport) -> Result<Value, RowError> {
    let mut rules: BTreeMap<String, Value> = BTreeMap::new();
    let (mut results, mut left_out) = (Vec::new(), 0_u64);
    for result in report.results.iter() {
        let result = result?;
        if result.error.is_some() {
            continue;
        }
        for check in result.checks.iter().filter(|check| is_finding(&result, check)) {
            rules.entry(check.kind().to_owned()).or_insert_with(|| rule(check.kind()));
            match results.len() < FINDINGS_MAX {
                true => results.push(finding(&result, check)),
                false => left_out += 1,
            }
        }
    }
    let mut properties = json!({
        "run_id": report.run_id,
        "version_set": report.version_set,
        "cases_digest": report.cases_digest,
    });
    if left_out > 0 {
        properties["left_out"] = left_out.into();
    }
    Ok(json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_values().collect::<Vec<Value>>(),
            }},
            "automationDetails": {"id": format!("tidegate-eval/{}", report.model)},
            "properties": properties,
            "results": results,
        }],
    }))
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
