//! `tidegate version`: what was packed, what it consists of, and what changes between two sets.

use super::SetArgs;
use crate::clock::rfc3339;
use crate::config::Loaded;
use crate::error::{CliError, Result};
use crate::near::distance;
use crate::output::{self, Tone, paint};
use crate::store::{Sets as _, Store};
use crate::version_set::{PackOverrides, PackedSet, SetDiff, compare, pack, warnings};
use serde_json::{Value, json};
use tidegate_core::ids::{UnixMs, VersionSetId};
use tidegate_core::version_set::{VersionKeys, VersionSet};

/// Most known sets that an error lists.
const NEAREST_SHOWN: usize = 3;

/// What `tidegate version` can do.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum VersionCommand {
    /// List the version sets that are kept, newest first
    List,
    /// Show the artifacts and files of a version set
    Show {
        /// Its id, for example `vs-0f3a9c21d4e7`
        id: String,
    },
    /// Show what changes from one version set to another, by file and line
    Diff {
        /// The set before
        from: String,
        /// The set after; left out, the project as it is now
        to: Option<String>,
    },
    /// Pack the project as it is now into a version set, and keep it
    Pack(SetArgs),
}

/// Kept sets, newest first, as the store lists them.
type Kept = Vec<(VersionSet, String, UnixMs)>;

/// Runs the command, except `pack`, which is control's.
pub(crate) fn run(
    loaded: &Loaded,
    store: &Store,
    command: VersionCommand,
    json: bool,
) -> Result<()> {
    match command {
        VersionCommand::List => list(store, json),
        VersionCommand::Show { id } => show(store, &id, json),
        VersionCommand::Diff { from, to } => diff(loaded, store, &from, to.as_deref(), json),
        VersionCommand::Pack(_) => Err(CliError::internal("packing is control's")),
    }
}

/// `version list`
pub(crate) fn list(store: &Store, json: bool) -> Result<()> {
    let kept = store.sets()?;
    if json {
        let sets: Vec<Value> = kept
            .iter()
            .map(|(set, label, at)| {
                json!({"id": set.id, "label": label, "packed_at": rfc3339(*at),
                       "version_set": keys_json(set), "keys": set.keys().short()})
            })
            .collect();
        output::json(&sets);
        return Ok(());
    }
    if kept.is_empty() {
        output::stderr("no version set is kept yet");
        output::stderr("hint: pack the project: `tidegate version pack`");
    }
    for (set, label, at) in &kept {
        output::line(format!("{}  {}  {label}", set.id, paint(Tone::Dim, &rfc3339(*at))));
    }
    Ok(())
}

/// `version show`
pub(crate) fn show(store: &Store, id: &str, json: bool) -> Result<()> {
    let kept = store.sets()?;
    let id = known(&kept, id)?;
    let packed = store.set(&id)?;
    let at = kept.iter().find(|(set, _, _)| set.id == id).map(|(_, _, at)| rfc3339(*at));
    if json {
        output::json(&json!({
            "id": id, "label": packed.label, "packed_at": at,
            "version_set": keys_json(&packed.set), "keys": packed.set.keys().short(),
            "artifacts": packed.set.artifacts,
            "warnings": warnings(&packed),
        }));
        return Ok(());
    }
    output::line(format!("{}  {}", paint(Tone::Bold, id.as_str()), packed.label));
    if let Some(at) = at {
        output::line(format!("packed {at}"));
    }
    artifact_lines(&packed.set).iter().for_each(output::line);
    warn(&packed);
    Ok(())
}

/// `version diff`
pub(crate) fn diff(
    loaded: &Loaded,
    store: &Store,
    from: &str,
    to: Option<&str>,
    json: bool,
) -> Result<()> {
    let kept = store.sets()?;
    let old = store.set(&known(&kept, from)?)?;
    let new = match to {
        Some(id) => store.set(&known(&kept, id)?)?,
        None => pack(loaded, &PackOverrides::default())?,
    };
    let diff = compare(&old, &new);
    if json {
        output::json(&diff);
        return Ok(());
    }
    output::line(format!("{}  {}", old.set.id, old.label));
    output::line(format!("{}  {}", new.set.id, new.label));
    diff_lines(&diff).iter().for_each(output::line);
    Ok(())
}

fn warn(packed: &PackedSet) {
    warnings(packed).iter().for_each(|text| output::stderr(format!("warning: {text}")));
}

fn keys_json(set: &VersionSet) -> Value {
    let VersionKeys { code, prompt, model, index } = set.keys();
    json!({"code": code, "prompt": prompt, "model": model, "index": index})
}

/// The id, when it is one and its set is kept.
fn known(kept: &Kept, given: &str) -> Result<VersionSetId> {
    let id = VersionSetId::parse(given).map_err(|error| {
        CliError::usage(error.to_string()).hint("list the ids: `tidegate version list`")
    })?;
    if kept.iter().any(|(set, _, _)| set.id == id) {
        return Ok(id);
    }
    let error = CliError::usage(format!("version set `{id}` is not kept in this project"));
    let mut near: Vec<_> = kept.iter().collect();
    // Stable: among equally near ones the newest comes first.
    near.sort_by_key(|(set, _, _)| distance(set.id.as_str(), id.as_str()));
    if near.is_empty() {
        return Err(error.hint("no version set is kept yet: `tidegate version pack`"));
    }
    let near: Vec<String> = near
        .iter()
        .take(NEAREST_SHOWN)
        .map(|(set, label, _)| format!("`{}` ({label})", set.id))
        .collect();
    Err(error.hint(format!("nearest: {}", near.join(", "))))
}

fn artifact_lines(set: &VersionSet) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, artifact) in &set.artifacts {
        let digest = paint(Tone::Dim, artifact.digest.short(12));
        let format = artifact.format.as_ref().map(|f| format!("  format {f}")).unwrap_or_default();
        lines.push(format!("{:<8} {}  {digest}{format}", kind.as_str(), artifact.version));
        for (path, file) in &artifact.files {
            let digest = paint(Tone::Dim, file.digest.short(12));
            lines.push(format!("  {}  {} bytes  {digest}", shown(path), file.bytes));
        }
    }
    lines
}

/// The difference for people, a line each.
fn diff_lines(diff: &SetDiff) -> Vec<String> {
    if diff.changes.is_empty() {
        return vec!["no difference".to_owned()];
    }
    let mut lines = Vec::new();
    for change in &diff.changes {
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".into());
        let heading = format!(
            "{}  {} → {}",
            change.kind.as_str(),
            version(&change.from),
            version(&change.to)
        );
        lines.extend([String::new(), paint(Tone::Bold, &heading)]);
        for file in &change.files {
            let what = match (&file.from, &file.to) {
                (None, _) => "added",
                (_, None) => "removed",
                (Some(_), Some(_)) => "changed",
            };
            let sizes = match what {
                "added" => format!("{} bytes", file.bytes_to),
                "removed" => format!("{} bytes", file.bytes_from),
                _ => format!("{} → {} bytes", file.bytes_from, file.bytes_to),
            };
            lines.push(format!("  {}  {what}, {sizes}", shown(&file.path)));
            match &file.lines {
                Some(text) => lines.extend(text.lines().map(painted)),
                None => lines.push("    not compared by line: not text, or large".to_owned()),
            }
        }
    }
    for problem in &diff.way_back_problems {
        lines.push(paint(Tone::Red, &format!("no way back: {problem}")));
    }
    lines
}

fn painted(text: &str) -> String {
    let text_shown = format!("    {}", shown(text));
    match text.bytes().next() {
        Some(b'+') => paint(Tone::Green, &text_shown),
        Some(b'-') => paint(Tone::Red, &text_shown),
        Some(b'@') => paint(Tone::Dim, &text_shown),
        _ => text_shown,
    }
}

/// Text of a file or path without what a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
