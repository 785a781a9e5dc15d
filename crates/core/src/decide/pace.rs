//! Pace: how long more samples take, at the traffic there is now.
//!
//! The pace is that of the candidate on its present rung, from its beginning to its last outcome: a
//! quiet night before it, and the minutes since the last outcome, say nothing of what comes next.
//! What takes long is said to be no plan, with what a larger share would take.

use super::plan::Plan;
use super::reason::LargerShare;
use super::state::ReleaseState;
use crate::observe::Window;
use crate::route::Weight;

/// Fewest answers on a rung before its own pace is known.
const FEWEST: u64 = 20;
/// What takes longer than this, s, is not settled at this traffic: an hour.
pub(crate) const SETTLED_S: u64 = 3_600;
/// A larger share is named from so many times the traffic on: less changes little.
const LARGER: f64 = 2.0;

/// How fast the candidate's answers come.
pub(super) struct Pace {
    answers: f64,
    per_s: f64,
    /// The next rung with several times the traffic, and how many.
    larger: Option<(Weight, f64)>,
}

impl Pace {
    /// `None` before there is any.
    pub(super) fn of(plan: &Plan, state: &ReleaseState, candidate: &Window) -> Option<Pace> {
        let answers = candidate.answered();
        let here = answers.saturating_sub(state.rung_candidate_from);
        let (since, came) = match here >= FEWEST {
            true => (state.rung_since, here),
            false => (state.started_at, answers),
        };
        let seconds = candidate.last_at.since(since) as f64 / 1000.0;
        if came == 0 || seconds <= 0.0 {
            return None;
        }
        let weight = plan.rungs.get(state.rung).map_or(0.0, |rung| rung.weight.fraction());
        let larger = plan.rungs.iter().skip(state.rung + 1).find_map(|rung| {
            let times = rung.weight.fraction() / weight;
            (times >= LARGER).then_some((rung.weight, times))
        });
        Some(Pace { answers: answers as f64, per_s: came as f64 / seconds, larger })
    }

    /// So many answers a second, each a sample.
    #[cfg(test)]
    pub(super) fn steady(per_s: f64) -> Pace {
        Pace { answers: 100.0, per_s, larger: None }
    }

    /// Seconds until so many more samples of a metric that has this many so far; where that is no
    /// plan, with a larger share and what it would take.
    pub(super) fn takes(&self, more: f64, samples: f64) -> (f64, Option<LargerShare>) {
        let seconds = more * self.answers / samples.max(1.0) / self.per_s;
        let larger = self.larger.filter(|_| seconds > SETTLED_S as f64);
        let larger = larger.map(|(weight_pct, times)| {
            let more_s = (seconds / times).ceil() as u64;
            LargerShare { weight_pct, more_s }
        });
        (seconds, larger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::LineRule;
    use crate::ids::UnixMs;
    use crate::observe::Outcome;

    /// A rung of 20 %, before one of 50 %, on which an answer came each second from the 100th on.
    fn pace(began_s: u64, answers: u64) -> Option<Pace> {
        let plan = crate::decide::tests::plan(LineRule::defaults());
        let mut state = ReleaseState::start(UnixMs(0));
        state.rung_since = UnixMs(began_s * 1_000);
        let mut window = Window::default();
        for second in 1..=answers {
            window.add(&Outcome::default(), UnixMs((100 + second) * 1_000));
        }
        Pace::of(&plan, &state, &window)
    }

    #[test]
    fn the_pace_is_the_rungs_own() {
        assert!(pace(100, 0).is_none());
        let (seconds, larger) = pace(100, 60).unwrap().takes(120.0, 60.0);
        assert!((seconds - 120.0).abs() < 1e-6, "{seconds}");
        assert_eq!(larger, None);
        // Before the rung has enough answers, the pace is the release's: the quiet before is in it.
        let (seconds, _) = pace(100, 10).unwrap().takes(120.0, 10.0);
        assert!((seconds - 120.0 * 11.0).abs() < 1e-6, "{seconds}");
        // Only one in ten answers is a sample of the metric.
        let (seconds, _) = pace(100, 60).unwrap().takes(12.0, 6.0);
        assert!((seconds - 120.0).abs() < 1e-6, "{seconds}");
    }

    #[test]
    fn what_takes_long_is_no_plan() {
        let (seconds, larger) = pace(100, 60).unwrap().takes(36_000.0, 60.0);
        assert!((seconds - 36_000.0).abs() < 1e-6, "{seconds}");
        let weight_pct = Weight::from_pct(50.0).unwrap();
        assert_eq!(larger, Some(LargerShare { weight_pct, more_s: 14_400 }));
    }
}
