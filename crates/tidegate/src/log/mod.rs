//! The server's log: events of a closed list, as text lines or as JSON lines, on stderr.
//!
//! An event has its numbers, and its sentence is made of them here, so that a line for people and a
//! line for machines never differ in what they say. `tracing` carries them: another subscriber can
//! be put beside [`Lines`] without a change where events are made.

mod event;
mod key;
mod kind;

pub(crate) use event::{Event, Serving};
pub(crate) use key::LogKey;

use crate::clock::{Clock, rfc3339};
use crate::output;
use clap::ValueEnum;
use kind::EventType;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use tidegate_core::ids::{ChangeId, TraceId};
use tidegate_core::version_set::NamedSet;
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Events of other crates have other targets, and are left out.
const TARGET: &str = "tidegate::event";
/// The field with an event's kind.
const EVENT_TYPE: &str = "event_type";
/// The field with its service.
const SERVICE: &str = "service";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// A time and a sentence.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What an event is about, as far as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    /// The service.
    pub(crate) service: &'a str,
    /// The request.
    pub(crate) trace_id: Option<&'a TraceId>,
    /// The release.
    pub(crate) change_id: Option<&'a ChangeId>,
    /// The version set.
    pub(crate) set: Option<&'a NamedSet>,
    /// The tenant, behind a pseudonym.
    pub(crate) tenant: Option<&'a str>,
    /// The user, behind a pseudonym.
    pub(crate) user: Option<&'a str>,
}

impl About<'_> {
    /// About a service as a whole.
    pub(crate) fn service(service: &str) -> About<'_> {
        About { service, ..About::default() }
    }

    /// Logs an event.
    pub(crate) fn log(&self, event: &Event<'_>) {
        let About { service, trace_id, change_id, set, tenant, user } = *self;
        let version_set = set.and_then(|set| serde_json::to_string(set).ok());
        let details = event.details().to_string();
        // The level of a tracing event is a constant, so each level has its own call.
        macro_rules! send {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    event_type = event.event_type().as_str(),
                    service,
                    trace_id = trace_id.map(TraceId::as_str),
                    change_id = change_id.map(ChangeId::as_str),
                    prompt_version = set.map(|set| set.keys.prompt.as_str()),
                    version_set,
                    tenant,
                    user,
                    details,
                    text_line = event.text_line(),
                    "{}",
                    event.text()
                )
            };
        }
        match event.level() {
            Level::ERROR => send!(Level::ERROR),
            Level::WARN => send!(Level::WARN),
            _ => send!(Level::INFO),
        }
    }
}

/// Starts the log, once. `quiet` leaves out the events that the demo reports itself.
pub(crate) fn start(format: Format, quiet: bool) {
    if format == Format::Json {
        output::set_json_log();
    }
    let lines = tracing_subscriber::registry().with(Lines { format, quiet });
    // A second start changes nothing.
    let _ = tracing::subscriber::set_global_default(lines);
}

/// Writes events to stderr.
struct Lines {
    format: Format,
    quiet: bool,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target() != TARGET {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let kind = EventType::ALL.into_iter().find(|kind| kind.as_str() == fields.get(EVENT_TYPE));
        if self.quiet && kind.is_some_and(EventType::is_story) {
            return;
        }
        let line = match self.format {
            Format::Json => fields.json(*metadata.level()),
            // A request is a JSON line in either format.
            Format::Text => fields.text(),
        };
        output::log_line(line);
    }
}

/// An event's fields as texts.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// A line of the JSON log.
#[derive(Serialize)]
struct JsonLine<'a> {
    timestamp: String,
    level: &'static str,
    event_type: &'a str,
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_set: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a RawValue>,
}

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn text(&self) -> String {
        if let Some(line) = self.find("text_line") {
            return line.to_owned();
        }
        let (time, message) = (rfc3339(Clock::Real.now()), self.get("message"));
        match self.get(SERVICE) {
            // One of several services is named; of one that is alone everybody knows.
            service if !service.is_empty() && service != output::service() => {
                format!("{time} {service}: {message}")
            }
            _ => format!("{time} {message}"),
        }
    }

    fn json(&self, level: Level) -> String {
        // Both were JSON before they became a field.
        let raw = |name| self.find(name).and_then(|text| serde_json::from_str(text).ok());
        let line = JsonLine {
            timestamp: rfc3339(Clock::Real.now()),
            level: level_name(level),
            event_type: self.get(EVENT_TYPE),
            service: self.get(SERVICE),
            trace_id: self.find("trace_id"),
            change_id: self.find("change_id"),
            prompt_version: self.find("prompt_version"),
            version_set: raw("version_set"),
            tenant: self.find("tenant"),
            user: self.find("user"),
            message: self.get("message"),
            details: raw("details"),
        };
        // Strings, and JSON that was read: it can be written.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        _ => "info",
    }
}

#[cfg(test)]
mod tests;
