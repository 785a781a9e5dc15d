//! A server with an OpenAI-compatible API, Azure's among them.

#[cfg(test)]
mod azure_tests;
#[cfg(test)]
mod tests;
mod usage;

use super::dialect::Dialect;
use super::transport::{Exchange, Outgoing, Transport, endpoint, key, segment};
use super::{Call, Form, Reply, SetupError, UpstreamError};
use crate::config::{self, AZURE, BaseUrlProblem, CHAT_COMPLETIONS};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, Uri};
use serde::ser::{Error as _, Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt::Display;
use tidegate_core::upstream::Failure;
use tidegate_wire::openai_chat::ask_for_usage;
use usage::StreamUsage;

/// Where Azure takes its key.
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// A client of one server.
#[derive(Debug)]
pub(crate) struct OpenAi {
    address: Address,
    pub(super) transport: Transport,
    usage: StreamUsage,
}

/// What is sent: a body, with the tokens that it embeds in their place.
struct Sent {
    values: Map<String, Value>,
    tokens: Option<Bytes>,
}

impl Serialize for Sent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(tokens) = &self.tokens else { return self.values.serialize(serializer) };
        let tokens: &RawValue = serde_json::from_slice(tokens).map_err(S::Error::custom)?;
        let mut members = serializer.serialize_map(Some(self.values.len()))?;
        for (name, value) in &self.values {
            match name.as_str() {
                "input" => members.serialize_entry(name, tokens)?,
                _ => members.serialize_entry(name, value)?,
            }
        }
        members.end()
    }
}

/// Where requests go.
#[derive(Debug)]
enum Address {
    /// All of a form to one endpoint.
    One(Endpoints),
    /// The same, each for this deployment in the place of the model.
    Deployment(Endpoints, String),
    /// To the endpoint of the deployment that has the model's name.
    OfModel { openai: Uri, version: String },
}

/// An endpoint for each form.
#[derive(Debug)]
struct Endpoints {
    chat: Uri,
    completions: Uri,
    embeddings: Uri,
}

impl Endpoints {
    /// Those below a base URL, with a query.
    fn below(base: impl Display, query: &str) -> Result<Endpoints, InvalidUri> {
        let of = |form| format!("{base}{}{query}", path(form)).parse();
        Ok(Endpoints {
            chat: of(Form::Chat)?,
            completions: of(Form::Completions)?,
            embeddings: of(Form::Embeddings)?,
        })
    }

    fn of(&self, form: Form) -> Uri {
        match form {
            Form::Chat | Form::Messages => self.chat.clone(),
            Form::Completions => self.completions.clone(),
            Form::Embeddings => self.embeddings.clone(),
        }
    }
}

fn path(form: Form) -> &'static str {
    match form {
        // Nobody sends a message here: this API has none.
        Form::Chat | Form::Messages => CHAT_COMPLETIONS,
        Form::Completions => "/completions",
        Form::Embeddings => "/embeddings",
    }
}

impl Address {
    /// At Azure: a version with a date has a path for each deployment; the newer API has one path
    /// for all.
    fn at_azure(openai: Uri, config: &config::Azure) -> Result<Address, InvalidUri> {
        let config::Azure { api_version, deployment, .. } = config;
        let is_dated = |version: &&String| version.starts_with(|c: char| c.is_ascii_digit());
        if let Some(version) = api_version.as_ref().filter(is_dated) {
            return match deployment {
                Some(deployment) => {
                    let (base, query) = deployed(&openai, deployment, version);
                    Endpoints::below(base, &query).map(Address::One)
                }
                None => Ok(Address::OfModel { openai, version: version.clone() }),
            };
        }
        let query = api_version.as_ref().map(|version| format!("?api-version={version}"));
        let all = Endpoints::below(format!("{openai}/v1"), &query.unwrap_or_default())?;
        Ok(match deployment {
            Some(deployment) => Address::Deployment(all, deployment.clone()),
            None => Address::One(all),
        })
    }

    /// The endpoint of a request.
    fn of(&self, form: Form, body: &mut Map<String, Value>) -> Result<Uri, InvalidUri> {
        match self {
            Address::One(all) => Ok(all.of(form)),
            Address::Deployment(all, deployment) => {
                // A deployment of a model that chats makes no embeddings.
                if form != Form::Embeddings {
                    body.insert("model".to_owned(), deployment.as_str().into());
                }
                Ok(all.of(form))
            }
            Address::OfModel { openai, version } => {
                let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
                let (base, query) = deployed(openai, model, version);
                format!("{base}{}{query}", path(form)).parse()
            }
        }
    }
}

fn not_a_url(name: &str, base_url: &str, error: &InvalidUri) -> SetupError {
    let (name, shown) = (name.to_owned(), base_url.to_owned());
    SetupError::BaseUrl { name, shown, problem: BaseUrlProblem::NotUrl(error.to_string()) }
}

/// Where the endpoints of a deployment are, and the query of each.
fn deployed(openai: &Uri, deployment: &str, version: &str) -> (String, String) {
    let base = format!("{openai}/deployments/{}", segment(deployment));
    (base, format!("?api-version={version}"))
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
        http2: bool,
    ) -> Result<Self, SetupError> {
        let endpoint = endpoint(name, base_url, CHAT_COMPLETIONS)?;
        let authorization =
            api_key_env.map(|variable| key(name, variable, "Bearer ")).transpose()?;
        let fixed = authorization.map(|key| (AUTHORIZATION, key)).into_iter().collect();
        let transport = Transport::new(name, &endpoint, fixed, http2)?;
        let address = Endpoints::below(base_url.trim_end_matches('/'), "").map(Address::One);
        let address = address.map_err(|error| not_a_url(name, base_url, &error))?;
        Ok(OpenAi { address, transport, usage: StreamUsage::new(stream_usage) })
    }

    /// Makes the client of the upstream `name`, which is a resource of Azure.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub(crate) fn at_azure(name: &str, config: &config::Azure) -> Result<Self, SetupError> {
        let openai = endpoint(name, &config.base_url, AZURE)?;
        let credential = config.api_key_env.as_ref();
        let credential = credential.map(|variable| key(name, variable, "")).transpose()?;
        let fixed = credential.map(|key| (API_KEY, key)).into_iter().collect();
        let transport = Transport::new(name, &openai, fixed, config.reach.http2)?;
        let address = Address::at_azure(openai, config)
            .map_err(|error| not_a_url(name, &config.base_url, &error))?;
        Ok(OpenAi { address, transport, usage: StreamUsage::new(config.stream_usage) })
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
        let Ok(endpoint) = self.address.of(call.form, &mut call.body) else {
            let message = "the model's name cannot be part of an address";
            return Err(exchange.error(Failure::Internal, message));
        };
        let before = call.body.get("stream_options").cloned();
        let added = call.stream && self.usage.is_wanted() && ask_for_usage(&mut call.body);
        // From here on only the text is held.
        let sent = Sent { values: std::mem::take(&mut call.body), tokens: call.tokens.take() };
        let body = exchange.written(&sent, call.expected_bytes)?;
        drop(sent);
        let reply = self.send(&call, &endpoint, body.clone(), exchange).await;
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
                let reply = self.send(&call, &endpoint, body, exchange).await;
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
        endpoint: &Uri,
        body: Bytes,
        exchange: Exchange,
    ) -> Result<Reply, UpstreamError> {
        let dialect = match call.form {
            Form::Chat | Form::Messages => Dialect::Chat,
            Form::Completions => Dialect::Completions,
            Form::Embeddings => Dialect::Embeddings,
        };
        self.transport
            .send(Outgoing { endpoint, call, body, dialect, headers: HeaderMap::new() }, exchange)
            .await
    }
}
