//! The user's project file, `tidegate.yaml`: its shape, how it is read, and its errors.

mod check;
mod load;
mod places;
mod plan;
mod precheck;
mod project;
mod release;
mod risk;
mod schema;
mod texts;
mod upstream;
mod workspace;
mod yaml;

pub(crate) use check::listen_addr;
pub(crate) use load::{Loaded, load, parse_yaml};
pub(crate) use plan::plan_parts;
pub(crate) use project::*;
pub(crate) use risk::*;
pub(crate) use schema::schema;
pub(crate) use upstream::*;
pub(crate) use workspace::Workspace;
pub(crate) use yaml::nearest;

#[cfg(test)]
mod tests;
