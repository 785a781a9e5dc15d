//! Plain English: words that a reader in a second language has to decode are not used again.

#[path = "shown.rs"]
mod shown;
#[path = "supply.rs"]
mod supply;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates and the documents in which the rule holds. Decisions are history.
const CRATES: &[&str] = &["core", "simulate", "store", "tidegate", "wire"];
const DOCUMENTS: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs",
    "docs/benchmarks",
    "crates/tidegate/templates",
];

/// A word, and what to write instead.
const BANNED: &[(&str, &str)] = &[
    ("stands", "is, is in, holds"),
    ("stood", "was, was in"),
    ("told", "said, given, decided, shown"),
    ("tells", "says, shows"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("whom", "which users, to which"),
    ("goes back", "rolls back"),
    ("go back", "roll back"),
    ("went back", "rolled back"),
    ("gone back", "rolled back"),
    ("of its own", "separate, another, or nothing"),
    ("of their own", "separate, different, or nothing"),
    ("in work", "running, in progress"),
    ("things stand", "the current state"),
    ("nobody's", "no person's, no one's, or say what it is"),
    ("second try", "retry"),
    ("second tries", "retries"),
    ("aftermath", "post-release work"),
    ("anew", "again, or rewrite, restart, reopen"),
    ("lately", "recently, recent"),
    ("held against", "compared with, or counts against"),
    ("would not tell", "would not settle this"),
    ("is so still", "is still open"),
];

/// Texts that must have such a word: what models and users say. A file and how many lines.
const KEPT: &[(&str, usize)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Adds the file, or those in the folder and, for sources, below it.
fn add(path: &Path, ending: &str, found: &mut BTreeMap<String, String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let below = entry.unwrap().path();
            if ending == "rs" || below.is_file() {
                add(&below, ending, found);
            }
        }
    } else if path.extension().is_some_and(|end| end == ending) {
        let short = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        found.insert(short, fs::read_to_string(path).unwrap());
    }
}

fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    CRATES.iter().for_each(|name| add(&root().join("crates").join(name), "rs", &mut found));
    DOCUMENTS.iter().for_each(|name| add(&root().join(name), "md", &mut found));
    // This file has the list.
    found.remove("crates/tidegate/tests/tidy/words.rs");
    found
}

/// Whether the phrase is in the line as whole words.
fn has(line: &str, phrase: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + phrase.len()..]);
        !is_word(before.chars().next_back()) && !is_word(after.chars().next())
    })
}

fn banned_in(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        let words = BANNED.iter().filter(|(word, _)| has(&line, word));
        found.extend(words.map(|(word, instead)| (number + 1, *word, *instead)));
    }
    found
}

#[test]
fn words_to_decode_are_not_used() {
    let sources = sources();
    assert!(sources.len() > 400, "only {} sources found", sources.len());
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        let found = banned_in(text);
        let kept = KEPT.iter().find(|(file, _)| file == path).map_or(0, |(_, count)| *count);
        if found.len() == kept {
            continue;
        }
        wrong.extend(found.iter().map(|(line, word, instead)| {
            format!("{path}:{line}: `{word}`, {kept} such lines are kept; write: {instead}")
        }));
    }
    assert!(wrong.is_empty(), "words to replace:\n{}", wrong.join("\n"));
    let gone = KEPT.iter().find(|(file, _)| !sources.contains_key(*file));
    assert!(gone.is_none(), "{gone:?} is gone: take it out of the list");
}

#[test]
fn a_banned_word_is_seen_as_a_whole_word() {
    let words = |text: &str| -> Vec<&str> {
        banned_in(text).into_iter().map(|(_, word, _)| word).collect()
    };
    assert_eq!(words("/// Where it STANDS.\n// understands, amended, toldo"), ["stands"]);
    assert_eq!(words("it goes back; a_told_b, told"), ["told", "goes back"]);
}
