//! The named scenarios.

use super::{
    Alike, BASE, Behaviour, Bursts, Labels, LookSchedule, Scenario, SharedOutage, Truth, ladder,
    last_for, rules_with, single,
};
use crate::stream::USERS;
use tidegate_core::decide::{LineRule, Metric, Rung};
use tidegate_core::route::Arm;

const HOUR_S: f64 = 3600.0;

/// Users who say late what they think, or never.
const LATE_LABELS: Labels = Labels { lost: 0.2, delay_s: 1800.0 };

/// Every scenario that needs no data, in the order of reports.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = vec![no_change()];
    all.extend(on_the_line());
    all.extend(errors());
    all.extend(latencies());
    all.extend(costs_and_quality());
    all.extend(drift());
    all.extend(troubles());
    all.extend(alike());
    all.extend(traffic());
    all.extend(events());
    all.extend(blind());
    all
}

/// Twenty requests a second for four hours, default rules, no difference.
pub(crate) fn named(name: &str, about: &str) -> Scenario {
    Scenario {
        name: name.to_owned(),
        about: about.to_owned(),
        truth: Truth::Good,
        rate: 20.0,
        horizon_s: 4.0 * HOUR_S,
        stable: BASE,
        candidate: BASE,
        from_s: 0.0,
        latency_sigma: 0.7,
        tokens_sigma: 0.6,
        bursts: None,
        outage: None,
        clusters: None,
        users: USERS,
        alike: None,
        labels: None,
        leak_s: None,
        gap_s: None,
        router: 1.0,
        rungs: ladder(),
        look: LookSchedule::Timed,
        rules: LineRule::defaults(),
        metric: Metric::ErrorRate,
        content: None,
    }
}

fn no_change() -> Scenario {
    named("no_change", "the candidate does what stable does; default lines")
}

/// The candidate's errors, with the rollback line so many points above stable's.
fn error(name: &str, about: &str, base: f64, harm: f64, line: f64, truth: Truth) -> Scenario {
    Scenario {
        truth,
        stable: Behaviour { errors: base, ..BASE },
        candidate: Behaviour { errors: base + harm, ..BASE },
        rules: rules_with(Metric::ErrorRate, line),
        ..named(name, about)
    }
}

fn on_the_line() -> Vec<Scenario> {
    let about = "errors 1 % → 1.5 %, exactly on the rollback line";
    let line = error("on_the_line", about, 0.01, 0.005, 0.005, Truth::Tolerable);
    let peeking = Scenario {
        name: "on_the_line_peeking".to_owned(),
        about: format!("{about}, looked at after every request of the candidate, for an hour"),
        horizon_s: HOUR_S,
        look: LookSchedule::EveryRequest,
        ..line.clone()
    };
    let ceiling = ceiling(
        "on_the_ceiling",
        "P95 as stable's, which is exactly the line's ceiling; looked at from the first answer on",
    );
    let cost = cost("on_the_line_cost", "tokens ×1.1, the rollback line at +10 %", 1.1);
    let quality = quality(
        "on_the_line_quality",
        "task failures 8 % → 9 %, the rollback line at +1 point; labels late or lost",
        0.01,
    );
    let wide = error(
        "on_the_line_default",
        "errors 0.5 % → 5.5 %, on the default rollback line",
        0.005,
        0.05,
        0.05,
        Truth::Tolerable,
    );
    let two_hours =
        |scenario| Scenario { truth: Truth::Tolerable, horizon_s: 2.0 * HOUR_S, ..scenario };
    vec![
        two_hours(line),
        peeking,
        two_hours(wide),
        two_hours(cost),
        two_hours(quality),
        two_hours(ceiling),
    ]
}

fn ceiling(name: &str, about: &str) -> Scenario {
    let mut scenario = Scenario { metric: Metric::LatencyP95, ..named(name, about) };
    let value = scenario.value(&BASE, Arm::Candidate);
    let latency = scenario.rules.iter_mut().find(|rule| rule.metric == Metric::LatencyP95);
    if let Some(rule) = latency {
        rule.ceiling = Some(value);
    }
    scenario
}

fn errors() -> Vec<Scenario> {
    let bad = || Truth::Bad(vec![Metric::ErrorRate]);
    let line = "the rollback line at +0.5 points";
    vec![
        error("error_1", &format!("errors 0.5 % → 1.5 %, {line}"), 0.005, 0.01, 0.005, bad()),
        error("error_5", &format!("errors 0.5 % → 5.5 %, {line}"), 0.005, 0.05, 0.005, bad()),
        error("error_1_base_1", &format!("errors 1 % → 2 %, {line}"), 0.01, 0.01, 0.005, bad()),
        error("error_5_base_1", &format!("errors 1 % → 6 %, {line}"), 0.01, 0.05, 0.005, bad()),
    ]
}

fn latencies() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (factor, name, truth, hours) in [
        (1.15, "latency_115", Truth::Tolerable, 2.0),
        (1.30, "latency_130", Truth::Bad(vec![Metric::LatencyP95]), 4.0),
    ] {
        for (sigma, tag) in [(0.4, "s04"), (0.7, "s07"), (1.0, "s10")] {
            let about = format!("P95 ×{factor}, log-normal σ {sigma}, the rollback line at ×1.15");
            all.push(Scenario {
                truth: truth.clone(),
                horizon_s: hours * HOUR_S,
                candidate: Behaviour { latency: factor, ..BASE },
                latency_sigma: sigma,
                rules: rules_with(Metric::LatencyP95, 0.15),
                metric: Metric::LatencyP95,
                ..named(&format!("{name}_{tag}"), &about)
            });
        }
    }
    all.push(Scenario {
        candidate: Behaviour { tail: 3.0, ..BASE },
        metric: Metric::LatencyP95,
        ..named("tail_only", "the slowest 1 % take three times as long; P95 is the same")
    });
    all
}

fn cost(name: &str, about: &str, factor: f64) -> Scenario {
    Scenario {
        truth: Truth::Bad(vec![Metric::TokensPerRequest]),
        candidate: Behaviour { tokens: factor, ..BASE },
        rules: rules_with(Metric::TokensPerRequest, 0.10),
        metric: Metric::TokensPerRequest,
        ..named(name, about)
    }
}

fn quality(name: &str, about: &str, harm: f64) -> Scenario {
    Scenario {
        truth: Truth::Bad(vec![Metric::TaskFailedRate]),
        candidate: Behaviour { task_failed: BASE.task_failed + harm, ..BASE },
        labels: Some(LATE_LABELS),
        rules: rules_with(Metric::TaskFailedRate, 0.01),
        metric: Metric::TaskFailedRate,
        ..named(name, about)
    }
}

fn costs_and_quality() -> Vec<Scenario> {
    let labels = "the rollback line at +1 point; labels up to 30 min late, a fifth lost";
    vec![
        cost("cost_120", "tokens ×1.2, the rollback line at +10 %", 1.2),
        cost("cost_130", "tokens ×1.3, the rollback line at +10 %", 1.3),
        quality("quality_3", &format!("task failures 8 % → 11 %, {labels}"), 0.03),
        quality("quality_5", &format!("task failures 8 % → 13 %, {labels}"), 0.05),
    ]
}

fn drift() -> Vec<Scenario> {
    let bad = || Truth::Bad(vec![Metric::ErrorRate]);
    let half = "errors 0.5 % → 5.5 % from half-way up the ladder (900 s) on";
    let late = "one rung of 5 %; errors 0.5 % → 5.5 % after two good hours";
    let drift_late = error("drift_late", late, 0.005, 0.05, 0.005, bad());
    let held =
        "errors 0.5 % → 5.5 % after 90 minutes, when all but the hold-back is on the candidate";
    let held_back = error("drift_held_back", held, 0.005, 0.05, 0.005, bad());
    let climb = "errors 0.5 % → 10.5 % from 20 minutes on, amid the climb; default lines";
    vec![
        Scenario { from_s: 900.0, ..error("drift_half_way", half, 0.005, 0.05, 0.005, bad()) },
        Scenario { from_s: 2.0 * HOUR_S, rungs: single(5.0), ..drift_late },
        Scenario { from_s: 1.5 * HOUR_S, rungs: last_for(4.0 * HOUR_S), ..held_back },
        // The ladder takes at least 30 minutes: time to see it before the end.
        Scenario {
            truth: bad(),
            candidate: Behaviour { errors: 0.105, ..BASE },
            from_s: 20.0 * 60.0,
            ..named("drift_amid_climb", climb)
        },
    ]
}

/// What hits both arms alike, by the fault of neither.
fn troubles() -> Vec<Scenario> {
    let clustered = |name: &str, correlation: f64| {
        let about =
            format!("users differ in errors (mean 2 %, ICC {correlation}), the arms do not");
        Scenario {
            clusters: Some(correlation),
            horizon_s: 2.0 * HOUR_S,
            ..error(name, &about, 0.02, 0.0, 0.005, Truth::Good)
        }
    };
    let bursts = error(
        "bursts",
        "six times the errors on both arms for 5 minutes, about twice an hour",
        0.005,
        0.0,
        0.005,
        Truth::Good,
    );
    let about = "stable's errors rise to 5.5 % after 10 minutes, the candidate's do not";
    vec![
        Scenario {
            bursts: Some(Bursts { factor: 6.0, quiet_s: 1500.0, dwell_s: 300.0 }),
            ..bursts
        },
        clustered("clusters_01", 0.1),
        clustered("clusters_03", 0.3),
        Scenario {
            stable: Behaviour { errors: 0.055, ..BASE },
            from_s: 600.0,
            ..named("stable_degrades", about)
        },
    ]
}

/// Users whose answers are alike: bad ones that a few users bear, and good ones of few users.
fn alike() -> Vec<Scenario> {
    let bad = |name: &str, about: &str, users: u32, group: Alike, rungs: Vec<Rung>| {
        let errors = BASE.errors + group.users * (group.errors - BASE.errors);
        Scenario {
            truth: Truth::Bad(vec![Metric::ErrorRate]),
            candidate: Behaviour { errors, ..BASE },
            alike: Some(group),
            users,
            rungs,
            horizon_s: 2.0 * HOUR_S,
            ..named(name, about)
        }
    };
    let third = Alike { users: 1.0 / 3.0, errors: 0.5 };
    let tenth = Alike { users: 0.1, errors: 0.8 };
    let good = |name: &str, about: &str, users: u32, correlation: f64| Scenario {
        clusters: Some(correlation),
        users,
        stable: Behaviour { errors: 0.05, ..BASE },
        candidate: Behaviour { errors: 0.05, ..BASE },
        horizon_s: 2.0 * HOUR_S,
        ..named(name, about)
    };
    vec![
        bad(
            "alike_300_users",
            "300 users, one rung of 10 %: half of a third of users' answers fail; default lines",
            300,
            third,
            single(10.0),
        ),
        bad(
            "alike_1000_users",
            "1,000 users, one rung of 10 %: half of a third of users' answers fail; default lines",
            1_000,
            third,
            single(10.0),
        ),
        bad(
            "alike_ladder",
            "20,000 users: 80 % of a tenth of users' answers fail; default lines",
            USERS,
            tenth,
            ladder(),
        ),
        bad(
            "alike_tenth",
            "1,000 users: 80 % of a tenth of users' answers fail; default lines",
            1_000,
            tenth,
            ladder(),
        ),
        good(
            "few_users",
            "300 users who differ in errors (mean 5 %, ICC 0.3), the arms do not; default lines",
            300,
            0.3,
        ),
        good(
            "some_users",
            "1,000 users who differ in errors (mean 5 %, ICC 0.3), the arms do not; default lines",
            1_000,
            0.3,
        ),
    ]
}

fn traffic() -> Vec<Scenario> {
    let careful = single(1.0);
    let about = "one rung of 1 %; errors 0.5 % → 5.5 %, the rollback line at +0.5 points";
    let bad = Truth::Bad(vec![Metric::ErrorRate]);
    vec![
        Scenario {
            rungs: careful.clone(),
            ..named("one_percent", "one rung of 1 % for four hours, no difference")
        },
        Scenario { rungs: careful, ..error("one_percent_error_5", about, 0.005, 0.05, 0.005, bad) },
        Scenario {
            rate: 0.5,
            ..named("slow_traffic", "one request every two seconds, no difference")
        },
    ]
}

fn events() -> Vec<Scenario> {
    let detector = Behaviour { flagged: 1e-4, ..BASE };
    vec![
        Scenario {
            truth: Truth::Bad(Vec::new()),
            leak_s: Some(120.0),
            ..named("one_leak", "one planted text in one answer of the candidate, after 2 minutes")
        },
        Scenario {
            stable: detector,
            candidate: detector,
            ..named(
                "false_detector",
                "a detector that is wrong once in 10,000 answers, on both arms",
            )
        },
    ]
}

fn blind() -> Vec<Scenario> {
    let hold = |name: &str, about: &str| Scenario {
        truth: Truth::Hold,
        horizon_s: HOUR_S,
        ..named(name, about)
    };
    let outage = Some(SharedOutage { from_s: 60.0, errors: 0.6 });
    vec![
        Scenario {
            gap_s: Some(60.0),
            ..hold("missing_metrics", "after a minute no metrics come in any more")
        },
        Scenario { rate: 0.0, ..hold("no_traffic", "nobody asks anything") },
        Scenario {
            outage,
            ..hold("shared_outage", "after a minute the upstream fails 60 % on both arms")
        },
        Scenario {
            router: 1.6,
            ..hold("sample_ratio", "the router sends 8 % where the plan says 5 %")
        },
    ]
}
