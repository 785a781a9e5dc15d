//! Engine: who can be run, by name.

use super::climb::Climber;
use super::ladder::{INTERVAL_MS, Ladder};
use super::ours::Ours;
use super::peers::Peer;
use super::scenario::Scenario;
use std::borrow::Cow;
use tidegate_core::decide::Plan;

/// The name of our engine.
pub(super) const OURS: &str = "tidegate";

/// Ours with other limits than a project's defaults, to see what each limit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Neither a limit of pauses nor a harm budget.
    LinesOnly,
    /// Pauses end, and there is no harm budget.
    PauseOnly,
    /// A harm budget of so many answers, and pauses end.
    Budget(u64),
}

impl Variant {
    const ALL: [Variant; 5] = [
        Variant::LinesOnly,
        Variant::PauseOnly,
        Variant::Budget(20),
        Variant::Budget(100),
        Variant::Budget(200),
    ];

    fn name(self) -> &'static str {
        match self {
            Variant::LinesOnly => "lines_only",
            Variant::PauseOnly => "pause_only",
            Variant::Budget(20) => "budget_20",
            Variant::Budget(100) => "budget_100",
            Variant::Budget(_) => "budget_200",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Variant::LinesOnly => "ours, without a limit of pauses and without a harm budget",
            Variant::PauseOnly => "ours, without a harm budget",
            Variant::Budget(_) => "ours, with another harm budget",
        }
    }

    fn plan(self, plan: &Plan) -> Plan {
        let plan = plan.clone();
        match self {
            Variant::LinesOnly => Plan { pause_max_ms: 0, harm_budget: 0, ..plan },
            Variant::PauseOnly => Plan { harm_budget: 0, ..plan },
            Variant::Budget(harm_budget) => Plan { harm_budget, ..plan },
        }
    }
}

/// An engine of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Ours.
    Ours,
    /// Ours, with other limits.
    Variant(Variant),
    /// Another engine, rewritten from its documentation.
    Peer(Peer),
}

impl Engine {
    /// Every engine, ours first.
    pub(crate) fn all() -> Vec<Engine> {
        let others = Peer::ALL.map(Engine::Peer).into_iter();
        std::iter::once(Engine::Ours)
            .chain(Variant::ALL.map(Engine::Variant))
            .chain(others)
            .collect()
    }

    /// Its name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Ours => OURS,
            Engine::Variant(variant) => variant.name(),
            Engine::Peer(peer) => peer.as_str(),
        }
    }

    /// What it is, for lists.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Engine::Ours => "this program's own engine, with a project's defaults",
            Engine::Variant(variant) => variant.about(),
            Engine::Peer(peer) => peer.about(),
        }
    }

    /// How often it looks, ms: ours as asked, a peer every minute.
    pub(crate) fn every_ms(self, ours: u64) -> u64 {
        match self {
            Engine::Ours | Engine::Variant(_) => ours,
            Engine::Peer(_) => INTERVAL_MS,
        }
    }

    /// A release that begins now; `None` for an oracle in a scenario that has no one truth.
    pub(crate) fn start<'a>(
        self,
        scenario: &'a Scenario,
        plan: &'a Plan,
    ) -> Option<Box<dyn Climber + 'a>> {
        match self {
            Engine::Ours => Some(Box::new(Ours::new(plan))),
            Engine::Variant(variant) => Some(Box::new(Ours::of(Cow::Owned(variant.plan(plan))))),
            Engine::Peer(peer) => {
                // An oracle knows what is true; where that changes during the release, there is no
                // oracle.
                let known = (scenario.from_s <= 0.0).then(|| scenario.known());
                let judge = peer.make(&scenario.watched(), known.as_ref())?;
                Some(Box::new(Ladder::new(&scenario.rungs, judge)))
            }
        }
    }
}
