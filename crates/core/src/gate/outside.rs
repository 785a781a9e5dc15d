//! What a check needs that this crate cannot get: the vectors of texts, what a judge model says,
//! what a program says. [`need`] says what to ask, whoever runs the check asks it, and [`found`]
//! reads what came.
//!
//! What does not come, or is not what was asked for, is [`Found::Unknown`]: the check neither holds
//! nor fails. A judge that is down is no fault of the answer.

use super::check::Check;
use super::judge::{CalledTool, Found, texts};
use super::kind::CheckKind;
use super::panel::{self, About, Question, share_of};
use serde_json::{Value, json};

/// What a check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// The vectors of these texts: the answer's first, then those of the references.
    Vectors(Vec<String>),
    /// What the judge says to each of these, asked apart.
    Judgements(Vec<Question>),
    /// What the program of this name prints that gets this to read.
    Printed {
        /// Its name in the project.
        program: String,
        /// One JSON object.
        input: Value,
    },
}

/// Where a check asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A service that makes embeddings.
    Embeddings,
    /// A judge model.
    Judge,
    /// A program of the project.
    Program,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum Brought {
    /// A vector for each text.
    Vectors(Vec<Vec<f32>>),
    /// A text for each question.
    Judgements(Vec<String>),
    /// All that the program printed.
    Printed(String),
}

/// Where checks of this kind ask; `None` for a kind that needs nothing from outside.
pub fn source(kind: CheckKind) -> Option<Source> {
    match kind {
        CheckKind::Similar => Some(Source::Embeddings),
        CheckKind::Rubric | CheckKind::Prefers => Some(Source::Judge),
        CheckKind::Command => Some(Source::Program),
        _ => None,
    }
}

/// What a check asks; `None` for a kind that needs nothing from outside.
pub fn need(check: &Check, about: &About<'_>) -> Option<Need> {
    let references = || {
        let given = texts(&check.value);
        if given.is_empty() { about.case.expected.as_deref().into_iter().collect() } else { given }
    };
    let judgements = |questions: Vec<Question>| Some(Need::Judgements(questions));
    match check.kind {
        CheckKind::Similar => {
            let all = std::iter::once(about.answer).chain(references());
            Some(Need::Vectors(all.map(str::to_owned).collect()))
        }
        CheckKind::Rubric => {
            let criterion = check.value.as_str().unwrap_or_default();
            judgements(vec![panel::criterion(criterion, about)])
        }
        CheckKind::Prefers => judgements(
            references().into_iter().flat_map(|other| panel::preference(other, about)).collect(),
        ),
        CheckKind::Command => Some(Need::Printed {
            program: check.value.as_str().unwrap_or_default().to_owned(),
            input: program_input(about),
        }),
        _ => None,
    }
}

/// What a check finds in what came for it.
pub fn found(check: &Check, brought: &Brought) -> Found {
    let judged = match (check.kind, brought) {
        (CheckKind::Similar, Brought::Vectors(vectors)) => similar(vectors),
        (CheckKind::Rubric, Brought::Judgements(said)) => match said.as_slice() {
            [said] => panel::read_criterion(said).map(|(share, why)| share_of(share, &why)),
            _ => Err("the judge was not asked once".to_owned()),
        },
        (CheckKind::Prefers, Brought::Judgements(said)) => preferred(said),
        (CheckKind::Command, Brought::Printed(text)) => panel::read_program(text),
        _ => Err("what came is not what was asked for".to_owned()),
    };
    judged.unwrap_or_else(Found::Unknown)
}

/// The largest cosine between the first vector and the others; below 0 is 0.
fn similar(vectors: &[Vec<f32>]) -> Result<Found, String> {
    let [answer, references @ ..] = vectors else { return Err("no embedding came".to_owned()) };
    let cosines = references.iter().map(|reference| cosine(answer, reference));
    let cosines: Option<Vec<f64>> = cosines.collect();
    let best = cosines.and_then(|all| all.into_iter().reduce(f64::max));
    let best = best.ok_or("the embeddings have no direction, or not the same length")?;
    let share = best.clamp(0.0, 1.0);
    Ok(Found::Share(share, format!("the cosine of the embeddings is {best:.3}")))
}

/// The cosine of two vectors, -1 to 1; `None` where their lengths differ or one has no direction.
pub fn cosine(one: &[f32], other: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let length = (dot(one, one) * dot(other, other)).sqrt();
    let cosine = dot(one, other) / length;
    (one.len() == other.len() && cosine.is_finite()).then(|| cosine.clamp(-1.0, 1.0))
}

/// The mean over both orders of each pair; of several references the one that is best beaten.
fn preferred(said: &[String]) -> Result<Found, String> {
    let mut best: Option<(f64, String)> = None;
    for pair in said.chunks(2) {
        let [first, second] = pair else { return Err("the judge was asked in one order".into()) };
        let (first, why) = panel::read_preference(first)?;
        let (second, _) = panel::read_preference(second)?;
        // In the second question the answer has the place of the reference.
        let share = f64::midpoint(first, 1.0 - second);
        if best.as_ref().is_none_or(|(most, _)| share > *most) {
            best = Some((share, why));
        }
    }
    let (share, why) = best.ok_or("there is nothing to compare with")?;
    Ok(share_of(share, &why))
}

/// What a program reads.
fn program_input(about: &About<'_>) -> Value {
    let call = |call: &CalledTool| json!({"name": call.name, "arguments": call.arguments});
    json!({
        "case_id": about.case.id,
        "input": about.case.input,
        "messages": about.case.handling.messages,
        "system": about.case.system,
        "expected": about.case.expected,
        "expected_behavior": about.case.expected_behavior,
        "tags": about.case.handling.tags,
        "metadata": about.case.handling.metadata,
        "answer": about.answer,
        "tool_calls": about.calls.iter().map(call).collect::<Vec<_>>(),
        "retrieved": about.retrieved,
    })
}

#[cfg(test)]
#[path = "outside/tests.rs"]
mod tests;
