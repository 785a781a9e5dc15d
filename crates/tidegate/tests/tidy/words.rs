//! Plain English: words that a reader in a second language has to decode are not used again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the rule holds, below `crates`.
const CRATES: &[&str] = &["core", "simulate", "store", "wire"];

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
    ("second try", "retry"),
    ("second tries", "retries"),
    ("aftermath", "post-release work"),
    ("would not tell", "would not settle this"),
    ("is so still", "is still open"),
];

/// Texts that must have such a word: what models and users say. A file and how many lines.
const KEPT: &[(&str, usize)] = &[];

fn sources() -> BTreeMap<String, String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| crates.join(name)).collect();
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let short = path.strip_prefix(&crates).unwrap().to_string_lossy().into_owned();
                found.insert(short, fs::read_to_string(&path).unwrap());
            }
        }
    }
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
    assert!(sources.len() > 150, "only {} sources found", sources.len());
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        let found = banned_in(text);
        let kept = KEPT.iter().find(|(file, _)| file == path).map_or(0, |(_, count)| *count);
        if found.len() == kept {
            continue;
        }
        wrong.extend(found.iter().map(|(line, word, instead)| {
            format!("crates/{path}:{line}: `{word}`, {kept} such lines are kept; write: {instead}")
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
