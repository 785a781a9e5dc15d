//! A release as far as it has come, and what an operator may order.

use super::ab_plan::AbFound;
use super::strata::Stratum;
use crate::ids::UnixMs;
use crate::observe::Window;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What an operator orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Stay at this rung until resumed.
    Pause,
    /// Go on.
    Resume,
    /// Go to the next rung now, without waiting for a proof.
    Promote,
    /// Make the candidate stable now.
    PromoteFully,
    /// Return to stable now.
    RollBack,
    /// End the A/B test: everyone returns to stable, and the candidate is not blocked.
    End,
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
            OrderKind::End => "end the A/B test",
        }
    }
}

/// An order with who gave it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order that is given.
    pub kind: OrderKind,
    /// Who, a person's or automation's name.
    pub by: String,
    /// Why, in their words; empty where they gave none, see [`Order::given_reason`].
    #[serde(default)]
    pub reason: String,
}

impl Order {
    /// What older journals hold where no reason was given.
    const NOT_GIVEN: &str = "no reason given";

    /// Why, in their words; `None` where they gave no reason.
    pub fn given_reason(&self) -> Option<&str> {
        let reason = self.reason.trim();
        (!reason.is_empty() && reason != Order::NOT_GIVEN).then_some(reason)
    }
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

/// The state of a release on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase", content = "by")]
pub enum Phase {
    /// On its ladder.
    Running,
    /// Waiting at its rung; red and black still act.
    Paused(PausedBy),
    /// An A/B test that is over: returned to stable, and the candidate is not blocked. Final.
    Ended,
    /// Returned to stable. Final.
    RolledBack,
    /// Returned to stable, and the entrance was shut. Final.
    ShutOff,
    /// The candidate is the new stable. Final, unless an operator takes it back.
    Promoted,
}

impl Phase {
    /// Whether nothing follows any more.
    pub fn is_final(self) -> bool {
        match self {
            Phase::Running | Phase::Paused(_) => false,
            Phase::Ended | Phase::RolledBack | Phase::ShutOff | Phase::Promoted => true,
        }
    }

    /// How much of the candidate was taken back: 0 nothing, 1 its share at the end of an A/B test,
    /// 2 the same for harm, 3 with the entrance shut.
    pub fn went_back(self) -> u8 {
        match self {
            Phase::Running | Phase::Paused(_) | Phase::Promoted => 0,
            Phase::Ended => 1,
            Phase::RolledBack => 2,
            Phase::ShutOff => 3,
        }
    }

    /// The phase's name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::Paused(PausedBy::Operator) => "paused by an operator",
            Phase::Paused(PausedBy::Lines) => "paused by the lines",
            Phase::Ended => "ended",
            Phase::RolledBack => "rolled back",
            Phase::ShutOff => "shut off",
            Phase::Promoted => "promoted",
        }
    }
}

/// A release as far as it has come: small, and enough to go on from after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseState {
    /// Running, paused, or how it ended.
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
    /// The cumulative windows last read; the difference to the next ones is what is new.
    pub seen_stable: Window,
    /// The same for the candidate.
    pub seen_candidate: Window,
    /// What of it does not count: shared faults.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub skipped_stable: Window,
    /// The same for the candidate.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub skipped_candidate: Window,
    /// Since when both arms are taken to suffer from a fault of their upstream, while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_since: Option<UnixMs>,
    /// What counts, stretch by stretch; see the module `strata`.
    #[serde(default)]
    pub strata: Vec<Stratum>,
    /// What counted on the stable arm when the last stratum was opened, for the next one's anchors.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub anchored: Window,
    /// Since when the lines have paused it, until no line is proven worse than pass any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<UnixMs>,
    /// The differences that an A/B test has proven, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ab_found: Vec<AbFound>,
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
            ab_found: Vec::new(),
            last_data_at: now,
            decided_at: None,
            last_order: None,
        }
    }

    /// Takes note of what is seen and leaves `fresh` out of what counts; in both, stable comes
    /// before the candidate.
    pub(super) fn leave_out(&mut self, seen: (&Window, &Window), fresh: (&Window, &Window)) {
        self.seen_stable = seen.0.clone();
        self.seen_candidate = seen.1.clone();
        self.skipped_stable.merge(fresh.0);
        self.skipped_candidate.merge(fresh.1);
    }

    /// What counts on the stable arm: everything but shared faults and what a changed model did.
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
