//! What calls cost: the charge of one call by the project's prices, and the calls that no user
//! asked for (evals, judges, embeddings, the sentinel, shadows) until they are in the books.

use crate::guard::any_text;
use crate::upstream::{metered, tier_of};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidegate_core::calendar::Day;
use tidegate_core::ids::{UnixMs, VersionSetId};
use tidegate_core::money::{
    Basis, Charge, LineKey, Money, PriceTable, Pricing, Purpose, Sums, tier_name,
};
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tidegate_wire::{AnswerFacts, Usage};

/// What that costs: the model that answered, and the version set's own.
pub(crate) fn charged(
    prices: &PriceTable,
    [model, own]: [&str; 2],
    at: UnixMs,
    (usage, compute_us): (&Usage, u64),
    basis: Basis,
) -> Charge {
    let (used, tier) = (metered(usage, compute_us), tier_of(usage));
    let priced = prices.find(model, tier.as_deref(), at, usage.tokens_in);
    let pricing = match &priced {
        None => Pricing::Unpriced,
        Some(priced) if priced.is_of_other_tier => Pricing::OtherTier,
        Some(_) => Pricing::Listed,
    };
    let tier = tier_name(tier.as_deref(), priced.map_or(0, |priced| priced.above));
    let bill = priced.map(|priced| priced.rates.bill(&used)).unwrap_or_default();
    let other_model = (model != own).then(|| model.to_owned());
    Charge { other_model, tier, used, bill, basis, pricing }
}

/// The tokens of a request's texts by our estimate, whatever its form; where its input is in tokens
/// already, those.
pub(crate) fn input_tokens(body: &Map<String, Value>) -> u64 {
    let mut tokens = 0_u64;
    for texts in ["messages", "prompt", "input"].iter().filter_map(|key| body.get(*key)) {
        tokens = tokens.saturating_add(text_tokens(texts));
        let lists = texts.as_array().into_iter().flatten();
        let given = lists.map(|item| match item {
            Value::Number(_) => 1,
            Value::Array(items) => items.iter().filter(|item| item.is_number()).count() as u64,
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_) => 0,
        });
        tokens = tokens.saturating_add(given.sum());
    }
    tokens
}

/// The tokens of all texts in a JSON value, by our estimate.
pub(crate) fn text_tokens(value: &Value) -> u64 {
    let mut tokens = 0_u64;
    any_text(value, &mut |text| {
        tokens = tokens.saturating_add(estimate_tokens(text));
        false
    });
    tokens
}

/// What calls cost that no user asked for, until it is in the books.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    prices: PriceTable,
    lines: Mutex<BTreeMap<LineKey, Sums>>,
}

impl Spending {
    /// Nothing yet; by these prices.
    pub(crate) fn new(prices: PriceTable) -> Spending {
        Spending { prices, lines: Mutex::default() }
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<LineKey, Sums>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: LineKey, sums: Sums) {
        let mut lines = self.lines();
        let before = lines.entry(line).or_default();
        *before = before.plus(sums);
    }

    /// All that there is: whoever takes it, books it.
    pub(crate) fn take(&self) -> Vec<(LineKey, Sums)> {
        std::mem::take(&mut *self.lines()).into_iter().collect()
    }

    /// What all that waits cost, as far as it is known.
    pub(crate) fn total(&self) -> Money {
        self.lines().values().map(|sums| sums.bill.total()).sum()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines().is_empty()
    }

    /// What could not be booked; it waits for another time.
    pub(crate) fn put_back(&self, lines: Vec<(LineKey, Sums)>) {
        lines.into_iter().for_each(|(line, sums)| self.add(line, sums));
    }
}

/// On whose line calls are booked: those of a version set for one purpose.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    spending: Arc<Spending>,
    set: VersionSetId,
    purpose: Purpose,
    /// The moment of all its calls: it says the day and the prices.
    at: UnixMs,
}

impl Account {
    /// One for evals of a set; [`Self::of`] gives others.
    pub(crate) fn new(spending: &Arc<Spending>, set: &VersionSetId, at: UnixMs) -> Account {
        Account { spending: Arc::clone(spending), set: set.clone(), purpose: Purpose::Eval, at }
    }

    /// The same for another purpose.
    #[must_use]
    pub(crate) fn of(&self, purpose: Purpose) -> Account {
        Account { purpose, ..self.clone() }
    }

    /// Books a call; gives what it cost, where that is known.
    fn book(&self, model: &str, used: (&Usage, u64), basis: Basis) -> Option<Money> {
        let charge = charged(&self.spending.prices, [model, model], self.at, used, basis);
        let line = LineKey {
            day: Day::of(self.at),
            purpose: self.purpose,
            tenant: None,
            key: None,
            set: self.set.clone(),
            arm: None,
            model: model.to_owned(),
            tier: charge.tier.clone(),
        };
        self.spending.add(line, Sums::of(&charge));
        let is_known = charge.pricing != Pricing::Unpriced && basis != Basis::Unknown;
        is_known.then(|| charge.bill.total())
    }

    /// A call that is about to be made.
    pub(crate) fn call(&self, model: &str, tokens_in: u64) -> OpenCall<'_> {
        let begun = Some(Instant::now());
        OpenCall { account: self, model: model.to_owned(), tokens_in, begun }
    }
}

/// A call whose end is not known yet. Dropped before, it may have to be paid for, and is booked as
/// of unknown usage.
#[derive(Debug)]
#[must_use = "a call that is let go is booked as one whose answer was not waited for"]
pub(crate) struct OpenCall<'a> {
    account: &'a Account,
    model: String,
    /// Tokens of the prompt by our estimate.
    tokens_in: u64,
    /// `None` once it is booked.
    begun: Option<Instant>,
}

impl OpenCall<'_> {
    /// Its answer came, and said this: what it used, as reported or by estimate. Gives what it
    /// cost, where that is known.
    pub(crate) fn answered(self, facts: &AnswerFacts, took: Duration) -> Option<Money> {
        let out = facts.texts().map(|(_, text)| estimate_tokens(text)).sum();
        self.used(facts.usage, out, took)
    }

    /// The same of an answer that is no text.
    pub(crate) fn used(
        mut self,
        reported: Option<Usage>,
        tokens_out: u64,
        took: Duration,
    ) -> Option<Money> {
        self.begun = None;
        let estimated = Usage { tokens_in: self.tokens_in, tokens_out, ..Usage::default() };
        let (usage, basis) = match &reported {
            Some(usage) => (usage, Basis::Reported),
            None => (&estimated, Basis::Estimated),
        };
        self.account.book(&self.model, (usage, micros(took)), basis)
    }

    /// No answer came: it costs nothing, or its cost is not known.
    pub(crate) fn failed(mut self, failure: Failure) {
        if !failure.may_cost() {
            self.begun = None;
        }
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            let usage = Usage { tokens_in: self.tokens_in, ..Usage::default() };
            let used = (&usage, micros(begun.elapsed()));
            self.account.book(&self.model, used, Basis::Unknown);
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::money::Rates;

    /// A dollar for a million tokens of the prompt, two for the answer's.
    fn spending() -> Arc<Spending> {
        let mut prices = PriceTable::default();
        let rates = Rates { input: 1_000_000, output: 2_000_000, ..Rates::default() };
        prices.add("m1", (None, 0), UnixMs(0), rates);
        Arc::new(Spending::new(prices))
    }

    fn account(spending: &Arc<Spending>) -> Account {
        let set = VersionSetId::parse("vs-0f3a9c21d4e7").unwrap();
        Account::new(spending, &set, UnixMs(86_400_000))
    }

    #[test]
    fn what_is_known_of_a_call_is_booked() {
        let (spending, second) = (spending(), Duration::from_secs(1));
        let eval = account(&spending);
        let usage = Usage { tokens_in: 10, tokens_out: 5, ..Usage::default() };
        assert_eq!(eval.call("m1", 7).used(Some(usage), 9, second), Some(Money(20_000_000)));
        assert_eq!(eval.call("m1", 7).used(None, 9, second), Some(Money(25_000_000)));
        eval.call("m1", 7).failed(Failure::Unreachable);
        eval.call("m1", 7).failed(Failure::TotalTimeout);
        drop(eval.call("m1", 7));
        let [(line, sums)] = spending.take().try_into().unwrap();
        assert_eq!((line.purpose, line.arm, line.day), (Purpose::Eval, None, Day(1)));
        assert_eq!((sums.requests, sums.estimated, sums.unknown, sums.unpriced), (4, 1, 2, 0));
        assert_eq!(sums.bill.total(), Money(45_000_000 + 14_000_000));
        assert_eq!(spending.take(), [], "it is taken once");
    }

    #[test]
    fn a_model_without_a_price_is_marked_and_what_is_put_back_waits() {
        let spending = spending();
        let judge = account(&spending).of(Purpose::Judge);
        assert_eq!(judge.call("m9", 7).used(None, 9, Duration::ZERO), None);
        let lines = spending.take();
        assert_eq!(lines[0].1.unpriced, 1);
        assert_eq!((lines[0].0.purpose, lines[0].0.model.as_str()), (Purpose::Judge, "m9"));
        drop(judge.call("m9", 7));
        spending.put_back(lines);
        let [(_, sums)] = spending.take().try_into().unwrap();
        assert_eq!((sums.requests, sums.unpriced, sums.unknown), (2, 2, 1));
        assert_eq!(sums.bill.total(), Money::ZERO);
    }
}
