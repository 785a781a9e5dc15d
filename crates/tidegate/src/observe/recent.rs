//! The traces of the last requests, so that feedback that comes soon after needs no store.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tidegate_core::ids::{ChangeId, TraceId};
use tidegate_core::observe::Feedback;
use tidegate_core::route::{Arm, Cohort};

/// Traces kept; beyond it the oldest go, and the store is asked. About 16 MiB at most.
pub(super) const RECENT_TRACES: usize = 65_536;

/// What feedback needs to know of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedbackOn {
    /// The arm that answered.
    pub(crate) arm: Arm,
    /// The cohort of the subject that asked, while it is still known.
    pub(crate) cohort: Option<Cohort>,
    /// The release that was running.
    pub(crate) change_id: Option<ChangeId>,
    /// The tenant it belongs to; feedback of another tenant is refused.
    pub(crate) tenant: Option<String>,
    /// The model's version name, a label.
    pub(crate) model: Arc<str>,
}

struct Entry {
    on: FeedbackOn,
    kinds_seen: u8,
    // Which use of the id this is, so that an id used twice is not thrown out with its first use.
    turn: u64,
}

/// A bounded map from trace to arm, oldest out first.
#[derive(Default)]
pub(super) struct Recent {
    entries: HashMap<TraceId, Entry>,
    order: VecDeque<(u64, TraceId)>,
    turn: u64,
}

impl Recent {
    /// Remembers a trace; the latest use of an id counts.
    pub(super) fn insert(&mut self, trace: TraceId, on: FeedbackOn) {
        self.turn += 1;
        let turn = self.turn;
        self.order.push_back((turn, trace.clone()));
        self.entries.insert(trace, Entry { on, kinds_seen: 0, turn });
        while self.order.len() > RECENT_TRACES {
            let Some((turn, oldest)) = self.order.pop_front() else { return };
            if self.entries.get(&oldest).is_some_and(|entry| entry.turn == turn) {
                self.entries.remove(&oldest);
            }
        }
    }

    /// Where the trace was answered, if it is still known.
    pub(super) fn get(&self, trace: &TraceId) -> Option<&FeedbackOn> {
        self.entries.get(trace).map(|entry| &entry.on)
    }

    /// Marks a kind of feedback as given; false when it was already, true for unknown traces.
    pub(super) fn first_of_kind(&mut self, trace: &TraceId, feedback: Feedback) -> bool {
        let Some(entry) = self.entries.get_mut(trace) else { return true };
        let bit = match feedback {
            Feedback::Like(_) => 1,
            Feedback::Adopted(_) => 2,
            Feedback::TaskDone(_) => 4,
            Feedback::Satisfaction(_) => 8,
        };
        let first = entry.kinds_seen & bit == 0;
        entry.kinds_seen |= bit;
        first
    }
}
