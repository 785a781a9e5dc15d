//! Whether the texts that an index was built from have changed since: the index is served as it
//! was built, so that an edited page is in no answer.

use super::documents::Text;
use super::{Folder, chunk_chars};
use crate::config::Loaded;
use crate::store::document_digest;
use crate::version_set::snapshot::open;
use std::collections::BTreeMap;
use tidegate_core::ids::Digest;
use tidegate_core::retrieval::chunks;

/// Most documents that are named.
const NAMED: usize = 3;

/// What is to be said where the project's index is not of its texts as they are now; `None` where
/// it is, where none is built or searched, and where the texts cannot be read: a build says why.
pub(crate) fn outdated(loaded: &Loaded) -> Option<String> {
    let index = &loaded.project.artifacts.index;
    index.search.as_ref().filter(|search| search.http.is_none())?;
    let path = index.path.as_ref()?;
    let built = open(&loaded.root, &index.version).ok()?.documents().ok()?;
    let mut built: BTreeMap<String, Digest> =
        built.into_iter().map(|document| (document.path, document.digest)).collect();
    let folder = Folder::of(&loaded.root, path).ok()?;
    let chars = chunk_chars(&index.retrieval).ok()?;
    let mut others = Vec::new();
    for document in folder.documents() {
        // What is no text was named when the index was built.
        let Ok(Text { path, text }) = document.read(&folder) else { continue };
        let chunks = chunks(&text, chars);
        let now = (!chunks.is_empty()).then(|| document_digest(&path, &chunks));
        if built.remove(&path) != now {
            others.push(path);
        }
    }
    others.extend(built.into_keys());
    if others.is_empty() {
        return None;
    }
    others.sort();
    let named: Vec<String> =
        others.iter().take(NAMED).map(|path| format!("`{}`", path.escape_debug())).collect();
    let more = match others.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "index {} is served as it was built; since then {}{more} in {} changed; to serve the texts \
         of now: `tidegate index build --version VERSION`, and name that version",
        index.version,
        named.join(", "),
        folder.shown(),
    ))
}
