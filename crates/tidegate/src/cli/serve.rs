//! `tidegate serve`: the gateway and its control in one process.

use crate::clock::Clock;
use crate::config::{Loaded, Project, Upstream, listen_addr, load};
use crate::control::{Control, ControlHandle, serve_admin};
use crate::error::{CliError, Result};
use crate::observe::Collector;
use crate::output;
use crate::request::{Gateway, GatewayOptions, Listener, Parts};
use crate::route::LiveTable;
use crate::store::{Access, Records as _, Sets as _, Store};
use crate::version_set::{FilesState, LiveSet, PackOverrides, edits_since, pack};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_core::ids::{UnixMs, VersionSetId};

/// Most edited files that are named.
const EDITS_SHOWN: usize = 5;
/// How often the project's files are compared with the served set, at most.
const COMPARE_EVERY: Duration = Duration::from_secs(5);
/// How often records past their retention are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on, instead of the project's `listen`.
    #[arg(long)]
    listen: Option<String>,
    /// Port to listen on, on 127.0.0.1; short for `--listen 127.0.0.1:PORT`.
    #[arg(long, conflicts_with = "listen")]
    port: Option<u16>,
    /// Upstream of the service's first version set; `mock` is the project's simulated one.
    #[arg(long)]
    provider: Option<String>,
    /// Write a log line for each request to stderr: lengths and versions, never content.
    #[arg(long)]
    log_requests: bool,
}

/// Runs until it is told to stop.
pub(crate) async fn run(config: &Path, args: ServeArgs, json: bool) -> Result<()> {
    let mut loaded = load(config)?;
    let listen = args.listen.or_else(|| args.port.map(|port| format!("127.0.0.1:{port}")));
    if let Some(listen) = listen {
        loaded.project.listen = listen;
        require_credentials(&loaded.project)?;
    }
    // The listener comes first: an address in use must not leave anything behind.
    let (listener, address) = Listener::bind(&loaded.project.listen).await?;
    let clock = Clock::Real;
    let upstream = args.provider.map(|name| provider(&loaded.project, name)).transpose()?;
    if !Store::exists(&loaded.root) {
        // A project that cannot be served leaves no state behind.
        let overrides = PackOverrides { upstream: upstream.clone(), ..PackOverrides::default() };
        LiveSet::new(&pack(&loaded, &overrides)?, &loaded.root, &clock)?;
    }
    let store = Store::open(&loaded.root, Access::Exclusive)?;
    let mut control = Control::open(config.to_owned(), store.clone(), clock.clone())?;
    let fresh = control.state().service.is_none();
    if !fresh && let Some(name) = &upstream {
        return Err(CliError::usage(format!(
            "`--provider {name}` is for a service's first start; this one has its version set"
        ))
        .hint(format!("release the change: `tidegate release start --upstream {name}`")));
    }
    control.adopt("tidegate serve", upstream).await?;
    if let Some(note) = control.leave_experiment().await? {
        output::talk(note);
    }
    let experimental = control.state().is_experimental();
    let collector = Arc::new(Collector::default());
    let plane = control.attach(collector.clone())?;
    let live = plane.router.load();
    let running = control.state().active_release().map(|release| {
        format!("release {} {}", release.plan.change_id, release.state.phase.as_str())
    });
    let parts = Parts { router: plane.router.clone(), collector, store: store.clone(), clock };
    let options = GatewayOptions { log_requests: args.log_requests, ..Default::default() };
    let gateway = Gateway::new(&loaded.project, parts, options)?;
    let handle = ControlHandle::start(control);
    let _admin =
        serve_admin(&loaded.root, &loaded.project.admin_listen, Some(address), handle.clone())
            .await?;
    handle.keep_looking(Duration::from_millis(loaded.project.release.tick_ms), plane);
    keep_pruning(store.clone(), loaded.project.records.retention_days);
    greet(&loaded.project.service, &live, fresh, running);
    compare_files(&loaded, config, &store, &gateway);
    if experimental {
        output::talk(EXPERIMENTAL);
    }
    // The first table must be let go, or its last request would never seem to end.
    drop(live);
    let stop = stopped();
    let url = format!("http://{address}/v1");
    match json {
        true => output::line(serde_json::json!({ "listening": url }).to_string()),
        false => output::line(format!("listening on {url}")),
    }
    let stopping = async {
        stop.await;
        output::talk("stopping: waiting for in-flight requests");
    };
    crate::request::serve(gateway, listener, stopping).await?;
    // A store that failed on the way did not stop stable traffic; it does fail the process's end.
    if let Some(error) = store.stopped() {
        return Err(error.into());
    }
    handle.stop().await?;
    Ok(store.flush().await?)
}

/// Says what is served.
fn greet(service: &str, live: &LiveTable, fresh: bool, running: Option<String>) {
    output::talk(format!("tidegate {} · {}", env!("CARGO_PKG_VERSION"), service));
    output::talk(format!(
        "stable  {} ({}){}",
        live.stable.set.id,
        live.stable.label,
        if fresh { ", taken from the project as the first version set" } else { "" }
    ));
    if let (Some(candidate), Some(running)) = (&live.candidate, running) {
        let weight = live.table.split.as_ref().map(|split| split.weight).unwrap_or_default();
        output::talk(format!(
            "candidate  {} ({}): {running}, at {weight}",
            candidate.set.id, candidate.label
        ));
    }
    if matches!(live.stable.upstream_config, Upstream::Simulated(_)) {
        output::talk("upstream: SIMULATED, answers are made by rule, not by a model");
    }
}

/// What a server says whose stable set has not passed the gate.
pub(super) const EXPERIMENTAL: &str =
    "experimental: stable's version set has not passed the gate; ask its cases: `tidegate gate`";

/// Says which files are not served as they are, and keeps comparing them.
fn compare_files(loaded: &Loaded, config: &Path, store: &Store, gateway: &Arc<Gateway>) {
    let edits = edits_of_stable(loaded, store, &gateway.stable());
    say_edits(&edits);
    gateway.set_files(FilesState::from_edits(&edits));
    keep_comparing(config.to_owned(), store.clone(), gateway.clone());
}

/// How the project's files differ from the set that stable serves; an error where they make no set.
fn edits_of_stable(loaded: &Loaded, store: &Store, stable: &VersionSetId) -> Result<Vec<String>> {
    edits_since(loaded, &store.set(stable)?)
}

/// Says which files are not served as they are now.
pub(super) fn say_edits(edits: &Result<Vec<String>>) {
    match edits {
        Ok(files) if files.is_empty() => {}
        Ok(files) => {
            let rest = files.len().saturating_sub(EDITS_SHOWN);
            let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
            let shown: Vec<&str> = files.iter().take(EDITS_SHOWN).map(String::as_str).collect();
            output::talk(format!(
                "edited since stable's version set was packed, and not served: {}{more}",
                shown.join(", ")
            ));
            output::talk("hint: they are served by a release: `tidegate release start`");
        }
        Err(error) => {
            output::talk(format!(
                "the project's files make no version set; stable is served as packed: {}",
                error.message
            ));
        }
    }
}

/// Compares the files with the served set from time to time, for `/health`. It takes at most one
/// part in a hundred of a core, however large the files are.
fn keep_comparing(config: PathBuf, store: Store, gateway: Arc<Gateway>) {
    std::thread::spawn(move || {
        loop {
            let began = Instant::now();
            let stable = gateway.stable();
            let edits = load(&config).and_then(|now| edits_of_stable(&now, &store, &stable));
            gateway.set_files(FilesState::from_edits(&edits));
            std::thread::sleep(COMPARE_EVERY.max(began.elapsed() * 100));
        }
    });
}

/// The upstream that `--provider` names.
fn provider(project: &Project, name: String) -> Result<String> {
    let is_simulated = |upstream: &Upstream| matches!(upstream, Upstream::Simulated(_));
    let simulated = || project.upstreams.iter().find(|(_, upstream)| is_simulated(upstream));
    match simulated() {
        _ if project.upstreams.contains_key(&name) => Ok(name),
        Some((simulated, _)) if name == "mock" => Ok(simulated.clone()),
        Some(_) | None => {
            let known: Vec<&str> = project.upstreams.keys().map(String::as_str).collect();
            Err(CliError::usage(format!("there is no upstream `{name}`")).hint(format!(
                "`--provider` takes {} or, for a simulated one, mock",
                known.join(", ")
            )))
        }
    }
}

/// Other machines are only let in with a credential (the project file's own address was checked
/// when it was read).
fn require_credentials(project: &Project) -> Result<()> {
    let Some(address) = listen_addr(&project.listen) else {
        return Err(CliError::usage(format!("`--listen {}` is not an address", project.listen))
            .hint("give it as `host:port`, for example `127.0.0.1:8787`"));
    };
    if address.ip().is_loopback() || !project.credentials.is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{address} can be reached from other machines, and the service has no credentials"
    ))
    .hint("add `credentials:` to tidegate.yaml, or listen on 127.0.0.1"))
}

/// Waits for Ctrl-C or SIGTERM, which are listened for from now on.
fn stopped() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let (mut terminated, mut interrupted) = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::terminate()).ok(), signal(SignalKind::interrupt()).ok())
    };
    async move {
        #[cfg(unix)]
        if let (Some(terminated), Some(interrupted)) = (&mut terminated, &mut interrupted) {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}

fn keep_pruning(store: Store, retention_days: u32) {
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(PRUNE_EVERY);
        loop {
            interval.tick().await;
            let kept_ms = u64::from(retention_days) * 86_400_000;
            let before = UnixMs(Clock::Real.now().0.saturating_sub(kept_ms));
            if let Err(error) = store.prune_records(before).await {
                output::log(&format!("records past their retention were not removed: {error}"));
            }
        }
    });
}
