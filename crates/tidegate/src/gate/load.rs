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
use super::outside::check_source;
use super::spool::Spool;
use crate::config::{self, Adversarial, GateFile, Loaded, PromptConfig};
use crate::version_set::PackedSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use tidegate_core::gate::{
    Case, CaseSet, CaseSetError, Checks, Handling, Severity, adversarial_cases,
};
use tidegate_core::version_set::ArtifactKind;

pub(crate) use csv_cases::{HEADER, case_cell, case_table, note_of_machine};
pub(crate) use defaults::Defaults;
use encoding::Encoding;
pub(crate) use forms::{Form, each_case, read_file};
use jsonl_cases::each_line;
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
    sampled(set, loaded)
}

/// The same without asking whether they are a whole eval set.
///
/// # Errors
/// A usage error with file, line, what was given and what is allowed: a file that is missing, a
/// table with another header, another encoding, a risk, key or check that does not exist, an id
/// given twice.
pub(crate) fn read_cases(loaded: &Loaded, packed: &PackedSet) -> Result<CaseSet, CasesError> {
    sampled(all_cases(loaded, packed)?, loaded)
}

fn sampled(set: CaseSet, loaded: &Loaded) -> Result<CaseSet, CasesError> {
    match loaded.project.evals.sample_size {
        Some(size) => Ok(set.sample(size)?),
        None => Ok(set),
    }
}

/// Takes cases one after the other.
pub(crate) type Take<'a> = &'a mut dyn FnMut(Case) -> Result<(), CasesError>;

/// Puts a case behind those that were read before.
///
/// # Errors
/// The disk takes no more of them.
pub(crate) fn put_aside(cases: &mut Spool<Case>, case: Case) -> Result<(), CasesError> {
    match cases.push(case) {
        Ok(_) => Ok(()),
        Err(source) => Err(CasesError::Unkept { folder: cases.folder().to_owned(), source }),
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
    let mut cases = Spool::new(&loaded.root);
    {
        let mut take = |case: Case| {
            check_source(loaded, &case)?;
            put_aside(&mut cases, case)
        };
        of_files(loaded, &defaults, &mut take)?;
        if let Some((config, file)) = prompt_config(packed)? {
            prompt_cases(&config, &file, &defaults)?.into_iter().try_for_each(&mut take)?;
        }
        let adversarial = match evals.adversarial {
            Adversarial::Off => Vec::new(),
            Adversarial::Echo => adversarial_cases(false),
            Adversarial::Literal => adversarial_cases(true),
        };
        adversarial.into_iter().try_for_each(&mut take)?;
    }
    let mut set = CaseSet { cases: cases.rows() };
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
    let mut cases = Vec::new();
    of_files(loaded, &Defaults::AS_WRITTEN, &mut |case| {
        cases.push(case);
        Ok(())
    })?;
    Ok(cases)
}

fn of_files(loaded: &Loaded, defaults: &Defaults<'_>, take: Take<'_>) -> Result<(), CasesError> {
    let evals = &loaded.project.evals;
    if !each_case(&loaded.root, &evals.cases, (Severity::Normal, defaults), take)? {
        let (file, header) = (evals.cases.clone(), HEADER.join(","));
        return Err(CasesError::NoFile { file, header });
    }
    // Cases that are no table take the place of the dataset as well: it may be the same file.
    if Form::of(&evals.cases) == Form::Table {
        each_case(&loaded.root, &evals.dataset, (Severity::Normal, defaults), take)?;
    }
    // These two are written by Tidegate, line by line, whatever they are called.
    for (path, least) in
        [(&evals.regression, Severity::Blocking), (&evals.samples, Severity::Normal)]
    {
        if let Some(text) = read_text(&loaded.root, path)? {
            each_line(&text, path, (least, defaults), take)?;
        }
    }
    Ok(())
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
    let (text, _) = Encoding::decode(bytes.clone(), &name)?;
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
        let id = content_id(None, &given.input, &[]);
        let case = Case {
            checks,
            source: place.clone(),
            // A prompt's tests assert every keyword, not a share of them.
            handling: Handling { strict: true, ..Handling::default() },
            ..Case::new(format!("prompt-{id}"), given.input.clone())
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
    let text = bytes.map(|bytes| Encoding::decode(bytes, &path.display().to_string()));
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
