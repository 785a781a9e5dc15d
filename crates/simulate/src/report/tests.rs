//! What the runs are counted as.

use super::*;
use crate::engine::Engine;
use crate::goals::GoalMet;
use crate::scenario::all;
use tidegate_core::decide::Metric;

const OPTIONS: RunOptions =
    RunOptions { reps: 100, seed: 1, look_ms: 10_000, threads: 1, progress: false };

fn run(end: ReleaseEnd, candidate: u64, named: Named) -> Run {
    Run { end, at_ms: 60_000 * candidate, candidate, spoilt: 0.0, rises: 0, named, by_limit: false }
}

fn report(name: &str, runs: Vec<Run>) -> Report {
    let scenario = all().into_iter().find(|scenario| scenario.name == name).unwrap();
    let options = RunOptions { reps: runs.len(), ..OPTIONS };
    Report::new(&[ScenarioRuns { scenario: &scenario, engine: Engine::Ours, runs }], &options)
}

fn met(report: &Report, what: &str) -> GoalMet {
    report.goals.iter().find(|goal| goal.what.contains(what)).unwrap().met
}

#[test]
fn shares_have_the_exact_bounds() {
    // 0 of n: the upper bound is 1 − 0.01^(1/n), 4.5 % for 100.
    let none = ShareOfRuns::of(0, 100);
    assert_eq!((none.share, none.at_least), (0.0, 0.0));
    assert!((none.at_most - (1.0 - 0.01f64.powf(0.01))).abs() < 1e-9, "{none:?}");
    let all = ShareOfRuns::of(100, 100);
    assert!((all.at_least - 0.01f64.powf(0.01)).abs() < 1e-9 && all.at_most == 1.0, "{all:?}");
}

#[test]
fn quantiles_are_values_that_were_there() {
    let values = vec![5.0, 1.0, 4.0, 2.0, 3.0];
    assert_eq!(quantile(values.clone(), 0.5), 3.0);
    assert_eq!(quantile(values, 0.95), 5.0);
    assert_eq!(quantile(Vec::new(), 0.5), 0.0);
}

#[test]
fn a_rollback_counts_as_named_right_when_its_metric_was_broken() {
    let right = Named::Metric(Metric::ErrorRate);
    let wrong = Named::Metric(Metric::LatencyP95);
    let runs = vec![
        run(ReleaseEnd::RolledBack, 3, right),
        run(ReleaseEnd::RolledBack, 1, wrong),
        run(ReleaseEnd::Promoted, 9, Named::Nothing),
        run(ReleaseEnd::Undecided, 2, Named::Nothing),
    ];
    let row = &report("error_5", runs).rows[0];
    assert_eq!((row.rolled_back.runs, row.promoted.runs, row.undecided.runs), (2, 1, 1));
    assert_eq!(row.named_right.unwrap().share, 0.5);
    assert_eq!((row.candidate_requests_median, row.minutes_median), (2.0, 2.0));
    let leak = report("one_leak", vec![run(ReleaseEnd::RolledBack, 1, Named::RedLine)]);
    assert_eq!(leak.rows[0].named_right.unwrap().runs, 1);
}

#[test]
fn a_goal_is_met_unproven_or_missed() {
    let good = |back: usize, n: usize| {
        let run = |i| {
            let end = if i < back { ReleaseEnd::RolledBack } else { ReleaseEnd::Promoted };
            run(end, 1, Named::Nothing)
        };
        report("no_change", (0..n).map(run).collect())
    };
    assert_eq!(met(&good(0, 2_000), "not over a line"), GoalMet::Met);
    assert_eq!(met(&good(0, 100), "not over a line"), GoalMet::Unproven);
    assert_eq!(met(&good(100, 2_000), "not over a line"), GoalMet::Missed);
    assert_eq!(met(&good(0, 2_000), "promoted in time"), GoalMet::Met);
    assert_eq!(met(&good(900, 2_000), "promoted in time"), GoalMet::Missed);
    let bad = |end| report("error_5", vec![run(end, 100, Named::Nothing); 1_000]);
    assert_eq!(met(&bad(ReleaseEnd::RolledBack), "promoted though"), GoalMet::Met);
    assert_eq!(met(&bad(ReleaseEnd::Promoted), "promoted though"), GoalMet::Missed);
    let rises = Run { rises: 1, ..run(ReleaseEnd::Undecided, 1, Named::Nothing) };
    assert_eq!(met(&report("no_traffic", vec![rises]), "without data"), GoalMet::Missed);
}

#[test]
fn tables_say_what_the_rows_say() {
    let report = report("error_5", vec![run(ReleaseEnd::RolledBack, 150, Named::Nothing); 100]);
    let bound = report.rows[0].bound.unwrap();
    assert!((report.rows[0].over_bound.unwrap() - 150.0 / bound).abs() < 1e-9);
    assert!(report.rows[0].bound_one_line.unwrap() > bound);
    let text = table(&report);
    assert_eq!((text[0].as_str(), &text[2][..20]), ("error_5 (bad)", "tidegate       100.0"));
    assert!(text.iter().all(|line| line.chars().count() <= 80), "{text:#?}");
    let text = markdown(&report);
    let columns = |line: &String| line.matches('|').count();
    let at = text.iter().position(|line| line.starts_with("| scenario")).unwrap();
    assert!(columns(&text[at]) == columns(&text[at + 1]));
    assert!(columns(&text[at]) == columns(&text[at + 2]), "{text:#?}");
    assert!(text[at + 2].contains("100.0 (95.5–100.0)"), "{text:#?}");
    assert!(text.iter().any(|line| line.contains("information bound, error_5")), "{text:#?}");
    assert!(!text.iter().any(|line| line.starts_with("Rolled back")), "one engine: {text:#?}");
}

#[test]
fn engines_stand_side_by_side() {
    let scenario = all().into_iter().find(|scenario| scenario.name == "error_5").unwrap();
    let cell = |engine, ends: [ReleaseEnd; 4]| {
        let runs = ends.map(|end| run(end, 9, Named::Nothing)).to_vec();
        ScenarioRuns { scenario: &scenario, engine, runs }
    };
    let [ours, peer, ..] = Engine::all()[..] else { panic!("two engines") };
    let cells = [
        cell(
            ours,
            [
                ReleaseEnd::RolledBack,
                ReleaseEnd::RolledBack,
                ReleaseEnd::RolledBack,
                ReleaseEnd::Promoted,
            ],
        ),
        cell(
            peer,
            [ReleaseEnd::Promoted, ReleaseEnd::Promoted, ReleaseEnd::Undecided, ReleaseEnd::Paused],
        ),
    ];
    let text = markdown(&Report::new(&cells, &RunOptions { reps: 4, ..OPTIONS }));
    assert!(text.contains(&"| error_5 | bad | 75 / 25 | 0 / 50 |".to_owned()), "{text:#?}");
}
