//! The forms of a file of cases, by what its name ends with.

use super::jsonl_cases::{OfFile, each_line, not_json};
use super::{CasesError, Defaults, Encoding, Take, csv_cases::read_csv, prompt_cases, read_bytes};
use crate::config::{self, PromptCase, PromptConfig};
use serde_json::Value;
use serde_json::value::RawValue;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use tidegate_core::gate::{Case, Severity};

/// How the cases of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A case a row: `.csv`, `.tsv`, and names of any other ending.
    Table,
    /// A case a line: `.jsonl`, `.ndjson`.
    Lines,
    /// A JSON list of cases, or lines: `.json`.
    Json,
    /// A YAML list of cases: `.yaml`, `.yml`.
    Yaml,
}

impl Form {
    /// The form of the file of that name.
    pub(crate) fn of(path: &Path) -> Form {
        Form::named(path).unwrap_or(Form::Table)
    }

    /// The form that a name's ending says; `None` for another ending.
    pub(super) fn named(path: &Path) -> Option<Form> {
        let extension = path.extension()?.to_ascii_lowercase();
        match extension.to_str()? {
            "csv" | "tsv" => Some(Form::Table),
            "jsonl" | "ndjson" => Some(Form::Lines),
            "json" => Some(Form::Json),
            "yaml" | "yml" => Some(Form::Yaml),
            _ => None,
        }
    }
}

/// Reads a file of cases in any form; `None` where there is no such file. Each is at least as
/// severe as `least`.
///
/// # Errors
/// A usage error that names file and line.
pub(crate) fn read_file(
    root: &Path,
    path: &Path,
    least: Severity,
    defaults: &Defaults<'_>,
) -> Result<Option<Vec<Case>>, CasesError> {
    let mut cases = Vec::new();
    let is_there = each_case(root, path, (least, defaults), &mut |case| {
        cases.push(case);
        Ok(())
    })?;
    Ok(is_there.then_some(cases))
}

/// The same case by case: of a file of lines, each before the next is read. Whether there is such a
/// file.
///
/// # Errors
/// A usage error that names file and line, or that of `take`.
pub(crate) fn each_case(
    root: &Path,
    path: &Path,
    (least, defaults): (Severity, &Defaults<'_>),
    take: Take<'_>,
) -> Result<bool, CasesError> {
    let form = Form::of(path);
    if form == Form::Lines && is_lines(root, path)? {
        return each_of_lines(root, path, OfFile::new(path, least, defaults, take)).map(|()| true);
    }
    let Some(bytes) = read_bytes(root, path)? else { return Ok(false) };
    if form == Form::Table {
        let mut severe = |case: Case| take(Case { severity: case.severity.max(least), ..case });
        return read_csv(bytes, path, defaults, &mut severe).map(|()| true);
    }
    let (text, _) = Encoding::decode(bytes, &path.display().to_string())?;
    let how = (least, defaults);
    match form {
        Form::Yaml => read_yaml(&text, path, how, take),
        Form::Json if text.trim_start().starts_with('[') => read_list(&text, path, how, take),
        Form::Json | Form::Lines | Form::Table => each_line(&text, path, how, take),
    }?;
    Ok(true)
}

/// Whether there is such a file and it can be read line by line: one that is not UTF-8 is read as a
/// whole, for its name.
fn is_lines(root: &Path, path: &Path) -> Result<bool, CasesError> {
    let unreadable = |source| CasesError::Unreadable { file: path.to_owned(), source };
    let Some(file) = super::open(root, path)? else { return Ok(false) };
    let (mut reader, mut begins, mut half) = (file, vec![0; 64 * 1024], 0);
    let mut is_first = true;
    loop {
        let read = reader.read(&mut begins[half..]).map_err(unreadable)?;
        let bytes = &begins[..half + read];
        if is_first && !is_utf8(bytes) {
            return Ok(false);
        }
        is_first = false;
        half = match std::str::from_utf8(bytes) {
            Ok(_) => 0,
            // The rest of a character may come with the next bytes.
            Err(error) if error.error_len().is_none() && read > 0 => {
                let from = error.valid_up_to();
                let length = bytes.len() - from;
                begins.copy_within(from..from + length, 0);
                length
            }
            Err(_) => return Ok(false),
        };
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Reads lines one by one, so that the file is never held as a whole.
fn each_of_lines(root: &Path, path: &Path, mut cases: OfFile<'_>) -> Result<(), CasesError> {
    let unreadable = |source| CasesError::Unreadable { file: path.to_owned(), source };
    let Some(file) = super::open(root, path)? else { return Ok(()) };
    let mut reader = BufReader::new(file);
    if reader.fill_buf().map_err(unreadable)?.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let most = super::TEXT_MAX_BYTES as u64 + 1;
        let read = reader.by_ref().take(most).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        // It was UTF-8 just now; a line that is too long may be cut within a character.
        let text = String::from_utf8_lossy(&line);
        cases.add_line(number, text.trim_end_matches(['\n', '\r']))?;
    }
    Ok(())
}

/// Whether a file that begins so is UTF-8, and no archive.
fn is_utf8(begins: &[u8]) -> bool {
    ![&b"\xff\xfe"[..], b"\xfe\xff", b"PK\x03\x04"].iter().any(|mark| begins.starts_with(mark))
        && !begins.contains(&0)
}

/// Reads a JSON list.
fn read_list(
    text: &str,
    path: &Path,
    (least, defaults): (Severity, &Defaults<'_>),
    take: Take<'_>,
) -> Result<(), CasesError> {
    let mut cases = OfFile::new(path, least, defaults, take);
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
        let (line, problem) = not_json(&error);
        CasesError::Field { place: format!("{}:{line}", path.display()), problem }
    })?;
    let (mut at, mut line) = (0, 1);
    for item in items {
        // The item is a part of the text.
        let start = item.get().as_ptr().addr() - text.as_ptr().addr();
        line += text[at..start].matches('\n').count();
        at = start;
        cases.add_line(line, item.get())?;
    }
    Ok(())
}

/// Reads a YAML list: of cases, alone or under `cases`, or of a prompt's tests under `test_cases`.
fn read_yaml(
    text: &str,
    path: &Path,
    (least, defaults): (Severity, &Defaults<'_>),
    take: Take<'_>,
) -> Result<(), CasesError> {
    let read = config::parse_yaml_value(text, path)?;
    let name = path.display();
    let wrong = |line, problem: &str| CasesError::Field {
        place: format!("{name}:{line}"),
        problem: problem.to_owned(),
    };
    let (under, items) = match &read.value {
        Value::Array(items) => ("", items),
        Value::Object(members) => match members.iter().next() {
            Some((key, Value::Array(items))) if members.len() == 1 && key == "cases" => {
                ("cases", items)
            }
            Some((key, _)) if members.len() == 1 && key == "test_cases" => {
                return prompt_tests(text, path, defaults)?.into_iter().try_for_each(take);
            }
            _ => return Err(wrong(1, "the keys are not `cases` alone, a list of cases")),
        },
        _ => return Err(wrong(1, "the file is not a list of cases")),
    };
    let mut cases = OfFile::new(path, least, defaults, take);
    for (i, item) in items.iter().enumerate() {
        let line = read.line(&format!("{under}[{i}]"));
        let Value::Object(members) = item else {
            return Err(wrong(line, "the case is not keys with values"));
        };
        cases.add(usize::try_from(line).unwrap_or_default(), members.clone())?;
    }
    Ok(())
}

/// A YAML file of a prompt's tests.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    test_cases: Vec<PromptCase>,
}

fn prompt_tests(text: &str, path: &Path, defaults: &Defaults<'_>) -> Result<Vec<Case>, CasesError> {
    let TestFile { test_cases } = config::parse_yaml(text, path)?;
    let config = PromptConfig { test_cases, ..PromptConfig::default() };
    prompt_cases(&config, &path.display().to_string(), defaults)
}
