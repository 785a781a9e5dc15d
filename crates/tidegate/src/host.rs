//! The composition root: a service put together from its project, for `serve` and for `demo`.

use crate::access::{ServiceBounds, Sums};
use crate::clock::{BUILT, Clock, rfc3339};
use crate::config::{Loaded, Project};
use crate::control::{
    AdminError, AdminPlane, Control, ControlError, ControlHandle, Plane, keep_asking, serve_admin,
};
use crate::log::{About, Event, LogKey};
use crate::observe::{Collector, ReleaseView};
use crate::request::{CredentialError, Gateway, GatewayOptions, Parts};
use crate::route::LiveTable;
use crate::store::{
    Access, BudgetName, Budgets as _, RecordQuery, Records as _, Store, StoreError, StoreErrorKind,
    StoreOptions,
};
use crate::version_set::{LiveSet, PackOverrides, SetError, pack};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tidegate_core::access::Spent;
use tidegate_core::ids::UnixMs;
use tokio::time::timeout_at;

/// How often records past their retention are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// From how many days on a clock that is ahead of all that is kept is doubted, or records are that
/// are older than any should be. A service that is off for a week is rare, and waits a day.
const DOUBT_DAYS: u64 = 7;
/// For how long it is doubted: an operator reads the log within a day.
const DOUBT_LASTS: Duration = Duration::from_secs(24 * 3_600);
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// How often the system's clock is compared with the process's, and from how much on it was set.
const TIME_EVERY: Duration = Duration::from_secs(1);
/// As above, ms: more than a time server moves it by in a second.
const STEP_MS: i64 = 5_000;

/// How long a state that another process has is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(3);
/// How often it is tried meanwhile.
const LOCK_LOOK: Duration = Duration::from_millis(50);

/// Why a service does not start, or ended before everything was written.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    /// Its version set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Its state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its control.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Its admin plane.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Who may call it.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The disk did not answer until the end of the time for it.
    #[error(
        "the disk did not answer before the server's end; what may be missing: {}the latest counts \
         and numbers of the release, records of {records} requests",
        if *order { "the last order or rollback, " } else { "" }
    )]
    NotWritten {
        /// Requests whose records were not written.
        records: u64,
        /// Whether what was in force is not in the journal.
        order: bool,
    },
    /// Another upstream is a change of the service, and changes are released.
    #[error("`--provider {provider}` is for a service's first start; this one has its version set")]
    NotTheFirstStart { provider: String },
}

/// How a service is put together.
pub(crate) struct HostOptions {
    /// The time.
    pub(crate) clock: Clock,
    /// Upstream of the service's first version set, instead of the project's.
    pub(crate) upstream: Option<String>,
    /// Who takes the project over as the first version set.
    pub(crate) by: &'static str,
    /// What can be set for the gateway.
    pub(crate) gateway: GatewayOptions,
}

/// A service whose parts are together; nothing runs yet.
pub(crate) struct Host {
    /// The data plane.
    pub(crate) gateway: Arc<Gateway>,
    /// The owner of the state.
    pub(crate) control: Control,
    /// The state on disk.
    pub(crate) store: Store,
    /// What control acts on.
    plane: Plane,
    /// Whether the project was just taken over as the first version set.
    pub(crate) is_fresh: bool,
}

impl Host {
    /// Opens the state, takes the project over where it is new, and makes the data plane.
    ///
    /// # Errors
    /// When the project cannot be served, or another process has its state. A new project that
    /// cannot be served leaves no state behind.
    pub(crate) async fn open(
        config: &Path,
        loaded: &Loaded,
        options: HostOptions,
    ) -> Result<Host, HostError> {
        let HostOptions { clock, upstream, by, gateway } = options;
        if !Store::exists(&loaded.root) {
            let overrides =
                PackOverrides { upstream: upstream.clone(), ..PackOverrides::default() };
            LiveSet::new(&pack(loaded, &overrides)?, &loaded.root, &clock)?;
        }
        let store = open_alone(&loaded.root).await?;
        let lost = store.lost_records()?.last;
        if lost.at_most > 0 {
            About::service(&loaded.project.service).log(&Event::RecordsLost(lost));
        }
        let mut control = Control::open(config.to_owned(), store.clone(), clock.clone())?;
        let is_fresh = control.state().service.is_none();
        if !is_fresh && let Some(name) = &upstream {
            return Err(HostError::NotTheFirstStart { provider: name.clone() });
        }
        control.adopt(by, upstream).await?;
        let collector = Arc::new(Collector::default());
        let spent = store.spent()?;
        let plane = control.attach(collector.clone(), spent.clone())?;
        let router = plane.router.clone();
        let log_key = gateway.log_requests.then(|| log_key(loaded)).flatten();
        let keys = Arc::clone(&plane.keys);
        let bounds = Arc::new(bounds(&loaded.project, &spent, clock.now()));
        let store_of = store.clone();
        let parts = Parts { router, collector, keys, bounds, store: store_of, clock, log_key };
        let gateway = Gateway::new(&loaded.project, parts, gateway)?;
        Ok(Host { gateway, control, store, plane, is_fresh })
    }

    /// The table in place. It must be let go soon: a request on it never seems to end otherwise.
    pub(crate) fn table(&self) -> Arc<LiveTable> {
        self.plane.router.load()
    }

    /// Starts control, the admin plane and what is done now and then; `address` is where clients
    /// reach the service.
    pub(crate) async fn start(
        self,
        (config, loaded): (&Path, &Loaded),
        address: SocketAddr,
    ) -> Result<RunningHost, HostError> {
        let Host { gateway, control, store, plane, is_fresh: _ } = self;
        // A sum that a wrong clock wrote is put right; what is not written stays as it is.
        let _ = store.set_spent(sums(&gateway)).await;
        let control = ControlHandle::start(control);
        let (read, router) = (control.clone(), plane.router.clone());
        gateway.read_release(move || ReleaseView::of(&read.state(), router.shadow().as_deref()));
        let project = &loaded.project;
        let admin =
            serve_admin(&loaded.root, &project.admin_listen, Some(address), control.clone())
                .await?;
        if let Some(every) = &project.sentinel.every {
            let (config, router) = (config.to_owned(), plane.router.clone());
            let (service, asking) = (project.service.clone(), control.clone());
            keep_asking((config, every), service, asking, (store.clone(), router));
        }
        control.keep_looking(Duration::from_millis(project.release.tick_ms), plane);
        let kept = Kept::of(&store);
        keep_pruning(project.service.clone(), store.clone(), project.records.retention_days, kept);
        keep_time(project.service.clone());
        Ok(RunningHost { gateway, control, store, admin })
    }
}

/// Opens the state. A short command has it for a moment, so it is waited for.
async fn open_alone(root: &Path) -> Result<Store, StoreError> {
    let until = Instant::now() + LOCK_WAIT;
    let options = StoreOptions { counts_requests: true, ..StoreOptions::default() };
    loop {
        match Store::open_with(root, Access::Exclusive, options) {
            Err(error) if error.kind == StoreErrorKind::InUse && Instant::now() < until => {
                tokio::time::sleep(LOCK_LOOK).await;
            }
            opened => return opened,
        }
    }
}

/// A service that runs.
pub(crate) struct RunningHost {
    /// The data plane.
    pub(crate) gateway: Arc<Gateway>,
    control: ControlHandle,
    store: Store,
    admin: AdminPlane,
}

impl RunningHost {
    /// Ends it after writing what is left, as far as that is done by `until`.
    ///
    /// # Errors
    /// When the store failed on the way, or the disk did not answer in time: that did not stop
    /// stable traffic, but it does fail the process's end.
    pub(crate) async fn stop(self, until: Instant) -> Result<(), HostError> {
        let RunningHost { gateway, control, store, admin } = self;
        let ending = async {
            // Commands that are carried out have their answer before control ends.
            admin.stop().await;
            if let Some(error) = store.stopped() {
                return Err(error.into());
            }
            control.stop().await?;
            store.set_spent(sums(&gateway)).await?;
            Ok(store.flush().await?)
        };
        match timeout_at(until.into(), ending).await {
            Ok(ended) => ended,
            Err(_late) => {
                let records = store.unwritten_records();
                let order = control.status().not_written.is_some();
                Err(HostError::NotWritten { records, order })
            }
        }
    }
}

/// The bounds of the service and its tenants, with what is on disk of their budgets.
fn bounds(project: &Project, spent: &Sums, now: UnixMs) -> ServiceBounds {
    let tenants = project.tenants.iter();
    let tenants = tenants.map(|(name, config)| (name.clone(), config.bounds().bounds()));
    ServiceBounds::new(&project.bounds.bounds(), tenants, now, spent)
}

/// What was spent of all budgets.
fn sums(gateway: &Gateway) -> Vec<(BudgetName, Spent)> {
    let Parts { keys, bounds, .. } = gateway.parts();
    let mut sums = keys.close_budgets();
    sums.extend(bounds.all().flat_map(|scope| scope.close()));
    sums
}

/// The key of the log's pseudonyms; where it cannot be kept, one for this process.
fn log_key(loaded: &Loaded) -> Option<LogKey> {
    let kept = LogKey::of(&loaded.root);
    if let Err(error) = &kept {
        let what = "the log's key was not kept: its pseudonyms change with the next start";
        let why = error.to_string();
        About::service(&loaded.project.service).log(&Event::WorkFailed { what, why });
    }
    kept.or_else(|_| LogKey::random()).ok()
}

/// When the first and the last record came in that are kept, by the clock of then; the epoch
/// without any. A record is kept of every request, so no other entry of the state is much newer.
#[derive(Debug, Clone, Copy)]
struct Kept {
    oldest: UnixMs,
    newest: UnixMs,
}

impl Kept {
    fn of(store: &Store) -> Kept {
        let at = |newest_first| {
            let query = RecordQuery { newest_first, limit: 1, ..RecordQuery::default() };
            let found = store.records(&query).ok();
            found.and_then(|records| records.first().map(|found| found.at)).unwrap_or(UnixMs(0))
        };
        Kept { oldest: at(false), newest: at(true) }
    }
}

/// Why nothing is deleted by this clock: it is before this version was made or before what is kept,
/// or far ahead of it, as after a start without the hardware's clock; or what is kept lies so far
/// apart that an earlier clock was wrong. What may as well be a service that was off for so long,
/// or keeps its records for a shorter time now, deletes a day later.
fn doubt(now: UnixMs, kept: Kept, retention_days: u32, running: Duration) -> Option<String> {
    let Kept { oldest, newest } = kept;
    let (at, built) = (rfc3339(now), rfc3339(BUILT));
    if now < BUILT {
        return Some(format!(
            "the clock says {at}, and this version was made on {}; set it right and restart: what \
             is kept meanwhile has a wrong time",
            built.chars().take(10).collect::<String>()
        ));
    }
    let behind_days = newest.since(now) / DAY_MS;
    if behind_days > 0 {
        return Some(format!(
            "the clock says {at}, {behind_days} days before the newest record; set it right and \
             restart: what is kept meanwhile has a wrong time"
        ));
    }
    if newest.0 == 0 || running >= DOUBT_LASTS {
        return None;
    }
    let ahead_days = now.since(newest) / DAY_MS;
    let apart_days = newest.since(oldest) / DAY_MS;
    let what = if ahead_days >= DOUBT_DAYS {
        format!("the clock is {ahead_days} days ahead of the newest record")
    } else if apart_days >= u64::from(retention_days) + DOUBT_DAYS {
        format!("the records are {apart_days} days apart, and kept for {retention_days}")
    } else {
        return None;
    };
    let after_h = DOUBT_LASTS.as_secs() / 3_600;
    Some(format!("{what}; set the clock right if it is wrong, they are removed after {after_h} h"))
}

/// Says once for each time that the system's clock was set.
fn keep_time(service: String) {
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(TIME_EVERY);
        let mut before = 0;
        loop {
            interval.tick().await;
            let behind = Clock::Real.behind_the_system_ms();
            let step: i64 = behind - before;
            if step.abs() >= STEP_MS {
                let what = "the system's clock was set";
                let why = format!(
                    "by {:+} s; releases go on by the time that passes, and this process follows \
                     by 1 s in 100; restart it to take the new time at once",
                    step / 1_000
                );
                About::service(&service).log(&Event::WorkFailed { what, why });
            }
            before = behind;
        }
    });
}

fn keep_pruning(service: String, store: Store, retention_days: u32, kept: Kept) {
    let (started, mut doubted) = (Instant::now(), false);
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(PRUNE_EVERY);
        loop {
            interval.tick().await;
            let now = Clock::Real.now();
            if let Some(why) = doubt(now, kept, retention_days, started.elapsed()) {
                if !std::mem::replace(&mut doubted, true) {
                    let what = "records past their retention were not removed";
                    About::service(&service).log(&Event::WorkFailed { what, why });
                }
                continue;
            }
            let kept_ms = u64::from(retention_days) * 86_400_000;
            let before = UnixMs(Clock::Real.now().0.saturating_sub(kept_ms));
            if let Err(error) = store.prune_records(before).await {
                let what = "records past their retention were not removed";
                About::service(&service).log(&Event::WorkFailed { what, why: error.to_string() });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> UnixMs {
        UnixMs(BUILT.0.saturating_add_signed(days * DAY_MS as i64))
    }

    fn check(now_days: i64, [oldest, newest]: [i64; 2], running_h: u64, expected: &str) {
        let running = Duration::from_secs(running_h * 3_600);
        let kept = Kept { oldest: at(oldest), newest: at(newest) };
        let why = doubt(at(now_days), kept, 30, running);
        match expected {
            "" => assert_eq!(why, None),
            text => assert!(why.as_ref().unwrap().contains(text), "{why:?}"),
        }
    }

    #[test]
    fn nothing_is_removed_by_a_clock_that_is_wrong() {
        check(60, [29, 60], 0, "");
        check(60, [24, 54], 0, "");
        check(430, [1, 30], 0, "400 days ahead of the newest record");
        check(430, [1, 30], 24, "");
        // An earlier clock was: what was kept by it is not that old.
        check(60, [-9_000, 60], 0, "9060 days apart, and kept for 30");
        check(60, [-9_000, 60], 24, "");
        // Behind, it stays wrong however long it runs.
        check(30, [1, 33], 99, "3 days before the newest record");
        check(-1, [-40, -20], 99, "this version was made on 2026-11-28");
        check(-9_000, [1, 20], 99, "this version was made on");
        let none = Kept { oldest: UnixMs(0), newest: UnixMs(0) };
        assert!(doubt(UnixMs(0), none, 30, Duration::ZERO).unwrap().contains("1970-01-01"));
        // Without a record there is nothing to compare with, and nothing to remove.
        assert_eq!(doubt(BUILT, none, 30, Duration::ZERO), None);
    }

    #[test]
    fn no_release_is_younger_than_the_clocks_bound() {
        let log = include_str!("../../../CHANGELOG.md");
        let built = rfc3339(BUILT);
        // `## 1.2.0 (2027-03-01)`
        let dates = log.lines().filter_map(|line| line.strip_prefix("## ")?.split_once('('));
        for (_, date) in dates {
            assert!(built.as_str() >= date.trim_end_matches(')'), "set clock::BUILT to {date}");
        }
        assert!(built.starts_with("2026-11-28T00:00:00"), "{built}");
    }
}
