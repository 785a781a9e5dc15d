//! Tidegate's own two forms: `POST /chat`, a question without the shape of any API, and
//! `POST /v1/feedback`, what a user says of an answer.

use crate::request_error::{RequestError, shown_key};
use crate::strict_json::parse_json_object;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Longest `budget_ms` accepted: ten minutes, the longest a whole answer may take anywhere.
pub const BUDGET_MS_MAX: u64 = 600_000;

const CHAT_MEMBERS: &str = "`user_id`, `prompt` and `budget_ms`";
const FEEDBACK_MEMBERS: &str =
    "`trace_id`, `like`, `rating`, `adopted`, `task_done` and `satisfaction_score`";

/// A request in the short form of `POST /chat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortChat {
    /// Who asks, as the client sent it.
    pub user_id: String,
    /// What is asked; not empty.
    pub prompt: String,
    /// How long the answer may take, in milliseconds, 1 to [`BUDGET_MS_MAX`].
    pub budget_ms: Option<u64>,
}

/// Reads the body of `POST /chat`.
///
/// # Errors
/// [`RequestError`] when a member is missing, of another type, out of range or unknown.
pub fn parse_short_chat(bytes: &[u8]) -> Result<ShortChat, RequestError> {
    let body = parse_json_object(bytes)?;
    only_known(&body, &["user_id", "prompt", "budget_ms"], CHAT_MEMBERS)?;
    let budget_ms = match body.get("budget_ms") {
        None | Some(Value::Null) => None,
        // A client that knows one kind of number sends 5000.0.
        Some(Value::Number(number)) => match number.as_u64().or(number.as_f64().and_then(whole)) {
            Some(ms @ 1..=BUDGET_MS_MAX) => Some(ms),
            Some(_) | None => {
                let allowed = "an integer from 1 to 600000 (milliseconds) is allowed";
                return Err(RequestError::bad_value("budget_ms", allowed));
            }
        },
        Some(other) => return Err(RequestError::wrong_type("budget_ms", "an integer", other)),
    };
    Ok(ShortChat {
        user_id: required_text(&body, "user_id")?.to_owned(),
        prompt: required_text(&body, "prompt")?.to_owned(),
        budget_ms,
    })
}

/// A number without a fraction, up to the longest budget.
fn whole(number: f64) -> Option<u64> {
    let bound = BUDGET_MS_MAX as f64;
    (number.fract() == 0.0 && (0.0..=bound).contains(&number)).then_some(number as u64)
}

/// What a user said of one answer; at least one of the four.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackRequest {
    /// The answer's trace id, not yet checked.
    pub trace_id: String,
    /// Whether it was liked: `like` or `rating`.
    pub like: Option<bool>,
    /// Whether it was used.
    pub adopted: Option<bool>,
    /// Whether it did what it was asked for.
    pub task_done: Option<bool>,
    /// How satisfied the user was, 0 to 1.
    pub satisfaction: Option<f64>,
}

/// Reads the body of `POST /v1/feedback`.
///
/// # Errors
/// [`RequestError`] when `trace_id` is missing, when nothing is said, when `like` and `rating` are
/// both given, or a member is of another type, out of range or unknown.
pub fn parse_feedback(bytes: &[u8]) -> Result<FeedbackRequest, RequestError> {
    let body = parse_json_object(bytes)?;
    let known = ["trace_id", "like", "rating", "adopted", "task_done", "satisfaction_score"];
    only_known(&body, &known, FEEDBACK_MEMBERS)?;
    let trace_id = required_text(&body, "trace_id")?.to_owned();
    let (like, rating) = (flag(&body, "like")?, rating(&body)?);
    if like.is_some() && rating.is_some() {
        let allowed = "`like` says the same; give one of the two";
        return Err(RequestError::bad_value("rating", allowed));
    }
    let like = like.or(rating);
    let (adopted, task_done) = (flag(&body, "adopted")?, flag(&body, "task_done")?);
    let satisfaction = satisfaction(&body)?;
    if like.or(adopted).or(task_done).is_none() && satisfaction.is_none() {
        let expected = "one of `like`, `rating`, `adopted`, `task_done` and `satisfaction_score`";
        return Err(RequestError::missing("like", expected));
    }
    Ok(FeedbackRequest { trace_id, like, adopted, task_done, satisfaction })
}

fn only_known(
    body: &Map<String, Value>,
    known: &[&str],
    allowed: &'static str,
) -> Result<(), RequestError> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(RequestError::Unknown { param: shown_key(key), allowed }),
        None => Ok(()),
    }
}

fn required_text<'a>(body: &'a Map<String, Value>, key: &str) -> Result<&'a str, RequestError> {
    match body.get(key) {
        Some(Value::String(text)) if text.is_empty() => {
            Err(RequestError::bad_value(key, "it must not be empty"))
        }
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(RequestError::wrong_type(key, "a string", other)),
        None => Err(RequestError::missing(key, "a string")),
    }
}

fn flag(body: &Map<String, Value>, key: &str) -> Result<Option<bool>, RequestError> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(RequestError::wrong_type(key, "a boolean", other)),
    }
}

fn rating(body: &Map<String, Value>) -> Result<Option<bool>, RequestError> {
    match body.get("rating") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match text.as_str() {
            "like" | "up" => Ok(Some(true)),
            "dislike" | "down" => Ok(Some(false)),
            _ => {
                let allowed = "`like`, `dislike`, `up` and `down` are allowed";
                Err(RequestError::bad_value("rating", allowed))
            }
        },
        Some(other) => Err(RequestError::wrong_type("rating", "a string", other)),
    }
}

fn satisfaction(body: &Map<String, Value>) -> Result<Option<f64>, RequestError> {
    match body.get("satisfaction_score") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(score) if (0.0..=1.0).contains(&score) => Ok(Some(score)),
            Some(_) | None => {
                let allowed = "a number from 0 to 1 is allowed";
                Err(RequestError::bad_value("satisfaction_score", allowed))
            }
        },
        Some(other) => Err(RequestError::wrong_type("satisfaction_score", "a number", other)),
    }
}
