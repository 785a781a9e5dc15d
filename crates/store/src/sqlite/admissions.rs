//! Admissions of requests: a row for each that is taken on, until its record is written. So what is
//! in the table is what runs now, and what ended without a record.

use super::reader::all;
use super::row::{int, parse, uint, unreadable};
use crate::api::{Epoch, Unrecorded};
use crate::error::Result;
use crate::query::Whose;
use rusqlite::{Connection, params};
use tidegate_core::evidence::Admission;
use tidegate_core::ids::{TraceId, UnixMs};

/// Bits of an id below the writer's epoch.
const ID_BITS: u32 = 32;
/// Rows deleted at a time as too old: some milliseconds.
const PRUNE_BATCH: usize = 500;

/// The id of a writer's first row. None is of two writers, also where a lock did not keep the
/// second one out.
pub(super) fn first_id(epoch: Epoch) -> u64 {
    epoch.0 << ID_BITS
}

/// Writes an admission, of a writer's epoch.
pub(super) fn insert(
    db: &Connection,
    id: u64,
    epoch: Epoch,
    admission: &Admission,
) -> rusqlite::Result<()> {
    let text = serde_json::to_string(admission)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    db.prepare_cached(
        "INSERT INTO admissions(id, epoch, at, trace_id, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![int(id), int(epoch.0), int(admission.at.0), admission.trace_id.as_str(), text])
    .map(|_| ())
}

/// Deletes admissions whose records are written.
pub(super) fn delete(db: &Connection, ids: &[u64]) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM admissions WHERE id = ?1")?;
    for id in ids {
        delete.execute([int(*id)])?;
    }
    Ok(())
}

/// Deletes some from before a moment; true when there may be more.
pub(super) fn prune(db: &Connection, before: UnixMs) -> rusqlite::Result<bool> {
    let deleted = db
        .prepare_cached(
            "DELETE FROM admissions WHERE id IN
             (SELECT id FROM admissions WHERE at < ?1 ORDER BY id LIMIT ?2)",
        )?
        .execute(params![int(before.0), int(PRUNE_BATCH as u64)])?;
    Ok(deleted == PRUNE_BATCH)
}

/// How long a request may run, ms; its admission stays until its record is there.
const RUNS_MAX_MS: u64 = 3_600_000;

/// Deletes someone's admissions that no record followed.
pub(super) fn erase(db: &Connection, whose: &Whose) -> rusqlite::Result<()> {
    let Whose { tenant, users, before } = whose;
    let users = serde_json::to_string(users)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    db.prepare_cached(
        "DELETE FROM admissions WHERE at < ?1
         AND (?2 IS NULL OR json_extract(body, '$.tenant') = ?2)
         AND (?3 = '[]' OR json_extract(body, '$.user') IN (SELECT value FROM json_each(?3)))
         AND (at < ?4 OR epoch <
             (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'writer_epoch'))",
    )?
    .execute(params![int(before.0), tenant, users, int(before.0.saturating_sub(RUNS_MAX_MS))])
    .map(|_| ())
}

/// The requests of a trace that have no record, newest first.
pub(super) fn unrecorded(db: &Connection, id: &TraceId) -> Result<Vec<Unrecorded>> {
    let rows: Vec<(i64, bool, String)> = all(
        db,
        "SELECT id, epoch < (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'writer_epoch'),
         body FROM admissions WHERE trace_id = ?1 ORDER BY id DESC",
        [id.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    rows.into_iter()
        .map(|(id, is_over, body)| {
            let admission = parse(&format!("admission {id}"), &body)?;
            Ok(Unrecorded { admission, is_over })
        })
        .collect()
}

/// How many requests of ended processes have no record.
pub(super) fn unrecorded_count(db: &Connection) -> Result<u64> {
    db.prepare_cached(
        "SELECT count(*) FROM admissions WHERE epoch <
         (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'writer_epoch')",
    )
    .and_then(|mut select| select.query_row([], |row| row.get(0)))
    .map(uint)
    .map_err(|e| unreadable(&e))
}
