//! Where a command goes: to the server that runs on this project, or to a control of its own.

use super::admin::AdminClient;
use super::command::{Answer, Command};
use super::{Control, replay};
use crate::clock::Clock;
use crate::config::load;
use crate::error::Result;
use crate::store::{Access, Store};
use std::path::Path;
use tidegate_core::journal::ControlState;

/// Who carries out commands.
pub(crate) enum Backend {
    /// The running server, over its admin plane.
    Server(AdminClient),
    /// A control in this process, which holds the state's lock.
    Here(Box<Control>),
}

impl Backend {
    /// Finds the running server of the project, or takes the state's lock.
    pub(crate) async fn connect(config: &Path) -> Result<Backend> {
        let loaded = load(config)?;
        if let Some(client) = AdminClient::find(&loaded.root).await {
            return Ok(Backend::Server(client));
        }
        let store = Store::open(&loaded.root, Access::Exclusive)?;
        let control = Control::open(config.to_owned(), store, Clock::Real)?;
        Ok(Backend::Here(Box::new(control)))
    }

    /// Carries out a command.
    pub(crate) async fn command(&mut self, command: Command) -> Result<Answer> {
        match self {
            Backend::Server(client) => client.command(&command).await,
            Backend::Here(control) => control.handle(command).await,
        }
    }

    /// Whether a server carries the commands out.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Backend::Server(_))
    }
}

/// Whether a server runs on the project: without one nothing is decided.
pub(crate) async fn is_served(root: &Path) -> bool {
    AdminClient::find(root).await.is_some()
}

/// The state, read beside whoever writes it.
pub(crate) fn read_state(root: &Path) -> Result<(Store, ControlState)> {
    let store = Store::open(root, Access::Read)?;
    let state = replay(&store)?;
    Ok((store, state))
}
