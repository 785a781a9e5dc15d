//! The writer thread: takes what waits, writes it in one transaction, answers after the commit.

use super::fault::{Outcome, WriteFault};
use super::records::{self, Sealed, Sealer, Tail};
use super::reserve::Reserve;
use super::{reader, statements};
use crate::api::Epoch;
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use crate::inbox::{Inbox, Job};
use crate::work::{Done, Work};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tidegate_core::evidence::Record;
use tidegate_core::journal::Entry;

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

/// What each job of a group came to.
type Grouped = std::result::Result<Vec<Result<Done>>, Undone>;

struct Writer {
    db: Connection,
    path: PathBuf,
    inbox: Arc<Inbox>,
    head: Option<Entry>,
    reserve: Reserve,
    sealer: Sealer,
    /// The newest batches; `None` until they are read from the state.
    tail: Option<Tail>,
}

/// Takes over as the writer and starts the thread, which ends when the inbox is closed and empty.
pub(super) fn start(
    db: Connection,
    path: &Path,
    inbox: Arc<Inbox>,
) -> Result<(Epoch, JoinHandle<()>)> {
    let head = reader::head(&db)?;
    let reserve = Reserve::new(path.parent().unwrap_or(path));
    let sealer = Sealer::new(&db)?;
    let path = path.to_owned();
    let mut writer = Writer { db, path, inbox, head, reserve, sealer, tail: None };
    let epoch = writer.take_over()?;
    let thread = std::thread::Builder::new()
        .name("tidegate-store".to_owned())
        .spawn(move || writer.run())
        .map_err(|e| {
            StoreError::new(Kind::Failed, format!("the store's writer thread cannot start: {e}"))
        })?;
    Ok((epoch, thread))
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inbox.abandon();
    }
}

impl Writer {
    fn run(&mut self) {
        while let Some((jobs, records)) = self.inbox.take() {
            self.turn(jobs, records);
        }
    }

    /// A full disk must not keep a server from starting: what is set aside is enough for this.
    fn take_over(&mut self) -> Result<Epoch> {
        let attempt = |db: &mut Connection| -> Outcome<Epoch> {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let epoch = statements::take_over(&tx)?;
            tx.commit()?;
            Ok(epoch)
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

    fn turn(&mut self, jobs: Vec<Job>, mut records: Vec<Record>) {
        if let Some(why) = self.inbox.stopped() {
            self.inbox.drop_records(records.len());
            return refuse(jobs, &why);
        }
        if self.inbox.failing().is_some()
            && let Err(why) = self.probe()
        {
            self.inbox.put_back(records);
            return refuse(jobs, &why);
        }
        let mut lost = None;
        if !self.reserve.is_held() && !records.is_empty() {
            self.inbox.drop_records(records.len());
            records.clear();
            lost = Some(self.no_room());
        }
        let (batches, mut kept) = self.sealer.seal(&mut records).unwrap_or_default();
        let mut outcome = self.group(&jobs, &batches);
        let waits =
            [ErrorCode::SystemIoFailure, ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked];
        if let Err(undone) = &outcome
            && undone.is_of(&waits)
            && !undone.is_fatal()
        {
            // It has nothing to do with how much there is to write.
            self.inbox.put_back(std::mem::take(&mut records));
            kept = 0;
        }
        self.inbox.drop_records(records.len().saturating_sub(kept));
        if let Err(undone) = &outcome
            && kept > 0
        {
            // Records are the bulk and may be lost; control events must have what room is left.
            self.inbox.drop_records(kept);
            lost = Some(self.explain(&undone.error));
            if !undone.is_fatal() {
                outcome = self.group(&jobs, &[]);
            }
        }
        if let Err(undone) = &outcome
            && undone.is_of(&[ErrorCode::DiskFull])
            && self.reserve.release()
        {
            outcome = self.group(&jobs, &[]);
        }
        self.answer(jobs, outcome, lost.as_ref());
    }

    fn answer(&self, jobs: Vec<Job>, outcome: Grouped, lost: Option<&StoreError>) {
        match outcome {
            Ok(results) => {
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
                refuse(jobs, &why);
            }
        }
    }

    /// Writes jobs and records in one transaction. The chain's head moves only with the commit.
    fn group(&mut self, jobs: &[Job], batches: &[Sealed]) -> Grouped {
        let mut head = self.head.clone();
        let result = self.transact(jobs, batches, &mut head);
        match result {
            Ok(results) => {
                self.head = head;
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
        batches: &[Sealed],
        head: &mut Option<Entry>,
    ) -> std::result::Result<Vec<Result<Done>>, (rusqlite::Error, bool)> {
        let before = |e: rusqlite::Error| (e, false);
        if batches.is_empty() && jobs.iter().all(|job| matches!(job.work, Work::Flush)) {
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
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            results.push(match statements::carry_out(&tx, head, &job.work) {
                Ok(done) => Ok(done),
                Err(WriteFault::Refused(why)) => Err(why),
                Err(WriteFault::Database(error)) => return Err((error, false)),
            });
        }
        // Nothing else waits then.
        if jobs.iter().all(|job| matches!(job.work, Work::Flush)) {
            tail.step(&tx).map_err(before)?;
        }
        tx.commit().map_err(|e| (e, true))?;
        let has_pruned = jobs.iter().any(|job| matches!(job.work, Work::Prune { .. }));
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

fn refuse(jobs: Vec<Job>, why: &StoreError) {
    for job in jobs {
        let _ = job.answer.send(Err(why.clone()));
    }
}
