//! Drift: whether the model behind stable has changed while nobody released anything.
//!
//! The same fixed cases are asked again and again of the same version set. What comes is compared
//! with the reference: the first good run of that set, or the one that a person accepted since. It
//! stays the reference while nothing changes, so that many small steps are seen as well as one.
//!
//! In this order:
//! 1. Names. The server says which model it is (`model`) and by what it runs
//!    (`system_fingerprint`). A quarter of the answers under a name that the reference does not
//!    have is a change. A server that gives nearly each answer another name says nothing by it.
//! 2. Without an answer to a fifth of the questions nothing follows: an outage is no drift.
//! 3. Answers. Three metrics: the share that is correct, the score, and how like the reference's
//!    first answer they are. The case is the sample, however often it is asked. The reference is
//!    asked once more than a run: its first answer is the yardstick, and of its others as many as
//!    the run has are compared with the run's. Were nothing changed, they could change places, so
//!    the difference of a case is as often above 0 as below it, whatever the model's noise and
//!    however like each other the answers to one question are. McNemar's exact test or flips of
//!    signs, Holm's over the metrics, at [`ALPHA`].
//!
//! Who asks again where something changed, and takes the second finding, raises no alarm for what
//! was there only once.

mod kept;

pub use kept::{Reference, Sentinel, SentinelNote, SentinelSpent};

use crate::gate::{PairedTest, chrf, holm, mcnemar, sign_flips};
use crate::ids::{Digest, UnixMs, VersionSetId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How often chance alone may look like changed answers, per run. A run every six hours is over a
/// hundred in a month, and what changed is asked once more.
pub const ALPHA: f64 = 0.01;
/// Cases without which no difference of answers can be proven at [`ALPHA`].
pub const CASES_MIN: u64 = 9;
/// Answers with a name, below which names prove nothing.
const NAMED_MIN: u64 = 3;
/// Of so many named answers one under a new name is enough: gateways move traffic bit by bit.
const NEW_NAME_OF: u64 = 4;
/// One question of so many may go unanswered.
const UNANSWERED_OF: u64 = 5;
/// Names that a finding quotes, at most.
const QUOTED_MAX: usize = 8;
/// Longest name kept, characters.
const NAME_CHARS_MAX: usize = 128;

/// One run over the fixed cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentinelRun {
    /// `sentinel-`, the Unix time in seconds and six hex digits.
    pub run_id: String,
    /// When it ended.
    pub at: UnixMs,
    /// The version set that was asked.
    pub set: VersionSetId,
    /// The upstream's name in the project.
    pub upstream: String,
    /// Where it is: the address of its API, without a key; empty where it has none.
    pub endpoint: String,
    /// The model that was asked for.
    pub model: String,
    /// What came, case by case.
    pub cases: Vec<FixedCase>,
    /// Fingerprints that were accepted before this run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub known: BTreeSet<String>,
}

/// One case, and what came each time that it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixedCase {
    /// The case.
    pub id: String,
    /// Digest of what was asked: a case that asks something else is another case.
    pub question: Digest,
    /// In the order of asking.
    pub answers: Vec<FixedAnswer>,
}

/// What came of one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixedAnswer {
    /// An answer.
    Said(Said),
    /// None, and why.
    Unanswered(String),
}

/// An answer with what its server says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Its text, with the tools that it calls.
    pub text: String,
    /// Whether it counts as correct.
    pub correct: bool,
    /// 0 to 1.
    pub score: f64,
    /// `model`, as the server names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `system_fingerprint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl FixedAnswer {
    fn said(&self) -> Option<&Said> {
        match self {
            FixedAnswer::Said(said) => Some(said),
            FixedAnswer::Unanswered(_) => None,
        }
    }
}

impl SentinelRun {
    /// Adds the answers of a run that asked the same once more.
    pub fn join(&mut self, again: SentinelRun) {
        self.at = again.at;
        let mut more: BTreeMap<String, FixedCase> =
            again.cases.into_iter().map(|case| (case.id.clone(), case)).collect();
        for case in &mut self.cases {
            if let Some(more) = more.remove(&case.id).filter(|m| m.question == case.question) {
                case.answers.extend(more.answers);
            }
        }
    }

    /// Makes it the reference after another one; fingerprints that were accepted stay so, since
    /// servers of one kind take turns.
    pub fn accepted_after(mut self, reference: &SentinelRun) -> SentinelRun {
        self.known.extend(reference.known.iter().cloned());
        self.known.extend(reference.named(fingerprint_of).0);
        self
    }

    /// Whether it can be a reference: it has answers to nearly all it asked.
    pub fn is_good(&self) -> bool {
        let (asked, unanswered) = self.asked();
        asked > 0 && unanswered * UNANSWERED_OF <= asked
    }

    /// How many questions there were, and how many without an answer.
    pub fn asked(&self) -> (u64, u64) {
        let answers = self.cases.iter().flat_map(|case| &case.answers);
        let unanswered = answers.clone().filter(|answer| answer.said().is_none()).count();
        (answers.count() as u64, unanswered as u64)
    }

    /// Why most of the missing answers are missing.
    pub fn error(&self) -> Option<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for answer in self.cases.iter().flat_map(|case| &case.answers) {
            if let FixedAnswer::Unanswered(error) = answer {
                *counts.entry(error).or_default() += 1;
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(error, _)| error)
    }

    /// The names that answers have, and how many have one.
    fn named(&self, of: NameOf) -> (BTreeSet<String>, u64) {
        let answers = self.cases.iter().flat_map(|case| &case.answers);
        let names: Vec<String> = answers.filter_map(|answer| name(answer, of)).collect();
        let count = names.len() as u64;
        (names.into_iter().collect(), count)
    }
}

type NameOf = fn(&Said) -> Option<&String>;

fn model_of(said: &Said) -> Option<&String> {
    said.model.as_ref()
}

fn fingerprint_of(said: &Said) -> Option<&String> {
    said.fingerprint.as_ref()
}

/// A name that is not empty, cut to what is kept of one.
fn name(answer: &FixedAnswer, of: NameOf) -> Option<String> {
    let name = answer.said().and_then(of)?.trim();
    (!name.is_empty()).then(|| name.chars().take(NAME_CHARS_MAX).collect())
}

/// What a run says beside the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftVerdict {
    /// Nothing is proven to have changed.
    Unchanged,
    /// The server names another model.
    ModelRenamed,
    /// The server names the same model and another fingerprint.
    FingerprintChanged,
    /// The names are the same, and the answers are not.
    AnswersChanged,
    /// Neither can be said.
    CannotTell,
}

impl DriftVerdict {
    /// Every verdict.
    pub const ALL: [DriftVerdict; 5] = [
        DriftVerdict::Unchanged,
        DriftVerdict::ModelRenamed,
        DriftVerdict::FingerprintChanged,
        DriftVerdict::AnswersChanged,
        DriftVerdict::CannotTell,
    ];

    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            DriftVerdict::Unchanged => "unchanged",
            DriftVerdict::ModelRenamed => "model_renamed",
            DriftVerdict::FingerprintChanged => "fingerprint_changed",
            DriftVerdict::AnswersChanged => "answers_changed",
            DriftVerdict::CannotTell => "cannot_tell",
        }
    }

    /// Whether something changed.
    pub fn is_change(self) -> bool {
        match self {
            DriftVerdict::ModelRenamed
            | DriftVerdict::FingerprintChanged
            | DriftVerdict::AnswersChanged => true,
            DriftVerdict::Unchanged | DriftVerdict::CannotTell => false,
        }
    }
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unclear {
    /// More than a fifth of the questions have no answer.
    NoAnswers,
    /// Fewer cases than [`CASES_MIN`] have answers in both runs.
    TooFewCases,
}

/// The names that answers came under.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Names {
    /// Those of the reference, at most 8.
    pub before: Vec<String>,
    /// Those of the run, at most 8.
    pub now: Vec<String>,
    /// Answers of the run with a name.
    pub named: u64,
    /// Those of them whose name is new.
    pub new: u64,
}

/// What a run says beside the reference, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// What it says.
    pub verdict: DriftVerdict,
    /// Why it says nothing, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear: Option<Unclear>,
    /// The run that it is compared with.
    pub reference: String,
    /// The models that answered, as the server names them.
    pub models: Names,
    /// Their fingerprints.
    pub fingerprints: Names,
    /// Questions of the run.
    pub asked: u64,
    /// Those without an answer.
    pub unanswered: u64,
    /// Why most of them have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Cases with answers in both.
    pub cases: u64,
    /// Correctness, score and likeness; empty without a case in both.
    pub tests: Vec<PairedTest>,
}

impl Drift {
    /// The metric that differs most surely, where one is proven to.
    pub fn proven(&self) -> Option<&PairedTest> {
        let proven = self.tests.iter().filter(|test| test.p_holm <= ALPHA);
        proven.min_by(|a, b| a.p_holm.total_cmp(&b.p_holm))
    }
}

/// The metric of how like the reference's first answer the others are.
pub const LIKENESS: &str = "likeness";

/// Compares a run with the reference.
pub fn compare(reference: &SentinelRun, now: &SentinelRun) -> Drift {
    let (models, renamed) = names(reference, now, model_of);
    let (fingerprints, reprinted) = names(reference, now, fingerprint_of);
    let (asked, unanswered) = now.asked();
    let rows = rows(reference, now);
    let tests = tests(&rows);
    let mut drift = Drift {
        verdict: DriftVerdict::Unchanged,
        unclear: None,
        reference: reference.run_id.clone(),
        models,
        fingerprints,
        asked,
        unanswered,
        error: now.error().map(str::to_owned),
        cases: rows.len() as u64,
        tests,
    };
    let unclear = if !now.is_good() {
        Some(Unclear::NoAnswers)
    } else if drift.cases < CASES_MIN {
        Some(Unclear::TooFewCases)
    } else {
        None
    };
    drift.verdict = match (renamed, reprinted, unclear) {
        (true, _, _) => DriftVerdict::ModelRenamed,
        (false, true, _) => DriftVerdict::FingerprintChanged,
        (false, false, Some(_)) => DriftVerdict::CannotTell,
        (false, false, None) if drift.proven().is_some() => DriftVerdict::AnswersChanged,
        (false, false, None) => DriftVerdict::Unchanged,
    };
    drift.unclear = unclear.filter(|_| drift.verdict == DriftVerdict::CannotTell);
    drift
}

/// The names of both, and whether those of the run are proven to be others.
fn names(reference: &SentinelRun, now: &SentinelRun, of: NameOf) -> (Names, bool) {
    let (before, named_before) = reference.named(of);
    let (after, named) = now.named(of);
    let answers = now.cases.iter().flat_map(|case| &case.answers);
    let is_new = |name: &String| !before.contains(name) && !reference.known.contains(name);
    let new = answers.filter_map(|answer| name(answer, of)).filter(is_new).count() as u64;
    let is_enough = named >= NAMED_MIN && named_before >= NAMED_MIN;
    // Where nearly each answer has another name, a new one is no news.
    let is_name = (before.len() as u64) * 2 <= named_before;
    let quoted = |names: BTreeSet<String>| names.into_iter().take(QUOTED_MAX).collect();
    let changed = is_enough && is_name && new > 0 && new * NEW_NAME_OF >= named;
    (Names { before: quoted(before), now: quoted(after), named, new }, changed)
}

/// A case in both runs: what the reference's other answers and the run's have of each metric.
struct Row {
    correct: (f64, f64),
    score: (f64, f64),
    likeness: (f64, f64),
}

fn rows(reference: &SentinelRun, now: &SentinelRun) -> Vec<Row> {
    let before: BTreeMap<&str, &FixedCase> =
        reference.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let same = now.cases.iter().filter_map(|case| {
        let before = before.get(case.id.as_str())?;
        (before.question == case.question).then(|| row(before, case))?
    });
    same.collect()
}

/// The first answer of the reference is the yardstick; of the others and of the run's equally many
/// are taken, so that they could change places.
fn row(before: &FixedCase, now: &FixedCase) -> Option<Row> {
    let mut before = before.answers.iter().filter_map(FixedAnswer::said);
    let yardstick = before.next()?;
    let before: Vec<&Said> = before.collect();
    let now: Vec<&Said> = now.answers.iter().filter_map(FixedAnswer::said).collect();
    let count = before.len().min(now.len());
    let both = |of: &dyn Fn(&Said) -> f64| {
        let mean = |all: &[&Said]| all.iter().map(|said| of(said)).sum::<f64>() / count as f64;
        (mean(&before[..count]), mean(&now[..count]))
    };
    (count > 0).then(|| Row {
        correct: both(&|said| f64::from(u8::from(said.correct))),
        score: both(&|said| said.score),
        likeness: both(&|said| likeness(&yardstick.text, &said.text)),
    })
}

/// How like each other two texts are, 0 to 1: chrF from both sides, since it is not symmetric.
fn likeness(one: &str, other: &str) -> f64 {
    if one == other {
        return 1.0;
    }
    (chrf(one, other) + chrf(other, one)) / 200.0
}

fn tests(rows: &[Row]) -> Vec<PairedTest> {
    if rows.is_empty() {
        return Vec::new();
    }
    let of = |pick: fn(&Row) -> (f64, f64)| rows.iter().map(pick).collect::<Vec<_>>();
    let mut tests = vec![
        test("accuracy", &of(|row| row.correct)),
        test("score", &of(|row| row.score)),
        test(LIKENESS, &of(|row| row.likeness)),
    ];
    let corrected = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
    tests.iter_mut().zip(corrected).for_each(|(test, p)| test.p_holm = p);
    tests
}

fn test(metric: &str, pairs: &[(f64, f64)]) -> PairedTest {
    let count = pairs.len() as f64;
    let differences: Vec<f64> = pairs.iter().map(|(before, now)| now - before).collect();
    let is_whole = differences.iter().all(|d| d.abs() == 1.0 || *d == 0.0);
    let (broken, fixed) = (
        differences.iter().filter(|d| **d < 0.0).count() as u64,
        differences.iter().filter(|d| **d > 0.0).count() as u64,
    );
    let flipped = || sign_flips(&differences, pairs.len() as u64);
    let p = match metric {
        // Answers that are more like the first one than it was itself are no change.
        LIKENESS if differences.iter().sum::<f64>() >= 0.0 => 1.0,
        LIKENESS => flipped() / 2.0,
        _ if is_whole => mcnemar(broken, fixed),
        _ => flipped(),
    };
    PairedTest {
        metric: metric.to_owned(),
        cases: pairs.len() as u64,
        before: pairs.iter().map(|(before, _)| before).sum::<f64>() / count,
        now: pairs.iter().map(|(_, now)| now).sum::<f64>() / count,
        p,
        p_holm: p,
    }
}

#[cfg(test)]
mod tests;
