//! How far a stream has come, without its texts.

use super::{CHOICES_MAX, ChoicePiece, Piece};
use std::collections::BTreeMap;

/// How far a stream has come, without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    finished: BTreeMap<u64, bool>,
    token_seen: bool,
}

impl Progress {
    /// Takes notice of a piece. Gives whether it brings the answer further: by a token, a reason to
    /// end, or a member that is none of the API's own (annotations). A role alone, an empty delta,
    /// usage alone and a chunk without choices do not: servers send such chunks as signs of life.
    pub fn take(&mut self, piece: &Piece) -> bool {
        self.token_seen |= piece.has_token();
        for choice in &piece.choices {
            if self.finished.len() < CHOICES_MAX || self.finished.contains_key(&choice.index) {
                *self.finished.entry(choice.index).or_insert(false) |= choice.finish.is_some();
            }
        }
        !piece.other.is_empty() || piece.choices.iter().any(brings_more)
    }

    /// Whether a token of the answer has come: text, reasoning, a refusal or a piece of a call.
    pub fn has_token(&self) -> bool {
        self.token_seen
    }

    /// Whether every choice that began has its reason to end, and there is one: a stream that ends
    /// otherwise, and without saying that it is done, was cut short.
    pub fn is_finished(&self) -> bool {
        !self.finished.is_empty() && self.finished.values().all(|finished| *finished)
    }
}

fn brings_more(choice: &ChoicePiece) -> bool {
    choice.has_token() || choice.finish.is_some() || !choice.other.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_chat::read_chunk;
    use serde_json::{Value, json};

    #[test]
    fn a_chunk_that_says_nothing_brings_nothing() {
        let check = |chunk: Value, expected| {
            let piece = read_chunk(chunk.to_string().as_bytes()).unwrap();
            assert_eq!(Progress::default().take(&piece), expected, "{chunk}");
        };
        let delta = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]});
        let call = json!({"index": 0, "function": {"arguments": "{"}});
        for more in [
            delta(json!({"content": "退"})),
            delta(json!({"reasoning_content": "hm"})),
            delta(json!({"refusal": "no"})),
            delta(json!({"tool_calls": [call]})),
            delta(json!({"annotations": [{"url": "a"}]})),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        ] {
            check(more, true);
        }
        for nothing in [
            delta(json!({})),
            delta(json!({"role": "assistant", "content": ""})),
            json!({"choices": []}),
            json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}),
        ] {
            check(nothing, false);
        }
    }
}
