//! Tests of the modules together, and what they share.

use super::{LineRule, Metric, Plan, Rung, SharedFault};
use crate::ids::{ChangeId, ServiceName, UnixMs, VersionSetId};
use crate::route::{Audience, Weight};

pub(super) mod chance;
mod histories;
mod level;
mod merging;
mod oracle;

/// A release of these rules, to which nothing but its lines can happen.
pub(super) fn plan(rules: Vec<LineRule>) -> Plan {
    let rung = |pct| Rung { weight: Weight::from_pct(pct).unwrap(), look_ms: 10_000 };
    Plan {
        change_id: ChangeId::parse("prompt-v3-a1b2c").unwrap(),
        service: ServiceName::parse("desk").unwrap(),
        from: VersionSetId::parse("vs-000000000000").unwrap(),
        to: VersionSetId::parse("vs-111111111111").unwrap(),
        salt: "salt".to_owned(),
        audience: Audience::Users,
        rungs: vec![rung(20.0), rung(50.0), rung(100.0)],
        rules,
        alpha: 0.1,
        bad_budget: 20,
        hold_back: Weight::ZERO,
        min_samples: 20,
        stale_after_ms: 60_000,
        harm_budget: 50,
        pause_max_ms: 600_000,
        shared_fault: SharedFault::default(),
        same_upstream: true,
        close_entrance: true,
        baseline: None,
        ab: None,
        created_at: UnixMs(0),
    }
}

/// The default rule of a metric, without a floor and a ceiling.
fn rule(metric: Metric) -> LineRule {
    let rule = LineRule::defaults().into_iter().find(|rule| rule.metric == metric).unwrap();
    LineRule { floor: 0.0, ceiling: None, multiple: None, ..rule }
}
