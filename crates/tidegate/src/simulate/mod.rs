//! Simulate: the engine beside every peer on the same simulated releases.
//!
//! A [`scenario`] and a seed make a [`stream`] of requests; an engine [climbs](climb) a ladder on
//! it: ours by `decide` itself ([`ours`]), the peers as [judges](judge) on a [ladder].
//! [`run()`](run()) repeats that, [`report`] counts what came of it.

mod climb;
mod clusters;
mod engine;
mod goals;
mod information;
mod judge;
mod ladder;
mod ours;
mod peers;
mod picture;
mod real;
mod report;
mod run;
mod scenario;
mod statistics;
mod stream;

pub(crate) use engine::Engine;
pub(crate) use picture::picture;
pub(crate) use real::pairs as real;
pub(crate) use report::{Report, markdown, table};
pub(crate) use run::{Options, run};
pub(crate) use scenario::{Scenario, all as scenarios};
