//! What must hold for every input of the wire's readers and translations: none panics, and what is
//! written is read by the reader of its form. libFuzzer looks for an input that it does not hold
//! for; tests replay the corpus and damage golden files.

use tidegate_wire::sse::{Parser, SseEvent};
use tidegate_wire::translate::{
    ChatServer, Step, anthropic_in, anthropic_out, gemini_out, responses_in,
};
use tidegate_wire::{AnswerProblem, Piece, anthropic, openai_chat, parse_json_object};

/// Checks what must hold for an input; panics where it does not.
type Target = fn(&[u8]);

/// The targets, by the name of their corpus.
pub(crate) const TARGETS: [(&str, Target); 4] =
    [("answers", answers), ("streams", streams), ("requests", requests), ("split", split)];

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

fn check_steps(events: &[Vec<u8>], mut event: impl FnMut(&[u8]) -> Result<Step, AnswerProblem>) {
    for data in events {
        let Ok(step) = event(data) else { return };
        for chunk in step.chunks {
            // What the server counts on the way is in no chunk that clients get.
            let says = Piece { so_far: None, ..chunk.says };
            assert_eq!(openai_chat::read_chunk(&chunk.data), Ok(says));
        }
    }
}

/// An answer of any API, as whatever API it may be, in the form of every other.
fn answers(bytes: &[u8]) {
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

/// A stream of any API, translated event by event.
fn streams(bytes: &[u8]) {
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

/// A client's request, in every form.
fn requests(bytes: &[u8]) {
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

/// A stream is the same in one piece and cut in two, wherever that is: the first byte says.
fn split(bytes: &[u8]) {
    let Some((at, stream)) = bytes.split_first() else { return };
    let at = stream.len() * usize::from(*at) / 256;
    let whole = |pieces: [&[u8]; 2]| {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for piece in pieces {
            if parser.push(piece).is_err() {
                return None;
            }
            events.extend(std::iter::from_fn(|| parser.next_event()));
        }
        Some((events, parser.rest()))
    };
    assert_eq!(whole([stream, b""]), whole([&stream[..at], &stream[at..]]));
}
