//! What the writer does inside a transaction.

use super::fault::Outcome;
use super::records::{self, Erased, Pruned};
use super::row::{baseline_row, body, damaged, day, int, parse};
use super::{admissions, books, budgets, evals};
use crate::api::Epoch;
use crate::error::{StoreError, StoreErrorKind as Kind};
use crate::work::{Done, Work};
use rusqlite::{Connection, OptionalExtension as _, params};
use tidegate_core::ids::{Digest, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::version_set::PackedSet;

/// Rows of feedback deleted at a time: some milliseconds, so that control is not held up.
const PRUNE_BATCH: usize = 500;

/// Does one piece of work. What it refuses has written nothing; `head` moves with the journal.
pub(super) fn carry_out(db: &Connection, head: &mut Option<Entry>, work: &Work) -> Outcome<Done> {
    match work {
        Work::Append { after, epoch, at, events } => {
            check_writer(db, *epoch)?;
            check_end(head.as_ref(), *after)?;
            append(db, head, *at, events).map(Done::Entries)
        }
        Work::PutSet { packed, at } => put_set(db, packed, *at).map(Done::Kept),
        Work::PutFeedback { tenant, id, at, feedback } => {
            put_feedback(db, tenant.as_deref(), id, *at, *feedback).map(Done::Kept)
        }
        Work::PutResults { batch } => evals::put_results(db, batch).map(Done::Kept),
        Work::PutEval { report } => evals::put(db, report).map(Done::Kept),
        Work::PutBlob { content } => put_blob(db, &Digest::of(content), content).map(Done::Kept),
        Work::AddBaseline { set, at, window } => {
            add_baseline(db, set, *at, window).map(|()| Done::Kept(true))
        }
        Work::PutSpent { sums, rises_only } => {
            budgets::put(db, sums, *rises_only)?;
            Ok(Done::Kept(true))
        }
        Work::Book { lines } => {
            books::add(db, lines.iter().map(|(line, sums)| (line, sums)))?;
            Ok(Done::Kept(true))
        }
        Work::Reprice { from, table } => {
            let (before, after) = books::reprice(db, *from, table)?;
            Ok(Done::Repriced(before, after))
        }
        Work::Prune { before } => prune(db, *before),
        Work::Erase { whose, before } => {
            let Erased { records, next } = records::erase(db, whose, *before)?;
            if next.is_none() {
                admissions::erase(db, whose)?;
            }
            Ok(Done::Erased { records, next })
        }
        Work::Flush | Work::Scrub => Ok(Done::Flushed),
    }
}

/// The key of the writer's epoch in `meta`.
const EPOCH: &str = "writer_epoch";

/// The epoch of the last writer that opened the state; 0 for none.
fn last_epoch(db: &Connection) -> Outcome<Epoch> {
    let kept: Option<String> = db
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([EPOCH], |row| row.get(0))
        .optional()?;
    let Some(kept) = kept else { return Ok(Epoch(0)) };
    match kept.parse() {
        Ok(epoch) => Ok(Epoch(epoch)),
        Err(_) => Err(damaged("the writer's epoch", "it is not a number").into()),
    }
}

/// Makes the caller the writer: what any earlier one appends is refused from now on.
pub(super) fn take_over(db: &Connection) -> Outcome<Epoch> {
    let Epoch(last) = last_epoch(db)?;
    let next = last.saturating_add(1);
    db.prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)")?
        .execute(params![EPOCH, next.to_string()])?;
    Ok(Epoch(next))
}

/// Writes the writer's epoch as it is.
pub(super) fn probe(db: &Connection) -> rusqlite::Result<()> {
    let same = "UPDATE meta SET value = value WHERE key = ?1";
    db.prepare_cached(same)?.execute([EPOCH]).map(|_| ())
}

/// The lock keeps a second writer out where locks work; where they do not (some network disks, a
/// lock file that was deleted), this does.
fn check_writer(db: &Connection, epoch: Epoch) -> Outcome<()> {
    let last = last_epoch(db)?;
    if last == epoch {
        return Ok(());
    }
    let Epoch(last) = last;
    let message = format!(
        "another tidegate took over this state: its epoch is {last}, this one's {}",
        epoch.0
    );
    Err(StoreError::new(Kind::SecondWriter, message)
        .hint("stop this process: another one writes to this state")
        .into())
}

fn check_end(head: Option<&Entry>, after: u64) -> Outcome<()> {
    let last = head.map_or(0, |entry| entry.seq);
    if last == after {
        return Ok(());
    }
    let message =
        format!("the journal ends with entry {last}; the events were to follow entry {after}");
    Err(StoreError::new(Kind::JournalMoved, message).into())
}

fn append(
    db: &Connection,
    head: &mut Option<Entry>,
    at: UnixMs,
    events: &[Event],
) -> Outcome<Vec<Entry>> {
    if i64::try_from(at.0).is_err() {
        return Err(StoreError::new(
            Kind::Refused,
            format!("the journal cannot keep the time {} ms", at.0),
        )
        .into());
    }
    // All entries are made before the first is written: one that cannot be made refuses them all.
    let mut entries: Vec<Entry> = Vec::with_capacity(events.len());
    for event in events {
        let last = entries.last().or(head.as_ref());
        let entry = Entry::following(last, at, event).map_err(|e| {
            StoreError::new(Kind::Refused, format!("the event cannot be kept: {e}"))
        })?;
        entries.push(entry);
    }
    let Some(last) = entries.last() else { return Ok(entries) };
    let mut insert = db.prepare_cached(
        "INSERT INTO journal(seq, at, prev, hash, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for Entry { seq, at, prev, hash, body } in &entries {
        insert.execute(params![int(*seq), int(at.0), prev.as_str(), hash.as_str(), body])?;
    }
    // A chain alone does not show that its end was cut off; the head kept beside it does.
    db.prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES ('journal_head', ?1)")?
        .execute([format!("{} {}", last.seq, last.hash)])?;
    *head = Some(last.clone());
    Ok(entries)
}

fn put_set(db: &Connection, packed: &PackedSet, at: UnixMs) -> Outcome<bool> {
    let PackedSet { set, label, blobs } = packed;
    let text = body("the version set", set)?;
    let named = set.artifacts.values().flat_map(|artifact| artifact.files.values());
    for digest in named.map(|file| &file.digest) {
        if let Some(content) = blobs.get(digest) {
            put_blob(db, digest, content)?;
        }
    }
    let rows = db
        .prepare_cached(
            "INSERT INTO sets(id, label, at, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(id) DO NOTHING",
        )?
        .execute(params![set.id.as_str(), label, int(at.0), text])?;
    Ok(rows > 0)
}

/// Keeps what is named by its content; a damaged one is replaced.
fn put_blob(db: &Connection, digest: &Digest, content: &[u8]) -> Outcome<bool> {
    let mut insert = db.prepare_cached(
        "INSERT INTO blobs(digest, content) VALUES (?1, ?2)
         ON CONFLICT(digest) DO UPDATE SET content = excluded.content
         WHERE content <> excluded.content",
    )?;
    Ok(insert.execute(params![digest.as_str(), content])? > 0)
}

fn put_feedback(
    db: &Connection,
    tenant: Option<&str>,
    id: &TraceId,
    at: UnixMs,
    feedback: Feedback,
) -> Outcome<bool> {
    let text = body("the feedback", &feedback)?;
    let kind = match feedback {
        Feedback::Like(_) => "like",
        Feedback::Adopted(_) => "adopted",
        Feedback::TaskDone(_) => "task_done",
        Feedback::Satisfaction(_) => "satisfaction",
    };
    let rows = db
        .prepare_cached(
            "INSERT INTO feedback(tenant, trace_id, kind, at, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(tenant, trace_id, kind) DO NOTHING",
        )?
        .execute(params![tenant.unwrap_or_default(), id.as_str(), kind, int(at.0), text])?;
    Ok(rows > 0)
}

fn add_baseline(db: &Connection, set: &VersionSetId, at: UnixMs, window: &Window) -> Outcome<()> {
    let day = int(day(at));
    let kept: Option<String> = db
        .prepare_cached("SELECT body FROM baselines WHERE set_id = ?1 AND day = ?2")?
        .query_row(params![set.as_str(), day], |row| row.get(0))
        .optional()?;
    let mut total = window.clone();
    if let Some(kept) = kept {
        let row = baseline_row(set.as_str(), day);
        total = parse(&row, &kept)?;
        total.merge(window);
    }
    let text = body("the baseline", &total)?;
    db.prepare_cached("INSERT OR REPLACE INTO baselines(set_id, day, body) VALUES (?1, ?2, ?3)")?
        .execute(params![set.as_str(), day, text])?;
    Ok(())
}

fn prune(db: &Connection, before: UnixMs) -> Outcome<Done> {
    let feedback = db
        .prepare_cached(
            "DELETE FROM feedback WHERE id IN
             (SELECT id FROM feedback WHERE at < ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![int(before.0), int(PRUNE_BATCH as u64)])?;
    let admissions = admissions::prune(db, before)?;
    let Pruned { records, more } = records::prune(db, before)?;
    Ok(Done::Pruned { records, more: more || admissions || feedback == PRUNE_BATCH })
}
