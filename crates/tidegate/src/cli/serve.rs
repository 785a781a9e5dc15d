//! `tidegate serve`: the gateway and its control in one process.

use super::end_without_the_disk;
use crate::clock::Clock;
use crate::config::{
    Loaded, Project, TlsFiles, Upstream, Workspace, is_open_to_all, listen_addr, load,
};
use crate::error::{CliError, ErrorKind, Result};
use crate::host::{Host, HostError, HostOptions, RunningHost};
use crate::http::Tls;
use crate::lang::Lang;
use crate::log;
use crate::output;
use crate::request::{Front, Gateway, GatewayOptions};
use crate::store::{Sets as _, Store};
use crate::version_set::{FilesState, edits_since};
use crate::view;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tidegate_core::ids::VersionSetId;

/// How often the project's files are compared with the served set, at most.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// After the end of the time for requests in flight, how long the state may take to be written.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// After a second order to stop, how long the state may take to be written.
const HURRY: Duration = Duration::from_secs(2);

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Project folders, to serve several services in one process; left out, the project here.
    projects: Vec<PathBuf>,
    /// A file that lists the projects: `services: [./desk, ./shop]`.
    #[arg(long, value_name = "FILE", conflicts_with = "projects")]
    workspace: Option<PathBuf>,
    /// Address to listen on, instead of the project's `listen`.
    #[arg(long)]
    listen: Option<String>,
    /// Port to listen on, on 127.0.0.1; short for `--listen 127.0.0.1:PORT`.
    #[arg(long, conflicts_with = "listen")]
    port: Option<u16>,
    /// Upstream of the first version set; `mock` is the project's simulated upstream.
    #[arg(long)]
    provider: Option<String>,
    /// Write a log line for each request to stderr: lengths and versions, never content.
    #[arg(long)]
    log_requests: bool,
    /// The log's lines: text for people, or one JSON object each.
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "TIDEGATE_LOG_FORMAT")]
    pub(super) log_format: log::Format,
}

/// A project with its file.
struct Member {
    config: PathBuf,
    loaded: Loaded,
}

/// Runs until it is asked to stop.
pub(crate) async fn run(config: &Path, args: ServeArgs, json: bool) -> Result<()> {
    let workspace = match (&args.workspace, args.projects.as_slice()) {
        (Some(file), _) => Workspace::read(file)?,
        (None, []) => Workspace { listen: None, tls: None, projects: vec![config.to_owned()] },
        (None, projects) => Workspace::of(projects)?,
    };
    let mut members = Vec::new();
    for config in workspace.projects {
        let loaded = load(&config)?;
        members.push(Member { config, loaded });
    }
    require_distinct_names(&members)?;
    let names: Vec<&str> =
        members.iter().map(|member| member.loaded.project.service.as_str()).collect();
    output::set_service(names.join(","));
    output::queue_log();
    let given = args.listen.or_else(|| args.port.map(|port| format!("127.0.0.1:{port}")));
    let given = given.map(|listen| (format!("--listen {listen}"), listen));
    let set = workspace.listen.map(|listen| (format!("listen: {listen}"), listen));
    let listen = match given.or(set) {
        Some((said, listen)) => {
            for member in &members {
                require_credentials(&member.loaded.project, &listen, &said)?;
            }
            listen
        }
        None => common_listen(&members)?,
    };
    // The listener comes first: an address in use must not leave anything behind.
    let tls = tls_of(workspace.tls, &members)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = crate::request::bind(&listen).await?.behind(tls.clone());
    let address = listener.address();
    let mut services = Vec::new();
    for Member { config, loaded } in &members {
        let name = args.provider.clone();
        let options = HostOptions {
            clock: Clock::Real,
            upstream: name.map(|name| provider(&loaded.project, name)).transpose()?,
            by: "tidegate serve",
            gateway: GatewayOptions { log_requests: args.log_requests, ..Default::default() }
                .ending(&loaded.project.limits),
        };
        let mut host = Host::open(config, loaded, options).await?;
        if let Some(note) = host.control.leave_experiment().await? {
            output::stderr(note);
        }
        greet(&loaded.project.service, &host);
        compare_files(loaded, config, &host.store, &host.gateway);
        if host.control.state().is_experimental() {
            output::stderr(view::experimental(Lang::En));
        }
        services.push(host.start((config, loaded), address).await?);
    }
    let gateways = services.iter().map(|service| service.gateway.clone()).collect();
    let front = Front::of(gateways).ok_or_else(no_service)?;
    let signals = Signals::new(tls);
    let url = format!("{scheme}://{address}/v1");
    output::line(match json {
        true => serde_json::json!({ "listening": url }).to_string(),
        false => format!("listening on {url}"),
    });
    let bounds = front.bounds();
    let ordered_at = Arc::new(OnceLock::new());
    let stopping = ordered_to_stop(signals, front.clone(), Arc::clone(&ordered_at));
    crate::request::serve(front, listener, stopping).await?;
    let drained = ordered_at.get().map(|at| *at + bounds.stop_notice + bounds.drain);
    end(services, drained.unwrap_or_else(Instant::now), json).await
}

/// Ends each service, whatever became of the others; the first error is said.
async fn end(services: Vec<RunningHost>, drained: Instant, json: bool) -> Result<()> {
    let until = drained.max(Instant::now()) + LAST_WRITES;
    let mut ended = Ok(());
    for service in services {
        ended = ended.and(service.stop(until).await);
    }
    if let Err(error @ HostError::NotWritten { .. }) = ended {
        // The writer is waiting for the disk, and its end would be waited for.
        end_without_the_disk(&error.into(), json);
    }
    Ok(ended?)
}

fn no_service() -> CliError {
    CliError::usage("there is no service to serve")
}

/// `model` picks the service, so a name may have one owner only.
fn require_distinct_names(members: &[Member]) -> Result<()> {
    let mut owners: BTreeMap<&str, &Path> = BTreeMap::new();
    for Member { config, loaded: Loaded { project, .. } } in members {
        for name in std::iter::once(&project.service).chain(&project.aliases) {
            if let Some(other) = owners.insert(name, config) {
                return Err(CliError::usage(format!(
                    "two projects answer to the name `{name}`: {} and {}",
                    other.display(),
                    config.display()
                ))
                .hint("give each its own `service` and `aliases`"));
            }
        }
    }
    Ok(())
}

/// The address that all projects name.
fn common_listen(members: &[Member]) -> Result<String> {
    let mut addresses = members.iter().map(|member| &member.loaded.project.listen);
    let Some(first) = addresses.next() else {
        return Err(no_service());
    };
    match addresses.find(|other| *other != first) {
        None => Ok(first.clone()),
        Some(other) => Err(CliError::usage(format!(
            "the projects listen on different addresses: {first} and {other}"
        ))
        .hint("one process has one listener: set `listen` in the workspace file, or `--listen`")),
    }
}

/// The certificate of the workspace, or that all projects name.
fn tls_of(set: Option<TlsFiles>, members: &[Member]) -> Result<Option<Arc<Tls>>> {
    if let Some(TlsFiles { cert, key }) = set {
        return loaded_tls((cert, key)).map(Some);
    }
    let files = |member: &Member| {
        let Loaded { root, project, .. } = &member.loaded;
        project.tls.as_ref().map(|tls| (root.join(&tls.cert), root.join(&tls.key)))
    };
    let mut all = members.iter().map(files);
    let first = all.next().flatten();
    if all.any(|other| other != first) {
        let text = "the projects name different certificates in `tls`";
        return Err(CliError::usage(text).hint(
            "one process has one listener: set `tls` in the workspace file, or name the same",
        ));
    }
    first.map(loaded_tls).transpose()
}

fn loaded_tls((cert, key): (PathBuf, PathBuf)) -> Result<Arc<Tls>> {
    Tls::load(cert, key).map_err(|error| {
        CliError::usage(error.to_string()).hint(
            "both are PEM files; a relative path starts at the folder of the file that names it",
        )
    })
}

/// Says what is served.
fn greet(service: &str, host: &Host) {
    let live = host.table();
    if output::is_json_log() {
        let split = live.table.split.as_ref();
        let set = live.stable.named();
        let serving = log::Serving {
            label: &live.stable.label,
            is_fresh: host.is_fresh,
            is_experimental: host.control.state().is_experimental(),
            is_simulated: matches!(live.stable.upstream_config, Upstream::Simulated(_)),
            candidate: split.map(|split| (&split.candidate, split.weight)),
        };
        let about = log::About {
            change_id: split.map(|split| &split.change_id),
            set: Some(&set),
            ..log::About::service(service)
        };
        about.log(&log::Event::ServiceStarted(serving));
        return;
    }
    output::stderr(format!("tidegate {} · {}", env!("CARGO_PKG_VERSION"), service));
    output::stderr(format!(
        "stable  {} ({}){}",
        live.stable.set.id,
        live.stable.label,
        if host.is_fresh { ", taken from the project as the first version set" } else { "" }
    ));
    if let (Some(candidate), Some(release)) =
        (&live.candidate, host.control.state().active_release())
    {
        let weight = live.table.split.as_ref().map(|split| split.weight).unwrap_or_default();
        output::stderr(format!(
            "candidate  {} ({}): release {} {}, at {weight}",
            candidate.set.id,
            candidate.label,
            release.plan.change_id,
            release.state.phase.as_str(),
        ));
    }
    if matches!(live.stable.upstream_config, Upstream::Simulated(_)) {
        output::stderr("upstream: SIMULATED, answers are made by rule, not by a model");
    }
}

/// Says which files are not served as they are, and keeps comparing them.
fn compare_files(loaded: &Loaded, config: &Path, store: &Store, gateway: &Arc<Gateway>) {
    let edits = edits_of_stable(loaded, store, &gateway.stable());
    // A log is in English.
    say_edits(Lang::En, &edits);
    gateway.set_files(FilesState::from_edits(&edits));
    keep_comparing(config.to_owned(), store.clone(), gateway.clone());
}

/// How the project's files differ from the set that stable serves; an error where they make no set.
fn edits_of_stable(loaded: &Loaded, store: &Store, stable: &VersionSetId) -> Result<Vec<String>> {
    Ok(edits_since(loaded, &store.set(stable)?)?)
}

/// Says which files are not served as they are now.
pub(super) fn say_edits(lang: Lang, edits: &Result<Vec<String>>) {
    match edits {
        Ok(files) => view::edits(lang, files).iter().for_each(output::sentence),
        Err(error) => output::sentence(view::no_set(lang, &error.message)),
    }
}

/// Compares the files with the served set from time to time, for `/health`. It takes at most one
/// part in a hundred of a core, however large the files are.
fn keep_comparing(config: PathBuf, store: Store, gateway: Arc<Gateway>) {
    std::thread::spawn(move || {
        loop {
            let began = Instant::now();
            let stable = gateway.stable();
            let loaded = load(&config).map_err(CliError::from);
            let edits = loaded.and_then(|now| edits_of_stable(&now, &store, &stable));
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
fn require_credentials(project: &Project, listen: &str, said: &str) -> Result<()> {
    let Some(address) = listen_addr(listen) else {
        return Err(CliError::usage(format!("`{said}` is not an address"))
            .hint("give it as `host:port`, for example `127.0.0.1:8787`"));
    };
    if !is_open_to_all(address.ip(), project.asks()) {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{address} can be reached from other machines, and service `{}` has no credentials",
        project.service
    ))
    .hint("add `require_keys: true` or `credentials:` to tidegate.yaml, or listen on 127.0.0.1"))
}

/// Waits for the order to stop. A second one ends the time for requests in flight.
async fn ordered_to_stop(
    mut signals: Signals,
    front: Arc<Front>,
    ordered_at: Arc<OnceLock<Instant>>,
) {
    if signals.stop().await == Order::Interrupt {
        front.interrupt();
    }
    // It is set once.
    let _ = ordered_at.set(Instant::now());
    log::About::service(output::service()).log(&log::Event::Stopping);
    tokio::spawn(async move {
        signals.stop().await;
        front.hurry();
        tokio::time::sleep(HURRY).await;
        // A disk that does not answer must not keep a process that was ordered twice.
        std::process::exit(i32::from(ErrorKind::Internal as u8));
    });
}

/// Who orders the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// A supervisor.
    Terminate,
    /// A person at the terminal.
    Interrupt,
}

/// Ctrl-C, SIGTERM and SIGHUP, which are listened for from the beginning on.
struct Signals {
    /// What SIGHUP reads again.
    #[cfg(unix)]
    tls: Option<Arc<Tls>>,
    #[cfg(unix)]
    unix: Option<[tokio::signal::unix::Signal; 3]>,
}

impl Signals {
    #[cfg_attr(not(unix), expect(unused_variables, reason = "there is no SIGHUP"))]
    fn new(tls: Option<Arc<Tls>>) -> Signals {
        Signals {
            #[cfg(unix)]
            tls,
            #[cfg(unix)]
            unix: {
                use tokio::signal::unix::{SignalKind, signal};
                let of = |kind| signal(kind).ok();
                of(SignalKind::terminate())
                    .zip(of(SignalKind::interrupt()))
                    .zip(of(SignalKind::hangup()))
                    .map(|((terminate, interrupt), hangup)| [terminate, interrupt, hangup])
            },
        }
    }

    /// Waits for the next Ctrl-C or SIGTERM. A SIGHUP, which a closed terminal sends too, has the
    /// certificate read again; without one it is ignored. The log says which, and what to do else.
    async fn stop(&mut self) -> Order {
        #[cfg(unix)]
        if let Some([terminate, interrupt, hangup]) = &mut self.unix {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return Order::Terminate,
                    _ = interrupt.recv() => return Order::Interrupt,
                    _ = hangup.recv() => hung_up(self.tls.as_deref()),
                }
            }
        }
        // Where it cannot be listened for, the system ends the process by itself.
        let _ = tokio::signal::ctrl_c().await;
        Order::Interrupt
    }
}

#[cfg(unix)]
fn hung_up(tls: Option<&Tls>) {
    let what = match tls {
        Some(_) => "SIGHUP: the certificate of the listener is read again",
        None => "SIGHUP is ignored",
    };
    output::stderr(format!(
        "{what}; keys change with `tidegate key`, what is served with a release, the rest with a \
         restart"
    ));
    if let Some(tls) = tls {
        tls.read_again();
    }
}
