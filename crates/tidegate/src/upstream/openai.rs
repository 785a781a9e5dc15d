//! A server with an OpenAI-compatible API.

#[cfg(test)]
mod tests;
mod usage;

use super::dialect::Dialect;
use super::transport::{Exchange, Outgoing, Transport, endpoint, key};
use super::{Call, Reply, SetupError, UpstreamError};
use crate::config::CHAT_COMPLETIONS;
use bytes::Bytes;
use http::Uri;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};
use tidegate_wire::openai_chat::ask_for_usage;
use usage::StreamUsage;

/// A client of one server.
#[derive(Debug)]
pub(crate) struct OpenAi {
    endpoint: Uri,
    transport: Transport,
    usage: StreamUsage,
}

impl OpenAi {
    /// Makes the client of the upstream `name`.
    ///
    /// # Errors
    /// A base URL that is not one, a key that is not in the environment, or no certificates.
    pub(crate) fn new(
        name: &str,
        base_url: &str,
        api_key_env: Option<&str>,
        stream_usage: bool,
    ) -> Result<Self, SetupError> {
        let endpoint = endpoint(name, base_url, CHAT_COMPLETIONS)?;
        let authorization =
            api_key_env.map(|variable| key(name, variable, "Bearer ")).transpose()?;
        let fixed = authorization.map(|key| (AUTHORIZATION, key)).into_iter().collect();
        let transport = Transport::new(name, &endpoint, fixed)?;
        Ok(OpenAi { endpoint, transport, usage: StreamUsage::new(stream_usage) })
    }

    /// Makes one call. A stream is given out once its first event is here.
    ///
    /// What is added to ask for a stream's usage is not the client's: a server that refuses the
    /// request is asked once more without it, within the same deadlines.
    ///
    /// # Errors
    /// Whatever kept an answer from coming, classified.
    pub(crate) async fn call(&self, mut call: Call) -> Result<Reply, UpstreamError> {
        let exchange = Exchange::start(call.deadlines);
        let before = call.body.get("stream_options").cloned();
        let added = call.stream && self.usage.is_wanted() && ask_for_usage(&mut call.body);
        // From here on only the text is held.
        let body = exchange.written(&std::mem::take(&mut call.body), call.expected_bytes)?;
        let reply = self.send(&call, body.clone(), exchange).await;
        if !added {
            return reply;
        }
        match reply {
            Ok(reply) => {
                self.usage.accepted();
                Ok(reply)
            }
            Err(error) if self.usage.may_be_why(&error) => {
                // It was written here.
                let mut values: Map<String, Value> =
                    serde_json::from_slice(&body).unwrap_or_default();
                match before {
                    Some(options) => values.insert("stream_options".to_owned(), options),
                    None => values.shift_remove("stream_options"),
                };
                let body = exchange.written(&values, body.len())?;
                drop(values);
                let reply = self.send(&call, body, exchange).await;
                if reply.is_ok() {
                    self.usage.refused();
                }
                reply
            }
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        call: &Call,
        body: Bytes,
        exchange: Exchange,
    ) -> Result<Reply, UpstreamError> {
        let (endpoint, dialect) = (&self.endpoint, Dialect::Chat);
        self.transport.send(Outgoing { endpoint, call, body, dialect }, exchange).await
    }
}
