//! Answers that real model servers gave, replayed. They are not in this repository: the tests read
//! them where `TIDEGATE_RECORDED` names a folder of them, as `tests/data/yakbak` of the crate
//! `genai` 0.7.2 is (`cargo vendor` brings it), and otherwise have nothing to do.
//!
//! Each is read whole, and its bytes in every split: the same events come out, and from those the
//! same chunks, which say what the answer says in its own dialect.

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use std::fs;
    use std::path::{Path, PathBuf};
    use tidegate_wire::bedrock::Decoder;
    use tidegate_wire::sse::{Parser, SseEvent};
    use tidegate_wire::translate::{
        Step, anthropic_in, anthropic_out, converse_out, gemini_out, responses_in,
    };
    use tidegate_wire::{AnswerFacts, AnswerProblem, Piece, anthropic, openai_chat};

    /// The answers of a provider, with their paths; none where there are no recordings.
    fn recorded(provider: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let Ok(folder) = std::env::var("TIDEGATE_RECORDED") else { return Vec::new() };
        let mut found = Vec::new();
        for case in fs::read_dir(Path::new(&folder).join(provider)).unwrap() {
            for answer in fs::read_dir(case.unwrap().path()).unwrap() {
                let path = answer.unwrap().path();
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
        assert!(!found.is_empty(), "{folder}/{provider}");
        found
    }

    fn events<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for part in parts {
            parser.push(part).unwrap();
            while let Some(event) = parser.next_event() {
                if let SseEvent::Data { is_error: _, data } = event {
                    events.push(data);
                }
            }
        }
        // Some recordings end without the blank line after the last event.
        events.extend(parser.rest());
        events
    }

    /// The events of a recorded stream, the same in every split.
    fn events_in_any_split(path: &Path, bytes: &[u8]) -> Vec<Vec<u8>> {
        let whole = events([bytes]);
        for at in 0..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert!(events([head, tail]) == whole, "{}: split at {at}", path.display());
        }
        assert_eq!(events(bytes.chunks(1)), whole, "{}", path.display());
        whole
    }

    /// What the chunks of a stream say, and how many there were.
    fn translated(
        events: &[Vec<u8>],
        mut translate: impl FnMut(&[u8]) -> Result<Step, AnswerProblem>,
    ) -> (AnswerFacts, usize, bool) {
        let (mut facts, mut count, mut is_done) = (AnswerFacts::default(), 0, false);
        for event in events {
            let step = translate(event).unwrap();
            is_done |= step.is_done;
            for chunk in step.chunks {
                let read = openai_chat::read_chunk(&chunk.data).unwrap();
                let so_far = chunk.says.so_far.clone();
                assert_eq!(Piece { so_far, ..read }, chunk.says);
                facts.push(chunk.says).unwrap();
                count += 1;
            }
        }
        (facts, count, is_done)
    }

    fn check_same(path: &Path, translated: &AnswerFacts, own: &AnswerFacts) {
        let said = |facts: &AnswerFacts| {
            let texts: Vec<_> = facts.texts().map(|(kind, text)| (kind, text.to_owned())).collect();
            let ids: Vec<_> = facts.tool_calls().map(|call| call.id().map(str::to_owned)).collect();
            (texts, ids, facts.finish().cloned(), facts.usage, facts.model.clone())
        };
        assert_eq!(said(translated), said(own), "{}", path.display());
        assert!(translated.is_useful() && translated.finish().is_some(), "{}", path.display());
    }

    /// Of Anthropic's models and of others that speak its dialect.
    #[test]
    fn answers_of_anthropic() {
        let others = recorded("opencode_go").into_iter();
        let others = others.filter(|(path, _)| path.to_string_lossy().contains("minimax"));
        for (path, bytes) in recorded("anthropic").into_iter().chain(others) {
            if bytes.starts_with(b"{") {
                let own = anthropic::read_answer(&bytes).unwrap();
                let chat = anthropic_out::answer(&bytes, 0).unwrap();
                check_same(&path, &openai_chat::read_answer(&chat).unwrap(), &own);
                continue;
            }
            let events = events_in_any_split(&path, &bytes);
            let (mut reader, mut own) = (anthropic::EventReader::default(), AnswerFacts::default());
            for event in &events {
                own.push(reader.read(event).unwrap()).unwrap();
            }
            let mut stream = anthropic_out::Stream::new(0);
            let (facts, chunks, is_done) = translated(&events, |data| stream.event(data));
            assert!(is_done && reader.is_done() && chunks > 2, "{}", path.display());
            check_same(&path, &facts, &own);
        }
    }

    /// The events of a recorded event stream, the same in every split.
    fn framed_in_any_split(path: &Path, bytes: &[u8]) -> Vec<Vec<u8>> {
        fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
            let (mut decoder, mut events) = (Decoder::default(), Vec::new());
            for part in parts {
                decoder.push(part);
                while let Some(event) = decoder.next_event().unwrap() {
                    assert!(!event.is_error);
                    events.push(event.data);
                }
            }
            (events, decoder.is_between())
        }
        let whole = read([bytes]);
        for at in (0..bytes.len()).step_by(7) {
            let (head, tail) = bytes.split_at(at);
            assert!(read([head, tail]) == whole, "{}: split at {at}", path.display());
        }
        assert!(read(bytes.chunks(1)) == whole && whole.1, "{}", path.display());
        whole.0
    }

    #[test]
    fn answers_of_bedrock() {
        for (path, bytes) in recorded("bedrock") {
            let (facts, what) = if bytes.starts_with(b"{") {
                let chat = converse_out::answer(&bytes, 0).unwrap();
                (openai_chat::read_answer(&chat).unwrap(), "whole")
            } else {
                let events = framed_in_any_split(&path, &bytes);
                let mut stream = converse_out::Stream::new(0);
                let (facts, chunks, is_done) = translated(&events, |data| stream.event(data));
                assert!(is_done && chunks > 2, "{}", path.display());
                (facts, "streamed")
            };
            let path = path.display();
            assert!(facts.is_useful() && facts.finish().is_some(), "{path}: {what}");
            assert!(facts.usage.is_some_and(|usage| usage.tokens_out > 0), "{path}: {what}");
        }
    }

    #[test]
    fn answers_of_gemini() {
        for (path, bytes) in recorded("gemini") {
            if bytes.starts_with(b"{") {
                let chat = gemini_out::answer(&bytes, 0).unwrap();
                let facts = openai_chat::read_answer(&chat).unwrap();
                assert!(facts.is_useful() && facts.finish().is_some(), "{}", path.display());
                let usage = facts.usage.map(|usage| usage.tokens_in + usage.tokens_out);
                assert_eq!(usage, own_total(&[bytes]), "{}", path.display());
                continue;
            }
            let events = events_in_any_split(&path, &bytes);
            let mut stream = gemini_out::Stream::new(0);
            let (mut facts, chunks, is_done) = translated(&events, |data| stream.event(data));
            let end = stream.end().unwrap();
            end.chunks.into_iter().for_each(|chunk| facts.push(chunk.says).unwrap());
            assert!(!is_done && end.is_done && chunks > 1, "{}", path.display());
            assert!(facts.is_useful() && facts.finish().is_some(), "{}", path.display());
            assert!(facts.model.is_some(), "{}", path.display());
            // All that the events say of the answer, read by other means.
            let text: String = events.iter().map(|event| own_text(event)).collect();
            assert_eq!(facts.text(), text, "{}", path.display());
            // The last event's total is what both sides are.
            let usage = facts.usage.map(|usage| usage.tokens_in + usage.tokens_out);
            assert_eq!(usage, own_total(&events), "{}", path.display());
        }
    }

    fn own_text(event: &[u8]) -> String {
        let event: Value = serde_json::from_slice(event).unwrap();
        let parts = event["candidates"][0]["content"]["parts"].as_array().cloned();
        let parts = parts.unwrap_or_default().into_iter();
        let spoken = parts.filter(|part| part["thought"] != Value::Bool(true));
        spoken.filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
    }

    fn own_total(events: &[Vec<u8>]) -> Option<u64> {
        let last: Value = serde_json::from_slice(events.last()?).unwrap();
        last["usageMetadata"]["totalTokenCount"].as_u64()
    }

    /// Recordings of chat completions, as servers of several makers send them.
    const CHAT: [&str; 6] =
        ["openai", "opencode_go", "open_router", "github_copilot", "mistral", "aihubmix"];

    /// Chat completions become messages and responses that say the same.
    #[test]
    fn answers_of_chat_completions() {
        for (path, bytes) in CHAT.into_iter().flat_map(recorded) {
            let is_chat = bytes.windows(9).any(|window| window == b"\"choices\"");
            if !is_chat {
                continue;
            }
            if bytes.starts_with(b"{") {
                let own = openai_chat::read_answer(&bytes).unwrap();
                let message = anthropic_in::answer(&bytes, "msg_1").unwrap();
                check_texts(&path, &anthropic::read_answer(&message).unwrap(), &own);
                let echo = responses_in::Echo::default();
                let response = responses_in::answer(&bytes, "r", 0, &echo).unwrap();
                let response: Value = serde_json::from_slice(&response).unwrap();
                check_output(&path, &response, &own);
                continue;
            }
            let mut own = AnswerFacts::default();
            let mut messages = anthropic_in::Events::new("msg_1");
            let mut responses = responses_in::Events::new("r", 0, responses_in::Echo::default());
            let (mut said, mut last) = (Vec::new(), Vec::new());
            for event in events_in_any_split(&path, &bytes) {
                if event == b"[DONE]" {
                    break;
                }
                let piece = openai_chat::read_chunk(&event).unwrap();
                said.extend(messages.piece(&piece).unwrap());
                responses.piece(&piece).unwrap();
                own.push(piece).unwrap();
            }
            said.extend(messages.end());
            last.extend(responses.end().unwrap());
            let (mut reader, mut facts) =
                (anthropic::EventReader::default(), AnswerFacts::default());
            for event in said {
                facts.push(reader.read(&event.data).unwrap()).unwrap();
            }
            assert!(reader.is_done(), "{}", path.display());
            check_texts(&path, &facts, &own);
            let last: Value = serde_json::from_slice(&last.last().unwrap().data).unwrap();
            check_output(&path, &last["response"], &own);
        }
    }

    /// Texts of all kinds and calls are the same; the reason to end has fewer words there.
    fn check_texts(path: &Path, translated: &AnswerFacts, own: &AnswerFacts) {
        let texts = |facts: &AnswerFacts| -> Vec<_> {
            let all = facts.texts().map(|(kind, text)| (kind, text.to_owned()));
            // Arguments that are none are an empty object there.
            all.filter(|(_, text)| text != "{}").collect()
        };
        assert_eq!(texts(translated), texts(own), "{}", path.display());
        if own.usage.is_some() {
            assert_eq!(translated.usage, own.usage, "{}", path.display());
        }
        assert!(own.is_useful() && translated.finish().is_some(), "{}", path.display());
    }

    /// The items of a response are the texts and calls, in the order of the facts.
    fn check_output(path: &Path, response: &Value, own: &AnswerFacts) {
        let items = response["output"].as_array().unwrap();
        let mut names = Vec::new();
        let mut text = String::new();
        for item in items {
            names.extend(item["name"].as_str());
            if item["type"] == "message" {
                text.push_str(item["content"][0]["text"].as_str().unwrap_or_default());
            }
        }
        assert_eq!(names, own.tool_names(), "{}", path.display());
        assert_eq!(text, own.text(), "{}", path.display());
        let total = own.usage.map(|usage| usage.tokens_in + usage.tokens_out);
        assert_eq!(response["usage"]["total_tokens"].as_u64(), total, "{}", path.display());
    }
}
