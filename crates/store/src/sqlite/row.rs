//! Between rows and values: numbers, digests, and bodies that are JSON.

use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use rusqlite::ErrorCode;
use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer as _, value};
use tidegate_core::ids::{Digest, UnixMs};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A number as SQLite keeps it; beyond 2^63 − 1 it stays there.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number as it was before [`int`]; below 0, which is never written, it is 0.
pub(super) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The UTC day a moment falls in, counted from 1970-01-01.
pub(super) fn day(at: UnixMs) -> u64 {
    at.0 / DAY_MS
}

/// A stored digest, checked to be one.
pub(super) fn digest(row: &str, text: &str) -> Result<Digest> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 64 || !text.bytes().all(is_hex) {
        return Err(damaged(row, "its digest is not 64 hex digits"));
    }
    let text: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
    serde::Deserialize::deserialize(text).map_err(|e| damaged(row, &e.to_string()))
}

/// A value as JSON that reads back as the same value. A number that is not finite does not, and
/// would be found out only when it is needed.
pub(super) fn body<T>(what: &str, value: &T) -> Result<String>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let unwritable = || {
        StoreError::new(
            Kind::Refused,
            format!("{what} cannot be kept: it holds a number that is not finite"),
        )
    };
    let text = serde_json::to_string(value).map_err(|_| unwritable())?;
    match serde_json::from_str::<T>(&text) {
        Ok(read) if read == *value => Ok(text),
        Ok(_) | Err(_) => Err(unwritable()),
    }
}

/// Reads a stored body. The error names the row, not its content: that may be a prompt.
pub(super) fn parse<T: DeserializeOwned>(row: &str, body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|e| {
        let what = match e.classify() {
            serde_json::error::Category::Io => "input error",
            serde_json::error::Category::Syntax => "not JSON",
            serde_json::error::Category::Data => "not of the form expected",
            serde_json::error::Category::Eof => "cut short",
        };
        damaged(row, &format!("{what} at column {}", e.column()))
    })
}

/// A row that is not as it was written.
pub(super) fn damaged(row: &str, detail: &str) -> StoreError {
    StoreError::new(Kind::Damaged, format!("state is damaged: {row} cannot be read: {detail}"))
        .hint("`tidegate check` lists all that is damaged")
}

/// A failed read.
pub(super) fn unreadable(error: &rusqlite::Error) -> StoreError {
    let cli = StoreError::new(Kind::Failed, format!("state cannot be read: {error}"));
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            cli.hint("`tidegate check` lists all that is damaged")
        }
        Some(ErrorCode::DatabaseBusy) => cli.hint("another program holds the state; try again"),
        _ => cli,
    }
}

/// What a baseline's row is called in errors.
pub(super) fn baseline_row(set: &str, day: i64) -> String {
    format!("baseline of `{set}`, day {day} since 1970")
}
