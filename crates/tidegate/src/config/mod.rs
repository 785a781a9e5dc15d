//! The user's project file, `tidegate.yaml`: its shape, how it is read, and its errors.

mod load;
mod project;

pub(crate) use load::{Loaded, load, parse_yaml};
pub(crate) use project::*;
