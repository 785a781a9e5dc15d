//! What changes from one version set to another, to the line.

use super::settings;
use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, DiffOp, DiffTag, TextDiff};
use std::time::Duration;
use tidegate_core::ids::{Digest, VersionSetId};
use tidegate_core::version_set::{ArtifactKind, FileChange, PackedSet};

/// Files up to this size are compared by line; larger ones only by size, bytes.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Longest time for one file; what is found by then is shown, coarser but right.
const DIFF_TIME_MAX: Duration = Duration::from_secs(2);
/// Unchanged lines shown around a change.
const CONTEXT_LINES: usize = 2;

/// What changes from one set to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SetDiff {
    /// The set before.
    pub(crate) from: VersionSetId,
    /// The set after.
    pub(crate) to: VersionSetId,
    /// The artifacts that differ; empty for equal sets.
    pub(crate) changes: Vec<KindDiff>,
    /// Why going back would not restore the old behaviour; empty when it would.
    pub(crate) way_back_problems: Vec<String>,
}

/// An artifact that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct KindDiff {
    /// Its kind.
    pub(crate) kind: ArtifactKind,
    /// Its version before; none when the kind is new.
    pub(crate) from: Option<String>,
    /// Its version after; none when the kind is gone.
    pub(crate) to: Option<String>,
    /// The files that differ.
    pub(crate) files: Vec<FileDiff>,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FileDiff {
    /// Its path in the artifact.
    pub(crate) path: String,
    /// Its digest before; none for an added file.
    pub(crate) from: Option<Digest>,
    /// Its digest after; none for a removed file.
    pub(crate) to: Option<Digest>,
    /// Size before, bytes; 0 for an added file.
    pub(crate) bytes_from: usize,
    /// Size after, bytes; 0 for a removed file.
    pub(crate) bytes_to: usize,
    /// The lines that differ as a unified diff; none for a file that is not text, or is large.
    pub(crate) lines: Option<String>,
}

/// Compares two sets.
pub(crate) fn compare(from: &PackedSet, to: &PackedSet) -> SetDiff {
    let changes = from.set.diff(&to.set);
    SetDiff {
        from: from.set.id.clone(),
        to: to.set.id.clone(),
        changes: changes
            .into_iter()
            .map(|change| KindDiff {
                kind: change.kind,
                from: change.from,
                to: change.to,
                files: change
                    .files
                    .into_iter()
                    .map(|file| file_diff(from, to, change.kind, file))
                    .collect(),
            })
            .collect(),
        way_back_problems: from.set.way_back_problems(&to.set),
    }
}

fn file_diff(old: &PackedSet, new: &PackedSet, kind: ArtifactKind, file: FileChange) -> FileDiff {
    let FileChange { path, from, to } = file;
    let before = old.file(kind, &path).unwrap_or_default();
    let after = new.file(kind, &path).unwrap_or_default();
    let is_config = kind == ArtifactKind::Config && path == settings::FILE;
    let lines = match (text(before, is_config), text(after, is_config)) {
        (Some(before), Some(after)) => Some(unified(&before, &after, CONTEXT_LINES, None)),
        _ => None,
    };
    FileDiff { path, from, to, bytes_from: before.len(), bytes_to: after.len(), lines }
}

/// The content as text, where it can be shown. In the config the planted texts are replaced by the
/// start of their digest: a diff says that one changed, and does not spread it.
fn text(bytes: &[u8], is_config: bool) -> Option<String> {
    if bytes.len() > TEXT_BYTES_MAX || bytes.contains(&0) {
        return None;
    }
    if is_config && let Ok(mut config) = serde_json::from_slice::<Value>(bytes) {
        for planted in config["risk"]["planted"].as_array_mut().into_iter().flatten() {
            let digest = Digest::of(planted.as_str().unwrap_or_default().as_bytes());
            *planted = format!("(planted, sha256 {}…)", digest.short(8)).into();
        }
        return serde_json::to_string_pretty(&config).ok().map(|text| text + "\n");
    }
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// The lines that differ, with some unchanged ones around; `names` of the two sides go before.
pub(crate) fn unified(
    before: &str,
    after: &str,
    context_lines: usize,
    names: Option<(&str, &str)>,
) -> String {
    let diff = TextDiff::configure().timeout(DIFF_TIME_MAX).diff_lines(before, after);
    let mut unified = diff.unified_diff();
    unified.context_radius(context_lines);
    if let Some((before, after)) = names {
        unified.header(before, after);
    }
    unified.to_string()
}

/// A piece of a text that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Piece {
    /// Whether it was kept, removed or added.
    pub(crate) edit: Edit,
    /// The piece.
    pub(crate) text: String,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    /// It is in both texts.
    Kept,
    /// It is in the text before.
    Removed,
    /// It is in the text after.
    Added,
}

/// A stretch of lines that differ, with the unchanged ones around.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Hunk {
    /// Its first line in the text before, from 1.
    pub(crate) line_before: usize,
    /// Its first line in the text after, from 1.
    pub(crate) line_after: usize,
    /// The pieces in order; removed and added ones together are the two texts.
    pub(crate) pieces: Vec<Piece>,
}

/// Lines that are less like each other are shown whole: single words in common would not help.
const LIKE_ENOUGH: f32 = 0.4;

/// What differs, to the word. A word is what Unicode's rules say (UAX #29): a Chinese character, a
/// kana or a run of katakana is one.
pub(crate) fn by_words(before: &str, after: &str) -> Vec<Hunk> {
    let diff = TextDiff::configure().timeout(DIFF_TIME_MAX).diff_lines(before, after);
    let text = |op: &DiffOp, without: ChangeTag| -> String {
        let changes = diff.iter_changes(op).filter(|change| change.tag() != without);
        changes.map(|change| change.value()).collect()
    };
    let hunk = |ops: &[DiffOp]| {
        let mut pieces = Vec::new();
        for op in ops {
            let (removed, added) = (text(op, ChangeTag::Insert), text(op, ChangeTag::Delete));
            match op.tag() {
                DiffTag::Equal => push(&mut pieces, Edit::Kept, &removed),
                DiffTag::Delete => push(&mut pieces, Edit::Removed, &removed),
                DiffTag::Insert => push(&mut pieces, Edit::Added, &added),
                DiffTag::Replace => words(&mut pieces, &removed, &added),
            }
        }
        let first = ops.first();
        Hunk {
            line_before: first.map_or(0, |op| op.old_range().start) + 1,
            line_after: first.map_or(0, |op| op.new_range().start) + 1,
            pieces,
        }
    };
    diff.grouped_ops(CONTEXT_LINES).iter().map(|ops| hunk(ops)).collect()
}

fn words(pieces: &mut Vec<Piece>, removed: &str, added: &str) {
    let diff = TextDiff::configure().timeout(DIFF_TIME_MAX).diff_unicode_words(removed, added);
    if diff.ratio() < LIKE_ENOUGH {
        push(pieces, Edit::Removed, removed);
        push(pieces, Edit::Added, added);
        return;
    }
    for change in diff.iter_all_changes() {
        let edit = match change.tag() {
            ChangeTag::Equal => Edit::Kept,
            ChangeTag::Delete => Edit::Removed,
            ChangeTag::Insert => Edit::Added,
        };
        push(pieces, edit, change.value());
    }
}

/// Adds a piece, or lengthens the last one.
fn push(pieces: &mut Vec<Piece>, edit: Edit, text: &str) {
    match pieces.last_mut() {
        Some(last) if last.edit == edit => last.text.push_str(text),
        Some(_) | None if text.is_empty() => {}
        Some(_) | None => pieces.push(Piece { edit, text: text.to_owned() }),
    }
}

#[cfg(test)]
#[path = "diff/tests.rs"]
mod tests;
