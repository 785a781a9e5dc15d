//! Other texts in an answer or a chunk than its server wrote, with everything else as it was.

use crate::facts::ChoicePiece;
use serde_json::{Map, Value, json};

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
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    let object = value.as_object_mut()?;
    let choices = object.get_mut("choices").and_then(Value::as_array_mut);
    for (place, choice) in (0..).zip(choices.into_iter().flatten()) {
        let Some(choice) = choice.as_object_mut() else { continue };
        let number = choice.get("index").and_then(Value::as_u64);
        // As they are read: choices of a whole chat are counted, all others have a number.
        let is_numbered = form == Form::Chunk || choice.contains_key("text");
        let index = number.filter(|_| is_numbered).unwrap_or(place);
        if let Some(said) = said.iter().find(|said| said.index == index) {
            put(choice, said);
        }
    }
    serde_json::to_vec(&value).ok()
}

fn put(choice: &mut Map<String, Value>, said: &ChoicePiece) {
    if let Some(logprobs) = choice.get_mut("logprobs") {
        *logprobs = Value::Null;
    }
    if let Some(text) = choice.get_mut("text") {
        *text = Value::from(said.text.as_str());
        return;
    }
    let key = if choice.contains_key("delta") { "delta" } else { "message" };
    let message = choice.entry(key).or_insert_with(|| json!({}));
    let Some(message) = message.as_object_mut() else { return };
    put_text(message, "content", &said.text);
    put_text(message, "refusal", &said.refusal);
    let has_any = REASONING.iter().any(|key| message.contains_key(*key));
    for key in REASONING.iter().take(if has_any { REASONING.len() } else { 1 }) {
        if !has_any || message.contains_key(*key) {
            put_text(message, key, &said.reasoning);
        }
    }
    // The transcript is a part of the text.
    if let Some(transcript) = message.get_mut("audio").and_then(|a| a.get_mut("transcript")) {
        *transcript = Value::from("");
    }
}

/// Puts a text in its place; nothing stays nothing.
fn put_text(message: &mut Map<String, Value>, key: &str, text: &str) {
    match message.get_mut(key) {
        None | Some(Value::Null) if text.is_empty() => {}
        Some(place) => *place = Value::from(text),
        None => {
            message.insert(key.to_owned(), Value::from(text));
        }
    }
}

/// A chunk like another of its stream, in which choices say this and nothing else.
pub fn chunk_like(chunk: &[u8], said: &[ChoicePiece]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(chunk).ok()?;
    let object = value.as_object_mut()?;
    let is_completion = object.get("object").and_then(Value::as_str) == Some("text_completion");
    let choices = said.iter().map(|said| {
        let mut choice = Map::new();
        choice.insert("index".to_owned(), Value::from(said.index));
        match is_completion {
            true => drop(choice.insert("text".to_owned(), Value::from(""))),
            false => drop(choice.insert("delta".to_owned(), json!({}))),
        }
        choice.insert("finish_reason".to_owned(), Value::Null);
        put(&mut choice, said);
        Value::Object(choice)
    });
    let choices: Vec<Value> = choices.collect();
    object.insert("choices".to_owned(), Value::from(choices));
    object.remove("usage");
    serde_json::to_vec(&value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_chat::{read_answer, read_chunk};

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
