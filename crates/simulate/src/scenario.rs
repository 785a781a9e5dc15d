//! Scenario: what a simulated release is up against, and what would be right.

mod list;

use super::content::Content;
use super::drawn::Drawn;
use super::information;
use super::judge::Watched;
use std::sync::Arc;
use tidegate_core::decide::{Band, BandUnit, LineRule, Metric, Preset, Rung, defaults};
use tidegate_core::route::{Arm, Weight};

pub(crate) use list::all;
pub(super) use list::named;

/// Median end-to-end time of a base request, µs.
pub(super) const LATENCY_US: f64 = 800_000.0;
/// Mean tokens of a base answer.
pub(super) const TOKENS: f64 = 400.0;

/// How often a harm may be missed in the bound that engines are compared with.
const BETA: f64 = 0.01;

/// The 95th percentile of a standard normal value.
const NORMAL_P95: f64 = 1.644_853_627;

/// How one arm answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Behaviour {
    /// Share of requests that fail, 0 to 1.
    pub(crate) errors: f64,
    /// Time, as a multiple of the base's.
    pub(crate) latency: f64,
    /// What the slowest 1 % take more, as a multiple.
    pub(crate) tail: f64,
    /// Tokens, as a multiple of the base's.
    pub(crate) tokens: f64,
    /// Share of tasks that fail, 0 to 1.
    pub(crate) task_failed: f64,
    /// Share of answers on which a probabilistic detector goes off, 0 to 1.
    pub(crate) flagged: f64,
}

/// A service in good order.
pub(crate) const BASE: Behaviour = Behaviour {
    errors: 0.005,
    latency: 1.0,
    tail: 1.0,
    tokens: 1.0,
    task_failed: 0.08,
    flagged: 0.0,
};

/// What would be right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Truth {
    /// Within every line: promote it, never roll it back.
    Good,
    /// Worse, but not over a rollback line: rolling back is a false alarm.
    Tolerable,
    /// Over the rollback line of these metrics; none for a red-line event.
    Bad(Vec<Metric>),
    /// Nothing can be known: neither up nor back.
    Hold,
}

impl Truth {
    /// The word in reports.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Truth::Good => "good",
            Truth::Tolerable => "tolerable",
            Truth::Bad(_) => "bad",
            Truth::Hold => "unknowable",
        }
    }
}

/// Errors that both arms have together, in bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bursts {
    /// How many times as many errors.
    pub(crate) factor: f64,
    /// Mean time between bursts, s.
    pub(crate) quiet_s: f64,
    /// How long a burst lasts, s.
    pub(crate) dwell_s: f64,
}

/// An upstream that fails for both arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SharedOutage {
    /// From when on, s.
    pub(crate) from_s: f64,
    /// Share of requests that fail, 0 to 1.
    pub(crate) errors: f64,
}

/// A group of users whose answers the candidate breaks, each the same way: a language it is bad at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Alike {
    /// Share of users in it, 0 to 1.
    pub(crate) users: f64,
    /// Share of their requests that fail on the candidate, 0 to 1.
    pub(crate) errors: f64,
}

/// What users say of answers, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Labels {
    /// Share that is never heard, 0 to 1, below 1.
    pub(crate) lost: f64,
    /// The rest comes within this time, evenly, s.
    pub(crate) delay_s: f64,
}

impl Labels {
    /// How many requests have come, at `rate` a second, when so many labels are heard.
    fn requests(&self, labels: f64, rate: f64) -> f64 {
        let kept = rate * (1.0 - self.lost);
        // Labels come evenly within the delay: until then half of it per second squared, and from
        // then on what came half a delay ago.
        let heard_s = if labels < kept * self.delay_s / 2.0 {
            (2.0 * self.delay_s * labels / kept).sqrt()
        } else {
            labels / kept + self.delay_s / 2.0
        };
        rate * heard_s
    }
}

/// When the engine looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LookSchedule {
    /// Every so many seconds, as the caller says.
    Timed,
    /// After every request of the candidate: peeking as hard as one can.
    EveryRequest,
}

/// One scenario.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: String,
    /// What happens in it, in one sentence.
    pub(crate) about: String,
    /// What would be right.
    pub(crate) truth: Truth,
    /// Requests a second, both arms together.
    pub(crate) rate: f64,
    /// How long it is watched, s.
    pub(crate) horizon_s: f64,
    /// The stable arm.
    pub(crate) stable: Behaviour,
    /// How the candidate answers.
    pub(crate) candidate: Behaviour,
    /// From when on the arms behave so; before it both are [`BASE`], s.
    pub(crate) from_s: f64,
    /// Standard deviation of the logarithm of latency.
    pub(crate) latency_sigma: f64,
    /// The same of tokens.
    pub(crate) tokens_sigma: f64,
    /// Shared bursts.
    pub(crate) bursts: Option<Bursts>,
    /// A shared outage.
    pub(crate) outage: Option<SharedOutage>,
    /// Intra-class correlation of errors within a user, in (0, 1).
    pub(crate) clusters: Option<f64>,
    /// How many users there are.
    pub(crate) users: u32,
    /// A group of users for which the candidate fails, instead of failing for all alike.
    pub(crate) alike: Option<Alike>,
    /// Labels, where users give any.
    pub(crate) labels: Option<Labels>,
    /// From when on the first answer leaks, s.
    pub(crate) leak_s: Option<f64>,
    /// From when on no metrics come in, s.
    pub(crate) gap_s: Option<f64>,
    /// What the router makes of a weight, as a multiple.
    pub(crate) router: f64,
    /// The ladder that our engine and the peers climb.
    pub(crate) rungs: Vec<Rung>,
    /// When our engine looks.
    pub(crate) look: LookSchedule,
    /// The line rules.
    pub(crate) rules: Vec<LineRule>,
    /// The metric that matters.
    pub(crate) metric: Metric,
    /// Real answers in place of drawn ones.
    pub(crate) content: Option<Arc<Content>>,
}

impl Scenario {
    /// How stable answers at this time.
    pub(crate) fn stable_at(&self, at_s: f64) -> &Behaviour {
        if at_s >= self.from_s { &self.stable } else { &BASE }
    }

    /// How the candidate answers at this time.
    pub(crate) fn candidate_at(&self, at_s: f64) -> &Behaviour {
        if at_s >= self.from_s { &self.candidate } else { &BASE }
    }

    /// The watched metric's true values and the value at its rollback line.
    pub(crate) fn watched(&self) -> Watched {
        let stable = self.value(&self.stable, Arm::Stable);
        let rule = self.rules.iter().find(|rule| rule.metric == self.metric);
        let limit = match rule.and_then(|rule| rule.band) {
            Some(Band { rollback, unit: BandUnit::Points, .. }) => stable + rollback,
            // Relative to a rate means to its good share.
            Some(Band { rollback, unit: BandUnit::Relative, .. }) if self.metric.is_rate() => {
                stable + rollback * (1.0 - stable)
            }
            Some(Band { rollback, unit: BandUnit::Relative, .. }) => stable * (1.0 + rollback),
            None => stable,
        };
        Watched { metric: self.metric, stable, limit }
    }

    /// What is true once the harm has set in: what an oracle knows.
    pub(crate) fn known(&self) -> information::Known {
        let sigma = match (&self.content, self.metric) {
            (Some(content), _) => content.tokens_sigma,
            (None, Metric::LatencyP95) => self.latency_sigma,
            (None, _) => self.tokens_sigma,
        };
        information::Known {
            stable: self.value(&self.stable, Arm::Stable),
            candidate: self.value(&self.candidate, Arm::Candidate),
            sigma,
        }
    }

    /// The fewest requests of the candidate, on its first rung, after which the harm could be
    /// distinguished from the line by one who knows everything about the scenario but whether there
    /// is harm, calling a harmless one bad with probability `alpha` and missing it with [`BETA`].
    /// `None` where nothing is over a line, or not from the start.
    ///
    /// Where labels are late or lost, the requests by the time that so many labels are heard.
    pub(crate) fn bound(&self, alpha: f64) -> Option<f64> {
        let harm = matches!(&self.truth, Truth::Bad(broken) if !broken.is_empty());
        let share = self.rungs.first().map_or(1.0, |rung| rung.weight.fraction());
        let (watched, known) = (self.watched(), self.known());
        let heard = information::candidate_requests(&watched, &known, share, alpha, BETA);
        let requests = match (self.metric, self.labels) {
            (Metric::TaskFailedRate, Some(labels)) => labels.requests(heard, self.rate * share),
            _ => heard,
        };
        // Harm that sets in under way may meet any rung's share.
        let at_once = self.from_s <= 0.0;
        (harm && at_once && requests.is_finite()).then_some(requests)
    }

    fn value(&self, behaviour: &Behaviour, arm: Arm) -> f64 {
        let real = self.content.as_deref();
        match Drawn::of(self.metric) {
            Drawn::LatencyP95 => {
                let spread = (NORMAL_P95 * self.latency_sigma).exp();
                LATENCY_US / 1000.0 * behaviour.latency * spread
            }
            Drawn::Tokens => real.map_or(TOKENS * behaviour.tokens, |c| c.means(arm).tokens),
            Drawn::TaskFailures => real.map_or(behaviour.task_failed, |c| c.means(arm).task_failed),
            Drawn::Flags => behaviour.flagged,
            Drawn::Failures | Drawn::Nothing => behaviour.errors,
        }
    }
}

/// The ladder preset that new projects have.
fn ladder() -> Vec<Rung> {
    held_back(Preset::Ladder.rungs())
}

/// The ladder, its last rung looked at for so long: how late trouble is waited for.
fn last_for(seconds: f64) -> Vec<Rung> {
    let mut rungs = ladder();
    if let Some(last) = rungs.last_mut() {
        last.look_ms = (seconds * 1000.0) as u64;
    }
    rungs
}

/// The ladder with the default hold-back, as a project file's.
fn held_back(mut rungs: Vec<Rung>) -> Vec<Rung> {
    let hold_back = Weight::from_pct(defaults::HOLD_BACK_PCT).unwrap_or_default();
    if let Some(last) = rungs.last_mut() {
        last.weight = hold_back.rest();
    }
    rungs
}

/// One rung of this weight for a day, which is longer than any horizon, then everyone.
fn single(pct: f64) -> Vec<Rung> {
    let look_ms = 24 * 3_600_000;
    let weights = [pct, 100.0].into_iter().filter_map(Weight::from_pct);
    held_back(weights.map(|weight| Rung { weight, look_ms }).collect())
}

/// The default rules with this metric's rollback line moved; pass stays where harm begins, for a
/// value a third of the way, and pause lies between.
pub(super) fn rules_with(metric: Metric, rollback: f64) -> Vec<LineRule> {
    let (pass, pause, unit) = if metric.is_rate() {
        (0.0, rollback / 2.0, BandUnit::Points)
    } else {
        (rollback / 3.0, rollback * 2.0 / 3.0, BandUnit::Relative)
    };
    let band = Some(Band { pass, pause, rollback, unit });
    let mut rules = LineRule::defaults();
    match rules.iter_mut().find(|rule| rule.metric == metric) {
        // The metric that matters is waited for, whatever the default is.
        Some(rule) => (rule.band, rule.required) = (band, true),
        None => {
            let (ceiling, multiple) = (None, None);
            rules.push(LineRule { metric, band, ceiling, multiple, floor: 0.0, required: true });
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(name: &str, alpha: f64) -> Option<f64> {
        all().iter().find(|scenario| scenario.name == name).unwrap().bound(alpha)
    }

    #[test]
    fn names_are_unlike_and_plans_are_sound() {
        let all = all();
        let names: std::collections::BTreeSet<&str> =
            all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for scenario in &all {
            crate::ours::plan(scenario).unwrap();
            let watched = scenario.watched();
            let new = scenario.value(&scenario.candidate, Arm::Candidate);
            let over = new > watched.limit * (1.0 + 1e-9);
            let is_bad = matches!(&scenario.truth, Truth::Bad(broken) if !broken.is_empty());
            assert_eq!(over, is_bad, "{}: {new} against {watched:?}", scenario.name);
        }
    }

    #[test]
    fn only_harm_has_a_bound_and_a_smaller_alpha_a_higher_one() {
        assert_eq!(bound("no_change", 0.01), None);
        assert_eq!(bound("on_the_line", 0.01), None);
        assert_eq!(bound("one_leak", 0.01), None);
        for name in ["error_5", "quality_5", "latency_130_s07", "cost_130"] {
            assert!(bound(name, 0.001).unwrap() > bound(name, 0.01).unwrap(), "{name}");
        }
        assert!(bound("error_1", 0.01).unwrap() > 10.0 * bound("error_5", 0.01).unwrap());
    }

    #[test]
    fn late_labels_cost_requests() {
        let labels = |lost: f64, delay_s: f64| Labels { lost, delay_s };
        assert_eq!(labels(0.0, 0.0).requests(100.0, 2.0), 100.0);
        assert_eq!(labels(0.5, 0.0).requests(100.0, 2.0), 200.0);
        // At 1 a second and up to 100 s late: after 100 s half have come, then one a second.
        assert!((labels(0.0, 100.0).requests(50.0, 1.0) - 100.0).abs() < 1e-9);
        assert!((labels(0.0, 100.0).requests(12.5, 1.0) - 50.0).abs() < 1e-9);
        assert!((labels(0.0, 100.0).requests(150.0, 1.0) - 200.0).abs() < 1e-9);
    }
}
