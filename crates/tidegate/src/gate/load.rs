//! Reading the cases of a project; the rules are at the head of [`super`].

mod csv_cases;
mod defaults;
mod encoding;
mod fields;
mod handling;
mod jsonl_cases;
mod prompt_tests;
mod table;

use super::checks::Scorer;
use super::error::{CasesError, EncodingProblem};
use super::outside::check_sources;
use crate::config::{self, Adversarial, Loaded, PromptConfig};
use crate::version_set::PackedSet;
use std::path::Path;
use tidegate_core::gate::{
    Case, CaseSet, CaseSetError, Checks, Handling, Risk, Severity, adversarial_cases,
};
use tidegate_core::version_set::ArtifactKind;

pub(crate) use csv_cases::{HEADER, case_table, note_of_machine, read_csv};
pub(crate) use defaults::Defaults;
use encoding::Encoding;
pub(crate) use jsonl_cases::read_jsonl;
pub(crate) use prompt_tests::{PromptTests, prompt_tests};

/// Largest file of cases, bytes: some hundred thousand cases, and no memory exhausted by a wrong
/// path.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Reads every case of the project: the CSV, the dataset, the regression file, the samples and the
/// prompt's own;
/// they must be five or more, over all five risks.
///
/// # Errors
/// As [`read_cases`]; or there are too few, or a class of risk has no case.
pub(crate) fn load_cases(loaded: &Loaded, packed: &PackedSet) -> Result<CaseSet, CasesError> {
    let set = read_cases(loaded, packed)?;
    set.check().map_err(|error| set_error(error, &loaded.project.evals.cases))?;
    Ok(set)
}

/// The same without asking whether they are a whole eval set.
///
/// # Errors
/// A usage error with file, line, what was given and what is allowed: a CSV that is missing or has
/// another header, a file in another encoding, a risk, key or check that does not exist, an id
/// given twice.
pub(crate) fn read_cases(loaded: &Loaded, packed: &PackedSet) -> Result<CaseSet, CasesError> {
    let evals = &loaded.project.evals;
    let defaults = Defaults {
        latency_ms: evals.latency_ms,
        contract: loaded.project.contract.output.as_ref(),
    };
    let mut cases = Vec::new();
    let Some(bytes) = read_bytes(&loaded.root, &evals.cases)? else {
        let (file, header) = (evals.cases.clone(), HEADER.join(","));
        return Err(CasesError::NoFile { file, header });
    };
    let is_jsonl = is_jsonl(&evals.cases);
    cases.extend(match is_jsonl {
        true => {
            let (text, _) = Encoding::decode(&bytes, &evals.cases.display().to_string())?;
            read_jsonl(&text, &evals.cases, Severity::Normal, &defaults)?
        }
        false => read_csv(&bytes, &evals.cases, &defaults)?,
    });
    // Cases as JSONL take the place of the dataset as well: it may be the same file.
    let dataset = (!is_jsonl).then_some((&evals.dataset, Severity::Normal));
    let written = [(&evals.regression, Severity::Blocking), (&evals.samples, Severity::Normal)];
    for (path, least) in dataset.into_iter().chain(written) {
        if let Some(text) = read_text(&loaded.root, path)? {
            cases.extend(read_jsonl(&text, path, least, &defaults)?);
        }
    }
    if let Some((config, file)) = prompt_config(packed)? {
        cases.extend(prompt_cases(&config, &file, &defaults)?);
    }
    match evals.adversarial {
        Adversarial::Off => {}
        Adversarial::Echo => cases.extend(adversarial_cases(false)),
        Adversarial::Literal => cases.extend(adversarial_cases(true)),
    }
    check_sources(loaded, &cases)?;
    let set = CaseSet { cases };
    set.check_ids().map_err(|error| set_error(error, &evals.cases))?;
    Ok(set)
}

/// Whether a file of cases is JSONL, by its name.
pub(crate) fn is_jsonl(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| ["jsonl", "ndjson", "json"].iter().any(|e| extension == *e))
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
    let tried = Scorer::new(&case).map(|_| ());
    match tried {
        Ok(()) => Ok(case),
        Err(problem) => {
            let problem = format!("case `{}`: {problem}", case.id);
            Err(CasesError::Field { place: place.to_owned(), problem })
        }
    }
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
    let full = root.join(path);
    let unreadable = |source| CasesError::Unreadable { file: path.to_owned(), source };
    let size = match std::fs::metadata(&full) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if size > MAX_FILE_BYTES {
        let (file, max) = (path.to_owned(), MAX_FILE_BYTES);
        return Err(CasesError::TooLarge { file, bytes: size, max });
    }
    std::fs::read(&full).map(Some).map_err(unreadable)
}

fn set_error(problem: CaseSetError, cases: &Path) -> CasesError {
    CasesError::NoSet { problem, file: cases.to_owned() }
}

#[cfg(test)]
mod tests;
