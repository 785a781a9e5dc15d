//! What verification sees.

use super::build::{Outcome, release};
use crate::error::{CliError, ErrorKind};
use crate::evidence::collect::write_data;
use crate::evidence::verify::verify;
use std::fs;
use std::path::{Path, PathBuf};
use tidegate_core::evidence::VerifyProblem;
use tidegate_core::ids::Digest;

struct Pack {
    _dir: tempfile::TempDir,
    folder: PathBuf,
}

fn pack() -> Pack {
    let dir = tempfile::tempdir().unwrap();
    write_data(release(Outcome::RolledBack), dir.path()).unwrap();
    let folder = dir.path().join("prompt-v3-a1b2c");
    assert_eq!(verify(&folder).unwrap().problems, vec![]);
    Pack { _dir: dir, folder }
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            paths.extend(self::paths(&entry.path()));
        } else {
            paths.push(entry.path());
        }
    }
    paths.sort();
    paths
}

fn problems(pack: &Pack) -> Vec<String> {
    verify(&pack.folder).unwrap().problems.iter().map(ToString::to_string).collect()
}

/// Rewrites the manifest as a forger would: new digests, new seal.
fn reseal(pack: &Pack, change: impl Fn(&mut serde_json::Value)) {
    let path = pack.folder.join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (name, entry) in manifest["files"].as_object_mut().unwrap() {
        if let Ok(content) = fs::read(pack.folder.join(name)) {
            entry["sha256"] = Digest::of(&content).to_string().into();
            entry["bytes"] = content.len().into();
        }
    }
    change(&mut manifest);
    let zeros = "0".repeat(64);
    manifest["seal"] = zeros.clone().into();
    let text = serde_json::to_string_pretty(&manifest).unwrap();
    let seal = Digest::of(text.as_bytes());
    let at = text.rfind(&zeros).unwrap();
    fs::write(&path, format!("{}{seal}{}", &text[..at], &text[at + 64..])).unwrap();
}

#[test]
fn a_flipped_byte_is_seen_wherever_it_is() {
    let pack = pack();
    for path in paths(&pack.folder) {
        let good = fs::read(&path).unwrap();
        // The first, the last and some between; every byte of every file would take minutes.
        for at in [0, good.len() / 2, good.len() - 1] {
            for mask in [0x01, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                fs::write(&path, &bad).unwrap();
                let found = verify(&pack.folder).unwrap();
                assert!(!found.problems.is_empty(), "byte {at} of {}", path.display());
                let error = CliError::from(found.into_result().unwrap_err());
                assert_eq!(error.kind, ErrorKind::Failed);
            }
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(problems(&pack), Vec::<String>::new());
}

#[test]
fn a_cut_file_is_seen() {
    let pack = pack();
    for path in paths(&pack.folder) {
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(!problems(&pack).is_empty(), "{}", path.display());
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_deleted_file_is_named() {
    let pack = pack();
    for path in paths(&pack.folder).iter().filter(|p| !p.ends_with("manifest.json")) {
        let good = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        let name = path.strip_prefix(&pack.folder).unwrap().display().to_string();
        let missing = format!("`{name}` is listed in the manifest, but missing from the pack");
        assert!(problems(&pack).contains(&missing), "{name}");
        fs::write(path, &good).unwrap();
    }
}

#[test]
fn an_added_a_renamed_and_an_empty_thing_are_named() {
    let pack = pack();
    fs::write(pack.folder.join("samples/extra.json"), "{}").unwrap();
    fs::rename(pack.folder.join("report.html"), pack.folder.join("report2.html")).unwrap();
    fs::create_dir(pack.folder.join("media")).unwrap();
    let found = problems(&pack).join("\n");
    for part in [
        "`samples/extra.json` is not listed",
        "`report.html` is listed in the manifest, but missing from the pack",
        "`report2.html` is not listed",
        "`media/` is not listed",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

#[test]
fn two_swapped_files_are_both_altered() {
    let pack = pack();
    let (a, b) = (pack.folder.join("signals/cost.svg"), pack.folder.join("signals/risk.svg"));
    let (first, second) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    fs::write(&a, second).unwrap();
    fs::write(&b, first).unwrap();
    assert_eq!(problems(&pack).len(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let pack = pack();
    let path = pack.folder.join("decisions.jsonl");
    let outside = pack.folder.parent().unwrap().join("same-content");
    fs::rename(&path, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    let found = problems(&pack).join("\n");
    assert!(found.contains("`decisions.jsonl` is a link or a special file"), "{found}");
    fs::remove_file(&path).unwrap();
    fs::rename(&outside, &path).unwrap();
    std::os::unix::fs::symlink("/etc", pack.folder.join("folder")).unwrap();
    assert!(problems(&pack).join("\n").contains("`folder` is a link"));
    let manifest = pack.folder.join("manifest.json");
    fs::rename(&manifest, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &manifest).unwrap();
    let error = CliError::from(verify(&pack.folder).unwrap_err());
    assert_eq!(error.kind, ErrorKind::Failed);
}

#[test]
fn paths_that_lead_out_are_refused_even_in_a_sealed_manifest() {
    let pack = pack();
    for path in ["../x", "/etc/passwd", "a/../../x", "a\\b", ""] {
        reseal(&pack, |manifest| {
            let files = manifest["files"].as_object_mut().unwrap();
            files.retain(|name, _| {
                fs::metadata(pack.folder.join(name))
                    .is_ok_and(|_| tidegate_core::evidence::is_plain_path(name))
            });
            let entry = serde_json::json!({ "sha256": "0".repeat(63) + "1", "bytes": 1 });
            files.insert(path.to_owned(), entry);
        });
        let found = verify(&pack.folder).unwrap().problems;
        let refused = |p: &VerifyProblem| matches!(p, VerifyProblem::Path { .. });
        assert!(found.iter().any(refused), "{path:?}: {found:?}");
    }
}

#[test]
fn a_forged_journal_is_seen_under_a_new_seal() {
    fn check(change: fn(&mut Vec<String>), seen: &str) {
        let pack = pack();
        let path = pack.folder.join("journal.jsonl");
        let mut lines: Vec<String> =
            fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        change(&mut lines);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        reseal(&pack, |_| {});
        let found = problems(&pack).join("\n");
        assert!(found.contains(seen), "{seen} in {found}");
    }
    check(|l| l[3] = l[3].replace("looking", "decided"), "was altered");
    check(|l| drop(l.remove(5)), "other decisions than journal");
    check(|l| l.swap(4, 5), "follows entry");
    check(|l| l[3] = l[2].clone(), "follows entry");
    check(|l| l.truncate(l.len() - 2), "other decisions than journal");
    check(|l| l.clear(), "has no entry");
    check(|l| l[0] = "{}".to_owned(), "cannot be read");
    check(|l| l[3] = l[3].replacen("{\"seq\":", "{\"extra\":1,\"seq\":", 1), "cannot be read");
}

#[test]
fn decisions_that_are_not_the_journals_are_seen_under_a_new_seal() {
    let pack = pack();
    let path = pack.folder.join("decisions.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let fewer: String = text.lines().skip(1).map(|l| format!("{l}\n")).collect();
    fs::write(&path, fewer).unwrap();
    reseal(&pack, |_| {});
    assert!(problems(&pack).join("\n").contains("other decisions than journal"));
}

#[test]
fn an_old_journal_head_is_seen() {
    let pack = pack();
    reseal(&pack, |manifest| manifest["journal_head"][0] = 5.into());
    assert!(problems(&pack).join("\n").contains("does not fit the manifest's journal head"));
}

#[test]
fn what_is_no_pack_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let check = |path: &Path| {
        let error = CliError::from(verify(path).unwrap_err());
        assert_eq!((error.kind, error.hints.len()), (ErrorKind::Usage, 1), "{error}");
    };
    check(dir.path());
    check(&dir.path().join("nowhere"));
}
