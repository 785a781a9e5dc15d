//! The three gates that users write: what is not done until what.
//!
//! Each guards one step that costs users, money or what a team learns: sharing the service, renting
//! the next GPU hour, fine-tuning. A gate with a preset is decided on what is known of the project;
//! one in the user's own words holds once somebody writes down by what it was met. What is not
//! known does not hold.

use crate::ids::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WrittenGate {
    /// `gate_1`: before the service is shared.
    #[serde(rename = "gate_1")]
    Share,
    /// `gate_2`: before the next GPU hour is rented.
    #[serde(rename = "gate_2")]
    Rent,
    /// `gate_3`: before anything is fine-tuned.
    #[serde(rename = "gate_3")]
    FineTune,
}

impl WrittenGate {
    /// All three, in order.
    pub const ALL: [WrittenGate; 3] =
        [WrittenGate::Share, WrittenGate::Rent, WrittenGate::FineTune];

    /// Its key.
    pub fn as_str(self) -> &'static str {
        match self {
            WrittenGate::Share => "gate_1",
            WrittenGate::Rent => "gate_2",
            WrittenGate::FineTune => "gate_3",
        }
    }

    /// What is not done before it holds.
    pub fn step(self) -> &'static str {
        match self {
            WrittenGate::Share => "share the service",
            WrittenGate::Rent => "rent the next GPU hour",
            WrittenGate::FineTune => "fine-tune",
        }
    }
}

/// What must have been tried before anything is fine-tuned.
pub const TRIED_BEFORE: [&str; 5] = ["prompt", "rag", "schema", "decoding", "runtime"];

/// What a gate waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Until {
    /// The endpoint has authentication, or only this machine or a private network reaches it.
    ProtectedEndpoint,
    /// The eval cases are written, and when and how the instance is stopped.
    CasesAndStopTime {
        /// When it is stopped.
        stop_at: Option<UnixMs>,
    },
    /// All of [`TRIED_BEFORE`] were tried, and cases still fail.
    AllTried {
        /// What was tried of each, in the user's words.
        tried: BTreeMap<String, String>,
        /// The cases that still fail.
        failures: BTreeSet<String>,
    },
    /// The user's own condition.
    Own {
        /// What must be so.
        condition: String,
        /// Who found that it is, when and by what; absent until then.
        met: Option<String>,
    },
}

/// What is known of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The time.
    pub now: UnixMs,
    /// How the endpoint is protected; absent where it is not.
    pub protection: Option<String>,
    /// How many eval cases there are, or why they are no whole eval set.
    pub cases: Result<usize, String>,
    /// Whether the contract says how the service is stopped.
    pub stop_path: bool,
    /// The cases that failed in the latest eval run.
    pub failing: BTreeSet<String>,
}

/// How a gate came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAnswer {
    /// Whether it holds.
    pub holds: bool,
    /// One sentence: by what it holds, or what is missing.
    pub why: String,
}

/// A gate that is written, and how it came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenRecord {
    /// Which.
    pub gate: WrittenGate,
    /// Whether it held.
    pub holds: bool,
    /// One sentence: by what it held, or what was missing.
    pub why: String,
}

impl Until {
    /// The condition in words.
    pub fn condition(&self) -> &str {
        match self {
            Until::ProtectedEndpoint => "the endpoint has authentication or a private network",
            Until::CasesAndStopTime { .. } => "the eval cases and the stop time are written",
            Until::AllTried { .. } => {
                "prompt, RAG, schema, decoding and runtime were all tried and failures remain"
            }
            Until::Own { condition, .. } => condition,
        }
    }

    /// Whether the gate holds, by what is known.
    pub fn judge(&self, gate: WrittenGate, known: &Known) -> WrittenAnswer {
        let (name, step, condition) = (gate.as_str(), gate.step(), self.condition());
        match self.met(known) {
            Ok(by) => WrittenAnswer { holds: true, why: format!("{name} holds: {by}") },
            Err(missing) => {
                let why = format!("{name}: do not {step} until {condition}: {missing}");
                WrittenAnswer { holds: false, why }
            }
        }
    }

    /// By what the condition is met, or what is missing.
    fn met(&self, known: &Known) -> Result<String, String> {
        match self {
            Until::ProtectedEndpoint => known.protection.clone().ok_or_else(|| {
                "other machines reach the endpoint and it asks for no key".to_owned()
            }),
            Until::CasesAndStopTime { stop_at } => {
                let cases = known.cases.clone()?;
                match stop_at {
                    None => Err("no stop time is written".to_owned()),
                    Some(at) if *at <= known.now => Err("the stop time is over".to_owned()),
                    Some(_) if !known.stop_path => {
                        Err("the contract does not say how it is stopped".to_owned())
                    }
                    Some(_) => Ok(format!("{cases} eval cases and a stop time are written")),
                }
            }
            Until::AllTried { tried, failures } => all_tried(tried, failures, &known.failing),
            Until::Own { condition: _, met } => {
                let met = met.as_deref().map(str::trim).filter(|met| !met.is_empty());
                met.map(str::to_owned).ok_or_else(|| "nobody wrote that it is met".to_owned())
            }
        }
    }
}

fn all_tried(
    tried: &BTreeMap<String, String>,
    failures: &BTreeSet<String>,
    failing: &BTreeSet<String>,
) -> Result<String, String> {
    let is_tried = |what: &&str| tried.get(*what).is_some_and(|said| !said.trim().is_empty());
    let open: Vec<&str> = TRIED_BEFORE.into_iter().filter(|what| !is_tried(what)).collect();
    if !open.is_empty() {
        return Err(format!("not tried yet: {}", open.join(", ")));
    }
    if failures.is_empty() {
        return Err("no case is named that still fails".to_owned());
    }
    let gone: Vec<String> = failures.difference(failing).map(|id| format!("`{id}`")).collect();
    if !gone.is_empty() {
        return Err(format!("these did not fail in the latest eval run: {}", gone.join(", ")));
    }
    let s = if failures.len() == 1 { "case still fails" } else { "cases still fail" };
    Ok(format!("all five were tried, and {} {s}", failures.len()))
}

#[cfg(test)]
#[path = "written/tests.rs"]
mod tests;
