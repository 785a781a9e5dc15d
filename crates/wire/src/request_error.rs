//! Why a request is refused, in the words of the OpenAI error envelope.

use serde_json::Value;

/// What was wrong with a request body. All are the client's fault (400).
///
/// Texts name members and rules, never values, so that no prompt text gets into an error or a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No bytes, or only white space.
    #[error("the body is empty; a JSON object is expected")]
    Empty,
    /// Not UTF-8.
    #[error("the body is not valid UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Not JSON.
    #[error("the body is not valid JSON at line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Nested deeper than the parser goes.
    #[error("the body is nested too deeply; at most 127 levels are allowed")]
    TooDeep,
    /// More values than a request may have.
    #[error("the body has more than {} JSON values, which is the limit", crate::VALUES_MAX)]
    TooManyValues,
    /// JSON, but not an object.
    #[error("the body is {found}; a JSON object is expected")]
    NotObject {
        /// The JSON type found, with its article.
        found: &'static str,
    },
    /// A key twice in one object.
    #[error("`{key}` is given twice in one object")]
    DuplicateKey {
        /// The key, made safe to show.
        key: String,
    },
    /// A required member is absent.
    #[error("`{param}` is missing; {expected} is expected")]
    Missing {
        /// Path of the member.
        param: String,
        /// What is expected there.
        expected: &'static str,
    },
    /// A member has the wrong JSON type.
    #[error("`{param}` is {found}; {expected} is expected")]
    WrongType {
        /// Path of the member.
        param: String,
        /// What is expected there.
        expected: &'static str,
        /// The JSON type found, with its article.
        found: &'static str,
    },
    /// A member has the right type and a value that is not allowed.
    #[error("`{param}` has a value that is not allowed; {allowed}")]
    BadValue {
        /// Path of the member.
        param: String,
        /// What the member may be.
        allowed: &'static str,
    },
    /// A member that only the operator may set.
    #[error("`{param}` must not be set by a client; it is part of the version set or the upstream")]
    Closed {
        /// Path of the member.
        param: String,
    },
    /// A member, or a value of it, that the model server's API has nothing for.
    #[error("`{param}` cannot be translated: {why}")]
    Untranslatable {
        /// Path of the member.
        param: String,
        /// What the other API lacks, and what to do instead.
        why: &'static str,
    },
    /// A member that this form does not have.
    #[error("`{param}` is not known here; allowed are {allowed}")]
    Unknown {
        /// The member, made safe to show.
        param: String,
        /// The allowed names.
        allowed: &'static str,
    },
}

impl RequestError {
    /// `param` of the OpenAI error envelope: the member at fault; `None` for the body as a whole.
    pub fn param(&self) -> Option<&str> {
        match self {
            RequestError::Empty
            | RequestError::NotUtf8 { .. }
            | RequestError::NotJson { .. }
            | RequestError::TooDeep
            | RequestError::TooManyValues
            | RequestError::NotObject { .. } => None,
            RequestError::DuplicateKey { key } => Some(key),
            RequestError::Missing { param, .. }
            | RequestError::WrongType { param, .. }
            | RequestError::BadValue { param, .. }
            | RequestError::Closed { param }
            | RequestError::Untranslatable { param, .. }
            | RequestError::Unknown { param, .. } => Some(param),
        }
    }

    /// `code` of the OpenAI error envelope, from a small closed list.
    pub fn code(&self) -> &'static str {
        match self {
            RequestError::Empty
            | RequestError::NotUtf8 { .. }
            | RequestError::NotJson { .. }
            | RequestError::TooDeep
            | RequestError::NotObject { .. } => "invalid_json",
            RequestError::TooManyValues => "request_too_complex",
            RequestError::DuplicateKey { .. } => "duplicate_parameter",
            RequestError::Missing { .. } => "missing_required_parameter",
            RequestError::WrongType { .. } => "invalid_type",
            RequestError::BadValue { .. } => "invalid_value",
            RequestError::Closed { .. } | RequestError::Untranslatable { .. } => {
                "unsupported_parameter"
            }
            RequestError::Unknown { .. } => "unknown_parameter",
        }
    }

    /// A member of the wrong JSON type.
    pub fn wrong_type(param: impl Into<String>, expected: &'static str, found: &Value) -> Self {
        RequestError::WrongType { param: param.into(), expected, found: type_name(found) }
    }

    /// A member whose value is not allowed; `allowed` is the rule.
    pub fn bad_value(param: impl Into<String>, allowed: &'static str) -> Self {
        RequestError::BadValue { param: param.into(), allowed }
    }

    /// A member that is absent.
    pub fn missing(param: impl Into<String>, expected: &'static str) -> Self {
        RequestError::Missing { param: param.into(), expected }
    }
}

/// The JSON type of a value, with its article.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A member's name that is safe in an error: at most 64 characters, and of those that are neither
/// letters, digits nor ASCII only the code.
pub(crate) fn shown_key(key: &str) -> String {
    key.chars()
        .take(64)
        .flat_map(|c| {
            let plain = c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic();
            let escaped = (!plain).then(|| c.escape_unicode());
            escaped.into_iter().flatten().chain(plain.then_some(c))
        })
        .collect()
}
