//! What was found in data: for people, as JSON, as the manifest beside it.

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tidegate_core::ids::Digest;

/// Lines that are named of each kind.
const NAMED: usize = 20;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Lines that are no JSON object.
    #[value(skip)]
    Unreadable,
    /// Lines that break the schema.
    #[value(skip)]
    Schema,
    /// Fewer samples than are asked for.
    #[value(skip)]
    TooFew,
    /// Lines that hold the input of an eval case.
    #[value(skip)]
    Leaked,
    /// The file is not what DVC says of it.
    #[value(skip)]
    Changed,
    /// Lines with the content of an earlier one.
    #[value(name = "duplicates")]
    Duplicate,
    /// Lines with nearly the text of an earlier one.
    #[value(name = "near-duplicates")]
    NearDuplicate,
    /// Lines with personal data or secrets.
    #[value(name = "personal-data")]
    Personal,
}

impl Kind {
    /// Whether it always fails the check.
    fn always_fails(self) -> bool {
        match self {
            Kind::Unreadable | Kind::Schema | Kind::TooFew | Kind::Leaked | Kind::Changed => true,
            Kind::Duplicate | Kind::NearDuplicate | Kind::Personal => false,
        }
    }

    /// What is counted.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Kind::Unreadable => "no JSON object",
            Kind::Schema => "breaks the schema",
            Kind::TooFew => "too few samples",
            Kind::Leaked => "input of an eval case",
            Kind::Changed => "not what DVC says",
            Kind::Duplicate => "duplicate",
            Kind::NearDuplicate => "near-duplicate",
            Kind::Personal => "personal data, secrets",
        }
    }
}

/// A line and what is wrong with it.
#[derive(Debug, Serialize)]
pub(crate) struct Named {
    /// Its number; 0 where it is about the file.
    pub(crate) line: u64,
    /// What is wrong.
    pub(crate) why: String,
}

/// What was found of one kind.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How many lines.
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) first: Vec<Named>,
}

/// A schema that lines were checked with.
#[derive(Debug, Serialize)]
pub(crate) struct Schema {
    /// Its file.
    pub(crate) path: String,
    /// SHA-256 of that.
    pub(crate) digest: Digest,
}

/// What was found in a file.
#[derive(Debug)]
pub(crate) struct Report {
    /// Lines that are objects.
    pub(crate) rows: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the file.
    pub(crate) digest: Option<Digest>,
    /// The schema.
    pub(crate) schema: Option<Schema>,
    /// Rows that near-duplicates were looked for among, where those were not all.
    pub(crate) compared: Option<u64>,
    /// What was found, by its kind.
    pub(crate) found: BTreeMap<Kind, Found>,
    refused: BTreeSet<Kind>,
}

impl Report {
    /// Of nothing yet; these kinds fail it beside those that always do.
    pub(super) fn new(refused: &BTreeSet<Kind>) -> Report {
        Report {
            rows: 0,
            bytes: 0,
            digest: None,
            schema: None,
            compared: None,
            found: BTreeMap::new(),
            refused: refused.clone(),
        }
    }

    /// Adds what is wrong with a line.
    pub(super) fn add(&mut self, kind: Kind, line: u64, why: String) {
        let found = self.found.entry(kind).or_default();
        found.count += 1;
        if found.first.len() < NAMED {
            found.first.push(Named { line, why });
        }
    }

    /// Whether what was found of a kind fails the check.
    pub(crate) fn fails(&self, kind: Kind) -> bool {
        kind.always_fails() || self.refused.contains(&kind)
    }

    /// Whether the data passes.
    pub(crate) fn is_passed(&self) -> bool {
        !self.found.keys().any(|kind| self.fails(*kind))
    }

    /// All of it as JSON.
    pub(crate) fn json(&self, input: &str) -> Value {
        let found = self.found.iter().map(|(kind, found)| {
            json!({"kind": kind, "count": found.count, "fails": self.fails(*kind),
                   "first": found.first})
        });
        json!({"input": input, "passed": self.is_passed(), "samples": self.rows,
               "bytes": self.bytes, "sha256": self.digest, "schema": self.schema,
               "compared": self.compared.unwrap_or(self.rows),
               "problems": found.collect::<Vec<_>>()})
    }
}
