use super::*;
use crate::facts::{AnswerFacts, CallPiece, ChoicePiece, Finish, Piece, Usage};
use crate::translate::gemini_out;
use crate::translate::testing::any_json;
use proptest::prelude::*;
use serde_json::{Value, json};

const SERVER: ChatServer = ChatServer { extensions: true, reasoning: true, newer_length: false };
const PATH: Path<'_> = Path { model: "m", stream: false };

fn with(key: &str, value: Value) -> Value {
    let mut body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    body[key] = value;
    body
}

fn translated(body: &Value) -> Result<Request, RequestError> {
    request(body.to_string().as_bytes(), &PATH, &SERVER)
}

/// The body is refused, and this member is named.
fn refused(body: &Value, param: &str) {
    let error = translated(body).expect_err(&body.to_string());
    assert_eq!(error.param(), Some(param), "{error}");
}

fn part_refused(role: &str, part: Value, param: &str) {
    let content = json!({ "role": role, "parts": [part] });
    let end = json!({ "parts": [{ "text": "hi" }] });
    refused(&with("contents", json!([content, end])), &format!("contents[0].parts[0]{param}"));
}

#[test]
fn what_the_other_api_cannot_say_is_refused() {
    refused(&with("cachedContent", json!("cachedContents/a")), "cachedContent");
    refused(&with("cached_content", json!("cachedContents/a")), "cached_content");
    refused(&with("noSuchMember", json!(1)), "noSuchMember");
    refused(&with("model", json!("models/other")), "model");
    for (key, value) in [
        ("responseLogprobs", json!(true)),
        ("speechConfig", json!({ "languageCode": "en" })),
        ("imageConfig", json!({ "aspectRatio": "1:1" })),
        ("noSuchMember", json!(1)),
        ("responseMimeType", json!("text/x.enum")),
        ("candidateCount", json!(2)),
    ] {
        let mut config = json!({});
        config[key] = value;
        refused(&with("generationConfig", config), &format!("generationConfig.{key}"));
    }
    let modalities = json!({ "responseModalities": ["TEXT", "IMAGE"] });
    refused(&with("generationConfig", modalities), "generationConfig.responseModalities[1]");
    for tool in ["googleSearch", "google_search", "codeExecution", "urlContext", "computerUse"] {
        let mut tools = json!([{ "functionDeclarations": [{ "name": "f" }] }, {}]);
        tools[1][tool] = json!({});
        refused(&with("tools", tools), &format!("tools[1].{tool}"));
    }
    let function =
        json!([{ "functionDeclarations": [{ "name": "f", "behavior": "NON_BLOCKING" }] }]);
    refused(&with("tools", function), "tools[0].functionDeclarations[0].behavior");
    let retrieval = json!({ "retrievalConfig": { "languageCode": "en" } });
    refused(&with("toolConfig", retrieval), "toolConfig.retrievalConfig");
    for filter in ["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "new"] {
        let settings = json!([{ "category": "HARM_CATEGORY_HARASSMENT", "threshold": filter }]);
        refused(&with("safetySettings", settings), "safetySettings[0].threshold");
    }
}

#[test]
fn parts_that_cannot_be_said_are_refused() {
    part_refused("user", json!({ "executableCode": { "code": "x" } }), ".executableCode");
    part_refused("user", json!({ "toolCall": { "id": "x" } }), ".toolCall");
    part_refused("user", json!({}), ".text");
    part_refused("user", json!({ "text": "x", "inlineData": {} }), ".inlineData");
    part_refused("user", json!({ "functionCall": { "name": "f" } }), ".functionCall");
    let video = json!({ "inlineData": { "mimeType": "video/mp4", "data": "AA" } });
    part_refused("user", video, ".inlineData.mimeType");
    let kept = json!({ "fileData": { "fileUri": "gs://bucket/a" } });
    part_refused("user", kept, ".fileData.fileUri");
    let file = json!({ "fileData": { "fileUri": "https://a/b", "mimeType": "application/pdf" } });
    part_refused("user", file, ".fileData.mimeType");
    part_refused("model", json!({ "inlineData": { "mimeType": "image/png" } }), ".inlineData");
    let response = |response: Value| json!({ "functionResponse": response });
    let unasked = response(json!({ "name": "f", "response": {} }));
    part_refused("user", unasked, ".functionResponse.name");
    let parts = response(json!({ "name": "f", "response": {}, "parts": [{ "inlineData": {} }] }));
    part_refused("user", parts, ".functionResponse.parts");
    let system = json!({ "parts": [{ "inlineData": { "mimeType": "image/png", "data": "AA" } }] });
    refused(&with("systemInstruction", system), "systemInstruction.parts[0].inlineData");
}

#[test]
fn values_of_a_wrong_type_are_named() {
    for (key, value) in [
        ("contents", json!("hi")),
        ("contents", json!([])),
        ("systemInstruction", json!("be brief")),
        ("tools", json!("f")),
        ("toolConfig", json!([])),
        ("safetySettings", json!("off")),
        ("generationConfig", json!(7)),
        ("serviceTier", json!(7)),
    ] {
        refused(&with(key, value), key);
    }
    for (key, value) in [
        ("temperature", json!("warm")),
        ("maxOutputTokens", json!(-1)),
        ("maxOutputTokens", json!("9")),
        ("stopSequences", json!("x")),
        ("responseSchema", json!("x")),
        ("thinkingConfig", json!(true)),
    ] {
        let mut config = json!({});
        config[key] = value;
        refused(&with("generationConfig", config), &format!("generationConfig.{key}"));
    }
    let thinking = |key: &str, value: Value| {
        let config = json!({ "thinkingConfig": { key: value } });
        let at = format!("generationConfig.thinkingConfig.{key}");
        refused(&with("generationConfig", config), &at);
    };
    thinking("thinkingBudget", json!(-2));
    thinking("thinkingBudget", json!(0.5));
    thinking("thinkingLevel", json!("much"));
    refused(&json!({}), "contents");
    refused(&with("contents", json!([{ "role": "robot", "parts": [] }])), "contents[0].role");
    refused(&with("contents", json!([{ "role": "user", "parts": [] }])), "contents[0].parts");
    part_refused("user", json!({ "text": 7 }), ".text");
    let args = json!({ "functionCall": { "name": "f", "args": [1] } });
    part_refused("model", args, ".functionCall.args");
    part_refused("model", json!({ "functionCall": { "args": {} } }), ".functionCall.name");
    let mode = json!({ "functionCallingConfig": { "mode": "SOME" } });
    refused(&with("toolConfig", mode), "toolConfig.functionCallingConfig.mode");
}

#[test]
fn bytes_that_are_no_object_are_refused_as_for_any_api() {
    let refused = |body: &[u8]| request(body, &PATH, &SERVER).unwrap_err();
    assert_eq!(refused(b""), RequestError::Empty);
    assert_eq!(refused(b"[]"), RequestError::NotObject { found: "a list" });
    let twice = br#"{"contents":[],"contents":[]}"#;
    assert_eq!(refused(twice), RequestError::DuplicateKey { key: "contents".to_owned() });
}

#[test]
fn an_id_that_is_made_is_no_other_calls() {
    let call = |id: Option<&str>| {
        let mut call = json!({ "name": "f", "args": {} });
        call["id"] = id.into();
        json!({ "functionCall": call })
    };
    let result = |id: Option<&str>, n: u64| {
        let mut result = json!({ "name": "f", "response": { "n": n } });
        result["id"] = id.into();
        json!({ "functionResponse": result })
    };
    let contents = json!([
        { "role": "model", "parts": [call(Some("call_1")), call(None)] },
        { "parts": [result(None, 2), result(Some("call_1"), 1)] },
    ]);
    let body = translated(&with("contents", contents)).unwrap().chat.body;
    let ids: Vec<&Value> =
        body["messages"][0]["tool_calls"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, ["call_1", "call_2"]);
    let result = |at: usize| body["messages"][at]["tool_call_id"].as_str().unwrap().to_owned();
    assert_eq!((result(1), result(2)), ("call_2".to_owned(), "call_1".to_owned()));
}

#[test]
fn errors_have_the_words_of_the_api() {
    use crate::ErrorBody;
    use crate::gemini::{error_facts, write_error};
    let check = |status: u16, word: &str| {
        let error = ErrorBody {
            status,
            message: "不",
            param: Some("contents"),
            code: "invalid_value",
            trace_id: Some("t-1"),
            retry_after_s: Some(3),
        };
        let body = write_error(&error);
        let facts = error_facts(&body);
        assert_eq!((facts.kind.as_deref(), facts.message.as_deref()), (Some(word), Some("不")));
        assert_eq!((facts.status, facts.retry_after_ms), (Some(status), Some(3_000)));
        let value: Value = serde_json::from_slice(&body).unwrap();
        let metadata = json!({ "param": "contents", "trace_id": "t-1" });
        assert_eq!(value["error"]["details"][0]["metadata"], metadata);
    };
    check(400, "INVALID_ARGUMENT");
    check(422, "INVALID_ARGUMENT");
    check(401, "UNAUTHENTICATED");
    check(403, "PERMISSION_DENIED");
    check(404, "NOT_FOUND");
    check(409, "ABORTED");
    check(413, "INVALID_ARGUMENT");
    check(429, "RESOURCE_EXHAUSTED");
    check(500, "INTERNAL");
    check(502, "UNAVAILABLE");
    check(503, "UNAVAILABLE");
    check(504, "DEADLINE_EXCEEDED");
}

fn pieces() -> impl Strategy<Value = Vec<ChoicePiece>> {
    let text = || "\\PC{1,4}";
    let piece = prop_oneof![
        text().prop_map(|text| ChoicePiece { text, ..ChoicePiece::default() }),
        text().prop_map(|reasoning| ChoicePiece { reasoning, ..ChoicePiece::default() }),
        (0..4_u64, "[a-z]{1,3}", any::<u64>()).prop_map(|(index, name, n)| {
            let (id, arguments) = (Some(format!("c{index}")), format!(r#"{{"n": {n}}}"#));
            let call = CallPiece { index: Some(index), id, name, arguments };
            ChoicePiece { calls: vec![call], ..ChoicePiece::default() }
        }),
    ];
    prop::collection::vec(piece, 0..8)
}

/// What our own reader of the API reads in a stream.
fn read_back(events: &[Vec<u8>]) -> AnswerFacts {
    let (mut stream, mut facts) = (gemini_out::Stream::new(0), AnswerFacts::default());
    let mut take = |step: crate::translate::Step| {
        step.chunks.into_iter().for_each(|chunk| facts.push(chunk.says).unwrap());
    };
    events.iter().for_each(|event| take(stream.event(event).unwrap()));
    take(stream.end().unwrap());
    facts
}

const WORDS: &[&str] = &[
    "contents",
    "role",
    "user",
    "model",
    "parts",
    "text",
    "thought",
    "inlineData",
    "mimeType",
    "image/png",
    "data",
    "fileData",
    "fileUri",
    "https://a",
    "functionCall",
    "functionResponse",
    "name",
    "id",
    "args",
    "response",
    "systemInstruction",
    "tools",
    "functionDeclarations",
    "parameters",
    "parametersJsonSchema",
    "type",
    "OBJECT",
    "properties",
    "nullable",
    "propertyOrdering",
    "required",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "ANY",
    "VALIDATED",
    "allowedFunctionNames",
    "generationConfig",
    "responseSchema",
    "responseMimeType",
    "application/json",
    "thinkingConfig",
    "thinkingBudget",
    "safetySettings",
    "threshold",
    "OFF",
];

proptest! {
    /// Whatever an answer says comes whole, however it was cut into pieces: texts, thoughts where
    /// they are asked for, calls and tokens.
    #[test]
    fn a_stream_says_what_its_pieces_say(pieces in pieces(), shows in any::<bool>()) {
        let mut events = Events::new("r", shows);
        let (mut out, mut facts) = (Vec::new(), AnswerFacts::default());
        let usage = Usage { tokens_in: 9, tokens_out: 5, reasoning_out: 2, ..Usage::default() };
        let end = ChoicePiece { finish: Some(Finish::Stop), ..ChoicePiece::default() };
        let pieces = pieces.into_iter().map(|choice| (choice, None)).chain([(end, Some(usage))]);
        for (choice, usage) in pieces {
            let piece = Piece { choices: vec![choice], usage, ..Piece::default() };
            let Ok(step) = events.piece(&piece) else { return Ok(()) };
            facts.push(piece).unwrap();
            out.extend(step);
        }
        out.extend(events.end().unwrap());
        let read = read_back(&out);
        let (read, said) = (&read.choices[0], (&facts.choices[0], facts.usage, read.usage));
        let (choice, sent, got) = said;
        prop_assert_eq!(&read.text, &choice.text);
        prop_assert_eq!(&read.reasoning, if shows { &choice.reasoning } else { "" });
        let calls = |choice: &crate::facts::ChoiceFacts| -> Vec<(String, String, Option<String>)> {
            let calls = choice.tool_calls.iter();
            calls.map(|call| {
                let id = call.id().map(str::to_owned);
                (call.name.clone(), call.arguments.clone(), id)
            }).collect()
        };
        prop_assert_eq!(calls(read), calls(choice));
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn no_request_panics(
        body in any_json(WORDS),
        part in any_json(WORDS),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        key in 0..WORDS.len(),
    ) {
        let _ = request(&bytes, &PATH, &SERVER);
        let _ = answer(&bytes, "r", true);
        let _ = translated(&body);
        let _ = translated(&with(WORDS[key], part.clone()));
        let _ = translated(&with("contents", json!([{ "parts": [part.clone()] }])));
        let said = json!([{ "role": "model", "parts": [part.clone()] }]);
        let _ = translated(&with("contents", said));
        let declared = json!([{ "name": "f", "parameters": part.clone() }]);
        let tools = json!([{ "functionDeclarations": declared }]);
        let _ = translated(&with("tools", tools));
        let config = json!({ "responseMimeType": "application/json", "responseSchema": part });
        let _ = translated(&with("generationConfig", config));
    }
}
