//! How much a caller may use: all the bounds that hold for a request – those of its key, of its
//! tenant and of the service – are taken together or not at all.

use super::bounds::{BUDGET_MAX, Bounds, PER_MIN_MAX};
use super::budget::{Budget, Ledger, Period, Reserved, Spent};
use super::quota::{Bucket, Denied};
use crate::ids::UnixMs;
use crate::money::Money;
use std::fmt;

/// Scopes whose bounds hold for one request: its key, its tenant, the service.
pub const SCOPES_MAX: usize = 3;

/// A bound on speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundKind {
    /// Requests in a minute.
    Requests,
    /// Tokens in a minute.
    Tokens,
    /// Requests at a time.
    Concurrent,
}

impl fmt::Display for BoundKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BoundKind::Requests => "requests a minute",
            BoundKind::Tokens => "tokens a minute",
            BoundKind::Concurrent => "requests at a time",
        })
    }
}

/// Why a request is not let through. Nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBound {
    /// The bound that it would break.
    pub bound: BoundKind,
    /// How much is allowed.
    pub limit: u64,
    /// How much was asked for: 1 request, or so many tokens.
    pub asked: u64,
    /// µs until it may pass; `None` where that is not known, or it never will.
    pub wait_us: Option<u64>,
}

impl OverBound {
    /// Whether waiting is of no use: the request alone is more than the bound.
    pub fn is_for_good(&self) -> bool {
        self.asked > self.limit
    }
}

/// How a bucket is filled, for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// What it holds when it is full.
    pub limit: u64,
    /// What can be taken now.
    pub left: u64,
    /// µs until it is full again.
    pub full_in_us: u64,
}

impl Level {
    fn of(bucket: &Bucket, now_us: u64) -> Level {
        let (left, full_in_us) = (bucket.left(now_us), bucket.full_in_us(now_us));
        Level { limit: bucket.limit(), left, full_in_us }
    }
}

/// Why a request is not let through: a budget. Nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget {
    /// The budget.
    pub budget: Budget,
    /// What is left of it.
    pub left: Money,
    /// The most that the request may cost.
    pub asked: Money,
    /// When the next period begins.
    pub until: UnixMs,
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A bound on speed.
    Bound(OverBound),
    /// A budget.
    Budget(OverBudget),
    /// There is a budget, and what the request may cost is not known: its model has no price.
    Unpriced,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Tokens that it is likely to take.
    pub tokens: u64,
    /// The most that it may cost; `None` where its model has no price.
    pub most: Option<Money>,
}

/// What a request used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Tokens.
    pub tokens: u64,
    /// Money.
    pub cost: Money,
}

/// What must be on disk before a request may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Which of the scopes.
    pub scope: usize,
    /// Which of its budgets.
    pub period: Period,
    /// What must be written.
    pub spent: Spent,
}

/// What the begin of a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It may run; [`Allowance::end`] has to follow, for each scope.
    Granted,
    /// Nothing was taken: first this has to be on disk ([`Allowance::is_ahead`]), then ask again.
    WriteAhead(Vec<Ahead>),
}

/// What a scope has used of its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    concurrent: Option<u32>,
    running: u32,
    ledgers: [Option<Ledger>; 2],
}

impl Allowance {
    /// That of a scope that has used nothing but the money that is on disk; `None` for one without
    /// bounds. What is beyond the highest bound there is counts as that: nothing overflows then.
    pub fn of(
        bounds: &Bounds,
        now: UnixMs,
        on_disk: impl Fn(Period) -> Option<Spent>,
    ) -> Option<Allowance> {
        let Bounds { requests_per_min, tokens_per_min, concurrent, budget_day, budget_month } =
            *bounds;
        if *bounds == Bounds::default() {
            return None;
        }
        let ledger = |period, limit: Option<Money>| {
            let budget = Budget { period, limit: limit?.min(BUDGET_MAX) };
            Some(Ledger::open(budget, now, on_disk(period)))
        };
        let bucket = |limit: u64| Bucket::per_minute(limit.min(PER_MIN_MAX));
        Some(Allowance {
            requests: requests_per_min.map(bucket),
            tokens: tokens_per_min.map(bucket),
            concurrent,
            running: 0,
            ledgers: [ledger(Period::Day, budget_day), ledger(Period::Month, budget_month)],
        })
    }

    /// Whether tokens are counted.
    pub fn counts_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether money is counted.
    pub fn counts_money(&self) -> bool {
        self.ledgers.iter().any(Option::is_some)
    }

    /// The ledgers of its budgets.
    pub fn ledgers(&self) -> impl Iterator<Item = &Ledger> {
        self.ledgers.iter().flatten()
    }

    /// Takes a request's part; what must be on disk first is put on the list. After an error, or
    /// where something is on the list, this allowance is of no use: it is a copy.
    fn begin(
        &mut self,
        asked: Asked,
        (now_us, now): (u64, UnixMs),
        mut ahead: impl FnMut(Period, Spent),
    ) -> Result<(), Refused> {
        if let Some(limit) = self.concurrent.filter(|limit| self.running >= *limit) {
            let (bound, limit) = (BoundKind::Concurrent, u64::from(limit));
            return Err(Refused::Bound(OverBound { bound, limit, asked: 1, wait_us: None }));
        }
        take(self.requests.as_mut(), BoundKind::Requests, 1, now_us).map_err(Refused::Bound)?;
        take(self.tokens.as_mut(), BoundKind::Tokens, asked.tokens, now_us)
            .map_err(Refused::Bound)?;
        for ledger in self.ledgers.iter_mut().flatten() {
            let most = asked.most.ok_or(Refused::Unpriced)?;
            match ledger.reserve(most, now) {
                Reserved::Granted => {}
                Reserved::WriteAhead(spent) => ahead(ledger.budget().period, spent),
                Reserved::Refused { left, until } => {
                    let budget = ledger.budget();
                    return Err(Refused::Budget(OverBudget { budget, left, asked: most, until }));
                }
            }
        }
        self.running = self.running.saturating_add(1);
        Ok(())
    }

    /// This is on disk.
    pub fn is_ahead(&mut self, period: Period, spent: Spent) {
        let of_period = |ledger: &&mut Ledger| ledger.budget().period == period;
        if let Some(ledger) = self.ledgers.iter_mut().flatten().find(of_period) {
            ledger.is_ahead(spent);
        }
    }

    /// A request is over: what was taken for it, and what it used.
    pub fn end(&mut self, asked: Asked, used: Used, now_us: u64) {
        self.running = self.running.saturating_sub(1);
        if let Some(bucket) = &mut self.tokens {
            if used.tokens > asked.tokens {
                bucket.owe(used.tokens - asked.tokens, now_us);
            } else {
                bucket.give_back(asked.tokens - used.tokens);
            }
        }
        for ledger in self.ledgers.iter_mut().flatten() {
            ledger.settle(asked.most.unwrap_or_default(), used.cost);
        }
    }

    /// The true sums of its budgets; see [`Ledger::close`].
    pub fn close(&mut self) -> impl Iterator<Item = (Period, Spent)> {
        self.ledgers.iter_mut().flatten().map(|ledger| (ledger.budget().period, ledger.close()))
    }

    /// How the buckets are filled: of requests, and of tokens.
    pub fn levels(&self, now_us: u64) -> [Option<Level>; 2] {
        [&self.requests, &self.tokens]
            .map(|bucket| bucket.as_ref().map(|bucket| Level::of(bucket, now_us)))
    }
}

/// Lets a request through all of its scopes, or takes nothing from any.
///
/// # Errors
/// Which scope refuses, and why.
pub fn begin_all(
    scopes: &mut [Option<&mut Allowance>; SCOPES_MAX],
    asked: Asked,
    now: (u64, UnixMs),
) -> Result<Begun, (usize, Refused)> {
    // All are tried on copies: what one refuses must not be taken from another.
    let mut next: [Option<Allowance>; SCOPES_MAX] = Default::default();
    let mut ahead = Vec::new();
    for (scope, (allowance, next)) in scopes.iter().zip(&mut next).enumerate() {
        if let Some(allowance) = allowance {
            let copy = next.insert(Allowance::clone(allowance));
            copy.begin(asked, now, |period, spent| ahead.push(Ahead { scope, period, spent }))
                .map_err(|refused| (scope, refused))?;
        }
    }
    if !ahead.is_empty() {
        return Ok(Begun::WriteAhead(ahead));
    }
    for (allowance, next) in scopes.iter_mut().zip(next) {
        if let (Some(allowance), Some(next)) = (allowance, next) {
            **allowance = next;
        }
    }
    Ok(Begun::Granted)
}

fn take(
    bucket: Option<&mut Bucket>,
    bound: BoundKind,
    asked: u64,
    now_us: u64,
) -> Result<(), OverBound> {
    let Some(bucket) = bucket else { return Ok(()) };
    let limit = bucket.limit();
    let wait_us = match bucket.take(asked, now_us) {
        Ok(()) => return Ok(()),
        Err(Denied::For { wait_us }) => Some(wait_us),
        Err(Denied::Never) => None,
    };
    Err(OverBound { bound, limit, asked, wait_us })
}

#[cfg(test)]
mod tests;
