//! The caps of a shadow while its requests are mirrored at once.
//!
//! What a request may cost at most is held before it is sent and settled by what it cost, so that
//! what was used and what is held are together never more than was granted, and that never more
//! than the caps.

use super::compare::{PairCounts, Side};
use super::plan::{ShadowPlan, Used};
use super::run::Shadow;
use crate::guard::RiskKind;
use crate::money::Money;
use crate::pairs::PairMetric;

/// Why a request is not mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The caps leave no room for it.
    Caps,
    /// What is granted leaves no room for it yet.
    Grant,
}

/// What is held for one request that is mirrored.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is held must be settled"]
pub struct Held(Used);

/// Requests that were drawn and are no pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missed {
    /// Mirrors that were given up.
    pub dropped: u64,
    /// Those that the caps, or what was granted, left no room for.
    pub capped: u64,
}

/// What a shadow used, holds and may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    plan: ShadowPlan,
    granted: Used,
    used: Used,
    held: Used,
    /// The most that one request needed so far.
    needs: Money,
    /// The most that comparing two answers needed so far.
    beside: Money,
    /// Pairs that are not in the journal.
    fresh: PairCounts,
    missed: Missed,
    /// The first red line in an answer of the candidate.
    red: Option<RiskKind>,
}

impl Ledger {
    /// Goes on from the journal: what was granted and not accounted for counts as used.
    pub fn of(shadow: &Shadow) -> Ledger {
        Ledger {
            plan: shadow.plan.clone(),
            granted: shadow.granted,
            used: shadow.granted,
            held: Used::default(),
            needs: Money::ZERO,
            beside: Money::ZERO,
            fresh: PairCounts::default(),
            missed: Missed::default(),
            red: None,
        }
    }

    /// The same of one that has only just begun: nothing of its grant is used.
    pub fn begun(shadow: &Shadow) -> Ledger {
        Ledger { used: shadow.used, ..Ledger::of(shadow) }
    }

    /// Takes a request on that costs so much at most.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn take(&mut self, most: Money) -> Result<Held, Full> {
        self.needs = self.needs.max(most);
        let one = Used { requests: 1, cost: most };
        let all = self.taken().plus(one);
        let full = if !all.fits(self.plan.most) {
            Some(Full::Caps)
        } else {
            (!all.fits(self.granted)).then_some(Full::Grant)
        };
        if let Some(full) = full {
            self.missed.capped = self.missed.capped.saturating_add(1);
            return Err(full);
        }
        self.held = self.held.plus(one);
        Ok(Held(one))
    }

    /// Takes on what compares two answers, and costs so much at most: it is no request, and what
    /// has no room is left out.
    pub fn take_beside(&mut self, most: Money) -> Option<Held> {
        let some = Used { requests: 0, cost: most };
        let all = self.taken().plus(some);
        if all.fits(self.plan.most) {
            self.beside = self.beside.max(most);
        }
        if !all.fits(self.granted) {
            return None;
        }
        self.held = self.held.plus(some);
        Some(Held(some))
    }

    /// A mirrored request has ended. `cost` is what it cost; `None` where that is not known, and
    /// all that was held counts.
    pub fn settle(&mut self, held: Held, cost: Option<Money>) {
        let Held(most) = held;
        self.held = self.held.less(most);
        self.used = self.used.plus(Used { cost: cost.unwrap_or(most.cost), ..most });
    }

    /// Counts a pair.
    pub fn pair(&mut self, stable: &Side, candidate: &Side) {
        self.fresh.add(stable, candidate);
    }

    /// Counts what was compared beside the answers of a pair.
    pub fn compared(&mut self, metric: PairMetric, difference: f64) {
        self.fresh.compare(metric, difference);
    }

    /// A mirror was given up.
    pub fn dropped(&mut self) {
        self.missed.dropped = self.missed.dropped.saturating_add(1);
    }

    /// The candidate's answer crossed a red line.
    pub fn crossed(&mut self, kind: RiskKind) {
        self.red.get_or_insert(kind);
    }

    /// What may be used in all.
    pub fn granted(&self) -> Used {
        self.granted
    }

    /// The first red line that was crossed.
    pub fn red(&self) -> Option<RiskKind> {
        self.red
    }

    /// Requests that were drawn and are no pair.
    pub fn missed(&self) -> Missed {
        self.missed
    }

    /// Pairs that are not in the journal.
    pub fn fresh(&self) -> &PairCounts {
        &self.fresh
    }

    /// What was used, with what is held: it may all have to be paid for.
    pub fn taken(&self) -> Used {
        self.used.plus(self.held)
    }

    /// Whether nothing more can be mirrored, and nothing is on its way.
    pub fn is_spent(&self) -> bool {
        let next = self.used.plus(Used { requests: 1, cost: self.needs });
        self.held.requests == 0 && !next.fits(self.plan.most)
    }

    /// What should be granted next; `None` where half a part is left of what is granted.
    pub fn wants(&self) -> Option<Used> {
        let (taken, part) = (self.taken(), self.plan.part());
        let half = Used { requests: part.requests.div_ceil(2), cost: Money(part.cost.0 / 2) };
        let needs = self.needs.plus(self.beside);
        let half = half.max(Used { requests: 1, cost: needs });
        if taken.plus(half).min(self.plan.most).fits(self.granted) {
            return None;
        }
        let part = part.max(Used { requests: 1, cost: Money(needs.0.saturating_mul(4)) });
        Some(taken.plus(part).min(self.plan.most).max(self.granted))
    }

    /// So much is granted in the journal; the pairs that went there with it are taken off.
    pub fn journalled(&mut self, granted: Used, pairs: &PairCounts) {
        self.granted = granted.min(self.plan.most);
        // What was counted while the journal was written stays.
        self.fresh = self.fresh.without(pairs);
    }
}
