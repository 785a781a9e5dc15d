//! Several servers of one model.

use super::{Anthropic, Azure, Bedrock, Gemini, Upstream, is_yes, yes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the servers of an upstream are reached. What is not written is the default, so that version
/// sets packed before keep their names.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Reach {
    /// More servers of the same model, beside the one of `base_url`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) endpoints: Vec<Endpoint>,
    /// How endpoints are asked whether they are well; none for not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<Health>,
    /// Whether addresses are called that no model server has, such as a metadata service's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) any_address: bool,
    /// Whether HTTP/2 is offered in the TLS handshake.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(crate) http2: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Reach { endpoints: Vec::new(), health: None, any_address: false, http2: true }
    }
}

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
    /// The base URL of its server, and how that is reached; none where no server is called.
    pub(crate) fn server(&self) -> Option<(&str, &Reach)> {
        match self {
            Upstream::Openai { base_url, reach, .. }
            | Upstream::Azure(Azure { base_url, reach, .. })
            | Upstream::Anthropic(Anthropic { base_url, reach, .. })
            | Upstream::Gemini(Gemini { base_url, reach, .. })
            | Upstream::Bedrock(Bedrock { base_url, reach, .. }) => Some((base_url, reach)),
            Upstream::Replay { .. } | Upstream::Simulated(_) => None,
        }
    }

    /// The base URLs of its endpoints, the upstream's own first.
    pub(crate) fn base_urls(&self) -> impl Iterator<Item = &str> {
        self.server().into_iter().flat_map(|(base_url, reach)| {
            let more = reach.endpoints.iter().map(|endpoint| endpoint.base_url.as_str());
            std::iter::once(base_url).chain(more)
        })
    }

    /// Its endpoints, each as an upstream with one address: that of `base_url` first.
    pub(crate) fn endpoints(&self) -> Vec<Single> {
        let (address, more): (&str, &[Endpoint]) = match (self.server(), self) {
            (Some((base_url, reach)), _) => (base_url, &reach.endpoints),
            (None, Upstream::Replay { .. }) => ("replay", &[]),
            (None, _) => ("simulated", &[]),
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
        self.server().is_some_and(|(_, reach)| reach.any_address)
    }

    /// How its endpoints are asked whether they are well.
    pub(crate) fn health(&self) -> Option<&Health> {
        self.server()?.1.health.as_ref()
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
            // It has one address.
            Upstream::Bedrock(_) | Upstream::Replay { .. } | Upstream::Simulated(_) => {}
        }
        there
    }
}
