//! Requests of audited tenants, while the route table changes under them.

use super::harness::*;
use crate::request::arrival::Arrival;
use crate::request::auth::Caller;
use crate::request::dialect::Dialect;
use crate::request::exchange::{Asked, Exchange, Query};
use crate::request::problem::Problem;
use crate::store::Records as _;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, json};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tidegate_core::access::Priority;
use tidegate_core::ids::{Generation, TraceId, UnixMs};
use tidegate_core::route::{Arm, Entrance};

/// Opens an audited request of a user who is on the candidate. Its admission is handed over, then
/// the table is changed, before anybody can have written it.
async fn opened_while(
    service: &Service,
    change: impl FnOnce(),
) -> (TraceId, Result<Exchange, Problem>) {
    let gateway = &service.gateway;
    let arrival = Arrival {
        betas: None,
        wish: None,
        priority: Priority::Normal,
        dialect: Dialect::OpenAi,
        model: None,
        ids: gateway.ids.of(&HeaderMap::new()),
        key: None,
        cache: Default::default(),
        caller: Caller::default(),
        at: UnixMs(1),
        started: Instant::now(),
        reading: Duration::ZERO,
    };
    let query = Query {
        form: Default::default(),
        tokens: None,
        message: None,
        is_message: false,
        left_out: Default::default(),
        body: Asked::new(&Bytes::from_static(b"{}"), Map::new()),
        stream: false,
        include_usage: false,
        user: Some("mei".to_owned()),
        text: "hi".to_owned(),
        input_chars: 2,
        decoding: None,
        tool_results: Vec::new(),
        budget: None,
        echo: Default::default(),
    };
    let trace = arrival.ids.trace.clone();
    let share = gateway.admission.body_share(IpAddr::from([127, 0, 0, 1]));
    let mut opening = Box::pin(Exchange::open(gateway, arrival, query, share));
    let mut looked = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(opening.as_mut().poll(&mut looked).is_pending(), "it waits for its admission");
    change();
    (trace, within(opening).await)
}

async fn audited() -> Service {
    let project = json!({ "records": { "audit": "strict" } });
    Service::with(Setup { project, candidate: true, ..Setup::default() }, Vec::new()).await
}

/// Puts a table of stable alone in place.
fn take_out(service: &Service, entrance: Entrance) {
    let router = &service.gateway.parts.router;
    let mut next = live_table(&router.load().stable, false);
    next.table.generation = Generation(2);
    next.table.entrance = entrance;
    router.swap(next).map_err(|e| e.to_string()).unwrap();
}

#[tokio::test]
async fn a_candidate_that_is_taken_out_meanwhile_does_not_answer() {
    let service = audited().await;
    let (trace, opened) = opened_while(&service, || take_out(&service, Entrance::Open)).await;
    let exchange = opened.unwrap_or_else(|problem| panic!("{problem:?}"));
    assert_eq!(exchange.arm(), Arm::Stable);
    service.store.flush().await.unwrap();
    let left = service.store.unrecorded(&trace).unwrap();
    assert_eq!(left.len(), 1, "the admission for the candidate is gone: {left:?}");
    assert_eq!((left[0].admission.arm, left[0].is_over), (Arm::Stable, false));
    drop(exchange);
    assert_eq!(service.record(trace.as_str()).await.arm, Arm::Stable);
    assert_eq!(service.store.unrecorded(&trace).unwrap(), []);
}

#[tokio::test]
async fn an_entrance_that_is_shut_meanwhile_lets_nobody_in() {
    let service = audited().await;
    let shut = Entrance::Closed { reason: "leak".to_owned() };
    let (trace, opened) = opened_while(&service, || take_out(&service, shut)).await;
    let refused = opened.err().expect("it is refused");
    assert_eq!(refused.code.as_str(), "entrance_closed");
    service.store.flush().await.unwrap();
    assert_eq!(service.store.unrecorded(&trace).unwrap(), [], "it was not answered");
}
