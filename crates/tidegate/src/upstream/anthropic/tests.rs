//! Anthropic's API as its reference and recorded answers have it, spoken by a simulated server.

use super::*;
use crate::upstream::UpstreamError;
use crate::upstream::testing::server::{Act, Server};
use crate::upstream::testing::{call, http, stream, text, whole};
use serde_json::{Value, json};
use tidegate_core::upstream::Failure;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn config(url: &str) -> config::Anthropic {
    config::Anthropic { base_url: url.to_owned(), ..config::Anthropic::default() }
}

async fn say(answer: &str, streamed: bool) -> Result<Reply, UpstreamError> {
    let server = Server::start(Act::Send(vec![answer.as_bytes().to_vec()])).await;
    let mut call = call("claude", "", "hi");
    call.body.insert("stream".to_owned(), streamed.into());
    call.stream = streamed;
    Anthropic::new("main", &config(&server.url)).unwrap().call(call).await
}

fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

/// A stream that says 七天, with a ping in it, up to its end.
fn begun() -> String {
    [
        json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [], "usage": {"input_tokens": 9, "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 20, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "七天"}}),
        json!({"type": "content_block_stop", "index": 0}),
    ]
    .iter()
    .map(event)
    .collect()
}

fn ended() -> String {
    let usage = json!({"output_tokens": 7});
    let delta = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": usage});
    event(&delta) + &event(&json!({"type": "message_stop"}))
}

#[tokio::test]
async fn the_request_is_in_the_apis_form_with_its_headers() {
    let answer = json!({"type": "message", "id": "msg_1", "role": "assistant", "model": "claude-x",
        "content": [{"type": "text", "text": "七天"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 100, "output_tokens": 7}});
    let answer = http("200 OK", "content-type: application/json\r\n", &answer.to_string());
    let mut server = Server::start(Act::Send(vec![answer.into_bytes()])).await;
    // PATH is set wherever tests run, and its value is allowed in a header.
    let config = config::Anthropic {
        api_key_env: Some("PATH".to_owned()),
        max_tokens: 512,
        ..config(&server.url)
    };
    let upstream = Anthropic::new("main", &config).unwrap();
    let mut call = call("claude", "Be brief.", "退款?");
    call.body.insert("temperature".to_owned(), json!(0.2));
    let mut reply = upstream.call(call).await;
    let warned = match reply.as_mut().unwrap() {
        Reply::Whole(answer) => std::mem::take(&mut answer.warnings),
        Reply::Stream(_) => panic!("a stream"),
    };
    let warned: Vec<&str> = warned.iter().map(|warning| warning.param.as_str()).collect();
    assert_eq!(warned, ["temperature"]);
    let (answer, _) = whole(reply);
    assert_eq!(text(&answer), "七天");
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("chat.completion"), &json!("claude-x"))
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 109);
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 100);
    let request = server.requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{head}");
    let path = std::env::var("PATH").unwrap();
    for line in [&format!("x-api-key: {path}"), "anthropic-version: 2023-06-01"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("authorization") && !format!("{upstream:?}").contains(&path));
    let body: Value = serde_json::from_str(body).unwrap();
    let content = json!([{"type": "text", "text": "退款?"}]);
    assert_eq!((&body["max_tokens"], &body["model"]), (&json!(512), &json!("claude")));
    assert!(body["system"].to_string().contains("Be brief."), "{body}");
    assert!([content, json!("退款?")].contains(&body["messages"][0]["content"]), "{body}");
}

#[tokio::test]
async fn a_stream_becomes_chunks_and_ends_by_message_stop_only() {
    let got = stream(say(&format!("{HEAD}{}{}", begun(), ended()), true).await).await;
    assert_eq!((got.text.as_str(), got.finish.as_deref()), ("七天", Some("stop")));
    assert!(got.end.is_ok(), "{got:?}");
    let usage = &got.chunks.last().unwrap()["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(129), &json!(7)));
    // An event that is whole counts, also where no blank line follows it.
    let all = format!("{HEAD}{}{}", begun(), ended());
    assert!(stream(say(all.trim_end(), true).await).await.end.is_ok());
    for cut in [begun(), begun() + &ended()[..ended().find("event: message_stop").unwrap()]] {
        let got = stream(say(&format!("{HEAD}{cut}"), true).await).await;
        assert_eq!(got.end.unwrap_err().failure, Failure::CutShort, "{cut}");
        assert_eq!(got.text, "七天");
    }
    let half = format!("{HEAD}{}event: message_delta\ndata: {{\"type\":\"mess", begun());
    assert_eq!(stream(say(&half, true).await).await.end.unwrap_err().failure, Failure::CutShort);
}

async fn check_error(status: &str, kind: &str, message: &str, failure: Failure) -> UpstreamError {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    let headers = "content-type: application/json\r\nretry-after: 7\r\n";
    let error = say(&http(status, headers, &body.to_string()), false).await.unwrap_err();
    assert_eq!(error.failure, failure, "{status} {kind}: {error:?}");
    assert!(!error.message.contains("SECRET"), "{error:?}");
    error
}

#[tokio::test]
async fn errors_are_told_apart() {
    let error = check_error("529 x", "overloaded_error", "SECRET", Failure::ServerError).await;
    assert_eq!((error.retry_after_s(), error.status), (Some(7), Some(529)));
    assert!(error.failure.retryable());
    let error = check_error("429 x", "rate_limit_error", "SECRET", Failure::RateLimited).await;
    assert_eq!(error.retry_after_s(), Some(7));
    check_error("401 x", "authentication_error", "SECRET", Failure::Credential).await;
    check_error("403 x", "permission_error", "SECRET", Failure::Credential).await;
    check_error("402 x", "billing_error", "SECRET", Failure::AccountLimit).await;
    let credit = "Your credit balance is too low to access the Anthropic API.";
    check_error("400 x", "invalid_request_error", credit, Failure::AccountLimit).await;
    check_error("413 x", "request_too_large", "SECRET", Failure::Refused).await;
    check_error("500 x", "api_error", "SECRET", Failure::ServerError).await;
    let long = "prompt is too long: 210000 tokens > 200000 maximum";
    let error = check_error("400 x", "invalid_request_error", long, Failure::Refused).await;
    assert_eq!(error.said.code.as_deref(), Some("context_length_exceeded"));
}

#[tokio::test]
async fn an_error_in_a_stream_is_classified_by_its_type() {
    for (kind, failure) in [
        ("overloaded_error", Failure::ServerError),
        ("rate_limit_error", Failure::RateLimited),
        ("authentication_error", Failure::Credential),
        ("invalid_request_error", Failure::Refused),
        ("timeout_error", Failure::ServerError),
    ] {
        let error = event(&json!({"type": "error", "error": {"type": kind, "message": "SECRET"}}));
        let got = stream(say(&format!("{HEAD}{}{error}", begun()), true).await).await;
        assert_eq!(got.end.unwrap_err().failure, failure, "{kind}");
        // Before the first event it may be tried again.
        let early = say(&format!("{HEAD}{error}"), true).await.unwrap_err();
        assert_eq!(early.failure, failure, "{kind}");
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_named_and_not_sent() {
    let mut server = Server::start(Act::Send(vec![b"HTTP/1.1 500 x\r\n\r\n".to_vec()])).await;
    let upstream = Anthropic::new("main", &config(&server.url)).unwrap();
    let mut call = call("claude", "", "hi");
    call.body.insert("logit_bias".to_owned(), json!({"50256": -100}));
    let error = upstream.call(call).await.unwrap_err();
    assert_eq!((error.failure, error.status), (Failure::Unrendered, None));
    assert_eq!(error.untranslatable.unwrap().param(), Some("logit_bias"));
    assert!(server.requests.try_recv().is_err());
}
