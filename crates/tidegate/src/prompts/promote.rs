//! Moves `current` to a version that its gate let through.
//!
//! The history is written before the link: after a crash between the two it names a move that was
//! not made, which the next look at `current` shows; the other way round a move would have no name.

use super::error::{HubError, Result};
use super::history::{self, Move};
use super::hub::{Hub, Version};
use crate::control::eval_problem;
use crate::gate::replace_file;
use crate::version_set::{CURRENT, PackOverrides, pack};
use serde::Serialize;
use std::fs::File;
use std::path::Path;
use tidegate_core::ids::{UnixMs, VersionSetId};

/// What let a version through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Because {
    /// Stable serves exactly these files, and passed the gate of a release with them.
    Served(VersionSetId),
    /// The set that the project makes with it passed its eval.
    Passed {
        /// The run.
        run_id: String,
        /// The set.
        version_set: VersionSetId,
    },
}

impl Because {
    fn as_text(&self) -> String {
        match self {
            Because::Served(set) => format!("served by {set}"),
            Because::Passed { run_id, version_set } => format!("{run_id} of {version_set}"),
        }
    }
}

/// Makes the version current, and writes down who did.
///
/// # Errors
/// Its lints fail, its gate has not passed, or a file cannot be written.
pub(crate) fn promote(
    hub: &Hub<'_>,
    version: &str,
    by: &str,
    now: UnixMs,
) -> Result<(Move, Because)> {
    let version = hub.version(Some(version))?;
    let folder = &hub.folder.path;
    // Two who promote at a time: the second sees what the first did.
    let unwritten = |path: &Path, source| HubError::Unwritten { path: path.to_owned(), source };
    let lock = File::open(folder).map_err(|error| unwritten(folder, error))?;
    lock.lock().map_err(|error| unwritten(folder, error))?;
    let from = hub.folder.current().ok();
    if from.as_deref() == Some(version.version.as_str()) {
        return Err(HubError::Current { version: version.version });
    }
    let because = allowed(hub, &version)?;
    let (at_ms, at) = history::both(now);
    let moved = Move {
        at_ms,
        at,
        by: by.to_owned(),
        from,
        to: version.version.clone(),
        digest: version.digest.as_str().to_owned(),
        because: because.as_text(),
    };
    let mut text = history::text(folder)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&history::line(&moved)?);
    text.push('\n');
    let file = history::file(folder);
    replace_file(&file, text.as_bytes()).map_err(|error| unwritten(&file, error))?;
    let current = folder.join(CURRENT);
    point(&current, &version.version).map_err(|error| unwritten(&current, error))?;
    Ok((moved, because))
}

/// Why the version may become current.
fn allowed(hub: &Hub<'_>, version: &Version) -> Result<Because> {
    let findings: Vec<String> = version.failures().map(|one| one.sentence()).collect();
    if !findings.is_empty() {
        return Err(HubError::Lints { version: version.version.clone(), findings });
    }
    if let Some(table) = &hub.state.table
        && version.serves.contains(&"stable")
        && !hub.state.is_experimental()
    {
        return Ok(Because::Served(table.stable.clone()));
    }
    let overrides =
        PackOverrides { prompt: Some(version.version.clone()), ..PackOverrides::default() };
    let packed = pack(hub.loaded, &overrides)?;
    match eval_problem(&hub.state, hub.loaded, &packed)? {
        Err(problem) => Err(HubError::Gate { version: version.version.clone(), problem }),
        Ok(run_id) => Ok(Because::Passed { run_id, version_set: packed.set.id }),
    }
}

/// Points `current` to the version at once: who reads it sees the old name or the new one.
fn point(current: &Path, version: &str) -> std::io::Result<()> {
    let is_text = std::fs::symlink_metadata(current).is_ok_and(|about| about.is_file());
    if is_text || cfg!(not(unix)) {
        return replace_file(current, format!("{version}\n").as_bytes());
    }
    link(current, version)
}

#[cfg(unix)]
fn link(current: &Path, version: &str) -> std::io::Result<()> {
    let folder = current.parent().unwrap_or(Path::new("."));
    let draft = folder.join(format!(".{CURRENT}.{}.tmp", std::process::id()));
    // What a process of this number left behind when it was killed.
    let _ = std::fs::remove_file(&draft);
    std::os::unix::fs::symlink(version, &draft)?;
    if let Err(error) = std::fs::rename(&draft, current) {
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn link(current: &Path, version: &str) -> std::io::Result<()> {
    replace_file(current, format!("{version}\n").as_bytes())
}
