//! Answers of the cache: given instead of a call, and counted as no evidence of the arm, since
//! nothing was asked of it.

use super::said::is_refusal;
use super::{Ending, Exchange};
use crate::request::cache::{Asked, Kept, Wanted};
use http::StatusCode;
use http::header::HeaderName;
use std::time::Instant;
use tidegate_core::guard::Findings;
use tidegate_core::ids::Digest;
use tidegate_wire::{AnswerFacts, Finish};

/// Whether the answer is one that was given before: `hit` or `miss`; absent without a cache.
pub(in crate::request) const X_CACHE: HeaderName = HeaderName::from_static("x-tidegate-cache");

/// What the cache has for a request.
pub(in crate::request) enum FromCache {
    /// Its answer.
    Hit(Kept),
    /// Nothing; its answer is kept under this name.
    Miss(Digest),
    /// It is not asked.
    Off,
}

impl Exchange {
    /// What the cache has for the request whose body has this digest. Streams are not kept, nor is
    /// anything while the service is degraded.
    pub(in crate::request) fn look_up(&self, body: Option<&Digest>) -> FromCache {
        let is_open = !self.query.stream && self.degraded.is_none() && self.signals.is_empty();
        let (Some(cache), Some(body), true) = (&self.gateway.cache, body, is_open) else {
            return FromCache::Off;
        };
        let arrival = &self.arrival;
        let name = Asked {
            tenant: arrival.caller.tenant.as_deref(),
            key: arrival.caller.key.as_deref(),
            arm: self.arm.as_str(),
            set: self.set.set.id.as_str(),
            api: arrival.dialect.name(),
            features: arrival.betas.as_ref().map_or(&[], |betas| betas.as_bytes()),
            body,
        };
        let name = name.name();
        let kept = match arrival.cache {
            Wanted::Nothing => return FromCache::Off,
            Wanted::Fresh => None,
            Wanted::Kept => cache.find(&name, Instant::now()),
        };
        self.gateway.metrics.cached(self.arm, kept.is_some());
        kept.map_or(FromCache::Miss(name), FromCache::Hit)
    }

    /// Ends a request that was answered from the cache.
    pub(in crate::request) fn end_cached(mut self) {
        self.is_cached = true;
        self.close(Ending { status: StatusCode::OK, ..Ending::default() });
    }

    /// Whether an answer may be given again: it is whole, useful and the own model's, nothing was
    /// found in it, it keeps the contract, and what was searched for it was found.
    pub(in crate::request) fn may_be_kept(&self, facts: &AnswerFacts, found: &Findings) -> bool {
        let Findings { events, signals, gives_away, has_private: _ } = found;
        let is_own = self.fell_back.is_none() && self.repair.is_none();
        let is_quiet = events.is_empty() && signals.is_empty() && !gives_away;
        let is_searched = self.searched.as_ref().is_none_or(|it| it.failed.is_none());
        // Embeddings have no choices.
        let is_whole = facts.choices.iter().all(|choice| choice.finish == Some(Finish::Stop))
            && facts.tool_calls().next().is_none();
        self.gateway.cache.is_some()
            && (is_own && is_quiet && is_searched && is_whole)
            && !is_refusal(facts)
            && self.compared(facts).problem.is_none()
    }
}
