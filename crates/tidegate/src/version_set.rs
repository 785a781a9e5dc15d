//! Packing the project's files into a version set, and getting a set ready to serve.

mod live;
mod pack;

pub(crate) use live::{LiveSet, RenderError, Rendered};
pub(crate) use pack::{PackOverrides, PackedSet, pack};
