//! What to do about an index that is not built, or not found.

use super::version_set::of_files;
use super::{Explain, Meaning, none, one};
use crate::error::ErrorKind;
use crate::index::IndexError;
use crate::version_set::FilesError;

impl Explain for IndexError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            IndexError::Files(FilesError::Missing { .. }) => {
                one(Usage, "name a folder that is there: `tidegate index build FOLDER`")
            }
            IndexError::Files(error) => of_files(error),
            IndexError::Store(error) => error.explain(),
            IndexError::Version { .. } => one(Usage, "a version looks like `v2025.12.24.01`"),
            IndexError::NotBuilt { version, known } if known.is_empty() => one(
                Usage,
                format!("build it: `tidegate index build knowledge --version {version}`"),
            ),
            IndexError::NotBuilt { version: _, known } => {
                one(Usage, format!("built are: {}", known.join(", ")))
            }
            IndexError::ChunkChars { .. } => {
                one(Usage, "set it in tidegate.yaml: `artifacts.index.retrieval.chunk_chars`")
            }
            IndexError::NotTexts { .. } => (
                Usage,
                vec![
                    "convert them to UTF-8, or move them out of the folder".to_owned(),
                    "or build the index without them: `--skip-unreadable`".to_owned(),
                ],
            ),
            IndexError::NoText { .. } => {
                one(Usage, "put texts in UTF-8 there, such as Markdown; hidden files are left out")
            }
            IndexError::TooDeep { .. } | IndexError::TooMany { .. } => {
                one(Usage, "build the index from a folder that has the documents only")
            }
            IndexError::Service(error) => error.explain(),
            IndexError::Embedding { .. } => one(
                Usage,
                "check `artifacts.index.search.embeddings`, and build again; nothing was written",
            ),
            IndexError::Unread { .. } => none(Usage),
            IndexError::Unwritten { .. } => none(Internal),
        }
    }
}
