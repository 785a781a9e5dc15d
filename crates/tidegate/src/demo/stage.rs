//! The demo's stage: a project, its service, its users and a clock.

use super::DemoArgs;
use super::project;
use super::users::{Batch, Habits, Users};
use crate::clock::Clock;
use crate::config::load;
use crate::control::{Answer, Command, ControlHandle, StartRequest, serve_admin};
use crate::error::{CliError, Result};
use crate::gate;
use crate::host::{Host, HostOptions};
use crate::lang;
use crate::observe::ReleaseView;
use crate::output::{self, Tone, paint};
use crate::request::{Front, GatewayOptions, ListenError};
use crate::store::{Journal as _, Records as _, Store};
use crate::version_set::PackOverrides;
use crate::view;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidegate_core::decide::{Decision, Phase, ReasonCode};
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, UnixMs};
use tidegate_core::journal::{ControlState, Event};
use tidegate_core::route::Arm;
use tokio::sync::oneshot;

/// Service time of one tick, ms.
pub(super) const TICK_MS: u64 = 10_000;
/// Ticks after which a story that should have ended is given up: a bug, not a story.
const TICKS_MAX: u32 = 600;
/// Simulated waiting passes this many times faster than real time.
const SPEED: u32 = 1_000;
/// On a terminal a tick takes at least this long, so that a person can follow the ladder.
const PACE: Duration = Duration::from_millis(80);
/// Where the demo's clock starts: 2026-01-05 09:00 UTC, the same for every run.
const START: UnixMs = UnixMs(1_767_603_600_000);

/// Everything the acts play on.
pub(super) struct Stage {
    root: PathBuf,
    config: PathBuf,
    address: SocketAddr,
    clock: Clock,
    store: Store,
    control: ControlHandle,
    users: Users,
    json: bool,
    /// What happened, for `--json` and for the same seed's test.
    shown: Vec<Value>,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<Result<(), ListenError>>,
    began: Instant,
}

impl Stage {
    /// Writes the project and starts its service on a free port.
    pub(super) async fn build(args: &DemoArgs, json: bool) -> Result<Stage> {
        let root = match &args.dir {
            Some(dir) => dir.clone(),
            None => std::env::temp_dir().join(format!(
                "tidegate-demo-{}-{}",
                args.seed,
                std::process::id()
            )),
        };
        // At the end the demo asks people to delete its folder.
        if std::fs::read_dir(&root).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(CliError::usage(format!("{} is not empty", root.display()))
                .hint("give the demo an empty folder, or leave `--dir` out"));
        }
        let faults = match args.scenario {
            Some(super::Scenario::Outage) => Some("[{from_s: 120, until_s: 300, status: 503}]"),
            Some(super::Scenario::Injection | super::Scenario::NoData) | None => None,
        };
        project::write(&root, args.seed, faults)?;
        let config = root.join("tidegate.yaml");
        let clock = Clock::demo(START, SPEED);
        let listener = crate::request::bind("127.0.0.1:0").await?;
        let address = listener.address();
        let loaded = load(&config)?;
        output::set_service(loaded.project.service.clone());
        let options = HostOptions {
            clock: clock.clone(),
            upstream: None,
            by: "tidegate demo",
            gateway: GatewayOptions::default(),
        };
        let Host { gateway, control, store, .. } = Host::open(&config, &loaded, options).await?;
        let control = ControlHandle::start(control);
        let read = control.clone();
        gateway.read_release(move || ReleaseView::of(&read.state(), None));
        let (stop, stopping) = oneshot::channel();
        let server = tokio::spawn(crate::request::serve(Front::one(gateway), listener, async {
            // A stage that is dropped stops as well.
            let _ = stopping.await;
        }));
        Ok(Stage {
            root,
            config,
            address,
            clock,
            store,
            control,
            users: Users::new(address, args.seed),
            json,
            shown: Vec::new(),
            stop,
            server,
            began: Instant::now(),
        })
    }

    /// Where the service listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The project's folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Prints a line for people; with `--json` it goes to stderr.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        if self.json { output::stderr(text) } else { output::line(text) }
    }

    /// Prints an act's heading.
    pub(super) fn act(&self, title: &str) {
        self.say("");
        self.say(paint(Tone::Bold, &format!("━━ {title}")));
    }

    /// Notes something for `--json`.
    pub(super) fn note(&mut self, value: Value) {
        self.shown.push(value);
    }

    /// Asks the fixed cases of the prompt version that is stable, to compare the others with.
    pub(super) async fn baseline(&mut self, prompt: &str) -> Result<()> {
        let report = self.ask(prompt).await?;
        self.say(format!(
            "prompt {prompt} is stable: {} of {} fixed cases correct",
            report.correct, report.total
        ));
        Ok(())
    }

    /// Asks the fixed cases of a prompt version, shows the failure table, keeps the run.
    pub(super) async fn eval(&mut self, prompt: &str) -> Result<EvalReport> {
        self.say(paint(Tone::Dim, &format!("$ tidegate eval --prompt {prompt}")));
        let report = self.ask(prompt).await?;
        for line in view::eval(&report)? {
            self.say(line);
        }
        Ok(report)
    }

    async fn ask(&mut self, prompt: &str) -> Result<EvalReport> {
        let overrides = PackOverrides { prompt: Some(prompt.to_owned()), ..Default::default() };
        let report = gate::eval_project(
            &load(&self.config)?,
            &overrides,
            &gate::Asking::default(),
            &self.store,
            &self.clock,
        )
        .await?;
        self.control.command(Command::RecordEval(Box::new(report.clone()))).await?;
        self.note(json!({ "eval": prompt, "passed": report.passed, "correct": report.correct, "total": report.total }));
        Ok(report)
    }

    /// Tries to start a release of a prompt version.
    pub(super) async fn start(&mut self, prompt: &str) -> Result<Answer> {
        let request = StartRequest {
            overrides: PackOverrides { prompt: Some(prompt.to_owned()), ..Default::default() },
            by: "demo".to_owned(),
            ..Default::default()
        };
        self.say(paint(Tone::Dim, &format!("$ tidegate release start --prompt {prompt}")));
        Ok(self.control.command(Command::Start(Box::new(request))).await?)
    }

    /// Starts a release that must be refused; returns why.
    pub(super) async fn start_refused(&mut self, prompt: &str) -> Result<()> {
        match self.start(prompt).await {
            Ok(answer) => Err(CliError::internal(format!(
                "the demo's release of {prompt} was not refused: {}",
                answer.text
            ))),
            Err(error) => {
                self.say(format!("{} {}", paint(Tone::Red, "refused:"), error.message));
                for hint in &error.hints {
                    self.say(paint(Tone::Dim, &format!("  hint: {hint}")));
                }
                self.note(json!({ "start": prompt, "refused": true }));
                Ok(())
            }
        }
    }

    /// Lets `requests` users ask, moves the clock on one tick, and has the lines looked at.
    pub(super) async fn tick(
        &mut self,
        requests: u64,
        habits: Habits,
    ) -> Result<(Batch, Option<Decision>)> {
        let batch = self.users.ask(requests, habits).await?;
        self.clock.advance(TICK_MS);
        let decision = self.control.tick().await?;
        Ok((batch, decision))
    }

    /// Plays a release until it is over, or until `enough` says so; shows its ladder live.
    pub(super) async fn play(
        &mut self,
        change_id: &ChangeId,
        requests: u64,
        habits: Habits,
        mut enough: impl FnMut(u32, &ControlState) -> bool,
    ) -> Result<ControlState> {
        let in_place = std::io::stdout().is_terminal() && !self.json;
        let (mut drawn, mut last) = (0, String::new());
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 1..=TICKS_MAX {
            let (_, decision) = self.tick(requests, habits).await?;
            let state = self.control.state();
            let Some(release) = state.releases.get(change_id) else {
                return Err(CliError::internal(format!("release {change_id} is gone")));
            };
            if in_place {
                let lines = view::release(release, &state, self.clock.now());
                drawn = view::redraw(&lines, drawn);
                pace.tick().await;
            }
            if let Some(decision) = decision {
                let key = step_key(&decision);
                if key != last {
                    if !in_place {
                        let text = self.timeline_line(release.started_at, &decision, &state);
                        self.say(text);
                    }
                    last = key;
                    self.note(shown(release.started_at, &decision));
                }
            }
            if release.state.phase.is_final() || enough(tick, &state) {
                return Ok(state);
            }
        }
        Err(CliError::internal("the demo's story did not come to its end")
            .hint("please report the seed"))
    }

    fn timeline_line(&self, from: UnixMs, decision: &Decision, state: &ControlState) -> String {
        let pct = view::weight(decision.state.phase, state).pct();
        let weight = format!("{pct:>3} %");
        format!("  {} {weight}  {}", clock_text(decision.at.since(from)), view::headline(decision))
    }

    /// Says when, why, how many saw it, and how long the switch took.
    pub(super) async fn tell_end(
        &mut self,
        change_id: &ChangeId,
        state: &ControlState,
    ) -> Result<()> {
        self.store.flush().await?;
        let Some(release) = state.releases.get(change_id) else { return Ok(()) };
        let (requests, users) = self.store.exposure(change_id, Arm::Candidate)?;
        let after = release.ended_at.unwrap_or(self.clock.now()).since(release.started_at);
        let took_us = self.switch_us(change_id)?;
        if let Some(decision) = &release.last_decision
            && !matches!(release.state.phase, Phase::Promoted)
        {
            for reason in decision.reasons.iter().take(1) {
                self.say(format!("  why    {}", lang::reader().sentence(reason)));
            }
        }
        self.say(format!(
            "  when   {} into the release · seen by {requests} requests of {users} users · \
             switched {:.1} ms after the decision (real time)",
            clock_text(after),
            took_us as f64 / 1000.0
        ));
        self.note(json!({
            "release": change_id, "phase": release.state.phase.as_str(), "after_ms": after,
            "rung": release.state.rung, "requests": requests, "users": users,
        }));
        Ok(())
    }

    /// How long the last switch of the journal took.
    fn switch_us(&self, change_id: &ChangeId) -> Result<u64> {
        let mut of_release = false;
        let mut took = 0;
        for entry in self.store.journal(1)? {
            match entry.event() {
                Ok(Event::Decided { change_id: id, table: Some(_), .. }) => {
                    of_release = id == *change_id;
                }
                Ok(Event::Applied { took_us, .. }) if of_release => took = took_us,
                Ok(_) | Err(_) => {}
            }
        }
        Ok(took)
    }

    /// The state now.
    pub(super) fn state(&self) -> ControlState {
        self.control.state()
    }

    /// Names the next steps.
    pub(super) fn finish(&self) {
        let requests = self.users.asked();
        self.say("");
        self.say(paint(
            Tone::Dim,
            &format!(
                "{requests} requests in {:.1} s of real time",
                self.began.elapsed().as_secs_f64()
            ),
        ));
        let root = self.root.display();
        self.say(paint(Tone::Dim, &format!("the demo's project may be deleted: rm -r {root}")));
        self.say("Now your own service, in three commands:");
        self.say("  tidegate init my-service && cd my-service");
        self.say("  tidegate serve");
        self.say("  tidegate eval --prompt v2 && tidegate release start --prompt v2 --watch");
        if self.json {
            output::json(&self.shown);
        }
    }

    /// Leaves the service running until Ctrl-C; its clock goes on in real time.
    pub(super) async fn keep_serving(self) -> Result<()> {
        // Commands of other terminals reach this service as they would any other.
        let _admin =
            serve_admin(&self.root, "127.0.0.1:0", Some(self.address), self.control.clone())
                .await?;
        self.say(format!("\nstill serving on http://{}/v1 · Ctrl-C ends it", self.address));
        let mut second = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = second.tick() => {
                    self.clock.advance(1_000);
                    self.control.tick().await?;
                }
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        self.close().await
    }

    /// Ends the service.
    pub(super) async fn close(self) -> Result<()> {
        let Stage { users, stop, server, control, store, .. } = self;
        // Idle connections would keep the server waiting for their next request.
        drop(users);
        let _ = stop.send(());
        server.await.map_err(|e| CliError::internal(format!("demo server: {e}")))??;
        control.stop().await?;
        Ok(store.flush().await?)
    }
}

/// What makes two looks the same to a viewer: which of several open lines is named first is not
/// news.
fn step_key(decision: &Decision) -> String {
    let first = decision.reasons.first().map(|reason| match reason.code() {
        ReasonCode::BetweenPassAndPause => ReasonCode::Uncertain,
        other => other,
    });
    format!(
        "{:?} {:?} {} {:?} {first:?}",
        decision.kind, decision.signal, decision.state.rung, decision.state.phase,
    )
}

fn shown(from: UnixMs, decision: &Decision) -> Value {
    let first = decision.reasons.first();
    json!({
        "at_ms": decision.at.since(from),
        "decision": decision.kind,
        "signal": decision.signal,
        "rung": decision.state.rung,
        "reason": first.map(|reason| reason.code()),
        "metric": first.and_then(|reason| reason.metric()),
    })
}

fn clock_text(ms: u64) -> String {
    let s = ms / 1000;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}
