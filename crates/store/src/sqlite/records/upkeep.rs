//! What the writer does with the newest batches: small ones are merged, and those that will not
//! change any more are indexed.
//!
//! At little traffic every record is a separate batch, which compresses badly. So 32 tiny ones
//! become one, and small ones are merged again when they make a full one: a record is rewritten
//! twice at most. At high traffic a commit fills a batch, and none is merged.

use super::batch::{Draft, LINES_MAX, RECORDS_MAX, Sealed, compressor};
use super::write::{delete, replace};
use super::{index, read};
use rusqlite::Connection;

/// Below so many bytes a batch compresses clearly worse than a full one (at 64 KiB by 6 %, at
/// 128 KiB by 1 %; docs/benchmarks/records.md).
const SMALL: usize = 128 << 10;
/// Small batches are merged when they have so many bytes together, so that the result is not small.
const MERGED: usize = 256 << 10;
/// Below so many bytes it is tiny: about eight records.
const TINY: usize = 16 << 10;
/// Tiny batches are merged when so many lie side by side.
const TINY_MAX: usize = 32;
/// Records of a segment of the index: sorting and writing it takes less than 10 ms.
const SEGMENT_RECORDS: usize = 65_536;
/// Batches of a segment at most: their names are looked through by every lookup until then.
const SEGMENT_BATCHES: usize = 512;
/// Level of zstd for merged batches: there is time where they are small.
const LEVEL: i32 = 3;

/// A batch that is not indexed.
#[derive(Debug, Clone, Copy)]
struct Open {
    id: i64,
    count: usize,
    raw: usize,
}

/// The batches that are not indexed, oldest first.
#[derive(Debug)]
pub(in super::super) struct Tail {
    batches: Vec<Open>,
}

impl Tail {
    /// As the state has it.
    pub(in super::super) fn load(db: &Connection) -> rusqlite::Result<Tail> {
        let mut select = db.prepare_cached(
            "SELECT n.batch, b.count, b.raw FROM record_names n
             JOIN record_batches b ON b.id = n.batch ORDER BY n.batch",
        )?;
        let size = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
        let rows = select.query_map([], |row| {
            Ok(Open { id: row.get(0)?, count: row.get(1).map(size)?, raw: row.get(2).map(size)? })
        })?;
        Ok(Tail { batches: rows.collect::<rusqlite::Result<_>>()? })
    }

    /// With one more, just written.
    pub(in super::super) fn push(&mut self, id: i64, batch: &Sealed) {
        self.batches.push(Open { id, count: batch.count, raw: batch.raw });
    }

    /// Does one step of what is due, of 10 ms at most; false when there was none.
    pub(in super::super) fn step(&mut self, db: &Connection) -> rusqlite::Result<bool> {
        let run = self.trailing(SMALL);
        if let Some(members) = self.due(run) {
            self.merge(db, members)?;
            return Ok(true);
        }
        let settled = self.batches.get(..run).unwrap_or_default();
        let mut records = 0;
        let taken = settled.iter().take(SEGMENT_BATCHES).take_while(|open| {
            let fits = records < SEGMENT_RECORDS;
            records += open.count;
            fits
        });
        let ids: Vec<i64> = taken.map(|open| open.id).collect();
        if records < SEGMENT_RECORDS && ids.len() < SEGMENT_BATCHES {
            return Ok(false);
        }
        index::add_segment(db, &ids)?;
        self.batches.drain(..ids.len());
        Ok(true)
    }

    /// Where the batches at the end begin that are all below a size.
    fn trailing(&self, size: usize) -> usize {
        let larger = self.batches.iter().rposition(|open| open.raw >= size);
        larger.map_or(0, |place| place + 1)
    }

    /// Which batches are to become one, of those from `run` on.
    fn due(&self, run: usize) -> Option<std::ops::Range<usize>> {
        let tiny = self.trailing(TINY).max(run);
        let raw: usize = self.batches.get(run..)?.iter().map(|open| open.raw).sum();
        let start = if self.batches.len() - tiny >= TINY_MAX {
            tiny
        } else if raw >= MERGED {
            run
        } else {
            return None;
        };
        let (mut count, mut raw) = (0, 0);
        let fitting = self.batches.get(start..)?.iter().take_while(|open| {
            count += open.count;
            raw += open.raw;
            count <= RECORDS_MAX && raw <= LINES_MAX
        });
        let end = start + fitting.count();
        (end - start > 1).then_some(start..end)
    }

    fn merge(&mut self, db: &Connection, members: std::ops::Range<usize>) -> rusqlite::Result<()> {
        let mut draft = Draft::default();
        let mut names = db.prepare_cached("SELECT names FROM record_names WHERE batch = ?1")?;
        for open in self.batches.get_mut(members.clone()).unwrap_or_default() {
            let (Ok(Some(body)), Ok(marks)) = (read::open(db, open.id), read::marks(db, open.id))
            else {
                // It is damaged: it stays as it is, for `integrity` to say so, and is not merged.
                open.raw = usize::MAX;
                return Ok(());
            };
            let names: Vec<u8> = names.query_row([open.id], |row| row.get(0))?;
            draft.absorb(&body, &names, &marks);
        }
        let io = |e: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
        let sealed = compressor(LEVEL).and_then(|mut zstd| draft.seal(&mut zstd)).map_err(io)?;
        let merged = self.batches.get(members.clone()).unwrap_or_default();
        let (Some(sealed), Some((first, rest))) = (sealed, merged.split_first()) else {
            return Ok(());
        };
        replace(db, first.id, &sealed)?;
        for open in rest {
            delete(db, open.id)?;
        }
        let one = Open { id: first.id, count: sealed.count, raw: sealed.raw };
        self.batches.splice(members, [one]);
        Ok(())
    }
}
