//! Several services in one process: the project folders, from a workspace file or the command line.

use super::error::{ConfigError, Result};
use super::load::parse_yaml;
use super::tls::Tls;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Most services of one process. Each has a state file, a listener for orders and a task or two of
/// its own; a platform team has dozens.
const SERVICES_MAX: usize = 256;
/// The project file's name in a folder.
const PROJECT_FILE: &str = "tidegate.yaml";

/// The workspace file that is looked for where none is named.
pub(crate) const WORKSPACE_FILE: &str = "services.yaml";

/// What a workspace file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkspaceFile {
    /// Address of the one listener, `host:port`.
    listen: Option<String>,
    /// Certificate and key of the one listener, relative to the workspace file.
    tls: Option<Tls>,
    /// Project folders, or project files, relative to the workspace file.
    services: Vec<String>,
}

/// The projects that one process serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workspace {
    /// Address of the one listener, where the workspace sets it.
    pub(crate) listen: Option<String>,
    /// Its certificate and key, where the workspace sets them.
    pub(crate) tls: Option<Tls>,
    /// The project files, each once, in the given order.
    pub(crate) projects: Vec<PathBuf>,
}

impl Workspace {
    /// The nearest workspace file, in this folder or one above.
    pub(crate) fn nearest(here: &Path) -> Option<PathBuf> {
        here.ancestors().map(|folder| folder.join(WORKSPACE_FILE)).find(|file| file.is_file())
    }

    /// Reads a workspace file.
    ///
    /// # Errors
    /// When it cannot be read, names no service, or names one that is not there or is there twice.
    pub(crate) fn read(path: &Path) -> Result<Workspace> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::new(format!("cannot be read: {error}"))
                .at(path, None)
                .hint("a workspace file lists project folders: `services: [./desk, ./shop]`")
        })?;
        let WorkspaceFile { listen, tls, services } = parse_yaml(&text, path)?;
        let root = path.parent().unwrap_or(Path::new(""));
        // The components leave out the `.` of `./desk`.
        let folder = |service: &String| root.join(service).components().collect();
        let given: Vec<PathBuf> = services.iter().map(folder).collect();
        let projects = projects(&given).map_err(|error| error.within("services").at(path, None))?;
        let tls = tls.map(|Tls { cert, key }| Tls { cert: root.join(cert), key: root.join(key) });
        Ok(Workspace { listen, tls, projects })
    }

    /// The workspace of the folders (or project files) on the command line.
    ///
    /// # Errors
    /// When one of them is not there, or is there twice.
    pub(crate) fn of(given: &[PathBuf]) -> Result<Workspace> {
        Ok(Workspace { listen: None, tls: None, projects: projects(given)? })
    }
}

fn projects(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if given.is_empty() {
        return Err(ConfigError::new("no service is listed")
            .hint("list project folders: `services: [./desk, ./shop]`"));
    }
    if given.len() > SERVICES_MAX {
        return Err(ConfigError::new(format!(
            "{} services are listed, at most {SERVICES_MAX} are allowed",
            given.len()
        )));
    }
    let mut found = Vec::new();
    let mut real: Vec<PathBuf> = Vec::new();
    for path in given {
        let file = if path.is_dir() { path.join(PROJECT_FILE) } else { path.clone() };
        let place = file.canonicalize().map_err(|error| {
            ConfigError::new(format!("{}: cannot be read: {error}", file.display()))
                .hint("give a project folder, as `tidegate init` makes it, or its tidegate.yaml")
        })?;
        if real.contains(&place) {
            return Err(ConfigError::new(format!("{} is listed twice", path.display())));
        }
        real.push(place);
        found.push(file);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["desk", "客服"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(PROJECT_FILE), "service: x\n").unwrap();
        }
        folder
    }

    fn check_refused(text: &str, parts: &[&str]) {
        let folder = folder();
        let path = folder.path().join("services.yaml");
        std::fs::write(&path, text).unwrap();
        let error = Workspace::read(&path).unwrap_err();
        for part in parts {
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_workspace_lists_project_folders_beside_it() {
        let folder = folder();
        let path = folder.path().join("services.yaml");
        let text = "listen: 127.0.0.1:0\ntls: {cert: c.pem, key: /k.pem}\n\
                    services:\n  - desk\n  - 客服/tidegate.yaml\n";
        std::fs::write(&path, text).unwrap();
        let workspace = Workspace::read(&path).unwrap();
        let tls = Tls { cert: folder.path().join("c.pem"), key: "/k.pem".into() };
        assert_eq!(workspace.tls, Some(tls));
        assert_eq!(workspace.listen.as_deref(), Some("127.0.0.1:0"));
        let file = |name: &str| folder.path().join(name).join(PROJECT_FILE);
        assert_eq!(workspace.projects, [file("desk"), file("客服")]);
    }

    #[test]
    fn a_bad_workspace_is_refused_with_its_place() {
        check_refused("services: []\n", &["services.yaml", "no service is listed"]);
        check_refused("services: [desk, shop]\n", &["shop", "cannot be read"]);
        check_refused("services: [desk, ./desk/tidegate.yaml]\n", &["listed twice"]);
        check_refused("service: [desk]\n", &["services.yaml:1", "service"]);
        check_refused("services: desk\n", &["services.yaml:1"]);
        check_refused("listen: x\n", &["services"]);
        check_refused("tls: {cert: c}\nservices: [desk]\n", &["services.yaml:1", "key"]);
        check_refused("cors: {}\nservices: [desk]\n", &["services.yaml:1", "cors"]);
    }
}
