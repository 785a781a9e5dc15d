//! A release and an incident as answers: what `GET /admin/v1/status` and `--json` say of them.
//!
//! The journal's forms are other types. Each is converted by naming all of its members, so that a
//! new member of a stored form is a compile error here and not a silent change of the answer. What
//! is a value in both (a plan, a window, a reason) is one type; a golden answer holds those.

use serde::{Deserialize, Serialize};
use tidegate_core::approval::Approval;
use tidegate_core::decide::{
    AbFound, Action, Cause, Decision, DecisionKind, OrderKind, Phase, Plan, Reason, ReleaseState,
    Signal, Stratum,
};
use tidegate_core::evidence::PackRef;
use tidegate_core::ids::{ChangeId, Generation, TraceId, UnixMs, VersionSetId};
use tidegate_core::incident::{Incident, Subject};
use tidegate_core::journal::{Release, SetRef};
use tidegate_core::observe::{OutageRun, Window};
use tidegate_core::route::{Audience, Entrance, Split, Table, Weight};

/// How a member of one form becomes that of the other: it is the same, or has a form as well.
macro_rules! turned {
    (same $value:expr) => {
        $value
    };
    (form $value:expr) => {
        $value.into()
    };
    (some $value:expr) => {
        $value.map(Into::into)
    };
}

/// A type of answers and both conversions, from the list of its members in their order. The stored
/// form is taken apart without `..`.
macro_rules! answer {
    (
        $(#[$doc:meta])*
        $name:ident of $stored:ident {
            $($(#[$meta:meta])* $member:ident: $type:ty, $how:ident;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub(crate) struct $name {
            $($(#[$meta])* $member: $type,)*
        }

        impl From<$stored> for $name {
            fn from(stored: $stored) -> $name {
                let $stored { $($member,)* } = stored;
                $name { $($member: turned!($how $member),)* }
            }
        }

        impl From<$name> for $stored {
            fn from(answer: $name) -> $stored {
                let $name { $($member,)* } = answer;
                $stored { $($member: turned!($how $member),)* }
            }
        }
    };
}

answer! {
    /// A packed version set.
    SetAnswer of SetRef {
        label: String, same;
        at: UnixMs, same;
    }
}

answer! {
    /// The route table.
    TableAnswer of Table {
        generation: Generation, same;
        stable: VersionSetId, same;
        split: Option<SplitAnswer>, some;
        entrance: Entrance, same;
    }
}

answer! {
    /// The candidate's share.
    SplitAnswer of Split {
        change_id: ChangeId, same;
        candidate: VersionSetId, same;
        weight: Weight, same;
        salt: String, same;
        audience: Audience, same;
    }
}

answer! {
    /// A release.
    ReleaseAnswer of Release {
        plan: Plan, same;
        by: String, same;
        started_at: UnixMs, same;
        state: StateAnswer, form;
        last_decision: Option<DecisionAnswer>, some;
        ended_at: Option<UnixMs>, same;
        pack: Option<PackRef>, same;
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sample_ids: Vec<String>, same;
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ordered_rungs: Vec<usize>, same;
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        taken_back: bool, same;
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<Approval>, same;
    }
}

answer! {
    /// How far a release has come.
    StateAnswer of ReleaseState {
        #[serde(flatten)]
        phase: Phase, same;
        started_at: UnixMs, same;
        rung: usize, same;
        rung_since: UnixMs, same;
        rung_candidate_from: u64, same;
        rung_stable_from: u64, same;
        seen_stable: Window, same;
        seen_candidate: Window, same;
        #[serde(default, skip_serializing_if = "is_empty")]
        skipped_stable: Window, same;
        #[serde(default, skip_serializing_if = "is_empty")]
        skipped_candidate: Window, same;
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault_since: Option<UnixMs>, same;
        #[serde(default)]
        strata: Vec<Stratum>, same;
        #[serde(default, skip_serializing_if = "is_empty")]
        anchored: Window, same;
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused_since: Option<UnixMs>, same;
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ab_found: Vec<AbFound>, same;
        last_data_at: UnixMs, same;
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided_at: Option<UnixMs>, same;
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_order: Option<(UnixMs, OrderKind)>, same;
    }
}

answer! {
    /// A decision.
    DecisionAnswer of Decision {
        at: UnixMs, same;
        kind: DecisionKind, same;
        signal: Signal, same;
        reasons: Vec<Reason>, same;
        actions: Vec<Action>, same;
        state: StateAnswer, form;
    }
}

answer! {
    /// An incident.
    IncidentAnswer of Incident {
        #[serde(flatten)]
        subject: Subject, same;
        signal: Signal, same;
        opened_at: UnixMs, same;
        reason: Cause, same;
        #[serde(default)]
        red_lines: u64, same;
        #[serde(default)]
        went_out: u64, same;
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        traces: Vec<TraceId>, same;
        case_ids: Vec<String>, same;
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outage: Option<Box<OutageRun>>, same;
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pack: Option<PackRef>, same;
        closed: Option<(UnixMs, String)>, same;
    }
}

fn is_empty(window: &Window) -> bool {
    *window == Window::default()
}
