//! Simulate: the engine beside every peer on the same simulated releases.

mod information;
mod judge;
mod peers;
mod statistics;
