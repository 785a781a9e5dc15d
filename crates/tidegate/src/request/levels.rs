//! What is left of a caller's bounds, in the headers that clients of OpenAI know.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use tidegate_core::access::Level;

/// How full the buckets of requests and of tokens are.
pub(super) type Levels = [Option<Level>; 2];

/// The bound, what is left of it and when it is whole again, as OpenAI names them.
const X_RATELIMIT: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];

/// Puts them on an answer; nothing of a bucket that is not there.
pub(super) fn put(levels: &Levels, headers: &mut HeaderMap) {
    for (level, names) in levels.iter().zip(&X_RATELIMIT) {
        if let Some(Level { limit, left, full_in_us }) = level {
            headers.insert(&names[0], HeaderValue::from(*limit));
            headers.insert(&names[1], HeaderValue::from(*left));
            let seconds = format!("{:.3}s", *full_in_us as f64 / 1e6);
            if let Ok(seconds) = HeaderValue::from_str(&seconds) {
                headers.insert(&names[2], seconds);
            }
        }
    }
}
