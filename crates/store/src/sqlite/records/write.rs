//! From records to rows.

use super::super::row::int;
use super::batch::{self, Draft, Facts, Mark, TEXTS_MAX};
use super::hash::Names;
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use rusqlite::{Connection, params};
use tidegate_core::evidence::Record;

pub(in super::super) use super::batch::Sealed;

/// Bits of a mark's row id that are its place in the batch.
const PLACE_BITS: u32 = 16;

/// Makes batches of records.
pub(in super::super) struct Sealer {
    names: Names,
    zstd: zstd::bulk::Compressor<'static>,
    draft: Draft,
}

impl Sealer {
    /// For this state.
    ///
    /// # Errors
    /// When the state's key cannot be read.
    pub(in super::super) fn new(db: &Connection) -> Result<Sealer> {
        let zstd = batch::compressor(batch::LEVEL).map_err(|e| cannot_compress(&e))?;
        Ok(Sealer { names: Names::of(db)?, zstd, draft: Draft::default() })
    }

    /// Batches of these records, in their order, and how many records are in them: one that cannot
    /// be written as JSON is left out. The records are as before when this returns.
    ///
    /// # Errors
    /// When there is no memory to compress them.
    pub(in super::super) fn seal<'a>(
        &mut self,
        records: impl Iterator<Item = &'a mut Record>,
    ) -> Result<(Vec<Sealed>, usize)> {
        let mut sealed = Vec::new();
        for record in records {
            // They lie beside the line.
            let texts = [record.input.take(), record.output.take()];
            let line = |to: &mut Vec<u8>| serde_json::to_writer(to, record);
            let written = self.draft.add(&self.names, &facts(record), short(&texts), line);
            [record.input, record.output] = texts;
            if written.is_ok() && self.draft.is_full() {
                sealed.extend(self.take()?);
            }
        }
        sealed.extend(self.take()?);
        let count = sealed.iter().map(|batch: &Sealed| batch.count).sum();
        Ok((sealed, count))
    }

    fn take(&mut self) -> Result<Option<Sealed>> {
        self.draft.seal(&mut self.zstd).map_err(|e| cannot_compress(&e))
    }
}

pub(super) fn cannot_compress(error: &std::io::Error) -> StoreError {
    StoreError::new(Kind::Failed, format!("records cannot be compressed: {error}"))
}

fn facts(record: &Record) -> Facts<'_> {
    Facts {
        trace: record.trace_id.as_str(),
        tenant: record.tenant.as_deref(),
        user: record.user.as_deref(),
        change_id: record.change_id.as_ref().map(|id| id.as_str()),
        arm: record.arm.as_str(),
        at: record.at,
        failing: record.is_failing(),
    }
}

/// The texts, unless they are too long to be read back; their lengths in the record stay.
fn short(texts: &[Option<String>; 2]) -> [Option<&[u8]>; 2] {
    let bytes: usize = texts.iter().flatten().map(String::len).sum();
    texts.each_ref().map(|text| text.as_deref().map(str::as_bytes).filter(|_| bytes <= TEXTS_MAX))
}

/// Writes a batch as the last one and gives its id.
pub(in super::super) fn insert(db: &Connection, batch: &Sealed) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO record_batches(first_at, last_at, count, raw, body)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        int(batch.first_at),
        int(batch.last_at),
        int(batch.count as u64),
        int(batch.raw as u64),
        batch.body
    ])?;
    let id = db.last_insert_rowid();
    db.prepare_cached("INSERT INTO record_names(batch, names) VALUES (?1, ?2)")?
        .execute(params![id, batch.names])?;
    insert_marks(db, id, &batch.marks)?;
    Ok(id)
}

/// Writes a batch in the place of the one with this id.
pub(super) fn replace(db: &Connection, id: i64, batch: &Sealed) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE record_batches SET first_at = ?2, last_at = ?3, count = ?4, raw = ?5, body = ?6
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        int(batch.first_at),
        int(batch.last_at),
        int(batch.count as u64),
        int(batch.raw as u64),
        batch.body
    ])?;
    // Where it is indexed already there is no row here, and none is needed: a lookup that finds a
    // trace in the index and not in the batch goes on.
    db.prepare_cached("UPDATE record_names SET names = ?2 WHERE batch = ?1")?
        .execute(params![id, batch.names])?;
    delete_marks(db, id)?;
    insert_marks(db, id, &batch.marks)
}

/// Deletes a batch.
pub(super) fn delete(db: &Connection, id: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM record_batches WHERE id = ?1")?.execute([id])?;
    db.prepare_cached("DELETE FROM record_names WHERE batch = ?1")?.execute([id])?;
    delete_marks(db, id)
}

/// The row ids of a batch's marks.
pub(super) fn mark_ids(batch: i64) -> (i64, i64) {
    let first = batch << PLACE_BITS;
    (first, first | ((1 << PLACE_BITS) - 1))
}

/// The batch and the place that a mark's row id says.
pub(super) fn of_mark_id(id: i64) -> (i64, u16) {
    let place = id & ((1 << PLACE_BITS) - 1);
    (id >> PLACE_BITS, u16::try_from(place).unwrap_or(u16::MAX))
}

fn delete_marks(db: &Connection, batch: i64) -> rusqlite::Result<()> {
    let (first, last) = mark_ids(batch);
    db.prepare_cached("DELETE FROM record_marks WHERE id BETWEEN ?1 AND ?2")?
        .execute([first, last])
        .map(|_| ())
}

fn insert_marks(db: &Connection, batch: i64, marks: &[Mark]) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO record_marks(id, change_id, arm, first_at, last_at, count, failing, subjects)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let (first, _) = mark_ids(batch);
    for (id, mark) in (first..).zip(marks) {
        let subjects: Vec<u8> = mark.subjects.iter().flat_map(|s| s.to_le_bytes()).collect();
        insert.execute(params![
            id,
            mark.change_id,
            mark.arm,
            int(mark.first_at),
            int(mark.last_at),
            int(mark.count),
            int(mark.failing),
            subjects
        ])?;
    }
    Ok(())
}
