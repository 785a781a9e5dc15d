//! Joining what several searches found: by rank, since their scores have no common measure
//! (reciprocal rank fusion; Cormack, Clarke and Büttcher, 2009).

use std::collections::BTreeMap;

/// How little the first ranks differ: the constant of the paper.
const K: f64 = 60.0;

/// The members of all lists, each of which has its best first, with what their ranks add up to:
/// the best first, and of equals the smaller number.
pub fn fused(lists: &[Vec<i64>]) -> Vec<(i64, f64)> {
    let mut scores: BTreeMap<i64, f64> = BTreeMap::new();
    for list in lists {
        for (rank, member) in (1_u32..).zip(list) {
            *scores.entry(*member).or_default() += 1.0 / (K + f64::from(rank));
        }
    }
    let mut best: Vec<(i64, f64)> = scores.into_iter().collect();
    best.sort_by(|(a, of_a), (b, of_b)| of_b.total_cmp(of_a).then(a.cmp(b)));
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(lists: &[Vec<i64>]) -> Vec<i64> {
        fused(lists).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn what_both_have_is_before_what_one_has() {
        assert_eq!(ids(&[vec![1, 2, 3], vec![9, 3, 8]]), [3, 1, 9, 2, 8]);
        assert_eq!(ids(&[vec![5, 4], vec![]]), [5, 4]);
        assert_eq!(ids(&[vec![], vec![]]), [] as [i64; 0]);
    }

    proptest! {
        #[test]
        fn one_list_keeps_its_order_and_nothing_is_lost(
            list in prop::collection::hash_set(0..1_000_i64, 0..40),
            other in prop::collection::hash_set(0..1_000_i64, 0..40),
        ) {
            let (list, other): (Vec<i64>, Vec<i64>) =
                (list.into_iter().collect(), other.into_iter().collect());
            prop_assert_eq!(&ids(std::slice::from_ref(&list)), &list);
            let mut both = ids(&[list.clone(), other.clone()]);
            both.sort_unstable();
            let mut all = [list, other].concat();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(both, all);
        }
    }
}
