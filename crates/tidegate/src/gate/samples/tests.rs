use super::super::write_back::tests::record;
use super::*;
use tidegate_core::upstream::Failure;

const FILE: &str = "evals/samples.jsonl";

fn of(tenant: &str, n: u64, input: &str) -> Record {
    let output = Some("十天以内".to_owned());
    Record { tenant: Some(tenant.to_owned()), output, ..record(n, input) }
}

fn write(root: &Path, source: &str, kind: Sampled, records: &[Record]) -> Vec<String> {
    write_samples(root, Path::new(FILE), source, (kind, records), None).unwrap()
}

fn cases(root: &Path) -> Vec<tidegate_core::gate::Case> {
    let text = std::fs::read_to_string(root.join(FILE)).unwrap_or_default();
    let defaults = Defaults { latency_ms: 0, contract: None, as_written: false };
    read_jsonl(&text, Path::new(FILE), Severity::Normal, &defaults).unwrap()
}

#[test]
fn samples_are_spread_over_tenants_languages_and_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let many = (0..50).map(|n| of("acme", n, &format!("where is parcel {n}?")));
    let few = [of("acme", 60, "退款要几天？"), of("beta", 61, &"long ".repeat(100))];
    let records: Vec<Record> = many.chain(few).collect();
    let ids = write(root, "prompt-v3-a1b2c", Sampled::Positive, &records);
    assert_eq!(ids.len(), 5);
    assert_eq!(ids[0], "sample-prompt-v3-a1b2c-1");
    let cases = cases(root);
    assert!(cases.iter().any(|case| case.input == "退款要几天？"), "{cases:?}");
    assert!(cases.iter().any(|case| case.input.starts_with("long")), "{cases:?}");
    for case in &cases {
        assert_eq!((case.severity, case.handling.as_served), (Severity::Normal, true));
        assert!(case.expected_behavior.ends_with("十天以内"), "{case:?}");
        assert_eq!(case.checks.refusal, Some(false));
    }
    // The same records again add only what is not asked yet.
    assert_eq!(write(root, "prompt-v4-a1b2c", Sampled::Positive, &records[..4]).len(), 1);
}

#[test]
fn only_what_was_answered_well_is_a_positive_sample() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let failed = Record { failure: Some(Failure::ServerError), ..of("a", 1, "one") };
    let refused = Record { refused: true, ..of("a", 2, "two") };
    let private = Record { pii: true, ..of("a", 3, "three") };
    let unkept = Record { input: None, ..of("a", 4, "four") };
    let records = [failed, refused, private, unkept, of("a", 5, "five")];
    assert_eq!(write(root, "r-1", Sampled::Positive, &records), ["sample-r-1-1"]);
    assert_eq!(cases(root)[0].input, "five");
    // What was asked of a paused release is its traffic, whatever was answered.
    assert_eq!(write(root, "r-2", Sampled::Distribution, &records).len(), 3);
}

#[test]
fn a_file_has_at_most_so_many_of_a_kind() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for n in 0..20 {
        let records: Vec<Record> =
            (0..9).map(|i| of("a", i, &format!("question {n} {i}"))).collect();
        write(root, &format!("r-{n}"), Sampled::Positive, &records);
    }
    assert_eq!(cases(root).len(), KEPT_MAX);
}
