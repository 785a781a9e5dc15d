//! Planted texts: exact after folding, so one is enough.

use super::{RiskEvent, RiskKind};
use crate::text::{folded, readings};

/// A longer text is looked at in pieces of so many bytes: its readings take several times its
/// memory.
const PIECE: usize = 1 << 20;
/// How much of one piece is in the next one, bytes: far more than a planted text, however escaped.
const OVERLAP: usize = 1 << 16;

/// An event for each planted text that one of the texts holds, however it is written.
pub(super) fn look<'a>(planted: &[String], texts: impl Iterator<Item = &'a str>) -> Vec<RiskEvent> {
    if planted.is_empty() {
        return Vec::new();
    }
    let of = planted.len();
    let sought: Vec<String> = planted.iter().map(|text| folded(text).trim().to_owned()).collect();
    let mut is_there = vec![false; of];
    for text in texts.flat_map(pieces) {
        for reading in readings(text) {
            for (sought, is_there) in sought.iter().zip(&mut is_there) {
                *is_there |= !sought.is_empty() && reading.contains(sought.as_str());
            }
        }
    }
    let found = is_there.into_iter().enumerate().filter(|(_, is_there)| *is_there);
    let event = |(i, _)| RiskEvent {
        kind: RiskKind::Leak,
        detail: format!("planted text {} of {of}", i + 1),
    };
    found.map(event).collect()
}

/// The pieces of a text, each with the end of the one before it.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= PIECE {
            return Some(text);
        }
        rest = Some(&text[boundary(text, PIECE - OVERLAP)..]);
        Some(&text[..boundary(text, PIECE)])
    })
}

/// The last place at or before this one that splits no character.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_text_is_found_wherever_a_long_text_is_cut() {
        let planted = ["MARKER-紫".to_owned()];
        for before in [PIECE - OVERLAP, PIECE, 3 * PIECE] {
            for less in 0..20 {
                let text = "x".repeat(before - less) + "ＭＡＲＫＥＲ-\\u7d2b" + &"y".repeat(PIECE);
                assert_eq!(look(&planted, [text.as_str()].into_iter()).len(), 1, "{before} {less}");
            }
        }
        let other = "退".repeat(PIECE);
        assert!(look(&planted, [other.as_str()].into_iter()).is_empty());
        assert_eq!(pieces("").count(), 1);
    }
}
