//! Services beside the model servers, such as a retriever: each is asked in JSON at one address.

use super::client::{endpoint, key};
use super::{Exchange, Late, Transport, client, read_whole};
use crate::upstream::{Deadlines, SetupError, UpstreamError, bounds};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use std::time::Duration;
use tidegate_core::upstream::Failure;

/// Where a service is.
pub(in crate::upstream) struct Place<'a> {
    /// What errors call it.
    pub(in crate::upstream) name: &'a str,
    /// Its address, whole.
    pub(in crate::upstream) url: &'a str,
    /// The environment variable with its key.
    pub(in crate::upstream) api_key_env: Option<&'a str>,
    /// Whether it may be at an address that is link-local or a metadata service's.
    pub(in crate::upstream) any_address: bool,
    /// Whether HTTP/2 is offered.
    pub(in crate::upstream) http2: bool,
}

impl Transport {
    /// Makes the client of a service.
    ///
    /// # Errors
    /// Its URL is none or must not be asked, its key is not set, or there are no certificates.
    pub(in crate::upstream) fn of_service(place: &Place<'_>) -> Result<Transport, SetupError> {
        let Place { name, url, api_key_env, any_address, http2 } = *place;
        let address = endpoint(name, url, "")?;
        SetupError::check_address(name, url, any_address)?;
        let credential = api_key_env.map(|variable| key(name, variable, "Bearer ")).transpose()?;
        let fixed = credential.map(|key| (AUTHORIZATION, key)).into_iter().collect();
        let transport = Transport::new(name, &address, fixed, http2)?;
        if any_address {
            transport.call_any_address();
        }
        Ok(transport)
    }

    /// Sends JSON to the service and gives what a 2xx answers.
    ///
    /// # Errors
    /// It took longer, answered something else, or more than is read.
    pub(in crate::upstream) async fn post(
        &self,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, UpstreamError> {
        let deadlines = Deadlines { first_byte: within, idle: within, total: within };
        let exchange = Exchange::start(deadlines);
        let request = self.json(&self.address, body, "application/json");
        let mut sent_twice = false;
        let asking = self.ask(request, false, &mut sent_twice);
        let response = exchange.within(exchange.total_deadline(), Late::Total, asking).await?;
        let response = response.map_err(|error| {
            let (failure, message) = client::no_answer(&error);
            exchange.error(failure, message)
        })?;
        let status = response.status();
        if !status.is_success() {
            let failure = Failure::of_status(status.as_u16());
            return Err(exchange.error(failure, format!("it answered with status {status}")));
        }
        let decoder = exchange.decoder(&response)?;
        let body = read_whole(response.into_body(), decoder, bounds::BODY_MAX);
        let body = exchange.within(exchange.total_deadline(), Late::Total, body).await?;
        body.map_err(|(failure, message)| exchange.error(failure, message))
    }
}
