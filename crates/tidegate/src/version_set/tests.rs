//! Packing a project in a temporary folder, and serving what was packed.

mod comparing;
mod folders;
mod keys;
mod packing;
mod prompts;
mod properties;
mod rendering;
mod serving;

use super::*;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::error::{CliError, Result};
use serde_json::{Value, json};
use std::path::Path;
use tidegate_core::ids::UnixMs;
use tidegate_core::version_set::ArtifactKind;

const SYSTEM: &str = "You are a support agent of 北风 shop. Answer in the customer's language, \
    cite the policy you use, and never promise a refund before the order was looked up.";

/// A project in a fresh folder.
struct Project {
    folder: tempfile::TempDir,
    yaml: Value,
}

impl Project {
    fn new() -> Project {
        let project = Project {
            folder: tempfile::tempdir().unwrap(),
            yaml: json!({"service": "support", "upstreams": {"main": {"kind": "simulated"}}}),
        };
        project.prompt("v1", SYSTEM, "{{ input }}");
        project.write("prompts/current", "v1\n");
        project
    }

    fn prompt(&self, version: &str, system: &str, user: &str) {
        self.write(&format!("prompts/{version}/system.md"), system);
        self.write(&format!("prompts/{version}/user_template.md"), user);
        self.write(
            &format!("prompts/{version}/config.yaml"),
            "version: \"1.0\"\nmodel: gpt-4o-mini\ntemperature: 0.7\nmax_tokens: 100\n",
        );
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.path().join(path)).unwrap();
    }

    #[cfg(unix)]
    fn link(&self, target: &str, path: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    fn set(&mut self, pointer: &[&str], value: Value) -> &mut Self {
        let mut at = &mut self.yaml;
        for key in pointer {
            at = &mut at[*key];
        }
        *at = value;
        self
    }

    fn loaded(&self) -> Loaded {
        Loaded {
            project: serde_json::from_value(self.yaml.clone()).unwrap(),
            root: self.folder.path().to_owned(),
        }
    }

    fn pack(&self) -> Result<PackedSet> {
        Ok(pack(&self.loaded(), &PackOverrides::default())?)
    }

    fn id(&self) -> String {
        self.pack().unwrap().set.id.to_string()
    }

    fn live(&self) -> Result<LiveSet> {
        self.live_of(&self.pack()?)
    }

    fn live_of(&self, packed: &PackedSet) -> Result<LiveSet> {
        Ok(LiveSet::new(packed, self.folder.path(), &Clock::demo(UnixMs(0), 1))?)
    }

    fn refuse(&self, message: &str) -> CliError {
        self.refuse_with(&PackOverrides::default(), message)
    }

    fn refuse_with(&self, overrides: &PackOverrides, message: &str) -> CliError {
        let error = CliError::from(pack(&self.loaded(), overrides).unwrap_err());
        assert!(error.message.contains(message), "{}\nlacks: {message}", error.message);
        assert!(!error.message.contains('\n') && !error.message.ends_with('.'));
        error
    }
}

fn prompt_override(version: &str) -> PackOverrides {
    PackOverrides { prompt: Some(version.to_owned()), ..PackOverrides::default() }
}

fn hints(error: &CliError) -> String {
    error.hints.join("\n")
}

#[test]
fn the_path_in_errors_is_relative_to_the_project() {
    let project = Project::new();
    project.write("prompts/v1/system.md", "{{ x }}");
    let error = project.pack().unwrap_err().message;
    assert!(!error.contains(project.folder.path().to_str().unwrap()), "{error}");
    assert!(Path::new("prompts/v1/system.md").is_relative() && error.starts_with("prompts/v1/"));
}
