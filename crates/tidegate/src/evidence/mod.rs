//! Evidence: the pack that proves one release, `reports/YYYY-MM-DD/<change-id>/`; the only export.
//!
//! A pack is made in four steps, each in its own file: what is known is collected from the
//! store, redacted as a whole (nothing goes on without it, the type says
//! so), turned into files in memory, and put on disk in one move.
//! [`verify()`] reads a pack back with nothing but the pack.

mod assemble;
mod buckets;
mod change;
pub(crate) mod chart;
mod clean;
mod collect;
mod data;
mod diff;
mod error;
mod gates;
pub(crate) mod html;
mod incident;
mod journal;
mod report;
mod rollback;
mod run_pack;
mod samples;
mod signals;
mod verify;
mod whose;
mod witness;
mod write;

pub(crate) use change::change_id;
pub(crate) use collect::{PackInputs, write_pack};
pub(crate) use error::EvidenceError;
pub(crate) use incident::{of_incident, write_incident_pack};
pub(crate) use run_pack::{RunPack, write_run_pack};
pub(crate) use verify::{JournalCheck, verify};
pub(crate) use whose::packs_with_samples_of;

#[cfg(test)]
mod tests;
