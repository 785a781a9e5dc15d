//! A version set, asked from here: one question to its upstream, as the gateway would ask it. It
//! finds a wrong address, a missing key, a model that is not there, before the first user does.

use crate::clock::Clock;
use crate::config::Loaded;
use crate::gate::{AskError, ask, deadlines, read_cases};
use crate::upstream::Deadlines;
use crate::version_set::{LiveSet, PackedSet, SetError};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::evidence::{GateRun, GateStatus};
use tidegate_core::gate::{Case, Risk};
use tidegate_core::text::redact;

/// What is asked where the project has no cases.
const GREETING: &str = "Hello";
/// Longest question and answer quoted, characters.
const QUOTED_CHARS: usize = 200;

/// Asks the set one question. It passes when there is an answer that crosses no red line, fails
/// when the upstream does not answer or the answer crosses one, and is inconclusive when nothing
/// could be sent from here: a key that only the server has, say.
///
/// # Errors
/// When the project's cases cannot be read.
pub(crate) async fn ask_set(
    loaded: &Loaded,
    packed: &PackedSet,
    clock: &Clock,
) -> Result<GateRun, SetError> {
    let live = match LiveSet::new(packed, &loaded.root, clock) {
        Ok(live) => Arc::new(live),
        Err(error) => {
            let text = format!("not asked from here: {error}");
            return Ok(GateRun { status: GateStatus::Inconclusive, text });
        }
    };
    let deadlines = deadlines(packed)?;
    let case = question(loaded, packed);
    let asked = quoted(&case.input);
    let upstream = &live.upstream_name;
    let (status, text) = match ask(&live, &case, deadlines, true, None).await {
        Ok(answer) => {
            let red = answer.events.iter().find(|event| event.kind.is_red_line());
            let text = quoted(&answer.text);
            let tokens = answer.total_tokens.map(|n| format!(", {n} tokens")).unwrap_or_default();
            let latency_ms = answer.latency_ms;
            match red {
                Some(event) => {
                    let kind = event.kind.as_str();
                    let text = format!("the answer crosses a red line: {kind} ({})", event.detail);
                    (GateStatus::Fail, text)
                }
                None => {
                    let answered = format!("upstream `{upstream}` answered in {latency_ms} ms");
                    (GateStatus::Pass, format!("{answered}{tokens}\nanswer: {text}"))
                }
            }
        }
        Err(error) if error.failure.is_some() => {
            (GateStatus::Fail, format!("no answer: {}", redact(&error.message)))
        }
        Err(error) => (GateStatus::Inconclusive, format!("not asked: {}", redact(&error.message))),
    };
    Ok(GateRun { status, text: format!("{text}\nquestion: {asked}\n") })
}

/// Asks a set that is ready a greeting, as it is served; reads nothing from disk.
///
/// # Errors
/// Why there is no answer.
pub(crate) async fn greet(live: &Arc<LiveSet>) -> Result<(), AskError> {
    let deadlines = Deadlines {
        first_byte: Duration::from_millis(live.limits.first_byte_ms),
        idle: Duration::from_millis(live.limits.idle_ms),
        total: Duration::from_millis(live.limits.total_ms),
    };
    let asked = ask(live, &greeting(), deadlines, true, None).await;
    asked.map(|_| ()).map_err(|error| AskError { message: redact(&error.message), ..error })
}

/// The first case of the project, as it is; a greeting where there is none.
fn question(loaded: &Loaded, packed: &PackedSet) -> Case {
    let cases = read_cases(loaded, packed).map(|set| set.cases).unwrap_or_default();
    let mut cases = cases.iter().flatten();
    let ordinary = cases.find(|case| case.risk != Risk::Safety);
    ordinary.map_or_else(greeting, Cow::into_owned)
}

fn greeting() -> Case {
    Case::new("smoke", GREETING)
}

fn quoted(text: &str) -> String {
    redact(&text.chars().take(QUOTED_CHARS).collect::<String>()).replace(['\n', '\r'], " ")
}
