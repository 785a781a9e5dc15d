use super::*;
use crate::ids::UnixMs;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn check(text: &str, expected: Option<u64>) {
    assert_eq!(Money::parse_usd(text).map(|amount| amount.0), expected, "{text:?}");
}

#[test]
fn dollars_are_read_as_decimals() {
    check("5", Some(5_000_000_000_000));
    check("0.25", Some(250_000_000_000));
    check(".5", Some(500_000_000_000));
    check("5.", Some(5_000_000_000_000));
    check("0.0000000000014", Some(1));
    check("0.0000000000015", Some(2));
    check("18446744.073709551615", Some(u64::MAX));
    check("18446744.0737095516155", None);
    check("18446745", None);
    for wrong in ["", ".", "-1", "+1", "1e3", "1,5", "1.2.3", " 1", "١", "∞", "NaN", "0x1"] {
        check(wrong, None);
    }
    check(&"9".repeat(400), None);
}

#[test]
fn what_does_not_fit_is_the_largest_amount() {
    let rates = Rates { input: u64::MAX, compute_hour: u64::MAX, ..Rates::default() };
    let used = Metered { input: u64::MAX, compute_us: u64::MAX, ..Metered::default() };
    assert_eq!(rates.bill(&used).total(), Money::MAX);
    assert_eq!(Money::MAX.plus(Money(1)), Money::MAX);
    assert_eq!(Money(1).less(Money::MAX), Money::ZERO);
    assert_eq!(Money::MAX.micro_usd(), 18_446_744_073_710);
}

#[test]
fn parts_are_taken_out_of_their_total_and_never_paid_for_twice() {
    let used = Metered::of_totals([100, 60, 30, 5], [50, 20, 10], 7);
    let expected = Metered {
        input: 5,
        cache_read: 60,
        cache_write: 30,
        audio_in: 5,
        output: 20,
        reasoning: 20,
        audio_out: 10,
        compute_us: 7,
    };
    assert_eq!(used, expected);
    // A model server that reports more parts than there are.
    let used = Metered::of_totals([10, 8, u64::MAX, u64::MAX], [3, u64::MAX, u64::MAX], 0);
    assert_eq!((used.cache_read, used.cache_write, used.audio_in, used.input), (8, 2, 0, 0));
    assert_eq!((used.reasoning, used.audio_out, used.output), (3, 0, 0));
}

#[test]
fn an_hour_is_paid_by_its_part() {
    let rates = Rates { compute_hour: Money::of_usd(3).0, ..Rates::default() };
    let cost = |compute_us| rates.bill(&Metered { compute_us, ..Metered::default() }).compute_cost;
    assert_eq!(cost(3_600_000_000), Money::of_usd(3));
    assert_eq!(cost(1_200_000).to_string(), "0.001");
    assert_eq!(cost(1), Money(833));
    assert_eq!(cost(0), Money::ZERO);
}

fn rates(input: u64, output: u64) -> Rates {
    Rates { input, output, ..Rates::default() }
}

#[test]
fn a_price_holds_from_its_day_on_and_an_unknown_tier_is_marked() {
    let mut table = PriceTable::default();
    assert!(table.add("m", (None, 0), UnixMs(0), rates(10, 20)));
    assert!(!table.add("m", (Some("default"), 0), UnixMs(0), rates(99, 99)), "it is there");
    assert!(table.add("m", (Some("flex"), 0), UnixMs(500), rates(1, 200)));
    assert!(table.add("m", (None, 0), UnixMs(1_000), rates(30, 40)));
    assert!(table.add("late", (None, 0), UnixMs(1_000), rates(1, 1)));
    let find = |tier, at| {
        let found = table.find("m", tier, UnixMs(at), 9).unwrap();
        (found.rates.input, found.is_of_other_tier)
    };
    assert_eq!(find(None, 999), (10, false));
    assert_eq!(find(Some("default"), 999), (10, false));
    assert_eq!(find(Some("flex"), 499), (10, true));
    assert_eq!(find(Some("flex"), 999), (1, false));
    assert_eq!(find(Some("priority"), 999), (10, true));
    assert_eq!(find(None, 1_000), (30, false));
    assert_eq!(find(Some("flex"), 1_000), (1, false));
    assert_eq!(table.find("n", None, UnixMs(0), 9), None);
    assert_eq!(table.find("late", None, UnixMs(999), 9), None);
    assert_eq!(table.most("m", UnixMs(0), [2, 3, 0]), Some(Money(80)));
    assert_eq!(table.most("m", UnixMs(999), [2, 3, 0]), Some(Money(602)), "answered as flex");
    assert_eq!(table.most("n", UnixMs(0), [2, 3, 0]), None);
    assert_eq!(table.most("late", UnixMs(0), [2, 3, 0]), None);
}

#[test]
fn longer_prompts_have_their_band_and_the_books_keep_its_name() {
    let mut table = PriceTable::default();
    assert!(table.add("m", (None, 0), UnixMs(0), rates(10, 20)));
    assert!(table.add("m", (None, 200), UnixMs(0), rates(30, 40)));
    assert!(table.add("m", (None, 900), UnixMs(500), rates(50, 60)));
    assert!(!table.add("m", (None, 200), UnixMs(0), rates(1, 1)), "it is there");
    assert!(table.add("m", (Some("flex"), 0), UnixMs(0), rates(5, 6)));
    let find = |tier, at, prompt| {
        let found = table.find("m", tier, UnixMs(at), prompt).unwrap();
        let name = tier_name(tier, found.above);
        let again = table.find_line("m", name.as_deref(), UnixMs(at)).unwrap();
        assert_eq!(again, found, "{name:?}");
        (found.rates.input, found.above, found.is_of_other_tier)
    };
    assert_eq!(find(None, 0, 0), (10, 0, false));
    assert_eq!(find(None, 0, 200), (10, 0, false), "not more than so many");
    assert_eq!(find(None, 0, 201), (30, 200, false));
    assert_eq!(find(None, 0, 5_000), (30, 200, false), "the last band holds later");
    assert_eq!(find(None, 500, 5_000), (50, 900, false));
    assert_eq!(find(Some("flex"), 500, 5_000), (5, 0, false));
    assert_eq!(find(Some("priority"), 500, 5_000), (50, 900, true), "standard, and marked");
    assert_eq!(table.most("m", UnixMs(0), [1, 1, 0]), Some(Money(70)));
    assert_eq!(table.most("m", UnixMs(500), [1, 1, 0]), Some(Money(110)));
    for name in [">", "flex>", "a>b", ">99999999999999999999"] {
        assert!(table.find_line("m", Some(name), UnixMs(0)).unwrap().is_of_other_tier, "{name}");
    }
}

fn any_metered() -> impl Strategy<Value = Metered> {
    (prop::array::uniform4(0_u64..1 << 28), prop::array::uniform3(0_u64..1 << 28))
        .prop_map(|(tokens_in, tokens_out)| Metered::of_totals(tokens_in, tokens_out, 0))
}

fn any_rates() -> impl Strategy<Value = Rates> {
    let rate = || 0_u64..100_000_000;
    let other = || prop::option::of(rate());
    (rate(), other(), other(), other(), rate(), other(), other()).prop_map(|all| {
        let (input, cache_read, cache_write, audio_in, output, reasoning, audio_out) = all;
        let compute_hour = 3_000_000_000_000;
        Rates {
            input,
            cache_read,
            cache_write,
            audio_in,
            output,
            reasoning,
            audio_out,
            compute_hour,
        }
    })
}

proptest! {
    #[test]
    fn an_amount_is_written_with_as_many_digits_as_it_needs(
        dollars in 0..u128::from(u64::MAX),
        trillionths in 0..1_000_000_000_000_u128,
        zeros in 0_u32..13,
    ) {
        let trillionths = trillionths / 10_u128.pow(zeros) * 10_u128.pow(zeros);
        let fraction = format!("{trillionths:012}");
        let kept = fraction.trim_end_matches('0').len().max(2);
        let written = usd(dollars * 1_000_000_000_000 + trillionths);
        prop_assert_eq!(written, format!("{}.{}", dollars, &fraction[..kept]));
    }

    #[test]
    fn an_amount_reads_back_as_it_was_written(amount in any::<u64>()) {
        let text = Money(amount).to_string();
        prop_assert_eq!(Money::parse_usd(&text), Some(Money(amount)));
        let json = serde_json::to_string(&Money(amount)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), Money(amount));
    }

    /// No call costs more than the most it can, whatever its tokens turn out to be.
    #[test]
    fn nothing_costs_more_than_the_most(
        rates in any_rates(), used in any_metered(), compute_us in 0_u64..1 << 40,
    ) {
        let used = Metered { compute_us, ..used };
        let tokens_in = used.input + used.cache_read + used.cache_write + used.audio_in;
        let tokens_out = used.output + used.reasoning + used.audio_out;
        let most = rates.most(tokens_in, tokens_out, compute_us);
        prop_assert!(rates.bill(&used).total() <= most);
    }

    /// The bill of a sum is the sum of the bills, to the last digit.
    #[test]
    fn bills_add_up(rates in any_rates(), all in prop::collection::vec(any_metered(), 1..20)) {
        let mut sum = Metered::default();
        for used in &all {
            sum.input += used.input;
            sum.cache_read += used.cache_read;
            sum.cache_write += used.cache_write;
            sum.audio_in += used.audio_in;
            sum.output += used.output;
            sum.reasoning += used.reasoning;
            sum.audio_out += used.audio_out;
        }
        let apart: u128 = all.iter().map(|used| {
            let bill = rates.bill(used);
            u128::from(bill.input_cost.0) + u128::from(bill.output_cost.0)
        }).sum();
        let whole = rates.bill(&sum);
        prop_assume!(apart < u128::from(u64::MAX));
        prop_assert_eq!(u128::from(whole.total().0), apart);
    }

    /// Requests of any tier and length are on the books as they cost apart, and are priced again
    /// to the same sum.
    #[test]
    fn lines_cost_what_their_requests_cost(
        bands in prop::collection::btree_map((0_usize..3, 0_u64..4), any_rates(), 0..8),
        all in prop::collection::vec((0_usize..3, any_metered()), 1..20),
    ) {
        let tiers = [None, Some("flex"), Some("priority")];
        let mut table = PriceTable::default();
        table.add("m", (None, 0), UnixMs(0), Rates { input: 1, output: 2, ..Rates::default() });
        for ((tier, band), rates) in &bands {
            table.add("m", (tiers[*tier], band << 26), UnixMs(0), *rates);
        }
        let mut lines: BTreeMap<(Option<String>, bool), (Metered, u128)> = BTreeMap::new();
        for (tier, used) in &all {
            let prompt = used.input + used.cache_read + used.cache_write + used.audio_in;
            let found = table.find("m", tiers[*tier], UnixMs(0), prompt).unwrap();
            let name = tier_name(tiers[*tier], found.above);
            let line = lines.entry((name, found.is_of_other_tier)).or_default();
            line.0 = line.0.plus(*used);
            line.1 += u128::from(found.rates.bill(used).total().0);
        }
        for ((name, is_marked), (used, apart)) in lines {
            let found = table.find_line("m", name.as_deref(), UnixMs(0)).unwrap();
            prop_assert_eq!(found.is_of_other_tier, is_marked);
            prop_assume!(apart < u128::from(u64::MAX));
            prop_assert_eq!(u128::from(found.rates.bill(&used).total().0), apart, "{:?}", name);
        }
    }
}
