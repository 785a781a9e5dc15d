//! What Google's Gemini API has in its addresses.

use super::code::Code;
use super::problem::Problem;
use crate::http::percent_decoded;
use http::{HeaderMap, StatusCode};

/// Headers that the API's clients send, and no others.
const HEADERS: [&str; 2] = ["x-goog-api-key", "x-goog-api-client"];

/// Whether a client of the API asks: it has the list of models where OpenAI has it.
pub(super) fn is_client(headers: &HeaderMap) -> bool {
    HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sends {
    /// At once.
    Whole,
    /// As events.
    Events,
    /// As a JSON list that grows, which is what the API does where nothing else is asked for.
    List,
}

/// How the answer to a request is sent.
pub(super) fn sends(streams: bool, query: Option<&str>) -> Sends {
    match (streams, alternative(query).as_deref()) {
        (false, _) => Sends::Whole,
        (true, Some("sse")) => Sends::Events,
        (true, _) => Sends::List,
    }
}

fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let parameters = query.unwrap_or_default().split('&');
    parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// The form of answers that is asked for.
fn alternative(query: Option<&str>) -> Option<String> {
    let asked = |(name, _): &(&str, &str)| matches!(*name, "alt" | "$alt" | "%24alt");
    parameters(query).find(asked).map(|(_, form)| percent_decoded(form))
}

/// Refuses an address that asks for what is not here, and one that has a key in it: addresses get
/// into the logs of whatever is between.
pub(super) fn check(query: Option<&str>) -> Result<(), Problem> {
    let refused = |message: &str, param| {
        Err(Problem::bad_request(Code::UnsupportedParameter, message).param(Some(param)))
    };
    if parameters(query).any(|(name, _)| percent_decoded(name) == "key") {
        let message = "a key in an address ends in logs; send it as the header `x-goog-api-key`, \
                       and make another in place of this one";
        return refused(message, "key");
    }
    match alternative(query).as_deref() {
        None | Some("sse" | "json") => Ok(()),
        Some(_) => refused("`alt` may be `sse` or `json`", "alt"),
    }
}

/// What is said of a verb that no model here has.
pub(super) fn no_such_verb() -> Problem {
    let message = "a model here can `generateContent`, `streamGenerateContent` and `countTokens`; \
                   embeddings are made by `POST /v1/embeddings`";
    Problem::client(StatusCode::NOT_FOUND, Code::UnknownEndpoint, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_the_answer_is_sent() {
        let check = |query: Option<&str>, expected| assert_eq!(sends(true, query), expected);
        check(None, Sends::List);
        check(Some("alt=json"), Sends::List);
        check(Some("alt=sse"), Sends::Events);
        check(Some("prettyPrint=false&%24alt=s%73e"), Sends::Events);
        check(Some("salt=sse"), Sends::List);
        assert_eq!(sends(false, Some("alt=sse")), Sends::Whole);
    }

    #[test]
    fn a_key_in_an_address_is_refused_however_it_is_written() {
        for query in ["key=AIza", "key", "alt=sse&key=AIza", "k%65y=AIza"] {
            let problem = check(Some(query)).unwrap_err();
            assert_eq!(problem.param.as_deref(), Some("key"), "{query}");
            assert!(!problem.message.contains("AIza"), "{}", problem.message);
        }
        for query in [None, Some(""), Some("monkey=1&alt=sse"), Some("alt=json&pageSize=5")] {
            assert!(check(query).is_ok(), "{query:?}");
        }
        assert_eq!(check(Some("alt=proto")).unwrap_err().param.as_deref(), Some("alt"));
    }
}
