//! What is watched: the four lines and the metrics that belong to them.

use serde::{Deserialize, Serialize};

/// One of the four things watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Are the answers right, in form and in use.
    Quality,
    /// Are they there in time.
    Latency,
    /// What do they cost.
    Cost,
    /// Do they harm.
    Risk,
}

impl Line {
    /// All four, in the order they are shown.
    pub const ALL: [Line; 4] = [Line::Quality, Line::Latency, Line::Cost, Line::Risk];

    /// The line's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Line::Quality => "quality",
            Line::Latency => "latency",
            Line::Cost => "cost",
            Line::Risk => "risk",
        }
    }
}

/// The unit of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricUnit {
    /// A share of requests, 0 to 1.
    Share,
    /// Milliseconds.
    Ms,
    /// Tokens.
    Tokens,
    /// US dollars.
    Usd,
}

/// What a line rule measures. Every metric is oriented as harm: higher is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of requests that failed by the upstream's fault or ours.
    ErrorRate,
    /// Share of requests that the upstream, or the version set's template, refused (4xx).
    RejectedRate,
    /// Share of checked answers that broke the output contract.
    ContractBrokenRate,
    /// Share of answers that were refusals.
    RefusalRate,
    /// Share of rated answers that were disliked.
    DislikeRate,
    /// Share of answers that were not adopted, among those where it is known.
    NotAdoptedRate,
    /// Share of tasks that failed, among those where it is known.
    TaskFailedRate,
    /// 1 − mean satisfaction score.
    Dissatisfaction,
    /// 95th percentile of end-to-end time of answered requests, ms.
    LatencyP95,
    /// 99th percentile of the same, ms.
    LatencyP99,
    /// 95th percentile of time to first token of answered streams, ms.
    FirstTokenP95,
    /// Share of requests that timed out.
    TimeoutRate,
    /// Mean tokens per answered request, prompt and answer together.
    TokensPerRequest,
    /// Mean cost per answered request, US dollars.
    CostPerRequest,
    /// Cost of all answers per useful one (neither a refusal nor against the contract), US dollars.
    CostPerSuccess,
    /// Share of answers with personal data.
    PiiRate,
    /// Share of answers that repeat the system prompt.
    PromptEchoRate,
    /// Share of an answer's claims that have no citation, averaged over the answers that claim
    /// something and were searched for.
    UncitedRate,
    /// The same of claims that nothing of what was found supports.
    UngroundedRate,
}

impl Metric {
    /// Every metric, by line.
    pub const ALL: [Metric; 19] = [
        Metric::ErrorRate,
        Metric::RejectedRate,
        Metric::ContractBrokenRate,
        Metric::RefusalRate,
        Metric::DislikeRate,
        Metric::NotAdoptedRate,
        Metric::TaskFailedRate,
        Metric::Dissatisfaction,
        Metric::LatencyP95,
        Metric::LatencyP99,
        Metric::FirstTokenP95,
        Metric::TimeoutRate,
        Metric::TokensPerRequest,
        Metric::CostPerRequest,
        Metric::CostPerSuccess,
        Metric::PiiRate,
        Metric::PromptEchoRate,
        Metric::UncitedRate,
        Metric::UngroundedRate,
    ];

    /// The metric of a name; `None` for a name that is none.
    pub fn parse(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// The line it belongs to.
    pub fn line(self) -> Line {
        match self {
            Metric::ErrorRate
            | Metric::RejectedRate
            | Metric::ContractBrokenRate
            | Metric::RefusalRate
            | Metric::DislikeRate
            | Metric::NotAdoptedRate
            | Metric::TaskFailedRate
            | Metric::Dissatisfaction => Line::Quality,
            Metric::LatencyP95
            | Metric::LatencyP99
            | Metric::FirstTokenP95
            | Metric::TimeoutRate => Line::Latency,
            Metric::TokensPerRequest | Metric::CostPerRequest | Metric::CostPerSuccess => {
                Line::Cost
            }
            Metric::PiiRate
            | Metric::PromptEchoRate
            | Metric::UncitedRate
            | Metric::UngroundedRate => Line::Risk,
        }
    }

    /// The metric's name in configuration and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Metric::ErrorRate => "error_rate",
            Metric::RejectedRate => "rejected_rate",
            Metric::ContractBrokenRate => "contract_broken_rate",
            Metric::RefusalRate => "refusal_rate",
            Metric::DislikeRate => "dislike_rate",
            Metric::NotAdoptedRate => "not_adopted_rate",
            Metric::TaskFailedRate => "task_failed_rate",
            Metric::Dissatisfaction => "dissatisfaction",
            Metric::LatencyP95 => "latency_p95",
            Metric::LatencyP99 => "latency_p99",
            Metric::FirstTokenP95 => "first_token_p95",
            Metric::TimeoutRate => "timeout_rate",
            Metric::TokensPerRequest => "tokens_per_request",
            Metric::CostPerRequest => "cost_per_request",
            Metric::CostPerSuccess => "cost_per_success",
            Metric::PiiRate => "pii_rate",
            Metric::PromptEchoRate => "prompt_echo_rate",
            Metric::UncitedRate => "uncited_rate",
            Metric::UngroundedRate => "ungrounded_rate",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> MetricUnit {
        match self {
            Metric::ErrorRate
            | Metric::RejectedRate
            | Metric::ContractBrokenRate
            | Metric::RefusalRate
            | Metric::DislikeRate
            | Metric::NotAdoptedRate
            | Metric::TaskFailedRate
            | Metric::Dissatisfaction
            | Metric::TimeoutRate
            | Metric::PiiRate
            | Metric::PromptEchoRate
            | Metric::UncitedRate
            | Metric::UngroundedRate => MetricUnit::Share,
            Metric::LatencyP95 | Metric::LatencyP99 | Metric::FirstTokenP95 => MetricUnit::Ms,
            Metric::TokensPerRequest => MetricUnit::Tokens,
            Metric::CostPerRequest | Metric::CostPerSuccess => MetricUnit::Usd,
        }
    }

    /// Whether it is a share of requests (0 to 1).
    pub fn is_rate(self) -> bool {
        match self.unit() {
            MetricUnit::Share => true,
            MetricUnit::Ms | MetricUnit::Tokens | MetricUnit::Usd => false,
        }
    }
}
