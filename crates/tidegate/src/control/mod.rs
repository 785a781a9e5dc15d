//! Control: one owner of the state, one way to change it. Every change is journalled first, then
//! applied, then its result is journalled; what may be changed and when is decided in the core.

mod ahead;
mod books;
mod error;
mod logged;
mod resolve;
mod tick;
mod way_back;

mod approve;
mod experimental;
mod keys;
mod records;
mod shadow;
mod start;

mod incident;
mod post_release;
mod schedule;
mod sentinel;

mod command;
mod degrade;
mod evals;
mod reading;
mod run;

mod admin;
mod find;
mod status;

pub(crate) use admin::{AdminError, AdminPlane, WireError, serve_admin};
pub(crate) use command::{
    AbRequest, AbTerms, Answer, ApproveRequest, Command, DeleteRequest, KeyRequest, NewKey,
    ShadowRequest, StartRequest,
};
pub(crate) use error::{
    ControlError, EvalProblem, KeyRefused, ProjectError, ShadowError, ShadowProblem, StartError,
};
pub(crate) use find::{AdminFile, folder_of, full_name, in_folder, of_this_user};
pub(crate) use keys::LIFE;
pub(crate) use records::whose;
pub(crate) use run::ControlHandle;
pub(crate) use schedule::keep_asking;
pub(crate) use shadow::shadow_plan;
pub(crate) use start::{eval_problem, require_contract};
pub(crate) use status::Status;

use crate::access::{KeySecret, KeyTable, Sums};
use crate::clock::Clock;
use crate::config::{Loaded, Project, load};
use crate::log::{self, About};
use crate::observe::Collector;
use crate::route::{LiveTable, Router};
use crate::store::{Journal as _, RecordQuery, Records as _, Sets as _, Store, StoreErrorKind};
use crate::version_set::{LiveSet, PackOverrides, PackedSet, pack};
use crate::view::Done;
use ahead::{Ahead, Relief};
use error::Result;
use incident::Gathered;
use post_release::{PackOf, UndoneWork};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tidegate_core::decide::{Order, Watch};
use tidegate_core::guard::RiskEvent;
use tidegate_core::ids::{ChangeId, ServiceName, VersionSetId};
use tidegate_core::journal::{ControlState, Event};
use tidegate_core::route::{Arm, Table};
use tidegate_core::shadow::Ledger;

/// Failing records of a candidate that are looked through at a start, the newest. More than this in
/// the second before a crash is a candidate that its lines roll back.
const RED_LINES_AMONG: usize = 256;

/// The data plane's side that control acts on; absent when a command runs without a server.
#[derive(Clone)]
pub(crate) struct Plane {
    /// The upstreams that requests go to.
    pub(crate) router: Arc<Router>,
    /// What came of them.
    pub(crate) collector: Arc<Collector>,
    /// The keys that open the service.
    pub(crate) keys: Arc<KeyTable>,
}

/// The owner of a service's state.
pub(crate) struct Control {
    config_path: PathBuf,
    root: PathBuf,
    /// The project file as it was read last. Going back needs none, so one that cannot be read is
    /// an error only where something of it is asked for.
    loaded: Result<Loaded, ProjectError>,
    store: Store,
    clock: Clock,
    state: Arc<ControlState>,
    ahead: Arc<Ahead>,
    plane: Option<Plane>,
    watch: Watch,
    live: BTreeMap<VersionSetId, Arc<LiveSet>>,
    /// Red-line events that no journalled decision has acted on yet.
    red_events: Vec<RiskEvent>,
    /// Red lines that no release decides on, on their way into the journal.
    gathered: Gathered,
    /// Post-release work that failed.
    undone: UndoneWork,
    /// Whether the journal was replayed since: what ended in it may still have work to be done.
    was_replayed: bool,
    /// Whether the store could not write at the last look.
    store_fails: bool,
    /// What keys are hashed with; absent before the first key.
    key_secret: Option<KeySecret>,
    /// What was looked at of the shadow that runs.
    shadow_looked: shadow::Looked,
}

impl Control {
    /// Reads the journal and replays it. Opens no data plane.
    pub(crate) fn open(config_path: PathBuf, store: Store, clock: Clock) -> Result<Control> {
        let state = Arc::new(replay(&store)?);
        let loaded = load(&config_path).map_err(ProjectError::from).and_then(|loaded| {
            require_same_service(&state, &loaded.project)?;
            Ok(loaded)
        });
        let root = folder_of(&config_path);
        let key_secret = KeySecret::read(&root).map_err(ControlError::KeySecret)?;
        Ok(Control {
            root,
            config_path,
            loaded,
            store,
            clock,
            ahead: Ahead::new(Arc::clone(&state)),
            state,
            plane: None,
            watch: Watch::default(),
            live: BTreeMap::new(),
            red_events: Vec::new(),
            gathered: Gathered::default(),
            undone: UndoneWork::new(),
            was_replayed: false,
            store_fails: false,
            key_secret,
            shadow_looked: shadow::Looked::default(),
        })
    }

    /// The state as it is.
    pub(crate) fn state(&self) -> &ControlState {
        &self.state
    }

    /// The project file, where it can be read.
    pub(crate) fn project(&self) -> Result<&Loaded, ProjectError> {
        self.loaded.as_ref().map_err(ProjectError::clone)
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Gives the service its first version set, packed from the project, unless it has one.
    pub(crate) async fn adopt(&mut self, by: &str, upstream: Option<String>) -> Result<()> {
        self.project()?;
        if self.state.service.is_some() {
            return Ok(());
        }
        let overrides = PackOverrides { upstream, ..PackOverrides::default() };
        let packed = pack(self.project()?, &overrides)?;
        // A set that cannot be served must not become the first one.
        self.live_set_of(&packed)?;
        self.store.put_set(&packed, self.clock.now()).await?;
        let service = ServiceName::parse(&self.project()?.project.service)
            .map_err(ControlError::ServiceName)?;
        let (set, label) = (packed.set.id.clone(), packed.label.clone());
        let table = Table::first(set.clone());
        let (generation, by) = (table.generation, by.to_owned());
        self.append(vec![
            Event::ServiceAdopted { service, set, label, table, by },
            Event::Applied { generation, took_us: 0 },
        ])
        .await
    }

    /// Makes the data plane's table of the state, restores the running release's numbers, and
    /// takes the plane over.
    pub(crate) fn attach(&mut self, collector: Arc<Collector>, spent: Sums) -> Result<Plane> {
        let table = self.state.table.clone().ok_or(ControlError::NoService)?;
        let router = Arc::new(Router::new(self.live_table(&table)?));
        router.set_experimental(self.state.is_experimental());
        router.degrade(self.state.degraded.as_ref().map(|degraded| degraded.level));
        if let Some(release) = self.state.active_release() {
            collector.begin(
                release.plan.change_id.clone(),
                release.state.seen_stable.clone(),
                release.state.seen_candidate.clone(),
            );
            // A red line of this release that was decided on would have ended it: what its records
            // hold was seen just before a crash.
            self.red_events = self.recorded_red_lines(&release.plan.change_id)?;
        }
        if let Some(outage) = self.state.last_outage() {
            collector.resume_outage(outage.clone());
        }
        if let Some(before) = self.replaced()
            && let Err(error) = self.live_set(&before)
        {
            let what =
                format!("control: version set {before}, which stable replaced, cannot be loaded");
            self.log_failed(None, &what, &error);
        }
        let keys = Arc::new(KeyTable::new(spent));
        let plane = Plane { router, collector, keys };
        self.publish_keys(&plane);
        self.plane = Some(plane.clone());
        self.ahead.attach(plane.clone());
        self.ahead.keep_live(&self.live);
        if let Err(error) = self.begin_mirroring(Ledger::of) {
            self.log_failed(None, "control: the shadow that runs cannot go on", &error);
        }
        Ok(plane)
    }

    /// The newest failing records have it: it came after the last look, a second before the end.
    /// All of a long release would take seconds to read, in which nothing is served.
    fn recorded_red_lines(&self, change_id: &ChangeId) -> Result<Vec<RiskEvent>> {
        let failing = self.store.records(&RecordQuery {
            change_id: Some(change_id.clone()),
            arm: Some(Arm::Candidate),
            failing_only: true,
            newest_first: true,
            limit: RED_LINES_AMONG,
            ..RecordQuery::default()
        })?;
        let events = failing.into_iter().flat_map(|record| record.risk);
        Ok(events.filter(|event| event.kind.is_red_line()).take(1).collect())
    }

    /// Carries out one command.
    pub(crate) async fn handle(&mut self, command: Command) -> Result<Answer> {
        match command {
            Command::Start(request) => self.start(*request, None).await,
            Command::StartAb(request) => self.start(request.start, Some(request.ab)).await,
            Command::StartShadow(request) => self.start_shadow(*request).await,
            Command::KeepShadow(result) => self.keep_shadow_over(*result).await,
            Command::StopShadow { by, reason } => self.stop_shadow(by, reason).await,
            Command::Order { order, release, anyway } => {
                // With a server this was asked before the loop, which waits for no model server.
                if self.plane.is_none() {
                    self.ask_way_back(&order, release.as_ref(), anyway).await?;
                }
                self.order(order, release).await
            }
            Command::Approve(request) => self.approve(*request).await,
            Command::Pack(overrides) => self.pack(&overrides).await,
            Command::RecordEval(report) => self.record_eval(*report).await,
            Command::Book(lines) => self.book(lines).await,
            Command::KeepSentinel(result) => self.keep_sentinel(*result).await,
            Command::AcceptSentinel { by, reason } => self.accept_sentinel(by, reason).await,
            Command::Reopen { by, reason } => self.reopen(by, reason).await,
            Command::Degrade { level, by, reason } => {
                let at = self.clock.now();
                self.degrade(Relief { level, by, reason, at }).await
            }
            Command::CloseIncident { incident, by, conclusion } => {
                self.close_incident(incident, by, conclusion).await
            }
            Command::MakeKey(request) => self.make_key(*request).await,
            Command::RotateKey { key, text, overlap_ms, by } => {
                self.rotate_key(&key, text, overlap_ms, by).await
            }
            Command::RevokeKey { key, by } => self.revoke_key(&key, by).await,
            Command::Reprice { from, by } => self.reprice(from, by).await,
            Command::DeleteRecords(request) => self.delete_records(*request).await,
            Command::WritePack { change_id } => {
                let of = self.pack_of(&change_id)?;
                self.write_pack(&of).await
            }
        }
    }

    async fn ask_way_back(
        &mut self,
        order: &Order,
        named: Option<&ChangeId>,
        anyway: bool,
    ) -> Result<()> {
        let asked = way_back::asked(&self.state, order, named, anyway);
        let Some(set) = asked else { return Ok(()) };
        // One that cannot be made ready here, for want of a key say, is not asked.
        let live = self.live_set(&set).ok();
        way_back::ask(set, live).await
    }

    async fn pack(&mut self, overrides: &PackOverrides) -> Result<Answer> {
        self.reload()?;
        let packed = self.keep(overrides).await?;
        let set = packed.set.id.clone();
        Ok(Answer {
            keys: packed.set.keys().short(),
            version_set: Some(packed.set.id),
            ..Answer::of(Done::Packed { set, label: packed.label })
        })
    }

    /// Packs the project's files and keeps the set; everything that can be wrong with it comes out
    /// here, before anything is kept.
    async fn keep(&mut self, overrides: &PackOverrides) -> Result<PackedSet> {
        let packed = pack(self.project()?, overrides)?;
        self.live_set_of(&packed)?;
        self.store.put_set(&packed, self.clock.now()).await?;
        if !self.state.sets.contains_key(&packed.set.id) {
            let (set, label) = (packed.set.id.clone(), packed.label.clone());
            self.append(vec![Event::SetPacked { set, label }]).await?;
        }
        Ok(packed)
    }

    /// Reads the project file again: a release ships what is there now.
    fn reload(&mut self) -> Result<()> {
        let loaded = load(&self.config_path)?;
        require_same_service(&self.state, &loaded.project)?;
        self.loaded = Ok(loaded);
        Ok(())
    }

    /// Journals the events and changes the state by them. The events are tried on a copy first, so
    /// that nothing reaches the journal that cannot be replayed.
    async fn append(&mut self, events: Vec<Event>) -> Result<()> {
        let at = self.clock.now();
        let mut next = ControlState::clone(&self.state);
        for event in &events {
            next.apply(at, event)?;
        }
        let (after, epoch) = (self.state.seq, self.store.epoch());
        let entries = match self.store.append(after, epoch, at, events).await {
            Ok(entries) => entries,
            Err(error) => {
                self.ahead.cannot_write(&error);
                if error.kind == StoreErrorKind::JournalMoved {
                    self.catch_up()?;
                }
                return Err(error.into());
            }
        };
        self.ahead.has_written();
        next.seq = entries.last().map_or(next.seq, |entry| entry.seq);
        let keys_changed = next.keys != self.state.keys;
        self.state = Arc::new(next);
        self.ahead.publish(Arc::clone(&self.state));
        if let Some(plane) = &self.plane {
            plane.router.set_experimental(self.state.is_experimental());
            if keys_changed {
                self.publish_keys(plane);
            }
        }
        Ok(())
    }

    /// Takes up the journal as it is now: an append was written though its answer was an error, or
    /// somebody else appended. What was to be appended is decided on again.
    fn catch_up(&mut self) -> Result<()> {
        let before = std::mem::replace(&mut self.state, Arc::new(replay(&self.store)?));
        self.ahead.replayed(Arc::clone(&self.state));
        self.watch = Watch::default();
        self.was_replayed = true;
        let Some(plane) = self.plane.clone() else { return Ok(()) };
        plane.router.set_experimental(self.state.is_experimental());
        if before.active != self.state.active {
            // The counts of one that is over, or began, elsewhere are in the journal.
            let _ = plane.collector.end();
            if let Some(release) = self.state.active_release() {
                let seen =
                    (release.state.seen_stable.clone(), release.state.seen_candidate.clone());
                plane.collector.begin(release.plan.change_id.clone(), seen.0, seen.1);
            }
        }
        let table = self.state.table.clone().ok_or(ControlError::NoService)?;
        if table.generation > plane.router.load().table.generation {
            plane.router.swap(self.live_table(&table)?)?;
        }
        self.ahead.keep_live(&self.live);
        Ok(())
    }

    /// Puts a journalled table in force and journals that it is.
    async fn apply(&mut self, table: &Table, decided: Instant) -> Result<()> {
        if let Some(plane) = self.plane.clone() {
            let old = plane.router.swap(self.live_table(table)?)?;
            plane.collector.switched(decided.elapsed());
            // Other sets are made ready again from the store when they are needed.
            let before = self.replaced();
            let serves = |id: &VersionSetId| {
                *id == table.stable
                    || table.split.as_ref().is_some_and(|s| s.candidate == *id)
                    // The way back of what was promoted needs no disk.
                    || before.as_ref() == Some(id)
            };
            self.live.retain(|id, _| serves(id));
            self.ahead.keep_live(&self.live);
            report_drain(plane, old, decided, logged::service_of(&self.state).to_owned());
        }
        let took_us = u64::try_from(decided.elapsed().as_micros()).unwrap_or(u64::MAX);
        let applied = Event::Applied { generation: table.generation, took_us };
        // The switch is done and its decision is journalled; what follows must not wait for a note.
        if let Err(error) = self.append(vec![applied]).await {
            self.log_failed(
                None,
                "control: the switch of traffic is done but not journalled",
                &error,
            );
        }
        Ok(())
    }

    /// The set that stable took the place of.
    fn replaced(&self) -> Option<VersionSetId> {
        let promoted = resolve::promoted(&self.state)?;
        self.state.releases.get(&promoted).map(|release| release.plan.from.clone())
    }

    fn live_table(&mut self, table: &Table) -> Result<LiveTable> {
        let stable = self.live_set(&table.stable)?;
        let candidate = match &table.split {
            Some(split) => Some(self.live_set(&split.candidate)?),
            None => None,
        };
        Ok(LiveTable { table: table.clone(), stable, candidate })
    }

    fn live_set(&mut self, id: &VersionSetId) -> Result<Arc<LiveSet>> {
        if let Some(live) = self.live.get(id) {
            return Ok(live.clone());
        }
        let packed = self.store.set(id)?;
        self.live_set_of(&packed)
    }

    fn live_set_of(&mut self, packed: &PackedSet) -> Result<Arc<LiveSet>> {
        if let Some(live) = self.live.get(&packed.set.id) {
            return Ok(live.clone());
        }
        let live = Arc::new(LiveSet::new(packed, &self.root, &self.clock)?);
        self.live.insert(packed.set.id.clone(), live.clone());
        Ok(live)
    }
}

/// Replays the store's journal.
pub(crate) fn replay(store: &Store) -> Result<ControlState> {
    ControlState::replay(&store.journal(1)?).map_err(ControlError::Unreplayable)
}

/// A state is of one service: its sets, its days and its packs go by that name.
pub(crate) fn require_same_service(
    state: &ControlState,
    project: &Project,
) -> Result<(), ProjectError> {
    match &state.service {
        Some(service) if service.as_str() != project.service => Err(ProjectError::OtherService {
            state: service.clone(),
            project: project.service.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Says when the last request on the old table has ended; nothing waits for it.
fn report_drain(plane: Plane, old: Arc<LiveTable>, decided: Instant, service: String) {
    let generation = old.table.generation;
    tokio::spawn(async move {
        crate::route::drained(old).await;
        plane.collector.drained(decided.elapsed());
        let after_ms = decided.elapsed().as_millis();
        About::service(&service).log(&log::Event::TableDrained { generation, after_ms });
    });
}

#[cfg(test)]
mod tests;
