//! JSON read strictly: UTF-8, one object, no key twice in any object, a bounded number of values.

use crate::request_error::{RequestError, shown_key, type_name};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Most values that one request may have: objects, lists, texts, numbers, at all depths together.
/// A value takes up to half a kilobyte in memory, in the body it may be two bytes. The longest
/// conversations with tools have a few thousand.
pub const VALUES_MAX: usize = 32_768;

/// What a value takes beside its text, bytes: its place in a list or an object that has grown.
const VALUE_BYTES: usize = 128;
/// What an object takes more, bytes: its first entries and their index.
const OBJECT_BYTES: usize = 512;

/// Memory that the values of a JSON text take once they are read, bytes; an estimate from above
/// that reads nothing but brackets and commas. More than [`VALUES_MAX`] values are never held.
pub fn tree_bytes(text: &[u8]) -> usize {
    let (mut values, mut objects) = (1_usize, 0_usize);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' => (values, objects) = (values + 1, objects + 1),
            b'[' | b',' => values += 1,
            _ => {}
        }
    }
    text.len() + values.min(VALUES_MAX) * VALUE_BYTES + objects.min(VALUES_MAX) * OBJECT_BYTES
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// Reads one JSON object; every member is kept.
///
/// Integers beyond 64 bits become floating-point numbers, as `serde_json` reads them.
///
/// # Errors
/// [`RequestError`] when the bytes are empty, not UTF-8, not JSON, nested too deeply, not an
/// object, an object at any depth has a key twice, or there are more than [`VALUES_MAX`] values.
pub fn parse_json_object(bytes: &[u8]) -> Result<Map<String, Value>, RequestError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| RequestError::NotUtf8 { at: error.valid_up_to() })?;
    if text.trim().is_empty() {
        return Err(RequestError::Empty);
    }
    let (refused, values) = (RefCell::new(None), Cell::new(0));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Strict { refused: &refused, values: &values }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match read {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => Err(RequestError::NotObject { found: type_name(&other) }),
        Err(error) => Err(match refused.into_inner() {
            Some(refused) => refused,
            // serde_json has no kind for this; its text is the only sign. Were the text to
            // change, the answer would still be a 400 for a body that is not valid JSON.
            None if error.to_string().starts_with("recursion limit") => RequestError::TooDeep,
            None => RequestError::NotJson { line: error.line(), column: error.column() },
        }),
    }
}

/// Reads any value as `serde_json::Value` does, but refuses a key that occurs twice. It also
/// gives no meaning to serde_json's own private keys, which `Value` would act on.
#[derive(Clone, Copy)]
struct Strict<'a> {
    /// Why it is refused, where that is not serde_json's to say.
    refused: &'a RefCell<Option<RequestError>>,
    /// Values so far.
    values: &'a Cell<usize>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, why: RequestError) -> E {
        let message = why.to_string();
        *self.refused.borrow_mut() = Some(why);
        E::custom(message)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > VALUES_MAX {
            return Err(self.refuse(RequestError::TooManyValues));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(self.refuse(RequestError::DuplicateKey { key: shown_key(&key) }));
            }
            let value = access.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
