use super::super::scenario::all;
use super::*;

fn scenario(name: &str) -> Scenario {
    all().into_iter().find(|scenario| scenario.name == name).unwrap()
}

fn history_of<'a>(scenario: &'a Scenario, plan: &Plan, seed: u64) -> History<'a> {
    history(scenario, plan, seed, 10_000).unwrap()
}

#[test]
fn a_bad_release_ends_where_its_odds_are_enough() {
    let scenario = scenario("error_5");
    let plan = ours::plan(&scenario).unwrap();
    let history = history_of(&scenario, &plan, 1);
    assert_eq!(history.end, ReleaseEnd::RolledBack);
    let (last, before) = history.looks.split_last().unwrap();
    assert!(last.over >= history.over_enough && last.weight == 0.0, "{last:?}");
    assert!(last.why.contains("error_rate") && last.why.contains("odds"), "{last:?}");
    assert!(before.iter().all(|look| look.over < history.over_enough));
    assert!(last.within < 0.0, "{last:?}");
}

/// By then the whole release is worse than pass and still within rollback; neither that nor a pause
/// may keep a late turn from being acted on.
#[test]
fn a_late_turn_rolls_back_at_the_look_that_proves_it() {
    let scenario = scenario("drift_amid_climb");
    // By the line's own proof: the harm budget would be earlier.
    let plan = Plan { harm_budget: 0, ..ours::plan(&scenario).unwrap() };
    let history = history_of(&scenario, &plan, 1);
    assert_eq!(history.end, ReleaseEnd::RolledBack);
    let first = history.looks.iter().position(|look| look.over >= history.over_enough);
    assert_eq!(first, Some(history.looks.len() - 1));
    let last = history.looks.last().unwrap();
    assert!(
        last.why.contains("went over its rollback limit of +5.0 points recently"),
        "{}",
        last.why
    );
}

#[test]
fn a_good_release_rises_only_where_its_odds_are_enough() {
    let scenario = scenario("no_change");
    let plan = ours::plan(&scenario).unwrap();
    let history = history_of(&scenario, &plan, 1);
    assert_eq!(history.end, ReleaseEnd::Promoted);
    let rises = history.looks.iter().filter(|look| look.decided == DecisionKind::Advance);
    assert_eq!(rises.clone().count(), 6);
    for look in rises {
        assert!(look.within >= history.within_enough, "{look:?}");
        assert!(look.over < history.over_enough, "{look:?}");
    }
}

#[test]
fn the_picture_is_the_same_for_a_seed_and_says_how_it_ended() {
    let scenario = scenario("error_5");
    let draw = |seed| picture(&scenario, seed, 10_000).unwrap();
    let (svg, end) = draw(1);
    assert_eq!((svg.clone(), end.clone()), draw(1));
    assert_ne!(svg, draw(2).0);
    assert!(end.contains("rolled back: error_rate"), "{end}");
    for part in ["enough to roll back, 1,200 : 1", "enough to pass, 100 : 1", "rolled back"] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn what_has_no_rollback_line_is_refused_and_what_is_never_looked_at_too() {
    let scenario = scenario("no_change");
    let other = Scenario { metric: Metric::CostPerSuccess, ..scenario.clone() };
    let error = picture(&other, 1, 10_000).unwrap_err();
    assert!(error.to_string().contains("cost_per_success"), "{error}");
    let short = Scenario { horizon_s: 1.0, ..scenario };
    assert!(picture(&short, 1, 10_000).unwrap_err().to_string().contains("nobody looked"));
}
