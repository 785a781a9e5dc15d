use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use tidegate_core::calendar::Day;
use tidegate_core::ids::UnixMs;
use tidegate_core::money::{Rates, Sums, usd};
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
        assert!(table.add("m", None, from, rates(prices)));
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
            let used = metered(&usage(call), 0);
            let charge = charged(&table, ["m", "m"], at, used, Basis::Reported);
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
            tenant: None,
            key: None,
            set: tidegate_core::ids::VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
            arm: tidegate_core::route::Arm::Stable,
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
