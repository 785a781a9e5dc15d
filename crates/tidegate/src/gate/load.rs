//! Reading the cases of a project; the rules are at the head of [`super`].

mod csv_cases;
mod defaults;
mod encoding;
mod fields;
mod forms;
mod handling;
mod jsonl_cases;
mod prompt_tests;
mod schema;
mod table;

use super::checks::Scorer;
use super::error::{CasesError, EncodingProblem};
use super::outside::check_sources;
use crate::config::{self, Adversarial, GateFile, Loaded, PromptConfig};
use crate::version_set::PackedSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use tidegate_core::gate::{
    Case, CaseSet, CaseSetError, Checks, Handling, Risk, Severity, adversarial_cases,
};
use tidegate_core::version_set::ArtifactKind;

pub(crate) use csv_cases::{HEADER, case_cell, case_table, note_of_machine, read_csv};
pub(crate) use defaults::Defaults;
use encoding::Encoding;
pub(crate) use forms::{Form, read_file};
pub(crate) use jsonl_cases::read_jsonl;
pub(crate) use prompt_tests::{PromptTests, prompt_tests};
pub(crate) use schema::case_schema;
pub(crate) use table::Table;

/// Largest file of cases, bytes: some hundred thousand cases, and no memory exhausted by a wrong
/// path.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Longest line, cell or JSON value of one case, bytes: a question to a model with the longest
/// context there is.
const TEXT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Reads the cases of the project that are asked: the file of cases, the dataset, the regression
/// file, the samples and the prompt's own; they must be five or more, over all five risks. With
/// `evals.sample_size` a part of them.
///
/// # Errors
/// As [`read_cases`]; or there are too few, or a class of risk has no case.
pub(crate) fn load_cases(loaded: &Loaded, packed: &PackedSet) -> Result<CaseSet, CasesError> {
    let set = all_cases(loaded, packed)?;
    set.check().map_err(|error| set_error(error, &loaded.project.evals.cases))?;
    Ok(sampled(set, loaded))
}

/// The same without asking whether they are a whole eval set.
///
/// # Errors
/// A usage error with file, line, what was given and what is allowed: a file that is missing, a
/// table with another header, another encoding, a risk, key or check that does not exist, an id
/// given twice.
pub(crate) fn read_cases(loaded: &Loaded, packed: &PackedSet) -> Result<CaseSet, CasesError> {
    Ok(sampled(all_cases(loaded, packed)?, loaded))
}

fn sampled(set: CaseSet, loaded: &Loaded) -> CaseSet {
    match loaded.project.evals.sample_size {
        Some(size) => set.sample(size),
        None => set,
    }
}

/// Reads every case of the project, sampled or not.
///
/// # Errors
/// As [`read_cases`].
pub(crate) fn all_cases(loaded: &Loaded, packed: &PackedSet) -> Result<CaseSet, CasesError> {
    let evals = &loaded.project.evals;
    let defaults = Defaults {
        latency_ms: evals.latency_ms,
        contract: loaded.project.contract.output.as_ref(),
        as_written: false,
    };
    let mut cases = of_files(loaded, &defaults)?;
    if let Some((config, file)) = prompt_config(packed)? {
        cases.extend(prompt_cases(&config, &file, &defaults)?);
    }
    match evals.adversarial {
        Adversarial::Off => {}
        Adversarial::Echo => cases.extend(adversarial_cases(false)),
        Adversarial::Literal => cases.extend(adversarial_cases(true)),
    }
    check_sources(loaded, &cases)?;
    let mut set = CaseSet { cases };
    set.check_ids().map_err(|error| set_error(error, &evals.cases))?;
    if let Some(file) = GateFile::of(loaded)? {
        file.mark(&mut set);
    }
    Ok(set)
}

/// The cases of the project's files as they are written; those of prompts are not among them.
///
/// # Errors
/// As [`read_cases`].
pub(crate) fn file_cases(loaded: &Loaded) -> Result<Vec<Case>, CasesError> {
    of_files(loaded, &Defaults::AS_WRITTEN)
}

fn of_files(loaded: &Loaded, defaults: &Defaults<'_>) -> Result<Vec<Case>, CasesError> {
    let evals = &loaded.project.evals;
    let read = |path, least| read_file(&loaded.root, path, least, defaults);
    let Some(mut cases) = read(&evals.cases, Severity::Normal)? else {
        let (file, header) = (evals.cases.clone(), HEADER.join(","));
        return Err(CasesError::NoFile { file, header });
    };
    // Cases that are no table take the place of the dataset as well: it may be the same file.
    let dataset = (Form::of(&evals.cases) == Form::Table).then_some(&evals.dataset);
    if let Some(dataset) = dataset {
        add(&mut cases, read(dataset, Severity::Normal)?.unwrap_or_default());
    }
    // These two are written by Tidegate, line by line, whatever they are called.
    for (path, least) in
        [(&evals.regression, Severity::Blocking), (&evals.samples, Severity::Normal)]
    {
        if let Some(text) = read_text(&loaded.root, path)? {
            cases.extend(read_jsonl(&text, path, least, defaults)?);
        }
    }
    Ok(cases)
}

/// Adds cases behind the others; the longer list is not copied, which may be most of the memory.
pub(crate) fn add(cases: &mut Vec<Case>, mut more: Vec<Case>) {
    if more.len() > cases.len() {
        more.splice(0..0, std::mem::take(cases));
        *cases = more;
    } else {
        cases.append(&mut more);
    }
}

/// The `config.yaml` of the set's prompt and its name for errors; `None` where there is none.
///
/// # Errors
/// A usage error when it cannot be read.
pub(crate) fn prompt_config(
    packed: &PackedSet,
) -> Result<Option<(PromptConfig, String)>, CasesError> {
    let Some(prompt) = packed.set.artifacts.get(&ArtifactKind::Prompt) else { return Ok(None) };
    let Some(file) = prompt.files.get("config.yaml") else { return Ok(None) };
    let name = format!("{}/config.yaml", prompt.version);
    let Some(bytes) = packed.blobs.get(&file.digest) else {
        return Err(CasesError::NotPacked { file: name });
    };
    let (text, _) = Encoding::decode(bytes, &name)?;
    let config = config::parse_yaml(&text, Path::new(&name))?;
    Ok(Some((config, name)))
}

/// The prompt's own cases.
fn prompt_cases(
    config: &PromptConfig,
    file: &str,
    defaults: &Defaults<'_>,
) -> Result<Vec<Case>, CasesError> {
    let mut cases = Vec::new();
    for (i, given) in config.test_cases.iter().enumerate() {
        let place = format!("{file}: test_cases[{i}]");
        if given.input.trim().is_empty() {
            return Err(CasesError::Field { place, problem: "`input` is empty".to_owned() });
        }
        let checks = Checks {
            expected_keywords: given.expected_keywords.clone(),
            forbidden_keywords: given.forbidden_keywords.clone(),
            expected_contains: given.expected_contains.clone(),
            max_length: given.max_length,
            ..Checks::default()
        };
        let case = Case {
            id: format!("prompt-{}", content_id(None, &given.input, &[])),
            input: given.input.clone(),
            system: None,
            expected_behavior: String::new(),
            expected: None,
            risk: Risk::Regression,
            severity: Severity::Normal,
            checks,
            source: place.clone(),
            // A prompt's tests assert every keyword, not a share of them.
            handling: Handling { strict: true, ..Handling::default() },
        };
        cases.push(finish(case, &place, defaults)?);
    }
    Ok(cases)
}

/// Gives a case the checks it has none of, and tries them.
fn finish(mut case: Case, place: &str, defaults: &Defaults<'_>) -> Result<Case, CasesError> {
    defaults.complete(&mut case);
    if defaults.as_written && case.checks.is_empty() {
        return Ok(case);
    }
    let tried = Scorer::new(&case).map(|_| ());
    match tried {
        Ok(()) => Ok(case),
        Err(problem) => {
            let problem = format!("case `{}`: {problem}", case.id);
            Err(CasesError::Field { place: place.to_owned(), problem })
        }
    }
}

/// A case from its members, as a line of JSONL has them; `stem` begins the name of one without an
/// id.
///
/// # Errors
/// A usage error about this place.
pub(crate) fn read_members(
    members: serde_json::Map<String, serde_json::Value>,
    stem: &str,
    place: &str,
    defaults: &Defaults<'_>,
) -> Result<Case, CasesError> {
    let case = jsonl_cases::case_of(members, stem, place)
        .map_err(|problem| CasesError::Field { place: place.to_owned(), problem })?;
    finish(case, place, defaults)
}

/// A name for a case from what it asks.
fn content_id(system: Option<&str>, input: &str, messages: &[serde_json::Value]) -> String {
    let mut parts = vec![system.unwrap_or_default().to_owned(), input.to_owned()];
    parts.extend(messages.iter().map(serde_json::Value::to_string));
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    tidegate_core::ids::Digest::of_parts(&parts).short(8).to_owned()
}

/// A file of the project as text, without a byte order mark; `None` where there is no such file.
///
/// # Errors
/// As [`read_bytes`]; or its encoding is not one that is read.
pub(crate) fn read_text(root: &Path, path: &Path) -> Result<Option<String>, CasesError> {
    let bytes = read_bytes(root, path)?;
    let text = bytes.map(|bytes| Encoding::decode(&bytes, &path.display().to_string()));
    Ok(text.transpose()?.map(|(text, _)| text))
}

/// A file of the project; `None` where there is no such file.
///
/// # Errors
/// A usage error when it cannot be read or is too large.
pub(crate) fn read_bytes(root: &Path, path: &Path) -> Result<Option<Vec<u8>>, CasesError> {
    let Some(mut file) = open(root, path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    match file.read_to_end(&mut bytes) {
        Ok(_) => Ok(Some(bytes)),
        Err(source) => Err(CasesError::Unreadable { file: path.to_owned(), source }),
    }
}

/// Opens a file of the project that is not too large; `None` where there is no such file.
fn open(root: &Path, path: &Path) -> Result<Option<File>, CasesError> {
    let unreadable = |source| CasesError::Unreadable { file: path.to_owned(), source };
    let file = match File::open(root.join(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        let (file, max) = (path.to_owned(), MAX_FILE_BYTES);
        return Err(CasesError::TooLarge { file, bytes, max });
    }
    Ok(Some(file))
}

fn set_error(problem: CaseSetError, cases: &Path) -> CasesError {
    CasesError::NoSet { problem, file: cases.to_owned() }
}

#[cfg(test)]
mod tests;
