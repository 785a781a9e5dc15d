//! Lines, ladders and the parts of a plan.

use super::*;
use crate::config::plan::{rules, rungs};
use tidegate_core::decide::{BandUnit, LineRule, Metric};
use tidegate_core::route::{Audience, Weight};

#[test]
fn lines_override_the_threshold_table() {
    check(
        "lines:\n  eror_rate: {pause: 1}\n",
        "6:3: lines: unknown metric `eror_rate`",
        "did you mean `error_rate`?",
    );
    check(
        "lines:\n  error_rate: {pause: 1}\n",
        "6:3: line rule `error_rate`: thresholds must be finite and rise, pass ≤ pause ≤ rollback; given 0, 1, 0.05",
        "what is not given is the default: pass 0, pause 0.03, rollback 0.05",
    );
    check(
        "lines:\n  latency_p99: {pause: 1}\n",
        "6:3: lines.latency_p99: a band needs all of pass, pause and rollback; this metric has no default",
        "",
    );
    check(
        "lines:\n  latency_p95: {unit: points}\n",
        "6:3: line rule `latency_p95`: unit `points` is for rates only; use `relative`",
        "what is not given is the default: pass 0.1, pause 0.15, rollback 0.25",
    );
    check(
        "lines:\n  dissatisfaction: {pass: 0, pause: 0.02, rollback: 0.05}\n",
        "6:3: lines.dissatisfaction: the band has no unit; allowed `points` (of the rate) or \
         `relative` (to the good share, 1 − rate)",
        "add `unit: points`",
    );
    assert_eq!(rules(&good("")).unwrap(), LineRule::defaults());
    let project = good(
        "lines:\n  error_rate: {ceiling: 0.01, pause: 0.04}\n  pii_rate: {off: true}\n  cost_per_request: {pass: 0.1, pause: 0.2, rollback: 0.3}\n",
    );
    let rules = rules(&project).unwrap();
    let rule = |metric| rules.iter().find(|rule: &&LineRule| rule.metric == metric);
    let errors = rule(Metric::ErrorRate).unwrap();
    let band = errors.band.unwrap();
    assert_eq!((band.pass, band.pause, band.rollback), (0.0, 0.04, 0.05));
    assert_eq!((errors.ceiling, errors.required), (Some(0.01), true));
    assert_eq!(rule(Metric::PiiRate), None);
    let cost = rule(Metric::CostPerRequest).unwrap();
    assert_eq!(cost.band.unwrap().unit, BandUnit::Relative);
}

#[test]
fn no_line_at_all_is_refused() {
    let off: String = LineRule::defaults()
        .iter()
        .map(|rule| format!("  {}: {{off: true}}\n", rule.metric.as_str()))
        .collect();
    let error = read(&format!("{BASE}lines:\n{off}"), &[]).unwrap_err().to_string();
    assert!(error.contains("every metric is off; at least one must be watched"), "{error}");
}

fn pcts(project: &Project) -> Vec<(f64, u64)> {
    rungs(project).iter().map(|rung| (rung.weight.pct(), rung.look_ms)).collect()
}

#[test]
fn ladders() {
    let day = 86_400_000;
    assert_eq!(pcts(&good("release: {preset: careful}\n")), [(1.0, day), (95.0, day)]);
    assert_eq!(pcts(&good("release: {preset: simple}\n")), [(10.0, 300_000), (95.0, 300_000)]);
    assert_eq!(pcts(&good("")), [5.0, 10.0, 25.0, 50.0, 75.0, 95.0].map(|pct| (pct, 300_000)));
    let own = "release:\n  rungs:\n    - {weight_pct: 2.5, look_s: 0.5}\n    - {weight_pct: 100, look_s: 60}\n";
    assert_eq!(pcts(&good(own)), [(2.5, 500), (95.0, 60_000)]);
    let whole = format!("{own}  hold_back_pct: 0\n");
    assert_eq!(pcts(&good(&whole)), [(2.5, 500), (100.0, 60_000)]);
    check(
        "release:\n  hold_back_pct: 50\n",
        "6:18: release.hold_back_pct: given `50`, allowed 0 and more, below 50",
        "",
    );
    check(
        "release:\n  rungs: [{weight_pct: 96, look_s: 1}, {weight_pct: 100, look_s: 1}]\n",
        "6:3: release.hold_back_pct: the last rung is 95 % with the hold-back of 5 %: \
         not above the rung before it, 96 %",
        "set `release.hold_back_pct` below 4, or take that rung out",
    );
    let rungs = |rungs: &str, message: &str| {
        let error =
            read(&format!("{BASE}release:\n  rungs: {rungs}\n"), &[]).unwrap_err().to_string();
        assert_eq!(error, format!("tidegate.yaml:{message}"));
    };
    rungs(
        "[{weight_pct: 50, look_s: 1}, {weight_pct: 30, look_s: 1}]",
        "6:53: release.rungs[1].weight_pct: rung 30 % is not above the rung before it, 50 %",
    );
    rungs("[]", "6:10: release.rungs: a ladder has at least one rung");
    rungs(
        "[{weight_pct: 5, look_s: 1}]",
        "6:10: release.rungs: the last rung is 5 %; a ladder ends at 100 %",
    );
    rungs(
        "[{weight_pct: 101, look_s: 1}]",
        "6:24: release.rungs[0].weight_pct: given `101`, allowed 0.01 to 100 (percent)",
    );
    rungs(
        "[{weight_pct: 100, look_s: -1}]",
        "6:37: release.rungs[0].look_s: given `-1`, allowed 0 to 31622400 (a year)",
    );
}

#[test]
fn plan_parts_carry_the_release_settings() {
    let parts = plan_parts(&good(
        "release: {audience: allow_list, allow_list: [bo, ann], alpha: 0.02, min_samples: 7, stale_after_s: 9}\nrisk: {on_black: candidate}\n",
    ))
    .unwrap();
    let users = ["ann".to_owned(), "bo".to_owned()].into_iter().collect();
    assert_eq!(parts.audience, Audience::AllowList { users });
    assert_eq!((parts.alpha, parts.min_samples, parts.stale_after_ms), (0.02, 7, 9_000));
    assert!(!parts.close_entrance);
    assert_eq!(parts.rungs.last().map(|rung| rung.weight), Some(Weight::FULL));
    assert!(plan_parts(&good("")).unwrap().close_entrance);
    check(
        "release:\n  alpha: 0.5\n",
        "6:10: release.alpha: given `0.5`, allowed 0.000001 and more, below 0.5",
        "",
    );
    check(
        "release:\n  alpha: 1e-300\n",
        "6:10: release.alpha: given `1e-300`, allowed 0.000001 and more, below 0.5",
        "",
    );
    check(
        "lines:\n  latency_p95: {floor: 1e9}\n",
        "6:3: lines.latency_p95: floor: given `1000000000`, allowed 0 to 1000000 (the \
         metric's unit); differences up to it do not count",
        "to stop watching the metric: `lines: {latency_p95: {off: true}}`",
    );
    check(
        "lines:\n  error_rate: {floor: 1.5}\n",
        "6:3: lines.error_rate: floor: given `1.5`, allowed 0 to 1 (a share); differences up to it \
         do not count",
        "to stop watching the metric: `lines: {error_rate: {off: true}}`",
    );
    check(
        "release:\n  audience: tenants\n",
        "6:13: release.audience: `tenants` needs a credential with a `tenant`",
        "without tenants every request stays with the stable arm",
    );
    check(
        "release:\n  allow_list: [ann]\n",
        "6:15: release.allow_list: is read with `audience: allow_list` only",
        "set `release.audience: allow_list`, or take the list out",
    );
}
