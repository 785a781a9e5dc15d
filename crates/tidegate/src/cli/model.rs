//! `tidegate model`: which weights are which commit's, by digest.

use super::operator;
use crate::clock::{Clock, rfc3339};
use crate::config::Loaded;
use crate::error::{CliError, Result};
use crate::gate::replace_file;
use crate::models::{Parts, REGISTRY, Registered, Registry, commit, digest_of, size_of};
use crate::output::{self, Tone, paint};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Register what a commit's training wrote: the files are read in full, and kept by digest.
    Register(RegisterArgs),
    /// List the models that are registered.
    List {
        /// Read the files again, and fail where they are not those that are registered.
        #[arg(long)]
        verify: bool,
    },
}

/// What a registration takes.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The commit that made the model, 7 to 64 hex digits.
    #[arg(long, value_name = "COMMIT")]
    sha: String,
    /// Its folder, or its one file.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Who registers it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
}

/// Runs `tidegate model …`.
pub(crate) fn run(loaded: &Loaded, command: ModelCommand, json: bool) -> Result<()> {
    match command {
        ModelCommand::Register(args) => register(&loaded.root, &args, json),
        ModelCommand::List { verify } => list(loaded, verify, json),
    }
}

fn register(root: &Path, args: &RegisterArgs, json: bool) -> Result<()> {
    let sha = commit(&args.sha)?;
    let mut registry = Registry::read(root)?;
    let (sha256, files, pointers) = read_in_full(&args.from)?;
    let from = within(root, &args.from);
    let (by, at) = (operator(args.by.as_deref())?, rfc3339(Clock::Real.now()));
    let model = Registered { from, sha256, files, by, at };
    let (count, bytes, digest) = (model.files.len(), model.bytes(), model.sha256.clone());
    let is_new = registry.add(&sha, model)?;
    if is_new {
        let text = serde_json::to_string_pretty(&registry)
            .map_err(|error| CliError::internal(format!("{REGISTRY}: {error}")))?;
        replace_file(&root.join(REGISTRY), (text + "\n").as_bytes())
            .map_err(|error| CliError::usage(format!("{REGISTRY} cannot be written: {error}")))?;
    }
    if json {
        output::json(&json!({
            "sha": sha, "sha256": digest, "files": count, "bytes": bytes, "pointers": pointers,
            "new": is_new,
        }));
        return Ok(());
    }
    let word = if is_new { "registered" } else { "is registered already:" };
    let s = if count == 1 { "file" } else { "files" };
    output::line(format!("{sha} {word} {count} {s}, {bytes} bytes, sha256 {digest}"));
    if pointers > 0 {
        output::stderr(format!(
            "note: {pointers} of them are pointers of Git LFS and count by what they point to"
        ));
    }
    output::stderr(format!(
        "hint: name it in tidegate.yaml: `artifacts: {{model: {{registered: {sha}}}}}`"
    ));
    Ok(())
}

/// The digest over all files of a model, and each file's; how many are pointers of Git LFS.
pub(super) fn read_in_full(from: &Path) -> Result<(String, Parts, usize)> {
    let bar = output::progress(size_of(from)?, "reading {wide_bar} {bytes}/{total_bytes} {eta}");
    let read = digest_of(from, |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    Ok(read?)
}

/// A path as it is kept: relative to the project where it is in it.
fn within(root: &Path, from: &Path) -> String {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (base, path) = (real(root), real(from));
    path.strip_prefix(&base).unwrap_or(&path).display().to_string()
}

fn list(loaded: &Loaded, verify: bool, json: bool) -> Result<()> {
    let registry = Registry::read(&loaded.root)?;
    let used = loaded.project.artifacts.model.registered.as_deref().map(commit).transpose()?;
    let mut rows: Vec<(Value, String)> = Vec::new();
    let mut wrong = Vec::new();
    for (sha, model) in &registry.models {
        let state = match (model.is_here(&loaded.root), verify) {
            (false, _) => "not on this machine",
            (true, false) => "here",
            (true, true) => match checked(&loaded.root, sha, model) {
                Ok(()) => "as registered",
                Err(error) => {
                    wrong.push(error);
                    "DIFFERENT"
                }
            },
        };
        rows.push(row(sha, model, used.as_ref() == Some(sha), state));
    }
    if json {
        output::json(&rows.iter().map(|(value, _)| value).collect::<Vec<_>>());
    } else if rows.is_empty() {
        output::stderr("no model is registered");
        output::stderr("hint: `tidegate model register --sha COMMIT --from models/COMMIT`");
    } else {
        rows.iter().for_each(|(_, line)| output::line(line));
    }
    match wrong.into_iter().next() {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

fn checked(root: &Path, sha: &str, model: &Registered) -> Result<()> {
    let (_, files, _) = read_in_full(&root.join(&model.from))?;
    Ok(model.check(sha, &files)?)
}

fn row(sha: &str, model: &Registered, used: bool, state: &str) -> (Value, String) {
    let Registered { from, sha256, files, by, at } = model;
    let (count, bytes) = (files.len(), model.bytes());
    let value = json!({
        "sha": sha, "from": from, "sha256": sha256, "files": count, "bytes": bytes, "by": by,
        "at": at, "used": used, "state": state,
    });
    let mark = if used { "  used" } else { "" };
    let about = paint(Tone::Dim, &format!("{count} files, {bytes} bytes, {by}, {at}"));
    (
        value,
        format!(
            "{sha}  sha256 {}  {from}  {state}{mark}  {about}",
            sha256.get(..12).unwrap_or(sha256)
        ),
    )
}
