//! Several servers of one model.

use super::{Anthropic, Azure, Gemini, Upstream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One more server of the same kind and the same model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// As the upstream's.
    pub(crate) base_url: String,
    /// Environment variable that holds its API key; left out, the upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_env: Option<String>,
    /// What it can take, where the upstream's own `base_url` takes 1.
    #[serde(default = "one")]
    pub(crate) weight: f64,
}

/// How endpoints are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// The path on the endpoint's server, for example `/health`; a 2xx says that it is well.
    pub(crate) path: String,
    /// How often it is asked, ms.
    #[serde(default = "five_seconds")]
    pub(crate) interval_ms: u64,
}

fn one() -> f64 {
    1.0
}

fn five_seconds() -> u64 {
    5_000
}

/// One endpoint as an upstream with one address.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Single {
    /// Its base URL; of an upstream without a server, its kind.
    pub(crate) address: String,
    /// What it can take beside the others.
    pub(crate) weight: f64,
    /// The upstream.
    pub(crate) upstream: Upstream,
}

impl Upstream {
    /// Its endpoints, each as an upstream with one address: that of `base_url` first.
    pub(crate) fn endpoints(&self) -> Vec<Single> {
        let (address, more): (&str, &[Endpoint]) = match self {
            Upstream::Openai { base_url, endpoints, .. }
            | Upstream::Azure(Azure { base_url, endpoints, .. })
            | Upstream::Anthropic(Anthropic { base_url, endpoints, .. })
            | Upstream::Gemini(Gemini { base_url, endpoints, .. }) => (base_url, endpoints),
            Upstream::Replay { .. } => ("replay", &[]),
            Upstream::Simulated(_) => ("simulated", &[]),
        };
        let own = Single { address: address.to_owned(), weight: 1.0, upstream: self.clone() };
        let more = more.iter().map(|endpoint| Single {
            address: endpoint.base_url.clone(),
            weight: endpoint.weight,
            upstream: self.at(endpoint),
        });
        std::iter::once(own).chain(more).collect()
    }

    /// Whether addresses are called that no model server has.
    pub(crate) fn calls_any_address(&self) -> bool {
        match self {
            Upstream::Openai { any_address, .. }
            | Upstream::Azure(Azure { any_address, .. })
            | Upstream::Anthropic(Anthropic { any_address, .. })
            | Upstream::Gemini(Gemini { any_address, .. }) => *any_address,
            Upstream::Replay { .. } | Upstream::Simulated(_) => false,
        }
    }

    /// How its endpoints are asked whether they are well.
    pub(crate) fn health(&self) -> Option<&Health> {
        match self {
            Upstream::Openai { health, .. }
            | Upstream::Azure(Azure { health, .. })
            | Upstream::Anthropic(Anthropic { health, .. })
            | Upstream::Gemini(Gemini { health, .. }) => health.as_ref(),
            Upstream::Replay { .. } | Upstream::Simulated(_) => None,
        }
    }

    /// The same at an endpoint's address, with the endpoint's key where it has one.
    fn at(&self, endpoint: &Endpoint) -> Upstream {
        let mut there = self.clone();
        match &mut there {
            Upstream::Openai { base_url, api_key_env, .. }
            | Upstream::Azure(Azure { base_url, api_key_env, .. })
            | Upstream::Anthropic(Anthropic { base_url, api_key_env, .. })
            | Upstream::Gemini(Gemini { base_url, api_key_env, .. }) => {
                base_url.clone_from(&endpoint.base_url);
                if endpoint.api_key_env.is_some() {
                    api_key_env.clone_from(&endpoint.api_key_env);
                }
            }
            Upstream::Replay { .. } | Upstream::Simulated(_) => {}
        }
        there
    }
}
