//! A harm budget: how many answers a candidate may spoil that stable would not have spoilt.
//!
//! A rollback line asks how bad the candidate is, whatever it has spoilt so far. Where outcomes
//! are alike for each user, that may take long to prove, and users pay for it. So a rate line is
//! over as well when it is proven that more answers than the budget were spoilt: that over the
//! candidate's n answers of the metric the rate is more than budget/n above stable's, and above
//! what pass allows. That null's own bets are asked, at the rule's share of the error budget and
//! divided by the design effect, so clusters count as they do for every line: the lower end of an
//! anytime-valid interval of the harm, times n, is over the budget.
//!
//! The stretch from each stratum on has its own n, so that what comes late is not spread over the
//! good hours before it.

use super::bets::{Against, BETS, Null, Pair, add_growth, growth_bound, mean_stake};
use super::e_process::EProcess;
use super::finding::Verdict;
use super::levels::{LN_ODDS_MAX, level};
use super::reason::Comparison;
use super::rule_look::RuleLook;
use super::starts::weight_of_start;

/// Proof that the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BudgetSpent {
    /// Answers of the candidate that were spoilt beyond stable's, estimated.
    pub(super) spoilt: f64,
    /// The odds that they are more than the budget.
    pub(super) odds: f64,
    /// The rate above stable's that the null allows, as a fraction.
    pub(super) points: f64,
}

/// Whether these strata prove, at this chance of an error, that more than `budget` answers were
/// spoilt; `pass` is the rate above stable's that is no harm, and `effect` the design effect.
fn spent(
    pairs: &[Pair],
    (budget, pass): (f64, f64),
    alpha: f64,
    effect: f64,
) -> Option<BudgetSpent> {
    let (mut n, mut spoilt) = (0.0, 0.0);
    for (start, pair) in pairs.iter().enumerate().rev() {
        if pair.stable_n <= 0.0 || pair.candidate_n <= 0.0 {
            continue;
        }
        n += pair.candidate_n;
        let beyond = pair.candidate_x - pair.candidate_n * (pair.stable_x / pair.stable_n + pass);
        spoilt += beyond;
        if spoilt <= budget {
            continue;
        }
        let points = pass + budget / n;
        let null = Null { kappa: 1.0, offset: points };
        let goal = level(alpha) - weight_of_start(start).ln();
        let side_by_side = || pairs[start..].iter().filter(|pair| pair.stable_n > 0.0);
        let most: f64 = side_by_side().map(|pair| growth_bound(pair, null)).sum();
        if most < goal * effect {
            continue;
        }
        let mut growth = [0.0; BETS];
        for pair in side_by_side() {
            add_growth(pair, null, Against::AtMost, &mut growth);
        }
        let log_e = mean_stake(&growth, effect);
        if log_e >= goal {
            let odds = (log_e + weight_of_start(start).ln()).min(LN_ODDS_MAX).exp();
            return Some(BudgetSpent { spoilt, odds, points });
        }
    }
    None
}

impl EProcess<'_> {
    /// Whether it is proven at this chance of an error that the candidate has spoilt more answers
    /// than the budget, beyond stable's and what pass allows; of rates only.
    fn spent(&self, alpha: f64, budget: u64) -> Option<BudgetSpent> {
        let pass = self.rule.band.map_or(0.0, |band| band.pass.max(0.0)) + self.rule.floor;
        spent(self.pairs()?, (budget as f64, pass), alpha, self.effect)
    }
}

impl RuleLook<'_> {
    /// Whether more answers than the budget are spoilt, where the line is not over by itself. Asked
    /// where it is proven worse than pass only: that is less to prove, and most looks end there.
    pub(super) fn spent(&self, verdict: Verdict) -> Option<BudgetSpent> {
        let may_be = match verdict {
            Verdict::OverPause | Verdict::Between => true,
            Verdict::OverRollback | Verdict::OverCeiling | Verdict::OverBudget => false,
            Verdict::Uncertain | Verdict::NoData | Verdict::Pass => false,
        };
        let budget = self.harm_budget;
        (may_be && budget > 0).then(|| self.e_process.spent(self.alpha, budget)).flatten()
    }

    pub(super) fn shown_spent(
        &self,
        estimate: f64,
        samples: (u64, u64),
        spent: BudgetSpent,
    ) -> Comparison {
        let mut shown = self.comparison(Verdict::OverBudget, estimate, None, None, samples);
        let numbers = &mut shown.numbers;
        numbers.threshold = Some(spent.points);
        numbers.odds = Some(spent.odds);
        numbers.needed = Some(1.0 / self.alpha);
        numbers.alpha = Some(self.alpha);
        shown
    }
}

#[cfg(test)]
mod tests;
