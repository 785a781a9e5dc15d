//! States of earlier schemas are brought up to date, wherever that was interrupted.

use super::*;
use crate::suite::{change_id, trace_id};
use rusqlite::params;
use tidegate_core::calendar::Day;
use tidegate_core::money::{LineKey, Purpose};
use tidegate_core::observe::Feedback;

/// What the tidegate of schema 2 wrote: 24 records, feedback, a journal, a set, an eval report.
const SCHEMA_2: &str = include_str!("states/schema-2.sql");

fn state_of_schema_2() -> TempDir {
    let root = root();
    std::fs::create_dir(root.path().join(".tidegate")).unwrap();
    raw(&root).execute_batch(SCHEMA_2).unwrap();
    root
}

/// The records as schema 2 has them, oldest first.
fn rows(root: &TempDir) -> Vec<Record> {
    let db = raw(root);
    let mut select = db.prepare("SELECT body FROM records ORDER BY at, id").unwrap();
    let bodies = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
    bodies.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn a_state_of_rows_is_brought_into_batches() {
    let root = state_of_schema_2();
    let kept = rows(&root);
    assert_eq!(kept.len(), 24);
    let older = error(SqliteStore::open(root.path(), Access::Read));
    assert!(older.message.contains("older tidegate (schema 2; this one reads 8)"), "{older}");
    assert!(older.hints[0].contains("`tidegate serve` brings it up to date"), "{older:?}");
    assert_eq!(rows(&root), kept, "reading changes nothing");

    let store = open(&root);
    let all = RecordQuery { limit: 100, ..RecordQuery::default() };
    assert_eq!(store.records(&all).unwrap(), kept);
    let candidate = |r: &&Record| r.change_id == Some(change_id()) && r.arm == Arm::Candidate;
    let count = kept.iter().filter(candidate).count() as u64;
    assert_eq!(store.exposure(&change_id(), Arm::Candidate).unwrap().0, count);
    // Trace 1 was used twice, by the same tenant.
    let id = trace_id(1);
    let latest = kept.iter().rfind(|r| r.trace_id == id).unwrap();
    assert_eq!(store.traces(&id).unwrap(), std::slice::from_ref(latest));
    let whose = (latest.tenant.clone(), id.clone());
    let said = vec![Feedback::Like(true), Feedback::Satisfaction(0.5)];
    assert_eq!(store.feedback_on(std::slice::from_ref(&whose)).unwrap()[&whose], said);
    assert_eq!(store.journal(1).unwrap().len(), 2);
    assert_eq!(store.sets().unwrap().len(), 1);
    assert!(store.latest_eval(&set_id(1)).unwrap().is_some());
    assert_eq!(append(&store, UnixMs(3), vec![packed_event(3)]).await.unwrap()[0].seq, 3);
    assert!(store.record(store.begin(), record(30, Arm::Stable, None, None)));
    store.flush().await.unwrap();
    assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
    drop(store);
    let again = open(&root);
    assert_eq!(again.records(&all).unwrap().len(), 25);
}

/// Rows for several transactions, and a stop after each step of the way.
#[test]
fn a_conversion_that_was_interrupted_goes_on() {
    let root = state_of_schema_2();
    let db = raw(&root);
    let (body, rows): (String, i64) = (
        db.query_row("SELECT body FROM records WHERE id = 1", [], |row| row.get(0)).unwrap(),
        5_000,
    );
    db.execute_batch("BEGIN").unwrap();
    for id in 100..100 + rows {
        let body = body.replace("canary-test-000", &format!("t-{id}"));
        db.execute(
            "INSERT INTO records VALUES (?1, ?2, ?3, NULL, 'stable', 'mei', 'acme', 0, ?4)",
            params![id, format!("t-{id}"), id, body],
        )
        .unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    // The disk refuses in the middle: what was converted until then stays so.
    db.execute_batch(
        "CREATE TRIGGER stop BEFORE DELETE ON records WHEN old.id = 3000
         BEGIN SELECT RAISE(ABORT, 'no more'); END",
    )
    .unwrap();
    error(SqliteStore::open(root.path(), Access::Exclusive));
    let left: i64 = db.query_row("SELECT count(*) FROM records", [], |r| r.get(0)).unwrap();
    assert!(left > 1_000 && left < rows, "{left}");
    let half = error(SqliteStore::open(root.path(), Access::Read));
    assert!(half.message.contains("only partly brought up to date"), "{half}");
    db.execute_batch("DROP TRIGGER stop").unwrap();
    let store = open(&root);
    let all = RecordQuery { limit: 10_000, ..RecordQuery::default() };
    assert_eq!(store.records(&all).unwrap().len() as i64, rows + 24);
    for id in [100, 2_999, 3_000, 5_099] {
        let trace = format!("t-{id}").parse().unwrap();
        assert!(store.trace(Some("acme"), &trace).unwrap().is_some(), "{id}");
        assert_eq!(store.trace(None, &trace).unwrap(), None);
    }
    assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
}

/// Books of schema 6 know only requests of users.
#[test]
fn books_without_a_purpose_are_those_of_users() {
    let root = root();
    drop(open(&root));
    let set = set_id(1);
    let columns = "day, tenant, key, set_id, arm, model, tier, requests, estimated, unknown,
        other_tier, unpriced, input, cache_read, cache_write, audio_in, output, reasoning,
        audio_out, compute_us, input_cost, output_cost, compute_cost";
    raw(&root)
        .execute_batch(&format!(
            "CREATE TABLE before AS SELECT {columns} FROM costs; DROP TABLE costs;
             ALTER TABLE before RENAME TO costs; DROP TABLE eval_results;
             PRAGMA user_version = 6;
             INSERT INTO costs VALUES (9, 'acme', 'web', '{set}', 'candidate', 'm1', 'flex',
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)"
        ))
        .unwrap();
    let lines = open(&root).costs(Day(9), Day(9)).unwrap();
    let some = |name: &str| Some(name.to_owned());
    let line = LineKey {
        day: Day(9),
        purpose: Purpose::Serve,
        tenant: some("acme"),
        key: some("web"),
        set,
        arm: Some(Arm::Candidate),
        model: "m1".to_owned(),
        tier: some("flex"),
    };
    let sums = lines[&line];
    assert_eq!((sums.requests, sums.unpriced, sums.used.input), (1, 5, 6));
    assert_eq!((sums.used.compute_us, sums.bill.compute_cost.0), (13, 16));
}
