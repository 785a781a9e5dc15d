//! A server that speaks Google's Gemini API. The model, and whether to stream, are in the path.

#[cfg(test)]
mod tests;

use super::dialect::Dialect;
use super::transport::{Exchange, Outgoing, Transport, endpoint, key, segment};
use super::{Call, Reply, SetupError, UpstreamError};
use crate::config::{self, GEMINI_MODELS};
use http::{HeaderMap, HeaderName, Uri};
use serde_json::Value;
use tidegate_core::upstream::Failure;
use tidegate_wire::translate::gemini_out::{self, Options, Thinking};

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Gemini {
    /// Where its models are.
    models: Uri,
    pub(super) transport: Transport,
    options: Options,
}

impl Gemini {
    /// Makes the client of the upstream `name`.
    ///
    /// # Errors
    /// A base URL that is not one, a key that is not in the environment, or no certificates.
    pub(crate) fn new(name: &str, config: &config::Gemini) -> Result<Self, SetupError> {
        let config::Gemini { base_url, api_key_env, sampling, thinking, .. } = config;
        let models = endpoint(name, base_url, GEMINI_MODELS)?;
        let credential =
            api_key_env.as_ref().map(|variable| key(name, variable, "")).transpose()?;
        let fixed = credential.map(|key| (API_KEY, key)).into_iter().collect();
        let transport = Transport::new(name, &models, fixed, config.reach.http2)?;
        let options = Options {
            sampling: *sampling,
            thinking: match thinking {
                config::Thinking::Effort => Thinking::Level,
                config::Thinking::Budget => Thinking::Budget,
                config::Thinking::Never => Thinking::Never,
            },
            // Older models ignore the mark, and newer ones refuse a call without.
            marks_unsigned_calls: true,
        };
        Ok(Gemini { models, transport, options })
    }

    /// Makes one call.
    ///
    /// # Errors
    /// Whatever kept an answer from coming, classified.
    pub(crate) async fn call(&self, mut call: Call) -> Result<Reply, UpstreamError> {
        let exchange = Exchange::start(call.deadlines);
        let body = std::mem::take(&mut call.body);
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
        let Ok(endpoint) = format!("{}{}", self.models, path(model, call.stream)).parse() else {
            let message = "the model's name cannot be part of an address";
            return Err(exchange.error(Failure::Internal, message));
        };
        let translated = gemini_out::request(&body, &self.options);
        let translated = translated.map_err(|why| exchange.untranslatable(why))?;
        // From here on only the text is held.
        drop(body);
        let outgoing = Outgoing {
            endpoint: &endpoint,
            call: &call,
            body: translated.body.into(),
            dialect: Dialect::Gemini,
            headers: HeaderMap::new(),
        };
        let reply = self.transport.send(outgoing, exchange).await?;
        Ok(reply.warning(translated.warnings))
    }
}

/// The path of a model below `/models`.
fn path(model: &str, stream: bool) -> String {
    let model = segment(model.strip_prefix("models/").unwrap_or(model));
    let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    format!("/{model}:{verb}")
}
