//! Translations, case by case: in `golden/<pair>/<what>`, `<case>.in` goes in and `<case>.out` is
//! what must come out, byte for byte, line breaks between members aside. `TIDEGATE_ACCEPT=1` writes
//! an `.out` that is missing.

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Map, Value};
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};
    use tidegate_wire::sse::{self, SseEvent};
    use tidegate_wire::translate::{
        ChatServer, Step, Warnings, anthropic_in, anthropic_out, converse_out, gemini_in,
        gemini_out, responses_in,
    };
    use tidegate_wire::{AnswerProblem, Piece, anthropic, openai_chat, parse_json_object};

    type Members = BTreeMap<String, Box<RawValue>>;

    fn cases(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
        let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut cases: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "in")).collect();
        cases.sort();
        assert!(!cases.is_empty(), "{}", folder.display());
        cases
    }

    /// Runs every case of a folder.
    fn check(folder: &str, translate: impl Fn(&str) -> String) {
        for case in cases(folder) {
            let got = translate(&fs::read_to_string(&case).unwrap());
            let expected = case.with_extension("out");
            if !expected.exists() && std::env::var("TIDEGATE_ACCEPT").is_ok() {
                fs::write(&expected, &got).unwrap();
            }
            let text = fs::read_to_string(&expected).unwrap_or_default();
            assert!(got == text, "{} has:\n{text}\nand not:\n{got}", expected.display());
        }
    }

    /// JSON with a line for every member, and not a byte changed otherwise.
    fn lines(json: &[u8]) -> String {
        let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0_usize, false, false);
        let json = std::str::from_utf8(json).unwrap();
        let mut last = ' ';
        for c in json.chars() {
            let opens = !in_text && matches!(last, '{' | '[' | ',') && !matches!(c, '}' | ']');
            let closes = !in_text && matches!(c, '}' | ']') && !matches!(last, '{' | '[');
            if !in_text {
                depth -= usize::from(matches!(c, '}' | ']'));
            }
            if opens || closes {
                out.push('\n');
                out.push_str(&"  ".repeat(depth));
            }
            if !in_text {
                depth += usize::from(matches!(c, '{' | '['));
            }
            out.push(c);
            match c {
                '"' if !escaped => in_text = !in_text,
                _ => {}
            }
            escaped = in_text && c == '\\' && !escaped;
            last = if in_text || c == '"' { ' ' } else { c };
        }
        out.push('\n');
        out
    }

    fn with_warnings(warnings: &Warnings, body: &[u8]) -> String {
        let said: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
        format!("{said}{}", lines(body))
    }

    fn options(members: &Members) -> Map<String, Value> {
        let given = members.get("options").map(|raw| serde_json::from_str(raw.get()).unwrap());
        given.unwrap_or_default()
    }

    fn anthropic_options(options: &Map<String, Value>) -> anthropic_out::Options {
        let flag = |key| options.get(key).and_then(Value::as_bool).unwrap_or(false);
        let thinking = match options.get("thinking").and_then(Value::as_str) {
            None => anthropic_out::Thinking::Adaptive,
            Some("budget") => anthropic_out::Thinking::Budget,
            Some("never") => anthropic_out::Thinking::Never,
            Some(other) => panic!("{other}"),
        };
        anthropic_out::Options {
            max_tokens_default: 4096,
            sampling: flag("sampling"),
            thinking,
            system_later: flag("system_later"),
        }
    }

    #[test]
    fn requests_to_anthropic() {
        check("anthropic_out/request", |case| {
            let members: Members = serde_json::from_str(case).unwrap();
            let request = parse_json_object(members["request"].get().as_bytes()).unwrap();
            let options = anthropic_options(&options(&members));
            match anthropic_out::request(&request, &options) {
                Ok(out) => with_warnings(&out.warnings, &out.body),
                Err(error) => format!("error: {error}\n"),
            }
        });
    }

    /// When the answers of the cases came.
    const CREATED: u64 = 1_764_300_000;

    #[test]
    fn answers_of_anthropic() {
        check("anthropic_out/answer", |case| {
            match anthropic_out::answer(case.trim_end().as_bytes(), CREATED) {
                Ok(body) => {
                    openai_chat::read_answer(&body).unwrap();
                    lines(&body)
                }
                Err(problem) => format!("problem: {problem:?}\n"),
            }
        });
    }

    /// The events of a stream that comes in these parts.
    fn events<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<SseEvent> {
        let (mut parser, mut events) = (sse::Parser::default(), Vec::new());
        for part in parts {
            parser.push(part).unwrap();
            events.extend(std::iter::from_fn(|| parser.next_event()));
        }
        events
    }

    /// The events of a stream, which are the same for every split of its bytes in two, and byte by
    /// byte.
    fn events_in_any_split(stream: &[u8]) -> Vec<SseEvent> {
        let whole = events([stream]);
        for at in 0..stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(events([head, tail]), whole, "split at {at}");
        }
        assert_eq!(events(stream.chunks(1)), whole, "byte by byte");
        whole
    }

    /// What a stream becomes, a line for each chunk.
    fn streamed(
        stream: &str,
        mut event: impl FnMut(&[u8]) -> Result<Step, AnswerProblem>,
    ) -> String {
        let mut out = String::new();
        for data in events_in_any_split(stream.as_bytes()) {
            let SseEvent::Data { is_error: _, data } = data else { continue };
            match event(&data) {
                Ok(Step { chunks, is_done }) => {
                    if chunks.is_empty() && !is_done {
                        out.push_str("(nothing)\n");
                    }
                    for chunk in chunks {
                        // What the server counts on the way is in no chunk that clients get.
                        let read = openai_chat::read_chunk(&chunk.data).unwrap();
                        let so_far = chunk.says.so_far.clone();
                        assert_eq!(Piece { so_far, ..read }, chunk.says);
                        out.push_str(&String::from_utf8(chunk.data).unwrap());
                        out.push('\n');
                    }
                    if is_done {
                        return out + "(done)\n";
                    }
                }
                Err(problem) => return format!("{out}problem: {problem:?}\n"),
            }
        }
        out + "(cut short)\n"
    }

    #[test]
    fn streams_of_anthropic() {
        check("anthropic_out/stream", |case| {
            let mut stream = anthropic_out::Stream::new(CREATED);
            streamed(case, |data| stream.event(data))
        });
    }

    fn chat_options(options: &Map<String, Value>) -> ChatServer {
        let flag = |key| options.get(key).and_then(Value::as_bool).unwrap_or(false);
        ChatServer {
            extensions: flag("extensions"),
            reasoning: flag("reasoning"),
            newer_length: flag("newer_length"),
        }
    }

    #[test]
    fn requests_from_anthropics_clients() {
        check("anthropic_in/request", |case| {
            let members: Members = serde_json::from_str(case).unwrap();
            let options = chat_options(&options(&members));
            match anthropic_in::request(members["request"].get().as_bytes(), &options) {
                Ok(out) => {
                    let body = serde_json::to_vec(&out.chat.body).unwrap();
                    with_warnings(&out.warnings, &body)
                }
                Err(error) => format!("error: {error}\n"),
            }
        });
    }

    #[test]
    fn answers_for_anthropics_clients() {
        check("anthropic_in/answer", |case| {
            match anthropic_in::answer(case.trim_end().as_bytes(), "msg_1") {
                Ok(body) => {
                    anthropic::read_answer(&body).unwrap();
                    lines(&body)
                }
                Err(problem) => format!("problem: {problem:?}\n"),
            }
        });
    }

    #[test]
    fn streams_for_anthropics_clients() {
        check("anthropic_in/stream", |case| {
            let (mut events, mut out) = (anthropic_in::Events::new("msg_1"), Vec::new());
            for event in events_in_any_split(case.as_bytes()) {
                let SseEvent::Data { is_error: _, data } = event else { continue };
                let step = match data == sse::DONE {
                    true => Ok(events.end()),
                    false => openai_chat::read_chunk(&data).and_then(|says| events.piece(&says)),
                };
                match step {
                    Ok(step) => step.iter().for_each(|event| {
                        sse::write_named_event(&mut out, event.name, &event.data);
                    }),
                    Err(problem) => {
                        let out = String::from_utf8(out).unwrap();
                        return format!("{out}problem: {problem:?}\n");
                    }
                }
            }
            String::from_utf8(out).unwrap()
        });
    }

    fn gemini_options(options: &Map<String, Value>) -> gemini_out::Options {
        let flag = |key| options.get(key).and_then(Value::as_bool).unwrap_or(false);
        let thinking = match options.get("thinking").and_then(Value::as_str) {
            None | Some("level") => gemini_out::Thinking::Level,
            Some("budget") => gemini_out::Thinking::Budget,
            Some("never") => gemini_out::Thinking::Never,
            Some(other) => panic!("{other}"),
        };
        gemini_out::Options {
            sampling: flag("sampling"),
            thinking,
            marks_unsigned_calls: flag("marks"),
        }
    }

    #[test]
    fn requests_to_gemini() {
        check("gemini_out/request", |case| {
            let members: Members = serde_json::from_str(case).unwrap();
            let request = parse_json_object(members["request"].get().as_bytes()).unwrap();
            let options = gemini_options(&options(&members));
            match gemini_out::request(&request, &options) {
                Ok(out) => with_warnings(&out.warnings, &out.body),
                Err(error) => format!("error: {error}\n"),
            }
        });
    }

    #[test]
    fn answers_of_gemini() {
        check("gemini_out/answer", |case| {
            match gemini_out::answer(case.trim_end().as_bytes(), CREATED) {
                Ok(body) => {
                    openai_chat::read_answer(&body).unwrap();
                    lines(&body)
                }
                Err(problem) => format!("problem: {problem:?}\n"),
            }
        });
    }

    #[test]
    fn streams_of_gemini() {
        check("gemini_out/stream", |case| {
            let mut stream = gemini_out::Stream::new(CREATED);
            let out = streamed(case, |data| stream.event(data));
            let Some(out) = out.strip_suffix("(cut short)\n") else { return out };
            let end = stream.end().unwrap();
            let chunks = end.chunks.into_iter().map(|chunk| String::from_utf8(chunk.data).unwrap());
            let chunks: String = chunks.map(|chunk| chunk + "\n").collect();
            format!("{out}{chunks}{}\n", if end.is_done { "(done)" } else { "(cut short)" })
        });
    }

    #[test]
    fn requests_from_googles_clients() {
        check("gemini_in/request", |case| {
            let members: Members = serde_json::from_str(case).unwrap();
            let options = options(&members);
            let stream = options.get("stream").and_then(Value::as_bool).unwrap_or(false);
            let path = gemini_in::Path { model: "m", stream };
            let request = members["request"].get().as_bytes();
            match gemini_in::request(request, &path, &chat_options(&options)) {
                Ok(out) => {
                    let body = serde_json::to_vec(&out.chat.body).unwrap();
                    let shows = if out.shows_thoughts { "shows thoughts\n" } else { "" };
                    format!("{shows}{}", with_warnings(&out.warnings, &body))
                }
                Err(error) => format!("error: {error}\n"),
            }
        });
    }

    #[test]
    fn answers_for_googles_clients() {
        check("gemini_in/answer", |case| {
            let translated = |shows| gemini_in::answer(case.trim_end().as_bytes(), "t-1", shows);
            match translated(true) {
                Ok(body) => {
                    // Our own reader of that API reads it.
                    gemini_out::answer(&body, CREATED).unwrap();
                    let hidden = String::from_utf8(translated(false).unwrap()).unwrap();
                    assert!(!hidden.contains("\"thought\""), "{hidden}");
                    lines(&body)
                }
                Err(problem) => format!("problem: {problem:?}\n"),
            }
        });
    }

    #[test]
    fn streams_for_googles_clients() {
        check("gemini_in/stream", |case| {
            let streamed = |shows| {
                let (mut events, mut out) = (gemini_in::Events::new("t-1", shows), String::new());
                for event in events_in_any_split(case.as_bytes()) {
                    let SseEvent::Data { is_error: _, data } = event else { continue };
                    let step = match data == sse::DONE {
                        true => events.end(),
                        false => {
                            openai_chat::read_chunk(&data).and_then(|says| events.piece(&says))
                        }
                    };
                    match step {
                        Ok(step) => step.into_iter().for_each(|data| {
                            out.push_str(&(String::from_utf8(data).unwrap() + "\n"));
                        }),
                        Err(problem) => return format!("{out}problem: {problem:?}\n"),
                    }
                }
                out
            };
            assert!(!streamed(false).contains("\"thought\""));
            streamed(true)
        });
    }

    #[test]
    fn requests_to_converse() {
        check("converse_out/request", |case| {
            let members: Members = serde_json::from_str(case).unwrap();
            let request = parse_json_object(members["request"].get().as_bytes()).unwrap();
            let anthropic_out::Options { sampling, thinking, .. } =
                anthropic_options(&options(&members));
            match converse_out::request(&request, &converse_out::Options { sampling, thinking }) {
                Ok(out) => with_warnings(&out.warnings, &out.body),
                Err(error) => format!("error: {error}\n"),
            }
        });
    }

    #[test]
    fn answers_of_converse() {
        check("converse_out/answer", |case| {
            match converse_out::answer(case.trim_end().as_bytes(), CREATED) {
                Ok(body) => {
                    openai_chat::read_answer(&body).unwrap();
                    lines(&body)
                }
                Err(problem) => format!("problem: {problem:?}\n"),
            }
        });
    }

    /// Each line is the data of an event, as the decoder of the event stream gives it.
    #[test]
    fn streams_of_converse() {
        check("converse_out/stream", |case| {
            let mut stream = converse_out::Stream::new(CREATED);
            let events: String = case.lines().map(|line| format!("data: {line}\n\n")).collect();
            streamed(&events, |data| stream.event(data))
        });
    }

    #[test]
    fn requests_of_the_responses_api() {
        check("responses_in/request", |case| {
            let members: Members = serde_json::from_str(case).unwrap();
            let server = chat_options(&options(&members));
            match responses_in::request(members["request"].get().as_bytes(), &server) {
                Ok(out) => {
                    let body = serde_json::to_vec(&out.chat.body).unwrap();
                    with_warnings(&out.warnings, &body)
                }
                Err(error) => format!("error: {error}\n"),
            }
        });
    }

    /// What the answers of the cases repeat.
    fn echo() -> responses_in::Echo {
        let request = r#"{"model":"m","input":"x","temperature":1.0,"tool_choice":"auto",
            "tools":[{"type":"function","name":"f","parameters":{},"strict":true}]}"#;
        let server = chat_options(&Map::new());
        responses_in::request(request.as_bytes(), &server).unwrap().echo
    }

    #[test]
    fn answers_of_the_responses_api() {
        check("responses_in/answer", |case| {
            let case = case.trim_end().as_bytes();
            match responses_in::answer(case, "resp_1", CREATED, &echo()) {
                Ok(body) => lines(&body),
                Err(problem) => format!("problem: {problem:?}\n"),
            }
        });
    }

    #[test]
    fn streams_of_the_responses_api() {
        check("responses_in/stream", |case| {
            let mut events = responses_in::Events::new("resp_1", CREATED, echo());
            let mut out = Vec::new();
            for event in events_in_any_split(case.as_bytes()) {
                let SseEvent::Data { is_error: _, data } = event else { continue };
                let step = match data == sse::DONE {
                    true => events.end(),
                    false => openai_chat::read_chunk(&data).and_then(|says| events.piece(&says)),
                };
                let is_over = step.is_err();
                let step = step.unwrap_or_else(|problem| {
                    vec![events.error("upstream_error", &problem.to_string())]
                });
                for event in step {
                    sse::write_named_event(&mut out, event.name, &event.data);
                }
                if is_over {
                    break;
                }
            }
            String::from_utf8(out).unwrap()
        });
    }
}
