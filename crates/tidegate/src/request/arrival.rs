//! What is known of a request before its body is read.

use super::auth::Caller;
use super::cache::Wanted;
use super::dialect::Dialect;
use super::ids::Ids;
use http::HeaderValue;
use std::time::{Duration, Instant};
use tidegate_core::access::Priority;
use tidegate_core::ids::UnixMs;

/// What is known of a request before its body is read.
pub(super) struct Arrival {
    /// The API that its client speaks.
    pub(super) dialect: Dialect,
    /// The model that its path names, where the API has it there.
    pub(super) model: Option<String>,
    /// Its ids.
    pub(super) ids: Ids,
    /// `Idempotency-Key`, as it came.
    pub(super) key: Option<HeaderValue>,
    /// `anthropic-beta`, as it came.
    pub(super) betas: Option<HeaderValue>,
    /// `x-tidegate-priority`, as it came.
    pub(super) wish: Option<HeaderValue>,
    /// Its priority, once its service and its caller are known.
    pub(super) priority: Priority,
    /// What it wants of the cache.
    pub(super) cache: Wanted,
    /// Who sent it.
    pub(super) caller: Caller,
    /// When, by the service's clock.
    pub(super) at: UnixMs,
    /// When, for measuring.
    pub(super) started: Instant,
    /// How long the client took to send its body.
    pub(super) reading: Duration,
}
