//! Cases beyond the project: those of other programs read as ours, and ours written for others.
//!
//! | file | what it does |
//! |---|---|
//! | `error` | why a file is not read or written |
//! | `import` | cases of promptfoo, OpenAI evals, Langfuse and Inspect as ours |
//! | `export` | cases as JSONL, or as CSV that no spreadsheet takes for formulas |

mod error;
pub(crate) mod export;
pub(crate) mod import;

pub(crate) use error::TransferError;
