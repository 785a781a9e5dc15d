//! How the tokens of answers are known: reported by the upstream, or estimated by us.
//!
//! The two are different yardsticks: an upstream counts its own chat template and its model's
//! hidden reasoning, an estimate counts characters. So a window keeps apart what was not reported,
//! and beside it the same estimate of every answer of a release: what both arms have in common.

use super::outcome::{Estimate, Outcome};
use super::wide_sum::WideSum;
use serde::{Deserialize, Serialize};

/// Tokens and cost of some answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spending {
    /// How many answers.
    pub answers: u64,
    /// Tokens of prompt and answer together.
    pub tokens: u64,
    /// Sum of their squares.
    pub tokens_squared: WideSum,
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// Sum of its squares.
    pub cost_squared: WideSum,
    /// Answers that neither refused nor broke the contract.
    pub useful: u64,
    /// What those cost, in millionths of a US dollar.
    pub useful_cost_micro_usd: u64,
}

impl Spending {
    fn add(&mut self, tokens: u64, cost_micro_usd: u64, is_useful: bool) {
        let square = |value: u64| u128::from(value).pow(2);
        self.answers += 1;
        self.tokens += tokens;
        self.tokens_squared.0 += square(tokens);
        self.cost_micro_usd += cost_micro_usd;
        self.cost_squared.0 += square(cost_micro_usd);
        if is_useful {
            self.useful += 1;
            self.useful_cost_micro_usd += cost_micro_usd;
        }
    }

    fn combine(
        &mut self,
        other: &Spending,
        narrow: impl Fn(u64, u64) -> (u64, bool),
        wide: fn(u128, u128) -> (u128, bool),
    ) -> bool {
        // Full destructuring: a new sum that is forgotten here does not compile.
        let Spending {
            answers,
            tokens,
            tokens_squared,
            cost_micro_usd,
            cost_squared,
            useful,
            useful_cost_micro_usd,
        } = other;
        let mut fits = true;
        for (mine, theirs) in [
            (&mut self.answers, answers),
            (&mut self.tokens, tokens),
            (&mut self.cost_micro_usd, cost_micro_usd),
            (&mut self.useful, useful),
            (&mut self.useful_cost_micro_usd, useful_cost_micro_usd),
        ] {
            let (value, over) = narrow(*mine, *theirs);
            *mine = value;
            fits &= !over;
        }
        for (mine, theirs) in
            [(&mut self.tokens_squared, tokens_squared), (&mut self.cost_squared, cost_squared)]
        {
            let (value, over) = wide(mine.0, theirs.0);
            mine.0 = value;
            fits &= !over;
        }
        fits
    }
}

/// How the tokens of an arm's answers are known. Everything in it only grows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArmUsage {
    /// Answers whose upstream reported no usage, so that their tokens are estimated.
    pub unreported: Spending,
    /// Answers with an estimate, by that estimate, whatever was reported.
    pub estimated: Spending,
    /// Answers of a model without a price: what they cost is not known.
    pub unpriced: u64,
}

impl ArmUsage {
    /// Counts one answer.
    pub(super) fn add(&mut self, outcome: &Outcome, is_useful: bool) {
        let tokens = outcome.tokens_in + outcome.tokens_out;
        if outcome.tokens_estimated {
            self.unreported.add(tokens, outcome.cost_micro_usd, is_useful);
        }
        if let Some(Estimate { tokens, cost_micro_usd }) = outcome.estimate {
            self.estimated.add(tokens, cost_micro_usd, is_useful);
        }
        self.unpriced += u64::from(outcome.unpriced);
    }

    /// Whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        *self == ArmUsage::default()
    }

    /// Combines every sum with the other's; false when one of the results does not exist.
    pub(super) fn combine(
        &mut self,
        other: &ArmUsage,
        narrow: impl Fn(u64, u64) -> (u64, bool) + Copy,
        wide: fn(u128, u128) -> (u128, bool),
    ) -> bool {
        let ArmUsage { unreported, estimated, unpriced } = other;
        let (value, over) = narrow(self.unpriced, *unpriced);
        self.unpriced = value;
        // Both are combined, whatever comes of the first.
        let fits = self.unreported.combine(unreported, narrow, wide);
        self.estimated.combine(estimated, narrow, wide) && fits && !over
    }
}
