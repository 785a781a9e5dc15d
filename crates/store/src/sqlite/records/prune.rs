//! Deleting old records: whole batches, and what is old of those that are not.

use super::super::row::{int, uint};
use super::batch::{self, Body, Draft, Facts};
use super::hash::Names;
use super::write::{cannot_compress, delete, replace};
use super::{index, read};
use crate::error::Result;
use rusqlite::Connection;
use tidegate_core::ids::UnixMs;

/// Batches looked at in one step.
const BATCHES: u32 = 16;
/// Batches rewritten in one step: some milliseconds each.
const REWRITES: usize = 2;

/// What a step came to.
pub(in super::super) struct Pruned {
    /// Records deleted.
    pub(in super::super) records: u64,
    /// Whether there may be more to do.
    pub(in super::super) more: bool,
}

/// Does one step of deleting records from before a moment.
pub(in super::super) fn prune(
    db: &Connection,
    before: UnixMs,
) -> super::super::fault::Outcome<Pruned> {
    let mut select = db.prepare_cached(
        "SELECT id, last_at, count FROM record_batches WHERE first_at < ?1
         ORDER BY first_at LIMIT ?2",
    )?;
    let rows = select.query_map([int(before.0), i64::from(BATCHES)], |row| {
        Ok((row.get(0)?, row.get(1).map(uint)?, row.get(2).map(uint)?))
    })?;
    let old: Vec<(i64, u64, u64)> = rows.collect::<rusqlite::Result<_>>()?;
    let (mut records, mut rewritten) = (0, 0);
    for (id, last_at, count) in &old {
        if *last_at < before.0 {
            delete(db, *id)?;
            records += count;
            continue;
        }
        records += take_out(db, *id, *count, before)?;
        rewritten += 1;
        if rewritten == REWRITES {
            break;
        }
    }
    let dropped = index::drop_segment(db)?;
    Ok(Pruned { records, more: !old.is_empty() || dropped })
}

/// Takes the old records out of a batch that has newer ones too; gives how many they were. One that
/// cannot be read is deleted: nobody could say later that what was to go is gone.
fn take_out(
    db: &Connection,
    id: i64,
    count: u64,
    before: UnixMs,
) -> super::super::fault::Outcome<u64> {
    let kept = match read::open(db, id) {
        Ok(Some(body)) => without(db, id, &body, |at, _| at < before.0)?,
        Ok(None) | Err(_) => None,
    };
    put(db, id, count, kept)
}

/// Puts what is kept of a batch in its place, and gives how many of its records are gone.
pub(super) fn put(
    db: &Connection,
    id: i64,
    count: u64,
    kept: Option<batch::Sealed>,
) -> super::super::fault::Outcome<u64> {
    match kept {
        Some(kept) => {
            replace(db, id, &kept)?;
            Ok(count.saturating_sub(kept.count as u64))
        }
        None => {
            delete(db, id)?;
            Ok(count)
        }
    }
}

/// The batch without the records that `goes` says; `None` where none is left, or its marks cannot
/// be read.
pub(super) fn without(
    db: &Connection,
    id: i64,
    body: &Body,
    mut goes: impl FnMut(u64, &read::Whose<'_>) -> bool,
) -> Result<Option<batch::Sealed>> {
    let Ok(marks) = read::marks(db, id) else { return Ok(None) };
    let names = Names::of(db)?;
    let mut draft = Draft::default();
    for (place, head) in body.heads().iter().enumerate() {
        let piece = body.piece(place);
        let whose: read::Whose<'_> = serde_json::from_slice(piece.line).unwrap_or_default();
        let Some(mark) = marks.get(usize::from(head.mark)).filter(|_| !goes(head.at, &whose))
        else {
            continue;
        };
        let facts = Facts {
            trace: &whose.trace_id,
            tenant: whose.tenant.as_deref(),
            user: whose.user.as_deref(),
            change_id: mark.change_id.as_deref(),
            arm: &mark.arm,
            at: UnixMs(head.at),
            failing: head.failing,
        };
        let copy = |to: &mut Vec<u8>| -> std::io::Result<()> {
            to.extend_from_slice(piece.line);
            Ok(())
        };
        draft.add(&names, &facts, piece.texts, copy).map_err(|e| cannot_compress(&e))?;
    }
    let sealed = batch::compressor(batch::LEVEL).and_then(|mut zstd| draft.seal(&mut zstd));
    sealed.map_err(|e| cannot_compress(&e))
}
