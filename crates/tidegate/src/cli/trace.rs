//! `tidegate trace <id>`: one request with its versions, its time and its fate (R172).

use crate::config::load;
use crate::control::read_state;
use crate::error::{CliError, Result};
use crate::output::{self, Tone, paint};
use crate::store::Records as _;
use clap::Args;
use std::path::Path;
use std::time::Duration;
use tidegate_core::evidence::Record;
use tidegate_core::ids::TraceId;
use tidegate_core::observe::Timing;
use tidegate_core::version_set::VersionKeys;

/// How long a record may take to the disk on a busy machine.
const WRITTEN_WITHIN: Duration = Duration::from_millis(150);

/// What `trace` takes.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The id that the answer carried in `x-trace-id`.
    id: String,
}

/// Shows the request.
pub(crate) fn run(config: &Path, args: &TraceArgs, json: bool) -> Result<()> {
    let id = TraceId::parse(&args.id).map_err(|e| CliError::usage(e.to_string()))?;
    let (store, _) = read_state(&load(config)?.root)?;
    let mut found = store.trace(&id)?;
    if found.is_none() {
        // The writer commits records in groups; one of this very moment is there a little later.
        std::thread::sleep(WRITTEN_WITHIN);
        found = store.trace(&id)?;
    }
    let record = found.ok_or_else(|| {
        CliError::usage(format!("no request with trace id `{id}` is kept here"))
            .hint("answers carry their id in the header x-trace-id; records are kept for `records.retention_days`")
    })?;
    let feedback = store.feedback_of(&id)?;
    if json {
        output::json(&serde_json::json!({ "record": record, "feedback": feedback }));
        return Ok(());
    }
    show(&record);
    for item in feedback {
        output::line(format!("feedback   {}", serde_json::to_string(&item).unwrap_or_default()));
    }
    Ok(())
}

fn show(record: &Record) {
    let mut rows = vec![
        ("trace", record.trace_id.to_string()),
        ("at", crate::clock::rfc3339(record.at)),
        ("who", who(record)),
        ("served by", served_by(record)),
        ("result", result(record)),
        ("time", time(&record.timing)),
        ("tokens", tokens(record)),
    ];
    if let Some(change_id) = &record.change_id {
        rows.push(("release", change_id.to_string()));
    }
    if let Some(said) = &record.upstream_said {
        rows.push(("upstream", paint(Tone::Red, said)));
    }
    if let Some(problem) = &record.contract_problem {
        rows.push(("contract", paint(Tone::Red, problem)));
    }
    for event in &record.risk {
        let text = format!("{}: {}", event.kind.as_str(), event.detail);
        rows.push(("risk", paint(Tone::Red, &text)));
    }
    rows.push(("input", content(record.input.as_ref(), record.prompt_length)));
    rows.push(("output", content(record.output.as_ref(), record.response_length)));
    for (name, value) in rows {
        output::line(format!("{} {value}", output::padded(name, 10)));
    }
}

fn who(record: &Record) -> String {
    let (user, tenant) = (or_none(record.user.as_deref()), or_none(record.tenant.as_deref()));
    format!("user {user} · tenant {tenant}")
}

fn served_by(record: &Record) -> String {
    let VersionKeys { code, prompt, model, index } = &record.set.keys;
    let (arm, set) = (record.arm.as_str(), &record.set.id);
    format!("{arm} · {set} · prompt {prompt} · model {model} · index {index} · code {code}")
}

fn result(record: &Record) -> String {
    let status = record.status;
    match record.failure {
        None => format!("{status}, answered"),
        Some(failure) => format!("{status}, {} ({:?} fault)", failure.as_str(), failure.fault()),
    }
}

fn time(timing: &Timing) -> String {
    let ms = |us: u64| format!("{:.1} ms", us as f64 / 1000.0);
    format!(
        "{} = queue {} + retrieval {} + first token {} + generation {}",
        ms(timing.total_us),
        ms(timing.queue_us),
        ms(timing.retrieval_us),
        ms(timing.first_token_us),
        ms(timing.generation_us)
    )
}

fn tokens(record: &Record) -> String {
    let estimated = if record.tokens_estimated { " (estimated)" } else { "" };
    let cost = record.cost_micro_usd as f64 / 1e6;
    format!("{} in, {} out{estimated} · ${cost:.6}", record.tokens_in, record.tokens_out)
}

fn content(text: Option<&String>, chars: u64) -> String {
    text.cloned().unwrap_or_else(|| format!("({chars} characters, content not kept)"))
}

fn or_none(text: Option<&str>) -> &str {
    text.unwrap_or("(none)")
}
