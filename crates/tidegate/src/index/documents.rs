//! The texts of a folder: found in a fixed order, within bounds, and never through a link that
//! leads out of it. What is no text is named.

use super::error::{IndexError, Skipped};
use crate::version_set::Bounds;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidegate_core::text::folded;

/// What errors call the folder.
const KEY: &str = "index build";
/// Most documents of one index.
const DOCUMENTS_MAX: usize = 50_000;
/// Largest document, bytes. A text of this size is a book; a larger one is most likely a dump.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Deepest folder below the folder that is built.
const DEPTH_MAX: usize = 16;

/// A folder, and the files in it.
#[derive(Debug)]
pub(crate) struct Folder {
    base: PathBuf,
    bounds: Bounds,
    documents: Vec<Document>,
}

/// A file of the folder.
#[derive(Debug)]
pub(super) struct Document {
    /// Its path in the folder, with `/`.
    path: String,
    file: PathBuf,
    /// Why it is not taken, where that is seen by its name alone.
    problem: Option<String>,
}

/// A document's text.
pub(super) struct Text {
    /// Its path in the folder, with `/`.
    pub(super) path: String,
    /// What it says, with `\n` between lines.
    pub(super) text: String,
}

impl Folder {
    /// The files in a folder or, of a single file, that one.
    ///
    /// # Errors
    /// It is not there or cannot be read, or it has too many files.
    pub(crate) fn of(root: &Path, given: &Path) -> Result<Folder, IndexError> {
        let base = root.join(given);
        let bounds = Bounds::new(root, given, KEY)?;
        let mut files = BTreeMap::new();
        match bounds.check(&base)?.is_dir() {
            true => walk(&base, "", 0, &mut files)?,
            false => {
                let name = base.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.insert(name, base.clone());
            }
        }
        let documents = distinct(files, &bounds);
        Ok(Folder { base, bounds, documents })
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.documents.len()
    }

    /// The folder as it is shown.
    pub(super) fn shown(&self) -> String {
        self.bounds.shown(&self.base)
    }

    /// The files, by path.
    pub(super) fn documents(&self) -> &[Document] {
        &self.documents
    }
}

/// The files by path. Two names for one file, or two that only differ in how they are written, are
/// one document too many: what cites one would mean the other as well.
fn distinct(files: BTreeMap<String, PathBuf>, bounds: &Bounds) -> Vec<Document> {
    let (mut names, mut real) = (BTreeMap::new(), BTreeMap::new());
    let documents = files.into_iter().map(|(path, file)| {
        let name = folded(&path).to_lowercase();
        let alike = names.get(&name).map(|other| format!("its name is that of {other}"));
        let place = bounds.check(&file);
        let same = place.as_ref().ok().and_then(|place| real.get(place));
        let same = same.map(|other: &String| format!("it is the same file as {other}"));
        let problem = match (&place, same.or(alike)) {
            (Err(error), _) => Some(error.to_string()),
            (Ok(_), problem) => problem,
        };
        if let (Ok(place), None) = (place, &problem) {
            names.insert(name, path.clone());
            real.insert(place, path.clone());
        }
        Document { path, file, problem }
    });
    documents.collect()
}

/// Collects the files below a folder. Hidden ones (`.git`, `.DS_Store`) are left out.
fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), IndexError> {
    let fault = |source| IndexError::Unread { path: folder.to_owned(), source };
    if depth > DEPTH_MAX {
        return Err(IndexError::TooDeep { folder: folder.to_owned(), max: DEPTH_MAX });
    }
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let inside = format!("{prefix}{}", name.to_string_lossy());
        // A link to a folder outside is named like a link to a file.
        let is_folder = path.is_dir() && !path.is_symlink();
        if is_folder {
            walk(&path, &format!("{inside}/"), depth + 1, files)?;
        } else {
            files.insert(inside, path);
        }
        if files.len() > DOCUMENTS_MAX {
            return Err(IndexError::TooMany { max: DOCUMENTS_MAX });
        }
    }
    Ok(())
}

impl Document {
    /// Reads the document: UTF-8, with or without a byte order mark, with any line ends.
    pub(super) fn read(&self, folder: &Folder) -> Result<Text, Skipped> {
        let skipped = |why: String| Skipped { path: self.path.clone(), why };
        if let Some(why) = &self.problem {
            return Err(skipped(why.clone()));
        }
        if self.file.to_str().is_none() {
            return Err(skipped("its name is not UTF-8".to_owned()));
        }
        let read = folder.bounds.read(&self.file, DOCUMENT_BYTES_MAX);
        let bytes = read.map_err(|error| skipped(error.to_string()))?;
        let text = as_text(&bytes).map_err(skipped)?;
        Ok(Text { path: self.path.clone(), text })
    }
}

fn as_text(bytes: &[u8]) -> Result<String, String> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err("it is UTF-16, and not UTF-8".to_owned());
    }
    // Before UTF-8: a picture is better called binary.
    let is_control = |b: &u8| matches!(b, 0..=8 | 14..=26 | 28..=31);
    if let Some(at) = bytes.iter().position(is_control) {
        return Err(format!("it is binary: byte {at} is no character of a text"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        format!("it is not UTF-8 in line {line}")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}
