//! Where a command goes: to the server that runs on this project, or to a control in this process.
//!
//! Neither needs a project file that can be read; what does is said by the command that needs it.

mod client;

use crate::clock::Clock;
use crate::config::Workspace;
use crate::control::{Answer, Command, Control, Status, folder_of, replay};
use crate::error::{CliError, Result};
use crate::http::ends_soon;
use crate::lang::Lang;
use crate::output;
use crate::spending::Spending;
use crate::store::{Access, Store};
use crate::view::{self, EndpointAnswer, KeyAnswer, ShadowAnswer};
use client::AdminClient;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::access::KeyId;
use tidegate_core::ids::UnixMs;
use tidegate_core::journal::ControlState;
use tidegate_core::shadow::Missed;

/// Who carries out commands.
pub(crate) enum Backend {
    /// The running server, over its admin plane.
    Server(AdminClient),
    /// A control in this process, which holds the state's lock.
    Here(Box<Control>),
}

impl Backend {
    /// Finds the running server of the project, or takes the state's lock; for commands that need
    /// the project file.
    pub(crate) async fn connect(config: &Path) -> Result<Backend> {
        if let Some(client) = AdminClient::find(&folder_of(config)).await {
            return Ok(Backend::Server(client));
        }
        let control = open(config)?;
        control.project()?;
        Ok(Backend::Here(control))
    }

    /// The same for commands that need no project file; `server` names one by its address. Outside
    /// of any project the one server that runs is meant.
    pub(crate) async fn reach(config: &Path, server: Option<&str>) -> Result<Backend> {
        match find(config, &folder_of(config), server).await? {
            Some(client) => Ok(Backend::Server(client)),
            None => open(config).map(Backend::Here),
        }
    }

    /// Carries out a command.
    pub(crate) async fn command(&mut self, command: Command) -> Result<Answer> {
        match self {
            Backend::Server(client) => client.command(&command).await,
            Backend::Here(control) => Ok(control.handle(command).await?),
        }
    }

    /// Adds to the books what calls cost that no user asked for. Where that cannot be done it is
    /// said and no error: who asked has what came of it.
    pub(crate) async fn book(&mut self, spending: &Spending) {
        let lines = spending.take();
        if !lines.is_empty()
            && let Err(error) = self.command(Command::Book(lines)).await
        {
            not_booked(&error);
        }
    }

    /// Whether a server carries the commands out.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Backend::Server(_))
    }
}

/// The same for commands that need no backend otherwise.
pub(crate) async fn book(config: &Path, spending: &Spending) {
    if spending.is_empty() {
        return;
    }
    match Backend::reach(config, None).await {
        Ok(mut backend) => backend.book(spending).await,
        Err(error) => not_booked(&error),
    }
}

fn not_booked(error: &CliError) {
    output::stderr(format!("warning: what this cost is not in `tidegate cost`: {error}"));
}

/// Where the state was read from, and the state.
pub(crate) struct Seen {
    /// The state as it is in force.
    pub(crate) state: ControlState,
    /// Whether a server runs.
    pub(crate) served: bool,
    /// Why what is in force is not in the journal yet.
    pub(crate) not_written: Option<String>,
    /// Why the journal could not be written at the last try.
    pub(crate) journal_problem: Option<String>,
    /// The keys.
    pub(crate) keys: BTreeMap<KeyId, KeyAnswer>,
    /// The endpoints of the arms' upstreams; none where no server runs.
    pub(crate) endpoints: Vec<EndpointAnswer>,
    /// When the certificate of the server's listener ends; `None` without TLS or a server.
    pub(crate) certificate_ends_at: Option<UnixMs>,
    /// The last shadow of each set that had one.
    pub(crate) shadows: Vec<ShadowAnswer>,
}

impl Seen {
    /// What to say beside the state, in a language.
    pub(crate) fn note(&self, lang: Lang) -> Option<String> {
        let (owed, problem) = (self.not_written.as_deref(), self.journal_problem.as_deref());
        let degraded = self.state.degraded.as_ref().map(|it| view::is_degraded(lang, it));
        let now = Clock::Real.now();
        let ends_at = self.certificate_ends_at.filter(|at| ends_soon(*at, now));
        let certificate = ends_at.map(|at| view::certificate_ends(lang, at, now));
        let changed = view::sentinel_change(lang, &self.state.sentinel);
        let notes = [degraded, changed, certificate, view::unwritten(lang, owed, problem)];
        let notes = notes.into_iter().flatten();
        Some(notes.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
    }
}

impl From<Status> for Seen {
    fn from(status: Status) -> Seen {
        Seen {
            not_written: status.not_written.clone(),
            journal_problem: status.journal_problem.clone(),
            served: true,
            keys: status.keys.clone(),
            endpoints: status.endpoints.clone(),
            certificate_ends_at: status.certificate_ends_at,
            shadows: status.shadows.clone(),
            state: status.into_state(),
        }
    }
}

/// Takes the state's lock.
fn open(config: &Path) -> Result<Box<Control>> {
    let root = folder_of(config);
    if !config.exists() && !Store::exists(&root) {
        // Says where it looked, and what to do.
        crate::config::load(config)?;
    }
    let store = Store::open(&root, Access::Exclusive)?;
    Ok(Box::new(Control::open(config.to_owned(), store, Clock::Real)?))
}

/// Whether a workspace is here, whose services a command has to name.
fn in_a_workspace() -> bool {
    std::env::current_dir().is_ok_and(|here| Workspace::nearest(&here).is_some())
}

async fn find(config: &Path, root: &Path, server: Option<&str>) -> Result<Option<AdminClient>> {
    if let Some(server) = server {
        return AdminClient::at(server).await.map(Some);
    }
    if let Some(client) = AdminClient::find(root).await {
        return Ok(Some(client));
    }
    if config.exists() || root.join(".tidegate").exists() || in_a_workspace() {
        return Ok(None);
    }
    // Not in a project: at 3 a.m. the current folder may be any.
    let mut running = AdminClient::running().await;
    match running.len() {
        0 => Ok(None),
        1 => {
            let only = running.swap_remove(0);
            let folder = only.root().display();
            output::stderr(format!("using the server of {folder}, the only one that runs"));
            Ok(Some(only))
        }
        _ => {
            let error = CliError::usage("there is no project here, and several servers run");
            Err(running.iter().fold(error, |error, client| {
                let (address, root) = (client.address(), client.root().display());
                error.hint(format!("`--server {address}` is the one of {root}"))
            }))
        }
    }
}

/// The state, read beside whoever writes it.
pub(crate) fn read_state(root: &Path) -> Result<(Store, ControlState)> {
    let store = Store::open(root, Access::Read)?;
    let state = replay(&store)?;
    Ok((store, state))
}

/// What is in force: as the running server says, or as the state on disk has it.
pub(crate) async fn read_status(config: &Path, server: Option<&str>) -> Result<Seen> {
    let root = folder_of(config);
    if let Some(client) = find(config, &root, server).await? {
        match client.status().await {
            Ok(status) => return Ok(Seen::from(status)),
            // It ended just now; what it wrote is there.
            Err(_) if server.is_none() && Store::exists(&root) => {}
            Err(error) => return Err(error),
        }
    }
    if !config.exists() && !Store::exists(&root) {
        crate::config::load(config).map_err(|error| nothing_to_read(error.into()))?;
    }
    let (_, state) = read_state(&root).map_err(nothing_to_read)?;
    let keys = state.keys.iter().map(|(id, held)| (id.clone(), held.clone().into())).collect();
    let endpoints = Vec::new();
    let shadows = state.shadows.values();
    let shadows = shadows.map(|shadow| ShadowAnswer::of(shadow, Missed::default())).collect();
    Ok(Seen {
        state,
        served: false,
        not_written: None,
        journal_problem: None,
        keys,
        endpoints,
        certificate_ends_at: None,
        shadows,
    })
}

/// No server answers and the state cannot be read.
fn nothing_to_read(error: CliError) -> CliError {
    error.hint("name a running server: `--server 127.0.0.1:PORT` (its admin or service address)")
}
