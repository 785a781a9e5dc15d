//! The bucketed comparison: candidate beside stable by tenant, language and length of the input. A
//! rate over everyone hides what one tenant or one language suffers; this shows where to look.

use super::error::{EvidenceError, Result};
use super::html::cell;
use crate::gate::{length_of, quantile};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tidegate_core::evidence::Record;
use tidegate_core::route::Arm;
use tidegate_core::text::{Language, language_of};

/// Tenants shown, those with most requests; the rest are one bucket.
const TENANTS_MAX: usize = 20;

/// One arm in one bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Bucket {
    /// What it is cut by: `all`, `tenant`, `language` or `length`.
    by: &'static str,
    /// The tenant, language or length.
    name: String,
    arm: &'static str,
    requests: u64,
    failed: u64,
    contract_broken: u64,
    refused: u64,
    personal_data: u64,
    /// 95th percentile of the answered ones, ms; absent without any.
    latency_p95_ms: Option<u64>,
    /// Mean of the answered ones, prompt and answer together; absent without any.
    tokens_per_request: Option<f64>,
}

/// The buckets of a release's records, `all` first; none where nothing was recorded.
pub(super) fn buckets(records: &[Record]) -> Vec<Bucket> {
    let mut cut: BTreeMap<(u8, &'static str, String), Vec<&Record>> = BTreeMap::new();
    let tenants = busiest_tenants(records);
    for record in records {
        let tenant = record.tenant.as_deref().unwrap_or("none");
        let tenant = if tenants.contains(&tenant) { tenant } else { "all others" };
        let mut add = |order, by, name: &str| {
            cut.entry((order, by, name.to_owned())).or_default().push(record);
        };
        add(0, "all", "all");
        add(1, "tenant", tenant);
        if let Some(input) = record.input.as_deref() {
            add(2, "language", language_name(language_of(input)));
            add(3, "length", ["short", "middling", "long"][length_of(input).min(2)]);
        }
    }
    let both = [Arm::Stable, Arm::Candidate];
    let of = |((_, by, name), records): ((u8, &'static str, String), Vec<&Record>)| {
        both.map(|arm| bucket(by, &name, arm, &records))
    };
    cut.into_iter().flat_map(of).collect()
}

fn language_name(language: Language) -> &'static str {
    match language {
        Language::Zh => "zh",
        Language::Ja => "ja",
        Language::En => "en or other",
    }
}

fn busiest_tenants(records: &[Record]) -> Vec<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *counts.entry(record.tenant.as_deref().unwrap_or("none")).or_default() += 1;
    }
    let mut tenants: Vec<(&str, usize)> = counts.into_iter().collect();
    tenants.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    tenants.into_iter().take(TENANTS_MAX).map(|(tenant, _)| tenant).collect()
}

fn bucket(by: &'static str, name: &str, arm: Arm, records: &[&Record]) -> Bucket {
    let mine: Vec<&&Record> = records.iter().filter(|record| record.arm == arm).collect();
    let count = |is: fn(&Record) -> bool| mine.iter().filter(|record| is(record)).count() as u64;
    let answered = mine.iter().filter(|record| record.failure.is_none());
    let count_answered = answered.clone().count();
    let tokens: u64 = answered.map(|r| r.tokens_in.saturating_add(r.tokens_out)).sum();
    let took_ms = |record: &Record| record.timing.total_us / 1000;
    Bucket {
        by,
        name: name.to_owned(),
        arm: arm.as_str(),
        requests: mine.len() as u64,
        failed: count(|record| record.failure.is_some()),
        contract_broken: count(|record| record.contract_problem.is_some()),
        refused: count(|record| record.refused),
        personal_data: count(|record| record.pii),
        latency_p95_ms: quantile(mine.iter().map(|record| **record), took_ms, 0.95),
        tokens_per_request: (count_answered > 0).then(|| tokens as f64 / count_answered as f64),
    }
}

/// `signals/buckets.csv` and `signals/buckets.md`; none without records.
pub(super) fn files(buckets: &[Bucket]) -> Result<BTreeMap<String, Vec<u8>>> {
    if buckets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    for bucket in buckets {
        csv.serialize(bucket).map_err(EvidenceError::part("buckets"))?;
    }
    let csv = csv.into_inner().map_err(|e| EvidenceError::part("buckets")(e.into_error()))?;
    Ok(BTreeMap::from([
        ("signals/buckets.csv".to_owned(), csv),
        ("signals/buckets.md".to_owned(), markdown(buckets).into_bytes()),
    ]))
}

fn markdown(buckets: &[Bucket]) -> String {
    let mut text = "# Candidate beside stable, by bucket\n\nOf the newest records of each arm.\n\n\
                    | by | bucket | arm | requests | failed | contract broken | refused | \
                    personal data | P95 ms | tokens |\n|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for bucket in buckets {
        let share = |part: u64| match bucket.requests {
            0 => "–".to_owned(),
            all => format!("{:.1} %", 100.0 * part as f64 / all as f64),
        };
        let p95 = bucket.latency_p95_ms.map_or("–".to_owned(), |ms| ms.to_string());
        let tokens = bucket.tokens_per_request.map_or("–".to_owned(), |n| format!("{n:.0}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {p95} | {tokens} |",
            bucket.by,
            cell(&bucket.name),
            bucket.arm,
            bucket.requests,
            share(bucket.failed),
            share(bucket.contract_broken),
            share(bucket.refused),
            share(bucket.personal_data),
        );
    }
    text
}

impl Bucket {
    /// The bucket with its name redacted: a tenant may be called by a person's address.
    pub(super) fn redacted(self, redact: fn(&str) -> String) -> Bucket {
        Bucket { name: redact(&self.name), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build::record;
    use super::*;

    fn of(n: u64, arm: Arm, tenant: &str, input: &str) -> Record {
        let (tenant, input) = (Some(tenant.to_owned()), Some(input.to_owned()));
        Record { arm, tenant, input, ..record(&format!("t-{n}"), false) }
    }

    #[test]
    fn what_one_language_suffers_shows() {
        let mut records: Vec<Record> = (0..80)
            .map(|n| {
                let arm = if n % 2 == 0 { Arm::Stable } else { Arm::Candidate };
                of(n, arm, "acme", if n % 4 < 2 { "where is it?" } else { "退款要几天？" })
            })
            .collect();
        for record in &mut records {
            let is_hit = record.arm == Arm::Candidate
                && record.input.as_deref().is_some_and(|input| input.starts_with('退'));
            record.contract_problem = is_hit.then(|| "no JSON".to_owned());
        }
        let found = buckets(&records);
        let broken = |by: &str, name: &str, arm: &str| {
            let bucket = found.iter().find(|b| (b.by, &b.name[..], b.arm) == (by, name, arm));
            bucket.map(|b| (b.contract_broken, b.requests)).unwrap()
        };
        assert_eq!(broken("all", "all", "candidate"), (20, 40));
        assert_eq!(broken("language", "zh", "candidate"), (20, 20));
        assert_eq!(broken("language", "zh", "stable"), (0, 20));
        assert_eq!(broken("language", "en or other", "candidate"), (0, 20));
        assert_eq!(found[0].by, "all");
        let text = markdown(&found);
        let row = "| language | zh | candidate | 20 | 0.0 % | 100.0 % |";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn many_tenants_are_the_busiest_and_the_others() {
        let records: Vec<Record> =
            (0..200).map(|n| of(n, Arm::Candidate, &format!("t|{}", n % 40), "q")).collect();
        let found = buckets(&records);
        let tenants: Vec<&Bucket> =
            found.iter().filter(|b| b.by == "tenant" && b.arm == "candidate").collect();
        assert_eq!(tenants.len(), TENANTS_MAX + 1);
        assert_eq!(tenants.iter().map(|b| b.requests).sum::<u64>(), 200);
        assert!(!markdown(&found).contains("t|1"), "a name cannot break the table");
        assert_eq!(buckets(&[]), []);
    }
}
