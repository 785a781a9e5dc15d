//! `tidegate shadow --from-records 24h`: recorded requests are asked of a candidate, from here, and
//! the pairs are kept as those of a shadow that mirrors.

use super::{CapArgs, gate};
use crate::cli::CandidateArgs;
use crate::cli::backend::{Backend, read_state};
use crate::clock::{Clock, span};
use crate::config::{Loaded, load};
use crate::control::{Command, ControlError, ShadowRequest, shadow_plan};
use crate::error::{CliError, Result};
use crate::gate::Comparer;
use crate::lang;
use crate::output;
use crate::route::Shadowing;
use crate::shadow::{By, Left, Ran, over_records};
use crate::spending::Spending;
use crate::store::{Sets as _, Store};
use crate::version_set::LiveSet;
use crate::view::{self, ShadowAnswer};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::ids::VersionSetId;
use tidegate_core::journal::{ControlState, ReplayError};
use tidegate_core::shadow::{EndReason, Ledger, Shadow};

/// What a shadow over recorded requests takes.
#[derive(Debug, Args)]
pub(crate) struct RecordedArgs {
    /// Ask requests that were recorded in this time, such as `24h`, and compare each answer with
    /// the recorded one.
    #[arg(long = "from-records", value_name = "TIME", value_parser = span)]
    from_records_ms: Option<u64>,
    #[command(flatten)]
    candidate: CandidateArgs,
    /// Share of the recorded requests that is asked; left out, all of them.
    #[arg(long, value_name = "PERCENT")]
    sample: Option<f64>,
    #[command(flatten)]
    caps: CapArgs,
    /// End with 0 where the candidate is not worse, with 1 where it is, with 3 where that is not
    /// known.
    #[arg(long)]
    gate: bool,
    /// Who starts it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
}

/// Runs it.
pub(super) async fn run(config: &Path, args: &RecordedArgs, json: bool) -> Result<()> {
    let Some(ago) = args.from_records_ms else {
        return Err(CliError::usage("say what to do: `start`, `status`, `stop`")
            .hint("or `--from-records 24h`, which asks recorded requests"));
    };
    let (loaded, by) = (load(config)?, args.by.as_deref());
    let request = args.caps.request(&args.candidate, args.sample, by, Some(ago))?;
    let mut backend = Backend::connect(config).await?;
    let set = match &request.set {
        Some(set) => set.clone(),
        None => pack(&mut backend, &request).await?,
    };
    let (store, state) = match &backend {
        Backend::Server(_) => read_state(&loaded.root)?,
        Backend::Here(control) => (control.store().clone(), control.state().clone()),
    };
    let (stable, shadowing) = begin(&loaded, (&store, &state), &set, &request)?;
    let prices = loaded.project.all_prices();
    let ran = over_records(
        &shadowing,
        &By {
            store: &store,
            stable: &stable,
            records: &loaded.project.records,
            prices: &prices,
            clock: &Clock::Real,
            operator: &request.by,
        },
    )
    .await;
    backend.book(&shadowing.spending).await;
    let ran = ran?;
    if ran.result.pairs.is_empty() && !ran.is_interrupted {
        return Err(match ran.result.why == EndReason::Caps {
            true => CliError::inconclusive("the cap on money has no room for one request")
                .hint("`--max-cost` or `release.shadow.max_cost_usd` raises it"),
            false => nothing_asked(&ran.left),
        });
    }
    backend.command(Command::KeepShadow(Box::new(ran.result.clone()))).await?;
    show(ran, args.gate, json)
}

async fn pack(backend: &mut Backend, request: &ShadowRequest) -> Result<VersionSetId> {
    let answer = backend.command(Command::Pack(request.overrides.clone())).await?;
    answer.version_set.ok_or_else(|| CliError::internal("what was packed has no name"))
}

/// The set that stable serves, and the shadow, of which all is granted: it ends with this process.
fn begin(
    loaded: &Loaded,
    (store, state): (&Store, &ControlState),
    set: &VersionSetId,
    request: &ShadowRequest,
) -> Result<(Arc<LiveSet>, Shadowing)> {
    if let Some(active) = &state.active {
        return Err(ControlError::from(ReplayError::ReleaseRunning(active.clone())).into());
    }
    if let Some(running) = state.shadow() {
        let running = running.plan.to.clone();
        return Err(ControlError::from(ReplayError::ShadowRunning(running)).into());
    }
    let table = state.table.as_ref().ok_or(ControlError::NoService)?;
    let (stable, packed) = (store.set(&table.stable)?, store.set(set)?);
    let live = |packed| LiveSet::new(packed, &loaded.root, &Clock::Real).map(Arc::new);
    let (stable, candidate) = (live(&stable)?, live(&packed)?);
    let now = Clock::Real.now();
    let plan = shadow_plan(&loaded.project, (&stable, &candidate), request, &packed, now)?;
    let shadow = Shadow { granted: plan.most, ..Shadow::begin(plan.clone(), &request.by) };
    let spending = Spending::new(loaded.project.all_prices().table);
    let comparer = Comparer::new(loaded, &Clock::Real)?;
    let ledger = Ledger::begun(&shadow);
    let shadowing = Shadowing::new(plan, candidate, ledger, (spending, comparer));
    Ok((stable, shadowing))
}

fn show(ran: Ran, is_gate: bool, json: bool) -> Result<()> {
    let Ran { result, missed, left, is_interrupted } = ran;
    let shadow = Shadow::begin(result.plan, &result.by);
    let end = shadow.ending(&result.pairs, Clock::Real.now(), result.why);
    let (verdict, pairs) = (end.verdict, end.pairs);
    let shadow = ShadowAnswer::of(&shadow.over(result.used, end), missed);
    if json {
        let names: BTreeMap<&str, u64> = left.iter().map(|(why, n)| (why.as_str(), *n)).collect();
        output::json(&json!({"shadow": shadow, "left_out": names}));
    } else {
        view::shadow(lang::reader(), &shadow).iter().for_each(output::line);
        if let Some(note) = left_out(&left) {
            output::stderr(format!("note: {note}"));
        }
    }
    if is_interrupted {
        let message = format!("interrupted after {pairs} pairs, which are kept");
        return Err(CliError { shown: json, ..CliError::inconclusive(message) });
    }
    if is_gate { gate(Some(verdict), json) } else { Ok(()) }
}

fn reason(why: Left) -> &'static str {
    match why {
        Left::OtherSet => "answered by another version set",
        Left::NoAnswer => "answered by no model: the cache, a degraded service, a client that left",
        Left::Audited => "of tenants that are audited",
        Left::NoText => "without their text",
        Left::Replaced => "in which personal data was replaced, or whose text is cut",
        Left::More => "that brought more than one text, or were recorded before that was noted",
    }
}

fn left_out(left: &BTreeMap<Left, u64>) -> Option<String> {
    let each: Vec<String> =
        left.iter().map(|(why, count)| format!("{count} {}", reason(*why))).collect();
    (!each.is_empty()).then(|| format!("recorded requests that were left out: {}", each.join("; ")))
}

/// Nothing could be asked, and why.
fn nothing_asked(left: &BTreeMap<Left, u64>) -> CliError {
    let live = "`tidegate shadow start` compares requests as they come, whole";
    let Some(note) = left_out(left) else {
        return CliError::inconclusive("no request of stable is recorded from that time").hint(
            "take a longer time, or begin with requests as they come: `tidegate shadow start`",
        );
    };
    let error = CliError::inconclusive(format!("no recorded request can be asked again; {note}"));
    let error = match left.contains_key(&Left::NoText) {
        true => error.hint("`records.content: true` keeps texts from then on"),
        false => error,
    };
    error.hint(live)
}
