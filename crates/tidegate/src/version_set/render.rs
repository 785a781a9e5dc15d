//! Rendering: a client's request becomes the request of a version set.
//!
//! Who wins where both say something: `model` and the system prompt are the set's. `temperature`
//! is the client's, then the prompt's, then the model parameters'. The longest answer is the
//! client's up to the set's. Every other parameter is the client's, then the set's. Members this
//! module does not know go through untouched.

use super::template::{RenderError, Template, Variable};
use crate::config::PromptMode;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tidegate_wire::anthropic;
use tidegate_wire::openai_chat::{self, LENGTH_MEMBERS, WrapError};
use tidegate_wire::translate::Warnings;

/// Parameters of sampling that a message has as well.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];

/// A request with the version set's prompt in it.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    /// The body for the upstream: model, messages, parameters; unknown members kept.
    pub(crate) body: Map<String, Value>,
    /// What of the set's parameters was left out.
    pub(crate) left_out: Warnings,
}

/// What fills a template beside the request's body.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slots<'a> {
    /// The end user.
    pub(crate) user: Option<&'a str>,
    /// What the index has for the request.
    pub(crate) retrieved: &'a str,
}

impl<'a> From<Option<&'a str>> for Slots<'a> {
    fn from(user: Option<&'a str>) -> Slots<'a> {
        Slots { user, ..Slots::default() }
    }
}

/// What rendering needs of a version set, worked out once.
#[derive(Debug, Clone)]
pub(super) struct Renderer {
    /// The set's model, as JSON.
    pub(super) model: Value,
    /// System prompt and user template; none where messages pass through.
    pub(super) templates: Option<(Template, Template)>,
    /// Members for requests that do not have them.
    pub(super) defaults: Map<String, Value>,
    /// Longest answer a client may ask for, tokens.
    pub(super) max_tokens: Option<u64>,
    /// Keys of `metadata` that a template uses. They are for us, and some providers refuse a
    /// request that has `metadata`, so they are not sent on.
    pub(super) metadata_keys: Vec<String>,
    /// Whether the set's system message and those that the client begins with become one.
    pub(super) merge_system: bool,
}

impl Renderer {
    /// Works out the defaults: the model's parameters, and over them the prompt's settings.
    pub(super) fn new(
        model: &str,
        mode: PromptMode,
        templates: Option<(Template, Template)>,
        parameters: &BTreeMap<String, Value>,
        temperature: Option<f64>,
        max_tokens: Option<u64>,
    ) -> Renderer {
        let templates = match mode {
            PromptMode::Render => templates,
            PromptMode::PassThrough => None,
        };
        let mut defaults: Map<String, Value> =
            parameters.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if let Some(temperature) = temperature {
            defaults.insert("temperature".to_owned(), Value::from(temperature));
        }
        // A model that wants the newer member has it among its parameters.
        let newer = defaults.contains_key(LENGTH_MEMBERS[1]);
        let of_parameters =
            LENGTH_MEMBERS.iter().filter_map(|key| defaults.get(*key)?.as_u64()).min();
        let max_tokens = max_tokens.or(of_parameters);
        if let Some(max_tokens) = max_tokens {
            LENGTH_MEMBERS.iter().for_each(|key| drop(defaults.shift_remove(*key)));
            defaults.insert(LENGTH_MEMBERS[usize::from(newer)].to_owned(), max_tokens.into());
        }
        let mut metadata_keys: Vec<String> = templates
            .iter()
            .flat_map(|(system, user)| system.variables().chain(user.variables()))
            .filter_map(|variable| match variable {
                Variable::Metadata(key) => Some(key.clone()),
                Variable::Input | Variable::User | Variable::Retrieved => None,
            })
            .collect();
        metadata_keys.sort();
        metadata_keys.dedup();
        Renderer {
            model: Value::from(model),
            templates,
            defaults,
            max_tokens,
            metadata_keys,
            merge_system: false,
        }
    }

    /// Puts the prompt, model and parameters into a client's request body, whose values it takes.
    pub(super) fn render(
        &self,
        mut body: Map<String, Value>,
        slots: Slots<'_>,
    ) -> Result<Rendered, RenderError> {
        let mut out = Map::with_capacity(body.len() + self.defaults.len() + 2);
        out.insert("model".to_owned(), self.model.clone());
        if let Some((system, template)) = &self.templates {
            let given = body.get_mut("messages").map(Value::take);
            let request = Request { body: &body, slots };
            let mut messages = request.messages(given, system, template)?;
            if self.merge_system {
                openai_chat::merge_leading_system(&mut messages);
            }
            out.insert("messages".to_owned(), messages.into());
        }
        for (key, value) in body {
            match key.as_str() {
                "model" => {}
                "messages" if self.templates.is_some() => {}
                "metadata" if !self.metadata_keys.is_empty() => {
                    if let Some(rest) = self.other_metadata(value) {
                        out.insert(key, rest);
                    }
                }
                _ => drop(out.insert(key, value)),
            }
        }
        self.fill(&mut out)?;
        Ok(Rendered { body: out, left_out: Warnings::default() })
    }

    /// Whether a template has a place for what is found.
    pub(super) fn has_slot(&self) -> bool {
        let has = |template: &Template| template.variables().any(|v| *v == Variable::Retrieved);
        self.templates.as_ref().is_some_and(|(_, user)| has(user))
    }

    /// Whether the set has no parameter that a message does not have.
    pub(super) fn fits_messages(&self) -> bool {
        let has = |key: &String| SAMPLING.contains(&&**key) || LENGTH_MEMBERS.contains(&&**key);
        self.defaults.keys().all(has)
    }

    /// As [`Self::render`], of a message of Anthropic's API; `sampling`: whether the model takes
    /// parameters of it.
    pub(super) fn render_message(
        &self,
        mut body: Map<String, Value>,
        slots: Slots<'_>,
        sampling: bool,
    ) -> Result<Rendered, RenderError> {
        body.insert("model".to_owned(), self.model.clone());
        if let Some((system, template)) = &self.templates {
            let given = body.get_mut("messages").map(Value::take);
            let Some(Value::Array(mut messages)) = given else {
                return Err(RenderError("`messages` must be a list".to_owned()));
            };
            let request = Request { body: &body, slots };
            let prompt = request.text(system, "")?;
            let wrapped = Wrapped { request: &request, template };
            anthropic::wrap_last_user(&mut messages, &wrapped).map_err(unwrapped)?;
            let block = |text: String| json!({ "type": "text", "text": text });
            let mut blocks = vec![block(prompt)];
            match body.get_mut("system").map(Value::take) {
                Some(Value::String(text)) if !text.is_empty() => blocks.push(block(text)),
                Some(Value::Array(own)) => blocks.extend(own),
                _ => {}
            }
            body.insert("system".to_owned(), blocks.into());
            body.insert("messages".to_owned(), messages.into());
        }
        if let Some(max_tokens) = self.max_tokens {
            anthropic::bound_length(&mut body, max_tokens).map_err(|key| {
                RenderError(format!("`{key}` must be a whole number from 1 to {max_tokens}"))
            })?;
        }
        let mut left_out = Warnings::default();
        // A model that thinks takes none either.
        let sampling = sampling && body.get("thinking").is_none();
        for key in SAMPLING {
            let Some(value) = self.defaults.get(key).filter(|_| !body.contains_key(key)) else {
                continue;
            };
            match sampling {
                true => drop(body.insert(key.to_owned(), value.clone())),
                false => left_out.no_sampling(key),
            }
        }
        Ok(Rendered { body, left_out })
    }

    fn fill(&self, out: &mut Map<String, Value>) -> Result<(), RenderError> {
        openai_chat::fill(out, &self.defaults);
        self.bound(out)
    }

    /// Bounds the answer that a request asks for.
    pub(super) fn bound(&self, out: &mut Map<String, Value>) -> Result<(), RenderError> {
        let Some(max_tokens) = self.max_tokens else { return Ok(()) };
        openai_chat::bound_length(out, max_tokens).map_err(|key| {
            RenderError(format!("`{key}` must be a whole number from 1 to {max_tokens}"))
        })
    }

    /// The metadata that no template uses; `None` when nothing is left.
    fn other_metadata(&self, metadata: Value) -> Option<Value> {
        let Value::Object(mut members) = metadata else { return Some(metadata) };
        members.retain(|key, _| self.metadata_keys.binary_search(key).is_err());
        (!members.is_empty()).then_some(Value::Object(members))
    }
}

/// The user template with this request's values in it.
struct Wrapped<'a> {
    request: &'a Request<'a>,
    template: &'a Template,
}

impl openai_chat::Template for Wrapped<'_> {
    type Error = RenderError;

    fn text(&self, input: &str) -> Result<String, RenderError> {
        self.request.text(self.template, input)
    }

    fn frame(&self, input: &str) -> Result<Option<(String, String)>, RenderError> {
        self.template.frame(input, |variable| self.request.value(variable, input))
    }
}

fn unwrapped(error: WrapError<RenderError>) -> RenderError {
    match error {
        WrapError::NoUserMessage => {
            RenderError("`messages` has no message with `\"role\": \"user\"`".to_owned())
        }
        WrapError::NoText => RenderError(
            "the last user message's `content` must be text or a list of parts".to_owned(),
        ),
        WrapError::Template(error) => error,
    }
}

/// A request's side of rendering, without its messages.
struct Request<'a> {
    body: &'a Map<String, Value>,
    slots: Slots<'a>,
}

impl Request<'_> {
    /// The set's system message, then the client's messages with the last user text in the
    /// template. The client's own system messages stay where they are, after the set's.
    fn messages(
        &self,
        given: Option<Value>,
        system: &Template,
        template: &Template,
    ) -> Result<Vec<Value>, RenderError> {
        let Some(Value::Array(messages)) = given else {
            return Err(RenderError("`messages` must be a list".to_owned()));
        };
        let mut out = Vec::with_capacity(messages.len() + 1);
        out.push(openai_chat::system_message(&self.text(system, "")?));
        out.extend(messages);
        let wrapped = Wrapped { request: self, template };
        openai_chat::wrap_last_user(&mut out[1..], &wrapped).map_err(unwrapped)?;
        Ok(out)
    }

    fn text(&self, template: &Template, input: &str) -> Result<String, RenderError> {
        template.render(|variable| self.value(variable, input))
    }

    fn value<'v>(
        &'v self,
        variable: &Variable,
        input: &'v str,
    ) -> Result<Cow<'v, str>, RenderError> {
        match variable {
            Variable::Input => Ok(Cow::Borrowed(input)),
            Variable::User => Ok(Cow::Borrowed(self.slots.user.unwrap_or_default())),
            Variable::Retrieved => Ok(Cow::Borrowed(self.slots.retrieved)),
            Variable::Metadata(key) => self.metadata(key),
        }
    }

    fn metadata(&self, key: &str) -> Result<Cow<'_, str>, RenderError> {
        match self.body.get("metadata").and_then(|metadata| metadata.get(key)) {
            Some(Value::String(text)) => Ok(Cow::Borrowed(text)),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Cow::Owned(value.to_string())),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) => {
                Err(RenderError(format!("`metadata.{key}`, which the prompt uses, must be text")))
            }
            None => Err(RenderError(format!(
                "the prompt uses `metadata.{key}`, which the request does not set: send \
                 `\"metadata\": {{\"{key}\": \"…\"}}`"
            ))),
        }
    }
}
