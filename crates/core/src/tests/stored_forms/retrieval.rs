//! What a record says of a search.

use crate::evidence::RecordedRetrieval;
use crate::retrieval::{Cited, Claims};

/// Every member of it.
pub(super) fn retrieval() -> RecordedRetrieval {
    let some = || Some("x".to_owned());
    RecordedRetrieval {
        chunks: vec!["a.md#1".to_owned()],
        cited: Cited { shown: 1, not_shown: 2 },
        claims: Some(Claims { made: 4, uncited: 2, ungrounded: 1 }),
        failed: some(),
        words_only: some(),
    }
}
