//! Starting a release: everything that must hold before the first user sees it.
//!
//! Order of checks: the contract is complete; the set differs from stable; there is a way back
//! or someone accepts that there is none; the set is not blocked (invariant 4); the exact set
//! passed the exact cases of now; where the project asks for it, its shadow passed; who must
//! approve it has. All of them are checked before anything is written.

use super::command::{AbTerms, Answer, StartRequest};
use super::error::{EvalProblem, Result, StartError};
use super::{Control, ControlError};
use crate::config::{Loaded, plan_parts};
use crate::evidence::change_id;
use crate::gate::{GateError, judge_written, latest_report, load_cases, policy_of};
use crate::store::{Evals as _, Sets as _};
use crate::version_set::{PackOverrides, PackedSet};
use crate::view::Done;
use std::time::Instant;
use tidegate_core::act::first_table;
use tidegate_core::decide::{AbPlan, Baseline, Plan, PlanError, ReleaseParts, Watch};
use tidegate_core::gate::{WrittenAnswer, WrittenGate, WrittenRecord};
use tidegate_core::ids::{Digest, UnixMs};
use tidegate_core::journal::{ControlState, Event, ReplayError};
use tidegate_core::route::Weight;
use tidegate_core::version_set::{ArtifactChange, VersionSet};

impl Control {
    /// Starts a release, or an A/B test.
    pub(super) async fn start(
        &mut self,
        request: StartRequest,
        ab: Option<AbTerms>,
    ) -> Result<Answer> {
        if let Some(why) = self.ahead.not_written() {
            return Err(StartError::Unwritten { why }.into());
        }
        self.reload()?;
        self.require_none_runs()?;
        let now = self.clock.now();
        let ab = ab.map(|ab| ab.plan(now)).transpose()?;
        require_contract(&self.project()?.project.contract)?;
        let packed = match &request.set {
            Some(id) => self.store.set(id)?,
            None => self.keep(&request.overrides).await?,
        };
        let current = self.state.table.clone().ok_or(ControlError::NoService)?;
        let stable = self.store.set(&current.stable)?.set;
        let changes = stable.diff(&packed.set);
        if changes.is_empty() {
            let (set, label) = (packed.set.id, packed.label);
            return Err(StartError::NothingNew { set, label }.into());
        }
        let written = self.require_written(&packed)?;
        require_way_back(&stable, &packed.set, request.accept_one_way)?;
        self.require_unblocked(&packed, request.override_reason.as_deref())?;
        self.require_eval(&packed, &request.overrides)?;
        if self.project()?.project.release.shadow.gate {
            self.require_shadow(&current.stable, &packed, &request)?;
        }
        self.require_approvals(&packed, &request.by)?;
        let plan = self.plan(&stable, &packed, &changes, (now, ab.clone()))?;
        let table = first_table(&current, &plan);
        let change_id = plan.change_id.clone();
        let event = Event::ReleaseStarted {
            plan: Box::new(plan),
            table: table.clone(),
            by: request.by,
            override_reason: request.override_reason,
            smoke: request.smoke,
            written,
        };
        // The candidate must be servable before its start is journalled.
        self.live_set_of(&packed)?;
        let decided = Instant::now();
        self.append(vec![event]).await?;
        if let Some(plane) = &self.plane {
            plane.collector.begin(change_id.clone(), Default::default(), Default::default());
        }
        self.watch = Watch::default();
        self.apply(&table, decided).await?;
        self.log_start(&change_id, &table);
        let weight = table.split.as_ref().map(|split| split.weight).unwrap_or_default();
        let about = Some(change_id.clone());
        let label = packed.label.clone();
        let done = match ab {
            Some((ab, weight)) => Done::AbStarted { change_id, label, ab, weight },
            None => Done::Started { change_id, label, weight },
        };
        Ok(Answer {
            change_id: about,
            keys: packed.set.keys().short(),
            version_set: Some(packed.set.id),
            ..Answer::of(done)
        })
    }

    /// A service has one release or A/B test at a time.
    fn require_none_runs(&self) -> Result<(), StartError> {
        let Some(active) = self.state.active_release() else { return Ok(()) };
        let release = active.plan.change_id.clone();
        Err(match &active.plan.ab {
            Some(ab) => StartError::AbRunning { release, name: ab.name.clone() },
            None => StartError::StillRunning { release },
        })
    }

    /// How the gates that the user wrote come out. The one before the service is shared must hold;
    /// the others guard other steps, and their answers are kept.
    fn require_written(&self, packed: &PackedSet) -> Result<Vec<WrittenRecord>> {
        let (loaded, now) = (self.project()?, self.clock.now());
        let latest = latest_report(&self.state, &self.store)?;
        let mut written = Vec::new();
        for gate in WrittenGate::ALL {
            let answer = judge_written(loaded, packed, gate, latest.as_ref(), now)?;
            let Some(WrittenAnswer { holds, why }) = answer else { continue };
            if gate == WrittenGate::Share && !holds {
                return Err(StartError::Written { why }.into());
            }
            written.push(WrittenRecord { gate, holds, why });
        }
        Ok(written)
    }

    /// What was rolled back stays out, unless a named person overrides it (invariant 4). The
    /// journal refuses it as well; checked here, it is reported before other problems of the set.
    fn require_unblocked(&self, packed: &PackedSet, overridden: Option<&str>) -> Result<()> {
        match self.state.blocked.get(&packed.set.id) {
            Some(block) if overridden.is_none() => {
                let (set, block) = (packed.set.id.clone(), Box::new(block.clone()));
                Err(ReplayError::Blocked { set, block }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A set without a fresh passing run of exactly its content on exactly these cases cannot be
    /// released.
    fn require_eval(&self, packed: &PackedSet, overrides: &PackOverrides) -> Result<()> {
        match eval_problem(&self.state, self.project()?, packed)? {
            Ok(_) => Ok(()),
            Err(problem) => {
                let (set, label) = (packed.set.id.clone(), packed.label.clone());
                let command = eval_command(overrides);
                Err(StartError::Eval { set, label, problem, command }.into())
            }
        }
    }

    fn plan(
        &mut self,
        stable: &VersionSet,
        packed: &PackedSet,
        changes: &[ArtifactChange],
        (now, ab): (UnixMs, Option<(AbPlan, Weight)>),
    ) -> Result<Plan> {
        let parts = plan_parts(&self.project()?.project)?;
        let service = self.state.service.clone().ok_or(ControlError::NoService)?;
        let (from, to) = (stable.id.clone(), packed.set.id.clone());
        let stamp = Digest::of_parts(&[
            from.as_str().as_bytes(),
            to.as_str().as_bytes(),
            &now.0.to_le_bytes(),
        ]);
        let (kind, version) = changes
            .iter()
            .find(|c| c.kind != tidegate_core::version_set::ArtifactKind::Config)
            .or(changes.first())
            .map_or(("change", String::new()), |c| {
                (c.kind.as_str(), c.to.clone().unwrap_or_default())
            });
        let (kind, version) = match &ab {
            Some((ab, _)) => ("ab", ab.name.clone()),
            None => (kind, version),
        };
        let same_upstream = {
            let (old, new) = (self.live_set(&from)?, self.live_set_of(packed)?);
            old.upstream_config == new.upstream_config && old.model == new.model
        };
        let baseline = self.store.baseline(&from, now)?.map(|(window, days)| Baseline {
            service: service.clone(),
            set: from.clone(),
            days,
            window,
        });
        let release = ReleaseParts {
            change_id: change_id(kind, &version, stamp.short(5)),
            service,
            from,
            to,
            salt: stamp.short(16).to_owned(),
            same_upstream,
            baseline,
            created_at: now,
        };
        let plan = match ab {
            Some((ab, split)) => parts.ab_plan(release, ab, split),
            None => parts.plan(release),
        };
        Ok(plan.map_err(StartError::Plan)?)
    }
}

impl AbTerms {
    /// The plan of an A/B test that starts now, and its split.
    fn plan(self, now: UnixMs) -> Result<(AbPlan, Weight), StartError> {
        let AbTerms { name, arms: (stable_arm, candidate_arm), metrics, split_pct, .. } = self;
        let (alpha, ends_at) = (self.alpha, now.plus(self.lasts_ms));
        let ab = AbPlan { name, stable_arm, candidate_arm, metrics, alpha, ends_at };
        ab.check(now).map_err(PlanError::from)?;
        Ok((ab, AbPlan::split(split_pct).map_err(PlanError::from)?))
    }
}

/// The run by which a set may be released: the latest on exactly this set, if it passed on exactly
/// the cases of now, held to what the gate demands now; or why there is none.
///
/// # Errors
/// The cases or the gate's policy cannot be read.
pub(crate) fn eval_problem(
    state: &ControlState,
    loaded: &Loaded,
    packed: &PackedSet,
) -> std::result::Result<std::result::Result<String, EvalProblem>, GateError> {
    let cases = load_cases(loaded, packed)?;
    let Some(run) = state.eval_runs.get(&packed.set.id) else { return Ok(Err(EvalProblem::None)) };
    let run_id = run.run_id.clone();
    let digest = cases.digest()?;
    let policy = policy_of(loaded, packed, &cases.cases)?;
    Ok(match run {
        run if run.cases != digest => Err(EvalProblem::OtherCases { run_id }),
        run if run.policy != Some(policy.digest()) => Err(EvalProblem::OtherPolicy { run_id }),
        run if !run.passed => Err(EvalProblem::Failed { run_id }),
        _ => Ok(run_id),
    })
}

/// The eval of the set that these overrides make.
fn eval_command(overrides: &PackOverrides) -> String {
    with_flags("tidegate eval", overrides)
}

/// A command about the set that these overrides make.
pub(super) fn with_flags(command: &str, overrides: &PackOverrides) -> String {
    // A label is for people: it changes neither the set nor its eval.
    let PackOverrides { prompt, model, upstream, label: _ } = overrides;
    let flags = [("prompt", prompt), ("model", model), ("upstream", upstream)];
    let given = flags.iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
    given.fold(command.to_owned(), |command, (flag, value)| format!("{command} --{flag} {value}"))
}

/// The five questions of the release contract must be answered before a service is released.
pub(crate) fn require_contract(contract: &crate::config::Contract) -> Result<(), StartError> {
    let missing = contract.missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(StartError::Contract { missing })
}

fn require_way_back(from: &VersionSet, to: &VersionSet, accepted: bool) -> Result<(), StartError> {
    let problems = from.way_back_problems(to);
    if problems.is_empty() || accepted {
        return Ok(());
    }
    Err(StartError::NoWayBack { set: to.id.clone(), problems })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_eval(prompt: Option<&str>, model: Option<&str>, expected: &str) {
        let [prompt, model] = [prompt, model].map(|value| value.map(str::to_owned));
        let label = Some("for people".to_owned());
        let overrides = PackOverrides { prompt, model, upstream: None, label };
        assert_eq!(eval_command(&overrides), expected);
    }

    #[test]
    fn the_eval_asked_for_is_of_the_set_that_was_given() {
        check_eval(None, None, "tidegate eval");
        check_eval(Some("v2"), None, "tidegate eval --prompt v2");
        check_eval(None, Some("m-7b"), "tidegate eval --model m-7b");
        check_eval(Some("v2"), Some("m"), "tidegate eval --prompt v2 --model m");
    }
}
