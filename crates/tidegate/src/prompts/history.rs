//! Who changed the prompt, and when: the journal knows the releases that changed it, and
//! `prompts/history.jsonl` the moves of `current`.

use super::error::{HubError, Result};
use super::hub::Hub;
use crate::clock::rfc3339;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tidegate_core::ids::{ChangeId, UnixMs};

/// The file of moves, beside the versions.
const FILE: &str = "history.jsonl";
/// Largest file of moves that is read, bytes: some ten thousand moves.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A move of `current`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    /// When, Unix time in milliseconds.
    pub(crate) at_ms: u64,
    /// The same for people.
    pub(crate) at: String,
    /// Who.
    pub(crate) by: String,
    /// The version before; absent where none was current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// The version since.
    pub(crate) to: String,
    /// The digest of its files.
    pub(crate) digest: String,
    /// What let it through: a run's id, an approval's, or `served`.
    pub(crate) because: String,
}

/// A change of the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub(crate) enum Change {
    /// `current` was moved.
    Promoted(Move),
    /// A release took another prompt to users.
    Released {
        /// When it started, Unix time in milliseconds.
        at_ms: u64,
        /// The same for people.
        at: String,
        /// Who started it.
        by: String,
        /// The prompt of stable.
        from: String,
        /// The prompt of the candidate.
        to: String,
        /// The release.
        change_id: ChangeId,
        /// How far it came.
        phase: &'static str,
        /// When it was over.
        #[serde(skip_serializing_if = "Option::is_none")]
        ended_at: Option<String>,
    },
}

impl Change {
    fn at_ms(&self) -> u64 {
        match self {
            Change::Promoted(moved) => moved.at_ms,
            Change::Released { at_ms, .. } => *at_ms,
        }
    }
}

/// Every change of the prompt, the oldest first.
///
/// # Errors
/// The file of moves is damaged; the line is named.
pub(crate) fn history(hub: &Hub<'_>) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> =
        moves(&hub.folder.path)?.into_iter().map(Change::Promoted).collect();
    for release in hub.state.releases.values() {
        let plan = &release.plan;
        let (Some(from), Some(to)) = (hub.prompt_of(&plan.from), hub.prompt_of(&plan.to)) else {
            continue;
        };
        if from.digest == to.digest {
            continue;
        }
        changes.push(Change::Released {
            at_ms: release.started_at.0,
            at: rfc3339(release.started_at),
            by: release.by.clone(),
            from: from.version.clone(),
            to: to.version.clone(),
            change_id: plan.change_id.clone(),
            phase: release.state.phase.as_str(),
            ended_at: release.ended_at.map(rfc3339),
        });
    }
    changes.sort_by_key(Change::at_ms);
    Ok(changes)
}

/// The file of moves.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The text of the file of moves; empty where there is none.
pub(super) fn text(folder: &Path) -> Result<String> {
    let path = file(folder);
    let unread = |problem: String| HubError::Unread { path: path.clone(), problem };
    match std::fs::metadata(&path) {
        Ok(about) if about.len() > FILE_BYTES_MAX => {
            Err(unread(format!("{} bytes, allowed are {FILE_BYTES_MAX}", about.len())))
        }
        Ok(_) => std::fs::read_to_string(&path).map_err(|error| unread(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(unread(error.to_string())),
    }
}

fn moves(folder: &Path) -> Result<Vec<Move>> {
    let text = text(folder)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(i, line)| {
        serde_json::from_str(line).map_err(|error| HubError::Unread {
            path: file(folder),
            problem: format!("line {} is not a move of `current`: {error}", i + 1),
        })
    });
    read.collect()
}

/// A move as it is written.
pub(super) fn line(moved: &Move) -> Result<String> {
    serde_json::to_string(moved)
        .map_err(|error| HubError::Unread { path: FILE.into(), problem: error.to_string() })
}

/// A time, both ways.
pub(super) fn both(at: UnixMs) -> (u64, String) {
    (at.0, rfc3339(at))
}
