//! What model servers refuse, and what their clients and operators see of it.

use super::harness::*;
use serde_json::{Value, json};
use tidegate_core::upstream::Failure;

const CHAT: &str = "/v1/chat/completions";

fn ask(stream: bool) -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}], "user": "mei", "stream": stream})
}

fn refusal(message: &str) -> Say {
    Say::Body(422, json!({"error": {"message": message, "type": "x"}}).to_string())
}

#[tokio::test]
async fn a_server_that_refuses_stream_options_is_asked_without() {
    let script = vec![
        refusal("extra fields are not permitted"),
        Say::pieces(&["a"], End::Done),
        Say::pieces(&["b"], End::Done),
    ];
    let service = Service::start(script).await;
    assert_eq!(service.post(CHAT, &ask(true)).await.events().last(), Some(&"[DONE]"));
    assert_eq!(service.post(CHAT, &ask(true)).await.status, 200);
    let asked = service.asked();
    let options: Vec<bool> =
        asked.iter().map(|body| body.get("stream_options").is_some()).collect();
    assert_eq!(options, [true, false, false], "once refused, it is not asked for again");
}

#[tokio::test]
async fn stream_usage_can_be_switched_off_and_the_clients_own_is_left() {
    let service = Service::start(Vec::new()).await;
    let mut upstreams = service.upstreams();
    upstreams["main"]["stream_usage"] = json!(false);
    let setup = Setup { project: json!({"upstreams": upstreams}), ..Setup::default() };
    let off = Service::with(setup, Vec::new()).await;
    off.post(CHAT, &ask(true)).await;
    let mut own = ask(true);
    own["stream_options"] = json!({"include_usage": true});
    off.post(CHAT, &own).await;
    let asked = service.asked();
    assert_eq!(asked[0].get("stream_options"), None);
    assert_eq!(asked.last().unwrap()["stream_options"], json!({"include_usage": true}));
}

#[tokio::test]
async fn what_the_server_said_reaches_operators_and_clients_only_where_it_may() {
    let said = "request (9000 tokens) exceeds the available context size, mei.tan@example.com";
    let script = || vec![refusal(said)];
    let service = Service::start(script()).await;
    let answer = service.post_with(CHAT, "x-trace-id: f-1\r\n", &ask(false)).await;
    let error = answer.check_error(422, "context_length_exceeded");
    assert!(!answer.body.contains("9000"), "{answer:?}");
    assert_eq!(error["error"]["trace_id"], "f-1");
    let kept = service.record("f-1").await.upstream_said.unwrap();
    assert!(kept.contains("`main` said") && kept.contains("9000 tokens"), "{kept}");
    assert!(!kept.contains("mei.tan"), "{kept}");

    let project = json!({"upstream_errors": {"pass_on": true}});
    let open = Service::with(Setup { project, ..Setup::default() }, script()).await;
    let error = open.post(CHAT, &ask(false)).await.check_error(422, "context_length_exceeded");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("9000 tokens") && !message.contains("mei.tan"), "{message}");
}

#[tokio::test]
async fn an_empty_answer_and_an_error_inside_a_choice_are_failures() {
    let inside = json!({"choices": [{"index": 0, "message": {"content": ""},
        "error": {"code": 502, "message": "provider failed"}}]});
    let script =
        vec![Say::text(" "), Say::pieces(&[], End::Done), Say::Body(200, inside.to_string())];
    let project = json!({"limits": {"retries": 0}});
    let service = Service::with(Setup { project, ..Setup::default() }, script).await;
    for (trace, stream, status) in [("e-1", false, 200), ("e-2", true, 200), ("e-3", false, 502)] {
        let headers = format!("x-trace-id: {trace}\r\n");
        assert_eq!(service.post_with(CHAT, &headers, &ask(stream)).await.status, status, "{trace}");
    }
    let failures = [Failure::Empty, Failure::Empty, Failure::ServerError];
    for (trace, failure) in ["e-1", "e-2", "e-3"].into_iter().zip(failures) {
        assert_eq!(service.record(trace).await.failure, Some(failure), "{trace}");
    }
    assert_eq!(service.gateway.parts.collector.take_baseline().errors(), 3);
}

#[tokio::test]
async fn leading_system_messages_are_sent_as_one() {
    let service = Service::start(vec![Say::text("ok")]).await;
    let mut body = ask(false);
    body["messages"] = json!([
        {"role": "system", "content": "Answer in French."}, {"role": "user", "content": "hi"}
    ]);
    assert_eq!(service.post(CHAT, &body).await.status, 200);
    let messages = service.asked()[0]["messages"].clone();
    let system = "You are the support desk of 北风 shop.\n\nAnswer in French.";
    assert_eq!(messages[0], json!({"role": "system", "content": system}));
    assert_eq!(messages.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_request_that_the_prompt_cannot_take_is_not_the_upstreams_refusal() {
    let service = Service::start(Vec::new()).await;
    let body = json!({"messages": [{"role": "system", "content": "x"}]});
    let answer = service.post_with(CHAT, "x-trace-id: n-1\r\n", &body).await;
    answer.check_error(400, "prompt_not_rendered");
    assert!(service.asked().is_empty());
    assert_eq!(service.record("n-1").await.failure, Some(Failure::Unrendered));
}
