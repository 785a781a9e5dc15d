use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, chunk_chars: usize, expected: &[&str]) {
    assert_eq!(chunks(text, chunk_chars), expected, "{text:?}");
}

#[test]
fn a_chunk_ends_where_a_reader_pauses() {
    check("", 50, &[]);
    check(" \n\t ", 50, &[]);
    check("short", 50, &["short"]);
    check("one two\n\nthree four five", 12, &["one two", "three four", "five"]);
    check("# A\ntext of a\n# B\ntext of b", 18, &["# A\ntext of a", "# B\ntext of b"]);
    check("It costs 3.5 dollars. Then more.", 24, &["It costs 3.5 dollars.", "Then more."]);
    check("He said \"stop.\" And left us.", 20, &["He said \"stop.\"", "And left us."]);
}

#[test]
fn characters_are_counted_and_not_bytes() {
    check("可以退货。请提供订单号。", 6, &["可以退货。", "请提供订单号", "。"]);
    check("可以退货。请提供订单号。", 7, &["可以退货。", "请提供订单号。"]);
    check(
        "返品できます！写真を送ってください。",
        12,
        &["返品できます！", "写真を送ってください。"],
    );
    check("他说「可以退。」然后走了", 9, &["他说「可以退。」", "然后走了"]);
}

#[test]
fn a_letter_keeps_its_marks() {
    // e and a combining accent, four times.
    let text = "e\u{301}".repeat(4);
    let found = chunks(&text, 3);
    assert!(found.iter().all(|chunk| !chunk.starts_with('\u{301}')), "{found:?}");
    assert_eq!(found.concat(), text);
    // Marks alone still end.
    assert_eq!(chunks(&"\u{301}".repeat(9), 4).concat(), "\u{301}".repeat(9));
}

#[test]
fn a_version_is_a_files_name() {
    let check = |text: &str, expected| assert_eq!(is_version(text), expected, "{text}");
    check("v2025.12.24.01", true);
    check("none", true);
    check("", false);
    check("../v1", false);
    check(".v1", false);
    check("版本", false);
    check(&"v".repeat(81), false);
}

proptest! {
    #[test]
    fn no_chunk_is_too_long_and_nothing_is_lost(
        text in "([a-z]{1,9}[ .!?]|退|货|。|」|\n|\u{301}|\u{200d}|#|é|  ){0,200}",
        chunk_chars in 1_usize..60,
    ) {
        let found = chunks(&text, chunk_chars);
        for chunk in &found {
            prop_assert!(chunk.chars().count() <= chunk_chars, "{chunk:?}");
            prop_assert!(!chunk.trim().is_empty());
        }
        let without = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(without(&found.concat()), without(&text));
        prop_assert_eq!(found, chunks(&text, chunk_chars));
    }
}
