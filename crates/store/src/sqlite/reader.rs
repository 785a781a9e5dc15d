//! What is read, through connections that cannot write.

use super::row::{baseline_row, damaged, day, digest, int, parse, uint, unreadable};
use super::schema;
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use crate::query::RecordQuery;
use rusqlite::{Connection, OptionalExtension as _, Params, ToSql, params};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tidegate_core::evidence::Record;
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, verify_chain};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::route::Arm;
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

/// The latest record of a trace.
pub(super) fn trace(db: &Connection, id: &TraceId) -> Result<Option<Record>> {
    let sql = "SELECT body FROM records WHERE trace_id = ?1 ORDER BY at DESC, id DESC LIMIT 1";
    let body: Option<String> = one(db, sql, [id.as_str()])?;
    body.map(|body| parse(&format!("record of trace `{id}`"), &body)).transpose()
}

/// Feedback on traces, in the order it came; one query, however many there are.
pub(super) fn feedback_on(
    db: &Connection,
    ids: &[TraceId],
) -> Result<BTreeMap<TraceId, Vec<Feedback>>> {
    let names: Vec<&str> = ids.iter().map(TraceId::as_str).collect();
    let names = serde_json::Value::from(names).to_string();
    let sql = "SELECT trace_id, body FROM feedback
               WHERE trace_id IN (SELECT value FROM json_each(?1)) ORDER BY id";
    let rows: Vec<(String, String)> = all(db, sql, [names], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut found: BTreeMap<TraceId, Vec<Feedback>> = BTreeMap::new();
    for (trace, body) in rows {
        let row = format!("feedback on trace `{trace}`");
        let id = TraceId::parse(&trace).map_err(|e| damaged(&row, &e.to_string()))?;
        found.entry(id).or_default().push(parse(&row, &body)?);
    }
    Ok(found)
}

/// Records by release, arm and failure.
pub(super) fn records(db: &Connection, query: &RecordQuery) -> Result<Vec<Record>> {
    let RecordQuery { change_id, arm, failing_only, newest_first, limit } = query;
    let change_id = change_id.as_ref().map(ChangeId::as_str);
    let arm = arm.map(Arm::as_str);
    let limit = int(*limit as u64);
    let mut sql = "SELECT id, body FROM records WHERE 1".to_owned();
    let mut values: Vec<&dyn ToSql> = Vec::new();
    if let Some(change_id) = &change_id {
        sql.push_str(" AND change_id = ?");
        values.push(change_id);
    }
    if let Some(arm) = &arm {
        sql.push_str(" AND arm = ?");
        values.push(arm);
    }
    if *failing_only {
        sql.push_str(" AND failing = 1");
    }
    sql.push_str(match newest_first {
        true => " ORDER BY at DESC, id DESC LIMIT ?",
        false => " ORDER BY at, id LIMIT ?",
    });
    values.push(&limit);
    let rows: Vec<(i64, String)> =
        all(db, &sql, values.as_slice(), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.iter().map(|(id, body)| parse(&format!("record {id}"), body)).collect()
}

/// Requests and distinct users.
pub(super) fn exposure(db: &Connection, change_id: &ChangeId, arm: Arm) -> Result<(u64, u64)> {
    // Each way to name a subject has another prefix, and the length of the tenant's name
    // keeps tenant and user apart, so that no two subjects share a name.
    let sql = "SELECT count(*), count(DISTINCT CASE
            WHEN user IS NOT NULL
            THEN 'u' || length(coalesce(tenant, '')) || ':' || coalesce(tenant, '') || user
            WHEN tenant IS NOT NULL THEN 't' || tenant
            ELSE 'r' || trace_id END)
        FROM records WHERE change_id = ?1 AND arm = ?2";
    let (requests, users): (i64, i64) = db
        .prepare_cached(sql)
        .and_then(|mut s| {
            s.query_row([change_id.as_str(), arm.as_str()], |r| Ok((r.get(0)?, r.get(1)?)))
        })
        .map_err(|e| unreadable(&e))?;
    Ok((uint(requests), uint(users)))
}

/// The latest report on a set.
pub(super) fn latest_eval(db: &Connection, set: &VersionSetId) -> Result<Option<EvalReport>> {
    let sql = "SELECT run_id, body FROM evals WHERE set_id = ?1 ORDER BY at DESC, id DESC LIMIT 1";
    report(db, sql, set.as_str())
}

/// The latest report that passed its gate.
pub(super) fn last_passed_eval(db: &Connection) -> Result<Option<EvalReport>> {
    let sql = "SELECT run_id, body FROM evals WHERE json_extract(body, '$.passed') = ?1 \
               ORDER BY at DESC, id DESC LIMIT 1";
    let rows: Vec<(String, String)> = all(db, sql, [1], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.first().map(|(run, body)| parse(&format!("eval run `{run}`"), body)).transpose()
}

fn report(db: &Connection, sql: &str, key: &str) -> Result<Option<EvalReport>> {
    let rows: Vec<(String, String)> = all(db, sql, [key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.first().map(|(run, body)| parse(&format!("eval run `{run}`"), body)).transpose()
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

fn one<T: rusqlite::types::FromSql>(
    db: &Connection,
    sql: &str,
    values: impl Params,
) -> Result<Option<T>> {
    db.prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)).optional())
        .map_err(|e| unreadable(&e))
}

fn all<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    db.prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(values, read)?.collect())
        .map_err(|e| unreadable(&e))
}
