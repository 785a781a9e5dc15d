use super::*;
use crate::guard::{Heard, Known};
use crate::text::redact_wanted;
use proptest::prelude::*;

const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\n\
    MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaZjq5h5Z9pXb7lK\n\
    0uQ0k7mWJx7oQ3TQm2eY0v9v0cQ1w1E5l8b6m1b2c3d4e5f6g7h8i9j0k1l2m3n4\n\
    a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0u1v2w3x4y5z6A7B8C9D0E1F2\n\
    Zm9vYmFyYmF6\n-----END RSA PRIVATE KEY-----";

fn all(_: PrivateKind, _: &str) -> bool {
    true
}

/// What goes out of a text that comes in pieces which end at these characters, and the most that
/// was behind.
fn streamed(wants: Wants<'_>, text: &str, cuts: &[usize]) -> (String, usize) {
    let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    ends.push(text.len());
    let mut chosen: Vec<usize> = cuts.iter().map(|cut| ends[cut % ends.len()]).collect();
    chosen.push(text.len());
    chosen.sort_unstable();
    let (mut stream, mut out, mut from, mut behind) =
        (RedactedStream::default(), String::new(), 0, 0);
    for end in chosen {
        out.push_str(&stream.push(wants, &text[from..end]));
        behind = behind.max(stream.waiting.chars().count());
        from = end;
    }
    out.push_str(&stream.end(wants));
    assert!(stream.waiting.is_empty());
    (out, behind)
}

/// Values, and what must not come of them.
const VALUES: [(&str, &str); 12] = [
    ("4242 4242 4242 4242", "[card]"),
    ("４２４２４２４２４２４２４２４２", "[card]"),
    ("11010519491231002X", "[id]"),
    ("+44 20 7946 0958", "[phone]"),
    ("ann.lee@example.co.uk", "[email]"),
    ("taro アット example.co.jp", "[email]"),
    ("GB82 WEST 1234 5698 7654 32", "[iban]"),
    ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[secret]"),
    ("手机号码：13800138000", "手机号码：[phone]"),
    ("電話番号は090-1234-5678", "電話番号は[phone]"),
    ("password = \"hunter2hunter2\"", "password = \"[secret]\""),
];

const FILLERS: [&str; 8] = [
    ", and so on. ",
    " 。退款已经处理完成，请您稍候。",
    "、ご注文の商品は発送されました。\n",
    "\n\n* The parcel is on its way, and will be there within two days of working time. ",
    " (version 1.2.3 of 2025-12-24) ",
    " costs 1,299.00 USD; ",
    " \u{200B}，",
    "。",
];

fn text() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..VALUES.len(), 0..FILLERS.len()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every split gives what the whole gives, and no more than the bound waits.
    #[test]
    fn a_stream_is_redacted_as_the_whole_is(
        parts in text(),
        cuts in prop::collection::vec(0..4000usize, 0..40),
    ) {
        let text: String =
            parts.iter().map(|(v, f)| format!("{}{}", FILLERS[*f], VALUES[*v].0)).collect();
        let expected: String =
            parts.iter().map(|(v, f)| format!("{}{}", FILLERS[*f], VALUES[*v].1)).collect();
        let (out, behind) = streamed(&all, &text, &cuts);
        prop_assert_eq!(&out, &expected);
        prop_assert_eq!(redact_wanted(&text, &all), Some(expected));
        prop_assert!(behind <= REDACT_DELAY_CHARS, "{}", behind);
    }

    /// Whatever the text, where its pieces end makes no difference.
    #[test]
    fn where_pieces_end_makes_no_difference(
        parts in prop::collection::vec(prop_oneof![
            prop::sample::select(vec!["4242", " ", "-", "@", "example.com", "tel", "sk-", "BEGIN",
                "-----BEGIN PRIVATE KEY-----\n", "-----END PRIVATE KEY-----", "eyJhbGciOi", ".",
                "password=", "abcdefghijklmnopqrstuvwxyz0123456789", "\n", "退款", "\u{200B}"])
                .prop_map(str::to_owned),
            "\\PC{0,6}",
        ], 0..120),
        cuts in prop::collection::vec(0..4000usize, 0..60),
    ) {
        let text = parts.concat();
        let (one, _) = streamed(&all, &text, &[]);
        let (many, behind) = streamed(&all, &text, &cuts);
        prop_assert_eq!(one, many);
        prop_assert!(behind <= REDACT_DELAY_CHARS);
        prop_assert_eq!(streamed(&|_, _| false, &text, &cuts).0, text);
    }
}

#[test]
fn a_key_longer_than_what_waits_is_left_out_whole() {
    let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", "QmFzZTY0".repeat(90), "c2ln".repeat(20));
    for (value, mark) in [(KEY.to_owned(), "[secret]"), (token, "[secret]")] {
        for filler in [0, 7, 63, 64, 65, 200] {
            let text = format!("{}use {value} for it.", "退".repeat(filler));
            let expected = format!("{}use {mark} for it.", "退".repeat(filler));
            let every: Vec<usize> = (0..text.chars().count()).collect();
            assert_eq!(streamed(&all, &text, &every).0, expected);
            assert_eq!(streamed(&all, &text, &[]).0, expected);
            assert_eq!(redact_wanted(&text, &all).unwrap(), expected);
        }
    }
    // Without its last line it ends with what is no part of a key.
    let cut = KEY.replace("-----END RSA PRIVATE KEY-----", "");
    let text = format!("{cut}。好的 {}", "退".repeat(300));
    let out = streamed(&all, &text, &[]).0;
    assert!(!out.contains("Zm9v") && out.contains("。好的"), "{out}");
}

#[test]
fn what_the_request_held_and_what_is_not_wanted_goes_on() {
    let heard = Heard { client: vec!["my card is 4242-4242-4242-4242".into()], system: vec![] };
    let known = Known::of(&heard);
    let text = format!("{}4242 4242 4242 4242, ann@example.com", "x ".repeat(200));
    let expected = text.replace("ann@example.com", "[email]");
    let new = |kind, value: &str| !known.holds(kind, value);
    assert_eq!(streamed(&new, &text, &[100, 405, 410]).0, expected);
    let ids = |kind, value: &str| kind != PrivateKind::Email && new(kind, value);
    assert_eq!(streamed(&ids, &text, &[100, 405, 410]).0, text);
    assert_eq!(redact_wanted(&text, &ids), None);
}
