//! What must hold for every text and every key. libFuzzer looks for an input that it does not hold
//! for; tests replay the corpus.

use tidegate_core::access::KeyText;
use tidegate_core::guard::detect_refusal;
use tidegate_core::text::{
    estimate_tokens, find_private, folded, has_pii, language_of, readings, redact, unescaped,
};

/// Checks what must hold for an input; panics where it does not.
type Target = fn(&[u8]);

/// The targets, by the name of their corpus.
pub(crate) const TARGETS: [(&str, Target); 2] = [("text", text), ("key", key)];

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
