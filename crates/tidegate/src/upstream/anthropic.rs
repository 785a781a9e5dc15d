//! A server that speaks Anthropic's Messages API.

#[cfg(test)]
mod tests;

use super::dialect::Dialect;
use super::transport::{Exchange, Outgoing, Transport, endpoint, key};
use super::{Call, Form, Reply, SetupError, UpstreamError};
use crate::config::{self, ANTHROPIC_COUNTS, ANTHROPIC_MESSAGES};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde::Deserialize;
use tidegate_wire::translate::anthropic_out::{self, Options, Thinking};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Anthropic {
    endpoint: Uri,
    /// Where it counts tokens.
    counts: Uri,
    pub(super) transport: Transport,
    options: Options,
}

impl Anthropic {
    /// Makes the client of the upstream `name`.
    ///
    /// # Errors
    /// A base URL that is not one, a key that is not in the environment, or no certificates.
    pub(crate) fn new(name: &str, config: &config::Anthropic) -> Result<Self, SetupError> {
        let config::Anthropic { base_url, api_key_env, version, .. } = config;
        let counts = endpoint(name, base_url, ANTHROPIC_COUNTS)?;
        let endpoint = endpoint(name, base_url, ANTHROPIC_MESSAGES)?;
        let version = HeaderValue::from_str(version)
            .map_err(|_| SetupError::VersionNotAHeader { name: name.to_owned() })?;
        let mut fixed = vec![(VERSION, version)];
        if let Some(variable) = api_key_env {
            fixed.push((API_KEY, key(name, variable, "")?));
        }
        let transport = Transport::new(name, &endpoint, fixed, config.reach.http2)?;
        Ok(Anthropic { endpoint, counts, transport, options: options(config) })
    }

    /// Makes one call.
    ///
    /// # Errors
    /// Whatever kept an answer from coming, classified.
    pub(crate) async fn call(&self, mut call: Call) -> Result<Reply, UpstreamError> {
        let exchange = Exchange::start(call.deadlines);
        let body = std::mem::take(&mut call.body);
        if call.form == Form::Messages {
            let text = exchange.written(&body, call.expected_bytes)?;
            drop(body);
            let (endpoint, dialect) = (&self.endpoint, Dialect::Messages);
            let outgoing =
                Outgoing { endpoint, call: &call, body: text, dialect, headers: HeaderMap::new() };
            return self.transport.send(outgoing, exchange).await;
        }
        let translated = anthropic_out::request(&body, &self.options);
        let translated = translated.map_err(|why| exchange.untranslatable(why))?;
        // From here on only the text is held.
        drop(body);
        let outgoing = Outgoing {
            endpoint: &self.endpoint,
            call: &call,
            body: translated.body.into(),
            dialect: Dialect::Anthropic,
            headers: HeaderMap::new(),
        };
        let reply = self.transport.send(outgoing, exchange).await?;
        Ok(reply.warning(translated.warnings))
    }

    /// Asks how many tokens a message has.
    ///
    /// # Errors
    /// Whatever kept an answer from coming, classified.
    pub(crate) async fn count(&self, mut call: Call) -> Result<u64, UpstreamError> {
        let exchange = Exchange::start(call.deadlines);
        let body = std::mem::take(&mut call.body);
        let body = exchange.written(&body, call.expected_bytes)?;
        let (endpoint, dialect) = (&self.counts, Dialect::Messages);
        let outgoing = Outgoing { endpoint, call: &call, body, dialect, headers: HeaderMap::new() };
        let Counted { input_tokens } = self.transport.ask_json(outgoing, exchange).await?;
        Ok(input_tokens)
    }
}

/// What it says of a message's length.
#[derive(Deserialize)]
struct Counted {
    input_tokens: u64,
}

/// What the model takes, as the project says.
fn options(config: &config::Anthropic) -> Options {
    Options {
        max_tokens_default: config.max_tokens,
        sampling: config.sampling,
        thinking: match config.thinking {
            config::Thinking::Effort => Thinking::Adaptive,
            config::Thinking::Budget => Thinking::Budget,
            config::Thinking::Never => Thinking::Never,
        },
        system_later: config.system_later,
    }
}
