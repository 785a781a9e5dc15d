//! Shadow against split: how many requests it takes to prove a candidate worse whose tasks fail in
//! 5 points more of cases, on real answers.
//!
//! Stable is one model. The candidate answers as it does, but in a share of requests as a worse
//! model does, so that its tasks fail in exactly 5 points more. Whether a task failed is drawn by
//! how strongly a judge preferred that answer, again for each answer: two answers of one model to
//! one prompt differ as well. Both ways prove "worse than stable" at the same chance of an error:
//! the shadow by pairs (`tidegate_core::pairs`), the split by `decide` itself at a rung of 5 %.

use crate::content::Answered;
use crate::error::{Result, SimulateError};
use crate::output;
use crate::real;
use serde::Serialize;
use std::path::Path;
use tidegate_core::decide::{
    Band, BandUnit, LineRule, Metric, Observation, Phase, Plan, PlanParts, ReleaseParts,
    ReleaseState, Rung, decide,
};
use tidegate_core::ids::{ChangeId, ServiceName, UnixMs, VersionSetId};
use tidegate_core::observe::{Feedback, Outcome, Window};
use tidegate_core::pairs::{Differences, Limit, PairLine, PairMetric, PairVerdict, Verdicts};
use tidegate_core::random::Random;
use tidegate_core::route::{Cohort, Weight};

/// How much worse the candidate is.
const HARM: f64 = 0.05;
/// The rung, percent.
const RUNG_PCT: f64 = 5.0;
/// Pairs that a shadow sees at most.
const PAIRS_MAX: u64 = 20_000;
/// Requests that a split sees at most.
const REQUESTS_MAX: u64 = 400_000;
/// How often they are looked at: each pair, and each so many requests of the split.
const LOOK_EVERY: u64 = 250;

/// One cell: a stable model, the model whose answers spoil the candidate, or none.
#[derive(Debug, Serialize)]
struct Row {
    stable: String,
    /// Absent where the candidate is just like stable.
    spoilt_by: Option<String>,
    reps: u32,
    /// How often each found it worse.
    shadow_found: u32,
    split_found: u32,
    /// The median number of pairs, and of requests of the service and of the candidate among them,
    /// until it was found; those that were not count as the most that were looked at.
    shadow_pairs: u64,
    split_requests: u64,
    split_candidate: u64,
}

/// Runs every cell and prints them.
///
/// # Errors
/// The data cannot be read.
pub(crate) fn run(folder: &Path, reps: u32, seed: u64, json: bool) -> Result<()> {
    let models = real::models(folder)?;
    let plan = plan()?;
    let mut rows = Vec::new();
    for (stable, answers) in &models {
        rows.push(cell(&plan, (stable, answers), None, (reps, seed)));
        for (worse, spoilt) in &models {
            if failed(spoilt) > failed(answers) + HARM {
                rows.push(cell(&plan, (stable, answers), Some((worse, spoilt)), (reps, seed)));
            }
        }
        output::stderr(format!("{stable}: done"));
    }
    if json {
        output::json(&rows);
        return Ok(());
    }
    output::line(
        "| stable | spoilt by | found: shadow, split | pairs | requests of the split | of them \
         the candidate's | split / shadow |",
    );
    output::line("|---|---|---|---|---|---|---|");
    for row in &rows {
        output::line(line(row));
    }
    Ok(())
}

fn line(row: &Row) -> String {
    let Row { stable, shadow_found, split_found, reps, .. } = row;
    let spoilt = row.spoilt_by.as_deref().unwrap_or("none: just like stable");
    let found = format!("{shadow_found}, {split_found} of {reps}");
    match row.spoilt_by {
        None => format!("| {stable} | {spoilt} | {found} | | | | |"),
        Some(_) => format!(
            "| {stable} | {spoilt} | {found} | {} | {} | {} | {:.0} |",
            row.shadow_pairs,
            row.split_requests,
            row.split_candidate,
            row.split_requests as f64 / row.shadow_pairs.max(1) as f64
        ),
    }
}

type Model<'a> = (&'a str, &'a [Answered]);

fn failed(answers: &[Answered]) -> f64 {
    answers.iter().map(|answer| 1.0 - answer.win).sum::<f64>() / answers.len().max(1) as f64
}

/// Draws requests: whether each arm's answer fails the user's task.
struct Draw<'a> {
    stable: &'a [Answered],
    spoilt: Option<&'a [Answered]>,
    /// In which share of requests the candidate answers as the worse model does.
    share: f64,
    random: Random,
}

impl Draw<'_> {
    fn prompt(&mut self) -> usize {
        self.random.index(self.stable.len())
    }

    fn stable(&mut self, prompt: usize) -> bool {
        self.random.unit() >= self.stable[prompt].win
    }

    fn candidate(&mut self, prompt: usize) -> bool {
        match self.spoilt {
            Some(spoilt) if self.random.unit() < self.share => {
                self.random.unit() >= spoilt[prompt].win
            }
            Some(_) | None => self.stable(prompt),
        }
    }
}

fn cell(
    plan: &Plan,
    (stable, answers): Model<'_>,
    spoilt: Option<Model<'_>>,
    (reps, seed): (u32, u64),
) -> Row {
    let share = spoilt.map_or(0.0, |(_, worse)| HARM / (failed(worse) - failed(answers)));
    let draw = |purpose: &str, rep: u32| Draw {
        stable: answers,
        spoilt: spoilt.map(|(_, worse)| worse),
        share,
        random: Random::new(seed.wrapping_add(u64::from(rep)), purpose),
    };
    let shadows: Vec<Option<u64>> =
        (0..reps).map(|rep| shadow(draw("shadow", rep), plan.alpha)).collect();
    let splits: Vec<Option<[u64; 2]>> =
        (0..reps).map(|rep| split(draw("split", rep), plan)).collect();
    let count = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
    let requests = |at: usize, most: u64| {
        median(splits.iter().map(|found| found.map_or(most, |found| found[at])).collect())
    };
    Row {
        stable: stable.to_owned(),
        spoilt_by: spoilt.map(|(name, _)| name.to_owned()),
        reps,
        shadow_found: count(shadows.iter().flatten().count()),
        split_found: count(splits.iter().flatten().count()),
        shadow_pairs: median(shadows.iter().map(|found| found.unwrap_or(PAIRS_MAX)).collect()),
        split_requests: requests(0, REQUESTS_MAX),
        split_candidate: requests(1, REQUESTS_MAX / 20),
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Pairs until the candidate is found worse.
fn shadow(mut draw: Draw<'_>, alpha: f64) -> Option<u64> {
    let limit = Limit::new(0.0);
    let mut seen = Differences::default();
    (1..=PAIRS_MAX).find(|_| {
        let prompt = draw.prompt();
        let (stable, candidate) = (draw.stable(prompt), draw.candidate(prompt));
        seen.add(f64::from(u8::from(candidate)) - f64::from(u8::from(stable)));
        let of = Verdicts { alpha, lines: 1 };
        let over = |line: PairLine| line.verdict == PairVerdict::Over;
        // The whole line is slow; where the odds are far from enough it is not made.
        seen.log_odds_over(0.0) > 1.0 && over(PairLine::of(PairMetric::Judge, &seen, limit, of))
    })
}

/// Requests of the service, and of the candidate, until it is rolled back.
fn split(mut draw: Draw<'_>, plan: &Plan) -> Option<[u64; 2]> {
    let mut state = ReleaseState::start(UnixMs(0));
    let mut observation = Observation::default();
    let mut asked = 0;
    for request in 1..=REQUESTS_MAX {
        let at = UnixMs(request * 1_000);
        let prompt = draw.prompt();
        let is_candidate = draw.random.unit() < RUNG_PCT / 100.0;
        let cohort = Cohort::new(draw.random.index(Cohort::COUNT) as u8);
        let (window, has_failed): (&mut Window, bool) = match is_candidate {
            true => (&mut observation.candidate, draw.candidate(prompt)),
            false => (&mut observation.stable, draw.stable(prompt)),
        };
        asked += u64::from(is_candidate);
        window.add(&Outcome { cohort: Some(cohort), ..Outcome::default() }, at);
        window.add_feedback(Feedback::TaskDone(!has_failed), Some(cohort), at);
        if request % LOOK_EVERY == 0 {
            state = decide(plan, &state, &observation, at).state;
            if state.phase == Phase::RolledBack {
                return Some([request, asked]);
            }
        }
    }
    None
}

/// One rung, and one line: any harm is over it.
fn plan() -> Result<Plan> {
    let broken = |error: String| SimulateError::internal(format!("the plan of the split: {error}"));
    let rung = |pct: f64, look_ms: u64| Some(Rung { weight: Weight::from_pct(pct)?, look_ms });
    let rungs = [rung(RUNG_PCT, u64::from(u32::MAX)), rung(100.0, 1_000)];
    let band = Band { pass: 0.0, pause: 0.0, rollback: 0.0, unit: BandUnit::Points };
    let rule = LineRule {
        metric: Metric::TaskFailedRate,
        band: Some(band),
        ceiling: None,
        multiple: None,
        floor: 0.0,
        required: true,
    };
    let mut parts = PlanParts::with_defaults(rungs.into_iter().flatten().collect(), vec![rule]);
    // What ends it is proof, and neither a pause's time nor how many requests were spoilt.
    (parts.pause_max_ms, parts.harm_budget) = (0, 0);
    parts.hold_back = Weight::ZERO;
    let id = |text: &str| VersionSetId::parse(text).map_err(|e| broken(e.to_string()));
    let plan = parts.plan(ReleaseParts {
        change_id: ChangeId::parse("shadow-against-split").map_err(|e| broken(e.to_string()))?,
        service: ServiceName::parse("simulated").map_err(|e| broken(e.to_string()))?,
        from: id("vs-000000000000")?,
        to: id("vs-000000000001")?,
        salt: "simulated".to_owned(),
        same_upstream: true,
        baseline: None,
        created_at: UnixMs(0),
    });
    plan.map_err(|e| broken(e.to_string()))
}
