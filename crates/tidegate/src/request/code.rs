//! The error codes of the data plane, all of them: clients act on these words.

use tidegate_wire::RequestError;

/// `error.code` of an answer. A refusal of the model server keeps its own code where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The body is no JSON object.
    InvalidJson,
    /// The body has more JSON values than are read.
    RequestTooComplex,
    /// A key is given twice in one object.
    DuplicateParameter,
    /// A member is missing.
    MissingRequiredParameter,
    /// A member has another JSON type.
    InvalidType,
    /// A member has a value that is not allowed.
    InvalidValue,
    /// A member that is the operator's.
    UnsupportedParameter,
    /// A member that the form does not have.
    UnknownParameter,
    /// Headers that two servers in a row may read differently.
    BadHeaders,
    /// The body could not be read to its end.
    BadBody,
    /// The request lacks what the version set's prompt needs.
    PromptNotRendered,
    /// A guard of the service refuses the request.
    RequestBlocked,
    /// No credential, or one that is not known.
    InvalidApiKey,
    /// Only some callers are served for now.
    ServiceDegraded,
    /// Many that are not known, one after the other.
    TooManyWrongKeys,
    /// A bound of the caller's key, its tenant or the service.
    RateLimitExceeded,
    /// A budget of the caller's key, its tenant or the service.
    InsufficientQuota,
    /// `Host` names another machine.
    HostNotAllowed,
    /// A page of another site.
    OriginNotAllowed,
    /// The body is not said to be JSON.
    UnsupportedMediaType,
    /// The caller is refused for a while, after a forbidden tool call.
    CallerBanned,
    /// No such path.
    UnknownEndpoint,
    /// The version set does not serve the path.
    EndpointNotServed,
    /// Several services are served, and the request names none.
    ModelRequired,
    /// `model` is no service that the caller may call, nor an alias of one.
    ModelNotFound,
    /// Feedback on a trace that is not known.
    TraceNotFound,
    /// The path takes other methods.
    WrongMethod,
    /// A request with the same idempotency key runs.
    IdempotencyInProgress,
    /// The idempotency key was used with another body.
    IdempotencyKeyReused,
    /// The body came too slowly.
    RequestTimeout,
    /// The body is larger than the limit.
    RequestTooLarge,
    /// The body is compressed.
    UnsupportedEncoding,
    /// The version set's index could not be searched.
    RetrievalFailed,
    /// The server was stopped in the middle of the answer.
    ServerStopping,
    /// The client left.
    ClientGone,
    /// The model server limits our rate.
    UpstreamRateLimited,
    /// The model server refused the request and gave no code.
    UpstreamRefused,
    /// A fault of ours.
    InternalError,
    /// The model server could not be reached.
    UpstreamUnreachable,
    /// The model server failed.
    UpstreamError,
    /// The model server's answer is not what the API promises.
    UpstreamMalformed,
    /// The model server's answer ended before it was done.
    UpstreamCutShort,
    /// The model server's answer is larger than the bound.
    UpstreamTooLarge,
    /// The model server refused our credential.
    UpstreamCredential,
    /// The answer crossed a red line.
    AnswerWithheld,
    /// Too many requests.
    Overloaded,
    /// The request's admission could not be written, and its tenant is audited.
    AuditUnavailable,
    /// Shut after a black signal.
    EntranceClosed,
    /// The account's credit or spend limit is used up.
    UpstreamAccountLimit,
    /// There is a budget, and the model has no price.
    ModelUnpriced,
    /// Feedback, or what a request may cost, could not be kept.
    StoreUnavailable,
    /// A deadline of the model server's answer is over.
    UpstreamTimeout,
    /// The client's own `budget_ms` is over.
    BudgetExceeded,
}

impl Code {
    /// Every code.
    #[cfg(test)]
    pub(crate) const ALL: [Code; 53] = [
        Code::InvalidJson,
        Code::RequestTooComplex,
        Code::DuplicateParameter,
        Code::MissingRequiredParameter,
        Code::InvalidType,
        Code::InvalidValue,
        Code::UnsupportedParameter,
        Code::UnknownParameter,
        Code::BadHeaders,
        Code::BadBody,
        Code::PromptNotRendered,
        Code::RequestBlocked,
        Code::ServiceDegraded,
        Code::InvalidApiKey,
        Code::TooManyWrongKeys,
        Code::RateLimitExceeded,
        Code::InsufficientQuota,
        Code::HostNotAllowed,
        Code::OriginNotAllowed,
        Code::UnsupportedMediaType,
        Code::CallerBanned,
        Code::UnknownEndpoint,
        Code::EndpointNotServed,
        Code::ModelRequired,
        Code::ModelNotFound,
        Code::TraceNotFound,
        Code::WrongMethod,
        Code::IdempotencyInProgress,
        Code::IdempotencyKeyReused,
        Code::RequestTimeout,
        Code::RequestTooLarge,
        Code::UnsupportedEncoding,
        Code::RetrievalFailed,
        Code::ServerStopping,
        Code::ClientGone,
        Code::UpstreamRateLimited,
        Code::UpstreamRefused,
        Code::InternalError,
        Code::UpstreamUnreachable,
        Code::UpstreamError,
        Code::UpstreamMalformed,
        Code::UpstreamCutShort,
        Code::UpstreamTooLarge,
        Code::UpstreamCredential,
        Code::AnswerWithheld,
        Code::Overloaded,
        Code::AuditUnavailable,
        Code::EntranceClosed,
        Code::UpstreamAccountLimit,
        Code::ModelUnpriced,
        Code::StoreUnavailable,
        Code::UpstreamTimeout,
        Code::BudgetExceeded,
    ];

    /// The word that clients see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Code::InvalidJson => "invalid_json",
            Code::RequestTooComplex => "request_too_complex",
            Code::DuplicateParameter => "duplicate_parameter",
            Code::MissingRequiredParameter => "missing_required_parameter",
            Code::InvalidType => "invalid_type",
            Code::InvalidValue => "invalid_value",
            Code::UnsupportedParameter => "unsupported_parameter",
            Code::UnknownParameter => "unknown_parameter",
            Code::BadHeaders => "bad_headers",
            Code::BadBody => "bad_body",
            Code::PromptNotRendered => "prompt_not_rendered",
            Code::RequestBlocked => "request_blocked",
            Code::ServiceDegraded => "service_degraded",
            Code::InvalidApiKey => "invalid_api_key",
            Code::TooManyWrongKeys => "too_many_wrong_keys",
            Code::RateLimitExceeded => "rate_limit_exceeded",
            Code::InsufficientQuota => "insufficient_quota",
            Code::HostNotAllowed => "host_not_allowed",
            Code::OriginNotAllowed => "origin_not_allowed",
            Code::UnsupportedMediaType => "unsupported_media_type",
            Code::CallerBanned => "caller_banned",
            Code::UnknownEndpoint => "unknown_endpoint",
            Code::EndpointNotServed => "endpoint_not_served",
            Code::ModelRequired => "model_required",
            Code::ModelNotFound => "model_not_found",
            Code::TraceNotFound => "trace_not_found",
            Code::WrongMethod => "wrong_method",
            Code::IdempotencyInProgress => "idempotency_in_progress",
            Code::IdempotencyKeyReused => "idempotency_key_reused",
            Code::RequestTimeout => "request_timeout",
            Code::RequestTooLarge => "request_too_large",
            Code::UnsupportedEncoding => "unsupported_encoding",
            Code::RetrievalFailed => "retrieval_failed",
            Code::ServerStopping => "server_stopping",
            Code::ClientGone => "client_gone",
            Code::UpstreamRateLimited => "upstream_rate_limited",
            Code::UpstreamRefused => "upstream_refused",
            Code::InternalError => "internal_error",
            Code::UpstreamUnreachable => "upstream_unreachable",
            Code::UpstreamError => "upstream_error",
            Code::UpstreamMalformed => "upstream_malformed",
            Code::UpstreamCutShort => "upstream_cut_short",
            Code::UpstreamTooLarge => "upstream_too_large",
            Code::UpstreamCredential => "upstream_credential",
            Code::AnswerWithheld => "answer_withheld",
            Code::Overloaded => "overloaded",
            Code::AuditUnavailable => "audit_unavailable",
            Code::EntranceClosed => "entrance_closed",
            Code::UpstreamAccountLimit => "upstream_account_limit",
            Code::ModelUnpriced => "model_unpriced",
            Code::StoreUnavailable => "store_unavailable",
            Code::UpstreamTimeout => "upstream_timeout",
            Code::BudgetExceeded => "budget_exceeded",
        }
    }

    /// The code of a request that cannot be read.
    pub(crate) fn of_request(error: &RequestError) -> Code {
        match error {
            RequestError::Empty
            | RequestError::NotUtf8 { .. }
            | RequestError::NotJson { .. }
            | RequestError::TooDeep
            | RequestError::NotObject { .. } => Code::InvalidJson,
            RequestError::TooManyValues => Code::RequestTooComplex,
            RequestError::DuplicateKey { .. } => Code::DuplicateParameter,
            RequestError::Missing { .. } => Code::MissingRequiredParameter,
            RequestError::WrongType { .. } => Code::InvalidType,
            RequestError::BadValue { .. } => Code::InvalidValue,
            RequestError::Closed { .. } | RequestError::Untranslatable { .. } => {
                Code::UnsupportedParameter
            }
            RequestError::Unknown { .. } => Code::UnknownParameter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The reference's table of errors and this list are the same, in both directions.
    #[test]
    fn every_code_is_in_the_reference_and_no_other() {
        let reference = include_str!("../../../../docs/reference-http.md");
        let section = reference.split("\n## Errors").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| "));
        let cells = rows.filter_map(|row| row.split('|').nth(2));
        let named: BTreeSet<&str> =
            cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        // Nobody is there to read this one; it is only recorded.
        let seen = Code::ALL.into_iter().filter(|code| *code != Code::ClientGone);
        let mut code: BTreeSet<&str> = seen.map(Code::as_str).collect();
        assert_eq!(code.len(), Code::ALL.len() - 1, "two codes have one word");
        // Passed on from model servers, whatever they call it.
        code.insert("context_length_exceeded");
        assert_eq!(named, code);
    }

    #[test]
    fn wire_and_the_data_plane_name_a_bad_request_alike() {
        let errors = [
            RequestError::Empty,
            RequestError::TooDeep,
            RequestError::TooManyValues,
            RequestError::DuplicateKey { key: "a".to_owned() },
            RequestError::missing("a", "b"),
            RequestError::wrong_type("a", "b", &serde_json::Value::Null),
            RequestError::bad_value("a", "b"),
            RequestError::Closed { param: "a".to_owned() },
            RequestError::Untranslatable { param: "a".to_owned(), why: "b" },
            RequestError::Unknown { param: "a".to_owned(), allowed: "b" },
        ];
        for error in errors {
            assert_eq!(Code::of_request(&error).as_str(), error.code());
        }
    }
}
