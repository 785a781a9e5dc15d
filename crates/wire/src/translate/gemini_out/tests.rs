use super::*;
use crate::facts::{AnswerFacts, Finish};
use crate::openai_chat;
use crate::parse_json_object;
use crate::problem::AnswerProblem;
use crate::translate::testing::any_json;
use proptest::prelude::*;
use serde_json::{Value, json};

const OPTIONS: Options =
    Options { sampling: true, thinking: Thinking::Level, marks_unsigned_calls: false };

fn translated(body: &Value) -> Result<Value, RequestError> {
    let body = parse_json_object(body.to_string().as_bytes()).unwrap();
    request(&body, &OPTIONS).map(|out| serde_json::from_slice(&out.body).unwrap())
}

fn with(key: &str, value: Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    body[key] = value;
    body
}

/// The body is refused, and this member is named.
fn refused(body: &Value, param: &str) {
    let error = translated(body).expect_err(&body.to_string());
    assert_eq!(error.param(), Some(param), "{error}");
}

fn message_refused(message: Value, param: &str) {
    refused(&with("messages", json!([message])), &format!("messages[0].{param}"));
}

#[test]
fn what_changes_the_answer_and_cannot_be_said_is_refused() {
    refused(&with("logit_bias", json!({ "1": 5 })), "logit_bias");
    refused(&with("logprobs", json!(true)), "logprobs");
    refused(&with("n", json!(2)), "n");
    refused(&with("modalities", json!(["audio"])), "modalities[0]");
    refused(&with("functions", json!([{ "name": "f" }])), "functions");
    refused(&with("no_such_member", json!(1)), "no_such_member");
    refused(&with("tools", json!([{ "type": "custom" }])), "tools[0].type");
    let mut one_at_a_time = with("parallel_tool_calls", json!(false));
    translated(&one_at_a_time).unwrap();
    one_at_a_time["tools"] = json!([{ "type": "function", "function": { "name": "f" } }]);
    refused(&one_at_a_time, "parallel_tool_calls");
}

#[test]
fn messages_that_cannot_be_said_are_refused() {
    message_refused(json!({ "role": "function", "content": "x" }), "role");
    message_refused(json!({ "role": "user", "content": "" }), "content");
    message_refused(json!({ "role": "assistant", "audio": { "id": "a" } }), "audio");
    let tool = json!({ "role": "tool", "tool_call_id": "c", "content": "x" });
    message_refused(tool, "tool_call_id");
    let part = |part: Value| json!({ "role": "user", "content": [part] });
    let image = |url: &str| part(json!({ "type": "image_url", "image_url": { "url": url } }));
    message_refused(image("https://a/picture"), "content[0].image_url.url");
    message_refused(image("file:///a.png"), "content[0].image_url.url");
    message_refused(image("data:;base64,AA"), "content[0].image_url.url");
    let audio = json!({ "type": "input_audio", "input_audio": { "data": "AA", "format": "flac" } });
    message_refused(part(audio), "content[0].input_audio.format");
    let file = json!({ "type": "file", "file": { "file_id": "f" } });
    message_refused(part(file), "content[0].file.file_id");
    message_refused(part(json!({ "type": "video_url" })), "content[0].type");
    refused(&with("messages", json!([{ "role": "system", "content": "x" }])), "messages");
}

#[test]
fn a_result_without_a_call_may_name_its_tool() {
    let tool =
        json!({ "role": "tool", "tool_call_id": "c", "name": "f", "content": "{\"a\":1.0}" });
    let out = translated(&with("messages", json!([tool]))).unwrap();
    let response = json!({ "id": "c", "name": "f", "response": { "a": 1.0 } });
    assert_eq!(out["contents"][0]["parts"][0]["functionResponse"], response);
}

#[test]
fn reasons_to_finish() {
    let of = |reason: &str| {
        let candidate =
            json!({ "content": { "parts": [{ "text": "x" }] }, "finishReason": reason });
        let body = json!({ "candidates": [candidate] }).to_string();
        let chat = answer(body.as_bytes(), 0)?;
        Ok(openai_chat::read_answer(&chat)?.finish().cloned())
    };
    let check = |reason: &str, finish: Finish| assert_eq!(of(reason), Ok(Some(finish)), "{reason}");
    check("STOP", Finish::Stop);
    check("MAX_TOKENS", Finish::Length);
    for blocked in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"] {
        check(blocked, Finish::ContentFilter);
    }
    check("OTHER", Finish::Other("other".to_owned()));
    check("A_REASON_OF_LATER", Finish::Other("a_reason_of_later".to_owned()));
    assert_eq!(of("FINISH_REASON_UNSPECIFIED"), Ok(None));
    for failed in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE"] {
        let Err(AnswerProblem::Error(facts)) = of(failed) else { panic!("{failed}") };
        assert_eq!(facts.code, Some(failed.to_lowercase()));
    }
}

#[test]
fn a_hostile_server_meets_bounds() {
    let call = json!({ "functionCall": { "name": "f" } });
    let event = |count: usize| {
        let parts = vec![call.clone(); count];
        json!({ "candidates": [{ "content": { "parts": parts } }] }).to_string().into_bytes()
    };
    assert!(answer(&event(128), 0).is_ok());
    assert_eq!(answer(&event(129), 0), Err(AnswerProblem::TooManyToolCalls));
    let mut stream = Stream::new(0);
    assert!(stream.event(&event(100)).is_ok() && stream.event(&event(28)).is_ok());
    assert_eq!(stream.event(&event(1)), Err(AnswerProblem::TooManyToolCalls));
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let part = format!("{{\"functionCall\":{{\"args\":{deep}}}}}");
    let body = format!("{{\"candidates\":[{{\"content\":{{\"parts\":[{part}]}}}}]}}");
    assert!(answer(body.as_bytes(), 0).is_ok());
}

#[derive(Debug, Clone)]
enum Said {
    Text(String),
    Thought(String),
    Call(String, u64),
}

impl Said {
    fn part(&self) -> Value {
        match self {
            Said::Text(text) => json!({ "text": text }),
            Said::Thought(text) => json!({ "text": text, "thought": true }),
            Said::Call(name, n) => {
                let call = json!({ "name": name, "args": { "n": n } });
                json!({ "functionCall": call, "thoughtSignature": "s" })
            }
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        "\\PC{0,6}".prop_map(Said::Text),
        "\\PC{0,6}".prop_map(Said::Thought),
        ("[a-z]{1,5}", any::<u64>()).prop_map(|(name, n)| Said::Call(name, n)),
    ]
}

const WORDS: &[&str] = &[
    "model",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "image_url",
    "url",
    "file",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "tool_call_id",
    "tools",
    "tool_choice",
    "parameters",
    "user",
    "assistant",
    "tool",
    "extra_content",
    "google",
    "thought_signature",
    "candidates",
    "parts",
    "functionCall",
    "args",
    "thought",
    "finishReason",
    "STOP",
    "SAFETY",
    "usageMetadata",
    "promptTokenCount",
    "promptFeedback",
    "blockReason",
    "error",
    "responseId",
    "modelVersion",
];

proptest! {
    /// Streamed part by part, an answer says what it says whole.
    #[test]
    fn a_stream_says_what_the_whole_answer_says(parts in prop::collection::vec(said(), 0..7)) {
        let mut usage = json!({ "promptTokenCount": 7, "candidatesTokenCount": 5 });
        usage["thoughtsTokenCount"] = json!(2);
        let event = |parts: Vec<Value>, more: Value| {
            let mut candidate = json!({ "content": { "parts": parts } });
            candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "candidates": [candidate], "usageMetadata": usage, "responseId": "r" })
                .to_string()
                .into_bytes()
        };
        let end = json!({ "finishReason": "STOP" });
        let all: Vec<Value> = parts.iter().map(Said::part).collect();
        let whole = answer(&event(all.clone(), end.clone()), 0).unwrap();
        let whole = openai_chat::read_answer(&whole).unwrap();

        let (mut stream, mut facts) = (Stream::new(0), AnswerFacts::default());
        let events = all.into_iter().map(|part| event(vec![part], json!({})));
        for event in events.chain([event(Vec::new(), end)]) {
            let step = stream.event(&event).unwrap();
            step.chunks.into_iter().for_each(|chunk| facts.push(chunk.says).unwrap());
        }
        let last = stream.end().unwrap();
        prop_assert!(last.is_done);
        last.chunks.into_iter().for_each(|chunk| facts.push(chunk.says).unwrap());
        let ids = |facts: &AnswerFacts| -> Vec<Option<String>> {
            facts.tool_calls().map(|call| call.id().map(str::to_owned)).collect()
        };
        prop_assert_eq!(ids(&facts), ids(&whole));
        prop_assert_eq!(facts.texts().collect::<Vec<_>>(), whole.texts().collect::<Vec<_>>());
        prop_assert_eq!((facts.finish(), facts.usage), (whole.finish(), whole.usage));
    }

    #[test]
    fn no_request_and_no_answer_panics(
        body in any_json(WORDS),
        part in any_json(WORDS),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        key in 0..WORDS.len(),
    ) {
        let _ = request(&body.as_object().cloned().unwrap_or_default(), &OPTIONS);
        let _ = translated(&with(WORDS[key], part.clone()));
        let _ = translated(&with("messages", json!([part.clone()])));
        let mut stream = Stream::new(0);
        let candidate = json!({ "candidates": [part.clone()] });
        for answered in [body, candidate, json!({ WORDS[key]: part })] {
            let text = answered.to_string();
            let _ = stream.event(text.as_bytes());
            let _ = answer(text.as_bytes(), 0);
        }
        let _ = (stream.event(&bytes), stream.end(), answer(&bytes, 0));
    }
}
