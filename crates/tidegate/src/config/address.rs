//! Addresses in the project file and on the command line.

use super::project::Project;
use std::net::{IpAddr, SocketAddr};
use thiserror::Error;

/// A listen address: `IP:PORT`, or `localhost:PORT` for `127.0.0.1`.
pub(crate) fn listen_addr(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port))),
        None => text.parse().ok(),
    }
}

impl Project {
    /// Whether callers need a credential or a key, whatever keys there are.
    pub(crate) fn asks(&self) -> bool {
        self.require_keys || !self.credentials.is_empty()
    }
}

/// Whether other machines reach this address and nobody asks them for a credential.
pub(crate) fn is_open_to_all(ip: IpAddr, asks: bool) -> bool {
    !is_this_machine(ip) && !asks
}

/// Whether only this machine reaches this address.
pub(crate) fn is_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// The path of Azure's OpenAI below the address of a resource.
pub(crate) const AZURE: &str = "/openai";
/// The path of Anthropic's messages below a base URL.
pub(crate) const ANTHROPIC_MESSAGES: &str = "/messages";
/// Where Anthropic's API counts the tokens of one.
pub(crate) const ANTHROPIC_COUNTS: &str = "/messages/count_tokens";
/// Where Bedrock has its models.
pub(crate) const BEDROCK_MODELS: &str = "/model";
/// The path of Gemini's models below a base URL.
pub(crate) const GEMINI_MODELS: &str = "/models";
/// The path of chat completions below a base URL.
pub(crate) const CHAT_COMPLETIONS: &str = "/chat/completions";

/// What is wrong with a base URL. It may hold a key, so none of these repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum BaseUrlProblem {
    /// It has a user, perhaps a password.
    #[error("has credentials in it; name an environment variable in `api_key_env`")]
    Credentials,
    /// It has a query or a fragment, which may hold a key as well.
    #[error("has a query or a fragment")]
    Query,
    /// It is the URL of an endpoint below the base.
    #[error("has the path of an endpoint; leave out `{path}`")]
    Endpoint {
        /// The base without that path.
        base: String,
        /// The path.
        path: &'static str,
    },
    /// It is no HTTP URL.
    #[error("must start with `http://` or `https://`")]
    Scheme,
    /// It names no host.
    #[error("has no host")]
    NoHost,
    /// It is no URL at all.
    #[error("is not a URL: {0}")]
    NotUrl(String),
    /// Its port is none.
    #[error("has a port that is not a number from 0 to 65535")]
    Port,
}

/// The address of an endpoint below a base URL.
pub(crate) fn endpoint_below(
    base_url: &str,
    path: &'static str,
) -> Result<http::Uri, BaseUrlProblem> {
    let base = base_url.trim_end_matches('/');
    if base_url.contains('@') {
        return Err(BaseUrlProblem::Credentials);
    }
    if base_url.contains(['?', '#']) {
        return Err(BaseUrlProblem::Query);
    }
    let rest = base_url.strip_prefix("https://").or_else(|| base_url.strip_prefix("http://"));
    let rest = rest.ok_or(BaseUrlProblem::Scheme)?;
    if let Some(base) = base.strip_suffix(path).filter(|_| !path.is_empty()) {
        return Err(BaseUrlProblem::Endpoint { base: base.to_owned(), path });
    }
    if rest.is_empty() || rest.starts_with(['/', ':']) {
        return Err(BaseUrlProblem::NoHost);
    }
    let uri: http::Uri = format!("{base}{path}")
        .parse()
        .map_err(|error: http::uri::InvalidUri| BaseUrlProblem::NotUrl(error.to_string()))?;
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let after_host = authority.rsplit(']').next().unwrap_or("");
    if after_host.contains(':') && uri.port_u16().is_none() {
        return Err(BaseUrlProblem::Port);
    }
    Ok(uri)
}
