use super::*;
use crate::facts::Finish;
use proptest::prelude::*;
use serde_json::json;

fn read(body: &Value) -> Result<CompletionRequest, RequestError> {
    read_request(body.to_string().as_bytes())
}

fn with(prompt: Value) -> Value {
    json!({ "model": "m", "prompt": prompt, "user": "u", "best_of": 2, "no_such_member": 1 })
}

#[test]
fn prompts_are_read() {
    let request = read(&with(json!("写一首诗"))).unwrap();
    assert_eq!((request.prompts, request.input_chars), (vec!["写一首诗".to_owned()], 4));
    assert_eq!((request.model.as_deref(), request.user.as_deref()), (Some("m"), Some("u")));
    assert_eq!(Value::Object(request.body), with(json!("写一首诗")));
    let request = read(&with(json!(["ab", "", "诗"]))).unwrap();
    assert_eq!((request.prompts.len(), request.input_chars), (3, 3));
}

#[test]
fn what_is_refused() {
    let refused = |body: &Value, param: &str| {
        assert_eq!(read(body).expect_err(param).param(), Some(param));
    };
    refused(&json!({ "model": "m" }), "prompt");
    refused(&with(json!(null)), "prompt");
    refused(&with(json!(7)), "prompt");
    refused(&with(json!([])), "prompt");
    refused(&with(json!(vec!["x"; PROMPTS_MAX + 1])), "prompt");
    refused(&with(json!([1, 2, 3])), "prompt[0]");
    refused(&with(json!(["a", [1, 2]])), "prompt[1]");
    refused(&json!({ "prompt": "x", "model": 7 }), "model");
    refused(&json!({ "prompt": "x", "stream": 1 }), "stream");
    refused(&json!({ "prompt": "x", "max_tokens": 0 }), "max_tokens");
    refused(&json!({ "prompt": "x", "api_base": "https://a" }), "api_base");
}

#[test]
fn answers_and_chunks() {
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 2 });
    let choices = json!([
        { "index": 0, "text": "春眠", "finish_reason": "stop", "logprobs": { "tokens": ["春"] } },
        { "index": 1, "text": "不觉", "finish_reason": "length", "planted": "p" },
    ]);
    let body =
        json!({ "object": "text_completion", "model": "m", "choices": choices, "usage": usage });
    let facts = read_answer(body.to_string().as_bytes()).unwrap();
    assert_eq!((facts.choices[0].text.as_str(), facts.choices[1].text.as_str()), ("春眠", "不觉"));
    assert_eq!(facts.choices[1].finish, Some(Finish::Length));
    assert_eq!(facts.usage.map(|usage| (usage.tokens_in, usage.tokens_out)), Some((3, 2)));
    assert_eq!(facts.windows().collect::<String>(), "p");

    let last = json!({ "choices": [], "usage": usage }).to_string();
    assert!(read_chunk(last.as_bytes()).unwrap().usage.is_some());
    assert_eq!(read_answer(last.as_bytes()), Err(AnswerProblem::NoChoices));
    let error = json!({ "error": { "message": "no" } }).to_string();
    assert!(matches!(read_chunk(error.as_bytes()), Err(AnswerProblem::Error(_))));
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        text in "[\\[\\]{}:,\"a0 ]{0,40}",
    ) {
        let _ = (read_request(&bytes), read_chunk(&bytes));
        let _ = read_request(format!("{{\"prompt\":{text}}}").as_bytes());
        let _ = read_answer(format!("{{\"choices\":{text}}}").as_bytes());
    }
}
