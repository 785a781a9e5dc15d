//! Prometheus metrics, written by hand: a few counters and histograms in the text format 0.0.4, or
//! in OpenMetrics with exemplars.
//!
//! The names that dashboards know (`llm_…`, `gateway_…`) are kept to the letter; our own start with
//! `tidegate_`. Label values come from enums and from the names of our own version sets, never from
//! a request.

mod retrieval;
mod shadow;
mod text;
mod view;

pub(crate) use retrieval::RetrievalResult;
pub(crate) use text::{Format, joined_pages};
pub(crate) use view::{ArmView, ReleaseView, TableView};

use retrieval::Retrievals;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use text::{Buckets, Exemplar, Page, Scale};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::evidence::RepairResult;
use tidegate_core::ids::TraceId;
use tidegate_core::money::{Charge, Pricing};
use tidegate_core::retrieval::{Cited, Claims};
use tidegate_core::route::Arm;
use tidegate_core::upstream::Failure;

/// Buckets of `llm_latency_seconds`.
static LLM_SECONDS: Scale<7> = Scale([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
/// Buckets of `gateway_requests_latency_seconds`: those of the model, finer below, longer above.
static GATEWAY_SECONDS: Scale<12> =
    Scale([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0]);
/// Buckets of `tidegate_gateway_overhead_seconds`: from 50 µs, which is what is expected.
static OVERHEAD_SECONDS: Scale<11> =
    Scale([0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1.0]);

/// Model versions that have their own series; later ones are counted as `other`. A release touches
/// two, so this is sixteen releases with a new model each between restarts.
const MODEL_VERSIONS_MAX: usize = 32;
/// Weight of one answer in the moving average of `llm_output_quality`: about the last 100 answers.
const QUALITY_WEIGHT: f64 = 0.01;

/// How a request ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StatusClass {
    /// It was answered.
    Ok,
    /// It failed by the upstream's fault or ours.
    Error,
    /// It failed by the client's fault, or the client left.
    ClientError,
}

impl StatusClass {
    const ALL: [StatusClass; 3] = [StatusClass::Ok, StatusClass::Error, StatusClass::ClientError];

    /// The class of an HTTP status.
    pub(crate) fn of(status: u16) -> StatusClass {
        match status {
            0..=399 => StatusClass::Ok,
            400..=499 => StatusClass::ClientError,
            500.. => StatusClass::Error,
        }
    }

    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            StatusClass::Ok => "ok",
            StatusClass::Error => "error",
            StatusClass::ClientError => "client_error",
        }
    }
}

/// One request that reached a version set.
#[derive(Debug, Clone)]
pub(crate) struct AnswerSample<'a> {
    /// The model's version name.
    pub(crate) model_version: &'a str,
    /// The arm.
    pub(crate) arm: Arm,
    /// How it ended.
    pub(crate) status: StatusClass,
    /// From the request to the last of the answer.
    pub(crate) latency: Duration,
    /// The request, for an exemplar.
    pub(crate) trace_id: &'a TraceId,
    /// When it came, since 1970.
    pub(crate) at: Duration,
    /// Prompt tokens.
    pub(crate) tokens_in: u64,
    /// Answer tokens.
    pub(crate) tokens_out: u64,
    /// What it cost; `None` where it cost nothing.
    pub(crate) charge: Option<&'a Charge>,
    /// Why there was no answer; `None` when it was answered.
    pub(crate) failure: Option<Failure>,
    /// Whether the output contract was kept; `None` when it was not checked.
    pub(crate) contract_ok: Option<bool>,
    /// Whether the answer was a refusal; `None` when there was no answer.
    pub(crate) refused: Option<bool>,
}

/// All counters of the process.
#[derive(Default)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    models: BTreeMap<String, Model>,
    gateway: [u64; 3],
    gateway_seconds: Series<12>,
    overhead_seconds: Series<11>,
    arms: [[u64; 3]; 2],
    tokens: [[u64; 2]; 2],
    /// By arm, trillionths of a US dollar.
    cost: [u128; 2],
    failures: [BTreeMap<Failure, u64>; 2],
    /// By arm and model: fallbacks that answered, and that failed.
    fallbacks: [BTreeMap<String, [u64; 2]>; 2],
    /// By arm: requests that the cache had no answer for, and those it had one for.
    cached: [[u64; 2]; 2],
    /// Searches, and what answers made of what was found.
    retrievals: Retrievals,
    /// By arm: answers that kept the contract, and that broke it.
    contract: [[u64; 2]; 2],
    /// By arm: what became of answers that broke the contract where they are asked for once more.
    repairs: [[u64; RepairResult::ALL.len()]; 2],
    /// Requests while the service was degraded, by level.
    degraded: [u64; 4],
    /// What guards saw, by guard and action.
    guards: BTreeMap<(&'static str, &'static str), u64>,
}

#[derive(Default)]
struct Model {
    statuses: [u64; 3],
    /// Requests without a price, and those at the standard price of another tier.
    mispriced: [u64; 2],
    seconds: Series<7>,
    /// One for each bucket, that above the last edge included.
    exemplars: [Option<Exemplar>; 8],
    quality: BTreeMap<&'static str, f64>,
}

/// One histogram's counts; the bucket after the last edge is `+Inf`.
struct Series<const N: usize> {
    buckets: [u64; N],
    beyond: u64,
    sum: f64,
}

impl<const N: usize> Default for Series<N> {
    fn default() -> Self {
        Series { buckets: [0; N], beyond: 0, sum: 0.0 }
    }
}

impl<const N: usize> Series<N> {
    /// Counts a time; gives its bucket, N for above the last edge.
    fn add(&mut self, scale: &Scale<N>, seconds: f64) -> usize {
        self.sum += seconds;
        match scale.0.iter().position(|edge| seconds <= *edge) {
            Some(bucket) => {
                self.buckets[bucket] += 1;
                bucket
            }
            None => {
                self.beyond += 1;
                N
            }
        }
    }

    fn buckets<'a>(&'a self, exemplars: &'a [Option<Exemplar>]) -> Buckets<'a> {
        Buckets { counts: &self.buckets, beyond: self.beyond, sum: self.sum, exemplars }
    }
}

impl Metrics {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request at the door, whatever became of it.
    pub(crate) fn request(&self, status: StatusClass, latency: Duration) {
        let mut counts = self.counts();
        counts.gateway[status as usize] += 1;
        counts.gateway_seconds.add(&GATEWAY_SECONDS, latency.as_secs_f64());
    }

    /// Counts the time that a request spent in Tidegate and not upstream.
    pub(crate) fn overhead(&self, time: Duration) {
        self.counts().overhead_seconds.add(&OVERHEAD_SECONDS, time.as_secs_f64());
    }

    /// Counts a request that reached a version set. The latency histogram holds answers only, so
    /// that a fast error never looks like a good latency.
    pub(crate) fn answer(&self, sample: &AnswerSample<'_>) {
        let mut counts = self.counts();
        let arm = sample.arm as usize;
        counts.arms[arm][sample.status as usize] += 1;
        counts.tokens[arm][0] += sample.tokens_in;
        counts.tokens[arm][1] += sample.tokens_out;
        if let Some(failure) = sample.failure {
            *counts.failures[arm].entry(failure).or_default() += 1;
        }
        if let Some(ok) = sample.contract_ok {
            counts.contract[arm][usize::from(!ok)] += 1;
        }
        if let Some(charge) = sample.charge {
            counts.cost[arm] += u128::from(charge.bill.total().0);
        }
        let model = counts.model(sample.model_version);
        match sample.charge.map(|charge| charge.pricing) {
            Some(Pricing::Unpriced) => model.mispriced[0] += 1,
            Some(Pricing::OtherTier) => model.mispriced[1] += 1,
            Some(Pricing::Listed) | None => {}
        }
        model.statuses[sample.status as usize] += 1;
        if sample.status == StatusClass::Ok {
            model.time(sample);
        }
        if let Some(ok) = sample.contract_ok {
            model.average("contract", f64::from(u8::from(ok)));
        }
        if let Some(refused) = sample.refused {
            model.average("not_refused", f64::from(u8::from(!refused)));
        }
    }

    /// Counts a request that was answered, or refused, at a level of degradation.
    pub(crate) fn degraded(&self, level: DegradeLevel) {
        self.counts().degraded[usize::from(level.number() - 1)] += 1;
    }

    /// Counts what a guard saw in a request or an answer, and what was done about it.
    pub(crate) fn guard(&self, guard: &'static str, action: &'static str) {
        *self.counts().guards.entry((guard, action)).or_default() += 1;
    }

    /// Counts a request that the cache was asked for.
    pub(crate) fn cached(&self, arm: Arm, is_hit: bool) {
        self.counts().cached[arm as usize][usize::from(is_hit)] += 1;
    }

    /// Counts what an answer cites of what was searched for it.
    pub(crate) fn cited(&self, arm: Arm, cited: Cited) {
        self.counts().retrievals.cited(arm, cited);
    }

    /// Counts what an answer claims, beside what was found for it.
    pub(crate) fn claims(&self, arm: Arm, claims: Claims) {
        self.counts().retrievals.claimed(arm, claims);
    }

    /// Counts a search.
    pub(crate) fn retrieval(&self, arm: Arm, result: RetrievalResult) {
        self.counts().retrievals.searched(arm, result);
    }

    /// Counts a request that a fallback was asked for.
    pub(crate) fn fallback(&self, arm: Arm, model: &str, is_answered: bool) {
        let mut counts = self.counts();
        let models = &mut counts.fallbacks[arm as usize];
        bounded(models, model)[usize::from(!is_answered)] += 1;
    }

    /// Counts what became of an answer that broke the contract, where it may be asked for again.
    pub(crate) fn repair(&self, arm: Arm, result: RepairResult) {
        self.counts().repairs[arm as usize][result as usize] += 1;
    }

    /// Averages a score of 0 to 1 that a user or an evaluation gave.
    pub(crate) fn quality(&self, model_version: &str, metric: &'static str, score: f64) {
        self.counts().model(model_version).average(metric, score);
    }

    /// The page that Prometheus reads.
    pub(crate) fn render(&self, view: &TableView, format: Format) -> String {
        let mut page = Page::new(format);
        let counts = self.counts();
        counts.render_seed_metrics(&mut page);
        counts.render_own_metrics(&mut page);
        drop(counts);
        view.render(&mut page);
        page.finish()
    }
}

impl Model {
    fn time(&mut self, sample: &AnswerSample<'_>) {
        let seconds = sample.latency.as_secs_f64();
        let bucket = self.seconds.add(&LLM_SECONDS, seconds);
        let Some(exemplar) = self.exemplars.get_mut(bucket) else { return };
        if exemplar.as_ref().is_none_or(|known| !known.is_fresh(sample.at)) {
            *exemplar = Exemplar::of(sample.trace_id, seconds, sample.at).or(exemplar.take());
        }
    }

    fn average(&mut self, metric: &'static str, value: f64) {
        let average = self.quality.entry(metric).or_insert(value);
        *average += (value - *average) * QUALITY_WEIGHT;
    }
}

/// What is counted of a model; of all together that there is no room for.
fn bounded<'a, V: Default>(models: &'a mut BTreeMap<String, V>, name: &str) -> &'a mut V {
    let is_room = models.contains_key(name) || models.len() < MODEL_VERSIONS_MAX;
    models.entry(if is_room { name } else { "other" }.to_owned()).or_default()
}

impl Counts {
    fn model(&mut self, version: &str) -> &mut Model {
        bounded(&mut self.models, version)
    }

    fn render_seed_metrics(&self, page: &mut Page) {
        page.family("llm_requests_total", "counter", "Total LLM requests");
        for (version, model) in &self.models {
            for status in StatusClass::ALL {
                let labels = [("model_version", version.as_str()), ("status", status.as_str())];
                page.count("llm_requests_total", &labels, model.statuses[status as usize]);
            }
        }
        page.family("llm_latency_seconds", "histogram", "LLM inference latency");
        for (version, model) in &self.models {
            let labels = [("model_version", version.as_str())];
            let buckets = model.seconds.buckets(&model.exemplars);
            page.histogram("llm_latency_seconds", &labels, &LLM_SECONDS, &buckets);
        }
        page.family("llm_output_quality", "gauge", "LLM output quality score");
        for (version, model) in &self.models {
            for (metric, value) in &model.quality {
                let labels = [("model_version", version.as_str()), ("metric", metric)];
                page.value("llm_output_quality", &labels, *value);
            }
        }
        page.family(
            "gateway_requests_total",
            "counter",
            "Requests at the gateway by how they ended",
        );
        for status in StatusClass::ALL {
            let labels = [("status", status.as_str())];
            page.count("gateway_requests_total", &labels, self.gateway[status as usize]);
        }
        let name = "gateway_requests_latency_seconds";
        page.family(name, "histogram", "From the first byte of a request to the end of its answer");
        page.histogram(name, &[], &GATEWAY_SECONDS, &self.gateway_seconds.buckets(&[]));
    }

    fn render_guards(&self, page: &mut Page) {
        let name = "tidegate_degraded_requests_total";
        page.family(name, "counter", "Requests while the service was degraded, by level");
        for (level, count) in DegradeLevel::ALL.into_iter().zip(self.degraded) {
            page.count(name, &[("level", &level.to_string())], count);
        }
        let name = "tidegate_guard_events_total";
        page.family(name, "counter", "What guards saw in requests and answers, and what was done");
        for ((guard, action), count) in &self.guards {
            page.count(name, &[("guard", guard), ("action", action)], *count);
        }
    }

    fn render_retrievals(&self, page: &mut Page) {
        self.retrievals.render(page);
        let name = "tidegate_cache_total";
        page.family(name, "counter", "Requests that the cache was asked for, by whether it had it");
        for arm in [Arm::Stable, Arm::Candidate] {
            for (result, count) in ["miss", "hit"].into_iter().zip(self.cached[arm as usize]) {
                page.count(name, &[("arm", arm.as_str()), ("result", result)], count);
            }
        }
    }

    fn render_contract(&self, page: &mut Page) {
        let name = "tidegate_contract_checks_total";
        page.family(name, "counter", "Answers checked against the output contract by arm");
        for arm in [Arm::Stable, Arm::Candidate] {
            for (result, count) in ["kept", "broken"].into_iter().zip(self.contract[arm as usize]) {
                page.count(name, &[("arm", arm.as_str()), ("result", result)], count);
            }
        }
        let name = "tidegate_contract_repairs_total";
        page.family(name, "counter", "Answers that broke the contract, by what became of them");
        for arm in [Arm::Stable, Arm::Candidate] {
            for result in RepairResult::ALL {
                let labels = [("arm", arm.as_str()), ("result", result.as_str())];
                page.count(name, &labels, self.repairs[arm as usize][result as usize]);
            }
        }
    }

    fn render_own_metrics(&self, page: &mut Page) {
        page.family("tidegate_arm_requests_total", "counter", "Requests by arm and how they ended");
        for arm in [Arm::Stable, Arm::Candidate] {
            for status in StatusClass::ALL {
                let labels = [("arm", arm.as_str()), ("status", status.as_str())];
                let count = self.arms[arm as usize][status as usize];
                page.count("tidegate_arm_requests_total", &labels, count);
            }
        }
        let name = "tidegate_arm_failures_total";
        page.family(name, "counter", "Requests without an answer by arm and why");
        for arm in [Arm::Stable, Arm::Candidate] {
            for (failure, count) in &self.failures[arm as usize] {
                let labels = [("arm", arm.as_str()), ("failure", failure.as_str())];
                page.count(name, &labels, *count);
            }
        }
        let name = "tidegate_fallbacks_total";
        page.family(name, "counter", "Requests that a fallback was asked for, by how it answered");
        for arm in [Arm::Stable, Arm::Candidate] {
            for (model, counts) in &self.fallbacks[arm as usize] {
                for (result, count) in ["answered", "failed"].into_iter().zip(counts) {
                    let labels = [("arm", arm.as_str()), ("model", model), ("result", result)];
                    page.count(name, &labels, *count);
                }
            }
        }
        self.render_retrievals(page);
        self.render_contract(page);
        self.render_guards(page);
        page.family("tidegate_tokens_total", "counter", "Tokens by arm and direction");
        for arm in [Arm::Stable, Arm::Candidate] {
            for (direction, name) in ["in", "out"].into_iter().enumerate() {
                let labels = [("arm", arm.as_str()), ("direction", name)];
                page.count("tidegate_tokens_total", &labels, self.tokens[arm as usize][direction]);
            }
        }
        let name = "tidegate_cost_usd_total";
        page.family(
            name,
            "counter",
            "What requests cost by arm, US dollars, as far as it is known",
        );
        for arm in [Arm::Stable, Arm::Candidate] {
            let usd = self.cost[arm as usize] as f64 / 1e12;
            page.value(name, &[("arm", arm.as_str())], usd);
        }
        let name = "tidegate_mispriced_requests_total";
        page.family(name, "counter", "Requests without a price, or at another tier's");
        for (version, model) in &self.models {
            for (why, count) in ["unpriced", "other_tier"].into_iter().zip(model.mispriced) {
                let labels = [("model_version", version.as_str()), ("why", why)];
                page.count(name, &labels, count);
            }
        }
        let name = "tidegate_gateway_overhead_seconds";
        let help = "Time a request spent in Tidegate until its answer began, without the upstream \
                    and without waiting for a place";
        page.family(name, "histogram", help);
        page.histogram(name, &[], &OVERHEAD_SECONDS, &self.overhead_seconds.buckets(&[]));
    }
}

#[cfg(test)]
mod tests;
