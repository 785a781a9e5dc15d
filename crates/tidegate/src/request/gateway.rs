//! What all requests share.

use super::admission::Admission;
use super::auth::{Authenticator, CredentialError};
use super::bounds::CONNECTIONS;
use super::cache::Cache;
use super::ids::IdMaker;
use super::repeats::Repeats;
use crate::access::{KeyTable, ServiceBounds};
use crate::clock::Clock;
use crate::config::{DegradeConfig, Limits, Prices, ProcessLimits, Project, Records};
use crate::guard::Bans;
use crate::http::{Bounds, certificate_ends_at};
use crate::log::LogKey;
use crate::observe::{ArmView, Calls, Collector, Format, Metrics, ReleaseView, TableView};
use crate::route::Router;
use crate::store::{Records as _, Store};
use crate::version_set::{FilesState, LiveSet};
use http::HeaderValue;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidegate_core::access::Priority;
use tidegate_core::ids::{UnixMs, VersionSetId};
use tidegate_core::route::{Arm, Entrance};

/// What can be set for a gateway beside the project.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GatewayOptions {
    /// Whether each request is logged, one JSON line to stderr.
    pub(crate) log_requests: bool,
    /// Bounds on connections.
    pub(crate) bounds: Bounds,
}

impl GatewayOptions {
    /// The same with the project's times for the end of the service.
    pub(crate) fn ending(mut self, limits: &Limits) -> GatewayOptions {
        self.bounds.stop_notice = Duration::from_millis(limits.stop_notice_ms);
        self.bounds.drain = Duration::from_millis(limits.drain_ms);
        self
    }
}

impl Default for GatewayOptions {
    fn default() -> Self {
        GatewayOptions { log_requests: false, bounds: CONNECTIONS }
    }
}

/// The parts of the process that a gateway works with.
#[derive(Clone)]
pub(crate) struct Parts {
    /// The upstreams that requests go to.
    pub(crate) router: Arc<Router>,
    /// What came of them.
    pub(crate) collector: Arc<Collector>,
    /// The keys that open the service.
    pub(crate) keys: Arc<KeyTable>,
    /// How much the callers together and each tenant may use.
    pub(crate) bounds: Arc<ServiceBounds>,
    /// Where records go.
    pub(crate) store: Store,
    /// The time.
    pub(crate) clock: Clock,
    /// What tenants and users are hidden by in the lines of requests; without it they are left
    /// out.
    pub(crate) log_key: Option<LogKey>,
}

/// The data plane of one service.
pub(crate) struct Gateway {
    pub(super) service: String,
    pub(super) aliases: Vec<String>,
    pub(super) limits: ProcessLimits,
    pub(super) records: Records,
    pub(super) passes_errors_on: bool,
    /// Origins of pages that may call from a browser.
    pub(super) origins: Vec<String>,
    pub(super) options: GatewayOptions,
    pub(super) parts: Parts,
    pub(super) metrics: Arc<Metrics>,
    pub(super) authenticator: Authenticator,
    pub(super) ids: IdMaker,
    pub(super) admission: Admission,
    /// Requests that clients may send again.
    pub(super) repeats: Arc<Repeats>,
    /// Answers that are given again.
    pub(super) cache: Option<Cache>,
    /// Callers that are refused.
    pub(super) bans: Bans,
    /// Tool calls whose results may come.
    pub(super) calls: Calls,
    /// For how long a caller is refused after a forbidden tool call, s.
    pub(super) ban_s: u64,
    /// Whose requests go first, by tenant.
    priorities: BTreeMap<String, Priority>,
    /// What levels of degradation switch off.
    pub(super) degrade: DegradeConfig,
    /// What models cost.
    pub(super) prices: Prices,
    not_admitted: AtomicU64,
    stopping: AtomicBool,
    cutting: AtomicBool,
    files: AtomicU8,
    release: OnceLock<Box<dyn Fn() -> ReleaseView + Send + Sync>>,
}

impl Gateway {
    /// Makes the gateway of a project. Reads the credentials' environment variables here, so that
    /// a missing one is an error at the start.
    pub(crate) fn new(
        project: &Project,
        parts: Parts,
        options: GatewayOptions,
    ) -> Result<Arc<Gateway>, CredentialError> {
        let keys = Arc::clone(&parts.keys);
        let environment = |name: &str| std::env::var(name).ok();
        let authenticator =
            Authenticator::new(&project.credentials, project.require_keys, keys, environment)?;
        Ok(Arc::new(Gateway::with_authenticator(project, parts, options, authenticator)))
    }

    pub(super) fn with_authenticator(
        project: &Project,
        parts: Parts,
        options: GatewayOptions,
        authenticator: Authenticator,
    ) -> Gateway {
        Gateway {
            service: project.service.clone(),
            aliases: project.aliases.clone(),
            limits: project.limits.of_process(),
            records: project.records.clone(),
            passes_errors_on: project.upstream_errors.pass_on,
            origins: project.cors.allow_origins.clone(),
            options,
            parts,
            metrics: Arc::default(),
            authenticator,
            ids: IdMaker::new(),
            admission: Admission::new(
                project.limits.max_concurrent,
                Duration::from_millis(project.limits.queue_ms),
            ),
            repeats: Arc::default(),
            cache: Cache::of(&project.cache),
            calls: Calls::default(),
            bans: Bans::default(),
            ban_s: project.risk.ban_s,
            priorities: project.priorities(),
            degrade: project.degrade.clone(),
            prices: project.all_prices(),
            not_admitted: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            cutting: AtomicBool::new(false),
            files: AtomicU8::new(FilesState::Served as u8),
            release: OnceLock::new(),
        }
    }

    /// Whether pages of this origin may call it from a browser.
    pub(super) fn lists(&self, page: &HeaderValue) -> bool {
        self.origins.iter().any(|listed| listed == "*" || listed.as_bytes() == page.as_bytes())
    }

    /// A tenant's priority.
    pub(super) fn priority_of(&self, tenant: &str) -> Priority {
        self.priorities.get(tenant).copied().unwrap_or_default()
    }

    /// The parts of the process that it works with.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The page that Prometheus reads.
    pub(crate) fn metrics_page(&self, format: Format) -> String {
        let table = self.parts.router.load();
        self.metrics.render(
            &TableView {
                generation: table.table.generation.0,
                weight_pct: table.table.split.as_ref().map_or(0.0, |split| split.weight.pct()),
                arms: self.arms(),
                release: self.release.get().map_or_else(ReleaseView::default, |release| release()),
                records_dropped: self.parts.store.dropped_records(),
                records_lost: self.parts.store.lost_records().unwrap_or_default(),
                not_admitted: self.not_admitted.load(Ordering::Relaxed),
                shed_and_waiting: self.admission.shed_and_waiting(),
                log_lines_dropped: crate::output::log_lines_dropped(),
                certificate_ends_in_s: certificate_ends_at().map(seconds_until),
                degraded: self.parts.router.degraded(),
                entrance_open: table.table.entrance == Entrance::Open,
                switch_times: self.parts.collector.switch_times(),
            },
            format,
        )
    }

    /// The arms that serve, each with its outage while it lasts.
    pub(super) fn arms(&self) -> Vec<ArmView> {
        let table = self.parts.router.load();
        let sets = [(Arm::Stable, Some(&table.stable)), (Arm::Candidate, table.candidate.as_ref())];
        let view = |(arm, set): (Arm, Option<&Arc<LiveSet>>)| {
            set.map(|set| ArmView {
                arm,
                version_set: set.set.id.to_string(),
                keys: set.keys.clone(),
                upstream: set.upstream_name.clone(),
                outage: self.parts.collector.outage(arm),
                endpoints: set.upstream.views(),
            })
        };
        sets.into_iter().filter_map(view).collect()
    }

    /// Says where the release is read from, for `/metrics`; the first reader stays.
    pub(crate) fn read_release(&self, read: impl Fn() -> ReleaseView + Send + Sync + 'static) {
        let _ = self.release.set(Box::new(read));
    }

    /// The set that stable serves.
    pub(crate) fn stable(&self) -> VersionSetId {
        self.parts.router.load().stable.set.id.clone()
    }

    /// How the project's files compare with the set that stable serves, when last looked at.
    pub(super) fn files(&self) -> FilesState {
        FilesState::of(self.files.load(Ordering::Relaxed))
    }

    /// Says how the project's files compare with the set that stable serves.
    pub(crate) fn set_files(&self, files: FilesState) {
        self.files.store(files as u8, Ordering::Relaxed);
    }

    /// Counts a request that was refused since its admission could not be written.
    pub(super) fn count_not_admitted(&self) {
        self.not_admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that no new requests should come: `/readyz` answers 503 from now on.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.admission.make_way();
    }

    /// Whether [`Self::stop`] was called.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Says that the time for requests in flight is over.
    pub(super) fn cut(&self) {
        self.cutting.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::cut`] was called: whatever ends from now on was ended by the stop.
    pub(super) fn is_cutting(&self) -> bool {
        self.cutting.load(Ordering::SeqCst)
    }

    /// Whether clients may call the service by this name.
    pub(super) fn is_called(&self, model: &str) -> bool {
        self.names().any(|name| name == model)
    }

    /// The names that clients may call it by: its own first, then its aliases.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.service.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// Seconds until a moment, below 0 where it is over.
fn seconds_until(at: UnixMs) -> f64 {
    let now = Clock::Real.now();
    (at.since(now) as f64 - now.since(at) as f64) / 1_000.0
}
