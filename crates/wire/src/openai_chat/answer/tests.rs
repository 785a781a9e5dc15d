use super::*;
use crate::facts::{ANSWER_TEXT_MAX_BYTES, Progress, TOOL_CALLS_MAX, TextKind};
use proptest::prelude::*;
use serde_json::{Value, json};

mod usage;

fn check_problem(body: &str, problem: AnswerProblem) {
    assert_eq!(read_answer(body.as_bytes()), Err(problem), "{body}");
}

fn stream(chunks: &[Value]) -> Result<AnswerFacts, AnswerProblem> {
    let mut facts = AnswerFacts::default();
    for chunk in chunks {
        facts.push(read_chunk(chunk.to_string().as_bytes())?)?;
    }
    Ok(facts)
}

fn progress(chunks: &[Value]) -> Progress {
    let mut progress = Progress::default();
    for chunk in chunks {
        progress.take(&read_chunk(chunk.to_string().as_bytes()).unwrap());
    }
    progress
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
    assert_eq!((facts.text(), facts.finish()), ("好的，已退款", Some(&Finish::Stop)));
    assert_eq!(facts.usage, Some(Usage { tokens_in: 9, tokens_out: 12, ..Usage::default() }));
    assert_eq!(facts.model.as_deref(), Some("gpt-4o-mini-2024"));
    assert!(facts.is_useful());
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
    assert_eq!((facts.text(), facts.choices[1].text.as_str()), ("", "second"));
    let arguments: Vec<&str> = facts.tool_calls().map(|call| call.arguments.as_str()).collect();
    assert_eq!(arguments, ["{", "ls", "", "", ""]);
}

#[test]
fn a_refusal_that_the_upstream_marks() {
    let marked = json!({ "choices": [{ "message": { "content": null, "refusal": "No." } }] });
    let facts = read_answer(marked.to_string().as_bytes()).unwrap();
    assert_eq!((facts.text(), facts.is_refusal()), ("No.", true));
    let filtered = json!({ "choices": [{ "message": { "content": "" },
        "finish_reason": "content_filter" }] });
    assert!(read_answer(filtered.to_string().as_bytes()).unwrap().is_refusal());
    let streamed = stream(&[delta(&json!({ "refusal": "N" })), delta(&json!({ "refusal": "o." }))]);
    let streamed = streamed.unwrap();
    assert_eq!((streamed.text(), streamed.is_refusal()), ("No.", true));
}

/// An answer that is cut is cut, wherever: also in the middle of a character.
#[test]
fn every_cut_of_an_answer_is_its_missing_end() {
    let whole =
        r#"{"choices":[{"index":0,"message":{"content":"七天内退款 – すぐに"}}]}"#.as_bytes();
    for end in 1..whole.len() {
        assert_eq!(read_answer(&whole[..end]).err(), Some(AnswerProblem::Unended), "{end}");
    }
    let odd = [whole, &"七".as_bytes()[..2]].concat();
    assert_eq!(read_answer(&odd).err(), Some(AnswerProblem::NotUtf8));
}

#[test]
fn what_is_not_an_answer() {
    check_problem("", AnswerProblem::NoBytes);
    check_problem(" \r\n", AnswerProblem::NoBytes);
    check_problem("\n<!DOCTYPE html><html>login</html>", AnswerProblem::Html);
    check_problem("{\"choices\":[", AnswerProblem::Unended);
    check_problem("upstream error", AnswerProblem::NotJson { line: 1, column: 1 });
    check_problem("{\"choices\":[{}]} x", AnswerProblem::NotJson { line: 1, column: 18 });
    check_problem("[]", AnswerProblem::NotObject);
    check_problem("[null, [1]]", AnswerProblem::NotObject);
    check_problem("{}", AnswerProblem::NoChoices);
    check_problem("{\"choices\":null}", AnswerProblem::NoChoices);
    check_problem("{\"choices\":{}}", AnswerProblem::NoChoices);
    check_problem("{\"choices\":[]}", AnswerProblem::NoChoices);
    check_problem("{\"choices\":[{}]}", AnswerProblem::NoMessage);
    check_problem("{\"choices\":[7]}", AnswerProblem::NoMessage);
    check_problem("{\"choices\":[{\"message\":\"hi\"}]}", AnswerProblem::NoMessage);
    let many = vec![json!({ "function": { "name": "f" } }); TOOL_CALLS_MAX + 1];
    let body = json!({ "choices": [{ "message": { "tool_calls": many } }] });
    check_problem(&body.to_string(), AnswerProblem::TooManyToolCalls);
    assert_eq!(read_answer(b"\xFF\xFE"), Err(AnswerProblem::NotUtf8));
}

fn check_error(body: &str, code: Option<&str>, message: Option<&str>) {
    for problem in [read_answer(body.as_bytes()).err(), read_chunk(body.as_bytes()).err()] {
        let Some(AnswerProblem::Error(facts)) = problem else { panic!("{body}: {problem:?}") };
        assert_eq!((facts.code.as_deref(), facts.message.as_deref()), (code, message), "{body}");
    }
}

#[test]
fn an_error_is_the_servers_wherever_it_is() {
    check_error(r#"{"error":{"message":"x","code":"busy"}}"#, Some("busy"), Some("x"));
    check_error(r#"{"error":"down","choices":[]}"#, None, Some("down"));
    check_error(r#"{"object":"error","message":"x","code":"busy"}"#, Some("busy"), Some("x"));
    check_error(
        r#"{"choices":[{"message":{"content":""},"error":{"code":502,"message":"failed"}}]}"#,
        None,
        Some("failed"),
    );
    check_error(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"error"}]}"#, None, None);
    let second = r#"{"choices":[{"message":{"content":"a"}},{"error":{"code":"busy"}}]}"#;
    check_error(second, Some("busy"), None);
    let null = br#"{"error":null,"choices":[{"message":{"content":"a"},"error":null}]}"#;
    assert!(read_answer(null).is_ok() && read_chunk(null).is_ok());
}

#[test]
fn a_problem_never_shows_the_servers_words() {
    let body = br#"{"error":{"code":"bad key sk-1 <b>\n","message":"key sk-1"}}"#;
    let text = read_answer(body).unwrap_err().to_string();
    assert_eq!(text, "the upstream sent an error in place of an answer (code `badkeysk-1b`)");
}

#[test]
fn an_empty_finish_reason_is_none() {
    let chunk = json!({"choices": [{"delta": {"content": "a"}, "finish_reason": ""}]});
    assert!(!progress(&[chunk]).is_finished());
    let whole = br#"{"choices":[{"message":{"content":"a"},"finish_reason":""}]}"#;
    assert_eq!(read_answer(whole).unwrap().finish(), None);
}

#[test]
fn reasoning_speech_and_parts_are_read() {
    let check = |message: Value, text: &str, reasoning: &str| {
        let body = json!({ "choices": [{ "message": message }] });
        let whole = read_answer(body.to_string().as_bytes()).unwrap();
        let streamed = stream(&[delta(&message)]).unwrap();
        for facts in [whole, streamed] {
            let choice = &facts.choices[0];
            assert_eq!((facts.text(), choice.reasoning.as_str()), (text, reasoning), "{message}");
        }
    };
    check(json!({"content": "a", "reasoning_content": "r"}), "a", "r");
    check(json!({"content": "a", "reasoning": "r", "reasoning_content": "r"}), "a", "r");
    check(json!({"content": null, "audio": {"transcript": "说"}}), "说", "");
    check(
        json!({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "r"}]},
            {"type": "text", "text": "a"}, {"type": "new"}, 7
        ]}),
        "a",
        "r",
    );
    check(json!({"content": {"unexpected": 1}, "reasoning": 7}), "", "");
}

#[test]
fn half_a_surrogate_pair_does_not_hide_a_text() {
    let body = br#"{"choices":[{"message":{"content":"a \ud83d CANARY"}}]}"#;
    let facts = read_answer(body).unwrap();
    assert!(facts.text().contains("CANARY"), "{}", facts.text());
}

#[test]
fn of_a_member_given_twice_the_last_counts() {
    let body = br#"{"choices":[{"message":{"content":"a","content":"b"}}]}"#;
    assert_eq!(read_answer(body).unwrap().text(), "b");
}

fn check_hidden(chunk: &str, expected: Option<&str>) {
    let hidden = hide_usage(chunk.as_bytes());
    let got = hidden.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap());
    assert_eq!(got, expected, "{chunk}");
}

#[test]
fn usage_is_hidden_in_whatever_form_it_comes() {
    check_hidden(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, None);
    check_hidden(r#"{"id":"x","choices": [], "usage": {"prompt_tokens": 1}}"#, None);
    check_hidden(r#"{"usage":{"prompt_tokens":1}}"#, None);
    check_hidden(r#"{"choices":null,"usage":{"prompt_tokens":1}}"#, None);
    check_hidden(
        r#"{"id":"x","choices":[{"delta":{"content":"a"},"logprobs":1.50}],"usage":null}"#,
        Some(r#"{"id":"x","choices":[{"delta":{"content":"a"},"logprobs":1.50}]}"#),
    );
    check_hidden(
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
        Some(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#),
    );
    check_hidden(
        r#"{"choices":[],"usage":null,"prompt_filter_results":[]}"#,
        Some(r#"{"choices":[],"prompt_filter_results":[]}"#),
    );
    let plain = r#"{"choices":[{"delta":{"content":"the \"usage\" member"}}]}"#;
    check_hidden(plain, Some(plain));
}

#[test]
fn a_stream_adds_up() {
    let (mut facts, mut progress) = (AnswerFacts::default(), Progress::default());
    let mut push = |chunk: &Value, token: bool| {
        let piece = read_chunk(chunk.to_string().as_bytes()).unwrap();
        progress.take(&piece);
        facts.push(piece).unwrap();
        assert_eq!(progress.has_token(), token, "{chunk}");
    };
    push(&json!({ "choices": [], "prompt_filter_results": [] }), false);
    push(&delta(&json!({ "role": "assistant", "content": "" })), false);
    push(&delta(&json!({ "content": "测试" })), true);
    push(&delta(&json!({ "content": "回滚" })), true);
    push(&json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }), true);
    push(&json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } }), true);
    assert!(progress.is_finished());
    assert_eq!(facts.usage, Some(Usage { tokens_in: 3, tokens_out: 2, ..Usage::default() }));
    assert_eq!((facts.text(), facts.model.as_deref()), ("测试回滚", Some("m")));
}

#[test]
fn choices_of_a_stream_are_told_apart() {
    let choice = |index: u64, text: &str, finish: Option<&str>| {
        let delta = json!({ "content": text });
        json!({ "choices": [{ "index": index, "delta": delta, "finish_reason": finish }] })
    };
    let mut chunks = vec![choice(1, "b", None), choice(0, "a", None), choice(1, "B", Some("stop"))];
    let facts = stream(&chunks).unwrap();
    assert_eq!((facts.text(), facts.choices[1].text.as_str()), ("a", "bB"));
    assert!(!progress(&chunks).is_finished());
    chunks.push(choice(0, "A", Some("stop")));
    assert!(progress(&chunks).is_finished());
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
    // One index for two calls with different ids, and no index at all.
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
fn arguments_come_in_pieces_too() {
    let piece = |index: u64, text: &str| {
        delta(&json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] }))
    };
    let named = delta(&json!({ "tool_calls": [
        { "index": 0, "id": "a", "function": { "name": "search", "arguments": "" } },
        { "index": 1, "id": "b", "function": { "name": "refund", "arguments": { "id": 7 } } },
    ] }));
    let facts = stream(&[named, piece(0, "{\"q\":"), piece(0, "\"灯\"}")]).unwrap();
    let texts: Vec<_> =
        facts.texts().filter(|(kind, _)| *kind == TextKind::ToolArguments).collect();
    let expected = ["{\"q\":\"灯\"}", "{\"id\":7}"];
    assert_eq!(texts.iter().map(|(_, text)| *text).collect::<Vec<_>>(), expected);
}

#[test]
fn a_tool_call_is_a_token() {
    let call = delta(&json!({ "tool_calls": [{ "index": 0, "function": { "name": "f" } }] }));
    let progress = progress(&[call]);
    assert!(progress.has_token() && !progress.is_finished());
}

#[test]
fn a_stream_that_breaks_says_how() {
    let check = |data: &[u8], problem| assert_eq!(read_chunk(data), Err(problem));
    check(b"<html>", AnswerProblem::Html);
    check(b"{\"choices\"", AnswerProblem::Unended);
    check(b"[1]", AnswerProblem::NotObject);
    check(b"{\"choices\":7}", AnswerProblem::NoChoices);
    check(b"{\"a\":1} x", AnswerProblem::NotJson { line: 1, column: 9 });
    let calls: Vec<Value> = (0..=TOOL_CALLS_MAX)
        .map(|i| delta(&json!({ "tool_calls": [{ "index": i, "function": { "name": "f" } }] })))
        .collect();
    assert_eq!(stream(&calls), Err(AnswerProblem::TooManyToolCalls));
}

#[test]
fn text_is_bounded_and_never_splits_a_character() {
    let piece = "测试".repeat(200_000);
    let facts = stream(&vec![delta(&json!({ "content": piece })); 4]).unwrap();
    assert!(facts.text_cut);
    assert_eq!(facts.text().len(), ANSWER_TEXT_MAX_BYTES / 3 * 3);
    let short = stream(&[delta(&json!({ "content": piece }))]).unwrap();
    assert!(!short.text_cut && short.text() == piece);
}

#[test]
fn answers_of_common_servers_have_the_usual_form() {
    let openai = json!({
        "id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{ "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "好的", "refusal": null,
                         "annotations": [] } }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
                   "prompt_tokens_details": { "cached_tokens": 0 } },
        "service_tier": "default"
    });
    let vllm = json!({
        "object": "chat.completion", "model": "m", "choices": [{ "index": 0, "stop_reason": null,
            "message": { "content": "ok", "reasoning_content": "hm", "tool_calls": [],
                         "function_call": null, "audio": null }, "finish_reason": "length" }],
        "usage": null
    });
    for body in [openai, vllm] {
        let body = body.to_string().into_bytes();
        assert_eq!(usual::answer(&body), Some(answer_piece(&body).unwrap()));
    }
    let chunk = delta(&json!({ "content": "token" })).to_string().into_bytes();
    assert_eq!(usual::chunk(&chunk), Some(chunk_piece(&chunk).unwrap()));
    let last = br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    assert_eq!(usual::chunk(last), Some(chunk_piece(last).unwrap()));
}

/// A value that a member may have, of its usual type or not.
fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![r#""text""#, "null", "7", r#""""#, r#""stop""#]),
        1 => prop::sample::select(vec![
            "-1", "1.5", "1e2", "200000000000", "true", "{}", "[]", "[1]", r#""\u4e2d\ud800""#,
            r#""error""#, r#""\u0065rror""#, r#"{"message":"no"}"#, r#"{"text":"x"}"#,
            r#"[{"type":"text","text":"part"}]"#, r#"{"transcript":"said"}"#,
            r#"[{"function":{"name":"f","arguments":"{}"}}]"#, r#"{"name":"f"}"#, "nul",
        ]),
    ]
    .prop_map(str::to_owned)
}

fn object(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
    let member = (prop::sample::select(keys), odd());
    prop::collection::vec(member, 0..5).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        members.join(",")
    })
}

/// Answers and chunks of the usual form and of others: members of any type, some twice.
fn any_answer() -> impl Strategy<Value = String> {
    let message = object(&[
        "content",
        "role",
        "error",
        "annotations",
        "citations",
        "reasoning_content",
        "reasoning",
        "refusal",
        "audio",
        "tool_calls",
        "function_call",
    ]);
    let choice = object(&["index", "finish_reason", "error", "logprobs", "stop_reason"]);
    let envelope =
        object(&["id", "object", "model", "error", "created", "timings", "prompt_logprobs"]);
    let usage = object(&[
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    ]);
    let name = prop::sample::select(vec!["message", "delta"]);
    let parts = (name, message, choice, envelope, usage, "[ \n]{0,2}");
    parts.prop_map(|(name, message, choice, envelope, usage, end)| {
        let comma = |text: &str| if text.is_empty() { "" } else { "," };
        let choice = format!("{{{choice}{}\"{name}\":{{{message}}}}}", comma(&choice));
        let rest = format!("{envelope}{}\"usage\":{{{usage}}}", comma(&envelope));
        format!("{{\"choices\":[{choice}],{rest}}}{end}")
    })
}

proptest! {
    /// The reader of the usual form gives what the reader of any form gives.
    #[test]
    fn the_usual_form_is_read_as_any_other(
        text in any_answer(),
        flip in prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut body = text.into_bytes();
        if let Some((at, byte)) = flip {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Some(piece) = usual::answer(&body) {
            prop_assert_eq!(Ok(piece), answer_piece(&body));
        }
        if let Some(piece) = usual::chunk(&body) {
            prop_assert_eq!(Ok(piece), chunk_piece(&body));
        }
    }

    #[test]
    fn a_stream_says_what_the_whole_answer_says(
        pieces in prop::collection::vec("\\PC{0,8}", 0..10),
        arguments in prop::collection::vec("\\PC{0,8}", 1..4),
    ) {
        let mut chunks: Vec<Value> =
            pieces.iter().map(|piece| delta(&json!({ "content": piece }))).collect();
        chunks.extend(arguments.iter().map(|piece| {
            let function = json!({ "name": "f", "arguments": piece });
            delta(&json!({ "tool_calls": [{ "index": 0, "id": "a", "function": function }] }))
        }));
        let function = json!({ "name": "f", "arguments": arguments.concat() });
        let calls = json!([{ "index": 0, "id": "a", "function": function }]);
        let message = json!({ "content": pieces.concat(), "tool_calls": calls });
        let whole = json!({ "model": "m", "choices": [{ "message": message }] });
        let whole = read_answer(whole.to_string().as_bytes()).unwrap();
        prop_assert_eq!(stream(&chunks).unwrap(), whole);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_answer(&bytes);
        let _ = read_chunk(&bytes);
        let _ = hide_usage(&bytes);
    }

    #[test]
    fn no_json_panics(text in "[\\[\\]{}:,\"a0 ]{0,40}") {
        let body = format!("{{\"choices\":{text}}}");
        let _ = read_answer(body.as_bytes());
        let _ = read_chunk(body.as_bytes());
    }
}
