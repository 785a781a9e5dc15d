//! `gen_ai.evaluation.result` events by OTLP over HTTP with JSON: one for each check of each case,
//! and one for each number of the run.
//!
//! OTLP knows no ids of records. Each has `log.record.uid`, which follows from the run: receivers
//! that look at it drop what came before. The same run is the same bytes each time.

use super::Sent;
use super::client::Client;
use super::error::TrackingError;
use super::run::TrackedRun;
use crate::clock::Clock;
use serde_json::{Value, json};
use tidegate_core::gate::{CaseResult, RowError};
use tidegate_core::ids::Digest;

const NAME: &str = "the OTLP receiver";
const PATH: &str = "/v1/logs";
/// Events in one request.
const EVENTS: usize = 500;

/// Sends the run; the address may end in `/v1/logs`.
pub(super) async fn export(
    address: &str,
    run: &TrackedRun,
    clock: &Clock,
) -> Result<Sent, TrackingError> {
    let base = address.trim_end_matches('/');
    let client = Client::new(NAME, base.strip_suffix(PATH).unwrap_or(base), None, clock)?;
    let events = events(run)?;
    let mut taken = 0;
    for batch in events.chunks(EVENTS) {
        let answer = client.post(PATH, &request(run, batch)).await?;
        let partial = &answer["partialSuccess"];
        // A number of 64 bits is a text in OTLP's JSON; some receivers write a number.
        let refused = &partial["rejectedLogRecords"];
        let refused = refused.as_u64().or_else(|| refused.as_str()?.parse().ok()).unwrap_or(0);
        let refused = usize::try_from(refused).unwrap_or(usize::MAX).min(batch.len());
        taken += batch.len() - refused;
        if refused > 0 {
            let said = partial["errorMessage"].as_str().unwrap_or("no reason");
            let said = said.chars().take(200).collect();
            return Err(TrackingError::Partly { tool: NAME, taken, sent: events.len(), said });
        }
    }
    Ok(Sent { id: String::new(), items: events.len(), files: 0, left_out: Vec::new() })
}

fn request(run: &TrackedRun, events: &[Value]) -> Value {
    let resource = [text("service.name", &run.service)];
    json!({ "resourceLogs": [{
        "resource": { "attributes": resource },
        "scopeLogs": [{
            "scope": { "name": "tidegate", "version": env!("CARGO_PKG_VERSION") },
            "logRecords": events,
        }],
    }] })
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: f64) -> Value {
    json!({ "key": key, "value": { "doubleValue": value } })
}

fn events(run: &TrackedRun) -> Result<Vec<Value>, RowError> {
    let measured = run.metrics()?.into_iter();
    let mut events: Vec<Value> =
        measured.map(|(name, value)| event(run, None, (&name, value), (None, ""))).collect();
    for result in run.report.results.iter() {
        let result = &*result?;
        let correct = result.is_correct();
        let label = match (&result.error, correct) {
            (Some(_), _) => "error",
            (None, true) => "pass",
            (None, false) => "fail",
        };
        let why = result.error.clone().unwrap_or_else(|| result.wrong());
        let value = f64::from(u8::from(correct));
        events.push(event(run, Some((result, 0)), ("correct", value), (Some(label), &why)));
        for (at, check) in result.checks.iter().enumerate() {
            let label = if check.holds() { "pass" } else { "fail" };
            let value = check.measured.unwrap_or(check.score);
            let about = (Some(label), check.detail.as_str());
            // A case may have two checks of one kind.
            events.push(event(run, Some((result, at + 1)), (&check.check, value), about));
        }
    }
    Ok(events)
}

fn event(
    run: &TrackedRun,
    result: Option<(&CaseResult, usize)>,
    (name, value): (&str, f64),
    (label, why): (Option<&str>, &str),
) -> Value {
    let report = &run.report;
    let (case, place) = result.map_or(("", 0), |(result, at)| (result.case.id.as_str(), at));
    let place = place.to_le_bytes();
    let parts = [report.run_id.as_bytes(), case.as_bytes(), name.as_bytes(), &place];
    let uid = Digest::of_parts(&parts);
    let mut attributes = vec![
        text("gen_ai.evaluation.name", name),
        text("gen_ai.request.model", &report.model),
        text("log.record.uid", uid.short(32)),
        text("tidegate.run_id", &report.run_id),
        text("tidegate.version_set", report.version_set.as_str()),
    ];
    // What has no answer has no score.
    if label != Some("error") {
        attributes.push(number("gen_ai.evaluation.score.value", value));
    }
    attributes.extend(label.map(|label| text("gen_ai.evaluation.score.label", label)));
    if !why.is_empty() {
        attributes.push(text("gen_ai.evaluation.explanation", why));
    }
    if result.is_some() {
        attributes.push(text("tidegate.case_id", case));
    }
    let nanos = (u128::from(report.at.0) * 1_000_000).to_string();
    json!({
        "timeUnixNano": nanos, "observedTimeUnixNano": nanos, "severityNumber": 9,
        "eventName": "gen_ai.evaluation.result", "attributes": attributes,
    })
}
