//! Amazon Bedrock, by its API Converse: each request is signed with a key of AWS.

mod sign;
#[cfg(test)]
mod tests;

use super::dialect::Dialect;
use super::transport::{Exchange, Outgoing, Transport, endpoint, segment};
use super::{Call, Reply, SetupError, UpstreamError};
use crate::clock::Clock;
use crate::config::{self, BEDROCK_MODELS};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::Value;
use sign::{Key, Signed};
use std::fmt;
use tidegate_core::upstream::Failure;
use tidegate_wire::translate::anthropic_out::Thinking;
use tidegate_wire::translate::converse_out::{self, Options};

/// The service's name in a signature.
const SERVICE: &str = "bedrock";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// A client of one region.
pub(crate) struct Bedrock {
    models: Uri,
    region: String,
    credential: Credential,
    pub(super) transport: Transport,
    options: Options,
}

/// A key of AWS, as the environment had it at the start.
struct Credential {
    key: Key,
    token: Option<String>,
}

// Written by hand: it holds a secret.
impl fmt::Debug for Bedrock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bedrock").field("models", &self.models).finish_non_exhaustive()
    }
}

impl Bedrock {
    /// Makes the client of the upstream `name`.
    ///
    /// # Errors
    /// A base URL that is not one, a key that is not in the environment, or no certificates.
    pub(crate) fn new(name: &str, config: &config::Bedrock) -> Result<Self, SetupError> {
        let models = endpoint(name, &config.base_url, BEDROCK_MODELS)?;
        let variable = |key: &'static str, variable: &str| {
            let found = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
            found.map(|value| value.trim().to_owned()).ok_or_else(|| SetupError::CredentialNotSet {
                name: name.to_owned(),
                variable: variable.to_owned(),
                key,
            })
        };
        let key = Key {
            id: variable("access_key_env", &config.access_key_env)?,
            secret: variable("secret_key_env", &config.secret_key_env)?,
        };
        let token = config.session_token_env.as_deref();
        let token = token.map(|named| variable("session_token_env", named)).transpose()?;
        for (value, named) in [
            (Some(&key.id), config.access_key_env.as_str()),
            (token.as_ref(), config.session_token_env.as_deref().unwrap_or_default()),
        ] {
            if value.is_some_and(|value| HeaderValue::from_str(value).is_err()) {
                let (name, variable) = (name.to_owned(), named.to_owned());
                return Err(SetupError::KeyNotAHeader { name, variable });
            }
        }
        let transport = Transport::new(name, &models, Vec::new(), config.reach.http2)?;
        let options = Options {
            sampling: config.sampling,
            thinking: match config.thinking {
                config::Thinking::Effort => Thinking::Adaptive,
                config::Thinking::Budget => Thinking::Budget,
                config::Thinking::Never => Thinking::Never,
            },
        };
        let (region, credential) = (config.region.clone(), Credential { key, token });
        Ok(Bedrock { models, region, credential, transport, options })
    }

    /// Makes one call.
    ///
    /// # Errors
    /// Whatever kept an answer from coming, classified.
    pub(crate) async fn call(&self, mut call: Call) -> Result<Reply, UpstreamError> {
        let exchange = Exchange::start(call.deadlines);
        let body = std::mem::take(&mut call.body);
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
        let verb = if call.stream { "converse-stream" } else { "converse" };
        let Ok(endpoint) = format!("{}/{}/{verb}", self.models, segment(model)).parse() else {
            let message = "the model's name cannot be part of an address";
            return Err(exchange.error(Failure::Internal, message));
        };
        let translated = converse_out::request(&body, &self.options);
        let translated = translated.map_err(|why| exchange.untranslatable(why))?;
        // From here on only the text is held.
        drop(body);
        let Some(headers) = self.headers(&endpoint, &translated.body, call.stream) else {
            return Err(exchange.error(Failure::Internal, "the request could not be signed"));
        };
        let outgoing = Outgoing {
            endpoint: &endpoint,
            call: &call,
            body: translated.body.into(),
            dialect: Dialect::Converse,
            headers,
        };
        let reply = self.transport.send(outgoing, exchange).await?;
        Ok(reply.warning(translated.warnings))
    }

    /// The signature of a request that is made now, and what else it needs.
    fn headers(&self, endpoint: &Uri, body: &[u8], stream: bool) -> Option<HeaderMap> {
        let seconds = i64::try_from(Clock::Real.now().0 / 1_000).ok()?;
        let at = sign::timestamp(seconds)?;
        let Credential { key, token } = &self.credential;
        let mut signed = vec![("host", endpoint.authority()?.as_str()), ("x-amz-date", &at)];
        signed.extend(token.as_deref().map(|token| ("x-amz-security-token", token)));
        let request = Signed { method: "POST", path: endpoint.path(), headers: &signed, body };
        let signature = sign::authorization(&request, key, &at, (&self.region, SERVICE));
        let accepted =
            if stream { "application/vnd.amazon.eventstream" } else { "application/json" };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        headers.insert(DATE, HeaderValue::from_str(&at).ok()?);
        for (name, value) in [(AUTHORIZATION, Some(&signature)), (TOKEN, token.as_ref())] {
            let Some(value) = value else { continue };
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Some(headers)
    }
}
