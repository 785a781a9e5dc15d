//! Simulate: the engine beside every peer on the same simulated releases.

mod judge;
