//! Events of shadows with every key.

use super::set_id;
use crate::guard::RiskKind;
use crate::ids::UnixMs;
use crate::journal::Event;
use crate::money::Money;
use crate::pairs::{Differences, Limit, PairLine, PairMetric, PairVerdict};
use crate::shadow::{
    EndReason, PairCounts, Recorded, ShadowEnd, ShadowPlan, ShadowVerdict, Side, Used,
};
use std::collections::BTreeMap;

fn used() -> Used {
    Used { requests: 3, cost: Money(5) }
}

pub(super) fn started() -> Event {
    let plan = ShadowPlan {
        from: set_id(1),
        to: set_id(2),
        label: "words".to_owned(),
        sample: 0.25,
        most: used(),
        created_at: UnixMs(5),
        ends_at: UnixMs(5_000),
        alpha: 0.05,
        limits: BTreeMap::from([(PairMetric::Failed, Limit::new(0.05).unwrap())]),
        recorded: Some(Recorded { since: UnixMs(1), until: UnixMs(5) }),
    };
    Event::ShadowStarted { plan: Box::new(plan), by: "words".to_owned() }
}

pub(super) fn seen() -> Event {
    let mut pairs = PairCounts::default();
    let side = Side { failed: true, ..Side::default() };
    pairs.add(&Side::default(), &side);
    Event::ShadowSeen { pairs, used: used(), granted: used() }
}

pub(super) fn ended() -> Event {
    let mut differences = Differences::default();
    differences.add(0.5);
    let line = PairLine {
        metric: PairMetric::Failed,
        pairs: differences.pairs(),
        worse: 1,
        better: 0,
        mean: Some(0.5),
        low: -0.5,
        high: 0.5,
        limit: Limit::new(0.05),
        odds_within: 0.5,
        odds_over: 0.5,
        needed_over: 20.5,
        verdict: PairVerdict::Open,
        more: Some(3),
    };
    let end = ShadowEnd {
        at: UnixMs(5),
        why: EndReason::RedLine { kind: RiskKind::Leak },
        verdict: ShadowVerdict::Worse,
        lines: vec![line],
        pairs: 1,
    };
    Event::ShadowEnded { used: used(), end: Box::new(end) }
}
