//! The two small forms beside the OpenAI API: `POST /chat` (requirement R175) and
//! `POST /v1/feedback` (requirements R220, R221).

use super::chat::subject_of;
use super::error::{RequestError, shown_key};
use super::strict_json::parse_json_object;
use crate::ids::TraceId;
use crate::observe::Feedback;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Longest `budget_ms` accepted: ten minutes, the longest a whole answer may take anywhere.
pub const BUDGET_MS_MAX: u64 = 600_000;

const CHAT_MEMBERS: &str = "`user_id`, `prompt` and `budget_ms`";
const FEEDBACK_MEMBERS: &str =
    "`trace_id`, `like`, `rating`, `adopted`, `task_done` and `satisfaction_score`";

/// The seed's form of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedChat {
    /// Who asks, in the form [`subject_of`] gives.
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
pub fn parse_seed_chat(bytes: &[u8]) -> Result<SeedChat, RequestError> {
    let body = parse_json_object(bytes)?;
    only_known(&body, &["user_id", "prompt", "budget_ms"], CHAT_MEMBERS)?;
    let budget_ms = match body.get("budget_ms") {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) => match number.as_u64() {
            Some(ms @ 1..=BUDGET_MS_MAX) => Some(ms),
            Some(_) | None => {
                let allowed = "an integer from 1 to 600000 (milliseconds) is allowed";
                return Err(RequestError::bad_value("budget_ms", allowed));
            }
        },
        Some(other) => return Err(RequestError::wrong_type("budget_ms", "an integer", other)),
    };
    Ok(SeedChat {
        user_id: subject_of(required_text(&body, "user_id")?),
        prompt: required_text(&body, "prompt")?.to_owned(),
        budget_ms,
    })
}

/// What a user said of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackRequest {
    /// The answer's trace id.
    pub trace_id: TraceId,
    /// What was said; at least one item, at most one of each kind.
    pub items: Vec<Feedback>,
}

/// Reads the body of `POST /v1/feedback`.
///
/// # Errors
/// [`RequestError`] when `trace_id` is missing or not one, when nothing is said, when `like` and
/// `rating` are both given, or a member is of another type, out of range or unknown.
pub fn parse_feedback(bytes: &[u8]) -> Result<FeedbackRequest, RequestError> {
    let body = parse_json_object(bytes)?;
    let known = ["trace_id", "like", "rating", "adopted", "task_done", "satisfaction_score"];
    only_known(&body, &known, FEEDBACK_MEMBERS)?;
    let trace_id = TraceId::parse(required_text(&body, "trace_id")?).map_err(|_| {
        RequestError::bad_value("trace_id", "1 to 128 of `A-Za-z0-9._-` are allowed")
    })?;
    let (like, rating) = (flag(&body, "like")?, rating(&body)?);
    if like.is_some() && rating.is_some() {
        let allowed = "`like` says the same; give one of the two";
        return Err(RequestError::bad_value("rating", allowed));
    }
    let items: Vec<Feedback> = [
        like.or(rating).map(Feedback::Like),
        flag(&body, "adopted")?.map(Feedback::Adopted),
        flag(&body, "task_done")?.map(Feedback::TaskDone),
        satisfaction(&body)?.map(Feedback::Satisfaction),
    ]
    .into_iter()
    .flatten()
    .collect();
    if items.is_empty() {
        let expected = "one of `like`, `rating`, `adopted`, `task_done` and `satisfaction_score`";
        return Err(RequestError::missing("like", expected));
    }
    Ok(FeedbackRequest { trace_id, items })
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
