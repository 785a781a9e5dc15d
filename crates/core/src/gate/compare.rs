//! Two runs of the same cases: what broke, what is fixed, and which metrics changed beyond chance.
//!
//! Of the run before some bytes a case are in memory, and its results are read one by one.

use super::case::{Case, Risk};
use super::kind::CheckKind;
use super::noise::{PairedTest, detectable_drop, holm, mcnemar, sign_flips};
use super::report::{ACCURACY, CaseResult, EvalReport, RunComparison};
use super::rows::RowError;
use crate::ids::Digest;
use std::collections::BTreeMap;

/// What a later run is compared with.
#[derive(Debug, Clone)]
pub struct RunBefore {
    run_id: String,
    /// By the hashes of their ids.
    cases: Vec<CaseBefore>,
}

/// How one case went.
#[derive(Debug, Clone)]
struct CaseBefore {
    /// Hash of its id.
    id: u64,
    /// Hash of what it asks.
    asks: u64,
    /// The place of its result.
    at: u32,
    answered: bool,
    correct: bool,
    score: f64,
    measured: Box<[(CheckKind, f64)]>,
}

impl RunBefore {
    /// What is compared of a run.
    ///
    /// # Errors
    /// One of its results cannot be read.
    pub fn of(report: &EvalReport) -> Result<RunBefore, RowError> {
        let mut cases = Vec::with_capacity(report.results.len());
        for (at, result) in (0..).zip(report.results.iter()) {
            let result = result?;
            cases.push(CaseBefore {
                id: hash_of(&[result.case.id.as_bytes()]),
                asks: asks(&result.case),
                at,
                answered: result.error.is_none(),
                correct: result.is_correct(),
                score: result.score,
                measured: measured(&result).into(),
            });
        }
        cases.sort_by_key(|case| case.id);
        Ok(RunBefore { run_id: report.run_id.clone(), cases })
    }

    /// The run's id.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The place of the result of a case with this id that asks the same and was correct.
    pub fn correct_at(&self, case: &Case) -> Option<usize> {
        self.find(case).filter(|before| before.correct).map(|before| before.at as usize)
    }

    /// The place of the result of the case of that id, whatever it asked.
    pub fn place_of(&self, id: &str) -> Option<usize> {
        self.of_id(id).map(|before| before.at as usize)
    }

    fn of_id(&self, id: &str) -> Option<&CaseBefore> {
        let id = hash_of(&[id.as_bytes()]);
        let at = self.cases.binary_search_by_key(&id, |before| before.id).ok()?;
        self.cases.get(at)
    }

    fn find(&self, case: &Case) -> Option<&CaseBefore> {
        self.of_id(&case.id).filter(|before| before.asks == asks(case))
    }
}

/// A hash of what a case asks, whatever it checks the answer for.
pub(super) fn asks(case: &Case) -> u64 {
    let messages = serde_json::to_string(&case.handling.messages).unwrap_or_default();
    let system = case.system.as_deref();
    hash_of(&[
        case.input.as_bytes(),
        &[u8::from(system.is_some())],
        system.unwrap_or_default().as_bytes(),
        messages.as_bytes(),
    ])
}

fn hash_of(parts: &[&[u8]]) -> u64 {
    u64::from_str_radix(Digest::of_parts(parts).short(16), 16).unwrap_or_default()
}

/// What the checks of each kind measured in one result, as their mean: a case is one sample,
/// however many such checks and repeats it has.
fn measured(result: &CaseResult) -> Vec<(CheckKind, f64)> {
    let mut by_kind: BTreeMap<CheckKind, (f64, u32)> = BTreeMap::new();
    for check in &result.checks {
        let kind = CheckKind::parse(check.kind()).filter(|(_, not)| !not).map(|(kind, _)| kind);
        let kind = kind.filter(|kind| kind.is_share());
        if let (Some(kind), Some(measured)) = (kind, check.measured) {
            let (sum, count) = by_kind.entry(kind).or_default();
            (*sum, *count) = (*sum + measured, *count + 1);
        }
    }
    by_kind.into_iter().map(|(kind, (sum, count))| (kind, sum / f64::from(count))).collect()
}

/// A run beside the one before, case by case.
///
/// A case without an answer, before or now, is neither broken nor fixed: an error is not a
/// failure. A case that kept its id and asks something else is new.
#[derive(Debug)]
pub struct Comparing<'a> {
    before: &'a RunBefore,
    comparison: RunComparison,
    pairs: Vec<Pair>,
    measured: BTreeMap<CheckKind, Vec<(f64, f64)>>,
}

/// One result of a case before and one now.
#[derive(Debug, Clone, Copy)]
struct Pair {
    risk: Risk,
    /// Whether it was correct, before and now.
    correct: (bool, bool),
    score: (f64, f64),
}

impl<'a> Comparing<'a> {
    /// With this run.
    pub fn with(before: &'a RunBefore) -> Comparing<'a> {
        let previous_run = before.run_id.clone();
        let comparison = RunComparison { previous_run, ..RunComparison::default() };
        Comparing { before, comparison, pairs: Vec::new(), measured: BTreeMap::new() }
    }

    /// Takes a result of the run of now; they come in the order of the cases.
    pub fn add(&mut self, now: &CaseResult) {
        let id = &now.case.id;
        let old = match self.before.find(&now.case) {
            None => return self.comparison.new.push(id.clone()),
            Some(old) if !old.answered || now.error.is_some() => return,
            Some(old) => old,
        };
        let is_correct = now.is_correct();
        match (old.correct, is_correct) {
            (true, false) => self.comparison.broken.push(id.clone()),
            (false, true) => self.comparison.fixed.push(id.clone()),
            (true, true) | (false, false) => {}
        }
        self.pairs.push(Pair {
            risk: now.case.risk,
            correct: (old.correct, is_correct),
            score: (old.score, now.score),
        });
        for (kind, now) in measured(now) {
            if let Some((_, before)) = old.measured.iter().find(|(of, _)| *of == kind) {
                self.measured.entry(kind).or_default().push((*before, now));
            }
        }
    }

    /// How the same cases did before and now.
    pub fn done(self) -> RunComparison {
        let Comparing { before: _, mut comparison, pairs, measured } = self;
        comparison.tests = paired_tests(&pairs, measured);
        comparison.detectable_drop =
            detectable_drop(pairs.len() as u64, comparison.fixed.len() as u64);
        comparison
    }
}

/// How the cases of one run did in another.
///
/// # Errors
/// A result cannot be read.
pub fn compare_runs(before: &EvalReport, after: &EvalReport) -> Result<RunComparison, RowError> {
    let before = RunBefore::of(before)?;
    let mut comparing = Comparing::with(&before);
    for result in after.results.iter() {
        comparing.add(result?.as_ref());
    }
    Ok(comparing.done())
}

/// The tests of every metric that both runs have.
fn paired_tests(
    pairs: &[Pair],
    mut measured: BTreeMap<CheckKind, Vec<(f64, f64)>>,
) -> Vec<PairedTest> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut tests = vec![correctness(ACCURACY, pairs)];
    for risk in Risk::ALL {
        let of_risk: Vec<Pair> = pairs.iter().copied().filter(|pair| pair.risk == risk).collect();
        if !of_risk.is_empty() {
            tests.push(correctness(risk.as_str(), &of_risk));
        }
    }
    tests.push(scores("score", pairs.iter().map(|pair| pair.score).collect()));
    for kind in CheckKind::ROWS.iter().map(|row| row.kind) {
        if let Some(measured) = measured.remove(&kind) {
            tests.push(scores(kind.name(), measured));
        }
    }
    let raw: Vec<f64> = tests.iter().map(|test| test.p).collect();
    for (test, corrected) in tests.iter_mut().zip(holm(&raw)) {
        test.p_holm = corrected;
    }
    tests
}

fn correctness(metric: &str, pairs: &[Pair]) -> PairedTest {
    let count = |is: &dyn Fn(bool, bool) -> bool| {
        pairs.iter().filter(|pair| is(pair.correct.0, pair.correct.1)).count()
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
