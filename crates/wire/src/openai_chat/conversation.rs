//! What the requests of one conversation have in common, where none says who asks.

use super::content_text;
use super::edit::is_system;
use serde_json::{Map, Value};

/// Most that is read of one message, characters: texts that are alike for so long are taken for the
/// same.
const READ_MAX: usize = 8 * 1024;
/// Ends a text; no text that JSON gives a reader is likely to have it.
const END: char = '\0';

/// The head of a conversation: its system prompts up to the first user message, and that message.
/// Clients send both again with each turn. `None` where there is no user message with text.
///
/// Conversations that begin with the same words are one, so whoever counts on telling them apart
/// names a user. So must a client that drops the first turns of a long conversation.
pub fn conversation_head(body: &Map<String, Value>) -> Option<String> {
    let messages = body.get("messages")?.as_array()?;
    let is_user = |message: &Value| message.get("role").and_then(Value::as_str) == Some("user");
    let first = messages.iter().position(is_user)?;
    let asked = content_text(messages[first].get("content"));
    if asked.is_empty() {
        return None;
    }
    let mut head = String::new();
    let system = messages[..first].iter().filter(|message| is_system(message));
    for text in system.map(|message| content_text(message.get("content"))).chain([asked]) {
        head.extend(text.chars().take(READ_MAX));
        head.push(END);
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn head(messages: Value) -> Option<String> {
        let Value::Object(body) = json!({ "messages": messages }) else { unreachable!() };
        conversation_head(&body)
    }

    fn message(role: &str, content: impl Into<Value>) -> Value {
        json!({ "role": role, "content": content.into() })
    }

    #[test]
    fn later_turns_have_the_head_of_the_first() {
        let first = [message("system", "简短回答。"), message("user", "退货运费谁出？")];
        let mut later = first.to_vec();
        later.extend([message("assistant", "我们出。"), message("user", "多久到账？")]);
        assert!(head(first.to_vec().into()).is_some());
        assert_eq!(head(first.to_vec().into()), head(later.into()));
    }

    #[test]
    fn another_first_message_or_system_prompt_is_another_conversation() {
        let heads = [
            head(json!([message("system", "a"), message("user", "b")])),
            head(json!([message("system", "a"), message("user", "c")])),
            head(json!([message("system", "b"), message("user", "b")])),
            head(json!([message("user", "b")])),
            head(json!([message("developer", "a"), message("user", "\u{1}b")])),
        ];
        for (i, one) in heads.iter().enumerate() {
            assert!(one.is_some() && heads[i + 1..].iter().all(|other| other != one), "{one:?}");
        }
    }

    #[test]
    fn parts_are_read_and_a_picture_alone_is_no_head() {
        let text = json!([{ "type": "text", "text": "what is this?" }]);
        assert_eq!(
            head(json!([message("user", text)])),
            head(json!([message("user", "what is this?")]))
        );
        let picture = json!([{ "type": "image_url", "image_url": { "url": "data:," } }]);
        assert_eq!(head(json!([message("user", picture)])), None);
        assert_eq!(head(json!([message("assistant", "hello")])), None);
        assert_eq!(head(json!("no list")), None);
    }

    proptest! {
        /// Whatever follows the first user message changes nothing.
        #[test]
        fn only_the_head_counts(
            system in ".{0,9}",
            asked in ".{1,9}",
            rest in prop::collection::vec(("user|assistant|system|tool", ".{0,9}"), 0..5),
        ) {
            let first = vec![message("system", system), message("user", asked)];
            let rest = rest.into_iter().map(|(role, text)| message(&role, text));
            let whole: Vec<Value> = first.iter().cloned().chain(rest).collect();
            prop_assert_eq!(head(first.into()), head(whole.into()));
        }

        /// Of a long text the beginning counts, in characters.
        #[test]
        fn long_texts_are_cut(unit in "[a界🙂]{1,3}") {
            let long = unit.repeat(READ_MAX);
            let head = head(json!([message("user", long)])).unwrap();
            prop_assert_eq!(head.chars().count(), READ_MAX + 1);
        }
    }
}
