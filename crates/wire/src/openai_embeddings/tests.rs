use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(input: Value) -> Result<EmbeddingRequest, RequestError> {
    let body = json!({ "model": "m", "input": input, "user": "u", "encoding_format": "base64" });
    read_request(body.to_string().as_bytes())
}

#[test]
fn inputs_are_counted() {
    let check = |input: Value, expected: (usize, u64, u64)| {
        let read = read(input.clone()).unwrap();
        assert_eq!((read.inputs, read.input_chars, read.input_tokens), expected, "{input}");
        assert_eq!(read.user.as_deref(), Some("u"));
        let is_of_tokens = read.tokens.is_some();
        assert_eq!(is_of_tokens, read.input_chars == 0, "{input}");
        assert_eq!(read.body["input"], if is_of_tokens { Value::Null } else { input });
    };
    check(json!("你好"), (1, 2, 0));
    check(json!(["你好", "abc"]), (2, 5, 0));
    check(json!([15339, 1917]), (1, 0, 2));
    check(json!([[1, 2, 3], [4]]), (2, 0, 4));
    check(json!(["a", [1, 2]]), (2, 1, 2));
    // A client that knows one kind of number; such a list is read as a whole.
    let floats = read(json!([15339.0, 0])).unwrap();
    assert_eq!((floats.inputs, floats.input_tokens, floats.tokens), (1, 2, None));
}

#[test]
fn tokens_stay_as_they_are_written() {
    let input = "[ [1,2 ],\n\t[3]]";
    let text = format!(r#"{{"x":1,"input":{input},"model":"m"}}"#);
    let read = read_request(text.as_bytes()).unwrap();
    assert_eq!(&text[read.tokens.unwrap().at], input);
    let body = json!({ "x": 1, "input": null, "model": "m" });
    assert_eq!((Value::from(read.body), read.model.as_deref()), (body, Some("m")));
    let many = format!(r#"{{"input":[{}]}}"#, vec!["7"; 300_000].join(","));
    assert_eq!(read_request(many.as_bytes()).unwrap().input_tokens, 300_000);
    assert!(tree_bytes(many.as_bytes()) < 1_000, "of them nothing is held but the text");
    // What is beside them is bounded and weighed as ever.
    let beside = format!(r#"{{"input":[1],"x":[{}]}}"#, vec!["7"; 1_000].join(","));
    assert!(tree_bytes(beside.as_bytes()) > 100_000);
    let beside = format!(r#"{{"input":[1],"x":[{}]}}"#, vec!["7"; 40_000].join(","));
    assert_eq!(read_request(beside.as_bytes()), Err(RequestError::TooManyValues));
    let twice = read_request(br#"{"input":[1],"input":[2]}"#);
    assert_eq!(twice, Err(RequestError::DuplicateKey { key: "input".to_owned() }));
}

#[test]
fn what_is_refused() {
    let refused = |input: Value, param: &str| {
        assert_eq!(read(input).expect_err(param).param(), Some(param));
    };
    refused(json!(null), "input");
    refused(json!(""), "input");
    refused(json!([]), "input");
    refused(json!({ "text": "x" }), "input");
    refused(json!(["a", ""]), "input[1]");
    refused(json!(["a", 1.5]), "input[1]");
    refused(json!([[1], []]), "input[1]");
    refused(json!([[1, -2]]), "input[0]");
    refused(json!(vec!["x"; INPUTS_MAX + 1]), "input");
    let streamed = read_request(br#"{"input":"x","stream":true}"#).unwrap_err();
    assert_eq!(streamed.param(), Some("stream"));
    let closed = read_request(br#"{"input":"x","base_url":"https://a"}"#).unwrap_err();
    assert_eq!(closed.param(), Some("base_url"));
}

#[test]
fn answers() {
    let vector = json!({ "object": "embedding", "index": 0, "embedding": [0.1, -0.0] });
    let usage = json!({ "prompt_tokens": 5, "total_tokens": 5 });
    let body = json!({ "object": "list", "model": "m", "data": [vector, vector], "usage": usage });
    let facts = read_answer(body.to_string().as_bytes()).unwrap();
    let tokens = facts.usage.map(|usage| (usage.tokens_in, usage.tokens_out));
    assert_eq!((facts.vectors, facts.model.as_deref(), tokens), (2, Some("m"), Some((5, 0))));
    let problem = |body: &str| read_answer(body.as_bytes()).unwrap_err();
    assert_eq!(problem("{}"), AnswerProblem::NoContent);
    assert_eq!(problem(r#"{"data":[]}"#), AnswerProblem::NoContent);
    assert!(matches!(problem(r#"{"error":"no"}"#), AnswerProblem::Error(_)));
    let odd = read_answer(br#"{"data":[7],"usage":{"prompt_tokens":1e300}}"#).unwrap();
    assert_eq!(odd, EmbeddingFacts { vectors: 1, model: None, usage: None });
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        text in "[\\[\\]{}:,\"a0 ]{0,40}",
    ) {
        let _ = (read_request(&bytes), read_answer(&bytes));
        let _ = read_request(format!("{{\"input\":{text}}}").as_bytes());
        let _ = read_answer(format!("{{\"data\":{text}}}").as_bytes());
    }
}
