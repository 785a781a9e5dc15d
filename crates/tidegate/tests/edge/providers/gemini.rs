//! Model servers that speak Google's Gemini API.

use super::{
    PLANTED, ask, ask_at, calls, check_refusals_and_warnings, everything, project_on, record,
    run_tools, streamed,
};
use crate::project::{Project, Server};
use crate::upstream::Upstream;
use serde_json::{Value, json};

fn project(upstream: &Upstream) -> (Project, Server) {
    project_on(upstream, "kind: gemini")
}

fn candidate(parts: &Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({
        "candidates": [candidate], "modelVersion": "gemini-x-001", "responseId": "r1",
        "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 85,
            "candidatesTokenCount": 8, "thoughtsTokenCount": 12, "totalTokenCount": 120},
    })
}

fn said(text: &str) -> String {
    candidate(&json!([{"text": text}]), Some("STOP")).to_string()
}

fn events(texts: &[&str], is_ended: bool) -> String {
    let last = texts.len() - 1;
    let event = |(at, text): (usize, &&str)| {
        let finish = (is_ended && at == last).then_some("STOP");
        format!("data: {}\r\n\r\n", candidate(&json!([{"text": text}]), finish))
    };
    texts.iter().enumerate().map(event).collect()
}

#[test]
fn everything_that_a_user_asks_is_asked_in_the_apis_form_and_counted_by_its_arithmetic() {
    let upstream = Upstream::by_rule(|_| ("200 OK", said("{\"answer\":\"猫\"}")));
    let (project, server) = project(&upstream);
    let answer = ask(&server, "all-1", &everything());
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"answer\":\"猫\"}"));
    let usage = &answer.json()["usage"];
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 85, "{usage}");
    assert_eq!(usage["completion_tokens"], 20, "thoughts are part of the answer: {usage}");
    let head = &upstream.heads()[0];
    assert!(head.starts_with("post /v1/models/m1:generatecontent http/1.1\n"), "{head}");
    let asked = &upstream.asked()[0];
    assert!(asked["systemInstruction"].to_string().contains("Be brief."), "{asked}");
    let parts = &asked["contents"][0]["parts"];
    assert_eq!(parts[0]["text"], "这是什么?", "{asked}");
    assert_eq!(parts[1]["inlineData"]["mimeType"], "image/png", "{asked}");
    let config = &asked["generationConfig"];
    assert_eq!(
        (&config["maxOutputTokens"], &config["responseMimeType"], &config["seed"]),
        (&json!(300), &json!("application/json"), &json!(7))
    );
    assert_eq!(config["responseJsonSchema"]["required"][0], "answer", "{asked}");
    assert_eq!(config["thinkingConfig"]["thinkingLevel"], "high", "{asked}");
    assert_eq!(answer.header("x-tidegate-warning"), "", "{answer:?}");
    let record = record(&project, "all-1");
    assert_eq!((&record["tokens_in"], &record["tokens_out"]), (&json!(100), &json!(20)));
    assert_eq!(record["upstream_model"], "gemini-x-001", "{record}");
}

#[test]
fn parallel_tools_keep_their_signatures_and_results() {
    let upstream = Upstream::by_rule(|body| {
        let call = |name: &str| json!({"functionCall": {"name": name, "args": {"city": "東京"}}});
        let mut first = call("weather");
        first["thoughtSignature"] = json!("c2ln");
        let answer = match body["contents"].as_array().unwrap().len() {
            1 => candidate(&json!([first, call("time")]), Some("STOP")).to_string(),
            _ => said("晴れ"),
        };
        ("200 OK", answer)
    });
    let (_project, server) = project(&upstream);
    let (first, second) = run_tools(&server);
    let expected = json!({"city": "東京"});
    assert_eq!(
        calls(&first),
        [("weather".to_owned(), expected.clone()), ("time".to_owned(), expected)]
    );
    assert_eq!(first.json()["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!((second.status, second.text().as_str()), (200, "晴れ"), "{second:?}");
    let asked = &upstream.asked()[1];
    let turns = asked["contents"].as_array().unwrap();
    assert_eq!(turns.len(), 3, "{asked}");
    assert_eq!(turns[1]["parts"][0]["thoughtSignature"], "c2ln", "{asked}");
    let results = turns[2]["parts"].as_array().unwrap();
    let names: Vec<&Value> = results.iter().map(|part| &part["functionResponse"]["name"]).collect();
    assert_eq!(names, ["weather", "time"], "{asked}");
    assert_eq!(results[0]["functionResponse"]["response"]["weather"], "晴れ", "{asked}");
}

#[test]
fn a_stream_is_passed_on_watched_and_ended_honestly() {
    let upstream = Upstream::speaking(|body| {
        let text = body["contents"][0]["parts"][0]["text"].as_str().unwrap();
        let (one, two) = PLANTED.split_at(9);
        let events = match text {
            "leak" => events(&[one, two], true),
            "cut" => events(&["七天"], false),
            _ => events(&["七", "天"], true),
        };
        ("200 OK", "text/event-stream", events)
    });
    let (project, server) = project(&upstream);
    let asks = |text: &str, trace: &str| {
        let messages = json!([{"role": "user", "content": text}]);
        ask(&server, trace, &json!({"messages": messages, "stream": true}))
    };
    let good = asks("hi", "good-1");
    assert_eq!(streamed(&good), ("七天".to_owned(), true), "{good:?}");
    assert!(upstream.heads()[0].contains(":streamgeneratecontent?alt=sse "));
    let good = record(&project, "good-1");
    assert_eq!((&good["tokens_in"], &good["tokens_out"]), (&json!(100), &json!(20)), "{good}");
    let cut = asks("cut", "cut-1");
    assert_eq!(streamed(&cut), ("七天".to_owned(), false), "{cut:?}");
    assert_eq!(record(&project, "cut-1")["failure"], "cut_short");
    let leak = asks("leak", "leak-1");
    assert!(leak.body.contains("answer_withheld"), "{leak:?}");
    assert!(!streamed(&leak).0.contains(PLANTED) && !streamed(&leak).1, "{leak:?}");
}

#[test]
fn refusals_and_warnings_name_the_member() {
    let upstream = Upstream::by_rule(|_| ("200 OK", said("hi")));
    let (project, server) = project(&upstream);
    check_refusals_and_warnings(&server, &project, &upstream);
}

#[test]
fn errors_of_the_api_keep_their_meaning() {
    let upstream = Upstream::by_rule(|body| {
        let error = |code: u16, status: &str, detail: Value| {
            json!({"error": {"code": code, "message": "SECRET", "status": status,
                "details": [detail]}})
            .to_string()
        };
        match body["contents"][0]["parts"][0]["text"].as_str().unwrap() {
            "fast" => {
                let detail = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": "21.5s"});
                ("429 x", error(429, "RESOURCE_EXHAUSTED", detail))
            }
            "busy" => ("503 x", error(503, "UNAVAILABLE", json!({}))),
            "key" => {
                ("400 x", error(400, "INVALID_ARGUMENT", json!({"reason": "API_KEY_INVALID"})))
            }
            _ => ("400 x", error(400, "INVALID_ARGUMENT", json!({}))),
        }
    });
    let (project, server) = project(&upstream);
    for (text, status, code, failure, wait) in [
        ("fast", 429, "upstream_rate_limited", "rate_limited", "22"),
        ("busy", 502, "upstream_error", "server_error", ""),
        ("key", 502, "upstream_credential", "credential", ""),
        ("odd", 400, "INVALID_ARGUMENT", "refused", ""),
    ] {
        let trace = format!("error-{text}");
        let answer =
            ask(&server, &trace, &json!({"messages": [{"role": "user", "content": text}]}));
        answer.check_error(status, code, &[]);
        assert!(!answer.body.contains("SECRET"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), wait, "{answer:?}");
        assert_eq!(record(&project, &trace)["failure"], failure, "{text}");
    }
}

/// A client of one API and a model server of another, neither of them OpenAI's.
#[test]
fn a_client_of_anthropics_api_reaches_it_as_well() {
    let upstream = Upstream::speaking(|body| match body["contents"].to_string() {
        text if text.contains("stream") => ("200 OK", "text/event-stream", events(&["七天"], true)),
        _ => ("200 OK", "application/json", said("七天")),
    });
    let (_project, server) = project(&upstream);
    let body = |text: &str, stream: bool| {
        json!({"model": "my-service", "max_tokens": 50, "stream": stream,
            "messages": [{"role": "user", "content": text}]})
    };
    let whole = ask_at(&server, "/v1/messages", "message-1", &body("退款?", false));
    assert_eq!(whole.json()["content"][0]["text"], "七天", "{whole:?}");
    let streamed = ask_at(&server, "/v1/messages", "message-2", &body("stream", true));
    assert!(streamed.body.contains("event: message_stop"), "{streamed:?}");
}
