use super::*;
use crate::retrieval::{Chunk, retrieved};
use proptest::prelude::*;

const REFUNDS: &str = "An unused bicycle may be returned within 30 days. We pay the postage.";
const DELIVERY: &str = "自行车五天内送达，节假日除外。运费由本店承担。";
const WARRANTY: &str = "保証期間は購入日から二年です。バッテリーは対象外です。";

fn shown() -> Retrieved {
    let texts = [("refunds.md", REFUNDS), ("配送.md", DELIVERY), ("保証.md", WARRANTY)];
    let chunk = |(document, text): (&str, &str)| Chunk {
        id: ChunkId::new(document, 1),
        text: text.to_owned(),
    };
    retrieved(texts.into_iter().map(chunk).collect(), 10_000)
}

#[track_caller]
fn check(answer: &str, made: u64, uncited: u64, ungrounded: u64) {
    assert_eq!(claims(answer, &shown()), Claims { made, uncited, ungrounded }, "{answer}");
}

#[test]
fn a_claim_is_a_sentence_with_content() {
    check("Yes. Of course!", 0, 0, 0);
    check("Which bicycle do you want to return?", 0, 0, 0);
    check("您想退哪一辆自行车呢？可以。", 0, 0, 0);
    check("There are these ways to do it:", 0, 0, 0);
    check("# Returning a bicycle that is unused", 0, 0, 0);
    check("```\nlet x = an unused bicycle of yours;\n```", 0, 0, 0);
    check(
        "An unused bicycle may be returned. It may be returned at www.example.com today.",
        2,
        2,
        1,
    );
    check("自行车五天内送达。运费由本店承担！保証期間は購入日から二年です。", 3, 3, 0);
    check("Version 3.5 costs 4.20 dollars at example.com", 1, 1, 1);
    check("", 0, 0, 0);
}

#[test]
fn a_citation_is_in_a_claim_behind_it_or_before_it_in_its_line() {
    check("An unused bicycle may be returned within 30 days [1].", 1, 0, 0);
    check("An unused bicycle may be returned within 30 days. [1]", 1, 0, 0);
    check("An unused bicycle may be returned within 30 days.[1] We pay the postage.", 2, 1, 0);
    check("[1] An unused bicycle may be returned within 30 days.", 1, 0, 0);
    check("自行车五天内送达【2】。运费由本店承担。", 2, 1, 0);
    check("保証期間は購入日から二年です[保証.md#1]。", 1, 0, 0);
    check("We pay the postage.\n[1] An unused bicycle may be returned.", 2, 1, 0);
    check("We pay the postage.\n[1]", 1, 0, 0);
    // What the model was not shown is no citation.
    check("An unused bicycle may be returned within 30 days [9].", 1, 1, 0);
    check("An unused bicycle may be returned [here](https://example.com).", 1, 1, 0);
}

#[test]
fn an_answer_that_is_json_is_cited_by_its_list() {
    check(r#"{"answer": "We pay the postage.", "citations": ["refunds.md"]}"#, 1, 0, 0);
    check(r#"{"answer": "We pay the postage.", "citations": ["none.md"]}"#, 1, 1, 0);
    check(r#"{"answer": "We pay the postage [1].", "note": ["自行车五天内送达。"]}"#, 2, 1, 0);
    check(r#"{"answer": "We pay the postage."#, 1, 1, 0);
}

#[test]
fn a_claim_needs_one_chunk_with_its_numbers_and_words() {
    check("You can return any unused bicycle within 30 days [1].", 1, 0, 0);
    check("You can return any unused bicycle within 90 days [1].", 1, 0, 1);
    check("Our founder lives in Antwerp with seven dogs [1].", 1, 0, 1);
    check("自行车会在五天内送达到您手上【2】。", 1, 0, 0);
    check("本店的创始人住在安特卫普养了七条狗。", 1, 1, 1);
    check("購入日から二年の保証期間があります[3]。", 1, 0, 0);
    check("創業者は犬を七匹飼っています。", 1, 1, 1);
    check("1. An unused bicycle may be returned\n2) We pay the postage", 2, 2, 0);
    // It is in the same words, and says the opposite: that is not seen.
    check("An unused bicycle may not be returned within 30 days.", 1, 1, 0);
}

fn sentence() -> impl Strategy<Value = String> {
    let words =
        ["bicycle", "returned", "an", "within", "30", "days", "Yes", "3.5", "退货", "五天", "です"];
    let word = prop::sample::select(words.to_vec());
    let end = prop::sample::select(vec![". ", "。", "? ", "\n", "！", ": ", ".\n\n", " "]);
    (prop::collection::vec(word, 1..12), end).prop_map(|(words, end)| words.join(" ") + end)
}

fn answer() -> impl Strategy<Value = String> {
    let cited = prop::sample::select(vec!["", "", "[1] ", "【2】", "[9] ", "[1, 3]"]);
    let part = (sentence(), cited).prop_map(|(sentence, cited)| sentence + cited);
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_citation_more_never_makes_more_claims_uncited(
        answer in answer(),
        at in any::<prop::sample::Index>(),
        citation in prop::sample::select(vec!["[1]", "[ 2 ]", "【3】", "[1, 2]"]),
    ) {
        // Anywhere but inside of another citation.
        let depth = |at: usize| {
            let head = &answer[..at];
            head.matches(['[', '【']).count() - head.matches([']', '】']).count()
        };
        let places: Vec<usize> = (0..=answer.len())
            .filter(|at| answer.is_char_boundary(*at) && depth(*at) == 0)
            .collect();
        let at = *at.get(&places);
        let more = format!("{}{citation}{}", &answer[..at], &answer[at..]);
        let (before, after) = (claims(&answer, &shown()), claims(&more, &shown()));
        prop_assert!(after.uncited <= before.uncited, "{answer:?} → {more:?}");
    }

    #[test]
    fn a_sentence_of_a_chunk_is_grounded(text in prop::collection::vec(sentence(), 1..8)) {
        let text = text.concat();
        let chunk = Chunk { id: ChunkId::new("a", 1), text: text.clone() };
        let shown = retrieved(vec![chunk], 100_000);
        for at in sentences(&text) {
            let found = claims(&text[at.clone()], &shown);
            prop_assert_eq!(found.ungrounded, 0, "{}", &text[at]);
        }
        prop_assert_eq!(claims(&text, &shown).ungrounded, 0);
    }

    #[test]
    fn no_more_claims_lack_a_source_than_are_made(
        answer in "[a-z0-9退货。. \\[\\]1#{}:\"`\n]{0,120}",
    ) {
        let Claims { made, uncited, ungrounded } = claims(&answer, &shown());
        prop_assert!(uncited <= made && ungrounded <= made);
    }
}
