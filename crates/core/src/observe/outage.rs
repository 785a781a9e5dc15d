//! When an arm's upstream counts as failing, with or without a release.
//!
//! It is for people: the log, `/readyz` and `/metrics`. What a release makes of the same failures
//! is decided in `decide`. Failures of the upstream and our own count; a client's fault does not.
//!
//! An outage begins at the fifth failure, when a fifth or more of the recent requests failed. It
//! ends when less than a tenth did. Recent is the last 10 s for the beginning and 30 s for the end,
//! so that it does not begin and end at every burst; where so short a time holds fewer than 25
//! requests, it is as far back as 25, and at most five minutes. Without requests nothing is known,
//! so nothing changes.

mod run;

use super::outcome::Outcome;
use crate::ids::UnixMs;
use crate::upstream::{Failure, FaultOwner};
use std::collections::{BTreeMap, VecDeque};

pub use run::{FailedRequest, OutageLog, OutageRun};

/// Failures that make an outage, at least.
const FAILED_MIN: u64 = 5;
/// Requests that are looked back on, at least, where five minutes hold so many.
const REQUESTS: u64 = 25;
/// Requests without which an outage cannot end.
const REQUESTS_MIN: u64 = 5;
/// The share of failures from which on it is an outage.
const BEGINS_AT: f64 = 0.2;
/// The share below which it is over.
const ENDS_BELOW: f64 = 0.1;
/// How far back the beginning looks at least, ms.
const BEGIN_MS: u64 = 10_000;
/// How far back the end looks at least, ms.
const END_MS: u64 = 30_000;
/// How far back anything looks at most, ms.
const BACK_MAX_MS: u64 = 300_000;
/// Length of one stretch of counts, ms: 300 of them at most are kept.
const STRETCH_MS: u64 = 1_000;

/// One arm's failures of the last minutes, and whether they make an outage.
#[derive(Debug, Clone, Default)]
pub struct OutageWatch {
    stretches: VecDeque<Stretch>,
    outage: Option<Begun>,
    last_at: UnixMs,
}

#[derive(Debug, Clone, Default)]
struct Stretch {
    number: u64,
    requests: u64,
    failures: BTreeMap<Failure, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at: UnixMs,
    requests: u64,
    failed: u64,
}

/// How an outage is, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the first of the failures that made it came.
    pub since: UnixMs,
    /// Requests that ended since then, without those that failed by the client's fault.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// How most of the recent ones failed; how most of all did where none is recent.
    pub failure: Failure,
    /// When the last request ended.
    pub last_at: UnixMs,
}

/// What a request changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageChange {
    /// An outage began.
    Began(Outage),
    /// It is over.
    Ended(Outage),
}

/// What is recent.
#[derive(Default)]
struct Recent {
    requests: u64,
    failures: BTreeMap<Failure, u64>,
    first_failed_at: Option<UnixMs>,
}

impl OutageWatch {
    /// Counts one request, in the order in which requests end.
    pub fn add(&mut self, outcome: &Outcome, at: UnixMs) -> Option<OutageChange> {
        let failure = match outcome.failure.map(|failure| (failure, failure.fault())) {
            Some((_, FaultOwner::Client | FaultOwner::Operator)) => return None,
            Some((failure, FaultOwner::Upstream | FaultOwner::Ours)) => Some(failure),
            None => None,
        };
        // A clock that was set back does not reorder what is counted.
        self.last_at = self.last_at.max(at);
        self.count(failure);
        match self.outage {
            None => self.begins(),
            Some(_) => self.ends(),
        }
    }

    /// The outage that lasts.
    pub fn outage(&self) -> Option<Outage> {
        self.outage.map(|begun| self.report(begun))
    }

    /// When the last request ended; `None` before the first.
    pub fn last_at(&self) -> Option<UnixMs> {
        (self.last_at != UnixMs(0)).then_some(self.last_at)
    }

    fn count(&mut self, failure: Option<Failure>) {
        let number = self.last_at.0 / STRETCH_MS;
        if self.stretches.back().is_none_or(|stretch| stretch.number != number) {
            self.stretches.push_back(Stretch { number, ..Stretch::default() });
        }
        let oldest = number.saturating_sub(BACK_MAX_MS / STRETCH_MS);
        while self.stretches.front().is_some_and(|stretch| stretch.number <= oldest) {
            self.stretches.pop_front();
        }
        if let Some(stretch) = self.stretches.back_mut() {
            stretch.requests += 1;
            if let Some(failure) = failure {
                *stretch.failures.entry(failure).or_default() += 1;
            }
        }
        if let Some(begun) = &mut self.outage {
            begun.requests += 1;
            begun.failed += u64::from(failure.is_some());
        }
    }

    fn begins(&mut self) -> Option<OutageChange> {
        let recent = self.recent(BEGIN_MS);
        let failed = recent.failed();
        if failed < FAILED_MIN || recent.share() < BEGINS_AT {
            return None;
        }
        let at = recent.first_failed_at.unwrap_or(self.last_at);
        let since = self.stretches.iter().filter(|stretch| stretch.number * STRETCH_MS >= at.0);
        let requests = since.map(|stretch| stretch.requests).sum();
        let begun = Begun { at, requests, failed };
        self.outage = Some(begun);
        Some(OutageChange::Began(self.report(begun)))
    }

    fn ends(&mut self) -> Option<OutageChange> {
        let recent = self.recent(END_MS);
        if recent.requests < REQUESTS_MIN || recent.share() >= ENDS_BELOW {
            return None;
        }
        let begun = self.outage.take()?;
        Some(OutageChange::Ended(self.report(begun)))
    }

    /// What ended in the last `at_least_ms`, or as far back as there are enough requests.
    fn recent(&self, at_least_ms: u64) -> Recent {
        let from = self.last_at.0.saturating_sub(at_least_ms) / STRETCH_MS;
        let mut recent = Recent::default();
        for stretch in self.stretches.iter().rev() {
            if stretch.number <= from && recent.requests >= REQUESTS {
                break;
            }
            recent.requests += stretch.requests;
            for (failure, count) in &stretch.failures {
                *recent.failures.entry(*failure).or_default() += count;
                recent.first_failed_at = Some(UnixMs(stretch.number * STRETCH_MS));
            }
        }
        recent
    }

    fn report(&self, begun: Begun) -> Outage {
        let Begun { at, requests, failed } = begun;
        let most = |recent: Recent| recent.most();
        let failure = most(self.recent(BEGIN_MS)).or_else(|| most(self.recent(BACK_MAX_MS)));
        let failure = failure.unwrap_or(Failure::Internal);
        Outage { since: at, requests, failed, failure, last_at: self.last_at }
    }
}

impl Recent {
    fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    fn share(&self) -> f64 {
        self.failed() as f64 / self.requests.max(1) as f64
    }

    /// How most of them failed; of equals the first by name's order.
    fn most(&self) -> Option<Failure> {
        let most = self.failures.iter().max_by_key(|(failure, count)| (**count, **failure));
        most.map(|(failure, _)| *failure)
    }
}

#[cfg(test)]
mod tests;
