//! The file, its tables and their versions.

use super::records;
use super::row::unreadable;
use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for another program that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements a connection keeps prepared; there are fewer than this.
const STATEMENTS_MAX: usize = 32;
/// `PRAGMA application_id`: "TIDG", so that another program's database is not taken for ours.
const APPLICATION_ID: i64 = 0x5449_4447;
/// This program.
const TIDEGATE: &str = env!("CARGO_PKG_VERSION");

/// What takes a state from one schema version to the next; never changed, only added to. The
/// version is the number of steps done. `meta.written_by` and its name are for ever: it is how an
/// older tidegate says which one is needed.
const STEPS: [&str; 8] = [
    "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE journal(
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL,
        prev TEXT NOT NULL, hash TEXT NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER journal_is_not_changed BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
    CREATE TRIGGER journal_is_not_deleted BEFORE DELETE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
    CREATE TABLE blobs(digest TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;
    CREATE TABLE sets(
        id TEXT PRIMARY KEY, label TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE records(
        id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, at INTEGER NOT NULL,
        change_id TEXT, arm TEXT NOT NULL, user TEXT, tenant TEXT,
        failing INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX records_trace ON records(trace_id);
    CREATE INDEX records_at ON records(at);
    CREATE INDEX records_release ON records(change_id, arm, at) WHERE change_id IS NOT NULL;
    CREATE INDEX records_failing ON records(change_id, arm, at) WHERE failing = 1;
    CREATE TABLE feedback(
        id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL,
        body TEXT NOT NULL, UNIQUE(trace_id, kind)
    ) STRICT;
    CREATE INDEX feedback_at ON feedback(at);
    CREATE TABLE evals(
        id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, set_id TEXT NOT NULL,
        cases TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX evals_set ON evals(set_id, at);
    CREATE INDEX evals_cases ON evals(cases, at);
    CREATE TABLE baselines(
        set_id TEXT NOT NULL, day INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY(set_id, day)
    ) STRICT, WITHOUT ROWID;
",
    "-- The tables stay; a release keeps its evidence in strata from here on.",
    // Records in batches. What is in `records` is moved after this step, some thousand rows a
    // transaction, and the table is dropped at the end.
    "
    CREATE TABLE record_batches(
        id INTEGER PRIMARY KEY, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        count INTEGER NOT NULL, raw INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX record_batches_at ON record_batches(first_at);
    CREATE TABLE record_names(batch INTEGER PRIMARY KEY, names BLOB NOT NULL) STRICT;
    CREATE TABLE record_segments(first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
    CREATE TABLE record_index(id INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
    CREATE TABLE record_marks(
        id INTEGER PRIMARY KEY, change_id TEXT, arm TEXT NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        count INTEGER NOT NULL, failing INTEGER NOT NULL, subjects BLOB NOT NULL
    ) STRICT;
    CREATE INDEX record_marks_release ON record_marks(change_id, arm, failing, first_at, last_at)
        WHERE change_id IS NOT NULL;
    CREATE TABLE feedback_by_tenant(
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, trace_id TEXT NOT NULL, kind TEXT NOT NULL,
        at INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE(tenant, trace_id, kind)
    ) STRICT;
    INSERT INTO feedback_by_tenant SELECT id, coalesce((
            SELECT tenant FROM records WHERE records.trace_id = feedback.trace_id
            ORDER BY records.at DESC, records.id DESC LIMIT 1
        ), ''), trace_id, kind, at, body FROM feedback;
    DROP TABLE feedback;
    ALTER TABLE feedback_by_tenant RENAME TO feedback;
    CREATE INDEX feedback_at ON feedback(at);
    DROP INDEX records_trace;
    DROP INDEX records_at;
    DROP INDEX records_release;
    DROP INDEX records_failing;
",
    "
    CREATE TABLE admissions(
        id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, at INTEGER NOT NULL,
        trace_id TEXT NOT NULL, body TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE budgets(
        scope TEXT NOT NULL, period TEXT NOT NULL, first INTEGER NOT NULL, sum INTEGER NOT NULL,
        PRIMARY KEY(scope, period)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE costs(
        day INTEGER NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL, set_id TEXT NOT NULL,
        arm TEXT NOT NULL, model TEXT NOT NULL, tier TEXT NOT NULL,
        requests INTEGER NOT NULL, estimated INTEGER NOT NULL, unknown INTEGER NOT NULL,
        other_tier INTEGER NOT NULL, unpriced INTEGER NOT NULL,
        input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
        audio_in INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
        audio_out INTEGER NOT NULL, compute_us INTEGER NOT NULL,
        input_cost INTEGER NOT NULL, output_cost INTEGER NOT NULL, compute_cost INTEGER NOT NULL,
        PRIMARY KEY(day, tenant, key, set_id, arm, model, tier)
    ) STRICT, WITHOUT ROWID;
",
    // What Tidegate asks for itself is booked apart; until here only requests of users were booked.
    "
    CREATE TABLE costs_by_purpose(
        day INTEGER NOT NULL, purpose TEXT NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL,
        set_id TEXT NOT NULL, arm TEXT NOT NULL, model TEXT NOT NULL, tier TEXT NOT NULL,
        requests INTEGER NOT NULL, estimated INTEGER NOT NULL, unknown INTEGER NOT NULL,
        other_tier INTEGER NOT NULL, unpriced INTEGER NOT NULL,
        input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
        audio_in INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
        audio_out INTEGER NOT NULL, compute_us INTEGER NOT NULL,
        input_cost INTEGER NOT NULL, output_cost INTEGER NOT NULL, compute_cost INTEGER NOT NULL,
        PRIMARY KEY(day, purpose, tenant, key, set_id, arm, model, tier)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO costs_by_purpose SELECT day, 'serve', tenant, key, set_id, arm, model, tier,
        requests, estimated, unknown, other_tier, unpriced, input, cache_read, cache_write,
        audio_in, output, reasoning, audio_out, compute_us, input_cost, output_cost, compute_cost
        FROM costs;
    DROP TABLE costs;
    ALTER TABLE costs_by_purpose RENAME TO costs;
",
    // Results of large eval runs, one by one; those of earlier runs stay in the bodies of reports.
    "
    CREATE TABLE eval_results(
        run_id TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE(run_id, at)
    ) STRICT;
",
];

/// The oldest schema that can be brought up to date. What a release of schema 1 had seen was kept
/// in a form that no evidence can be made of.
const OLDEST: usize = 2;

/// Makes the state's folder, for the owner only: prompts and answers are in it.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(StoreError::new(
            Kind::Failed,
            format!("state folder {} cannot be made: {e}", folder.display()),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens the write connection, making or migrating the tables. The caller holds the lock.
pub(super) fn open_to_write(path: &Path, pages_max: Option<u32>) -> Result<Connection> {
    let failed = |e: &rusqlite::Error| cannot_open(path, e);
    make_file(path)?;
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| failed(&e))?;
    let version = version(path, &db)?;
    let mode: String = db
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(|e| failed(&e))?;
    if mode != "wal" {
        return Err(StoreError::new(
            Kind::Failed,
            format!("state {} cannot use a write-ahead log (it says `{mode}`)", path.display()),
        )
        .hint("put the project on a local disk"));
    }
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -4096; PRAGMA secure_delete = FAST;
         PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(|e| failed(&e))?;
    migrate(&mut db, version).map_err(|e| failed(&e))?;
    records::convert(&mut db)?;
    if version == 0 {
        // The steps leave the pages of tables that later ones dropped.
        db.execute_batch("VACUUM").map_err(|e| failed(&e))?;
    }
    if let Some(pages) = pages_max {
        // SQLite answers with the bound in force, which is never below what the file has.
        db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(|e| failed(&e))?;
    }
    Ok(db)
}

/// Rewrites the file and empties its log: what was deleted is then nowhere in them.
///
/// # Errors
/// When there is no room, or a reader does not let go of the log in time.
pub(super) fn scrub(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("VACUUM")?;
    let is_held: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    match is_held {
        false => Ok(()),
        true => {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            Err(rusqlite::Error::SqliteFailure(code, None))
        }
    }
}

/// Opens a connection that cannot write.
pub(super) fn open_to_read(path: &Path) -> Result<Connection> {
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| cannot_open(path, &e))?;
    db.execute_batch("PRAGMA query_only = ON").map_err(|e| cannot_open(path, &e))?;
    Ok(db)
}

/// Checks that there is a state this tidegate can read.
pub(super) fn check_to_read(path: &Path) -> Result<()> {
    let serve = "`tidegate serve` makes one";
    if !path.exists() {
        let missing =
            StoreError::new(Kind::NotFound, format!("there is no state yet: {}", path.display()));
        return Err(missing.hint(serve));
    }
    let db = open_to_read(path)?;
    match version(path, &db)? {
        0 => {
            Err(StoreError::new(Kind::NotFound, format!("the state is empty: {}", path.display()))
                .hint(serve))
        }
        found if found < STEPS.len() => Err(StoreError::new(
            Kind::Foreign,
            format!(
                "state {} is of an older tidegate (schema {found}; this one reads {})",
                path.display(),
                STEPS.len()
            ),
        )
        .hint("`tidegate serve` brings it up to date")),
        _ if records::is_being_converted(&db).map_err(|e| cannot_open(path, &e))? => {
            Err(StoreError::new(
                Kind::Foreign,
                format!("state {} is only partly brought up to date", path.display()),
            )
            .hint("`tidegate serve` goes on with it; this takes a minute for a million records"))
        }
        _ => Ok(()),
    }
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(db)
}

fn make_file(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ()).map_err(|e| {
        StoreError::new(
            Kind::Failed,
            format!("state {} cannot be opened to write: {e}", path.display()),
        )
    })
}

/// The schema version found: 0 for an empty file, up to the one of this tidegate.
fn version(path: &Path, db: &Connection) -> Result<usize> {
    let number = |pragma: &str| -> Result<i64> {
        db.pragma_query_value(None, pragma, |row| row.get(0)).map_err(|e| cannot_open(path, &e))
    };
    let (found, application) = (number("user_version")?, number("application_id")?);
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| cannot_open(path, &e))?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(StoreError::new(
            Kind::Foreign,
            format!("{} is a database, but not one of tidegate", path.display()),
        )
        .hint("move it away, or run in another project folder"));
    }
    match usize::try_from(found) {
        Ok(found) if (1..OLDEST).contains(&found) => Err(StoreError::new(
            Kind::Foreign,
            format!(
                "state {} is of an older tidegate (schema {found}); this one goes on from schema \
             {OLDEST}",
                path.display()
            ),
        )
        .hint("end its release with the tidegate that began it, then move `.tidegate/` away")
        .hint("its evidence packs can be read without tidegate")),
        Ok(found) if found <= STEPS.len() => Ok(found),
        Ok(_) | Err(_) => {
            let writer: Option<String> = db
                .query_row("SELECT value FROM meta WHERE key = 'written_by'", [], |row| row.get(0))
                .ok();
            let needed =
                writer.map_or_else(|| "a newer tidegate".to_owned(), |v| format!("tidegate {v}"));
            Err(StoreError::new(Kind::Foreign, format!(
                "state {} was written by {needed} (schema {found}); this is tidegate {TIDEGATE} \
                 (schema {})",
                path.display(),
                STEPS.len()
            ))
            .hint(format!("use {needed}, or one newer than that")))
        }
    }
}

fn migrate(db: &mut Connection, from: usize) -> rusqlite::Result<()> {
    if from == STEPS.len() {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for step in STEPS.iter().skip(from) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", super::row::int(STEPS.len() as u64))?;
    tx.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('written_by', ?1)", [TIDEGATE])?;
    records::make_key(&tx)?;
    tx.commit()
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::new(
            Kind::Damaged,
            format!("state {} is not a SQLite database", path.display()),
        )
        .hint("restore it from a backup, or move it away and start again with `tidegate serve`"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => StoreError::new(
            Kind::Failed,
            format!("state {} cannot be opened: {error}", path.display()),
        )
        .hint("its folder must be writable even for reading"),
        _ => {
            let StoreError { kind, message, hints } = unreadable(error);
            let named = StoreError::new(kind, format!("{message} ({})", path.display()));
            hints.into_iter().fold(named, StoreError::hint)
        }
    }
}
