use super::super::answer::answer;
use super::*;
use crate::anthropic::{EventReader, read_answer};
use crate::facts::{AnswerFacts, Usage};
use crate::openai_chat;
use crate::translate::testing::any_json;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A block of an answer in pieces, as a model may write it.
#[derive(Debug, Clone)]
enum Said {
    Text(Vec<String>),
    Thinking(Vec<String>, String),
    Redacted(String),
    Call(String, String, Value),
}

fn said() -> impl Strategy<Value = Said> {
    let pieces = || prop::collection::vec("\\PC{0,5}", 0..4);
    let input = prop::collection::vec(("\\PC{1,4}", any::<u64>()), 0..3);
    prop_oneof![
        pieces().prop_map(Said::Text),
        (pieces(), "[a-zA-Z+/]{0,8}").prop_map(|(pieces, signed)| Said::Thinking(pieces, signed)),
        "[a-z]{1,8}".prop_map(Said::Redacted),
        ("[a-z_]{1,8}", "toolu_[a-z0-9]{4}", input).prop_map(|(name, id, members)| {
            Said::Call(id, name, members.into_iter().map(|(k, v)| (k, json!(v))).collect())
        }),
    ]
}

impl Said {
    fn block(&self) -> Value {
        match self {
            Said::Text(pieces) => json!({ "type": "text", "text": pieces.concat() }),
            Said::Thinking(pieces, signature) => {
                json!({ "type": "thinking", "thinking": pieces.concat(), "signature": signature })
            }
            Said::Redacted(data) => json!({ "type": "redacted_thinking", "data": data }),
            Said::Call(id, name, input) => {
                json!({ "type": "tool_use", "id": id, "name": name, "input": input })
            }
        }
    }

    /// Its beginning, and what follows.
    fn events(&self) -> (Value, Vec<Value>) {
        let deltas = |kind: &str, key: &str, pieces: &[String]| {
            pieces.iter().map(|piece| json!({ "type": kind, key: piece })).collect::<Vec<_>>()
        };
        match self {
            Said::Text(pieces) => {
                (json!({ "type": "text", "text": "" }), deltas("text_delta", "text", pieces))
            }
            Said::Thinking(pieces, signature) => {
                let mut deltas = deltas("thinking_delta", "thinking", pieces);
                deltas.push(json!({ "type": "signature_delta", "signature": signature }));
                (json!({ "type": "thinking", "thinking": "", "signature": "" }), deltas)
            }
            Said::Redacted(_) => (self.block(), Vec::new()),
            Said::Call(id, name, input) => {
                let text = input.to_string();
                let middle = (text.len() / 2..).find(|at| text.is_char_boundary(*at)).unwrap();
                let (head, tail) = text.split_at(middle);
                let pieces = [head, tail].map(str::to_owned);
                let start = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                (start, deltas("input_json_delta", "partial_json", &pieces))
            }
        }
    }
}

fn stream_of(blocks: &[Said], stop_reason: &str) -> Vec<Value> {
    let usage = json!({ "input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1 });
    let message = json!({ "id": "msg_1", "model": "m", "content": [], "usage": usage });
    let mut events = vec![json!({ "type": "message_start", "message": message })];
    for (index, block) in blocks.iter().enumerate() {
        let (start, deltas) = block.events();
        let begin =
            json!({ "type": "content_block_start", "index": index, "content_block": start });
        events.push(begin);
        events.extend(
            deltas.iter().map(
                |delta| json!({ "type": "content_block_delta", "index": index, "delta": delta }),
            ),
        );
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let (delta, usage) = (json!({ "stop_reason": stop_reason }), json!({ "output_tokens": 9 }));
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    events.push(json!({ "type": "message_stop" }));
    events
}

fn whole_of(blocks: &[Said], stop_reason: &str) -> Vec<u8> {
    let content: Vec<Value> = blocks.iter().map(Said::block).collect();
    let usage = json!({ "input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 9 });
    json!({ "id": "msg_1", "type": "message", "model": "m", "content": content,
            "stop_reason": stop_reason, "usage": usage })
    .to_string()
    .into_bytes()
}

type Summary = (String, String, Vec<(String, String)>, Option<Finish>, Option<Usage>);

/// What an answer says, apart from how calls are numbered.
fn summary(facts: &AnswerFacts) -> Summary {
    let choice = facts.choices.first().cloned().unwrap_or_default();
    let calls = choice.tool_calls.into_iter().map(|call| {
        let arguments = if call.arguments.is_empty() { "{}".to_owned() } else { call.arguments };
        (call.name, arguments)
    });
    (choice.text, choice.reasoning, calls.collect(), choice.finish, facts.usage)
}

fn translated(events: &[Value]) -> (AnswerFacts, Vec<Value>) {
    let (mut stream, mut facts) = (Stream::new(0), AnswerFacts::default());
    let (mut blocks, mut is_done) = (Vec::new(), false);
    for event in events {
        assert!(!is_done, "an event after the end");
        let step = stream.event(event.to_string().as_bytes()).unwrap();
        is_done = step.is_done;
        for chunk in step.chunks {
            let data: Value = serde_json::from_slice(&chunk.data).unwrap();
            let signed = data["choices"][0]["delta"]["thinking_blocks"].as_array();
            for block in signed.into_iter().flatten() {
                let mut block = block.clone();
                let index = block.as_object_mut().unwrap().remove("index");
                assert_eq!(index, Some(json!(blocks.len())));
                blocks.push(block);
            }
            facts.push(chunk.says).unwrap();
        }
    }
    assert!(is_done);
    (facts, blocks)
}

proptest! {
    /// Whole or streamed, translated or not: an answer says the same.
    #[test]
    fn four_ways_to_read_an_answer_agree(
        blocks in prop::collection::vec(said(), 0..6),
        stop_reason in prop::sample::select(vec!["end_turn", "max_tokens", "tool_use", "refusal"]),
    ) {
        let body = whole_of(&blocks, stop_reason);
        let events = stream_of(&blocks, stop_reason);
        let native = summary(&read_answer(&body).unwrap());
        let (mut reader, mut facts) = (EventReader::default(), AnswerFacts::default());
        for event in &events {
            facts.push(reader.read(event.to_string().as_bytes()).unwrap()).unwrap();
        }
        prop_assert!(reader.is_done());
        prop_assert_eq!(&summary(&facts), &native);

        let chat = answer(&body, 0).unwrap();
        prop_assert_eq!(&summary(&openai_chat::read_answer(&chat).unwrap()), &native);
        let (streamed, signed) = translated(&events);
        prop_assert_eq!(&summary(&streamed), &native);
        let chat: Value = serde_json::from_slice(&chat).unwrap();
        let whole = chat["choices"][0]["message"]["thinking_blocks"].as_array();
        prop_assert_eq!(signed, whole.cloned().unwrap_or_default());
    }

    /// What a model server sends makes chunks or a problem, whatever it is.
    #[test]
    fn no_event_panics(
        events in prop::collection::vec(any_json(WORDS), 0..8),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut stream = Stream::new(0);
        let _ = stream.event(&bytes);
        let _ = answer(&bytes, 0);
        for (n, event) in events.into_iter().enumerate() {
            let _ = answer(event.to_string().as_bytes(), 0);
            let _ = answer(json!({ "content": [event.clone()] }).to_string().as_bytes(), 0);
            let kinds = ["content_block_start", "content_block_delta", "message_delta"];
            let key = ["content_block", "delta", "delta"][n % 3];
            let wrapped = json!({ "type": kinds[n % 3], "index": n / 3, key: event.clone() });
            let _ = stream.event(wrapped.to_string().as_bytes());
            let _ = stream.event(event.to_string().as_bytes());
        }
    }
}

const WORDS: &[&str] = &[
    "type",
    "index",
    "message_start",
    "message",
    "content_block_start",
    "content_block",
    "text",
    "content_block_delta",
    "delta",
    "text_delta",
    "input_json_delta",
    "partial_json",
    "thinking",
    "thinking_delta",
    "signature_delta",
    "signature",
    "tool_use",
    "name",
    "id",
    "input",
    "usage",
    "content_block_stop",
    "message_delta",
    "stop_reason",
    "end_turn",
    "message_stop",
    "error",
    "content",
    "input_tokens",
    "output_tokens",
    "stop_details",
    "explanation",
    "redacted_thinking",
];

fn problem_of(events: impl IntoIterator<Item = Value>) -> Option<AnswerProblem> {
    let mut stream = Stream::new(0);
    events.into_iter().find_map(|event| stream.event(event.to_string().as_bytes()).err())
}

fn begin(index: usize, kind: &str) -> Value {
    json!({ "type": "content_block_start", "index": index, "content_block": { "type": kind } })
}

#[test]
fn a_hostile_server_meets_bounds() {
    let many = |count, kind| problem_of((0..count).map(|index| begin(index, kind)));
    assert_eq!(many(256, "text"), None);
    assert_eq!(many(257, "text"), Some(AnswerProblem::TooManyParts));
    let input = json!({ "type": "input_json_delta", "partial_json": "{" });
    let nameless = |index| json!({ "type": "content_block_delta", "index": index, "delta": input });
    assert_eq!(problem_of((0..128).map(nameless)), None);
    let too_many = Some(AnswerProblem::TooManyToolCalls);
    assert_eq!(problem_of((0..129).map(nameless)), too_many);
    let ended = |index: usize| {
        [begin(index, "tool_use"), json!({ "type": "content_block_stop", "index": index })]
    };
    assert_eq!(problem_of((0..129).flat_map(ended)), too_many);
    let calls: Vec<Value> = (0..129).map(|_| json!({ "type": "tool_use" })).collect();
    let body = json!({ "content": calls }).to_string();
    assert_eq!(answer(body.as_bytes(), 0), Err(AnswerProblem::TooManyToolCalls));
}

#[test]
fn thoughts_over_the_bound_come_without_their_signature() {
    let long = "想".repeat(ANSWER_TEXT_MAX_BYTES / 6);
    let delta = |kind: &str, key: &str, text: &str| {
        let delta = json!({ "type": kind, key: text });
        json!({ "type": "content_block_delta", "index": 0, "delta": delta })
    };
    let thought = delta("thinking_delta", "thinking", &long);
    let signed = delta("signature_delta", "signature", "sig");
    let end = json!({ "type": "content_block_stop", "index": 0 });
    let blocks = |thoughts: usize| {
        let mut events = vec![begin(0, "thinking")];
        events.extend(std::iter::repeat_n(thought.clone(), thoughts));
        events.extend([signed.clone(), end.clone(), json!({ "type": "message_stop" })]);
        translated(&events).1.len()
    };
    assert_eq!((blocks(1), blocks(3)), (1, 0));
}

#[test]
fn depth_is_no_danger() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let event = format!(
        "{{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"tool_use\",\
         \"name\":\"f\",\"input\":{deep}}}}}"
    );
    assert!(Stream::new(0).event(event.as_bytes()).is_ok());
    let body = format!("{{\"content\":[{{\"type\":\"tool_use\",\"input\":{deep}}}]}}");
    let chat = answer(body.as_bytes(), 0).unwrap();
    assert_eq!(
        openai_chat::read_answer(&chat).unwrap().tool_calls().next().unwrap().arguments,
        deep
    );
}
