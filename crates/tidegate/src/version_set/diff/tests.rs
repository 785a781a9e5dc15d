//! Diffs by words: they are right, and as small as a reader expects.

use super::*;
use proptest::prelude::*;

/// The diff in git's marks: `[-removed-]`, `{+added+}`.
fn marked(before: &str, after: &str) -> String {
    let mark = |piece: &Piece| match piece.edit {
        Edit::Kept => piece.text.clone(),
        Edit::Removed => format!("[-{}-]", piece.text),
        Edit::Added => format!("{{+{}+}}", piece.text),
    };
    by_words(before, after).iter().flat_map(|hunk| hunk.pieces.iter().map(mark)).collect()
}

#[test]
fn only_the_words_that_changed_are_marked() {
    for (before, after, expected) in [
        ("at most three lines\n", "at most two lines\n", "at most [-three-]{+two+} lines\n"),
        ("最多三句话回答。\n", "最多两句话回答。\n", "最多[-三-]{+两+}句话回答。\n"),
        ("三文以内で答える\n", "二文以内で答える\n", "[-三-]{+二+}文以内で答える\n"),
        ("サーバーを使う\n", "クライアントを使う\n", "[-サーバー-]{+クライアント+}を使う\n"),
        ("a\nb\n", "a\n", "a\n[-b\n-]"),
        ("a\n", "a\n你好\n", "a\n{+你好\n+}"),
        ("same\n", "same\n", ""),
    ] {
        assert_eq!(marked(before, after), expected);
    }
}

#[test]
fn lines_with_little_in_common_are_shown_whole() {
    let marks = marked("You sell lamps and chairs here.\n", "请用中文回答所有问题。\n");
    assert_eq!(marks, "[-You sell lamps and chairs here.\n-]{+请用中文回答所有问题。\n+}");
}

#[test]
fn hunks_name_their_lines() {
    let lines = |nth: usize, text: &str| -> String {
        (1..=20)
            .map(|n| if n == nth { format!("{text}\n") } else { format!("line {n}\n") })
            .collect()
    };
    let hunks = by_words(&lines(10, "old words here"), &lines(10, "new words here"));
    assert_eq!(hunks.len(), 1);
    assert_eq!((hunks[0].line_before, hunks[0].line_after), (8, 8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_pieces_are_the_two_texts(
        before in "([a-c你好カナ。 ]{0,6}\n){0,3}",
        after in "([a-c你好カナ。 ]{0,6}\n){0,3}",
    ) {
        let hunks = by_words(&before, &after);
        prop_assert_eq!(hunks.is_empty(), before == after);
        // So short texts are one hunk, which begins within the context of the first change.
        let text = |without: Edit| -> String {
            let pieces = hunks.iter().flat_map(|hunk| &hunk.pieces);
            pieces.filter(|piece| piece.edit != without).map(|piece| piece.text.as_str()).collect()
        };
        if !hunks.is_empty() {
            prop_assert!(before.contains(&text(Edit::Added)), "{hunks:?}");
            prop_assert!(after.contains(&text(Edit::Removed)), "{hunks:?}");
        }
    }
}
