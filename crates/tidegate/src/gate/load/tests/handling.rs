//! How a case is asked, judged and grouped.

use super::*;
use tidegate_core::gate::Handling;

fn one(value: &Value) -> Case {
    jsonl(&value.to_string()).unwrap().remove(0)
}

#[test]
fn tags_and_metadata_make_slices() {
    let case = one(&json!({
        "input": "问", "tags": ["vip", " refunds ", "vip", ""],
        "metadata": {"lang": "zh", "tier": 2, "new": true, "none": null},
    }));
    let slices: Vec<String> = case.slices().into_iter().collect();
    assert_eq!(slices, ["lang:zh", "new:true", "refunds", "tier:2", "vip"]);
    assert_eq!(one(&json!({"input": "问", "tags": "vip"})).handling.tags, ["vip"]);
}

#[test]
fn a_table_has_a_column_for_each_key() {
    let text = SEED
        .replace("notes\n", "notes,Tags,metadata:lang,threshold,repeat,strict,messages,assert\n")
        .replace(
            "regression,,\n",
            "regression,,,\"vip| refunds, new\",zh,0.6,3,TRUE,\
             \"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"q\"\"}]\",\
             \"[{\"\"check\"\":\"\"not_regex\"\",\"\"value\"\":\"\"x\"\"}]\"\n",
        )
        .replace("Use the same prompt after runtime change", "");
    let case = csv(&text).unwrap().remove(4);
    let Handling { strict, repeat, threshold, tags, metadata, messages, .. } = case.handling;
    assert_eq!((strict, repeat, threshold), (true, Some(3), Some(0.6)));
    assert_eq!((tags.join(" "), metadata["lang"].as_str()), ("vip refunds new".to_owned(), "zh"));
    assert_eq!((messages.len(), case.input.as_str()), (1, "q"));
    assert_eq!(case.checks.listed[0].name(), "not_regex");
}

#[test]
fn the_question_of_a_conversation_is_its_last_message() {
    let turns = json!([
        {"role": "system", "content": "s"},
        {"role": "user", "content": "where is it?"},
        {"role": "assistant", "content": null,
         "tool_calls": [{"id": "c1", "type": "function",
                         "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "in the shop"},
        {"role": "user", "content": [{"type": "text", "text": "送到家"}]},
    ]);
    let case = one(&json!({"messages": turns}));
    assert_eq!((case.input.as_str(), json!(case.handling.messages)), ("送到家", turns));
    // Another turn before the same question is another case.
    let other = one(&json!({"messages": [{"role": "user", "content": "送到家"}]}));
    assert_ne!(case.id, other.id);
}

fn check(members: Value, says: &str) {
    let mut line = json!({"input": "问"});
    for (key, value) in members.as_object().unwrap() {
        line[key.as_str()] = value.clone();
    }
    check_error(jsonl(&line.to_string()), says);
}

fn check_turns(messages: Value, says: &str) {
    check_error(jsonl(&json!({ "messages": messages }).to_string()), says);
}

#[test]
fn what_is_no_label_is_named() {
    check(json!({"tags": {"a": 1}}), "evals/dataset.jsonl:1: `tags` is not a list of texts");
    check(json!({"tags": [1]}), "`tags` is not a list of texts");
    check(json!({"tags": ["a\nb"]}), "`tags` has a control character in `a b`");
    check(json!({"tags": ["标".repeat(101)]}), "101 characters; at most 100 are allowed");
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    check(json!({ "tags": many }), "`tags` has 65 tags; at most 64");
    check(json!({"metadata": []}), "`metadata` is not a JSON object");
    check(json!({"metadata": {"a": {}}}), "`metadata.a` is not a text");
    check(json!({"metadata": {"a:b": 1}}), "has a `:` in it");
    check(json!({"tag": ["a"]}), "there is no key `tag`; did you mean `tags`?");
}

#[test]
fn turns_that_no_server_takes_are_named() {
    let (user, assistant) =
        (json!({"role": "user", "content": "q"}), json!({"role": "assistant", "content": "a"}));
    let tool = json!({"role": "tool", "tool_call_id": "c1", "content": "x"});
    let system = json!({"role": "system", "content": "s"});
    check_turns(json!([]), "`messages`");
    check_turns(json!([{"content": "q"}]), "`messages[0].role` is missing");
    check_turns(json!([user, assistant]), "messages[1]: the last message is from `assistant`");
    check_turns(json!([user, tool, user]), "messages[1]: `tool_call_id` is not the id of a call");
    check_turns(json!([user, system, user]), "messages[1]: a system prompt comes before");
    check_turns(json!([{"role": "usr", "content": "q"}]), "did you mean `user`?");
    check(json!({ "messages": [user] }), "`input` and `messages` are both given");
    let line = json!({"system": "s", "messages": [system, user]});
    check_error(jsonl(&line.to_string()), "`system` is given beside a system prompt");
}

#[test]
fn a_key_twice_is_refused_at_any_depth() {
    let twice = r#"{"input": "a", "input": "b"}"#;
    check_error(jsonl(twice), "evals/dataset.jsonl:1: `input` is given twice in one object");
    check_error(jsonl(r#"{"input": "a", "checks": {"regex": "a", "regex": "b"}}"#), "`regex`");
}
