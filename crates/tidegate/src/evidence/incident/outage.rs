//! What the pack of an outage says: how long, how many requests failed, how, and what the model
//! server said.

use super::Data;
use crate::clock::rfc3339;
use crate::lang::Lang;
use tidegate_core::journal::Event;
use tidegate_core::observe::OutageRun;

/// The columns of its chain of events.
pub(super) const HEADS: [&str; 5] = ["when", "what", "requests", "failed", "how most failed"];

/// The facts, each as a name and a value.
pub(super) fn facts(data: &Data, outage: &OutageRun) -> Vec<(&'static str, String)> {
    let incident = &data.incident;
    let lasted = Lang::En.span(outage.lasted_ms(data.written_at) as f64 / 1000.0);
    let state = match (&incident.closed, outage.ended_at) {
        (Some((at, text)), _) if !text.is_empty() => format!("closed {}: {text}", rfc3339(*at)),
        (_, Some(at)) => format!("over since {}", rfc3339(at)),
        (_, None) => "it lasts".to_owned(),
    };
    let how = outage.failures.iter().map(|(failure, n)| format!("{} {n}", failure.as_str()));
    let said = match outage.said.is_empty() {
        true => "nothing that is kept".to_owned(),
        false => outage.said.join("; "),
    };
    vec![
        ("Signal", incident.signal.as_str().to_owned()),
        ("State", state),
        ("Opened", rfc3339(incident.opened_at)),
        ("What was seen", Lang::En.cause(&incident.reason)),
        ("Upstream", outage.upstream.clone()),
        ("Version set", format!("{}, the one that served; no release was judged by it", data.set)),
        ("First failure", rfc3339(outage.since)),
        ("Last failure", rfc3339(outage.last_failed_at)),
        ("Duration", lasted),
        ("Impact", format!("{} of {} requests failed", outage.failed(), outage.requests)),
        ("How they failed", how.collect::<Vec<_>>().join(", ")),
        ("Came again within 10 min", format!("{} times", outage.came_again)),
        ("What the model server said", said),
        (
            "What to do",
            format!(
                "check the model server and its account; the incident closes by itself when it is \
                 over, or `tidegate incident close {}`",
                data.id
            ),
        ),
    ]
}

/// One row for each time that it was journalled, oldest first.
pub(super) fn chain(data: &Data) -> Vec<[String; 5]> {
    let mut before = 0;
    let row = |(at, outage): (_, OutageRun)| {
        let what = match outage.ended_at {
            Some(_) => "over",
            None if outage.came_again > before => "came again",
            None => "lasts",
        };
        before = outage.came_again;
        let (requests, failed) = (outage.requests.to_string(), outage.failed().to_string());
        [rfc3339(at), what.to_owned(), requests, failed, outage.failure().as_str().to_owned()]
    };
    let seen = data.journal.iter().filter_map(|line| match serde_json::from_str(&line.body) {
        Ok(Event::OutageSeen { incident: _, outage }) => Some((line.at, *outage)),
        Ok(_) | Err(_) => None,
    });
    seen.map(row).collect()
}
