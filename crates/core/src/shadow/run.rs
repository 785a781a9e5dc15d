//! A shadow as replaying the journal knows it.

use super::compare::{PairCounts, ShadowVerdict};
use super::plan::{ShadowPlan, Used};
use crate::guard::RiskKind;
use crate::ids::UnixMs;
use crate::pairs::PairLine;
use serde::{Deserialize, Serialize};

/// Why a shadow ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum EndReason {
    /// Its verdict was known.
    Settled,
    /// The candidate's answer crossed a red line.
    RedLine {
        /// What it held.
        kind: RiskKind,
    },
    /// Its time was over.
    Time,
    /// Its cap on requests or money was reached.
    Caps,
    /// An operator's order.
    Order {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Stable is another set now.
    OtherStable,
    /// There are no more recorded requests.
    AllAsked,
}

/// How a shadow ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowEnd {
    /// When.
    pub at: UnixMs,
    /// Why.
    pub why: EndReason,
    /// What it found.
    pub verdict: ShadowVerdict,
    /// The numbers.
    pub lines: Vec<PairLine>,
    /// Pairs.
    pub pairs: u64,
}

/// A shadow, running or over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// What it does.
    pub plan: ShadowPlan,
    /// Who started it.
    pub by: String,
    /// The pairs so far; empty once it is over, and its lines say what they were.
    pub seen: PairCounts,
    /// What was used, as far as it is journalled.
    pub used: Used,
    /// What may be used.
    pub granted: Used,
    /// How it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<ShadowEnd>,
}

impl Shadow {
    /// One that begins.
    pub fn begin(plan: ShadowPlan, by: &str) -> Shadow {
        Shadow {
            granted: plan.part(),
            plan,
            by: by.to_owned(),
            seen: PairCounts::default(),
            used: Used::default(),
            ended: None,
        }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.ended.is_none()
    }

    /// What it says now, or found.
    pub fn lines(&self) -> Vec<PairLine> {
        match &self.ended {
            Some(end) => end.lines.clone(),
            None => self.seen.lines(&self.plan),
        }
    }

    /// What it says now, or found.
    pub fn verdict(&self) -> ShadowVerdict {
        match &self.ended {
            Some(end) => end.verdict,
            None => ShadowVerdict::of(&self.seen.lines(&self.plan)),
        }
    }

    /// Pairs.
    pub fn pairs(&self) -> u64 {
        self.ended.as_ref().map_or_else(|| self.seen.pairs(), |end| end.pairs)
    }

    /// What was seen and used since.
    pub(crate) fn note(&mut self, pairs: &PairCounts, used: Used, granted: Used) {
        self.seen.merge(pairs);
        self.used = used;
        self.granted = granted.min(self.plan.most);
    }

    /// It is over.
    pub(crate) fn end(&mut self, used: Used, end: ShadowEnd) {
        self.ended = Some(end);
        self.seen = PairCounts::default();
        self.used = used;
        self.granted = used;
    }

    /// How it ends with these pairs, which are not journalled yet.
    pub fn ending(&self, extra: &PairCounts, at: UnixMs, why: EndReason) -> ShadowEnd {
        let seen = self.seen.with(extra);
        let lines = seen.lines(&self.plan);
        let verdict = match why {
            EndReason::RedLine { kind: _ } => ShadowVerdict::Worse,
            EndReason::Settled
            | EndReason::Time
            | EndReason::Caps
            | EndReason::Order { .. }
            | EndReason::OtherStable
            | EndReason::AllAsked => ShadowVerdict::of(&lines),
        };
        ShadowEnd { at, why, verdict, lines, pairs: seen.pairs() }
    }

    /// The same once it is over.
    #[must_use]
    pub fn over(mut self, used: Used, end: ShadowEnd) -> Shadow {
        self.end(used, end);
        self
    }

    /// The same with pairs that are not journalled yet, for whoever looks.
    #[must_use]
    pub fn with(&self, extra: &PairCounts, used: Used) -> Shadow {
        Shadow { seen: self.seen.with(extra), used, ..self.clone() }
    }

    /// Why it ends now, if it does: `extra` are pairs that are not journalled yet.
    pub fn ends(
        &self,
        extra: &PairCounts,
        red: Option<RiskKind>,
        is_spent: bool,
        now: UnixMs,
    ) -> Option<EndReason> {
        if let Some(kind) = red {
            return Some(EndReason::RedLine { kind });
        }
        if self.seen.with(extra).is_settled(&self.plan) {
            return Some(EndReason::Settled);
        }
        if now >= self.plan.ends_at {
            return Some(EndReason::Time);
        }
        is_spent.then_some(EndReason::Caps)
    }
}
