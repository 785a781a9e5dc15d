//! Rows that repeat others. What is remembered of a row only says where a repeat may be: whether it
//! is one, the file itself says, which is read there once more.

use super::error::{DataError, Result};
use super::lines::Line;
use super::report::{Kind, Report};
use super::row::Row;
use foldhash::{HashMap, quality};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use tidegate_core::data::{NEARLY, Sketch, shared};

/// Rows that others are compared with, at most: of each, some 80 bytes are kept.
const COMPARED_MAX: usize = 1_000_000;

/// Where a row is.
struct Place {
    start: u64,
    length: u64,
    number: u64,
}

/// The rows so far.
pub(super) struct Seen {
    path: PathBuf,
    file: File,
    places: Vec<Place>,
    /// How rows are hashed: in a way that no file can foresee.
    hasher: quality::RandomState,
    same: HashMap<u64, u32>,
    /// Sketches, each with its row.
    sketches: Vec<(Sketch, u32)>,
    /// Hashes of sketches → the first sketch that has it.
    near: HashMap<u32, u32>,
}

impl Seen {
    /// Of the file at this path, which has not been read yet.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn new(path: &Path) -> Result<Seen> {
        let file = File::open(path).map_err(|error| DataError::broken(path, error))?;
        let path = path.to_owned();
        let (places, sketches) = (Vec::new(), Vec::new());
        let (hasher, same, near) = Default::default();
        Ok(Seen { path, file, places, hasher, same, sketches, near })
    }

    /// Rows that were compared with all before them; `None` where all were.
    pub(super) fn compared(&self) -> Option<u64> {
        (self.sketches.len() >= COMPARED_MAX).then_some(COMPARED_MAX as u64)
    }

    /// Looks for the row among those before it, and remembers it.
    ///
    /// # Errors
    /// The file cannot be read again.
    pub(super) fn look(&mut self, row: &Row, line: &Line<'_>, report: &mut Report) -> Result<()> {
        let Ok(index) = u32::try_from(self.places.len()) else { return Ok(()) };
        let place = Place { start: line.start, length: line.length, number: line.number };
        self.places.push(place);
        if let Some(first) = self.same(row, index)? {
            report.add(Kind::Duplicate, line.number, format!("repeats line {first}"));
            return Ok(());
        }
        if let Some((first, part)) = self.near(row, index)? {
            let percent = (part * 100.0).floor();
            let why = format!("{percent} % the same as line {first}");
            report.add(Kind::NearDuplicate, line.number, why);
        }
        Ok(())
    }

    /// The line of the first row with the same content.
    fn same(&mut self, row: &Row, index: u32) -> Result<Option<u64>> {
        let first = *self.same.entry(row.hash(&self.hasher)).or_insert(index);
        if first == index {
            return Ok(None);
        }
        let is_same = self.again(first)?.is_some_and(|first| first.is_same(row));
        Ok(is_same.then(|| self.number(first)))
    }

    /// The line of a row that is nearly the same, and how much of it.
    fn near(&mut self, row: &Row, index: u32) -> Result<Option<(u64, f64)>> {
        if self.sketches.len() >= COMPARED_MAX {
            return Ok(None);
        }
        let Some(sketch) = Sketch::of(row.letters()) else { return Ok(None) };
        let mut candidates: Vec<u32> =
            sketch.probes().iter().filter_map(|probe| self.near.get(probe).copied()).collect();
        candidates.sort_unstable();
        candidates.dedup();
        let own = self.sketches.len() as u32;
        for probe in sketch.probes() {
            self.near.entry(*probe).or_insert(own);
        }
        self.sketches.push((sketch, index));
        for candidate in candidates {
            let Some((other, first)) = self.sketches.get(candidate as usize).copied() else {
                continue;
            };
            if !sketch.is_like(&other) {
                continue;
            }
            let Some(before) = self.again(first)? else { continue };
            let part = shared(before.letters(), row.letters());
            if part >= NEARLY {
                return Ok(Some((self.number(first), part)));
            }
        }
        Ok(None)
    }

    fn number(&self, index: u32) -> u64 {
        self.places.get(index as usize).map_or(0, |place| place.number)
    }

    /// Reads a row once more; `None` where the file was changed meanwhile.
    fn again(&mut self, index: u32) -> Result<Option<Row>> {
        let Some(place) = self.places.get(index as usize) else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(place.length).unwrap_or(0)];
        self.file
            .seek(SeekFrom::Start(place.start))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|error| DataError::broken(&self.path, error))?;
        let line = Line::of(place.number, place.start, &bytes);
        Ok(Row::read(&line).ok())
    }
}
