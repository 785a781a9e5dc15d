//! A simulated model, and what goes wrong with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A simulated model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Simulated {
    /// Seed of everything that varies.
    pub(crate) seed: u64,
    /// Median time to the first token, ms.
    pub(crate) first_token_ms: f64,
    /// Median time for each token after it, ms.
    pub(crate) ms_per_token: f64,
    /// Spread of both: standard deviation of their logarithm.
    pub(crate) sigma: f64,
    /// Share of requests answered with an error 500, 0 to 1.
    pub(crate) error_rate: f64,
    /// What goes wrong, and when.
    pub(crate) faults: Vec<SimulatedFault>,
}

impl Default for Simulated {
    fn default() -> Self {
        Simulated {
            seed: 1,
            first_token_ms: 180.0,
            ms_per_token: 6.0,
            sigma: 0.25,
            error_rate: 0.0,
            faults: Vec::new(),
        }
    }
}

/// A fault of a simulated model: every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SimulatedFault {
    /// Only this prompt version.
    pub(crate) prompt: Option<String>,
    /// Only this model name.
    pub(crate) model: Option<String>,
    /// Only user texts of at least so many characters.
    pub(crate) min_chars: Option<u64>,
    /// Only texts in this language: `en`, `zh` or `ja`.
    pub(crate) language: Option<String>,
    /// Only from this second after the server's start on.
    pub(crate) from_s: Option<u64>,
    /// Only until this second after the server's start.
    pub(crate) until_s: Option<u64>,
    /// Share of the matching requests, 0 to 1; left out, all.
    pub(crate) rate: Option<f64>,
    /// Answer with this HTTP status.
    pub(crate) status: Option<u16>,
    /// Take this many times as long.
    pub(crate) slower: Option<f64>,
    /// Answer this instead.
    pub(crate) answer: Option<String>,
    /// End the answer half-way.
    pub(crate) cut: bool,
}
