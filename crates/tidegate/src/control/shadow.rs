//! Shadows by order: started, looked at with every tick, ended.
//!
//! What may be mirrored is journalled before it is granted to the data plane, so that a kill cannot
//! make a shadow use more than its caps. An end is in force before it is journalled: nothing is
//! mirrored from then on, and a journal that cannot be written is tried again by the next look.

use super::command::{Answer, ShadowRequest, StartRequest};
use super::error::{Result, ShadowError, ShadowProblem, StartError};
use super::start::with_flags;
use super::{Control, ControlError};
use crate::config::Project;
use crate::gate::Comparer;
use crate::output;
use crate::route::Shadowing;
use crate::shadow::ShadowResult;
use crate::spending::Spending;
use crate::store::{Books as _, Sets as _};
use crate::version_set::{LiveSet, PackedSet};
use crate::view::Done;
use std::sync::Arc;
use tidegate_core::ids::{UnixMs, VersionSetId};
use tidegate_core::journal::{Event, ReplayError};
use tidegate_core::pairs::PairMetric;
use tidegate_core::shadow::{EndReason, Ledger, Recorded, Shadow, ShadowPlan, ShadowVerdict, Used};

/// How long pairs may wait for the journal, ms: so much is lost by a kill.
const KEPT_EVERY_MS: u64 = 30_000;

/// What was looked at before.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// How much was compared that is not in the journal.
    fresh: u64,
    /// When the journal had pairs last.
    journalled_at: UnixMs,
    /// What its calls cost that is not in the books: also of mirrors that end after it.
    spending: Option<Arc<Spending>>,
}

impl Control {
    /// Starts a shadow.
    pub(super) async fn start_shadow(&mut self, request: ShadowRequest) -> Result<Answer> {
        if let Some(why) = self.ahead.not_written() {
            return Err(StartError::Unwritten { why }.into());
        }
        self.reload()?;
        if let Some(active) = &self.state.active {
            return Err(ReplayError::ReleaseRunning(active.clone()).into());
        }
        if let Some(shadow) = self.state.shadow() {
            return Err(ReplayError::ShadowRunning(shadow.plan.to.clone()).into());
        }
        let packed = match &request.set {
            Some(id) => self.store.set(id)?,
            None => self.keep(&request.overrides).await?,
        };
        let plan = self.shadow_plan(&request, &packed)?;
        // What cannot be asked is found before the shadow has started.
        Comparer::new(self.project()?, &self.clock)?;
        let (set, label) = (plan.to.clone(), packed.label.clone());
        let (most, ends_at) = (plan.most, plan.ends_at);
        let event = Event::ShadowStarted { plan: Box::new(plan), by: request.by };
        self.append(vec![event]).await?;
        self.begin_mirroring(Ledger::begun)?;
        let done = Done::ShadowStarted { set: set.clone(), label, most, ends_at };
        Ok(Answer { keys: packed.set.keys().short(), version_set: Some(set), ..Answer::of(done) })
    }

    /// A set whose shadow beside what stable serves now has not passed cannot be released, where
    /// the project says so.
    pub(super) fn require_shadow(
        &self,
        stable: &VersionSetId,
        packed: &PackedSet,
        request: &StartRequest,
    ) -> Result<()> {
        let set = &packed.set.id;
        let shadow = self.state.shadows.get(set).filter(|shadow| shadow.plan.from == *stable);
        let problem = match shadow.map(|shadow| (shadow.ended.is_some(), shadow.verdict())) {
            None => ShadowProblem::None,
            Some((false, _)) => ShadowProblem::Running,
            Some((true, ShadowVerdict::Worse)) => ShadowProblem::Worse,
            Some((true, ShadowVerdict::NotYet)) => ShadowProblem::NotYet,
            Some((true, ShadowVerdict::Better | ShadowVerdict::NotWorse)) => return Ok(()),
        };
        let command = match &request.set {
            Some(set) => format!("tidegate shadow start --version-set {set}"),
            None => with_flags("tidegate shadow start", &request.overrides),
        };
        let (set, label) = (set.clone(), packed.label.clone());
        Err(StartError::from(ShadowError::Gate { set, label, problem, command }).into())
    }

    fn shadow_plan(&mut self, request: &ShadowRequest, packed: &PackedSet) -> Result<ShadowPlan> {
        let current = self.state.table.clone().ok_or(ControlError::NoService)?;
        if current.stable == packed.set.id {
            return Err(nothing_new(packed));
        }
        let sets = (self.live_set(&current.stable)?, self.live_set_of(packed)?);
        let project = &self.project()?.project;
        shadow_plan(project, (&sets.0, &sets.1), request, packed, self.clock.now())
    }

    /// Keeps a shadow over recorded requests, which is over.
    pub(super) async fn keep_shadow_over(&mut self, result: ShadowResult) -> Result<Answer> {
        let ShadowResult { plan, by, pairs, used, why } = result;
        let stable = self.state.table.as_ref().map(|table| table.stable.clone());
        let stable = stable.ok_or(ControlError::NoService)?;
        let set = plan.to.clone();
        if plan.from != stable {
            return Err(
                StartError::from(ShadowError::StableMoved { from: plan.from, stable }).into()
            );
        }
        plan.check().map_err(ReplayError::from)?;
        let shadow = Shadow::begin(plan.clone(), &by);
        let end = shadow.ending(&pairs, self.clock.now(), why);
        let (verdict, pairs) = (end.verdict, end.pairs);
        let started = Event::ShadowStarted { plan: Box::new(plan), by };
        let ended = Event::ShadowEnded { used, end: Box::new(end) };
        self.append(vec![started, ended]).await?;
        let done = Done::ShadowEnded { set: set.clone(), verdict, pairs };
        Ok(Answer { version_set: Some(set), ..Answer::of(done) })
    }

    /// Mirrors from now on to the set of the shadow that runs, if one does. `ledger` says what of
    /// its grant is left.
    pub(super) fn begin_mirroring(&mut self, ledger: impl Fn(&Shadow) -> Ledger) -> Result<()> {
        let Some(shadow) = self.state.shadow().cloned() else { return Ok(()) };
        let Some(plane) = self.plane.clone() else { return Ok(()) };
        let candidate = self.live_set(&shadow.plan.to)?;
        let spending = Spending::new(self.project()?.project.all_prices().table);
        let comparer = Comparer::new(self.project()?, &self.clock)?;
        let beside = (spending, comparer);
        let shadowing = Shadowing::new(shadow.plan.clone(), candidate, ledger(&shadow), beside);
        if let Some(before) = &self.shadow_looked.spending {
            shadowing.spending.put_back(before.take());
        }
        let spending = Some(Arc::clone(&shadowing.spending));
        self.shadow_looked = Looked { fresh: 0, journalled_at: self.clock.now(), spending };
        plane.router.set_shadow(Some(Arc::new(shadowing)));
        Ok(())
    }

    /// Books what mirrored requests cost. What cannot be written waits for the next look.
    pub(super) async fn book_shadow(&mut self) {
        let Some(spending) = self.shadow_looked.spending.clone() else { return };
        let lines = spending.take();
        if !lines.is_empty() && self.store.book(lines.clone()).await.is_err() {
            spending.put_back(lines);
        }
    }

    /// Looks at the shadow that runs: whether it ends, and what is to be kept of it.
    pub(super) async fn look_at_shadow(&mut self) -> Result<()> {
        let mirroring = self.plane.as_ref().and_then(|plane| plane.router.shadow());
        let Some(shadow) = self.state.shadow().cloned() else { return Ok(()) };
        let Some(mirroring) = mirroring else { return Ok(()) };
        match self.shadow_ends(&shadow, &mirroring) {
            Some(why) => self.end_shadow(&shadow, why).await,
            None => self.keep_pairs(&mirroring, false).await,
        }
    }

    fn shadow_ends(&mut self, shadow: &Shadow, mirroring: &Shadowing) -> Option<EndReason> {
        let stable = self.state.table.as_ref().map(|table| &table.stable);
        if stable != Some(&shadow.plan.from) {
            return Some(EndReason::OtherStable);
        }
        let (now, ledger) = (self.clock.now(), mirroring.ledger());
        let fresh = ledger.fresh().compared();
        let (red, is_spent) = (ledger.red(), ledger.is_spent());
        let is_same = std::mem::replace(&mut self.shadow_looked.fresh, fresh) == fresh;
        if is_same && red.is_none() && !is_spent && now < shadow.plan.ends_at {
            return None;
        }
        let fresh = ledger.fresh().clone();
        // Requests do not wait while the odds are worked out.
        drop(ledger);
        shadow.ends(&fresh, red, is_spent, now)
    }

    /// Journals the pairs that wait for it, and grants more.
    async fn keep_pairs(&mut self, mirroring: &Shadowing, is_last: bool) -> Result<()> {
        let now = self.clock.now();
        let (pairs, used, wants) = {
            let ledger = mirroring.ledger();
            (ledger.fresh().clone(), ledger.taken(), ledger.wants())
        };
        let waited = now.since(self.shadow_looked.journalled_at) >= KEPT_EVERY_MS;
        if !is_last && wants.is_none() && (pairs.is_empty() || !waited) {
            return Ok(());
        }
        let granted = match (is_last, wants) {
            (true, _) => used,
            (false, Some(wanted)) => wanted,
            (false, None) => mirroring.ledger().granted(),
        };
        let event = Event::ShadowSeen { pairs: pairs.clone(), used, granted };
        self.append(vec![event]).await?;
        mirroring.ledger().journalled(granted, &pairs);
        (self.shadow_looked.fresh, self.shadow_looked.journalled_at) = (0, now);
        Ok(())
    }

    /// Keeps what there is of the shadow that runs at the server's end: what is not used of its
    /// grant is given back.
    pub(super) async fn keep_shadow(&mut self) -> Result<()> {
        let mirroring = self.plane.as_ref().and_then(|plane| plane.router.shadow());
        let Some(mirroring) = mirroring.filter(|_| self.state.shadow().is_some()) else {
            return Ok(());
        };
        mirroring.end();
        self.book_shadow().await;
        self.keep_pairs(&mirroring, true).await
    }

    /// Ends the shadow that runs by order.
    pub(super) async fn stop_shadow(&mut self, by: String, reason: String) -> Result<Answer> {
        let Some(shadow) = self.state.shadow().cloned() else {
            return Err(ReplayError::NoShadow.into());
        };
        let set = shadow.plan.to.clone();
        self.end_shadow(&shadow, EndReason::Order { by, reason }).await?;
        let ended = self.state.shadows.get(&set).cloned().unwrap_or(shadow);
        let (verdict, pairs) = (ended.verdict(), ended.pairs());
        let done = Done::ShadowEnded { set: set.clone(), verdict, pairs };
        Ok(Answer { version_set: Some(set), ..Answer::of(done) })
    }

    async fn end_shadow(&mut self, shadow: &Shadow, why: EndReason) -> Result<()> {
        let mirroring = self.plane.as_ref().and_then(|plane| plane.router.shadow());
        let (pairs, used) = match &mirroring {
            Some(mirroring) => {
                mirroring.end();
                let ledger = mirroring.ledger();
                (ledger.fresh().clone(), ledger.taken())
            }
            // What was granted and is not accounted for counts as used.
            None => (Default::default(), shadow.granted),
        };
        let end = shadow.ending(&pairs, self.clock.now(), why);
        let said = (end.verdict, end.pairs);
        self.append(vec![Event::ShadowEnded { used, end: Box::new(end) }]).await?;
        if let Some(plane) = &self.plane {
            plane.router.set_shadow(None);
            let (verdict, pairs) = said;
            let done = Done::ShadowEnded { set: shadow.plan.to.clone(), verdict, pairs };
            output::stderr(done.sentence(crate::lang::Lang::En, None));
        }
        Ok(())
    }
}

/// The models that compare answers beside what is counted of them.
fn compared_by(project: &Project) -> Vec<String> {
    let (shadow, evals) = (&project.release.shadow, &project.evals);
    let of_index = || project.artifacts.index.search.as_ref()?.embeddings.as_ref();
    let judge = evals.judge.as_ref().filter(|_| shadow.judge_pct > 0.0);
    let embeddings = evals.embeddings.as_ref().or_else(of_index);
    let embeddings = embeddings.filter(|_| shadow.distance_pct > 0.0);
    let models = [judge.map(|judge| &judge.model), embeddings.map(|service| &service.model)];
    models.into_iter().flatten().cloned().collect()
}

fn nothing_new(packed: &PackedSet) -> ControlError {
    let (set, label) = (packed.set.id.clone(), packed.label.clone());
    StartError::from(ShadowError::NothingNew { set, label }).into()
}

/// What a shadow of a set beside stable does, as it is asked for, else as the project says.
///
/// # Errors
/// The set is what stable serves, or its model has no price.
pub(crate) fn shadow_plan(
    project: &Project,
    (stable, candidate): (&LiveSet, &LiveSet),
    request: &ShadowRequest,
    packed: &PackedSet,
    now: UnixMs,
) -> Result<ShadowPlan> {
    if stable.set.id == packed.set.id {
        return Err(nothing_new(packed));
    }
    let (config, prices) = (&project.release.shadow, project.all_prices().table);
    let is_priced = |set: &LiveSet| prices.find(&set.model, None, now, 0).is_some();
    if !is_priced(candidate) {
        let model = candidate.model.clone();
        return Err(StartError::from(ShadowError::Unpriced { model }).into());
    }
    for model in compared_by(project) {
        if prices.find(&model, None, now, 0).is_none() {
            return Err(StartError::from(ShadowError::Unpriced { model }).into());
        }
    }
    let mut limits = config.limits();
    // What only one of them has cannot be compared, and would never be decided.
    if stable.contract.is_none() || candidate.contract.is_none() {
        limits.remove(&PairMetric::ContractBroken);
    }
    if !is_priced(stable) {
        limits.remove(&PairMetric::Cost);
    }
    let recorded = request
        .recorded_ms
        .map(|ago| Recorded { since: UnixMs(now.0.saturating_sub(ago)), until: now });
    if recorded.is_some() {
        // Another hour had another load.
        limits.remove(&PairMetric::Latency);
    }
    let sample = if recorded.is_some() { 100.0 } else { config.sample_pct };
    let lasts_ms = request.lasts_ms.unwrap_or(config.max_hours.saturating_mul(3_600_000));
    let plan = ShadowPlan {
        from: stable.set.id.clone(),
        to: packed.set.id.clone(),
        label: packed.label.clone(),
        sample: request.sample_pct.unwrap_or(sample) / 100.0,
        most: Used {
            requests: request.max_requests.unwrap_or(config.max_requests),
            cost: request.max_cost.unwrap_or(config.max_cost()),
        },
        created_at: now,
        ends_at: UnixMs(now.0.saturating_add(lasts_ms)),
        alpha: project.release.alpha,
        limits,
        recorded,
    };
    plan.check().map_err(ReplayError::from)?;
    Ok(plan)
}
