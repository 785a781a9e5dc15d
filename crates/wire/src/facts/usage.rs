//! Tokens of an answer, and the tier that it is billed in.

use serde::{Deserialize, Serialize};

/// Tokens as the model server reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Of the prompt, with what was read from a cache or written to one.
    pub tokens_in: u64,
    /// Of the answer, with what the model thought.
    pub tokens_out: u64,
    /// Of `tokens_in`, read from a cache; 0 where the server does not say.
    pub cache_read_in: u64,
    /// Of `tokens_in`, written to a cache; 0 where the server does not say.
    pub cache_write_in: u64,
    /// Of `tokens_out`, thought; 0 where the server does not say.
    pub reasoning_out: u64,
    /// Of `cache_write_in`, written for an hour and not for minutes.
    pub cache_hour_in: u64,
    /// Of `tokens_in`, sound; 0 where the server does not say.
    pub audio_in: u64,
    /// Of `tokens_out`, sound; 0 where the server does not say.
    pub audio_out: u64,
    /// In which tier of the service it was answered.
    pub tier: Tier,
}

/// A tier of a model server's service: what the same tokens cost differs by it. Names are few and
/// known, so that no server can make as many rows in the books as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The usual one, also where the server does not say.
    #[default]
    Standard,
    /// Slower and cheaper.
    Flex,
    /// Faster and dearer.
    Priority,
    /// Answered within hours.
    Batch,
    /// Capacity that was bought ahead.
    Scale,
    /// Throughput that was bought ahead.
    Provisioned,
    /// One that is not known here.
    Other,
}

impl Tier {
    /// Reads a tier as a server names it.
    pub fn parse(name: &str) -> Tier {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "auto" | "default" | "standard" | "on_demand" | "traffic_type_unspecified" => {
                Tier::Standard
            }
            "flex" | "on_demand_flex" => Tier::Flex,
            "priority" | "on_demand_priority" => Tier::Priority,
            "batch" => Tier::Batch,
            "scale" => Tier::Scale,
            "provisioned" | "provisioned_throughput" => Tier::Provisioned,
            _ => Tier::Other,
        }
    }

    /// Its name; none for the usual one.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Tier::Standard => None,
            Tier::Flex => Some("flex"),
            Tier::Priority => Some("priority"),
            Tier::Batch => Some("batch"),
            Tier::Scale => Some("scale"),
            Tier::Provisioned => Some("provisioned"),
            Tier::Other => Some("other"),
        }
    }
}
