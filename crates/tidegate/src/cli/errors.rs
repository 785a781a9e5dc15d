//! What the errors of the layers below mean at the command line: exit code and next step.

use crate::config::ConfigError;
use crate::error::{CliError, ErrorKind};
use crate::request::{CredentialError, ListenError};
use crate::upstream::SetupError;

fn of(kind: ErrorKind, error: &dyn std::error::Error, hints: Vec<String>) -> CliError {
    CliError { kind, message: error.to_string(), hints, shown: false }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> CliError {
        of(ErrorKind::Usage, &error, error.hints().to_vec())
    }
}

impl From<SetupError> for CliError {
    fn from(error: SetupError) -> CliError {
        let hint = |text: &str| vec![text.to_owned()];
        let (kind, hints) = match &error {
            SetupError::BaseUrl { .. } => {
                (ErrorKind::Usage, hint("a base URL looks like `https://api.example.com/v1`"))
            }
            SetupError::KeyNotSet { name: _, variable } => {
                let set = format!("set it: `export {variable}=…`, or leave out api_key_env");
                (ErrorKind::Usage, vec![set])
            }
            SetupError::KeyNotAHeader { .. } | SetupError::NoAnswers { .. } => {
                (ErrorKind::Usage, Vec::new())
            }
            SetupError::Tls { .. } => (ErrorKind::Internal, Vec::new()),
            SetupError::Certificates { .. } => (
                ErrorKind::Internal,
                hint("install them (Debian: `ca-certificates`) or set SSL_CERT_FILE"),
            ),
            SetupError::Recording { .. } => {
                (ErrorKind::Usage, hint("a relative `path` starts at the folder of tidegate.yaml"))
            }
            SetupError::Line { .. } => {
                (ErrorKind::Usage, hint("a line is `{\"model\": …, \"prompt\": …, \"answer\": …}`"))
            }
        };
        of(kind, &error, hints)
    }
}

impl From<CredentialError> for CliError {
    fn from(error: CredentialError) -> CliError {
        let variable = match &error {
            CredentialError::NotSet { variable, .. } => variable,
            CredentialError::TooShort { variable, .. } => variable,
        };
        let made = format!("export {variable}=$(openssl rand -hex 32)");
        of(ErrorKind::Usage, &error, vec![made])
    }
}

impl From<ListenError> for CliError {
    fn from(error: ListenError) -> CliError {
        let hints = match &error {
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
        };
        of(ErrorKind::Usage, &error, hints)
    }
}
