//! The writer thread: takes what waits, writes it in one transaction, answers after the commit.

use super::fault::{Outcome, WriteFault};
use super::records::{self, Sealed, Sealer, Tail};
use super::reserve::Reserve;
use super::{admissions, books, lost, reader, schema, statements};
use crate::api::{Epoch, Lost, LostRecords};
use crate::begun::Kept;
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use crate::inbox::{Admitted, Asked, Inbox, Job, Turn, Waiting};
use crate::work::{Done, Work};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tidegate_core::journal::Entry;
use tidegate_core::money::{self, LineKey, Sums};

/// A group that was undone.
struct Undone {
    error: rusqlite::Error,
    /// Whether it failed in its commit.
    in_commit: bool,
    /// Whether the connection is still inside the transaction: it cannot be undone.
    stuck: bool,
}

impl Undone {
    fn is_of(&self, codes: &[ErrorCode]) -> bool {
        self.error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
    }

    /// Whether what is on disk is uncertain, so that nothing may be acknowledged after it. A full
    /// disk and a busy file are not: SQLite says so before anything of the group counts. Neither
    /// is an I/O error: a commit whose sync failed is not in the log, and the next commit writes
    /// over its pages and syncs them.
    fn is_fatal(&self) -> bool {
        use ErrorCode as Code;
        if self.is_of(&[Code::DatabaseCorrupt, Code::NotADatabase]) {
            return true;
        }
        let passes = [Code::DiskFull, Code::DatabaseBusy, Code::DatabaseLocked];
        let undoes = [Code::SystemIoFailure];
        match self.is_of(&passes) {
            true => false,
            false => self.stuck || (self.in_commit && !self.is_of(&undoes)),
        }
    }
}

/// What of a turn is not control's work: it makes way where there is no room.
#[derive(Default)]
struct Bulk {
    batches: Vec<Sealed>,
    /// Records in them.
    records: usize,
    /// What they add to the books.
    lines: BTreeMap<LineKey, Sums>,
    admissions: Vec<Asked>,
    /// Admissions to delete: their records are in the batches, or they came to nothing.
    done: Vec<u64>,
}

impl Bulk {
    fn is_empty(&self) -> bool {
        let Bulk { batches, records: _, lines: _, admissions, done } = self;
        batches.is_empty() && admissions.is_empty() && done.is_empty()
    }
}

/// What each job of a group came to.
type Grouped = std::result::Result<Vec<Result<Done>>, Undone>;

struct Writer {
    db: Connection,
    path: PathBuf,
    inbox: Arc<Inbox>,
    head: Option<Entry>,
    epoch: Epoch,
    /// Whether it is written how many requests have begun and ended.
    counts: bool,
    next_admission: u64,
    /// Admissions to delete that came to nothing.
    withdrawn: Vec<u64>,
    reserve: Reserve,
    sealer: Sealer,
    /// The newest batches; `None` until they are read from the state.
    tail: Option<Tail>,
}

/// A writer that has started.
pub(super) struct Started {
    pub(super) epoch: Epoch,
    pub(super) lost: LostRecords,
    pub(super) thread: JoinHandle<()>,
}

/// Takes over as the writer and starts the thread, which ends when the inbox is closed and empty.
/// Where requests are counted, `counted` is what the process before left in its file.
pub(super) fn start(
    db: Connection,
    path: &Path,
    inbox: Arc<Inbox>,
    counted: Option<Option<Kept>>,
) -> Result<Started> {
    let head = reader::head(&db)?;
    let reserve = Reserve::new(path.parent().unwrap_or(path));
    let sealer = Sealer::new(&db)?;
    let mut writer = Writer {
        db,
        path: path.to_owned(),
        inbox,
        head,
        epoch: Epoch(0),
        counts: counted.is_some(),
        next_admission: 0,
        withdrawn: Vec::new(),
        reserve,
        sealer,
        tail: None,
    };
    let (epoch, last) = writer.take_over(counted)?;
    writer.epoch = epoch;
    writer.next_admission = admissions::first_id(epoch);
    let total = lost::total(&writer.db)?;
    let lost = LostRecords { last, total, admitted: admissions::unrecorded_count(&writer.db)? };
    let thread = std::thread::Builder::new()
        .name("tidegate-store".to_owned())
        .spawn(move || writer.run())
        .map_err(|e| {
            StoreError::new(Kind::Failed, format!("the store's writer thread cannot start: {e}"))
        })?;
    Ok(Started { epoch, lost, thread })
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inbox.abandon();
    }
}

impl Writer {
    fn run(&mut self) {
        while let Some(turn) = self.inbox.take() {
            self.turn(turn);
        }
        if self.counts && self.inbox.stopped().is_none() {
            // Where it cannot be written, records that were dropped last count as lost.
            let _ = lost::write(&self.db, self.epoch, self.inbox.begun.count(), self.inbox.ended());
        }
    }

    /// A full disk must not keep a server from starting: what is set aside is enough for this.
    fn take_over(&mut self, counted: Option<Option<Kept>>) -> Result<(Epoch, Lost)> {
        let attempt = |db: &mut Connection| -> Outcome<(Epoch, Lost)> {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let epoch = statements::take_over(&tx)?;
            let lost = counted.map(|kept| lost::settle(&tx, epoch, kept)).transpose()?;
            tx.commit()?;
            Ok((epoch, lost.unwrap_or_default()))
        };
        let mut outcome = attempt(&mut self.db);
        if let Err(WriteFault::Database(error)) = &outcome
            && error.sqlite_error_code() == Some(ErrorCode::DiskFull)
            && self.reserve.release()
        {
            outcome = attempt(&mut self.db);
        }
        outcome.map_err(|fault| match fault {
            WriteFault::Refused(why) => why,
            WriteFault::Database(error) => self.explain(&error),
        })
    }

    fn turn(&mut self, turn: Turn) {
        let Turn { jobs, mut records, mut admissions, withdrawn } = turn;
        self.withdrawn.extend(withdrawn);
        if let Some(why) = self.inbox.stopped() {
            self.inbox.drop_records(records.len());
            return refuse(jobs, admissions, &why);
        }
        if self.inbox.failing().is_some()
            && let Err(why) = self.probe()
        {
            self.inbox.put_back(records);
            return refuse(jobs, admissions, &why);
        }
        let mut lost = None;
        let is_bulky = !records.is_empty() || !admissions.is_empty();
        if is_bulky && !self.reserve.is_held() {
            let why = self.no_room();
            self.inbox.drop_records(records.len());
            lost = (!records.is_empty()).then(|| why.clone());
            records.clear();
            refuse(Vec::new(), std::mem::take(&mut admissions), &why);
        }
        let sealed = self.sealer.seal(records.iter_mut().map(|waiting| &mut waiting.record));
        let (batches, mut kept) = sealed.unwrap_or_default();
        let done = self.done(&records, kept);
        let lines = money::books::lines(records.iter().map(|waiting| &waiting.record));
        let mut bulk = Bulk { batches, records: kept, lines, admissions, done };
        let mut outcome = self.group(&jobs, &bulk);
        let waits =
            [ErrorCode::SystemIoFailure, ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked];
        let is_waiting =
            |outcome: &Grouped| outcome.as_ref().is_err_and(|u| u.is_of(&waits) && !u.is_fatal());
        if is_waiting(&outcome) {
            // It has nothing to do with how much there is to write.
            self.inbox.put_back(std::mem::take(&mut records));
            kept = 0;
        }
        self.inbox.drop_records(records.len().saturating_sub(kept));
        if let Err(undone) = &outcome
            && !is_waiting(&outcome)
            && (kept > 0 || !bulk.is_empty())
        {
            // Records are the bulk and may be lost, and admissions are refused; control events
            // must have what room is left.
            let why = self.explain(&undone.error);
            self.inbox.drop_records(kept);
            refuse(Vec::new(), std::mem::take(&mut bulk).admissions, &why);
            lost = (kept > 0).then_some(why).or(lost);
            if !undone.is_fatal() {
                outcome = self.group(&jobs, &bulk);
            }
        }
        if let Err(undone) = &outcome
            && undone.is_of(&[ErrorCode::DiskFull])
            && self.reserve.release()
        {
            outcome = self.group(&jobs, &bulk);
        }
        if let Ok(results) = &mut outcome {
            self.scrub(&jobs, results);
        }
        self.answer(jobs, bulk.admissions, outcome, lost.as_ref());
    }

    /// Rewrites the file where that is asked for: it cannot be done in a transaction.
    fn scrub(&mut self, jobs: &[Job], results: &mut [Result<Done>]) {
        for (job, result) in jobs.iter().zip(results) {
            if matches!(job.work, Work::Scrub) {
                *result = schema::scrub(&self.db)
                    .map(|()| Done::Flushed)
                    .map_err(|error| self.explain(&error));
            }
        }
    }

    /// Admissions to delete with these records, of which so many are in the batches.
    fn done(&self, records: &[Waiting], kept: usize) -> Vec<u64> {
        let mut done = self.withdrawn.clone();
        // Which one was left out is not known: then they all stay.
        if kept == records.len() {
            done.extend(records.iter().filter_map(|waiting| waiting.admission));
        }
        done
    }

    fn answer(
        &mut self,
        jobs: Vec<Job>,
        admissions: Vec<Asked>,
        outcome: Grouped,
        lost: Option<&StoreError>,
    ) {
        match outcome {
            Ok(results) => {
                for Asked { admission: _, answer } in admissions {
                    let admitted = Admitted::new(self.next_admission, Arc::clone(&self.inbox));
                    self.next_admission += 1;
                    // Whoever has given up has refused the request: it is deleted again.
                    let _ = answer.send(Ok(admitted));
                }
                for (Job { work, answer, .. }, result) in jobs.into_iter().zip(results) {
                    let result = match (&work, &lost) {
                        (Work::Flush, Some(why)) => Err(StoreError::clone(why)),
                        _ => result,
                    };
                    if let Err(why) = &result
                        && why.kind == Kind::SecondWriter
                    {
                        self.inbox.stop(why.clone());
                    }
                    // Nobody may wait any more; what was written stays written.
                    let _ = answer.send(result);
                }
            }
            Err(undone) => {
                let mut why = self.explain(&undone.error);
                self.inbox.fails(Some(why.clone()));
                if undone.is_fatal() {
                    why = StoreError::new(Kind::Stopped, format!("{why}; stopping to acknowledge"))
                        .hint("check the disk, then restart tidegate: it reads what is there");
                    self.inbox.stop(why.clone());
                }
                refuse(jobs, admissions, &why);
            }
        }
    }

    /// Writes jobs and records in one transaction. The chain's head moves only with the commit.
    fn group(&mut self, jobs: &[Job], bulk: &Bulk) -> Grouped {
        let mut head = self.head.clone();
        let result = self.transact(jobs, bulk, &mut head);
        match result {
            Ok(results) => {
                self.head = head;
                if !bulk.done.is_empty() {
                    // They were all in it.
                    self.withdrawn.clear();
                }
                Ok(results)
            }
            Err((error, in_commit)) => {
                // The transaction rolled back as it was dropped; if it is still open, it could not.
                let is_open = |db: &Connection| !db.is_autocommit();
                let stuck = is_open(&self.db)
                    && (self.db.execute_batch("ROLLBACK").is_err() || is_open(&self.db));
                Err(Undone { error, in_commit, stuck })
            }
        }
    }

    /// Writes something that changes nothing, to see whether writing is possible again.
    fn probe(&mut self) -> Result<()> {
        let attempt = |db: &mut Connection| -> rusqlite::Result<()> {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            statements::probe(&tx)?;
            tx.commit()
        };
        let tried = attempt(&mut self.db).map_err(|error| self.explain(&error));
        self.inbox.fails(tried.clone().err());
        tried
    }

    fn transact(
        &mut self,
        jobs: &[Job],
        bulk: &Bulk,
        head: &mut Option<Entry>,
    ) -> std::result::Result<Vec<Result<Done>>, (rusqlite::Error, bool)> {
        let before = |e: rusqlite::Error| (e, false);
        let Bulk { batches, records, lines, admissions, done } = bulk;
        if bulk.is_empty() && jobs.iter().all(|job| matches!(job.work, Work::Flush)) {
            return Ok(jobs.iter().map(|_| Ok(Done::Flushed)).collect());
        }
        let tx =
            self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(before)?;
        // It is put back after the commit; after a failure it is read again.
        let tail = match self.tail.take() {
            Some(tail) => Ok(tail),
            None => Tail::load(&tx),
        };
        let mut tail = tail.map_err(before)?;
        for batch in batches {
            tail.push(records::insert(&tx, batch).map_err(before)?, batch);
        }
        books::add(&tx, lines).map_err(before)?;
        for (id, asked) in (self.next_admission..).zip(admissions) {
            admissions::insert(&tx, id, self.epoch, &asked.admission).map_err(before)?;
        }
        admissions::delete(&tx, done).map_err(before)?;
        if self.counts && !bulk.is_empty() {
            // Read before what has begun: so none has ended that has not begun.
            let ended = self.inbox.ended() + *records as u64;
            lost::write(&tx, self.epoch, self.inbox.begun.count(), ended).map_err(before)?;
        }
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            results.push(match statements::carry_out(&tx, head, &job.work) {
                Ok(done) => Ok(done),
                Err(WriteFault::Refused(why)) => Err(why),
                Err(WriteFault::Database(error)) => return Err((error, false)),
            });
        }
        // Nothing else waits then; admissions wait a little for batches to stay large.
        if !batches.is_empty() && jobs.iter().all(|job| matches!(job.work, Work::Flush)) {
            tail.step(&tx).map_err(before)?;
        }
        tx.commit().map_err(|e| (e, true))?;
        self.inbox.end(*records);
        let has_pruned =
            jobs.iter().any(|job| matches!(job.work, Work::Prune { .. } | Work::Erase { .. }));
        self.tail = (!has_pruned).then_some(tail);
        Ok(results)
    }

    fn no_room(&self) -> StoreError {
        let path = self.path.display();
        StoreError::new(
            Kind::NoRoom,
            format!("the journal could not be written: no room for {path}"),
        )
        .hint("free space on its disk; writing then continues by itself")
    }

    fn explain(&self, error: &rusqlite::Error) -> StoreError {
        let path = self.path.display();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => self.no_room(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::new(
                Kind::Busy,
                format!("the journal could not be written: another program holds {path}"),
            )
            .hint("close the program that has the file open (a SQLite shell, a backup)"),
            Some(ErrorCode::ReadOnly) => StoreError::new(
                Kind::Failed,
                format!("the journal could not be written: {path} is read only"),
            )
            .hint("make the file, its folder and its disk writable"),
            Some(ErrorCode::SystemIoFailure) => StoreError::new(
                Kind::Failed,
                format!("the journal could not be written: {path}: {error}"),
            )
            .hint("check the disk; writing is tried again every second"),
            _ => StoreError::new(
                Kind::Failed,
                format!("the journal could not be written: {path}: {error}"),
            ),
        }
    }
}

fn refuse(jobs: Vec<Job>, admissions: Vec<Asked>, why: &StoreError) {
    for job in jobs {
        let _ = job.answer.send(Err(why.clone()));
    }
    for asked in admissions {
        let _ = asked.answer.send(Err(why.clone()));
    }
}
