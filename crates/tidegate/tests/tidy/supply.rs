//! Where dependencies come from, and that their licences allow what is done with them.

use crate::boundaries::root;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// Licences that one of, for each part of an expression, must be given.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "ISC",
    "0BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Zlib",
    "Unicode-3.0",
];

/// Whether an expression can be met: `AND` binds less than parentheses here, which is how it is
/// written.
fn is_allowed(expression: &str) -> bool {
    let given = |part: &str| {
        let mut any = part.split(" OR ").flat_map(|part| part.split('/'));
        any.any(|name| LICENCES.contains(&name.trim_matches([' ', '(', ')'])))
    };
    expression.split(" AND ").all(given)
}

#[test]
fn a_licence_is_met_or_not() {
    for good in ["MIT", "Unlicense/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0", "Apache-2.0 / MIT"]
    {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0-only", "MIT AND GPL-2.0", "(MIT OR ISC) AND AGPL-3.0"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

/// Every crate of the lock file is of one registry, with a checksum that cargo holds it to.
#[test]
fn every_dependency_is_of_the_registry_and_has_a_checksum() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let packages: Vec<&str> = lock.split("[[package]]\n").skip(1).collect();
    assert!(packages.len() > 100, "{}", packages.len());
    let mut registries = BTreeSet::new();
    for package in packages {
        let name = package.split('"').nth(1).unwrap();
        let source = package.lines().find_map(|line| line.strip_prefix("source = \"registry+"));
        let is_locked = source.is_some() && package.contains("\nchecksum = \"");
        assert!(name.starts_with("tidegate") || is_locked, "{package}");
        registries.extend(source);
    }
    assert_eq!(registries.len(), 1, "{registries:?}");
}

/// What is built here may be shipped under our licences.
#[test]
fn every_dependency_has_a_licence_that_allows_it() {
    let mut command = Command::new(env!("CARGO"));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    command.args(["metadata", "--locked", "--format-version", "1"]);
    // Crates of other systems need not be here.
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path", manifest]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_allowed(licence), "{} is under `{licence}`", package["name"]);
    }
}
