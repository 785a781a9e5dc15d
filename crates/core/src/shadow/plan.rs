//! What a shadow does, fixed at its start.

use crate::ids::{UnixMs, VersionSetId};
use crate::money::Money;
use crate::pairs::{Limit, PairMetric};
use crate::random::{Random, hash};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most requests of one shadow: a difference of a hundredth is proven by far fewer.
pub const SHADOW_REQUESTS_MAX: u64 = 1_000_000;
/// Longest shadow, hours: 31 days.
pub const SHADOW_HOURS_MAX: u64 = 31 * 24;
/// Into how many parts a cap is granted: after a kill one part at most is lost.
const PARTS: u64 = 20;

/// How much was mirrored, or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Used {
    /// Requests.
    pub requests: u64,
    /// Money.
    pub cost: Money,
}

impl Used {
    /// The sum.
    #[must_use]
    pub fn plus(self, other: Used) -> Used {
        Used {
            requests: self.requests.saturating_add(other.requests),
            cost: self.cost.plus(other.cost),
        }
    }

    /// What is left after taking so much.
    #[must_use]
    pub fn less(self, other: Used) -> Used {
        Used {
            requests: self.requests.saturating_sub(other.requests),
            cost: self.cost.less(other.cost),
        }
    }

    /// The smaller of each.
    #[must_use]
    pub fn min(self, other: Used) -> Used {
        Used { requests: self.requests.min(other.requests), cost: self.cost.min(other.cost) }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Used) -> Used {
        Used { requests: self.requests.max(other.requests), cost: self.cost.max(other.cost) }
    }

    /// Whether neither is more.
    pub fn fits(self, most: Used) -> bool {
        self.requests <= most.requests && self.cost <= most.cost
    }
}

/// When requests were recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// At this moment or later.
    pub since: UnixMs,
    /// Before this moment.
    pub until: UnixMs,
}

/// Which sets are compared, by how many requests, for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowPlan {
    /// The set that answers users.
    pub from: VersionSetId,
    /// The set that is mirrored to.
    pub to: VersionSetId,
    /// What people call it.
    pub label: String,
    /// The share of stable's requests that is mirrored, above 0, at most 1.
    pub sample: f64,
    /// The caps.
    pub most: Used,
    /// When it was planned.
    pub created_at: UnixMs,
    /// When it ends, whatever it has seen.
    pub ends_at: UnixMs,
    /// The chance that a candidate within all limits is found over one.
    pub alpha: f64,
    /// The limits of what decides. What has none is shown.
    pub limits: BTreeMap<PairMetric, Limit>,
    /// When the requests were recorded that it asks again; absent where it mirrors requests as
    /// they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShadowPlanError {
    /// The share is none.
    #[error("sample: given {:.3} %, allowed is more than 0 and at most 100 %", .0 * 100.0)]
    Sample(f64),
    /// The cap on requests is none.
    #[error("max_requests: given {0}, allowed are 1 to {SHADOW_REQUESTS_MAX}")]
    Requests(u64),
    /// It would not end, or end before it begins.
    #[error("for: given {0} ms, allowed are 1 s to {SHADOW_HOURS_MAX} h")]
    Lasts(u64),
    /// The chance of an error is none.
    #[error("alpha: given {0}, allowed is a number above 0 and below 0.5")]
    Alpha(f64),
    /// Nothing decides.
    #[error("no line has a limit, so that nothing would be decided")]
    NoLimit,
}

impl ShadowPlan {
    /// Whether it is sound.
    ///
    /// # Errors
    /// The first [`ShadowPlanError`] found.
    pub fn check(&self) -> Result<(), ShadowPlanError> {
        let lasts = self.ends_at.since(self.created_at);
        if !(self.sample > 0.0 && self.sample <= 1.0) {
            return Err(ShadowPlanError::Sample(self.sample));
        }
        if !(1..=SHADOW_REQUESTS_MAX).contains(&self.most.requests) {
            return Err(ShadowPlanError::Requests(self.most.requests));
        }
        if !(1_000..=SHADOW_HOURS_MAX * 3_600_000).contains(&lasts) {
            return Err(ShadowPlanError::Lasts(lasts));
        }
        if !(self.alpha > 0.0 && self.alpha < 0.5) {
            return Err(ShadowPlanError::Alpha(self.alpha));
        }
        if self.limits.is_empty() {
            return Err(ShadowPlanError::NoLimit);
        }
        Ok(())
    }

    /// Whether stable's request with this number, counted from the start of the process, is
    /// mirrored. It is drawn: a share of every n-th would follow whatever comes in turns.
    pub fn takes(&self, number: u64) -> bool {
        let seed = hash(&[self.from.as_str(), self.to.as_str()]) ^ self.created_at.0;
        Random::nth(seed, number).unit() < self.sample
    }

    /// How much may be granted at once: a part of the caps.
    pub fn part(&self) -> Used {
        let Used { requests, cost } = self.most;
        Used { requests: requests.div_ceil(PARTS), cost: Money(cost.0.div_ceil(PARTS)) }
    }
}
