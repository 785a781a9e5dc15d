//! A part of the cases that is asked in place of all.
//!
//! Every case has a number that follows from its id alone, and those with the smallest are taken.
//! So runs ask the same cases and can be compared pair by pair, and a case that is added or removed
//! changes the sample by one case at most. A draw by a generator in the order of the file would
//! change it altogether.

use super::case::{CaseSet, Risk, Severity};
use super::rows::RowError;
use crate::random::{Random, hash};
use std::collections::BTreeSet;

/// Ids that differ in their last digit get numbers that have nothing in common.
const SEED: u64 = 0;

impl CaseSet {
    /// `size` of the normal cases, or all where there are no more, in the order of the set. Cases
    /// that fail the gate alone are always in it, and so is one of each class of risk.
    ///
    /// # Errors
    /// A case cannot be read.
    pub fn sample(self, size: usize) -> Result<CaseSet, RowError> {
        let mut normal: Vec<(u64, usize, Risk)> = Vec::new();
        let mut others: BTreeSet<usize> = BTreeSet::new();
        let mut risks: BTreeSet<Risk> = BTreeSet::new();
        for (at, case) in self.cases.iter().enumerate() {
            let case = case?;
            match case.severity {
                Severity::Normal => normal.push((number(&case.id), at, case.risk)),
                Severity::Blocking | Severity::RedLine => {
                    others.insert(at);
                    risks.insert(case.risk);
                }
            }
        }
        normal.sort_unstable();
        let first_of_risk = normal.iter().filter(|(_, _, risk)| risks.insert(*risk));
        let mut taken: BTreeSet<usize> = first_of_risk.map(|(_, at, _)| *at).collect();
        for (_, at, _) in &normal {
            if taken.len() >= size {
                break;
            }
            taken.insert(*at);
        }
        taken.append(&mut others);
        Ok(CaseSet { cases: self.cases.pick(taken.into_iter().collect()) })
    }
}

fn number(id: &str) -> u64 {
    let drawn = Random::nth(SEED, hash(&[id])).unit();
    // Exact: a draw has 53 bits.
    (drawn * (1_u64 << 53) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Case;

    fn sample(count: usize, blocking: &[usize], size: usize) -> Vec<Case> {
        set(count, blocking).sample(size).unwrap().cases.to_vec().unwrap()
    }

    fn set(count: usize, blocking: &[usize]) -> CaseSet {
        let case = |n: usize| Case {
            risk: if n == 7 { Risk::Safety } else { Risk::Format },
            severity: if blocking.contains(&n) { Severity::Blocking } else { Severity::Normal },
            ..Case::new(format!("case_{n:04}"), "问")
        };
        CaseSet { cases: (0..count).map(case).collect() }
    }

    fn ids(cases: &[Case]) -> BTreeSet<String> {
        cases.iter().map(|case| case.id.clone()).collect()
    }

    #[test]
    fn a_sample_is_of_the_size_that_is_asked_for() {
        for (size, expected) in [(100, 100), (1000, 1000), (5000, 1000), (2, 2), (1, 2)] {
            let sample = sample(1000, &[], size);
            assert_eq!(sample.len(), expected, "{size}");
            assert!(sample.iter().any(|case| case.risk == Risk::Safety), "{size}");
            assert!(sample.is_sorted_by_key(|case| case.id.clone()));
        }
    }

    #[test]
    fn what_blocks_is_always_asked() {
        let sample = sample(1000, &[3, 500, 999], 10);
        assert_eq!(sample.len(), 13);
        let blocking = sample.iter().filter(|case| case.severity == Severity::Blocking);
        assert_eq!(blocking.count(), 3);
    }

    #[test]
    fn one_more_case_changes_one_of_the_sample_at_most() {
        let before = ids(&sample(1000, &[], 100));
        for count in [1001, 999] {
            let after = ids(&sample(count, &[], 100));
            assert!(before.difference(&after).count() <= 1, "{count}");
        }
    }

    #[test]
    fn the_sample_is_spread_over_the_set() {
        let sample = sample(1000, &[], 100);
        let at = |case: &Case| case.id[5..].parse::<usize>().unwrap();
        for hundred in 0..10 {
            let of = sample.iter().filter(|case| at(case) / 100 == hundred).count();
            assert!((3..=20).contains(&of), "{of} of hundred {hundred}");
        }
    }
}
