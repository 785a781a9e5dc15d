//! Holds the documents against the code, and the code against its own rules: what is written stays
//! true, and what is allowed stays where it is.

#[cfg(test)]
#[path = "tidy/boundaries.rs"]
mod boundaries;
#[cfg(test)]
#[path = "tidy/once.rs"]
mod once;

#[cfg(test)]
#[path = "tidy/words.rs"]
mod words;

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// Files of more than 500 lines, with their size. Only smaller numbers and fewer lines.
    const LONG_FILES: &[(&str, usize)] = &[];

    /// Functions of more than 70 lines, with their size. Only smaller numbers and fewer lines.
    const LONG_FUNCTIONS: &[(&str, usize)] = &[];

    /// How many lines of more than 100 columns a file has: texts that rustfmt does not break. Only
    /// smaller numbers and fewer lines.
    const LONG_LINES: &[(&str, usize)] = &[
        ("crates/core/src/decide/plan.rs", 1),
        ("crates/core/src/guard/refusal.rs", 1),
        ("crates/core/src/observe/histogram.rs", 4),
        ("crates/core/src/route.rs", 1),
        ("crates/tidegate/src/cli/eval.rs", 1),
        ("crates/tidegate/src/cli/trace.rs", 1),
        ("crates/tidegate/src/config/tests.rs", 3),
        ("crates/tidegate/src/config/tests/plan.rs", 5),
        ("crates/tidegate/src/config/tests/upstreams.rs", 4),
        ("crates/tidegate/src/demo/stage.rs", 1),
        ("crates/tidegate/src/gate/load/tests.rs", 2),
        ("crates/tidegate/src/request/tests/chat.rs", 1),
        ("crates/tidegate/src/request/tests/edges.rs", 1),
        ("crates/tidegate/src/route.rs", 1),
        ("crates/tidegate/src/upstream/completion.rs", 2),
        ("crates/tidegate/src/upstream/openai/tests.rs", 1),
        ("crates/tidegate/src/upstream/simulated.rs", 2),
        ("crates/tidegate/src/upstream/simulated/reading.rs", 1),
    ];

    const FILE_MAX: usize = 500;
    const FUNCTION_MAX: usize = 70;
    const COLUMNS_MAX: usize = 100;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
    }

    fn read(path: &str) -> String {
        fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Every file below `folder` with this ending, by its path from the root; `target` and hidden
    /// folders are left out.
    fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![root().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let hidden = name.starts_with('.') || name == "target" || name == "reports";
                if path.is_dir() && !path.is_symlink() && !hidden {
                    folders.push(path);
                } else if name.ends_with(ending) {
                    let short = path.strip_prefix(root()).unwrap();
                    let short = short.to_string_lossy().replace('\\', "/");
                    found.insert(short, fs::read_to_string(&path).unwrap());
                }
            }
        }
        found
    }

    fn sources() -> BTreeMap<String, String> {
        let found = files("crates", ".rs");
        assert!(found.len() > 100, "only {} sources found", found.len());
        found
    }

    /// Our own documents; what `tidegate init` writes is a user's.
    fn documents() -> BTreeMap<String, String> {
        let mut found = files(".", ".md");
        found.retain(|path, _| {
            !path.starts_with("crates/")
                && !path.contains("/prompts/")
                && !path.contains("/knowledge/")
        });
        found
    }

    /// The texts between backticks.
    fn quoted(text: &str) -> Vec<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    /// The quoted texts of the first cell of every table row.
    fn first_cells(markdown: &str) -> Vec<&str> {
        let rows = markdown.lines().filter(|line| line.starts_with("| `"));
        rows.flat_map(|row| quoted(row.split('|').nth(1).unwrap_or_default())).collect()
    }

    /// The contents of fenced blocks with the language of the fence.
    fn code_blocks(markdown: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut open: Option<String> = None;
        for line in markdown.lines() {
            match (&mut open, line.starts_with("```")) {
                (None, true) => open = Some(format!("{line}\n")),
                (None, false) => {}
                (Some(_), true) => blocks.extend(open.take()),
                (Some(block), false) => block.push_str(&format!("{line}\n")),
            }
        }
        assert_eq!(open, None, "a code block is not closed");
        blocks
    }

    /// What the binary prints on standard output.
    fn tidegate(arguments: &[&str]) -> String {
        let binary = env!("CARGO_BIN_EXE_tidegate");
        let output = Command::new(binary).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn same<T: Ord + std::fmt::Debug>(what: &str, code: BTreeSet<T>, document: BTreeSet<T>) {
        let missing: Vec<_> = code.difference(&document).collect();
        let foreign: Vec<_> = document.difference(&code).collect();
        assert!(missing.is_empty(), "{what}: not in the document: {missing:?}");
        assert!(foreign.is_empty(), "{what}: not in the code: {foreign:?}");
    }

    /// The numbers that stand after `inv` in a test's name: `inv1_inv2_holds` carries 1 and 2.
    fn carried(name: &str) -> BTreeSet<u32> {
        let parts = name.split('_').filter_map(|part| part.strip_prefix("inv"));
        parts.filter_map(|number| number.parse().ok()).collect()
    }

    fn function_name(line: &str) -> Option<&str> {
        let at = line.find("fn ").filter(|at| *at == 0 || line[..*at].ends_with(' '))?;
        let before = line[..at].trim();
        let words = ["pub", "pub(crate)", "pub(super)", "const", "async", ""];
        let is_head = before.split(' ').all(|word| words.contains(&word));
        let name = line[at + 3..].split(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
        (is_head && !name.is_empty()).then_some(name)
    }

    #[test]
    fn every_invariant_names_its_tests() {
        let mut code = BTreeSet::new();
        for text in sources().values() {
            for name in text.lines().filter_map(function_name) {
                code.extend(carried(name).into_iter().map(|id| (id, name.to_owned())));
            }
        }
        let architecture = read("ARCHITECTURE.md");
        let mut document = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for item in architecture.split("\n- **INV-").skip(1) {
            let id: u32 = item.split("**").next().unwrap().parse().unwrap();
            let item = item.split("\n\n").next().unwrap().split("\n- ").next().unwrap();
            assert!(ids.insert(id), "INV-{id} is there twice");
            let names = quoted(item).into_iter().filter(|name| name.starts_with("inv"));
            let before = document.len();
            document.extend(names.map(|name| (id, name.to_owned())));
            assert!(document.len() > before, "INV-{id} names no test");
        }
        assert_eq!(ids, (1..=11).collect());
        same("invariants and their tests", code, document);
    }

    /// Walks a JSON Schema and gives the path of every key that has no keys below it.
    fn schema_keys(schema: &Value) -> BTreeSet<String> {
        fn walk(root: &Value, node: &Value, path: &str, keys: &mut BTreeSet<String>) {
            if let Some(name) = node["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
                walk(root, &root["$defs"][name], path, keys);
            }
            for choice in ["anyOf", "oneOf", "allOf"] {
                for one in node[choice].as_array().into_iter().flatten() {
                    walk(root, one, path, keys);
                }
            }
            for (name, value) in node["properties"].as_object().into_iter().flatten() {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(root, value, &below, keys);
                keys.insert(below);
            }
            if node["additionalProperties"].is_object() {
                walk(root, &node["additionalProperties"], &format!("{path}.*"), keys);
            }
            if node["items"].is_object() {
                walk(root, &node["items"], &format!("{path}[]"), keys);
            }
        }
        let mut keys = BTreeSet::new();
        walk(schema, schema, "", &mut keys);
        let all = keys.clone();
        let has_below = |key: &str| {
            all.iter().any(|other| {
                other.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '[']))
            })
        };
        keys.retain(|key| !has_below(key));
        keys
    }

    #[test]
    fn every_configuration_key_is_described() {
        let schema: Value = serde_json::from_str(&tidegate(&["config", "schema"])).unwrap();
        let code = schema_keys(&schema);
        assert!(code.contains("release.rungs[].weight_pct"), "{code:?}");
        let document = read("docs/configuration.md");
        let generic = |key: &str| {
            let parts: Vec<&str> =
                key.split('.').map(|part| if part.starts_with('<') { "*" } else { part }).collect();
            parts.join(".")
        };
        // Rows of keys begin with a key; other tables' first cells are presets.
        let rows = first_cells(&document);
        let keys = rows.into_iter().filter(|cell| !["careful", "ladder", "simple"].contains(cell));
        same("tidegate.yaml", code, keys.map(generic).collect());
    }

    /// Plain values among the defaults of the schema's sections, by key.
    fn schema_defaults(schema: &Value) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut add = |key: String, value: &Value| match value {
            Value::String(text) if !text.is_empty() => drop(found.insert(key, text.clone())),
            Value::Number(_) | Value::Bool(_) => drop(found.insert(key, value.to_string())),
            Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => {}
        };
        for (name, section) in schema["properties"].as_object().unwrap() {
            add(name.clone(), &section["default"]);
            for (key, value) in section["default"].as_object().into_iter().flatten() {
                add(format!("{name}.{key}"), value);
                for (below, value) in value.as_object().into_iter().flatten() {
                    add(format!("{name}.{key}.{below}"), value);
                }
            }
        }
        found
    }

    #[test]
    fn every_default_is_as_described() {
        let schema: Value = serde_json::from_str(&tidegate(&["config", "schema"])).unwrap();
        let defaults = schema_defaults(&schema);
        assert!(defaults.len() > 25, "{defaults:?}");
        let document = read("docs/configuration.md");
        for (key, value) in defaults {
            let row = document.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
            let row = row.unwrap_or_else(|| panic!("`{key}` has no row"));
            let cell = row.trim_end_matches(" |").rsplit("| ").next().unwrap().replace('`', "");
            let number = |text: &str| text.parse::<f64>().ok();
            let is_same = cell == value || number(&cell).is_some_and(|n| Some(n) == number(&value));
            assert!(is_same, "`{key}`: the default is {value}, the document says {cell}");
        }
    }

    #[test]
    fn a_decision_has_its_own_number_and_says_it() {
        let mut numbers = BTreeSet::new();
        for entry in std::fs::read_dir(root().join("docs/decisions")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let Some((number, _)) = name.split_once('-') else { continue };
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(&format!("# {number}: ")), "{name}: its heading");
            assert!(numbers.insert(number.to_owned()), "{name}: another has this number");
        }
        assert!(numbers.len() >= 20, "{numbers:?}");
    }

    #[test]
    fn every_command_is_in_both_readmes() {
        let help = tidegate(&["--help"]);
        let commands = help.split("Commands:\n").nth(1).unwrap();
        let commands: BTreeSet<String> = commands
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(|name| format!("tidegate {name}"))
            .collect();
        assert!(commands.contains("tidegate serve"), "{commands:?}");
        for readme in ["README.md", "README.zh-CN.md"] {
            let text = read(readme);
            let named = first_cells(&text).into_iter().filter(|cell| cell.starts_with("tidegate "));
            same(readme, commands.clone(), named.map(str::to_owned).collect());
        }
    }

    #[test]
    fn both_readmes_have_the_same_code_blocks() {
        let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
        assert_eq!(code_blocks(&english), code_blocks(&chinese));
        assert!(code_blocks(&english).len() > 5);
    }

    #[test]
    fn every_dependency_has_its_reason() {
        let document = read("docs/decisions/dependencies.md");
        let named: BTreeSet<String> =
            first_cells(&document).into_iter().map(str::to_owned).collect();
        let mut code = BTreeSet::new();
        let manifests = files("crates", "Cargo.toml");
        assert!(manifests.len() > 2, "{:?}", manifests.keys());
        for manifest in manifests.values() {
            let mut inside = false;
            for line in manifest.lines() {
                if line.starts_with('[') {
                    inside = line.ends_with("dependencies]");
                } else if inside && let Some((name, _)) = line.split_once(['=', '.']) {
                    code.insert(name.trim().to_owned());
                }
            }
        }
        code.retain(|name| !name.starts_with('#'));
        same("dependencies", code, named);
    }

    #[test]
    fn every_metric_is_in_the_reference() {
        let files = ["metrics.rs", "metrics/retrieval.rs", "metrics/shadow.rs", "metrics/view.rs"];
        let text =
            files.map(|file| read(&format!("crates/tidegate/src/observe/{file}"))).join("\n");
        let ours = ["llm_", "gateway_requests", "tidegate_"];
        let code: BTreeSet<String> = text
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|name| ours.iter().any(|start| name.starts_with(start)))
            .map(str::to_owned)
            .collect();
        let document = read("docs/reference-http.md");
        let named = first_cells(&document).into_iter();
        let named = named.filter(|name| ours.iter().any(|start| name.starts_with(start)));
        same("metrics", code, named.map(str::to_owned).collect());
    }

    #[test]
    fn every_endpoint_is_in_the_reference() {
        let document = read("docs/reference-http.md");
        let named: BTreeSet<&str> = quoted(&document).into_iter().collect();
        let serve = read("crates/tidegate/src/request/serve.rs");
        let paths = serve.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
        let named_path = |path: &str| named.iter().any(|text| text.split(' ').any(|w| w == path));
        for path in paths {
            assert!(named_path(path), "{path} is not in the reference");
        }
    }

    #[test]
    fn every_link_leads_somewhere() {
        let mut links = 0;
        for (path, text) in documents() {
            let folder = root().join(&path).parent().unwrap().to_owned();
            for rest in text.split("](").skip(1) {
                let target = rest.split(')').next().unwrap();
                let target = target.split('#').next().unwrap();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                assert!(folder.join(target).exists(), "{path}: `{target}` is not there");
                links += 1;
            }
        }
        assert!(links > 20, "only {links} links found");
    }

    #[test]
    fn every_named_file_is_there() {
        let ours = ["crates/", "docs/", "examples/", ".ci/", "bench/"];
        for (path, text) in documents() {
            for name in quoted(&text) {
                let name = name.split(' ').next().unwrap();
                let is_ours = ours.iter().any(|start| name.starts_with(start));
                if !is_ours || name.contains(['*', '<', '$']) {
                    continue;
                }
                // A function may stand after the file.
                let file = name.split("::").next().unwrap();
                assert!(root().join(file).exists(), "{path}: `{name}` is not there");
            }
        }
    }

    /// `found` may hold what `allowed` lists, up to the size listed.
    fn ratchet(what: &str, found: &[(String, usize)], allowed: &[(&str, usize)]) {
        let limit = |name: &str| allowed.iter().find(|(n, _)| *n == name).map_or(0, |(_, n)| *n);
        let over: Vec<_> = found.iter().filter(|(name, size)| *size > limit(name)).collect();
        assert!(over.is_empty(), "{what}: {over:#?}");
        let gone: Vec<_> =
            allowed.iter().filter(|(name, _)| found.iter().all(|(n, _)| n != name)).collect();
        assert!(gone.is_empty(), "{what}: fixed, take them out of the list: {gone:#?}");
    }

    #[test]
    fn files_say_one_thing() {
        let sizes = sources().into_iter().map(|(path, text)| (path, text.lines().count()));
        let long: Vec<_> = sizes.filter(|(_, lines)| *lines > FILE_MAX).collect();
        ratchet("files over 500 lines", &long, LONG_FILES);
    }

    /// Functions by rustfmt's indentation: from the `fn` line to the brace below it.
    fn functions(text: &str) -> Vec<(String, usize)> {
        let lines: Vec<&str> = text.lines().collect();
        let indent = |line: &str| line.len() - line.trim_start().len();
        let mut found = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let own = indent(line);
            let last = lines[start..].iter().position(|line| {
                let text = line.trim_start();
                let is_end = text == "}" || text == "});" || line.trim_end().ends_with(';');
                indent(line) == own && is_end
            });
            found.push((name.to_owned(), last.unwrap_or(0) + 1));
        }
        found
    }

    #[test]
    fn functions_fit_a_screen() {
        let mut long = Vec::new();
        let mut seen = 0;
        for (path, text) in sources() {
            for (name, lines) in functions(&text) {
                seen += 1;
                if lines > FUNCTION_MAX {
                    long.push((format!("{path}: {name}"), lines));
                }
            }
        }
        assert!(seen > 1000, "only {seen} functions found");
        ratchet("functions over 70 lines", &long, LONG_FUNCTIONS);
    }

    #[test]
    fn the_ratchet_sees_a_long_function() {
        let body = "    line();\n".repeat(80);
        let text = format!("/// Doc.\nasync fn long() {{\n{body}}}\n\nfn short() {{}}\n");
        assert_eq!(functions(&text)[0], ("long".to_owned(), 82));
    }

    #[test]
    fn lines_end_at_100_columns() {
        let long: Vec<_> = sources()
            .into_iter()
            .map(|(path, text)| {
                let long = text.lines().filter(|line| line.chars().count() > COLUMNS_MAX);
                (path, long.count())
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        ratchet("lines over 100 columns, by file", &long, LONG_LINES);
    }

    #[test]
    fn nothing_is_allowed_or_ignored() {
        // Written in two pieces, so that this file does not name them.
        let banned = [concat!("#[al", "low("), concat!("#![al", "low("), concat!("#[ig", "nore")];
        for (path, text) in sources() {
            for ban in banned {
                assert!(!text.contains(ban), "{path}: `{ban}` is not used here; expect or fix it");
            }
        }
    }

    #[test]
    fn what_is_absent_stays_absent() {
        let only = |what: &str, banned: &str, home: &str| {
            for (path, text) in sources() {
                let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let is_there = lines.into_iter().any(|line| line.contains(banned));
                let is_test = path.contains("test");
                assert!(!is_there || is_test || path.contains(home), "{path}: {what}");
            }
        };
        only("only the store has SQL", concat!("rusq", "lite::"), "crates/store/src/sqlite");
        only("only output.rs prints", concat!("stdout()", ".lock"), "/src/output.rs");
        only(
            "only clock.rs reads the time",
            concat!("SystemTime::", "now"),
            "tidegate/src/clock.rs",
        );
    }
}
