//! There and back: what goes through both pairs of a dialect says what it said.

use super::{ChatServer, anthropic_in, anthropic_out};
use crate::facts::{AnswerFacts, CallPiece, ChoicePiece, Finish, Piece, Usage};
use crate::openai_chat;
use crate::parse_json_object;
use proptest::prelude::*;
use serde_json::{Value, json};

const OUT: anthropic_out::Options = anthropic_out::Options {
    max_tokens_default: 4096,
    sampling: true,
    thinking: anthropic_out::Thinking::Adaptive,
    system_later: true,
};
const IN: ChatServer = ChatServer { extensions: true, reasoning: true, newer_length: false };

/// Arguments as models write them: white space, numbers in any form, escapes.
fn arguments() -> impl Strategy<Value = String> {
    let number = prop::sample::select(vec![
        "1.0",
        "-0.0",
        "1E+2",
        "18446744073709551617",
        "0.10000000000000000001",
        "7",
    ]);
    let value = prop_oneof![
        number.prop_map(str::to_owned),
        "\\PC{0,4}".prop_map(|text| json!(text).to_string()),
        Just(r#""\ud83d\ude22\u4e2d""#.to_owned()),
        Just("[ null, true ]".to_owned()),
    ];
    let member = ("[a-z城]{1,3}", value);
    prop::collection::vec(member, 0..3).prop_map(|members| {
        let members: Vec<String> = (0..)
            .zip(members)
            .map(|(n, (key, value)): (u8, _)| format!("\"{key}{n}\": {value}"))
            .collect();
        format!("{{{}}}", members.join(",  "))
    })
}

#[derive(Debug, Clone)]
struct Turn {
    user: String,
    answer: String,
    /// Name, arguments, result.
    calls: Vec<(String, String, String)>,
}

fn turn() -> impl Strategy<Value = Turn> {
    let call = ("[a-z_]{1,6}", arguments(), "\\PC{0,6}");
    ("\\PC{1,6}", "\\PC{1,6}", prop::collection::vec(call, 0..3))
        .prop_map(|(user, answer, calls)| Turn { user, answer, calls })
}

fn messages_of(system: &str, turns: &[Turn], last: &str) -> Vec<Value> {
    let mut messages = vec![json!({ "role": "system", "content": system })];
    for (n, turn) in turns.iter().enumerate() {
        messages.push(json!({ "role": "user", "content": turn.user }));
        let mut message = json!({ "role": "assistant", "content": turn.answer });
        let id = |at: usize| format!("call_{n}_{at}");
        let calls: Vec<Value> = (0..)
            .zip(&turn.calls)
            .map(|(at, (name, arguments, _))| {
                let function = json!({ "name": name, "arguments": arguments });
                json!({ "id": id(at), "type": "function", "function": function })
            })
            .collect();
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        messages.push(message);
        messages.extend((0..).zip(&turn.calls).map(|(at, (_, _, result))| {
            json!({ "role": "tool", "tool_call_id": id(at), "content": result })
        }));
    }
    messages.push(json!({ "role": "user", "content": last }));
    messages
}

/// An answer's chunks as a server sends them.
fn piece(choice: ChoicePiece) -> Piece {
    Piece { choices: vec![choice], ..Piece::default() }
}

type Summary =
    (String, String, Vec<(Option<String>, String, String)>, Option<Finish>, Option<Usage>);

fn summary(facts: &AnswerFacts) -> Summary {
    let choice = facts.choices.first().cloned().unwrap_or_default();
    let call = |call: &crate::ToolCall| {
        (call.id().map(str::to_owned), call.name.clone(), call.arguments.clone())
    };
    let calls = choice.tool_calls.iter().map(call).collect();
    (choice.text, choice.reasoning, calls, choice.finish, facts.usage)
}

/// What an answer says, in pieces: reasoning, text, calls.
fn said() -> impl Strategy<Value = Vec<Piece>> {
    let texts = || prop::collection::vec("\\PC{1,5}", 0..3);
    let calls = prop::collection::vec(("[a-z_]{1,6}", arguments()), 0..3);
    let counts = (0..1000_u64, 0..1000_u64, 0..1000_u64, 0..1000_u64, 0..1000_u64);
    (texts(), texts(), calls, counts).prop_map(|(thoughts, texts, calls, counts)| {
        let mut pieces: Vec<Piece> = thoughts
            .into_iter()
            .map(|reasoning| piece(ChoicePiece { reasoning, ..ChoicePiece::default() }))
            .collect();
        pieces.extend(
            texts.into_iter().map(|text| piece(ChoicePiece { text, ..ChoicePiece::default() })),
        );
        let finish = if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        for (index, (name, arguments)) in (0..).zip(calls) {
            let id = Some(format!("call_{index}"));
            let begin = CallPiece { index: Some(index), id, name, arguments: String::new() };
            let more = CallPiece { index: Some(index), arguments, ..CallPiece::default() };
            pieces
                .extend([begin, more].map(|call| {
                    piece(ChoicePiece { calls: vec![call], ..ChoicePiece::default() })
                }));
        }
        pieces.push(piece(ChoicePiece { finish: Some(finish), ..ChoicePiece::default() }));
        let (fresh, cache_read_in, cache_write_in, answered, reasoning_out) = counts;
        let usage = Usage {
            tokens_in: fresh + cache_read_in + cache_write_in,
            tokens_out: answered + reasoning_out,
            cache_read_in,
            cache_write_in,
            reasoning_out,
            ..Usage::default()
        };
        pieces.push(Piece { usage: Some(usage), ..Piece::default() });
        pieces
    })
}

proptest! {
    /// A conversation goes to Anthropic's form and back: texts, calls, ids, results, their order,
    /// and every digit of the arguments.
    #[test]
    fn a_request_there_and_back(
        system in "\\PC{1,8}",
        turns in prop::collection::vec(turn(), 0..3),
        last in "\\PC{1,8}",
    ) {
        let messages = messages_of(&system, &turns, &last);
        let body = json!({ "model": "m", "max_tokens": 9, "messages": messages });
        let body = parse_json_object(body.to_string().as_bytes()).unwrap();
        let there = anthropic_out::request(&body, &OUT).unwrap();
        prop_assert!(there.warnings.is_empty());
        let back = anthropic_in::request(&there.body, &IN).unwrap();
        prop_assert!(back.warnings.is_empty());
        prop_assert_eq!(&back.chat.body, &body);
    }

    /// A stream goes to Anthropic's form and back, and so does the whole answer.
    #[test]
    fn an_answer_there_and_back(pieces in said()) {
        let mut facts = AnswerFacts::default();
        let mut events = anthropic_in::Events::new("msg_1");
        let (mut there, mut out) = (Vec::new(), AnswerFacts::default());
        for piece in pieces {
            there.extend(events.piece(&piece).unwrap());
            facts.push(piece).unwrap();
        }
        there.extend(events.end());
        let mut stream = anthropic_out::Stream::new(0);
        let mut is_done = false;
        for event in there {
            let step = stream.event(&event.data).unwrap();
            is_done = step.is_done;
            step.chunks.into_iter().for_each(|chunk| out.push(chunk.says).unwrap());
        }
        prop_assert!(is_done);
        prop_assert_eq!(summary(&out), summary(&facts));

        let (text, reasoning, calls, finish, usage) = summary(&facts);
        let calls: Vec<Value> = calls.into_iter().map(|(id, name, arguments)| {
            json!({ "id": id, "function": { "name": name, "arguments": arguments } })
        }).collect();
        let message = json!({ "content": text, "reasoning": reasoning, "tool_calls": calls });
        let finish = finish.unwrap();
        let choice = json!({ "message": message, "finish_reason": finish.as_str() });
        let usage = usage.unwrap();
        let (read, write) = (usage.cache_read_in, usage.cache_write_in);
        let details = json!({ "cached_tokens": read, "cache_write_tokens": write });
        let usage = json!({
            "prompt_tokens": usage.tokens_in,
            "completion_tokens": usage.tokens_out,
            "prompt_tokens_details": details,
            "completion_tokens_details": { "reasoning_tokens": usage.reasoning_out },
        });
        let body = json!({ "model": "m", "choices": [choice], "usage": usage }).to_string();
        let there = anthropic_in::answer(body.as_bytes(), "msg_1").unwrap();
        let back = anthropic_out::answer(&there, 0).unwrap();
        let back = openai_chat::read_answer(&back).unwrap();
        prop_assert_eq!(summary(&back), summary(&facts));
    }
}
