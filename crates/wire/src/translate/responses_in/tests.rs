use super::*;
use crate::facts::{CallPiece, ChoicePiece, Finish, Piece, Usage};
use crate::problem::AnswerProblem;
use crate::translate::testing::any_json;
use proptest::prelude::*;
use serde_json::{Value, json};

const SERVER: ChatServer = ChatServer { extensions: true, reasoning: true, newer_length: false };

fn with(key: &str, value: Value) -> Value {
    let mut body = json!({ "model": "m", "input": "hi" });
    body[key] = value;
    body
}

fn translated(body: &Value) -> Result<Request, RequestError> {
    request(body.to_string().as_bytes(), &SERVER)
}

/// The body is refused, and this member is named.
fn refused(body: &Value, param: &str) {
    let error = translated(body).expect_err(&body.to_string());
    assert_eq!(error.param(), Some(param), "{error}");
}

fn item_refused(item: Value, param: &str) {
    refused(&with("input", json!([item])), &format!("input[0]{param}"));
}

#[test]
fn what_needs_a_store_or_openais_tools_is_refused() {
    for key in ["previous_response_id", "conversation", "prompt"] {
        refused(&with(key, json!({ "id": "x" })), key);
    }
    refused(&with("background", json!(true)), "background");
    refused(&with("moderation", json!({ "model": "x" })), "moderation");
    refused(&with("no_such_member", json!(1)), "no_such_member");
    refused(&with("truncation", json!("auto")), "truncation");
    refused(&with("include", json!(["message.output_text.logprobs"])), "include[0]");
    refused(&with("tools", json!([{ "type": "mcp", "server_label": "s" }])), "tools[0].type");
    refused(&with("tools", json!([{ "type": "custom", "name": "c" }])), "tools[0].type");
    item_refused(json!({ "type": "item_reference", "id": "x" }), "");
    item_refused(json!({ "type": "web_search_call", "id": "x" }), ".type");
    let part = |part: Value| json!({ "role": "user", "content": [part] });
    item_refused(part(json!({ "type": "input_image", "file_id": "f" })), ".content[0].file_id");
    let file = json!({ "type": "input_file", "file_url": "https://a" });
    item_refused(part(file), ".content[0].file_url");
    item_refused(part(json!({ "type": "input_audio" })), ".content[0].type");
}

#[test]
fn values_of_a_wrong_type_are_named() {
    for (key, value) in [
        ("input", json!(7)),
        ("input", json!([])),
        ("instructions", json!(["x"])),
        ("max_output_tokens", json!("9")),
        ("temperature", json!("warm")),
        ("tools", json!({})),
        ("text", json!("json")),
        ("reasoning", json!("high")),
        ("stream", json!(1)),
        ("store", json!("no")),
    ] {
        refused(&with(key, value), key);
    }
    refused(&json!({ "model": "m" }), "input");
    item_refused(json!("x"), "");
    item_refused(json!({ "role": "robot", "content": "x" }), ".role");
    item_refused(json!({ "type": "function_call", "name": "f", "arguments": "{}" }), ".call_id");
    item_refused(json!({ "type": "function_call_output", "output": "x" }), ".call_id");
    let output = json!({ "type": "function_call_output", "call_id": "c", "output": 7 });
    item_refused(output, ".output");
}

#[test]
fn an_answer_repeats_what_was_asked() {
    let mut body = with("temperature", json!(1.0));
    body["instructions"] = json!("简短。");
    body["top_p"] = json!(null);
    let echo = translated(&body).unwrap().echo;
    let chat = json!({ "model": "q", "choices": [{ "message": { "content": "好" } }] });
    let out = answer(chat.to_string().as_bytes(), "resp_1", 7, &echo).unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&out["temperature"], &out["instructions"]), (&json!(1.0), &json!("简短。")));
    assert_eq!(
        (&out["created_at"], &out["model"], &out["top_p"]),
        (&json!(7), &json!("q"), &json!(null))
    );
}

fn pieces() -> impl Strategy<Value = Vec<ChoicePiece>> {
    let text = || "\\PC{1,4}";
    let piece = prop_oneof![
        text().prop_map(|text| ChoicePiece { text, ..ChoicePiece::default() }),
        text().prop_map(|reasoning| ChoicePiece { reasoning, ..ChoicePiece::default() }),
        text().prop_map(|refusal| ChoicePiece { refusal, ..ChoicePiece::default() }),
        (0..4_u64, "[a-z]{0,3}", "[a-z{}]{0,4}", any::<bool>()).prop_map(
            |(index, name, arguments, has_id)| {
                let id = has_id.then(|| format!("c{index}"));
                let call = CallPiece { index: Some(index), id, name, arguments };
                ChoicePiece { calls: vec![call], ..ChoicePiece::default() }
            }
        ),
    ];
    prop::collection::vec(piece, 0..12)
}

const WORDS: &[&str] = &[
    "model",
    "input",
    "instructions",
    "type",
    "message",
    "role",
    "user",
    "assistant",
    "content",
    "input_text",
    "output_text",
    "text",
    "function_call",
    "call_id",
    "name",
    "arguments",
    "output",
    "function_call_output",
    "reasoning",
    "summary",
    "effort",
    "tools",
    "function",
    "parameters",
    "tool_choice",
    "auto",
    "format",
    "json_schema",
    "schema",
    "include",
    "store",
    "input_image",
    "image_url",
    "input_file",
    "file_data",
    "metadata",
    "strict",
];

proptest! {
    /// However the pieces come: items begin and end one after the other, their deltas are what
    /// their ends say, events are numbered, and the last one has what all of them said.
    #[test]
    fn events_are_in_order(pieces in pieces()) {
        let mut events = Events::new("r", 0, Echo::default());
        let mut all = Vec::new();
        let mut is_stopped = false;
        for choice in pieces {
            match events.piece(&Piece { choices: vec![choice], ..Piece::default() }) {
                Ok(step) => all.extend(step),
                Err(AnswerProblem::Untranslatable(_)) => {
                    is_stopped = true;
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
        if !is_stopped {
            let usage = Some(Usage { tokens_in: 3, tokens_out: 2, ..Usage::default() });
            let finish = Some(Finish::Stop);
            let choices = vec![ChoicePiece { finish, ..ChoicePiece::default() }];
            all.extend(events.piece(&Piece { choices, usage, ..Piece::default() }).unwrap());
            all.extend(events.end().unwrap());
        }
        let (mut open, mut deltas, mut ended) = (None, String::new(), Vec::new());
        for (number, event) in all.iter().enumerate() {
            let data: Value = serde_json::from_slice(&event.data).unwrap();
            prop_assert_eq!(&data["type"], event.name);
            prop_assert_eq!(&data["sequence_number"], number);
            match event.name {
                "response.output_item.added" => {
                    prop_assert_eq!(open.replace(data["item"]["id"].clone()), None);
                    prop_assert_eq!(&data["output_index"], ended.len());
                    deltas.clear();
                }
                "response.output_item.done" => {
                    prop_assert_eq!(open.take(), Some(data["item"]["id"].clone()));
                    let item = data["item"].clone();
                    let part = &item["content"][0];
                    let text = [&item["arguments"], &part["text"], &part["refusal"]];
                    let text = text.into_iter().find_map(Value::as_str).unwrap().to_owned();
                    let no_arguments = deltas.is_empty() && text == "{}";
                    prop_assert!(text == deltas || no_arguments);
                    ended.push(item);
                }
                name if name.ends_with(".delta") => {
                    prop_assert_eq!(open.as_ref(), Some(&data["item_id"]));
                    deltas.push_str(data["delta"].as_str().unwrap());
                }
                "response.completed" => {
                    prop_assert_eq!(&data["response"]["output"], &json!(ended));
                    prop_assert_eq!(&data["response"]["usage"]["total_tokens"], 5);
                    prop_assert_eq!(number + 1, all.len());
                }
                _ => {}
            }
        }
        prop_assert!(is_stopped || open.is_none());
    }

    #[test]
    fn no_request_panics(
        body in any_json(WORDS),
        part in any_json(WORDS),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        key in 0..WORDS.len(),
    ) {
        let _ = request(&bytes, &SERVER);
        let _ = answer(&bytes, "r", 0, &Echo::default());
        let _ = translated(&body);
        let _ = translated(&with(WORDS[key], part.clone()));
        let _ = translated(&with("input", json!([part.clone()])));
        let _ = translated(&with("input", json!([{ "role": "user", "content": [part] }])));
    }
}
