use super::super::write_back::tests::record;
use super::*;
use tidegate_core::evidence::RecordedRetrieval;
use tidegate_core::retrieval::Cited;
use tidegate_core::upstream::Failure;

fn slow(n: u64, ms: u64) -> Record {
    let mut record = record(n, &format!("question {n}"));
    record.timing.total_us = ms * 1000;
    record
}

fn dear(n: u64, tokens: u64) -> Record {
    Record { tokens_out: tokens - 1, ..record(n, &format!("question {n}")) }
}

/// Traces and harms that these metrics make of the records.
fn found(blamed: &[Metric], candidate: &[Record], stable: &[Record]) -> Vec<(String, Harm)> {
    let disliked = BTreeSet::from([(None, TraceId::parse("t-7").unwrap())]);
    let answers = Answers { candidate, stable, disliked: &disliked };
    let harmed = answers.harmed(blamed).into_iter();
    harmed.map(|harmed| (harmed.record.trace_id.to_string(), harmed.harm)).collect()
}

fn is(trace: &str, harm: Harm) -> (String, Harm) {
    (trace.to_owned(), harm)
}

#[test]
fn a_slow_candidate_is_its_slowest_answers_beyond_what_stable_needs() {
    let stable: Vec<Record> = (100..200).map(|n| slow(n, n)).collect();
    let candidate = [slow(1, 150), slow(2, 900), slow(3, 194), slow(4, 400)];
    let limit_ms = 194;
    let expected = [is("t-2", Harm::Slow { limit_ms }), is("t-4", Harm::Slow { limit_ms })];
    assert_eq!(found(&[Metric::LatencyP95], &candidate, &stable), expected);
    // With hardly any of stable's answers the candidate's own middle is the limit.
    let limit_ms = 400;
    let expected = [is("t-2", Harm::Slow { limit_ms })];
    let candidate = [slow(1, 150), slow(2, 900), slow(4, 400)];
    assert_eq!(found(&[Metric::LatencyP99], &candidate, &stable[..3]), expected);
}

#[test]
fn a_dear_candidate_is_its_dearest_answers() {
    let stable: Vec<Record> = (100..200).map(|n| dear(n, n)).collect();
    let candidate = [dear(1, 100), dear(2, 5_000), dear(3, 300)];
    let max_total_tokens = 194;
    let harm = Harm::Costly { max_total_tokens };
    let found = found(&[Metric::CostPerRequest], &candidate, &stable);
    assert_eq!(found, [is("t-2", harm), is("t-3", harm)]);
}

#[test]
fn refusals_personal_data_dislikes_and_failures_are_their_own_answers() {
    let refused = Record { refused: true, ..slow(1, 10) };
    let private = Record { pii: true, ..slow(2, 10) };
    let failed = Record { failure: Some(Failure::ServerError), ..slow(3, 10) };
    let all = [refused, private, failed, slow(7, 10), slow(8, 10)];
    // What failed and what was disliked is taken whatever is blamed.
    let both = [is("t-3", Harm::Failing), is("t-7", Harm::Disliked)];
    assert_eq!(found(&[], &all, &[]), both);
    let refusals = found(&[Metric::RefusalRate], &all, &[]);
    assert!(refusals.contains(&is("t-1", Harm::Refused)) && refusals.len() == 3, "{refusals:?}");
    let private = found(&[Metric::PiiRate], &all, &[]);
    assert!(private.contains(&is("t-2", Harm::PersonalData)) && private.len() == 3);
}

#[test]
fn claims_without_a_source_are_those_of_the_answers_that_make_most_of_them() {
    let claiming = |n, made, uncited, ungrounded| {
        let (chunks, cited) = (vec!["a.md#1".to_owned()], Cited::default());
        let claims = Some(Claims { made, uncited, ungrounded });
        let retrieval =
            Some(RecordedRetrieval { chunks, cited, claims, failed: None, words_only: None });
        Record { retrieval, ..slow(n, 10) }
    };
    let all = [claiming(1, 4, 1, 0), claiming(2, 2, 2, 0), claiming(3, 4, 0, 2), slow(4, 10)];
    let uncited = found(&[Metric::UncitedRate], &all, &[]);
    assert_eq!(uncited[..2], [is("t-2", Harm::Uncited), is("t-1", Harm::Uncited)]);
    let ungrounded = found(&[Metric::UngroundedRate], &all, &[]);
    assert_eq!(ungrounded[0], is("t-3", Harm::Suspected));
}

#[test]
fn an_incident_without_a_harm_that_shows_has_something_to_close_it_with() {
    let good: Vec<Record> = (10..20).map(|n| slow(n, 10)).collect();
    let found_one = found(&[Metric::TaskFailedRate], &good, &[]);
    assert_eq!(found_one.len(), SUSPECTED_MAX);
    assert!(found_one.iter().all(|(_, harm)| *harm == Harm::Suspected));
    let kept_nothing: Vec<Record> =
        good.iter().map(|record| Record { input: None, ..record.clone() }).collect();
    assert_eq!(found(&[], &kept_nothing, &[]), []);
}
