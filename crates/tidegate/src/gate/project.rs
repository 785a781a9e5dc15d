//! The eval of a project as it is now: pack it, read its cases, ask them.

use super::error::GateError;
use super::load::read_cases;
use super::policy::held_to;
use super::tape::{Tape, TapeOptions};
use super::{RunOptions, case_notes, load_cases, run};
use crate::clock::Clock;
use crate::config::{Loaded, Upstream};
use crate::index::outdated;
use crate::output;
use crate::spending::Spending;
use crate::store::{Evals as _, Store};
use crate::version_set::{LiveSet, PackOverrides, pack};
use std::sync::Arc;
use tidegate_core::gate::{CheckKind, EvalReport, Labelled, ModelFiles};

/// How the cases of a project are asked.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    /// How often each, 1 to [`super::REPEAT_MAX`].
    pub(crate) repeat: u32,
    /// With the decoding that production uses, not with temperature 0.
    pub(crate) as_served: bool,
    /// The accuracy that the gate needs, instead of the project's.
    pub(crate) accuracy: Option<f64>,
    /// Whether the cases must be a whole eval set: five or more, over all five risks.
    pub(crate) whole_set: bool,
    /// Calls to the upstream at a time, instead of the project's.
    pub(crate) concurrency: Option<usize>,
    /// What the order follows from, instead of the files.
    pub(crate) seed: Option<u64>,
    /// Likenesses that are measured of every case with a reference, and decide nothing.
    pub(crate) measure: Vec<CheckKind>,
    /// The files that the model server serves, where they were named.
    pub(crate) model_files: Option<ModelFiles>,
    /// Files of answers.
    pub(crate) tape: TapeOptions,
    /// Whether Ctrl-C ends the run, with what is kept of it.
    pub(crate) interruptible: bool,
    /// Where what it costs goes.
    pub(crate) spending: Option<Arc<Spending>>,
}

impl Default for Asking {
    fn default() -> Self {
        Asking {
            repeat: 1,
            as_served: false,
            accuracy: None,
            whole_set: true,
            concurrency: None,
            seed: None,
            measure: Vec::new(),
            model_files: None,
            tape: TapeOptions::default(),
            interruptible: false,
            spending: None,
        }
    }
}

/// Runs every case on the set that the project's files make, compared case by case with the last
/// run that passed. Writes nothing.
///
/// # Errors
/// When the project cannot be packed or served, or its cases cannot be read.
pub(crate) async fn eval_project(
    loaded: &Loaded,
    overrides: &PackOverrides,
    asking: &Asking,
    store: &Store,
    clock: &Clock,
) -> Result<EvalReport, GateError> {
    let packed = pack(loaded, overrides)?;
    let cases = match asking.whole_set {
        true => load_cases(loaded, &packed)?,
        false => read_cases(loaded, &packed)?,
    };
    if let Some(size) = loaded.project.evals.sample_size {
        let asked = cases.cases.len();
        output::stderr(format!("note: evals.sample_size is {size}: {asked} cases are asked"));
    }
    for note in case_notes(&cases.cases)? {
        output::stderr(format!("note: {note}"));
    }
    if let Some(warning) = outdated(loaded) {
        output::stderr(format!("warning: {warning}"));
    }
    let live = Arc::new(LiveSet::new(&packed, &loaded.root, clock)?);
    if matches!(live.upstream_config, Upstream::Simulated(_)) && !clock.is_demo() {
        let model = &live.model;
        output::stderr(format!("SIMULATED: these answers are made by rule, not by {model}"));
    }
    let mut options =
        RunOptions::of(loaded, &packed, &cases.cases, clock, asking.spending.as_ref())?;
    options.held_to = held_to(loaded, &packed, &cases.cases, asking.accuracy)?;
    options.model_files.clone_from(&asking.model_files);
    (options.repeat, options.as_served) = (asking.repeat, asking.as_served);
    (options.seed, options.interruptible) = (asking.seed, asking.interruptible);
    options.concurrency = asking.concurrency.unwrap_or(options.concurrency);
    options.measure.clone_from(&asking.measure);
    options.previous = store.last_passed_eval()?;
    if let Some(judge) = options.outside.judge_record(&live.model, Labelled::default())
        && judge.same_family
    {
        let (judge, judged) = (&judge.model, &live.model);
        output::stderr(format!(
            "warning: the judge `{judge}` is of the same family as `{judged}`, which it judges: \
             models prefer what sounds like them; set `evals.judge` to another maker's model"
        ));
    }
    let tape = Tape::open(&loaded.root, &live.set.id, asking.as_served, &asking.tape)?;
    if let Some(note) = tape.note() {
        output::stderr(format!("note: {note}"));
    }
    run(&live, &cases, &options, &tape, clock).await
}
