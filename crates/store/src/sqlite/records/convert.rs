//! From the rows of schema 2, one a record, to batches.

use super::super::row::uint;
use super::batch::{self, Draft, Facts};
use super::hash::Names;
use super::upkeep::Tail;
use super::write::insert;
use crate::error::Result;
use rusqlite::{Connection, TransactionBehavior};
use tidegate_core::ids::UnixMs;

/// Rows of one transaction. It costs the disk's wait once, and holds some megabytes.
const ROWS: u32 = 2_048;

/// A row of schema 2.
struct Row {
    id: i64,
    trace: String,
    at: u64,
    change_id: Option<String>,
    arm: String,
    user: Option<String>,
    tenant: Option<String>,
    failing: bool,
    body: String,
}

/// Whether rows of schema 2 are left.
pub(in super::super) fn is_due(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE name = 'records')", [], |row| {
        row.get(0)
    })
}

/// Brings all rows into batches, some thousand a transaction, and drops their table. Ended midway,
/// it goes on where it was: a row is in a batch in the transaction that deletes it.
pub(in super::super) fn convert(db: &mut Connection) -> Result<()> {
    let failed = |e: rusqlite::Error| super::super::row::unreadable(&e);
    if !is_due(db).map_err(failed)? {
        return Ok(());
    }
    let names = Names::of(db)?;
    let mut zstd =
        batch::compressor(batch::LEVEL).map_err(|e| super::write::cannot_compress(&e))?;
    let mut tail = Tail::load(db).map_err(failed)?;
    loop {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let done = some(&tx, &names, &mut zstd, &mut tail).map_err(failed)?;
        if done {
            tx.execute_batch("DROP TABLE records").map_err(failed)?;
        }
        tx.commit().map_err(failed)?;
        if done {
            return Ok(());
        }
    }
}

/// Converts the next rows; true when there were none.
fn some(
    db: &Connection,
    names: &Names,
    zstd: &mut zstd::bulk::Compressor<'_>,
    tail: &mut Tail,
) -> rusqlite::Result<bool> {
    let mut select = db.prepare_cached(
        "SELECT id, trace_id, at, change_id, arm, user, tenant, failing, body
         FROM records ORDER BY id LIMIT ?1",
    )?;
    let mut rows = select.query_map([ROWS], |row| {
        Ok(Row {
            id: row.get(0)?,
            trace: row.get(1)?,
            at: row.get(2).map(uint)?,
            change_id: row.get(3)?,
            arm: row.get(4)?,
            user: row.get(5)?,
            tenant: row.get(6)?,
            failing: row.get(7)?,
            body: row.get(8)?,
        })
    })?;
    let io = |e: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
    let mut draft = Draft::default();
    let mut last = None;
    loop {
        let row = rows.next().transpose()?;
        let is_end = row.is_none();
        if let Some(row) = row {
            draft.add(names, &row.facts(), [None; 2], |to| row.copy(to)).map_err(io)?;
            last = Some(row.id);
        }
        if (is_end || draft.is_full())
            && let Some(sealed) = draft.seal(zstd).map_err(io)?
        {
            tail.push(insert(db, &sealed)?, &sealed);
        }
        if is_end {
            break;
        }
    }
    while tail.step(db)? {}
    let Some(last) = last else { return Ok(true) };
    db.prepare_cached("DELETE FROM records WHERE id <= ?1")?.execute([last])?;
    Ok(false)
}

impl Row {
    fn facts(&self) -> Facts<'_> {
        Facts {
            trace: &self.trace,
            tenant: self.tenant.as_deref(),
            user: self.user.as_deref(),
            change_id: self.change_id.as_deref(),
            arm: &self.arm,
            at: UnixMs(self.at),
            failing: self.failing,
        }
    }

    /// Its line is as it was written, with the texts in it.
    fn copy(&self, to: &mut Vec<u8>) -> std::io::Result<()> {
        to.extend_from_slice(self.body.as_bytes());
        Ok(())
    }
}
