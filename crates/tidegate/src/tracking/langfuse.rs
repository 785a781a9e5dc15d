//! Langfuse by its ingestion API: a trace for each case with its scores, and one for the run with
//! what it measures. OTLP has no scores there.
//!
//! Every id follows from the run and the case, so what is sent again replaces itself.

use super::Sent;
use super::base64::base64;
use super::client::Client;
use super::error::TrackingError;
use super::run::TrackedRun;
use crate::clock::{Clock, rfc3339};
use http::HeaderValue;
use serde_json::{Value, json};
use tidegate_core::gate::{CaseResult, RowError};
use tidegate_core::ids::Digest;

const NAME: &str = "Langfuse";
const PATH: &str = "/api/public/ingestion";
const PUBLIC: &str = "LANGFUSE_PUBLIC_KEY";
const SECRET: &str = "LANGFUSE_SECRET_KEY";
/// Events in one request: far below the API's 3.5 MB for answers of usual length.
const EVENTS: usize = 100;

/// Sends the run.
pub(super) async fn export(
    address: &str,
    run: &TrackedRun,
    clock: &Clock,
) -> Result<Sent, TrackingError> {
    let client = Client::new(NAME, address, Some(credential()?), clock)?;
    let (trace, events) = events(run)?;
    let mut taken = 0;
    for batch in events.chunks(EVENTS) {
        let answer = client.post(PATH, &json!({ "batch": batch })).await?;
        let refused = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        taken += batch.len() - refused.len().min(batch.len());
        if let Some(first) = refused.first() {
            let said = first["message"].as_str().or(first["error"].as_str()).unwrap_or("no reason");
            let said = said.chars().take(200).collect();
            return Err(TrackingError::Partly { tool: NAME, taken, sent: events.len(), said });
        }
    }
    let is_score = |event: &&Value| event["type"] == "score-create";
    let items = events.iter().filter(is_score).count();
    Ok(Sent { id: trace, items, files: 0, left_out: Vec::new() })
}

fn credential() -> Result<HeaderValue, TrackingError> {
    let of = |variable| {
        let value = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
        value.ok_or(TrackingError::KeyNotSet { tool: NAME, variable })
    };
    let (public, secret) = (of(PUBLIC)?, of(SECRET)?);
    let pair = base64(format!("{}:{}", public.trim(), secret.trim()).as_bytes());
    let mut value = HeaderValue::from_str(&format!("Basic {pair}"))
        .map_err(|_| TrackingError::KeyNotAHeader { variable: SECRET })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The run's trace id, and all events.
fn events(run: &TrackedRun) -> Result<(String, Vec<Value>), RowError> {
    let at = rfc3339(run.report.at);
    let id = |parts: &[&str]| {
        let mut all = vec![run.report.run_id.as_bytes()];
        all.extend(parts.iter().map(|part| part.as_bytes()));
        Digest::of_parts(&all).short(32).to_owned()
    };
    let event = |kind: &str, body: Value| {
        let id = id(&["event", kind, body["id"].as_str().unwrap_or_default()]);
        json!({ "id": id, "type": kind, "timestamp": at, "body": body })
    };
    let score = |trace: &str, (at, name): (usize, &str), value: f64, comment: &str| {
        let id = id(&["score", trace, &at.to_string(), name]);
        let mut body = json!({
            "id": id, "traceId": trace, "name": name, "value": value, "dataType": "NUMERIC",
        });
        if !comment.is_empty() {
            body["comment"] = json!(comment);
        }
        event("score-create", body)
    };
    let of_run = id(&["run"]);
    let mut events = vec![event(
        "trace-create",
        json!({
            "id": of_run, "timestamp": at, "name": run.name(), "tags": ["tidegate", run.service],
            "metadata": run.tags(), "version": run.report.version_set,
        }),
    )];
    let measured = run.metrics()?.into_iter();
    events.extend(measured.map(|(name, value)| score(&of_run, (0, &name), value, "")));
    for result in run.report.results.iter() {
        let result = &*result?;
        let trace = id(&["case", &result.case.id]);
        events.push(event("trace-create", trace_of(run, result, &trace, &at)));
        // An answer that is missing is neither right nor wrong.
        if result.error.is_some() {
            continue;
        }
        let correct = f64::from(u8::from(result.is_correct()));
        events.push(score(&trace, (0, "correct"), correct, &result.wrong()));
        events.push(score(&trace, (0, "score"), result.score, ""));
        // A case may have two checks of one kind.
        for (at, check) in (1..).zip(&result.checks) {
            let value = check.measured.unwrap_or(check.score);
            events.push(score(&trace, (at, &check.check), value, &check.detail));
        }
    }
    Ok((of_run, events))
}

fn trace_of(run: &TrackedRun, result: &CaseResult, id: &str, at: &str) -> Value {
    json!({
        "id": id, "timestamp": at, "name": result.case.id, "sessionId": run.report.run_id,
        "input": result.case.input, "output": result.actual, "version": run.report.version_set,
        "metadata": {
            "tidegate.run_id": run.report.run_id, "risk": result.case.risk,
            "latency_ms": result.latency_ms, "error": result.error,
        },
    })
}
