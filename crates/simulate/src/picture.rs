//! Picture: one release of our engine as SVG: how the odds on the scenario's metric grow and
//! falls beside what is enough of it, and what is decided from it.
//!
//! Odds are drawn on a logarithmic axis, cut off at its ends: far beyond "enough" it
//! decides nothing more.

mod drawing;

use super::climb::{Climber, Label, Named, ReleaseEnd, climb};
use super::ours::{self, Ours};
use super::scenario::Scenario;
use super::stream::Stream;
use super::stream::{Draws, Served};
use crate::error::{Result, SimulateError};
use tidegate_core::decide::{DecisionKind, Metric, Plan, standings};
use tidegate_core::route::Arm;
use tidegate_core::say::Lang;

/// One look at the release.
#[derive(Debug, Clone, PartialEq)]
struct PictureLook {
    /// When, s after the release began.
    at_s: f64,
    /// The candidate's share of users from now on, 0 to 1.
    weight: f64,
    /// Common logarithms of the odds that the metric is over the rollback line, and within it.
    over: f64,
    within: f64,
    /// The latter of every other metric that must pass, in the plan's order.
    others: Vec<f64>,
    decided: DecisionKind,
    /// The sentence that says why.
    why: String,
}

/// One release, look by look.
#[derive(Debug)]
struct History<'a> {
    scenario: &'a Scenario,
    looks: Vec<PictureLook>,
    end: ReleaseEnd,
    /// Common logarithms of the odds that are enough to roll back, and to pass.
    over_enough: f64,
    within_enough: f64,
    /// Every other metric that must pass.
    others: Vec<Metric>,
}

impl History<'_> {
    /// Of the other metrics, the one that kept the release waiting longest, and its index; `None`
    /// where none did at any look.
    fn slowest(&self) -> Option<(usize, Metric)> {
        let waited = |index: usize| {
            let falls_short = |look: &&PictureLook| {
                look.others.get(index).is_some_and(|within| *within < self.within_enough)
            };
            self.looks.iter().filter(falls_short).count()
        };
        let indexed = self.others.iter().copied().enumerate();
        indexed.filter(|(index, _)| waited(*index) > 0).max_by_key(|(index, _)| waited(*index))
    }
}

/// The picture of one release: the first repetition of `seed`, looked at every `look_ms`. The
/// second text says how it ended, in one line.
///
/// # Errors
/// A usage error for a scenario in which nothing is decided or its metric has no rollback line; an
/// internal one when the scenario has a plan that no release could have.
pub(crate) fn picture(scenario: &Scenario, seed: u64, look_ms: u64) -> Result<(String, String)> {
    let plan = ours::plan(scenario)?;
    let history = history(scenario, &plan, seed, look_ms)?;
    let Some(last) = history.looks.last() else {
        let message = format!("scenario `{}`: nobody looked within its horizon", scenario.name);
        return Err(SimulateError::usage(message));
    };
    let end = format!("{}: {}", Lang::En.span(last.at_s), ended(&history));
    Ok((drawing::svg(&history), end))
}

/// How it ended and why, in one sentence.
fn ended(history: &History<'_>) -> String {
    let how = match history.end {
        ReleaseEnd::RolledBack => "rolled back",
        ReleaseEnd::Promoted => "promoted",
        ReleaseEnd::Paused => "still paused",
        ReleaseEnd::Undecided => "still on its ladder",
    };
    let why = history.looks.last().map_or("", |look| look.why.as_str());
    format!("{how}: {why}")
}

fn history<'a>(
    scenario: &'a Scenario,
    plan: &Plan,
    seed: u64,
    look_ms: u64,
) -> Result<History<'a>> {
    let others = plan.rules.iter().filter(|rule| rule.required && rule.band.is_some());
    let others: Vec<Metric> =
        others.map(|rule| rule.metric).filter(|metric| *metric != scenario.metric).collect();
    let mut watched = Recorder {
        plan,
        ours: Ours::new(plan),
        metric: scenario.metric,
        others: &others,
        looks: Vec::new(),
    };
    let enough = standings(plan, watched.ours.looked());
    let Some(enough) = enough.iter().find(|one| one.metric == scenario.metric) else {
        let (name, metric) = (&scenario.name, scenario.metric.as_str());
        let message = format!("scenario `{name}`: `{metric}` has no rollback line to draw");
        return Err(SimulateError::usage(message));
    };
    let mut stream = Stream::new(scenario, super::run::seed(seed, &scenario.name, 0));
    let run = climb(scenario, &mut stream, look_ms, &mut watched);
    let looks = watched.looks;
    Ok(History {
        scenario,
        looks,
        others,
        end: run.end,
        over_enough: common(enough.over_enough),
        within_enough: common(enough.within_enough),
    })
}

/// A common logarithm from a natural one.
fn common(natural: f64) -> f64 {
    natural / std::f64::consts::LN_10
}

/// Our engine with somebody who writes down what it says.
struct Recorder<'a> {
    plan: &'a Plan,
    ours: Ours<'a>,
    metric: Metric,
    others: &'a [Metric],
    looks: Vec<PictureLook>,
}

impl Climber for Recorder<'_> {
    fn weight(&self) -> f64 {
        self.ours.weight()
    }

    fn add(&mut self, arm: Arm, request: &Draws, seen: &Served) {
        self.ours.add(arm, request, seen);
    }

    fn label(&mut self, label: &Label) {
        self.ours.label(label);
    }

    fn look(&mut self, at_ms: u64, blind: bool) -> Option<ReleaseEnd> {
        let end = self.ours.look(at_ms, blind);
        let standings = standings(self.plan, self.ours.looked());
        let standing = standings.iter().find(|one| one.metric == self.metric);
        if let (Some(standing), Some((decided, why))) = (standing, self.ours.decided()) {
            self.looks.push(PictureLook {
                at_s: at_ms as f64 / 1000.0,
                weight: if end == Some(ReleaseEnd::RolledBack) { 0.0 } else { self.ours.weight() },
                over: common(standing.over),
                within: common(standing.within),
                others: standings
                    .iter()
                    .filter(|one| self.others.contains(&one.metric))
                    .map(|one| common(one.within))
                    .collect(),
                decided,
                why: why.to_owned(),
            });
        }
        end
    }

    fn end(&self) -> ReleaseEnd {
        self.ours.end()
    }

    fn rises(&self) -> u32 {
        self.ours.rises()
    }

    fn named(&self) -> Named {
        self.ours.named()
    }
}

#[cfg(test)]
mod tests;
