//! What is written once. A second module with the mark of a piece of logic writes that logic again.

use crate::boundaries::{modules, root};

/// A mark in the code, the crate and module that may have it (empty where none may), and what it is
/// the mark of.
const ONCE: &[(&str, &str, &str)] = &[
    ("strsim::", "tidegate near", "how like two words are"),
    ("\"did you mean", "tidegate near", "what was probably meant"),
    ("\"&lt;\"", "core text::escape", "characters that mean something in markup"),
    (".is_loopback()", "tidegate config::address", "what other machines can reach"),
    ("\"/chat/completions\"", "tidegate config::address", "what a base URL is"),
    ("TextDiff::", "tidegate version_set::diff", "the lines that differ"),
    ("\"state.db\"", "store sqlite", "where the state is: ask `Store::exists`"),
    (".tidegate/state.db", "", "where the state is: ask `Store::exists`"),
    ("http1::Builder", "tidegate http::listener", "serving HTTP"),
    (".accept()", "tidegate http::listener", "taking connections"),
    ("BytesMut::", "", "putting a body together: `http::Collected` does"),
    ("rest: BytesMut", "tidegate http::body", "putting a body together"),
    ("Limited::new", "", "reading a body: `http::UnreadBody` does, and in time"),
];

/// The modules that have a mark, as `crate module`.
fn having(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["core", "simulate", "store", "tidegate", "wire"] {
        let modules = modules(&root().join("crates").join(name).join("src"));
        let having = modules.iter().filter(|(_, text)| text.contains(mark));
        found.extend(having.map(|(module, _)| format!("{name} {module}")));
    }
    found
}

#[test]
fn each_piece_of_logic_is_written_once() {
    for (mark, place, what) in ONCE {
        let allowed: Vec<&str> =
            Some(*place).filter(|place| !place.is_empty()).into_iter().collect();
        assert_eq!(having(mark), allowed, "`{mark}` is the mark of: {what}");
    }
}
