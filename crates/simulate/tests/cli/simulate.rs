//! The binary: the same seed gives the same bytes, and the verdicts are sane.

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What a command came to.
#[derive(Debug)]
struct Output {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Output {
    #[track_caller]
    fn exits(self, code: i32) -> Output {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Checks an error: exit code 2, and texts of what is said.
    #[track_caller]
    fn fails(self, says: &[&str]) {
        let output = self.exits(2);
        for text in says {
            assert!(output.err.contains(text), "no `{text}` in {output:?}");
        }
        assert!(!output.err.contains("panicked"), "{output:?}");
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

fn simulate_in(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate-simulate"));
    let output = command.args(args).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn simulate(args: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let output = simulate_in(folder.path(), args);
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
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn the_list_is_of_what_is_named() {
    let args = ["--list", "error_5", "one_leak", "--engine", "tidegate"];
    let text = simulate(&args).exits(0).out;
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let names: Vec<String> = text.lines().map(first).filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["error_5", "one_leak", "tidegate"], "{text}");
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
    simulate(&["--join", one, one]).fails(&["one_leak", "two reports"]);
    let other = simulate(&[&["error_5", "--seed", "2"], &args[..]].concat()).exits(0).out;
    std::fs::write(two, other).unwrap();
    simulate(&["--join", one, two]).fails(&["different runs", "seed"]);
    std::fs::write(two, "{}").unwrap();
    simulate(&["--join", two]).fails(&["not a report", "2.json", "--json"]);
    simulate(&["--join", "no.json"]).fails(&["cannot read", "no.json"]);
}

#[test]
fn bad_input_names_what_is_allowed() {
    let fails = |args: &[&str], says: &[&str]| simulate(args).fails(says);
    fails(&["no_chnage"], &["'no_chnage'", "'no_change'"]);
    fails(&["no_change", "--engine", "tidegat"], &["'tidegat'", "'tidegate'"]);
    fails(&["no_change", "--look-s", "0"], &["--look-s", "0.001"]);
    fails(&["no_change", "--look-s", "NaN"], &["--look-s", "NaN"]);
    fails(&["no_change", "--look-s", "1s"], &["--look-s", "1s"]);
    fails(&["real", "--data", "nowhere"], &["nowhere", "hint: `--data`"]);
    fails(&["no_change", "--reps", "0"], &["--reps"]);
    let two = ["no_change", "error_5", "--picture", "x.svg"];
    fails(&two, &["--picture", "2 are named", "--list"]);
    fails(&["no_change", "--picture", "x.png"], &["SVG", "x.png", "`.svg`"]);
    fails(&["no_change", "--picture", "no/folder/x.svg"], &["cannot write", "x.svg"]);
}

#[test]
fn a_picture_is_one_release_drawn() {
    let folder = TempDir::new().unwrap();
    let args = ["error_5", "--picture", "one.svg", "--json"];
    let report = simulate_in(folder.path(), &args).exits(0).json();
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
        simulate_in(folder.path(), &[scenario, "--picture", "x.svg"]).exits(0);
        let drawn = std::fs::read_to_string(folder.path().join("x.svg")).unwrap();
        assert_eq!(words(shown), words(&drawn), "draw it again: see docs/how-tidegate-decides.md");
    }
}

#[test]
fn real_data_is_asked_for_where_there_is_none() {
    let output = simulate(&["real", "--json"]).exits(2);
    let says = output.err.contains("no folder is given") && output.err.contains("--data DIR");
    assert!(says, "{output:?}");
}
