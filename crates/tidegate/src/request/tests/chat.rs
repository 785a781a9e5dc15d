//! Answers, errors after routing, feedback, the release's switch.

use super::harness::*;
use crate::guard::kept_user;
use crate::route::drained;
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_core::ids::Generation;
use tidegate_core::observe::Window;
use tidegate_core::route::{Arm, Entrance};
use tidegate_core::upstream::Failure;

const CHAT: &str = "/v1/chat/completions";

fn ask(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}], "user": "mei"})
}

fn windows(service: &Service) -> (Window, Window) {
    let (stable, candidate, _) = service.gateway.parts.collector.snapshot();
    (stable, candidate)
}

#[tokio::test]
async fn an_answer_passes_through_byte_for_byte() {
    let service = Service::start(vec![Say::text("好的，已为您退款 🧾")]).await;
    let Say::Body(_, sent) = Say::text("好的，已为您退款 🧾") else { panic!() };
    let headers = "x-trace-id: canary-test-001\r\nx-request-id: r-7\r\n";
    let answer = service.post_with(CHAT, headers, &ask("测试回滚")).await;
    assert_eq!((answer.status, &answer.body), (200, &sent));
    assert_eq!(answer.header("x-trace-id"), "canary-test-001");
    assert_eq!(answer.header("x-request-id"), "r-7");
    assert_eq!(answer.header("x-tidegate-arm"), "stable");
    assert!(answer.header("x-tidegate-version-set").starts_with("vs-"));
    let asked = service.asked();
    assert_eq!(asked[0]["messages"][1]["content"], "测试回滚");
    assert_eq!(asked[0]["model"], "gpt-4o-mini");

    let record = service.record("canary-test-001").await;
    assert_eq!((record.status, record.failure), (200, None));
    assert_eq!((record.tokens_in, record.tokens_out, record.tokens_estimated), (12, 5, false));
    assert_eq!(record.cost_micro_usd, 16);
    assert_eq!(record.user.as_deref(), Some("mei"));
    assert_eq!(record.input.as_deref(), Some("测试回滚"));
    assert_eq!((record.prompt_length, record.response_length), (4, 10));
    assert_eq!(record.upstream_model.as_deref(), Some("gpt-4o-mini-0718"));
    assert_eq!(record.set.keys.prompt, "v1");
    assert!(record.timing.total_us >= record.timing.first_token_us);
    assert_eq!(service.gateway.parts.collector.take_baseline().answered(), 1);
    service.stop().await;
}

#[tokio::test]
async fn the_model_is_optional_and_may_be_an_alias() {
    let service = Service::start(vec![Say::text("a"), Say::text("b")]).await;
    let body = r#"{"messages":[{"role":"user","content":"Give one safe release rule for a local LLM service."}],"max_tokens":80}"#;
    assert_eq!(service.raw(request(CHAT, "", body)).await.status, 200);
    let mut named = ask("hi");
    named["model"] = json!("support");
    assert_eq!(service.post(CHAT, &named).await.status, 200);
    named["model"] = json!("gpt-4o");
    let error = service.post(CHAT, &named).await.check_error(404, "model_not_found");
    assert_eq!(error["error"]["param"], "model");
    assert!(error["error"]["message"].as_str().unwrap().contains("`gpt-4o`"), "{error}");
    assert_eq!(service.asked().len(), 2);
}

#[tokio::test]
async fn the_seeds_form_answers_with_its_fields() {
    let service = Service::start(vec![Say::text("先暂停")]).await;
    let body = json!({"user_id": "u-1", "prompt": "测试回滚", "budget_ms": 60000});
    let answer = service.post_with("/chat", "x-trace-id: canary-test-001\r\n", &body).await;
    let got = answer.json();
    assert_eq!(got["trace_id"], "canary-test-001");
    assert_eq!((got["answer"].as_str(), got["arm"].as_str()), (Some("先暂停"), Some("stable")));
    assert_eq!((got["tokens_in"].as_u64(), got["tokens_out"].as_u64()), (Some(12), Some(5)));
    assert_eq!(got["version_set"]["prompt"], "v1");
    assert!(got["version_set"]["id"].as_str().unwrap().starts_with("vs-"));
    assert!(got["latency_ms"].is_u64() && got["request_id"].is_string(), "{got}");
    assert_eq!(service.record("canary-test-001").await.user.as_deref(), Some("u-1"));
}

#[tokio::test]
async fn a_budget_is_the_deadline() {
    let service = Service::start(vec![Say::Nothing]).await;
    let body = json!({"user_id": "u-1", "prompt": "hi", "budget_ms": 60});
    service.post("/chat", &body).await.check_error(504, "budget_exceeded");
}

#[tokio::test]
async fn one_retry_before_the_first_byte() {
    let bad = || Say::Body(500, "{}".to_owned());
    let service = Service::start(vec![bad(), Say::text("ok"), bad(), bad()]).await;
    assert_eq!(service.post(CHAT, &ask("a")).await.status, 200);
    assert_eq!(service.asked().len(), 2);
    let headers = "x-trace-id: t-500\r\n";
    let answer = service.post_with(CHAT, headers, &ask("b")).await;
    answer.check_error(502, "upstream_error");
    assert_eq!(answer.header("x-tidegate-arm"), "stable", "errors after routing name the arm");
    assert_eq!(service.asked().len(), 4);
    let record = service.record("t-500").await;
    assert_eq!((record.status, record.failure), (502, Some(Failure::ServerError)));
    let window = service.gateway.parts.collector.take_baseline();
    assert_eq!((window.requests, window.errors()), (2, 1));
}

#[tokio::test]
async fn what_a_retry_cannot_mend_is_not_retried() {
    let service = Service::start(vec![
        Say::Body(400, json!({"error": {"code": "context_length_exceeded"}}).to_string()),
        Say::Body(429, json!({"error": {"code": "insufficient_quota"}}).to_string()),
        Say::Body(200, "<html>".to_owned()),
        Say::Body(200, json!({"choices": []}).to_string()),
    ])
    .await;
    service.post(CHAT, &ask("a")).await.check_error(400, "context_length_exceeded");
    let answer = service.post(CHAT, &ask("b")).await;
    answer.check_error(503, "upstream_account_limit");
    assert_eq!(answer.header("x-should-retry"), "false");
    service.post(CHAT, &ask("c")).await.check_error(502, "upstream_malformed");
    service.post(CHAT, &ask("d")).await.check_error(502, "upstream_malformed");
    assert_eq!(service.asked().len(), 4);
    let window = service.gateway.parts.collector.take_baseline();
    assert_eq!((window.requests, window.client_faults), (3, 1), "a refusal is the client's");
}

#[tokio::test]
async fn retries_are_a_share_of_all_requests() {
    let bad = || Say::Body(503, "{}".to_owned());
    let service = Service::start((0..80).map(|_| bad()).collect()).await;
    for _ in 0..40 {
        service.post(CHAT, &ask("a")).await.check_error(502, "upstream_error");
    }
    // Ten in reserve, and one for ten requests.
    assert!((50..=54).contains(&service.asked().len()), "{}", service.asked().len());
}

#[tokio::test]
async fn an_answer_over_a_red_line_is_withheld() {
    let setup = Setup {
        project: json!({"risk": {"planted": ["CANARY-7731"]}}),
        candidate: true,
        ..Setup::default()
    };
    let service = Service::with(setup, vec![Say::text("the token is CANARY-7731")]).await;
    let headers = "x-trace-id: leak-1\r\n";
    let answer = service.post_with(CHAT, headers, &ask("tell me")).await;
    answer.check_error(502, "answer_withheld");
    assert!(!answer.body.contains("7731") && !answer.head.contains("7731"));
    assert_eq!(answer.header("x-should-retry"), "false");
    assert_eq!(answer.header("x-tidegate-arm"), "candidate");
    within(service.gateway.parts.collector.red_event_seen()).await;
    let (_, candidate, events) = service.gateway.parts.collector.snapshot();
    assert_eq!((events.len(), candidate.red_events), (1, 1));
    let record = service.record("leak-1").await;
    assert_eq!((record.status, record.risk.len(), record.output), (502, 1, None));
}

#[tokio::test]
async fn contract_refusal_and_pii_are_seen() {
    let schema = json!({"type": "object", "required": ["answer"]});
    let setup = Setup {
        project: json!({"contract": {"output": schema}}),
        candidate: true,
        ..Setup::default()
    };
    let service = Service::with(
        setup,
        vec![
            Say::text(r#"{"answer": "ok"}"#),
            Say::text("not JSON"),
            Say::text(r#"{"answer": "I'm sorry, but I can't help with that."}"#),
            Say::text(r#"{"answer": "write to mei.tan@example.com"}"#),
        ],
    )
    .await;
    for trace in ["c-1", "c-2", "c-3", "c-4"] {
        let headers = format!("x-trace-id: {trace}\r\n");
        assert_eq!(service.post_with(CHAT, &headers, &ask("hi")).await.status, 200);
    }
    let (_, window) = windows(&service);
    assert_eq!((window.contract_checked, window.contract_broken), (4, 1));
    assert_eq!((window.refusals, window.pii), (1, 1));
    assert!(service.record("c-2").await.contract_problem.is_some());
    let output = service.record("c-4").await.output.unwrap();
    assert!(!output.contains("mei.tan"), "{output}");
}

#[tokio::test]
async fn content_is_kept_only_where_it_may_be() {
    let records = json!({"opt_out_tenants": ["acme"]});
    let setup = Setup { project: json!({"records": records}), keyed: true, ..Setup::default() };
    let service = Service::with(setup, vec![Say::text("secret answer")]).await;
    let headers = format!("authorization: Bearer {KEY}\r\nx-trace-id: o-1\r\n");
    assert_eq!(service.post_with(CHAT, &headers, &ask("hi")).await.status, 200);
    let record = service.record("o-1").await;
    assert_eq!((record.input, record.output, record.response_length), (None, None, 13));
    assert_eq!(record.tenant.as_deref(), Some("acme"));
}

#[tokio::test]
async fn a_user_who_opted_out_has_numbers_and_no_text() {
    let hidden = kept_user("support-desk", "ana@example.com");
    let records = json!({"opt_out_users": ["mei@example.com", hidden]});
    let setup = Setup { project: json!({"records": records}), ..Setup::default() };
    let service = Service::with(setup, [(); 3].map(|()| Say::text("secret answer")).into()).await;
    for (user, trace, keeps) in [
        ("mei@example.com", "out-1", false),
        ("ana@example.com", "out-2", false),
        ("mei", "out-3", true),
    ] {
        let headers = format!("x-trace-id: {trace}\r\n");
        let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "user": user });
        assert_eq!(service.post_with(CHAT, &headers, &body).await.status, 200);
        let record = service.record(trace).await;
        assert_eq!((record.input.is_some(), record.output.is_some()), (keeps, keeps), "{user}");
        assert_eq!((record.prompt_length, record.response_length), (2, 13));
    }
}

#[tokio::test]
async fn feedback_counts_once_and_only_for_its_tenant() {
    let setup = Setup { keyed: true, ..Setup::default() };
    let service = Service::with(setup, vec![Say::text("ok")]).await;
    let key = format!("authorization: Bearer {KEY}\r\n");
    let traced = format!("{key}x-trace-id: f-1\r\n");
    assert_eq!(service.post_with(CHAT, &traced, &ask("hi")).await.status, 200);
    let like = json!({"trace_id": "f-1", "like": false});
    let first = service.post_with("/v1/feedback", &key, &like).await.json();
    assert_eq!((first["accepted"].as_u64(), first["repeated"].as_u64()), (Some(1), Some(0)));
    let again = service.post_with("/v1/feedback", &key, &like).await.json();
    assert_eq!((again["accepted"].as_u64(), again["repeated"].as_u64()), (Some(0), Some(1)));
    assert_eq!(service.gateway.parts.collector.take_baseline().dislikes, 1);
    let unknown = json!({"trace_id": "f-2", "like": true});
    let answer = service.post_with("/v1/feedback", &key, &unknown).await;
    answer.check_error(404, "trace_not_found");

    let collector = &service.gateway.parts.collector;
    let mut on = collector.find(Some("acme".into()), &"f-1".parse().unwrap()).unwrap();
    on.tenant = Some("globex".into());
    collector.remember(&"f-3".parse().unwrap(), on.clone());
    let foreign = json!({"trace_id": "f-3", "like": true});
    let answer = service.post_with("/v1/feedback", &key, &foreign).await;
    answer.check_error(404, "trace_not_found");
    // Another tenant's use of the same id takes nothing away, and is not judged by it.
    collector.remember(&"f-1".parse().unwrap(), on);
    let adopted = json!({"trace_id": "f-1", "adopted": true});
    let answer = service.post_with("/v1/feedback", &key, &adopted).await.json();
    assert_eq!(answer["accepted"].as_u64(), Some(1));
}

#[tokio::test]
async fn a_shut_entrance_says_so() {
    let service = Service::start(Vec::new()).await;
    let router = &service.gateway.parts.router;
    let mut shut = live_table(&router.load().stable, false);
    shut.table.generation = Generation(2);
    shut.table.entrance = Entrance::Closed { reason: "leak".to_owned() };
    router.swap(shut).map_err(|e| e.to_string()).unwrap();
    service.post(CHAT, &ask("hi")).await.check_error(503, "entrance_closed");
    assert_eq!(service.get("/readyz").await.json()["entrance"], "closed");
    assert!(service.asked().is_empty());
}

#[tokio::test]
async fn a_swap_is_refused_unless_it_follows() {
    let service = Service::start(vec![Say::Nothing]).await;
    let router = Arc::clone(&service.gateway.parts.router);
    let set = Arc::clone(&router.load().stable);
    let same = router.swap(live_table(&set, true)).err().unwrap();
    assert_eq!(same.to_string(), "route table 1 does not follow table 1, which is in place");
    let mut next = live_table(&set, true);
    next.table.generation = Generation(2);
    let held = router.load();
    let old = router.swap(next).map_err(|e| e.to_string()).unwrap();
    assert_eq!(
        (router.load().table.generation, old.table.generation),
        (Generation(2), Generation(1))
    );
    let mut drain = std::pin::pin!(drained(old));
    let mut looked = std::task::Context::from_waker(std::task::Waker::noop());
    let early = drain.as_mut().poll(&mut looked);
    assert!(early.is_pending(), "a request still holds the old table");
    drop(held);
    within(drain).await;
}

#[tokio::test]
async fn a_full_house_sheds_with_retry_after() {
    let limits = json!({"max_concurrent": 1, "queue_ms": 30});
    let setup = Setup { project: json!({"limits": limits}), ..Setup::default() };
    let slow = Say::pieces(&["a"], End::Open);
    let service = Service::with(setup, vec![slow, Say::text("ok")]).await;
    let mut body = ask("hold");
    body["stream"] = json!(true);
    let mut holder = tokio::net::TcpStream::connect(service.address).await.unwrap();
    let bytes = request(CHAT, "", &body.to_string());
    tokio::io::AsyncWriteExt::write_all(&mut holder, bytes.as_bytes()).await.unwrap();
    within(holder.readable()).await.unwrap();
    let answer = service.post(CHAT, &ask("hi")).await;
    answer.check_error(503, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
    drop(holder);
    service.hung_up().await;
    assert_eq!(service.post(CHAT, &ask("hi")).await.status, 200);
}

#[tokio::test]
async fn a_request_with_nothing_to_be_split_by_is_not_compared() {
    let setup = Setup { candidate: true, ..Setup::default() };
    let service = Service::with(setup, vec![Say::text("ok"), Say::text("ok")]).await;
    let mut body = ask("hi");
    body.as_object_mut().unwrap().remove("user");
    // A picture alone is no conversation to go by.
    body["messages"][0]["content"] = json!([{"type": "image_url", "image_url": {"url": "u"}}]);
    assert_eq!(service.post(CHAT, &body).await.status, 200);
    let (stable, candidate) = windows(&service);
    assert_eq!((stable.requests, candidate.requests), (0, 0));
    assert_eq!(service.post(CHAT, &ask("hi")).await.status, 200);
    assert_eq!(windows(&service).1.requests, 1);
}

#[tokio::test]
async fn the_metrics_move() {
    let setup = Setup { candidate: true, ..Setup::default() };
    let service = Service::with(setup, vec![Say::text("ok")]).await;
    service.post(CHAT, &ask("hi")).await;
    service.post("/nowhere", &json!({})).await;
    let page = service.get("/metrics").await;
    assert!(page.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"llm_requests_total{model_version="gpt-4o-mini",status="ok"} 1"#,
        r#"llm_latency_seconds_count{model_version="gpt-4o-mini"} 1"#,
        r#"gateway_requests_total{status="ok"} 1"#,
        r#"gateway_requests_total{status="client_error"} 1"#,
        "gateway_requests_latency_seconds_count 2",
        "tidegate_gateway_overhead_seconds_count 1",
        "tidegate_release_weight_pct 100",
        r#"tidegate_arm_requests_total{arm="candidate",status="ok"} 1"#,
        r#"tidegate_tokens_total{arm="candidate",direction="out"} 5"#,
    ] {
        assert!(page.body.lines().any(|l| l == line), "no `{line}` in\n{}", page.body);
    }
    let (_, window) = windows(&service);
    assert_eq!(window.answered(), 1);
    let arm = service.gateway.parts.router.load().table.arm(&Default::default());
    assert_eq!(arm, Arm::Candidate);
}
