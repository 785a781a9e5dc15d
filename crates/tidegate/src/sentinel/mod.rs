//! Drift sentinel: the fixed cases, asked of the model behind stable by schedule or by hand. What
//! changed is `tidegate_core::drift`'s to say.
//!
//! The cases are those of `sentinel.cases`, else of the project. Each is asked as an eval asks it:
//! with temperature 0, the version set's prompt, index and tools, and through the same upstream
//! that serves users. It is no request of a user: it is in no record, no window and no budget, and
//! in the books it is apart. Limits on latency are left out, since a slow hour changes no model.

mod ask;

pub(crate) use ask::{SentinelError, SentinelResult, ask_stable};
