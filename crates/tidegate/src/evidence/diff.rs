//! `diffs/`: what changed, readable.

use super::clean::CleanData;
use super::html::cell;
use crate::version_set::{PackedSet, unified};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tidegate_core::evidence::is_plain_path;
use tidegate_core::ids::Digest;
use tidegate_core::version_set::{ArtifactChange, ArtifactKind, FileChange};

/// Largest file that is compared line by line, bytes; larger ones are named with their digests.
/// 1 MiB of prompt or tool manifest is far beyond what a person reads.
const DIFF_BYTES_MAX: usize = 1 << 20;
/// Longest part of a path used as a file name, bytes; file systems allow 255.
const PART_MAX: usize = 200;
/// Unchanged lines shown around a change.
const CONTEXT_LINES: usize = 3;

/// One file that differs.
pub(super) struct Diff {
    /// Where it is in the pack.
    pub(super) path: String,
    /// The unified diff, or one sentence why there is none to show.
    pub(super) text: String,
}

/// One artifact that differs.
pub(super) struct Change {
    /// Kind, versions and files.
    pub(super) what: ArtifactChange,
    /// Its files' diffs.
    pub(super) diffs: Vec<Diff>,
}

/// Everything that differs between the two sets; empty where one of them is not at hand.
pub(super) fn changes(data: &CleanData) -> Vec<Change> {
    let (Some(from), Some(to)) = (&data.from, &data.to) else { return Vec::new() };
    let diff = |what: ArtifactChange| {
        let diffs = what.files.iter().map(|file| diff_file(what.kind, file, from, to)).collect();
        Change { what, diffs }
    };
    from.set.diff(&to.set).into_iter().map(diff).collect()
}

/// Why switching back would not restore the old behaviour; empty when it would.
pub(super) fn way_back_problems(data: &CleanData) -> Option<Vec<String>> {
    let (from, to) = (data.from.as_ref()?, data.to.as_ref()?);
    Some(from.set.way_back_problems(&to.set))
}

fn diff_file(kind: ArtifactKind, file: &FileChange, from: &PackedSet, to: &PackedSet) -> Diff {
    let path = pack_path(kind, &file.path);
    let (old, new) = (content(from, file.from.as_ref()), content(to, file.to.as_ref()));
    let name = |side: &str, digest: Option<&Digest>| match digest {
        Some(digest) => {
            format!("{side}/{}/{} sha256:{}", kind.as_str(), shown(&file.path), digest.short(12))
        }
        None => "/dev/null".to_owned(),
    };
    let (a, b) = (name("stable", file.from.as_ref()), name("candidate", file.to.as_ref()));
    let body = match (old, new) {
        (Side::Text(old), Side::Text(new)) if old == new => {
            "The files differ only in text that was redacted.\n".to_owned()
        }
        (Side::Text(old), Side::Text(new)) => unified(old, new, CONTEXT_LINES, Some((&a, &b))),
        (Side::Lost, _) | (_, Side::Lost) => {
            format!("--- {a}\n+++ {b}\nThe content is not in the store any more.\n")
        }
        (Side::Opaque(old), Side::Opaque(new)) => {
            format!("--- {a}\n+++ {b}\nNot shown line by line: {old} bytes before, {new} after.\n")
        }
        (Side::Opaque(size), Side::Text(text)) | (Side::Text(text), Side::Opaque(size)) => {
            let text = text.len();
            format!("--- {a}\n+++ {b}\nNot shown line by line: {size} bytes beside {text}.\n")
        }
    };
    Diff { path, text: body }
}

/// One side of a file.
enum Side<'a> {
    /// Text of a readable size; empty when the file is not there.
    Text(&'a str),
    /// Binary, or too large: its size in bytes.
    Opaque(usize),
    /// Named by the set and not in the store.
    Lost,
}

fn content<'a>(packed: &'a PackedSet, digest: Option<&Digest>) -> Side<'a> {
    let Some(digest) = digest else { return Side::Text("") };
    let Some(bytes) = packed.blobs.get(digest) else { return Side::Lost };
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= DIFF_BYTES_MAX && !text.contains('\0') => Side::Text(text),
        _ => Side::Opaque(bytes.len()),
    }
}

/// `diffs/<kind>/<path>.diff`; a path that is not safe is named by its digest.
fn pack_path(kind: ArtifactKind, path: &str) -> String {
    let short = path.split('/').all(|part| part.len() <= PART_MAX) && path.len() <= 4 * PART_MAX;
    let name = if is_plain_path(path) && short {
        path.to_owned()
    } else {
        format!("path-{}", Digest::of(path.as_bytes()).short(12))
    };
    format!("diffs/{}/{name}.diff", kind.as_str())
}

/// A path on one line.
fn shown(path: &str) -> String {
    path.chars()
        .flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] })
        .collect()
}

/// The files of `diffs/`.
pub(super) fn files(data: &CleanData, changes: &[Change]) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = changes
        .iter()
        .flat_map(|change| &change.diffs)
        .map(|diff| (diff.path.clone(), diff.text.clone().into_bytes()))
        .collect();
    files.insert("diffs/summary.md".to_owned(), summary(data, changes).into_bytes());
    files
}

fn summary(data: &CleanData, changes: &[Change]) -> String {
    let plan = &data.release.plan;
    let mut text = format!(
        "# What changes in {}\n\nFrom `{}`{} to `{}`{}.\n\n",
        data.change_id,
        plan.from,
        label(data.from.as_ref()),
        plan.to,
        label(data.to.as_ref()),
    );
    if data.from.is_none() || data.to.is_none() {
        text.push_str("One of the two sets is not in the store, so no diff could be made.\n\n");
    }
    text.push_str("| kind | before | after | files that differ |\n|---|---|---|---|\n");
    for change in changes {
        let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "–".to_owned());
        let files: Vec<String> =
            change.diffs.iter().map(|diff| format!("`{}`", cell(&diff.path))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            change.what.kind.as_str(),
            cell(&version(&change.what.from)),
            cell(&version(&change.what.to)),
            files.join(", "),
        );
    }
    text.push_str("\n## The way back\n\n");
    match way_back_problems(data) {
        None => text.push_str("It could not be checked.\n"),
        Some(problems) if problems.is_empty() => {
            let _ = writeln!(text, "Routing to `{}` again restores the old behaviour.", plan.from);
        }
        Some(problems) => {
            for problem in problems {
                let _ = writeln!(text, "- {problem}");
            }
        }
    }
    text
}

/// A set's label in brackets, or nothing.
fn label(packed: Option<&PackedSet>) -> String {
    packed.map(|p| format!(" ({})", cell(&p.label))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_the_folder() {
        fn check(path: &str, in_pack: &str) {
            assert_eq!(pack_path(ArtifactKind::Prompt, path), in_pack);
        }
        check("system.md", "diffs/prompt/system.md.diff");
        check("多语言/系统.md", "diffs/prompt/多语言/系统.md.diff");
        check("../../etc/passwd", "diffs/prompt/path-3754d6cb3a38.diff");
        let long = pack_path(ArtifactKind::Prompt, &"x".repeat(300));
        assert!(long.starts_with("diffs/prompt/path-") && long.len() < 60, "{long}");
    }

    #[test]
    fn a_diff_shows_only_what_changed() {
        let old = "一\n二\n三\n";
        let text = unified(old, "一\n贰\n三\n", 3, Some(("stable/a", "candidate/a")));
        assert_eq!(text, "--- stable/a\n+++ candidate/a\n@@ -1,3 +1,3 @@\n 一\n-二\n+贰\n 三\n");
        assert!(unified("a", "b", 3, None).contains("\\ No newline at end of file"));
    }
}
