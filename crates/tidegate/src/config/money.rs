//! What tokens and time cost, and how much may be used.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidegate_core::access::{Bounds, Priority};
use tidegate_core::calendar::Day;
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{Money, PriceTable, Rates};

/// A model's prices, US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    /// Prompt tokens.
    pub(crate) input_per_million: f64,
    /// Answer tokens.
    pub(crate) output_per_million: f64,
}

/// A row of the price list. Prices are US dollars for a million tokens; those that are left out
/// are those of the tokens that they are a part of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceRow {
    /// The model.
    pub(crate) model: String,
    /// The tier that the model server says it answered in, such as `flex`; left out, the standard
    /// one.
    #[serde(default)]
    pub(crate) tier: Option<String>,
    /// It holds for prompts of more tokens than this, such as `200000`; left out, for every one.
    #[serde(default)]
    pub(crate) above_prompt_tokens: u64,
    /// The day (UTC) from which on it holds, such as `2026-11-28`; left out, always.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// Prompt tokens.
    #[serde(default)]
    pub(crate) input_per_million: f64,
    /// Answer tokens.
    #[serde(default)]
    pub(crate) output_per_million: f64,
    /// Prompt tokens read from a cache.
    #[serde(default)]
    pub(crate) cache_read_per_million: Option<f64>,
    /// Prompt tokens written to a cache.
    #[serde(default)]
    pub(crate) cache_write_per_million: Option<f64>,
    /// Answer tokens that the model thought.
    #[serde(default)]
    pub(crate) reasoning_per_million: Option<f64>,
    /// Prompt tokens of sound.
    #[serde(default)]
    pub(crate) audio_input_per_million: Option<f64>,
    /// Answer tokens of sound.
    #[serde(default)]
    pub(crate) audio_output_per_million: Option<f64>,
    /// An hour of the model server, such as a GPU's, in US dollars.
    #[serde(default)]
    pub(crate) compute_per_hour: f64,
    /// Most tokens that one answer of the model can have; left out, 32768. Where neither the
    /// request nor the version set bounds an answer, so many are reserved under a budget.
    #[serde(default)]
    pub(crate) max_output_tokens: Option<u64>,
}

/// How much may be used; what is left out is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BoundsConfig {
    /// Requests in a minute.
    pub(crate) requests_per_min: Option<u64>,
    /// Tokens in a minute, of prompts and answers together.
    pub(crate) tokens_per_min: Option<u64>,
    /// Requests at a time.
    pub(crate) concurrent: Option<u32>,
    /// US dollars in a day (UTC).
    pub(crate) budget_day_usd: Option<f64>,
    /// US dollars in a calendar month (UTC).
    pub(crate) budget_month_usd: Option<f64>,
}

/// Whose requests go first where there are too few places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PriorityName {
    /// Before all others.
    High,
    /// What has no other.
    Normal,
    /// After all others, and refused first.
    Low,
}

impl From<PriorityName> for Priority {
    fn from(name: PriorityName) -> Priority {
        match name {
            PriorityName::High => Priority::High,
            PriorityName::Normal => Priority::Normal,
            PriorityName::Low => Priority::Low,
        }
    }
}

/// What a tenant may use, and how soon; what is left out is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TenantConfig {
    /// Requests in a minute.
    requests_per_min: Option<u64>,
    /// Tokens in a minute, of prompts and answers together.
    tokens_per_min: Option<u64>,
    /// Requests at a time.
    concurrent: Option<u32>,
    /// US dollars in a day (UTC).
    budget_day_usd: Option<f64>,
    /// US dollars in a calendar month (UTC).
    budget_month_usd: Option<f64>,
    /// Where there are too few places, requests of a higher priority go first; left out, `normal`.
    /// A key of the tenant may have a lower one.
    priority: Option<PriorityName>,
}

impl TenantConfig {
    /// How much it may use.
    pub(crate) fn bounds(&self) -> BoundsConfig {
        let TenantConfig {
            requests_per_min,
            tokens_per_min,
            concurrent,
            budget_day_usd,
            budget_month_usd,
            priority: _,
        } = *self;
        BoundsConfig {
            requests_per_min,
            tokens_per_min,
            concurrent,
            budget_day_usd,
            budget_month_usd,
        }
    }

    /// Whose requests it goes before.
    pub(crate) fn priority(&self) -> Priority {
        self.priority.map(Priority::from).unwrap_or_default()
    }
}

impl BoundsConfig {
    /// The same in whole numbers.
    pub(crate) fn bounds(&self) -> Bounds {
        let BoundsConfig {
            requests_per_min,
            tokens_per_min,
            concurrent,
            budget_day_usd,
            budget_month_usd,
        } = *self;
        Bounds {
            requests_per_min,
            tokens_per_min,
            concurrent,
            budget_day: budget_day_usd.map(money),
            budget_month: budget_month_usd.map(money),
        }
    }
}

/// Dollars as they are written in the file. YAML's numbers are read as fractions of two; the
/// shortest decimal that is read as the same one is what was written, up to 15 digits.
pub(super) fn money(dollars: f64) -> Money {
    // `-0.0` is in every range, and `-0` is no amount: it would be the largest.
    let dollars = if dollars == 0.0 { 0.0 } else { dollars };
    Money::parse_usd(&dollars.to_string()).unwrap_or(Money::MAX)
}

/// Dollars for a million as trillionths for one, to the nearest.
fn per_one(dollars: f64) -> u64 {
    match dollars < 1e7 {
        true => money(dollars).micro_usd(),
        // Beyond what an amount holds; there are no cents at that size.
        false => (dollars as u64).saturating_mul(1_000_000),
    }
}

impl PriceRow {
    /// The moment from which on it holds; `None` where `from` is no day.
    pub(super) fn holds_from(&self) -> Option<UnixMs> {
        match &self.from {
            Some(from) => Day::parse(from).map(Day::begins),
            None => Some(UnixMs(0)),
        }
    }

    /// Its tier and its band.
    pub(super) fn place(&self) -> (Option<&str>, u64) {
        (self.tier.as_deref(), self.above_prompt_tokens)
    }

    fn rates(&self) -> Rates {
        Rates {
            input: per_one(self.input_per_million),
            cache_read: self.cache_read_per_million.map(per_one),
            cache_write: self.cache_write_per_million.map(per_one),
            audio_in: self.audio_input_per_million.map(per_one),
            output: per_one(self.output_per_million),
            reasoning: self.reasoning_per_million.map(per_one),
            audio_out: self.audio_output_per_million.map(per_one),
            compute_hour: money(self.compute_per_hour).0,
        }
    }

    /// Its prices with their keys.
    pub(super) fn prices(&self) -> [(&'static str, Option<f64>); 8] {
        [
            ("input_per_million", Some(self.input_per_million)),
            ("output_per_million", Some(self.output_per_million)),
            ("cache_read_per_million", self.cache_read_per_million),
            ("cache_write_per_million", self.cache_write_per_million),
            ("reasoning_per_million", self.reasoning_per_million),
            ("audio_input_per_million", self.audio_input_per_million),
            ("audio_output_per_million", self.audio_output_per_million),
            ("compute_per_hour", Some(self.compute_per_hour)),
        ]
    }
}

/// What models cost, and how long their answers can be.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Prices {
    /// The prices.
    pub(crate) table: PriceTable,
    /// Most tokens of an answer, by model.
    pub(crate) max_output_tokens: BTreeMap<String, u64>,
}

impl Prices {
    /// Those of a project; of two that say the same, the first holds.
    pub(super) fn of(usual: &BTreeMap<String, Price>, list: &[PriceRow]) -> Prices {
        let mut prices = Prices::default();
        for (model, Price { input_per_million, output_per_million }) in usual {
            let (input, output) = (per_one(*input_per_million), per_one(*output_per_million));
            let rates = Rates { input, output, ..Rates::default() };
            prices.table.add(model, (None, 0), UnixMs(0), rates);
        }
        for row in list {
            if let Some(from) = row.holds_from() {
                prices.table.add(&row.model, row.place(), from, row.rates());
            }
            if let Some(most) = row.max_output_tokens {
                let known = prices.max_output_tokens.entry(row.model.clone()).or_default();
                *known = most.max(*known);
            }
        }
        prices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dollars: f64, expected: &str) {
        assert_eq!(money(dollars).to_string(), expected);
    }

    #[test]
    fn dollars_are_what_was_written() {
        check(0.1, "0.10");
        check(0.15, "0.15");
        check(1e-7, "0.0000001");
        check(0.1 + 0.2, "0.30");
        check(1e9, Money::MAX.to_string().as_str());
        check(-0.0, "0.00");
        check(9_000_000.0, "9000000.00");
        assert_eq!(per_one(0.0375), 37_500);
        assert_eq!(per_one(0.15), 150_000);
        // What a script makes of 1.5e-7 dollars a token.
        assert_eq!(per_one(1.5e-7 * 1e6), 150_000);
        assert_eq!(per_one(1_000_000.0), 1_000_000_000_000);
        assert_eq!(per_one(1e9), 1_000_000_000_000_000);
    }
}
