//! `tidegate release plan`: with and without state, beside a running server, and bad input.

use crate::project::Project;
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

fn errors(shown: &Value, rung: usize) -> &Value {
    let lines = shown["rungs"][rung]["lines"].as_array().unwrap();
    lines.iter().find(|line| line["metric"] == "error_rate").unwrap()
}

#[test]
fn one_percent_of_20_a_second_is_told_to_be_too_little() {
    let project = Project::init();
    let before = project.files();
    let rungs = "  rungs: [{weight_pct: 1, look_s: 60}, {weight_pct: 100, look_s: 60}]\n";
    project.edit("tidegate.yaml", "  preset: ladder\n", rungs);
    let line = "lines:\n  error_rate: {pass: 0, pause: 0.01, rollback: 0.01}\n";
    project.append("tidegate.yaml", line);
    let plan = ["release", "plan", "--rate", "20", "--hours", "1"];
    let shown = project.run(&[&plan[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(shown["rungs"][0]["candidate_requests"], 720);
    assert_eq!(shown["rungs"][0]["fits"], false);
    assert_eq!((&shown["rate_from"], &shown["baseline_days"]), (&"given".into(), &0.into()));
    assert!(errors(&shown, 0)["excludes"].as_f64().unwrap() > 0.01, "{shown}");
    let shown = project.run(&plan).exits(0).out;
    for text in ["1 % for 60 min is 720 candidate requests: too few", "error_rate", "guessed"] {
        assert!(shown.contains(text), "no `{text}` in:\n{shown}");
    }
    // Nothing but the edited file has changed, and there is still no state.
    assert_eq!(project.files().len(), before.len());
    assert!(!project.root.join(".tidegate/state.db").exists());
}

/// Little traffic: a shadow is the better way to begin. Much: it is not.
#[test]
fn a_shadow_is_advised_where_it_is_sooner() {
    let project = Project::init();
    let shadow = |rate: &str| {
        let plan = ["release", "plan", "--rate", rate, "--json"];
        project.run(&plan).exits(0).json()["shadow"].clone()
    };
    let (little, much) = (shadow("0.1"), shadow("100000"));
    assert_eq!((&little["is_better"], &much["is_better"]), (&true.into(), &false.into()));
    assert_eq!(little["pairs"], much["pairs"]);
    let pairs = little["pairs"].as_u64().unwrap();
    // A fifth of a tenth of a request a second.
    assert_eq!(little["total_s"].as_u64().unwrap(), pairs * 50);
    let shown = project.run(&["release", "plan", "--rate", "0.1"]).exits(0).out;
    assert!(shown.contains("begin with `tidegate shadow start`"), "{shown}");
    let shown = project.run(&["release", "plan", "--rate", "100000"]).exits(0).out;
    assert!(shown.contains("a shadow of 20 %") && !shown.contains("begin with"), "{shown}");
}

#[test]
fn it_is_asked_of_what_would_be_released() {
    let project = Project::init();
    let shown = |args: &[&str]| {
        let plan = ["release", "plan", "--rate", "20", "--json"];
        project.run(&[&plan[..], args].concat()).exits(0).json()
    };
    let (as_it_is, v2) = (shown(&[]), shown(&["--prompt", "v2"]));
    assert_ne!(as_it_is["version_set"], v2["version_set"]);
    assert!(v2["label"].as_str().unwrap().contains("v2"), "{}", v2["label"]);
    let shown = project.run(&["release", "plan", "--rate", "20", "--prompt", "v2"]).exits(0);
    assert!(shown.out.lines().next().unwrap().contains("prompt v2"), "{shown:?}");
    project.run(&["release", "plan", "--rate", "20", "--prompt", "v9"]).fails(2, &["v9"], &[]);
}

#[test]
fn its_tables_fit_a_terminal_of_80_columns() {
    let project = Project::init();
    for lang in ["en", "zh", "ja"] {
        for rate in ["0.01", "20", "100000"] {
            let plan = ["--lang", lang, "release", "plan", "--rate", rate];
            let shown = project.run(&plan).exits(0).out;
            let rows: Vec<&str> = shown.lines().filter(|line| line.starts_with("  ")).collect();
            assert!(rows.len() > 20, "{shown}");
            for row in rows {
                assert!(row.width() <= 80, "{row}");
            }
        }
    }
}

#[test]
fn optional_lines_are_judged_and_the_last_rung_is_shown() {
    let project = Project::init();
    let weights = [1, 2, 5, 10, 20, 40, 60, 100];
    let rungs = weights.map(|pct| format!("{{weight_pct: {pct}, look_s: 60}}")).join(", ");
    project.edit("tidegate.yaml", "  preset: ladder\n", &format!("  rungs: [{rungs}]\n"));
    project.append("tidegate.yaml", "lines:\n  error_rate: {required: false}\n");
    let shown = project.run(&["release", "plan", "--rate", "20"]).exits(0).out;
    let heads: Vec<&str> = shown.lines().filter(|line| line.starts_with("  metric ")).collect();
    assert_eq!(heads.len(), 2, "{shown}");
    for head in heads {
        assert!(
            head.contains("20 %") && !head.contains("40 %") && head.ends_with("95 %"),
            "{head}"
        );
    }
    assert!(shown.contains("between the first five and the last"), "{shown}");
    assert_eq!(shown.matches("\n  error_rate ").count(), 2, "{shown}");
}

#[test]
fn the_stored_days_of_stable_are_read_beside_a_server() {
    let project = Project::quick();
    let server = project.serve();
    (0..5).for_each(|n| drop(server.chat(&format!("user-{n}"), "hello")));
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let server = project.serve();
    let shown = project.run(&["release", "plan", "--rate", "20", "--json"]).exits(0).json();
    assert_eq!((&shown["baseline_days"], &shown["baseline_requests"]), (&1.into(), &5.into()));
    assert_eq!(errors(&shown, 0)["data"], "baseline");
    // Seconds of traffic are no rate.
    project.run(&["release", "plan"]).fails(2, &["spans", "at least"], &["--rate 20"]);
    drop(server);
}

#[test]
fn bad_input_is_named() {
    let project = Project::init();
    let fails = |args: &[&str], says: &[&str], hints: &[&str]| {
        project.run(&[&["release", "plan"], args].concat()).fails(2, says, hints);
    };
    fails(&[], &["cannot estimate the traffic", "no earlier days of stable"], &["--rate 20"]);
    for rate in ["0", "-1", "NaN", "inf", "1e9"] {
        fails(&["--rate", rate], &["requests a second; it must be", "100000"], &["--rate 20"]);
    }
    for hours in ["0", "-1", "NaN", "8761"] {
        fails(&["--rate", "1", "--hours", hours], &["--hours", "8760"], &["look times"]);
    }
    fails(&["--rate", "1", "--design-effect", "0.5"], &["0.5", "at least 1"], &[]);
    fails(&["--rate", "1", "--expect", "eror_rate=1"], &["`eror_rate`"], &["`error_rate`"]);
    fails(&["--rate", "1", "--expect", "error_rate=1"], &["1.0 for `error_rate`", "below 1"], &[]);
    fails(
        &["--rate", "1", "--expect", "latency_p99=1"],
        &["`latency_p99`", "no rule of this project"],
        &[],
    );
    fails(&["--rate", "twenty"], &[], &[]);
}
