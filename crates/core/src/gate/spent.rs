//! What answers took, as means over those of which it is known. A model server that reports no
//! usage makes them unknown, not nothing.

use super::report::CaseResult;

/// Tokens of an answer and its prompt on average; `None` where no server says.
pub fn avg_tokens(results: &[CaseResult]) -> Option<f64> {
    mean(results.iter().filter_map(|result| result.tokens).map(|tokens| tokens as f64))
}

/// What an answer costs on average, US dollars; `None` where no cost is known.
pub fn cost_per_query(results: &[CaseResult]) -> Option<f64> {
    mean(results.iter().filter_map(|result| result.cost_usd))
}

/// The mean; `None` of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::testing::{case, result};

    #[test]
    fn what_is_not_known_is_no_part_of_a_mean() {
        let of = |tokens, cost_usd| CaseResult { tokens, cost_usd, ..result(case("a"), 1.0) };
        let results = [of(Some(10), Some(0.5)), of(None, None), of(Some(20), None)];
        assert_eq!((avg_tokens(&results), cost_per_query(&results)), (Some(15.0), Some(0.5)));
        assert_eq!((avg_tokens(&results[1..2]), cost_per_query(&[])), (None, None));
    }
}
