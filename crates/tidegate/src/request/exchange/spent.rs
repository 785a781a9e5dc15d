//! What an answer used and what that costs.

use super::{Ending, Exchange, Query};
use crate::spending::charged;
use crate::upstream::Form;
use tidegate_core::money::{Basis, Charge, Money, Pricing};
use tidegate_core::observe::{Estimate, Timing};
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tidegate_wire::{AnswerFacts, Usage};

/// What an answer used and what that costs.
#[derive(Default)]
pub(super) struct Spent {
    /// Prompt tokens; 0 where nothing came.
    pub(super) tokens_in: u64,
    /// Answer tokens.
    pub(super) tokens_out: u64,
    /// Whether they are estimated.
    pub(super) estimated: bool,
    /// What is on the books; `None` where the call costs nothing, or was not made.
    pub(super) charge: Option<Charge>,
    /// Of it, what is known.
    known: Money,
    /// The same by our own estimate; made where a release compares the answer with the other arm's,
    /// whose upstream may report no usage.
    pub(super) estimate: Option<Estimate>,
}

impl Spent {
    /// Whether the model's tokens have no price.
    pub(super) fn is_unpriced(&self, exchange: &Exchange) -> bool {
        let prices = &exchange.gateway.prices.table;
        match &self.charge {
            Some(charge) => charge.pricing == Pricing::Unpriced,
            None if exchange.is_cached => false,
            None => prices.find(exchange.model(), None, exchange.arrival.at, 0).is_none(),
        }
    }

    /// Of an ended exchange.
    pub(super) fn of(exchange: &Exchange, ending: &Ending, timing: &Timing) -> Spent {
        let compute_us = timing.first_token_us.saturating_add(timing.generation_us);
        match &ending.facts {
            Some(facts) => Spent::of_answer(exchange, facts, compute_us),
            None => Spent::of_nothing(exchange, ending.failure, compute_us),
        }
    }

    /// Of a call of which nothing came: what the upstream counted, if anything, is not known.
    pub(super) fn of_nothing(
        exchange: &Exchange,
        failure: Option<Failure>,
        compute_us: u64,
    ) -> Spent {
        let may_cost = exchange.called.is_some() && failure.is_some_and(Failure::may_cost);
        let charge = may_cost.then(|| {
            let usage = Usage { tokens_in: estimate_input(exchange), ..Usage::default() };
            charge(exchange, &usage, compute_us, Basis::Unknown)
        });
        Spent { charge, ..Spent::default() }
    }

    /// Of an answer, as far as it came.
    pub(super) fn of_answer(exchange: &Exchange, facts: &AnswerFacts, compute_us: u64) -> Spent {
        let is_needed = facts.usage.is_none() || exchange.compared_in().is_some();
        let ours = is_needed.then(|| Usage {
            tokens_in: estimate_input(exchange),
            tokens_out: texts(facts).map(estimate_tokens).sum::<u64>(),
            ..Usage::default()
        });
        // Of an answer that broke off the server may have counted the prompt, and a part of what
        // came: the larger number is charged.
        let broken = ours.zip(facts.so_far.as_deref()).map(|(ours, so_far)| Usage {
            tokens_out: so_far.tokens_out.max(ours.tokens_out),
            ..*so_far
        });
        let usage = facts.usage.or(broken).or(ours).unwrap_or_default();
        let basis = if facts.usage.is_some() { Basis::Reported } else { Basis::Estimated };
        let estimate = |ours: Usage| Estimate {
            tokens: ours.tokens_in + ours.tokens_out,
            cost_micro_usd: charge(exchange, &ours, compute_us, basis).bill.total().micro_usd(),
        };
        let charge = charge(exchange, &usage, compute_us, basis);
        Spent {
            tokens_in: usage.tokens_in,
            tokens_out: usage.tokens_out,
            estimated: basis == Basis::Estimated,
            known: charge.bill.total(),
            charge: Some(charge),
            estimate: ours.map(estimate),
        }
    }

    /// What it costs, as far as it is known, in millionths of a US dollar.
    pub(super) fn cost_micro_usd(&self) -> u64 {
        self.known.micro_usd()
    }

    /// The same, where it is known.
    pub(super) fn known_cost(&self) -> Option<Money> {
        let charge = self.charge.as_ref().filter(|charge| charge.basis != Basis::Unknown)?;
        (charge.pricing != Pricing::Unpriced).then(|| charge.bill.total())
    }

    /// What is settled with budgets; `None` is all that was reserved: it is not known.
    pub(super) fn settles(&self, failure: Option<Failure>) -> Option<Money> {
        let is_free = failure.is_some_and(|failure| !failure.may_cost());
        self.known_cost().or(is_free.then_some(Money::ZERO))
    }

    /// That of two calls for one request. It is known as well as the less known of them.
    pub(super) fn plus(self, other: &Spent) -> Spent {
        let both = |a: Estimate, b: Estimate| Estimate {
            tokens: a.tokens.saturating_add(b.tokens),
            cost_micro_usd: a.cost_micro_usd.saturating_add(b.cost_micro_usd),
        };
        let charge = match (self.charge, other.charge.clone()) {
            (Some(a), Some(b)) => Some(Charge {
                used: a.used.plus(b.used),
                bill: a.bill.plus(b.bill),
                basis: least_known(a.basis, b.basis),
                ..a
            }),
            (one, another) => one.or(another),
        };
        Spent {
            tokens_in: self.tokens_in.saturating_add(other.tokens_in),
            tokens_out: self.tokens_out.saturating_add(other.tokens_out),
            estimated: self.estimated || other.estimated,
            charge,
            known: self.known.plus(other.known),
            estimate: self.estimate.zip(other.estimate).map(|(a, b)| both(a, b)),
        }
    }
}

fn least_known(a: Basis, b: Basis) -> Basis {
    match (a, b) {
        (Basis::Unknown, _) | (_, Basis::Unknown) => Basis::Unknown,
        (Basis::Estimated, _) | (_, Basis::Estimated) => Basis::Estimated,
        (Basis::Reported, Basis::Reported) => Basis::Reported,
    }
}

fn charge(exchange: &Exchange, usage: &Usage, compute_us: u64, basis: Basis) -> Charge {
    let models = [exchange.model(), &exchange.set.keys.model];
    let prices = &exchange.gateway.prices.table;
    charged(prices, models, exchange.arrival.at, (usage, compute_us), basis)
}

/// Tokens of the prompt as it was sent. It is rendered once more: few upstreams report no usage,
/// releases run some of the time, and keeping every rendered prompt would cost all others memory.
fn estimate_input(exchange: &Exchange) -> u64 {
    let Query { body, .. } = &exchange.query;
    let rendered = match exchange.query.form {
        Form::Chat | Form::Messages => {
            exchange.set.render(body.again(), exchange.slots()).ok().map(|r| r.body)
        }
        Form::Completions | Form::Embeddings => Some(body.again()),
    };
    rendered.map_or(0, |body| exchange.query.input_tokens(&body))
}

fn texts(facts: &AnswerFacts) -> impl Iterator<Item = &str> {
    facts.texts().map(|(_, text)| text)
}

#[cfg(test)]
mod tests;
