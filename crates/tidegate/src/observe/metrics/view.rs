//! What the gauges show, read when they are asked for.

use super::shadow::ShadowView;
use super::text::Page;
use crate::route::Shadowing;
use crate::store::{Lost, LostRecords};
use std::time::Duration;
use tidegate_core::access::Priority;
use tidegate_core::decide::{PausedBy, Phase, Signal};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::drift::{DriftVerdict, Sentinel};
use tidegate_core::ids::UnixMs;
use tidegate_core::journal::ControlState;
use tidegate_core::observe::Outage;
use tidegate_core::route::Arm;
use tidegate_core::upstream::endpoints;
use tidegate_core::version_set::VersionKeys;

/// An arm that serves.
#[derive(Debug, Clone)]
pub(crate) struct ArmView {
    /// Which.
    pub(crate) arm: Arm,
    /// Its version set.
    pub(crate) version_set: String,
    /// The names of what the set holds.
    pub(crate) keys: VersionKeys,
    /// Its upstream's name in the project.
    pub(crate) upstream: String,
    /// Its outage, while it lasts.
    pub(crate) outage: Option<Outage>,
    /// The endpoints of its upstream, by address, where there are several.
    pub(crate) endpoints: Vec<(String, endpoints::View)>,
}

/// The release that runs, else the last one: what `tidegate release status` shows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReleaseView {
    /// What its lines said last; `None` before the first decision.
    signal: Option<Signal>,
    /// How far it is; `None` before the first release.
    phase: Option<Phase>,
    /// Incidents that nobody has closed.
    open_incidents: usize,
    /// Runs of the fixed cases; none before the first.
    sentinel: Option<SentinelView>,
    /// The shadow that runs, else the last one; none before the first.
    shadow: Option<ShadowView>,
}

/// Runs of the fixed cases.
#[derive(Debug, Clone, Copy)]
struct SentinelView {
    runs: u64,
    /// Whether the model behind stable has changed and nobody has accepted that.
    changed: bool,
    /// When the last run was journalled.
    last_at: UnixMs,
    verdict: Option<DriftVerdict>,
    cost_usd: f64,
}

impl SentinelView {
    fn of(sentinel: &Sentinel) -> Option<SentinelView> {
        let (last_at, note) = sentinel.last.as_ref()?;
        Some(SentinelView {
            runs: sentinel.runs,
            changed: sentinel.changed.is_some(),
            last_at: *last_at,
            verdict: note.verdict(),
            cost_usd: sentinel.spent.cost.micro_usd() as f64 / 1e6,
        })
    }

    fn render(&self, page: &mut Page) {
        let SentinelView { runs, changed, last_at, verdict, cost_usd } = self;
        let name = "tidegate_sentinel_changed";
        let help = "1 while the model behind stable is another one and nobody accepted that";
        page.family(name, "gauge", help);
        page.count(name, &[], u64::from(*changed));
        let name = "tidegate_sentinel_verdict";
        page.family(name, "gauge", "1 at what the last run of the fixed cases says, else 0");
        for each in DriftVerdict::ALL {
            let labels = [("verdict", each.as_str())];
            page.count(name, &labels, u64::from(*verdict == Some(each)));
        }
        let name = "tidegate_sentinel_runs_total";
        page.family(name, "counter", "Runs of the fixed cases on stable");
        page.count(name, &[], *runs);
        let name = "tidegate_sentinel_last_run_timestamp_seconds";
        page.family(name, "gauge", "When the last run of the fixed cases ended");
        page.value(name, &[], last_at.0 as f64 / 1000.0);
        let name = "tidegate_sentinel_cost_usd_total";
        page.family(name, "counter", "What runs of the fixed cases cost");
        page.value(name, &[], *cost_usd);
    }
}

impl ReleaseView {
    /// As the state has it, and the data plane of the shadow that runs.
    pub(crate) fn of(state: &ControlState, shadow: Option<&Shadowing>) -> ReleaseView {
        let release = state.active_release().or_else(|| state.last_release());
        let decision = release.and_then(|release| release.last_decision.as_ref());
        let open = state.incidents.values().filter(|incident| incident.closed.is_none());
        ReleaseView {
            signal: decision.map(|decision| decision.signal),
            phase: release.map(|release| release.state.phase),
            open_incidents: open.count(),
            sentinel: SentinelView::of(&state.sentinel),
            shadow: ShadowView::of(state, shadow),
        }
    }
}

/// What the gauges show.
#[derive(Debug, Clone)]
pub(crate) struct TableView {
    /// The table's number.
    pub(crate) generation: u64,
    /// The candidate's share, percent.
    pub(crate) weight_pct: f64,
    /// The arms that serve.
    pub(crate) arms: Vec<ArmView>,
    /// The release.
    pub(crate) release: ReleaseView,
    /// Records dropped since the start.
    pub(crate) records_dropped: u64,
    /// Records lost by processes before this one.
    pub(crate) records_lost: LostRecords,
    /// Requests refused since the start, as their admission could not be written.
    pub(crate) not_admitted: u64,
    /// Requests that got no place since the start, and those that wait for one, by priority, the
    /// highest first.
    pub(crate) shed_and_waiting: [(u64, usize); Priority::ALL.len()],
    /// Lines of the log dropped since the start.
    pub(crate) log_lines_dropped: u64,
    /// Seconds until the listener's certificate ends, below 0 once it has; `None` without TLS.
    pub(crate) certificate_ends_in_s: Option<f64>,
    /// How much of the service is switched off.
    pub(crate) degraded: Option<DegradeLevel>,
    /// Whether requests are taken.
    pub(crate) entrance_open: bool,
    /// From the last decision until its table was in place, and until the last request on the
    /// table before it ended.
    pub(crate) switch_times: (Option<Duration>, Option<Duration>),
}

impl TableView {
    /// Adds the gauges to the page.
    pub(super) fn render(&self, page: &mut Page) {
        self.render_table(page);
        self.release.render(page);
        self.render_arms(page);
        page.family("tidegate_build_info", "gauge", "The version of Tidegate that runs");
        page.count("tidegate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    }

    fn render_table(&self, page: &mut Page) {
        page.family(
            "tidegate_release_weight_pct",
            "gauge",
            "Share of subjects on the candidate, percent",
        );
        page.value("tidegate_release_weight_pct", &[], self.weight_pct);
        page.family("tidegate_table_generation", "gauge", "Number of the route table in place");
        page.count("tidegate_table_generation", &[], self.generation);
        page.family(
            "tidegate_entrance_open",
            "gauge",
            "1 while requests are taken, 0 after a shut-off",
        );
        page.count("tidegate_entrance_open", &[], u64::from(self.entrance_open));
        let name = "tidegate_degrade_level";
        page.family(name, "gauge", "How much is switched off by order: 0 for nothing, up to 4");
        page.count(name, &[], u64::from(self.degraded.map_or(0, DegradeLevel::number)));
        page.family("tidegate_records_dropped_total", "counter", "Records lost to a full queue");
        page.count("tidegate_records_dropped_total", &[], self.records_dropped);
        self.render_lost(page);
        let name = "tidegate_requests_not_admitted_total";
        page.family(name, "counter", "Requests refused as their admission could not be written");
        page.count(name, &[], self.not_admitted);
        self.render_places(page);
        if let Some(seconds) = self.certificate_ends_in_s {
            let name = "tidegate_tls_certificate_expires_in_seconds";
            page.family(
                name,
                "gauge",
                "Until the listener's certificate ends; below 0 once it has",
            );
            page.value(name, &[], seconds);
        }
        let name = "tidegate_log_lines_dropped_total";
        page.family(name, "counter", "Lines of the log that nobody read in time");
        page.count(name, &[], self.log_lines_dropped);
        let (switched, drained) = self.switch_times;
        let name = "tidegate_switch_seconds";
        page.family(
            name,
            "gauge",
            "From the last decision until its table served (table), and until \
            the last request on the table before it ended (drained)",
        );
        for (step, time) in [("table", switched), ("drained", drained)] {
            if let Some(time) = time {
                page.value(name, &[("step", step)], time.as_secs_f64());
            }
        }
    }

    fn render_places(&self, page: &mut Page) {
        let name = "tidegate_shed_requests_total";
        page.family(name, "counter", "Requests refused as all places were taken, by priority");
        for (priority, (shed, _)) in Priority::ALL.into_iter().zip(self.shed_and_waiting) {
            page.count(name, &[("priority", priority.name())], shed);
        }
        let name = "tidegate_waiting_requests";
        page.family(name, "gauge", "Requests that wait for a place, by priority");
        for (priority, (_, waiting)) in Priority::ALL.into_iter().zip(self.shed_and_waiting) {
            page.count(name, &[("priority", priority.name())], waiting as u64);
        }
    }

    fn render_lost(&self, page: &mut Page) {
        let LostRecords { last: _, total: Lost { at_least, at_most }, admitted } =
            self.records_lost;
        let name = "tidegate_records_lost_total";
        page.family(name, "counter", "Requests without a record since their process was killed");
        page.count(name, &[("bound", "at_least")], at_least);
        page.count(name, &[("bound", "at_most")], at_most);
        let name = "tidegate_admissions_without_record";
        page.family(name, "gauge", "Admissions of ended processes that no record followed");
        page.count(name, &[], admitted);
    }

    fn render_arms(&self, page: &mut Page) {
        let name = "tidegate_arm_failing";
        page.family(name, "gauge", "1 while an arm's requests fail in an outage, else 0");
        for ArmView { arm, upstream, outage, .. } in &self.arms {
            let labels = [("arm", arm.as_str()), ("upstream", upstream.as_str())];
            page.count(name, &labels, u64::from(outage.is_some()));
        }
        let name = "tidegate_version_set_info";
        page.family(name, "gauge", "The version set that serves an arm");
        for ArmView { arm, version_set, keys, .. } in &self.arms {
            let labels = [
                ("version_set", version_set.as_str()),
                ("arm", arm.as_str()),
                ("code", keys.code.as_str()),
                ("prompt", keys.prompt.as_str()),
                ("model", keys.model.as_str()),
                ("index", keys.index.as_str()),
            ];
            page.count(name, &labels, 1);
        }
        self.render_endpoints(page);
    }

    fn render_endpoints(&self, page: &mut Page) {
        if self.arms.iter().all(|arm| arm.endpoints.is_empty()) {
            return;
        }
        type Value = fn(&endpoints::View) -> f64;
        let families: [(&str, &str, &str, Value); 6] = [
            (
                "tidegate_endpoint_up",
                "gauge",
                "1 while an endpoint gets its share of calls; 0 while it gets none, or few",
                |view| f64::from(u8::from(view.is_well())),
            ),
            ("tidegate_endpoint_calls_in_flight", "gauge", "Calls that an endpoint has", |view| {
                f64::from(view.in_flight)
            }),
            (
                "tidegate_endpoint_latency_seconds",
                "gauge",
                "Time to an endpoint's first byte, as it counts in the choice (peak EWMA)",
                |view| view.latency_us.unwrap_or(0.0) / 1e6,
            ),
            ("tidegate_endpoint_answered_total", "counter", "Calls that were answered", |view| {
                view.answered as f64
            }),
            (
                "tidegate_endpoint_failed_total",
                "counter",
                "Calls that failed by the endpoint's fault",
                |view| view.failed as f64,
            ),
            (
                "tidegate_endpoint_opened_total",
                "counter",
                "Times that an endpoint was left out, since its calls failed",
                |view| view.opened as f64,
            ),
        ];
        for (name, kind, help, value) in families {
            page.family(name, kind, help);
            for ArmView { arm, upstream, endpoints, .. } in &self.arms {
                for (endpoint, view) in endpoints {
                    let endpoint = endpoint.as_str();
                    let labels =
                        [("arm", arm.as_str()), ("upstream", upstream), ("endpoint", endpoint)];
                    page.value(name, &labels, value(view));
                }
            }
        }
    }
}

impl ReleaseView {
    fn render(&self, page: &mut Page) {
        let ReleaseView { signal, phase, open_incidents, sentinel, shadow } = self;
        let name = "tidegate_signal";
        let help = "1 at the signal of the running release, else of the last one; 0 at the others";
        page.family(name, "gauge", help);
        for each in [Signal::Green, Signal::Yellow, Signal::Red, Signal::Black] {
            let labels = [("signal", each.as_str())];
            page.count(name, &labels, u64::from(*signal == Some(each)));
        }
        let name = "tidegate_release_phase";
        let help = "1 at the phase of the running release, else of the last one; 0 at the others";
        page.family(name, "gauge", help);
        for each in PHASES {
            let labels = [("phase", phase_label(each))];
            page.count(name, &labels, u64::from(*phase == each));
        }
        let name = "tidegate_incidents_open";
        page.family(name, "gauge", "Incidents that nobody has closed");
        page.count(name, &[], *open_incidents as u64);
        if let Some(sentinel) = sentinel {
            sentinel.render(page);
        }
        if let Some(shadow) = shadow {
            shadow.render(page);
        }
    }
}

/// All phases, and none.
const PHASES: [Option<Phase>; 8] = [
    None,
    Some(Phase::Running),
    Some(Phase::Paused(PausedBy::Operator)),
    Some(Phase::Paused(PausedBy::Lines)),
    Some(Phase::Promoted),
    Some(Phase::Ended),
    Some(Phase::RolledBack),
    Some(Phase::ShutOff),
];

fn phase_label(phase: Option<Phase>) -> &'static str {
    match phase {
        None => "none",
        Some(Phase::Running) => "running",
        Some(Phase::Paused(PausedBy::Operator)) => "paused_by_operator",
        Some(Phase::Paused(PausedBy::Lines)) => "paused_by_lines",
        Some(Phase::Promoted) => "promoted",
        Some(Phase::Ended) => "ended",
        Some(Phase::RolledBack) => "rolled_back",
        Some(Phase::ShutOff) => "shut_off",
    }
}
