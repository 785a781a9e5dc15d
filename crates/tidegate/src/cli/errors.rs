//! What the errors of the layers below mean at the command line: exit code and next steps. The
//! sentence is the layer's; a hint about commands and keys is said here and nowhere else.

mod cases;
mod ci;
mod control;
mod data;
mod evidence;
mod gate;
mod index;
mod prompts;
mod sentinel;
mod smoke;
mod tracking;
mod version_set;

use crate::config::ConfigError;
use crate::error::{CliError, ErrorKind};
use crate::request::{CredentialError, ListenError};
use crate::store::{StoreError, StoreErrorKind};
use crate::upstream::SetupError;

/// The exit code of an error, and what to do about it.
type Meaning = (ErrorKind, Vec<String>);

/// An error of a layer below. By reference, so that one that holds another asks that one.
trait Explain: std::error::Error {
    fn explain(&self) -> Meaning;
}

impl<E: Explain> From<E> for CliError {
    fn from(error: E) -> CliError {
        let (kind, hints) = error.explain();
        CliError { kind, message: error.to_string(), hints, shown: false }
    }
}

/// With one hint.
fn one(kind: ErrorKind, hint: impl Into<String>) -> Meaning {
    (kind, vec![hint.into()])
}

/// With nothing to add to the sentence.
fn none(kind: ErrorKind) -> Meaning {
    (kind, Vec::new())
}

impl Explain for ConfigError {
    fn explain(&self) -> Meaning {
        (ErrorKind::Usage, self.hints().to_vec())
    }
}

impl Explain for StoreError {
    fn explain(&self) -> Meaning {
        let kind = match self.kind {
            StoreErrorKind::NotFound | StoreErrorKind::Foreign => ErrorKind::Usage,
            StoreErrorKind::InUse
            | StoreErrorKind::SecondWriter
            | StoreErrorKind::JournalMoved
            | StoreErrorKind::Refused
            | StoreErrorKind::Damaged
            | StoreErrorKind::NoRoom
            | StoreErrorKind::Busy
            | StoreErrorKind::Failed
            | StoreErrorKind::Stopped => ErrorKind::Internal,
        };
        (kind, self.hints.clone())
    }
}

impl Explain for SetupError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            SetupError::BaseUrl { .. } => {
                one(Usage, "a base URL looks like `https://api.example.com/v1`")
            }
            SetupError::ReservedAddress { .. } => {
                one(Usage, "`any_address: true` beside it, where a model server really is there")
            }
            SetupError::KeyNotSet { name: _, variable } => {
                one(Usage, format!("set it: `export {variable}=…`, or leave out api_key_env"))
            }
            #[cfg(feature = "bedrock")]
            SetupError::CredentialNotSet { variable, .. } => {
                one(Usage, format!("set it: `export {variable}=…`"))
            }
            #[cfg(not(feature = "bedrock"))]
            SetupError::NotBuilt { kind, .. } => {
                let build = format!("build it with `cargo build --release --features {kind}`");
                one(Usage, build)
            }
            SetupError::KeyNotAHeader { .. }
            | SetupError::VersionNotAHeader { .. }
            | SetupError::NoAnswers { .. } => none(Usage),
            SetupError::Tls { .. } => none(Internal),
            SetupError::Certificates { .. } => {
                one(Internal, "install them (Debian: `ca-certificates`) or set SSL_CERT_FILE")
            }
            SetupError::Recording { .. } => {
                one(Usage, "a relative `path` starts at the folder of tidegate.yaml")
            }
            SetupError::Line { .. } => {
                one(Usage, "a line is `{\"model\": …, \"prompt\": …, \"answer\": …}`")
            }
        }
    }
}

impl Explain for CredentialError {
    fn explain(&self) -> Meaning {
        let variable = match self {
            CredentialError::NotSet { variable, .. } => variable,
            CredentialError::TooShort { variable, .. } => variable,
        };
        one(ErrorKind::Usage, format!("export {variable}=$(openssl rand -hex 32)"))
    }
}

impl Explain for ListenError {
    fn explain(&self) -> Meaning {
        let hints = match self {
            ListenError::InUse { address } => {
                let port = address.rsplit(':').next().unwrap_or_default();
                vec![
                    format!("see who has it: `ss -ltnp 'sport = :{port}'` or `lsof -i :{port}`"),
                    "take another one with `--listen 127.0.0.1:0` or `listen:` in tidegate.yaml"
                        .to_owned(),
                ]
            }
            ListenError::NotAllowed { address: _ } => {
                vec!["take a port from 1024 on with `--listen`".to_owned()]
            }
            ListenError::Failed { address: _, source: _ } => {
                vec!["give `--listen` as `host:port`, for example `127.0.0.1:8787`".to_owned()]
            }
            ListenError::OpenToAll { address: _ } => {
                vec!["add `credentials:` to tidegate.yaml, or listen on 127.0.0.1".to_owned()]
            }
            ListenError::NoThreads(_) => {
                let hint = "raise the limit on processes or open files: `ulimit -u`, `ulimit -n`";
                return one(ErrorKind::Internal, hint);
            }
        };
        (ErrorKind::Usage, hints)
    }
}
