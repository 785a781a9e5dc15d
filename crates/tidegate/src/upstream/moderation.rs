//! A guard outside of this process: an endpoint that says what texts hold.

use super::SetupError;
use super::transport::{Transport, endpoint, key};
use crate::config::{ModerationConfig, Side};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use std::time::Duration;
use tidegate_wire::openai_moderations::{read_answer, write_request};

/// Its name in errors.
const NAME: &str = "risk.moderation";

/// A client of the endpoint.
#[derive(Debug)]
pub(crate) struct Moderation {
    transport: Transport,
    model: Option<String>,
    on: Vec<Side>,
    /// How long it is waited for.
    pub(crate) within: Duration,
}

/// Texts, ready to be sent.
pub(crate) struct Texts {
    body: Bytes,
    count: usize,
}

impl Moderation {
    /// Makes the client.
    ///
    /// # Errors
    /// An address that is none, a key that is not in the environment, or no certificates.
    pub(crate) fn new(config: &ModerationConfig) -> Result<Moderation, SetupError> {
        let address = endpoint(NAME, &config.url, "")?;
        let variable = config.api_key_env.as_deref();
        let credential = variable.map(|variable| key(NAME, variable, "Bearer ")).transpose()?;
        let fixed = credential.map(|key| (AUTHORIZATION, key)).into_iter().collect();
        let transport = Transport::new(NAME, &address, fixed, true)?;
        if config.any_address {
            transport.call_any_address();
        }
        let within = Duration::from_millis(config.deadline_ms);
        Ok(Moderation { transport, model: config.model.clone(), on: config.on.clone(), within })
    }

    /// Texts of this side, ready to be sent; `None` where they are not asked about.
    pub(crate) fn texts(&self, side: Side, texts: &[&str]) -> Option<Texts> {
        let is_asked = self.on.contains(&side) && !texts.is_empty();
        let body = || Bytes::from(write_request(self.model.as_deref(), texts));
        is_asked.then(|| Texts { body: body(), count: texts.len() })
    }

    /// What texts are flagged for, by the endpoint's names, in order and with commas; empty where
    /// they are not. `None` where no such answer came in time.
    pub(crate) async fn look(&self, texts: Texts, within: Duration) -> Option<String> {
        let answer = self.transport.post(texts.body, within.min(self.within)).await.ok()?;
        let flagged = read_answer(&answer, texts.count)?;
        Some(flagged.into_iter().collect::<Vec<_>>().join(", "))
    }
}
