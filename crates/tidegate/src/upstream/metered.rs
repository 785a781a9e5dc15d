//! Usage as it is billed.

use tidegate_core::ids::UnixMs;
use tidegate_core::money::{Metered, Money, PriceTable};
use tidegate_wire::Usage;

/// What was used, each token in one number.
pub(crate) fn metered(usage: &Usage, compute_us: u64) -> Metered {
    let Usage { tokens_in, tokens_out, cache_read_in, cache_write_in, reasoning_out, .. } = *usage;
    let tokens_in = [tokens_in, cache_read_in, cache_write_in, usage.audio_in];
    Metered::of_totals(tokens_in, [tokens_out, reasoning_out, usage.audio_out], compute_us)
}

/// The tier that it is billed in. What is written to a cache for an hour has another price than
/// what is written for minutes, and a request that has both has neither's.
pub(crate) fn tier_of(usage: &Usage) -> Option<String> {
    let cache = match usage.cache_hour_in {
        0 => None,
        hour if hour == usage.cache_write_in => Some("cache_1h"),
        _ => Some("cache_mixed"),
    };
    let parts: Vec<&str> = usage.tier.name().into_iter().chain(cache).collect();
    (!parts.is_empty()).then(|| parts.join("+"))
}

/// What an answer of a model costs; `None` where the model has no price.
pub(crate) fn cost(
    prices: &PriceTable,
    model: &str,
    at: UnixMs,
    (usage, compute_us): (&Usage, u64),
) -> Option<Money> {
    let priced = prices.find(model, tier_of(usage).as_deref(), at, usage.tokens_in)?;
    Some(priced.rates.bill(&metered(usage, compute_us)).total())
}
