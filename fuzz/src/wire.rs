//! What must hold for every input of the wire's readers and translations: none panics, and what is
//! written is read by the reader of its form. libFuzzer looks for an input that it does not hold
//! for; tests replay the corpus and damage golden files.

use tidegate_wire::openai_chat::{Form, with_texts};
use tidegate_wire::sse::{Parser, SseEvent};
use tidegate_wire::translate::{
    ChatServer, Step, anthropic_in, anthropic_out, converse_out, gemini_out, responses_in,
};
use tidegate_wire::{
    AnswerFacts, AnswerProblem, ChoicePiece, Piece, TextKind, anthropic, bedrock, forms, gemini,
    openai_chat, openai_completions, openai_embeddings, openai_moderations, parse_json_object,
};

/// Checks what must hold for an input; panics where it does not.
type Target = fn(&[u8]);

/// The targets, by the name of their corpus.
pub(crate) const TARGETS: [(&str, Target); 7] = [
    ("answers", answers),
    ("dialects", dialects),
    ("frames", frames),
    ("redacted", redacted),
    ("requests", requests),
    ("split", split),
    ("streams", streams),
];

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
    let chats = [
        anthropic_out::answer(bytes, 0),
        gemini_out::answer(bytes, 0),
        converse_out::answer(bytes, 0),
    ];
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
    let mut stream = converse_out::Stream::new(0);
    check_steps(&events, |data| stream.event(data));
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
        let Ok(mut map) = parse_json_object(body) else { continue };
        // The version set's, as the server puts it.
        map.insert("model".to_owned(), "m".into());
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
        let options =
            converse_out::Options { sampling: true, thinking: anthropic_out::Thinking::Budget };
        if let Ok(out) = converse_out::request(&map, &options) {
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

/// What is read of a request is read again of what is sent on; every other reader gives something
/// or a named problem.
fn dialects(bytes: &[u8]) {
    if let Ok(chat) = openai_chat::read_request(bytes) {
        let again = openai_chat::read_request(&serde_json::to_vec(&chat.body).unwrap()).unwrap();
        assert_eq!(
            (&again.model, again.stream, &again.body),
            (&chat.model, chat.stream, &chat.body)
        );
    }
    if let Ok(asked) = openai_completions::read_request(bytes) {
        let again = serde_json::to_vec(&asked.body).unwrap();
        assert_eq!(openai_completions::read_request(&again).unwrap().prompts, asked.prompts);
    }
    if let Ok(asked) = openai_embeddings::read_request(bytes) {
        assert!(asked.inputs <= openai_embeddings::INPUTS_MAX);
    }
    if let Ok(message) = anthropic::read_request(bytes) {
        let again = serde_json::to_vec(&message.body).unwrap();
        assert_eq!(anthropic::read_request(&again).unwrap().model, message.model);
    }
    let _ = (forms::parse_short_chat(bytes), forms::parse_feedback(bytes));
    let _ = (openai_completions::read_answer(bytes), openai_completions::read_chunk(bytes));
    let _ = (openai_embeddings::read_answer(bytes), openai_moderations::read_answer(bytes, 2));
    let _ = (anthropic::error_facts(bytes), gemini::error_facts(bytes));
    let _ = bedrock::error_facts(bytes);
    // Without its usage a chunk says the same.
    if let (Ok(says), Some(shown)) =
        (openai_chat::read_chunk(bytes), openai_chat::hide_usage(bytes))
    {
        let Piece { choices, model, other, .. } = openai_chat::read_chunk(&shown).unwrap();
        assert_eq!((choices, model, other), (says.choices, says.model, says.other));
    }
}

/// What every choice says in place of its texts.
const INSTEAD: &str = "[instead]";

fn instead(index: u64) -> ChoicePiece {
    ChoicePiece { index, text: INSTEAD.to_owned(), ..ChoicePiece::default() }
}

fn check_instead(facts: &AnswerFacts) {
    let kinds = [TextKind::Answer, TextKind::Reasoning, TextKind::Refusal];
    let texts = facts.texts().filter(|(kind, _)| kinds.contains(kind));
    texts.for_each(|(_, text)| assert_eq!(text, INSTEAD));
}

/// An answer or a chunk whose texts are replaced, as where they hold personal data, says nothing of
/// what it said.
fn redacted(bytes: &[u8]) {
    for read in [openai_chat::read_answer, openai_completions::read_answer] {
        let Ok(facts) = read(bytes) else { continue };
        let said: Vec<_> = facts.choices.iter().map(|choice| instead(choice.index)).collect();
        check_instead(&read(&with_texts(bytes, Form::Answer, &said).unwrap()).unwrap());
    }
    for read in [openai_chat::read_chunk, openai_completions::read_chunk] {
        let Ok(piece) = read(bytes) else { continue };
        let said: Vec<_> = piece.choices.iter().map(|choice| instead(choice.index)).collect();
        let mut facts = AnswerFacts::default();
        // What is said twice in one chunk is joined.
        for choice in read(&with_texts(bytes, Form::Chunk, &said).unwrap()).unwrap().choices {
            facts.choices.clear();
            let _ = facts.push(Piece { choices: vec![choice], ..Piece::default() });
            check_instead(&facts);
        }
    }
}

/// CRC-32, a bit at a time.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
        }
    }
    (!sum).to_be_bytes()
}

/// A frame of AWS's event stream.
fn frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (headers.len() + payload.len() + 16) as u32;
    let mut frame = [length.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    frame.extend(crc(&frame));
    frame.extend([headers, payload].concat());
    frame.extend(crc(&frame));
    frame
}

/// Frames of an event stream, and bytes that are none: the same however they are cut.
fn frames(bytes: &[u8]) {
    let Some((at, rest)) = bytes.split_first() else { return };
    let mut stream = Vec::new();
    // Lines are headers and payloads in turn; what is left is raw.
    let mut lines = rest.splitn(9, |byte| *byte == b'\n');
    while let (Some(headers), Some(payload)) = (lines.next(), lines.next()) {
        stream.extend(frame(headers, payload));
        let name = b"\x0b:event-type\x07\x00\x11contentBlockDelta";
        let kind = b"\x0d:message-type\x07\x00\x05event";
        stream.extend(frame(&[&name[..], kind].concat(), payload));
    }
    stream.extend(rest.iter().rev().take(16));
    let at = stream.len() * usize::from(*at) / 256;
    let whole = |pieces: [&[u8]; 2]| {
        let (mut decoder, mut events) = (bedrock::Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece);
            loop {
                match decoder.next_event() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(broken) => return (events, Err(broken)),
                }
            }
        }
        (events, Ok(decoder.is_between()))
    };
    let (events, end) = whole([&stream, b""]);
    assert_eq!((&events, &end), (&whole([&stream[..at], &stream[at..]]).0, &end));
    let events: Vec<Vec<u8>> = events.into_iter().map(|event| event.data).collect();
    let mut stream = converse_out::Stream::new(0);
    check_steps(&events, |data| stream.event(data));
}
