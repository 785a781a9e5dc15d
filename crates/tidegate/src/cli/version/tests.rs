use super::*;
use crate::clock::Clock;
use crate::store::Access;
use crate::version_set::LiveSet;
use tidegate_core::version_set::ArtifactKind;

fn project() -> (tempfile::TempDir, Loaded) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    for (version, system) in [("v1", "You are S.\n"), ("v2", "You are S.\n请用中文回答。\n")]
    {
        write(&format!("prompts/{version}/system.md"), system);
        write(&format!("prompts/{version}/user_template.md"), "<{{ input }}>");
        write(&format!("prompts/{version}/config.yaml"), "model: m\n");
    }
    write("prompts/current", "v1");
    let project = json!({"service": "s", "upstreams": {"main": {"kind": "simulated"}}});
    let loaded = Loaded {
        project: serde_json::from_value(project).unwrap(),
        root: folder.path().to_owned(),
    };
    (folder, loaded)
}

fn packed(loaded: &Loaded, prompt: &str) -> PackedSet {
    let prompt = Some(prompt.to_owned());
    pack(loaded, &PackOverrides { prompt, ..PackOverrides::default() }).unwrap()
}

#[tokio::test]
async fn a_set_is_packed_kept_compared_and_served_from_the_store() {
    let (folder, loaded) = project();
    let store = Store::open(folder.path(), Access::Exclusive).unwrap();
    for (prompt, kept) in [("v1", 1), ("v1", 1), ("v2", 2)] {
        store.put_set(&packed(&loaded, prompt), UnixMs(1)).await.unwrap();
        assert_eq!(store.sets().unwrap().len(), kept, "{prompt}");
    }
    let (v1, v2) = (packed(&loaded, "v1").set.id, packed(&loaded, "v2").set.id);
    for command in [
        VersionCommand::List,
        VersionCommand::Show { id: v1.to_string() },
        VersionCommand::Diff { from: v1.to_string(), to: Some(v2.to_string()) },
        VersionCommand::Diff { from: v2.to_string(), to: None },
    ] {
        for json in [false, true] {
            run(&loaded, &store, command.clone(), json).unwrap();
        }
    }
    std::fs::remove_dir_all(folder.path().join("prompts")).unwrap();
    let kept = store.set(&v2).unwrap();
    let live = LiveSet::new(&kept, folder.path(), &Clock::Real).unwrap();
    let body = json!({"messages": [{"role": "user", "content": "你好"}]});
    let rendered = live.render(body.as_object().unwrap().clone(), None).unwrap().body;
    assert_eq!(rendered["messages"][0]["content"], "You are S.\n请用中文回答。\n");
    assert_eq!(rendered["messages"][1]["content"], "<你好>");
}

#[test]
fn an_id_that_is_not_known_names_the_nearest() {
    let (_folder, loaded) = project();
    let set = |prompt: &str| (packed(&loaded, prompt).set, format!("prompt {prompt}"), UnixMs(0));
    let kept = vec![set("v2"), set("v1")];
    let v1 = kept[1].0.id.clone();
    assert_eq!(known(&kept, v1.as_str()).unwrap(), v1);
    let last = if v1.as_str().ends_with('0') { "1" } else { "0" };
    let near = format!("{}{last}", &v1.as_str()[..v1.as_str().len() - 1]);
    let error = known(&kept, &near).unwrap_err();
    assert!(error.message.contains(&format!("`{near}` is not kept")), "{}", error.message);
    assert!(error.hints[0].starts_with(&format!("nearest: `{v1}` (prompt v1)")), "{error:?}");
    for given in ["v3", "../etc/passwd", "", "vs-0F3A9C21D4E7"] {
        let error = known(&kept, given).unwrap_err();
        assert!(error.message.contains("12 hex digits"), "{}", error.message);
    }
    assert!(known(&Vec::new(), &near).unwrap_err().hints[0].contains("version pack"));
}

#[test]
fn a_diff_is_readable() {
    let (_folder, loaded) = project();
    let (v1, v2) = (packed(&loaded, "v1"), packed(&loaded, "v2"));
    let diff = compare(&v1, &v2);
    let text = diff_lines(&diff).join("\n");
    for part in ["prompt  v1 → v2", "  system.md  changed, 11 → 33 bytes", "    +请用中文回答。"]
    {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    assert_eq!(diff_lines(&compare(&v1, &v1)), ["no difference"]);
}

#[test]
fn the_artifacts_are_listed_with_their_files() {
    let (_folder, loaded) = project();
    let text = artifact_lines(&packed(&loaded, "v1").set).join("\n");
    for kind in ArtifactKind::REQUIRED {
        assert!(text.lines().any(|line| line.starts_with(kind.as_str())), "{text}");
    }
    assert!(text.contains("system.md  11 bytes"), "{text}");
}

#[test]
fn a_terminal_is_not_steered_by_a_file() {
    assert_eq!(painted("+\u{1b}[2Jx\ty"), "    +\u{fffd}[2Jx\ty");
}
