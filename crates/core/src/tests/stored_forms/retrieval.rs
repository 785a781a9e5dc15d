//! What a record says of a search.

use super::{name, some};
use crate::evidence::RecordedRetrieval;
use crate::retrieval::{Cited, Claims};

/// Every member of it.
pub(super) fn retrieval() -> RecordedRetrieval {
    RecordedRetrieval {
        chunks: vec![name()],
        cited: Cited { shown: 1, not_shown: 2 },
        claims: Some(Claims { made: 4, uncited: 2, ungrounded: 1 }),
        failed: some(),
        words_only: some(),
    }
}
