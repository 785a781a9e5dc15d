//! `tidegate release plan`: what a release can show, before it is started.

mod show;

use super::backend::read_state;
use super::{SetArgs, number};
use crate::clock::Clock;
use crate::config::{Loaded, ShadowConfig, load, plan_parts};
use crate::control::require_same_service;
use crate::error::{CliError, Result};
use crate::near;
use crate::output;
use crate::store::{Evals as _, Journal as _, Sets as _, Store};
use crate::version_set::{PackOverrides, PackedSet, pack};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_core::decide::{
    Baseline, Metric, Outlook, Phase, Plan, ReleaseParts, Traffic, TrafficError, outlook,
};
use tidegate_core::ids::{ChangeId, IdError, ServiceName, UnixMs, VersionSetId};
use tidegate_core::pairs::PairUnit;
use tidegate_core::shadow::{USUALLY_DIFFER, pairs_needed};
use tidegate_core::version_set::ArtifactKind;

const DAY_MS: u64 = 86_400_000;
/// Less than this says nothing of how many requests there are, ms.
const SPAN_MIN_MS: u64 = 60_000;
/// Longest look, hours: a year, as in the project file.
const HOURS_MAX: f64 = 8_760.0;
/// A design effect as users have it who ask several times and get answers that are alike.
const ALIKE: f64 = 4.0;

/// What an outlook takes.
#[derive(Debug, Args)]
pub(crate) struct OutlookArgs {
    #[command(flatten)]
    set: SetArgs,
    /// Requests a second, both arms together; left out, what the last seven days had.
    #[arg(long, value_name = "PER_S", allow_negative_numbers = true, value_parser = number)]
    rate: Option<f64>,
    /// Look this many hours at each rung, instead of the project's look times.
    #[arg(long, value_name = "H", allow_negative_numbers = true, value_parser = number)]
    hours: Option<f64>,
    /// How many requests of a subject count as one independent request; left out, as in the last
    /// seven days, or 1.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number)]
    design_effect: Option<f64>,
    /// A value of stable, in the metric's unit: `error_rate=0.02`. May be given several times.
    #[arg(long = "expect", value_name = "METRIC=VALUE")]
    expected: Vec<String>,
}

/// Where the number of requests comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum RateFrom {
    Given,
    Baseline,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    service: &'a ServiceName,
    /// What would be released.
    version_set: &'a VersionSetId,
    label: &'a str,
    rate_from: RateFrom,
    #[serde(flatten)]
    outlook: &'a Outlook,
    /// Seconds until promotion where users' requests are alike, by [`ALIKE`]: how much they are is
    /// not known before a release, as stored days tell no users apart. Absent where the design
    /// effect is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_alike: Option<TotalAlike>,
    /// What a shadow takes instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowOutlook>,
}

/// How long a shadow takes to find a candidate not worse that is just like stable, by its rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct ShadowOutlook {
    /// Pairs.
    pairs: u64,
    /// Share of stable's requests that is mirrored.
    sample_pct: f64,
    /// Seconds at this traffic.
    total_s: u64,
    /// Whether that is sooner than the first rung of the release is left, which its look time is
    /// too short for.
    is_better: bool,
}

impl ShadowOutlook {
    fn of(config: &ShadowConfig, outlook: &Outlook) -> Option<ShadowOutlook> {
        let rates = config.limits().into_iter();
        let rates = rates.filter(|(metric, _)| metric.unit() == PairUnit::Points);
        let needed = rates.map(|(_, limit)| pairs_needed(limit, USUALLY_DIFFER));
        let pairs = needed.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
        let per_s = outlook.requests_per_s * config.sample_pct / 100.0;
        let total_s = (pairs as f64 / per_s).ceil() as u64;
        let first = outlook.rungs.first()?;
        let is_sooner = first.passes_after_s.is_none_or(|passes_s| total_s < passes_s);
        let is_better = is_sooner && !first.fits;
        Some(ShadowOutlook { pairs, sample_pct: config.sample_pct, total_s, is_better })
    }
}

/// The other end of what is shown where the design effect is not known.
#[derive(Debug, Serialize)]
struct TotalAlike {
    design_effect: f64,
    /// Absent when a rung is not left within 30 days.
    total_s: Option<u64>,
}

/// What the state knows of the days before.
struct Stored {
    baseline: Baseline,
    /// Since when its set has been served, as stable or in the release that made it stable.
    since: UnixMs,
    /// Requests since then that the baseline does not hold: those on the other arm of releases, and
    /// on both arms of one that runs.
    beside: u64,
    /// When the last of all these came.
    last: UnixMs,
}

/// Works the outlook out and shows it. Reads only; a server may run meanwhile.
pub(crate) fn run(config: &Path, args: &OutlookArgs, json: bool) -> Result<()> {
    let loaded = load(config)?;
    let stored = match stored(&loaded) {
        Ok(stored) => stored,
        // Nothing of it is needed then.
        Err(error) if args.rate.is_some() => {
            output::stderr(format!(
                "the stored state cannot be read and is left out: {}",
                error.message
            ));
            None
        }
        Err(error) => return Err(error),
    };
    let (requests_per_s, rate_from) = match (args.rate, &stored) {
        (Some(rate), _) => (rate, RateFrom::Given),
        (None, Some(stored)) => (stored.requests_per_s()?, RateFrom::Baseline),
        (None, None) => return Err(no_rate("no earlier days of stable are stored")),
    };
    let candidate = Candidate::of(&loaded, &args.set.overrides())?;
    let plan = plan(&loaded, args.hours, stored, &candidate)?;
    let expected = expected(&args.expected)?;
    let contract = loaded.project.contract.output.is_some();
    let traffic = Traffic { requests_per_s, design_effect: args.design_effect, expected, contract };
    let outlook = outlook(&plan, &traffic).map_err(|error| {
        let hint = match error {
            TrafficError::Rate(_) => "for 20 requests a second: `--rate 20`",
            TrafficError::DesignEffect(_) => "leave `--design-effect` out where it is not known",
            TrafficError::Value { .. } => "in the metric's own unit: `--expect error_rate=0.02`",
            TrafficError::NotWatched(_) => "to watch it, give it thresholds under `lines:`",
        };
        CliError::usage(error.to_string()).hint(hint)
    })?;
    let alike = args.design_effect.is_none().then(|| {
        let traffic = Traffic { design_effect: Some(ALIKE), ..traffic };
        tidegate_core::decide::outlook(&plan, &traffic).ok()
    });
    let total_alike =
        alike.flatten().map(|alike| TotalAlike { design_effect: ALIKE, total_s: alike.total_s });
    let Candidate { set: version_set, label, .. } = &candidate;
    let shown = Shown {
        service: &plan.service,
        version_set,
        label,
        rate_from,
        outlook: &outlook,
        total_alike,
        shadow: ShadowOutlook::of(&loaded.project.release.shadow, &outlook),
    };
    if json {
        output::json(&shown);
        return Ok(());
    }
    for line in show::lines(&shown, &plan) {
        output::line(line);
    }
    Ok(())
}

fn no_rate(why: &str) -> CliError {
    CliError::usage(format!("cannot estimate the traffic: {why}"))
        .hint("pass the expected rate: `tidegate release plan --rate 20` for 20 requests a second")
        .hint(
            "or let `tidegate serve` answer for a minute at least, better for days, and ask again",
        )
}

/// The baseline of what is stable now; `None` before the first request.
fn stored(loaded: &Loaded) -> Result<Option<Stored>> {
    if !Store::exists(&loaded.root) {
        return Ok(None);
    }
    let (store, state) = read_state(&loaded.root)?;
    require_same_service(&state, &loaded.project)?;
    let Some((table, service)) = state.table.as_ref().zip(state.service.clone()) else {
        return Ok(None);
    };
    let set = table.stable.clone();
    let Some((window, days)) = store.baseline(&set, Clock::Real.now())? else { return Ok(None) };
    let promoted = state
        .releases
        .values()
        .filter(|release| release.plan.to == set && release.state.phase == Phase::Promoted)
        .max_by_key(|release| release.state.decided_at);
    // What a promoted candidate was asked while it was one counts among its own days.
    let since = match promoted {
        Some(release) => release.state.started_at,
        None => store.journal(1)?.first().map_or(UnixMs(0), |entry| entry.at),
    };
    // The baseline begins with the first of its days.
    let days_ms = u64::from(days.saturating_sub(1)) * DAY_MS + window.last_at.0 % DAY_MS;
    let from = since.max(UnixMs(window.last_at.0.saturating_sub(days_ms)));
    let within = state.releases.values().filter(|release| release.state.started_at >= from);
    let beside = within.map(|release| match release.state.phase {
        _ if release.plan.to == set => release.state.seen_stable.requests,
        _ if release.plan.from != set => 0,
        Phase::Running | Phase::Paused(_) => {
            release.state.seen_stable.requests + release.state.seen_candidate.requests
        }
        Phase::Ended | Phase::RolledBack | Phase::ShutOff | Phase::Promoted => {
            release.state.seen_candidate.requests
        }
    });
    let beside = beside.sum();
    let running = state
        .active_release()
        .map(|release| release.state.seen_stable.last_at.max(release.state.seen_candidate.last_at));
    let last = window.last_at.max(running.unwrap_or_default());
    Ok(Some(Stored { baseline: Baseline { service, set, days, window }, since, beside, last }))
}

impl Stored {
    /// Requests over the time they came in, those of releases included.
    fn requests_per_s(&self) -> Result<f64> {
        let window = &self.baseline.window;
        let last = self.last;
        let whole_days = u64::from(self.baseline.days.saturating_sub(1)) * DAY_MS;
        let span_ms = (whole_days + last.0 % DAY_MS).min(last.since(self.since));
        if span_ms < SPAN_MIN_MS {
            let seconds = (span_ms / 1000) as f64;
            let why = format!(
                "the stored data of stable spans {}; at least {} are needed",
                crate::lang::reader().duration(seconds),
                crate::lang::reader().duration(SPAN_MIN_MS as f64 / 1000.0)
            );
            return Err(no_rate(&why));
        }
        Ok((window.requests + self.beside) as f64 * 1000.0 / span_ms as f64)
    }
}

/// What would be released.
struct Candidate {
    set: VersionSetId,
    label: String,
    /// What stable serves; absent before the first set.
    stable: Option<VersionSetId>,
    /// Whether both ask one model server for one model, so that a fault of it is shared.
    same_upstream: bool,
}

impl Candidate {
    fn of(loaded: &Loaded, overrides: &PackOverrides) -> Result<Candidate> {
        let packed = pack(loaded, overrides)?;
        // A state that cannot be read was said before; the plan is then that of a first release.
        let stable = Store::exists(&loaded.root).then(|| read_state(&loaded.root).ok()).flatten();
        let stable = stable.and_then(|(store, state)| store.set(&state.table?.stable).ok());
        let model = |set: &PackedSet| set.set.artifacts.get(&ArtifactKind::Model).cloned();
        let same_upstream = stable.as_ref().is_none_or(|stable| model(stable) == model(&packed));
        let (set, label) = (packed.set.id, packed.label);
        Ok(Candidate { set, label, stable: stable.map(|stable| stable.set.id), same_upstream })
    }

    /// What it would be released from. A project without a change is planned as if it had one.
    fn from(&self) -> std::result::Result<VersionSetId, IdError> {
        let other = self.stable.clone().filter(|stable| *stable != self.set);
        other.map_or_else(|| VersionSetId::parse("vs-000000000000"), Ok)
    }
}

/// The plan that the release would have.
fn plan(
    loaded: &Loaded,
    hours: Option<f64>,
    stored: Option<Stored>,
    candidate: &Candidate,
) -> Result<Plan> {
    let mut parts = plan_parts(&loaded.project)?;
    if let Some(hours) = hours {
        if !(hours > 0.0 && hours <= HOURS_MAX) {
            return Err(CliError::usage(format!(
                "--hours {hours}; a look takes over 0 and at most {HOURS_MAX} hours"
            ))
            .hint("leave it out for the project's own look times"));
        }
        let look_ms = ((hours * 3_600_000.0) as u64).max(1);
        parts.rungs.iter_mut().for_each(|rung| rung.look_ms = look_ms);
    }
    let usage = |error: IdError| CliError::usage(error.to_string());
    let baseline = stored.map(|stored| stored.baseline);
    let service = match &baseline {
        Some(baseline) => baseline.service.clone(),
        None => ServiceName::parse(&loaded.project.service).map_err(usage)?,
    };
    let plan = parts.plan(ReleaseParts {
        change_id: ChangeId::parse("plan").map_err(usage)?,
        service,
        from: candidate.from().map_err(usage)?,
        to: candidate.set.clone(),
        salt: String::new(),
        same_upstream: candidate.same_upstream,
        baseline,
        created_at: Clock::Real.now(),
    });
    plan.map_err(|error| CliError::usage(error.to_string()))
}

/// `METRIC=VALUE`, each once.
fn expected(given: &[String]) -> Result<BTreeMap<Metric, f64>> {
    let mut expected = BTreeMap::new();
    for text in given {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let known: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        let metric = Metric::parse(name).ok_or_else(|| {
            let all = format!("metrics: {}", known.join(", "));
            CliError::usage(format!("--expect {text}: unknown metric `{name}`"))
                .hint(near::hint(name, known).unwrap_or(all))
        })?;
        let value: f64 = value.parse().map_err(|_| {
            CliError::usage(format!("--expect {text}: `{value}` is not a number")).hint(
                "without a unit: `--expect error_rate=0.02` is 2 %, `latency_p95=900` is 900 ms",
            )
        })?;
        if expected.insert(metric, value).is_some() {
            return Err(CliError::usage(format!("--expect {text}: `{name}` is given twice"))
                .hint("give each metric once"));
        }
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::observe::{Counts, Window};

    const DAY: u64 = 20_000 * DAY_MS;

    /// `days` with so many requests, the last at this ms of the last day; stable since then.
    fn stored(days: u32, requests: u64, last_ms: u64, since_ms: u64) -> Stored {
        let counts = Counts { requests, ..Counts::default() };
        let window = Window { counts, last_at: UnixMs(DAY + last_ms), ..Window::default() };
        let service = ServiceName::parse("desk").unwrap();
        let set = VersionSetId::parse("vs-000000000000").unwrap();
        let baseline = Baseline { service, set, days, window };
        let last = baseline.window.last_at;
        Stored { baseline, since: UnixMs(DAY + last_ms - since_ms), beside: 0, last }
    }

    #[test]
    fn requests_are_told_over_the_time_they_came_in() {
        let check = |stored: Stored, expected: f64| {
            let rate = stored.requests_per_s().unwrap();
            assert!((rate - expected).abs() < 1e-9, "{rate}");
        };
        let hour = 3_600_000;
        // From midnight on, since it was stable for days.
        check(stored(1, 7_200, 2 * hour, 5 * DAY_MS), 1.0);
        // Two hours and two whole days before.
        check(stored(3, 180_000, 2 * hour, 9 * DAY_MS), 1.0);
        // Those of releases count as well.
        let beside = Stored { beside: 7_200, ..stored(1, 7_200, 2 * hour, 5 * DAY_MS) };
        check(beside, 2.0);
        // Only since it is stable.
        check(stored(1, 7_200, 5 * hour, 2 * hour), 1.0);
        check(stored(2, 36_000, hour, 10 * hour), 1.0);
    }

    #[test]
    fn a_moment_is_no_rate() {
        for short in [stored(1, 500, 86_000_000, 59_999), stored(1, 500, 0, DAY_MS)] {
            let error = short.requests_per_s().unwrap_err();
            assert_eq!(error.kind, crate::error::ErrorKind::Usage);
            assert!(error.message.contains("at least 60 s"), "{}", error.message);
            assert!(error.hints[0].contains("--rate"));
        }
    }

    #[test]
    fn expectations_are_read_strictly() {
        let read = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            expected(&texts).map_err(|error| error.message)
        };
        let two = read(&["error_rate=0.02", "latency_p95=900"]).unwrap();
        assert_eq!(
            two.into_iter().collect::<Vec<_>>(),
            [(Metric::ErrorRate, 0.02), (Metric::LatencyP95, 900.0)]
        );
        for (bad, says) in [
            ("error_rate", "is not a number"),
            ("error_rate=", "is not a number"),
            ("error_rate=2%", "`2%` is not a number"),
            ("=1", "unknown metric ``"),
        ] {
            assert!(read(&[bad]).unwrap_err().contains(says), "{bad}");
        }
        assert!(read(&["error_rate=0", "error_rate=1"]).unwrap_err().contains("given twice"));
    }
}
