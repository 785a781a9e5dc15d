//! What clients and model servers send, damaged: every golden input of every pair, with bytes
//! changed, left out, doubled and moved, with huge numbers, other types and deep nesting, goes
//! through every translation. Each gives bytes that its own reader reads, or a named problem.

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use std::fs;
    use std::path::Path;
    use tidegate_wire::sse::{Parser, SseEvent};
    use tidegate_wire::translate::{
        ChatServer, Step, anthropic_in, anthropic_out, gemini_out, responses_in,
    };
    use tidegate_wire::{AnswerProblem, anthropic, openai_chat, parse_json_object};

    fn inputs() -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "in") {
                    found.push(fs::read(path).unwrap());
                }
            }
        }
        found.sort();
        assert!(found.len() > 80, "{}", found.len());
        found
    }

    /// One way to damage bytes.
    #[derive(Debug, Clone)]
    enum Damage {
        Change(Index, u8),
        Cut(Index, Index),
        Double(Index, Index),
        Value(Index, &'static str),
        Deep(Index),
        End(Index),
    }

    fn damage() -> impl Strategy<Value = Damage> {
        let at = any::<Index>;
        let value = prop::sample::select(vec![
            "null",
            "7",
            "-1",
            "1e999",
            "18446744073709551617",
            "\"x\"",
            "[]",
            "{}",
            "[{}]",
            "true",
            "\"\\ud83d\"",
            "{\"type\":\"text\",\"text\":7}",
        ]);
        prop_oneof![
            1 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
            1 => (at(), at()).prop_map(|(from, to)| Damage::Cut(from, to)),
            1 => (at(), at()).prop_map(|(from, to)| Damage::Double(from, to)),
            4 => (at(), value).prop_map(|(at, value)| Damage::Value(at, value)),
            1 => at().prop_map(Damage::Deep),
            1 => at().prop_map(Damage::End),
        ]
    }

    /// Where values of members begin.
    fn values(bytes: &[u8]) -> Vec<usize> {
        (1..bytes.len()).filter(|at| bytes[at - 1] == b':').collect()
    }

    fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
        if bytes.is_empty() {
            return;
        }
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            from.min(to)..from.max(to).min(from.min(to) + 200)
        };
        match damage {
            Damage::Change(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Cut(from, to) => drop(bytes.drain(range(from, to))),
            Damage::Double(from, to) => {
                let range = range(from, to);
                let copy = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, copy);
            }
            Damage::Value(at, value) => {
                let places = values(bytes);
                if !places.is_empty() {
                    let from = places[at.index(places.len())];
                    let rest = &bytes[from..];
                    let end = rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b'\n'));
                    bytes.splice(from..from + end.unwrap_or(0), value.bytes());
                }
            }
            Damage::Deep(at) => {
                let deep = [b"[".repeat(5_000), b"]".repeat(5_000)].concat();
                let places = values(bytes);
                if !places.is_empty() {
                    let from = places[at.index(places.len())];
                    bytes.splice(from..from, deep);
                }
            }
            Damage::End(at) => bytes.truncate(at.index(bytes.len())),
        }
    }

    fn events(bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        if parser.push(bytes).is_ok() {
            while let Some(event) = parser.next_event() {
                if let SseEvent::Data { is_error: _, data } = event {
                    events.push(data);
                }
            }
        }
        events.extend(parser.rest());
        events
    }

    fn check_steps(
        events: &[Vec<u8>],
        mut event: impl FnMut(&[u8]) -> Result<Step, AnswerProblem>,
    ) {
        for data in events {
            let Ok(step) = event(data) else { return };
            for chunk in step.chunks {
                assert_eq!(openai_chat::read_chunk(&chunk.data), Ok(chunk.says));
            }
        }
    }

    fn check_answers(bytes: &[u8]) {
        let chats = [anthropic_out::answer(bytes, 0), gemini_out::answer(bytes, 0)];
        for chat in chats.into_iter().flatten() {
            // A server may end by a reason that is an error in the other API.
            let read = openai_chat::read_answer(&chat);
            assert!(matches!(read, Ok(_) | Err(AnswerProblem::Error(_))), "{read:?}");
        }
        if let Ok(message) = anthropic_in::answer(bytes, "msg_1") {
            anthropic::read_answer(&message).unwrap();
        }
        let echo = responses_in::Echo::default();
        if let Ok(response) = responses_in::answer(bytes, "r", 0, &echo) {
            serde_json::from_slice::<serde_json::Value>(&response).unwrap();
        }
    }

    fn check_streams(bytes: &[u8]) {
        let events = events(bytes);
        let mut stream = anthropic_out::Stream::new(0);
        check_steps(&events, |data| stream.event(data));
        let mut stream = gemini_out::Stream::new(0);
        check_steps(&events, |data| stream.event(data));
        let _ = stream.end();
        let mut messages = anthropic_in::Events::new("msg_1");
        let mut responses = responses_in::Events::new("r", 0, responses_in::Echo::default());
        let mut reader = anthropic::EventReader::default();
        for data in &events {
            let Ok(says) = openai_chat::read_chunk(data) else { break };
            for event in messages.piece(&says).unwrap_or_default() {
                reader.read(&event.data).unwrap();
            }
            let _ = responses.piece(&says);
        }
        for event in messages.end() {
            reader.read(&event.data).unwrap();
        }
        assert!(reader.is_done());
        let _ = responses.end();
    }

    fn check_requests(bytes: &[u8]) {
        let server = ChatServer { extensions: true, reasoning: true, newer_length: false };
        // The cases wrap a request; what is inside begins at its last brace of that kind.
        let start = bytes.windows(10).position(|window| window == b"\"request\":");
        let inner = start.map(|at| &bytes[at + 10..]).unwrap_or(bytes);
        let end = inner.iter().rposition(|b| *b == b'}').unwrap_or(inner.len());
        for body in [bytes, &inner[..end]] {
            let _ = anthropic_in::request(body, &server);
            let _ = responses_in::request(body, &server);
            let _ = anthropic::read_request(body);
            let Ok(map) = parse_json_object(body) else { continue };
            let options = anthropic_out::Options {
                max_tokens_default: 4096,
                sampling: true,
                thinking: anthropic_out::Thinking::Adaptive,
                system_later: true,
            };
            if let Ok(out) = anthropic_out::request(&map, &options) {
                anthropic::read_request(&out.body).unwrap();
            }
            let options = gemini_out::Options {
                sampling: true,
                thinking: gemini_out::Thinking::Level,
                marks_unsigned_calls: true,
            };
            if let Ok(out) = gemini_out::request(&map, &options) {
                parse_json_object(&out.body).unwrap();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn damage_is_a_problem_and_never_a_panic(
            case in any::<Index>(),
            damages in prop::collection::vec(damage(), 0..4),
        ) {
            let inputs = inputs();
            let mut bytes = inputs[case.index(inputs.len())].clone();
            damages.iter().for_each(|damage| apply(&mut bytes, damage));
            check_answers(&bytes);
            check_streams(&bytes);
            check_requests(&bytes);
        }
    }
}
