//! One pass over the eval cases: each is asked as a client would ask it, and its answer scored.
//!
//! What the upstream fails at is tried again (`super::asking`) and then counted as an error:
//! neither a right nor a wrong answer (SWE-bench_Pro #78: rate limits counted as failures shift
//! scores). What such a case means for the gate is `tidegate_core::gate::judge_run`'s.
//!
//! A case may be asked several times: its checks' scores are averaged, and one that held only in
//! some of them says `flaky, held in 3 of 4`, so that noise is not taken for a verdict.

use super::ask::{AskError, Asked, ask};
use super::asking::{Item, Merged, Unmerged, Way, order};
use super::checks::{Scorer, Seen};
use super::error::GateError;
use super::outside::Outside;
use super::policy::held_to;
use super::scored::{Scored, scored};
use super::spool::Spool;
use super::tape::{Tape, TapeError};
use crate::clock::Clock;
use crate::config::{Loaded, Scoring};
use crate::interrupt::interrupted;
use crate::output;
use crate::spending::{Account, Spending};
use crate::upstream::Deadlines;
use crate::version_set::{LiveSet, PackedSet, SetError, Settings, prompt_findings};
use futures_util::stream::{self, StreamExt as _};
use indicatif::ProgressBar;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::gate::{
    ACCURACY, Case, CaseResult, CaseSet, Check, CheckKind, CheckResult, Comparing, EvalReport,
    GateVerdict, HeldTo, Labelled, ModelFiles, Repeats, RowError, Rows, RunBefore, Tally,
    Unanswered, judge_drop, judge_run, mean, worse,
};
use tidegate_core::ids::{Digest, Digester, UnixMs, VersionSetId};
use tidegate_core::money::{Money, Purpose};

/// Most times one case is asked in a run.
pub(crate) const REPEAT_MAX: u32 = 100;

/// How a run goes.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    /// What the gate demands; a threshold of `accuracy` is always there.
    pub(crate) held_to: HeldTo,
    /// What the lints find in the set's prompt.
    pub(crate) lints: Vec<String>,
    /// Calls to the upstream at a time, at least 1.
    pub(crate) concurrency: usize,
    /// What the order in which cases are asked follows from; absent, it is theirs in the files.
    pub(crate) seed: Option<u64>,
    /// How often each case is asked, 1 to [`REPEAT_MAX`]; its scores are averaged.
    pub(crate) repeat: u32,
    /// Whether every case is asked with the decoding that production uses, not with temperature 0.
    pub(crate) as_served: bool,
    /// Likenesses to the reference that are measured of every case that has one, and decide
    /// nothing.
    pub(crate) measure: Vec<CheckKind>,
    /// How checks make a score.
    pub(crate) scoring: Scoring,
    /// What checks ask of the world.
    pub(crate) outside: Arc<Outside>,
    /// The files that the model server serves, where they were named.
    pub(crate) model_files: Option<ModelFiles>,
    /// The run to compare with.
    pub(crate) previous: Option<EvalReport>,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// How long to wait for an answer.
    pub(crate) deadlines: Deadlines,
    /// Whether to show progress where stderr is a terminal.
    pub(crate) progress: bool,
    /// Whether Ctrl-C ends the run, with what is kept of it.
    pub(crate) interruptible: bool,
}

impl RunOptions {
    /// What the project, its gate's policy and the prompt's `config.yaml` say for a run of these
    /// cases; what it costs goes to `spending`.
    ///
    /// # Errors
    /// A usage error when a threshold is not between 0 and 1, one of these cannot be read, or what
    /// the cases' checks ask cannot be asked.
    pub(crate) fn of(
        loaded: &Loaded,
        packed: &PackedSet,
        cases: &Rows<Case>,
        clock: &Clock,
        spending: Option<&Arc<Spending>>,
    ) -> Result<RunOptions, GateError> {
        let evals = &loaded.project.evals;
        let account = |spending| Account::new(spending, &packed.set.id, clock.now());
        let account = spending.map(account);
        Ok(RunOptions {
            held_to: held_to(loaded, packed, cases, None)?,
            lints: prompt_findings(packed),
            concurrency: evals.concurrency.max(1),
            seed: None,
            repeat: 1,
            as_served: false,
            measure: Vec::new(),
            scoring: evals.scoring,
            outside: Arc::new(Outside::new(loaded, cases, clock, account)?),
            model_files: None,
            previous: None,
            root: loaded.root.clone(),
            deadlines: deadlines(packed)?,
            progress: true,
            interruptible: false,
        })
    }
}

/// How long an answer of the set may take.
///
/// # Errors
/// When the set's settings cannot be read.
pub(crate) fn deadlines(packed: &PackedSet) -> Result<Deadlines, SetError> {
    let limits = Settings::read(packed)?.limits;
    Ok(Deadlines {
        first_byte: Duration::from_millis(limits.first_byte_ms),
        idle: Duration::from_millis(limits.idle_ms),
        total: Duration::from_millis(limits.total_ms),
    })
}

/// Asks every case of the version set and judges the answers.
///
/// # Errors
/// The run was interrupted, or an answer cannot be written to a file of answers.
pub(crate) async fn run(
    live: &Arc<LiveSet>,
    cases: &CaseSet,
    options: &RunOptions,
    tape: &Tape,
    clock: &Clock,
) -> Result<EvalReport, GateError> {
    let subject = Subject { model: live.model.clone(), version_set: live.set.id.clone() };
    let account = options.outside.account(Purpose::Eval);
    let account = account.as_ref();
    run_with(&subject, cases, options, (tape, clock), |case: Arc<Case>| async move {
        let as_served = options.as_served || case.handling.as_served;
        ask(live, &case, options.deadlines, as_served, account).await
    })
    .await
}

/// What is evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The model's name.
    pub(crate) model: String,
    /// The version set.
    pub(crate) version_set: VersionSetId,
}

/// [`run`] with the asking as an argument.
pub(crate) async fn run_with<F, Fut>(
    subject: &Subject,
    cases: &CaseSet,
    options: &RunOptions,
    (tape, clock): (&Tape, &Clock),
    ask: F,
) -> Result<EvalReport, GateError>
where
    F: Fn(Arc<Case>) -> Fut,
    Fut: Future<Output = Result<Asked, AskError>>,
{
    let mut counts = Vec::with_capacity(cases.cases.len());
    for case in cases.cases.iter() {
        let repeats = case?.handling.repeat.unwrap_or(1).max(options.repeat);
        counts.push(repeats.clamp(1, REPEAT_MAX));
    }
    let before = options.previous.as_ref().map(RunBefore::of).transpose()?;
    let items = order(&counts, options.seed);
    let of = items.len();
    let bar = progress(of as u64, options.progress);
    let way = Way::new(options.concurrency, tape, clock);
    let mut answers = stream::iter(items)
        .map(|item: Item| {
            let (ask, bar, way, before) = (&ask, &bar, &way, before.as_ref());
            async move {
                let case = Arc::new(cases.cases.read(item.at)?.into_owned());
                let (asked, tries) = way.answer(&case, item, ask).await.map_err(Stop::Tape)?;
                bar.inc(1);
                let before = correct_before(options, before, &case)?;
                Ok((item, result_of(&case, asked, (tries, before), options).await))
            }
        })
        .buffer_unordered(options.concurrency.max(1));
    let stop = async {
        match options.interruptible {
            true => interrupted().await,
            false => std::future::pending().await,
        }
    };
    tokio::pin!(stop);
    let mut merged = Merged::new(counts.len(), Spool::new(&options.root));
    loop {
        let answer = tokio::select! {
            biased;
            () = &mut stop => {
                let answered = merged.answered();
                return Err(GateError::Interrupted { answered, of, kept: tape.keeps() });
            }
            answer = answers.next() => answer,
        };
        let Some(answer) = answer else { break };
        let added = answer.and_then(|(item, result)| Ok(merged.add(item, result, merge)?));
        match added {
            Ok(()) => {}
            Err(Stop::Row(error)) => return Err(error.into()),
            Err(Stop::Tape(source)) => {
                let answered = merged.answered();
                return Err(GateError::Unkept { source, answered, of });
            }
        }
    }
    drop(answers);
    bar.finish_and_clear();
    report_of(subject, cases, (merged.results(), before.as_ref()), options, clock)
}

/// What ends a run before its end.
enum Stop {
    /// A file of answers, or of what is put aside, takes no more.
    Tape(TapeError),
    /// What was put aside cannot be read.
    Row(RowError),
}

impl From<RowError> for Stop {
    fn from(error: RowError) -> Stop {
        Stop::Row(error)
    }
}

impl From<Unmerged> for Stop {
    fn from(error: Unmerged) -> Stop {
        match error {
            Unmerged::Full(error) => Stop::Tape(error),
            Unmerged::Row(error) => Stop::Row(error),
        }
    }
}

fn progress(length: u64, wanted: bool) -> ProgressBar {
    match wanted {
        true => output::progress(length, "asking {wide_bar} {pos}/{len}, {eta} left"),
        false => ProgressBar::hidden(),
    }
}

async fn result_of(
    case: &Case,
    asked: Result<Asked, AskError>,
    (tries, before): (u32, Option<String>),
    options: &RunOptions,
) -> CaseResult {
    let without = |error: String, unanswered, latency_ms| CaseResult {
        case: case.clone(),
        actual: None,
        error: Some(error),
        unanswered,
        score: 0.0,
        checks: Vec::new(),
        latency_ms,
        tokens: None,
        cost_usd: None,
        repeats: None,
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(AskError { message, failure, again: _, is_busy: _ }) => {
            return without(message, Some(Unanswered { failure, tries }), 0);
        }
    };
    let measured = measured(case, &options.measure);
    let scorer = match Scorer::new(&measured) {
        Ok(scorer) => scorer,
        Err(problem) => return without(problem, None, asked.latency_ms),
    };
    let cost = options.outside.cost(&asked);
    let seen = Seen {
        answer: &asked.text,
        latency_ms: asked.latency_ms,
        ttft_ms: asked.ttft_ms,
        cut: asked.cut,
        total_tokens: asked.total_tokens,
        before: before.as_deref(),
        events: &asked.events,
        calls: &asked.calls,
        finish: asked.finish.as_deref(),
        retrieved: asked.retrieved.as_ref(),
        cost,
    };
    let Scored { score, best, checks } =
        scored(&scorer, &seen, (case, options.scoring), &options.outside).await;
    let result = CaseResult {
        case: case.clone(),
        actual: Some(asked.text),
        error: None,
        unanswered: None,
        score,
        checks,
        latency_ms: asked.latency_ms,
        tokens: asked.total_tokens,
        cost_usd: cost.map(Money::as_usd),
        repeats: None,
    };
    result.settled(best)
}

/// The case with these likenesses as checks that count for nothing, where it has a reference and
/// does not check them itself.
fn measured<'a>(case: &'a Case, kinds: &[CheckKind]) -> Cow<'a, Case> {
    let has_reference = case.expected.as_deref().is_some_and(|text| !text.is_empty());
    if kinds.is_empty() || !has_reference {
        return Cow::Borrowed(case);
    }
    let mut case = case.clone();
    let own: BTreeSet<CheckKind> = case.checks.list().iter().map(|check| check.kind).collect();
    let kinds = kinds.iter().filter(|kind| !own.contains(kind));
    let check = |kind: &CheckKind| Check { weight: 0.0, ..Check::new(*kind, Value::Null) };
    case.checks.listed.extend(kinds.map(check));
    Cow::Owned(case)
}

/// The correct answer of the run before to the same question.
fn correct_before(
    options: &RunOptions,
    before: Option<&RunBefore>,
    case: &Case,
) -> Result<Option<String>, RowError> {
    let (Some(previous), Some(before)) = (&options.previous, before) else { return Ok(None) };
    let Some(at) = before.correct_at(case) else { return Ok(None) };
    Ok(previous.results.read(at)?.actual.clone())
}

/// Several results of one case as one: scores averaged over those with an answer, the slowest
/// latency, and the first answer that failed. `None` for no result at all.
fn merge(mut runs: Vec<CaseResult>) -> Option<CaseResult> {
    if runs.len() == 1 {
        return runs.pop();
    }
    let answered: Vec<&CaseResult> = runs.iter().filter(|run| run.error.is_none()).collect();
    let Some(first) = answered.first() else { return runs.into_iter().next() };
    let shown = answered.iter().find(|run| !run.is_correct()).unwrap_or(first);
    let mut names: Vec<&str> = Vec::new();
    for check in answered.iter().flat_map(|run| &run.checks) {
        if !names.contains(&check.check.as_str()) {
            names.push(&check.check);
        }
    }
    let count = answered.len() as f64;
    let passed = answered.iter().filter(|run| run.is_correct()).count();
    // As many as REPEAT_MAX at most.
    let repeats = Repeats { answered: answered.len() as u32, passed: passed as u32 };
    Some(CaseResult {
        repeats: Some(repeats),
        checks: names.into_iter().map(|name| merge_check(name, &answered)).collect(),
        score: answered.iter().map(|run| run.score).sum::<f64>() / count,
        latency_ms: answered.iter().map(|run| run.latency_ms).max().unwrap_or_default(),
        tokens: mean(answered.iter().filter_map(|run| Some(run.tokens? as f64))).map(whole),
        cost_usd: mean(answered.iter().filter_map(|run| run.cost_usd)),
        ..(*shown).clone()
    })
}

/// A mean of tokens to the nearest whole one.
fn whole(mean: f64) -> u64 {
    // Each is one of 64 bits, and a mean is within them.
    mean.round() as u64
}

/// One check over several runs; a run without it, as of a red line, held it.
fn merge_check(name: &str, runs: &[&CaseResult]) -> CheckResult {
    let of_name: Vec<&CheckResult> =
        runs.iter().flat_map(|run| run.checks.iter().filter(|check| check.check == name)).collect();
    let (of_name, unknown): (Vec<&CheckResult>, Vec<&CheckResult>) =
        of_name.into_iter().partition(|check| !check.unjudged);
    if of_name.is_empty()
        && let Some(unknown) = unknown.first()
    {
        return (*unknown).clone();
    }
    let wrong: Vec<&&CheckResult> = of_name.iter().filter(|check| check.score < 1.0).collect();
    let lost: f64 = of_name.iter().map(|check| 1.0 - check.score).sum();
    let held = runs.len() - wrong.len();
    let detail = match wrong.first() {
        None => String::new(),
        Some(check) if held == 0 => check.detail.clone(),
        Some(check) => format!("flaky, held in {held} of {}: {}", runs.len(), check.detail),
    };
    let score = if wrong.is_empty() { 1.0 } else { 1.0 - lost / runs.len() as f64 };
    let weight = of_name.first().map_or(1.0, |check| check.weight);
    let measures: Vec<f64> = of_name.iter().filter_map(|check| check.measured).collect();
    let mean = measures.iter().sum::<f64>() / measures.len() as f64;
    let measured = (!measures.is_empty()).then_some(mean);
    CheckResult { weight, measured, ..CheckResult::new(name, score, detail) }
}

fn report_of(
    subject: &Subject,
    cases: &CaseSet,
    (results, before): (Rows<CaseResult>, Option<&RunBefore>),
    options: &RunOptions,
    clock: &Clock,
) -> Result<EvalReport, GateError> {
    let at = clock.now();
    let cases_digest = cases.digest()?;
    let (mut tally, mut labelled) = (Tally::default(), Labelled::default());
    let mut comparing = before.map(Comparing::with);
    let mut id = RunId::new(subject, at, &cases_digest);
    for result in results.iter() {
        let result = result?;
        tally.add(&result);
        labelled.add(&result);
        comparing.iter_mut().for_each(|comparing| comparing.add(&result));
        id.add(&result);
    }
    let policy = &options.held_to.policy;
    let comparison = comparing.map(Comparing::done);
    let judged = judge_run(policy, &tally, &options.lints);
    let (verdict, reasons) = match policy.max_drop {
        Some(max_drop) => worse(judged, judge_drop(comparison.as_ref(), max_drop)),
        None => judged,
    };
    let correct = tally.correct();
    Ok(EvalReport {
        judge: options.outside.judge_record(&subject.model, labelled),
        avg_tokens: tally.avg_tokens(),
        cost_per_query: tally.cost_per_query(),
        model_files: options.model_files.clone(),
        model: subject.model.clone(),
        total: results.len(),
        correct,
        accuracy: correct as f64 / results.len().max(1) as f64,
        passed: verdict == GateVerdict::Pass,
        threshold: policy.thresholds.get(ACCURACY).copied().unwrap_or_default(),
        run_id: id.done(at),
        at,
        version_set: subject.version_set.clone(),
        cases_digest,
        held_to: Some(options.held_to.clone()),
        verdict,
        reasons,
        metrics: tally.metrics(),
        slices: tally.slices(),
        failure_table: tally.failure_table(),
        comparison,
        results,
    })
}

/// A name for a run: when it ended, and a digest of what was asked of what, and what came. A demo's
/// clock may show the same time in two runs.
struct RunId(Digester);

impl RunId {
    fn new(subject: &Subject, at: UnixMs, cases: &Digest) -> RunId {
        let mut digester = Digester::default();
        digester.part(&at.0.to_le_bytes());
        digester.part(subject.version_set.as_str().as_bytes());
        digester.part(cases.as_str().as_bytes());
        RunId(digester)
    }

    fn add(&mut self, result: &CaseResult) {
        self.0.part(result.actual.as_deref().unwrap_or_default().as_bytes());
    }

    fn done(self, at: UnixMs) -> String {
        format!("eval-{}-{}", at.0 / 1000, self.0.done().short(6))
    }
}

#[cfg(test)]
mod tests;
