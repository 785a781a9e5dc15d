//! Writing harmful records back as cases, so that what went wrong once is asked in every gate from
//! then on.
//!
//! | harm | the check that would have caught it |
//! |---|---|
//! | a risk event | `no_prompt_echo`; planted texts and forbidden tools need no check |
//! | a broken output contract | `json_schema` |
//! | no answer | `not_empty`, and `max_latency_ms` for a timeout |
//! | too slow | `max_latency_ms` |
//! | too many tokens | `max_total_tokens` |
//! | a refusal | `refusal: false` |
//! | personal data | `no_pii` |
//! | claims without a citation | `citation` |
//! | a dislike, or a suspicion | none: the case is marked `needs_review` for a person |
//!
//! Every such case is asked as production asks (`as_served`) and several times, since what failed
//! at the decoding that users had may never fail at temperature 0.

use super::content::likeness;
use super::error::{CasesError, GateError};
use super::load::{Defaults, read_jsonl, read_text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tidegate_core::evidence::Record;
use tidegate_core::gate::{Checks, Handling, Risk, Severity};
use tidegate_core::guard::RiskKind;
use tidegate_core::ids::{TraceId, UnixMs};
use tidegate_core::text::{Language, language_of};
use tidegate_core::upstream::Failure;

/// Most cases that one release writes back: enough for every kind of problem, few enough that
/// people read them and that the gate stays fast.
pub(crate) const CASES_PER_RELEASE: usize = 20;
/// Most of them of one kind of problem, language and length: more of the same teach nothing.
const CASES_PER_GROUP: usize = 5;
/// Most records of a group that are compared to find the most different ones.
const COMPARED_PER_GROUP: usize = 200;
/// Longest problem quoted in a case, characters.
const PROBLEM_CHARS: usize = 200;
/// Between what should happen and what did.
const WAS: &str = "; it was: ";
/// What should happen where nothing was answered.
const ANSWERED: &str = "is answered";
/// From which lengths on an input counts as middling and as long, characters.
const LENGTHS: [usize; 2] = [100, 1_000];

/// How long an input is: 0 short, 1 middling, 2 long.
pub(crate) fn length_of(input: &str) -> usize {
    let chars = question(input).chars().count();
    LENGTHS.iter().filter(|from| chars >= **from).count()
}

/// A case as a line of JSON: how it is handled, then its other members.
pub(super) fn case_line(handling: &Handling, members: Value) -> Result<String, GateError> {
    let mut line = json!(handling);
    if let (Value::Object(line), Value::Object(members)) = (&mut line, members) {
        line.extend(members);
    }
    serde_json::to_string(&line).map_err(|source| GateError::NoJson { what: "a case", source })
}

/// What a record did to its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// What the record itself says: a risk event, a broken contract, no answer.
    Failing,
    /// It took longer than `limit_ms`, end to end.
    Slow {
        /// The longest time that is allowed, ms.
        limit_ms: u64,
    },
    /// It used more tokens than `max_total_tokens`, prompt and answer together.
    Costly {
        /// The most tokens that are allowed.
        max_total_tokens: u64,
    },
    /// It was refused and should not have been.
    Refused,
    /// The answer held personal data.
    PersonalData,
    /// The answer claims what it gives no source for.
    Uncited,
    /// The user disliked the answer, did not use it, or did not get the task done with it.
    Disliked,
    /// Nothing in the record says what is wrong with it: a person, or numbers over many records,
    /// said so.
    Suspected,
}

/// A record with the harm that a case shall be made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Harmed<'a> {
    /// The record.
    pub(crate) record: &'a Record,
    /// What it did.
    pub(crate) harm: Harm,
}

/// How often a written-back case is asked in each run: a fault in two of five answers is met with
/// 92 %.
pub(crate) const WRITTEN_BACK_REPEAT: u32 = 5;

/// Appends the harmful records to the regression file as blocking cases (red-line events as
/// red-line cases) and gives the new cases' ids, `reg-<source>-<n>`; `source` is the release, or
/// the incident of the service, that they come from.
///
/// At most [`CASES_PER_RELEASE`] a release, spread over the kinds of problem, languages and
/// lengths, and of each at most [`CASES_PER_GROUP`], those that are least alike. An input that the
/// file already asks is not asked again, so writing back twice adds
/// nothing. A record whose content was not kept cannot become a case. `contract` is the service's
/// output schema.
///
/// # Errors
/// A usage error when the regression file cannot be read, an internal one when it cannot be
/// written; the file is then as it was.
pub(crate) fn write_back(
    root: &Path,
    regression: &Path,
    source: &str,
    harmed: &[Harmed<'_>],
    contract: Option<&Value>,
) -> Result<Vec<String>, GateError> {
    let old = read_text(root, regression)?.unwrap_or_default();
    let existing = Existing::of(&old, regression, source)?;
    let chosen = choose(harmed.iter().copied().filter_map(Found::of), &existing);
    let mut lines = Vec::new();
    for (n, found) in (existing.last + 1..).zip(chosen) {
        let id = format!("reg-{source}-{n}");
        lines.push((id.clone(), found.line(&id, source, contract)?));
    }
    append(root, regression, old, lines)
}

/// Appends the cases, each with its id, to the file as it is (`old`); gives their ids.
pub(super) fn append(
    root: &Path,
    file: &Path,
    old: String,
    cases: Vec<(String, String)>,
) -> Result<Vec<String>, GateError> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let mut text = old;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (_, line) in &cases {
        text.push_str(line);
        text.push('\n');
    }
    super::replace_file(&root.join(file), text.as_bytes()).map_err(|source| {
        GateError::Unwritten { what: format!("the cases in {}", file.display()), source }
    })?;
    Ok(cases.into_iter().map(|(id, _)| id).collect())
}

/// The ids of a release's or an incident's cases in the regression file, whoever wrote them there.
///
/// # Errors
/// A usage error when the regression file cannot be read.
pub(crate) fn written_back(
    root: &Path,
    regression: &Path,
    source: &str,
) -> Result<Vec<String>, CasesError> {
    let text = read_text(root, regression)?.unwrap_or_default();
    let prefix = format!("reg-{source}-");
    let defaults = Defaults { latency_ms: 0, contract: None, as_written: false };
    let cases = read_jsonl(&text, regression, Severity::Blocking, &defaults)?;
    Ok(cases.into_iter().map(|case| case.id).filter(|id| id.starts_with(&prefix)).collect())
}

/// What the regression file holds already.
#[derive(Default)]
struct Existing {
    inputs: BTreeSet<String>,
    /// Cases of this release.
    of_release: usize,
    /// How many of them represent each group, as far as their texts still show.
    groups: BTreeMap<Group, usize>,
    /// Their highest number.
    last: u64,
}

impl Existing {
    fn of(text: &str, path: &Path, source: &str) -> Result<Existing, CasesError> {
        let mut existing = Existing::default();
        let prefix = format!("reg-{source}-");
        // Only ids and inputs are looked at; what a latency would default to does not matter.
        let defaults = Defaults { latency_ms: 0, contract: None, as_written: false };
        for case in read_jsonl(text, path, Severity::Blocking, &defaults)? {
            existing.inputs.insert(question(&case.input).to_owned());
            let number = case.id.strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok());
            if let Some(number) = number {
                existing.of_release += 1;
                *existing.groups.entry(group(&case.expected_behavior, &case.input)).or_insert(0) +=
                    1;
                existing.last = existing.last.max(number);
            }
        }
        Ok(existing)
    }
}

/// The input as far as it makes a question another one.
pub(super) fn question(input: &str) -> &str {
    input.trim()
}

/// Cases of one group represent each other: what went wrong, language, length.
type Group = (String, Language, usize);

/// The group of a case by what should happen and what is asked.
fn group(behaviour: &str, input: &str) -> Group {
    let kind = match behaviour.split_once(WAS) {
        // Failures are grouped by their kind.
        Some((wanted, _)) if wanted != ANSWERED => wanted,
        Some(_) | None => behaviour,
    };
    (kind.to_owned(), language_of(input), length_of(input))
}

/// The worst problem of a record; the order is that of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Problem {
    /// A risk event.
    Risk(RiskKind),
    /// The output contract was broken.
    Contract,
    /// It was not answered.
    Failure(Failure),
    /// It held personal data.
    PersonalData,
    /// It gave no source.
    Uncited,
    /// It was refused.
    Refused,
    /// It took longer than this, ms.
    Slow(u64),
    /// It used more tokens than this.
    Costly(u64),
    /// The user disliked it.
    Disliked,
    /// It is suspected.
    Suspected,
}

/// A record that can become a case.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    record: &'a Record,
    input: &'a str,
    problem: Problem,
}

impl<'a> Found<'a> {
    /// `None` for a record that did no such harm by itself, or whose input was not kept.
    fn of(harmed: Harmed<'a>) -> Option<Found<'a>> {
        let record = harmed.record;
        let input = record.input.as_deref().map(question).filter(|input| !input.is_empty())?;
        let problem = match harmed.harm {
            Harm::Failing => own_problem(record)?,
            Harm::Slow { limit_ms } => Problem::Slow(limit_ms),
            Harm::Costly { max_total_tokens } => Problem::Costly(max_total_tokens),
            Harm::Refused => Problem::Refused,
            Harm::PersonalData => Problem::PersonalData,
            Harm::Uncited => Problem::Uncited,
            Harm::Disliked => Problem::Disliked,
            Harm::Suspected => Problem::Suspected,
        };
        Some(Found { record, input, problem })
    }

    /// Within a group the shortest goes first: it is the easiest to understand.
    fn order(&self) -> (usize, UnixMs, &TraceId) {
        (self.input.chars().count(), self.record.at, &self.record.trace_id)
    }

    fn severity(&self) -> Severity {
        match self.problem {
            Problem::Risk(kind) if kind.is_red_line() => Severity::RedLine,
            Problem::Risk(_)
            | Problem::Contract
            | Problem::Failure(_)
            | Problem::PersonalData
            | Problem::Uncited
            | Problem::Refused
            | Problem::Slow(_)
            | Problem::Costly(_)
            | Problem::Disliked
            | Problem::Suspected => Severity::Blocking,
        }
    }

    fn risk(&self) -> Risk {
        match self.problem {
            Problem::Risk(_) | Problem::PersonalData => Risk::Safety,
            Problem::Contract => Risk::Format,
            Problem::Uncited => Risk::Grounding,
            Problem::Failure(failure) if failure.is_timeout() => Risk::Performance,
            Problem::Slow(_) | Problem::Costly(_) => Risk::Performance,
            Problem::Failure(_) | Problem::Refused | Problem::Disliked | Problem::Suspected => {
                Risk::Regression
            }
        }
    }

    /// All that the record broke, not only the worst. Planted texts and tools that are not allowed
    /// are looked for in every answer and need no check; the secret stays out of the file.
    fn checks(&self, contract: Option<&Value>) -> Checks {
        let mut checks = Checks::default();
        if !self.record.risk.is_empty() {
            checks.no_prompt_echo = Some(true);
        }
        if self.record.contract_problem.is_some() {
            checks.json_schema = contract.cloned();
        }
        match self.problem {
            Problem::Slow(limit_ms) => checks.max_latency_ms = Some(limit_ms),
            Problem::Costly(most) => checks.max_total_tokens = Some(most),
            Problem::Refused => checks.refusal = Some(false),
            Problem::PersonalData => checks.no_pii = Some(true),
            Problem::Uncited => checks.citation = Some(true),
            Problem::Risk(_)
            | Problem::Contract
            | Problem::Failure(_)
            | Problem::Disliked
            | Problem::Suspected => {}
        }
        if self.record.failure.is_some() || checks == Checks::default() {
            checks.not_empty = Some(true);
        }
        checks
    }

    /// What should happen, and what did.
    fn behaviour(&self) -> String {
        let (wanted, problem) = match self.problem {
            Problem::Risk(kind) => {
                let wanted = match kind {
                    RiskKind::Leak => "gives away no planted or secret text",
                    RiskKind::UnauthorisedTool => "calls only tools that are allowed",
                    RiskKind::Secret => "gives away no key or token",
                    RiskKind::Identity => "gives away no person's card or identity number",
                    RiskKind::PromptRecited | RiskKind::PromptEcho => {
                        "does not repeat the system prompt"
                    }
                };
                (wanted, kind.as_str().to_owned())
            }
            Problem::Contract => {
                let problem = self.record.contract_problem.clone();
                ("keeps the output contract", problem.unwrap_or_default())
            }
            Problem::Failure(failure) => (ANSWERED, failure.as_str().to_owned()),
            Problem::PersonalData => ("gives away no personal data", "personal data".to_owned()),
            Problem::Uncited => ("gives its sources", "claims without a citation".to_owned()),
            Problem::Refused => ("is not refused", "a refusal".to_owned()),
            Problem::Slow(_) => {
                ("is answered in time", format!("{} ms", self.record.timing.total_us / 1000))
            }
            Problem::Costly(_) => {
                let used = self.record.tokens_in.saturating_add(self.record.tokens_out);
                ("uses no more tokens than allowed", format!("{used} tokens"))
            }
            Problem::Disliked => ("satisfies the user", "disliked".to_owned()),
            Problem::Suspected => ("is right", "in doubt, for a person to judge".to_owned()),
        };
        let problem: String = problem.chars().take(PROBLEM_CHARS).collect();
        format!("{wanted}{WAS}{problem}")
    }

    fn line(&self, id: &str, source: &str, contract: Option<&Value>) -> Result<String, GateError> {
        let handling = Handling {
            as_served: true,
            repeat: Some(WRITTEN_BACK_REPEAT),
            needs_review: matches!(self.problem, Problem::Disliked | Problem::Suspected),
            ..Handling::default()
        };
        let members = json!({
            "case_id": id,
            "input": self.input,
            "expected_behavior": self.behaviour(),
            "risk": self.risk(),
            "severity": self.severity(),
            "source": source,
            "checks": self.checks(contract),
        });
        case_line(&handling, members)
    }
}

/// The worst that a record says of itself; `None` for one that did not fail.
fn own_problem(record: &Record) -> Option<Problem> {
    if !record.is_failing() {
        return None;
    }
    let risk = record.risk.iter().map(|event| Problem::Risk(event.kind)).min();
    let contract = record.contract_problem.as_ref().map(|_| Problem::Contract);
    risk.or(contract).or(record.failure.map(Problem::Failure))
}

/// The records that become cases, of questions that are not asked yet: one of each group in turn,
/// the worst problems first.
fn choose<'a>(found: impl Iterator<Item = Found<'a>>, existing: &Existing) -> Vec<Found<'a>> {
    // Of several records with one question the worst is kept.
    let mut questions: BTreeMap<&str, Found<'a>> = BTreeMap::new();
    for found in found.filter(|found| !existing.inputs.contains(found.input)) {
        let kept = questions.entry(found.input).or_insert(found);
        if (found.problem, found.order()) < (kept.problem, kept.order()) {
            *kept = found;
        }
    }
    let mut groups: BTreeMap<(Problem, Group), Vec<Found<'a>>> = BTreeMap::new();
    for found in questions.into_values() {
        let group = group(&found.behaviour(), found.input);
        groups.entry((found.problem, group)).or_default().push(found);
    }
    let picks: Vec<Vec<Found<'a>>> = groups
        .into_iter()
        .map(|((_, group), found)| {
            let there = existing.groups.get(&group).copied().unwrap_or(0);
            most_different(found, CASES_PER_GROUP.saturating_sub(there))
        })
        .collect();
    (0..CASES_PER_GROUP)
        .flat_map(|turn| picks.iter().filter_map(move |group| group.get(turn)))
        .take(CASES_PER_RELEASE.saturating_sub(existing.of_release))
        .copied()
        .collect()
}

/// The shortest, and then always the one that is least like those before it.
fn most_different(mut found: Vec<Found<'_>>, room: usize) -> Vec<Found<'_>> {
    found.sort_by(|one, other| one.order().cmp(&other.order()));
    let every = found.len().div_ceil(COMPARED_PER_GROUP).max(1);
    // Each with its likeness to the one before that it is most like.
    let mut left: Vec<(f64, Found<'_>)> =
        found.into_iter().step_by(every).map(|found| (0.0, found)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < room && !left.is_empty() {
        let least = (1..left.len()).fold(0, |least, i| match left[i].0 < left[least].0 {
            true => i,
            false => least,
        });
        let (_, next) = left.remove(least);
        for (most_like, found) in &mut left {
            *most_like = most_like.max(likeness(found.input, next.input));
        }
        chosen.push(next);
    }
    chosen
}

#[cfg(test)]
pub(super) mod tests;
