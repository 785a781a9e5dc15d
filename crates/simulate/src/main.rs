//! Simulate: the engine beside every peer on the same simulated releases. It does not ship.
//!
//! A [`scenario`] and a seed make a [`stream`] of requests; an engine [climbs](climb) a ladder on
//! it: ours by `decide` itself ([`ours`]), the peers as [judges](judge) on a [ladder].
//! [`run()`](run::run()) repeats that, [`report`] counts what came of it.

mod cli;
mod error;
mod output;

mod scenario;

mod stream;

mod clusters;

mod content;

mod drawn;

mod real;

mod shadow;

mod climb;

mod engine;

mod judge;

mod ladder;

mod ours;

mod peers;

mod run;

mod information;

mod statistics;

mod row;

mod report;

mod goals;

mod picture;

fn main() -> std::process::ExitCode {
    cli::main()
}
