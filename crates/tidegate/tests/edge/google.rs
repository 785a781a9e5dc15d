//! Clients of Google's Gemini API before a model server that speaks chat completions: the same
//! looks, the same records, an honest end of each stream.

use crate::client::{self, Answer, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion, project_of};
use serde_json::{Value, json};

const PLANTED: &str = "tidegate-canary-7f3a9c";
const GENERATE: &str = "/v1beta/models/my-service:generateContent";
const STREAM: &str = "/v1beta/models/my-service:streamGenerateContent";

fn project_on(upstream: &Upstream) -> (Project, Server) {
    let kind = format!("kind: openai\n    base_url: http://{}/v1", upstream.address);
    let more = format!(
        "risk:\n  planted: [{PLANTED}]\nprices:\n  \
         m1: {{input_per_million: 2, output_per_million: 10}}\n"
    );
    let project = project_of(&kind, "", &more);
    let server = project.serve();
    (project, server)
}

fn said(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

fn ask(server: &Server, path: &str, trace: &str, body: &Value) -> Answer {
    let headers = format!("x-trace-id: {trace}\r\n");
    let bytes = request("POST", path, &headers, body.to_string().as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

fn record(project: &Project, trace: &str) -> Value {
    wait_for("its record", || (project.run(&["trace", trace]).code == 0).then_some(()));
    project.run(&["trace", trace, "--json"]).exits(0).json()["record"].clone()
}

/// The error of an answer has Google's form: its word, Tidegate's code, and the member at fault.
#[track_caller]
fn check_error(answer: &Answer, status: u16, word: &str, code: &str, param: Option<&str>) {
    assert_eq!(answer.status, status, "{answer:?}");
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(status), &json!(word)), "{error}");
    let info = &error["details"][0];
    assert_eq!((&info["reason"], info["metadata"]["param"].as_str()), (&json!(code), param));
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!("data: {}\n\n", json!({"model": "m1-0613", "choices": [choice]}))
}

fn streaming(texts: &'static [&'static str], end: &'static str) -> Upstream {
    Upstream::speaking(move |_| {
        let said: String =
            texts.iter().map(|text| chunk(&json!({"content": text}), None)).collect();
        ("200 OK", "text/event-stream", said + end)
    })
}

/// A good end of a stream, with its usage.
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":20}}\n\n\
    data: [DONE]\n\n";

/// The texts of the answers, and the last answer.
fn joined(answers: &[Value]) -> (String, Value) {
    let text = |answer: &Value| {
        let parts = answer["candidates"][0]["content"]["parts"].as_array();
        parts.into_iter().flatten().map(|it| it["text"].as_str().unwrap().to_owned()).collect()
    };
    let texts: Vec<String> = answers.iter().map(text).collect();
    (texts.join(""), answers.last().unwrap().clone())
}

fn events(answer: &Answer) -> Vec<Value> {
    let data = answer.body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn an_answer_is_translated_recorded_and_billed() {
    let answered = json!({"id": "c", "model": "m1-0613", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "七天内。"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20}});
    let upstream = Upstream::by_rule(move |_| ("200 OK", answered.to_string()));
    let (project, server) = project_on(&upstream);
    let mut body = said("退款要多久?");
    body["systemInstruction"] = json!({"parts": [{"text": "简短。"}]});
    body["generationConfig"] = json!({"maxOutputTokens": 9, "topK": 3});
    let answer = ask(&server, GENERATE, "google-1", &body);
    let value = answer.json();
    assert_eq!(joined(std::slice::from_ref(&value)).0, "七天内。", "{value}");
    assert_eq!(value["candidates"][0]["finishReason"], "STOP");
    assert_eq!(value["usageMetadata"]["totalTokenCount"], 30);
    assert_eq!(
        (&value["responseId"], &value["modelVersion"]),
        (&json!("google-1"), &json!("m1-0613"))
    );
    assert!(answer.header("x-tidegate-warning").contains("generationConfig.topK"), "{answer:?}");
    let expected = json!({"model": "m1", "max_tokens": 9, "messages": [
        {"role": "system", "content": "简短。"}, {"role": "user", "content": "退款要多久?"}]});
    assert_eq!(upstream.asked(), [expected]);
    let record = record(&project, "google-1");
    assert_eq!((&record["tokens_in"], &record["tokens_out"]), (&json!(10), &json!(20)));
    assert_eq!((&record["cost_micro_usd"], &record["input"]), (&json!(220), &json!("退款要多久?")));
}

#[test]
fn a_stream_comes_as_events_or_as_a_list() {
    let upstream = streaming(&["七", "天"], END);
    let (project, server) = project_on(&upstream);
    let as_events = ask(&server, &format!("{STREAM}?alt=sse"), "sse-1", &said("hi"));
    assert_eq!(as_events.header("content-type"), "text/event-stream; charset=utf-8");
    let as_list = ask(&server, STREAM, "list-1", &said("hi"));
    assert_eq!(as_list.header("content-type"), "application/json");
    let list: Vec<Value> = serde_json::from_str(&as_list.body).unwrap();
    for (answers, trace) in [(events(&as_events), "sse-1"), (list, "list-1")] {
        let (text, last) = joined(&answers);
        assert_eq!((text.as_str(), answers.len()), ("七天", 3), "{answers:?}");
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert_eq!(last["usageMetadata"]["candidatesTokenCount"], 20);
        let record = record(&project, trace);
        assert_eq!((&record["output"], &record["tokens_out"]), (&json!("七天"), &json!(20)));
    }
    assert_eq!(upstream.asked()[0]["stream_options"]["include_usage"], true);
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_and_never_with_a_reason_to_finish() {
    let upstream = streaming(&["七天"], "");
    let (project, server) = project_on(&upstream);
    let cut = ask(&server, &format!("{STREAM}?alt=sse"), "cut-1", &said("hi"));
    let list = ask(&server, STREAM, "cut-2", &said("hi"));
    let list: Vec<Value> = serde_json::from_str(&list.body).expect("a whole list");
    for answers in [events(&cut), list] {
        let [first, last] = &answers[..] else { panic!("{answers:?}") };
        assert!(first["candidates"][0]["finishReason"].is_null(), "{first}");
        assert_eq!(last["error"]["details"][0]["reason"], "upstream_cut_short", "{last}");
        // Google's SDK looks at how the data begins.
        assert!(last.to_string().starts_with("{\"error\":"), "{last}");
    }
    let record = record(&project, "cut-1");
    assert_eq!((&record["failure"], &record["output"]), (&json!("cut_short"), &json!("七天")));
}

#[test]
fn a_planted_text_is_withheld_whole_and_in_pieces() {
    let upstream = Upstream::saying("200 OK", "application/json", &completion(PLANTED));
    let (project, server) = project_on(&upstream);
    let whole = ask(&server, GENERATE, "whole-1", &said("hi"));
    check_error(&whole, 502, "UNAVAILABLE", "answer_withheld", None);
    assert!(!whole.body.contains(PLANTED), "{whole:?}");
    assert_eq!(record(&project, "whole-1")["risk"][0]["kind"], "leak");
    drop((project, server));
    let upstream = streaming(&["tidegate-", "canary-7f3a9c"], END);
    let (project, server) = project_on(&upstream);
    let pieces = ask(&server, &format!("{STREAM}?alt=sse"), "pieces-1", &said("hi"));
    let last = events(&pieces).pop().unwrap();
    assert_eq!(last["error"]["details"][0]["reason"], "answer_withheld", "{last}");
    assert!(!pieces.body.contains("canary-7f3a9c"), "{pieces:?}");
    assert_eq!(record(&project, "pieces-1")["risk"][0]["kind"], "leak");
}

#[test]
fn errors_are_in_googles_form_and_name_the_member() {
    let upstream = Upstream::answering("hi");
    let (_project, server) = project_on(&upstream);
    let mut filter = said("hi");
    filter["safetySettings"] = json!([{"threshold": "BLOCK_ONLY_HIGH"}]);
    let refused = ask(&server, GENERATE, "bad-1", &filter);
    let param = Some("safetySettings[0].threshold");
    check_error(&refused, 400, "INVALID_ARGUMENT", "unsupported_parameter", param);
    let empty = ask(&server, GENERATE, "bad-2", &json!({}));
    check_error(&empty, 400, "INVALID_ARGUMENT", "missing_required_parameter", Some("contents"));
    let other = ask(&server, "/v1beta/models/gpt-9:generateContent", "bad-3", &said("hi"));
    check_error(&other, 404, "NOT_FOUND", "model_not_found", Some("model"));
    let embed = ask(&server, "/v1beta/models/my-service:embedContent", "bad-4", &said("hi"));
    check_error(&embed, 404, "NOT_FOUND", "unknown_endpoint", None);
    assert!(embed.body.contains("/v1/embeddings"), "{embed:?}");
    let get = client::get(server.address, GENERATE, "").unwrap();
    check_error(&get, 405, "INVALID_ARGUMENT", "wrong_method", None);
    let proto = ask(&server, &format!("{STREAM}?alt=proto"), "bad-5", &said("hi"));
    check_error(&proto, 400, "INVALID_ARGUMENT", "unsupported_parameter", Some("alt"));
    assert!(upstream.asked().is_empty(), "what was refused reached the model server");
}

#[test]
fn a_key_comes_in_googles_header_and_never_in_an_address() {
    let upstream = Upstream::answering("hi");
    let (project, server) = project_on(&upstream);
    drop(server);
    let key = project.run(&["key", "create", "sdk"]).exits(0).out.trim().to_owned();
    let server = project.serve();
    let ask = |path: &str, headers: &str| {
        let bytes = request("POST", path, headers, said("hi").to_string().as_bytes());
        client::open(server.address, &bytes).unwrap().finish().unwrap()
    };
    assert_eq!(ask(GENERATE, &format!("x-goog-api-key: {key}\r\n")).status, 200);
    let unknown = ask(GENERATE, "x-goog-api-key: AIzaSyUnknown0123456789\r\n");
    check_error(&unknown, 401, "UNAUTHENTICATED", "invalid_api_key", None);
    let in_address = ask(&format!("{GENERATE}?key={key}"), "");
    check_error(&in_address, 400, "INVALID_ARGUMENT", "unsupported_parameter", Some("key"));
    assert!(!in_address.body.contains(&key), "{in_address:?}");
    assert!(!server.log().contains(&key), "the key is in the log");
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn models_and_tokens_are_as_google_has_them() {
    let upstream = Upstream::answering("hi");
    let (_project, server) = project_on(&upstream);
    let models = client::get(server.address, "/v1beta/models?pageSize=50", "").unwrap().json();
    assert_eq!(models["models"][0]["name"], "models/my-service", "{models}");
    let one = client::get(server.address, "/v1beta/models/my-service", "").unwrap().json();
    assert_eq!(one, models["models"][0]);
    // Google's SDK asks the first version, which OpenAI's clients ask for their list.
    let first = |path: &str, headers: &str| client::get(server.address, path, headers).unwrap();
    let client = "x-goog-api-client: google-genai-sdk/3.6.1\r\n";
    assert_eq!(first("/v1/models", client).json(), models);
    assert_eq!(first("/v1/models/my-service", client).json(), one);
    assert_eq!(first("/v1/models", "").json()["object"], "list");
    let answer = ask(&server, &GENERATE.replace("v1beta", "v1"), "first-1", &said("hi"));
    assert_eq!(joined(&[answer.json()]).0, "hi");
    let none = client::get(server.address, "/v1beta/models/gpt-9", "").unwrap();
    check_error(&none, 404, "NOT_FOUND", "model_not_found", Some("model"));
    let count = |body: &Value| {
        let answer = ask(&server, "/v1beta/models/my-service:countTokens", "count-1", body);
        assert!(answer.header("x-tidegate-warning").contains("estimated"), "{answer:?}");
        answer.json()["totalTokens"].as_u64().unwrap()
    };
    let short = count(&said("退款要多久?"));
    assert!((3..30).contains(&short), "{short}");
    let mut whole = said("退款要多久?");
    whole["systemInstruction"] = json!({"parts": [{"text": "Be brief, be kind, be exact."}]});
    assert!(count(&json!({"generateContentRequest": whole})) > short + 5);
    assert_eq!(upstream.asked().len(), 1, "a count reached the model server");
}

/// The path is a part of the request: the same body and key for another answer is another request.
#[test]
fn an_idempotency_key_is_for_the_same_path() {
    let upstream = Upstream::answering("hi");
    let (_project, server) = project_on(&upstream);
    let ask = |path: &str| {
        let body = said("hi").to_string();
        let bytes = request("POST", path, "idempotency-key: k-1\r\n", body.as_bytes());
        client::open(server.address, &bytes).unwrap().finish().unwrap()
    };
    let first = ask(GENERATE);
    let again = ask(GENERATE);
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    check_error(&ask(STREAM), 422, "INVALID_ARGUMENT", "idempotency_key_reused", None);
    assert_eq!(upstream.asked().len(), 1);
}
