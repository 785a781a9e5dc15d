//! The fixed cases, asked by schedule beside the loop, which goes on deciding.

use super::command::Command;
use super::error::{ControlError, Result};
use super::run::ControlHandle;
use crate::clock::{Clock, span};
use crate::config::load;
use crate::log::{About, Event};
use crate::route::Router;
use crate::sentinel::ask_stable;
use crate::spending::Spending;
use crate::store::{Books as _, Evals as _, Sets as _, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::ids::UnixMs;

/// Longest time until it is looked again whether a run is due: somebody may have run one by hand.
const LOOK_EVERY_MS: u64 = 30_000;

/// Asks every so often, from the last run on, until control has ended. What fails is said once for
/// each reason and tried again at the next time.
pub(crate) fn keep_asking(
    (config, every): (PathBuf, &str),
    service: String,
    control: ControlHandle,
    (store, router): (Store, Arc<Router>),
) {
    // The project was checked when it was read.
    let Ok(every_ms) = span(every) else { return };
    tokio::spawn(async move {
        let mut said = None;
        // A run that failed is not in the state.
        let mut tried_at = UnixMs(0);
        while !control.has_ended() {
            let last = control.state().sentinel.last.map_or(UnixMs(0), |(at, _)| at).max(tried_at);
            let waits_ms = every_ms.saturating_sub(Clock::Real.now().since(last));
            if waits_ms > 0 {
                let waits_ms = waits_ms.min(LOOK_EVERY_MS);
                tokio::time::sleep(Duration::from_millis(waits_ms)).await;
                continue;
            }
            let ran = ask_once(&config, &control, &store, &router).await;
            tried_at = Clock::Real.now();
            let why = ran.err().map(|error| error.to_string());
            if let Some(why) = why.clone().filter(|why| said.as_ref() != Some(why)) {
                let what = "sentinel: the fixed cases were not asked";
                About::service(&service).log(&Event::WorkFailed { what, why });
            }
            said = why;
        }
    });
}

async fn ask_once(
    config: &Path,
    control: &ControlHandle,
    store: &Store,
    router: &Router,
) -> Result<()> {
    // The table is let go at once: a request on it never seems to end otherwise.
    let live = Arc::clone(&router.load().stable);
    let state = control.state();
    let reference = state.sentinel.reference_of(&live.set.id);
    let reference = reference.map(|reference| store.sentinel(&reference.report)).transpose()?;
    let (loaded, packed) = (load(config)?, store.set(&live.set.id)?);
    // A run is many questions at a time on one thread, which serves no users.
    let (runtime, ends) = (tokio::runtime::Handle::current(), control.clone());
    let spending = Arc::new(Spending::new(loaded.project.all_prices().table));
    let spent = Arc::clone(&spending);
    let asking = tokio::task::spawn_blocking(move || {
        let (asked, reference) = ((&packed, &live), reference.as_ref());
        let by = (&Clock::Real, &spent);
        runtime.block_on(async {
            tokio::select! {
                result = ask_stable(&loaded, asked, reference, by, false) => Some(result),
                // The process ends and waits for no model server.
                () = ends.ended() => None,
            }
        })
    });
    let asked = asking.await.ok().flatten();
    store.book(spending.take()).await?;
    let result = asked.ok_or(ControlError::Ended)??;
    control.command(Command::KeepSentinel(Box::new(result))).await?;
    Ok(())
}
