//! What is kept back, who is refused, what control hears of it, and what is kept of personal data.

use super::harness::{Answer, End, Say, Service, Setup};
use serde_json::{Value, json};
use tidegate_core::guard::{RiskKind, Sighting};
use tidegate_core::route::Arm;

const CHAT: &str = "/v1/chat/completions";
const CARD: &str = "4242 4242 4242 4242";

fn ask(user: &str, text: &str) -> Value {
    json!({"user": user, "messages": [{"role": "user", "content": text}]})
}

fn calling(tool: &str) -> Say {
    let call = json!({"id": "t-1", "type": "function",
        "function": {"name": tool, "arguments": "{\"id\": 7}"}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let choice = json!({"index": 0, "finish_reason": "tool_calls", "message": message});
    Say::Body(200, json!({"choices": [choice]}).to_string())
}

async fn service(risk: Value, script: Vec<Say>) -> Service {
    let project = json!({"risk": risk, "artifacts": {"tools": "tools.yaml"}});
    Service::with(Setup { project, ..Setup::default() }, script).await
}

fn sightings(service: &Service) -> Vec<Sighting> {
    service.gateway.parts.collector.take_other_events()
}

#[tokio::test]
async fn a_forbidden_tool_call_is_kept_back_and_its_caller_refused() {
    let script = vec![calling("delete_all"), calling("search")];
    let service = service(json!({}), script).await;
    let answer = service.post_with(CHAT, "x-trace-id: g-1\r\n", &ask("eve", "delete it")).await;
    answer.check_error(502, "answer_withheld");
    assert!(answer.body.contains("a tool that this service does not allow"), "{answer:?}");
    assert!(!answer.body.contains("delete_all"), "{answer:?}");
    // No release runs: control hears of it all the same, with whose it was and what was done.
    let seen = sightings(&service);
    let [Sighting { event, arm, trace_id, caller, blocked, banned_s, change_id, at: _ }] =
        &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!((event.kind, *arm), (RiskKind::UnauthorisedTool, Arm::Stable));
    assert_eq!((trace_id.as_str(), *blocked, *banned_s), ("g-1", true, 300));
    assert!(change_id.is_none() && caller.as_ref().unwrap().starts_with("caller-"), "{seen:?}");
    assert!(!caller.as_ref().unwrap().contains("eve"));
    let refused = service.post(CHAT, &ask("eve", "again")).await;
    refused.check_error(403, "caller_banned");
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(service.post(CHAT, &ask("mei", "hello")).await.status, 200, "somebody else");
}

#[tokio::test]
async fn nobody_is_refused_or_kept_waiting_where_the_project_says_so() {
    let script = vec![calling("delete_all"), Say::text("hello")];
    let service = service(json!({"block": [], "ban_s": 0}), script).await;
    assert_eq!(service.post(CHAT, &ask("eve", "delete it")).await.status, 200);
    assert_eq!(service.post(CHAT, &ask("eve", "again")).await.status, 200);
    let seen = sightings(&service);
    assert_eq!((seen.len(), seen[0].blocked, seen[0].banned_s), (1, false, 0));
}

#[tokio::test]
async fn a_secret_is_seen_and_kept_back_where_it_is_asked_for() {
    let text = "use AKIAIOSFODNN7EXAMPLE";
    for (block, status) in [(json!(["planted"]), 200), (json!(["secrets"]), 502)] {
        let service = service(json!({"block": block}), vec![Say::text(text)]).await;
        let answer = service.post_with(CHAT, "x-trace-id: g-2\r\n", &ask("mei", "a key?")).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let seen = sightings(&service);
        assert_eq!((seen.len(), seen[0].event.kind), (1, RiskKind::Secret));
        let record = service.record("g-2").await;
        assert!(record.pii && !record.output.unwrap_or_default().contains("AKIA"));
    }
}

#[tokio::test]
async fn what_a_user_wrote_may_be_said_again() {
    let script = || vec![Say::text(&format!("your card is {CARD}, mail ann@example.com"))];
    let own = format!("my card is {CARD}, and my mail ann@example.com");
    for (asked, events) in [(own.as_str(), 0), ("what is my card?", 1)] {
        let service = service(json!({}), script()).await;
        assert_eq!(service.post(CHAT, &ask("ann", asked)).await.status, 200);
        assert_eq!(sightings(&service).len(), events, "{asked}");
        let window = service.gateway.parts.collector.take_baseline();
        assert_eq!(window.pii, events as u64, "{asked}");
    }
}

#[tokio::test]
async fn a_user_that_is_an_address_is_kept_behind_a_pseudonym() {
    let script = vec![Say::text("one"), Say::text("two"), Say::text("three")];
    let service = service(json!({}), script).await;
    let mut users = Vec::new();
    for (trace, user) in [("u-1", "ann@example.com"), ("u-2", "ann@example.com"), ("u-3", "mei")] {
        let headers = format!("x-trace-id: {trace}\r\n");
        service.post_with(CHAT, &headers, &ask(user, "hello")).await;
        users.push(service.record(trace).await.user.unwrap());
    }
    assert!(users[0].starts_with("user-") && users[0] == users[1], "{users:?}");
    assert_eq!(users[2], "mei");
}

#[tokio::test]
async fn a_client_that_leaves_in_half_a_tool_name_is_no_event() {
    let call = |name: &str| {
        let call = json!({"index": 0, "id": "t-1", "function": {"name": name}});
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).to_string()
    };
    for (name, events) in [("sea", 0), ("delete_all", 1)] {
        let service = service(json!({}), vec![Say::Stream(vec![call(name)], End::Cut)]).await;
        let mut body = ask("mei", "hello");
        body["stream"] = json!(true);
        let answer: Answer = service.post(CHAT, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(sightings(&service).len(), events, "{name}");
    }
}

#[tokio::test]
async fn a_stream_is_cut_before_a_forbidden_call_and_at_a_text_in_its_reasoning() {
    let delta = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
    let call = |name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        delta(json!({"tool_calls": [{"index": 0, "id": "t-1", "function": function}]}))
    };
    let thought = |text: &str| delta(json!({"reasoning_content": text}));
    let content = || delta(json!({"content": "well, "}));
    let streams = [
        (vec![content(), call("delete_all", "{\"id\": 7}")], "delete_all"),
        (vec![content(), thought("MARKER-"), thought("81c2, then")], "81c2"),
    ];
    for (events, withheld) in streams {
        let risk = json!({"planted": ["MARKER-81c2"]});
        let service = service(risk, vec![Say::Stream(events, End::Done)]).await;
        let mut body = ask("eve", "hello");
        body["stream"] = json!(true);
        let answer: Answer = service.post(CHAT, &body).await;
        assert!(answer.body.contains("well, "), "{answer:?}");
        assert!(answer.body.contains("answer_withheld"), "{answer:?}");
        assert!(!answer.body.contains(withheld) && !answer.body.contains("[DONE]"), "{answer:?}");
        assert!(sightings(&service)[0].blocked);
    }
}

#[tokio::test]
async fn nothing_of_a_call_goes_on_before_its_whole_name_is_known() {
    let call = |name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        let call = json!({"index": 0, "id": "t-1", "function": function});
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).to_string()
    };
    let end = || json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}).to_string();
    // `search` is allowed, and what begins so is not.
    for (events, withheld) in [
        (vec![call("sea", ""), call("rch", ""), call("_all", "{}"), end()], true),
        (vec![call("search", ""), call("_all", ""), end()], true),
        (vec![call("sear", ""), end()], true),
        (vec![call("sea", ""), call("rch", ""), call("", "{\"q\": 1}"), end()], false),
        (vec![call("search", ""), end()], false),
    ] {
        let shown = format!("{events:?}");
        let service = service(json!({}), vec![Say::Stream(events, End::Done)]).await;
        let mut body = ask("eve", "hello");
        body["stream"] = json!(true);
        let answer: Answer = service.post(CHAT, &body).await;
        assert_eq!(answer.body.contains("answer_withheld"), withheld, "{shown} {answer:?}");
        assert_eq!(answer.body.contains("sea"), !withheld, "{shown} {answer:?}");
        assert_eq!(answer.body.contains("[DONE]"), !withheld, "{shown} {answer:?}");
    }
}
