//! What a release's plan takes from the project: ladder, lines, audience and error budget.

use super::error::{ConfigError, Result};
use super::project::{LineConfig, LineUnit, Project};
use super::release::{AudienceKind, LadderPreset};
use super::risk::OnBlack;
use crate::near;
use tidegate_core::decide::{Band, BandUnit, LineRule, Metric, PlanParts, Preset, Rung, defaults};
use tidegate_core::route::{Audience, Weight};

/// The parts of a release's plan that the project says.
///
/// # Errors
/// Those of [`rules`].
pub(crate) fn plan_parts(project: &Project) -> Result<PlanParts> {
    let release = &project.release;
    let audience = match release.audience {
        AudienceKind::Users => Audience::Users,
        AudienceKind::AllowList => {
            Audience::AllowList { users: release.allow_list.iter().cloned().collect() }
        }
        AudienceKind::Tenants => Audience::Tenants,
        AudienceKind::Keys => Audience::Keys,
    };
    Ok(PlanParts {
        rungs: rungs(project),
        rules: rules(project)?,
        audience,
        alpha: release.alpha,
        bad_budget: release.bad_budget,
        hold_back: hold_back(project),
        min_samples: release.min_samples,
        stale_after_ms: release.stale_after_s.saturating_mul(1_000),
        harm_budget: release.harm_budget,
        pause_max_ms: release.pause_max_s.saturating_mul(1_000),
        close_entrance: match project.risk.on_black {
            OnBlack::Service => true,
            OnBlack::Candidate => false,
        },
    })
}

/// Share of subjects kept on stable at the last rung; checked when the file was read. An allow-list
/// keeps none: who is not on it would first see the candidate when no control is left.
fn hold_back(project: &Project) -> Weight {
    match project.release.audience {
        AudienceKind::Users | AudienceKind::Tenants | AudienceKind::Keys => {
            Weight::from_pct(project.release.hold_back_pct).unwrap_or_default()
        }
        AudienceKind::AllowList => Weight::ZERO,
    }
}

/// The ladder: the project's own rungs, or the preset's (T-10); the last less the hold-back.
pub(crate) fn rungs(project: &Project) -> Vec<Rung> {
    let mut rungs = whole_rungs(project);
    if let Some(last) = rungs.last_mut().filter(|last| last.weight == Weight::FULL) {
        last.weight = hold_back(project).rest();
    }
    rungs
}

fn whole_rungs(project: &Project) -> Vec<Rung> {
    let release = &project.release;
    let Some(rungs) = &release.rungs else {
        return match release.preset {
            LadderPreset::Careful => Preset::Careful,
            LadderPreset::Ladder => Preset::Ladder,
            LadderPreset::Simple => Preset::Simple,
        }
        .rungs();
    };
    rungs
        .iter()
        .filter_map(|rung| {
            let weight = Weight::from_pct(rung.weight_pct)?;
            // Checked when the file was read: finite, at least 0, and at most a year.
            Some(Rung { weight, look_ms: (rung.look_s * 1_000.0).round() as u64 })
        })
        .collect()
}

/// The threshold table: with the lines of claims where requests are searched for.
fn defaults_of(project: &Project) -> Vec<LineRule> {
    let mut rules = LineRule::defaults();
    if project.artifacts.index.search.is_some() {
        rules.extend(defaults::claims());
    }
    rules
}

/// The threshold table with the project's `lines` over it.
///
/// # Errors
/// An unknown metric, thresholds that do not rise, or no line left to watch.
pub(crate) fn rules(project: &Project) -> Result<Vec<LineRule>> {
    let mut rules = defaults_of(project);
    for (name, config) in &project.lines {
        let metric = metric(name)?;
        let standing = rules.iter().position(|rule| rule.metric == metric);
        if config.off {
            rules.retain(|rule| rule.metric != metric);
            continue;
        }
        let rule = overridden(metric, standing.map(|i| &rules[i]), config)?;
        match standing {
            Some(i) => rules[i] = rule,
            None => rules.push(rule),
        }
    }
    if rules.is_empty() {
        return Err(ConfigError::new("lines: every metric is off; at least one must be watched"));
    }
    Ok(rules)
}

/// The metric of this name.
pub(super) fn metric(name: &str) -> Result<Metric> {
    Metric::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        let all = format!("metrics: {}", known.join(", "));
        ConfigError::new(format!("lines: unknown metric `{name}`"))
            .hint(near::hint(name, known).unwrap_or(all))
    })
}

/// One metric's rule: what the project says over the defaults.
pub(super) fn overridden(
    metric: Metric,
    standing: Option<&LineRule>,
    config: &LineConfig,
) -> Result<LineRule> {
    let LineConfig { pass, pause, rollback, unit, ceiling, multiple, floor, required, off: _ } =
        config;
    let before = standing.and_then(|rule| rule.band);
    let unit = match (unit, before) {
        (Some(LineUnit::Relative), _) => BandUnit::Relative,
        (Some(LineUnit::Points), _) => BandUnit::Points,
        (None, Some(band)) => band.unit,
        // 0.05 is 5 points of a rate, or 5 % of its good share: not for us to guess.
        (None, None) if metric.is_rate() && (pass, pause, rollback) != (&None, &None, &None) => {
            return Err(ConfigError::new(format!(
                "lines.{}: the band has no unit; allowed `points` (of the rate) or `relative` \
                 (to the good share, 1 − rate)",
                metric.as_str()
            ))
            .hint("add `unit: points`"));
        }
        (None, None) => BandUnit::Relative,
    };
    let pass = pass.or(before.map(|band| band.pass));
    let pause = pause.or(before.map(|band| band.pause));
    let rollback = rollback.or(before.map(|band| band.rollback));
    let band = match (pass, pause, rollback) {
        (Some(pass), Some(pause), Some(rollback)) => Some(Band { pass, pause, rollback, unit }),
        (None, None, None) => None,
        _ => {
            return Err(ConfigError::new(format!(
                "lines.{}: a band needs all of pass, pause and rollback; \
                 this metric has no default",
                metric.as_str()
            )));
        }
    };
    let rule = LineRule {
        metric,
        band,
        ceiling: ceiling.or(standing.and_then(|rule| rule.ceiling)),
        multiple: multiple.or(standing.and_then(|rule| rule.multiple)),
        floor: floor.or(standing.map(|rule| rule.floor)).unwrap_or(0.0),
        required: required.or(standing.map(|rule| rule.required)).unwrap_or(false),
    };
    let (most, unit) = if metric.is_rate() { (1.0, "a share") } else { (1e6, "the metric's unit") };
    if rule.floor > most {
        return Err(ConfigError::new(format!(
            "lines.{}: floor: given `{}`, allowed 0 to {most} ({unit}); differences up to it do \
             not count",
            metric.as_str(),
            rule.floor
        ))
        .hint(format!(
            "to stop watching the metric: `lines: {{{}: {{off: true}}}}`",
            metric.as_str()
        )));
    }
    rule.check().map_err(|error| {
        let error = ConfigError::new(error.to_string());
        match before {
            Some(Band { pass, pause, rollback, unit: _ }) => error.hint(format!(
                "what is not given is the default: pass {pass}, pause {pause}, rollback {rollback}"
            )),
            None => error,
        }
    })?;
    Ok(rule)
}
