//! The eval of a project as it stands: pack it, read its cases, ask them.

use super::{RunOptions, load_cases, run};
use crate::clock::Clock;
use crate::config::{Loaded, Upstream};
use crate::error::Result;
use crate::output;
use crate::store::Store;
use crate::version_set::{LiveSet, PackOverrides, pack};
use std::sync::Arc;
use tidegate_core::gate::EvalReport;

/// Runs every case on the set that the project's files make, compared case by case with the last
/// run that passed (R35). Writes nothing.
///
/// # Errors
/// When the project cannot be packed or served, or its cases cannot be read.
pub(crate) async fn eval_project(
    loaded: &Loaded,
    overrides: &PackOverrides,
    repeat: u32,
    store: &Store,
    clock: &Clock,
) -> Result<EvalReport> {
    let packed = pack(loaded, overrides)?;
    let cases = load_cases(loaded, &packed)?;
    let live = Arc::new(LiveSet::new(&packed, &loaded.root, clock)?);
    if matches!(live.upstream_config, Upstream::Simulated(_)) && !clock.is_demo() {
        let model = &live.model;
        output::talk(format!("SIMULATED: these answers are made by rule, not by {model}"));
    }
    let mut options = RunOptions::of(loaded, &packed)?;
    options.repeat = repeat;
    options.previous = store.last_passed_eval()?;
    Ok(run(&live, &cases, &options, clock).await)
}
