//! A service that runs, asked over HTTP as a client asks it: `GET /health`, then one chat
//! completion that names no model. Redirects are not followed, and nothing is asked twice: a smoke
//! test that tries until it passes proves less.

use super::error::SmokeError;
use crate::config::{endpoint_below, reserved_host};
use crate::output::one_line;
use crate::upstream::Probe;
use bytes::Bytes;
use http::{HeaderValue, Uri};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_core::evidence::{GateRun, GateStatus};
use tidegate_core::text::redact;

/// Where a service is asked that is not named.
pub(crate) const BASE_URL: &str = "http://127.0.0.1:8000";
/// How long each of the two answers may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);
const HEALTH: &str = "/health";
const CHAT: &str = "/v1/chat/completions";
/// What is asked.
const QUESTION: &str = "Give one safe release rule for a local LLM service.";
/// Longest answer asked for, tokens.
const MAX_TOKENS: u32 = 80;

/// A service, ready to be asked.
pub(crate) struct Target {
    probe: Probe,
    health: Uri,
    chat: Uri,
}

/// What is reported, with these keys and no others.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Report {
    /// What `GET /health` answers, as it is; null where that is no JSON.
    pub(crate) health: Value,
    /// `model` of the chat completion; null where it has none.
    pub(crate) model: Value,
    /// Whether the chat completion has a choice.
    pub(crate) has_choices: bool,
    /// Text of the first choice's message; empty where it has none, as beside tool calls.
    pub(crate) first_message: String,
}

/// What asking came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// As far as answers came.
    pub(crate) report: Report,
    /// What is wrong, in one sentence; `None` where the test passed.
    pub(crate) problem: Option<String>,
}

impl Target {
    /// A service by its address, which may end in `/v1` or `/v1/chat/completions`; the variable
    /// holds a key for it.
    ///
    /// # Errors
    /// The address is none or must not be called, or the key is not there.
    pub(crate) fn new(
        address: &str,
        key_env: Option<&str>,
        within: Duration,
    ) -> Result<Target, SmokeError> {
        let base = address.trim_end_matches('/');
        let base = base.strip_suffix(CHAT).or_else(|| base.strip_suffix("/v1")).unwrap_or(base);
        let below = |path| {
            endpoint_below(base, path).map_err(|problem| {
                // A URL that may hold a password is not repeated.
                let shown = if address.contains('@') { "…" } else { address }.to_owned();
                SmokeError::Address { shown, problem }
            })
        };
        let (health, chat) = (below(HEALTH)?, below(CHAT)?);
        if let Some(what) = reserved_host(base) {
            return Err(SmokeError::Reserved { shown: base.to_owned(), what });
        }
        let credential = key_env.map(bearer).transpose()?;
        let probe = Probe::new(&health, credential, within)?;
        Ok(Target { probe, health, chat })
    }

    /// The JSON that one address answers with a 2xx.
    async fn json(&self, uri: &Uri, body: Option<Bytes>) -> Result<Value, String> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let problem = |what: String| format!("{method} {uri}: {what}");
        let reply = self.probe.exchange(uri, body).await.map_err(problem)?;
        if reply.status.is_redirection() {
            return Err(problem(format!("HTTP {}, which is not followed", reply.status)));
        }
        if !reply.status.is_success() {
            return Err(problem(format!("HTTP {}{}", reply.status, said(&reply.body))));
        }
        serde_json::from_slice(&reply.body)
            .map_err(|error| problem(format!("the answer is not JSON: {error}")))
    }
}

/// The header with the key that a variable of the environment holds.
fn bearer(variable: &str) -> Result<HeaderValue, SmokeError> {
    let key = std::env::var(variable).ok().filter(|key| !key.trim().is_empty());
    let key = key.ok_or_else(|| SmokeError::KeyNotSet(variable.to_owned()))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| SmokeError::KeyNotAHeader(variable.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an error's body says, on one line and redacted; empty where it says nothing.
fn said(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let members = [&json["error"]["message"], &json["error"], &json["message"], &json["detail"]];
    let said = members.into_iter().find_map(Value::as_str);
    let text = String::from_utf8_lossy(body);
    match one_line(&redact(said.unwrap_or(&text))).trim() {
        "" => String::new(),
        said => format!(": {said}"),
    }
}

/// Asks the service. Whatever it answers, there is a report.
pub(crate) async fn ask_service(target: &Target) -> Asked {
    let mut report = Report::default();
    let problem = fill(target, &mut report).await.err();
    Asked { report, problem }
}

async fn fill(target: &Target, report: &mut Report) -> Result<(), String> {
    report.health = target.json(&target.health, None).await?;
    let question = json!({
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": MAX_TOKENS,
    });
    let answer = target.json(&target.chat, Some(question.to_string().into())).await?;
    report.read(&answer).map_err(|what| format!("POST {}: {what}", target.chat))
}

impl Report {
    /// Takes what a chat completion says.
    fn read(&mut self, answer: &Value) -> Result<(), &'static str> {
        self.model = answer["model"].clone();
        let Some(first) = answer["choices"].as_array().and_then(|choices| choices.first()) else {
            return Err("the answer has no choices");
        };
        self.has_choices = true;
        let Some(message) = first["message"].as_object() else {
            return Err("the first choice has no message");
        };
        let text = message.get("content").and_then(Value::as_str);
        self.first_message = text.unwrap_or_default().to_owned();
        Ok(())
    }

    /// As it is printed and saved: indented, other letters than ASCII's kept.
    pub(crate) fn text(&self) -> String {
        // A tree of JSON always has a text.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

impl Asked {
    /// As the gate of a release keeps it; what was answered is redacted.
    pub(crate) fn gate_run(&self, target: &Target) -> GateRun {
        let report = redact(&self.report.text());
        let (status, first) = match &self.problem {
            Some(problem) => (GateStatus::Fail, redact(problem)),
            None => (GateStatus::Pass, format!("{} and {} answered", target.health, target.chat)),
        };
        GateRun { status, text: format!("{first}\n{report}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &Value, expected: Result<(), &str>, model: &Value, text: &str) {
        let mut report = Report::default();
        assert_eq!(report.read(answer), expected, "{answer}");
        assert_eq!((&report.model, report.first_message.as_str()), (model, text), "{answer}");
    }

    #[test]
    fn what_a_chat_completion_says() {
        let none = Value::Null;
        let whole = json!({"model": "m", "choices": [{"message": {"content": "好"}}]});
        check(&whole, Ok(()), &json!("m"), "好");
        check(&json!({"choices": [{"message": {"content": null}}]}), Ok(()), &none, "");
        for no_choices in [json!({}), json!([]), json!({"choices": []}), json!({"choices": "x"})] {
            check(&no_choices, Err("the answer has no choices"), &none, "");
        }
        let no_message = json!({"model": "m", "choices": [{"text": "x"}]});
        check(&no_message, Err("the first choice has no message"), &json!("m"), "");
    }

    #[test]
    fn the_report_has_four_keys_in_their_order_and_keeps_other_letters() {
        let report = Report { first_message: "发布".to_owned(), ..Report::default() };
        let expected = "{\n  \"health\": null,\n  \"model\": null,\n  \"has_choices\": false,\n  \
                        \"first_message\": \"发布\"\n}\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn an_address_may_name_an_endpoint() {
        let chat = |address: &str| {
            Target::new(address, None, WITHIN).map(|target| target.chat.to_string())
        };
        let expected = "http://h:1/v1/chat/completions";
        for given in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", expected] {
            assert_eq!(chat(given).unwrap(), expected, "{given}");
        }
        assert_eq!(chat("http://h/llm").unwrap(), "http://h/llm/v1/chat/completions");
        for bad in ["h:1", "ftp://h", "http://u:p@h", "http://h?key=1", "http://169.254.169.254"] {
            let error = chat(bad).unwrap_err().to_string();
            assert!(!error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn an_error_is_quoted_on_one_line_and_redacted() {
        assert_eq!(said(br#"{"error": {"message": "no\nmodel"}}"#), ": no model");
        assert_eq!(said(br#"{"detail": "ask ann@example.com"}"#), ": ask [email]");
        assert_eq!(said(b"<h1>502</h1>"), ": <h1>502</h1>");
        assert_eq!(said(b" "), "");
    }
}
