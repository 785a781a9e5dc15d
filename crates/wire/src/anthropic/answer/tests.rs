use super::*;
use crate::facts::{Finish, Usage};
use crate::problem::ErrorFacts;
use serde_json::{Value, json};

fn whole(content: Value, more: Value) -> AnswerFacts {
    let mut body = json!({ "type": "message", "model": "m", "content": content });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    read_answer(body.to_string().as_bytes()).unwrap()
}

#[test]
fn tokens_of_the_cache_are_part_of_the_prompt() {
    let usage = json!({ "usage": {
        "input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000,
        "output_tokens": 40, "output_tokens_details": { "thinking_tokens": 30 },
    } });
    let expected = Usage {
        tokens_in: 3210,
        tokens_out: 40,
        cache_read_in: 3000,
        cache_write_in: 200,
        reasoning_out: 30,
        ..Usage::default()
    };
    assert_eq!(whole(json!([]), usage).usage, Some(expected));
    assert_eq!(whole(json!([]), json!({ "usage": { "output_tokens": 4 } })).usage, None);
    let odd = json!({ "usage": { "input_tokens": -1, "output_tokens": 1e300 } });
    assert_eq!(whole(json!([]), odd).usage, None);
}

#[test]
fn later_counts_of_a_stream_take_the_place_of_earlier_ones() {
    let mut reader = EventReader::default();
    let mut read = |event: Value| reader.read(event.to_string().as_bytes()).unwrap();
    let first = json!({ "input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1 });
    let first = read(json!({ "type": "message_start", "message": { "usage": first } }));
    assert_eq!(first.usage, None, "an answer of which nothing came is not counted yet");
    let first = first.so_far.unwrap();
    assert_eq!((first.tokens_in, first.tokens_out), (15, 1));
    let mut usage = |event: Value| read(event).usage;
    let last = usage(json!({ "type": "message_delta", "usage": { "output_tokens": 9 } })).unwrap();
    assert_eq!((last.tokens_in, last.tokens_out, last.cache_read_in), (15, 9, 5));
    // Where the server runs tools itself, the prompt grows while it answers.
    let grown = json!({ "input_tokens": 20, "output_tokens": 30 });
    let grown = usage(json!({ "type": "message_delta", "usage": grown })).unwrap();
    assert_eq!((grown.tokens_in, grown.tokens_out), (25, 30));
}

#[test]
fn reasons_to_stop() {
    let check = |reason: Value, finish: Option<Finish>| {
        let facts = whole(json!([]), json!({ "stop_reason": reason }));
        assert_eq!(facts.finish(), finish.as_ref(), "{reason}");
    };
    check(json!("end_turn"), Some(Finish::Stop));
    check(json!("stop_sequence"), Some(Finish::Stop));
    check(json!("tool_use"), Some(Finish::ToolCalls));
    check(json!("max_tokens"), Some(Finish::Length));
    check(json!("model_context_window_exceeded"), Some(Finish::Length));
    check(json!("pause_turn"), Some(Finish::Length));
    check(json!("refusal"), Some(Finish::ContentFilter));
    check(json!("later"), Some(Finish::Other("later".to_owned())));
    check(json!(null), None);
    check(json!(7), None);
    // A word of another API, which would be read as a failure there.
    check(json!("error"), Some(Finish::Other("error".to_owned())));
}

#[test]
fn what_the_servers_own_tools_bring_is_given_out_to_be_searched() {
    let content = json!([
        { "type": "text", "text": "ok", "citations": [{ "cited_text": "planted-1" }] },
        { "type": "web_search_tool_result", "content": [{ "title": "planted-2" }] },
    ]);
    let facts = whole(content, json!({}));
    let windows: String = facts.windows().collect();
    assert!(windows.contains("planted-1") && windows.contains("planted-2"), "{windows}");
    assert_eq!(facts.text(), "ok");
    let mut reader = EventReader::default();
    let delta = json!({ "type": "citations_delta", "citation": { "title": "planted-3" } });
    let event = json!({ "type": "content_block_delta", "index": 0, "delta": delta });
    let piece = reader.read(event.to_string().as_bytes()).unwrap();
    assert!(piece.choices[0].other.contains("planted-3"));
}

#[test]
fn errors_have_the_status_of_their_type() {
    let check = |kind: &str, status: Option<u16>, is_account: bool| {
        let error = json!({ "type": kind, "message": "no" });
        let body = json!({ "type": "error", "error": error, "request_id": "r" }).to_string();
        let facts = ErrorFacts {
            status,
            code: is_account.then(|| kind.to_owned()),
            kind: Some(kind.to_owned()),
            message: Some("no".to_owned()),
            ..ErrorFacts::default()
        };
        assert_eq!(facts.is_account_limit(), is_account, "{kind}");
        let mut reader = EventReader::default();
        let problem = Err(AnswerProblem::Error(facts.clone()));
        assert_eq!(reader.read(body.as_bytes()), problem);
        assert_eq!(crate::anthropic::error_facts(body.as_bytes()), facts);
        assert_eq!(read_answer(body.as_bytes()), Err(AnswerProblem::Error(facts)));
    };
    check("overloaded_error", Some(529), false);
    check("rate_limit_error", Some(429), false);
    check("api_error", Some(500), false);
    check("timeout_error", Some(504), false);
    check("invalid_request_error", Some(400), false);
    check("authentication_error", Some(401), false);
    check("billing_error", Some(402), true);
    check("future_error", None, false);
    let spent = br#"{"type":"error","error":{"type":"rate_limit_error","message":"no",
        "details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    assert!(crate::anthropic::error_facts(spent).is_account_limit());
}

#[test]
fn what_is_no_answer_is_named() {
    let check = |body: &str, problem| assert_eq!(read_answer(body.as_bytes()), Err(problem));
    check("", AnswerProblem::NoBytes);
    check("<html>", AnswerProblem::Html);
    check("[]", AnswerProblem::NotObject);
    check("{\"content\":", AnswerProblem::Unended);
    check("{}", AnswerProblem::NoContent);
    check(r#"{"content":"text"}"#, AnswerProblem::NoContent);
    check("{\"content\":[}", AnswerProblem::NotJson { line: 1, column: 13 });
}
