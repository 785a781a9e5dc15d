//! Requests of processes that were killed, as far as they have no record.
//!
//! With the records of a commit goes how many requests have begun and how many of them have ended:
//! their record was written or dropped, or they were refused. At the next start the rest are those
//! that have no record; what began after that commit is in the file of [`crate::begun`].

use super::row::damaged;
use crate::api::{Epoch, Lost};
use crate::begun::Kept;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension as _, params};

/// The key of the running process's numbers in `meta`: epoch, begun, ended.
const REQUESTS: &str = "requests";
/// The key of what all processes before it have lost: at least, at most.
const LOST: &str = "requests_lost";

/// Writes how many requests of a writer's have begun, and how many of them have ended.
pub(super) fn write(db: &Connection, epoch: Epoch, begun: u64, ended: u64) -> rusqlite::Result<()> {
    set(db, REQUESTS, &format!("{} {begun} {ended}", epoch.0))
}

/// What all processes that have ended have lost, as far as that is settled.
pub(super) fn total(db: &Connection) -> Result<Lost> {
    let [at_least, at_most] = numbers(db, LOST)?.unwrap_or_default();
    Ok(Lost { at_least, at_most })
}

/// Adds what the process before has lost to the total, and begins to count for this one. Gives
/// what it was.
pub(super) fn settle(
    db: &Connection,
    epoch: Epoch,
    kept: Option<Kept>,
) -> super::fault::Outcome<Lost> {
    let lost = match numbers(db, REQUESTS)? {
        Some([epoch, begun, ended]) => since(begun, ended, kept.filter(|kept| kept.epoch == epoch)),
        None => Lost::default(),
    };
    let Lost { at_least, at_most } = total(db)?;
    let (at_least, at_most) = (at_least + lost.at_least, at_most + lost.at_most);
    set(db, LOST, &format!("{at_least} {at_most}"))?;
    write(db, epoch, 0, 0)?;
    Ok(lost)
}

fn since(begun: u64, ended: u64, kept: Option<Kept>) -> Lost {
    let (count, bound) = kept.map_or((begun, begun), |kept| (kept.count, kept.bound));
    let at_least = begun.max(count).saturating_sub(ended);
    Lost { at_least, at_most: bound.saturating_sub(ended).max(at_least) }
}

fn set(db: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])
        .map(|_| ())
}

fn numbers<const N: usize>(db: &Connection, key: &str) -> Result<Option<[u64; N]>> {
    let kept: Option<String> = db
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")
        .and_then(|mut select| select.query_row([key], |row| row.get(0)).optional())
        .map_err(|e| super::row::unreadable(&e))?;
    let Some(kept) = kept else { return Ok(None) };
    let numbers: std::result::Result<Vec<u64>, _> = kept.split(' ').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    numbers.map(Some).ok_or_else(|| damaged(&format!("`{key}`"), "it is not numbers"))
}
