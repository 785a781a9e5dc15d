//! What was probably meant by a word that is not one of those allowed.

/// How many letters have to change to make one word the other.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(a, b)
}

/// The allowed word that is most like the given one, if it is like it at all.
pub(crate) fn nearest<'a>(
    given: &str,
    allowed: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = given.to_lowercase().replace('-', "_");
    // `api_key` is not a slip for `path`; a slip changes about a third of a word at most.
    let most = given.chars().count() / 3 + 1;
    allowed
        .into_iter()
        .map(|word| (distance(&given, word), word))
        .filter(|(distance, word)| *distance <= most || starts_alike(&given, word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

fn starts_alike(given: &str, word: &str) -> bool {
    given.len() >= 3 && (word.starts_with(given) || given.starts_with(word))
}

/// The question that names what was probably meant.
pub(crate) fn question(meant: &str) -> String {
    format!("did you mean `{meant}`?")
}

/// The question that names the nearest allowed word; none where no word is near.
pub(crate) fn hint<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(given, allowed).map(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_and_another_word_is_none() {
        let check = |given: &str, meant| {
            let allowed = ["path", "error_rate", "replay", "input"];
            assert_eq!(nearest(given, allowed), meant, "{given}");
        };
        check("inptu", Some("input"));
        check("Error-Rate", Some("error_rate"));
        check("error", Some("error_rate"));
        check("api_key", None);
        check("", None);
        check("提示词", None);
    }
}
