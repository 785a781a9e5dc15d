//! How a case is asked, judged and grouped, as files spell it: the keys of
//! [`tidegate_core::gate::Handling`].

use super::super::run::REPEAT_MAX;
use super::fields;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tidegate_core::gate::{Handling, HumanLabel};
use tidegate_wire::RequestError;
use tidegate_wire::openai_chat::{check_request, content_text};

/// The keys that are read here.
pub(super) const KEYS: [&str; 11] = [
    "strict",
    "as_served",
    "repeat",
    "threshold",
    "tags",
    "metadata",
    "messages",
    "human",
    "human_answer",
    "reproduced",
    "needs_review",
];
/// What begins the name of a CSV column that holds one value of `metadata`.
pub(super) const METADATA: &str = "metadata:";
/// Most tags, and most keys of metadata, of one case.
const LABELS_MAX: usize = 64;
/// Longest tag, key or value of metadata, characters: it is a column of a table.
const LABEL_CHARS: usize = 100;
/// What a conversation may have between the system prompt and the question.
pub(super) const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// Takes the keys out.
pub(super) fn handling(members: &mut Map<String, Value>) -> Result<Handling, String> {
    Ok(Handling {
        strict: switch(members, "strict")?,
        as_served: switch(members, "as_served")?,
        repeat: repeat(members)?,
        threshold: threshold(members)?,
        tags: tags(members)?,
        metadata: metadata(members)?,
        messages: messages(members)?,
        human: human(members)?,
        human_answer: fields::text(members, "human_answer")?,
        reproduced: fields::text(members, "reproduced")?,
        needs_review: switch(members, "needs_review")?,
        uncovered: false,
    })
}

/// Takes out what a person says of the answer.
fn human(members: &mut Map<String, Value>) -> Result<Option<HumanLabel>, String> {
    let Some(given) = fields::text(members, "human")? else { return Ok(None) };
    match HumanLabel::parse(given.trim()) {
        Some(label) => Ok(Some(label)),
        None => Err(format!("`human` is `{}`; it must be `pass` or `fail`", fields::cut(&given))),
    }
}

/// The value of a key in a CSV's cell.
pub(super) fn cell(key: &str, text: &str) -> Value {
    let json = || serde_json::from_str::<Value>(text).ok();
    match key {
        "tags" => text.split(['|', ',']).collect::<Vec<&str>>().into(),
        // A spreadsheet writes `TRUE`.
        "strict" | "as_served" | "needs_review" => match text.to_lowercase().as_str() {
            "true" => true.into(),
            "false" => false.into(),
            _ => text.into(),
        },
        "repeat" | "threshold" | "metadata" | "messages" => json().unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}

/// Takes `true` or `false` out; absent counts as false.
fn switch(members: &mut Map<String, Value>, key: &str) -> Result<bool, String> {
    match members.remove(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(on)) => Ok(on),
        Some(_) => Err(format!("`{key}` is not `true` or `false`")),
    }
}

/// Takes out how often the case is asked in each run.
fn repeat(members: &mut Map<String, Value>) -> Result<Option<u32>, String> {
    let Some(value) = members.remove("repeat").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = fields::whole_number(&value).and_then(|number| u32::try_from(number).ok());
    match number.filter(|number| (1..=REPEAT_MAX).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("`repeat` is not a whole number from 1 to {REPEAT_MAX}")),
    }
}

/// Takes out the score that makes the case correct.
fn threshold(members: &mut Map<String, Value>) -> Result<Option<f64>, String> {
    let Some(value) = members.remove("threshold").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match value.as_f64().filter(|number| (0.0..=1.0).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err("`threshold` is not a number from 0 to 1".to_owned()),
    }
}

/// Takes the tags out: a list of texts, or one text.
fn tags(members: &mut Map<String, Value>) -> Result<Vec<String>, String> {
    let items = match members.remove("tags") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(one @ Value::String(_)) => vec![one],
        Some(_) => return Err("`tags` is not a list of texts".to_owned()),
    };
    let mut tags: Vec<String> = Vec::new();
    for item in items {
        let Value::String(text) = item else {
            return Err("`tags` is not a list of texts".to_owned());
        };
        let tag = label("tags", &text)?;
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    match tags.len() {
        0..=LABELS_MAX => {
            tags.shrink_to_fit();
            Ok(tags)
        }
        many => Err(format!("`tags` has {many} tags; at most {LABELS_MAX} are allowed")),
    }
}

/// Takes the metadata out: texts, numbers and truth values by key; null counts as absent.
fn metadata(members: &mut Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    let given = match members.remove("metadata") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err("`metadata` is not a JSON object".to_owned()),
    };
    let mut metadata = BTreeMap::new();
    for (key, value) in given {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(on) => on.to_string(),
            Value::Array(_) | Value::Object(_) => {
                let key = fields::cut(&key);
                return Err(format!("`metadata.{key}` is not a text, a number or a truth value"));
            }
        };
        let (key, value) = (label("metadata", &key)?, label("metadata", &value)?);
        if key.is_empty() || key.contains(':') {
            return Err("`metadata` has a key that is empty or has a `:` in it".to_owned());
        }
        metadata.insert(key, value);
    }
    match metadata.len() {
        0..=LABELS_MAX => Ok(metadata),
        many => Err(format!("`metadata` has {many} keys; at most {LABELS_MAX} are allowed")),
    }
}

/// A tag, or a key or value of metadata: short, on one line.
fn label(key: &str, text: &str) -> Result<String, String> {
    let text = text.trim();
    let chars = text.chars().count();
    match (chars > LABEL_CHARS, text.contains(char::is_control)) {
        (true, _) => Err(format!(
            "`{key}` has a text of {chars} characters; at most {LABEL_CHARS} are allowed"
        )),
        (false, true) => Err(format!("`{key}` has a control character in `{}`", fields::cut(text))),
        (false, false) => Ok(text.to_owned()),
    }
}

/// Takes the conversation out: messages as a client sends them, the last from the user.
fn messages(members: &mut Map<String, Value>) -> Result<Vec<Value>, String> {
    let messages = match members.remove("messages") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(messages @ Value::Array(_)) => messages,
        Some(_) => return Err("`messages` is not a list".to_owned()),
    };
    let body = Map::from_iter([("messages".to_owned(), messages)]);
    let mut body = check_request(body).map_err(|error: RequestError| error.to_string())?.body;
    let Some(Value::Array(messages)) = body.remove("messages") else { return Ok(Vec::new()) };
    turns(&messages)?;
    Ok(messages)
}

/// Checks the order of turns: system prompts first, a tool's result after the call, the user last.
fn turns(messages: &[Value]) -> Result<(), String> {
    let role_of = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
    let mut called: Vec<&str> = Vec::new();
    let mut begun = false;
    for (i, message) in messages.iter().enumerate() {
        let role = role_of(message);
        if !ROLES.contains(&role.as_str()) {
            let (role, near) = (fields::cut(&role), fields::near(&role, ROLES));
            let allowed = ROLES.join(", ");
            return Err(format!("messages[{i}]: role `{role}` is not one of {allowed}{near}"));
        }
        match role.as_str() {
            "system" | "developer" if begun => {
                return Err(format!("messages[{i}]: a system prompt comes before the other turns"));
            }
            "system" | "developer" => continue,
            "assistant" => {
                let calls = message["tool_calls"].as_array().into_iter().flatten();
                called.extend(calls.filter_map(|call| call["id"].as_str()));
            }
            "tool" if !message["tool_call_id"].as_str().is_some_and(|id| called.contains(&id)) => {
                return Err(format!(
                    "messages[{i}]: `tool_call_id` is not the id of a call in a turn before it"
                ));
            }
            _ => {}
        }
        begun = true;
    }
    match messages.last().map(role_of).as_deref() {
        Some("user") => Ok(()),
        Some(role) => Err(format!(
            "messages[{}]: the last message is from `{role}`; it must be the user's question",
            messages.len() - 1
        )),
        None => Err("`messages` is empty".to_owned()),
    }
}

/// The question of a conversation: the text of its last message.
pub(super) fn question(messages: &[Value]) -> String {
    content_text(messages.last().and_then(|message| message.get("content")))
}

/// Whether a conversation brings its own system prompt.
pub(super) fn has_system(messages: &[Value]) -> bool {
    messages
        .first()
        .is_some_and(|first| matches!(first["role"].as_str(), Some("system" | "developer")))
}
