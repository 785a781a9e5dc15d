//! Prices, and what they make of what was used.

use super::Money;
use crate::ids::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// µs of an hour.
const HOUR_US: u128 = 3_600_000_000;
/// What a tier's name has before the length of prompts that it is about.
const BAND: char = '>';
/// Names of the standard tier, which has none in the table.
const STANDARD: [&str; 5] = ["", "auto", "default", "standard", "on_demand"];

/// What one call used, every token in one number only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metered {
    /// Prompt tokens that are in none of the numbers below.
    #[serde(skip_serializing_if = "is_zero")]
    pub input: u64,
    /// Prompt tokens read from a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Prompt tokens written to a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Prompt tokens of sound.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_in: u64,
    /// Answer tokens that are in none of the numbers below.
    #[serde(skip_serializing_if = "is_zero")]
    pub output: u64,
    /// Answer tokens that the model thought.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Answer tokens of sound.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_out: u64,
    /// Time of the model server, µs.
    #[serde(skip_serializing_if = "is_zero")]
    pub compute_us: u64,
}

impl Metered {
    /// Of totals that contain their parts, as most model servers report them. Parts that are more
    /// than their total are cut: no token is paid for twice.
    pub fn of_totals(tokens_in: [u64; 4], tokens_out: [u64; 3], compute_us: u64) -> Metered {
        let [mut input, cache_read, cache_write, audio_in] = tokens_in;
        let [mut output, reasoning, audio_out] = tokens_out;
        let cache_read = part(&mut input, cache_read);
        let cache_write = part(&mut input, cache_write);
        let audio_in = part(&mut input, audio_in);
        let reasoning = part(&mut output, reasoning);
        let audio_out = part(&mut output, audio_out);
        let numbers =
            [input, cache_read, cache_write, audio_in, output, reasoning, audio_out, compute_us];
        Metered::of_numbers(numbers)
    }

    /// How many numbers it has.
    pub const NUMBERS: usize = 8;

    /// Its numbers, in the order of its members.
    pub fn numbers(self) -> [u64; Metered::NUMBERS] {
        let Metered {
            input,
            cache_read,
            cache_write,
            audio_in,
            output,
            reasoning,
            audio_out,
            compute_us,
        } = self;
        [input, cache_read, cache_write, audio_in, output, reasoning, audio_out, compute_us]
    }

    /// Of its numbers, in the order of its members.
    pub fn of_numbers(numbers: [u64; Metered::NUMBERS]) -> Metered {
        let [input, cache_read, cache_write, audio_in, output, reasoning, audio_out, compute_us] =
            numbers;
        Metered {
            input,
            cache_read,
            cache_write,
            audio_in,
            output,
            reasoning,
            audio_out,
            compute_us,
        }
    }

    /// The sum of both; what does not fit stays at the largest number.
    #[must_use]
    pub fn plus(self, other: Metered) -> Metered {
        let mut sum = self.numbers();
        for (number, more) in sum.iter_mut().zip(other.numbers()) {
            *number = number.saturating_add(more);
        }
        Metered::of_numbers(sum)
    }
}

/// Most numbers of most calls are.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Takes a part out of what is left of a total.
fn part(left: &mut u64, asked: u64) -> u64 {
    let taken = asked.min(*left);
    *left -= taken;
    taken
}

/// What one token or an hour costs, in trillionths of a US dollar. A rate that is not said is that
/// of the tokens it is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// A prompt token.
    pub input: u64,
    /// One read from a cache.
    pub cache_read: Option<u64>,
    /// One written to a cache.
    pub cache_write: Option<u64>,
    /// One of sound.
    pub audio_in: Option<u64>,
    /// An answer token.
    pub output: u64,
    /// One that the model thought.
    pub reasoning: Option<u64>,
    /// One of sound.
    pub audio_out: Option<u64>,
    /// An hour of the model server.
    pub compute_hour: u64,
}

/// What a call costs, by parts. Beside them is written `total_cost`, for who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "BillForm", from = "BillForm")]
pub struct Bill {
    /// The prompt.
    pub input_cost: Money,
    /// The answer.
    pub output_cost: Money,
    /// The model server's time.
    pub compute_cost: Money,
}

impl Bill {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Bill) -> Bill {
        Bill {
            input_cost: self.input_cost.plus(other.input_cost),
            output_cost: self.output_cost.plus(other.output_cost),
            compute_cost: self.compute_cost.plus(other.compute_cost),
        }
    }

    /// All of it.
    pub fn total(&self) -> Money {
        let Bill { input_cost, output_cost, compute_cost } = *self;
        input_cost.plus(output_cost).plus(compute_cost)
    }
}

#[derive(Serialize, Deserialize)]
struct BillForm {
    input_cost: Money,
    output_cost: Money,
    compute_cost: Money,
    #[serde(default)]
    total_cost: Money,
}

impl From<Bill> for BillForm {
    fn from(bill: Bill) -> BillForm {
        let Bill { input_cost, output_cost, compute_cost } = bill;
        BillForm { input_cost, output_cost, compute_cost, total_cost: bill.total() }
    }
}

impl From<BillForm> for Bill {
    fn from(form: BillForm) -> Bill {
        let BillForm { input_cost, output_cost, compute_cost, total_cost: _ } = form;
        Bill { input_cost, output_cost, compute_cost }
    }
}

impl Rates {
    /// What so much costs. It is linear in tokens: the bill of a sum is the sum of the bills. Time
    /// is rounded to the nearest trillionth once.
    pub fn bill(&self, used: &Metered) -> Bill {
        let Rates {
            input,
            cache_read,
            cache_write,
            audio_in,
            output,
            reasoning,
            audio_out,
            compute_hour,
        } = *self;
        let wide = |count: u64, rate: u64| u128::from(count) * u128::from(rate);
        let sum = |parts: &[(u64, u64)]| {
            let amounts = parts.iter().map(|(count, rate)| wide(*count, *rate));
            Money::of_wide(amounts.fold(0, u128::saturating_add))
        };
        Bill {
            input_cost: sum(&[
                (used.input, input),
                (used.cache_read, cache_read.unwrap_or(input)),
                (used.cache_write, cache_write.unwrap_or(input)),
                (used.audio_in, audio_in.unwrap_or(input)),
            ]),
            output_cost: sum(&[
                (used.output, output),
                (used.reasoning, reasoning.unwrap_or(output)),
                (used.audio_out, audio_out.unwrap_or(output)),
            ]),
            compute_cost: Money::of_wide(
                (wide(used.compute_us, compute_hour).saturating_add(HOUR_US / 2)) / HOUR_US,
            ),
        }
    }

    /// The most that so many tokens and so much time can cost, whatever kind they turn out to be.
    pub fn most(&self, tokens_in: u64, tokens_out: u64, compute_us: u64) -> Money {
        let Rates {
            input, cache_read, cache_write, audio_in, output, reasoning, audio_out, ..
        } = *self;
        let dearest = |rate: u64, others: &[Option<u64>]| {
            others.iter().flatten().fold(rate, |most, other| most.max(*other))
        };
        let input = dearest(input, &[cache_read, cache_write, audio_in]);
        let output = dearest(output, &[reasoning, audio_out]);
        let rates = Rates { input, output, compute_hour: self.compute_hour, ..Rates::default() };
        let used =
            Metered { input: tokens_in, output: tokens_out, compute_us, ..Metered::default() };
        rates.bill(&used).total()
    }
}

/// Rates that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced<'a> {
    /// The rates.
    pub rates: &'a Rates,
    /// Whether they are the standard ones in place of a tier's that the table does not have.
    pub is_of_other_tier: bool,
    /// Of prompts that are longer than so many tokens; 0 where the length does not matter.
    pub above: u64,
}

/// Rates by the moment from which on they hold.
type Dated = BTreeMap<UnixMs, Rates>;

/// Those of prompts that have more tokens than this.
type Bands = BTreeMap<u64, Dated>;

/// What a tier and its band are called in the books: a line of several requests is priced again by
/// it. The band is part of the name, since the length of each prompt is not kept.
pub fn tier_name(tier: Option<&str>, above: u64) -> Option<String> {
    match (tier, above) {
        (tier, 0) => tier.map(str::to_owned),
        (tier, above) => Some(format!("{}{BAND}{above}", tier.unwrap_or_default())),
    }
}

/// A tier and a length of prompt of its band, by the name in the books.
fn of_name(name: Option<&str>) -> (Option<&str>, u64) {
    let Some(name) = name else { return (None, 0) };
    match name.rsplit_once(BAND).map(|(tier, above)| (tier, above.parse::<u64>())) {
        Some((tier, Ok(above))) => {
            (Some(tier).filter(|tier| !tier.is_empty()), above.saturating_add(1))
        }
        Some((_, Err(_))) | None => (Some(name), 0),
    }
}

fn at(dated: &Dated, at: UnixMs) -> Option<&Rates> {
    dated.range(..=at).next_back().map(|(_, rates)| rates)
}

/// Prices of models, by tier, by the length of prompts from which on they hold, and by moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriceTable(BTreeMap<String, BTreeMap<String, Bands>>);

impl PriceTable {
    /// A model costs so much in a tier from a moment on, until a later price; `None` is the
    /// standard tier, `above` a number of tokens that the prompt has more than. False where the
    /// table has this entry already, which stays.
    pub fn add(
        &mut self,
        model: &str,
        (tier, above): (Option<&str>, u64),
        from: UnixMs,
        rates: Rates,
    ) -> bool {
        let tiers = self.0.entry(model.to_owned()).or_default();
        let bands = tiers.entry(named(tier).to_owned()).or_default();
        let dated = bands.entry(above).or_default();
        let is_new = !dated.contains_key(&from);
        dated.entry(from).or_insert(rates);
        is_new
    }

    /// The rates of a model in a tier at a moment, for a prompt of so many tokens; `None` for a
    /// model without a price then.
    pub fn find(
        &self,
        model: &str,
        tier: Option<&str>,
        moment: UnixMs,
        prompt: u64,
    ) -> Option<Priced<'_>> {
        let tiers = self.0.get(model)?;
        // A band that begins at 0 is of every prompt, an empty one as well.
        let rates = |tier: &str, is_of_other_tier: bool| {
            let bands = tiers.get(tier)?.iter().rev();
            let mut fitting = bands.filter(|(above, _)| **above == 0 || prompt > **above);
            fitting.find_map(|(above, dated)| {
                let rates = at(dated, moment)?;
                Some(Priced { rates, is_of_other_tier, above: *above })
            })
        };
        let tier = named(tier);
        rates(tier, false).or_else(|| rates("", !tier.is_empty()))
    }

    /// The same of a line of the books, by the name that its tier has there.
    pub fn find_line(&self, model: &str, tier: Option<&str>, moment: UnixMs) -> Option<Priced<'_>> {
        let (tier, prompt) = of_name(tier);
        self.find(model, tier, moment, prompt)
    }

    /// The most that a call of a model can cost, in whatever tier it is answered; `None` for a
    /// model without a price.
    pub fn most(
        &self,
        model: &str,
        moment: UnixMs,
        [tokens_in, tokens_out, compute_us]: [u64; 3],
    ) -> Option<Money> {
        let tiers = self.0.get(model)?;
        at(tiers.get("")?.get(&0)?, moment)?;
        let all = tiers.values().flat_map(BTreeMap::values).filter_map(|dated| at(dated, moment));
        all.map(|rates| rates.most(tokens_in, tokens_out, compute_us)).max()
    }
}

/// A tier as the table names it: the standard one, by whatever name, has none.
fn named(tier: Option<&str>) -> &str {
    tier.filter(|tier| !STANDARD.contains(tier)).unwrap_or("")
}
