//! The judge model of a project: asked as any model server is, with the decoding that the project
//! says, and noted by the name that its server gives itself.

use super::ask::ask_error;
use crate::config::{JudgeConfig, ResponseFormat};
use crate::spending::{Account, input_tokens};
use crate::upstream::{Answer, Call, Deadlines, Endpoints, Form, Reply};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidegate_core::gate::{JudgeRecord, Question, Unanswered, family};
use tidegate_core::ids::Digest;
use tidegate_core::version_set::VersionKeys;
use tokio::time::sleep;

/// Most names of a judge that are noted: a server that gives each answer another one has none.
const NAMES_MAX: usize = 16;

/// A judge, ready to be asked.
#[derive(Debug)]
pub(crate) struct Judge {
    config: JudgeConfig,
    upstream: Endpoints,
    /// How often each name was given.
    names: Mutex<BTreeMap<String, u64>>,
}

impl Judge {
    pub(super) fn new(config: JudgeConfig, upstream: Endpoints) -> Judge {
        Judge { config, upstream, names: Mutex::default() }
    }

    /// Its name at its upstream.
    pub(super) fn model(&self) -> &str {
        &self.config.model
    }

    /// The longest that it may say, tokens.
    pub(super) fn max_tokens(&self) -> u64 {
        self.config.max_tokens
    }

    /// What the judge says; asked again where that can help. Whoever waits ends it.
    ///
    /// # Errors
    /// Why there is no verdict, safe to show.
    pub(super) async fn ask(
        &self,
        question: &Question,
        within: Duration,
        account: Option<&Account>,
    ) -> Result<String, String> {
        let mut tries = 1;
        loop {
            let call = self.call(question, within);
            let tokens_in = input_tokens(&call.body);
            let open = account.map(|account| account.call(&self.config.model, tokens_in));
            match self.upstream.call(call).await {
                Ok(Reply::Whole(answer)) => {
                    if let Some(open) = open {
                        open.answered(&answer.facts, answer.elapsed.total);
                    }
                    return self.heard(&answer);
                }
                Ok(Reply::Stream(_)) => return Err("the judge's answer is a stream".to_owned()),
                Err(error) => {
                    if let Some(open) = open {
                        open.failed(error.failure);
                    }
                    let error = ask_error(&error, &self.config.upstream);
                    match error.again.filter(|_| tries < Unanswered::TRIES) {
                        Some(wait) => sleep(wait).await,
                        None => return Err(error.message),
                    }
                }
            }
            tries += 1;
        }
    }

    fn call(&self, question: &Question, within: Duration) -> Call {
        let JudgeConfig { model, temperature, response_format, max_tokens, .. } = &self.config;
        let mut body = Map::new();
        body.insert("model".to_owned(), model.as_str().into());
        body.insert(
            "messages".to_owned(),
            json!([
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ]),
        );
        body.insert("max_tokens".to_owned(), json!(max_tokens));
        if let Some(temperature) = temperature {
            body.insert("temperature".to_owned(), json!(temperature));
        }
        if let Some(format) = format_of(*response_format, &question.schema) {
            body.insert("response_format".to_owned(), format);
        }
        // Whoever waits for this ends it first, and says so in its own words.
        let total = within + Duration::from_secs(1);
        Call {
            form: Form::Chat,
            tokens: None,
            betas: None,
            body,
            expected_bytes: question.user.len(),
            stream: false,
            is_retry: false,
            tried: Vec::new(),
            is_hurried: false,
            keys: VersionKeys::default(),
            traceparent: None,
            trace_id: None,
            request_id: format!("judge-{}", Digest::of(question.user.as_bytes()).short(12)),
            deadlines: Deadlines { first_byte: total, idle: total, total },
        }
    }

    /// The text of an answer by the judge that was meant.
    fn heard(&self, answer: &Answer) -> Result<String, String> {
        let name = answer.facts.model.as_deref();
        if let Some(name) = name {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if names.len() < NAMES_MAX || names.contains_key(name) {
                *names.entry(name.to_owned()).or_insert(0) += 1;
            }
        }
        if let Some(pinned) = &self.config.version
            && name != Some(pinned)
        {
            let name = name.unwrap_or("no name");
            return Err(format!("the judge answers as `{name}`, and `{pinned}` is pinned"));
        }
        match answer.facts.text() {
            "" => Err("the judge said nothing".to_owned()),
            text => Ok(text.to_owned()),
        }
    }

    /// What is known of it after a run on this model.
    pub(super) fn record(&self, candidate: &str) -> JudgeRecord {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        JudgeRecord {
            upstream: self.config.upstream.clone(),
            model: self.config.model.clone(),
            version: self.config.version.clone(),
            answered_as: names.clone(),
            same_family: family(&self.config.model) == family(candidate),
            agreement: BTreeMap::new(),
        }
    }
}

fn format_of(format: ResponseFormat, schema: &Value) -> Option<Value> {
    match format {
        ResponseFormat::None => None,
        ResponseFormat::JsonObject => Some(json!({"type": "json_object"})),
        ResponseFormat::JsonSchema => Some(json!({
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": true, "schema": schema},
        })),
    }
}
