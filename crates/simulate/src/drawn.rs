//! What the simulation draws for each request, by the metric that reads it.

use tidegate_core::decide::Metric;

/// The part of a simulated outcome that a metric reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// Failed requests.
    Failures,
    /// Answers that users say did not solve their task.
    TaskFailures,
    /// The 95th percentile of latency.
    LatencyP95,
    /// Tokens of prompt and answer.
    Tokens,
    /// Answers that the detector of prompt echoes flags.
    Flags,
    /// No part: no scenario watches such a metric.
    Nothing,
}

impl Drawn {
    /// The part that this metric reads.
    pub(crate) fn of(metric: Metric) -> Drawn {
        match metric {
            Metric::ErrorRate => Drawn::Failures,
            Metric::TaskFailedRate => Drawn::TaskFailures,
            Metric::LatencyP95 => Drawn::LatencyP95,
            Metric::TokensPerRequest => Drawn::Tokens,
            Metric::PromptEchoRate => Drawn::Flags,
            Metric::RejectedRate
            | Metric::ContractBrokenRate
            | Metric::RefusalRate
            | Metric::DislikeRate
            | Metric::NotAdoptedRate
            | Metric::Dissatisfaction
            | Metric::LatencyP99
            | Metric::FirstTokenP95
            | Metric::TimeoutRate
            | Metric::CostPerRequest
            | Metric::CostPerSuccess
            | Metric::PiiRate
            | Metric::UncitedRate
            | Metric::UngroundedRate => Drawn::Nothing,
        }
    }
}
