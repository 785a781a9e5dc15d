//! Journals that earlier versions wrote, replayed by this one: the day in a file's name is that of
//! the version. They are never rewritten; what replay makes of each is in the `.out` beside it.
//! After a change of the journal's form, add a journal of the new version (`tidegate serve`, some
//! commands, then the table `journal` of `.tidegate/state.db` as lines of JSON) and leave the old
//! ones. `TIDEGATE_ACCEPT=1` writes an `.out` that is missing.
#![expect(clippy::unwrap_used, reason = "a test: what it cannot read stops it")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tidegate_core::journal::{ControlState, Entry, verify_chain};
use tidegate_core::say::Lang;

fn journals() -> Vec<(PathBuf, Vec<Entry>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (path, entries)
    };
    paths.into_iter().map(read).collect()
}

/// What matters of a state, a line each.
fn summary(state: &ControlState) -> String {
    let mut out = String::new();
    let service = state.service.as_ref().map_or("none", |name| name.as_str());
    writeln!(out, "service {service}, {} entries, table {}", state.seq, state.applied).unwrap();
    if let Some(table) = &state.table {
        let split = table.split.as_ref().map(|split| (&split.candidate, split.weight));
        writeln!(out, "stable {}, split {split:?}, {:?}", table.stable, table.entrance).unwrap();
    }
    for (id, set) in &state.sets {
        let passed = state.eval_runs.get(id).map(|run| run.passed);
        writeln!(out, "set {id} `{}`, eval passed: {passed:?}", set.label).unwrap();
    }
    for (id, release) in &state.releases {
        let (phase, rung) = (release.state.phase.as_str(), release.state.rung);
        let seen = (release.state.seen_stable.requests, release.state.seen_candidate.requests);
        writeln!(out, "release {id}: {phase} at rung {rung}, seen {seen:?}").unwrap();
    }
    for (id, block) in &state.blocked {
        let why = block.reason.as_ref().map(|cause| Lang::En.cause(cause)).unwrap_or_default();
        writeln!(out, "blocked {id} by {}: {why}", block.change_id).unwrap();
    }
    for (id, incident) in &state.incidents {
        let closed = incident.closed.as_ref().map(|(_, conclusion)| conclusion.as_str());
        let cases = incident.case_ids.len();
        let why = Lang::En.cause(&incident.reason);
        writeln!(out, "incident {id}: {why}, {cases} cases, closed: {closed:?}").unwrap();
    }
    out
}

#[test]
fn journals_of_earlier_versions_replay() {
    for (path, entries) in journals() {
        assert_eq!(verify_chain(&entries), Ok(()), "{}", path.display());
        let state = ControlState::replay(&entries)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (golden, found) = (path.with_extension("out"), summary(&state));
        if std::env::var_os("TIDEGATE_ACCEPT").is_some() && !golden.exists() {
            std::fs::write(&golden, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&golden).unwrap(), "{}", path.display());
    }
}

/// What the journals do not hold, no test of old journals covers.
#[test]
fn the_journals_hold_every_event_that_was_written() {
    let entries = journals().into_iter().flat_map(|(_, entries)| entries);
    let name = |entry: Entry| {
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        body["event"].as_str().unwrap().to_owned()
    };
    let found: BTreeSet<String> = entries.map(name).collect();
    let all = [
        "applied",
        "cases_written",
        "decided",
        "entrance_opened",
        "eval_run",
        "incident_closed",
        "pack_written",
        "red_lines_seen",
        "release_started",
        "samples_written",
        "service_adopted",
        "set_packed",
    ];
    assert!(all.iter().all(|name| found.contains(*name)), "{found:?}");
}
