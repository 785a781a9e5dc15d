//! Guard: what an answer says that it should not. One chain for whole answers, streams and evals.
//!
//! Everything that a model can say is looked at: content, reasoning, refusal, tool names and
//! arguments, of every choice ([`Said`]). Order of checks: planted texts, tools, the prompt's
//! recitation and echo, personal data and secrets.
//!
//! Some detectors are certain, and one event is enough to act: a planted text, a tool that is not
//! allowed, the system prompt recited, a key in its maker's form, a card or an identity number with
//! its check digit. The rest are signals that are counted and compared: the prompt's echo as a
//! share of n-grams, addresses and phone numbers. What the request
//! itself held ([`Heard`]) is repeated and not given away, so it counts as neither. An
//! encoded prompt is decoded first (`encoded`); a translated one is not seen.
//!
//! [`signals`] are of requests as well, and prove nothing: hidden text, phrases of injections,
//! words.

mod echo;
mod encoded;
mod planted;
mod private;
mod redact;
mod refusal;
mod said;
mod signal;
mod watch;
mod windows;
mod words;

#[cfg(test)]
mod tests;

pub use echo::overlap_share;
pub use private::Known;
pub use redact::{REDACT_DELAY_CHARS, RedactedStream};
pub use refusal::detect_refusal;
pub use said::{Call, Heard, Part, Said, Text};
pub use signal::{Place, Signal, SignalKind, signals};
pub use watch::{Seen, StreamWatch};
pub use windows::{TextId, Window, Windows};
pub use words::Words;

use crate::ids::{ChangeId, TraceId, UnixMs};
use crate::route::Arm;
use crate::text::{is_hidden, redact};
use encoded::Way;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// From which share of the system prompt's n-grams on an answer counts as its echo. An answer
/// quotes names and a rule or two of its prompt; a third of it is repeated for a reason.
pub const ECHO_SHARE: f64 = 0.35;
/// From which share on the prompt is recited: no answer to a question holds four fifths of it.
pub const RECITED_SHARE: f64 = 0.8;
/// Fewest n-grams of a system prompt that is checked for its echo (20 English words, 23 Chinese
/// characters): a shorter one is quoted by chance.
pub const ECHO_MIN_GRAMS: usize = 16;
/// Longest tool name shown in a detail, in characters.
const TOOL_SHOWN_MAX: usize = 64;

/// A kind of risk event; a small closed list, it is a metric label. The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskKind {
    /// The answer contains a planted text.
    Leak,
    /// The answer calls a tool that the version set does not allow.
    UnauthorisedTool,
    /// The answer holds the system prompt itself, four fifths of it or more.
    PromptRecited,
    /// An API key, a token or a private key in its maker's form, which the request did not hold.
    Secret,
    /// A payment card or an identity number with its check digit, which the request did not hold.
    Identity,
    /// The answer repeats much of the system prompt: an injection worked, or is likely to have.
    /// Probabilistic (n-gram overlap), so it is a rate.
    PromptEcho,
}

/// What follows from one event of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskSeverity {
    /// Nothing: it is counted, and its rate compared.
    Counted,
    /// The release rolls back.
    Red,
    /// The release rolls back, and the entrance is shut where the project says so.
    Black,
}

impl RiskKind {
    /// What one event is enough for.
    pub fn severity(self) -> RiskSeverity {
        match self {
            RiskKind::Leak | RiskKind::UnauthorisedTool => RiskSeverity::Black,
            RiskKind::PromptRecited | RiskKind::Secret | RiskKind::Identity => RiskSeverity::Red,
            RiskKind::PromptEcho => RiskSeverity::Counted,
        }
    }

    /// Whether one event is enough to act.
    pub fn is_red_line(self) -> bool {
        self.severity() > RiskSeverity::Counted
    }

    /// The name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            RiskKind::Leak => "leak",
            RiskKind::UnauthorisedTool => "unauthorised_tool",
            RiskKind::PromptRecited => "prompt_recited",
            RiskKind::Secret => "secret",
            RiskKind::Identity => "identity",
            RiskKind::PromptEcho => "prompt_echo",
        }
    }
}

/// One risk event, with what was seen; the detail never holds the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskEvent {
    /// What happened.
    pub kind: RiskKind,
    /// What was seen, safe to show.
    pub detail: String,
}

/// A red-line event with the request it was seen in: what an incident is made of, on whichever arm
/// and whether or not a release runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// What was seen.
    pub event: RiskEvent,
    /// When the answer ended.
    pub at: UnixMs,
    /// Which arm answered.
    pub arm: Arm,
    /// The release that ran; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_id: Option<ChangeId>,
    /// The request whose answer held it.
    pub trace_id: TraceId,
    /// Whose it was, behind a pseudonym (`caller-` and 12 hex digits); `None` for a request that
    /// names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Whether the answer was kept from the client.
    pub blocked: bool,
    /// For how long the caller is refused from then on, s; 0 for not at all.
    #[serde(default)]
    pub banned_s: u64,
}

/// What was found in an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Risk events, at most one per planted text, tool name and other kind.
    pub events: Vec<RiskEvent>,
    /// Whether it contains personal data or a secret that the request did not contain.
    pub gives_away: bool,
    /// Whether redaction would change any of its texts.
    pub has_private: bool,
    /// What is worth counting and proves nothing.
    pub signals: Vec<Signal>,
}

/// What to look for in answers of one version set.
#[derive(Debug, Clone, Default)]
pub struct Detectors {
    /// Texts that must never appear in an answer (planted tokens, known secrets).
    pub planted: Vec<String>,
    /// Tools the version set allows; `None` when it names no tools and none are checked.
    pub allowed_tools: Option<BTreeSet<String>>,
    /// The rendered system prompt, for the echo check; empty for none.
    pub system_prompt: String,
    /// The project's word list.
    pub words: Words,
}

impl Detectors {
    /// What an answer contains that it should not. `heard` gives the texts of the request; it is
    /// asked for only where something was found that the request may hold too.
    pub fn inspect<'h>(&self, said: &Said<'_>, heard: impl Fn() -> Heard<'h>) -> Findings {
        let mut findings = Findings { events: self.planted_in(said), ..Findings::default() };
        findings.events.extend(self.unauthorised(said));
        findings.events.extend(self.echo(said, &heard));
        private::look(said, &heard, &mut findings);
        if !self.words.is_empty() {
            let texts = said.all().map(|text| (Place::Answer, text));
            findings.signals = signals(texts, &self.words);
        }
        findings
    }

    fn planted_in(&self, said: &Said<'_>) -> Vec<RiskEvent> {
        planted::look(&self.planted, said.all().chain(said.windows.iter().copied()))
    }

    fn unauthorised(&self, said: &Said<'_>) -> Vec<RiskEvent> {
        let refused: BTreeSet<&str> = self.forbidden(said, said.is_cut).collect();
        refused.into_iter().map(|name| self.unauthorised_tool(name)).collect()
    }

    /// Names of the tools that are called and not allowed. Where the answer goes on, a choice's
    /// last name that may still become an allowed one is none: names come in pieces, before the
    /// arguments.
    fn forbidden<'a>(&self, said: &Said<'a>, goes_on: bool) -> impl Iterator<Item = &'a str> {
        let last: Vec<usize> = said.last_calls().map(|(at, _)| at).collect();
        let is_forbidden = |(at, call): &(usize, &Call<'a>)| {
            let Some(allowed) = &self.allowed_tools else { return false };
            let may_grow = goes_on && last.contains(at) && call.arguments.is_empty();
            let becomes_allowed = || allowed.iter().any(|tool| tool.starts_with(call.name));
            !allowed.contains(call.name) && (!may_grow || !becomes_allowed())
        };
        let calls = said.calls.iter().enumerate().filter(is_forbidden);
        calls.map(|(_, call)| call.name).collect::<Vec<_>>().into_iter()
    }

    /// Whether the last tool that a choice calls may still turn out to be another, allowed or not:
    /// its name may have more pieces until its arguments begin. While it may, nothing of it should
    /// go on to the client.
    pub fn is_open_call(&self, said: &Said<'_>) -> bool {
        let is_open = |(_, call): (usize, &Call<'_>)| call.arguments.is_empty();
        self.allowed_tools.is_some() && said.last_calls().any(is_open)
    }

    fn unauthorised_tool(&self, name: &str) -> RiskEvent {
        let detail = format!("tool `{}` is not allowed", self.shown_tool(name));
        RiskEvent { kind: RiskKind::UnauthorisedTool, detail }
    }

    /// A tool's name as far as it is safe to show: it is the model's text, so it may hold a
    /// secret, personal data or characters that spoil a log.
    fn shown_tool(&self, name: &str) -> String {
        if !planted::look(&self.planted, std::iter::once(name)).is_empty() {
            return "(withheld)".to_owned();
        }
        let shown: String = redact(name).chars().take(TOOL_SHOWN_MAX).collect();
        shown.replace(|c: char| is_hidden(c) || c == '`', "?")
    }

    /// The text that holds most of the prompt counts: one recitation is not diluted by the rest.
    fn echo<'h>(&self, said: &Said<'_>, heard: impl Fn() -> Heard<'h>) -> Vec<RiskEvent> {
        if self.system_prompt.is_empty() {
            return Vec::new();
        }
        let measured = said.all().flat_map(|text| self.echo_in(text));
        let Some((share, grams, way)) = measured.max_by(|a, b| a.0.total_cmp(&b.0)) else {
            return Vec::new();
        };
        if grams < ECHO_MIN_GRAMS || share < ECHO_SHARE {
            return Vec::new();
        }
        let way = way.map(|way| format!(", {}", way.as_str())).unwrap_or_default();
        let detail = format!(
            "{:.0} % of the system prompt's {grams} n-grams are in the answer{way}",
            share * 100.0
        );
        let mut events = Vec::new();
        if share >= RECITED_SHARE && !is_quoted(&heard(), &self.system_prompt) {
            events.push(RiskEvent { kind: RiskKind::PromptRecited, detail: detail.clone() });
        }
        events.push(RiskEvent { kind: RiskKind::PromptEcho, detail });
        events
    }
}

impl Detectors {
    /// How much of the prompt a text holds as it is, and by each other way to write it.
    fn echo_in(&self, text: &str) -> Vec<(f64, usize, Option<Way>)> {
        let prompt = &self.system_prompt;
        let (share, grams) = echo::measure(text, prompt);
        let mut all = vec![(share, grams, None)];
        if share >= ECHO_SHARE || grams < ECHO_MIN_GRAMS || !echo::may_hold(text, grams, ECHO_SHARE)
        {
            return all;
        }
        all.extend(encoded::readings(text).into_iter().map(|(way, text)| {
            let (share, grams) = match way {
                Way::Letters => echo::measure_letters(&text, prompt),
                Way::Base64 | Way::Hex | Way::Percent | Way::Rot13 | Way::Backwards => {
                    echo::measure(&text, prompt)
                }
            };
            (share, grams, Some(way))
        }));
        all
    }
}

/// Whether the request's own texts hold the prompt: who sends it has it already.
fn is_quoted(heard: &Heard<'_>, system_prompt: &str) -> bool {
    heard.client.iter().any(|text| echo::measure(text, system_prompt).0 >= ECHO_SHARE)
}
