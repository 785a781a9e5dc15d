//! `tidegate simulate`: the same seed gives the same bytes, and the verdicts are sane.

use crate::project::{Output, tidegate};
use serde_json::Value;
use tempfile::TempDir;

fn simulate(args: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let output = tidegate(folder.path(), &[&["simulate"], args].concat(), &[]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it wrote something");
    output
}

fn share(report: &Value, scenario: &str, what: &str) -> f64 {
    let rows = report["rows"].as_array().unwrap();
    let ours = |row: &&Value| row["scenario"] == scenario && row["engine"] == "tidegate";
    rows.iter().find(ours).unwrap()[what]["share"].as_f64().unwrap()
}

#[test]
fn a_seed_gives_the_same_bytes_and_sane_verdicts() {
    let run = |seed: &str| {
        let args = ["no_change", "error_5", "--engine", "tidegate", "--reps", "20", "--json"];
        simulate(&[&args[..], &["--look-s", "60", "--seed", seed]].concat()).exits(0)
    };
    let first = run("1");
    assert_eq!(first.out, run("1").out);
    assert_ne!(first.out, run("2").out);
    let report = first.json();
    assert_eq!(report["rows"].as_array().unwrap().len(), 2, "{report}");
    // 20 of 20 or nearly: a good release is promoted with at least 95 %, a bad one never.
    assert!(share(&report, "no_change", "promoted") >= 0.8, "{report}");
    assert_eq!(share(&report, "no_change", "rolled_back"), 0.0, "{report}");
    assert!(share(&report, "error_5", "rolled_back") >= 0.9, "{report}");
    assert_eq!(share(&report, "error_5", "promoted"), 0.0, "{report}");
}

#[test]
fn every_scenario_and_engine_is_listed() {
    let list = simulate(&["--list", "--json"]).exits(0).json();
    let names = |what: &str| list[what].as_array().unwrap().len();
    assert!(names("scenarios") > 30 && names("engines") >= 1, "{list}");
    let text = simulate(&["--list"]).exits(0).out;
    let engine = |line: &str| line.starts_with("tidegate ") && line.contains("own engine");
    assert!(text.contains("one_leak") && text.lines().any(engine), "{text}");
}

#[test]
fn saved_reports_are_joined_as_if_run_at_once() {
    let args = ["--engine", "tidegate", "--reps", "5", "--look-s", "60", "--json"];
    let run = |scenarios: &[&str]| simulate(&[scenarios, &args].concat()).exits(0).out;
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("1.json"), folder.path().join("2.json"));
    std::fs::write(&one, run(&["one_leak"])).unwrap();
    std::fs::write(&two, run(&["error_5"])).unwrap();
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let joined = simulate(&["--join", one, two, "--json"]).exits(0);
    assert_eq!(joined.out, run(&["error_5", "one_leak"]));
    simulate(&["--join", one, one]).fails(2, &["one_leak", "two reports"], &[]);
    let other = simulate(&[&["error_5", "--seed", "2"], &args[..]].concat()).exits(0).out;
    std::fs::write(two, other).unwrap();
    simulate(&["--join", one, two]).fails(2, &["different runs", "seed"], &[]);
    std::fs::write(two, "{}").unwrap();
    simulate(&["--join", two]).fails(2, &["not a report", "2.json"], &["--json"]);
    simulate(&["--join", "no.json"]).fails(2, &["cannot read", "no.json"], &[]);
}

#[test]
fn bad_input_names_what_is_allowed() {
    let says = |args: &[&str], says: &[&str], hints: &[&str]| {
        simulate(args).fails(2, says, hints);
    };
    says(&["no_chnage"], &["scenario", "`no_chnage`", "error_5"], &["`no_change`"]);
    says(&["no_change", "--engine", "tidegat"], &["engine", "`tidegat`"], &["`tidegate`"]);
    says(&["no_change", "--look-s", "0"], &["--look-s", "0.001"], &[]);
    says(&["no_change", "--look-s", "NaN"], &["--look-s", "NaN"], &[]);
    says(&["real", "--data", "nowhere"], &["nowhere"], &["--data"]);
    says(&["no_change", "--reps", "0"], &["--reps"], &[]);
    says(
        &["no_change", "error_5", "--picture", "x.svg"],
        &["--picture", "2 are named"],
        &["--list"],
    );
    says(&["no_change", "--picture", "x.png"], &["SVG", "x.png"], &["`.svg`"]);
    says(&["no_change", "--picture", "no/folder/x.svg"], &["cannot write", "x.svg"], &[]);
}

#[test]
fn a_picture_is_one_release_drawn() {
    let folder = TempDir::new().unwrap();
    let args = ["simulate", "error_5", "--picture", "one.svg", "--json"];
    let report = tidegate(folder.path(), &args, &[]).exits(0).json();
    assert!(report["end"].as_str().unwrap().contains("rolled back: error_rate"), "{report}");
    let svg = std::fs::read_to_string(folder.path().join("one.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
}

/// The words of a picture; its lines may differ by a rounding of this machine's.
fn words(svg: &str) -> Vec<&str> {
    svg.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text.trim()).collect()
}

#[test]
fn the_pictures_of_the_docs_are_of_this_engine() {
    let folder = TempDir::new().unwrap();
    for (scenario, shown) in [
        ("no_change", include_str!("../../../../docs/pictures/good-release.svg")),
        ("drift_half_way", include_str!("../../../../docs/pictures/bad-release.svg")),
    ] {
        tidegate(folder.path(), &["simulate", scenario, "--picture", "x.svg"], &[]).exits(0);
        let drawn = std::fs::read_to_string(folder.path().join("x.svg")).unwrap();
        assert_eq!(words(shown), words(&drawn), "draw it anew: see docs/how-tidegate-decides.md");
    }
}

#[test]
fn real_data_is_asked_for_where_there_is_none() {
    let output = simulate(&["real", "--json"]).exits(2);
    let told = output.err.contains("no folder is given") && output.err.contains("--data DIR");
    assert!(told, "{output:?}");
}
