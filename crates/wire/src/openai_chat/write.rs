//! Answers written in the API's shape, for model servers that are none.

use crate::facts::Finish;
use serde::{Serialize, Serializer};

/// An answer that is not yet in the API's shape.
#[derive(Debug)]
pub struct Completion {
    /// The completion's id, the same in every chunk.
    pub id: String,
    /// When it was made, seconds since the epoch.
    pub created: u64,
    /// The model it is said to come from.
    pub model: String,
    /// Says where it really comes from.
    pub fingerprint: &'static str,
    /// The whole text of the answer.
    pub text: String,
    /// The tool to call, by name.
    pub tool: Option<String>,
    /// Why it ends.
    pub finish: Finish,
    /// Tokens of the request.
    pub tokens_in: u64,
    /// Tokens of the answer.
    pub tokens_out: u64,
}

#[derive(Serialize)]
struct Shape<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageShape>,
}

#[derive(Serialize)]
struct UsageShape {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Message<'a>>,
    #[serde(serialize_with = "finish_reason")]
    finish_reason: Option<&'a Finish>,
}

fn finish_reason<S: Serializer>(
    finish: &Option<&Finish>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    finish.map(Finish::as_str).serialize(serializer)
}

#[derive(Serialize, Default)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCallBody<'a>; 1]>,
}

#[derive(Serialize)]
struct ToolCallBody<'a> {
    index: u32,
    id: String,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'static str,
}

impl Completion {
    fn usage(&self) -> UsageShape {
        let (prompt_tokens, completion_tokens) = (self.tokens_in, self.tokens_out);
        let total_tokens = prompt_tokens + completion_tokens;
        UsageShape { prompt_tokens, completion_tokens, total_tokens }
    }

    fn tool_calls(&self) -> Option<[ToolCallBody<'_>; 1]> {
        let name = self.tool.as_deref()?;
        let function = Function { name, arguments: "{}" };
        Some([ToolCallBody {
            index: 0,
            id: format!("call-{}", self.id),
            r#type: "function",
            function,
        }])
    }

    fn shape(
        &self,
        object: &'static str,
        choices: &[Choice<'_>],
        usage: Option<UsageShape>,
    ) -> Vec<u8> {
        let shape = Shape {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            system_fingerprint: self.fingerprint,
            choices,
            usage,
        };
        // Strings and numbers only: this cannot fail.
        serde_json::to_vec(&shape).unwrap_or_default()
    }

    fn chunk(&self, delta: Message<'_>, finish_reason: Option<&Finish>) -> Vec<u8> {
        let choice = Choice { index: 0, message: None, delta: Some(delta), finish_reason };
        self.shape("chat.completion.chunk", &[choice], None)
    }
}

/// Writes the answer as one chat completion.
pub fn write_answer(answer: &Completion) -> Vec<u8> {
    let content = answer.tool.is_none().then_some(answer.text.as_str());
    let tool_calls = answer.tool_calls();
    let message = Message { role: Some("assistant"), content, tool_calls };
    let finish_reason = Some(&answer.finish);
    let choice = Choice { index: 0, message: Some(message), delta: None, finish_reason };
    answer.shape("chat.completion", &[choice], Some(answer.usage()))
}

/// Writes the answer in chunks: the role, the text (or the tool call), the finish reason, and the
/// usage where it is asked for.
pub fn write_chunks(answer: &Completion, with_usage: bool) -> Vec<Vec<u8>> {
    let text = |content| Message { content: Some(content), ..Message::default() };
    let role = Message { role: Some("assistant"), ..text("") };
    let mut chunks = vec![answer.chunk(role, None)];
    match answer.tool_calls() {
        None => chunks.extend(words(&answer.text).map(|word| answer.chunk(text(word), None))),
        calls @ Some(_) => {
            let delta = Message { tool_calls: calls, ..Message::default() };
            chunks.push(answer.chunk(delta, None));
        }
    }
    chunks.push(answer.chunk(Message::default(), Some(&answer.finish)));
    if with_usage {
        chunks.push(answer.shape("chat.completion.chunk", &[], Some(answer.usage())));
    }
    chunks
}

/// The text in pieces of about a token: a word with what follows it up to the next, or two
/// characters of a script without spaces.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = if first.len_utf8() >= 3 {
            rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at)
        } else {
            let space = rest.find(|c: char| c.is_whitespace() || c.len_utf8() >= 3);
            let from = space.unwrap_or(rest.len());
            let after = rest[from..].find(|c: char| !c.is_whitespace());
            after.map_or(rest.len(), |at| from + at)
        };
        let (word, tail) = rest.split_at(end);
        rest = tail;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_words(text: &str, expected: &[&str]) {
        assert_eq!(words(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_text_in_words() {
        check_words("", &[]);
        check_words("one  two\nthree", &["one  ", "two\n", "three"]);
        check_words("退款需要七天", &["退款", "需要", "七天"]);
        check_words("退款 refund 七天。", &["退款", " ", "refund ", "七天", "。"]);
        check_words("ok。", &["ok", "。"]);
        check_words("  x", &["  ", "x"]);
    }
}
