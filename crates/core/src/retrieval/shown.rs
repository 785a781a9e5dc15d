//! What was found, as the text that a model is shown.

use super::ChunkId;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its name.
    pub id: ChunkId,
    /// Its text.
    pub text: String,
}

/// What a request was given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retrieved {
    /// The names of the chunks, in the order in which they are numbered from 1.
    pub ids: Vec<ChunkId>,
    /// The text: of each chunk a line `[n] name`, and below it its text. Empty where nothing was
    /// found.
    pub text: String,
    /// Where in that text each chunk is, its line above it left out; bytes.
    pub places: Vec<Range<usize>>,
}

impl Retrieved {
    /// The text of each chunk, as far as it was shown.
    pub fn chunks(&self) -> impl Iterator<Item = &str> {
        self.places.iter().filter_map(|at| self.text.get(at.clone()))
    }
}

/// The chunks, the best first, as far as their texts have `max_chars` characters together. One that
/// is longer than that alone is cut.
pub fn retrieved(chunks: Vec<Chunk>, max_chars: usize) -> Retrieved {
    let mut out = Retrieved::default();
    let mut left = max_chars;
    for Chunk { id, text } in chunks {
        let length = text.chars().count();
        let is_first = out.ids.is_empty();
        if length > left && !is_first {
            break;
        }
        let shown: String = text.chars().take(left).collect();
        left -= length.min(left);
        out.ids.push(id.clone());
        let between = if is_first { "" } else { "\n\n" };
        // A name is one line, whatever another program calls its documents.
        let name: String = id.as_str().chars().filter(|c| !c.is_control()).collect();
        out.text.push_str(&format!("{between}[{}] {name}\n", out.ids.len()));
        out.places.push(out.text.len()..out.text.len() + shown.len());
        out.text.push_str(&shown);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &str, text: &str) -> Chunk {
        Chunk { id: ChunkId::given(name), text: text.to_owned() }
    }

    #[test]
    fn chunks_are_numbered_and_named() {
        let found = retrieved(vec![chunk("a.md#1", "可以退货。"), chunk("b.md#2", "five")], 100);
        assert_eq!(found.text, "[1] a.md#1\n可以退货。\n\n[2] b.md#2\nfive");
        assert_eq!(found.chunks().collect::<Vec<_>>(), ["可以退货。", "five"]);
        assert_eq!(found.ids, [ChunkId::new("a.md", 1), ChunkId::new("b.md", 2)]);
        assert_eq!(retrieved(Vec::new(), 100), Retrieved::default());
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let chunks = || vec![chunk("a", "可以退货。"), chunk("b", "12345"), chunk("c", "1")];
        assert_eq!(retrieved(chunks(), 10).ids.len(), 2);
        assert_eq!(retrieved(chunks(), 9).ids.len(), 1);
        assert_eq!(retrieved(chunks(), 2).text, "[1] a\n可以");
        assert_eq!(retrieved(vec![chunk("a\n[9] x", "t")], 9).text, "[1] a[9] x\nt");
    }
}
