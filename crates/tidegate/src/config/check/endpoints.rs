//! Several endpoints of one upstream: each at an address that its kind may have, none twice.

use super::Checker;
use crate::config::error::Result;
use crate::config::upstream::{Endpoint, Health, Reach};

/// Most endpoints of an upstream: more are a load balancer's to know.
const ENDPOINTS_MAX: usize = 32;

impl Checker<'_> {
    /// `own` is the upstream's own base URL, and what is below one.
    pub(super) fn endpoints(
        &self,
        path: &str,
        own: (&str, &'static str),
        Reach { endpoints, health, any_address: _, http2: _ }: &Reach,
    ) -> Result<()> {
        if endpoints.len() >= ENDPOINTS_MAX {
            let allowed = format!("up to {} beside `base_url`", ENDPOINTS_MAX - 1);
            return Err(self.refuse(&format!("{path}.endpoints"), endpoints.len(), &allowed));
        }
        let mut seen = vec![own.0.trim_end_matches('/')];
        for (i, endpoint) in endpoints.iter().enumerate() {
            let at = |key| format!("{path}.endpoints[{i}].{key}");
            let Endpoint { base_url, api_key_env, weight } = endpoint;
            self.base_url(&at("base_url"), base_url, own.1)?;
            if seen.contains(&base_url.trim_end_matches('/')) {
                let text = format!("`{base_url}` is given twice");
                return Err(self.error(&at("base_url"), text));
            }
            seen.push(base_url.trim_end_matches('/'));
            if let Some(name) = api_key_env {
                self.env_name(&at("api_key_env"), name)?;
            }
            self.number(&at("weight"), *weight, (0.01, 100.0), "0.01 to 100")?;
        }
        let Some(Health { path: asked, interval_ms }) = health else { return Ok(()) };
        let at = |key| format!("{path}.health.{key}");
        if endpoints.is_empty() {
            return Err(self
                .error(&format!("{path}.health"), "there is one endpoint, which is always called")
                .hint("give more of them in `endpoints`, or leave `health` out"));
        }
        let is_plain = asked.parse::<http::uri::PathAndQuery>().is_ok();
        if !asked.starts_with('/') || !is_plain {
            let allowed = "a path from the server's root on, for example `/health`";
            return Err(self.refuse(&at("path"), asked, allowed));
        }
        match (100..=3_600_000).contains(interval_ms) {
            true => Ok(()),
            false => Err(self.refuse(&at("interval_ms"), interval_ms, "100 to 3600000")),
        }
    }
}
