//! How many pairs a shadow takes, before it has started.

use crate::decide::{ADVANCE_ALPHA, level};
use crate::pairs::{Differences, Limit};

/// In how many pairs one answer is worse than the other where the sets are alike. One model that
/// is asked twice is right once and wrong once in 27 % of cases at worst (dotnet/skills#952);
/// failures, refusals and broken contracts flip far less.
pub const USUALLY_DIFFER: f64 = 0.1;

/// About how many pairs it takes until a candidate that is just like stable is proven within a
/// limit on rates, where a share of pairs differs, as often for the worse as for the better. `None`
/// where the limit is 0 or below.
pub fn pairs_needed(limit: Limit, differ: f64) -> Option<u64> {
    const OF: u64 = 10_000;
    let each = (differ.clamp(0.0, 1.0) / 2.0 * OF as f64).round() as u64;
    let mut typical = Differences::default();
    typical.add_times(1.0, each);
    typical.add_times(-1.0, each);
    typical.add_times(0.0, OF - 2 * each);
    typical.needed(limit.difference(), false, level(ADVANCE_ALPHA))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_pairs_are_needed_the_less_answers_differ() {
        let needed = |limit: f64, differ: f64| pairs_needed(Limit::new(limit).unwrap(), differ);
        let [none, some, many] = [0.0, 0.1, 0.5].map(|differ| needed(0.05, differ).unwrap());
        assert!((100..250).contains(&none), "{none}");
        assert!(none < some && some < many, "{none} {some} {many}");
        assert!(needed(0.1, 0.1).unwrap() < some);
        assert_eq!(needed(0.0, 0.1), None);
        assert_eq!(needed(-0.1, 0.1), None);
    }
}
