//! One outage from its first failure to its end, with what an incident of it needs: how many
//! requests failed and how, which, and what the model server said of it.
//!
//! Outages that follow each other within ten minutes are one: a model server that comes and goes
//! is one incident.

use super::{BEGIN_MS, END_MS, ENDS_BELOW, Outage, OutageChange, OutageWatch, REQUESTS_MIN};
use crate::ids::{TraceId, UnixMs, VersionSetId};
use crate::observe::Outcome;
use crate::upstream::{Failure, FaultOwner};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How soon after an end an outage that begins is the same one, ms.
const SAME_WITHIN_MS: u64 = 600_000;
/// By how much longer an end must hold before it counts, for each time the outage came again, ms.
const HOLDS_MS: u64 = 60_000;
/// Failed requests that are named, at most.
const TRACES_MAX: usize = 20;
/// Different words of the model server that are kept, at most.
const SAID_MAX: usize = 5;

/// An outage of stable's model server, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutageRun {
    /// The version set that was served when it began.
    pub set: VersionSetId,
    /// The upstream's name in the project.
    pub upstream: String,
    /// When the first of the failures that made it came; no other outage of a service has it.
    pub since: UnixMs,
    /// When the last failure came.
    pub last_failed_at: UnixMs,
    /// When less than a tenth of the requests failed again; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UnixMs>,
    /// Requests that ended meanwhile, without those that failed by the client's fault.
    pub requests: u64,
    /// Those of them that failed, by how they did.
    pub failures: BTreeMap<Failure, u64>,
    /// How often it came again within ten minutes of its end.
    #[serde(default)]
    pub came_again: u64,
    /// What the model server said, redacted; the first five different lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// Requests that failed, the first twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceId>,
}

impl OutageRun {
    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// How most of them failed.
    pub fn failure(&self) -> Failure {
        let most = self.failures.iter().max_by_key(|(failure, count)| (**count, **failure));
        most.map_or(Failure::Internal, |(failure, _)| *failure)
    }

    /// How long it lasted, or has lasted until `now`, ms.
    pub fn lasted_ms(&self, now: UnixMs) -> u64 {
        self.ended_at.unwrap_or(now).since(self.since)
    }

    /// Whether it is over. The first end counts at once; one that came again must stay away for a
    /// minute longer each time, so that its begins and ends do not fill the journal.
    pub fn is_over(&self, now: UnixMs) -> bool {
        let holds_ms = self.came_again.saturating_mul(HOLDS_MS).min(SAME_WITHIN_MS);
        self.ended_at.is_some_and(|ended_at| now.since(ended_at) >= holds_ms)
    }

    fn note(&mut self, failed: &FailedRequest) {
        if let Some(said) = &failed.said
            && self.said.len() < SAID_MAX
            && !self.said.contains(said)
        {
            self.said.push(said.clone());
        }
        if self.traces.len() < TRACES_MAX {
            self.traces.push(failed.trace_id.clone());
        }
    }
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRequest {
    /// Its id.
    pub trace_id: TraceId,
    /// The version set that was asked.
    pub set: VersionSetId,
    /// Its upstream's name in the project.
    pub upstream: String,
    /// What the model server said of it, redacted.
    pub said: Option<String>,
}

/// Watches one arm, and keeps its last outage.
#[derive(Debug, Clone, Default)]
pub struct OutageLog {
    watch: OutageWatch,
    /// The last failures: those that an outage begins with were before it.
    recent: VecDeque<(UnixMs, FailedRequest)>,
    run: Option<OutageRun>,
}

impl OutageLog {
    /// Counts one request, in the order in which requests end.
    pub fn add(
        &mut self,
        outcome: &Outcome,
        at: UnixMs,
        failed: impl FnOnce() -> FailedRequest,
    ) -> Option<OutageChange> {
        let failure = match outcome.failure.map(|failure| (failure, failure.fault())) {
            Some((_, FaultOwner::Client | FaultOwner::Operator)) => return None,
            Some((failure, FaultOwner::Upstream | FaultOwner::Ours)) => Some(failure),
            None => None,
        };
        let change = self.watch.add(outcome, at);
        let failed = failure.map(|failure| (failure, failed()));
        match change {
            Some(OutageChange::Began(outage)) => self.begins(outage, failed),
            Some(OutageChange::Ended(_)) | None => self.goes_on(at, failed),
        }
        change
    }

    /// The outage that lasts, as the watch sees it.
    pub fn outage(&self) -> Option<Outage> {
        self.watch.outage()
    }

    /// The last outage, over or not.
    pub fn run(&self) -> Option<&OutageRun> {
        self.run.as_ref()
    }

    /// Goes on from an outage that an earlier process has seen.
    pub fn resume(&mut self, run: OutageRun) {
        self.run = Some(run);
    }

    fn begins(&mut self, outage: Outage, failed: Option<(Failure, FailedRequest)>) {
        let is_same = |run: &OutageRun| {
            run.ended_at.is_none_or(|ended_at| outage.since.since(ended_at) < SAME_WITHIN_MS)
        };
        // Nothing begins without a failure.
        let Some((failure, failed)) = failed else { return };
        let run = match self.run.take().filter(is_same) {
            // One that an earlier process saw begin counts from there on.
            Some(run) if run.ended_at.is_none() => {
                self.run = Some(run);
                return self.goes_on(outage.last_at, Some((failure, failed)));
            }
            Some(run) => OutageRun { ended_at: None, came_again: run.came_again + 1, ..run },
            None => OutageRun {
                set: failed.set.clone(),
                upstream: failed.upstream.clone(),
                since: outage.since,
                last_failed_at: outage.last_at,
                ended_at: None,
                requests: 0,
                failures: BTreeMap::new(),
                came_again: 0,
                said: Vec::new(),
                traces: Vec::new(),
            },
        };
        self.keep(outage.last_at, failed);
        self.run = Some(self.with_its_first(run, outage));
    }

    /// With the requests that made it an outage.
    fn with_its_first(&self, mut run: OutageRun, outage: Outage) -> OutageRun {
        run.requests += outage.requests;
        run.last_failed_at = outage.last_at;
        for (failure, count) in self.watch.recent(BEGIN_MS).failures {
            *run.failures.entry(failure).or_default() += count;
        }
        let first = self.recent.iter().filter(|(at, _)| *at >= outage.since);
        first.for_each(|(_, failed)| run.note(failed));
        run
    }

    fn goes_on(&mut self, at: UnixMs, failed: Option<(Failure, FailedRequest)>) {
        if let Some(run) = self.run.as_mut().filter(|run| run.ended_at.is_none()) {
            run.requests += 1;
            if let Some((failure, failed)) = &failed {
                *run.failures.entry(*failure).or_default() += 1;
                run.last_failed_at = run.last_failed_at.max(at);
                run.note(failed);
            }
            // Not by the watch alone: one that an earlier process saw begin ends here too.
            let recent = self.watch.recent(END_MS);
            let is_well = recent.requests >= REQUESTS_MIN && recent.share() < ENDS_BELOW;
            run.ended_at = (is_well && self.watch.outage.is_none()).then_some(at);
        }
        if let Some((_, failed)) = failed {
            self.keep(at, failed);
        }
    }

    fn keep(&mut self, at: UnixMs, failed: FailedRequest) {
        self.recent.push_back((at, failed));
        if self.recent.len() > TRACES_MAX {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
