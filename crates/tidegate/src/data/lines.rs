//! A file line by line, with the digest of all of it.

use super::error::{DataError, Result};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use tidegate_core::ids::Digest;

/// Longest line, bytes: a file without line ends must not fill the memory.
pub(super) const LINE_MAX: usize = 64 << 20;
/// Bytes that are read at a time.
const READ: usize = 1 << 20;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A line.
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Where it begins, bytes from the start of the file.
    pub(super) start: u64,
    /// Its bytes with its end.
    pub(super) length: u64,
    /// Its text without the end; cut after [`LINE_MAX`] bytes.
    pub(super) text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Of its bytes, with the end of the line.
    pub(super) fn of(number: u64, start: u64, bytes: &'a [u8]) -> Line<'a> {
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut text = text.strip_suffix(b"\r").unwrap_or(text);
        if start == 0 {
            text = text.strip_prefix(BOM).unwrap_or(text);
        }
        Line { number, start, length: bytes.len() as u64, text }
    }
}

/// The lines of a file, in order.
pub(super) struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    hash: Sha256,
    line: Vec<u8>,
    number: u64,
    read: u64,
}

impl Lines {
    /// Of the file at this path.
    ///
    /// # Errors
    /// It is not there, or no file, or may not be read.
    pub(super) fn open(path: &Path) -> Result<Lines> {
        let path = path.to_owned();
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.is_dir(), file)));
        let file = match opened {
            Ok((true, _)) => return Err(DataError::Folder { path }),
            Ok((false, file)) => BufReader::with_capacity(READ, file),
            Err(source) => return Err(DataError::Unread { path, source }),
        };
        let line = Vec::new();
        Ok(Lines { path, file, hash: Sha256::new(), line, number: 0, read: 0 })
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>> {
        let start = self.read;
        self.line.clear();
        let mut is_whole = self.take(LINE_MAX + 1)?;
        let kept = self.line.len();
        while !is_whole {
            is_whole = self.take(READ)?;
            self.line.truncate(kept);
        }
        if self.read == start {
            return Ok(None);
        }
        self.number += 1;
        let line = Line::of(self.number, start, &self.line);
        Ok(Some(Line { length: self.read - start, ..line }))
    }

    /// Reads on to the end of the line, at most so many bytes; whether that was the end.
    fn take(&mut self, most: usize) -> Result<bool> {
        let before = self.line.len();
        let read = (&mut self.file).take(most as u64).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| DataError::broken(&self.path, error))?;
        self.hash.update(&self.line[before..]);
        self.read += read as u64;
        Ok(read < most || self.line.ends_with(b"\n"))
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.read
    }

    /// SHA-256 of what was read so far.
    pub(super) fn digest(&self) -> Digest {
        Digest::made(&self.hash.clone().finalize().into())
    }
}
