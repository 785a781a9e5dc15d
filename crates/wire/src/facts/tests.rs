use super::*;

fn said(piece: ChoicePiece) -> AnswerFacts {
    let mut facts = AnswerFacts::default();
    facts.push(Piece { choices: vec![piece], ..Piece::default() }).unwrap();
    facts
}

#[test]
fn every_text_of_an_answer_is_walked() {
    let call = CallPiece { name: "f".to_owned(), arguments: "{}".to_owned(), ..Default::default() };
    let mut facts = said(ChoicePiece {
        text: "a".to_owned(),
        reasoning: "r".to_owned(),
        refusal: "no".to_owned(),
        calls: vec![call],
        ..ChoicePiece::default()
    });
    let second = ChoicePiece { index: 1, text: "b".to_owned(), ..ChoicePiece::default() };
    facts.push(Piece { choices: vec![second], ..Piece::default() }).unwrap();
    let texts: Vec<_> = facts.texts().collect();
    let expected = [
        (TextKind::Reasoning, "r"),
        (TextKind::Answer, "a"),
        (TextKind::Refusal, "no"),
        (TextKind::ToolName, "f"),
        (TextKind::ToolArguments, "{}"),
        (TextKind::Answer, "b"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn what_is_useful() {
    let check = |piece: ChoicePiece, useful| {
        assert_eq!(said(piece.clone()).is_useful(), useful, "{piece:?}");
    };
    let empty = ChoicePiece { finish: Some(Finish::Stop), ..ChoicePiece::default() };
    check(empty.clone(), false);
    check(ChoicePiece { text: " \n".to_owned(), ..empty.clone() }, false);
    check(ChoicePiece { reasoning: "hm".to_owned(), ..empty.clone() }, false);
    check(ChoicePiece { text: "好".to_owned(), ..empty.clone() }, true);
    check(ChoicePiece { refusal: "no".to_owned(), ..empty.clone() }, true);
    check(ChoicePiece { calls: vec![CallPiece::default()], ..empty.clone() }, true);
    check(ChoicePiece { finish: Some(Finish::ContentFilter), ..empty }, true);
    assert!(!AnswerFacts::default().is_useful());
}

#[test]
fn reasons_to_end() {
    let check = |text: &str, finish: Option<Finish>| assert_eq!(Finish::parse(text), finish);
    check("", None);
    check(" ", None);
    check("stop", Some(Finish::Stop));
    check("function_call", Some(Finish::ToolCalls));
    check("eos", Some(Finish::Other("eos".to_owned())));
}

#[test]
fn text_has_one_bound_over_everything() {
    let half = "测".repeat(ANSWER_TEXT_MAX_BYTES / 6);
    let mut facts = said(ChoicePiece { text: half.clone(), ..ChoicePiece::default() });
    assert!(!facts.text_cut);
    for index in 0..3 {
        let piece = ChoicePiece { index, reasoning: half.clone(), ..ChoicePiece::default() };
        facts.push(Piece { choices: vec![piece], ..Piece::default() }).unwrap();
    }
    let kept: usize = facts.texts().map(|(_, text)| text.len()).sum();
    assert!(facts.text_cut && kept <= ANSWER_TEXT_MAX_BYTES && kept > ANSWER_TEXT_MAX_BYTES - 3);
}

#[test]
fn choices_have_a_bound() {
    let mut facts = AnswerFacts::default();
    for index in 0..200 {
        let piece = ChoicePiece { index, text: "a".to_owned(), ..ChoicePiece::default() };
        facts.push(Piece { choices: vec![piece], ..Piece::default() }).unwrap();
    }
    assert!(facts.text_cut && facts.choices.len() == 128);
}
