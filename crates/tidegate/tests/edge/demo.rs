//! `tidegate demo`: true stories, the same for the same seed.

use crate::project::{Output, tidegate};
use tempfile::TempDir;

fn demo(args: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("demo").display().to_string();
    let args = [&["demo", "--json", "--seed", "3", "--dir", &dir][..], args].concat();
    tidegate(folder.path(), &args, &[]).exits(0)
}

/// Plays a story twice at once: same seed, same decisions. It comes to these phases.
fn check_repeats(args: &'static [&'static str], phases: &[&str]) -> Output {
    let second = std::thread::spawn(|| demo(args));
    let first = demo(args);
    assert_eq!(first.out, second.join().unwrap().out);
    let shown = first.json();
    let shown: Vec<&str> =
        shown.as_array().unwrap().iter().filter_map(|item| item["phase"].as_str()).collect();
    assert_eq!(shown, phases);
    first
}

#[test]
fn the_same_seed_gives_the_same_decisions() {
    let attacked = check_repeats(&["--scenario", "injection"], &["shut off"]);
    check_shown(&attacked, "shut_off", "red_line");
}

/// 66,000 requests take a minute where nothing is optimised.
#[cfg(not(debug_assertions))]
#[test]
fn the_same_seed_gives_the_same_four_acts() {
    let shown = check_repeats(&[], &["rolled back", "promoted"]);
    check_shown(&shown, "roll_back", "over_rollback");
}

/// The README shows what the demo prints, to the letter. As above, where it is optimised.
#[cfg(not(debug_assertions))]
#[test]
fn the_readme_shows_what_is_printed() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("demo").display().to_string();
    let printed = tidegate(folder.path(), &["demo", "--dir", &dir], &[]).exits(0).out;
    let readme = include_str!("../../../../README.md");
    let mut blocks = readme.split("```\n");
    let shown = blocks.find(|block| block.starts_with("release prompt-v3-")).unwrap();
    for line in shown.lines() {
        assert!(printed.lines().any(|other| other == line), "not printed any more: {line}");
    }
}

/// One of its decisions was this one for this reason.
fn check_shown(output: &Output, decision: &str, reason: &str) {
    let shown = output.json();
    let any = shown.as_array().unwrap().iter().any(|item| {
        (item["decision"].as_str(), item["reason"].as_str()) == (Some(decision), Some(reason))
    });
    assert!(any, "no {decision} for {reason} in {shown:#}");
    assert!(output.err.contains("SIMULATED"), "{output:?}");
}

#[test]
fn an_outage_is_no_verdict() {
    // It goes on to the next rung, which takes every line; latency follows from the seed too.
    let held = check_repeats(&["--scenario", "outage"], &[]);
    check_shown(&held, "hold", "shared_fault");
    check_shown(&held, "advance", "all_pass");
}

#[test]
fn without_data_nothing_moves() {
    check_shown(&demo(&["--scenario", "no-data"]), "hold", "too_few_samples");
}

#[test]
fn a_folder_that_holds_anything_is_left_alone() {
    let project = crate::project::Project::init();
    let theirs = project.root.join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("thesis.txt"), "years of work").unwrap();
    let before = project.files();
    for dir in [&project.root, &theirs] {
        let dir = dir.display().to_string();
        project.run(&["demo", "--dir", &dir]).fails(2, &["is not empty"], &["--dir"]);
    }
    assert_eq!(project.files(), before);
}
