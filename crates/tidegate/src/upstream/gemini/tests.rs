//! The Gemini API as its reference and recorded answers have it, spoken by a simulated server.

use super::*;
use crate::upstream::UpstreamError;
use crate::upstream::testing::server::{Act, Server};
use crate::upstream::testing::{call, http, stream, text, whole};
use serde_json::json;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn config(url: &str) -> config::Gemini {
    config::Gemini { base_url: url.to_owned(), ..config::Gemini::default() }
}

async fn say(answer: &str, streamed: bool) -> Result<Reply, UpstreamError> {
    let server = Server::start(Act::Send(vec![answer.as_bytes().to_vec()])).await;
    let mut call = call("gemini-x", "", "hi");
    call.stream = streamed;
    Gemini::new("main", &config(&server.url)).unwrap().call(call).await
}

fn answer(text: &str, finish: Option<&str>) -> Value {
    let mut candidate =
        json!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({"candidates": [candidate], "modelVersion": "gemini-x-001", "responseId": "r1",
        "usageMetadata": {"promptTokenCount": 50, "cachedContentTokenCount": 30,
            "candidatesTokenCount": 4, "thoughtsTokenCount": 6, "totalTokenCount": 60}})
}

fn event(data: &Value) -> String {
    format!("data: {data}\r\n\r\n")
}

#[tokio::test]
async fn the_model_is_in_the_path_and_the_key_in_a_header() {
    let json_head = "content-type: application/json; charset=UTF-8\r\n";
    let whole_answer = http("200 OK", json_head, &answer("七天", Some("STOP")).to_string());
    let mut server = Server::start(Act::Send(vec![whole_answer.into_bytes()])).await;
    let api_key_env = Some("PATH".to_owned());
    let upstream =
        Gemini::new("main", &config::Gemini { api_key_env, ..config(&server.url) }).unwrap();
    let (got, _) = whole(upstream.call(call("gemini-x", "Be brief.", "退款?")).await);
    assert_eq!(text(&got), "七天");
    assert_eq!(
        (&got["usage"]["prompt_tokens"], &got["usage"]["completion_tokens"]),
        (&json!(50), &json!(10))
    );
    let request = server.requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/models/gemini-x:generateContent HTTP/1.1\r\n"), "{head}");
    let key = std::env::var("PATH").unwrap();
    assert!(head.contains(&format!("x-goog-api-key: {key}")) && !head.contains("authorization"));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], "Be brief.");
    assert_eq!(body["contents"][0]["parts"][0]["text"], "退款?");
    let mut streamed = call("gemini-x", "", "hi");
    streamed.stream = true;
    // The server answers whole; what matters here is what it was asked.
    drop(upstream.call(streamed).await);
    let request = server.requests.recv().await.unwrap();
    let asked = "POST /v1/models/gemini-x:streamGenerateContent?alt=sse HTTP/1.1\r\n";
    assert!(request.starts_with(asked), "{request}");
}

#[test]
fn a_models_name_stays_in_its_place() {
    assert_eq!(path("models/gemini-2.5-pro", false), "/gemini-2.5-pro:generateContent");
    assert_eq!(path("a/../b?c#d e", false), "/a%2F..%2Fb%3Fc%23d%20e:generateContent");
    assert_eq!(path("模", true), "/%E6%A8%A1:streamGenerateContent?alt=sse");
}

#[tokio::test]
async fn a_stream_ends_by_its_bodys_end_after_a_reason() {
    let body = event(&answer("七", None)) + &event(&answer("天", Some("STOP")));
    let got = stream(say(&format!("{HEAD}{body}"), true).await).await;
    assert_eq!((got.text.as_str(), got.finish.as_deref()), ("七天", Some("stop")));
    assert!(got.end.is_ok(), "{got:?}");
    assert_eq!(got.chunks.last().unwrap()["usage"]["completion_tokens"], 10);
    assert!(stream(say(&format!("{HEAD}{}", body.trim_end()), true).await).await.end.is_ok());
    let cut = event(&answer("七", None));
    let got = stream(say(&format!("{HEAD}{cut}"), true).await).await;
    assert_eq!((got.text.as_str(), got.end.unwrap_err().failure), ("七", Failure::CutShort));
    let half = &body[..body.len() - 30];
    let got = stream(say(&format!("{HEAD}{half}"), true).await).await;
    assert_eq!(got.end.unwrap_err().failure, Failure::CutShort);
}

async fn check_error(code: u16, status: &str, details: Value, failure: Failure) -> UpstreamError {
    let error = json!({"error": {"code": code, "message": "SECRET", "status": status,
        "details": details}});
    let head = "content-type: application/json\r\n";
    let got = say(&http(&format!("{code} x"), head, &error.to_string()), false).await.unwrap_err();
    assert_eq!(got.failure, failure, "{error}: {got:?}");
    assert!(!got.message.contains("SECRET"), "{got:?}");
    // The errors of streams come in a list, or as an event.
    let list = http(&format!("{code} x"), head, &json!([error]).to_string());
    assert_eq!(say(&list, true).await.unwrap_err().failure, failure, "{list}");
    let body = event(&answer("七", None)) + &event(&error);
    let got_later = stream(say(&format!("{HEAD}{body}"), true).await).await;
    assert_eq!(got_later.end.unwrap_err().failure, failure, "{body}");
    got
}

#[tokio::test]
async fn errors_are_told_apart() {
    let wait =
        json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}]);
    let error = check_error(429, "RESOURCE_EXHAUSTED", wait, Failure::RateLimited).await;
    assert_eq!(error.retry_after_s(), Some(35));
    let key = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID"}]);
    check_error(400, "INVALID_ARGUMENT", key, Failure::Credential).await;
    check_error(403, "PERMISSION_DENIED", json!([]), Failure::Credential).await;
    check_error(400, "INVALID_ARGUMENT", json!([]), Failure::Refused).await;
    check_error(404, "NOT_FOUND", json!([]), Failure::Refused).await;
    check_error(500, "INTERNAL", json!([]), Failure::ServerError).await;
    check_error(503, "UNAVAILABLE", json!([]), Failure::ServerError).await;
    check_error(504, "DEADLINE_EXCEEDED", json!([]), Failure::ServerError).await;
}

#[tokio::test]
async fn a_prompt_that_is_blocked_is_a_refusal_and_no_failure() {
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 5}});
    let head = "content-type: application/json\r\n";
    let (got, _) = whole(say(&http("200 OK", head, &blocked.to_string()), false).await);
    assert_eq!(got["choices"][0]["finish_reason"], "content_filter");
}

#[tokio::test]
async fn what_cannot_be_said_is_named_and_not_sent() {
    let mut server = Server::start(Act::Send(vec![b"HTTP/1.1 500 x\r\n\r\n".to_vec()])).await;
    let upstream = Gemini::new("main", &config(&server.url)).unwrap();
    let mut call = call("gemini-x", "", "hi");
    call.body.insert("logit_bias".to_owned(), json!({"50256": -100}));
    let error = upstream.call(call).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unrendered);
    assert_eq!(error.untranslatable.unwrap().param(), Some("logit_bias"));
    assert!(server.requests.try_recv().is_err());
}
