//! What people see of a release: shared by the commands, the demo and the evidence reports.

mod ab;
mod answers;
mod cost;
mod degrade;
mod done;
mod endpoints;
mod eval;
mod judge;
mod keys;
mod live_ab;
mod moment;
mod records;
mod release;
mod runs;
mod sentinel;
mod shadow;
mod status;
mod table;
mod trace;
mod traces;
mod words;

pub(crate) use ab::ab;
pub(crate) use answers::{IncidentAnswer, ReleaseAnswer, SetAnswer, TableAnswer};
pub(crate) use cost::{CostBy, CostTable, cost};
pub(crate) use degrade::{is_degraded, is_not_degraded};
pub(crate) use done::Done;
pub(crate) use endpoints::{EndpointAnswer, endpoints};
#[cfg(test)]
pub(crate) use eval::eval_in;
pub(crate) use eval::{LATENCY, eval, metrics, spent};
pub(crate) use keys::{KeyAnswer, keys, shown_once};
pub(crate) use live_ab::{AbAnswer, live_ab, no_ab};
pub(crate) use records::{kept_elsewhere, would_be_deleted};
pub(crate) use runs::{compared, runs};
pub(crate) use sentinel::{sentinel_change, sentinel_run, sentinel_status};
pub(crate) use shadow::{ShadowAnswer, no_shadow, shadow, shadow_end};
pub(crate) use status::{
    certificate_ends, edits, experimental, next_steps, no_incidents, no_longer_watched, no_release,
    no_set, unserved, unwritten, waits_for_server,
};
pub(crate) use trace::{trace, trace_as_json, unrecorded};
pub(crate) use traces::traces;
pub(crate) use words::{PlanWords, Words};

pub(crate) use release::{
    WithSentence, approvals, headline, incident, json_line, one_line, redraw, release, weight,
    with_sentences,
};
