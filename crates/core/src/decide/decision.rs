//! What goes into a decision and what comes out.

use super::reason::{Cause, Gap, ModelDrift, Reason};
use super::state::{Order, ReleaseState};
use crate::guard::RiskEvent;
use crate::ids::UnixMs;
use crate::observe::{Counts, Window};
use crate::route::Weight;
use serde::{Deserialize, Serialize};

/// What the lines say now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Every line passes on enough data.
    Green,
    /// Uncertain: too little data, a gap, a shared fault, or a line over its pause threshold.
    Yellow,
    /// A line is proven over its rollback threshold.
    Red,
    /// A red-line event happened.
    Black,
}

impl Signal {
    /// The signal's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Green => "green",
            Signal::Yellow => "yellow",
            Signal::Red => "red",
            Signal::Black => "black",
        }
    }
}

/// What follows from the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// To the next rung; from the last one, the candidate becomes stable.
    Advance,
    /// Stay and go on looking.
    Hold,
    /// Stay until the lines pass again or an operator resumes.
    Pause,
    /// The A/B test is over: back to stable, and the candidate is not blocked.
    End,
    /// Back to stable, for good.
    RollBack,
    /// Back to stable and shut the entrance.
    ShutOff,
}

impl DecisionKind {
    /// The decision's name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            DecisionKind::Advance => "advance",
            DecisionKind::Hold => "hold",
            DecisionKind::Pause => "pause",
            DecisionKind::End => "end",
            DecisionKind::RollBack => "roll back",
            DecisionKind::ShutOff => "shut off",
        }
    }
}

/// What is known at `now`. Windows are cumulative since the release started, so that reading the
/// same observation twice changes nothing (invariant 1).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// The stable arm's outcomes.
    pub stable: Window,
    /// The candidate's outcomes.
    pub candidate: Window,
    /// The counts of stable and of the candidate as they were some seconds ago: a fault is seen in
    /// recent counts, however long ago the state was kept. Left out, in what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<(Counts, Counts)>>,
    /// Why the numbers may be incomplete, when they may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
    /// How the model behind stable changed, while nobody has accepted that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Box<ModelDrift>>,
    /// Red-line events of the candidate not decided on yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub red_events: Vec<RiskEvent>,
    /// An operator's order not carried out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// What the binary is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// Give the candidate this share.
    SetWeight {
        /// Of subjects; a rung of the plan.
        weight: Weight,
    },
    /// Make the candidate stable.
    Promote,
    /// Send everyone to stable, and block nothing.
    End,
    /// Send everyone to stable and block the candidate.
    RollBack,
    /// Stop taking requests.
    CloseEntrance {
        /// Shown to whoever asks why the service is shut.
        reason: Cause,
    },
    /// Open an incident.
    OpenIncident {
        /// Yellow for a pause by lines, else red or black.
        signal: Signal,
        /// The reason that decided.
        reason: Cause,
    },
}

/// The outcome: the new state, what to do, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The time that it was decided for, on the server's clock.
    pub at: UnixMs,
    /// What follows.
    pub kind: DecisionKind,
    /// From what.
    pub signal: Signal,
    /// Why, the one that decided first.
    pub reasons: Vec<Reason>,
    /// What to do; empty when nothing changes.
    pub actions: Vec<Action>,
    /// The release after it.
    pub state: ReleaseState,
}
