//! Tests of the modules together, and what they share.

pub(super) mod chance;
