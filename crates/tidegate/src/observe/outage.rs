//! An outage in words, for the log and `/readyz`.

use crate::lang::Lang;
use tidegate_core::ids::{IncidentId, UnixMs};
use tidegate_core::incident::outage_reason;
use tidegate_core::observe::{Outage, OutageRun};
use tidegate_core::route::Arm;
use tidegate_core::upstream::Failure;

/// An outage that begins.
pub(crate) fn began(arm: Arm, upstream: &str, outage: &Outage) -> String {
    format!("OUTAGE of {}; {}", failing(arm, upstream, outage), advice(outage.failure))
}

/// An outage that lasts.
pub(crate) fn lasts(arm: Arm, upstream: &str, outage: &Outage, now: UnixMs) -> String {
    let seconds = now.since(outage.since) / 1000;
    let text = failing(arm, upstream, outage);
    format!("{text}, for {} now; {}", Lang::En.span(seconds as f64), advice(outage.failure))
}

/// An outage that is over.
pub(crate) fn ended(arm: Arm, upstream: &str, outage: &Outage) -> String {
    let seconds = outage.last_at.since(outage.since).div_ceil(1000);
    format!(
        "outage of {} is over after {}: {} of {} requests failed; upstream `{upstream}` answers",
        arm.as_str(),
        Lang::En.span(seconds as f64),
        outage.failed,
        outage.requests
    )
}

/// An outage that is journalled as an incident.
pub(crate) fn filed(incident: &IncidentId, outage: &OutageRun) -> String {
    let why = Lang::En.cause(&outage_reason(outage));
    format!("incident {incident} is open: {why}; `tidegate incident list` shows it")
}

fn failing(arm: Arm, upstream: &str, outage: &Outage) -> String {
    let Outage { since: _, requests, failed, failure, last_at: _ } = outage;
    let (arm, failure) = (arm.as_str(), failure.as_str());
    format!("{arm}: {failed} of {requests} requests failed ({failure}), upstream `{upstream}`")
}

/// What to do about most failures of a kind.
fn advice(failure: Failure) -> &'static str {
    match failure {
        Failure::Unreachable => "check that the model server runs and that `base_url` is right",
        Failure::FirstByteTimeout | Failure::IdleTimeout | Failure::TotalTimeout => {
            "check the model server's load, then `limits` in tidegate.yaml"
        }
        Failure::RateLimited => "the model server limits the rate: ask for less or a higher limit",
        Failure::AccountLimit => "the account's credit or spend limit is used up: raise it",
        Failure::Credential => "the model server refuses the key: check the upstream's key",
        Failure::CutShort
        | Failure::Malformed
        | Failure::Empty
        | Failure::TooLarge
        | Failure::ServerError => "check the model server's log",
        Failure::Retrieval => "check the index or its server: `tidegate trace ID` says what failed",
        Failure::Refused
        | Failure::Unrendered
        | Failure::Blocked
        | Failure::ClientGone
        | Failure::ServerStopping
        | Failure::Internal => "see what failed: `tidegate trace ID`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_with_its_numbers() {
        let outage = Outage {
            since: UnixMs(10_000),
            requests: 6,
            failed: 5,
            failure: Failure::Unreachable,
            last_at: UnixMs(51_500),
        };
        assert_eq!(
            began(Arm::Stable, "local", &outage),
            "OUTAGE of stable: 5 of 6 requests failed (unreachable), upstream `local`; \
             check that the model server runs and that `base_url` is right"
        );
        assert_eq!(
            lasts(Arm::Stable, "local", &outage, UnixMs(70_000)),
            "stable: 5 of 6 requests failed (unreachable), upstream `local`, for 60 s now; \
             check that the model server runs and that `base_url` is right"
        );
        assert_eq!(
            ended(Arm::Candidate, "local", &outage),
            "outage of candidate is over after 42 s: 5 of 6 requests failed; \
             upstream `local` answers"
        );
    }
}
