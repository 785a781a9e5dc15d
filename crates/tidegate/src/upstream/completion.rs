//! What the upstreams without a server share: reading a request, and handing out an answer in the
//! shape of the OpenAI API, at the pace it is said to have.

use super::{Answer, Call, Deadlines, Elapsed, Piece, PieceSender, Pieces, Reply, UpstreamError};
use crate::clock::Clock;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tidegate_wire::openai_chat;
use tidegate_wire::openai_chat::{Completion, content_text};
use tidegate_wire::translate::Warnings;

/// The texts of a request.
#[derive(Debug)]
pub(super) struct Prompt {
    /// The system messages, one after the other.
    pub(super) system: String,
    /// The last user message.
    pub(super) user: String,
    /// All messages in order.
    pub(super) texts: Vec<String>,
    /// Whether the last message is the user's, and not a tool's result or the start of an answer.
    pub(super) user_is_last: bool,
}

impl Prompt {
    /// Reads the messages; whatever is not text counts as empty.
    pub(super) fn of(body: &Map<String, Value>) -> Prompt {
        let messages = body.get("messages").and_then(Value::as_array);
        let (mut system, mut user) = (String::new(), String::new());
        let (mut texts, mut user_is_last) = (Vec::new(), false);
        for message in messages.into_iter().flatten() {
            let text = content_text(message.get("content"));
            let role = message.get("role").and_then(Value::as_str);
            user_is_last = role == Some("user");
            match role {
                Some("user") => user = text.clone(),
                Some("system" | "developer") if system.is_empty() => system = text.clone(),
                Some("system" | "developer") => system = format!("{system}\n{text}"),
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

/// The model a request names.
pub(super) fn model(body: &Map<String, Value>) -> &str {
    body.get("model").and_then(Value::as_str).unwrap_or("")
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
    pub(super) fn elapsed(&self, at: Duration) -> Elapsed {
        let total = self.at(at);
        Elapsed { first_token: self.first_token.unwrap_or(total), total }
    }

    /// The time taken by what took no simulated time.
    pub(super) fn elapsed_now(&self) -> Elapsed {
        self.elapsed(Duration::ZERO)
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
            return Err(UpstreamError::new(failure, message, self.elapsed(deadline)));
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
            let with_usage = openai_chat::asks_for_usage(&call.body);
            let chunks = openai_chat::write_chunks(completion, with_usage);
            let (sender, pieces) = Pieces::channel();
            tokio::spawn(self.send(chunks, schedule, sender));
            return Ok(Reply::Stream(pieces));
        }
        if schedule.cut {
            let half = schedule.total / 2;
            self.first_byte(half).await?;
            return Err(cut(self.elapsed(half)));
        }
        self.first_byte(schedule.total).await?;
        let elapsed = self.elapsed(schedule.total);
        let body = Bytes::from(openai_chat::write_answer(completion));
        let facts = openai_chat::read_answer(&body);
        let facts = facts.map_err(|problem| UpstreamError::of_problem(&problem, elapsed))?;
        Ok(Reply::Whole(Answer { body, facts, elapsed, warnings: Warnings::default() }))
    }

    async fn send(self, chunks: Vec<Vec<u8>>, schedule: Schedule, sender: PieceSender) {
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX).max(1);
        let writing = schedule.total.saturating_sub(schedule.first_token);
        for (index, chunk) in (0u32..).zip(chunks) {
            let at = schedule.first_token + writing.mul_f64(f64::from(index) / f64::from(count));
            if at > self.deadlines.total {
                let ms = self.deadlines.total.as_millis();
                let message = format!("the upstream was not done within {ms} ms");
                let elapsed = self.elapsed(self.deadlines.total);
                let error = UpstreamError::new(Failure::TotalTimeout, message, elapsed);
                let _ = sender.send(Piece::Failed(error)).await;
                return;
            }
            self.until(at).await;
            if schedule.cut && index > 0 && index >= count / 2 {
                let _ = sender.send(Piece::Failed(cut(self.elapsed(at)))).await;
                return;
            }
            let piece = match openai_chat::read_chunk(&chunk) {
                Ok(says) => Piece::Data { bytes: chunk.into(), says },
                Err(problem) => {
                    Piece::Failed(UpstreamError::of_problem(&problem, self.elapsed(at)))
                }
            };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
        self.until(schedule.total).await;
        let _ = sender.send(Piece::Done(self.elapsed(schedule.total))).await;
    }
}

fn cut(elapsed: Elapsed) -> UpstreamError {
    UpstreamError::new(Failure::CutShort, "the upstream's answer ended before it was done", elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
