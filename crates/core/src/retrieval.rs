//! Retrieval: how documents are cut into chunks, and what of a text is searched for.
//!
//! Both sides of an index use this: what is indexed and what is asked is cut in the same way.

mod chunks;
mod citations;
mod claims;
mod fused;
mod shown;
mod terms;

pub use chunks::{CHUNK_CHARS, CHUNK_CHARS_RANGE, ChunkId, chunks, is_version};
pub use citations::{Cited, cited};
pub use claims::{Claims, claims, unsupported};
pub use fused::fused;
pub use shown::{Chunk, Retrieved, retrieved};
pub use terms::{Short, Terms, short_words, terms};
