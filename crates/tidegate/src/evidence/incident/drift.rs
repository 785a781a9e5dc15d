//! What the pack of a changed model says: whose model, what changed, each run with its numbers, and
//! who accepted it.

use super::Data;
use crate::clock::rfc3339;
use crate::lang::Lang;
use tidegate_core::drift::{Drift, SentinelNote};
use tidegate_core::journal::Event;

/// The columns of its chain of events.
pub(super) const HEADS: [&str; 5] = ["when", "run", "what", "names", "tests"];

/// The facts, each as a name and a value.
pub(super) fn facts(data: &Data) -> Vec<(&'static str, String)> {
    let incident = &data.incident;
    let state = match &incident.closed {
        Some((at, text)) if text.is_empty() => format!("over since {}", rfc3339(*at)),
        Some((at, text)) => format!("accepted {}: {text}", rfc3339(*at)),
        None => "open: releases are held".to_owned(),
    };
    let mut facts = vec![
        ("Signal", incident.signal.as_str().to_owned()),
        ("State", state),
        ("Opened", rfc3339(incident.opened_at)),
        ("What was seen", Lang::En.cause(&incident.reason)),
        ("Version set", format!("{}, which is as it was; no candidate is blamed", data.set)),
    ];
    if let Some(note) = notes(data).next() {
        facts.push(("Upstream", format!("{} {}", note.upstream, note.endpoint)));
        facts.push(("Model that is asked for", note.model));
    }
    facts.push((
        "What to do",
        "ask the provider; `tidegate sentinel accept --reason …` takes the model as it is now, or \
         release another one; the incident closes by itself when it is as before"
            .to_owned(),
    ));
    facts
}

/// The runs that are about it, oldest first.
fn notes(data: &Data) -> impl Iterator<Item = SentinelNote> {
    let events = data.journal.iter().filter_map(|line| serde_json::from_str(&line.body).ok());
    events.filter_map(|event| match event {
        Event::SentinelRan(note) => Some(*note),
        _ => None,
    })
}

/// One row for each run, and one for who accepted it.
pub(super) fn chain(data: &Data) -> Vec<[String; 5]> {
    let row = |line: &super::JournalLine| match serde_json::from_str(&line.body) {
        Ok(Event::SentinelRan(note)) => Some(run_row(rfc3339(line.at), *note)),
        Ok(Event::SentinelAccepted { run_id, by, reason, .. }) => {
            let what = format!("accepted by {by}: {reason}");
            Some([rfc3339(line.at), run_id, what, String::new(), String::new()])
        }
        Ok(_) | Err(_) => None,
    };
    data.journal.iter().filter_map(row).collect()
}

fn run_row(at: String, note: SentinelNote) -> [String; 5] {
    let Some(drift) = note.drift else {
        return [at, note.run_id, "became the reference".to_owned(), String::new(), String::new()];
    };
    let Drift { verdict, models, fingerprints, asked, unanswered, tests, .. } = drift;
    let what = format!("{}; {unanswered} of {asked} without an answer", verdict.as_str());
    let named = |names: &[String]| match names {
        [] => "no name".to_owned(),
        names => names.join(", "),
    };
    let names = format!(
        "model {} before, {} now; fingerprint {} before, {} now",
        named(&models.before),
        named(&models.now),
        named(&fingerprints.before),
        named(&fingerprints.now)
    );
    let tests = tests.iter().map(|test| {
        let (metric, before, now) = (&test.metric, test.before, test.now);
        format!("{metric} {before:.3} to {now:.3} (p {:.4})", test.p_holm)
    });
    [at, note.run_id, what, names, tests.collect::<Vec<_>>().join("; ")]
}
