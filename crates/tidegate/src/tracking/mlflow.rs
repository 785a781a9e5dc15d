//! MLflow by its REST API (2.0): an experiment a service, unless another is named, and a run a run.
//!
//! A run that was sent before is found by its tag `tidegate.run_id` and filled again: params with
//! the same values, metrics with the same time and files of the same name change nothing there.

use super::client::Client;
use super::error::TrackingError;
use super::run::TrackedRun;
use super::{Sent, base64::base64};
use crate::clock::Clock;
use http::HeaderValue;
use serde_json::{Value, json};

const NAME: &str = "MLflow";
/// Longest value of a param that MLflow keeps, characters.
const PARAM_CHARS_MAX: usize = 6_000;
/// Metrics in one request, at most, by MLflow's own bound.
const METRICS_MAX: usize = 1_000;

/// Sends the run.
pub(super) async fn export(
    address: &str,
    run: &TrackedRun,
    clock: &Clock,
) -> Result<Sent, TrackingError> {
    let client = Client::new(NAME, address, credential()?, clock)?;
    let experiment = experiment(&client, &run.experiment).await?;
    let (id, kept_at) = run_of(&client, &experiment, run).await?;
    let items = fill(&client, &id, run).await?;
    let (files, left_out) = files(&client, &experiment, (&id, &kept_at), run).await?;
    let body = json!({ "run_id": id, "status": "FINISHED", "end_time": run.report.at.0 });
    client.post("/api/2.0/mlflow/runs/update", &body).await?;
    Ok(Sent { id, items, files, left_out })
}

/// As MLflow's own client takes it from the environment: a token, or a name and a password.
fn credential() -> Result<Option<HeaderValue>, TrackingError> {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let token = of("MLFLOW_TRACKING_TOKEN").map(|token| format!("Bearer {}", token.trim()));
    let named = || {
        let (name, password) = (of("MLFLOW_TRACKING_USERNAME")?, of("MLFLOW_TRACKING_PASSWORD")?);
        Some(format!("Basic {}", base64(format!("{name}:{password}").as_bytes())))
    };
    let Some(text) = token.or_else(named) else { return Ok(None) };
    let variable = "MLFLOW_TRACKING_TOKEN";
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| TrackingError::KeyNotAHeader { variable })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The experiment's id; it is made where there is none.
async fn experiment(client: &Client<'_>, name: &str) -> Result<String, TrackingError> {
    let path = "/api/2.0/mlflow/experiments/get-by-name";
    let query = format!("{path}?experiment_name={}", in_path(name));
    if let Some(found) = client.find(&query).await? {
        return text(client, path, &found["experiment"]["experiment_id"]);
    }
    let path = "/api/2.0/mlflow/experiments/create";
    let made = client.post(path, &json!({ "name": name })).await?;
    text(client, path, &made["experiment_id"])
}

/// The run's id there and where its files are kept; it is made where there is none.
async fn run_of(
    client: &Client<'_>,
    experiment: &str,
    run: &TrackedRun,
) -> Result<(String, String), TrackingError> {
    let path = "/api/2.0/mlflow/runs/search";
    let filter = format!("tags.`tidegate.run_id` = '{}'", run.report.run_id);
    let body = json!({ "experiment_ids": [experiment], "filter": filter, "max_results": 1 });
    let found = client.post(path, &body).await?;
    let about = |path: &str, run: &Value| -> Result<(String, String), TrackingError> {
        let kept_at = run["info"]["artifact_uri"].as_str().unwrap_or_default();
        Ok((text(client, path, &run["info"]["run_id"])?, kept_at.to_owned()))
    };
    if let Some(known) = found["runs"].as_array().and_then(|runs| runs.first()) {
        return about(path, known);
    }
    let path = "/api/2.0/mlflow/runs/create";
    let tags: Vec<Value> = tags(run);
    let made = client
        .post(
            path,
            &json!({
                "experiment_id": experiment, "run_name": run.name(),
                "start_time": run.report.at.0, "tags": tags,
            }),
        )
        .await?;
    about(path, &made["run"])
}

fn tags(run: &TrackedRun) -> Vec<Value> {
    run.tags().into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// Params, metrics and tags; how many.
async fn fill(client: &Client<'_>, id: &str, run: &TrackedRun) -> Result<usize, TrackingError> {
    let cut = |value: String| value.chars().take(PARAM_CHARS_MAX).collect::<String>();
    let params = run.params().into_iter();
    let params: Vec<Value> =
        params.map(|(key, value)| json!({ "key": key, "value": cut(value) })).collect();
    let metrics = run.metrics()?.into_iter().take(METRICS_MAX);
    let metrics: Vec<Value> = metrics
        .map(|(key, value)| {
            json!({ "key": key, "value": value, "timestamp": run.report.at.0, "step": 0 })
        })
        .collect();
    let items = params.len() + metrics.len();
    let body = json!({ "run_id": id, "params": params, "metrics": metrics, "tags": tags(run) });
    client.post("/api/2.0/mlflow/runs/log-batch", &body).await?;
    Ok(items)
}

/// The files, where the server takes them itself; how many, and what was left out.
async fn files(
    client: &Client<'_>,
    experiment: &str,
    (id, kept_at): (&str, &str),
    run: &TrackedRun,
) -> Result<(usize, Vec<String>), TrackingError> {
    let files = run.files();
    let Some(folder) = kept_at.strip_prefix("mlflow-artifacts:") else {
        let why = format!(
            "{} files: the server keeps files at `{kept_at}` and takes none itself; start it with \
             --serve-artifacts",
            files.len()
        );
        return Ok((0, vec![why]));
    };
    // `mlflow-artifacts:/1/<run>/artifacts`, or with a host that is the server's own.
    let folder = folder.trim_start_matches('/');
    let folder = match folder.find(&format!("{experiment}/{id}/")) {
        Some(at) => &folder[at..],
        None => folder,
    };
    let count = files.len();
    for (name, content) in files {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{folder}/{}", in_path(&name));
        client.put(&path, content).await?;
    }
    Ok((count, Vec::new()))
}

/// A name within a path: what a URL gives a meaning to is written as its bytes.
fn in_path(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut text = String::new();
    for byte in name.bytes() {
        match is_plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn text(client: &Client<'_>, path: &str, value: &Value) -> Result<String, TrackingError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| client.odd(path, "an id is missing"))
}
