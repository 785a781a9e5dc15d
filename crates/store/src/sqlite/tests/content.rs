//! What was damaged is named.

use super::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_core::drift::SentinelRun;
use tidegate_core::gate::{CaseResult, EvalReport, KeptRows, RowError, Rows};
use tidegate_core::ids::Digest;

#[tokio::test]
async fn a_damaged_set_is_named_and_replaced_by_packing_again() {
    let root = root();
    let store = open(&root);
    let packed = packed_set("你是客服");
    let digest = packed.set.artifacts[&ArtifactKind::Prompt].files["正文.md"].digest.clone();
    store.put_set(&packed, UnixMs(1)).await.unwrap();
    for (damage, expected) in [
        ("UPDATE blobs SET content = x'00' WHERE digest = ?1", "`正文.md` of prompt was altered"),
        ("DELETE FROM blobs WHERE digest = ?1", "`正文.md` of prompt is missing"),
    ] {
        raw(&root).execute(damage, [digest.as_str()]).unwrap();
        let named = error(store.set(&packed.set.id));
        assert!(named.message.contains(expected), "{named}");
        assert_eq!(store.integrity().unwrap().len(), 1);
        store.put_set(&packed, UnixMs(1)).await.unwrap();
        assert!(store.set(&packed.set.id).is_ok());
    }
    // The id does not cover the list of files directly, but through each artifact's digest.
    let moved = "UPDATE sets SET body = replace(body, '正文.md', '别的.md')";
    raw(&root).execute(moved, []).unwrap();
    let named = error(store.set(&packed.set.id));
    assert!(named.message.contains("does not match its digest"), "{named}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_without_its_content() {
    let root = root();
    let store = open(&root);
    store.put_feedback(None, &trace_id(1), UnixMs(1), Feedback::Like(true)).await.unwrap();
    store.put_eval(&report("run-1", 1, 10, 0.8)).await.unwrap();
    store.add_baseline(&set_id(1), UnixMs(0), &Window::default()).await.unwrap();
    for table in ["feedback", "evals", "baselines"] {
        let sql = format!("UPDATE {table} SET body = '\"a secret prompt\"'");
        assert_eq!(raw(&root).execute(&sql, []).unwrap(), 1, "{table}");
    }
    let check = |error: StoreError, row: &str| {
        assert!(error.message.contains(row), "{error}");
        assert!(!error.message.contains("secret"), "{error}");
    };
    check(error(store.feedback_on(&[(None, trace_id(1))])), "feedback on trace `canary-test-001`");
    check(error(store.latest_eval(&set_id(1))), "eval run `run-1`");
    check(error(store.baseline(&set_id(1), UnixMs(0))), "baseline of `vs-000000000001`, day 0");
    let added = store.add_baseline(&set_id(1), UnixMs(0), &Window::default()).await;
    check(error(added), "baseline of `vs-000000000001`, day 0");
    assert!(append(&store, UnixMs(1), vec![packed_event(1)]).await.is_ok(), "it alone is refused");
}

#[tokio::test]
async fn a_run_of_the_fixed_cases_is_found_by_what_it_holds() {
    let root = root();
    let store = open(&root);
    let run = SentinelRun {
        run_id: "sentinel-1-abcdef".to_owned(),
        at: UnixMs(1),
        set: set_id(1),
        upstream: "main".to_owned(),
        endpoint: String::new(),
        model: "m-1".to_owned(),
        cases: Vec::new(),
        known: BTreeSet::from(["指纹".to_owned()]),
    };
    let report = store.put_sentinel(&run).await.unwrap();
    assert_eq!(store.put_sentinel(&run).await.unwrap(), report, "the same again changes nothing");
    assert_eq!(store.sentinel(&report).unwrap(), run);
    let other = error(store.sentinel(&Digest::of(b"other")));
    assert_eq!(other.kind, crate::error::StoreErrorKind::NotFound, "{other}");
    raw(&root).execute("UPDATE blobs SET content = x'7b7d'", []).unwrap();
    let named = error(store.sentinel(&report));
    assert!(named.message.contains("altered"), "{named}");
}

/// Results that are made as they are read.
#[derive(Debug)]
struct Made(&'static str, usize);

impl KeptRows<CaseResult> for Made {
    fn count(&self) -> usize {
        self.1
    }

    fn read(&self, at: usize) -> std::result::Result<CaseResult, RowError> {
        let case = json!({"id": format!("case-{at}"), "input": "问", "risk": "format"});
        let result = json!({
            "case": case, "actual": format!("{} {at}", self.0), "error": null, "score": 1.0,
            "checks": [], "latency_ms": 7,
        });
        serde_json::from_value(result).map_err(|error| RowError(error.to_string()))
    }
}

fn large(run_id: &str, answer: &'static str, count: usize) -> EvalReport {
    let results = Rows::Kept(Arc::new(Made(answer, count)));
    EvalReport { results, total: count, ..report(run_id, 1, 10, 0.9) }
}

#[tokio::test]
async fn the_results_of_a_large_run_are_rows_that_are_read_one_by_one() {
    let root = root();
    let store = open(&root);
    let answer: &'static str = Box::leak("答".repeat(1_000).into_boxed_str());
    let run = large("run-1", answer, 700);
    // What a run left that was cut off before its report was there.
    let left = "INSERT INTO eval_results VALUES ('run-1', 3, 'torn'), ('run-0', 0, 'torn')";
    raw(&root).execute(left, []).unwrap();
    store.put_eval(&run).await.unwrap();
    store.put_eval(&run).await.unwrap();
    let other = error(store.put_eval(&large("run-1", "another", 700)).await);
    assert!(other.message.contains("`run-1` is kept already"), "{other}");
    let kept = store.eval("run-1").unwrap().unwrap();
    assert!(matches!(kept.results, Rows::Kept(_)));
    assert_eq!(kept, run);
    let count = |sql: &str| raw(&root).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM eval_results"), 700);
    assert!(count("SELECT max(length(body)) FROM evals") < 2_000, "they are not in its body");
    raw(&root).execute("UPDATE eval_results SET body = '{}' WHERE at = 5", []).unwrap();
    let torn = kept.results.read(5).unwrap_err().to_string();
    assert!(torn.contains("result 5 of eval run `run-1` cannot be read"), "{torn}");
    raw(&root).execute("DELETE FROM eval_results WHERE at = 5", []).unwrap();
    let missing = error(store.eval("run-1"));
    assert!(missing.message.contains("699 of its 700 results are there"), "{missing}");
}
