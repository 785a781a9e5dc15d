//! Deleting someone's records, wherever they are.
//!
//! The batches are gone through from the newest to the oldest: a merge between two steps moves
//! records to an older batch only, which is still to come. What is left of a batch is written in
//! its place. SQLite overwrites what is deleted here with zeros; copies that earlier deletions and
//! merges left in free space go when the file is rewritten ([`crate::Records::scrub`]).

use super::super::fault::Outcome;
use super::super::row::{int, uint, unreadable};
use super::batch::Body;
use super::prune::{put, without};
use super::read;
use crate::error::Result;
use crate::query::Whose;
use rusqlite::{Connection, params};

/// Batches read in one step: a millisecond each.
const BATCHES: u32 = 16;
/// Batches rewritten in one step: some milliseconds each.
const REWRITES: usize = 2;

/// What a step came to.
pub(in super::super) struct Erased {
    /// Records deleted.
    pub(in super::super) records: u64,
    /// Where to go on; `None` at the end.
    pub(in super::super) next: Option<i64>,
}

/// Deletes someone's records in some of the batches before one.
pub(in super::super) fn erase(db: &Connection, whose: &Whose, before: i64) -> Outcome<Erased> {
    db.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    let done = step(db, whose, before);
    db.pragma_update_and_check(None, "secure_delete", "fast", |_| Ok(()))?;
    done
}

fn step(db: &Connection, whose: &Whose, before: i64) -> Outcome<Erased> {
    let (mut records, mut rewritten, mut next) = (0, 0, None);
    for (id, count) in some(db, whose, before)? {
        next = Some(id);
        // One that cannot be read may have what is to go.
        let kept = match read::open(db, id) {
            Ok(Some(body)) if !has_any(&body, whose) => continue,
            Ok(Some(body)) => without(db, id, &body, |at, of| {
                whose.is_of(of.tenant.as_deref(), of.user.as_deref(), at)
            })
            .and_then(|kept| forget_feedback(db, &body, whose).map(|()| kept))?,
            Ok(None) | Err(_) => None,
        };
        records += put(db, id, count, kept)?;
        rewritten += 1;
        if rewritten == REWRITES {
            break;
        }
    }
    Ok(Erased { records, next })
}

/// Batches before one that may have some of it, the newest first, with how many records they have.
fn some(db: &Connection, whose: &Whose, before: i64) -> rusqlite::Result<Vec<(i64, u64)>> {
    let mut select = db.prepare_cached(
        "SELECT id, count FROM record_batches WHERE id < ?1 AND first_at < ?2
         ORDER BY id DESC LIMIT ?3",
    )?;
    let given = params![before, int(whose.before.0), i64::from(BATCHES)];
    let rows = select.query_map(given, |row| Ok((row.get(0)?, row.get(1).map(uint)?)))?;
    rows.collect()
}

fn has_any(body: &Body, whose: &Whose) -> bool {
    (0..body.heads().len()).any(|place| is_at(body, place, whose).is_some())
}

/// Whose record is at a place, where it is one of those that are meant.
fn is_at<'a>(body: &'a Body, place: usize, whose: &Whose) -> Option<read::Whose<'a>> {
    let at = body.heads().get(place)?.at;
    let of: read::Whose<'_> = serde_json::from_slice(body.piece(place).line).unwrap_or_default();
    whose.is_of(of.tenant.as_deref(), of.user.as_deref(), at).then_some(of)
}

/// Deletes what users said of these answers.
fn forget_feedback(db: &Connection, body: &Body, whose: &Whose) -> Result<()> {
    let mut delete = db
        .prepare_cached("DELETE FROM feedback WHERE tenant = ?1 AND trace_id = ?2")
        .map_err(|e| unreadable(&e))?;
    for of in (0..body.heads().len()).filter_map(|place| is_at(body, place, whose)) {
        let given = params![of.tenant.as_deref().unwrap_or_default(), &of.trace_id];
        delete.execute(given).map_err(|e| unreadable(&e))?;
    }
    Ok(())
}

/// How many records are someone's; one batch is in memory at a time.
pub(in super::super) fn count_of(db: &Connection, whose: &Whose) -> Result<u64> {
    let (mut count, mut before) = (0, i64::MAX);
    loop {
        let batches = some(db, whose, before).map_err(|e| unreadable(&e))?;
        let Some((last, _)) = batches.last() else { return Ok(count) };
        before = *last;
        for (id, _) in batches {
            if let Ok(Some(body)) = read::open(db, id) {
                let places = 0..body.heads().len();
                count +=
                    places.filter(|place| is_at(&body, *place, whose).is_some()).count() as u64;
            }
        }
    }
}
