//! What goes into a decision and what comes out.

use super::reason::{Cause, Gap, Reason};
use super::strata::Stratum;
use crate::guard::RiskEvent;
use crate::ids::UnixMs;
use crate::observe::{Counts, Window};
use crate::route::Weight;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
            DecisionKind::RollBack => "roll back",
            DecisionKind::ShutOff => "shut off",
        }
    }
}

/// What an operator orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Stay at this rung until resumed.
    Pause,
    /// Go on.
    Resume,
    /// Go to the next rung now, without waiting for the evidence.
    Promote,
    /// Make the candidate stable now.
    PromoteFully,
    /// Go back.
    RollBack,
}

impl OrderKind {
    /// What is ordered, in words.
    pub fn words(self) -> &'static str {
        match self {
            OrderKind::Pause => "pause",
            OrderKind::Resume => "resume",
            OrderKind::Promote => "promote to the next rung",
            OrderKind::PromoteFully => "promote to everyone",
            OrderKind::RollBack => "roll back",
        }
    }
}

/// An order with who gave it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What.
    pub kind: OrderKind,
    /// Who, a person's or automation's name.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

/// What is known at `now`. Windows are cumulative since the release started, so that reading the
/// same observation twice changes nothing (invariant 1).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// The stable arm's outcomes.
    pub stable: Window,
    /// The candidate's.
    pub candidate: Window,
    /// The counts of stable and of the candidate as they were some seconds ago: a fault is seen in
    /// what came lately, however long ago the state was kept. Left out, in what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<(Counts, Counts)>>,
    /// Why the numbers may be incomplete, when they may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
    /// Red-line events of the candidate not decided on yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub red_events: Vec<RiskEvent>,
    /// An operator's order not carried out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// Why a release is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedBy {
    /// An operator paused it; only an operator resumes it.
    Operator,
    /// A line is over its pause threshold; it goes on by itself once the lines pass.
    Lines,
}

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase", content = "by")]
pub enum Phase {
    /// On its ladder.
    Running,
    /// Waiting at its rung; red and black still act.
    Paused(PausedBy),
    /// Went back. Final.
    RolledBack,
    /// Went back and the entrance was shut. Final.
    ShutOff,
    /// The candidate is the new stable. Final, unless an operator takes it back.
    Promoted,
}

impl Phase {
    /// Whether nothing follows any more.
    pub fn is_final(self) -> bool {
        match self {
            Phase::Running | Phase::Paused(_) => false,
            Phase::RolledBack | Phase::ShutOff | Phase::Promoted => true,
        }
    }

    /// The phase's name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::Paused(PausedBy::Operator) => "paused by an operator",
            Phase::Paused(PausedBy::Lines) => "paused by the lines",
            Phase::RolledBack => "rolled back",
            Phase::ShutOff => "shut off",
            Phase::Promoted => "promoted",
        }
    }
}

/// A release as far as it has come: small, and enough to go on from after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseState {
    /// Where it stands.
    #[serde(flatten)]
    pub phase: Phase,
    /// When it started.
    pub started_at: UnixMs,
    /// Index of the rung it is on.
    pub rung: usize,
    /// Since when.
    pub rung_since: UnixMs,
    /// Candidate answers at the time the rung began.
    pub rung_candidate_from: u64,
    /// Stable answers at the time the rung began.
    pub rung_stable_from: u64,
    /// The cumulative windows last read, to tell what is new.
    pub seen_stable: Window,
    /// The same for the candidate.
    pub seen_candidate: Window,
    /// What of it is no evidence: shared faults.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub skipped_stable: Window,
    /// The same for the candidate.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub skipped_candidate: Window,
    /// Since when both arms are taken to suffer from a fault of their upstream, while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_since: Option<UnixMs>,
    /// The evidence, stretch by stretch; see the module `strata`.
    #[serde(default)]
    pub strata: Vec<Stratum>,
    /// The stable arm's evidence when the last stratum was opened, for the next one's anchors.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub anchored: Window,
    /// Since when the lines have paused it, until no line is proven worse than pass any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<UnixMs>,
    /// When something new was last seen.
    pub last_data_at: UnixMs,
    /// When it was last decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<UnixMs>,
    /// The last order carried out and when, so that reading it twice changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_order: Option<(UnixMs, OrderKind)>,
}

impl ReleaseState {
    /// A release that starts on its first rung now.
    pub fn start(now: UnixMs) -> ReleaseState {
        ReleaseState {
            phase: Phase::Running,
            started_at: now,
            rung: 0,
            rung_since: now,
            rung_candidate_from: 0,
            rung_stable_from: 0,
            seen_stable: Window::default(),
            seen_candidate: Window::default(),
            skipped_stable: Window::default(),
            skipped_candidate: Window::default(),
            fault_since: None,
            strata: Vec::new(),
            anchored: Window::default(),
            paused_since: None,
            last_data_at: now,
            decided_at: None,
            last_order: None,
        }
    }

    /// What counts as evidence on the stable arm: everything but shared faults.
    pub fn stable(&self) -> Cow<'_, Window> {
        counted(&self.seen_stable, &self.skipped_stable)
    }

    /// The same for the candidate.
    pub fn candidate(&self) -> Cow<'_, Window> {
        counted(&self.seen_candidate, &self.skipped_candidate)
    }
}

fn counted<'a>(seen: &'a Window, skipped: &Window) -> Cow<'a, Window> {
    if is_empty(skipped) {
        return Cow::Borrowed(seen);
    }
    // What was skipped was seen before.
    seen.since(skipped).map_or(Cow::Borrowed(seen), Cow::Owned)
}

fn is_empty(window: &Window) -> bool {
    *window == Window::default()
}

/// What the binary is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// Give the candidate this share.
    SetWeight {
        /// The share.
        weight: Weight,
    },
    /// Make the candidate stable.
    Promote,
    /// Send everyone to stable and block the candidate.
    RollBack,
    /// Stop taking requests.
    CloseEntrance {
        /// Why.
        reason: Cause,
    },
    /// Open an incident.
    OpenIncident {
        /// Yellow for a pause by lines, else red or black.
        signal: Signal,
        /// Why.
        reason: Cause,
    },
}

/// The outcome: the new state, what to do, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
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
