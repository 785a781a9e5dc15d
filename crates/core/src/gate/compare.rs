//! Two runs of the same cases: what broke, what is fixed, and which metrics changed beyond chance.

use super::kind::CheckKind;
use super::noise::{PairedTest, detectable_drop, holm, mcnemar, sign_flips};
use super::report::{ACCURACY, CaseResult, EvalReport, RunComparison, asks_the_same};
use std::collections::BTreeMap;

/// How the same cases did before and now.
///
/// A case without an answer, before or now, is neither broken nor fixed: an error is not a
/// failure. A case that kept its id and asks something else is new.
pub fn compare_runs(previous: &EvalReport, now: &[CaseResult]) -> RunComparison {
    let before: BTreeMap<&str, &CaseResult> =
        previous.results.iter().map(|result| (result.case.id.as_str(), result)).collect();
    let mut comparison =
        RunComparison { previous_run: previous.run_id.clone(), ..RunComparison::default() };
    let mut pairs = Vec::new();
    for result in now {
        let id = result.case.id.clone();
        match before.get(id.as_str()).filter(|old| asks_the_same(&old.case, &result.case)) {
            None => comparison.new.push(id),
            Some(old) if old.error.is_some() || result.error.is_some() => {}
            Some(old) => {
                pairs.push((*old, result));
                match (old.is_correct(), result.is_correct()) {
                    (true, false) => comparison.broken.push(id),
                    (false, true) => comparison.fixed.push(id),
                    (true, true) | (false, false) => {}
                }
            }
        }
    }
    comparison.tests = paired_tests(&pairs);
    comparison.detectable_drop = detectable_drop(pairs.len() as u64, comparison.fixed.len() as u64);
    comparison
}

/// One result of a case before and one now.
type Pair<'a> = (&'a CaseResult, &'a CaseResult);

/// The tests of every metric that both runs have.
fn paired_tests(pairs: &[Pair<'_>]) -> Vec<PairedTest> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut tests = vec![correctness(ACCURACY, pairs)];
    for risk in super::case::Risk::ALL {
        let of_risk: Vec<Pair<'_>> =
            pairs.iter().copied().filter(|(_, now)| now.case.risk == risk).collect();
        if !of_risk.is_empty() {
            tests.push(correctness(risk.as_str(), &of_risk));
        }
    }
    let score = pairs.iter().map(|(before, now)| (before.score, now.score)).collect();
    tests.push(scores("score", score));
    for kind in CheckKind::ROWS.iter().map(|row| row.kind).filter(|kind| kind.is_share()) {
        let measured = pairs.iter();
        let measured = measured.filter_map(|(before, now)| {
            Some((measured_of(before, kind)?, measured_of(now, kind)?))
        });
        let measured: Vec<(f64, f64)> = measured.collect();
        if !measured.is_empty() {
            tests.push(scores(kind.name(), measured));
        }
    }
    let raw: Vec<f64> = tests.iter().map(|test| test.p).collect();
    for (test, corrected) in tests.iter_mut().zip(holm(&raw)) {
        test.p_holm = corrected;
    }
    tests
}

/// The mean of what the checks of a kind measured in one result; a case is one sample, however many
/// such checks and repeats it has.
fn measured_of(result: &CaseResult, kind: CheckKind) -> Option<f64> {
    let of_kind = result.checks.iter().filter(|check| check.kind() == kind.name());
    let values: Vec<f64> = of_kind.filter_map(|check| check.measured).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn correctness(metric: &str, pairs: &[Pair<'_>]) -> PairedTest {
    let count = |is: &dyn Fn(bool, bool) -> bool| {
        pairs.iter().filter(|(before, now)| is(before.is_correct(), now.is_correct())).count()
    };
    let (broken, fixed) = (count(&|before, now| before && !now), count(&|b, n| !b && n));
    let all = pairs.len() as f64;
    let p = mcnemar(broken as u64, fixed as u64);
    PairedTest {
        metric: metric.to_owned(),
        cases: pairs.len() as u64,
        before: count(&|before, _| before) as f64 / all,
        now: count(&|_, now| now) as f64 / all,
        p,
        p_holm: p,
    }
}

fn scores(metric: &str, pairs: Vec<(f64, f64)>) -> PairedTest {
    let differences: Vec<f64> = pairs.iter().map(|(before, now)| now - before).collect();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / pairs.len() as f64;
    // The same two runs give the same number again.
    let p = sign_flips(&differences, pairs.len() as u64);
    PairedTest {
        metric: metric.to_owned(),
        cases: pairs.len() as u64,
        before: mean(&mut pairs.iter().map(|(before, _)| *before)),
        now: mean(&mut pairs.iter().map(|(_, now)| *now)),
        p,
        p_holm: p,
    }
}
