//! Engine: who can be run, by name.

use super::climb::Climber;
use super::ours::Ours;
use tidegate_core::decide::Plan;

/// The name of our engine.
const OURS: &str = "tidegate";

/// An engine of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Ours.
    Ours,
}

impl Engine {
    /// Every engine, ours first.
    pub(crate) fn all() -> Vec<Engine> {
        vec![Engine::Ours]
    }

    /// Its name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Ours => OURS,
        }
    }

    /// How often it looks, ms: ours as asked, a peer every minute.
    pub(crate) fn every_ms(self, ours: u64) -> u64 {
        match self {
            Engine::Ours => ours,
        }
    }

    /// A release that begins now.
    pub(crate) fn start<'a>(self, plan: &'a Plan) -> Box<dyn Climber + 'a> {
        match self {
            Engine::Ours => Box::new(Ours::new(plan)),
        }
    }
}
