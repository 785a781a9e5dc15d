//! The kinds of upstream, and the keys of each.

use serde::{Deserialize, Serialize};

/// The kinds of upstream, as `kind` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum UpstreamKind {
    /// [`super::Upstream::Openai`].
    Openai,
    /// [`super::Upstream::Azure`].
    Azure,
    /// [`super::Upstream::Anthropic`].
    Anthropic,
    /// [`super::Upstream::Gemini`].
    Gemini,
    /// [`super::Upstream::Bedrock`].
    Bedrock,
    /// [`super::Upstream::Replay`].
    Replay,
    /// [`super::Upstream::Simulated`].
    Simulated,
}

impl UpstreamKind {
    /// Every kind.
    pub(in crate::config) const ALL: [UpstreamKind; 7] = [
        UpstreamKind::Openai,
        UpstreamKind::Azure,
        UpstreamKind::Anthropic,
        UpstreamKind::Gemini,
        UpstreamKind::Bedrock,
        UpstreamKind::Replay,
        UpstreamKind::Simulated,
    ];

    /// The kind's name in the file.
    pub(in crate::config) fn as_str(self) -> &'static str {
        match self {
            UpstreamKind::Openai => "openai",
            UpstreamKind::Azure => "azure",
            UpstreamKind::Anthropic => "anthropic",
            UpstreamKind::Gemini => "gemini",
            UpstreamKind::Bedrock => "bedrock",
            UpstreamKind::Replay => "replay",
            UpstreamKind::Simulated => "simulated",
        }
    }

    /// The keys an upstream of this kind may have, beside `kind`.
    pub(in crate::config) fn keys(self) -> &'static [&'static str] {
        match self {
            UpstreamKind::Azure => &[
                "base_url",
                "api_key_env",
                "api_version",
                "deployment",
                "stream_usage",
                "endpoints",
                "health",
                "any_address",
                "http2",
            ],
            UpstreamKind::Anthropic => &[
                "base_url",
                "api_key_env",
                "version",
                "max_tokens",
                "sampling",
                "thinking",
                "system_later",
                "endpoints",
                "health",
                "any_address",
                "http2",
            ],
            UpstreamKind::Gemini => &[
                "base_url",
                "api_key_env",
                "sampling",
                "thinking",
                "endpoints",
                "health",
                "any_address",
                "http2",
            ],
            UpstreamKind::Openai => &[
                "base_url",
                "api_key_env",
                "stream_usage",
                "merge_system",
                "endpoints",
                "health",
                "any_address",
                "http2",
            ],
            UpstreamKind::Bedrock => &[
                "region",
                "base_url",
                "access_key_env",
                "secret_key_env",
                "session_token_env",
                "sampling",
                "thinking",
                "any_address",
                "http2",
            ],
            UpstreamKind::Replay => &["path", "latency_ms", "ms_per_token"],
            UpstreamKind::Simulated => {
                &["seed", "first_token_ms", "ms_per_token", "sigma", "error_rate", "faults"]
            }
        }
    }

    /// The key it cannot do without.
    pub(in crate::config) fn required(self) -> Option<&'static str> {
        match self {
            UpstreamKind::Openai | UpstreamKind::Azure => Some("base_url"),
            UpstreamKind::Replay => Some("path"),
            UpstreamKind::Bedrock => Some("region"),
            UpstreamKind::Anthropic | UpstreamKind::Gemini | UpstreamKind::Simulated => None,
        }
    }
}
