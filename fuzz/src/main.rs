//! One libFuzzer program for all targets; `run.sh` builds and runs it.
#![no_main]

mod core;
mod wire;

use std::sync::LazyLock;

/// The target that the environment names.
static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TIDEGATE_FUZZ_TARGET").unwrap_or_default();
    let mut all = wire::TARGETS.iter().chain(&core::TARGETS);
    let found = all.find(|(known, _)| *known == name).map(|(_, target)| *target);
    found.unwrap_or_else(|| panic!("TIDEGATE_FUZZ_TARGET is `{name}`, which is no target"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
