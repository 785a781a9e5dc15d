//! A request once more, after an answer that cannot be used: the answer and what is wrong with it
//! go behind its messages, so that the model answers again.

use crate::AnswerFacts;
use crate::facts::ToolCall;
use serde_json::{Map, Value, json};

/// Most of an answer that is quoted to the model, bytes: an object of a page. What is longer loses
/// its end, and arguments that are longer are left out.
pub const QUOTED_MAX_BYTES: usize = 4 << 10;
/// The most tokens that asking again adds to a request, at a byte a token: the quote, where numbers
/// may be written longer, names and ids of calls, and the sentences.
pub const AGAIN_MAX_TOKENS: u64 = 12 << 10;

/// Longest name or id of a call that is sent again, bytes.
const NAME_MAX: usize = 64;
/// Most calls that are sent again; one that calls more is asked in words.
const CALLS_MAX: usize = 8;
/// Longest description of what is wrong, characters.
const PROBLEM_CHARS_MAX: usize = 300;

/// What the model reads. English is what every model follows.
fn order(problem: &str) -> String {
    let problem = cut(problem);
    format!(
        "This answer cannot be used, because it breaks the required format: {problem}. Answer the \
         request above again. Reply with the corrected answer only, without a word about the error."
    )
}

/// The result of each call.
fn results(problem: &str) -> impl Iterator<Item = String> {
    let problem = cut(problem);
    let first =
        format!("Not run: {problem}. Call again with arguments that keep to the tool's schema.");
    std::iter::once(first).chain(std::iter::repeat_with(|| "Not run, see above.".to_owned()))
}

fn cut(problem: &str) -> &str {
    problem.char_indices().nth(PROBLEM_CHARS_MAX).map_or(problem, |(end, _)| &problem[..end])
}

/// Puts an answer that is a text behind the messages, with the order to answer again; one that
/// calls tools is left to the caller, with the messages and the calls.
fn ask_text_again<'b, 'a>(
    body: &'b mut Map<String, Value>,
    answer: &'a AnswerFacts,
    problem: &str,
) -> Option<(&'b mut Vec<Value>, Vec<Again<'a>>)> {
    let Some(Value::Array(messages)) = body.get_mut("messages") else { return None };
    let Some(calls) = calls(answer) else {
        messages.push(json!({ "role": "assistant", "content": said(answer) }));
        messages.push(json!({ "role": "user", "content": order(problem) }));
        return None;
    };
    Some((messages, calls))
}

/// The same for a chat completion.
pub fn ask_chat_again(body: &mut Map<String, Value>, answer: &AnswerFacts, problem: &str) {
    let Some((messages, calls)) = ask_text_again(body, answer, problem) else { return };
    let made = calls.iter().map(|call| {
        let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
        json!({ "id": call.id, "type": "function", "function": function })
    });
    messages.push(json!({
        "role": "assistant", "content": null, "tool_calls": made.collect::<Vec<_>>(),
    }));
    messages.extend(calls.iter().zip(results(problem)).map(
        |(call, content)| json!({ "role": "tool", "tool_call_id": call.id, "content": content }),
    ));
}

/// The same for a message of Anthropic's API.
pub fn ask_message_again(body: &mut Map<String, Value>, answer: &AnswerFacts, problem: &str) {
    let Some((messages, calls)) = ask_text_again(body, answer, problem) else { return };
    let made = calls.iter().map(|call| {
        json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments })
    });
    messages.push(json!({ "role": "assistant", "content": made.collect::<Vec<_>>() }));
    let results = calls.iter().zip(results(problem)).map(|(call, content)| {
        json!({
            "type": "tool_result", "tool_use_id": call.id, "content": content, "is_error": true,
        })
    });
    messages.push(json!({ "role": "user", "content": results.collect::<Vec<_>>() }));
}

/// A call as it is sent again.
struct Again<'a> {
    id: String,
    name: &'a str,
    /// An object: model servers read them as JSON, and what is none would be an error of theirs.
    arguments: Value,
}

/// The calls of the first choice; `None` where it makes none that could be sent again.
fn calls(answer: &AnswerFacts) -> Option<Vec<Again<'_>>> {
    let calls: &[ToolCall] = &answer.choices.first()?.tool_calls;
    let fits = |call: &ToolCall| !call.name.is_empty() && call.name.len() <= NAME_MAX;
    if calls.is_empty() || calls.len() > CALLS_MAX || !calls.iter().all(fits) {
        return None;
    }
    let mut left = QUOTED_MAX_BYTES;
    let again = |(at, call): (usize, &'_ ToolCall)| {
        let given = call.id().filter(|id| id.len() <= NAME_MAX);
        let id = given.map_or_else(|| format!("call_{at}"), str::to_owned);
        let room = left.checked_sub(call.arguments.len());
        let arguments = room.and_then(|room| {
            left = room;
            serde_json::from_str::<Value>(&call.arguments).ok().filter(Value::is_object)
        });
        (id, arguments.unwrap_or_else(|| json!({})))
    };
    let again: Vec<(String, Value)> = calls.iter().enumerate().map(again).collect();
    let named = again.into_iter().zip(calls);
    Some(named.map(|((id, arguments), call)| Again { id, name: &call.name, arguments }).collect())
}

/// What the answer said, as far as it is quoted; some model servers refuse an empty text.
fn said(answer: &AnswerFacts) -> String {
    let text = answer.text();
    if text.trim().is_empty() {
        return "(no text)".to_owned();
    }
    let end = (0..=text.len().min(QUOTED_MAX_BYTES)).rev().find(|at| text.is_char_boundary(*at));
    let quoted = &text[..end.unwrap_or(0)];
    if quoted.len() < text.len() { format!("{quoted}…") } else { quoted.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_chat::read_answer;

    fn body() -> Map<String, Value> {
        let body = json!({ "messages": [{ "role": "user", "content": "退款？" }] });
        body.as_object().cloned().unwrap()
    }

    fn answer(message: &Value) -> AnswerFacts {
        let choice = json!({ "index": 0, "message": message });
        read_answer(json!({ "choices": [choice] }).to_string().as_bytes()).unwrap()
    }

    fn roles(body: &Map<String, Value>) -> Vec<&str> {
        let messages = body["messages"].as_array().unwrap().iter();
        messages.map(|message| message["role"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_text_is_quoted_and_what_is_wrong_is_named() {
        for ask in [ask_chat_again, ask_message_again] {
            let mut body = body();
            ask(&mut body, &answer(&json!({ "content": "七天。" })), "plain text, JSON was wanted");
            assert_eq!(roles(&body), ["user", "assistant", "user"]);
            assert_eq!(body["messages"][1]["content"], "七天。");
            let order = body["messages"][2]["content"].as_str().unwrap();
            assert!(order.contains("plain text, JSON was wanted"), "{order}");
        }
    }

    #[test]
    fn every_call_gets_a_result_and_arguments_that_are_no_object_are_left_out() {
        let call = |id: Value, arguments: &str| {
            let function = json!({ "name": "refund", "arguments": arguments });
            json!({ "id": id, "type": "function", "function": function })
        };
        let calls = [call(json!("c-1"), r#"{"id": "x"}"#), call(Value::Null, "{\"id\"")];
        let answer = answer(&json!({ "content": null, "tool_calls": calls }));
        let mut chat = body();
        ask_chat_again(&mut chat, &answer, "arguments of tool `refund`: at `/id`");
        assert_eq!(roles(&chat), ["user", "assistant", "tool", "tool"]);
        let made = &chat["messages"][1]["tool_calls"];
        assert_eq!(made[0]["function"]["arguments"], r#"{"id":"x"}"#);
        assert_eq!(
            (&made[1]["id"], &made[1]["function"]["arguments"]),
            (&json!("call_1"), &json!("{}"))
        );
        assert_eq!(chat["messages"][3]["tool_call_id"], "call_1");
        let mut message = body();
        ask_message_again(&mut message, &answer, "arguments of tool `refund`: at `/id`");
        assert_eq!(roles(&message), ["user", "assistant", "user"]);
        assert_eq!(message["messages"][1]["content"][0]["input"], json!({ "id": "x" }));
        assert_eq!(message["messages"][2]["content"][1]["tool_use_id"], "call_1");
        assert_eq!(message["messages"][2]["content"][1]["is_error"], true);
    }

    /// The bytes of a value as a model reads it.
    fn bytes(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len() + 2,
            Value::Array(items) => items.iter().map(|item| bytes(item) + 1).sum::<usize>() + 2,
            Value::Object(map) => {
                map.iter().map(|(key, value)| key.len() + bytes(value) + 4).sum::<usize>() + 2
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string().len(),
        }
    }

    #[test]
    fn what_is_added_is_bounded() {
        let long = "\u{1}".repeat(1 << 20);
        let numbers = format!("{{\"n\": [{}1e2]}}", "1e2,".repeat(1000));
        let call = |arguments: &str| {
            let function = json!({ "name": "n".repeat(NAME_MAX), "arguments": arguments });
            json!({ "id": "i".repeat(NAME_MAX), "type": "function", "function": function })
        };
        let calls = |arguments: &str| json!({ "tool_calls": vec![call(arguments); CALLS_MAX] });
        let escaped = json!({ "id": "\u{1}".repeat(600) }).to_string();
        let messages = [json!({ "content": long }), calls(&numbers), calls(&escaped), calls("{}")];
        for message in messages {
            for ask in [ask_chat_again, ask_message_again] {
                let mut body = body();
                ask(&mut body, &answer(&message), &"退".repeat(900));
                let added = &body["messages"].as_array().unwrap()[1..];
                let tokens: usize = added.iter().map(bytes).sum();
                assert!(tokens as u64 <= AGAIN_MAX_TOKENS, "{tokens}");
            }
        }
        let mut body = body();
        ask_chat_again(&mut body, &answer(&json!({ "content": "退".repeat(2000) })), "x");
        let quoted = body["messages"][1]["content"].as_str().unwrap();
        assert!(quoted.ends_with('…') && quoted.len() <= QUOTED_MAX_BYTES + 3);
    }

    #[test]
    fn an_answer_without_text_or_with_nameless_calls_is_asked_for_in_words() {
        let nameless = json!({ "tool_calls": [{ "function": { "arguments": "{}" } }] });
        for message in [json!({ "content": " " }), nameless] {
            let mut body = body();
            ask_chat_again(&mut body, &answer(&message), "the answer is empty");
            assert_eq!(body["messages"][1]["content"], "(no text)");
        }
    }
}
