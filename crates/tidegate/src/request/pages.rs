//! The answers that need no model: health, readiness, metrics, the list of models.

use super::body::Body;
use super::front::{Admitted, Front};
use super::gateway::Gateway;
use super::problem::Problem;
use super::respond::json;
use crate::clock::rfc3339;
use crate::observe::{self, ArmView, Format, joined_pages};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tidegate_core::route::Entrance;

/// `GET /health`: the process is alive, with what each service serves.
pub(super) fn health(front: &Front) -> Response<Body> {
    let version = env!("CARGO_PKG_VERSION");
    let mut services: Vec<Value> = front.services().map(|gateway| served(gateway)).collect();
    let body = match services.as_mut_slice() {
        [only] => {
            only["status"] = json!("ok");
            only["version"] = json!(version);
            only.take()
        }
        _ => json!({ "status": "ok", "version": version, "services": services }),
    };
    json(StatusCode::OK, &body)
}

fn served(gateway: &Gateway) -> Value {
    let table = gateway.parts.router.load();
    json!({
        "service": gateway.service,
        "version_set": table.stable.set.id.as_str(),
        "model": table.stable.keys.model,
        "release_status": match gateway.parts.router.is_experimental() {
            true => "experimental",
            false => "released",
        },
        "files": gateway.files().as_str(),
        "entrance": entrance(&table.table.entrance),
    })
}

/// `GET /readyz`: whether to send requests here, and what is wrong behind it. A shut entrance is
/// ready: its 503 says why, and a load balancer that looks away would hide that. So is a service
/// whose model server fails: it fails every replica at once, and taking them all out would turn
/// errors that say why into none. And so is one that cannot write: it answers as before.
pub(super) fn ready(front: &Front) -> Response<Body> {
    let (status, word) = match front.first().is_stopping() {
        false => (StatusCode::OK, "ready"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    let mut body = Map::from_iter([("status".to_owned(), json!(word))]);
    match front.is_one() {
        true => body.extend(readiness(front.first())),
        false => {
            let services = front.services();
            let all = services.map(|gateway| (gateway.service.clone(), readiness(gateway).into()));
            body.insert("services".to_owned(), Value::Object(all.collect()));
        }
    }
    json(status, &body.into())
}

fn readiness(gateway: &Gateway) -> Map<String, Value> {
    let now = gateway.parts.clock.now();
    let arms = gateway.arms();
    let outages: Vec<Value> = arms
        .iter()
        .filter_map(|ArmView { arm, upstream, outage, .. }| {
            outage.as_ref().map(|outage| {
                json!({
                    "arm": arm.as_str(),
                    "upstream": upstream,
                    "failure": outage.failure.as_str(),
                    "requests": outage.requests,
                    "failed": outage.failed,
                    "since": rfc3339(outage.since),
                    "last_request_at": rfc3339(outage.last_at),
                    "text": observe::lasts(*arm, upstream, outage, now),
                })
            })
        })
        .collect();
    let entrance = entrance(&gateway.parts.router.load().table.entrance);
    let upstream = if outages.is_empty() { "ok" } else { "failing" };
    let unwritten = gateway.parts.store.failing();
    let store = if unwritten.is_some() { "failing" } else { "ok" };
    let mut body = Map::from_iter([
        ("entrance".to_owned(), json!(entrance)),
        ("upstream".to_owned(), json!(upstream)),
        ("outages".to_owned(), json!(outages)),
        ("store".to_owned(), json!(store)),
    ]);
    if let Some(why) = unwritten {
        body.insert("store_text".to_owned(), json!(format!("nothing is written: {why}")));
    }
    body
}

fn entrance(entrance: &Entrance) -> &'static str {
    match entrance {
        Entrance::Open => "open",
        Entrance::Closed { reason: _ } => "closed",
    }
}

/// `GET /metrics`, as OpenMetrics with exemplars where `accept` asks for it; with several services
/// each sample has the label `service`.
pub(super) fn metrics(front: &Front, admitted: &Admitted, accept: &str) -> Response<Body> {
    let format = Format::accepted(accept);
    let page = match front.is_one() {
        true => front.first().metrics_page(format),
        false => {
            let page = |g: &Arc<Gateway>| g.metrics_page(format);
            joined_pages(format, admitted.gateways().map(|g| (g.service.as_str(), page(g))))
        }
    };
    let mut response = Response::new(Body::full(page));
    let text = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// `GET /v1/models`: the names that the caller may ask for, as an OpenAI list.
pub(super) fn models(admitted: &Admitted) -> Response<Body> {
    let data: Vec<Value> = admitted.models().map(listed).collect();
    json(StatusCode::OK, &json!({ "object": "list", "data": data }))
}

/// `GET /v1/models/{id}`: one of them.
pub(super) fn model(admitted: &Admitted, id: String) -> Result<Response<Body>, Problem> {
    admitted.pick(Some(&id))?;
    Ok(json(StatusCode::OK, &listed(&id)))
}

fn listed(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": 0, "owned_by": "tidegate" })
}

/// `GET /v1beta/models`: the names that the caller may ask for. All are on one page.
pub(super) fn google_models(admitted: &Admitted) -> Response<Body> {
    let models: Vec<Value> = admitted.models().map(google_listed).collect();
    json(StatusCode::OK, &json!({ "models": models }))
}

/// `GET /v1beta/models/{id}`: one of them.
pub(super) fn google_model(admitted: &Admitted, id: &str) -> Result<Response<Body>, Problem> {
    admitted.pick(Some(id))?;
    Ok(json(StatusCode::OK, &google_listed(id)))
}

fn google_listed(id: &str) -> Value {
    json!({
        "name": format!("models/{id}"),
        "displayName": id,
        "supportedGenerationMethods":
            ["generateContent", "streamGenerateContent", "countTokens"],
    })
}
