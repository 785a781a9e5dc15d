//! How the cases of a run are asked: in which order, how often again, and what their repeats make.
//!
//! An upstream that is busy (429, 503) is tried [`BUSY_TRIES`] times, and its [`Lane`] says when;
//! any other failure that can pass is tried [`Unanswered::TRIES`] times. Where the upstream has
//! been down for many cases in a row, what is left is tried once each: an outage then costs
//! minutes, not hours, and the first answer ends it.

use super::ask::{AskError, Asked};
use super::lane::{Lane, WAIT_MAX};
use super::spool::Spool;
use super::tape::{Outcome, Tape, TapeError};
use crate::clock::Clock;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use tidegate_core::gate::{Case, CaseResult, RowError, Rows, Unanswered};
use tidegate_core::random::Random;
use tidegate_core::upstream::Failure;

/// Tries of a call that a busy upstream refuses: it waits for some 4 s in all where the upstream
/// names no time.
const BUSY_TRIES: u32 = 5;

/// One asking of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    /// The case's place in the set.
    pub(super) at: usize,
    /// Which repeat, from 0.
    pub(super) nth: u32,
    /// How many there are.
    pub(super) repeats: u32,
}

/// Every asking: in the order of the cases, or shuffled as the seed says.
pub(super) fn order(counts: &[u32], seed: Option<u64>) -> Vec<Item> {
    let of_case = |(at, repeats): (usize, &u32)| {
        let repeats = *repeats;
        (0..repeats).map(move |nth| Item { at, nth, repeats })
    };
    let mut items: Vec<Item> = counts.iter().enumerate().flat_map(of_case).collect();
    if let Some(seed) = seed {
        let mut random = Random::new(seed, "order of cases");
        for last in (1..items.len()).rev() {
            items.swap(last, random.index(last + 1));
        }
    }
    items
}

/// The way from a case to its answer: a file of answers, or the model server.
pub(super) struct Way<'a> {
    lane: Lane,
    tape: &'a Tape,
    clock: &'a Clock,
}

impl<'a> Way<'a> {
    /// A way on which so many calls go at a time.
    pub(super) fn new(concurrency: usize, tape: &'a Tape, clock: &'a Clock) -> Way<'a> {
        Way { lane: Lane::new(concurrency), tape, clock }
    }

    /// What becomes of an asking, and after how many tries; it is in every file of answers then.
    ///
    /// # Errors
    /// A file of answers takes no more.
    pub(super) async fn answer<F, Fut>(
        &self,
        case: &Arc<Case>,
        item: Item,
        ask: &F,
    ) -> Result<Outcome, TapeError>
    where
        F: Fn(Arc<Case>) -> Fut,
        Fut: Future<Output = Result<Asked, AskError>>,
    {
        let outcome = match self.tape.known(case, item.nth, item.repeats)? {
            Some(known) => known,
            None => self.ask_again(case, ask).await,
        };
        self.tape.keep(case, item.nth, &outcome)?;
        Ok(outcome)
    }

    /// Asks, and again where that can help; with how often it was asked.
    async fn ask_again<F, Fut>(&self, case: &Arc<Case>, ask: &F) -> Outcome
    where
        F: Fn(Arc<Case>) -> Fut,
        Fut: Future<Output = Result<Asked, AskError>>,
    {
        let mut tries = 1;
        loop {
            let pass = self.lane.enter(self.clock).await;
            let asked = ask(Arc::clone(case)).await;
            let (wait, most) = match &asked {
                Ok(_) => {
                    pass.answered();
                    self.lane.over(true);
                    return (asked, tries);
                }
                Err(AskError { again: None, failure, .. }) => {
                    // It says something of the request, not of the upstream.
                    self.lane.over(failure.is_none_or(Failure::is_rejection));
                    return (asked, tries);
                }
                Err(AskError { again: Some(wait), is_busy: true, .. }) => {
                    pass.refused(Some(*wait).filter(|wait| !wait.is_zero()), tries);
                    (None, BUSY_TRIES)
                }
                Err(AskError { again: Some(wait), is_busy: false, .. }) => {
                    drop(pass);
                    (Some((*wait).min(WAIT_MAX)), Unanswered::TRIES)
                }
            };
            if tries >= most || self.lane.is_down() {
                self.lane.over(false);
                return (asked, tries);
            }
            if let Some(wait) = wait {
                self.clock.simulate(wait).await;
            }
            tries += 1;
        }
    }
}

/// Results by case, put together as they come.
pub(super) struct Merged {
    results: Spool<CaseResult>,
    /// Where the result of each case is; `None` while a repeat is missing.
    places: Vec<Option<u32>>,
    /// Repeats that are there of cases of which one is missing: which, and where they are.
    open: BTreeMap<usize, Vec<(u32, usize)>>,
    answered: usize,
}

/// Why a result was not added.
pub(super) enum Unmerged {
    /// The disk takes no more.
    Full(TapeError),
    /// A repeat cannot be read again.
    Row(RowError),
}

impl Merged {
    /// For so many cases.
    pub(super) fn new(cases: usize, results: Spool<CaseResult>) -> Merged {
        Merged { results, places: vec![None; cases], open: BTreeMap::new(), answered: 0 }
    }

    /// How many askings are over.
    pub(super) fn answered(&self) -> usize {
        self.answered
    }

    /// Adds the result of one asking; `merge` makes one of all repeats, which it gets in order.
    ///
    /// # Errors
    /// It cannot be put aside.
    pub(super) fn add(
        &mut self,
        item: Item,
        result: CaseResult,
        merge: impl Fn(Vec<CaseResult>) -> Option<CaseResult>,
    ) -> Result<(), Unmerged> {
        self.answered += 1;
        let mut place = self.push(result)?;
        if item.repeats > 1 {
            let runs = self.open.entry(item.at).or_default();
            runs.push((item.nth, place));
            if runs.len() < item.repeats as usize {
                return Ok(());
            }
            let mut runs = self.open.remove(&item.at).unwrap_or_default();
            runs.sort_by_key(|(nth, _)| *nth);
            let all = runs.iter().map(|(_, at)| self.results.get(*at).map(Cow::into_owned));
            let all: Result<Vec<CaseResult>, RowError> = all.collect();
            let Some(merged) = merge(all.map_err(Unmerged::Row)?) else { return Ok(()) };
            place = self.push(merged)?;
        }
        if let Some(of_case) = self.places.get_mut(item.at) {
            *of_case = u32::try_from(place).ok();
        }
        Ok(())
    }

    fn push(&mut self, result: CaseResult) -> Result<usize, Unmerged> {
        self.results.push(result).map_err(|source| {
            Unmerged::Full(TapeError::File { file: self.results.folder().to_owned(), source })
        })
    }

    /// The results in the order of the cases.
    pub(super) fn results(self) -> Rows<CaseResult> {
        let places = self.places.into_iter().flatten();
        self.results.rows().pick(places.map(|place| place as usize).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_follows_from_its_seed_and_has_every_asking() {
        let counts = [1, 3, 1, 2];
        let plain = order(&counts, None);
        let places: Vec<(usize, u32)> = plain.iter().map(|item| (item.at, item.nth)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1)]);
        let shuffled = order(&counts, Some(7));
        assert_eq!(shuffled, order(&counts, Some(7)));
        assert_ne!(shuffled, order(&counts, Some(8)));
        assert_ne!(shuffled, plain);
        for item in plain {
            assert!(shuffled.contains(&item), "{item:?}");
        }
    }
}
