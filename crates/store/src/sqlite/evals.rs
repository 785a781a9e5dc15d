//! Eval runs. Few results are in the body of their report. Those of a large run are rows of their
//! own, which are written some at a time, before the report that they belong to, and read one by
//! one: neither the writer's thread nor anybody's memory has to take them all.

use super::fault::Outcome;
use super::reader::{Readers, all, one};
use super::row::{body, damaged, int, parse, uint};
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use crate::work::ResultsBatch;
use rusqlite::{Connection, params};
use std::fmt;
use std::sync::Arc;
use tidegate_core::gate::{CaseResult, EvalReport, KeptRows, RowError, Rows};
use tidegate_core::ids::VersionSetId;

/// Bytes of results that are written in one transaction: some milliseconds.
const BATCH_BYTES: usize = 1024 * 1024;

/// The results of a report from a place on that are written next; `None` at the end, and for a
/// report whose body has them.
pub(super) fn batch(report: &EvalReport, from: usize) -> Result<Option<ResultsBatch>> {
    let (Rows::Kept(_), true) = (&report.results, from < report.results.len()) else {
        return Ok(None);
    };
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    for at in from..report.results.len() {
        if bytes >= BATCH_BYTES {
            break;
        }
        let result = report.results.read(at).map_err(|error| {
            let what = format!("result {at} of eval run `{}`: {error}", report.run_id);
            StoreError::new(Kind::Failed, what)
        })?;
        let text = body("a result of the eval", result.as_ref())?;
        bytes += text.len();
        bodies.push(text);
    }
    Ok(Some(ResultsBatch { run_id: report.run_id.clone(), from, bodies }))
}

/// The report as its row has it.
pub(super) fn head(report: &EvalReport) -> EvalReport {
    let results = match &report.results {
        Rows::Held(results) => Rows::Held(results.clone()),
        Rows::Kept(_) => Rows::default(),
    };
    EvalReport { results, ..report.clone() }
}

/// Writes results before their report.
pub(super) fn put_results(db: &Connection, batch: &ResultsBatch) -> Outcome<bool> {
    if batch.from == 0 {
        // What was left of a run that was cut off before its report was there.
        let left = "DELETE FROM eval_results WHERE run_id NOT IN (SELECT run_id FROM evals)";
        db.prepare_cached(left)?.execute([])?;
    }
    let mut is_new = false;
    for (at, text) in (batch.from..).zip(&batch.bodies) {
        let at = int(at as u64);
        let rows = db
            .prepare_cached(
                "INSERT INTO eval_results(run_id, at, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT(run_id, at) DO NOTHING",
            )?
            .execute(params![batch.run_id, at, text])?;
        is_new |= rows > 0;
        if rows == 0 {
            let kept: String = db
                .prepare_cached("SELECT body FROM eval_results WHERE run_id = ?1 AND at = ?2")?
                .query_row(params![batch.run_id, at], |row| row.get(0))?;
            if kept != *text {
                return Err(is_another(&batch.run_id).into());
            }
        }
    }
    Ok(is_new)
}

/// Writes a report.
pub(super) fn put(db: &Connection, report: &EvalReport) -> Outcome<bool> {
    let text = body("the eval report", report)?;
    let rows = db
        .prepare_cached(
            "INSERT INTO evals(run_id, set_id, cases, at, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(run_id) DO NOTHING",
        )?
        .execute(params![
            report.run_id,
            report.version_set.as_str(),
            report.cases_digest.as_str(),
            int(report.at.0),
            text
        ])?;
    if rows == 0 {
        let kept: String = db
            .prepare_cached("SELECT body FROM evals WHERE run_id = ?1")?
            .query_row([&report.run_id], |row| row.get(0))?;
        if kept != text {
            return Err(is_another(&report.run_id).into());
        }
    }
    Ok(rows > 0)
}

fn is_another(run_id: &str) -> StoreError {
    let what = format!("eval run `{run_id}` is kept already, with another report");
    StoreError::new(Kind::Refused, what)
}

/// The latest report on a set.
pub(super) fn latest(readers: &Arc<Readers>, set: &VersionSetId) -> Result<Option<EvalReport>> {
    let sql = "SELECT run_id, body FROM evals WHERE set_id = ?1 ORDER BY at DESC, id DESC LIMIT 1";
    report(readers, sql, set.as_str())
}

/// The latest report that passed its gate.
pub(super) fn last_passed(readers: &Arc<Readers>) -> Result<Option<EvalReport>> {
    let sql = "SELECT run_id, body FROM evals WHERE json_extract(body, '$.passed') = ?1 \
               ORDER BY at DESC, id DESC LIMIT 1";
    report(readers, sql, 1)
}

/// The report of a run.
pub(super) fn of_run(readers: &Arc<Readers>, run_id: &str) -> Result<Option<EvalReport>> {
    report(readers, "SELECT run_id, body FROM evals WHERE run_id = ?1", run_id)
}

/// The ids of all runs, the newest first.
pub(super) fn runs(db: &Connection) -> Result<Vec<String>> {
    all(db, "SELECT run_id FROM evals ORDER BY at DESC, id DESC", [], |row| row.get(0))
}

fn report(
    readers: &Arc<Readers>,
    sql: &str,
    key: impl rusqlite::ToSql,
) -> Result<Option<EvalReport>> {
    readers.read(|db| {
        let rows: Vec<(String, String)> =
            all(db, sql, [key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((run, body)) = rows.first() else { return Ok(None) };
        let name = format!("eval run `{run}`");
        let mut report: EvalReport = parse(&name, body)?;
        if report.results.is_empty() && report.total > 0 {
            let sql = "SELECT count(*) FROM eval_results WHERE run_id = ?1";
            let count: i64 = one(db, sql, [run])?.unwrap_or(0);
            let (count, total) = (uint(count), report.total as u64);
            if count != total {
                return Err(damaged(&name, &format!("{count} of its {total} results are there")));
            }
            let (readers, run_id) = (Arc::clone(readers), run.clone());
            let kept = ResultsOfRun { readers, run_id, count: report.total };
            report.results = Rows::Kept(Arc::new(kept));
        }
        Ok(Some(report))
    })
}

/// The results of a large run.
struct ResultsOfRun {
    readers: Arc<Readers>,
    run_id: String,
    count: usize,
}

impl fmt::Debug for ResultsOfRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultsOfRun").field("run_id", &self.run_id).finish_non_exhaustive()
    }
}

impl KeptRows<CaseResult> for ResultsOfRun {
    fn count(&self) -> usize {
        self.count
    }

    fn read(&self, at: usize) -> std::result::Result<CaseResult, RowError> {
        let row = format!("result {at} of eval run `{}`", self.run_id);
        let read = self.readers.read(|db| {
            let sql = "SELECT body FROM eval_results WHERE run_id = ?1 AND at = ?2";
            let key = params![self.run_id, int(at as u64)];
            let body: Option<String> = one(db, sql, key)?;
            parse(&row, &body.ok_or_else(|| damaged(&row, "it is missing"))?)
        });
        read.map_err(|error| RowError(error.message))
    }
}
