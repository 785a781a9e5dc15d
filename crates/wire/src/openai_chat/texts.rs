//! Other texts in an answer or a chunk than its server wrote, with everything else as it was.
//!
//! The bytes are read by the reader that answers are read by, and not as a tree of values: what
//! that reader takes and a tree refuses (half of a surrogate pair, `1e999`, deep nesting) would
//! otherwise go on with the texts that were to be replaced.

use crate::facts::ChoicePiece;
use crate::members::Members;
use crate::problem::members_of;
use serde_json::Value;
use std::borrow::Cow;

/// Members that hold what a model thought; the first is what is written where a chunk has none.
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// Whether bytes are an answer, whose choices are counted, or a chunk, whose choices are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A whole answer.
    Answer,
    /// A chunk of a stream.
    Chunk,
}

/// An answer or a chunk in which choices say this, of a chat or of an older completion. Members
/// that repeat a text token by token (`logprobs`) are left out, and parts become one text. `None`
/// where the bytes are no JSON object.
pub fn with_texts(bytes: &[u8], form: Form, said: &[ChoicePiece]) -> Option<Vec<u8>> {
    let answer = members_of(bytes).ok()?;
    if answer.get("choices").is_none() {
        return Some(bytes.to_vec());
    }
    let written = (0..).zip(answer.list("choices")).map(|(place, raw)| {
        let Some(choice) = Members::of(raw) else { return Cow::Borrowed(raw.get()) };
        // As they are read: choices of a whole chat are counted, all others have a number.
        let is_numbered = form == Form::Chunk || has(&choice, "text");
        let index = choice.number("index").filter(|_| is_numbered).unwrap_or(place);
        match said.iter().find(|said| said.index == index) {
            Some(said) => Cow::Owned(put(&choice, said, form)),
            None => Cow::Borrowed(raw.get()),
        }
    });
    let choices = format!("[{}]", written.collect::<Vec<_>>().join(","));
    let mut object = Written::of(&answer);
    object.set("choices", choices);
    Some(object.text().into_bytes())
}

/// A chunk like another of its stream, in which choices say this and nothing else.
pub fn chunk_like(chunk: &[u8], said: &[ChoicePiece]) -> Option<Vec<u8>> {
    let chunk = members_of(chunk).ok()?;
    let is_completion = chunk.text("object").as_deref() == Some("text_completion");
    let choices = said.iter().map(|said| {
        let mut choice = Written::default();
        choice.set("index", said.index.to_string());
        match is_completion {
            true => choice.set("text", quoted(&said.text)),
            false => choice.set("delta", message(&Members::default(), said)),
        }
        choice.set("finish_reason", "null".to_owned());
        choice.text()
    });
    let choices = format!("[{}]", choices.collect::<Vec<_>>().join(","));
    let mut object = Written::of(&chunk);
    object.set("choices", choices);
    object.remove("usage");
    Some(object.text().into_bytes())
}

/// A choice that says this.
fn put(choice: &Members<'_>, said: &ChoicePiece, form: Form) -> String {
    let mut written = Written::of(choice);
    if has(choice, "logprobs") {
        written.set("logprobs", "null".to_owned());
    }
    let is_completion = has(choice, "text");
    if is_completion {
        written.set("text", quoted(&said.text));
    }
    // As it is read: the delta of a chunk, and where it has none the message.
    let keys = match form {
        Form::Answer => &["message"][..],
        Form::Chunk => &["delta", "message"],
    };
    let spoken = keys.iter().find_map(|key| Some((*key, choice.object(key)?)));
    match spoken {
        Some((key, said_before)) => written.set(key, message(&said_before, said)),
        None if is_completion => {}
        None => written.set(keys[0], message(&Members::default(), said)),
    }
    written.text()
}

/// A message, or a piece of one, that says this.
fn message(before: &Members<'_>, said: &ChoicePiece) -> String {
    let mut written = Written::of(before);
    let mut put_text = |key: &str, text: &str| {
        // Nothing stays nothing.
        if !text.is_empty() || before.get(key).is_some() {
            written.set(key, quoted(text));
        }
    };
    put_text("content", &said.text);
    put_text("refusal", &said.refusal);
    let has_any = REASONING.iter().any(|key| has(before, key));
    for key in REASONING.iter().take(if has_any { REASONING.len() } else { 1 }) {
        if !has_any || has(before, key) {
            put_text(key, &said.reasoning);
        }
    }
    // The transcript is a part of the text.
    if let Some(audio) = before.object("audio").filter(|audio| has(audio, "transcript")) {
        let mut heard = Written::of(&audio);
        heard.set("transcript", quoted(""));
        written.set("audio", heard.text());
    }
    written.text()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn has(of: &Members<'_>, key: &str) -> bool {
    of.0.iter().any(|(name, _)| name == key)
}

/// An object as it is written: its members in order, each value as JSON.
#[derive(Default)]
struct Written<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Written<'a> {
    fn of(members: &Members<'a>) -> Written<'a> {
        let members = members.0.iter();
        Written(members.map(|(key, value)| (key.clone(), Cow::Borrowed(value.get()))).collect())
    }

    /// Gives a member another value: where it was last, or at the end where it was not.
    fn set(&mut self, key: &str, value: String) {
        let value = Cow::Owned(value);
        let Some(last) = self.0.iter().rposition(|(name, _)| name == key) else {
            return self.0.push((Cow::Owned(key.to_owned()), value));
        };
        self.0[last].1 = value;
        let mut place = 0..;
        self.0.retain(|(name, _)| place.next() == Some(last) || name != key);
    }

    fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }

    fn text(&self) -> String {
        let members = self.0.iter().map(|(key, value)| format!("{}:{value}", quoted(key)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_chat::{read_answer, read_chunk};
    use serde_json::json;

    fn says(text: &str, reasoning: &str) -> ChoicePiece {
        let (text, reasoning) = (text.to_owned(), reasoning.to_owned());
        ChoicePiece { index: 0, text, reasoning, ..ChoicePiece::default() }
    }

    #[test]
    fn texts_are_other_and_the_rest_is_as_it_was() {
        let chunk = json!({"id": "c", "x": [1], "choices": [
            {"index": 1, "delta": {"content": "other"}},
            {"index": 0, "delta": {"role": "assistant", "content": "ann@", "reasoning": "hm"},
                "logprobs": {"content": [{"token": "ann@"}]}, "finish_reason": null}]});
        let bytes = chunk.to_string();
        let put = with_texts(bytes.as_bytes(), Form::Chunk, &[says("退", "so")]).unwrap();
        let value: Value = serde_json::from_slice(&put).unwrap();
        assert_eq!((&value["x"], &value["choices"][0]), (&json!([1]), &chunk["choices"][0]));
        let piece = read_chunk(&put).unwrap();
        assert_eq!(
            (piece.choices[1].text.as_str(), piece.choices[1].reasoning.as_str()),
            ("退", "so")
        );
        assert!(!String::from_utf8(put).unwrap().contains("ann@"));
    }

    #[test]
    fn an_end_without_text_gets_what_is_left_and_an_empty_one_stays_as_it_is() {
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        let end = end.to_string();
        let put = with_texts(end.as_bytes(), Form::Chunk, &[says("rest", "why")]).unwrap();
        let piece = read_chunk(&put).unwrap();
        assert_eq!(
            (piece.choices[0].text.as_str(), piece.choices[0].reasoning.as_str()),
            ("rest", "why")
        );
        assert!(piece.choices[0].finish.is_some());
        let same = with_texts(end.as_bytes(), Form::Chunk, &[says("", "")]).unwrap();
        assert_eq!(String::from_utf8(same).unwrap(), end);
    }

    #[test]
    fn a_whole_answer_is_counted_and_its_parts_become_a_text() {
        let answer = json!({"choices": [{"index": 7, "finish_reason": "stop", "message": {
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "audio": {"id": "x", "transcript": "c"}}}]});
        let put =
            with_texts(answer.to_string().as_bytes(), Form::Answer, &[says("z", "")]).unwrap();
        assert_eq!(read_answer(&put).unwrap().text(), "z");
        let completion =
            json!({"object": "text_completion", "choices": [{"text": "a", "index": 0}]});
        let put = with_texts(completion.to_string().as_bytes(), Form::Answer, &[says("z", "")]);
        let value: Value = serde_json::from_slice(&put.unwrap()).unwrap();
        assert_eq!(value["choices"][0], json!({"text": "z", "index": 0}));
    }

    /// What a tree of values refuses, the reader takes: its texts are replaced as well.
    #[test]
    fn texts_are_other_in_whatever_is_read() {
        #[track_caller]
        fn check(form: Form, written: &str) {
            let put = with_texts(written.as_bytes(), form, &[says("z", "")]).unwrap();
            let text = match form {
                Form::Answer => read_answer(&put).unwrap().text().to_owned(),
                Form::Chunk => read_chunk(&put).unwrap().choices[0].text.clone(),
            };
            assert_eq!(text, "z", "{written}");
            assert!(!String::from_utf8(put).unwrap().contains("ann@"), "{written}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for x in ["1e999", "\"\\ud83d\"", deep.as_str()] {
            let message = r#"{"content": "ann@ \ud83d", "refusal": "ann@"}"#;
            let rest = format!(r#""x": {x}, "choices": [{{"x": {x}, "#);
            check(Form::Answer, &format!("{{{rest}\"message\": {message}}}]}}"));
            check(Form::Chunk, &format!("{{{rest}\"delta\": {message}}}]}}"));
            // As it is read where there is no delta.
            check(Form::Chunk, &format!("{{{rest}\"delta\": null, \"message\": {message}}}]}}"));
        }
        let twice = r#"{"choices": [{"text": "ann@", "\ud83d": 1, "message": {"content": "ann@",
                        "content": "ann@ too"}}]}"#;
        check(Form::Answer, twice);
        check(Form::Chunk, r#"{"choices": [{"delta": {"content": "ann@"}}], "choices": [{}]}"#);
    }

    #[test]
    fn a_chunk_like_another_says_only_what_it_is_given() {
        let chunk = json!({"id": "c", "model": "m", "usage": {"prompt_tokens": 1},
            "choices": [{"index": 0, "delta": {"content": "x"}}]});
        let made = chunk_like(chunk.to_string().as_bytes(), &[says("rest", "")]).unwrap();
        let value: Value = serde_json::from_slice(&made).unwrap();
        let choice = json!({"index": 0, "delta": {"content": "rest"}, "finish_reason": null});
        assert_eq!(value, json!({"id": "c", "model": "m", "choices": [choice]}));
        assert_eq!(with_texts(b"[1]", Form::Chunk, &[]), None);
    }
}
