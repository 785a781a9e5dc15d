//! Cases as JSONL.

use super::{
    CasesError, Defaults, TEXT_MAX_BYTES, Take, content_id, defaults, fields, finish, handling,
};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use tidegate_core::gate::{Case, Checks, Severity};
use tidegate_wire::{RequestError, parse_json_object};

/// The keys of a line beside those of its checks and of how it is handled.
pub(super) const KEYS: [&str; 11] = [
    "case_id",
    "id",
    "input",
    "prompt",
    "system",
    "expected",
    "expected_behavior",
    "risk",
    "severity",
    "source",
    "checks",
];

/// Every key of a line beside those of its checks.
fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().chain(handling::KEYS).chain([fields::ASSERT])
}

/// Reads cases from JSONL text; empty lines are skipped. Each is at least as severe as `least`.
///
/// # Errors
/// A usage error that names file and line.
pub(crate) fn read_jsonl(
    text: &str,
    path: &Path,
    least: Severity,
    defaults: &Defaults<'_>,
) -> Result<Vec<Case>, CasesError> {
    let mut cases = Vec::new();
    each_line(text, path, (least, defaults), &mut |case| {
        cases.push(case);
        Ok(())
    })?;
    Ok(cases)
}

/// The same case by case.
///
/// # Errors
/// A usage error that names file and line, or that of `take`.
pub(super) fn each_line(
    text: &str,
    path: &Path,
    (least, defaults): (Severity, &Defaults<'_>),
    take: Take<'_>,
) -> Result<(), CasesError> {
    let mut cases = OfFile::new(path, least, defaults, take);
    for (i, line) in text.lines().enumerate() {
        cases.add_line(i + 1, line)?;
    }
    Ok(())
}

/// The cases of one file as they are read, no id twice.
pub(super) struct OfFile<'a> {
    path: &'a Path,
    stem: String,
    least: Severity,
    defaults: &'a Defaults<'a>,
    /// The line of each id, by two hashes of it: the ids of many cases are not kept.
    seen: HashMap<(u64, u64), usize>,
    hashes: (RandomState, RandomState),
    /// Where they go.
    take: Take<'a>,
}

impl<'a> OfFile<'a> {
    pub(super) fn new(
        path: &'a Path,
        least: Severity,
        defaults: &'a Defaults<'a>,
        take: Take<'a>,
    ) -> OfFile<'a> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let hashes = (RandomState::new(), RandomState::new());
        OfFile { path, stem, least, defaults, seen: HashMap::new(), hashes, take }
    }

    /// Adds the case that is written here as JSON, from this line on; white space is none.
    ///
    /// # Errors
    /// A usage error that names file and line.
    pub(super) fn add_line(&mut self, line: usize, text: &str) -> Result<(), CasesError> {
        if text.len() > TEXT_MAX_BYTES {
            let max = TEXT_MAX_BYTES;
            let problem = format!("the line has more than {max} bytes, which is the limit");
            return Err(self.problem(line, problem));
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        let members =
            object(text).map_err(|(below, problem)| self.problem(line + below, problem))?;
        self.add(line, members)
    }

    /// Adds a case.
    ///
    /// # Errors
    /// A usage error that names file and line.
    pub(super) fn add(
        &mut self,
        line: usize,
        members: Map<String, Value>,
    ) -> Result<(), CasesError> {
        let place = format!("{}:{line}", self.path.display());
        let case = case_of(members, &self.stem, &place)
            .map_err(|problem| CasesError::Field { place: place.clone(), problem })?;
        let id = (self.hashes.0.hash_one(&case.id), self.hashes.1.hash_one(&case.id));
        if let Some(first) = self.seen.insert(id, line) {
            return Err(CasesError::TwiceInLines { place, id: case.id, first });
        }
        let severity = case.severity.max(self.least);
        (self.take)(finish(Case { severity, ..case }, &place, self.defaults)?)
    }

    fn problem(&self, line: usize, problem: String) -> CasesError {
        CasesError::Field { place: format!("{}:{line}", self.path.display()), problem }
    }
}

/// A case from its members; `stem` begins the name of one without an id.
pub(super) fn case_of(
    mut members: Map<String, Value>,
    stem: &str,
    place: &str,
) -> Result<Case, String> {
    let checks = checks(&mut members)?;
    if let Some(key) = members.keys().find(|key| !keys().any(|known| known == key.as_str())) {
        let near = fields::near(key, keys().chain(fields::check_names()));
        return Err(format!("there is no key `{}`{near}", fields::cut(key)));
    }
    let handling = handling::handling(&mut members)?;
    let system = fields::text(&mut members, "system")?;
    if system.is_some() && handling::has_system(&handling.messages) {
        return Err("`system` is given beside a system prompt in `messages`".to_owned());
    }
    let input = match (one_of(&mut members, "input", "prompt")?, handling.messages.as_slice()) {
        (Some(input), []) if input.trim().is_empty() => {
            return Err("`input` is empty".to_owned());
        }
        (Some(input), []) => input,
        (None, []) => return Err("`input` is missing".to_owned()),
        (Some(_), _) => {
            return Err("`input` and `messages` are both given; the question is the last message"
                .to_owned());
        }
        (None, messages) => handling::question(messages),
    };
    let id = match one_of(&mut members, "case_id", "id")? {
        Some(id) if id.trim().is_empty() => return Err("`case_id` is empty".to_owned()),
        Some(id) => id.trim().to_owned(),
        None => format!("{stem}-{}", content_id(system.as_deref(), &input, &handling.messages)),
    };
    let risk = match fields::text(&mut members, "risk")? {
        Some(risk) => fields::risk(&risk)?,
        None => defaults::risk_of_id(&id),
    };
    let severity = fields::text(&mut members, "severity")?;
    let severity = severity.map(|given| fields::severity(&given)).transpose()?;
    let source = match fields::text(&mut members, "source")? {
        Some(source) => format!("{place} (from {})", fields::cut(&source)),
        None => place.to_owned(),
    };
    Ok(Case {
        id,
        input,
        system,
        expected_behavior: fields::text(&mut members, "expected_behavior")?.unwrap_or_default(),
        expected: fields::text(&mut members, "expected")?,
        risk,
        severity: severity.unwrap_or_default(),
        checks,
        source,
        handling,
    })
}

/// Reads a text as a JSON object without a key twice.
///
/// # Errors
/// How many lines below its first the text goes wrong, and how.
fn object(text: &str) -> Result<Map<String, Value>, (usize, String)> {
    match parse_json_object(text.as_bytes()) {
        Ok(members) => return Ok(members),
        Err(error @ (RequestError::DuplicateKey { .. } | RequestError::TooManyValues)) => {
            return Err((0, error.to_string().replacen("the body", "the line", 1)));
        }
        Err(_) => {}
    }
    let wrong = |error: serde_json::Error| {
        let (line, problem) = not_json(&error);
        (line.saturating_sub(1), problem)
    };
    match json(text).map_err(wrong)? {
        Value::Object(members) => Ok(members),
        _ => Err((0, "the line is not a JSON object".to_owned())),
    }
}

/// On which line a text goes wrong as JSON, and how.
pub(super) fn not_json(error: &serde_json::Error) -> (usize, String) {
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or_default();
    (error.line(), format!("not valid JSON at column {}: {what}", error.column()))
}

/// Reads a line as JSON. Half of a surrogate pair, which programs that cut texts by 16-bit units
/// leave in escapes such as `\ud83d`, becomes U+FFFD: it is no character, and no reason to refuse
/// the whole file.
fn json(line: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(line).or_else(|error| match whole_surrogates(line) {
        Some(repaired) => serde_json::from_str(&repaired),
        None => Err(error),
    })
}

/// The line with `\ufffd` in place of each escape of half a surrogate pair; `None` where there is
/// none.
fn whole_surrogates(line: &str) -> Option<String> {
    let unit = |at: usize| -> Option<u32> {
        let digits = line.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut at, mut replaced) = (String::with_capacity(line.len()), 0, false);
    while let Some(found) = line[at..].find('\\').map(|found| at + found) {
        out.push_str(&line[at..found]);
        let low = |at| unit(at).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        let length = match unit(found) {
            Some(0xd800..0xdc00) if low(found + 6) => 12,
            Some(0xd800..0xe000) => {
                (replaced, at) = (true, found + 6);
                out.push_str("\\ufffd");
                continue;
            }
            Some(_) => 6,
            // An escape of one character; it may not be ASCII in a broken line.
            None => 1 + line[found + 1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&line[found..found + length]);
        at = found + length;
    }
    out.push_str(&line[at..]);
    replaced.then_some(out)
}

/// Takes the checks out: those under `checks` and those beside the other keys.
fn checks(members: &mut Map<String, Value>) -> Result<Checks, String> {
    let mut values = match members.remove("checks") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(values)) => values,
        Some(_) => return Err("`checks` is not a JSON object".to_owned()),
    };
    let is_known = |key: &str| fields::is_check(key) || key == fields::ASSERT;
    if let Some(key) = values.keys().find(|key| !is_known(key)) {
        let near = fields::near(key, fields::check_names());
        return Err(format!("there is no check `{}`{near}", fields::cut(key)));
    }
    let named: Vec<String> = members.keys().filter(|key| is_known(key)).cloned().collect();
    for name in named {
        if let Some(value) = members.remove(&name)
            && values.insert(name.clone(), value).is_some()
        {
            return Err(format!("`{name}` is given twice, once under `checks`"));
        }
    }
    values.retain(|_, value| !value.is_null());
    fields::checks(values)
}

/// Takes the one of two names of the same field out.
fn one_of(
    members: &mut Map<String, Value>,
    name: &str,
    other: &str,
) -> Result<Option<String>, String> {
    match (fields::text(members, name)?, fields::text(members, other)?) {
        (Some(_), Some(_)) => Err(format!("`{name}` and `{other}` are the same field; give one")),
        (Some(value), None) | (None, Some(value)) => Ok(Some(value)),
        (None, None) => Ok(None),
    }
}
