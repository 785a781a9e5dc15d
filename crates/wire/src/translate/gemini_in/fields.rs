//! Members by Google's names, in either way of writing them.

use crate::members::{Members, list};
use crate::request_error::RequestError;
use crate::translate::node::{Node, Object, is_neutral};
use crate::translate::warnings::{LEFT_OUT, NOTHING, Warnings};
use serde_json::Value;
use serde_json::value::RawValue;

/// `toolConfig` as `tool_config`.
fn snake(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// An object of a request; members are asked for as `toolConfig`, and found as `tool_config` too.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(pub(super) Object<'a>);

impl<'a> Fields<'a> {
    pub(super) fn of(node: &Node<'a>) -> Result<Fields<'a>, RequestError> {
        node.object().map(Fields)
    }

    /// A member; `None` when it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        self.0.get(key).or_else(|| self.0.get(&snake(key)))
    }

    pub(super) fn required(
        &self,
        key: &str,
        expected: &'static str,
    ) -> Result<Node<'a>, RequestError> {
        self.get(key).ok_or_else(|| RequestError::missing(self.0.path(key), expected))
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

    pub(super) fn object(&self, key: &str) -> Result<Option<Fields<'a>>, RequestError> {
        self.get(key).map(|node| Fields::of(&node)).transpose()
    }

    /// The items of a list; a single object is a list of one.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Node<'a>>, RequestError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(one) if one.value.is_object() => Ok(vec![one]),
            Some(list) => list.list(),
        }
    }

    /// Whether a member is this one, in either way of writing it.
    pub(super) fn is_called(key: &str, name: &str) -> bool {
        key == name || key == snake(name)
    }

    /// The members that say something and are not among the known ones; also one that is given in
    /// both ways of writing it.
    pub(super) fn others(&self, known: &[&str]) -> Vec<Node<'a>> {
        let is_known = |key: &str| {
            known.iter().any(|name| {
                let is_second = || key == snake(name) && self.0.get(name).is_none();
                key == *name || is_second()
            })
        };
        let others = self.0.map.keys().filter(|key| !is_known(key));
        let others = others.filter_map(|key| self.0.get(key));
        others.filter(|node| !is_neutral(node.value)).collect()
    }

    /// Refuses members that are not among the known ones; those that the answer means the same
    /// without are left out.
    pub(super) fn only(
        &self,
        known: &[&str],
        harmless: &[&str],
        warnings: &mut Warnings,
    ) -> Result<(), RequestError> {
        let all = [known, harmless].concat();
        if let Some(other) = self.others(&all).first() {
            return Err(other.untranslatable(NOTHING));
        }
        for key in harmless {
            if let Some(node) = self.get(key).filter(|node| !is_neutral(node.value)) {
                warnings.add(&node.at, LEFT_OUT);
            }
        }
        Ok(())
    }
}

/// A value of an enum, without regard to how it is written.
pub(super) fn word(node: &Node<'_>) -> Result<String, RequestError> {
    node.text().map(str::to_ascii_uppercase)
}

/// A whole number from 0 up, also in a string, as Google writes long ones.
pub(super) fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The members of an object as they were written, in either way.
pub(super) fn raw_member<'a>(object: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    let members = Members::of(object)?;
    members.get(key).or_else(|| members.get(&snake(key)))
}

/// The items of a list as they were written; a single object is a list of one.
pub(super) fn raw_list(raw: &RawValue) -> Vec<&RawValue> {
    match raw.get().trim_start().starts_with('{') {
        true => vec![raw],
        false => list(raw).unwrap_or_default(),
    }
}
