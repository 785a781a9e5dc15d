//! What the flawed model server says, before it is packed and broken.

use super::fault::{EVENTS, Fault};
use crate::upstream::completion;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;

/// The text of an event.
fn word(number: u64) -> String {
    format!("词 word-{number} ")
}

/// The text of an answer that ends after so many events.
pub(crate) fn text(events: u64) -> String {
    (0..events).map(word).collect()
}

/// The body of a whole answer.
pub(crate) fn whole_body(fault: Fault) -> Vec<u8> {
    let answer = completion(&text(EVENTS));
    let error = json!({"error": {"message": "no", "code": 503}});
    match fault {
        Fault::NoJson(_) => answer.replacen(':', " is ", 1).into_bytes(),
        Fault::NoUtf8(_) => {
            let mut bytes = answer.into_bytes();
            let at = bytes.iter().position(|byte| *byte > 127).unwrap();
            bytes[at] = 0xff;
            bytes
        }
        Fault::Error(_) => error.to_string().into_bytes(),
        Fault::LongLine(_) => completion(&long_text()).into_bytes(),
        Fault::Gzip | Fault::CutGzip => gzip(answer.as_bytes()),
        Fault::NoBody => Vec::new(),
        Fault::NoChoices => br#"{"object": "chat.completion", "choices": []}"#.to_vec(),
        Fault::NoText => completion("").into_bytes(),
        Fault::Absurd | Fault::Negative => {
            let mut answer: Value = serde_json::from_str(&answer).unwrap();
            answer["usage"] = usage(fault);
            answer.to_string().into_bytes()
        }
        _ => answer.into_bytes(),
    }
}

/// More than a line of a stream may have.
fn long_text() -> String {
    "long ".repeat(300_000)
}

/// An event of 4 KB.
pub(crate) fn long_event() -> Vec<u8> {
    let mut long = Vec::new();
    event(&mut long, &chunk(&json!({"content": "x".repeat(4_000)}), Value::Null));
    long
}

/// All that comes of a stream, before its bytes are packed and broken.
pub(crate) fn stream_bytes(fault: Fault, wants_usage: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..fault.events() {
        event(&mut bytes, &chunk(&json!({"content": word(number)}), Value::Null));
    }
    match fault {
        Fault::Cut(_)
        | Fault::Reset(_)
        | Fault::Unended(_)
        | Fault::Silent(_)
        | Fault::Heartbeats(_) => return bytes,
        Fault::NoBody => return Vec::new(),
        Fault::NoJson(_) => bytes.extend(b"data: {\"choices\" is this}\n\n"),
        Fault::NoUtf8(_) => bytes.extend(b"data: {\"choices\": [\"\xff\"]}\n\n"),
        Fault::Error(_) => {
            event(&mut bytes, &json!({"error": {"message": "no", "code": 503}}));
        }
        Fault::LongLine(_) => {
            event(&mut bytes, &chunk(&json!({"content": long_text()}), Value::Null));
        }
        Fault::NoChoices => event(&mut bytes, &json!({"choices": 7})),
        _ => {}
    }
    event(&mut bytes, &chunk(&json!({}), json!("stop")));
    if wants_usage {
        event(&mut bytes, &json!({"choices": [], "usage": usage(fault)}));
    }
    if fault != Fault::NoEndMark {
        bytes.extend(b"data: [DONE]\n\n");
    }
    bytes
}

fn usage(fault: Fault) -> Value {
    let (tokens_in, tokens_out) = match fault {
        Fault::Absurd => (json!(u64::MAX), json!(u64::MAX)),
        Fault::Negative => (json!(-3), json!(-5)),
        _ => (json!(3), json!(5)),
    };
    json!({"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": 8})
}

fn chunk(delta: &Value, finish: Value) -> Value {
    json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
           "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn event(bytes: &mut Vec<u8>, data: &Value) {
    bytes.extend(format!("data: {data}\n\n").into_bytes());
}

/// Compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
