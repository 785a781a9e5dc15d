//! Records over the admin plane: `GET /admin/v1/traces` and `GET /admin/v1/traces/{id}`, with the
//! filters of `tidegate traces`. A key that is bound to a tenant sees that tenant's records alone,
//! and what is another's looks to it as what does not exist.

use super::run::ControlHandle;
use crate::clock::span;
use crate::http::percent_decoded;
use crate::store::{RecordQuery, Records as _, Store, StoreError};
use crate::view;
use http::StatusCode;
use serde_json::{Value, json};
use thiserror::Error;
use tidegate_core::ids::{ChangeId, TraceId, UnixMs};
use tidegate_core::route::Arm;

/// The path of the list; one trace is below it.
pub(super) const PATH: &str = "/admin/v1/traces";
/// Most records of one answer.
const LIMIT_MAX: usize = 1_000;
/// Records of an answer whose request does not say how many.
const LIMIT: usize = 20;
/// What the list may be filtered by.
const FILTERS: &str = "failed, arm, release, tenant, user, since, until, limit";

/// What was read, for the answer and for the log.
pub(super) struct Reading {
    /// The answer.
    pub(super) body: Value,
    /// `trace` or `traces`.
    pub(super) what: &'static str,
    /// How many records.
    pub(super) records: usize,
}

/// Why nothing was read.
#[derive(Debug, Error)]
#[error("{message}")]
pub(super) struct Refused {
    /// The status of the answer.
    pub(super) status: StatusCode,
    message: String,
}

fn refused(status: StatusCode, message: String) -> Refused {
    Refused { status, message }
}

/// Whether a path is one of these.
pub(super) fn is_at(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads what a path and its query ask for, for a key of this tenant (`None`: of all).
pub(super) async fn read(
    control: &ControlHandle,
    path: &str,
    query: &str,
    tenant: Option<&str>,
) -> Result<Reading, Refused> {
    let store = control.store().clone();
    let (now, tenant) = (control.now(), tenant.map(str::to_owned));
    let id = path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/')).map(decoded);
    let query = query.to_owned();
    let reading = tokio::task::spawn_blocking(move || match id {
        Some(id) => one(&store, &id, tenant.as_deref()),
        None => list(&store, &asked(&query, tenant, now)?),
    });
    let broken = |_| refused(StatusCode::INTERNAL_SERVER_ERROR, "a read broke off".to_owned());
    reading.await.map_err(broken)?
}

fn failed(error: StoreError) -> Refused {
    refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn one(store: &Store, id: &str, tenant: Option<&str>) -> Result<Reading, Refused> {
    let id =
        TraceId::parse(id).map_err(|error| refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    let mut unrecorded = store.unrecorded(&id).map_err(failed)?;
    let found = match tenant {
        None => store.traces(&id).map_err(failed)?,
        Some(tenant) => {
            unrecorded.retain(|request| request.admission.tenant.as_deref() == Some(tenant));
            store.trace(Some(tenant), &id).map_err(failed)?.into_iter().collect()
        }
    };
    if found.is_empty() && unrecorded.is_empty() {
        let message = format!("no request with trace id `{id}` is kept here");
        return Err(refused(StatusCode::NOT_FOUND, message));
    }
    let traces: Vec<_> = found.iter().map(|record| (record.tenant.clone(), id.clone())).collect();
    let mut feedback = store.feedback_on(&traces).map_err(failed)?;
    let said = traces.iter().map(|trace| feedback.remove(trace).unwrap_or_default());
    let found: Vec<_> = found.into_iter().zip(said.collect::<Vec<_>>()).collect();
    let body = view::trace_as_json(&found, &unrecorded);
    Ok(Reading { body, what: "trace", records: found.len() })
}

fn list(store: &Store, query: &RecordQuery) -> Result<Reading, Refused> {
    let asked = RecordQuery { limit: query.limit + 1, ..query.clone() };
    let mut found = store.records(&asked).map_err(failed)?;
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    let records = found.len();
    Ok(Reading { body: json!({ "records": found, "more": more }), what: "traces", records })
}

/// The question that a query string asks.
fn asked(query: &str, tenant: Option<String>, now: UnixMs) -> Result<RecordQuery, Refused> {
    let bound = tenant.clone();
    let mut asked =
        RecordQuery { tenant, newest_first: true, limit: LIMIT, ..RecordQuery::default() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        let wrong = |why: String| refused(StatusCode::BAD_REQUEST, format!("`{name}`: {why}"));
        let ago = |text: &str| Ok(UnixMs(now.0.saturating_sub(span(text).map_err(wrong)?)));
        match name.as_str() {
            "failed" => {
                let said = value.parse();
                asked.failing_only = said.map_err(|_| wrong("`true` or `false`".to_owned()))?;
            }
            "arm" => {
                let named = [Arm::Stable, Arm::Candidate];
                let arm = named.into_iter().find(|arm| arm.as_str() == value);
                let either = || wrong("`stable` or `candidate`".to_owned());
                asked.arm = Some(arm.ok_or_else(either)?);
            }
            "release" => {
                let id = ChangeId::parse(&value).map_err(|error| wrong(error.to_string()))?;
                asked.change_id = Some(id);
            }
            "tenant" if bound.as_ref().is_some_and(|bound| *bound != value) => {
                let bound = bound.unwrap_or_default();
                let message = format!("the key is bound to tenant `{bound}`");
                return Err(refused(StatusCode::FORBIDDEN, message));
            }
            "tenant" => asked.tenant = Some(value),
            "user" => asked.user = Some(value),
            "since" => asked.since = Some(ago(&value)?),
            "until" => asked.until = Some(ago(&value)?),
            "limit" => {
                let number = value.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
                asked.limit = number.ok_or_else(|| wrong(format!("1 to {LIMIT_MAX}")))?;
            }
            _ => return Err(wrong(format!("there is no such filter; there are {FILTERS}"))),
        }
    }
    Ok(asked)
}

/// A part of a query or a path as it is meant.
fn decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<(Option<&str>, usize), StatusCode>) {
        let bound = Some("acme".to_owned());
        let found = asked(query, bound, UnixMs(1_000_000)).map_err(|refused| refused.status);
        let found = found.as_ref().map(|q| (q.tenant.as_deref(), q.limit)).map_err(|s| *s);
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn a_bound_key_asks_for_its_tenant_whatever_it_says() {
        check("", Ok((Some("acme"), LIMIT)));
        check("failed=true&limit=7&&", Ok((Some("acme"), 7)));
        check("tenant=acme", Ok((Some("acme"), LIMIT)));
        check("tenant=other", Err(StatusCode::FORBIDDEN));
        check("tenant=acme&tenant=other", Err(StatusCode::FORBIDDEN));
        check("ten%61nt=oth%65r", Err(StatusCode::FORBIDDEN));
        check("tenant=", Err(StatusCode::FORBIDDEN));
        check("Tenant=other", Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "arm=both",
            "failed=yes",
            "since=yesterday",
            "release=..%2F",
            "sql=1",
            "user",
            "limit",
        ] {
            let found = asked(query, None, UnixMs(0)).map(|_| ()).map_err(|refused| refused.status);
            let expected = if query == "user" { Ok(()) } else { Err(StatusCode::BAD_REQUEST) };
            assert_eq!(found, expected, "{query}");
        }
        let asked = asked("user=%E6%A2%85+a&since=1s", None, UnixMs(5_000)).ok().unwrap();
        assert_eq!((asked.user.as_deref(), asked.since), (Some("梅 a"), Some(UnixMs(4_000))));
    }
}
