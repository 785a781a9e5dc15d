//! `rollback.md`: what was rolled back, when, by which person or rule, and how it was verified.

use super::clean::CleanData;
use super::html::cell;
use super::journal::Step;
use crate::clock::rfc3339;
use crate::lang::Lang;
use std::fmt::Write as _;
use tidegate_core::decide::Phase;

/// The decision that rolled back, if the release was rolled back.
pub(super) fn step(data: &CleanData) -> Option<&Step> {
    match data.release.state.phase {
        Phase::RolledBack | Phase::ShutOff => data
            .steps
            .iter()
            .find(|s| matches!(s.decision.state.phase, Phase::RolledBack | Phase::ShutOff)),
        Phase::Running | Phase::Paused(_) | Phase::Ended | Phase::Promoted => None,
    }
}

/// Who or what rule decided a step.
pub(super) fn decider(step: &Step) -> String {
    match &step.order {
        Some(order) => order.by.clone(),
        None => match step.decision.reasons.first() {
            Some(reason) => format!("tidegate, rule {}", rule_name(reason)),
            None => "tidegate".to_owned(),
        },
    }
}

fn rule_name(reason: &tidegate_core::decide::Reason) -> String {
    let code = reason.code().as_str();
    match reason.metric() {
        Some(metric) => format!("{code} on {}", metric.as_str()),
        None => code.to_owned(),
    }
}

/// Why a step was taken, in the words of its first reason; an order's own words come first.
pub(super) fn why(step: &Step) -> String {
    let reason = step.decision.reasons.first().map(|reason| Lang::En.sentence(reason));
    let reason = reason.unwrap_or_default();
    match &step.order {
        Some(order) => match order.given_reason() {
            Some(given) if !reason.contains(given) => format!("{given}; {reason}"),
            Some(_) | None => reason,
        },
        None => reason,
    }
}

/// The file.
pub(super) fn markdown(data: &CleanData, step: &Step) -> String {
    let plan = &data.release.plan;
    let at = step.decision.at;
    let mut text = format!(
        "# Rollback of {}\n\n\
         - What: service `{}` went from version set `{}` back to `{}`.\n\
         - When: {}, {} after the release started.\n\
         - By: {}.\n\
         - Why: {}\n\
         - Who saw the candidate: {} requests of {} users.\n",
        data.change_id,
        data.service,
        plan.to,
        plan.from,
        rfc3339(at),
        Lang::En.span(at.since(data.release.started_at) as f64 / 1000.0),
        cell(&decider(step)),
        cell(&why(step)),
        data.exposure.requests,
        data.exposure.users,
    );
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "\n## How it was verified\n");
    match (&step.table, step.applied) {
        (Some(table), Some((in_force, took_us))) => {
            let _ = writeln!(
                text,
                "- Route table generation {} with stable `{}` and no candidate was in force at \
                 {}; the switch took {} µs (journal entry {}).",
                table.generation,
                table.stable,
                rfc3339(in_force),
                took_us,
                step.seq,
            );
        }
        (Some(table), None) => {
            let _ = writeln!(
                text,
                "- NOT VERIFIED: no journal entry says that route table generation {} is in \
                 force.",
                table.generation
            );
        }
        (None, _) => text.push_str("- NOT VERIFIED: the decision intended no route table.\n"),
    }
    let _ = writeln!(
        text,
        "- Version set `{}` is blocked: a new release of it needs a named person's override.",
        plan.to
    );
    text.push_str("\n## All reasons\n\n");
    for reason in &step.decision.reasons {
        let _ = writeln!(text, "- {}", cell(&Lang::En.sentence(reason)));
    }
    incident(&mut text, data);
    text
}

fn incident(text: &mut String, data: &CleanData) {
    let Some(incident) = &data.incident else { return };
    let _ = writeln!(
        text,
        "\n## Incident\n\n- Signal: {}, opened {}: {}",
        incident.signal.as_str(),
        rfc3339(incident.opened_at),
        cell(&Lang::En.cause(&incident.reason))
    );
    let cases = if incident.case_ids.is_empty() {
        "none yet; the incident cannot be closed without one".to_owned()
    } else {
        incident.case_ids.join(", ")
    };
    let _ = writeln!(text, "- Blocking cases written back: {cases}");
    match &incident.closed {
        Some((at, conclusion)) => {
            let _ = writeln!(text, "- Closed {}: {}", rfc3339(*at), cell(conclusion));
        }
        None => text.push_str("- Still open.\n"),
    }
}
