//! Model servers in `tidegate.yaml`, and how they are read.
//!
//! Serde reads an internally tagged enum through a buffer that forgets where things were, so
//! `Upstream` is read by hand: all keys of all kinds first, then the kind decides which may be
//! there. `precheck` says the same with the place of the key.

use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

mod endpoint;
mod fallback;
mod kind;
mod simulated;

pub(crate) use endpoint::{Endpoint, Health, Reach};
pub(crate) use fallback::FallbackModel;
pub(super) use kind::UpstreamKind;
pub(crate) use simulated::{Simulated, SimulatedFault};

/// A model server.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub(crate) enum Upstream {
    /// Any server with an OpenAI-compatible API.
    Openai {
        /// Up to and with `/v1`, for example `https://api.example.com/v1`.
        base_url: String,
        /// Environment variable that holds the API key; none for a server without.
        #[serde(default)]
        api_key_env: Option<String>,
        /// Whether a stream's usage is asked for (`stream_options.include_usage`) where the client
        /// does not; a server that refuses it is asked without, once it did.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        stream_usage: bool,
        /// Whether the version set's system message and those that the client begins with are sent
        /// as one: several chat templates allow one only.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        merge_system: bool,
        #[serde(flatten)]
        reach: Reach,
    },
    /// OpenAI's models at Azure.
    Azure(Azure),
    /// Anthropic's Messages API.
    Anthropic(Anthropic),
    /// Google's Gemini API.
    Gemini(Gemini),
    /// Amazon Bedrock's Converse, in a build with the feature `bedrock`.
    Bedrock(Bedrock),
    /// Recorded answers from a JSONL file: `{"model","prompt","answer"[,"latency_ms"]}` a line.
    Replay {
        /// The file.
        path: PathBuf,
        /// Time until the first token where a line has none, ms.
        #[serde(default)]
        latency_ms: u64,
        /// Milliseconds for each token of the answer.
        #[serde(default)]
        ms_per_token: f64,
    },
    /// A simulated model: answers by rule, not by a model. Needs no network and no key.
    Simulated(Simulated),
}

// What is not written is the default, so that version sets packed before keep their names.
fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl Upstream {
    /// Whether servers of this kind may make embeddings.
    pub(crate) fn makes_embeddings(&self) -> bool {
        matches!(self, Upstream::Openai { .. } | Upstream::Azure(_))
    }

    /// Where its API is; empty where it has no address. A URL with a key in it is no base URL.
    pub(crate) fn base_url(&self) -> &str {
        match self {
            Upstream::Openai { base_url, .. } => base_url,
            Upstream::Azure(azure) => &azure.base_url,
            Upstream::Anthropic(anthropic) => &anthropic.base_url,
            Upstream::Gemini(gemini) => &gemini.base_url,
            Upstream::Bedrock(bedrock) => &bedrock.base_url,
            Upstream::Replay { .. } | Upstream::Simulated(_) => "",
        }
    }

    /// Whether leading system messages are sent as one.
    pub(crate) fn merges_system(&self) -> bool {
        match self {
            Upstream::Openai { merge_system, .. } => *merge_system,
            Upstream::Azure(_) => true,
            // Translations join them as the API demands.
            Upstream::Anthropic(_) | Upstream::Gemini(_) | Upstream::Bedrock(_) => false,
            Upstream::Replay { .. } | Upstream::Simulated(_) => false,
        }
    }
}

/// A resource of Azure OpenAI, or of Azure AI Foundry.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Azure {
    /// The resource's address alone, `https://NAME.openai.azure.com`.
    pub(crate) base_url: String,
    /// Environment variable that holds the API key, sent as `api-key`.
    #[serde(default)]
    pub(crate) api_key_env: Option<String>,
    /// A dated version of the API, with which each deployment has its path; left out, the
    /// path `/openai/v1` is used.
    #[serde(default)]
    pub(crate) api_version: Option<String>,
    /// The deployment; left out, it has the model's name.
    #[serde(default)]
    pub(crate) deployment: Option<String>,
    /// Whether a stream's usage is asked for where the client does not.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(crate) stream_usage: bool,
    #[serde(flatten)]
    pub(crate) reach: Reach,
}

/// A server that speaks Anthropic's Messages API.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Anthropic {
    /// Up to and with `/v1`.
    pub(crate) base_url: String,
    /// Environment variable that holds the API key; none for a server without.
    pub(crate) api_key_env: Option<String>,
    /// Version of the API, sent as `anthropic-version`.
    pub(crate) version: String,
    /// Longest answer of a request that does not bound it, tokens: the API demands a bound.
    pub(crate) max_tokens: u64,
    /// Whether the model takes `temperature`, `top_p` and `top_k`; where it does not, they are left
    /// out with a warning.
    pub(crate) sampling: bool,
    /// How the model is asked to think.
    pub(crate) thinking: Thinking,
    /// Whether the model takes system messages after a user's turn; where it does not, they are
    /// moved to the beginning with a warning.
    pub(crate) system_later: bool,
    #[serde(flatten)]
    pub(crate) reach: Reach,
}

impl Default for Anthropic {
    fn default() -> Self {
        Anthropic {
            base_url: "https://api.anthropic.com/v1".to_owned(),
            api_key_env: None,
            version: "2023-06-01".to_owned(),
            max_tokens: 4096,
            sampling: false,
            thinking: Thinking::Effort,
            system_later: false,
            reach: Reach::default(),
        }
    }
}

/// A server that speaks Google's Gemini API.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Gemini {
    /// Up to and with the version, `/v1beta`.
    pub(crate) base_url: String,
    /// Environment variable that holds the API key; none for a server without.
    pub(crate) api_key_env: Option<String>,
    /// Whether the model takes `temperature`, `top_p`, `top_k` and penalties; where it does not,
    /// they are left out with a warning.
    pub(crate) sampling: bool,
    /// How the model is asked to think.
    pub(crate) thinking: Thinking,
    #[serde(flatten)]
    pub(crate) reach: Reach,
}

impl Default for Gemini {
    fn default() -> Self {
        Gemini {
            base_url: "https://generativelanguage.googleapis.com/v1beta".to_owned(),
            api_key_env: None,
            sampling: false,
            thinking: Thinking::Effort,
            reach: Reach::default(),
        }
    }
}

/// Amazon Bedrock, by its API Converse.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bedrock {
    /// The region whose models are called, `us-east-1`.
    pub(crate) region: String,
    /// Where the service is; left out, Amazon's own address for the region.
    pub(crate) base_url: String,
    /// Environment variable that holds the id of the access key.
    pub(crate) access_key_env: String,
    /// Environment variable that holds the secret access key.
    pub(crate) secret_key_env: String,
    /// Environment variable that holds the session's token; none for a key without.
    #[serde(default)]
    pub(crate) session_token_env: Option<String>,
    /// Whether the model takes `temperature` and `top_p`; where it does not, they are left out with
    /// a warning.
    pub(crate) sampling: bool,
    /// How the model is asked to think: Anthropic's models alone can be.
    pub(crate) thinking: Thinking,
    #[serde(flatten)]
    pub(crate) reach: Reach,
}

impl Bedrock {
    /// As the keys say; `None` without a region.
    fn of(keys: UpstreamKeys, reach: Reach) -> Option<Bedrock> {
        let region = keys.region?;
        let own = || format!("https://bedrock-runtime.{region}.amazonaws.com");
        let named = |given: Option<String>, usual: &str| given.unwrap_or_else(|| usual.to_owned());
        Some(Bedrock {
            base_url: keys.base_url.unwrap_or_else(own),
            region,
            access_key_env: named(keys.access_key_env, "AWS_ACCESS_KEY_ID"),
            secret_key_env: named(keys.secret_key_env, "AWS_SECRET_ACCESS_KEY"),
            session_token_env: keys.session_token_env,
            sampling: keys.sampling.unwrap_or(true),
            thinking: keys.thinking.unwrap_or(Thinking::Never),
            reach,
        })
    }
}

/// How a model is asked to think where a request has `reasoning_effort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thinking {
    /// By an effort: Anthropic's models since Opus 4.6, Gemini 3 and later.
    #[default]
    Effort,
    /// By a budget of tokens: models before.
    Budget,
    /// It cannot think, or shall not.
    Never,
}

/// The keys of every kind at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamKeys {
    kind: UpstreamKind,
    base_url: Option<String>,
    api_key_env: Option<String>,
    stream_usage: Option<bool>,
    merge_system: Option<bool>,
    api_version: Option<String>,
    deployment: Option<String>,
    version: Option<String>,
    max_tokens: Option<u64>,
    sampling: Option<bool>,
    thinking: Option<Thinking>,
    system_later: Option<bool>,
    endpoints: Option<Vec<Endpoint>>,
    health: Option<Health>,
    any_address: Option<bool>,
    http2: Option<bool>,
    region: Option<String>,
    access_key_env: Option<String>,
    secret_key_env: Option<String>,
    session_token_env: Option<String>,
    path: Option<PathBuf>,
    latency_ms: Option<u64>,
    ms_per_token: Option<f64>,
    seed: Option<u64>,
    first_token_ms: Option<f64>,
    sigma: Option<f64>,
    error_rate: Option<f64>,
    faults: Option<Vec<SimulatedFault>>,
}

impl UpstreamKeys {
    /// The names of the keys that were given, `kind` left out.
    fn given(&self) -> Vec<&'static str> {
        let UpstreamKeys {
            kind: _,
            base_url,
            api_key_env,
            stream_usage,
            merge_system,
            api_version,
            deployment,
            version,
            max_tokens,
            sampling,
            thinking,
            system_later,
            endpoints,
            health,
            any_address,
            http2,
            region,
            access_key_env,
            secret_key_env,
            session_token_env,
            path,
            latency_ms,
            ms_per_token,
            seed,
            first_token_ms,
            sigma,
            error_rate,
            faults,
        } = self;
        [
            ("base_url", base_url.is_some()),
            ("api_key_env", api_key_env.is_some()),
            ("stream_usage", stream_usage.is_some()),
            ("merge_system", merge_system.is_some()),
            ("api_version", api_version.is_some()),
            ("deployment", deployment.is_some()),
            ("version", version.is_some()),
            ("max_tokens", max_tokens.is_some()),
            ("sampling", sampling.is_some()),
            ("thinking", thinking.is_some()),
            ("system_later", system_later.is_some()),
            ("endpoints", endpoints.is_some()),
            ("health", health.is_some()),
            ("any_address", any_address.is_some()),
            ("http2", http2.is_some()),
            ("region", region.is_some()),
            ("access_key_env", access_key_env.is_some()),
            ("secret_key_env", secret_key_env.is_some()),
            ("session_token_env", session_token_env.is_some()),
            ("path", path.is_some()),
            ("latency_ms", latency_ms.is_some()),
            ("ms_per_token", ms_per_token.is_some()),
            ("seed", seed.is_some()),
            ("first_token_ms", first_token_ms.is_some()),
            ("sigma", sigma.is_some()),
            ("error_rate", error_rate.is_some()),
            ("faults", faults.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_given)| is_given.then_some(key))
        .collect()
    }

    /// Whether each key is one of the kind's.
    fn check(&self) -> Result<(), String> {
        let kind = self.kind;
        match self.given().iter().find(|key| !kind.keys().contains(key)) {
            None => Ok(()),
            Some(foreign) => Err(format!(
                "an upstream of kind `{}` has no key `{foreign}`; it may have {}",
                kind.as_str(),
                kind.keys().join(", ")
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = UpstreamKeys::deserialize(deserializer)?;
        let kind = keys.kind;
        keys.check().map_err(D::Error::custom)?;
        let reach = Reach {
            endpoints: keys.endpoints.take().unwrap_or_default(),
            health: keys.health.take(),
            any_address: keys.any_address.unwrap_or_default(),
            http2: keys.http2.unwrap_or(true),
        };
        match kind {
            UpstreamKind::Openai => Ok(Upstream::Openai {
                base_url: keys.base_url.ok_or_else(|| D::Error::missing_field("base_url"))?,
                api_key_env: keys.api_key_env,
                stream_usage: keys.stream_usage.unwrap_or(true),
                merge_system: keys.merge_system.unwrap_or(true),
                reach,
            }),
            UpstreamKind::Azure => Ok(Upstream::Azure(Azure {
                base_url: keys.base_url.ok_or_else(|| D::Error::missing_field("base_url"))?,
                api_key_env: keys.api_key_env,
                api_version: keys.api_version,
                deployment: keys.deployment,
                stream_usage: keys.stream_usage.unwrap_or(true),
                reach,
            })),
            UpstreamKind::Anthropic => {
                let default = Anthropic::default();
                Ok(Upstream::Anthropic(Anthropic {
                    base_url: keys.base_url.unwrap_or(default.base_url),
                    api_key_env: keys.api_key_env,
                    version: keys.version.unwrap_or(default.version),
                    max_tokens: keys.max_tokens.unwrap_or(default.max_tokens),
                    sampling: keys.sampling.unwrap_or(default.sampling),
                    thinking: keys.thinking.unwrap_or(default.thinking),
                    system_later: keys.system_later.unwrap_or(default.system_later),
                    reach,
                }))
            }
            UpstreamKind::Gemini => {
                let default = Gemini::default();
                Ok(Upstream::Gemini(Gemini {
                    base_url: keys.base_url.unwrap_or(default.base_url),
                    api_key_env: keys.api_key_env,
                    sampling: keys.sampling.unwrap_or(default.sampling),
                    thinking: keys.thinking.unwrap_or(default.thinking),
                    reach,
                }))
            }
            UpstreamKind::Bedrock => Bedrock::of(keys, reach)
                .map(Upstream::Bedrock)
                .ok_or_else(|| D::Error::missing_field("region")),
            UpstreamKind::Replay => Ok(Upstream::Replay {
                path: keys.path.ok_or_else(|| D::Error::missing_field("path"))?,
                latency_ms: keys.latency_ms.unwrap_or_default(),
                ms_per_token: keys.ms_per_token.unwrap_or_default(),
            }),
            UpstreamKind::Simulated => {
                let default = Simulated::default();
                Ok(Upstream::Simulated(Simulated {
                    seed: keys.seed.unwrap_or(default.seed),
                    first_token_ms: keys.first_token_ms.unwrap_or(default.first_token_ms),
                    ms_per_token: keys.ms_per_token.unwrap_or(default.ms_per_token),
                    sigma: keys.sigma.unwrap_or(default.sigma),
                    error_rate: keys.error_rate.unwrap_or(default.error_rate),
                    faults: keys.faults.unwrap_or(default.faults),
                }))
            }
        }
    }
}
