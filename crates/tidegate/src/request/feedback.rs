//! `POST /v1/feedback`: what users say of an answer, by its trace id.

use super::arrival::Arrival;
use super::auth::Caller;
use super::body::Body;
use super::code::Code;
use super::front::Admitted;
use super::gateway::Gateway;
use super::problem::{Next, Problem};
use super::respond;
use crate::observe::FeedbackOn;
use crate::store::Records as _;
use http::{Response, StatusCode};
use serde_json::json;
use std::sync::Arc;
use tidegate_core::ids::TraceId;
use tidegate_core::observe::Feedback;
use tidegate_wire::RequestError;
use tidegate_wire::forms::{FeedbackRequest, parse_feedback};

/// Keeps and counts feedback; of each kind, a trace's first counts.
pub(super) async fn feedback(
    admitted: &Admitted,
    arrival: Arrival,
    body: &[u8],
) -> Result<Response<Body>, Problem> {
    let request = parse_feedback(body).map_err(|e| Problem::of_request(&e))?;
    let trace = TraceId::parse(&request.trace_id).map_err(|_| {
        let allowed = "1 to 128 of `A-Za-z0-9._-` are allowed";
        Problem::of_request(&RequestError::bad_value("trace_id", allowed))
    })?;
    let found = admitted.find(|gateway, caller| place(gateway, caller, trace.clone())).await?;
    let Some((gateway, on)) = found else {
        let message = format!("no answer with trace id `{trace}` is known");
        return Err(Problem::client(StatusCode::NOT_FOUND, Code::TraceNotFound, message)
            .param(Some("trace_id")));
    };
    let (mut accepted, mut repeated) = (0, 0);
    for feedback in items(&request) {
        let tenant = on.tenant.as_deref();
        let kept = gateway.parts.store.put_feedback(tenant, &trace, arrival.at, feedback).await;
        match kept.map_err(|_| store_problem())? {
            true => accepted += 1,
            false => {
                repeated += 1;
                continue;
            }
        }
        // What another model answered says nothing of the arm's own.
        if on.is_others {
            continue;
        }
        gateway.parts.collector.add_feedback(&trace, &on, feedback, arrival.at);
        let (metric, score) = score(feedback);
        gateway.metrics.quality(&on.model, metric, score);
    }
    let body = json!({ "trace_id": trace.as_str(), "accepted": accepted, "repeated": repeated });
    Ok(respond::json(StatusCode::OK, &body))
}

fn items(request: &FeedbackRequest) -> impl Iterator<Item = Feedback> {
    let FeedbackRequest { trace_id: _, like, adopted, task_done, satisfaction } = request;
    let items = [
        like.map(Feedback::Like),
        adopted.map(Feedback::Adopted),
        task_done.map(Feedback::TaskDone),
        satisfaction.map(Feedback::Satisfaction),
    ];
    items.into_iter().flatten()
}

/// Where a trace of this caller's was answered.
async fn place(
    gateway: Arc<Gateway>,
    caller: Caller,
    trace: TraceId,
) -> Result<Option<FeedbackOn>, Problem> {
    // Another tenant's trace is as good as none, and looks the same.
    match gateway.parts.collector.find(caller.tenant.clone(), &trace) {
        Some(on) => Ok(Some(on)),
        None => recorded(&gateway, caller.tenant, trace).await,
    }
}

async fn recorded(
    gateway: &Gateway,
    tenant: Option<Arc<str>>,
    trace: TraceId,
) -> Result<Option<FeedbackOn>, Problem> {
    let store = gateway.parts.store.clone();
    // Reading SQLite blocks.
    let read = tokio::task::spawn_blocking(move || store.trace(tenant.as_deref(), &trace)).await;
    let record = read.map_err(|_| store_problem())?.map_err(|_| store_problem())?;
    Ok(record.map(|record| FeedbackOn {
        arm: record.arm,
        cohort: record.cohort,
        // As when it is counted: a request without a subject is not compared.
        change_id: record.change_id.filter(|_| record.cohort.is_some()),
        tenant: record.tenant.map(Into::into),
        model: record.set.keys.model.into(),
        is_others: record.fallback.is_some(),
    }))
}

fn store_problem() -> Problem {
    let message = "the feedback could not be kept; it was not counted".to_owned();
    Problem::server(StatusCode::SERVICE_UNAVAILABLE, Code::StoreUnavailable, message)
        .next(Next::RetryAfter(5))
}

fn score(feedback: Feedback) -> (&'static str, f64) {
    let of = |yes: bool| f64::from(u8::from(yes));
    match feedback {
        Feedback::Like(yes) => ("like", of(yes)),
        Feedback::Adopted(yes) => ("adopted", of(yes)),
        Feedback::TaskDone(yes) => ("task_done", of(yes)),
        Feedback::Satisfaction(score) => ("satisfaction", score.clamp(0.0, 1.0)),
    }
}
