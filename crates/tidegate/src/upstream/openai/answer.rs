//! What an answer says: whole answers, chunks of a stream, and error envelopes. Nothing of the
//! upstream's own text gets out of here but the answer itself: error texts may hold keys or prompts.

use crate::upstream::bounds;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tidegate_core::upstream::Failure;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What a content type says, in as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentKind {
    /// `application/json` and its relatives.
    Json,
    /// `text/event-stream`.
    Events,
    /// `text/html`.
    Html,
    /// Something else, or nothing.
    Unknown,
}

impl ContentKind {
    /// Reads the `content-type` header.
    pub(super) fn of(headers: &HeaderMap) -> ContentKind {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/event-stream" => ContentKind::Events,
            "text/html" | "application/xhtml+xml" => ContentKind::Html,
            kind if kind.ends_with("/json") || kind.ends_with("+json") => ContentKind::Json,
            _ => ContentKind::Unknown,
        }
    }
}

/// A failure and the sentence about it.
pub(super) type Fault = (Failure, String);

fn fault<T>(failure: Failure, message: impl Into<String>) -> Result<T, Fault> {
    Err((failure, message.into()))
}

/// The members of an answer that are looked at. Nothing is copied: an answer of 32 MiB as a tree of
/// values would take twenty times that.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    choices: Option<Vec<IgnoredAny>>,
}

/// Checks that a body is an answer: JSON with at least one choice.
pub(super) fn check_whole(body: &[u8]) -> Result<(), Fault> {
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return fault(Failure::Malformed, "the upstream answered with an empty body");
    }
    if start[0] == b'<' {
        return fault(Failure::Malformed, HTML);
    }
    // Serde would take a list for an object whose members have no names.
    if start[0] != b'{' {
        return fault(Failure::Malformed, "the upstream's answer is not a JSON object");
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return fault(Failure::Malformed, "the upstream's answer is not UTF-8");
    };
    let whole: Whole<'_> = match serde_json::from_str(text) {
        Ok(whole) => whole,
        Err(error) if error.is_eof() => {
            return fault(
                Failure::CutShort,
                "the upstream's answer ends in the middle of its JSON",
            );
        }
        Err(error) if error.is_data() => {
            return fault(Failure::Malformed, "the upstream's answer is not a chat completion");
        }
        Err(_) => return fault(Failure::Malformed, "the upstream's answer is not JSON"),
    };
    if let Some(error) = whole.error {
        return Err(envelope_fault(error.get(), "the upstream answered with an error"));
    }
    match whole.choices {
        Some(choices) if !choices.is_empty() => Ok(()),
        Some(_) | None => fault(Failure::Malformed, "the upstream's answer has no choices"),
    }
}

/// The sentence about HTML.
pub(super) const HTML: &str = "the upstream answered with HTML, not JSON";

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default, borrow)]
    choices: Option<Vec<ChunkChoice<'a>>>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    finish_reason: Option<IgnoredAny>,
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
    #[serde(default, borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(default, borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
}

impl Delta<'_> {
    fn has_token(&self) -> bool {
        let texts = [self.content, self.reasoning_content, self.reasoning];
        self.tool_calls.is_some() || texts.into_iter().flatten().any(|text| text.get() != "\"\"")
    }
}

/// What the chunks of a stream have shown so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    finished: BTreeMap<u32, bool>,
    /// Whether a token has come; the first chunk often has only the role.
    pub(super) has_token: bool,
}

impl Progress {
    /// Takes the data of an event.
    pub(super) fn take(&mut self, data: &[u8], is_error: bool) -> Result<(), Fault> {
        let Ok(text) = std::str::from_utf8(data) else {
            return fault(Failure::Malformed, "the upstream's stream is not UTF-8");
        };
        let chunk: Chunk<'_> = match serde_json::from_str(text) {
            Ok(chunk) if text.trim_ascii_start().starts_with('{') => chunk,
            Ok(_) | Err(_) if is_error => {
                return fault(Failure::ServerError, "the upstream's stream ended with an error");
            }
            Err(error) if !error.is_data() => {
                let message = "the upstream's stream has an event that is not JSON";
                return fault(Failure::Malformed, message);
            }
            Ok(_) | Err(_) => {
                let message = "the upstream's stream has an event that is not a chunk of an answer";
                return fault(Failure::Malformed, message);
            }
        };
        if is_error || chunk.error.is_some() {
            let error = chunk.error.map_or("null", RawValue::get);
            return Err(envelope_fault(error, "the upstream's stream ended with an error"));
        }
        for choice in chunk.choices.iter().flatten() {
            self.has_token |= choice.delta.as_ref().is_some_and(Delta::has_token);
            let index = choice.index.unwrap_or(0);
            if self.finished.len() < bounds::CHOICES_MAX || self.finished.contains_key(&index) {
                *self.finished.entry(index).or_insert(false) |= choice.finish_reason.is_some();
            }
        }
        Ok(())
    }

    /// Whether every choice seen has its finish reason, and there was one.
    pub(super) fn is_finished(&self) -> bool {
        !self.finished.is_empty() && self.finished.values().all(|finished| *finished)
    }
}

/// Classifies an error envelope that came with status 200. Codes are words or, with llama.cpp, the
/// status it should have been.
fn envelope_fault(error: &str, what: &str) -> Fault {
    let error: Value = serde_json::from_str(error).unwrap_or_default();
    let number = error.get("code").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    let code = account_code(&error).or_else(|| word(&error, "code"));
    let failure = match (number, code, word(&error, "type")) {
        (Some(status @ 400..=599), code, _) => Failure::of_status(status, code),
        (_, Some(code), _) if is_account_code(code) => Failure::AccountLimit,
        (_, Some("rate_limit_exceeded" | "slow_down"), _) | (_, _, Some("rate_limit_error")) => {
            Failure::RateLimited
        }
        (_, Some("invalid_api_key"), _) | (_, _, Some("authentication_error")) => {
            Failure::Credential
        }
        (_, _, Some("invalid_request_error")) => Failure::Refused,
        (_, _, _) => Failure::ServerError,
    };
    (failure, format!("{what} ({})", failure.as_str()))
}

/// The code in the envelope of a non-2xx answer that decides the failure, if any.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let envelope: Value = serde_json::from_slice(body).ok()?;
    let error = envelope.get("error")?;
    account_code(error).or_else(|| word(error, "code")).map(str::to_owned)
}

/// A code that says "account" wherever its makers put it: OpenAI in `code` or `type`, Anthropic in
/// `details.error_code`.
fn account_code(error: &Value) -> Option<&str> {
    let details = error.get("details").and_then(|details| word(details, "error_code"));
    [word(error, "code"), word(error, "type"), details]
        .into_iter()
        .flatten()
        .find(|code| is_account_code(code))
}

/// Whether core takes the code for an account's limit, so that the list stands in one place.
fn is_account_code(code: &str) -> bool {
    Failure::of_status(429, Some(code)) == Failure::AccountLimit
}

fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// `Retry-After` in seconds, at most 300. A date is held against the answer's own `Date`, so that a
/// difference of clocks does not matter; without one it says nothing.
pub(super) fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    let seconds = if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        value.parse().unwrap_or(u64::MAX)
    } else {
        let wait = http_date(value)? - http_date(text(DATE)?)?;
        u64::try_from(wait.whole_seconds()).unwrap_or(0)
    };
    Some(seconds.min(bounds::RETRY_AFTER_MAX_S))
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_body(body: &str, expected: Result<(), Failure>) {
        let got = check_whole(body.as_bytes()).map_err(|(failure, message)| {
            assert!(!message.contains("SECRET"), "{message}");
            failure
        });
        assert_eq!(got, expected, "{body}");
    }

    #[test]
    fn u12_bodies_with_status_200() {
        check_body(r#"{"choices":[{"index":0}],"error":null}"#, Ok(()));
        check_body(r#"{"choices":[]}"#, Err(Failure::Malformed));
        check_body(r#"{"id":"x"}"#, Err(Failure::Malformed));
        check_body(r#"{"choices":{}}"#, Err(Failure::Malformed));
        check_body(r#"{"choices":null}"#, Err(Failure::Malformed));
        check_body("", Err(Failure::Malformed));
        check_body(" \r\n", Err(Failure::Malformed));
        check_body("[]", Err(Failure::Malformed));
        check_body("[null, [1]]", Err(Failure::Malformed));
        check_body("<!doctype html><p>SECRET", Err(Failure::Malformed));
        check_body("SECRET", Err(Failure::Malformed));
        check_body(r#"{"choices":[{"mess"#, Err(Failure::CutShort));
        check_body(r#"{"choices":[{}]} trailing"#, Err(Failure::Malformed));
        check_body(r#"{"error":{"message":"SECRET"}}"#, Err(Failure::ServerError));
        check_body(r#"{"error":"SECRET"}"#, Err(Failure::ServerError));
        check_body(r#"{"error":{"code":429}}"#, Err(Failure::RateLimited));
        check_body(r#"{"error":{"code":400,"type":"x"}}"#, Err(Failure::Refused));
        check_body(r#"{"error":{"code":"insufficient_quota"}}"#, Err(Failure::AccountLimit));
        check_body(r#"{"error":{"type":"insufficient_quota"}}"#, Err(Failure::AccountLimit));
        check_body(r#"{"error":{"type":"invalid_request_error"}}"#, Err(Failure::Refused));
        check_body(r#"{"error":{"code":"invalid_api_key"}}"#, Err(Failure::Credential));
    }

    fn check_code(body: &str, expected: Option<&str>) {
        assert_eq!(error_code(body.as_bytes()).as_deref(), expected, "{body}");
    }

    #[test]
    fn u4_codes_of_envelopes() {
        check_code(
            r#"{"error":{"code":"credit_balance_exhausted"}}"#,
            Some("credit_balance_exhausted"),
        );
        check_code(
            r#"{"type":"error","error":{"type":"rate_limit_error","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
            Some("enforced_spend_limit_reached"),
        );
        check_code(
            r#"{"error":{"code":"x","type":"insufficient_quota"}}"#,
            Some("insufficient_quota"),
        );
        check_code(r#"{"error":{"code":"x"}}"#, Some("x"));
        check_code(r#"{"error":"x"}"#, None);
        check_code("<html>", None);
    }

    fn check_wait(retry_after: &str, date: Option<&str>, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        assert_eq!(retry_after_s(&headers), expected, "{retry_after} {date:?}");
    }

    #[test]
    fn u3_retry_after() {
        let noon = "Fri, 20 Nov 2026 12:00:00 GMT";
        check_wait("7", None, Some(7));
        check_wait("0", None, Some(0));
        check_wait("99999", None, Some(300));
        check_wait("99999999999999999999999", None, Some(300));
        check_wait("-1", None, None);
        check_wait("soon", Some(noon), None);
        check_wait("", None, None);
        check_wait("Fri, 20 Nov 2026 12:00:30 GMT", Some(noon), Some(30));
        check_wait("Fri, 20 Nov 2026 13:00:00 GMT", Some(noon), Some(300));
        check_wait("Fri, 20 Nov 2026 11:00:00 GMT", Some(noon), Some(0));
        check_wait("Fri, 20 Nov 2026 12:00:30 GMT", None, None);
    }

    #[test]
    fn progress_of_two_choices() {
        let mut progress = Progress::default();
        let mut take = |chunk: &str| {
            progress.take(chunk.as_bytes(), false).unwrap();
            (progress.has_token, progress.is_finished())
        };
        assert_eq!(take(r#"{"choices":[]}"#), (false, false));
        assert_eq!(
            take(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#),
            (false, false)
        );
        assert_eq!(take(r#"{"choices":[{"index":1,"delta":{"content":"答"}}]}"#), (true, false));
        assert_eq!(
            take(r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#),
            (true, false)
        );
        assert_eq!(
            take(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#),
            (true, true)
        );
        assert_eq!(take(r#"{"usage":{},"new_member":1}"#), (true, true));
    }
}
