//! Who calls: credentials are compared by digest, in constant time, before any other work.

use super::code::Code;
use super::problem::{Next, Problem};
use crate::config::Credential;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use thiserror::Error;

/// Shortest key accepted, characters.
const KEY_MIN: usize = 16;

/// Why a credential cannot be asked for. The key itself is never in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CredentialError {
    /// The environment has no key.
    #[error("credential `{name}`: `{variable}` is not set")]
    NotSet {
        /// The credential.
        name: String,
        /// The environment variable.
        variable: String,
    },
    /// The key could be guessed.
    #[error(
        "credential `{name}`: the key in `{variable}` has {length} characters, \
         at least {KEY_MIN} are needed"
    )]
    TooShort {
        /// The credential.
        name: String,
        /// The environment variable.
        variable: String,
        /// Its key's length, characters.
        length: usize,
    },
}

/// A caller that was let in.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    /// The credential's name; `None` on a service without credentials.
    pub(super) key: Option<Arc<str>>,
    /// The credential's tenant.
    pub(super) tenant: Option<Arc<str>>,
}

/// The service's credentials; only digests of the keys are kept.
pub(super) struct Authenticator {
    known: Vec<([u8; 32], Caller)>,
}

impl Authenticator {
    /// Reads the keys from the environment (`lookup`).
    pub(super) fn new(
        credentials: &[Credential],
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Authenticator, CredentialError> {
        let known = credentials.iter().map(|credential| known(credential, &lookup));
        Ok(Authenticator { known: known.collect::<Result<_, _>>()? })
    }

    /// Whether callers need a credential.
    pub(super) fn asks(&self) -> bool {
        !self.known.is_empty()
    }

    /// Lets a caller in, or answers 401.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if !self.asks() {
            return Ok(Caller::default());
        }
        let Some(key) = given(headers) else {
            return Err(unauthorised("send your key as `Authorization: Bearer <key>`"));
        };
        let digest: [u8; 32] = Sha256::digest(key).into();
        // Every credential is compared, so that the time taken does not reveal which came close.
        let mut found = None;
        for (known, caller) in &self.known {
            if same(known, &digest) {
                found = Some(caller);
            }
        }
        found.cloned().ok_or_else(|| unauthorised("the key is not known to this service"))
    }
}

fn known(
    credential: &Credential,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<([u8; 32], Caller), CredentialError> {
    let Credential { name, key_env, tenant } = credential;
    let Some(key) = lookup(key_env) else {
        let (name, variable) = (name.clone(), key_env.clone());
        return Err(CredentialError::NotSet { name, variable });
    };
    let length = key.chars().count();
    if length < KEY_MIN {
        let (name, variable) = (name.clone(), key_env.clone());
        return Err(CredentialError::TooShort { name, variable, length });
    }
    let caller =
        Caller { key: Some(name.as_str().into()), tenant: tenant.as_deref().map(Into::into) };
    Ok((Sha256::digest(key.as_bytes()).into(), caller))
}

/// The key that a caller gives, if any.
pub(super) fn given(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key.trim_ascii())
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y));
    std::hint::black_box(difference) == 0
}

fn unauthorised(message: &str) -> Problem {
    let mut problem =
        Problem::client(StatusCode::UNAUTHORIZED, Code::InvalidApiKey, message.to_owned())
            .next(Next::Authenticate);
    problem.kind = "authentication_error";
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator(key: &str) -> Result<Authenticator, CredentialError> {
        let credential = Credential {
            name: "app".to_owned(),
            key_env: "APP_KEY".to_owned(),
            tenant: Some("acme".to_owned()),
        };
        Authenticator::new(&[credential], |name| (name == "APP_KEY").then(|| key.to_owned()))
    }

    fn check(authorization: Option<&str>, tenant: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        let admitted = authenticator("0123456789abcdef").unwrap().admit(&headers);
        assert_eq!(admitted.ok().and_then(|c| c.tenant).as_deref(), tenant, "{authorization:?}");
    }

    #[test]
    fn only_the_whole_key_opens() {
        check(Some("Bearer 0123456789abcdef"), Some("acme"));
        check(Some("bearer 0123456789abcdef"), Some("acme"));
        check(Some("Bearer 0123456789abcdeX"), None);
        check(Some("Bearer 0123456789abcdef0"), None);
        check(Some("Bearer 0123456789abcde"), None);
        check(Some("Basic 0123456789abcdef"), None);
        check(Some("Bearer"), None);
        check(Some("Bearer ' OR pg_sleep(8)--"), None);
        check(None, None);
    }

    #[test]
    fn a_short_or_missing_key_is_an_error_without_the_key() {
        let error = authenticator("hunter2").err().unwrap();
        let message = error.to_string();
        assert!(message.contains("7 characters") && !message.contains("hunter2"), "{message}");
        let credential =
            Credential { name: "app".to_owned(), key_env: "NONE".to_owned(), tenant: None };
        assert!(Authenticator::new(&[credential], |_| None).is_err());
    }
}
