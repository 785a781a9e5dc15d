//! Who calls: credentials are compared by digest, in constant time, before any other work.

use super::code::Code;
use super::problem::{Next, Problem};
use crate::access::{Closed, Holder, KeyTable};
use crate::config::Credential;
use crate::secret;
use http::header::HeaderName;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use thiserror::Error;
use tidegate_core::access::key::PREFIX;
use tidegate_core::access::{KeyError, Role};
use tidegate_core::ids::UnixMs;

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
    /// Who holds the key, where it is one of `tidegate key`: it may have bounds.
    pub(super) holder: Option<Arc<Holder>>,
}

impl Caller {
    /// Whose line its requests wait in: its tenant's, or that of a key without one.
    pub(super) fn who(&self) -> Option<Arc<str>> {
        self.tenant.clone().or_else(|| self.key.clone())
    }

    /// Whether it may ask for its service by this name.
    pub(super) fn may_ask(&self, model: &str) -> bool {
        self.holder.as_ref().is_none_or(|holder| holder.held.grant.may_ask(model))
    }

    /// Whether it may not ask by every name.
    pub(super) fn is_bound_to_models(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| !holder.held.grant.models.is_empty())
    }
}

/// The service's credentials and keys; only digests of them are kept.
pub(super) struct Authenticator {
    known: Vec<([u8; 32], Caller)>,
    keys: Arc<KeyTable>,
    /// Whether callers need a key though there is none yet.
    required: bool,
}

impl Authenticator {
    /// Reads the keys from the environment (`lookup`).
    pub(super) fn new(
        credentials: &[Credential],
        required: bool,
        keys: Arc<KeyTable>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Authenticator, CredentialError> {
        let known = credentials.iter().map(|credential| known(credential, &lookup));
        Ok(Authenticator { known: known.collect::<Result<_, _>>()?, keys, required })
    }

    /// Whether callers need a credential.
    pub(super) fn asks(&self) -> bool {
        self.required || !self.known.is_empty() || self.keys.asks()
    }

    /// Lets a caller in, or answers 401.
    pub(super) fn admit(&self, headers: &HeaderMap, now: UnixMs) -> Result<Caller, Problem> {
        if !self.asks() {
            return Ok(Caller::default());
        }
        let Some(key) = given(headers) else {
            return Err(unauthorised("send your key as `Authorization: Bearer <key>`"));
        };
        if key.starts_with(PREFIX.as_bytes()) {
            return self.admit_key(key, now);
        }
        let digest: [u8; 32] = Sha256::digest(key).into();
        // Every credential is compared, so that the time taken does not reveal which came close.
        let mut found = None;
        for (known, caller) in &self.known {
            if secret::same(known, &digest) {
                found = Some(caller);
            }
        }
        found.cloned().ok_or_else(|| unauthorised("the key is not known to this service"))
    }

    fn admit_key(&self, key: &[u8], now: UnixMs) -> Result<Caller, Problem> {
        let text = std::str::from_utf8(key).map_err(|_| Closed::Text(KeyError::Form));
        match text.and_then(|text| self.keys.open(text, Role::Call, now)) {
            Ok(holder) => {
                let (key, tenant) = (Some(Arc::clone(&holder.name)), holder.tenant.clone());
                Ok(Caller { key, tenant, holder: Some(holder) })
            }
            Err(closed) => Err(unauthorised(&closed.to_string())),
        }
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
    let caller = Caller {
        key: Some(name.as_str().into()),
        tenant: tenant.as_deref().map(Into::into),
        holder: None,
    };
    Ok((Sha256::digest(key.as_bytes()).into(), caller))
}

/// The headers that clients of other APIs send their key in.
const KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The key that a caller gives, if any: as a bearer token, or else as `x-api-key`, `api-key` or
/// `x-goog-api-key`.
pub(super) fn given(headers: &HeaderMap) -> Option<&[u8]> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let named = || KEY_HEADERS.iter().find_map(|name| headers.get(name));
    token.or_else(|| named().map(|value| value.as_bytes().trim_ascii()))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key.trim_ascii())
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
        let lookup = |name: &str| (name == "APP_KEY").then(|| key.to_owned());
        Authenticator::new(&[credential], false, Arc::default(), lookup)
    }

    fn check(authorization: Option<&str>, tenant: Option<&str>) {
        check_header(&header::AUTHORIZATION, authorization, tenant);
    }

    fn check_header(name: &HeaderName, authorization: Option<&str>, tenant: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(name, value.parse().unwrap());
        }
        let admitted = authenticator("0123456789abcdef").unwrap().admit(&headers, UnixMs(0));
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
        for name in &KEY_HEADERS {
            check_header(name, Some("0123456789abcdef"), Some("acme"));
            check_header(name, Some("Bearer 0123456789abcdef"), None);
            check_header(name, Some("0123456789abcdeX"), None);
        }
    }

    #[test]
    fn a_short_or_missing_key_is_an_error_without_the_key() {
        let error = authenticator("hunter2").err().unwrap();
        let message = error.to_string();
        assert!(message.contains("7 characters") && !message.contains("hunter2"), "{message}");
        let credential =
            Credential { name: "app".to_owned(), key_env: "NONE".to_owned(), tenant: None };
        assert!(Authenticator::new(&[credential], false, Arc::default(), |_| None).is_err());
    }
}
