//! A simulated model: it answers by rule and says so (`system_fingerprint` is `simulated`).
//!
//! It reads the request, so that a change of the prompt has an effect: it keeps to the form that the
//! system prompt shows, cites the documents that are named, cuts at `max_tokens`, and falls for an
//! attack that the system prompt does not guard against. Everything that varies is drawn from the
//! seed and the request, so that the same request has the same answer in any order of requests;
//! time, errors and faults vary with the request's id as well. A retry with the same id has the same
//! fault: to see the fault go away, a retry needs another id.

mod reading;
#[cfg(test)]
mod tests;
mod writing;

use super::completion::{self, Pace, Prompt, Schedule};
use super::{Call, Reply, UpstreamError};
use crate::clock::Clock;
use crate::config;
use reading::Reading;
use serde_json::Value;
use tidegate_core::ids::UnixMs;
use tidegate_core::random::Random;
use tidegate_core::text::estimate_tokens;
use tidegate_wire::openai_chat::Completion;
use tidegate_wire::{ErrorFacts, Finish};

/// A simulated model.
#[derive(Debug)]
pub(crate) struct Simulated {
    config: config::Simulated,
    clock: Clock,
    started: UnixMs,
}

/// What the faults that apply to a request do to it.
#[derive(Debug, Clone)]
struct Effect<'a> {
    status: Option<u16>,
    slower: f64,
    answer: Option<&'a str>,
    cut: bool,
}

impl Simulated {
    /// Makes the model; the times of its faults count from here.
    pub(crate) fn new(config: &config::Simulated, clock: &Clock) -> Self {
        Simulated { config: config.clone(), clock: clock.clone(), started: clock.now() }
    }

    /// Answers one call.
    ///
    /// # Errors
    /// A simulated one, or a deadline that is shorter than the simulated time.
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, UpstreamError> {
        let pace = Pace::start(&self.clock, call.deadlines);
        let prompt = Prompt::of(&call.body);
        let model = completion::model(&call.body);
        let seed = self.config.seed.to_string();
        let content = tidegate_core::random::hash(&[&seed, &prompt.user, model, &prompt.system]);
        let noise = content ^ tidegate_core::random::hash(&[&call.request_id]);
        let reading = Reading::of(&prompt);
        let effect = self.effect(&call, &reading, noise);

        let mut time = Random::new(noise, "time");
        let first_token = completion::ms(
            self.config.first_token_ms * effect.slower * time.lognormal(self.config.sigma),
        );
        if let Some(status) = effect.status {
            pace.until(first_token).await;
            return Err(UpstreamError::of_status(
                status,
                &ErrorFacts::default(),
                pace.elapsed(first_token),
            ));
        }
        let completion = self.complete(&call, &prompt, &reading, effect.answer, content);
        let per_token =
            self.config.ms_per_token * effect.slower * time.lognormal(self.config.sigma);
        let writing = completion::ms(per_token * completion.tokens_out as f64);
        let schedule = Schedule { first_token, total: first_token + writing, cut: effect.cut };
        pace.deliver(&call, &completion, schedule).await
    }

    fn complete(
        &self,
        call: &Call,
        prompt: &Prompt,
        reading: &Reading<'_>,
        instead: Option<&str>,
        content: u64,
    ) -> Completion {
        let has_tools =
            call.body.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty());
        let tool =
            if has_tools && prompt.user_is_last { reading::tool_named(&prompt.user) } else { None };
        let mut text = match (tool, instead) {
            (Some(_), _) => String::new(),
            (None, Some(instead)) => instead.to_owned(),
            (None, None) => writing::answer(reading, &mut Random::new(content, "text")),
        };
        let mut finish = if tool.is_some() { Finish::ToolCalls } else { Finish::Stop };
        let cut = max_tokens(call).and_then(|max| completion::cut_to_tokens(&text, max));
        if let Some(cut) = cut {
            text.truncate(cut.len());
            finish = Finish::Length;
        }
        Completion {
            id: format!("chatcmpl-{}", call.request_id),
            created: self.clock.now().0 / 1000,
            model: completion::model(&call.body).to_owned(),
            fingerprint: "simulated",
            tokens_in: prompt.tokens(),
            tokens_out: estimate_tokens(tool.unwrap_or(&text)),
            text,
            tool: tool.map(str::to_owned),
            finish,
        }
    }

    /// What goes wrong with a request. Of several faults the first status and answer count, and
    /// slowness multiplies.
    fn effect(&self, call: &Call, reading: &Reading<'_>, noise: u64) -> Effect<'_> {
        let mut effect = Effect { status: None, slower: 1.0, answer: None, cut: false };
        for (index, fault) in self.config.faults.iter().enumerate() {
            let mut drawn = Random::new(noise, &format!("fault {index}"));
            if !self.applies(fault, call, reading, drawn.unit()) {
                continue;
            }
            effect.status = effect.status.or(fault.status);
            effect.slower *= fault.slower.unwrap_or(1.0);
            effect.answer = effect.answer.or(fault.answer.as_deref());
            effect.cut |= fault.cut;
        }
        if effect.status.is_none() && Random::new(noise, "error").unit() < self.config.error_rate {
            effect.status = Some(500);
        }
        effect
    }

    fn applies(
        &self,
        fault: &config::SimulatedFault,
        call: &Call,
        reading: &Reading<'_>,
        drawn: f64,
    ) -> bool {
        let config::SimulatedFault {
            prompt,
            model,
            min_chars,
            language,
            from_s,
            until_s,
            rate,
            status: _,
            slower: _,
            answer: _,
            cut: _,
        } = fault;
        let seconds = self.clock.now().since(self.started) / 1000;
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        is(prompt, &call.keys.prompt)
            && is(model, &call.keys.model)
            && is(language, reading.language.as_str())
            && min_chars.is_none_or(|min| reading.user.chars().count() as u64 >= min)
            && from_s.is_none_or(|from| seconds >= from)
            && until_s.is_none_or(|until| seconds < until)
            && rate.is_none_or(|rate| drawn < rate)
    }
}

/// How many tokens the answer may have; the newer name wins.
fn max_tokens(call: &Call) -> Option<u64> {
    ["max_completion_tokens", "max_tokens"]
        .into_iter()
        .find_map(|key| call.body.get(key).and_then(Value::as_u64))
}
