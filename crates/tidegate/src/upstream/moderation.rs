//! A guard outside of this process: an endpoint that says what texts hold.

use super::transport::{Place, Transport};
use super::{SetupError, UpstreamError};
use crate::config::{ModerationConfig, Side};
use bytes::Bytes;
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
    within: Duration,
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
    /// Its URL is none or must not be asked, its key is not set, or there are no certificates.
    pub(crate) fn new(config: &ModerationConfig) -> Result<Moderation, SetupError> {
        let ModerationConfig { url, api_key_env, model, on, deadline_ms, any_address } = config;
        let transport = Transport::of_service(&Place {
            name: NAME,
            url,
            api_key_env: api_key_env.as_deref(),
            any_address: *any_address,
            http2: true,
        })?;
        let within = Duration::from_millis(*deadline_ms);
        Ok(Moderation { transport, model: model.clone(), on: on.clone(), within })
    }

    /// Whether it is asked about what is of this side.
    pub(crate) fn is_asked(&self, side: Side) -> bool {
        self.on.contains(&side)
    }

    /// Texts of this side, ready to be sent; `None` where they are not asked about.
    pub(crate) fn texts(&self, side: Side, texts: &[&str]) -> Option<Texts> {
        let is_asked = self.is_asked(side) && !texts.is_empty();
        let body = || Bytes::from(write_request(self.model.as_deref(), texts));
        is_asked.then(|| Texts { body: body(), count: texts.len() })
    }

    /// What texts are flagged for, by the endpoint's names, in order and with commas; empty where
    /// they are not.
    ///
    /// # Errors
    /// Why there is no such answer, in our own words.
    pub(crate) async fn look(&self, texts: Texts, left: Duration) -> Result<String, String> {
        let within = left.min(self.within);
        let why = |error: UpstreamError| match (error.status, error.failure) {
            (Some(status), _) => format!("the moderation endpoint answered {status}"),
            (None, failure) if failure.is_timeout() => {
                let waited = within.as_millis();
                format!("no answer of the moderation endpoint within {waited} ms")
            }
            (None, failure) => format!("the moderation endpoint: {}", failure.as_str()),
        };
        let answer = self.transport.post(texts.body, within).await.map_err(why)?;
        let flagged = read_answer(&answer, texts.count)
            .ok_or("the moderation endpoint's answer has no result for each text")?;
        Ok(flagged.into_iter().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_metadata_service_is_refused_until_it_is_meant() {
        let made = |url: &str, any_address: bool| {
            let text = serde_json::json!({ "url": url, "any_address": any_address });
            Moderation::new(&serde_json::from_value(text).unwrap())
        };
        for url in ["http://169.254.169.254/v1/moderations", "http://[fe80::1]/v1/moderations"] {
            let refused = made(url, false).unwrap_err();
            assert!(matches!(refused, SetupError::ReservedAddress { .. }), "{refused}");
            made(url, true).unwrap();
        }
        made("http://127.0.0.1:1/v1/moderations", false).unwrap();
    }
}
