//! What a client says of the tools that it ran: messages with role `tool`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Longest call id that is read, characters; servers use about 30.
const CALL_ID_MAX: usize = 128;
/// Most results read of one request.
const RESULTS_MAX: usize = 128;

/// One tool's result, as far as the message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// `tool_call_id`: the call that it answers.
    pub call_id: String,
    /// Whether the tool failed; `None` where its content does not say. The API has no member for
    /// it, so this is what tools commonly write.
    pub failed: Option<bool>,
}

/// The results that this request brings: those after the last message of the assistant. Earlier
/// ones came with an earlier request.
pub fn tool_results(body: &Map<String, Value>) -> Vec<ToolResult> {
    let Some(messages) = body.get("messages").and_then(Value::as_array) else { return Vec::new() };
    let role = |message: &Value| message.get("role").and_then(Value::as_str).map(str::to_owned);
    let last = messages.iter().rposition(|message| role(message).as_deref() == Some("assistant"));
    let Some(fresh) = last.map(|last| &messages[last + 1..]) else { return Vec::new() };
    let tools = fresh.iter().filter(|message| role(message).as_deref() == Some("tool"));
    let result = |message: &Value| {
        let call_id = message.get("tool_call_id")?.as_str()?;
        let fits = !call_id.is_empty() && call_id.chars().count() <= CALL_ID_MAX;
        let content = super::content_text(message.get("content"));
        fits.then(|| ToolResult { call_id: call_id.to_owned(), failed: says_failed(&content) })
    };
    tools.filter_map(result).take(RESULTS_MAX).collect()
}

/// The members of a result's JSON that say whether it failed, read without a tree of it: a result
/// may be as large as the request.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Flags<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    is_error: Option<&'a RawValue>,
    #[serde(rename = "is_error")]
    is_error_too: Option<&'a RawValue>,
    success: Option<&'a RawValue>,
    ok: Option<&'a RawValue>,
}

/// What a result's JSON says of itself: `error`, `isError` or `is_error`, `success` or `ok`.
fn says_failed(content: &str) -> Option<bool> {
    let content = content.trim_start();
    if !content.starts_with('{') {
        return None;
    }
    let flags: Flags<'_> = serde_json::from_str(content).ok()?;
    let flag = |given: Option<&RawValue>| match given.map(RawValue::get) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) | None => None,
    };
    let is_error = match flags.error.map(RawValue::get) {
        None | Some("null" | "false" | "\"\"") => None,
        Some(_) => Some(true),
    };
    is_error
        .or(flag(flags.is_error))
        .or(flag(flags.is_error_too))
        .or_else(|| flag(flags.success).or(flag(flags.ok)).map(|went_well| !went_well))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(messages: Value) -> Vec<(String, Option<bool>)> {
        let body = json!({ "messages": messages });
        let results = tool_results(body.as_object().unwrap());
        results.into_iter().map(|result| (result.call_id, result.failed)).collect()
    }

    fn tool(id: &str, content: Value) -> Value {
        json!({ "role": "tool", "tool_call_id": id, "content": content })
    }

    #[test]
    fn results_of_this_turn_are_read() {
        let user = json!({ "role": "user", "content": "订单在哪里？" });
        let calls = json!({ "role": "assistant", "content": null });
        let (old, new) = (tool("c1", json!("42")), tool("c2", json!("运输中")));
        let messages = json!([user, calls, old, calls, new, tool("c3", json!([]))]);
        let expected = [("c2".to_owned(), None), ("c3".to_owned(), None)];
        assert_eq!(read(messages), expected);
        assert_eq!(read(json!([user])), []);
        assert_eq!(read(json!([tool("c1", json!("no assistant before it"))])), []);
    }

    #[test]
    fn a_result_says_itself_whether_it_failed() {
        fn check(content: &str, failed: Option<bool>) {
            let calls = json!({ "role": "assistant", "content": null });
            let found = read(json!([calls, tool("c", json!(content))]));
            assert_eq!(found, [("c".to_owned(), failed)], "{content}");
        }
        check(r#"{"error": "no such order"}"#, Some(true));
        check(r#"{"error": {"code": 404}}"#, Some(true));
        check(r#" {"isError": true, "content": []}"#, Some(true));
        check(r#"{"is_error": false}"#, Some(false));
        check(r#"{"success": true}"#, Some(false));
        check(r#"{"ok": false, "error": ""}"#, Some(true));
        for unknown in ["", "error", r#"{"error": null}"#, r#"{"error""#, r#"["error"]"#] {
            check(unknown, None);
        }
    }

    #[test]
    fn odd_messages_are_left_out() {
        let calls = json!({ "role": "assistant" });
        let long = "x".repeat(CALL_ID_MAX + 1);
        let odd = json!([calls, null, 7, {"role": "tool"}, {"role": "tool", "tool_call_id": 7},
                         {"role": 7}, tool("", json!("x")), tool(&long, json!("x"))]);
        assert_eq!(read(odd), []);
        let many: Vec<Value> = (0..500).map(|n| tool(&format!("c{n}"), json!("x"))).collect();
        let many: Vec<Value> = std::iter::once(calls).chain(many).collect();
        assert_eq!(read(json!(many)).len(), RESULTS_MAX);
        assert!(tool_results(&Map::new()).is_empty());
    }
}
