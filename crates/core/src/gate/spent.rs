//! Means of what may not be known of each: a model server that reports no usage makes it unknown,
//! not nothing.

/// The mean; `None` of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use crate::gate::testing::{case, result};
    use crate::gate::{CaseResult, Tally};

    #[test]
    fn what_is_not_known_is_no_part_of_a_mean() {
        let of = |tokens, cost_usd| CaseResult { tokens, cost_usd, ..result(case("a"), 1.0) };
        let results = [of(Some(10), Some(0.5)), of(None, None), of(Some(20), None)];
        let means = |results: &[CaseResult]| {
            let tally: Tally = results.iter().collect();
            (tally.avg_tokens(), tally.cost_per_query())
        };
        assert_eq!(means(&results), (Some(15.0), Some(0.5)));
        assert_eq!(means(&results[1..2]), (None, None));
        assert_eq!(means(&[]), (None, None));
    }
}
