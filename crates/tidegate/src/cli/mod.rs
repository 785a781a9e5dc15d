//! Commands.

pub(crate) mod version;
