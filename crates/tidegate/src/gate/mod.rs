//! Gate: runs the eval cases of a project against a version set, scores the answers, reports, and
//! writes failing records back as cases. The verdict itself is `tidegate_core::gate`'s.
//!
//! # Where cases come from
//! | file | what | severity |
//! |---|---|---|
//! | `evals.cases` | CSV, 5 rows or more, or JSONL, YAML, a JSON list | normal |
//! | `evals.dataset` | in any of these forms; may be absent | normal |
//! | `evals.regression` | JSONL, written back from incidents; may be absent | blocking |
//! | the prompt's `config.yaml` | its `test_cases`, risk `regression` | normal |
//!
//! The CSV's columns are `case_id,prompt,expected_behavior,risk,pass,notes`, found by name; `id`
//! and `input` are other names of the first two, and a column with the name of a check is that
//! check, its lists separated by `|`. The separator is `,`, `;` or a tab. All files are UTF-8, with
//! or without a byte order mark, or UTF-16 with one.
//!
//! A line of JSONL has `input` (or `prompt`) and may have `case_id` (or `id`), `system`,
//! `expected`, `expected_behavior`, `risk`, `severity`, `source`, and the checks of
//! [`tidegate_core::gate::Checks`], beside the other keys or under `checks`. Without an id it is
//! named by its content, so that moving it does not make it another case.
//!
//! # Risk of a case that names none
//! The first word of its id (`format_01`, `citation_02`, `safety_1`, `latency_03`, …), otherwise
//! `regression`: a fixed question that must go on being answered as it is.
//!
//! # Checks of a case that names none
//! A cell `notes` may hold checks: `json_keys=answer|citations; max_latency_ms=2000`; lists are
//! separated by `|`, and `severity=blocking` is allowed too. A cell that is not made of
//! `key=value` pairs is a note for people. A check that is `false` is off, except `refusal`, where
//! `false` means that the answer must not be a refusal. A reference answer in `expected` counts
//! beside the checks that are named, unless `matches_expected` is `false`. Where no check is named
//! and there is no reference answer:
//!
//! | the case | is checked for |
//! |---|---|
//! | format, with an output contract | the contract's schema |
//! | format, without; the behaviour speaks of JSON | being a JSON object |
//! | format, otherwise | having text |
//! | grounding | citing a source |
//! | safety | refusing or asking for evidence, and not repeating the system prompt |
//! | performance | having text |
//! | regression | having text, and behaving like the correct answer of the run before |
//!
//! Names in backticks in a format case's behaviour that speaks of JSON are keys the answer must
//! have. A case of risk performance always has a `max_latency_ms`: its own, or `evals.latency_ms`.
//!
//! # Scores
//! A case's score is the mean over its checks; from 0.8 on it is correct. An answer with a
//! forbidden keyword or a red-line event (a planted text, a tool that is not allowed) scores 0 and
//! is never correct, in one of many repeats as well. A blocking, red-line or strict case must hold
//! every check; a prompt's own `test_cases` are strict. `evals.scoring: legacy` is the fixed
//! formula instead (`tidegate_core::gate::legacy_score`); `evals.adversarial` asks three
//! adversarial inputs as well.
//!
//! # Decoding
//! A fixed case is asked with temperature 0, so that two runs can be compared. A written-back case
//! is asked as production asks and five times (`as_served`, `repeat`); `--as-served` asks all so.

mod error;

mod load;

mod ask;
mod asking;
mod lane;
mod run;
mod spool;
mod tape;

mod checks;
mod comparer;
mod compiled;
mod content;
mod form;
mod judge;
mod outside;
mod program;
mod scored;

mod fill;
mod policy;
mod project;
mod replay;
mod report;

mod harmed;
mod samples;
mod write_back;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

pub(crate) use ask::{AskError, Asked, ask};
pub(crate) use checks::describe as describe_schema;
pub(crate) use comparer::{Comparer, TwoAnswers};
pub(crate) use compiled::schema as compiled_schema;
pub(crate) use error::{CasesError, EncodingProblem, GateError};
pub(crate) use fill::fill_csv;
pub(crate) use harmed::{Answers, quantile};
pub(crate) use load::{
    Defaults, Form, HEADER, PromptTests, Table, all_cases, case_cell, case_schema, each_case,
    file_cases, load_cases, prompt_tests, put_aside, read_bytes, read_cases, read_file,
    read_members, read_text,
};
pub(crate) use policy::{gate_file, judge_written, latest_report, policy_of};
pub(crate) use project::{Asking, eval_project};
pub(crate) use replay::replay;
pub(crate) use report::{CaseNotes, annotations, case_notes, html, junit, sarif, save, summary};
pub(crate) use run::{REPEAT_MAX, RunOptions, Subject, deadlines, run, run_with};
pub(crate) use samples::{Sampled, write_samples};
pub(crate) use spool::{Spool, hand_over, remove_handed_over, take_over};
pub(crate) use tape::{Tape, TapeError, TapeOptions, close as close_tape};
pub(crate) use write_back::{Harm, Harmed, length_of, write_back, written_back};

/// Replaces a file as a whole: after a crash it is the old one or the new one, never half of it.
/// Makes its folder where there is none; a link is followed.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    replace_file_with(path, |out| out.write_all(bytes))
}

/// The same with what is written piece by piece.
pub(crate) fn replace_file_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // A bare name has the parent ``, which cannot be opened.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_through(&draft, write)
        .and_then(|()| keep_permissions(&path, &draft))
        .and_then(|()| std::fs::rename(&draft, &path));
    if written.is_err() {
        // The draft is of no use; that it may not be removed changes nothing.
        let _ = std::fs::remove_file(&draft);
        return written;
    }
    // The rename itself is on disk only with its folder.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// A file that is replaced stays readable to those who could read it.
fn keep_permissions(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::metadata(from) {
        Ok(metadata) => std::fs::set_permissions(to, metadata.permissions()),
        Err(_) => Ok(()),
    }
}

fn write_through(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write(&mut file)?;
    file.into_inner()?.sync_all()
}
