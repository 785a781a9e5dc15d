//! Records in batches: the records of one commit, compressed together, in one row.
//!
//! A record is written once, as JSON, into the body of its batch. Beside it are 6 bytes by which
//! its trace is found ([`index`]), and for each release and arm of a batch a mark: how many
//! records, how many of them failing, and whose they are. So a question about a release reads
//! only batches that have an answer to it, and a record costs no insert into a B-tree.
//!
//! The writer merges small batches and indexes full ones, in steps of some milliseconds
//! ([`upkeep`]). Nothing else changes a batch, but that [`prune()`] takes old records
//! out of it, and [`erase()`] someone's.

mod batch;
mod convert;
mod erase;
mod hash;
mod index;
mod prune;
mod read;
mod upkeep;
mod write;

#[cfg(test)]
mod tests;

pub(super) use convert::{convert, is_due as is_being_converted};
pub(super) use erase::{Erased, count_of, erase};
pub(super) use hash::make_key;
pub(super) use prune::{Pruned, prune};
pub(super) use read::{exposure, integrity, records, trace, traces};
pub(super) use upkeep::Tail;
pub(super) use write::{Sealed, Sealer, insert};
