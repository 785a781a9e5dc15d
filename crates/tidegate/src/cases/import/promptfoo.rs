//! Tests of promptfoo: a configuration or a list of tests, tests as a table, or a result with the
//! tests that made it.
//!
//! A test passes where all assertions do, or with a `threshold` where their weighted mean reaches
//! it: here `strict`, or the case's `threshold`. Prompts, providers and settings of a run are no
//! part of a case and not read.

mod assertion;
mod table;

use super::super::error::Result;
use super::document::Document;
use super::template::{question, rendered, scalar};
use super::{Imported, Options, is_empty, stem};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What a configuration says of the run, not of its tests.
const OF_THE_RUN: [&str; 18] = [
    "$schema",
    "description",
    "tags",
    "prompts",
    "providers",
    "targets",
    "tests",
    "defaultTest",
    "outputPath",
    "sharing",
    "env",
    "evaluateOptions",
    "commandLineOptions",
    "writeLatestResults",
    "metadata",
    "assertionTemplates",
    "$defs",
    "tracing",
];
/// What is read of a test.
const OF_A_TEST: [&str; 6] = ["description", "vars", "assert", "threshold", "metadata", "options"];
/// Most tests that the values of one test's variables may make.
const COMBINATIONS_MAX: usize = 1_000;
/// How deep files may name files.
const FILES_DEEP: usize = 3;

/// Reads the tests of a file and of the files that it names.
///
/// # Errors
/// It cannot be read, or holds something else.
pub(super) fn read(path: &Path, options: Options<'_>, out: &mut Imported) -> Result<()> {
    read_file(path, &Test::default(), (options, 0), out)
}

fn read_file(
    path: &Path,
    default: &Test,
    (options, deep): (Options<'_>, usize),
    out: &mut Imported,
) -> Result<()> {
    let ending = path.extension().map(|it| it.to_ascii_lowercase()).unwrap_or_default();
    if ending == "csv" || ending == "tsv" {
        for row in table::read(path)? {
            let mut test = default.clone();
            test.add(&row);
            test.write((path, options), out);
        }
        return Ok(());
    }
    let document = Document::read(path)?;
    let mut reader = Reader { document: &document, path, options, deep, out };
    match &document.value {
        Value::Array(_) => reader.tests("", default),
        Value::Object(whole) => match &whole.get("results").unwrap_or(&Value::Null)["results"] {
            Value::Array(rows) => {
                reader.results(rows);
                Ok(())
            }
            _ if whole.contains_key("tests") || whole.contains_key("scenarios") => {
                reader.configuration(whole)
            }
            _ if whole.contains_key("vars") || whole.contains_key("assert") => {
                let test = reader.test("", whole, default.clone());
                test.write((path, options), reader.out);
                Ok(())
            }
            _ => Err(document.wrong("", "there are no `tests`, and no results of any")),
        },
        _ => Err(document.wrong("", "the file is neither a configuration nor a list of tests")),
    }
}

/// What a test says, with what it has of the default.
#[derive(Debug, Clone, Default)]
struct Test {
    place: String,
    description: Option<String>,
    vars: Map<String, Value>,
    /// Each with its place.
    asserts: Vec<(String, Value)>,
    threshold: Option<Value>,
    /// Members of a case: `metadata`, `tags`.
    labels: Map<String, Value>,
    /// What has no place in a case.
    lost: Vec<(String, String)>,
}

impl Test {
    fn lose(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.lost.push((place.into(), what.into()));
    }

    /// Adds what a test says to that of its default.
    fn add(&mut self, test: &Test) {
        self.place.clone_from(&test.place);
        self.description = test.description.clone().or(self.description.take());
        self.vars.extend(test.vars.clone());
        self.asserts.extend(test.asserts.iter().cloned());
        self.threshold = test.threshold.clone().or(self.threshold.take());
        self.labels.extend(test.labels.clone());
        self.lost.extend(test.lost.iter().cloned());
    }

    /// Writes the test as cases: one for each combination of its variables' values.
    fn write(&self, (path, options): (&Path, Options<'_>), out: &mut Imported) {
        for (place, what) in &self.lost {
            out.lose(place.clone(), what.clone());
        }
        let Some(all) = combinations(&self.vars) else {
            let problem = format!("variables that make more than {COMBINATIONS_MAX} tests");
            return out.lose(self.place.clone(), problem);
        };
        for (n, vars) in all.iter().enumerate() {
            self.write_one(vars, n == 0, (path, options), out);
        }
    }

    fn write_one(
        &self,
        vars: &Map<String, Value>,
        first: bool,
        (path, options): (&Path, Options<'_>),
        out: &mut Imported,
    ) {
        let place = self.place.as_str();
        let (input, left) = match question(vars, options.input) {
            Ok(found) => found,
            Err(problem) => return out.lose(place, format!("the test: {problem}")),
        };
        if first {
            for name in left {
                out.lose(
                    place,
                    format!("the variable `{name}` beside the question; see `--input`"),
                );
            }
        }
        let input = match rendered(&input, vars) {
            Ok(input) if input.starts_with("file://") => {
                return out.lose(place, format!("the test: its question is in `{input}`"));
            }
            Ok(input) => input,
            Err(problem) => return out.lose(place, format!("the test: {problem}")),
        };
        let mut members = Map::from_iter([("input".to_owned(), Value::from(input))]);
        if let Some(text) = self.description.as_ref().filter(|text| !text.is_empty()) {
            members.insert("expected_behavior".to_owned(), text.as_str().into());
        }
        let mut checks = Vec::new();
        for (place, assertion) in &self.asserts {
            let read = assertion::checks(assertion, vars);
            checks.extend(read.checks);
            // Once for all values of the variables.
            for what in read.lost.into_iter().filter(|_| first) {
                out.lose(place.clone(), what);
            }
            for what in read.notes.into_iter().filter(|_| first) {
                out.note(place.clone(), what);
            }
        }
        if !checks.is_empty() {
            members.insert("assert".to_owned(), checks.into());
        }
        match &self.threshold {
            None | Some(Value::Null) => drop(members.insert("strict".to_owned(), true.into())),
            Some(least) => drop(members.insert("threshold".to_owned(), least.clone())),
        }
        members.extend(self.labels.clone());
        out.take(members, &stem(path), place);
    }
}

/// Every choice of one value of each variable that has several; `None` where there are too many.
fn combinations(vars: &Map<String, Value>) -> Option<Vec<Map<String, Value>>> {
    let mut all = vec![Map::new()];
    for (name, value) in vars {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        let with = |so_far: &Map<String, Value>, value: &Value| {
            let mut more = so_far.clone();
            more.insert(name.clone(), value.clone());
            more
        };
        if all.len().saturating_mul(values.len()) > COMBINATIONS_MAX {
            return None;
        }
        all = all.iter().flat_map(|so_far| values.iter().map(|v| with(so_far, v))).collect();
    }
    Some(all)
}

struct Reader<'a, 'b> {
    document: &'a Document,
    path: &'a Path,
    options: Options<'a>,
    /// How many files named this one.
    deep: usize,
    out: &'b mut Imported,
}

impl Reader<'_, '_> {
    fn configuration(&mut self, whole: &Map<String, Value>) -> Result<()> {
        let default = match whole.get("defaultTest") {
            Some(Value::Object(default)) => self.test("defaultTest", default, Test::default()),
            None | Some(Value::Null) => Test::default(),
            Some(_) => {
                let place = self.document.place("defaultTest");
                self.out.lose(place, "`defaultTest` is in another file");
                Test::default()
            }
        };
        for (key, value) in whole {
            if !OF_THE_RUN.contains(&key.as_str()) && !is_empty(value) {
                let place = self.document.place(key);
                self.out.lose(place, format!("`{key}` has no place in cases"));
            }
        }
        match whole.get("tests") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(file)) => self.file("tests", file, &default),
            Some(_) => self.tests("tests", &default),
        }
    }

    /// The tests of a list: each written out, or the file that has them.
    fn tests(&mut self, under: &str, default: &Test) -> Result<()> {
        let list = match under {
            "" => &self.document.value,
            key => &self.document.value[key],
        };
        let Value::Array(tests) = list else {
            return Err(self.document.wrong(under, "`tests` is not a list"));
        };
        for (i, test) in tests.iter().enumerate() {
            let at = format!("{under}[{i}]");
            match test {
                Value::Object(test) => {
                    let test = self.test(&at, test, default.clone());
                    test.write((self.path, self.options), self.out);
                }
                Value::String(file) => self.file(&at, file, default)?,
                _ => return Err(self.document.wrong(&at, "the test is not keys with values")),
            }
        }
        Ok(())
    }

    /// The tests of another file, named as `file://tests.yaml` beside this one.
    fn file(&mut self, at: &str, named: &str, default: &Test) -> Result<()> {
        let name = named.strip_prefix("file://").unwrap_or(named);
        let ending = PathBuf::from(name).extension().unwrap_or_default().to_ascii_lowercase();
        let is_read =
            ["csv", "tsv", "yaml", "yml", "json", "jsonl"].iter().any(|known| ending == *known);
        let is_far = name.contains("://") || name.contains(['*', '{', '$']);
        if !is_read || is_far || self.deep >= FILES_DEEP {
            let place = self.document.place(at);
            self.out.lose(place, format!("tests that are made by `{named}`"));
            return Ok(());
        }
        let path = self.path.parent().unwrap_or(Path::new("")).join(name);
        read_file(&path, default, (self.options, self.deep + 1), self.out)
    }

    /// A test, on top of its default.
    fn test(&mut self, at: &str, test: &Map<String, Value>, mut default: Test) -> Test {
        let place = |path: &str| self.document.place(&format!("{at}{path}"));
        let mut own = Test { place: place(""), ..Test::default() };
        own.description = test.get("description").and_then(scalar);
        own.threshold = test.get("threshold").cloned();
        match test.get("vars") {
            None | Some(Value::Null) => {}
            Some(Value::Object(vars)) => own.vars.clone_from(vars),
            Some(_) => own.lose(place(".vars"), "variables that are in another file"),
        }
        for (key, value) in test {
            if !OF_A_TEST.contains(&key.as_str()) && !is_empty(value) {
                own.lose(place(&format!(".{key}")), format!("`{key}` of a test"));
            }
        }
        let options = test.get("options").and_then(Value::as_object);
        for (key, value) in options.into_iter().flatten() {
            match (key.as_str(), value) {
                ("disableDefaultAsserts", Value::Bool(true)) => default.asserts.clear(),
                (_, Value::Bool(false)) => {}
                (_, value) if is_empty(value) => {}
                _ => own.lose(place(&format!(".options.{key}")), format!("the option `{key}`")),
            }
        }
        if let Some(asserts) = test.get("assert").and_then(Value::as_array) {
            self.asserts(&format!("{at}.assert"), asserts, &mut own);
        }
        let given = test.get("metadata").unwrap_or(&Value::Null);
        own.labels = self.out.metadata(self.document, &format!("{at}.metadata"), given);
        default.add(&own);
        default
    }

    /// The assertions of a list, those of sets without a threshold among them: such a set passes
    /// where each of its assertions does.
    fn asserts(&self, at: &str, asserts: &[Value], test: &mut Test) {
        for (i, given) in asserts.iter().enumerate() {
            let at = format!("{at}[{i}]");
            let place = self.document.place(&at);
            let given = match given["$ref"].as_str() {
                None => given,
                Some(named) => match named.strip_prefix('#') {
                    Some(pointer) if self.document.value.pointer(pointer).is_some() => {
                        self.document.value.pointer(pointer).unwrap_or(given)
                    }
                    _ => {
                        test.lose(place, format!("the assertion `{named}` in another file"));
                        continue;
                    }
                },
            };
            match (given["type"].as_str(), given["assert"].as_array()) {
                (Some("assert-set"), Some(inner)) if is_empty(&given["threshold"]) => {
                    self.asserts(&format!("{at}.assert"), inner, test);
                }
                (Some("assert-set"), _) => {
                    test.lose(place, "an `assert-set` with a threshold");
                }
                _ => test.asserts.push((place, given.clone())),
            }
        }
    }

    /// The tests that made a result; each once, however many prompts and providers it was run on.
    fn results(&mut self, rows: &[Value]) {
        let mut seen: Vec<&Value> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let index = &row["testIdx"];
            let of = if index.is_null() { &row["testCase"] } else { index };
            if seen.contains(&of) {
                continue;
            }
            seen.push(of);
            let (at, test) = match row["testCase"].as_object() {
                Some(test) => (format!("results.results[{i}].testCase"), test.clone()),
                None => {
                    let vars = [("vars".to_owned(), row["vars"].clone())];
                    (format!("results.results[{i}]"), Map::from_iter(vars))
                }
            };
            let test = self.test(&at, &test, Test::default());
            test.write((self.path, self.options), self.out);
        }
    }
}
