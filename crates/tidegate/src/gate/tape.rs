//! Answers to eval cases in files, a line of JSON each: kept while a run goes on, so that one that
//! is cut off can go on (`--resume`); recorded for later (`--record`); read instead of asking
//! (`--replay-answers`); and used again by the next run of the same set (`--reuse`).
//!
//! An answer belongs to the version set, the question as it is sent, the case's id and the number
//! of the repeat. What a case checks is no part of it: an answer that is read from a file is scored
//! by the checks of now.
//!
//! A line is written when its answer is there, in one write. A kill or a full disk may leave half
//! of the last one, which is cut off when the file is opened again.

use super::ask::{AskError, Asked};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use thiserror::Error;
use tidegate_core::gate::{Case, Check, CheckKind};
use tidegate_core::ids::{Digest, VersionSetId};
use tidegate_core::upstream::Failure;

/// Where the answers of runs are, in the project.
const FOLDER: &str = ".tidegate/evals";
/// What the name of a file has whose run goes on.
const KEPT: &str = ".kept";
/// Longest line, bytes: an answer is bounded, and so is a question.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// Why a file of answers cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TapeError {
    /// The system refuses it.
    #[error("{}: {source}", file.display())]
    File { file: PathBuf, source: io::Error },
    /// Another process writes to it.
    #[error("another eval of version set {set} is running")]
    InUse { set: VersionSetId },
    /// A line is no answer.
    #[error("{}:{line}: {problem}", file.display())]
    Line { file: PathBuf, line: usize, problem: String },
    /// It has answers, and none of this set.
    #[error("{} has answers of version set {other} and none of {set}", file.display())]
    OtherSet { file: PathBuf, other: VersionSetId, set: VersionSetId },
    /// It has no line.
    #[error("{} has no answer", file.display())]
    Empty { file: PathBuf },
}

/// What became of one asking.
pub(super) type Outcome = (Result<Asked, AskError>, u32);

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Who answered.
    set: VersionSetId,
    /// The case's id.
    case: String,
    /// Digest of what was asked, and how.
    asked: Digest,
    /// Which repeat, from 0.
    nth: u32,
    /// How often it was tried.
    tries: u32,
    /// What came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Asked>,
    /// Why nothing came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What the call met, where nothing came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

impl Line {
    fn outcome(self) -> Outcome {
        let Line { answer, error, failure, tries, .. } = self;
        let without = || AskError {
            message: error.unwrap_or_default(),
            failure,
            again: None,
            is_busy: false,
        };
        (answer.ok_or_else(without), tries)
    }
}

/// Where answers come from beside the model server, and where they go.
#[derive(Debug, Clone, Default)]
pub(crate) struct TapeOptions {
    /// Keep answers while the run goes on.
    pub(crate) keep: bool,
    /// Go on from the answers that a run kept before it was cut off.
    pub(crate) resume: bool,
    /// Use the answers of the last whole run of the same set again.
    pub(crate) reuse: bool,
    /// Write every answer here as well.
    pub(crate) record: Option<PathBuf>,
    /// Take answers from here and ask nobody.
    pub(crate) replay: Option<PathBuf>,
}

/// The answers of one run beside the model server's.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    set: Option<VersionSetId>,
    as_served: bool,
    /// Answers of this very run, or recorded ones.
    known: Known,
    /// Answers of the last whole run.
    earlier: Known,
    /// Whether nobody is asked.
    is_offline: bool,
    /// Whether answers of a run that was cut off were there, and are no more.
    dropped: bool,
    files: Vec<Writer>,
}

/// The answers in a file, which stay there until they are needed.
#[derive(Debug, Default)]
struct Known {
    file: Option<(PathBuf, Mutex<File>)>,
    /// Where the line of each asking is, by half of the asking's digest.
    lines: HashMap<u128, (u64, u32)>,
}

impl Known {
    fn has(&self, asked: &Digest) -> bool {
        self.lines.contains_key(&half(asked))
    }

    /// What became of an asking; `None` where the file does not say.
    fn outcome(&self, asked: &Digest) -> Result<Option<Outcome>, TapeError> {
        let (Some((path, file)), Some((at, length))) =
            (&self.file, self.lines.get(&half(asked)).copied())
        else {
            return Ok(None);
        };
        let failed = |source| TapeError::File { file: path.clone(), source };
        let mut text = vec![0; length as usize];
        {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(at)).map_err(failed)?;
            file.read_exact(&mut text).map_err(failed)?;
        }
        let line: Line = serde_json::from_slice(&text).map_err(|e| failed(io::Error::other(e)))?;
        Ok(Some(line.outcome()))
    }
}

fn half(asked: &Digest) -> u128 {
    u128::from_str_radix(asked.short(32), 16).unwrap_or_default()
}

#[derive(Debug)]
struct Writer {
    path: PathBuf,
    file: Mutex<File>,
    /// Whether a missing answer has a line as well; one that is kept is to be asked again.
    with_errors: bool,
}

impl Tape {
    /// Opens what the options name; `root` is the project's folder.
    ///
    /// # Errors
    /// A file cannot be read or written, is in use, or holds answers of another set.
    pub(crate) fn open(
        root: &Path,
        set: &VersionSetId,
        as_served: bool,
        options: &TapeOptions,
    ) -> Result<Tape, TapeError> {
        let mut tape = Tape { set: Some(set.clone()), as_served, ..Tape::default() };
        if let Some(file) = &options.replay {
            tape.is_offline = true;
            tape.known = recorded(file, set)?;
        }
        if options.keep && !tape.is_offline {
            let path = path_of(root, set, as_served, KEPT);
            tape.dropped = !options.resume && path.metadata().is_ok_and(|file| file.len() > 0);
            let (writer, known) = keep(&path, set, options.resume)?;
            tape.known = known;
            tape.files.push(writer);
        }
        if options.reuse {
            let path = path_of(root, set, as_served, "");
            if path.exists() {
                tape.earlier = read(&path, set)?.known;
            }
        }
        if let Some(path) = &options.record {
            let failed = |source| TapeError::File { file: path.clone(), source };
            let file = Mutex::new(File::create(path).map_err(failed)?);
            tape.files.push(Writer { path: path.clone(), file, with_errors: true });
        }
        Ok(tape)
    }

    /// What to know before the run, where something is.
    pub(super) fn note(&self) -> Option<String> {
        let count = self.known.lines.len();
        match (self.is_offline, self.dropped, count) {
            (true, _, _) => Some(
                "nobody is asked, the answers are recorded: this run is no eval of a release"
                    .to_owned(),
            ),
            (false, true, _) => Some(
                "the answers of a run that was cut off are dropped; `--resume` would have used them"
                    .to_owned(),
            ),
            (false, false, 0) => None,
            (false, false, _) => Some(format!("{count} answers are there already")),
        }
    }

    /// Whether answers are kept while the run goes on.
    pub(super) fn keeps(&self) -> bool {
        self.files.iter().any(|writer| !writer.with_errors)
    }

    /// The answer to a repeat of a case that need not be asked for; without a model server, also
    /// that there is none.
    ///
    /// # Errors
    /// The file that has it cannot be read.
    pub(super) fn known(
        &self,
        case: &Case,
        nth: u32,
        repeats: u32,
    ) -> Result<Option<Outcome>, TapeError> {
        let asked = key(case, self.is_as_served(case), nth);
        if let Some(outcome) = self.known.outcome(&asked)? {
            return Ok(Some(outcome));
        }
        if self.is_offline {
            let message = "no answer to this question is in the file of answers".to_owned();
            let failure = Some(Failure::Unreachable);
            let none = AskError { message, failure, again: None, is_busy: false };
            return Ok(Some((Err(none), 1)));
        }
        // Repeats measure how answers differ, and a latency is measured: both by asking.
        let may = repeats == 1 && !self.is_as_served(case) && !measures_time(case);
        let earlier = if may { self.earlier.outcome(&asked)? } else { None };
        Ok(earlier.filter(|(answer, _)| answer.is_ok()))
    }

    /// Writes what became of a repeat of a case to every file.
    ///
    /// # Errors
    /// The first file that takes no more.
    pub(super) fn keep(&self, case: &Case, nth: u32, outcome: &Outcome) -> Result<(), TapeError> {
        let Some(set) = self.set.as_ref().filter(|_| !self.files.is_empty()) else {
            return Ok(());
        };
        let asked = key(case, self.is_as_served(case), nth);
        let (result, tries) = outcome;
        let line = Line {
            set: set.clone(),
            case: case.id.clone(),
            nth,
            tries: *tries,
            answer: result.as_ref().ok().cloned(),
            error: result.as_ref().err().map(|error| error.message.clone()),
            failure: result.as_ref().err().and_then(|error| error.failure),
            asked: asked.clone(),
        };
        let mut text = String::new();
        for writer in &self.files {
            let is_kept_already = !writer.with_errors && self.known.has(&asked);
            if is_kept_already || (result.is_err() && !writer.with_errors) {
                continue;
            }
            let failed = |source| TapeError::File { file: writer.path.clone(), source };
            if text.is_empty() {
                text = serde_json::to_string(&line).map_err(|e| failed(io::Error::other(e)))?;
                text.push('\n');
            }
            // A write after which nothing else can break.
            let mut file = writer.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(text.as_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    fn is_as_served(&self, case: &Case) -> bool {
        self.as_served || case.handling.as_served
    }
}

/// What is kept of a run that is whole and reported: nothing, or its answers for the next run.
///
/// # Errors
/// The file can neither be removed nor renamed.
pub(crate) fn close(
    root: &Path,
    set: &VersionSetId,
    as_served: bool,
    options: &TapeOptions,
) -> Result<(), TapeError> {
    let kept = path_of(root, set, as_served, KEPT);
    if !options.keep || options.replay.is_some() || !kept.exists() {
        return Ok(());
    }
    let done = match options.reuse {
        true => std::fs::rename(&kept, path_of(root, set, as_served, "")),
        false => std::fs::remove_file(&kept),
    };
    done.map_err(|source| TapeError::File { file: kept, source })
}

/// Where answers of a set are: those of the last whole run, or, `.kept`, of the one that goes on.
fn path_of(root: &Path, set: &VersionSetId, as_served: bool, kept: &str) -> PathBuf {
    let how = if as_served { "-as-served" } else { "" };
    root.join(FOLDER).join(format!("{set}{how}{kept}.jsonl"))
}

/// Digest of what one repeat of a case asks, and of its id.
fn key(case: &Case, as_served: bool, nth: u32) -> Digest {
    let messages = serde_json::to_string(&case.handling.messages).unwrap_or_default();
    let system = case.system.as_deref();
    Digest::of_parts(&[
        case.id.as_bytes(),
        case.input.as_bytes(),
        &[u8::from(system.is_some()), u8::from(as_served)],
        system.unwrap_or_default().as_bytes(),
        messages.as_bytes(),
        &nth.to_le_bytes(),
    ])
}

/// Whether the case checks how long its answer takes.
fn measures_time(case: &Case) -> bool {
    let times =
        |check: &Check| matches!(check.kind, CheckKind::MaxLatencyMs | CheckKind::MaxTtftMs);
    case.checks.list().iter().any(times)
}

/// The file that answers are kept in, and what it holds already.
fn keep(path: &Path, set: &VersionSetId, resume: bool) -> Result<(Writer, Known), TapeError> {
    let failed = |source| TapeError::File { file: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut open = OpenOptions::new();
    let file = open.read(true).append(true).create(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(TapeError::InUse { set: set.clone() }),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let mut known = Known::default();
    let mut whole = 0;
    if resume {
        let lines = read(path, set)?;
        (known, whole) = (lines.known, lines.whole);
    }
    file.set_len(whole).map_err(failed)?;
    Ok((Writer { path: path.to_owned(), file: Mutex::new(file), with_errors: false }, known))
}

/// The recorded answers of the set.
fn recorded(path: &Path, set: &VersionSetId) -> Result<Known, TapeError> {
    let Lines { known, first, .. } = read(path, set)?;
    let file = path.to_owned();
    let Some(other) = first else { return Err(TapeError::Empty { file }) };
    match known.lines.is_empty() {
        true => Err(TapeError::OtherSet { file, other, set: set.clone() }),
        false => Ok(known),
    }
}

/// The lines of a file, up to the first that is not whole.
struct Lines {
    /// Those of the set.
    known: Known,
    /// The set of the first.
    first: Option<VersionSetId>,
    /// Bytes of whole lines.
    whole: u64,
}

fn read(path: &Path, set: &VersionSetId) -> Result<Lines, TapeError> {
    let failed = |source| TapeError::File { file: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut reader = BufReader::new(file.try_clone().map_err(failed)?);
    let known = Known { file: Some((path.to_owned(), Mutex::new(file))), ..Known::default() };
    let mut lines = Lines { known, first: None, whole: 0 };
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        let count = (&mut reader).take(LINE_MAX).read_until(b'\n', &mut text).map_err(failed)?;
        // What does not end is what a kill left.
        if count == 0 || !text.ends_with(b"\n") {
            break;
        }
        if !text.trim_ascii().is_empty() {
            let line: Line = serde_json::from_slice(&text).map_err(|error| TapeError::Line {
                file: path.to_owned(),
                line: number,
                problem: format!("no recorded answer: {error}"),
            })?;
            if line.set == *set {
                // As long as LINE_MAX at most.
                let place = (lines.whole, count as u32);
                lines.known.lines.insert(half(&line.asked), place);
            }
            lines.first.get_or_insert(line.set);
        }
        lines.whole += count as u64;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
