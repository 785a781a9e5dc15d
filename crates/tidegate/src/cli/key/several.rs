//! One key for several services of a workspace.
//!
//! The state of every service has its own grant and its own hash of the key, so that a service can
//! still be moved, restored or closed to it alone. Bounds and budgets are those of each service.

use super::show;
use crate::cli::backend::Backend;
use crate::cli::project_of;
use crate::config::load;
use crate::control::{Answer, Command, KeyRequest, NewKey};
use crate::error::{CliError, Result};
use crate::lang;
use crate::output;
use crate::secret;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tidegate_core::access::KeyText;

/// A service with what it is to do.
struct Part {
    service: String,
    config: PathBuf,
    command: Command,
}

/// Has every service carry the command out. A key that one of them does not take is revoked in
/// those before it: it opens all or none.
pub(super) async fn run(services: &[String], command: Command, json: bool) -> Result<()> {
    let text = match command {
        Command::MakeKey(_) | Command::RotateKey { .. } => {
            let random = secret::random().map_err(|error| {
                CliError::internal(format!("the system gives no random bytes: {error}"))
            })?;
            Some(KeyText::of(&random))
        }
        _ => None,
    };
    let parts = parts(services, &command, text.as_ref())?;
    let mut answers: BTreeMap<&str, Answer> = BTreeMap::new();
    for (place, part) in parts.iter().enumerate() {
        match obey(part).await {
            Ok(answer) => {
                if !json {
                    output::stderr(format!(
                        "{}: {}",
                        part.service,
                        answer.sentence(lang::reader())
                    ));
                }
                answers.insert(&part.service, answer);
            }
            Err(mut error) => {
                error.message = format!("{}: {}", part.service, error.message);
                return Err(undo(&parts[..place], text.as_ref(), error).await);
            }
        }
    }
    if json {
        output::json(&answers);
    } else if let Some(key) = &text {
        show(&NewKey::of(key));
    }
    Ok(())
}

async fn obey(part: &Part) -> Result<Answer> {
    Backend::reach(&part.config, None).await?.command(part.command.clone()).await
}

/// Each service with its command: the same key, and of the models those that are its own.
fn parts(services: &[String], command: &Command, text: Option<&KeyText>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut left: BTreeSet<String> = match command {
        Command::MakeKey(request) => request.models.clone(),
        _ => BTreeSet::new(),
    };
    let mut given = BTreeSet::new();
    for service in services.iter().filter(|service| given.insert(*service)) {
        let config = project_of(service)?;
        let command = match command {
            Command::MakeKey(request) => {
                let models = of_service(&config, &request.models)?;
                if models.is_empty() && !request.models.is_empty() {
                    let error = format!("service `{service}` has none of the names in --models");
                    return Err(CliError::usage(error)
                        .hint("leave the service out of --services, or name a model of it"));
                }
                left.retain(|model| !models.contains(model));
                let text = text.map(NewKey::of);
                Command::MakeKey(Box::new(KeyRequest { models, text, ..(**request).clone() }))
            }
            Command::RotateKey { key, text: _, overlap_ms, by } => Command::RotateKey {
                key: key.clone(),
                text: text.map(NewKey::of),
                overlap_ms: *overlap_ms,
                by: by.clone(),
            },
            other => other.clone(),
        };
        parts.push(Part { service: service.clone(), config, command });
    }
    match left.first() {
        Some(model) => Err(CliError::usage(format!("no service of these is called `{model}`"))
            .hint(format!("--services {}", services.join(",")))),
        None => Ok(parts),
    }
}

/// Those of the models that the service of a project file is called.
fn of_service(config: &std::path::Path, models: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let project = load(config)?.project;
    let is_its = |model: &&String| project.service == **model || project.aliases.contains(*model);
    Ok(models.iter().filter(is_its).cloned().collect())
}

/// Takes back what was made before one failed. A rotation cannot be taken back, since the old key's
/// end is journalled: its successor is shown, as it opens what was rotated.
async fn undo(done: &[Part], text: Option<&KeyText>, mut error: CliError) -> CliError {
    for part in done {
        let service = &part.service;
        error = match (&part.command, text) {
            (Command::MakeKey(request), Some(text)) => {
                let (key, by) = (text.id().to_string(), request.by.clone());
                let revoke = Command::RevokeKey { key, by };
                let (service, config) = (service.clone(), part.config.clone());
                match obey(&Part { service: service.clone(), config, command: revoke }).await {
                    Ok(_) => error.hint(format!("in `{service}` the key is revoked again")),
                    Err(_) => error.hint(format!(
                        "in `{service}` it opens still: \
                         `tidegate key revoke {} --service {service}`",
                        text.id()
                    )),
                }
            }
            _ => error.hint(format!("`{service}` has done it already: leave it out next time")),
        };
    }
    if let (Some(Part { command: Command::RotateKey { .. }, .. }), Some(key)) = (done.first(), text)
    {
        show(&NewKey::of(key));
    }
    error
}
