//! What is counted of searches for requests, and of what answers make of what was found.

use super::text::Page;
use tidegate_core::retrieval::{Cited, Claims};
use tidegate_core::route::Arm;

/// What a search for a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetrievalResult {
    /// Chunks.
    Found,
    /// No chunk.
    Nothing,
    /// It failed.
    Failed,
    /// Its meaning could not be searched for; what its words found was taken.
    WordsOnly,
}

/// Counts by arm.
#[derive(Default)]
pub(super) struct Retrievals {
    /// What searches came to.
    searches: [[u64; 4]; 2],
    /// Citations of what was shown, and of what was not.
    citations: [[u64; 2]; 2],
    /// Claims of answers, those without a citation, and those without support.
    claims: [[u64; 3]; 2],
}

impl Retrievals {
    pub(super) fn searched(&mut self, arm: Arm, result: RetrievalResult) {
        self.searches[arm as usize][result as usize] += 1;
    }

    pub(super) fn cited(&mut self, arm: Arm, Cited { shown, not_shown }: Cited) {
        let citations = &mut self.citations[arm as usize];
        citations[0] += shown;
        citations[1] += not_shown;
    }

    pub(super) fn claimed(&mut self, arm: Arm, Claims { made, uncited, ungrounded }: Claims) {
        for (count, more) in self.claims[arm as usize].iter_mut().zip([made, uncited, ungrounded]) {
            *count += more;
        }
    }

    pub(super) fn render(&self, page: &mut Page) {
        let name = "tidegate_retrievals_total";
        page.family(name, "counter", "Searches for requests, by what they came to");
        by_arm(page, (name, "result"), ["found", "nothing", "failed", "words_only"], self.searches);
        let name = "tidegate_citations_total";
        page.family(name, "counter", "Citations of answers, by whether the model was shown it");
        by_arm(page, (name, "of"), ["shown", "not_shown"], self.citations);
        let name = "tidegate_claims_total";
        page.family(name, "counter", "Claims of answers that were searched for, by what they lack");
        by_arm(page, (name, "of"), ["made", "uncited", "ungrounded"], self.claims);
    }
}

fn by_arm<const N: usize>(
    page: &mut Page,
    (name, label): (&str, &str),
    values: [&str; N],
    counts: [[u64; N]; 2],
) {
    for arm in [Arm::Stable, Arm::Candidate] {
        for (value, count) in values.into_iter().zip(counts[arm as usize]) {
            page.count(name, &[("arm", arm.as_str()), (label, value)], count);
        }
    }
}
