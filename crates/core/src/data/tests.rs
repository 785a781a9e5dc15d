use super::*;
use proptest::prelude::*;

fn letters(text: &str) -> Vec<u8> {
    let mut letters = Vec::new();
    push_letters(text, &mut letters);
    letters
}

#[test]
fn layout_case_and_width_make_no_other_text() {
    let plain = letters("Refunds take 7 days. 退款需要七天。");
    assert_eq!(plain, letters("  refunds\ttake ７ DAYS!\n退款 需要，七天"));
    assert_ne!(plain, letters("Refunds take 8 days. 退款需要七天。"));
    assert!(letters("，。！？ …").is_empty());
}

/// What is written without looking it up is what looking it up gives.
#[test]
fn characters_of_one_form_are_letters_without_another_case() {
    let kana = ('\u{3041}'..='\u{3096}').chain('\u{30A1}'..='\u{30FA}');
    for c in ('\u{4E00}'..='\u{9FFF}').chain(kana) {
        assert!(c.is_alphanumeric() && c.to_lowercase().eq([c]), "{c:?}");
    }
}

#[test]
fn a_text_with_a_changed_word_is_nearly_the_same() {
    let text = "Our customers may send a parcel back within thirty days after it was delivered, \
                and get their money once it has reached the warehouse in Osaka. Whoever pays by \
                card gets it on the card; whoever pays at the door names an account, which \
                takes three working days more, and five where the bank is in another country.";
    let (one, other) = (letters(text), letters(&text.replace("thirty", "sixty")));
    let (a, b) = (Sketch::of(&one).unwrap(), Sketch::of(&other).unwrap());
    assert!(shared(&one, &other) > NEARLY, "{}", shared(&one, &other));
    assert!(a.is_like(&b));
    let strange =
        letters(&"今天的天气很好，我们去公园散步吧。明天可能会下雨，记得带伞。".repeat(2));
    assert!(shared(&one, &strange) < 0.01 && !a.is_like(&Sketch::of(&strange).unwrap()));
}

#[test]
fn what_is_too_short_has_no_sketch() {
    assert_eq!(Sketch::of(b""), None);
    assert_eq!(Sketch::of(&[b'a'; SHINGLE]), None, "one shingle");
    assert_eq!(shared(b"", b""), 0.0);
}

#[test]
fn the_input_of_a_case_is_found_within_a_text_and_a_short_one_as_a_whole() {
    let inputs = ["How long does a refund take?", "hi", "退款需要多长时间才能到账？", "…"];
    let cases = CaseTexts::new(inputs.into_iter()).unwrap();
    let found = |text: &str| cases.in_text(&letters(text));
    assert_eq!(found("User: HOW LONG does a refund take -- please"), Some(0));
    assert_eq!(found("Hi!"), Some(1));
    assert_eq!(found("hi there, how are you doing today, my old friend"), None);
    assert_eq!(found("请问，退款需要多长时间才能到账"), Some(2));
    assert_eq!(found("…"), None);
}

proptest! {
    /// The rolling hash of a shingle is that of its bytes alone, wherever it is.
    #[test]
    fn a_shingle_has_one_hash(
        before in "[a-z]{0,40}", shingle in "[a-z]{16}", after in "[a-z]{0,9}",
    ) {
        let hashes = |text: &str| {
            let mut all = Vec::new();
            shingles(text.as_bytes(), |hash| all.push(hash));
            all
        };
        let all = hashes(&format!("{before}{shingle}{after}"));
        prop_assert_eq!(all.len(), before.len() + after.len() + 1);
        prop_assert_eq!(all[before.len()], hashes(&shingle)[0]);
    }

    /// Texts that are nearly the same are found by their sketches almost always: in no case where
    /// they share all.
    #[test]
    fn a_sketch_is_the_smallest_of_all_hashes(text in "[ab]{20,60}|[a-z]{20,90}") {
        let mut all = std::collections::BTreeSet::new();
        shingles(text.as_bytes(), |hash| {
            all.insert((hash >> 32) as u32);
        });
        let smallest: Vec<u32> = all.into_iter().take(SKETCH).collect();
        let sketch = Sketch::of(text.as_bytes()).map(|sketch| sketch.0.to_vec());
        prop_assert_eq!(sketch, (smallest.len() == SKETCH).then_some(smallest));
    }

    #[test]
    fn the_same_letters_have_the_same_sketch(text in "[a-z ]{60,200}") {
        let (one, other) = (letters(&text), letters(&text.to_uppercase()));
        prop_assert_eq!(Sketch::of(&one), Sketch::of(&other));
        if let (Some(a), Some(b)) = (Sketch::of(&one), Sketch::of(&other)) {
            prop_assert!(a.is_like(&b) && a.probes() == b.probes());
            prop_assert!((shared(&one, &other) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_case_is_found_in_whatever_holds_it(
        before in "\\PC{0,40}", input in "[a-z]{24,60}", after in "\\PC{0,40}",
    ) {
        let cases = CaseTexts::new([input.as_str()].into_iter()).unwrap();
        prop_assert_eq!(cases.in_text(&letters(&format!("{before}{input}{after}"))), Some(0));
    }
}
