//! Goals: what our engine promises, compared with the runs. A share has met its goal when even its
//! 99 % bound has, and missed it when the other bound has; between, there are too few runs to
//! decide.

use super::engine::OURS;
use super::peers::Peer;
use super::row::{Row, ShareOfRuns};
use crate::output::Tone;
use serde::Serialize;
use tidegate_core::decide::defaults;

/// Releases over a rollback line that may be promoted.
const MISSED_MAX: f64 = 0.01;
/// Good releases that must be promoted within four hours at 20 requests a second.
const PROMOTED_MIN: f64 = 0.95;
/// Rollbacks that must name the line that was broken.
const NAMED_MIN: f64 = 0.99;
/// Candidate requests until rollback, over the information bound.
const OVER_BOUND_MAX: f64 = 2.0;
/// Where that is asked.
const BOUNDED: [&str; 4] = ["error_5", "quality_5", "latency_130_s07", "cost_130"];
/// Good releases with enough traffic and a ladder that can be climbed.
const PROMOTABLE: [&str; 4] = ["no_change", "tail_only", "stable_degrades", "false_detector"];

/// The oracle that knows all but which line breaks.
const ORACLE: &str = Peer::SprtLine.as_str();
/// Standard errors that a mean of many runs is within, with 99 % confidence to either side.
const ERRORS: f64 = 2.326;

/// Where nothing can be known, and nothing may move.
const BLIND: [&str; 3] = ["missing_metrics", "no_traffic", "shared_outage"];

/// Whether a goal is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GoalMet {
    /// Yes.
    Met,
    /// There are too few runs to decide.
    Unproven,
    /// No.
    Missed,
}

impl GoalMet {
    /// The word in reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            GoalMet::Met => "met",
            GoalMet::Unproven => "unproven",
            GoalMet::Missed => "missed",
        }
    }

    /// The colour on a terminal.
    pub(crate) fn tone(self) -> Tone {
        match self {
            GoalMet::Met => Tone::Green,
            GoalMet::Unproven => Tone::Yellow,
            GoalMet::Missed => Tone::Red,
        }
    }

    fn at_most(share: ShareOfRuns, limit: f64) -> GoalMet {
        match (share.at_most <= limit, share.at_least > limit) {
            (true, _) => GoalMet::Met,
            (false, true) => GoalMet::Missed,
            (false, false) => GoalMet::Unproven,
        }
    }

    fn at_least(share: ShareOfRuns, limit: f64) -> GoalMet {
        match (share.at_least >= limit, share.at_most < limit) {
            (true, _) => GoalMet::Met,
            (false, true) => GoalMet::Missed,
            (false, false) => GoalMet::Unproven,
        }
    }
}

/// One goal and what was measured, at its worst.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Goal {
    /// What is measured.
    pub(crate) what: String,
    /// What is asked.
    pub(crate) goal: String,
    /// What came out, and where.
    pub(crate) measured: String,
    /// Whether that is reached.
    pub(crate) met: GoalMet,
}

/// The goals that these rows say something of.
pub(super) fn goals(rows: &[Row]) -> Vec<Goal> {
    let ours: Vec<&Row> = rows.iter().filter(|row| row.engine == OURS).collect();
    let of = |truths: &[&str]| -> Vec<&Row> {
        ours.iter().filter(|row| truths.contains(&row.truth.as_str())).copied().collect()
    };
    let promotable: Vec<&Row> =
        ours.iter().filter(|row| PROMOTABLE.contains(&row.scenario.as_str())).copied().collect();
    let blind: Vec<&Row> =
        ours.iter().filter(|row| BLIND.contains(&row.scenario.as_str())).copied().collect();
    let mut goals: Vec<Goal> = [
        most(
            "rolled back though not over a line",
            defaults::ALPHA,
            &of(&["good", "tolerable"]),
            |row| {
                // A limit says that the candidate is worse, which is false of a good one only.
                let by_limit = if row.truth == "good" { 0 } else { row.back_by_limit };
                let all = row.rolled_back.runs as f64 / row.rolled_back.share.max(1e-9);
                let back = row.rolled_back.runs - by_limit;
                Some(if by_limit == 0 {
                    row.rolled_back
                } else {
                    ShareOfRuns::of(back, all.round() as usize)
                })
            },
        ),
        most("promoted though over a rollback line", MISSED_MAX, &of(&["bad"]), |row| {
            Some(row.promoted)
        }),
        least("good and promoted in time", PROMOTED_MIN, &promotable, |row| Some(row.promoted)),
        least("the broken line is named", NAMED_MIN, &of(&["bad"]), |row| row.named_right),
        none("rolled back or risen without data", &blind),
    ]
    .into_iter()
    .flatten()
    .collect();
    let bounded = ours.iter().filter(|row| BOUNDED.contains(&row.scenario.as_str()));
    goals.extend(bounded.filter_map(|row| {
        let is_oracle = |other: &&Row| other.engine == ORACLE && other.scenario == row.scenario;
        over_bound(row, rows.iter().find(is_oracle))
    }));
    goals
}

fn text(share: ShareOfRuns, scenario: &str) -> String {
    let pct = |share: f64| share * 100.0;
    let (low, high) = (pct(share.at_least), pct(share.at_most));
    format!("at worst {:.2} % ({low:.2}–{high:.2}), in {scenario}", pct(share.share))
}

/// A share that must be small, where it is largest.
fn most(
    what: &str,
    limit: f64,
    rows: &[&Row],
    share: impl Fn(&Row) -> Option<ShareOfRuns>,
) -> Option<Goal> {
    let shares = rows.iter().filter_map(|row| Some((share(row)?, *row)));
    let (worst, row) = shares.min_by(|(a, _), (b, _)| b.at_most.total_cmp(&a.at_most))?;
    Some(Goal {
        what: what.to_owned(),
        goal: format!("at most {} %", limit * 100.0),
        measured: text(worst, &row.scenario),
        met: GoalMet::at_most(worst, limit),
    })
}

/// A share that must be large, where it is smallest.
fn least(
    what: &str,
    limit: f64,
    rows: &[&Row],
    share: impl Fn(&Row) -> Option<ShareOfRuns>,
) -> Option<Goal> {
    let shares = rows.iter().filter_map(|row| Some((share(row)?, *row)));
    let (worst, row) = shares.min_by(|(a, _), (b, _)| a.at_least.total_cmp(&b.at_least))?;
    Some(Goal {
        what: what.to_owned(),
        goal: format!("at least {} %", limit * 100.0),
        measured: text(worst, &row.scenario),
        met: GoalMet::at_least(worst, limit),
    })
}

/// Runs that moved where nothing may move.
fn none(what: &str, rows: &[&Row]) -> Option<Goal> {
    let moved = |row: &Row| row.rolled_back.runs + row.rose.runs;
    let worst = rows.iter().max_by_key(|row| moved(row))?;
    Some(Goal {
        what: what.to_owned(),
        goal: "none".to_owned(),
        measured: format!(
            "{} rolled back, {} rose, in {}",
            worst.rolled_back.runs, worst.rose.runs, worst.scenario
        ),
        met: if moved(worst) == 0 { GoalMet::Met } else { GoalMet::Missed },
    })
}

/// Beside the bound at the release's alpha, which a test could only have that knows beforehand
/// which line breaks and by how much; so the cost of not knowing each is shown separately.
fn over_bound(row: &Row, oracle: Option<&Row>) -> Option<Goal> {
    let (ratio, bound, one_line) = (row.over_bound?, row.bound?, row.bound_one_line?);
    let error = ERRORS * row.candidate_requests_error / bound;
    let which = one_line / bound;
    // An oracle that misses goes on to the end, which would spoil its mean.
    let oracle = oracle.map_or(String::new(), |oracle| {
        format!(
            "; in the middle run {:.0}, of an oracle that knows all but the line {:.0}",
            row.candidate_requests_median, oracle.candidate_requests_median
        )
    });
    let met = if ratio + error <= OVER_BOUND_MAX {
        GoalMet::Met
    } else if ratio - error > OVER_BOUND_MAX {
        GoalMet::Missed
    } else {
        GoalMet::Unproven
    };
    Some(Goal {
        what: format!("candidate requests over the information bound, {}", row.scenario),
        goal: format!("at most {OVER_BOUND_MAX}"),
        measured: format!(
            "{ratio:.2} (±{error:.2}; {:.0} over {bound:.0}) = {which:.2} for not knowing which \
             line × {:.2} for not knowing by how much{oracle}",
            row.candidate_requests_mean,
            ratio / which
        ),
        met,
    })
}
