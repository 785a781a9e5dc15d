//! JSON read strictly: UTF-8, one object, no key twice in any object, a bounded number of values.

use crate::request_error::{RequestError, shown_key, type_name};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// Most values that one request may have: objects, lists, texts, numbers, at all depths together.
/// A value takes up to 200 bytes in memory, in the body it may be two bytes. The longest
/// conversations with tools have a few thousand.
pub const VALUES_MAX: usize = 32_768;

/// What a value takes beside its text, bytes: its place in a list or an object.
const VALUE_BYTES: usize = 128;
/// What an object takes more, bytes: the index of its members.
const OBJECT_BYTES: usize = 64;

/// Memory that the values of a JSON text take once they are read, bytes; an estimate from above
/// that reads nothing but brackets and commas. More than [`VALUES_MAX`] values are never held.
pub fn tree_bytes(text: &[u8]) -> usize {
    let Counted { values, objects } = Counted::of(text);
    match values > VALUES_MAX {
        true => 0,
        false => text.len() + values * VALUE_BYTES + objects * OBJECT_BYTES,
    }
}

/// How many values a JSON text has: objects, lists, texts, numbers, at all depths together.
pub fn json_values(text: &[u8]) -> usize {
    Counted::of(text).values
}

/// How many values a JSON text has; of one that is not JSON, as many as are read before that shows.
struct Counted {
    values: usize,
    objects: usize,
}

impl Counted {
    fn of(text: &[u8]) -> Counted {
        let mut counted = Counted { values: 1, objects: 0 };
        let mut is_fresh = false;
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            let was_fresh = std::mem::replace(&mut is_fresh, matches!(byte, b'{' | b'['));
            match byte {
                b'"' => skip_string(&mut bytes),
                b'{' | b'[' => {
                    counted.values += 1;
                    counted.objects += usize::from(*byte == b'{');
                }
                b',' => counted.values += 1,
                // An empty list or object has none.
                b'}' | b']' if was_fresh => counted.values -= 1,
                b' ' | b'\t' | b'\r' | b'\n' => is_fresh = was_fresh,
                _ => {}
            }
        }
        counted
    }
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
    // A value takes two bytes at least. The count comes first: nothing is held of what is refused.
    if bytes.len() > 2 * VALUES_MAX && Counted::of(bytes).values > VALUES_MAX {
        return Err(RequestError::TooManyValues);
    }
    let (refused, items, members) = Default::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Strict { refused: &refused, items: &items, members: &members }
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
    /// Items of the lists that are being read, those of the innermost last: a list is made once it
    /// is known how long it is, since one that grows takes up to four times its memory.
    items: &'a RefCell<Vec<Value>>,
    /// The same of objects.
    members: &'a RefCell<Vec<(String, Value)>>,
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
        let first = self.items.borrow().len();
        while let Some(item) = seq.next_element_seed(self)? {
            self.items.borrow_mut().push(item);
        }
        Ok(Value::Array(self.items.borrow_mut().drain(first..).collect()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let first = self.members.borrow().len();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(self)?;
            self.members.borrow_mut().push((key, value));
        }
        let mut members = self.members.borrow_mut();
        let mut map = Map::with_capacity(members.len() - first);
        for (key, value) in members.drain(first..) {
            match map.entry(key) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(twice) => {
                    let key = shown_key(twice.key());
                    return Err(self.refuse(RequestError::DuplicateKey { key }));
                }
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[\\[\\]{},\"\\\\ 退]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a,\\]}\\\\\"]{0,3}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Values and objects of a tree.
    fn count(value: &Value) -> (usize, usize) {
        let all = |inner: &mut dyn Iterator<Item = &Value>, objects| {
            inner.map(count).fold((1, objects), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        match value {
            Value::Array(items) => all(&mut items.iter(), 0),
            Value::Object(map) => all(&mut map.values(), 1),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (1, 0),
        }
    }

    proptest! {
        /// Values are counted before they are read as they are once they were, and what is read is
        /// what was written.
        #[test]
        fn values_are_counted_and_kept(inner in any_json()) {
            let body = json!({ "x": inner });
            for text in [body.to_string(), serde_json::to_string_pretty(&body).unwrap()] {
                let Counted { values, objects } = Counted::of(text.as_bytes());
                prop_assert_eq!((values, objects), count(&body), "{}", text);
                prop_assert_eq!(&Value::Object(parse_json_object(text.as_bytes()).unwrap()), &body);
            }
        }
    }

    fn nested(values: usize) -> String {
        // The body, the list, and two for each item.
        format!(r#"{{"x":[{}]}}"#, vec![r#"{"":0}"#; values / 2 - 1].join(","))
    }

    #[test]
    fn one_value_too_many_is_refused() {
        assert!(parse_json_object(nested(VALUES_MAX).as_bytes()).is_ok());
        let more = parse_json_object(nested(VALUES_MAX + 2).as_bytes());
        assert_eq!(more, Err(RequestError::TooManyValues));
        assert_eq!(tree_bytes(nested(VALUES_MAX + 2).as_bytes()), 0, "nothing of it is held");
    }

    #[test]
    fn a_key_given_twice_is_found_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":[{"b":{"a":1,"c":[],"a":2}}]}"#] {
            let key = "a".to_owned();
            let refused = Err(RequestError::DuplicateKey { key });
            assert_eq!(parse_json_object(text.as_bytes()), refused, "{text}");
        }
    }
}
