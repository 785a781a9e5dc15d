//! The journal, read from the state file by this process, beside whoever writes it.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use tidegate_core::ids::{Digest, UnixMs};
use tidegate_core::journal::{ControlState, Entry};

fn open(root: &Path) -> rusqlite::Result<Connection> {
    let path = root.join(".tidegate/state.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(std::time::Duration::from_secs(60))?;
    Ok(db)
}

/// The last entries, newest first, each cut to its beginning; for people.
pub(crate) fn tail(root: &Path) -> rusqlite::Result<Vec<String>> {
    let db = open(root)?;
    let mut select =
        db.prepare("SELECT seq, at, substr(body, 1, 600) FROM journal ORDER BY seq DESC LIMIT 6")?;
    let rows = select.query_map([], |row| {
        let (seq, at, body): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{seq} at {at} ms: {body}"))
    });
    rows?.collect()
}

/// All entries, as they are stored.
pub(crate) fn read(root: &Path) -> Vec<Entry> {
    let db = open(root).unwrap();
    let mut select =
        db.prepare("SELECT seq, at, prev, hash, body FROM journal ORDER BY seq").unwrap();
    let digest = |text: String| serde_json::from_value::<Digest>(text.into()).unwrap();
    let rows = select.query_map([], |row| {
        Ok(Entry {
            seq: row.get::<_, i64>(0)?.try_into().unwrap(),
            at: UnixMs(row.get::<_, i64>(1)?.try_into().unwrap()),
            prev: digest(row.get(2)?),
            hash: digest(row.get(3)?),
            body: row.get(4)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// What the entries up to `seq` replay to.
pub(crate) fn replay(entries: &[Entry], seq: u64) -> ControlState {
    let upto: Vec<Entry> = entries.iter().filter(|entry| entry.seq <= seq).cloned().collect();
    assert_eq!(upto.len() as u64, seq, "the journal ends before entry {seq}");
    ControlState::replay(&upto).unwrap()
}
