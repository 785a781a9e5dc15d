//! `tidegate release`, `rollback` and `incident`.

use super::backend::{Backend, Seen, read_state, read_status};
use super::outlook::OutlookArgs;
use super::serve::say_edits;
use super::{CandidateArgs, operator};
use crate::clock::Clock;
use crate::config::load;
use crate::control::{Answer, Command, StartRequest};
use crate::error::{CliError, Result};
use crate::index::outdated;
use crate::lang::{self, Lang};
use crate::output;
use crate::smoke::ask_set;
use crate::store::Sets as _;
use crate::version_set::{edits_since, pack};
use crate::view::{self, EndpointAnswer, IncidentAnswer, TableAnswer};
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;
use tidegate_core::decide::{Order, OrderKind, Phase};
use tidegate_core::evidence::{GateRun, GateStatus};
use tidegate_core::ids::{ChangeId, IncidentId};
use tidegate_core::journal::{ControlState, Release};

/// How often a watched release is read.
const WATCH_EVERY: Duration = Duration::from_millis(300);

/// Start, watch and steer a release.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Estimate how long each rung takes, and what it can and cannot show. Needs no server.
    Plan(OutlookArgs),
    /// Start a release: pack the project, check its eval, send it the first users.
    Start(StartArgs),
    /// Show the running release, or the last one.
    Status(StatusArgs),
    /// Stay at this rung until `resume`; red and black signals still act.
    Pause(OrderArgs),
    /// Continue a paused release.
    Resume(OrderArgs),
    /// Go to the next rung now, or to everyone with `--full`.
    Promote(PromoteArgs),
    /// Open the entrance again after a black signal.
    Reopen(OrderArgs),
}

/// What a start takes.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    candidate: CandidateArgs,
    /// Show the ladder live until the release is over.
    #[arg(long)]
    watch: bool,
    /// With `--watch`: wait this long at most, seconds; then the release goes on, and the exit
    /// code is 3.
    #[arg(long, value_name = "SECONDS", requires = "watch")]
    within: Option<u64>,
    /// Who starts it; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// Release a set that was rolled back before; needs `--reason`.
    #[arg(long = "override", requires = "reason")]
    override_block: bool,
    /// Why it is released again; with `--override`.
    #[arg(long)]
    reason: Option<String>,
    /// Start without asking the candidate one question first.
    #[arg(long)]
    no_smoke: bool,
    /// First run the smoke test on the service in this environment of the project; its report is
    /// in the evidence.
    #[arg(long, value_name = "NAME", conflicts_with = "no_smoke")]
    smoke_env: Option<String>,
    /// Start although the old set cannot read what the new one writes.
    #[arg(long)]
    accept_one_way: bool,
}

/// What a status takes.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A release; left out, the running or last one.
    change_id: Option<String>,
    /// Show it live until it is over.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Which server is meant.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server, by its admin or service address; left out, the server of this project, or
    /// outside any project the only server that runs.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) server: Option<String>,
}

/// What an order takes.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// Who gives the order; left out, the environment's USER.
    #[arg(long)]
    by: Option<String>,
    /// Why the order is given; kept in the journal.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// What a rollback takes.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The release; left out, the running one. One that was promoted must be named.
    change_id: Option<String>,
    /// Roll back without asking the version set before for an answer first.
    #[arg(long)]
    anyway: bool,
    #[command(flatten)]
    order: OrderArgs,
}

/// What a promotion takes.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Make the candidate stable at once.
    #[arg(long)]
    full: bool,
}

/// Incidents.
#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// List the incidents.
    List,
    /// Close an incident; its failures must be regression cases first.
    Close {
        /// Its id (`inc-…`), or its release's.
        incident: String,
        /// What was concluded.
        #[arg(long)]
        conclusion: String,
        /// Who closes it.
        #[arg(long)]
        by: Option<String>,
    },
}

/// Runs `tidegate release …`.
pub(crate) async fn run(config: &Path, command: ReleaseCommand, json: bool) -> Result<()> {
    match command {
        ReleaseCommand::Plan(args) => super::outlook::run(config, &args, json),
        ReleaseCommand::Start(args) => start(config, args, json).await,
        ReleaseCommand::Status(args) => status(config, &args, json).await,
        ReleaseCommand::Pause(args) => order(config, OrderKind::Pause, &args, json).await,
        ReleaseCommand::Resume(args) => order(config, OrderKind::Resume, &args, json).await,
        ReleaseCommand::Promote(args) => {
            let kind = if args.full { OrderKind::PromoteFully } else { OrderKind::Promote };
            order(config, kind, &args.order, json).await
        }
        ReleaseCommand::Reopen(args) => {
            let by = operator(args.by.as_deref())?;
            let command = Command::Reopen { by, reason: args.reason.clone() };
            let server = args.server.server.as_deref();
            say(&Backend::reach(config, server).await?.command(command).await?, json);
            Ok(())
        }
    }
}

async fn start(config: &Path, args: StartArgs, json: bool) -> Result<()> {
    let set = args.candidate.kept()?;
    if args.override_block && args.by.is_none() {
        return Err(CliError::usage("an override needs a named person")
            .hint("say who takes it on: `--override --by NAME --reason WHY`"));
    }
    let mut request = StartRequest {
        set,
        overrides: args.candidate.overrides(),
        by: operator(args.by.as_deref())?,
        override_reason: if args.override_block { args.reason } else { None },
        accept_one_way: args.accept_one_way,
        smoke: None,
    };
    request.smoke = match args.no_smoke {
        true => None,
        false => smoke_test(config, &request, args.smoke_env.as_deref()).await?,
    };
    let mut backend = Backend::connect(config).await?;
    let answer = backend.command(Command::Start(Box::new(request))).await?;
    let served = backend.is_server();
    // The state's lock must be free before anything is read or waited for.
    drop(backend);
    say(&answer, json);
    if !served {
        output::sentence(view::waits_for_server(lang::reader()));
    }
    let Some(change_id) = answer.change_id else { return Ok(()) };
    if args.watch {
        return match args.within {
            Some(within_s) => watch_within(config, &change_id, json, within_s).await,
            None => watch(config, None, &change_id, json).await,
        };
    }
    output::sentence(view::next_steps(lang::reader()));
    Ok(())
}

/// Asks the service in an environment, where one is named, and the candidate one question. A set
/// that cannot be read or packed is not asked: the start says what is wrong with it.
pub(super) async fn smoke_test(
    config: &Path,
    request: &StartRequest,
    environment: Option<&str>,
) -> Result<Option<GateRun>> {
    let service = match environment {
        Some(name) => Some(super::smoke::before_release(config, name).await?),
        None => None,
    };
    let Ok(loaded) = load(config) else { return Ok(None) };
    let packed = match &request.set {
        Some(id) => read_state(&loaded.root).and_then(|(store, _)| Ok(store.set(id)?)),
        None => pack(&loaded, &request.overrides).map_err(CliError::from),
    };
    let Ok(packed) = packed else { return Ok(None) };
    let run = ask_set(&loaded, &packed, &Clock::Real).await?;
    let first = run.text.lines().next().unwrap_or_default().to_owned();
    match run.status {
        GateStatus::Pass => {}
        GateStatus::Inconclusive => output::stderr(format!("smoke test: {first}")),
        GateStatus::Fail => {
            return Err(CliError::failed(format!("the smoke test failed: {first}"))
                .hint("nothing was started; `tidegate check --live` asks again")
                .hint("start it without the test: `--no-smoke`"));
        }
    }
    Ok(Some(match service {
        Some(service) => GateRun { text: format!("{}\n{}", service.text, run.text), ..run },
        None => run,
    }))
}

async fn status(config: &Path, args: &StatusArgs, json: bool) -> Result<()> {
    let server = args.server.server.as_deref();
    let seen = read_status(config, server).await?;
    // JSON is in English, whoever asks.
    let notes: Vec<String> = seen.note(Lang::En).into_iter().collect();
    let note = seen.note(lang::reader());
    let Seen { state, served, endpoints, .. } = seen;
    let edits = edits(config, &state);
    let table = state.table.clone().map(TableAnswer::from);
    let change_id = match &args.change_id {
        Some(id) => Some(ChangeId::parse(id).map_err(|e| CliError::usage(e.to_string()))?),
        None => state.active_release().or(state.last_release()).map(|r| r.plan.change_id.clone()),
    };
    let Some(change_id) = change_id else {
        if json {
            output::json(&serde_json::json!({
                "service": state.service, "table": table, "served": served,
                "notes": notes, "release": null,
                "experimental": state.is_experimental(), "approvals": state.approvals,
                "files_edited": edits.and_then(Result::ok), "endpoints": endpoints,
            }));
        } else {
            let [none, hint] = view::no_release(lang::reader());
            output::line(none);
            note.iter().flat_map(|note| output::wrapped(note, 2)).for_each(output::line);
            output::sentence(hint);
            say_service(config, &state, edits, &endpoints);
        }
        return Ok(());
    };
    if args.watch {
        return watch(config, server, &change_id, json).await;
    }
    let release = state.releases.get(&change_id).ok_or_else(|| unknown(&change_id, &state))?;
    if json {
        output::json(&serde_json::json!({
            "service": state.service,
            "table": table,
            "served": served,
            "notes": notes,
            "approvals": state.approvals,
            "experimental": state.is_experimental(),
            "files_edited": edits.and_then(Result::ok),
            "endpoints": endpoints,
            "release": view::with_sentences(release),
            "incident": state.incident_of(&change_id).cloned().map(IncidentAnswer::from),
        }));
    } else {
        for line in view::release(release, &state, Clock::Real.now()) {
            output::line(line);
        }
        note.iter().flat_map(|note| output::wrapped(note, 2)).for_each(output::line);
        if let Some(note) = unserved(release, served) {
            output::sentence(note);
        }
        say_service(config, &state, edits, &endpoints);
    }
    Ok(())
}

/// Which files differ from what stable serves; `None` where files or state cannot be read, which
/// is no reason to say nothing of the release.
fn edits(config: &Path, state: &ControlState) -> Option<Result<Vec<String>>> {
    let loaded = load(config).ok()?;
    let (store, _) = read_state(&loaded.root).ok()?;
    let stable = store.set(&state.table.as_ref()?.stable).ok()?;
    Some(edits_since(&loaded, &stable).map_err(CliError::from))
}

/// Says what holds of the service as a whole: whether it is an experiment, and which of its files
/// are not served.
fn say_service(
    config: &Path,
    state: &ControlState,
    edits: Option<Result<Vec<String>>>,
    endpoints: &[EndpointAnswer],
) {
    view::endpoints(lang::reader(), endpoints).iter().for_each(output::line);
    view::approvals(state).iter().for_each(output::line);
    if state.service.is_some() && state.is_experimental() {
        output::sentence(view::experimental(lang::reader()));
    }
    if let Some(edits) = edits {
        say_edits(lang::reader(), &edits);
    }
    if let Some(warning) = load(config).ok().and_then(|loaded| outdated(&loaded)) {
        output::sentence(warning);
    }
}

/// What to say of a release that goes on while nobody decides it.
fn unserved(release: &Release, served: bool) -> Option<&'static str> {
    let goes_on = !release.state.phase.is_final();
    (goes_on && !served).then(|| view::unserved(lang::reader()))
}

fn unknown(change_id: &ChangeId, state: &ControlState) -> CliError {
    let known: Vec<String> = state.releases.keys().map(|id| format!("`{id}`")).collect();
    let error = CliError::usage(format!("this project has no release `{change_id}`"));
    if known.is_empty() {
        error.hint("no release was started yet: `tidegate release start`")
    } else {
        error.hint(format!("known: {}", known.join(", ")))
    }
}

/// Shows a release live: redrawn in place on a terminal, a line for each change elsewhere.
async fn watch(
    config: &Path,
    server: Option<&str>,
    change_id: &ChangeId,
    json: bool,
) -> Result<()> {
    tokio::select! {
        ended = watch_to_the_end(config, server, change_id, json) => ended,
        _ = tokio::signal::ctrl_c() => {
            let lang = lang::reader();
            let over = view::no_longer_watched(lang, change_id.as_str());
            output::stderr(format!("\n{over}\n{}", view::next_steps(lang)));
            Ok(())
        }
    }
}

/// The same for a pipeline, which does not wait for ever.
async fn watch_within(config: &Path, id: &ChangeId, json: bool, within_s: u64) -> Result<()> {
    let watched = watch(config, None, id, json);
    let over = || CliError::inconclusive(format!("release {id} is not over after {within_s} s"));
    tokio::time::timeout(Duration::from_secs(within_s), watched).await.unwrap_or_else(|_| {
        Err(over().hint(format!("it goes on: `tidegate release status {id} --watch`")))
    })
}

async fn watch_to_the_end(
    config: &Path,
    server: Option<&str>,
    change_id: &ChangeId,
    json: bool,
) -> Result<()> {
    let in_place = std::io::stdout().is_terminal() && !json;
    let mut drawn = 0;
    let mut last = String::new();
    loop {
        let seen = read_status(config, server).await?;
        let note = seen.note(lang::reader());
        let Seen { state, served, .. } = seen;
        let release = state.releases.get(change_id).ok_or_else(|| unknown(change_id, &state))?;
        if in_place {
            let mut lines = view::release(release, &state, Clock::Real.now());
            let beside = note.as_deref().into_iter().chain(unserved(release, served));
            lines.extend(beside.flat_map(|text| output::wrapped(text, 2)));
            drawn = view::redraw(&lines, drawn);
        } else {
            let line = view::one_line(release, &state);
            if line != last {
                match &release.last_decision {
                    Some(decision) if json => output::line(view::json_line(decision, &state)),
                    None if json => {}
                    Some(_) | None => output::line(&line),
                }
                last = line;
            }
        }
        match release.state.phase {
            Phase::Running | Phase::Paused(_) => tokio::time::sleep(WATCH_EVERY).await,
            Phase::Ended | Phase::Promoted => return Ok(()),
            Phase::RolledBack | Phase::ShutOff => {
                return Err(CliError::failed(format!("release {change_id} was rolled back"))
                    .hint(format!("the evidence: `tidegate evidence {change_id}`")));
            }
        }
    }
}

async fn order(config: &Path, kind: OrderKind, args: &OrderArgs, json: bool) -> Result<()> {
    order_of(config, kind, (None, false), args, json).await
}

async fn order_of(
    config: &Path,
    kind: OrderKind,
    (release, anyway): (Option<ChangeId>, bool),
    args: &OrderArgs,
    json: bool,
) -> Result<()> {
    let order = Order { kind, by: operator(args.by.as_deref())?, reason: args.reason.clone() };
    let command = Command::Order { order, release, anyway };
    say(
        &Backend::reach(config, args.server.server.as_deref()).await?.command(command).await?,
        json,
    );
    Ok(())
}

/// Runs `tidegate rollback`.
pub(crate) async fn rollback(config: &Path, args: &RollbackArgs, json: bool) -> Result<()> {
    let named = args.change_id.as_deref().map(ChangeId::parse).transpose();
    let named = named.map_err(|e| CliError::usage(e.to_string()))?;
    order_of(config, OrderKind::RollBack, (named, args.anyway), &args.order, json).await
}

/// Runs `tidegate incident …`.
pub(crate) async fn incident(config: &Path, command: IncidentCommand, json: bool) -> Result<()> {
    match command {
        IncidentCommand::List => {
            let state = read_status(config, None).await?.state;
            if json {
                let said = state.incidents.into_iter();
                let said: BTreeMap<_, IncidentAnswer> =
                    said.map(|(id, incident)| (id, incident.into())).collect();
                output::json(&said);
                return Ok(());
            }
            if state.incidents.is_empty() {
                output::line(view::no_incidents(lang::reader()));
            }
            for (id, incident) in &state.incidents {
                let text = view::incident(id, incident);
                output::wrapped(&text, 2).iter().for_each(output::line);
            }
            Ok(())
        }
        IncidentCommand::Close { incident, conclusion, by } => {
            let incident =
                IncidentId::meant(&incident).map_err(|e| CliError::usage(e.to_string()))?;
            let by = operator(by.as_deref())?;
            let command = Command::CloseIncident { incident, by, conclusion };
            say(&Backend::reach(config, None).await?.command(command).await?, json);
            Ok(())
        }
    }
}

pub(super) fn say(answer: &Answer, json: bool) {
    if json {
        return output::json(answer);
    }
    output::wrapped(&answer.sentence(lang::reader()), 2).iter().for_each(output::line);
}
