//! Ours: the engine as production runs it. The plan is a project's with defaults, the windows are
//! filled as the collector fills them, what decides is `decide` itself, and what it decided is kept
//! when a server would keep it: a look between two kept ones leaves nothing behind.

use super::climb::{Climber, Label, Named, ReleaseEnd};
use super::scenario::Scenario;
use super::stream::{Draws, Served};
use crate::error::{Result, SimulateError};
use std::borrow::Cow;
use tidegate_core::decide::{
    DecisionDigest, DecisionKind, Gap, Look, Observation, Phase, Plan, PlanParts, Reason,
    ReasonCode, ReleaseParts, ReleaseState, Watch,
};
use tidegate_core::guard::{RiskEvent, RiskKind};
use tidegate_core::ids::{ChangeId, ServiceName, UnixMs, VersionSetId};
use tidegate_core::observe::{Feedback, Outcome, Timing, Window};
use tidegate_core::route::Arm;
use tidegate_core::say::Lang;
use tidegate_core::upstream::Failure;

/// What a thousandth of a token costs, millionths of a dollar: it scales and nothing else.
const MICRO_USD_PER_TOKEN: u64 = 2;

/// The plan of a scenario's release, with the defaults of a project file.
///
/// # Errors
/// An internal error when a scenario's plan is not one that a release could have.
pub(crate) fn plan(scenario: &Scenario) -> Result<Plan> {
    let broken = |error: String| SimulateError::internal(format!("{}: {error}", scenario.name));
    let parts = PlanParts::with_defaults(scenario.rungs.clone(), scenario.rules.clone());
    let plan = parts.plan(ReleaseParts {
        change_id: ChangeId::parse("model-simulated-00000").map_err(|e| broken(e.to_string()))?,
        service: ServiceName::parse("simulated").map_err(|e| broken(e.to_string()))?,
        from: VersionSetId::parse("vs-000000000000").map_err(|e| broken(e.to_string()))?,
        to: VersionSetId::parse("vs-000000000001").map_err(|e| broken(e.to_string()))?,
        salt: "simulated".to_owned(),
        same_upstream: true,
        baseline: None,
        created_at: UnixMs(0),
    });
    plan.map_err(|e| broken(e.to_string()))
}

/// Our engine on one release.
pub(crate) struct Ours<'a> {
    plan: Cow<'a, Plan>,
    watch: Watch,
    /// As it is in the journal.
    kept: ReleaseState,
    /// Of the last decision in the journal.
    last: Option<DecisionDigest>,
    /// As it is by the last look.
    looked: ReleaseState,
    observation: Observation,
    rises: u32,
    named: Named,
    /// Whether it rolled back by a limit, not by a line's proof.
    by_limit: bool,
    /// What was decided last, and the sentence that says why.
    decided: Option<(DecisionKind, String)>,
}

impl<'a> Ours<'a> {
    /// A release that begins now.
    pub(crate) fn new(plan: &'a Plan) -> Ours<'a> {
        Ours::of(Cow::Borrowed(plan))
    }

    /// The same, with a plan that it owns.
    pub(super) fn of(plan: Cow<'a, Plan>) -> Ours<'a> {
        Ours {
            plan,
            watch: Watch::default(),
            kept: ReleaseState::start(UnixMs(0)),
            last: None,
            looked: ReleaseState::start(UnixMs(0)),
            observation: Observation::default(),
            rises: 0,
            named: Named::Nothing,
            by_limit: false,
            decided: None,
        }
    }

    /// The release as of the last look.
    pub(super) fn looked(&self) -> &ReleaseState {
        &self.looked
    }

    /// What was decided last, and why; nothing before the first look.
    pub(super) fn decided(&self) -> Option<(DecisionKind, &str)> {
        self.decided.as_ref().map(|(kind, why)| (*kind, why.as_str()))
    }

    fn window(&mut self, arm: Arm) -> &mut Window {
        match arm {
            Arm::Stable => &mut self.observation.stable,
            Arm::Candidate => &mut self.observation.candidate,
        }
    }
}

/// A request as the collector counts it.
fn outcome(request: &Draws, seen: &Served) -> Outcome {
    let mut risk = Vec::new();
    if seen.leaked {
        risk.push(RiskKind::Leak);
    }
    if seen.flagged {
        risk.push(RiskKind::PromptEcho);
    }
    Outcome {
        failure: seen.failed.then_some(Failure::ServerError),
        timing: Timing { total_us: seen.latency_us, ..Timing::default() },
        tokens_out: seen.tokens,
        cost_micro_usd: seen.tokens * MICRO_USD_PER_TOKEN,
        risk,
        cohort: Some(request.cohort),
        ..Outcome::default()
    }
}

impl Climber for Ours<'_> {
    fn weight(&self) -> f64 {
        self.plan.rungs.get(self.kept.rung).map_or(0.0, |rung| rung.weight.fraction())
    }

    fn add(&mut self, arm: Arm, request: &Draws, seen: &Served) {
        self.window(arm).add(&outcome(request, seen), UnixMs(request.at_ms));
        if seen.leaked && arm == Arm::Candidate {
            let detail = "a planted text".to_owned();
            self.observation.red_events.push(RiskEvent { kind: RiskKind::Leak, detail });
        }
    }

    fn label(&mut self, label: &Label) {
        let feedback = Feedback::TaskDone(!label.failed);
        self.window(label.arm).add_feedback(feedback, Some(label.cohort), UnixMs(label.at_ms));
    }

    fn look(&mut self, at_ms: u64, blind: bool) -> Option<ReleaseEnd> {
        self.observation.gap = blind.then_some(Gap::NoMetrics);
        let (from, now) = ((&self.kept, self.last), UnixMs(at_ms));
        let Look { decision, is_due } =
            self.watch.look(&self.plan, from, &mut self.observation, now);
        self.rises += u32::from(decision.state.rung > self.kept.rung);
        self.observation.red_events.clear();
        if is_due {
            self.kept = decision.state.clone();
            self.last = Some(DecisionDigest::of(&decision));
            self.watch.journalled(now);
        }
        self.looked = decision.state;
        let why = decision.reasons.into_iter().next();
        let named = match &why {
            Some(reason) if reason.code() == ReasonCode::RedLine => Named::RedLine,
            Some(reason) => reason.metric().map_or(Named::Nothing, Named::Metric),
            None => Named::Nothing,
        };
        let code = why.as_ref().map(Reason::code);
        let limits = [ReasonCode::PauseLimit, ReasonCode::OverBudget];
        self.by_limit = code.is_some_and(|code| limits.contains(&code));
        self.decided = why.map(|reason| (decision.kind, Lang::En.sentence(&reason)));
        let end = match self.looked.phase {
            Phase::Running | Phase::Paused(_) => return None,
            Phase::Ended | Phase::RolledBack | Phase::ShutOff => ReleaseEnd::RolledBack,
            Phase::Promoted => ReleaseEnd::Promoted,
        };
        self.named = named;
        Some(end)
    }

    fn end(&self) -> ReleaseEnd {
        match self.kept.phase {
            Phase::Paused(_) => ReleaseEnd::Paused,
            Phase::Ended | Phase::RolledBack | Phase::ShutOff => ReleaseEnd::RolledBack,
            Phase::Promoted => ReleaseEnd::Promoted,
            Phase::Running => ReleaseEnd::Undecided,
        }
    }

    fn rises(&self) -> u32 {
        self.rises
    }

    fn named(&self) -> Named {
        self.named
    }

    fn by_limit(&self) -> bool {
        self.by_limit
    }
}
