//! `tidegate init`: a complete project that works at once, without network or key.

use crate::config;
use crate::error::{CliError, Result};
use crate::output;
use std::path::{Path, PathBuf};
use tidegate_core::ids::{Digest, ServiceName};

/// What `init` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The folder to create; the service is named after it.
    dir: PathBuf,
    /// Write into a folder that holds other files; no file is overwritten.
    #[arg(long)]
    force: bool,
}

/// Writes the project and says what to do next.
pub(crate) fn run(args: &InitArgs, json: bool) -> Result<()> {
    let written = init(&args.dir, args.force)?;
    if json {
        output::json(&serde_json::json!({ "folder": args.dir, "files": written }));
        return Ok(());
    }
    for file in &written {
        output::line(file.display().to_string());
    }
    output::stderr("");
    output::stderr("next:");
    output::stderr(format!("  cd {}", args.dir.display()));
    output::stderr("  tidegate check");
    output::stderr("  tidegate serve                        # answers on http://127.0.0.1:8787/v1");
    output::stderr("  tidegate eval --prompt v2 && tidegate release start --prompt v2 --watch");
    output::stderr("");
    output::stderr(
        "a release advances only on requests of many users; README.md has a command for them",
    );
    Ok(())
}

/// The placeholder of the service's name in the templates.
const SERVICE: &str = "__SERVICE__";
/// The placeholder of the text that is planted in the system prompts.
const CANARY: &str = "__CANARY__";

/// A file of the new project and its text.
macro_rules! template {
    ($path:literal) => {
        ($path, include_str!(concat!("../../templates/", $path)))
    };
}

/// Every file that is written from a template. The project file is last: where it exists, the rest
/// exists too.
const FILES: [(&str, &str); 13] = [
    template!("prompts/v1/system.md"),
    template!("prompts/v1/user_template.md"),
    template!("prompts/v1/config.yaml"),
    template!("prompts/v2/system.md"),
    template!("prompts/v2/user_template.md"),
    template!("prompts/v2/config.yaml"),
    template!("evals/eval_cases.csv"),
    template!("evals/dataset.jsonl"),
    template!("knowledge/policy.md"),
    template!("tools/tools.yaml"),
    template!("README.md"),
    // Stored without its dot: cargo leaves files that git ignores out of a package.
    (".gitignore", include_str!("../../templates/gitignore")),
    template!("tidegate.yaml"),
];

/// Writes a project into the folder, which may not exist yet; gives the files that were written.
/// With `force` the folder may hold other files. A file that is there is never written over: it is
/// left as it is and is not among the files given back.
///
/// # Errors
/// The folder's name is not a service name, it is not empty (without `force`), or it cannot be
/// written.
pub(crate) fn init(dir: &Path, force: bool) -> Result<Vec<PathBuf>> {
    let service = service_name(dir)?;
    check_empty(dir, force)?;
    let canary = format!("TG-CANARY-{}", Digest::of(service.as_bytes()).short(8));
    let mut written = Vec::new();
    for (name, text) in FILES {
        let text = text.replace(SERVICE, &service).replace(CANARY, &canary);
        write_new(dir, Path::new(name), &text, &mut written)?;
        if name == "prompts/v2/config.yaml" {
            point_current(dir, &mut written)?;
        }
    }
    let schema = serde_json::to_string_pretty(&config::schema())
        .map_err(|error| CliError::internal(format!("the schema cannot be written: {error}")))?;
    write_new(dir, Path::new(".tidegate/schema.json"), &format!("{schema}\n"), &mut written)?;
    Ok(written)
}

fn service_name(dir: &Path) -> Result<String> {
    // The folder may not exist yet, and `.` and `..` have no name.
    let full =
        dir.canonicalize().or_else(|_| std::path::absolute(dir)).unwrap_or(dir.to_path_buf());
    let name = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match ServiceName::parse(&name) {
        Ok(_) => Ok(name),
        Err(error) => {
            Err(CliError::usage(format!("the service is named after its folder: {error}"))
                .hint("choose another folder: `tidegate init NAME`"))
        }
    }
}

fn check_empty(dir: &Path, force: bool) -> Result<()> {
    if dir.join("tidegate.yaml").exists() && !force {
        return Err(CliError::usage(format!("{} is a Tidegate project already", dir.display()))
            .hint("choose another folder: `tidegate init NAME`")
            .hint("or add only the files that are missing: `--force`"));
    }
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwritable(dir, &error)),
    };
    let other = entries.flatten().any(|entry| entry.file_name() != ".git");
    if other && !force {
        return Err(CliError::usage(format!("{} is not empty", dir.display()))
            .hint("choose another folder: `tidegate init NAME`")
            .hint("or add the files that are missing and overwrite none: `--force`"));
    }
    Ok(())
}

fn write_new(dir: &Path, name: &Path, text: &str, written: &mut Vec<PathBuf>) -> Result<()> {
    let path = dir.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
    }
    // Not `exists` and then `write`: between the two another program could make the file.
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let result = match file {
        Ok(mut file) => std::io::Write::write_all(&mut file, text.as_bytes()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => Err(error),
    };
    result.map_err(|error| unwritable(&path, &error))?;
    written.push(path);
    Ok(())
}

/// `prompts/current` is a link to a version, or where links cannot be made a file with its name.
fn point_current(dir: &Path, written: &mut Vec<PathBuf>) -> Result<()> {
    let path = dir.join("prompts/current");
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    if link("v1", &path).is_ok() {
        written.push(path);
        return Ok(());
    }
    write_new(dir, Path::new("prompts/current"), "v1\n", written)
}

#[cfg(unix)]
fn link(to: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, path)
}

#[cfg(not(unix))]
fn link(_to: &str, _path: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("{}: cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests;
