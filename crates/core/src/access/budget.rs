//! How much money in a day or a month: reserved before a call, settled by what it cost.
//!
//! Whatever is cut, comes twice or crashes: **what was spent never exceeds the budget, as long as
//! no call costs more than was reserved for it; and nothing spent is forgotten.** A write to disk
//! for each call would give both. To need fewer, the ledger is written ahead: on disk is
//! a sum that spending and reservations do not exceed, and a call is let through
//! only below it. It is raised in steps of a hundredth of the budget. After a crash all of it
//! counts as spent: what was in flight may have to be paid for. A process that
//! ends in order writes the true sum.

use crate::calendar::Day;
use crate::ids::UnixMs;
use crate::money::Money;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The part of a budget that is written ahead in a step.
const STEPS: u64 = 100;

/// What a budget is for; both begin at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Day,
    /// A calendar month.
    Month,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Period::Day => "day",
            Period::Month => "month",
        })
    }
}

impl Period {
    /// The first moment of the period that a moment is in, and that of the next.
    pub fn around(self, at: UnixMs) -> (UnixMs, UnixMs) {
        let day = Day::of(at);
        let (first, next) = match self {
            Period::Day => (day, day.next()),
            Period::Month => day.month(),
        };
        (first.begins(), next.begins())
    }
}

/// So much money a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Day or month.
    pub period: Period,
    /// At most.
    pub limit: Money,
}

/// What is kept of a ledger: the first moment of its period, and a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// When the period began.
    pub first: UnixMs,
    /// Spent or promised in it.
    pub sum: Money,
}

/// What a request for money came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The amount is reserved; it must be settled once.
    Granted,
    /// First this has to be on disk ([`Ledger::is_ahead`]), then ask again.
    WriteAhead(Spent),
    /// There is not as much left.
    Refused {
        /// What is left of the budget.
        left: Money,
        /// When the next period begins.
        until: UnixMs,
    },
}

/// What was spent of one budget, in the period that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    budget: Budget,
    /// The period's first moment, and the next one's.
    span: (UnixMs, UnixMs),
    /// Spent for good.
    settled: Money,
    /// Promised to calls in flight.
    reserved: Money,
    /// What is on disk.
    ahead: Money,
}

impl Ledger {
    /// The ledger of a budget now, by what is on disk. A sum of the period that comes next was
    /// written by a clock that was a little ahead: it is kept until then. One of a later period
    /// was written by a clock that was wrong, and counts for the period there is now: a budget
    /// must neither be given out twice nor be shut for years.
    pub fn open(budget: Budget, now: UnixMs, on_disk: Option<Spent>) -> Ledger {
        let now_span = budget.period.around(now);
        let (span, sum) = match on_disk {
            Some(Spent { first, sum }) if first == now_span.1 => (budget.period.around(first), sum),
            Some(Spent { first, sum }) if first >= now_span.0 => (now_span, sum),
            Some(_) | None => (now_span, Money::ZERO),
        };
        Ledger { budget, span, settled: sum, reserved: Money::ZERO, ahead: sum }
    }

    /// What it is a ledger of.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// The same as it is at this moment, in a new period where one has begun.
    #[must_use]
    pub fn at(&self, now: UnixMs) -> Ledger {
        let mut ledger = self.clone();
        ledger.turn(now);
        ledger
    }

    /// Spent or promised.
    pub fn gone(&self) -> Money {
        self.settled.plus(self.reserved)
    }

    /// What can be reserved.
    pub fn left(&self) -> Money {
        self.budget.limit.less(self.gone())
    }

    /// When the next period begins.
    pub fn until(&self) -> UnixMs {
        self.span.1
    }

    /// Moves to the period of this moment. What is reserved stays reserved and is paid from the
    /// new period; a clock that is set back changes nothing.
    fn turn(&mut self, now: UnixMs) {
        if now >= self.span.1 {
            self.span = self.budget.period.around(now);
            (self.settled, self.ahead) = (Money::ZERO, Money::ZERO);
        }
    }

    /// Reserves an amount, before the call it is for.
    pub fn reserve(&mut self, amount: Money, now: UnixMs) -> Reserved {
        self.turn(now);
        let limit = self.budget.limit;
        let gone = self.gone().0.checked_add(amount.0).map(Money);
        let Some(gone) = gone.filter(|gone| *gone <= limit) else {
            return Reserved::Refused { left: self.left(), until: self.span.1 };
        };
        if gone > self.ahead {
            let sum = gone.plus(Money(limit.0 / STEPS)).min(limit);
            return Reserved::WriteAhead(Spent { first: self.span.0, sum });
        }
        self.reserved = self.reserved.plus(amount);
        Reserved::Granted
    }

    /// This is on disk.
    pub fn is_ahead(&mut self, on_disk: Spent) {
        if on_disk.first == self.span.0 {
            self.ahead = self.ahead.max(on_disk.sum);
        }
    }

    /// A call is over: what was reserved for it is free, what it cost is spent. It may cost more
    /// than was reserved; then what is left is less, and may be nothing.
    pub fn settle(&mut self, reserved: Money, cost: Money) {
        self.reserved = self.reserved.less(reserved);
        self.settled = self.settled.plus(cost);
    }

    /// The true sum, for a process that starts or ends in order: what is in flight counts as
    /// spent. What is reserved after this is written ahead again.
    pub fn close(&mut self) -> Spent {
        self.ahead = self.gone();
        Spent { first: self.span.0, sum: self.ahead }
    }
}

#[cfg(test)]
mod tests;
