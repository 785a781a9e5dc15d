//! Upstream: what a result means: whose fault it is, and whether it may be tried again.
//!
//! Order of checks: transport before status, status before content. A retry is only ever offered
//! before the first byte has reached the client and within the same version set; the caller keeps
//! both promises, this module only says whether a retry can help.

pub mod breaker;
pub mod endpoints;

pub use breaker::{Breaker, Change, Standing};
pub use endpoints::{Ended, Pick, Pool, View};

use serde::{Deserialize, Serialize};

/// Whose fault a failed request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultOwner {
    /// The model server's, or the way to it.
    Upstream,
    /// The caller's: a bad request, or it left. Never counted against an arm.
    Client,
    /// Ours.
    Ours,
    /// The operator's: the server was stopped. Never counted against an arm.
    Operator,
}

/// What became of a call, from a small closed list (it is a metric label).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection could be made.
    Unreachable,
    /// No first byte in time.
    FirstByteTimeout,
    /// Nothing came for too long in mid-answer.
    IdleTimeout,
    /// The whole answer took too long.
    TotalTimeout,
    /// The answer ended before it said it was done.
    CutShort,
    /// The answer was not what the API promises (HTML, bad JSON, no choices).
    Malformed,
    /// The answer was whole and said nothing: no text, no tool call, no refusal.
    Empty,
    /// The answer was larger than the bound.
    TooLarge,
    /// 429 that passes with time.
    RateLimited,
    /// 429 or 402 that does not: credit or spend limit.
    AccountLimit,
    /// 401 or 403: our credential for the upstream is refused.
    Credential,
    /// Another 4xx: the request itself is refused.
    Refused,
    /// The request lacks what the version set's prompt needs, or asks what the API of its model
    /// server cannot say; it was not sent.
    Unrendered,
    /// A guard of the project refused the request; it was not sent.
    Blocked,
    /// The version set's index could not be searched; the request was not sent.
    Retrieval,
    /// 5xx.
    ServerError,
    /// The client went away before the end.
    ClientGone,
    /// The server was stopped, and the time for requests in flight was over.
    ServerStopping,
    /// Ours.
    Internal,
}

impl Failure {
    /// Classifies a non-2xx status of an upstream that says nothing else.
    pub fn of_status(status: u16) -> Failure {
        match status {
            402 => Failure::AccountLimit,
            429 => Failure::RateLimited,
            401 | 403 => Failure::Credential,
            408 => Failure::TotalTimeout,
            400..=499 => Failure::Refused,
            500..=599 => Failure::ServerError,
            // 1xx and 3xx never answer a chat request; redirects are not followed.
            _ => Failure::Malformed,
        }
    }

    /// Whose fault it is.
    pub fn fault(self) -> FaultOwner {
        match self {
            Failure::Unreachable
            | Failure::FirstByteTimeout
            | Failure::IdleTimeout
            | Failure::TotalTimeout
            | Failure::CutShort
            | Failure::Malformed
            | Failure::Empty
            | Failure::TooLarge
            | Failure::RateLimited
            | Failure::AccountLimit
            | Failure::Credential
            | Failure::Retrieval
            | Failure::ServerError => FaultOwner::Upstream,
            Failure::Refused | Failure::Unrendered | Failure::Blocked | Failure::ClientGone => {
                FaultOwner::Client
            }
            Failure::Internal => FaultOwner::Ours,
            Failure::ServerStopping => FaultOwner::Operator,
        }
    }

    /// Whether the request was refused: by the upstream, by the version set's own prompt, or by a
    /// guard.
    pub fn is_rejection(self) -> bool {
        matches!(self, Failure::Refused | Failure::Unrendered | Failure::Blocked)
    }

    /// Whether a retry, before the first byte, can help.
    pub fn retryable(self) -> bool {
        matches!(self, Failure::Unreachable | Failure::ServerError | Failure::RateLimited)
    }

    /// Whether a call that failed so may have to be paid for though no answer came: it was sent,
    /// and the model server did not refuse it.
    pub fn may_cost(self) -> bool {
        match self {
            Failure::FirstByteTimeout
            | Failure::IdleTimeout
            | Failure::TotalTimeout
            | Failure::CutShort
            | Failure::Malformed
            | Failure::Empty
            | Failure::TooLarge
            | Failure::ClientGone
            | Failure::ServerStopping
            | Failure::Internal => true,
            Failure::Unreachable
            | Failure::RateLimited
            | Failure::AccountLimit
            | Failure::Credential
            | Failure::Refused
            | Failure::Unrendered
            | Failure::Blocked
            | Failure::Retrieval
            | Failure::ServerError => false,
        }
    }

    /// Whether it says that the endpoint is not well: another may do better. What a request, a
    /// client or an operator caused says nothing of it, nor does the length of an answer.
    pub fn blames_endpoint(self) -> bool {
        match self {
            Failure::Unreachable
            | Failure::FirstByteTimeout
            | Failure::IdleTimeout
            | Failure::TotalTimeout
            | Failure::CutShort
            | Failure::Malformed
            | Failure::RateLimited
            | Failure::AccountLimit
            | Failure::Credential
            | Failure::ServerError => true,
            Failure::Empty
            | Failure::TooLarge
            | Failure::Refused
            | Failure::Unrendered
            | Failure::Blocked
            | Failure::Retrieval
            | Failure::ClientGone
            | Failure::ServerStopping
            | Failure::Internal => false,
        }
    }

    /// Whether it counts on the latency line as a timeout.
    pub fn is_timeout(self) -> bool {
        matches!(self, Failure::FirstByteTimeout | Failure::IdleTimeout | Failure::TotalTimeout)
    }

    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Unreachable => "unreachable",
            Failure::FirstByteTimeout => "first_byte_timeout",
            Failure::IdleTimeout => "idle_timeout",
            Failure::TotalTimeout => "total_timeout",
            Failure::CutShort => "cut_short",
            Failure::Malformed => "malformed",
            Failure::Empty => "empty",
            Failure::TooLarge => "too_large",
            Failure::RateLimited => "rate_limited",
            Failure::AccountLimit => "account_limit",
            Failure::Credential => "credential",
            Failure::Refused => "refused",
            Failure::Unrendered => "unrendered",
            Failure::Blocked => "blocked",
            Failure::Retrieval => "retrieval",
            Failure::ServerError => "server_error",
            Failure::ClientGone => "client_gone",
            Failure::ServerStopping => "server_stopping",
            Failure::Internal => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, failure: Failure, fault: FaultOwner, retryable: bool) {
        let got = Failure::of_status(status);
        assert_eq!((got, got.fault(), got.retryable()), (failure, fault, retryable), "{status}");
    }

    #[test]
    fn statuses() {
        check(500, Failure::ServerError, FaultOwner::Upstream, true);
        check(529, Failure::ServerError, FaultOwner::Upstream, true);
        check(429, Failure::RateLimited, FaultOwner::Upstream, true);
        check(402, Failure::AccountLimit, FaultOwner::Upstream, false);
        check(401, Failure::Credential, FaultOwner::Upstream, false);
        check(400, Failure::Refused, FaultOwner::Client, false);
        check(302, Failure::Malformed, FaultOwner::Upstream, false);
    }
}
