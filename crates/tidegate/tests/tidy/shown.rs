//! The tests that the tables of faults and attacks name are there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Pages whose tables name tests in their last column.
const PAGES: &[&str] = &["docs/reliability.md", "docs/security.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of every source, by its path from `crates`.
fn sources(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let short = path.to_string_lossy().replace('\\', "/");
            found.insert(short, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The names between backticks in the last cell of each row.
fn named(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

/// Whether there is a test of this name, or one that begins so; without a test, a file of tests.
fn is_there(name: &str, sources: &BTreeMap<String, String>) -> bool {
    let (place, test) = name.rsplit_once("::").unwrap_or((name, ""));
    let (module, of_edge) = match place {
        "tidegate" | "tidegate-core" | "tidegate-store" | "tidegate-wire" => {
            let folder = place.trim_start_matches("tidegate-");
            (format!("crates/{folder}/"), false)
        }
        _ => (place.rsplit("::").next().unwrap_or(place).to_owned(), true),
    };
    let is_place = |path: &str| match of_edge {
        true => path.contains("/tests/edge/") && (module == "…" || path.contains(&module)),
        false => path.contains(&module),
    };
    let begins = format!("fn {test}");
    sources.iter().any(|(path, text)| is_place(path) && (test.is_empty() || text.contains(&begins)))
}

#[test]
fn tests_that_pages_name_are_there() {
    let mut all = BTreeMap::new();
    sources(&root().join("crates"), &mut all);
    for page in PAGES {
        let names = named(&fs::read_to_string(root().join(page)).unwrap());
        assert!(names.len() > 20, "{page} names only {} tests", names.len());
        let files = |name: &str| root().join(name).exists() || name.starts_with("tidegate_");
        let gone: Vec<&String> =
            names.iter().filter(|name| !files(name) && !is_there(name, &all)).collect();
        assert!(gone.is_empty(), "{page} names tests that are not there: {gone:?}");
    }
}

#[test]
fn a_name_without_its_test_is_seen() {
    let text = "fn a_test_of_it() {}".to_owned();
    let all = BTreeMap::from([("crates/tidegate/tests/edge/near.rs".to_owned(), text)]);
    assert!(is_there("near::a_test_of", &all) && is_there("near", &all));
    assert!(!is_there("near::another", &all) && !is_there("far::a_test_of", &all));
    assert!(is_there("tidegate::a_test", &all) && !is_there("tidegate-core::a_test", &all));
}
