//! Names of releases.

use tidegate_core::ids::{ChangeId, Digest};

/// Longest part of a change id that says what kind of change it is, in characters.
const KIND_MAX: usize = 20;
/// Longest part that describes it, in characters.
const DESC_MAX: usize = 40;
/// How much of the hash it carries, in characters.
const HASH_LEN: usize = 5;

/// `<type>-<short-desc>-<short-hash>`, for example `prompt-v3-a1b2c`.
///
/// Only ASCII letters and digits are kept, so a description in Chinese or Japanese falls away and
/// leaves `<type>-<short-hash>`. The same three arguments give the same id: a second attempt at the
/// same change needs another hash, for example one that is taken over the time as well.
pub(crate) fn change_id(kind: &str, desc: &str, hash: &str) -> ChangeId {
    let kind = slug(kind, KIND_MAX);
    let kind = if kind.starts_with(|c: char| c.is_ascii_lowercase()) { &kind } else { "change" };
    let given: String = hash.strip_prefix("vs-").unwrap_or(hash).to_ascii_lowercase();
    let mut short: String =
        given.chars().filter(char::is_ascii_alphanumeric).take(HASH_LEN).collect();
    if short.len() < HASH_LEN {
        let parts = [kind.as_bytes(), desc.as_bytes(), hash.as_bytes()];
        short = Digest::of_parts(&parts).short(HASH_LEN).to_owned();
    }
    let desc = slug(desc, DESC_MAX);
    let text = match desc.as_str() {
        "" => format!("{kind}-{short}"),
        desc => format!("{kind}-{desc}-{short}"),
    };
    match ChangeId::parse(&text) {
        Ok(id) => id,
        Err(_) => unreachable!("a slug of at most 67 characters is always a change id"),
    }
}

/// Lower-case ASCII letters and digits, everything else as single dashes, at most `max` long.
fn slug(text: &str, max: usize) -> String {
    let mut slug = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if slug.len() >= max {
            break;
        }
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, desc: &str, hash: &str, id: &str) {
        assert_eq!(change_id(kind, desc, hash).as_str(), id);
    }

    #[test]
    fn change_ids() {
        check("prompt", "v3", "vs-a1b2c3d4e5f6", "prompt-v3-a1b2c");
        check("feat", "Search Re-rank!", "A1B2C3", "feat-search-re-rank-a1b2c");
        check("prompt", "客服提示词", "vs-a1b2c3d4e5f6", "prompt-a1b2c");
        check("prompt", "v3 客服 new", "vs-a1b2c3d4e5f6", "prompt-v3-new-a1b2c");
        check("", "../../etc", "abcde", "change-etc-abcde");
        check("3d", "x", "abcde", "change-x-abcde");
    }

    #[test]
    fn a_missing_hash_is_made_and_long_parts_are_cut() {
        assert_ne!(change_id("prompt", "v3", ""), change_id("prompt", "v4", ""));
        let long = change_id(&"k".repeat(99), &"d-".repeat(99), &"f".repeat(64));
        assert!(long.as_str().len() <= 67 && long.as_str().ends_with("-fffff"), "{long}");
    }
}
