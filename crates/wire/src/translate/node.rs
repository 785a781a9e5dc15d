//! Parts of a request with their places, so that every error names the member at fault.

use crate::request_error::{RequestError, shown_key};
use serde_json::{Map, Value};

/// A value of a request and where it is.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    /// Its path, as errors name it: `messages[2].content[0].type`.
    pub(super) at: String,
}

/// An object of a request and where it is; the body's path is empty.
#[derive(Debug, Clone)]
pub(super) struct Object<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) at: String,
}

impl<'a> Node<'a> {
    pub(super) fn object(&self) -> Result<Object<'a>, RequestError> {
        match self.value {
            Value::Object(map) => Ok(Object { map, at: self.at.clone() }),
            other => Err(RequestError::wrong_type(&self.at, "an object", other)),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, RequestError> {
        match self.value {
            Value::String(text) => Ok(text),
            other => Err(RequestError::wrong_type(&self.at, "a string", other)),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, RequestError> {
        match self.value {
            Value::Bool(flag) => Ok(*flag),
            other => Err(RequestError::wrong_type(&self.at, "a boolean", other)),
        }
    }

    /// A whole number from 0 up.
    pub(super) fn count(&self) -> Result<u64, RequestError> {
        match self.value {
            Value::Number(number) => match number.as_u64() {
                Some(count) => Ok(count),
                None => Err(self.bad_value("an integer from 0 up is allowed")),
            },
            other => Err(RequestError::wrong_type(&self.at, "an integer", other)),
        }
    }

    pub(super) fn number(&self) -> Result<f64, RequestError> {
        match self.value.as_f64() {
            Some(number) => Ok(number),
            None => Err(RequestError::wrong_type(&self.at, "a number", self.value)),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, RequestError> {
        let Value::Array(items) = self.value else {
            return Err(RequestError::wrong_type(&self.at, "a list", self.value));
        };
        let place = |(i, value)| Node { value, at: format!("{}[{i}]", self.at) };
        Ok(items.iter().enumerate().map(place).collect())
    }

    pub(super) fn bad_value(&self, allowed: &'static str) -> RequestError {
        RequestError::bad_value(&self.at, allowed)
    }

    pub(super) fn untranslatable(&self, why: &'static str) -> RequestError {
        RequestError::Untranslatable { param: self.at.clone(), why }
    }
}

impl<'a> Object<'a> {
    pub(super) fn body(map: &'a Map<String, Value>) -> Object<'a> {
        Object { map, at: String::new() }
    }

    /// The path of a member, made safe to show.
    pub(super) fn path(&self, key: &str) -> String {
        let key = shown_key(key);
        if self.at.is_empty() { key } else { format!("{}.{key}", self.at) }
    }

    /// A member; `None` when it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        Some(Node { value, at: self.path(key) })
    }

    pub(super) fn required(
        &self,
        key: &str,
        expected: &'static str,
    ) -> Result<Node<'a>, RequestError> {
        self.get(key).ok_or_else(|| RequestError::missing(self.path(key), expected))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, RequestError> {
        self.get(key).map(|node| node.text()).transpose()
    }

    pub(super) fn required_text(&self, key: &str) -> Result<&'a str, RequestError> {
        self.required(key, "a string")?.text()
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, RequestError> {
        Ok(self.get(key).map(|node| node.flag()).transpose()?.unwrap_or(false))
    }

    pub(super) fn list(&self, key: &str) -> Result<Vec<Node<'a>>, RequestError> {
        Ok(self.get(key).map(|node| node.list()).transpose()?.unwrap_or_default())
    }

    /// The members that say something and are not among the known ones.
    pub(super) fn others(&self, known: &[&str]) -> impl Iterator<Item = Node<'a>> {
        let unknown = |(key, _): &(&String, &Value)| !known.contains(&key.as_str());
        let others: Vec<_> =
            self.map.iter().filter(unknown).filter_map(|(key, _)| self.get(key)).collect();
        others.into_iter().filter(|node| !is_neutral(node.value))
    }
}

/// Whether a value says no more than an absent member does: null, false, 0, or empty.
pub(super) fn is_neutral(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
