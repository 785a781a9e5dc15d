//! The endpoints of the data plane: their paths, their methods, and the API of each.

use super::code::Code;
use super::dialect::Dialect;
use super::google;
use super::problem::{Next, Problem};
use crate::http::percent_decoded;
use http::{HeaderMap, Method, StatusCode, Uri};

/// The document that describes them, OpenAPI 3.1.
pub(super) const OPENAPI: &[u8] = include_bytes!("openapi.json");

/// What the paths of Google's API begin with, and of no other.
const GOOGLES: &str = "/v1beta/";
/// Where both APIs have models.
const MODELS: &str = "/v1/models/";

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
    /// An answer of Google's Gemini API.
    Generate,
    /// The same, streamed.
    StreamGenerate,
    /// How many tokens its request has.
    CountGenerate,
    /// The models, as that API lists them.
    GoogleModels,
    /// One of them.
    GoogleModel,
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
    pub(super) const ALL: [Endpoint; 19] = [
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
        Endpoint::Generate,
        Endpoint::StreamGenerate,
        Endpoint::CountGenerate,
        Endpoint::GoogleModels,
        Endpoint::GoogleModel,
        Endpoint::OpenApi,
        Endpoint::Metrics,
        Endpoint::Health,
        Endpoint::Ready,
    ];

    /// What a model of Google's API can do.
    const VERBS: [Endpoint; 3] =
        [Endpoint::Generate, Endpoint::StreamGenerate, Endpoint::CountGenerate];

    /// The same as Google's clients have it, where both APIs have it at one path.
    pub(super) fn for_dialect(self, dialect: Dialect) -> Endpoint {
        match (self, dialect) {
            (Endpoint::Models, Dialect::Google(_)) => Endpoint::GoogleModels,
            (Endpoint::Model, Dialect::Google(_)) => Endpoint::GoogleModel,
            (_, _) => self,
        }
    }

    /// Its path; `{id}` is a model, whose name may have slashes.
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
            Endpoint::Generate => "/v1beta/models/{id}:generateContent",
            Endpoint::StreamGenerate => "/v1beta/models/{id}:streamGenerateContent",
            Endpoint::CountGenerate => "/v1beta/models/{id}:countTokens",
            Endpoint::GoogleModels => "/v1beta/models",
            Endpoint::GoogleModel => "/v1beta/models/{id}",
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
            | Endpoint::Feedback
            | Endpoint::Generate
            | Endpoint::StreamGenerate
            | Endpoint::CountGenerate => "POST",
            Endpoint::Models
            | Endpoint::Model
            | Endpoint::GoogleModels
            | Endpoint::GoogleModel
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
    pub(super) fn dialect(uri: &Uri, headers: &HeaderMap) -> Dialect {
        let path = uri.path();
        let begins = |endpoint: Endpoint| path.starts_with(endpoint.path());
        let is_at = |endpoint: &Endpoint| endpoint.is_at(path.trim_end_matches('/'));
        let is_googles = path.starts_with(GOOGLES)
            || Endpoint::VERBS.iter().any(is_at)
            || begins(Endpoint::Models) && google::is_client(headers);
        if is_googles {
            let streams = is_at(&Endpoint::StreamGenerate);
            Dialect::Google(google::sends(streams, uri.query()))
        } else if begins(Endpoint::Messages) {
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
        match self.path().split_once("{id}") {
            Some(_) => self.id(path).is_some_and(|id| !id.is_empty()),
            None => self.path() == path,
        }
    }

    /// The model in the path, as it is written there. What Google's API has is at its first version
    /// as well, which its SDKs have come to ask.
    fn id(self, path: &str) -> Option<&str> {
        let (before, after) = self.path().split_once("{id}")?;
        let is_googles = self == Endpoint::GoogleModel || Endpoint::VERBS.contains(&self);
        let first = || path.strip_prefix(MODELS).filter(|_| is_googles);
        path.strip_prefix(before).or_else(first)?.strip_suffix(after)
    }

    /// The model that the path names, as the client means it; `None` where the path has none.
    pub(super) fn model(self, path: &str) -> Option<String> {
        self.id(path.trim_end_matches('/')).map(percent_decoded)
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// The endpoint at a path, with or without a slash at its end.
pub(super) fn endpoint(method: &Method, path: &str) -> Result<Endpoint, Problem> {
    let path = path.trim_end_matches('/');
    let is_it = |endpoint: &&Endpoint| endpoint.is_at(path);
    // A verb is first: without it the rest of the path is a model's name.
    let verb = Endpoint::VERBS.iter().find(is_it);
    let Some(found) = verb.or_else(|| Endpoint::ALL.iter().find(is_it)).copied() else {
        let known = Endpoint::ALL.map(Endpoint::path).join(", ");
        let message = format!("there is no such endpoint; there are {known}");
        return Err(Problem::client(StatusCode::NOT_FOUND, Code::UnknownEndpoint, message));
    };
    let is_model = matches!(found, Endpoint::GoogleModel | Endpoint::Model);
    if is_model && method == Method::POST && path.contains(':') {
        return Err(google::no_such_verb());
    }
    if !found.takes(method) {
        let message = format!("{} takes {}", found.path(), found.methods());
        return Err(Problem::client(StatusCode::METHOD_NOT_ALLOWED, Code::WrongMethod, message)
            .next(Next::Allow(found.methods())));
    }
    Ok(found)
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
        let check = |path: &str, id: &str| {
            let found = endpoint(&Method::GET, path).unwrap();
            assert_eq!(found.model(path).as_deref(), Some(id), "{path}");
        };
        check("/v1/models/desk", "desk");
        check("/v1/models/desk/", "desk");
        check("/v1/models/org%2Fdesk", "org/desk");
        check("/v1/models/org/desk", "org/desk");
        check("/v1/models/%E6%A1%8C%", "桌%");
        check("/v1/models/%+1%zz", "%+1%zz");
        check("/v1beta/models/qwen3:8b", "qwen3:8b");
        let path = "/v1beta/models/org/qwen3:8b:generateContent";
        let found = endpoint(&Method::POST, path).unwrap();
        assert_eq!((found, found.model(path)), (Endpoint::Generate, Some("org/qwen3:8b".into())));
        let path = "/v1/models/qwen3:8b:streamGenerateContent";
        let found = endpoint(&Method::POST, path).unwrap();
        assert_eq!((found, found.model(path)), (Endpoint::StreamGenerate, Some("qwen3:8b".into())));
    }

    #[test]
    fn what_a_model_of_googles_api_cannot_do_is_no_wrong_method() {
        for verb in ["embedContent", "batchEmbedContents", "predict", "", "generatecontent"] {
            for version in ["v1", "v1beta"] {
                let problem = endpoint(&Method::POST, &format!("/{version}/models/desk:{verb}"));
                assert_eq!(problem.unwrap_err().code, Code::UnknownEndpoint, "{verb}");
            }
        }
    }
}
