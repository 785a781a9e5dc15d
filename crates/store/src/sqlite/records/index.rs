//! Finding a trace among millions of records.
//!
//! The names of the newest batches wait in `record_names`, some 64,000 at most, and are looked
//! through. When they are enough they become a segment of the index: sorted, and cut into 1,024
//! rows by the first bits of the trace's name. The rows of one prefix lie side by side over all
//! segments, so that a lookup reads one short range: at ten million records 150 rows of 640 bytes.
//! A tree with a row for each record would be written to at a random place for each of them.

#[cfg(test)]
use super::super::row::uint;
use super::super::row::unreadable;
use super::batch::places;
use super::hash::Name;
use crate::error::Result;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Bits of a trace's name that are the prefix.
const PREFIX_BITS: u32 = 10;
/// Bits of a row's id below the prefix: the segment, which is called by its first batch.
const SEGMENT_BITS: u32 = 48;
/// Bytes of an entry: the name, and how many batches after the segment's first it is.
const ENTRY: usize = Name::BYTES + 4;

/// The batches that may have records of a trace, each with its tenant's name.
pub(super) fn find(
    db: &Connection,
    trace: u32,
    tenant: Option<u16>,
) -> Result<BTreeSet<(u16, i64)>> {
    let fits = |name: Name| name.trace == trace && tenant.is_none_or(|t| t == name.tenant);
    let mut found = BTreeSet::new();
    let mut select =
        db.prepare_cached("SELECT batch, names FROM record_names").map_err(|e| unreadable(&e))?;
    let mut rows = select.query([]).map_err(|e| unreadable(&e))?;
    while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
        let batch: i64 = row.get(0).map_err(|e| unreadable(&e))?;
        let names = row.get_ref(1).and_then(|value| Ok(value.as_blob()?));
        let names = names.map_err(|e| unreadable(&e))?;
        found.extend(
            places(names, fits).filter_map(|place| Some((tenant_at(names, place)?, batch))),
        );
    }
    let prefix = i64::from(trace >> (u32::BITS - PREFIX_BITS));
    let (first, last) = (prefix << SEGMENT_BITS, ((prefix + 1) << SEGMENT_BITS) - 1);
    let mut select = db
        .prepare_cached("SELECT id, entries FROM record_index WHERE id BETWEEN ?1 AND ?2")
        .map_err(|e| unreadable(&e))?;
    let mut rows = select.query([first, last]).map_err(|e| unreadable(&e))?;
    while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
        let id: i64 = row.get(0).map_err(|e| unreadable(&e))?;
        let segment = id & ((1 << SEGMENT_BITS) - 1);
        let entries = row.get_ref(1).and_then(|value| Ok(value.as_blob()?));
        let entries = entries.map_err(|e| unreadable(&e))?;
        let (chunks, _) = entries.as_chunks::<ENTRY>();
        for [a, b, c, d, e, f, g, h, i, j] in chunks {
            let name = Name::of_bytes([*a, *b, *c, *d, *e, *f]);
            if fits(name) {
                let after = u32::from_be_bytes([*g, *h, *i, *j]);
                found.insert((name.tenant, segment + i64::from(after)));
            }
        }
    }
    Ok(found)
}

fn tenant_at(names: &[u8], place: usize) -> Option<u16> {
    let (chunks, _) = names.as_chunks::<{ Name::BYTES }>();
    chunks.get(place).map(|bytes| Name::of_bytes(*bytes).tenant)
}

/// Makes a segment of these batches, which wait in `record_names`.
pub(super) fn add_segment(db: &Connection, batches: &[i64]) -> rusqlite::Result<()> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(()) };
    let mut entries: Vec<(Name, u32)> = Vec::new();
    let mut select = db.prepare_cached("SELECT names FROM record_names WHERE batch = ?1")?;
    let mut done = db.prepare_cached("DELETE FROM record_names WHERE batch = ?1")?;
    for batch in batches {
        let names: Vec<u8> = select.query_row([batch], |row| row.get(0))?;
        let (chunks, _) = names.as_chunks::<{ Name::BYTES }>();
        // Batches have ids without gaps, and one is indexed at 65,536 records at the latest.
        let after = u32::try_from(batch - first).unwrap_or(u32::MAX);
        entries.extend(chunks.iter().map(|bytes| (Name::of_bytes(*bytes), after)));
        done.execute([batch])?;
    }
    entries.sort_unstable();
    // A trace that is often in one batch needs one entry.
    entries.dedup();
    db.prepare_cached("INSERT OR REPLACE INTO record_segments(first, last) VALUES (?1, ?2)")?
        .execute([first, last])?;
    let mut insert =
        db.prepare_cached("INSERT OR REPLACE INTO record_index(id, entries) VALUES (?1, ?2)")?;
    let prefix = |name: Name| i64::from(name.trace >> (u32::BITS - PREFIX_BITS));
    let mut row = Vec::new();
    for same in entries.chunk_by(|(a, _), (b, _)| prefix(*a) == prefix(*b)) {
        let Some((name, _)) = same.first() else { continue };
        row.clear();
        for (name, after) in same {
            row.extend_from_slice(&name.to_bytes());
            row.extend_from_slice(&after.to_be_bytes());
        }
        insert.execute(params![(prefix(*name) << SEGMENT_BITS) | first, row])?;
    }
    Ok(())
}

/// Deletes one segment of whose batches none is left; false when there is none.
pub(super) fn drop_segment(db: &Connection) -> rusqlite::Result<bool> {
    use rusqlite::OptionalExtension as _;
    let empty: Option<i64> = db
        .prepare_cached(
            "SELECT first FROM record_segments WHERE NOT EXISTS
             (SELECT 1 FROM record_batches WHERE id BETWEEN first AND last) LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(first) = empty else { return Ok(false) };
    let mut delete = db.prepare_cached("DELETE FROM record_index WHERE id = ?1")?;
    for prefix in 0..1i64 << PREFIX_BITS {
        delete.execute([(prefix << SEGMENT_BITS) | first])?;
    }
    db.prepare_cached("DELETE FROM record_segments WHERE first = ?1")?.execute([first])?;
    Ok(true)
}

/// The segment that has a batch; for tests of what is left.
#[cfg(test)]
pub(super) fn segments(db: &Connection) -> Vec<(u64, u64)> {
    let mut select = db.prepare("SELECT first, last FROM record_segments").unwrap();
    let rows = select.query_map([], |r| Ok((r.get(0).map(uint)?, r.get(1).map(uint)?))).unwrap();
    rows.map(Result::unwrap).collect()
}
