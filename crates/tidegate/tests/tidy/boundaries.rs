//! What depends on what: between crates by what cargo says, inside a crate by its `use` lines.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What each crate of ours may name in `[dependencies]`, ours and others'. A crate that is not
/// listed is not allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tidegate-core", &["aho-corasick", "regex", "serde", "serde_json", "sha2", "thiserror"]),
    ("tidegate-wire", &["serde", "serde_json", "thiserror"]),
    (
        "tidegate-store",
        &["rusqlite", "serde", "serde_json", "thiserror", "tidegate-core", "tokio", "zstd"],
    ),
    (
        "tidegate-simulate",
        &["clap", "indicatif", "serde", "serde_json", "thiserror", "tidegate-core", "time"],
    ),
];

/// Crates that reach the world, by whatever way: no pure crate depends on one.
const WORLDLY: &[&str] =
    &["getrandom", "hyper", "mio", "rand", "rusqlite", "socket2", "time", "tokio"];

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// What depends on what.
struct Packages {
    /// Names in `[dependencies]` of our crates.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// All that any package may be built with, on whatever platform; of ours, what is declared.
    needed: BTreeMap<String, BTreeSet<String>>,
}

impl Packages {
    fn read() -> Packages {
        let mut command = Command::new(env!("CARGO"));
        command.args(["metadata", "--offline", "--no-deps", "--format-version", "1"]);
        let output = command.current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut declared = BTreeMap::new();
        for package in metadata["packages"].as_array().unwrap() {
            let all = package["dependencies"].as_array().unwrap().iter();
            // Its kind is null, or else it is for tests or build scripts.
            let normal = all.filter(|dependency| dependency["kind"].is_null());
            let named = normal.map(|dependency| text(&dependency["name"])).collect();
            declared.insert(text(&package["name"]), named);
        }
        let mut needed = locked(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap());
        needed.extend(declared.clone());
        Packages { declared, needed }
    }

    /// All that a package is built with, itself left out.
    fn reach(&self, name: &str) -> BTreeSet<String> {
        reach(&self.needed, name)
    }
}

/// The names in a lock file, each with what it depends on. Two versions of one are taken together.
fn locked(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in text.split("[[package]]\n").skip(1) {
        let name = package.split('"').nth(1).unwrap().to_owned();
        let list = package.split("dependencies = [").nth(1).unwrap_or_default();
        let quoted = list.split(']').next().unwrap().split('"').skip(1).step_by(2);
        let below = quoted.map(|entry| entry.split(' ').next().unwrap().to_owned());
        found.entry(name).or_default().extend(below);
    }
    found
}

fn reach(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for below in graph.get(&name).into_iter().flatten() {
            if found.insert(below.clone()) {
                open.push(below.clone());
            }
        }
    }
    found
}

#[test]
fn each_crate_depends_on_what_it_may() {
    let packages = Packages::read();
    for (name, allowed) in ALLOWED {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let found = &packages.declared[*name];
        assert_eq!(found, &allowed, "{name}: the dependencies are not those that are allowed");
    }
    let ours = packages.declared.keys().map(String::as_str);
    let unlisted: Vec<_> =
        ours.filter(|name| *name != "tidegate" && ALLOWED.iter().all(|(n, _)| n != name)).collect();
    assert!(unlisted.is_empty(), "crates without a boundary: {unlisted:?}");
}

#[test]
fn the_pure_crates_reach_nothing_of_the_world() {
    let packages = Packages::read();
    for pure in ["tidegate-core", "tidegate-wire"] {
        let reach = packages.reach(pure);
        let found: Vec<_> = WORLDLY.iter().filter(|name| reach.contains(**name)).collect();
        assert!(found.is_empty(), "{pure} depends on {found:?}");
        let src = root().join("crates").join(pure.trim_start_matches("tidegate-")).join("src");
        let banned =
            ["std::fs", "std::net", "std::env", "std::thread", "std::process", "SystemTime"];
        for (module, text) in modules(&src) {
            let found: Vec<_> =
                banned.iter().chain(&["Instant::now"]).filter(|b| text.contains(**b)).collect();
            assert!(found.is_empty(), "{pure}, module `{module}`: {found:?}");
        }
    }
}

#[test]
fn only_the_store_needs_sql_and_nothing_needs_the_benchmark() {
    let Packages { declared, needed } = Packages::read();
    let of = |name: &str| -> Vec<&str> {
        let has = |(_, below): &(&String, &BTreeSet<String>)| below.contains(name);
        declared.iter().filter(has).map(|(user, _)| user.as_str()).collect()
    };
    assert_eq!(of("rusqlite"), ["tidegate-store"]);
    assert_eq!(of("tidegate-store"), ["tidegate"]);
    assert_eq!(of("tidegate-simulate"), Vec::<&str>::new());
    assert_eq!(of("tidegate"), Vec::<&str>::new());
    assert!(!reach(&needed, "tidegate-simulate").contains("tidegate-store"));
}

/// The map in ARCHITECTURE.md: each line between the fences names a crate and, after the arrow,
/// what of ours it depends on.
#[test]
fn the_map_of_crates_is_as_drawn() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let map = text.split("## Crates\n").nth(1).unwrap().split("```").nth(1).unwrap();
    let drawn: BTreeMap<String, BTreeSet<String>> = map
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, below) = line.split_once("──►").unwrap_or((line, ""));
            let words = below.split(['·', ' ']).filter(|word| !word.is_empty());
            (name.trim().to_owned(), words.map(str::to_owned).collect())
        })
        .collect();
    let Packages { declared, .. } = Packages::read();
    let ours: BTreeSet<String> = declared.keys().cloned().collect();
    let found: BTreeMap<String, BTreeSet<String>> = declared
        .into_iter()
        .map(|(name, below)| (name, below.intersection(&ours).cloned().collect()))
        .collect();
    assert_eq!(drawn, found, "redraw the map under \"Crates\"");
}

/// The code map in ARCHITECTURE.md: a module has a row under the heading of its folder, and a row
/// has a module.
#[test]
fn every_module_is_in_the_code_map() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for folder in
        ["crates/core/src", "crates/core/src/decide", "crates/wire/src", "crates/tidegate/src"]
    {
        let heading = format!("### `{folder}`\n");
        let section = text.split(&heading).nth(1).unwrap().split("\n#").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let first_cells = rows.map(|row| row.split(" |").next().unwrap_or_default());
        let drawn: BTreeSet<&str> = first_cells.flat_map(|cell| cell.split("`, `")).collect();
        let drawn: BTreeSet<String> = drawn.iter().map(|name| name.replace('`', "")).collect();
        let found: BTreeSet<String> = modules(&root().join(folder))
            .into_keys()
            .map(|module| module.split("::").next().unwrap_or_default().to_owned())
            .filter(|module| !module.is_empty())
            .collect();
        assert_eq!(drawn, found, "rows under {heading}");
    }
}

/// The sources of a crate by module path, without comments, tests and what only tests use.
pub(crate) fn modules(src: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let is_test = ["tests", "testing", "suite"].contains(&name.as_str());
            if is_test {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let module = path.strip_prefix(src).unwrap().with_extension("");
                let parts = module.iter().map(|part| part.to_string_lossy().into_owned());
                let parts: Vec<String> =
                    parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str())).collect();
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(parts.join("::"), code(&text));
            }
        }
    }
    assert!(!found.is_empty(), "{}", src.display());
    found
}

/// The text up to its test module, without comment lines.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree: `a::{b, c::{d as e}}` gives `a::b` and `a::c::d`.
fn expanded(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expanded(&part)).map(|path| format!("{before}{path}")).collect()
}

/// Paths into the own crate: those of `use` lines, and those written out in the code.
fn paths(text: &str) -> Vec<String> {
    let is_own = |path: &str| ["crate::", "super::", "self::"].iter().any(|s| path.starts_with(s));
    let mut found = Vec::new();
    let mut rest = String::new();
    for (i, statement) in text.split(';').enumerate() {
        let start = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end_matches("pub(crate) ");
            let before = before.trim_end_matches("pub(super) ").trim_end_matches("pub ");
            before.is_empty() || before.ends_with('\n')
        });
        let body = start.map_or(statement, |at| &statement[..at]);
        rest.push_str(body);
        rest.push(if i == 0 { ' ' } else { '\n' });
        found.extend(start.into_iter().flat_map(|at| expanded(&statement[at + 4..])));
    }
    found.retain(|path| is_own(path));
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    found.extend(rest.split(|c| !is_word(c)).filter(|word| is_own(word)).map(str::to_owned));
    found
}

/// Which module needs which; a parent and its children are one thing.
fn graph(modules: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in modules {
        for path in paths(text) {
            let mut at: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
            for part in path.split("::") {
                match part {
                    "crate" => at.clear(),
                    "super" => drop(at.pop()),
                    "self" => {}
                    name => at.push(name),
                }
            }
            let named = (1..=at.len()).rev().map(|n| at[..n].join("::"));
            let Some(other) = named.into_iter().find(|name| modules.contains_key(name)) else {
                continue;
            };
            let is_below = |a: &str, b: &str| a.starts_with(&format!("{b}::"));
            if other != *module && !is_below(&other, module) && !is_below(module, &other) {
                graph.entry(module.clone()).or_default().insert(other);
            }
        }
    }
    graph
}

/// Groups of modules that need each other.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|module| (module, reach(graph, module))).collect();
    let round = |module: &String| -> Vec<String> {
        let back = |other: &&String| reached.get(other).is_some_and(|r| r.contains(module));
        reached[module].iter().filter(|other| back(other)).cloned().collect()
    };
    graph.keys().map(round).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn no_circle_of_modules_is_left() {
    for name in ["core", "simulate", "store", "tidegate", "wire"] {
        let graph = graph(&modules(&root().join("crates").join(name).join("src")));
        let links = |circle: Vec<String>| -> Vec<String> {
            let needs = |module: &String| {
                let to = graph[module].iter().filter(|to| circle.contains(to));
                format!("  {module} -> {}", to.cloned().collect::<Vec<_>>().join(", "))
            };
            circle.iter().map(needs).collect()
        };
        let found: Vec<String> = circles(&graph).into_iter().flat_map(links).collect();
        assert!(found.is_empty(), "a circle in crates/{name}:\n{}", found.join("\n"));
    }
}

#[test]
fn a_circle_is_seen_and_a_parent_is_none() {
    let source = |text: &str| code(text);
    let modules: BTreeMap<String, String> = BTreeMap::from([
        ("a".to_owned(), source("use crate::b::{c::{X as Y}, Z};\n")),
        ("b".to_owned(), source("mod c;\npub(crate) use c::X;\n// use crate::a;\n")),
        ("b::c".to_owned(), source("use super::Z;\nfn f() { super::super::d::g() }\n")),
        ("d".to_owned(), source("fn g() { crate::a::h(); }\n")),
        ("e".to_owned(), source("use crate::a::h;\n#[cfg(test)]\nmod tests {\nuse crate::f;\n}")),
        ("f".to_owned(), source("use super::e;\n")),
    ]);
    let circle = ["a", "b::c", "d"].map(str::to_owned).to_vec();
    assert_eq!(circles(&graph(&modules)), BTreeSet::from([circle]));
}

/// Where the command line's error may be named. Every other module has its own error type; what
/// each means at the command line is said in `cli::errors`, and to clients in `request::problem`.
/// The admin plane carries the command line's error to the command that asked, which says the same
/// with a server and without one.
const SPEAKS_CLI_ERROR: &[&str] = &["cli", "control::admin", "demo", "error"];

#[test]
fn the_error_of_the_command_line_stays_out_of_the_layers_below() {
    let modules = modules(&root().join("crates/tidegate/src"));
    let names_it = |text: &str| ["crate::error", "CliError"].iter().any(|n| text.contains(n));
    let is_of = |name: &str, place: &str| {
        name == place || name.strip_prefix(place).is_some_and(|rest| rest.starts_with("::"))
    };
    for place in SPEAKS_CLI_ERROR {
        let said = modules.iter().any(|(name, text)| is_of(name, place) && names_it(text));
        assert!(said, "`{place}` does not name it any more: take it out of the list");
    }
    for (name, text) in &modules {
        let may = SPEAKS_CLI_ERROR.iter().any(|place| is_of(name, place));
        assert!(may || !names_it(text), "{name} speaks the command line's error");
    }
}
