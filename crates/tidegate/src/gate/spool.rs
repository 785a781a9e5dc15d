//! Cases and results beyond the first thousand, on disk while a run needs them: a hundred thousand
//! of them are more than memory should hold.
//!
//! The file has no name as soon as it is open, so nothing is left of it however the run ends. What
//! must outlive a run is in the files of [`super::tape`] and in the store.

use std::borrow::Cow;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_core::gate::{Case, CaseResult, EvalReport, KeptRows, RowError, Rows};

/// Rows in memory; with more of them, none is.
pub(crate) const HELD_MAX: usize = 1_000;

/// What can be written to a file and read again.
pub(crate) trait Row: Clone + fmt::Debug + Send + Sync + 'static {
    /// Its bytes.
    fn to_bytes(&self) -> serde_json::Result<Vec<u8>>;
    /// From its bytes.
    fn from_bytes(bytes: &[u8]) -> serde_json::Result<Self>;
}

impl Row for CaseResult {
    fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    fn from_bytes(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }
}

impl Row for Case {
    fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        // Known when it is read, and no part of its stored form.
        serde_json::to_vec(&(self.handling.uncovered, self))
    }

    fn from_bytes(bytes: &[u8]) -> serde_json::Result<Self> {
        let (uncovered, mut case): (bool, Case) = serde_json::from_slice(bytes)?;
        case.handling.uncovered = uncovered;
        Ok(case)
    }
}

/// Where one row is.
#[derive(Debug, Clone, Copy)]
struct Span {
    at: u64,
    length: u32,
}

/// Rows in the order in which they are pushed.
#[derive(Debug)]
pub(crate) struct Spool<T> {
    folder: PathBuf,
    held: Vec<T>,
    kept: Option<Kept<T>>,
}

/// Rows in a file.
#[derive(Debug)]
struct Kept<T> {
    file: Mutex<File>,
    folder: PathBuf,
    end: u64,
    spans: Vec<Span>,
    row: PhantomData<fn() -> T>,
}

impl<T: Row> Spool<T> {
    /// An empty one for the project of this folder: its files are in `.tidegate/evals`, or with
    /// other temporary files where the project has no `.tidegate`.
    pub(crate) fn new(root: &Path) -> Spool<T> {
        let state = root.join(".tidegate");
        let folder = if state.is_dir() { state.join("evals") } else { std::env::temp_dir() };
        Spool { folder, held: Vec::new(), kept: None }
    }

    /// Adds a row; gives its place.
    ///
    /// # Errors
    /// The disk takes no more; [`Spool::folder`] is where.
    pub(crate) fn push(&mut self, row: T) -> io::Result<usize> {
        if let Some(kept) = &mut self.kept {
            return kept.push(&row);
        }
        self.held.push(row);
        if self.held.len() <= HELD_MAX {
            return Ok(self.held.len() - 1);
        }
        let mut kept = Kept::new(&self.folder)?;
        for row in &self.held {
            kept.push(row)?;
        }
        let last = self.held.len() - 1;
        (self.held, self.kept) = (Vec::new(), Some(kept));
        Ok(last)
    }

    /// A row that was pushed.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn get(&self, at: usize) -> Result<Cow<'_, T>, RowError> {
        match &self.kept {
            Some(kept) => kept.read(at).map(Cow::Owned),
            None => {
                let row = self.held.get(at).map(Cow::Borrowed);
                row.ok_or_else(|| RowError(format!("there is no row {at}")))
            }
        }
    }

    /// Where its file is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All rows that were pushed.
    pub(crate) fn rows(self) -> Rows<T> {
        match self.kept {
            None => Rows::Held(self.held),
            Some(kept) => Rows::Kept(Arc::new(kept)),
        }
    }
}

impl<T: Row> Kept<T> {
    fn new(folder: &Path) -> io::Result<Kept<T>> {
        let file = Mutex::new(nameless(folder)?);
        let folder = folder.to_owned();
        Ok(Kept { file, folder, end: 0, spans: Vec::new(), row: PhantomData })
    }

    /// The rows of a file that has one a line.
    fn of_lines(path: &Path) -> io::Result<Kept<T>> {
        let file = File::open(path)?;
        let (mut lines, mut spans, mut end) = (BufReader::new(file.try_clone()?), Vec::new(), 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            if length == 0 {
                let (file, folder) = (Mutex::new(file), path.to_owned());
                return Ok(Kept { file, folder, end, spans, row: PhantomData });
            }
            spans.push(Span { at: end, length: u32::try_from(length).map_err(io::Error::other)? });
            end += length as u64;
        }
    }

    fn push(&mut self, row: &T) -> io::Result<usize> {
        let bytes = row.to_bytes()?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(&bytes)?;
        self.spans.push(Span { at: self.end, length });
        self.end += u64::from(length);
        Ok(self.spans.len() - 1)
    }
}

impl<T: Row> KeptRows<T> for Kept<T> {
    fn count(&self) -> usize {
        self.spans.len()
    }

    fn read(&self, at: usize) -> Result<T, RowError> {
        let wrong = |error: &dyn fmt::Display| {
            let folder = self.folder.display();
            RowError(format!("what was put aside in {folder} cannot be read: {error}"))
        };
        let span = self.spans.get(at).ok_or_else(|| wrong(&format!("there is no row {at}")))?;
        let mut bytes = vec![0; span.length as usize];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(span.at)).map_err(|error| wrong(&error))?;
            file.read_exact(&mut bytes).map_err(|error| wrong(&error))?;
        }
        T::from_bytes(&bytes).map_err(|error| wrong(&error))
    }
}

/// The file in which the results of a large run go to the server that keeps them.
fn handed_over(root: &Path, run_id: &str) -> Option<PathBuf> {
    // The id may come from elsewhere: it names a file here and nothing else.
    let is_plain = run_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let name = format!("{run_id}.results.jsonl");
    is_plain.then(|| root.join(".tidegate").join("evals").join(name))
}

/// Puts the results of a large run where the project's server finds them, and gives the report
/// without them.
///
/// # Errors
/// They cannot be read or written.
pub(crate) fn hand_over(root: &Path, report: &EvalReport) -> io::Result<EvalReport> {
    let Rows::Kept(_) = &report.results else { return Ok(report.clone()) };
    let unknown = || io::Error::other(format!("`{}` is no id of a run", report.run_id));
    let path = handed_over(root, &report.run_id).ok_or_else(unknown)?;
    super::replace_file_with(&path, |out| {
        for result in report.results.iter() {
            serde_json::to_writer(&mut *out, result.map_err(io::Error::other)?.as_ref())?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(EvalReport { results: Rows::default(), ..report.clone() })
}

/// The report with the results that were handed over, where it has none itself.
///
/// # Errors
/// They cannot be read.
pub(crate) fn take_over(root: &Path, mut report: EvalReport) -> io::Result<EvalReport> {
    let path = handed_over(root, &report.run_id).filter(|path| path.exists());
    if let Some(path) = path.filter(|_| report.results.is_empty()) {
        report.results = Rows::Kept(Arc::new(Kept::<CaseResult>::of_lines(&path)?));
    }
    Ok(report)
}

/// Removes what was handed over.
pub(crate) fn remove_handed_over(root: &Path, run_id: &str) {
    if let Some(path) = handed_over(root, run_id) {
        // It may never have been there.
        let _ = std::fs::remove_file(path);
    }
}

/// A file that no other process can open and that is gone when it is closed.
fn nameless(folder: &Path) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(folder)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".tidegate-spool.{}.{count}.tmp", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Of a process of the same number that was killed between the two steps.
            std::fs::remove_file(&path)?;
            options.open(&path)?
        }
        opened => opened?,
    };
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::gate::adversarial_cases;

    fn numbered(at: usize) -> Case {
        let mut case = adversarial_cases(true).remove(0);
        case.id = format!("问-{at}");
        case.handling.uncovered = at.is_multiple_of(2);
        case
    }

    #[test]
    fn rows_come_back_as_they_were_on_both_sides_of_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".tidegate")).unwrap();
        for count in [0, 1, HELD_MAX, HELD_MAX + 1, HELD_MAX + 700] {
            let mut spool = Spool::new(folder.path());
            for at in 0..count {
                assert_eq!(spool.push(numbered(at)).unwrap(), at);
                assert_eq!(*spool.get(at).unwrap(), numbered(at));
            }
            assert!(spool.get(count).is_err());
            let rows = spool.rows();
            assert_eq!(matches!(rows, Rows::Kept(_)), count > HELD_MAX, "{count}");
            assert_eq!(rows, (0..count).map(numbered).collect());
            let places: Vec<usize> = (0..count).rev().step_by(7).collect();
            let picked: Rows<Case> = places.iter().map(|at| numbered(*at)).collect();
            assert_eq!(rows.pick(places), picked);
        }
        let left = std::fs::read_dir(folder.path().join(".tidegate/evals")).unwrap().count();
        assert_eq!(left, 0, "files have no names");
    }
}
