//! Records that did no harm, kept as ordinary cases in a separate file: answers of a release
//! that was promoted, and what was asked of one that was paused. They count towards
//! the accuracy and block nothing.

use super::error::GateError;
use super::load::{Defaults, read_jsonl, read_text};
use super::write_back::{append, case_line, length_of, question};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tidegate_core::evidence::Record;
use tidegate_core::gate::{Checks, Handling, Risk, Severity};
use tidegate_core::text::{Language, language_of};

/// Longest answer quoted in a sample, characters.
const ANSWER_CHARS: usize = 200;
/// Most samples of one kind in the file, of all releases together: the file is read by people, and
/// every case is asked in every gate.
const KEPT_MAX: usize = 30;

/// Why records become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampled {
    /// They were answered well by a release that was promoted.
    Positive,
    /// They show what was asked of a release that was paused.
    Distribution,
}

impl Sampled {
    /// Most samples of one release: a few are enough to notice a change.
    fn most(self) -> usize {
        match self {
            Sampled::Positive => 5,
            Sampled::Distribution => 10,
        }
    }

    fn behaviour(self) -> &'static str {
        match self {
            Sampled::Positive => "is answered as well as when it was promoted",
            Sampled::Distribution => "is answered like the rest of the traffic",
        }
    }

    fn checks(self, contract: Option<&Value>) -> Checks {
        Checks {
            not_empty: Some(true),
            json_schema: contract.cloned(),
            refusal: (self == Sampled::Positive).then_some(false),
            ..Checks::default()
        }
    }
}

/// Records of one tenant, language and length.
type Bucket<'a> = (Option<&'a str>, Language, usize);

/// Appends samples of the records to the file, spread over tenants, languages and lengths, and
/// gives their ids, `sample-<source>-<n>`. An input that the file asks already is not
/// asked again, a record whose content was not kept cannot be one, and none are added to a file
/// that has [`KEPT_MAX`] of the kind.
///
/// # Errors
/// A usage error when the file cannot be read, an internal one when it cannot be
/// written; the file is then as it was.
pub(crate) fn write_samples(
    root: &Path,
    file: &Path,
    source: &str,
    (kind, records): (Sampled, &[Record]),
    contract: Option<&Value>,
) -> Result<Vec<String>, GateError> {
    let old = read_text(root, file)?.unwrap_or_default();
    let defaults = Defaults { latency_ms: 0, contract: None, as_written: false };
    let cases = read_jsonl(&old, file, Severity::Normal, &defaults)?;
    let prefix = format!("sample-{source}-");
    let number = |id: &str| id.strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok());
    let last = cases.iter().filter_map(|case| number(&case.id)).max().unwrap_or(0);
    let kept = cases.iter().filter(|c| c.expected_behavior.starts_with(kind.behaviour())).count();
    let mut asked: BTreeSet<&str> = cases.iter().map(|case| question(&case.input)).collect();
    let mut buckets: BTreeMap<Bucket<'_>, Vec<&Record>> = BTreeMap::new();
    for record in records {
        let Some(input) = record.input.as_deref().map(question) else { continue };
        let is_good = !record.is_failing() && !record.refused && !record.pii;
        let wanted = kind == Sampled::Distribution || is_good;
        if wanted && !input.is_empty() && asked.insert(input) {
            let bucket = (record.tenant.as_deref(), language_of(input), length_of(input));
            buckets.entry(bucket).or_default().push(record);
        }
    }
    let room = kind.most().min(KEPT_MAX.saturating_sub(kept));
    let turns = buckets.values().map(Vec::len).max().unwrap_or(0);
    let spread = (0..turns).flat_map(|turn| buckets.values().filter_map(move |b| b.get(turn)));
    let mut lines = Vec::new();
    for (n, record) in (last + 1..).zip(spread.take(room)) {
        let id = format!("{prefix}{n}");
        let line = line(&id, source, kind, record, contract)?;
        lines.push((id, line));
    }
    append(root, file, old, lines)
}

fn line(
    id: &str,
    source: &str,
    kind: Sampled,
    record: &Record,
    contract: Option<&Value>,
) -> Result<String, GateError> {
    let answer = record.output.as_deref().filter(|_| kind == Sampled::Positive);
    let answer = answer.map(|text| text.chars().take(ANSWER_CHARS).collect::<String>());
    let behaviour = match answer {
        Some(answer) => format!("{}; it was: {answer}", kind.behaviour()),
        None => kind.behaviour().to_owned(),
    };
    let handling = Handling { as_served: true, ..Handling::default() };
    let members = json!({
        "case_id": id,
        "input": record.input,
        "expected_behavior": behaviour,
        "risk": Risk::Regression,
        "severity": Severity::Normal,
        "source": source,
        "checks": kind.checks(contract),
    });
    case_line(&handling, members)
}

#[cfg(test)]
mod tests;
