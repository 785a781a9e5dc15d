//! The shadow that runs, else the last one.

use super::text::Page;
use crate::route::Shadowing;
use tidegate_core::journal::ControlState;
use tidegate_core::shadow::{Missed, ShadowVerdict};

/// A shadow in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShadowView {
    running: bool,
    mirrored: u64,
    pairs: u64,
    missed: Missed,
    cost_usd: f64,
    verdict: ShadowVerdict,
}

impl ShadowView {
    /// What the journal has of it, with what the data plane knows beyond that.
    pub(super) fn of(state: &ControlState, live: Option<&Shadowing>) -> Option<ShadowView> {
        let kept = state.shadows.values().max_by_key(|shadow| shadow.plan.created_at)?;
        let live = live.filter(|live| kept.runs() && live.plan.to == kept.plan.to);
        let (seen, missed) = match live {
            Some(live) => live.seen(kept),
            None => (kept.as_ref().clone(), Missed::default()),
        };
        Some(ShadowView {
            running: seen.runs(),
            mirrored: seen.used.requests,
            pairs: seen.pairs(),
            missed,
            cost_usd: seen.used.cost.micro_usd() as f64 / 1e6,
            verdict: seen.verdict(),
        })
    }

    pub(super) fn render(&self, page: &mut Page) {
        let ShadowView { running, mirrored, pairs, missed, cost_usd, verdict } = self;
        let name = "tidegate_shadow_running";
        page.family(name, "gauge", "1 while a shadow runs; what follows is of it, or the last one");
        page.count(name, &[], u64::from(*running));
        let name = "tidegate_shadow_verdict";
        page.family(name, "gauge", "1 at what the shadow says, else 0");
        for each in ShadowVerdict::ALL {
            page.count(name, &[("verdict", each.as_str())], u64::from(*verdict == each));
        }
        let counts = [
            ("tidegate_shadow_mirrored_total", "Requests that a candidate was asked", *mirrored),
            ("tidegate_shadow_pairs_total", "Pairs of answers that were compared", *pairs),
            ("tidegate_shadow_dropped_total", "Mirrored requests given up", missed.dropped),
            ("tidegate_shadow_capped_total", "Requests its caps had no room for", missed.capped),
        ];
        for (name, help, count) in counts {
            page.family(name, "counter", help);
            page.count(name, &[], count);
        }
        let name = "tidegate_shadow_cost_usd_total";
        page.family(
            name,
            "counter",
            "What its requests cost, with what is held for those under way",
        );
        page.value(name, &[], *cost_usd);
    }
}
