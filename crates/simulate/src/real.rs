//! Real: answers of real models and arrivals of a real service, in place of drawn ones.
//!
//! What a model answered to a prompt, how long the answer is and how strongly a judge liked it are
//! data; whether a user's task failed is drawn by the judge's strength. Latencies are not in the
//! data and are drawn alike for both arms.

use super::content::{Answered, Content};
use super::scenario::{Labels, Scenario, Truth, named, rules_with};
use crate::error::{Result, SimulateError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::decide::{Band, BandUnit, Metric};
use tidegate_core::text::estimate_tokens;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The file of arrivals.
const TRACE: &str = "azure_llm_trace_conv_2023.csv";
/// The models: file name and the word in a scenario's name.
const MODELS: [(&str, &str); 4] = [
    ("alpaca-7b", "alpaca"),
    ("vicuna-7b", "vicuna"),
    ("gpt-3.5-turbo-0301", "gpt35"),
    ("gpt4_1106_preview", "gpt4"),
];

/// The names of the scenarios of [`pairs`].
pub(crate) fn names() -> Vec<String> {
    let words = MODELS.map(|(_, word)| word);
    let pairs = words.iter().flat_map(|from| words.iter().map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to).map(|(from, to)| name(from, to)).collect()
}

fn name(from: &str, to: &str) -> String {
    format!("real_{from}_{to}")
}

/// Each ordered pair of the models as a scenario.
///
/// # Errors
/// A usage error that names the file which cannot be read, and the line.
pub(crate) fn pairs(folder: &Path) -> Result<Vec<Scenario>> {
    let gaps_s = Arc::new(gaps_s(&folder.join(TRACE))?);
    let models = models(folder)?;
    let mut scenarios = Vec::new();
    for (from, stable) in &models {
        for (to, candidate) in models.iter().filter(|(to, _)| to != from) {
            let content = Content::new(stable, candidate, Arc::clone(&gaps_s));
            scenarios.push(pair(from, to, content));
        }
    }
    Ok(scenarios)
}

/// What each model answered, in the order of the prompts.
///
/// # Errors
/// A usage error that names the file which cannot be read, and the line.
pub(crate) fn models(folder: &Path) -> Result<Vec<(&'static str, Vec<Answered>)>> {
    let prompts = prompts(&folder.join("answers/prompts.jsonl"))?;
    let model = |(file, word): (&str, &'static str)| {
        let path = folder.join(format!("answers/{file}.jsonl"));
        Ok((word, answers(&path, &prompts)?))
    };
    MODELS.into_iter().map(model).collect()
}

fn pair(from: &str, to: &str, content: Content) -> Scenario {
    let (old, new) = content.means;
    let about = format!(
        "{from} → {to}: task failures {:.1} → {:.1} %, tokens {:.0} → {:.0}; default lines",
        old.task_failed * 100.0,
        new.task_failed * 100.0,
        old.tokens,
        new.tokens
    );
    let rules = rules_with(Metric::TaskFailedRate, 0.05);
    let harm = |metric: Metric| match metric {
        Metric::TaskFailedRate => new.task_failed - old.task_failed,
        _ => new.tokens / old.tokens.max(1.0) - 1.0,
    };
    let watched = [Metric::TaskFailedRate, Metric::TokensPerRequest];
    let band = |metric: Metric| {
        let rule = rules.iter().find(|rule| rule.metric == metric);
        let band = Band { pass: 0.0, pause: 0.0, rollback: 0.0, unit: BandUnit::Relative };
        rule.and_then(|rule| rule.band).unwrap_or(band)
    };
    let over: Vec<Metric> = watched.into_iter().filter(|m| harm(*m) > band(*m).rollback).collect();
    let good = watched.iter().all(|metric| harm(*metric) <= band(*metric).pass);
    let metric = over.first().copied().unwrap_or(Metric::TaskFailedRate);
    let truth = match (over.is_empty(), good) {
        (false, _) => Truth::Bad(over),
        (true, true) => Truth::Good,
        (true, false) => Truth::Tolerable,
    };
    let mean_gap = content.gaps_s.iter().sum::<f64>() / content.gaps_s.len().max(1) as f64;
    Scenario {
        truth,
        rate: 1.0 / mean_gap,
        labels: Some(Labels { lost: 0.0, delay_s: 0.0 }),
        rules,
        metric,
        content: Some(Arc::new(content)),
        ..named(&name(from, to), &about)
    }
}

#[derive(Deserialize)]
struct PromptLine {
    id: u64,
    prompt: String,
}

#[derive(Deserialize)]
struct AnswerLine {
    id: u64,
    answer: String,
    /// Absent where no judge looked.
    win: Option<f64>,
}

fn prompts(path: &Path) -> Result<BTreeMap<u64, u64>> {
    let lines: Vec<PromptLine> = json_lines(path)?;
    Ok(lines.into_iter().map(|line| (line.id, estimate_tokens(&line.prompt))).collect())
}

/// The answers by prompt, in the prompts' order; one that was not judged counts as disliked.
fn answers(path: &Path, prompts: &BTreeMap<u64, u64>) -> Result<Vec<Answered>> {
    let lines: Vec<AnswerLine> = json_lines(path)?;
    let by_id: BTreeMap<u64, AnswerLine> = lines.into_iter().map(|line| (line.id, line)).collect();
    prompts
        .iter()
        .map(|(id, prompt)| {
            let line = by_id.get(id).ok_or_else(|| {
                SimulateError::usage(format!("{}: no answer to prompt {id}", path.display()))
            })?;
            let tokens = prompt + estimate_tokens(&line.answer);
            Ok(Answered { tokens, win: line.win.unwrap_or(0.0) })
        })
        .collect()
}

fn json_lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let lines = read(path)?;
    let parsed = lines.lines().enumerate().map(|(i, line)| {
        serde_json::from_str(line)
            .map_err(|error| SimulateError::usage(format!("{}:{}: {error}", path.display(), i + 1)))
    });
    parsed.collect()
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        SimulateError::usage(format!("cannot read {}: {error}", path.display()))
            .hint("`--data` takes the folder that holds `answers/` and the trace of arrivals")
    })
}

/// Seconds between the trace's requests.
fn gaps_s(path: &Path) -> Result<Vec<f64>> {
    let text = read(path)?;
    let mut gaps = Vec::new();
    let mut last: Option<OffsetDateTime> = None;
    for (i, line) in text.lines().enumerate().skip(1) {
        let stamp = line.split(',').next().unwrap_or_default();
        // `2023-11-16 18:15:46.6805900`, in UTC.
        let rfc3339 = format!("{}Z", stamp.replace(' ', "T"));
        let at = OffsetDateTime::parse(&rfc3339, &Rfc3339).map_err(|error| {
            let place = format!("{}:{}", path.display(), i + 1);
            SimulateError::usage(format!("{place}: `{stamp}` is no time: {error}"))
        })?;
        if let Some(last) = last {
            gaps.push((at - last).as_seconds_f64().max(0.0));
        }
        last = Some(at);
    }
    if gaps.is_empty() {
        let message = format!("{}: at least two requests are needed", path.display());
        return Err(SimulateError::usage(message));
    }
    Ok(gaps)
}
