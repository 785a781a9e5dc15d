//! Which records of a release an incident is made of, by the metrics that are blamed for it.
//!
//! A rate is made of single answers: each that failed, was refused or was disliked. A time or a
//! cost is made of all of them, so those beyond what nearly all of stable's needed are taken, the
//! worst first.

use super::write_back::{Harm, Harmed};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use tidegate_core::decide::Metric;
use tidegate_core::evidence::Record;
use tidegate_core::ids::TraceId;
use tidegate_core::retrieval::Claims;

/// Records beyond a limit that are taken, at most: write-back chooses from these.
const BEYOND_MAX: usize = 100;
/// Below so many of stable's answers their 95th percentile says nothing; the candidate's own median
/// is the limit then.
const STABLE_MIN: usize = 20;
/// Records that are only suspected, at most.
const SUSPECTED_MAX: usize = 3;

/// What was answered while the release ran.
pub(crate) struct Answers<'a> {
    /// The candidate's records, of which cases are made.
    pub(crate) candidate: &'a [Record],
    /// Stable's records, which say what is usual.
    pub(crate) stable: &'a [Record],
    /// Traces of the candidate that a user was not content with.
    pub(crate) disliked: &'a BTreeSet<(Option<String>, TraceId)>,
}

impl<'a> Answers<'a> {
    /// The records that cases are made of: all that failed, those that the metrics are made of and
    /// those that users disliked. Where none of these is there, some that are suspected: an
    /// incident always has something to close it with.
    pub(crate) fn harmed(&self, blamed: &[Metric]) -> Vec<Harmed<'a>> {
        let with = |harm| move |record: &'a Record| Harmed { record, harm };
        let all = self.candidate;
        let mut harmed: Vec<Harmed<'a>> =
            all.iter().filter(|record| record.is_failing()).map(with(Harm::Failing)).collect();
        for metric in blamed {
            harmed.extend(match metric {
                Metric::LatencyP95 | Metric::LatencyP99 | Metric::FirstTokenP95 => {
                    self.beyond(took_ms, |limit_ms| Harm::Slow { limit_ms })
                }
                Metric::TokensPerRequest | Metric::CostPerRequest | Metric::CostPerSuccess => {
                    self.beyond(tokens, |max_total_tokens| Harm::Costly { max_total_tokens })
                }
                Metric::RefusalRate => {
                    all.iter().filter(|record| record.refused).map(with(Harm::Refused)).collect()
                }
                Metric::PiiRate => {
                    all.iter().filter(|record| record.pii).map(with(Harm::PersonalData)).collect()
                }
                Metric::UncitedRate => {
                    self.claiming(|claims| claims.uncited_milli(), Harm::Uncited)
                }
                // What is no source's may be true: a person has to say.
                Metric::UngroundedRate => {
                    self.claiming(|claims| claims.ungrounded_milli(), Harm::Suspected)
                }
                // Each of these is a failing record, or a disliked one.
                Metric::ErrorRate
                | Metric::RejectedRate
                | Metric::ContractBrokenRate
                | Metric::TimeoutRate
                | Metric::PromptEchoRate
                | Metric::DislikeRate
                | Metric::NotAdoptedRate
                | Metric::TaskFailedRate
                | Metric::Dissatisfaction => Vec::new(),
            });
        }
        let whose = |record: &Record| (record.tenant.clone(), record.trace_id.clone());
        let is_disliked = |record: &&Record| self.disliked.contains(&whose(record));
        harmed.extend(all.iter().filter(is_disliked).map(with(Harm::Disliked)));
        if harmed.iter().all(|harmed| harmed.record.input.is_none()) {
            let kept = all.iter().filter(|record| record.input.is_some());
            harmed.extend(kept.take(SUSPECTED_MAX).map(with(Harm::Suspected)));
        }
        harmed
    }

    /// The candidate's answers that claim what they should not, the most of it first.
    fn claiming(&self, share: fn(Claims) -> u64, harm: Harm) -> Vec<Harmed<'a>> {
        let share = |record: &Record| record.retrieval.as_ref()?.claims.map(share);
        let mut all: Vec<(u64, &Record)> =
            self.candidate.iter().filter_map(|record| Some((share(record)?, record))).collect();
        all.retain(|(share, _)| *share > 0);
        all.sort_by_key(|(share, _)| Reverse(*share));
        all.into_iter().take(BEYOND_MAX).map(|(_, record)| Harmed { record, harm }).collect()
    }

    /// The candidate's answers beyond what 95 % of stable's needed, the worst first.
    fn beyond(&self, measure: fn(&Record) -> u64, harm: fn(u64) -> Harm) -> Vec<Harmed<'a>> {
        let usual = match self.stable.len() < STABLE_MIN {
            true => quantile(self.candidate, measure, 0.5),
            false => quantile(self.stable, measure, 0.95),
        };
        let Some(limit) = usual else { return Vec::new() };
        let answered = self.candidate.iter().filter(|record| record.failure.is_none());
        let mut beyond: Vec<&Record> = answered.filter(|record| measure(record) > limit).collect();
        beyond.sort_by_key(|record| Reverse(measure(record)));
        let harmed = |record| Harmed { record, harm: harm(limit) };
        beyond.into_iter().take(BEYOND_MAX).map(harmed).collect()
    }
}

fn took_ms(record: &Record) -> u64 {
    record.timing.total_us / 1000
}

fn tokens(record: &Record) -> u64 {
    record.tokens_in.saturating_add(record.tokens_out)
}

/// The value of the answered records that this share of them does not exceed; `None` without one.
pub(crate) fn quantile<'r>(
    records: impl IntoIterator<Item = &'r Record>,
    measure: fn(&Record) -> u64,
    share: f64,
) -> Option<u64> {
    let answered = records.into_iter().filter(|record| record.failure.is_none());
    let mut values: Vec<u64> = answered.map(measure).collect();
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    values.get((share * last as f64).round() as usize).copied()
}

#[cfg(test)]
mod tests;
