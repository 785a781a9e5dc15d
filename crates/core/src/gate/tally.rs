//! What the results of a run come to, counted one by one in the order of the cases: results need
//! not be in memory together, and only what is said of a case by name is kept.

use super::case::{Risk, Severity};
use super::kind::CheckKind;
use super::noise::PREDICTABILITY;
use super::report::{ACCURACY, CaseResult, FailureRow, GateVerdict, Unanswered};
use super::rows::{RowError, Rows};
use super::slice::{SliceRow, Slices, WORST_SLICE, accuracy_of_slice, below, judge_slices, worst};
use crate::random::hash;
use std::collections::{BTreeMap, BTreeSet};

/// The checks on what an answer says, which `relevance` is the mean of.
const CONTENT_CHECKS: [&str; 4] =
    ["expected_contains", "expected_keywords", "must_include_any", "matches_expected"];

/// The results of a run, counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    total: usize,
    correct: usize,
    by_risk: BTreeMap<Risk, OfRisk>,
    /// What the checks of each kind measured.
    measured: BTreeMap<&'static str, Mean>,
    /// The scores of the checks on content.
    content: Mean,
    /// The shares of pairs of repeats that agree.
    agreeing: Mean,
    /// Tokens of an answer and its prompt, where the server says.
    tokens: Mean,
    /// What answers cost, US dollars, where that is known.
    cost_usd: Mean,
    slices: Slices,
    /// Which cases there are, by hashes of their ids.
    ids: BTreeSet<u64>,
    /// Why cases fail the gate on their own.
    alone: Vec<String>,
    /// Cases whose request may fail each time.
    lasting: Vec<Lasting>,
    refused: usize,
    answered: usize,
    unanswered: usize,
    unjudged: usize,
    /// Why answers are missing, and in how many cases.
    causes: BTreeMap<String, usize>,
}

/// The cases of a class of risk.
#[derive(Debug, Clone, Default)]
struct OfRisk {
    total: usize,
    correct: usize,
    failed: Vec<(String, String)>,
    errors: Vec<(String, String)>,
}

/// A case without an answer.
#[derive(Debug, Clone)]
struct Lasting {
    /// Whether it is refused, which a retry does not change.
    refused: bool,
    says: String,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl<'a> FromIterator<&'a CaseResult> for Tally {
    fn from_iter<I: IntoIterator<Item = &'a CaseResult>>(results: I) -> Self {
        let mut tally = Tally::default();
        results.into_iter().for_each(|result| tally.add(result));
        tally
    }
}

impl Tally {
    /// Counts all results of a run.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn of(results: &Rows<CaseResult>) -> Result<Tally, RowError> {
        let mut tally = Tally::default();
        for result in results.iter() {
            tally.add(result?.as_ref());
        }
        Ok(tally)
    }

    /// Counts a result; they come in the order of the cases.
    pub fn add(&mut self, result: &CaseResult) {
        let is_correct = result.is_correct();
        self.total += 1;
        self.correct += usize::from(is_correct);
        self.ids.insert(hash(&[&result.case.id]));
        self.slices.add(&result.case, result.error.is_none().then_some(is_correct));
        if let Some((all, same)) = result.repeats.map(|repeats| repeats.pairs())
            && all > 0
        {
            self.agreeing.add(same as f64 / all as f64);
        }
        result.tokens.into_iter().for_each(|tokens| self.tokens.add(tokens as f64));
        result.cost_usd.into_iter().for_each(|cost| self.cost_usd.add(cost));
        for check in &result.checks {
            if CONTENT_CHECKS.contains(&check.kind()) {
                self.content.add(check.score);
            }
            let kind = CheckKind::parse(check.kind()).map(|(kind, _)| kind);
            // Edits are no share.
            let kind = kind.filter(|kind| kind.is_share());
            if let (Some(kind), Some(measured)) = (kind, check.measured) {
                self.measured.entry(kind.name()).or_default().add(measured);
            }
        }
        let of_risk = self.by_risk.entry(result.case.risk).or_default();
        of_risk.total += 1;
        of_risk.correct += usize::from(is_correct);
        let id = &result.case.id;
        match &result.error {
            Some(error) => of_risk.errors.push((id.clone(), error.clone())),
            None if !is_correct => of_risk.failed.push((id.clone(), result.wrong())),
            None => {}
        }
        match (&result.error, is_correct, result.case.severity) {
            (Some(_), _, _) | (None, true, _) | (None, false, Severity::Normal) => {}
            (None, false, Severity::Blocking) => {
                self.alone.push(format!("blocking case `{id}` failed"));
            }
            (None, false, Severity::RedLine) => {
                self.alone.push(format!("red-line case `{id}` failed"));
            }
        }
        self.add_error(result);
    }

    /// Counts whether there is an answer, and why not.
    fn add_error(&mut self, result: &CaseResult) {
        self.answered += usize::from(result.error.is_none() || result.actual.is_some());
        let Some(error) = &result.error else { return };
        match result.actual.is_some() {
            true => self.unjudged += 1,
            false => self.unanswered += 1,
        }
        *self.causes.entry(error.clone()).or_insert(0) += 1;
        let Some(unanswered) = result.unanswered else { return };
        let refused = unanswered.is_refused();
        self.refused += usize::from(refused);
        if refused || unanswered.is_broken() {
            let Unanswered { tries, .. } = unanswered;
            let tries = tries.max(1);
            let s = if tries == 1 { "try" } else { "tries" };
            let id = &result.case.id;
            let says = format!("case `{id}` got no answer in {tries} {s}: {error}");
            self.lasting.push(Lasting { refused, says });
        }
    }

    /// How many cases were correct.
    pub fn correct(&self) -> usize {
        self.correct
    }

    /// Tokens of an answer and its prompt on average; `None` where no server says.
    pub fn avg_tokens(&self) -> Option<f64> {
        self.tokens.value()
    }

    /// What an answer costs on average, US dollars; `None` where no cost is known.
    pub fn cost_per_query(&self) -> Option<f64> {
        self.cost_usd.value()
    }

    /// Whether a case of that id is among them.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(&hash(&[id]))
    }

    /// The failures by class, every class of risk in order.
    pub fn failure_table(mut self) -> Vec<FailureRow> {
        let row = |risk: Risk| {
            let OfRisk { total, correct: _, failed, errors } =
                self.by_risk.remove(&risk).unwrap_or_default();
            FailureRow { risk, total, failed, errors }
        };
        Risk::ALL.into_iter().map(row).collect()
    }

    /// What a run measures, 0 to 1 each: `accuracy`; each class of risk by its name, as the share
    /// of its cases that are correct; `relevance`, the mean score of the checks on content; each
    /// kind of check that measures a share, such as `bleu`, the mean of what it measured;
    /// `worst_slice`, the accuracy of the slice that does worst, of those with enough cases; and
    /// `predictability`, see [`super::predictability`]. A class without a case, a run without
    /// checks on content, or without repeats, does not have the metric.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let share = |correct: usize, total: usize| Mean { sum: correct as f64, count: total };
        let mut all = vec![(ACCURACY, share(self.correct, self.total).value())];
        for (risk, OfRisk { total, correct, .. }) in &self.by_risk {
            all.push((risk.as_str(), share(*correct, *total).value()));
        }
        all.extend(self.measured.iter().map(|(kind, mean)| (*kind, mean.value())));
        all.push(("relevance", self.content.value()));
        all.push((WORST_SLICE, worst(&self.slices())));
        all.push((PREDICTABILITY, self.agreeing.value()));
        let there = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        there.collect()
    }

    /// Every slice of the cases, the worst first: by accuracy, then the one with more cases, then
    /// by name. A case is in each slice that it names.
    pub fn slices(&self) -> Vec<SliceRow> {
        self.slices.rows()
    }

    /// The verdict over all cases against thresholds by metric, with its reasons.
    ///
    /// Order: no cases at all is inconclusive. A blocking or red-line case that failed fails the
    /// gate. So does a case whose request itself fails, since another run would end the same:
    /// refused, or a server error or timeout in each of [`Unanswered::TRIES`] tries while other
    /// cases are answered. Other missing answers make the gate inconclusive. Then each metric is
    /// compared with its threshold; `tag:NAME` and `slice:NAME` are the accuracy of that slice,
    /// however few its cases. A metric that the run does not measure counts as 0: the gate fails
    /// closed. A slice below the threshold of `worst_slice` fails the gate, and one of too few
    /// cases makes it inconclusive.
    pub fn verdict_on(&self, thresholds: &BTreeMap<String, f64>) -> (GateVerdict, Vec<String>) {
        if self.total == 0 {
            return (GateVerdict::Inconclusive, vec!["no case was asked".to_owned()]);
        }
        let mut alone = self.alone.clone();
        alone.extend(self.unanswerable());
        if !alone.is_empty() {
            return (GateVerdict::Fail, alone);
        }
        let missing = [(self.unanswered, "got no answer"), (self.unjudged, "got no verdict")];
        let missing: Vec<String> = missing
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} of {} cases {what}", self.total))
            .collect();
        if !missing.is_empty() {
            let mut reasons = missing;
            reasons.extend(self.error_causes());
            return (GateVerdict::Inconclusive, reasons);
        }
        let (measured, rows) = (self.metrics(), self.slices());
        let mut held = Vec::new();
        let mut failed = Vec::new();
        let mut undecided = Vec::new();
        for (metric, threshold) in thresholds {
            if metric == WORST_SLICE {
                let judged = judge_slices(&rows, *threshold);
                held.extend(judged.held);
                failed.extend(judged.failed);
                undecided.extend(judged.undecided);
                continue;
            }
            let value = measured.get(metric).copied().or(accuracy_of_slice(&rows, metric));
            match value {
                Some(value) if value >= *threshold => {
                    held.push(format!("{metric} {value:.3} is at least {threshold}"));
                }
                // Pipelines look for this wording.
                Some(value) => {
                    let value = below(value, *threshold);
                    failed.push(format!("Quality gate failed: {metric} = {value} < {threshold}"));
                }
                None => failed.push(format!(
                    "Quality gate failed: {metric} = 0 < {threshold}: this run does not measure it"
                )),
            }
        }
        match (failed.is_empty(), undecided.is_empty()) {
            (false, _) => (GateVerdict::Fail, failed),
            (true, false) => (GateVerdict::Inconclusive, undecided),
            (true, true) => (GateVerdict::Pass, held),
        }
    }

    /// The cases whose request itself fails, one sentence each. A refusal always counts; server
    /// errors and timeouts only while the upstream answers at least half of what it does not
    /// refuse, since in an outage they say nothing about a case.
    fn unanswerable(&self) -> Vec<String> {
        let outage = self.answered * 2 < self.total - self.refused;
        let lasting = self.lasting.iter().filter(|lasting| lasting.refused || !outage);
        lasting.map(|lasting| lasting.says.clone()).collect()
    }

    /// Why answers are missing, the commonest cause first: `15 cases: server_error: status 500`.
    fn error_causes(&self) -> Vec<String> {
        let mut causes: Vec<(&String, &usize)> = self.causes.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let sentence = |(error, count): (&String, &usize)| {
            let s = if *count == 1 { "case" } else { "cases" };
            format!("{count} {s}: {error}")
        };
        causes.into_iter().map(sentence).collect()
    }
}
