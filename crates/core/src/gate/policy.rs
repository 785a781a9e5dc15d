//! What a gate demands of a run, named by a digest before the first case is asked. A run that
//! passes a policy passes every weaker one ([`GatePolicy::is_at_least`]).

use super::case::{CaseSet, Severity};
use crate::ids::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a gate demands of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GatePolicy {
    /// What each metric needs at least, 0 to 1. A class of risk is a metric by its name, a tag by
    /// `tag:` and its name, a slice by `slice:` and its.
    pub thresholds: BTreeMap<String, f64>,
    /// Cases that fail the gate alone, and must be in the run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub blocking: BTreeSet<String>,
    /// The same, as red lines.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub red_lines: BTreeSet<String>,
    /// Whether what the lints of the prompt find fails the gate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lints: bool,
    /// How much of a metric a run may lose against the last one that passed, 0 to 1; absent where
    /// losses are shown only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<f64>,
    /// Whose verdicts count, where a case asks a judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgedBy>,
}

/// The judge model that a project names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedBy {
    /// Its name at its server.
    pub model: String,
    /// What the server must name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a run was held to, fixed before its first case was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldTo {
    /// What was demanded.
    pub policy: GatePolicy,
    /// Digest of the policy that the run counts for: the project's, where what was demanded is as
    /// much or more, otherwise that of `policy`.
    pub counts_as: Digest,
}

impl HeldTo {
    /// A run that is held to what its project demands.
    pub fn of(policy: GatePolicy) -> HeldTo {
        HeldTo { counts_as: policy.digest(), policy }
    }

    /// A run that is held to `policy`, in a project that demands `own`.
    pub fn new(policy: GatePolicy, own: &GatePolicy) -> HeldTo {
        let counts_as = if policy.is_at_least(own) { own.digest() } else { policy.digest() };
        HeldTo { policy, counts_as }
    }
}

impl GatePolicy {
    /// The same policy always has the same digest, another one another.
    pub fn digest(&self) -> Digest {
        // Maps and sets are in order, and a number of 0 to 1 always has a JSON form.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether a run that passes this policy passes the other one as well.
    pub fn is_at_least(&self, other: &GatePolicy) -> bool {
        let holds = |(metric, needed): (&String, &f64)| {
            self.thresholds.get(metric).is_some_and(|bar| bar >= needed)
        };
        other.thresholds.iter().all(holds)
            && self.blocking.is_superset(&other.blocking)
            && self.red_lines.is_superset(&other.red_lines)
            && (self.lints || !other.lints)
            && other.max_drop.is_none_or(|most| self.max_drop.is_some_and(|drop| drop <= most))
            // What one judge says is no proof of what another would.
            && self.judge == other.judge
    }

    /// Gives the cases that the policy names the severity that it says; never a lower one.
    pub fn mark(&self, set: &mut CaseSet) {
        let (blocking, red_lines) = (self.blocking.clone(), self.red_lines.clone());
        set.cases = std::mem::take(&mut set.cases).map(move |mut case| {
            let named = if red_lines.contains(&case.id) {
                Severity::RedLine
            } else if blocking.contains(&case.id) {
                Severity::Blocking
            } else {
                Severity::Normal
            };
            case.severity = case.severity.max(named);
            case
        });
    }
}
