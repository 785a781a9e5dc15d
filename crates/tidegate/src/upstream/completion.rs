//! What the upstreams without a server share: reading a request, and handing out an answer in the
//! shape of the OpenAI API, at the pace it is said to have.

use super::{Answer, Call, Deadlines, Piece, Pieces, Reply, Took, UpstreamError, bounds};
use crate::clock::Clock;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::time::{Duration, Instant};
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tokio::sync::mpsc;

/// The texts of a request.
#[derive(Debug)]
pub(super) struct Prompt<'a> {
    /// The system messages, one after the other.
    pub(super) system: Cow<'a, str>,
    /// The last user message.
    pub(super) user: Cow<'a, str>,
    /// All messages in order.
    pub(super) texts: Vec<Cow<'a, str>>,
    /// Whether the last message is the user's, and not a tool's result or the start of an answer.
    pub(super) user_is_last: bool,
}

impl<'a> Prompt<'a> {
    /// Reads the messages; whatever is not text counts as empty.
    pub(super) fn of(body: &'a Map<String, Value>) -> Prompt<'a> {
        let messages = body.get("messages").and_then(Value::as_array);
        let (mut system, mut user) = (Cow::Borrowed(""), Cow::Borrowed(""));
        let (mut texts, mut user_is_last) = (Vec::new(), false);
        for message in messages.into_iter().flatten() {
            let text = content(message);
            let role = message.get("role").and_then(Value::as_str);
            user_is_last = role == Some("user");
            match role {
                Some("user") => user = text.clone(),
                Some("system" | "developer") if system.is_empty() => system = text.clone(),
                Some("system" | "developer") => system = format!("{system}\n{text}").into(),
                Some(_) | None => {}
            }
            texts.push(text);
        }
        Prompt { system, user, texts, user_is_last }
    }

    /// How many tokens the messages have, estimated.
    pub(super) fn tokens(&self) -> u64 {
        self.texts.iter().map(|text| estimate_tokens(text)).sum()
    }
}

/// A message's text: a string, or the text parts of a list.
fn content(message: &Value) -> Cow<'_, str> {
    match message.get("content") {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n").into()
        }
        Some(_) | None => "".into(),
    }
}

/// The model a request names.
pub(super) fn model(body: &Map<String, Value>) -> &str {
    body.get("model").and_then(Value::as_str).unwrap_or("")
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    /// It is complete.
    Stop,
    /// It has as many tokens as it may.
    Length,
    /// A tool is to be called.
    ToolCalls,
}

/// An answer that is not yet in the API's shape.
#[derive(Debug)]
pub(super) struct Completion {
    /// Its id.
    pub(super) id: String,
    /// When it was made, seconds since the epoch.
    pub(super) created: u64,
    /// The model it is said to come from.
    pub(super) model: String,
    /// Says where it really comes from.
    pub(super) fingerprint: &'static str,
    /// Its text.
    pub(super) text: String,
    /// The tool to call, by name.
    pub(super) tool: Option<String>,
    /// Why it ends.
    pub(super) finish: Finish,
    /// Tokens of the request.
    pub(super) tokens_in: u64,
    /// Tokens of the answer.
    pub(super) tokens_out: u64,
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
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Usage {
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
    finish_reason: Option<Finish>,
}

#[derive(Serialize, Default)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
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
    fn usage(&self) -> Usage {
        let (prompt_tokens, completion_tokens) = (self.tokens_in, self.tokens_out);
        Usage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }

    fn tool_calls(&self) -> Option<[ToolCall<'_>; 1]> {
        let name = self.tool.as_deref()?;
        let function = Function { name, arguments: "{}" };
        Some([ToolCall { index: 0, id: format!("call-{}", self.id), r#type: "function", function }])
    }

    fn shape(&self, object: &'static str, choices: &[Choice<'_>], usage: Option<Usage>) -> Bytes {
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
        serde_json::to_vec(&shape).unwrap_or_default().into()
    }

    /// The answer as one chat completion.
    fn whole(&self) -> Bytes {
        let content = self.tool.is_none().then_some(self.text.as_str());
        let tool_calls = self.tool_calls();
        let message = Message { role: Some("assistant"), content, tool_calls };
        let finish_reason = Some(self.finish);
        let choice = Choice { index: 0, message: Some(message), delta: None, finish_reason };
        self.shape("chat.completion", &[choice], Some(self.usage()))
    }

    fn chunk(&self, delta: Message<'_>, finish_reason: Option<Finish>) -> Bytes {
        let choice = Choice { index: 0, message: None, delta: Some(delta), finish_reason };
        self.shape("chat.completion.chunk", &[choice], None)
    }

    /// The answer in chunks: the role, the text (or the tool call), the finish reason, the usage.
    fn chunks(&self, with_usage: bool) -> Vec<Bytes> {
        let text = |content| Message { content: Some(content), ..Message::default() };
        let role = Message { role: Some("assistant"), ..text("") };
        let mut chunks = vec![self.chunk(role, None)];
        match self.tool_calls() {
            None => chunks.extend(words(&self.text).map(|word| self.chunk(text(word), None))),
            calls @ Some(_) => {
                let delta = Message { tool_calls: calls, ..Message::default() };
                chunks.push(self.chunk(delta, None));
            }
        }
        chunks.push(self.chunk(Message::default(), Some(self.finish)));
        if with_usage {
            chunks.push(self.shape("chat.completion.chunk", &[], Some(self.usage())));
        }
        chunks
    }
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

/// The start of the text that has at most `max` tokens by the estimate; `None` when it all has.
pub(super) fn cut_to_tokens(text: &str, max: u64) -> Option<&str> {
    if estimate_tokens(text) <= max {
        return None;
    }
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let fitting = ends.partition_point(|end| estimate_tokens(&text[..*end]) <= max);
    Some(&text[..ends[fitting.saturating_sub(1)]])
}

/// Milliseconds as a duration, between 0 and an hour whatever the number.
pub(super) fn ms(ms: f64) -> Duration {
    let seconds = (ms / 1000.0).clamp(0.0, 3600.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// How an answer is handed out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// Until the first token.
    pub(super) first_token: Duration,
    /// Until the end, with the former.
    pub(super) total: Duration,
    /// Whether it breaks off half-way.
    pub(super) cut: bool,
}

/// The passing of one answer's time: really, or faster on a demo's clock.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    clock: Clock,
    started: Instant,
    deadlines: Deadlines,
    first_token: Option<Duration>,
}

impl Pace {
    /// Starts with the call.
    pub(super) fn start(clock: &Clock, deadlines: Deadlines) -> Pace {
        Pace { clock: clock.clone(), started: Instant::now(), deadlines, first_token: None }
    }

    /// Waits until `at` after the start.
    pub(super) async fn until(&self, at: Duration) {
        self.clock.simulate_until(self.started, at).await;
    }

    /// What a simulated `at` counts as: itself on a demo's clock, and what it really was on ours.
    fn at(&self, at: Duration) -> Duration {
        if self.clock.is_demo() { at } else { self.started.elapsed() }
    }

    /// The time taken at the simulated moment `at`.
    pub(super) fn took(&self, at: Duration) -> Took {
        let total = self.at(at);
        Took { first_token: self.first_token.unwrap_or(total), total }
    }

    /// The time taken by what took no simulated time.
    pub(super) fn took_now(&self) -> Took {
        self.took(Duration::ZERO)
    }

    /// Waits for the first byte, which comes at `at`.
    async fn first_byte(&mut self, at: Duration) -> Result<(), UpstreamError> {
        let Deadlines { first_byte, idle: _, total } = self.deadlines;
        let deadline = first_byte.min(total);
        if at > deadline {
            self.until(deadline).await;
            let (failure, message) = if first_byte < total {
                let ms = first_byte.as_millis();
                (Failure::FirstByteTimeout, format!("the upstream sent nothing within {ms} ms"))
            } else {
                let ms = total.as_millis();
                (Failure::TotalTimeout, format!("the upstream was not done within {ms} ms"))
            };
            return Err(UpstreamError::new(failure, message, self.took(deadline)));
        }
        self.until(at).await;
        self.first_token = Some(self.at(at));
        Ok(())
    }

    /// Hands out an answer at its pace.
    pub(super) async fn deliver(
        mut self,
        call: &Call,
        completion: &Completion,
        schedule: Schedule,
    ) -> Result<Reply, UpstreamError> {
        if call.stream {
            self.first_byte(schedule.first_token).await?;
            let options = call.body.get("stream_options");
            let usage = options.and_then(|options| options.get("include_usage"));
            let chunks = completion.chunks(usage.and_then(Value::as_bool).unwrap_or(false));
            let (sender, receiver) = mpsc::channel(bounds::PIECES);
            tokio::spawn(self.send(chunks, schedule, sender));
            return Ok(Reply::Stream(Pieces { receiver }));
        }
        if schedule.cut {
            let half = schedule.total / 2;
            self.first_byte(half).await?;
            return Err(cut(self.took(half)));
        }
        self.first_byte(schedule.total).await?;
        Ok(Reply::Whole(Answer { body: completion.whole(), took: self.took(schedule.total) }))
    }

    async fn send(self, chunks: Vec<Bytes>, schedule: Schedule, sender: mpsc::Sender<Piece>) {
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX).max(1);
        let writing = schedule.total.saturating_sub(schedule.first_token);
        for (index, chunk) in (0u32..).zip(chunks) {
            let at = schedule.first_token + writing.mul_f64(f64::from(index) / f64::from(count));
            if at > self.deadlines.total {
                let ms = self.deadlines.total.as_millis();
                let message = format!("the upstream was not done within {ms} ms");
                let took = self.took(self.deadlines.total);
                let error = UpstreamError::new(Failure::TotalTimeout, message, took);
                let _ = sender.send(Piece::Failed(error)).await;
                return;
            }
            self.until(at).await;
            if schedule.cut && index > 0 && index >= count / 2 {
                let _ = sender.send(Piece::Failed(cut(self.took(at)))).await;
                return;
            }
            if sender.send(Piece::Data(chunk)).await.is_err() {
                return;
            }
        }
        self.until(schedule.total).await;
        let _ = sender.send(Piece::Done(self.took(schedule.total))).await;
    }
}

fn cut(took: Took) -> UpstreamError {
    UpstreamError::new(Failure::CutShort, "the upstream's answer ended before it was done", took)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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

    fn check_cut(text: &str, max: u64, expected: Option<&str>) {
        assert_eq!(cut_to_tokens(text, max), expected, "{text} {max}");
    }

    #[test]
    fn a_text_is_cut_to_tokens() {
        check_cut("退款需要七天", 6, None);
        check_cut("退款需要七天", 4, Some("退款需要"));
        check_cut("退款需要七天", 0, Some(""));
        check_cut("eight ch", 2, None);
        check_cut("eight char", 2, Some("eight ch"));
    }

    #[test]
    fn a_prompt_is_read_from_any_form() {
        let body = json!({"messages": [
            {"role": "system", "content": "one"},
            {"role": "developer", "content": [{"type": "text", "text": "two"}, {"type": "image_url"}]},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": null},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "tool", "content": "7"},
            {"no": "role"},
        ]});
        let prompt = Prompt::of(body.as_object().unwrap());
        assert_eq!((&*prompt.system, &*prompt.user), ("one\ntwo", "a\nb"));
        assert!(!prompt.user_is_last);
        let empty = Map::new();
        assert_eq!(Prompt::of(&empty).tokens(), 0);
    }

    #[test]
    fn milliseconds_have_bounds() {
        assert_eq!(ms(1.5), Duration::from_micros(1500));
        for bad in [-1.0, f64::NAN] {
            assert_eq!(ms(bad), Duration::ZERO, "{bad}");
        }
        assert_eq!(ms(f64::INFINITY), Duration::from_secs(3600));
    }
}
