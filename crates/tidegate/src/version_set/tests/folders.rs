//! Artifacts that are folders of files.

use super::super::files::{FILES_MAX, INLINE_FILE_BYTES_MAX};
use super::*;

fn with_index() -> Project {
    let mut project = Project::new();
    project.set(&["artifacts", "index"], json!({"version": "v1", "path": "knowledge"}));
    project.write("knowledge/a.md", "a");
    project
}

fn paths(project: &Project) -> Vec<String> {
    project.pack().unwrap().set.artifacts[&ArtifactKind::Index].files.keys().cloned().collect()
}

#[test]
fn documents_are_found_in_folders_and_hidden_files_are_not() {
    let project = with_index();
    project.write("knowledge/b/c.md", "c");
    project.write("knowledge/.DS_Store", "x");
    project.write("knowledge/.git/config", "x");
    let expected = ["documents/a.md", "documents/b/c.md", "retrieval.json"];
    assert_eq!(paths(&project), expected);
}

#[test]
fn one_file_is_an_index_too_and_a_missing_one_is_named() {
    let mut project = with_index();
    project.set(&["artifacts", "index", "path"], json!("knowledge/a.md"));
    assert_eq!(paths(&project), ["documents/a.md", "retrieval.json"]);
    project.set(&["artifacts", "index", "path"], json!("knowledge/x.md"));
    project.refuse("knowledge/x.md does not exist");
}

#[test]
fn a_large_file_is_kept_by_its_digest() {
    let project = with_index();
    let mut large = vec![b'x'; usize::try_from(INLINE_FILE_BYTES_MAX).unwrap() + 1];
    project.write("knowledge/big.bin", &large);
    let packed = project.pack().unwrap();
    let pointer = packed.file(ArtifactKind::Index, "documents/big.bin.pointer.json").unwrap();
    let pointer: Value = serde_json::from_slice(pointer).unwrap();
    assert_eq!(pointer["path"], "knowledge/big.bin");
    assert_eq!(pointer["bytes"], INLINE_FILE_BYTES_MAX + 1);
    assert_eq!(pointer["sha256"].as_str().unwrap().len(), 64);
    let size: usize = packed.blobs.values().map(Vec::len).sum();
    assert!(size < 100_000);
    large[0] = b'y';
    project.write("knowledge/big.bin", &large);
    assert_ne!(packed.set.id, project.pack().unwrap().set.id);
}

#[test]
fn too_many_files_are_refused() {
    let project = with_index();
    for n in 0..FILES_MAX {
        project.write(&format!("knowledge/{n}.md"), "");
    }
    project.refuse("`artifacts.index.path` has more than 2000 files");
}

#[cfg(unix)]
#[test]
fn links_that_multiply_folders_end_early() {
    let project = with_index();
    for n in 0..14 {
        std::fs::create_dir(project.folder.path().join(format!("knowledge/d{n}"))).unwrap();
        project.link(&format!("../d{}", n + 1), &format!("knowledge/d{n}/a"));
        project.link(&format!("../d{}", n + 1), &format!("knowledge/d{n}/b"));
    }
    project.write("knowledge/d14/x.md", "x");
    project.refuse("has more than 2000 files");
}

#[test]
fn a_file_called_as_a_pointer_hides_nothing() {
    let project = with_index();
    project.write("knowledge/big", vec![0; usize::try_from(INLINE_FILE_BYTES_MAX).unwrap() + 1]);
    project.write("knowledge/big.pointer.json", "{}");
    project.refuse("the path big.pointer.json is taken twice");
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_project_is_refused_and_one_within_is_followed() {
    let mut project = with_index();
    project.write("shared/s.md", "s");
    project.link("../shared/s.md", "knowledge/s.md");
    assert_eq!(paths(&project).len(), 3);
    project.link("/etc/hostname", "knowledge/host");
    project.refuse("knowledge/host leads out of the project");
    project.remove("knowledge/host");
    project.link("..", "knowledge/up");
    project.refuse("folders are more than 16 deep");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("d.md"), "d").unwrap();
    project.set(&["artifacts", "index", "path"], json!(outside.path()));
    assert_eq!(paths(&project), ["documents/d.md", "retrieval.json"]);
}

#[test]
fn a_changed_index_format_has_no_way_back() {
    let mut project = with_index();
    project.set(&["artifacts", "index", "format"], json!("hnsw-1"));
    let old = project.pack().unwrap().set;
    project.set(&["artifacts", "index", "format"], json!("hnsw-2"));
    let new = project.pack().unwrap().set;
    assert_ne!(old.id, new.id);
    assert_eq!(old.way_back_problems(&new).len(), 1);
}
