use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// How far a score may be from the package's: both add up the same numbers, and only the last bits
/// of logarithms and of sums differ between platforms.
const TOLERANCE: f64 = 1e-9;

/// The scores of one pair by the names that `bench/metrics.py` gives them.
fn ours(name: &str, answer: &str, references: &[&str]) -> f64 {
    let first = references[0];
    match name.split_once(':').unwrap_or((name, "")) {
        ("bleu", by) => bleu(answer, references, Tokens::parse(by).unwrap()),
        ("gleu", by) => gleu(answer, first, Tokens::parse(by).unwrap()),
        ("chrf", _) => chrf(answer, first),
        ("rouge_1", by) => rouge_n(answer, first, 1, Tokens::parse(by).unwrap()),
        ("rouge_2", by) => rouge_n(answer, first, 2, Tokens::parse(by).unwrap()),
        ("rouge_l", by) => rouge_l(answer, first, Tokens::parse(by).unwrap()),
        ("em", by) => f64::from(u8::from(exact_match(answer, first, Tokens::parse(by).unwrap()))),
        ("f1", by) => token_f1(answer, first, Tokens::parse(by).unwrap()),
        ("edits", _) => super::super::judge::levenshtein(answer, first) as f64,
        other => panic!("{other:?} is no score"),
    }
}

#[test]
fn every_score_is_the_packages() {
    let lines = include_str!("../../../tests/metrics/pairs.jsonl");
    let (mut pairs, mut scores, mut equal) = (0, 0, 0);
    for line in lines.lines() {
        let pair: Value = serde_json::from_str(line).unwrap();
        let answer = pair["a"].as_str().unwrap();
        let references: Vec<&str> =
            pair["r"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        for (name, expected) in pair["scores"].as_object().unwrap() {
            let (expected, got) = (expected.as_f64().unwrap(), ours(name, answer, &references));
            let close = (got - expected).abs() <= TOLERANCE;
            assert!(close, "{name}: {got}, expected {expected}\n{answer:?}\n{references:?}");
            scores += 1;
            equal += u32::from(got == expected);
        }
        pairs += 1;
    }
    assert!(pairs >= 800, "only {pairs} pairs");
    assert!(scores >= 17 * pairs, "only {scores} scores");
    // On the platform of the fixtures nearly all are equal to the last bit.
    assert!(f64::from(equal) >= 0.9 * f64::from(scores), "{equal} of {scores} are equal");
}

#[test]
fn the_reference_decides_how_texts_are_split() {
    let by = |kind: CheckKind, reference: &str| split::for_reference(kind, &[reference]);
    assert_eq!(by(CheckKind::Bleu, "the cat"), Tokens::T13a);
    assert_eq!(by(CheckKind::Bleu, "退款 14 days"), Tokens::Zh);
    assert_eq!(by(CheckKind::Bleu, "返金は14日以内"), Tokens::Char);
    assert_eq!(by(CheckKind::Rouge1, "the cat"), Tokens::En);
    assert_eq!(by(CheckKind::Rouge1, "退款"), Tokens::Char);
    assert_eq!(by(CheckKind::TokenF1, "退款"), Tokens::Cmrc);
    assert_eq!(by(CheckKind::TokenF1, "返金"), Tokens::Cmrc);
    assert_eq!(by(CheckKind::Chrf, "the cat"), Tokens::Char);
}

#[test]
fn a_text_that_is_too_long_for_the_square_of_its_length_is_not_compared() {
    let long = "退".repeat(COMPARED_CHARS_MAX + 1);
    let none = Some(Err(COMPARED_CHARS_MAX + 1));
    assert_eq!(measure(CheckKind::RougeL, None, &long, &["退"]), none);
    assert_eq!(measure(CheckKind::TokenF1, None, "退", &[&long]), none);
    assert!(matches!(measure(CheckKind::Bleu, None, &long, &["退"]), Some(Ok(_))));
    assert_eq!(measure(CheckKind::Regex, None, "退", &["退"]), None);
    assert_eq!(measure(CheckKind::RougeL, Some(Tokens::Zh), "退", &["退"]), None);
}

fn any_text() -> impl Strategy<Value = String> {
    "[ab退款はい👍é.,0-3 \\n]{0,24}"
}

const KINDS: [CheckKind; 8] = [
    CheckKind::Bleu,
    CheckKind::Gleu,
    CheckKind::Chrf,
    CheckKind::Rouge1,
    CheckKind::Rouge2,
    CheckKind::RougeL,
    CheckKind::ExactMatch,
    CheckKind::TokenF1,
];

proptest! {
    #[test]
    fn a_measure_is_a_share_and_more_references_never_lower_it(
        at in 0..KINDS.len(),
        answer in any_text(),
        one in any_text(),
        other in any_text(),
    ) {
        let kind = KINDS[at];
        for tokens in kind.row().tokens {
            let share = |references: &[&str]| {
                measure(kind, Some(*tokens), &answer, references).unwrap().unwrap().share
            };
            let (first, both) = (share(&[&one]), share(&[&one, &other]));
            prop_assert!((0.0..=1.0 + 1e-12).contains(&first), "{kind:?}: {first}");
            // A second reference changes which length BLEU takes for its brevity penalty.
            if kind != CheckKind::Bleu {
                prop_assert!(both >= first, "{kind:?}: {both} < {first}");
            }
        }
    }

    #[test]
    fn a_text_is_wholly_like_itself(at in 0..KINDS.len(), answer in "[ab退款]{6,20}") {
        let kind = KINDS[at];
        let share = measure(kind, None, &answer, &[&answer]).unwrap().unwrap().share;
        // A single token has no pair of tokens.
        let has_pair = kind != CheckKind::Rouge2 || share > 0.0;
        prop_assert!((share - 1.0).abs() < 1e-12 || !has_pair, "{kind:?}: {share}");
    }
}
