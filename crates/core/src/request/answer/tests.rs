use super::*;
use proptest::prelude::*;
use serde_json::json;

fn check_problem(body: &str, problem: AnswerProblem) {
    assert_eq!(read_answer(body.as_bytes()), Err(problem), "{body}");
}

fn stream(chunks: &[Value]) -> Result<AnswerFacts, AnswerProblem> {
    let mut facts = StreamFacts::default();
    for chunk in chunks {
        facts.push(chunk.to_string().as_bytes())?;
    }
    Ok(facts.finish())
}

fn delta(delta: &Value) -> Value {
    json!({ "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

#[test]
fn a_whole_answer() {
    let body = json!({
        "model": "gpt-4o-mini-2024",
        "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "好的，已退款" } }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21 },
        "error": null
    });
    let facts = read_answer(body.to_string().as_bytes()).unwrap();
    let expected = AnswerFacts {
        text: "好的，已退款".to_owned(),
        finish_reason: Some("stop".to_owned()),
        usage: Some((9, 12)),
        model: Some("gpt-4o-mini-2024".to_owned()),
        ..AnswerFacts::default()
    };
    assert_eq!(facts, expected);
}

#[test]
fn tool_calls_of_every_form_and_choice_are_named() {
    let body = json!({ "choices": [
        { "message": { "content": null, "tool_calls": [
            { "type": "function", "function": { "name": "search", "arguments": "{" } },
            { "type": "custom", "custom": { "name": "shell", "input": "ls" } },
            { "type": "function" },
            "not an object"
        ] } },
        { "message": { "content": "second", "function_call": { "name": "old" } } }
    ] });
    let facts = read_answer(body.to_string().as_bytes()).unwrap();
    assert_eq!(facts.tool_names(), ["search", "shell", "", "", "old"]);
    assert_eq!((facts.text.as_str(), facts.other_texts.len()), ("", 1));
    assert_eq!(facts.other_texts[0], "second");
}

#[test]
fn a_refusal_that_the_upstream_marks() {
    let marked = json!({ "choices": [{ "message": { "content": null, "refusal": "No." } }] });
    let facts = read_answer(marked.to_string().as_bytes()).unwrap();
    assert_eq!((facts.text.as_str(), facts.refusal), ("No.", true));
    let filtered = json!({ "choices": [{ "message": { "content": "" },
        "finish_reason": "content_filter" }] });
    assert!(read_answer(filtered.to_string().as_bytes()).unwrap().refusal);
    let streamed = stream(&[delta(&json!({ "refusal": "N" })), delta(&json!({ "refusal": "o." }))]);
    let streamed = streamed.unwrap();
    assert_eq!((streamed.text.as_str(), streamed.refusal), ("No.", true));
}

#[test]
fn what_is_not_an_answer() {
    check_problem("", AnswerProblem::Empty);
    check_problem(" \r\n", AnswerProblem::Empty);
    check_problem("\n<!DOCTYPE html><html>login</html>", AnswerProblem::Html);
    check_problem("{\"choices\":[", AnswerProblem::NotJson { line: 1, column: 12 });
    check_problem("upstream error", AnswerProblem::NotJson { line: 1, column: 1 });
    check_problem("[]", AnswerProblem::NotObject);
    check_problem("{}", AnswerProblem::NoChoices);
    check_problem("{\"choices\":null}", AnswerProblem::NoChoices);
    check_problem("{\"choices\":[]}", AnswerProblem::NoChoices);
    check_problem("{\"choices\":[{}]}", AnswerProblem::NoMessage);
    check_problem("{\"choices\":[7]}", AnswerProblem::NoMessage);
    check_problem("{\"choices\":[{\"message\":\"hi\"}]}", AnswerProblem::NoMessage);
    let error = |code: Option<&str>| AnswerProblem::Error { code: code.map(str::to_owned) };
    check_problem(
        r#"{"error":{"message":"x","code":"rate_limited"}}"#,
        error(Some("rate_limited")),
    );
    check_problem(r#"{"error":{"code":null,"type":"server_error"}}"#, error(Some("server_error")));
    check_problem(r#"{"error":{"code":503}}"#, error(Some("503")));
    check_problem(r#"{"error":"key sk-123 is wrong","choices":[]}"#, error(None));
    let many = vec![json!({ "function": { "name": "f" } }); TOOL_CALLS_MAX + 1];
    let body = json!({ "choices": [{ "message": { "tool_calls": many } }] });
    check_problem(&body.to_string(), AnswerProblem::TooManyToolCalls);
    assert!(read_answer(b"\xFF\xFE").is_err());
}

#[test]
fn a_problem_never_shows_the_upstreams_words() {
    let body = br#"{"error":{"code":"bad key sk-1 <b>\n","message":"key sk-1"}}"#;
    let text = read_answer(body).unwrap_err().to_string();
    assert_eq!(text, "the upstream sent an error in place of an answer (code `badkeysk-1b`)");
}

#[test]
fn a_stream_adds_up() {
    let mut facts = StreamFacts::default();
    let mut push = |chunk: &Value, token: bool| {
        facts.push(chunk.to_string().as_bytes()).unwrap();
        assert_eq!(facts.has_token(), token, "{chunk}");
    };
    push(&json!({ "choices": [], "prompt_filter_results": [] }), false);
    push(&delta(&json!({ "role": "assistant", "content": "" })), false);
    push(&delta(&json!({ "content": "测试" })), true);
    push(&delta(&json!({ "content": "回滚" })), true);
    push(&json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }), true);
    push(&json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } }), true);
    facts.push(b"[DONE]").unwrap();
    facts.push(b"").unwrap();
    assert!(facts.is_finished());
    let facts = facts.finish();
    assert_eq!((facts.text.as_str(), facts.usage), ("测试回滚", Some((3, 2))));
    assert_eq!((facts.finish_reason.as_deref(), facts.model.as_deref()), (Some("stop"), Some("m")));
}

fn check_calls(pieces: &[Value], names: &[&str]) {
    let chunks: Vec<Value> =
        pieces.iter().map(|piece| delta(&json!({ "tool_calls": [piece] }))).collect();
    assert_eq!(stream(&chunks).unwrap().tool_names(), names, "{pieces:?}");
}

#[test]
fn tool_calls_are_put_together_from_their_pieces() {
    // As OpenAI sends them: the name once, then the arguments, two calls interleaved.
    check_calls(
        &[
            json!({ "index": 0, "id": "a", "function": { "name": "search", "arguments": "" } }),
            json!({ "index": 1, "id": "b", "function": { "name": "refund", "arguments": "{" } }),
            json!({ "index": 0, "function": { "arguments": "{\"q\":" } }),
            json!({ "index": 1, "function": { "arguments": "}" } }),
        ],
        &["search", "refund"],
    );
    // The name in pieces, the name in every piece.
    check_calls(
        &[
            json!({ "index": 0, "id": "a", "function": { "name": "sea" } }),
            json!({ "index": 0, "function": { "name": "rch" } }),
        ],
        &["search"],
    );
    check_calls(
        &[
            json!({ "index": 0, "id": "a", "function": { "name": "search", "arguments": "{" } }),
            json!({ "index": 0, "id": "a", "function": { "name": "search", "arguments": "}" } }),
        ],
        &["search"],
    );
    // One index for two calls with ids of their own, and no index at all.
    check_calls(
        &[
            json!({ "index": 0, "id": "a", "function": { "name": "search" } }),
            json!({ "index": 0, "id": "b", "function": { "name": "refund" } }),
        ],
        &["search", "refund"],
    );
    check_calls(
        &[
            json!({ "id": "a", "function": { "name": "search" } }),
            json!({ "function": { "arguments": "{}" } }),
            json!({ "function": { "name": "refund" } }),
        ],
        &["search", "refund"],
    );
    // A call whose name never comes is still a call.
    check_calls(&[json!({ "index": 3, "function": { "arguments": "{}" } })], &[""]);
    let old = [
        delta(&json!({ "function_call": { "name": "search", "arguments": "" } })),
        delta(&json!({ "function_call": { "arguments": "{}" } })),
    ];
    assert_eq!(stream(&old).unwrap().tool_names(), ["search"]);
}

#[test]
fn a_tool_call_is_a_token() {
    let mut facts = StreamFacts::default();
    let call = delta(&json!({ "tool_calls": [{ "index": 0, "function": { "name": "f" } }] }));
    facts.push(call.to_string().as_bytes()).unwrap();
    assert!(facts.has_token() && !facts.is_finished());
}

#[test]
fn a_stream_that_breaks_says_how() {
    let push = |data: &[u8]| StreamFacts::default().push(data);
    assert_eq!(push(b"<html>"), Err(AnswerProblem::Html));
    assert_eq!(push(b"{\"choices\""), Err(AnswerProblem::NotJson { line: 1, column: 10 }));
    assert_eq!(push(b"[1]"), Err(AnswerProblem::NotObject));
    let error = AnswerProblem::Error { code: Some("overloaded".to_owned()) };
    assert_eq!(push(br#"{"error":{"type":"overloaded"}}"#), Err(error));
    let calls: Vec<Value> = (0..=TOOL_CALLS_MAX)
        .map(|i| delta(&json!({ "tool_calls": [{ "index": i, "function": { "name": "f" } }] })))
        .collect();
    assert_eq!(stream(&calls), Err(AnswerProblem::TooManyToolCalls));
}

#[test]
fn text_is_bounded_and_never_splits_a_character() {
    let piece = "测试".repeat(60_000);
    let facts = stream(&vec![delta(&json!({ "content": piece })); 4]).unwrap();
    assert!(facts.text_cut);
    assert_eq!(facts.text.len(), ANSWER_TEXT_MAX_BYTES / 3 * 3);
    let short = stream(&[delta(&json!({ "content": piece }))]).unwrap();
    assert!(!short.text_cut && short.text == piece);
}

proptest! {
    #[test]
    fn a_stream_says_what_the_whole_answer_says(
        pieces in prop::collection::vec("\\PC{0,8}", 0..10),
    ) {
        let text = pieces.concat();
        let chunks: Vec<Value> =
            pieces.iter().map(|piece| delta(&json!({ "content": piece }))).collect();
        let whole = json!({ "model": "m", "choices": [{ "message": { "content": text } }] });
        let whole = read_answer(whole.to_string().as_bytes()).unwrap();
        let streamed = stream(&chunks).unwrap();
        prop_assert_eq!(streamed.text, whole.text);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_answer(&bytes);
        let _ = StreamFacts::default().push(&bytes);
    }
}
