//! Tidegate: release control for LLM services. The core decides; this binary acts.
//!
//! The modules follow a request; `tidegate-core` has the deciding half of each stage.
#![allow(dead_code, unused_imports, clippy::unimplemented)] // TODO(skeleton): gone before landing

mod cli;
mod clock;
mod config;
mod error;
mod output;

mod version_set;

mod upstream;

mod store;

mod evidence;

fn main() {}
