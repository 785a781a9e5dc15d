//! `cors`: pages of which sites may call the service from a browser.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Every origin.
const ANY: &str = "*";

/// Pages of which sites may call the service from a browser.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cors {
    /// Origins as browsers send them (`https://app.example.com`), or `*` alone for all of them.
    /// Empty: none.
    pub(crate) allow_origins: Vec<String>,
}

/// What is wrong with an origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum OriginProblem {
    /// It has no scheme of the web.
    #[error("must begin with `http://` or `https://`, as browsers send it")]
    Scheme,
    /// It is an address within a site.
    #[error("has a path; browsers send the scheme, the host and the port only: `{origin}`")]
    Path {
        /// It without the path.
        origin: String,
    },
    /// It is a pattern.
    #[error("has a `*` in it; list each origin, or `*` alone for all of them")]
    Pattern,
    /// Its port is the scheme's.
    #[error("has the port that browsers leave out: `{origin}`")]
    Port {
        /// It without the port.
        origin: String,
    },
    /// It has letters that browsers write small.
    #[error("has capital letters; browsers send `{origin}`")]
    Capitals {
        /// It in small letters.
        origin: String,
    },
    /// Its host is none.
    #[error("must be a scheme, a host and perhaps a port: `https://app.example.com`")]
    Host,
}

impl Cors {
    /// Whether pages of every site may call.
    pub(crate) fn allows_any(&self) -> bool {
        self.allow_origins.iter().any(|origin| origin == ANY)
    }
}

/// Checks that browsers send an origin in just this form.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_origin(origin: &str) -> Result<(), OriginProblem> {
    if origin == ANY {
        return Ok(());
    }
    if origin.contains('*') {
        return Err(OriginProblem::Pattern);
    }
    if origin.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(OriginProblem::Capitals { origin: origin.to_ascii_lowercase() });
    }
    let (usual, rest) = match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
        (Some(rest), _) => (":80", rest),
        (None, Some(rest)) => (":443", rest),
        (None, None) => return Err(OriginProblem::Scheme),
    };
    if let Some(at) = rest.find(['/', '?', '#']) {
        let end = origin.len() - rest.len() + at;
        return Err(OriginProblem::Path { origin: origin[..end].to_owned() });
    }
    let authority: http::uri::Authority = rest.parse().map_err(|_| OriginProblem::Host)?;
    let port = rest.strip_prefix(authority.host());
    let is_port = |port: &str| {
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    };
    if authority.host().is_empty() || !port.is_some_and(is_port) {
        return Err(OriginProblem::Host);
    }
    match rest.strip_suffix(usual) {
        Some(_) => {
            let origin = origin[..origin.len() - usual.len()].to_owned();
            Err(OriginProblem::Port { origin })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for origin in ["*", "https://app.example.com", "http://localhost:5173", "http://[::1]:80x"]
        {
            let is_fine = !origin.ends_with('x');
            assert_eq!(check_origin(origin).is_ok(), is_fine, "{origin}");
        }
        let check = |origin: &str, says: &str| {
            let problem = check_origin(origin).unwrap_err().to_string();
            assert!(problem.contains(says), "{origin}: {problem}");
        };
        check("app.example.com", "must begin with");
        check("null", "must begin with");
        check("https://app.example.com/", "`https://app.example.com`");
        check("https://a.example/x?y", "`https://a.example`");
        check("https://*.example.com", "list each origin");
        check("https://App.example.com", "`https://app.example.com`");
        check("https://a.example:443", "`https://a.example`");
        check("http://a.example:80", "`http://a.example`");
        check("https://", "must be a scheme");
        check("https://me@a.example", "must be a scheme");
        check("https://a b", "must be a scheme");
    }
}
