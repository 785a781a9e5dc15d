//! Whether a stream's usage is asked for where the client does not ask. Costs need it, and some
//! servers refuse a request that has `stream_options`.

use crate::upstream::UpstreamError;
use std::sync::atomic::{AtomicU8, Ordering};
use tidegate_core::upstream::Failure;

const OFF: u8 = 0;
const UNKNOWN: u8 = 1;
const ACCEPTED: u8 = 2;

/// What is known of one server, learnt from its answers until the process ends.
#[derive(Debug)]
pub(super) struct StreamUsage(AtomicU8);

impl StreamUsage {
    /// Whether it is asked for at all.
    pub(super) fn new(on: bool) -> StreamUsage {
        StreamUsage(AtomicU8::new(if on { UNKNOWN } else { OFF }))
    }

    /// Whether it is to be asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) != OFF
    }

    /// The server answered a request that asked.
    pub(super) fn accepted(&self) {
        self.0.store(ACCEPTED, Ordering::Relaxed);
    }

    /// The server refused a request that asked, and answered it without.
    pub(super) fn refused(&self) {
        self.0.store(OFF, Ordering::Relaxed);
    }

    /// Whether the server may have refused the request because it asked. A server that answered
    /// such a request before has to say so; one that is not known gets the benefit of the doubt,
    /// unless it names another reason.
    pub(super) fn may_be_why(&self, error: &UpstreamError) -> bool {
        const OTHER_REASONS: [&str; 2] = ["context_length_exceeded", "content_filter"];
        if error.failure != Failure::Refused || !matches!(error.status, Some(400 | 422)) {
            return false;
        }
        let says = [&error.said.code, &error.said.text];
        let names_it = says
            .into_iter()
            .flatten()
            .any(|text| text.contains("stream_options") || text.contains("include_usage"));
        let code = error.said.code.as_deref();
        let other = code.is_some_and(|code| OTHER_REASONS.contains(&code));
        names_it || (self.0.load(Ordering::Relaxed) == UNKNOWN && !other)
    }
}
