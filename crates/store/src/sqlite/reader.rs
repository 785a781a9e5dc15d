//! What is read, through connections that cannot write.

use super::row::{baseline_row, damaged, day, digest, int, parse, uint, unreadable};
use super::{records, schema};
use crate::api::TenantTrace;
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use rusqlite::{Connection, OptionalExtension as _, Params, params};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tidegate_core::drift::SentinelRun;
use tidegate_core::ids::{Digest, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, verify_chain};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::version_set::{PackedSet, VersionSet};

/// Read connections kept open; more are opened when more read at once, and closed after.
const READERS_MAX: usize = 4;
/// Days that a baseline looks back.
const BASELINE_DAYS: u64 = 7;
/// Entries verified at a time, so that memory does not grow with the journal.
const VERIFY_BATCH: usize = 1_000;
/// Kept sets named when another is asked for.
const SETS_NAMED: u32 = 5;
/// Page problems listed; the first few say enough.
const PROBLEMS_MAX: u32 = 20;

/// Connections to read through.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// None yet; they are opened as needed.
    pub(super) fn new(path: PathBuf) -> Readers {
        Readers { path, idle: Mutex::default() }
    }

    /// Runs a read on a read connection.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let db = match kept {
            Some(db) => db,
            None => schema::open_to_read(&self.path)?,
        };
        let result = read(&db);
        let mut idle = idle();
        if idle.len() < READERS_MAX {
            idle.push(db);
        }
        result
    }
}

/// The journal's last entry, verified by itself.
pub(super) fn head(db: &Connection) -> Result<Option<Entry>> {
    let last: i64 = one(db, "SELECT coalesce(max(seq), 0) FROM journal", [])?.unwrap_or(0);
    let head = journal(db, uint(last), Some(1))?.pop();
    if let Some(entry) = &head {
        verify_chain(std::slice::from_ref(entry)).map_err(|e| broken_journal(&e.to_string()))?;
    }
    if let Some(problem) = head_problem(db, head.as_ref())? {
        return Err(broken_journal(&problem));
    }
    Ok(head)
}

fn broken_journal(problem: &str) -> StoreError {
    StoreError::new(Kind::Damaged, format!("state is damaged: {problem}"))
        .hint("take `.tidegate/` from a backup; `tidegate check` lists all that is damaged")
}

/// What is wrong between the journal's last entry and the head kept beside it.
fn head_problem(db: &Connection, last: Option<&Entry>) -> Result<Option<String>> {
    let kept: Option<String> = one(db, "SELECT value FROM meta WHERE key = 'journal_head'", [])?;
    let found = last.map(|entry| format!("{} {}", entry.seq, entry.hash));
    if kept == found {
        return Ok(None);
    }
    let seq = |head: &Option<String>| {
        head.as_ref().and_then(|h| h.split(' ').next()).unwrap_or("none").to_owned()
    };
    Ok(Some(format!(
        "journal: it should end with entry {}, and ends with {}: its end was cut off or replaced",
        seq(&kept),
        seq(&found)
    )))
}

/// The journal from `from_seq` on, at most `limit` entries.
pub(super) fn journal(db: &Connection, from_seq: u64, limit: Option<usize>) -> Result<Vec<Entry>> {
    let rows = all(
        db,
        "SELECT seq, at, prev, hash, body FROM journal WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
        params![int(from_seq), limit.map_or(-1, |n| int(n as u64))],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
    )?;
    rows.into_iter()
        .map(|(seq, at, prev, hash, body): (i64, i64, String, String, String)| {
            let row = format!("journal entry {seq}");
            let (prev, hash) = (digest(&row, &prev)?, digest(&row, &hash)?);
            Ok(Entry { seq: uint(seq), at: UnixMs(uint(at)), prev, hash, body })
        })
        .collect()
}

/// A set with its files, verified.
pub(super) fn set(db: &Connection, id: &VersionSetId) -> Result<PackedSet> {
    let row: Option<(String, String)> = db
        .prepare_cached("SELECT label, body FROM sets WHERE id = ?1")
        .and_then(|mut s| s.query_row([id.as_str()], |r| Ok((r.get(0)?, r.get(1)?))).optional())
        .map_err(|e| unreadable(&e))?;
    let Some((label, body)) = row else {
        return Err(unknown_set(db, id)?);
    };
    let set: VersionSet = parse(&format!("version set `{id}`"), &body)?;
    if set.id != *id {
        return Err(damaged(&format!("version set `{id}`"), &format!("it holds `{}`", set.id)));
    }
    let mut blobs = BTreeMap::new();
    for file in set.artifacts.values().flat_map(|artifact| artifact.files.values()) {
        let sql = "SELECT content FROM blobs WHERE digest = ?1";
        let content: Option<Vec<u8>> = one(db, sql, [file.digest.as_str()])?;
        // A missing one is named by the check.
        blobs.extend(content.map(|content| (file.digest.clone(), content)));
    }
    let packed = PackedSet { set, label, blobs };
    packed.verify().map_err(|e| {
        StoreError::new(Kind::Damaged, format!("state is damaged: {e}"))
            .hint("pack the same files again to restore the files of a set")
    })?;
    Ok(packed)
}

fn unknown_set(db: &Connection, id: &VersionSetId) -> Result<StoreError> {
    let sql = format!("SELECT id, label FROM sets ORDER BY at DESC, rowid DESC LIMIT {SETS_NAMED}");
    let kept: Vec<(String, String)> = all(db, &sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let unknown = StoreError::new(Kind::NotFound, format!("version set `{id}` is not kept here"));
    let names: Vec<String> = kept.iter().map(|(id, label)| format!("{id} ({label})")).collect();
    Ok(match names.is_empty() {
        true => unknown.hint("no set is stored; `tidegate serve` packs the project as it is"),
        false => unknown.hint(format!("the newest kept are {}", names.join(", "))),
    })
}

/// All sets, newest first.
pub(super) fn sets(db: &Connection) -> Result<Vec<(VersionSet, String, UnixMs)>> {
    let rows =
        all(db, "SELECT id, label, at, body FROM sets ORDER BY at DESC, rowid DESC", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    rows.into_iter()
        .map(|(id, label, at, body): (String, String, i64, String)| {
            Ok((parse(&format!("version set `{id}`"), &body)?, label, UnixMs(uint(at))))
        })
        .collect()
}

/// Feedback on traces, in the order it came; one query, however many there are.
pub(super) fn feedback_on(
    db: &Connection,
    traces: &[TenantTrace],
) -> Result<BTreeMap<TenantTrace, Vec<Feedback>>> {
    let names = traces.iter().map(|(tenant, id)| [tenant.as_deref().unwrap_or(""), id.as_str()]);
    let names = serde_json::Value::from_iter(names.map(|pair| pair.to_vec())).to_string();
    let sql = "SELECT tenant, trace_id, body FROM feedback WHERE (tenant, trace_id) IN
               (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) ORDER BY id";
    let rows: Vec<(String, String, String)> =
        all(db, sql, [names], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut found: BTreeMap<TenantTrace, Vec<Feedback>> = BTreeMap::new();
    for (tenant, trace, body) in rows {
        let row = format!("feedback on trace `{trace}`");
        let id = TraceId::parse(&trace).map_err(|e| damaged(&row, &e.to_string()))?;
        let tenant = Some(tenant).filter(|name| !name.is_empty());
        found.entry((tenant, id)).or_default().push(parse(&row, &body)?);
    }
    Ok(found)
}

/// A run of the fixed cases, verified.
pub(super) fn sentinel(db: &Connection, report: &Digest) -> Result<SentinelRun> {
    let row = format!("sentinel run `{}`", report.short(12));
    let sql = "SELECT content FROM blobs WHERE digest = ?1";
    let content: Option<Vec<u8>> = one(db, sql, [report.as_str()])?;
    let Some(content) = content else {
        return Err(StoreError::new(Kind::NotFound, format!("{row} is not kept here")));
    };
    if Digest::of(&content) != *report {
        return Err(damaged(&row, "it was altered"));
    }
    parse(&row, &String::from_utf8_lossy(&content))
}

/// The counts of the last days, merged.
pub(super) fn baseline(
    db: &Connection,
    set: &VersionSetId,
    at: UnixMs,
) -> Result<Option<(Window, u32)>> {
    let last = day(at);
    let rows: Vec<(i64, String)> = all(
        db,
        "SELECT day, body FROM baselines WHERE set_id = ?1 AND day BETWEEN ?2 AND ?3",
        params![set.as_str(), int(last.saturating_sub(BASELINE_DAYS - 1)), int(last)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (mut total, mut days) = (Window::default(), 0);
    for (day, body) in rows {
        let window: Window = parse(&baseline_row(set.as_str(), day), &body)?;
        days += u32::from(window.requests > 0);
        total.merge(&window);
    }
    Ok((days > 0).then_some((total, days)))
}

/// Everything that is wrong.
pub(super) fn integrity(db: &Connection) -> Result<Vec<String>> {
    let check = format!("PRAGMA quick_check({PROBLEMS_MAX})");
    let mut problems: Vec<String> = all(db, &check, [], |row| row.get(0))?;
    problems.retain(|line| line != "ok");
    for problem in &mut problems {
        problem.insert_str(0, "file: ");
    }
    match chain(db) {
        Ok(last) => problems.extend(head_problem(db, last.as_ref())?),
        Err(e) => problems.push(e.message),
    }
    let ids: Vec<String> = all(db, "SELECT id FROM sets ORDER BY at, rowid", [], |r| r.get(0))?;
    for id in ids {
        let kept = VersionSetId::parse(&id)
            .map_err(|e| StoreError::new(Kind::Damaged, e.to_string()))
            .and_then(|id| set(db, &id));
        problems.extend(kept.err().map(|e| e.message));
    }
    problems.extend(records::integrity(db)?);
    Ok(problems)
}

/// Verifies the whole chain from entry 1 and gives its last entry.
fn chain(db: &Connection) -> Result<Option<Entry>> {
    let mut last: Option<Entry> = None;
    loop {
        let next = last.as_ref().map_or(0, |entry| entry.seq + 1);
        let page = journal(db, next, Some(VERIFY_BATCH))?;
        if page.is_empty() {
            return Ok(last);
        }
        if last.is_none() && page.first().is_some_and(|entry| entry.seq != 1) {
            return Err(StoreError::new(Kind::Damaged, "journal: its first entry is missing"));
        }
        let linked: Vec<Entry> = last.take().into_iter().chain(page).collect();
        verify_chain(&linked).map_err(|e| StoreError::new(Kind::Damaged, e.to_string()))?;
        for entry in &linked {
            entry.event().map_err(|e| StoreError::new(Kind::Damaged, e.to_string()))?;
        }
        last = linked.into_iter().next_back();
    }
}

pub(super) fn one<T: rusqlite::types::FromSql>(
    db: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<Option<T>> {
    db.prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)).optional())
        .map_err(|e| unreadable(&e))
}

/// All rows of a query.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    db.prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(values, read)?.collect())
        .map_err(|e| unreadable(&e))
}
