//! One run over the fixed cases, beside the reference.

use crate::clock::Clock;
use crate::config::Loaded;
use crate::gate::{Asked, GateError, RunOptions, Subject, Tape, ask, read_cases, run_with};
use crate::spending::Spending;
use crate::version_set::{LiveSet, PackedSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use tidegate_core::drift::{
    Drift, FixedAnswer, FixedCase, Said, SentinelRun, SentinelSpent, compare,
};
use tidegate_core::gate::{CalledTool, Case, CaseResult, CaseSet, CheckKind};
use tidegate_core::ids::{Digest, UnixMs};
use tidegate_core::money::{Money, Purpose};
use tidegate_core::text::redact;

/// A run, what it says, and what it used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SentinelResult {
    /// The run; where something changed, with what was asked again.
    pub(crate) run: SentinelRun,
    /// What it says beside the reference; absent where there is none yet.
    pub(crate) drift: Option<Drift>,
    /// What it used.
    pub(crate) spent: SentinelSpent,
}

/// Why a run says nothing.
#[derive(Debug, Error)]
pub(crate) enum SentinelError {
    /// The cases, or the set.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// There is no case.
    #[error("there is no case to ask")]
    NoCases,
    /// The first run has too few answers to be compared with later.
    #[error("{unanswered} of {asked} questions got no answer, so there is no reference: {why}")]
    NoReference { asked: u64, unanswered: u64, why: String },
}

/// Asks the set that is served the fixed cases, and compares what comes with the reference. What
/// changed is asked again at once, and only what is seen twice counts. What it costs goes to
/// `spending`, whatever comes of the run.
///
/// # Errors
/// When the cases cannot be read, or the first run has too few answers.
pub(crate) async fn ask_stable(
    loaded: &Loaded,
    (packed, live): (&PackedSet, &Arc<LiveSet>),
    reference: Option<&SentinelRun>,
    (clock, spending): (&Clock, &Arc<Spending>),
    progress: bool,
) -> Result<SentinelResult, SentinelError> {
    let cases = fixed_cases(loaded, packed)?;
    let mut options = RunOptions::of(loaded, packed, &cases.cases, clock, Some(spending))?;
    (options.repeat, options.previous, options.progress) = (1, None, progress);
    let asker = Asker { live, cases: &cases, options: &options, clock };
    let repeats = loaded.project.sentinel.repeats;
    let Some(reference) = reference else {
        // Its first answer is what all others are compared with.
        let (run, spent) = asker.run(repeats.saturating_add(1)).await?;
        if run.is_good() {
            return Ok(SentinelResult { run, drift: None, spent });
        }
        let ((asked, unanswered), why) = (run.asked(), run.error().unwrap_or_default().to_owned());
        return Err(SentinelError::NoReference { asked, unanswered, why });
    };
    let (mut run, mut spent) = asker.run(repeats).await?;
    let mut drift = compare(reference, &run);
    if drift.verdict.is_change() {
        let (again, more) = asker.run(repeats).await?;
        drift = compare(reference, &again);
        spent = spent.plus(more);
        run.join(again);
    }
    Ok(SentinelResult { run, drift: Some(drift), spent })
}

/// The cases, each asked once in a pass and with the decoding of an eval.
fn fixed_cases(loaded: &Loaded, packed: &PackedSet) -> Result<CaseSet, SentinelError> {
    let mut loaded = loaded.clone();
    if let Some(cases) = loaded.project.sentinel.cases.clone() {
        loaded.project.evals.cases = cases;
    }
    let mut set = read_cases(&loaded, packed).map_err(GateError::from)?;
    set.cases = set.cases.map(|mut case| {
        case.handling.repeat = None;
        case.handling.as_served = false;
        case.checks.max_latency_ms = None;
        // Nor as a stream, where a server does not say by what it runs.
        case.checks.listed.retain(|check| check.kind != CheckKind::MaxTtftMs);
        case
    });
    if set.cases.is_empty() { Err(SentinelError::NoCases) } else { Ok(set) }
}

/// What an answer's server says of itself, and what it used.
#[derive(Debug, Clone, Default)]
struct Heard {
    model: Option<String>,
    fingerprint: Option<String>,
    calls: Vec<CalledTool>,
    spent: SentinelSpent,
}

struct Asker<'a> {
    live: &'a Arc<LiveSet>,
    cases: &'a CaseSet,
    options: &'a RunOptions,
    clock: &'a Clock,
}

impl Asker<'_> {
    /// Asks every case so many times: pass after pass, so that answers to one question are apart.
    async fn run(&self, passes: u32) -> Result<(SentinelRun, SentinelSpent), GateError> {
        let mut spent = SentinelSpent::default();
        let mut cases: Vec<FixedCase> =
            self.cases.cases.to_vec().map_err(GateError::from)?.iter().map(fixed).collect();
        for _ in 0..passes {
            let (results, mut heard) = self.pass().await?;
            for (case, result) in cases.iter_mut().zip(&results) {
                let heard = heard.remove(&case.id);
                let used = heard.as_ref().map(|heard| heard.spent).unwrap_or_default();
                spent = spent.plus(SentinelSpent { requests: 1, ..used });
                case.answers.push(answer(result, heard));
            }
        }
        let at = self.clock.now();
        let run = SentinelRun {
            run_id: run_id(at, self.live.set.id.as_str(), &cases),
            at,
            set: self.live.set.id.clone(),
            upstream: self.live.upstream_name.clone(),
            endpoint: self.live.upstream_config.base_url().to_owned(),
            model: self.live.model.clone(),
            cases,
            known: std::collections::BTreeSet::new(),
        };
        Ok((run, spent))
    }

    /// One pass over the cases.
    async fn pass(&self) -> Result<(Vec<CaseResult>, BTreeMap<String, Heard>), GateError> {
        let live = self.live;
        let (set, model) = (live.set.id.clone(), live.model.clone());
        let subject = Subject { model, version_set: set };
        let heard: Mutex<BTreeMap<String, Heard>> = Mutex::default();
        let account = self.options.outside.account(Purpose::Sentinel);
        let deadlines = self.options.deadlines;
        // Nothing is taken from earlier runs, and nothing kept for later ones.
        let tape = (&Tape::default(), self.clock);
        let report = run_with(&subject, self.cases, self.options, tape, |case: Arc<Case>| {
            let (heard, account) = (&heard, account.as_ref());
            async move {
                let asked = ask(live, &case, deadlines, false, account).await;
                if let Ok(asked) = &asked {
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.insert(
                        case.id.clone(),
                        Heard::of(asked, self.options.outside.cost(asked)),
                    );
                }
                asked
            }
        })
        .await?;
        Ok((report.results.to_vec()?, heard.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Heard {
    fn of(asked: &Asked, cost: Option<Money>) -> Heard {
        let usage = asked.usage.unwrap_or_default();
        let (tokens_in, tokens_out) = (usage.tokens_in, usage.tokens_out);
        let cost = cost.unwrap_or_default();
        Heard {
            model: asked.named.clone(),
            fingerprint: asked.fingerprint.clone(),
            calls: asked.calls.clone(),
            spent: SentinelSpent { requests: 0, tokens_in, tokens_out, cost },
        }
    }
}

/// A case without answers yet.
fn fixed(case: &Case) -> FixedCase {
    let messages = serde_json::to_vec(&case.handling.messages).unwrap_or_default();
    let system = case.system.as_deref().unwrap_or_default();
    let question = Digest::of_parts(&[case.input.as_bytes(), system.as_bytes(), &messages]);
    FixedCase { id: case.id.clone(), question, answers: Vec::new() }
}

fn answer(result: &CaseResult, heard: Option<Heard>) -> FixedAnswer {
    if let Some(error) = &result.error {
        return FixedAnswer::Unanswered(redact(error));
    }
    let heard = heard.unwrap_or_default();
    let mut text = result.actual.clone().unwrap_or_default();
    for CalledTool { name, arguments, problem: _ } in &heard.calls {
        text.push_str(&format!("\n{name} {arguments}"));
    }
    let (model, fingerprint) = (heard.model, heard.fingerprint);
    let (correct, score) = (result.is_correct(), result.score);
    FixedAnswer::Said(Said { text, correct, score, model, fingerprint })
}

/// A name for a run: when it ended, and a digest of what came.
fn run_id(at: UnixMs, set: &str, cases: &[FixedCase]) -> String {
    let came = serde_json::to_vec(cases).unwrap_or_default();
    let hash = Digest::of_parts(&[&at.0.to_le_bytes(), set.as_bytes(), &came]);
    format!("sentinel-{}-{}", at.0 / 1000, hash.short(6))
}
