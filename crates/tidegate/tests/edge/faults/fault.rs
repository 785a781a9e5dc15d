//! What a model server does wrong, and what a client must see of it then.

use crate::dice::Dice;
use serde::{Deserialize, Serialize};
use tidegate_core::upstream::Failure;

/// Events of text in a stream that is not cut.
pub(crate) const EVENTS: u64 = 8;

/// What a model server does with one request. The request says it, in the member `x_fault`: so what
/// happens to a request does not depend on which others come at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Nothing: it answers.
    None,
    /// It answers byte by byte.
    Dribble,
    /// It answers without `[DONE]`.
    NoEndMark,
    /// It answers after so many ms.
    Slow(u64),
    /// It answers in a stream whose pieces are so many ms apart.
    Paced(u64),
    /// It answers after so many interim answers (103).
    Hints(u64),
    /// It answers, and reports as many tokens as there are numbers.
    Absurd,
    /// It answers, and reports less than no tokens.
    Negative,
    /// It answers compressed, which was not asked for.
    Gzip,
    /// It answers, and closes the connection so many ms later, which may be in use again then.
    ThenCloses(u64),
    /// 503 the first time, then an answer.
    Once,
    /// Closes the connection in the middle: after so many events, or in a whole answer's text.
    Cut(u64),
    /// The same by a reset.
    Reset(u64),
    /// It ends in the middle as if that were the end.
    Unended(u64),
    /// Something that is no JSON, after so many events.
    NoJson(u64),
    /// Something that is not UTF-8, after so many events.
    NoUtf8(u64),
    /// An error with status 200, after so many events.
    Error(u64),
    /// A line of more than a megabyte, after so many events.
    LongLine(u64),
    /// A compressed answer that ends in the middle.
    CutGzip,
    /// Fewer bytes than it said.
    TooShort,
    /// A page for people.
    Html,
    /// No body.
    NoBody,
    /// An answer without choices.
    NoChoices,
    /// An answer that says nothing.
    NoText,
    /// To another host.
    Redirect(u16),
    /// A status, and an error that says nothing more.
    Status(u16),
    /// 429 with so many seconds to wait.
    RateLimited(u64),
    /// 429 that no waiting helps against.
    Account,
    /// Closes the connection without an answer.
    Close,
    /// Resets it.
    ResetAtOnce,
    /// Answers in another protocol.
    NotHttp,
    /// A head of an answer that is too long.
    LongHead,
    /// After so many events it says nothing more.
    Silent(u64),
    /// After so many events it sends signs of life, and nothing else.
    Heartbeats(u64),
    /// A body without an end, in a stream a line without one.
    Endless,
    /// A stream of long events without an end.
    Flood,
}

/// What a client that reads to the end must see, and what the record must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The status.
    pub(crate) status: u16,
    /// `error.code` of the body or of the stream's last event; `None` where it is answered.
    pub(crate) code: Option<&'static str>,
    /// What the record says.
    pub(crate) failure: Option<Failure>,
}

const ANSWERED: Expected = Expected { status: 200, code: None, failure: None };

/// An error before the first byte.
const fn refused(status: u16, code: &'static str, failure: Failure) -> Expected {
    Expected { status, code: Some(code), failure: Some(failure) }
}

impl Fault {
    /// All that end by themselves, each with a number where it has one.
    pub(crate) fn all(number: u64) -> Vec<Fault> {
        let at = number % EVENTS;
        let mut all = vec![
            Fault::None,
            Fault::Dribble,
            Fault::NoEndMark,
            Fault::Slow(number % 50),
            Fault::Hints(number % 100),
            Fault::Absurd,
            Fault::Negative,
            Fault::Gzip,
            Fault::ThenCloses(number % 5),
            Fault::Cut(at),
            Fault::Reset(at),
            Fault::Unended(at),
            Fault::NoJson(at),
            Fault::NoUtf8(at),
            Fault::Error(at),
            Fault::LongLine(at),
            Fault::CutGzip,
            Fault::TooShort,
            Fault::Html,
            Fault::NoBody,
            Fault::NoChoices,
            Fault::NoText,
            Fault::RateLimited(7 + number % 1_000),
            Fault::Account,
            Fault::Close,
            Fault::ResetAtOnce,
            Fault::NotHttp,
            Fault::LongHead,
        ];
        all.extend([301, 302, 307, 308].map(Fault::Redirect));
        all.extend([400, 401, 402, 403, 404, 408, 409, 413, 422].map(Fault::Status));
        all.extend([500, 502, 503, 504, 529].map(Fault::Status));
        all
    }

    /// One of all, and one in four is none.
    pub(crate) fn draw(dice: &mut Dice) -> Fault {
        match dice.below(4) {
            0 => Fault::None,
            _ => {
                let number = dice.below(1 << 20);
                dice.one_of(&Fault::all(number))
            }
        }
    }

    /// A stream that breaks.
    pub(crate) fn cut(dice: &mut Dice) -> Fault {
        let at = dice.below(EVENTS);
        dice.one_of(&[Fault::Cut(at), Fault::Reset(at), Fault::Unended(at)])
    }

    /// Events that come before it; `None` where it is no fault of a stream's middle.
    fn after(self) -> Option<u64> {
        match self {
            Fault::Cut(after)
            | Fault::Reset(after)
            | Fault::Unended(after)
            | Fault::NoJson(after)
            | Fault::NoUtf8(after)
            | Fault::Error(after)
            | Fault::LongLine(after)
            | Fault::Silent(after)
            | Fault::Heartbeats(after) => Some(after),
            _ => None,
        }
    }

    /// Events of text that come.
    pub(crate) fn events(self) -> u64 {
        match self {
            Fault::NoText | Fault::NoChoices => 0,
            _ => self.after().unwrap_or(EVENTS),
        }
    }

    /// How often a request that meets it may be sent.
    pub(crate) fn most_tries(self, stream: bool) -> u64 {
        let failure = self.expected(stream).failure;
        match self {
            Fault::Once => 2,
            // More is waited for than a retry may wait.
            Fault::RateLimited(_) => 1,
            // What is added to ask for the usage may be why.
            _ if stream && failure == Some(Failure::Refused) => 2,
            _ => 1 + u64::from(failure.is_some_and(Failure::retryable)),
        }
    }

    /// What must come of it.
    pub(crate) fn expected(self, stream: bool) -> Expected {
        let before = self.before_the_first_byte(stream);
        match self.after() {
            // A sign of life is passed on before anything else.
            Some(0) if stream && matches!(self, Fault::Heartbeats(_)) => {
                Expected { status: 200, ..before }
            }
            // The status is out already; the last event says it.
            Some(1..) if stream => Expected { status: 200, ..before },
            _ => before,
        }
    }

    fn before_the_first_byte(self, stream: bool) -> Expected {
        let malformed = refused(502, "upstream_malformed", Failure::Malformed);
        let cut = refused(502, "upstream_cut_short", Failure::CutShort);
        let too_large = refused(502, "upstream_too_large", Failure::TooLarge);
        match self {
            Fault::None
            | Fault::Dribble
            | Fault::NoEndMark
            | Fault::Slow(_)
            | Fault::Paced(_)
            | Fault::Hints(_)
            | Fault::Absurd
            | Fault::Negative
            | Fault::Gzip
            | Fault::ThenCloses(_)
            | Fault::Once => ANSWERED,
            // A whole answer may have long lines.
            Fault::LongLine(_) if !stream => ANSWERED,
            // The end mark was there.
            Fault::TooShort if stream => ANSWERED,
            Fault::LongLine(_) | Fault::LongHead | Fault::Endless => too_large,
            Fault::Cut(_)
            | Fault::Reset(_)
            | Fault::Unended(_)
            | Fault::CutGzip
            | Fault::TooShort => cut,
            Fault::NoJson(_)
            | Fault::NoUtf8(_)
            | Fault::Html
            | Fault::NoChoices
            | Fault::NotHttp
            | Fault::Redirect(_) => malformed,
            Fault::NoBody if stream => cut,
            Fault::NoBody => malformed,
            Fault::Error(_) => refused(502, "upstream_error", Failure::ServerError),
            Fault::NoText => Expected { failure: Some(Failure::Empty), ..ANSWERED },
            Fault::Status(status) => of_status(status),
            Fault::RateLimited(_) => refused(429, "upstream_rate_limited", Failure::RateLimited),
            Fault::Account => refused(503, "upstream_account_limit", Failure::AccountLimit),
            Fault::Close | Fault::ResetAtOnce => {
                refused(502, "upstream_unreachable", Failure::Unreachable)
            }
            Fault::Silent(0) => refused(504, "upstream_timeout", Failure::FirstByteTimeout),
            Fault::Silent(_) | Fault::Heartbeats(_) if stream => {
                refused(504, "upstream_timeout", Failure::IdleTimeout)
            }
            Fault::Silent(_) | Fault::Heartbeats(_) | Fault::Flood => {
                refused(504, "upstream_timeout", Failure::TotalTimeout)
            }
        }
    }
}

fn of_status(status: u16) -> Expected {
    match status {
        401 | 403 => refused(502, "upstream_credential", Failure::Credential),
        402 => refused(503, "upstream_account_limit", Failure::AccountLimit),
        408 => refused(504, "upstream_timeout", Failure::TotalTimeout),
        400..=499 => refused(status, "upstream_refused", Failure::Refused),
        _ => refused(502, "upstream_error", Failure::ServerError),
    }
}
