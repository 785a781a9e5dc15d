//! Reading records: one batch in memory at a time, and of it only what is asked for is kept.

use super::super::row::{damaged, int, parse, uint, unreadable};
use super::batch::{Body, Mark, Piece};
use super::hash::Names;
use super::index;
use super::write::{mark_ids, of_mark_id};
use crate::error::Result;
use crate::query::RecordQuery;
use rusqlite::{Connection, OptionalExtension as _, ToSql, params};
use serde::Deserialize;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use tidegate_core::evidence::Record;
use tidegate_core::ids::{ChangeId, TraceId};
use tidegate_core::route::Arm;

/// Subjects counted in one pass: 8 MiB.
const SUBJECTS_MAX: u64 = 1 << 20;
/// Damaged batches named; the first few say enough.
const PROBLEMS_MAX: usize = 20;

/// Whose record it is; the rest is not read.
#[derive(Deserialize, Default)]
pub(super) struct Whose<'a> {
    #[serde(borrow)]
    pub(super) trace_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) tenant: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) user: Option<Cow<'a, str>>,
}

/// Where a record is and when it came in: the order that records are given in, and where two came
/// in at once, the order that they were written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    at: u64,
    batch: i64,
    place: usize,
}

impl Position {
    /// The same in the opposite order; twice reversed it is itself.
    fn reversed(self) -> Position {
        let Position { at, batch, place } = self;
        Position { at: !at, batch: !batch, place: !place }
    }

    fn record(self, piece: Piece<'_>) -> Result<Record> {
        let row = format!("record {} of batch {}", self.place + 1, self.batch);
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| damaged(&row, "not UTF-8"));
        let mut record: Record = parse(&row, text(piece.line)?)?;
        // A record that was converted from a row has them in its line.
        let [input, output] = piece.texts;
        if let Some(input) = input {
            record.input = Some(text(input)?.to_owned());
        }
        if let Some(output) = output {
            record.output = Some(text(output)?.to_owned());
        }
        Ok(record)
    }
}

/// A record that is kept while others are read.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    line: Vec<u8>,
    texts: [Option<Vec<u8>>; 2],
}

impl Kept {
    fn of(Piece { line, texts }: Piece<'_>) -> Kept {
        Kept { line: line.to_vec(), texts: texts.map(|text| text.map(<[u8]>::to_vec)) }
    }

    fn piece(&self) -> Piece<'_> {
        Piece { line: &self.line, texts: self.texts.each_ref().map(Option::as_deref) }
    }
}

/// Runs a read on one state of the tables: the writer may move a record between two statements.
fn at_once<T>(db: &Connection, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let tx = db.unchecked_transaction().map_err(|e| unreadable(&e))?;
    read(&tx)
}

/// Reads a batch; `None` when there is none of this id.
pub(super) fn open(db: &Connection, id: i64) -> Result<Option<Body>> {
    let row: Option<(i64, i64, Vec<u8>)> = db
        .prepare_cached("SELECT count, raw, body FROM record_batches WHERE id = ?1")
        .and_then(|mut select| {
            select.query_row([id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()
        })
        .map_err(|e| unreadable(&e))?;
    let size = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
    row.map(|(count, raw, body)| Body::open(&body, size(count), size(raw)))
        .transpose()
        .map_err(|problem| damaged(&batch_row(id), problem))
}

/// What a batch is called in errors.
fn batch_row(id: i64) -> String {
    format!("record batch {id}")
}

/// The latest record of a tenant's trace.
pub(in super::super) fn trace(
    db: &Connection,
    tenant: Option<&str>,
    id: &TraceId,
) -> Result<Option<Record>> {
    at_once(db, |db| {
        let name = Names::of(db)?.name(tenant, id.as_str());
        let batches = index::find(db, name.trace, Some(name.tenant))?;
        let batches = batches.into_iter().map(|(_, batch)| batch).collect();
        let is_it = |record: &Record| {
            record.trace_id == *id
                && record.tenant.as_deref().unwrap_or_default() == tenant.unwrap_or_default()
        };
        latest(db, batches, id, is_it)
    })
}

/// The latest record of each tenant that used the id, newest first.
pub(in super::super) fn traces(db: &Connection, id: &TraceId) -> Result<Vec<Record>> {
    at_once(db, |db| {
        let names = Names::of(db)?;
        let mut by_tenant: BTreeMap<u16, BTreeSet<i64>> = BTreeMap::new();
        for (tenant, batch) in index::find(db, names.trace(id.as_str()), None)? {
            by_tenant.entry(tenant).or_default().insert(batch);
        }
        let mut found = Vec::new();
        for (tenant, batches) in by_tenant {
            let is_it = |record: &Record| {
                record.trace_id == *id && names.tenant(record.tenant.as_deref()) == tenant
            };
            found.extend(latest(db, batches, id, is_it)?);
        }
        found.sort_by_key(|record| Reverse(record.at));
        Ok(found)
    })
}

/// The latest record that is the one, in these batches. One of them that is damaged is an error
/// only where the record is in no other.
fn latest(
    db: &Connection,
    batches: BTreeSet<i64>,
    id: &TraceId,
    is_it: impl Fn(&Record) -> bool,
) -> Result<Option<Record>> {
    let mut last_at = db
        .prepare_cached("SELECT last_at FROM record_batches WHERE id = ?1")
        .map_err(|e| unreadable(&e))?;
    let mut newest_first = Vec::new();
    for batch in batches {
        let at: Option<i64> =
            last_at.query_row([batch], |row| row.get(0)).optional().map_err(|e| unreadable(&e))?;
        newest_first.extend(at.map(|at| Reverse((uint(at), batch))));
    }
    newest_first.sort_unstable();
    let mut best: Option<(Position, Record)> = None;
    let mut problem = None;
    for Reverse((last_at, batch)) in newest_first {
        if best.as_ref().is_some_and(|(position, _)| position.at > last_at) {
            break;
        }
        let body = match open(db, batch) {
            Ok(Some(body)) => body,
            Ok(None) => continue,
            Err(error) => {
                problem = problem.or(Some(error));
                continue;
            }
        };
        for (place, head) in body.heads().iter().enumerate() {
            let position = Position { at: head.at, batch, place };
            let is_later = best.as_ref().is_none_or(|(best, _)| position > *best);
            let piece = body.piece(place);
            if !is_later || !may_be_of(piece.line, id) {
                continue;
            }
            match position.record(piece) {
                Ok(record) if is_it(&record) => best = Some((position, record)),
                Ok(_) => {}
                Err(error) => problem = problem.or(Some(error)),
            }
        }
    }
    match (best, problem) {
        (Some((_, record)), _) => Ok(Some(record)),
        (None, Some(problem)) => Err(problem),
        (None, None) => Ok(None),
    }
}

/// Whether a line can be of a trace. Its id is the first member in every form that was written; a
/// line that begins otherwise has to be read.
fn may_be_of(line: &[u8], id: &TraceId) -> bool {
    let Some(rest) = line.strip_prefix(b"{\"trace_id\":\"") else { return true };
    rest.strip_prefix(id.as_str().as_bytes()).is_some_and(|rest| rest.first() == Some(&b'"'))
}

/// A batch that has something of what is asked for.
#[derive(Debug)]
struct Candidate {
    batch: i64,
    first_at: u64,
    last_at: u64,
    /// Its marks that are asked for.
    marks: BTreeSet<u16>,
}

/// Records by release, arm and failure.
pub(in super::super) fn records(db: &Connection, query: &RecordQuery) -> Result<Vec<Record>> {
    at_once(db, |db| {
        let kept = first_of(db, query, candidates(db, query)?)?;
        kept.into_iter().map(|(position, kept)| position.record(kept.piece())).collect()
    })
}

/// The records that are asked for, in their order. The batches come with the best first, so that
/// reading ends where none of the rest can have a better one.
fn first_of(
    db: &Connection,
    query: &RecordQuery,
    mut candidates: Vec<Candidate>,
) -> Result<Vec<(Position, Kept)>> {
    let ordered = |position: Position| match query.newest_first {
        true => position,
        false => position.reversed(),
    };
    // The best that a record of a batch can be, which is the highest.
    let best = |c: &Candidate| if query.newest_first { c.last_at } else { !c.first_at };
    candidates.sort_unstable_by_key(|c| Reverse((best(c), c.batch)));
    let mut kept: BinaryHeap<Reverse<(Position, Kept)>> = BinaryHeap::new();
    for candidate in candidates {
        let is_full = kept.len() >= query.limit;
        let worst = kept.peek().map(|Reverse((worst, _))| *worst);
        if is_full && worst.is_none_or(|worst| worst.at > best(&candidate)) {
            break;
        }
        let Some(body) = open(db, candidate.batch)? else { continue };
        for (place, head) in body.heads().iter().enumerate() {
            let is_asked = candidate.marks.contains(&head.mark);
            let is_old = query.since.is_some_and(|since| head.at < since.0);
            let is_new = query.until.is_some_and(|until| head.at >= until.0);
            if !is_asked || is_old || is_new || (query.failing_only && !head.failing) {
                continue;
            }
            let position = ordered(Position { at: head.at, batch: candidate.batch, place });
            let is_full = kept.len() >= query.limit;
            if is_full && kept.peek().is_none_or(|Reverse((worst, _))| position < *worst) {
                continue;
            }
            let piece = body.piece(place);
            if !is_of(piece.line, query) {
                continue;
            }
            if is_full {
                kept.pop();
            }
            kept.push(Reverse((position, Kept::of(piece))));
        }
    }
    // Sorted by what is reversed, so the highest comes first.
    let kept = kept.into_sorted_vec().into_iter();
    Ok(kept.map(|Reverse((position, kept))| (ordered(position), kept)).collect())
}

/// Whether a line is of the tenant and the user that are asked for. One that cannot be read is of
/// no tenant and no user.
fn is_of(line: &[u8], query: &RecordQuery) -> bool {
    if query.tenant.is_none() && query.user.is_none() {
        return true;
    }
    let Ok(whose) = serde_json::from_slice::<Whose<'_>>(line) else { return false };
    let is = |asked: &Option<String>, given: Option<Cow<'_, str>>| {
        asked.is_none() || asked.as_deref() == given.as_deref()
    };
    is(&query.tenant, whose.tenant) && is(&query.user, whose.user)
}

/// The batches that have records of what is asked for.
fn candidates(db: &Connection, query: &RecordQuery) -> Result<Vec<Candidate>> {
    let RecordQuery {
        change_id,
        arm,
        since,
        until,
        tenant: _,
        user: _,
        failing_only,
        newest_first: _,
        limit: _,
    } = query;
    let change_id = change_id.as_ref().map(ChangeId::as_str);
    let arm = arm.map(Arm::as_str);
    let mut sql = "SELECT id, first_at, last_at FROM record_marks WHERE 1".to_owned();
    let mut values: Vec<&dyn ToSql> = Vec::new();
    if let Some(change_id) = &change_id {
        sql.push_str(" AND change_id = ?");
        values.push(change_id);
    }
    if let Some(arm) = &arm {
        sql.push_str(" AND arm = ?");
        values.push(arm);
    }
    let (since, until) = (since.map(|at| int(at.0)), until.map(|at| int(at.0)));
    if let Some(since) = &since {
        sql.push_str(" AND last_at >= ?");
        values.push(since);
    }
    if let Some(until) = &until {
        sql.push_str(" AND first_at < ?");
        values.push(until);
    }
    if *failing_only {
        sql.push_str(" AND failing > 0");
    }
    let rows: Vec<(i64, i64, i64)> =
        super::super::reader::all(db, &sql, values.as_slice(), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let mut found: BTreeMap<i64, Candidate> = BTreeMap::new();
    for (id, first_at, last_at) in rows {
        let (batch, place) = of_mark_id(id);
        let (first_at, last_at) = (uint(first_at), uint(last_at));
        let candidate = found.entry(batch).or_insert_with(|| Candidate {
            batch,
            first_at,
            last_at,
            marks: BTreeSet::new(),
        });
        candidate.first_at = candidate.first_at.min(first_at);
        candidate.last_at = candidate.last_at.max(last_at);
        candidate.marks.insert(place);
    }
    Ok(found.into_values().collect())
}

/// Requests and distinct subjects of an arm of a release, from the marks alone.
pub(in super::super) fn exposure(
    db: &Connection,
    change_id: &ChangeId,
    arm: Arm,
) -> Result<(u64, u64)> {
    at_once(db, |db| {
        let release = [change_id.as_str(), arm.as_str()];
        let sums: (i64, i64) = db
            .prepare_cached(
                "SELECT coalesce(sum(count), 0), coalesce(sum(length(subjects)), 0)
                 FROM record_marks WHERE change_id = ?1 AND arm = ?2",
            )
            .and_then(|mut select| select.query_row(release, |r| Ok((r.get(0)?, r.get(1)?))))
            .map_err(|e| unreadable(&e))?;
        // Each pass counts a share of all subjects, so that memory does not grow with them.
        let passes = (uint(sums.1) / 8).div_ceil(SUBJECTS_MAX);
        let mut distinct = 0;
        for pass in 0..passes {
            let mut seen = BTreeSet::new();
            let mut select = db
                .prepare_cached(
                    "SELECT subjects FROM record_marks WHERE change_id = ?1 AND arm = ?2",
                )
                .map_err(|e| unreadable(&e))?;
            let mut rows = select.query(release).map_err(|e| unreadable(&e))?;
            while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
                let subjects: Vec<u8> = row.get(0).map_err(|e| unreadable(&e))?;
                seen.extend(read_subjects(&subjects).filter(|s| s % passes == pass));
            }
            distinct += seen.len() as u64;
        }
        Ok((uint(sums.0), distinct))
    })
}

fn read_subjects(stored: &[u8]) -> impl Iterator<Item = u64> {
    let (chunks, _) = stored.as_chunks::<8>();
    chunks.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// A batch's marks.
pub(super) fn marks(db: &Connection, batch: i64) -> Result<Vec<Mark>> {
    let (first, last) = mark_ids(batch);
    let sql = "SELECT change_id, arm, first_at, last_at, count, failing, subjects
               FROM record_marks WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
    super::super::reader::all(db, sql, params![first, last], |row| {
        let number = |place: usize| row.get(place).map(uint);
        let subjects: Vec<u8> = row.get(6)?;
        Ok(Mark {
            change_id: row.get(0)?,
            arm: row.get(1)?,
            first_at: number(2)?,
            last_at: number(3)?,
            count: number(4)?,
            failing: number(5)?,
            subjects: read_subjects(&subjects).collect(),
        })
    })
}

/// What is wrong with the batches.
pub(in super::super) fn integrity(db: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT id, count FROM record_batches ORDER BY id";
    let ids: Vec<(i64, i64)> =
        super::super::reader::all(db, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut problems = Vec::new();
    for (id, count) in ids {
        let found = at_once(db, |db| {
            // A batch that was merged or pruned since is no problem.
            let Some(body) = open(db, id)? else { return Ok(()) };
            let marked: u64 = marks(db, id)?.iter().map(|mark| mark.count).sum();
            match marked == body.heads().len() as u64 {
                true => Ok(()),
                false => {
                    let detail = format!("{marked} of its {count} records are marked");
                    Err(damaged(&batch_row(id), &detail))
                }
            }
        });
        if let Err(error) = found {
            problems.push(format!("{}; up to {count} records are lost", error.message));
        }
        if problems.len() == PROBLEMS_MAX {
            break;
        }
    }
    Ok(problems)
}
