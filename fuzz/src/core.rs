//! What must hold for every text and every key. libFuzzer looks for an input that it does not hold
//! for; tests replay the corpus.

use tidegate_core::access::KeyText;
use tidegate_core::guard::detect_refusal;
use tidegate_core::retrieval::{Chunk, ChunkId, chunks, cited, retrieved, short_words, terms};
use tidegate_core::text::{
    estimate_tokens, find_private, folded, has_pii, language_of, readings, redact, unescaped,
};

/// Checks what must hold for an input; panics where it does not.
type Target = fn(&[u8]);

/// The targets, by the name of their corpus.
pub(crate) const TARGETS: [(&str, Target); 3] =
    [("document", document), ("key", key), ("text", text)];

/// A text that was redacted has nothing left to redact, and nothing else of it is touched.
fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut end = 0;
    for found in find_private(&text) {
        assert!(end <= found.range.start && found.range.start < found.range.end, "{found:?}");
        assert!(text.get(found.range.clone()).is_some(), "{found:?}");
        end = found.range.end;
    }
    let once = redact(&text);
    assert_eq!(redact(&once), once);
    assert_eq!(once == text, !has_pii(&text));
    let _ = (folded(&text), readings(&text), unescaped(&text), language_of(&text));
    assert!(estimate_tokens(&text) <= text.chars().count() as u64 + 1);
    let _ = detect_refusal(&text);
}

/// A key that is read is the text that was given, whole.
fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = KeyText::parse(text) {
        assert_eq!(key.reveal(), text);
        assert!(text.starts_with(key.id().as_str()));
    }
}

/// A document that is cut has all of its characters but white space between its chunks, and no
/// chunk is blank or too long; the first byte says how long. A question has bounded terms.
fn document(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first() else { return };
    let (length, text) = (usize::from(*length).max(1), String::from_utf8_lossy(bytes));
    let cut = chunks(&text, length);
    for chunk in &cut {
        assert!(!chunk.trim().is_empty() && chunk.chars().count() <= length, "{chunk:?}");
    }
    let letters = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(letters(&cut.concat()), letters(&text));
    let folded = folded(&text);
    let _ = short_words(&folded);
    let asked = terms(&text);
    assert!(asked.long.len() <= 64 && asked.short.len() <= 64);
    let name = |number| ChunkId::new("a.md", number);
    let shown = (1..).zip(&cut).map(|(at, cut)| Chunk { id: name(at), text: (*cut).to_owned() });
    let found = retrieved(shown.collect(), 2 * length);
    let chars = cut.iter().take(found.ids.len()).map(|cut| cut.chars().count()).sum::<usize>();
    assert!(chars <= 2 * length, "{chars}");
    let cited = cited(&text, &found.ids);
    assert!(cited.shown + cited.not_shown <= text.len() as u64);
}
