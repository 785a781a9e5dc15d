//! The answers that need no model: health, readiness, metrics, the list of models.

use super::body::Body;
use super::gateway::Gateway;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tidegate_core::route::Entrance;

/// A JSON response.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// `GET /health`: the process is alive (R179).
pub(super) fn health(gateway: &Gateway) -> Response<Body> {
    let table = gateway.parts.router.load();
    let body = json!({
        "status": "ok",
        "service": gateway.service,
        "version": env!("CARGO_PKG_VERSION"),
        "version_set": table.stable.set.id.as_str(),
        "model": table.stable.keys.model,
        "release_status": match gateway.parts.router.is_experimental() {
            true => "experimental",
            false => "released",
        },
        "files": gateway.files().as_str(),
        "entrance": entrance(&table.table.entrance),
    });
    json(StatusCode::OK, &body)
}

/// `GET /readyz`: whether to send requests here. A shut entrance is ready: its 503 says why, and a
/// load balancer that looks away would hide that.
pub(super) fn ready(gateway: &Gateway) -> Response<Body> {
    let table = gateway.parts.router.load();
    let (status, word) = match gateway.is_stopping() {
        false => (StatusCode::OK, "ready"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    json(status, &json!({ "status": word, "entrance": entrance(&table.table.entrance) }))
}

fn entrance(entrance: &Entrance) -> &'static str {
    match entrance {
        Entrance::Open => "open",
        Entrance::Closed { reason: _ } => "closed",
    }
}

/// `GET /metrics`.
pub(super) fn metrics(gateway: &Gateway) -> Response<Body> {
    let mut response = Response::new(Body::full(gateway.metrics_page()));
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// `GET /v1/models`: the service and its aliases, as an OpenAI list.
pub(super) fn models(gateway: &Gateway) -> Response<Body> {
    let names = std::iter::once(&gateway.service).chain(&gateway.aliases);
    let data: Vec<Value> = names
        .map(|id| json!({ "id": id, "object": "model", "created": 0, "owned_by": "tidegate" }))
        .collect();
    json(StatusCode::OK, &json!({ "object": "list", "data": data }))
}
