//! Engine: who can be run, by name.

use super::climb::Climber;
use super::ladder::{INTERVAL_MS, Ladder};
use super::ours::Ours;
use super::peers::Peer;
use super::scenario::Scenario;
use tidegate_core::decide::Plan;

/// The name of our engine.
pub(super) const OURS: &str = "tidegate";

/// An engine of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Ours.
    Ours,
    /// Another, written anew from what is documented of it.
    Peer(Peer),
}

impl Engine {
    /// Every engine, ours first.
    pub(crate) fn all() -> Vec<Engine> {
        std::iter::once(Engine::Ours).chain(Peer::ALL.map(Engine::Peer)).collect()
    }

    /// Its name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Ours => OURS,
            Engine::Peer(peer) => peer.as_str(),
        }
    }

    /// What it is, for lists.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Engine::Ours => "this program's own engine, with a project's defaults",
            Engine::Peer(peer) => peer.about(),
        }
    }

    /// How often it looks, ms: ours as asked, a peer every minute.
    pub(crate) fn every_ms(self, ours: u64) -> u64 {
        match self {
            Engine::Ours => ours,
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
            Engine::Peer(peer) => {
                // An oracle is told what is true; where that changes under way, there is none.
                let known = (scenario.from_s <= 0.0).then(|| scenario.known());
                let judge = peer.make(&scenario.watched(), known.as_ref())?;
                Some(Box::new(Ladder::new(&scenario.rungs, judge)))
            }
        }
    }
}
