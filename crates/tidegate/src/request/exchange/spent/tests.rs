use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use tidegate_core::calendar::Day;
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{PriceTable, Purpose, Rates, Sums, usd};
use tidegate_wire::{anthropic, openai_chat};

/// The first day of the month of the invoice.
const FIRST: &str = "2026-11-01";
/// The day of the month from which on prices are others.
const CHANGE: u64 = 15;
/// Prices in dollars for a million tokens, before and after the change: of the prompt, of what is
/// read from a cache, of what is written to one, of the answer.
const PRICES: [[&str; 4]; 2] = [["0.15", "0.0375", "0.1875", "0.6"], ["3", "0.3", "3.75", "15"]];

/// A decimal number as its digits, the last first, with 18 behind the point: the way it is added
/// and multiplied at school, and nothing that the books use.
#[derive(Clone, PartialEq, Debug)]
struct Decimal(Vec<u8>);

impl Decimal {
    fn of(text: &str) -> Decimal {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction:0<18}");
        Decimal(digits.bytes().rev().map(|digit| digit - b'0').collect())
    }

    fn add(&self, other: &Decimal) -> Decimal {
        let (mut sum, mut carry) = (Vec::new(), 0);
        for at in 0..self.0.len().max(other.0.len()) + 1 {
            let digit = |of: &Decimal| of.0.get(at).copied().unwrap_or(0);
            let here = digit(self) + digit(other) + carry;
            sum.push(here % 10);
            carry = here / 10;
        }
        Decimal(sum)
    }

    fn times(&self, count: u64) -> Decimal {
        let mut product = Decimal(Vec::new());
        for (place, digit) in count.to_string().bytes().rev().enumerate() {
            let mut shifted = vec![0; place];
            shifted.extend(&self.0);
            for _ in 0..digit - b'0' {
                product = product.add(&Decimal(shifted.clone()));
            }
        }
        product
    }

    /// For one where it is for a million.
    fn for_one(&self) -> Decimal {
        assert!(self.0[..6].iter().all(|digit| *digit == 0), "a price has 12 digits at most");
        Decimal(self.0[6..].to_vec())
    }

    fn is(&self, text: &str) -> bool {
        let cut = |decimal: &Decimal| {
            let zeros = decimal.0.iter().rev().take_while(|digit| **digit == 0).count();
            decimal.0[..decimal.0.len() - zeros].to_vec()
        };
        cut(self) == cut(&Decimal::of(text))
    }
}

fn rates(prices: &[&str; 4]) -> Rates {
    let [input, read, write, output] =
        prices.map(|price| Money::parse_usd(price).unwrap().micro_usd());
    Rates { input, cache_read: Some(read), cache_write: Some(write), output, ..Rates::default() }
}

fn table() -> PriceTable {
    let mut table = PriceTable::default();
    let first = Day::parse(FIRST).unwrap();
    let change = Day(first.0 + CHANGE);
    for (from, prices) in [UnixMs(0), change.begins()].into_iter().zip(&PRICES) {
        assert!(table.add("m", (None, 0), from, rates(prices)));
    }
    table
}

/// One call: when in the month, whose model server, and its tokens: of the prompt beside the cache,
/// read, written, thought, said.
type Call = (u64, bool, [u64; 5]);

/// What a model server reports of a call: OpenAI counts what was read and written as a part of the
/// prompt, Anthropic beside it.
fn usage((_, is_anthropic, [input, read, write, thought, said]): &Call) -> Usage {
    let output = thought + said;
    if *is_anthropic {
        let body = json!({
            "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "ok"}],
            "usage": {
                "input_tokens": input, "cache_read_input_tokens": read,
                "cache_creation_input_tokens": write, "output_tokens": output,
            },
        });
        return anthropic::read_answer(body.to_string().as_bytes()).unwrap().usage.unwrap();
    }
    let body = json!({
        "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "ok"}}],
        "usage": {
            "prompt_tokens": input + read + write, "completion_tokens": output,
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
            "completion_tokens_details": {"reasoning_tokens": thought},
        },
    });
    openai_chat::read_answer(body.to_string().as_bytes()).unwrap().usage.unwrap()
}

/// A table with a tier, a band of long prompts, sound, and caches that are kept for an hour.
fn tiers() -> PriceTable {
    let mut table = PriceTable::default();
    let plain = Rates { input: 100, output: 200, audio_in: Some(1_000), ..Rates::default() };
    let sound = Rates { audio_out: Some(3_000), cache_write: Some(125), ..plain };
    assert!(table.add("m", (None, 0), UnixMs(0), sound));
    let long = Rates { input: 150, output: 300, ..Rates::default() };
    assert!(table.add("m", (None, 200_000), UnixMs(0), long));
    let flex = Rates { input: 50, output: 100, ..Rates::default() };
    assert!(table.add("m", (Some("flex"), 0), UnixMs(0), flex));
    let hour = Rates { input: 100, cache_write: Some(200), output: 200, ..Rates::default() };
    assert!(table.add("m", (Some("cache_1h"), 0), UnixMs(0), hour));
    table
}

fn check_tier(usage: Usage, tier: Option<&str>, cost: u64, pricing: Pricing) {
    let charge = charged(&tiers(), ["m", "m"], UnixMs(0), (&usage, 0), Basis::Reported);
    let found = (charge.tier.as_deref(), charge.bill.total().0, charge.pricing);
    assert_eq!(found, (tier, cost, pricing), "{usage:?}");
}

fn openai(members: &str, usage: &str) -> Usage {
    let body = format!(
        r#"{{"object":"chat.completion","model":"m",{members}"choices":[{{"index":0,
        "finish_reason":"stop","message":{{"role":"assistant","content":"ok"}}}}],
        "usage":{usage}}}"#
    );
    openai_chat::read_answer(body.as_bytes()).unwrap().usage.unwrap()
}

#[test]
fn a_call_is_billed_in_the_tier_that_the_model_server_says() {
    let usage = r#"{"prompt_tokens":10,"completion_tokens":2}"#;
    for said in ["", r#""service_tier":null,"#, r#""service_tier":"default","#] {
        check_tier(openai(said, usage), None, 1_400, Pricing::Listed);
    }
    let flex = openai(r#""service_tier":"flex","#, usage);
    check_tier(flex, Some("flex"), 700, Pricing::Listed);
    // A tier without a price has the standard one, and is marked; so is an unknown one.
    let priority = openai(r#""service_tier":"priority","#, usage);
    check_tier(priority, Some("priority"), 1_400, Pricing::OtherTier);
    let unknown = openai(r#""service_tier":"ultra-2027","#, usage);
    check_tier(unknown, Some("other"), 1_400, Pricing::OtherTier);
    // Read by the reader of every form as well as by that of the usual one.
    let rare = openai(r#""service_tier":"flex","x":[1],"#, usage);
    check_tier(rare, Some("flex"), 700, Pricing::Listed);
}

#[test]
fn sound_and_long_prompts_have_their_prices() {
    let sound = r#"{"prompt_tokens":10,"completion_tokens":5,
        "prompt_tokens_details":{"audio_tokens":4},
        "completion_tokens_details":{"audio_tokens":3}}"#;
    let cost = 6 * 100 + 4 * 1_000 + 2 * 200 + 3 * 3_000;
    check_tier(openai("", sound), None, cost, Pricing::Listed);
    check_tier(openai(r#""x":[1],"#, sound), None, cost, Pricing::Listed);
    let at_the_edge = r#"{"prompt_tokens":200000,"completion_tokens":1}"#;
    check_tier(openai("", at_the_edge), None, 20_000_200, Pricing::Listed);
    let long = r#"{"prompt_tokens":200001,"completion_tokens":1}"#;
    check_tier(openai("", long), Some(">200000"), 30_000_450, Pricing::Listed);
}

#[test]
fn a_cache_that_is_kept_for_an_hour_has_its_price() {
    let anthropic = |hour: u64, written: u64| {
        let body = json!({
            "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "ok"}],
            "usage": {
                "input_tokens": 1, "cache_creation_input_tokens": written, "output_tokens": 1,
                "cache_creation": {"ephemeral_1h_input_tokens": hour}, "service_tier": "standard",
            },
        });
        anthropic::read_answer(body.to_string().as_bytes()).unwrap().usage.unwrap()
    };
    check_tier(anthropic(0, 10), None, 100 + 1_250 + 200, Pricing::Listed);
    check_tier(anthropic(10, 10), Some("cache_1h"), 100 + 2_000 + 200, Pricing::Listed);
    check_tier(anthropic(4, 10), Some("cache_mixed"), 100 + 1_250 + 200, Pricing::OtherTier);
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (0..30 * 86_400_000_u64, any::<bool>(), prop::array::uniform5(0_u64..2_000_000));
    prop::collection::vec(call, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A month of calls costs what the invoice says, to the last digit: as the calls come, added up
    /// by day, and priced again as a whole.
    #[test]
    fn a_month_costs_what_the_invoice_says(calls in calls()) {
        let (table, first) = (table(), Day::parse(FIRST).unwrap());
        let mut invoice = Decimal::of("0");
        let mut days: BTreeMap<u64, Sums> = BTreeMap::new();
        for call in &calls {
            let (after_ms, _, [input, read, write, thought, said]) = call;
            let prices = &PRICES[usize::from(*after_ms >= CHANGE * 86_400_000)];
            let tokens = [*input, *read, *write, thought + said];
            for (price, count) in prices.iter().zip(tokens) {
                invoice = invoice.add(&Decimal::of(price).for_one().times(count));
            }
            let at = first.begins().plus(*after_ms);
            let used = usage(call);
            let charge = charged(&table, ["m", "m"], at, (&used, 0), Basis::Reported);
            prop_assert_eq!(charge.pricing, Pricing::Listed);
            let sums = days.entry(Day::of(at).0).or_default();
            *sums = sums.plus(Sums::of(&charge));
        }
        let total = |days: &BTreeMap<u64, Sums>| -> String {
            usd(days.values().map(|sums| u128::from(sums.bill.total().0)).sum())
        };
        prop_assert!(invoice.is(&total(&days)), "{} on the books", total(&days));
        let wrong = PriceTable::default();
        let line = |day: &u64| tidegate_core::money::LineKey {
            day: Day(*day),
            purpose: Purpose::Serve,
            tenant: None,
            key: None,
            set: tidegate_core::ids::VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
            arm: Some(tidegate_core::route::Arm::Stable),
            model: "m".to_owned(),
            tier: None,
        };
        for (day, sums) in &mut days {
            *sums = sums.reprice(&line(day), &wrong);
        }
        prop_assert_eq!(total(&days), "0.00");
        for (day, sums) in &mut days {
            *sums = sums.reprice(&line(day), &table);
        }
        prop_assert!(invoice.is(&total(&days)), "{} priced again", total(&days));
    }
}
