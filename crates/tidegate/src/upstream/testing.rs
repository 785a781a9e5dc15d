//! What the tests of all upstreams share.

pub(super) mod server;

use super::{Answer, Call, Deadlines, Elapsed, Form, Piece, Reply, UpstreamError};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_core::version_set::VersionKeys;

/// An answer with this status line, these headers and a body of the right length.
pub(super) fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// A call with a system and a user message and generous deadlines.
pub(super) fn call(model: &str, system: &str, user: &str) -> Call {
    let mut messages = vec![json!({"role": "user", "content": user})];
    if !system.is_empty() {
        messages.insert(0, json!({"role": "system", "content": system}));
    }
    let body = json!({"model": model, "messages": messages});
    let minute = Duration::from_secs(60);
    Call {
        form: Form::Chat,
        body: body.as_object().unwrap().clone(),
        tokens: None,
        betas: None,
        expected_bytes: 0,
        stream: false,
        is_retry: false,
        tried: Vec::new(),
        is_hurried: false,
        keys: VersionKeys { model: model.to_owned(), ..VersionKeys::default() },
        traceparent: None,
        trace_id: None,
        request_id: "req-1".to_owned(),
        deadlines: Deadlines { first_byte: minute, idle: minute, total: minute },
    }
}

/// The answer of a call that must not have failed or streamed.
pub(super) fn whole(reply: Result<Reply, UpstreamError>) -> (Value, Elapsed) {
    match reply.unwrap() {
        Reply::Whole(Answer { body, elapsed, .. }) => {
            (serde_json::from_slice(&body).unwrap(), elapsed)
        }
        Reply::Stream(_) => panic!("a stream"),
    }
}

/// The text of an answer.
pub(super) fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

/// A stream that was read to its end.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) chunks: Vec<Value>,
    pub(super) text: String,
    pub(super) finish: Option<String>,
    pub(super) end: Result<Elapsed, UpstreamError>,
}

/// Reads a stream to its end, which it must have exactly one of.
pub(super) async fn stream(reply: Result<Reply, UpstreamError>) -> Streamed {
    let Reply::Stream(mut pieces) = reply.unwrap() else { panic!("a whole answer") };
    let (mut chunks, mut text, mut finish, mut end) = (Vec::new(), String::new(), None, None);
    while let Some(piece) = pieces.next().await {
        assert!(end.is_none(), "{piece:?} after the end");
        match piece {
            Piece::Data { bytes, says: _ } => {
                let chunk: Value = serde_json::from_slice(&bytes).unwrap();
                let choice = &chunk["choices"][0];
                text.push_str(choice["delta"]["content"].as_str().unwrap_or(""));
                finish = choice["finish_reason"].as_str().map(str::to_owned).or(finish);
                chunks.push(chunk);
            }
            Piece::Ping => {}
            Piece::Done(elapsed) => end = Some(Ok(elapsed)),
            Piece::Failed(error) => end = Some(Err(error)),
        }
    }
    Streamed { chunks, text, finish, end: end.expect("an end") }
}
