//! The endpoints of the data plane: their paths, their methods, and the API of each.

use super::code::Code;
use super::dialect::Dialect;
use super::problem::{Next, Problem};
use crate::http::percent_decoded;
use http::{Method, StatusCode};

/// The document that describes them, OpenAPI 3.1.
pub(super) const OPENAPI: &[u8] = include_bytes!("openapi.json");

/// Something that answers at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Chat completions.
    Completions,
    /// OpenAI's older completions.
    PlainCompletions,
    /// Embeddings.
    Embeddings,
    /// Anthropic's messages.
    Messages,
    /// How many tokens a message has.
    CountTokens,
    /// OpenAI's responses.
    Responses,
    /// The short form.
    Chat,
    /// What a user says of an answer.
    Feedback,
    /// The models, which are services.
    Models,
    /// One of them.
    Model,
    /// The document of all of these.
    OpenApi,
    /// For Prometheus.
    Metrics,
    /// Whether the process lives.
    Health,
    /// Whether to send requests.
    Ready,
}

impl Endpoint {
    /// Every endpoint.
    pub(super) const ALL: [Endpoint; 14] = [
        Endpoint::Completions,
        Endpoint::PlainCompletions,
        Endpoint::Embeddings,
        Endpoint::Messages,
        Endpoint::CountTokens,
        Endpoint::Responses,
        Endpoint::Chat,
        Endpoint::Feedback,
        Endpoint::Models,
        Endpoint::Model,
        Endpoint::OpenApi,
        Endpoint::Metrics,
        Endpoint::Health,
        Endpoint::Ready,
    ];

    /// Its path; `{id}` is the rest of it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Endpoint::Completions => "/v1/chat/completions",
            Endpoint::PlainCompletions => "/v1/completions",
            Endpoint::Embeddings => "/v1/embeddings",
            Endpoint::Messages => "/v1/messages",
            Endpoint::CountTokens => "/v1/messages/count_tokens",
            Endpoint::Responses => "/v1/responses",
            Endpoint::Chat => "/chat",
            Endpoint::Feedback => "/v1/feedback",
            Endpoint::Models => "/v1/models",
            Endpoint::Model => "/v1/models/{id}",
            Endpoint::OpenApi => "/openapi.json",
            Endpoint::Metrics => "/metrics",
            Endpoint::Health => "/health",
            Endpoint::Ready => "/readyz",
        }
    }

    /// The methods that it takes, as `Allow` names them.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Endpoint::Completions
            | Endpoint::PlainCompletions
            | Endpoint::Embeddings
            | Endpoint::Messages
            | Endpoint::CountTokens
            | Endpoint::Responses
            | Endpoint::Chat
            | Endpoint::Feedback => "POST",
            Endpoint::Models
            | Endpoint::Model
            | Endpoint::OpenApi
            | Endpoint::Metrics
            | Endpoint::Health
            | Endpoint::Ready => "GET, HEAD",
        }
    }

    /// Probes say nothing that is worth a credential, and are not counted as requests.
    pub(super) fn is_probe(self) -> bool {
        matches!(self, Endpoint::Health | Endpoint::Ready)
    }

    /// The API that the clients of a path speak, also where they ask in a wrong way.
    pub(super) fn dialect(path: &str) -> Dialect {
        let begins = |endpoint: Endpoint| path.starts_with(endpoint.path());
        if begins(Endpoint::Messages) {
            Dialect::Anthropic
        } else if begins(Endpoint::Responses) {
            Dialect::Responses
        } else if begins(Endpoint::PlainCompletions) {
            Dialect::Completions
        } else if begins(Endpoint::Embeddings) {
            Dialect::Embeddings
        } else {
            Dialect::OpenAi
        }
    }

    fn is_at(self, path: &str) -> bool {
        match self.path().strip_suffix("{id}") {
            Some(before) => path.strip_prefix(before).is_some_and(|id| !id.is_empty()),
            None => self.path() == path,
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// The endpoint at a path, with or without a slash at its end.
pub(super) fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Problem> {
    let path = path.trim_end_matches('/');
    let Some(found) = Endpoint::ALL.into_iter().find(|endpoint| endpoint.is_at(path)) else {
        let known = Endpoint::ALL.map(Endpoint::path).join(", ");
        let message = format!("there is no such endpoint; there are {known}");
        return Err(Problem::client(StatusCode::NOT_FOUND, Code::UnknownEndpoint, message));
    };
    if !found.takes(method) {
        let message = format!("{} takes {}", found.path(), found.methods());
        return Err(Problem::client(StatusCode::METHOD_NOT_ALLOWED, Code::WrongMethod, message)
            .next(Next::Allow(found.methods())));
    }
    Ok(found)
}

/// The model that the path of [`Endpoint::Model`] names, as the client wrote it.
pub(super) fn model_id(path: &str) -> String {
    let before = Endpoint::Model.path().trim_end_matches("{id}");
    let id = path.strip_prefix(before).unwrap_or_default().trim_end_matches('/');
    percent_decoded(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// The document has every path with its methods, and every code, and no other.
    #[test]
    fn the_document_is_that_of_the_code() {
        let document: Value = serde_json::from_slice(OPENAPI).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(|method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let ours = |endpoint: Endpoint| {
            let methods = endpoint.methods().split(", ").filter(|method| *method != "HEAD");
            methods.map(move |method| (endpoint.path().to_owned(), method.to_owned()))
        };
        assert_eq!(described, Endpoint::ALL.into_iter().flat_map(ours).collect());
        let error = &document["components"]["schemas"]["Error"]["properties"]["error"];
        let codes = error["properties"]["code"]["x-codes"].as_array().unwrap();
        let codes: BTreeSet<&str> = codes.iter().filter_map(Value::as_str).collect();
        // Nobody is there to read this one; it is only recorded.
        let seen = Code::ALL.into_iter().filter(|code| *code != Code::ClientGone);
        assert_eq!(codes, seen.map(Code::as_str).collect());
    }

    fn check(path: &str, expected: Option<Endpoint>) {
        let post = endpoint(&Method::POST, path).ok();
        let found = post.or_else(|| endpoint(&Method::GET, path).ok());
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_slash_at_the_end_does_not_matter() {
        for endpoint in Endpoint::ALL {
            let path = endpoint.path().replace("{id}", "desk");
            check(&path, Some(endpoint));
            check(&format!("{path}/"), Some(endpoint));
        }
        for path in ["", "/", "//", "/v1", "/v1/chat", "/v1/message", "/V1/models", "/v1//models"] {
            check(path, None);
        }
    }

    #[test]
    fn the_name_of_a_model_is_decoded() {
        let check = |path: &str, id: &str| assert_eq!(model_id(path), id, "{path}");
        check("/v1/models/desk", "desk");
        check("/v1/models/desk/", "desk");
        check("/v1/models/org%2Fdesk", "org/desk");
        check("/v1/models/org/desk", "org/desk");
        check("/v1/models/%E6%A1%8C%", "桌%");
        check("/v1/models/%+1%zz", "%+1%zz");
    }
}
