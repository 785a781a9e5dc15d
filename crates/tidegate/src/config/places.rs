//! Where each key of a YAML file is, so that an error can point at it.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::collections::HashMap;
use std::fmt;

/// A place in a file; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The line.
    pub(super) line: u64,
    /// The column, in characters.
    pub(super) column: u64,
}

impl Place {
    /// The place of a parser's location; none where the parser did not know it.
    pub(super) fn of(location: Location) -> Option<Place> {
        let place = Place { line: location.line(), column: location.column() };
        (place.line > 0).then_some(place)
    }
}

/// A YAML value with the places of everything in it.
#[derive(Debug)]
pub(super) enum Node {
    /// Keys and values in the order of the file.
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    /// Items.
    Seq(Vec<Spanned<Node>>),
    /// Text, or a number or truth value as text.
    Scalar(String),
    /// Nothing was written.
    Null,
}

impl Node {
    /// The entry of a map.
    pub(super) fn entry(&self, key: &str) -> Option<&(Spanned<String>, Spanned<Node>)> {
        self.entries().iter().find(|(name, _)| name.value == key)
    }

    /// All entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(Spanned<String>, Spanned<Node>)] {
        match self {
            Node::Map(entries) => entries,
            Node::Seq(_) | Node::Scalar(_) | Node::Null => &[],
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Node::Scalar(text) => Some(text),
            Node::Map(_) | Node::Seq(_) | Node::Null => None,
        }
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Seq(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// One key or item: its path (`upstreams.main.kind`, `credentials[0].name`) and where it is.
#[derive(Debug)]
struct Entry {
    path: String,
    key: Option<Place>,
    value: Option<Place>,
}

/// The places of a whole file.
#[derive(Debug, Default)]
pub(super) struct Places {
    entries: Vec<Entry>,
}

impl Places {
    /// The places of everything under the root.
    pub(super) fn of(root: &Node) -> Places {
        let mut places = Places::default();
        places.add(root, "");
        places
    }

    fn add(&mut self, node: &Node, path: &str) {
        match node {
            Node::Map(entries) => {
                for (key, value) in entries {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", key.value);
                    self.push(&path, Place::of(key.referenced), value);
                }
            }
            Node::Seq(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.push(&format!("{path}[{i}]"), None, item);
                }
            }
            Node::Scalar(_) | Node::Null => {}
        }
    }

    fn push(&mut self, path: &str, key: Option<Place>, value: &Spanned<Node>) {
        let value_place = Place::of(value.referenced);
        self.entries.push(Entry { path: path.to_owned(), key, value: value_place });
        self.add(&value.value, path);
    }

    /// Where the value at this path is; for what is not written, the nearest thing around it.
    pub(super) fn value(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(entry) = self.entries.iter().find(|entry| entry.path == path) {
                return entry.value.or(entry.key);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// The line of each path: of its key, or of its value where it has none.
    pub(super) fn lines(&self) -> HashMap<String, u64> {
        let line = |entry: &Entry| Some(entry.key.or(entry.value)?.line);
        self.entries.iter().filter_map(|entry| Some((entry.path.clone(), line(entry)?))).collect()
    }

    /// Where the key at this path is.
    pub(super) fn key(&self, path: &str) -> Option<Place> {
        self.entries.iter().find(|entry| entry.path == path)?.key
    }

    /// The path of the key or value that is here.
    pub(super) fn path_at(&self, place: Place) -> Option<&str> {
        let at = |found: Option<Place>| found == Some(place);
        // The innermost: a list's first item starts where the list does.
        let entry = self.entries.iter().rev().find(|entry| at(entry.value) || at(entry.key))?;
        Some(&entry.path)
    }
}
