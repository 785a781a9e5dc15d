//! Smoke tests: does it answer at all? [`ask_service`] asks a service that runs, over HTTP, as a
//! client does; [`ask_set`] asks the model server of a version set that nobody serves yet.

mod error;
mod service;
mod set;

pub(crate) use error::SmokeError;
pub(crate) use service::{Asked, BASE_URL, Target, WITHIN, ask_service};
pub(crate) use set::{ask_set, greet};
