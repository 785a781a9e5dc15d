//! What changes between two sets.

use super::*;

fn texts(diff: &SetDiff) -> Vec<(ArtifactKind, String, Option<String>)> {
    let files = diff.changes.iter().flat_map(|change| {
        change.files.iter().map(|file| (change.kind, file.path.clone(), file.lines.clone()))
    });
    files.collect()
}

#[test]
fn a_prompt_edit_is_shown_by_line() {
    let project = Project::new();
    let v1 = project.pack().unwrap();
    project.prompt("v2", &format!("{SYSTEM}\n不要编造。\n"), "{{ input }}");
    let v2 = pack(&project.loaded(), &prompt_override("v2")).unwrap();
    let diff = compare(&v1, &v2);
    assert_eq!(diff.changes.len(), 1);
    let change = &diff.changes[0];
    assert_eq!((change.from.as_deref(), change.to.as_deref()), (Some("v1"), Some("v2")));
    let [(kind, path, Some(lines))] = &texts(&diff)[..] else { panic!("{diff:?}") };
    assert_eq!((*kind, path.as_str()), (ArtifactKind::Prompt, "system.md"));
    assert!(lines.contains("\n+不要编造。\n"), "{lines}");
    assert!(compare(&v1, &v1).changes.is_empty());
}

#[test]
fn a_swapped_document_is_named_and_bytes_are_not_printed() {
    let mut project = Project::new();
    project.set(&["artifacts", "index"], json!({"version": "v1", "path": "knowledge"}));
    project.write("knowledge/a.md", "old");
    project.write("knowledge/b.bin", b"\xff\xfe");
    let old = project.pack().unwrap();
    project.remove("knowledge/a.md");
    project.write("knowledge/b.bin", b"\xff\xff\xff");
    project.write("knowledge/c.md", "new\n");
    let diff = compare(&old, &project.pack().unwrap());
    let files = &diff.changes[0].files;
    let sizes: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.bytes_from, f.bytes_to)).collect();
    assert_eq!(
        sizes,
        [("documents/a.md", 3, 0), ("documents/b.bin", 2, 3), ("documents/c.md", 0, 4)]
    );
    assert_eq!(files[1].lines, None);
    assert!(files[2].from.is_none() && files[2].lines.as_ref().unwrap().contains("+new"));
}

#[test]
fn a_planted_text_is_not_spread() {
    let mut project = Project::new();
    project.set(&["risk", "planted"], json!(["PLANTED-1"]));
    let old = project.pack().unwrap();
    project.set(&["risk", "planted"], json!(["PLANTED-2"]));
    let diff = compare(&old, &project.pack().unwrap());
    let text = serde_json::to_string(&diff).unwrap();
    assert!(text.contains("(planted, sha256 ") && !text.contains("PLANTED"), "{text}");
}
