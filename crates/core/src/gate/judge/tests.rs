use super::super::score::CheckResult;
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(kind: &str, value: Value) -> Check {
    let (kind, not) = CheckKind::parse(kind).unwrap();
    Check { not, ..Check::new(kind, value) }
}

/// What a check of a text finds: nothing where it holds.
fn text(kind: &str, value: Value, answer: &str, wrong: &str) {
    let check = read(kind, value);
    let found = judge_text(&check, answer, Some("退款需要十四天")).unwrap();
    assert_eq!(CheckResult::of(check.name(), &check, found).detail, wrong, "{kind}: {answer}");
}

#[test]
fn texts_are_compared_as_written_or_folded() {
    text("equals", json!("退款"), "退款", "");
    text("equals", json!("退款"), "退款。", "`退款。` is not `退款`");
    text("equals", json!("a"), "a\n", "differs from the text in the white space around it");
    text("equals", json!({"a": 1, "b": [2.0]}), "{\"b\": [2], \"a\": 1.0}", "");
    text("equals", json!({"a": 1}), "{\"a\": 2}", "is not JSON equal to `{\"a\":1}`");
    text("contains", json!("API"), "an api", "does not contain `API`");
    text("icontains", json!("API"), "an ａｐｉ", "");
    text("contains-all", json!(["退款", "天"]), "退款", "missing `天`");
    text("icontains-all", json!(["API", "天"]), "ａｐｉ 14 天", "");
    text("contains-any", json!(["退款", "返金"]), "好", "missing any of `退款`, `返金`");
    text("icontains-any", json!(["OK"]), "ok", "");
    text("starts-with", json!("答："), "答：好", "");
    text("starts-with", json!("答："), "问：好", "starts with `问：`, not with `答：`");
    text("ends-with", json!("。"), "好", "does not end with `。`");
    text("not-contains", json!("秘密"), "这是秘密", "`expected_contains` holds and must not");
    text("not-contains", json!("秘密"), "好", "");
    text("not-equals", json!("好"), "不好", "");
}

#[test]
fn lengths_are_characters_and_words_of_three_languages() {
    text("min_length", json!(3), "好👍", "2 characters long; at least 3 are needed");
    text("max_length", json!(2), "好👍", "");
    for (given, count) in [
        ("", 0),
        ("  \n", 0),
        ("the cat", 2),
        ("退款需要14天。", 6),
        ("返金は、可能 です", 7),
        ("GPU加速", 3),
        ("안녕 세상", 4),
    ] {
        assert_eq!(words(given), count, "{given}");
    }
}

#[test]
fn a_number_of_words_is_exact_or_within_bounds() {
    let answer = "退款需要14天。";
    let both = json!({"min": 2, "max": 6});
    text("word_count", json!(6), answer, "");
    text("word_count", json!(5), answer, "6 words long; 5 are wanted");
    text("word-count", both.clone(), answer, "");
    text("word_count", both.clone(), "好", "1 words long; at least 2 are needed");
    text("word_count", json!({"max": 5}), answer, "6 words long; at most 5 are allowed");
    text("word_count", json!({"min": 7}), answer, "6 words long; at least 7 are needed");
    text("not-word-count", both.clone(), "好", "");
    text("not-word-count", both, answer, "`word_count` holds and must not");
    let is_read = |value: Value| check_value(&read("word_count", value)).is_ok();
    assert!(is_read(json!({"min": 2, "max": 2})));
    for bad in [json!({}), json!({"min": 3, "max": 2}), json!({"least": 2}), json!({"min": 1.5})] {
        assert!(!is_read(bad.clone()), "{bad}");
    }
}

#[test]
fn edits_are_of_characters() {
    let check = |one: &str, other: &str, edits| {
        assert_eq!(levenshtein(one, other), edits, "{one} / {other}");
    };
    check("kitten", "sitting", 3);
    check("", "退款", 2);
    check("退款需要十四天", "退款需要十五天", 1);
    // One character, though four bytes of UTF-8 and two units of UTF-16.
    check("好👍", "好", 1);
    text("levenshtein", json!(null), "退款需要十五天", "");
    text(
        "levenshtein",
        json!("好"),
        "退款需要十五天",
        "7 edits from the reference; at most 5 are allowed",
    );
    let long = "长".repeat(COMPARED_CHARS_MAX + 1);
    text("levenshtein", json!("短"), &long, "20001 characters; at most 20000 are compared");
}

fn calls(names: &[(&str, &str)]) -> Vec<CalledTool> {
    let call = |(name, arguments): &(&str, &str)| CalledTool {
        name: (*name).to_owned(),
        arguments: (*arguments).to_owned(),
        problem: arguments.is_empty().then(|| format!("`{name}` is not declared")),
    };
    names.iter().map(call).collect()
}

fn tools(kind: &str, value: Value, called: &[(&str, &str)], wrong: &str) {
    let check = read(kind, value);
    let found = judge_tools(&check, &calls(called)).unwrap();
    assert_eq!(CheckResult::of(check.name(), &check, found).detail, wrong, "{kind}: {called:?}");
}

#[test]
fn which_tools_in_which_order() {
    let two = [("search", "{}"), ("refund", "{\"days\": 14, \"why\": \"x\"}")];
    tools("tools_used", json!(["refund"]), &two, "");
    tools(
        "tools_used",
        json!(["mail"]),
        &two,
        "`mail` not called; the calls are `search`, `refund`",
    );
    tools("tool_sequence", json!(["search", "refund"]), &two, "");
    let wrong = "`search` is not called in its turn; the calls are `search`, `refund`";
    tools("tool_sequence", json!(["refund", "search"]), &two, wrong);
    tools("tool_sequence", json!(["refund"]), &two, "");
    tools("tools_exactly", json!(["refund"]), &two, "the calls are `search`, `refund`");
    tools("tools_exactly", json!(["search", "refund"]), &two, "");
    tools("tool_arguments", json!({"refund": {"days": 14.0}}), &two, "");
    let wrong = "no call of `refund` has the arguments {\"days\":15}";
    tools("tool_arguments", json!({"refund": {"days": 15}}), &two, wrong);
    tools("tool_arguments", json!({"mail": {}}), &two, "`mail` is not called");
    tools("max_tool_calls", json!(1), &two, "2 tool calls; at most 1 are allowed");
    tools("valid_tool_calls", json!(true), &two, "");
    tools("valid_tool_calls", json!(true), &[], "no tool is called");
    tools("valid_tool_calls", json!(true), &[("a", "")], "`a` is not declared");
    tools("not_valid_tool_calls", json!(true), &[("a", "")], "");
    tools("tool-call-f1", json!(["search", "refund"]), &two, "");
    let wrong = "F1 of the tools is 0.667; the calls are `search`, `refund`; 1 is needed";
    tools("tool-call-f1", json!(["search"]), &two, wrong);
}

#[test]
fn values_are_those_that_the_kind_takes() {
    let refused = |kind: &str, value: Value, needed: &str| {
        assert_eq!(check_value(&read(kind, value)), Err(needed), "{kind}");
    };
    refused("contains", json!(5), "a text");
    refused("contains", json!(""), "a text");
    refused("contains_any", json!([]), "one or more texts");
    refused("contains_any", json!(["a", 1]), "one or more texts");
    refused("max_length", json!(-1), "a whole number");
    refused("max_length", json!(1.5), "a whole number");
    refused("is_json", json!("yes"), "`true` or `false`");
    refused("tool_arguments", json!(["a"]), "a JSON object by tool");
    assert_eq!(check_value(&read("levenshtein", json!(null))), Ok(()));
}

fn any_text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ab退款天👍 ]{0,8}").unwrap()
}

proptest! {
    #[test]
    fn edits_are_a_distance(a in any_text(), b in any_text(), c in any_text()) {
        let (ab, bc, ac) = (levenshtein(&a, &b), levenshtein(&b, &c), levenshtein(&a, &c));
        prop_assert_eq!(ab == 0, a == b);
        prop_assert_eq!(ab, levenshtein(&b, &a));
        prop_assert!(ac <= ab + bc);
        let (long, short) = (a.chars().count(), b.chars().count());
        prop_assert!((long.abs_diff(short)..=long.max(short)).contains(&ab));
    }

    /// A negated check holds exactly where the check does not, whatever the kind.
    #[test]
    fn a_negated_check_is_the_opposite(
        at in 0..CheckKind::ROWS.len(),
        answer in any_text(),
        word in "[ab退款天]{1,3}",
        number in 0..8_u64,
    ) {
        use super::super::kind::Takes;
        let row = &CheckKind::ROWS[at];
        let value = match row.takes {
            Takes::List => json!([word]),
            Takes::Number | Takes::Amount => json!(number),
            Takes::Range => json!({"min": number, "max": number + 1}),
            Takes::Switch => json!(true),
            Takes::Json => json!({&word: {}}),
            Takes::Text | Takes::Share | Takes::Distance => json!(word),
        };
        let check = Check::new(row.kind, value);
        prop_assert_eq!(check_value(&check), Ok(()));
        let not = Check { not: true, ..check.clone() };
        let calls = calls(&[(&word, "{}")]);
        let judge = |check: &Check| {
            judge_text(check, &answer, None).or_else(|| judge_tools(check, &calls))
        };
        if let (Some(found), Some(again)) = (judge(&check), judge(&not)) {
            let holds = CheckResult::of(check.name(), &check, found).holds();
            let opposite = CheckResult::of(not.name(), &not, again);
            prop_assert_eq!(holds, !opposite.holds());
            prop_assert_eq!(opposite.detail.is_empty(), opposite.holds());
        }
    }
}
