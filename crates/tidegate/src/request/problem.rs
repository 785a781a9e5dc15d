//! Errors as clients see them: one place that maps what went wrong to status, code and text.

use super::admission::Overload;
use super::code::Code;
use super::levels::Levels;
use crate::access::{Scope, ScopeKind};
use crate::clock::rfc3339;
use crate::config::Block;
use crate::http::Foreign;
use crate::upstream::UpstreamError;
use http::StatusCode;
use tidegate_core::access::{OverBound, OverBudget};
use tidegate_core::ids::TraceId;
use tidegate_core::upstream::Failure;
use tidegate_wire::RequestError;
use tidegate_wire::openai_chat::{ErrorBody, write_error};

/// A request that is refused or failed: the status, and the members of OpenAI's error envelope.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// `error.type`.
    pub(super) kind: &'static str,
    /// `error.code`.
    pub(super) code: Code,
    /// The model server's own code, which is shown in the other's place.
    pub(super) upstream_code: Option<String>,
    /// `error.message`: what was given and what is allowed; no secret, no prompt.
    pub(super) message: String,
    /// `error.param`: the member of the request at fault.
    pub(super) param: Option<String>,
    /// More about how to go on.
    pub(super) next: Next,
}

/// What the client can do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing that a header could say.
    Nothing,
    /// Try again after so many seconds.
    RetryAfter(u64),
    /// Try again after so many seconds, or not where there is no number: so much is left of the
    /// caller's bounds.
    Bounded(Option<u64>, Box<Levels>),
    /// Not try again: the answer will be the same.
    DoNotRetry,
    /// Use one of these methods.
    Allow(&'static str),
    /// Send a credential.
    Authenticate,
    /// Open another connection: the rest of this request was not read.
    Close,
}

impl Problem {
    /// A 4xx of the client's making.
    pub(super) fn client(status: StatusCode, code: Code, message: String) -> Problem {
        Problem::of(status, "invalid_request_error", code, message)
    }

    /// A 5xx of ours.
    pub(super) fn server(status: StatusCode, code: Code, message: String) -> Problem {
        Problem::of(status, "server_error", code, message)
    }

    fn of(status: StatusCode, kind: &'static str, code: Code, message: String) -> Problem {
        let (upstream_code, param, next) = (None, None, Next::Nothing);
        Problem { status, kind, code, upstream_code, message, param, next }
    }

    /// 400 for a request that cannot be read.
    pub(super) fn bad_request(code: Code, message: impl Into<String>) -> Problem {
        Problem::client(StatusCode::BAD_REQUEST, code, message.into())
    }

    /// What is wrong with a request that core could not read.
    pub(super) fn of_request(error: &RequestError) -> Problem {
        Problem::bad_request(Code::of_request(error), error.to_string()).param(error.param())
    }

    /// The same with the member at fault.
    pub(super) fn param(mut self, param: Option<&str>) -> Problem {
        self.param = param.map(str::to_owned);
        self
    }

    /// The same with a next step.
    pub(super) fn next(mut self, next: Next) -> Problem {
        self.next = next;
        self
    }

    /// A fault of ours.
    pub(super) fn internal() -> Problem {
        let message = "the request failed here, for a reason that is in the log".to_owned();
        Problem::server(StatusCode::INTERNAL_SERVER_ERROR, Code::InternalError, message)
    }

    /// Too much is going on; a retry soon may do.
    pub(super) fn overloaded(message: String) -> Problem {
        Problem::server(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, message)
            .next(Next::RetryAfter(1))
    }

    /// The server is stopped, and the time for requests in flight is over.
    pub(super) fn stopping() -> Problem {
        let message = "the server was stopped before the answer's end".to_owned();
        Problem::server(StatusCode::SERVICE_UNAVAILABLE, Code::ServerStopping, message)
            .next(Next::RetryAfter(1))
    }

    /// Too many wrong keys came from the caller's address, or with its key's beginning.
    pub(super) fn wrong_keys(left_s: u64) -> Problem {
        let message = format!("too many wrong keys were tried; try again in {left_s} s");
        let code = Code::TooManyWrongKeys;
        let mut problem = Problem::client(StatusCode::TOO_MANY_REQUESTS, code, message)
            .next(Next::RetryAfter(left_s));
        problem.kind = "rate_limit_error";
        problem
    }

    /// A key's bound does not allow the request; `levels` are what is left of the caller's.
    pub(super) fn over_bound(scope: &Scope, over: &OverBound, levels: Box<Levels>) -> Problem {
        let OverBound { bound, limit, asked, wait_us } = *over;
        let allowed = format!("{} may have {limit} {bound}", named(scope));
        let (message, after_s) = match wait_us {
            _ if over.is_for_good() => {
                (format!("{allowed}, and this request alone needs about {asked}"), None)
            }
            Some(wait_us) => {
                let seconds = wait_us.div_ceil(1_000_000).max(1);
                let message = format!("{allowed}, and has used them; try again in {seconds} s");
                (message, Some(seconds))
            }
            None => {
                let message = format!("{allowed}, and has as many; try again when one has ended");
                (message, Some(1))
            }
        };
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, Code::RateLimitExceeded);
        let next = Next::Bounded(after_s, levels);
        let mut problem = Problem::client(status, code, message).next(next);
        problem.kind = "rate_limit_error";
        problem
    }

    /// 429 for a request that may cost more than is left of a budget. What is left of the service's
    /// would say what other tenants spend.
    pub(super) fn over_budget(scope: &Scope, over: &OverBudget) -> Problem {
        let OverBudget { budget, left, asked, until } = over;
        let (period, limit, whose) = (budget.period, budget.limit, named(scope));
        let until = rfc3339(*until);
        let spent = match scope.kind {
            ScopeKind::Service => {
                format!("the budget of {whose} for this {period} does not suffice")
            }
            ScopeKind::Key | ScopeKind::Tenant => {
                format!("{whose} has ${left} left of its budget of ${limit} for this {period}")
            }
        };
        let message = format!(
            "{spent}, and this request may cost up to ${asked}, by its length and `max_tokens`; \
             the next {period} begins at {until}"
        );
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, Code::InsufficientQuota);
        let mut problem = Problem::client(status, code, message).next(Next::DoNotRetry);
        problem.kind = "insufficient_quota";
        problem
    }

    /// The request is refused because of what it holds.
    pub(super) fn blocked(why: Block) -> Problem {
        let what = match why {
            Block::Moderation => "what this service's moderation does not let through",
            Block::ModerationUnreachable => "texts that the moderation could not be asked about",
            Block::HiddenText => "text that no reader sees",
            Block::Words => "a word that this service does not take",
            Block::Injection
            | Block::Planted
            | Block::Tools
            | Block::Prompt
            | Block::Secrets
            | Block::Ids
            | Block::Personal
            | Block::Contract
            | Block::Arguments => "instructions to the model that this service does not take",
        };
        let message = format!("the request is refused: it holds {what}");
        let mut problem = Problem::bad_request(Code::RequestBlocked, message);
        problem.kind = "safety_error";
        problem.next(Next::DoNotRetry)
    }

    /// The answer is kept back because of this.
    pub(super) fn withheld(why: Block) -> Problem {
        let message = match why {
            Block::Tools => "it calls a tool that this service does not allow",
            Block::Contract => "it breaks the output contract of this service",
            Block::Arguments => "it calls a tool with arguments that the tool does not take",
            Block::Words => "it holds a word that this service does not give out",
            Block::Personal => "it holds personal data",
            Block::Moderation => "this service's moderation does not let it through",
            Block::ModerationUnreachable => "the moderation could not be asked about it",
            Block::Planted
            | Block::Prompt
            | Block::Secrets
            | Block::Ids
            | Block::Injection
            | Block::HiddenText => "it crossed a red line of this service",
        };
        let message = format!("the answer is withheld: {message}");
        let mut problem = Problem::server(StatusCode::BAD_GATEWAY, Code::AnswerWithheld, message)
            .next(Next::DoNotRetry);
        problem.kind = "safety_error";
        problem
    }

    /// The caller is refused for some seconds more, after a forbidden tool call.
    pub(super) fn banned(left_s: u64) -> Problem {
        let message =
            format!("this caller is refused for {left_s} s more, after a forbidden tool call");
        Problem::client(StatusCode::FORBIDDEN, Code::CallerBanned, message).next(Next::DoNotRetry)
    }

    /// What the client sees of an upstream's failure; the upstream's own words are in it where
    /// `passes_on` says its name.
    pub(super) fn upstream(error: &UpstreamError, passes_on: Option<&str>) -> Problem {
        let (status, kind, code) = of_failure(error.failure, error.status);
        let next = match error.failure {
            Failure::RateLimited => Next::RetryAfter(error.retry_after_s().unwrap_or(1)),
            Failure::Unreachable
            | Failure::ServerError
            | Failure::Retrieval
            | Failure::FirstByteTimeout
            | Failure::IdleTimeout
            | Failure::TotalTimeout
            | Failure::CutShort => match error.retry_after_s() {
                Some(seconds) => Next::RetryAfter(seconds),
                None => Next::Nothing,
            },
            Failure::Malformed
            | Failure::Empty
            | Failure::TooLarge
            | Failure::AccountLimit
            | Failure::Credential
            | Failure::Refused
            | Failure::Unrendered
            | Failure::Blocked
            | Failure::ClientGone
            | Failure::Internal => Next::DoNotRetry,
            Failure::ServerStopping => Next::RetryAfter(1),
        };
        let message = match passes_on {
            Some(name) => error.full_message(name),
            None => error.message.clone(),
        };
        if let Some(why) = &error.untranslatable {
            return Problem::of_request(why).next(Next::DoNotRetry);
        }
        // Agents act on the code of a refusal: they shorten a conversation that is too long.
        let refused = error.failure == Failure::Refused;
        let upstream_code = error.said.code.clone().filter(|_| refused);
        Problem { upstream_code, next, ..Problem::of(status, kind, code, message) }
    }

    /// A failure that has these words.
    pub(super) fn of_failure(failure: Failure, message: String) -> Problem {
        let (status, kind, code) = of_failure(failure, None);
        Problem::of(status, kind, code, message).next(Next::DoNotRetry)
    }

    /// The error envelope.
    pub(super) fn envelope(&self, trace_id: Option<&TraceId>) -> Vec<u8> {
        let Problem { status: _, kind, code, upstream_code, message, param, next: _ } = self;
        let param = param.as_deref();
        let code = upstream_code.as_deref().unwrap_or(code.as_str());
        let trace_id = trace_id.map(TraceId::as_str);
        write_error(&ErrorBody { message, kind, param, code, trace_id })
    }
}

/// Whose bounds they are, for the caller.
fn named(scope: &Scope) -> String {
    match scope.kind {
        ScopeKind::Key => format!("key `{}`", scope.name),
        ScopeKind::Tenant => format!("tenant `{}`", scope.name),
        ScopeKind::Service => "the service".to_owned(),
    }
}

impl From<Foreign> for Problem {
    fn from(foreign: Foreign) -> Problem {
        let code = match foreign {
            Foreign::Host => Code::HostNotAllowed,
            Foreign::Origin => Code::OriginNotAllowed,
            Foreign::ContentType => Code::UnsupportedMediaType,
        };
        Problem::client(foreign.status(), code, foreign.to_string()).next(Next::Close)
    }
}

impl From<Overload> for Problem {
    fn from(overload: Overload) -> Problem {
        Problem::overloaded(overload.to_string())
    }
}

fn of_failure(failure: Failure, status: Option<u16>) -> (StatusCode, &'static str, Code) {
    let upstream = "upstream_error";
    match failure {
        Failure::Unreachable => (StatusCode::BAD_GATEWAY, upstream, Code::UpstreamUnreachable),
        Failure::FirstByteTimeout | Failure::IdleTimeout | Failure::TotalTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, upstream, Code::UpstreamTimeout)
        }
        Failure::CutShort => (StatusCode::BAD_GATEWAY, upstream, Code::UpstreamCutShort),
        Failure::Malformed | Failure::Empty => {
            (StatusCode::BAD_GATEWAY, upstream, Code::UpstreamMalformed)
        }
        Failure::TooLarge => (StatusCode::BAD_GATEWAY, upstream, Code::UpstreamTooLarge),
        Failure::RateLimited => {
            (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Code::UpstreamRateLimited)
        }
        Failure::AccountLimit => {
            (StatusCode::SERVICE_UNAVAILABLE, upstream, Code::UpstreamAccountLimit)
        }
        Failure::Credential => (StatusCode::BAD_GATEWAY, upstream, Code::UpstreamCredential),
        Failure::Refused => {
            let status = status
                .filter(|status| (400..500).contains(status))
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::BAD_REQUEST);
            (status, "invalid_request_error", Code::UpstreamRefused)
        }
        Failure::Unrendered if status == Some(StatusCode::NOT_FOUND.as_u16()) => {
            (StatusCode::NOT_FOUND, "invalid_request_error", Code::EndpointNotServed)
        }
        Failure::Unrendered => {
            (StatusCode::BAD_REQUEST, "invalid_request_error", Code::PromptNotRendered)
        }
        Failure::Blocked => (StatusCode::BAD_REQUEST, "safety_error", Code::RequestBlocked),
        Failure::Retrieval => {
            (StatusCode::SERVICE_UNAVAILABLE, "server_error", Code::RetrievalFailed)
        }
        Failure::ServerError => (StatusCode::BAD_GATEWAY, upstream, Code::UpstreamError),
        Failure::ServerStopping => {
            (StatusCode::SERVICE_UNAVAILABLE, "server_error", Code::ServerStopping)
        }
        Failure::ClientGone => (CLIENT_GONE, "invalid_request_error", Code::ClientGone),
        Failure::Internal => {
            (StatusCode::INTERNAL_SERVER_ERROR, "server_error", Code::InternalError)
        }
    }
}

/// nginx's status for a client that left; it is only recorded, since no client is left to read it.
pub(super) const CLIENT_GONE: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};
