//! Azure's paths, its key, and what its content filter says, by a simulated server.

use super::*;
use crate::upstream::testing::server::{Act, Server};
use crate::upstream::testing::{call, http};
use serde_json::json;

/// Asks for the model `gpt-x` at Azure; gives what came of it, and the request line, the head and
/// the body.
async fn ask(
    version: Option<&str>,
    deployment: Option<&str>,
    answer: &str,
) -> (Result<Reply, UpstreamError>, String, Value) {
    let mut server = Server::start(Act::Send(vec![answer.as_bytes().to_vec()])).await;
    let upstream = OpenAi::at_azure(
        "main",
        &config::Azure {
            base_url: server.url.trim_end_matches("/v1").to_owned(),
            // PATH is set wherever tests run, and its value is allowed in a header.
            api_key_env: Some("PATH".to_owned()),
            api_version: version.map(str::to_owned),
            deployment: deployment.map(str::to_owned),
            stream_usage: true,
            reach: config::Reach::default(),
        },
    );
    let reply = upstream.unwrap().call(call("gpt-x", "", "hi")).await;
    let request = server.requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (reply, head.to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn both_paths_are_asked_with_the_key_in_its_header() {
    let answer = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let answer = http("200 OK", "content-type: application/json\r\n", answer);
    for (version, deployment, path, model) in [
        (None, None, "/openai/v1/chat/completions", "gpt-x"),
        (None, Some("mine"), "/openai/v1/chat/completions", "mine"),
        (Some("preview"), None, "/openai/v1/chat/completions?api-version=preview", "gpt-x"),
        (
            Some("2024-10-21"),
            None,
            "/openai/deployments/gpt-x/chat/completions?api-version=2024-10-21",
            "gpt-x",
        ),
        (
            Some("2025-04-01-preview"),
            Some("my dep"),
            "/openai/deployments/my%20dep/chat/completions?api-version=2025-04-01-preview",
            "gpt-x",
        ),
    ] {
        let (reply, head, body) = ask(version, deployment, &answer).await;
        reply.unwrap();
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
        let key = std::env::var("PATH").unwrap();
        assert!(head.contains(&format!("\r\napi-key: {key}")), "{head}");
        assert!(!head.contains("authorization"), "{head}");
        assert_eq!(body["model"], model);
    }
}

#[tokio::test]
async fn what_the_content_filter_refuses_is_a_refusal() {
    let check = async |status: &str, body: Value, failure, code: &str| {
        let head = "content-type: application/json\r\nretry-after: 9\r\n";
        let (reply, _, _) = ask(None, None, &http(status, head, &body.to_string())).await;
        let error = reply.unwrap_err();
        assert_eq!(error.failure, failure, "{body}");
        assert_eq!(error.said.code.as_deref(), Some(code), "{body}");
        error
    };
    let filter = json!({"error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's \
                    content management policy.",
        "type": null, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"jailbreak": {"filtered": true, "detected": true}}},
    }});
    check("400 x", filter, Failure::Refused, "content_filter").await;
    let busy = json!({"error": {"code": "429", "message": "exceeded token rate limit"}});
    let error = check("429 x", busy, Failure::RateLimited, "429").await;
    assert_eq!(error.retry_after_s(), Some(9));
    let key = json!({"error": {"code": "401", "message": "Access denied"}});
    check("401 x", key, Failure::Credential, "401").await;
}

#[tokio::test]
async fn an_answer_that_the_filter_cut_is_a_refusal_and_no_failure() {
    let answer = json!({
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
        "choices": [{"index": 0, "finish_reason": "content_filter", "message": {
            "role": "assistant"}, "content_filter_results": {"hate": {"filtered": true}}}],
    });
    let head = "content-type: application/json\r\n";
    let (reply, _, _) = ask(None, None, &http("200 OK", head, &answer.to_string())).await;
    let Ok(Reply::Whole(answer)) = reply else { panic!("{reply:?}") };
    assert!(answer.facts.is_refusal() && answer.facts.is_useful());
}

/// All that a chat completion can hold: tools, calls at the same time and their results, pictures,
/// a schema, reasoning, marks of what to cache, and what nobody knows yet.
fn everything() -> Value {
    json!({
        "model": "gpt-x", "reasoning_effort": "high", "parallel_tool_calls": true,
        "prompt_cache_key": "k", "a_new_member": {"kept": [1.0, 18446744073709551615_u64]},
        "tools": [{"type": "function", "function": {"name": "now", "strict": true,
            "parameters": {"type": "object", "properties": {}}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "messages": [
            {"role": "system", "content": "简短"},
            {"role": "user", "content": [
                {"type": "text", "text": "这是什么?"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a.1", "type": "function",
                    "function": {"name": "now", "arguments": "{\"x\": 1.0}"}},
                {"id": "b.2", "type": "function",
                    "function": {"name": "now", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "a.1", "content": "1"},
            {"role": "tool", "tool_call_id": "b.2", "content": "2"},
        ],
    })
}

#[tokio::test]
async fn what_a_client_sends_reaches_azure_and_openai_unchanged_and_so_does_the_answer() {
    let said = [
        r#"{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","#,
        r#""content":null,"reasoning_content":"想","tool_calls":[{"id":"c","type":"function","#,
        r#""function":{"name":"now","arguments":"{}"}}]}}],"new":1.0,"usage":{"#,
        r#""prompt_tokens":100,"completion_tokens":5,"#,
        r#""prompt_tokens_details":{"cached_tokens":64}}}"#,
    ];
    let said = said.concat();
    let answer = http("200 OK", "content-type: application/json\r\n", &said);
    for is_azure in [false, true] {
        let mut server = Server::start(Act::Send(vec![answer.as_bytes().to_vec()])).await;
        let upstream = match is_azure {
            false => OpenAi::new("main", &server.url, None, true, true),
            true => OpenAi::at_azure(
                "main",
                &config::Azure {
                    base_url: server.url.trim_end_matches("/v1").to_owned(),
                    api_key_env: None,
                    api_version: None,
                    deployment: None,
                    stream_usage: true,
                    reach: config::Reach::default(),
                },
            ),
        };
        let body = everything().as_object().unwrap().clone();
        let asked = Call { body, ..call("gpt-x", "", "hi") };
        let reply = upstream.unwrap().call(asked).await.unwrap();
        let Reply::Whole(answer) = reply else { panic!("{reply:?}") };
        assert_eq!(answer.body, said.as_bytes(), "byte for byte");
        let request = server.requests.recv().await.unwrap();
        let (_, sent) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(sent, everything().to_string(), "azure: {is_azure}");
    }
}
