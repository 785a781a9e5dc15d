//! A whole release that was rolled back, from journal to pack and through verification.

pub(super) mod build;
mod canary;
mod stored;
mod tamper;

use super::assemble::{assemble, manifest_for};
use super::clean::CleanData;
use super::collect::{pick_failing, write_data};
use super::data::PackData;
use super::journal::of_release;
use super::verify::verify;
use build::{Outcome, record, release};
use std::collections::{BTreeMap, BTreeSet};
use tidegate_core::evidence::{GateLevel, GateStatus, Manifest, VerdictDecision};
use tidegate_core::ids::UnixMs;
use tidegate_core::upstream::Failure;

fn files_of(data: PackData) -> BTreeMap<String, String> {
    let files = assemble(&CleanData::new(data).unwrap()).unwrap();
    files.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

fn manifest_of(data: PackData) -> Manifest {
    let data = CleanData::new(data).unwrap();
    let files = assemble(&data).unwrap();
    manifest_for(&data, &files)
}

#[test]
fn a_pack_has_every_part_of_the_layout() {
    let files = files_of(release(Outcome::RolledBack));
    for path in [
        "decisions.jsonl",
        "diffs/prompt/system.md.diff",
        "diffs/summary.md",
        "gates/eval-report.json",
        "gates/junit.xml",
        "gates/smoke.txt",
        "gates/summary.md",
        "journal.jsonl",
        "report.html",
        "rollback.md",
        "samples/failing/refund-0.json",
        "samples/failing/refund-0.curl.sh",
        "samples/representative/fine-0.json",
        "signals/cost.svg",
        "signals/latency.svg",
        "signals/lines.csv",
        "signals/lines.json",
        "signals/quality.svg",
        "signals/risk.svg",
    ] {
        assert!(files.contains_key(path), "{path} is missing; there are {:?}", files.keys());
    }
    assert!(!files_of(release(Outcome::Promoted)).contains_key("rollback.md"));
}

#[test]
fn the_manifest_says_what_became_of_it() {
    fn check(outcome: Outcome, verdict: VerdictDecision, quality: GateStatus) {
        let manifest = manifest_of(release(outcome));
        assert_eq!(manifest.verdict.decision, verdict);
        assert_eq!(manifest.gates["quality"].status, quality);
        assert_eq!(manifest.rollback.is_some(), verdict == VerdictDecision::Rollback);
        assert_eq!(manifest.random_control.temperature, Some(0.2));
    }
    check(Outcome::RolledBack, VerdictDecision::Rollback, GateStatus::Fail);
    check(Outcome::Promoted, VerdictDecision::Ship, GateStatus::Pass);
    check(Outcome::Open, VerdictDecision::Hold, GateStatus::Pass);
}

#[test]
fn the_manifest_names_gates_sets_and_the_way_back() {
    let manifest = manifest_of(release(Outcome::RolledBack));
    let eval = &manifest.gates["eval"];
    assert_eq!((eval.level, eval.status), (GateLevel::L0, GateStatus::Pass));
    assert_eq!(eval.evidence, "gates/eval-report.json");
    assert_eq!(manifest.gates["way_back"].status, GateStatus::Pass);
    assert!(manifest.version_set["prompt"].starts_with("v3 sha256:"));
    let rollback = manifest.rollback.unwrap();
    assert_eq!(rollback.target_change_id, "prompt-v2-00000");
    assert!(rollback.trigger.contains("14.30 %"), "{}", rollback.trigger);
    assert_eq!(manifest.verdict.reviewer, "tidegate, rule over_rollback on contract_broken_rate");
    assert_eq!(manifest.meta.operator, "韩梅梅");
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let once = files_of(release(Outcome::RolledBack));
    assert_eq!(once, files_of(release(Outcome::RolledBack)));
}

#[test]
fn every_decision_is_told_with_reasons_and_numbers() {
    let files = files_of(release(Outcome::RolledBack));
    let lines: Vec<serde_json::Value> =
        files["decisions.jsonl"].lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), build::DECISIONS);
    assert!(lines.iter().all(|l| !l["reasons"].as_array().unwrap().is_empty()));
    let last = lines.last().unwrap();
    assert_eq!(last["decision"], "roll_back");
    assert_eq!(last["phase"], "rolled_back");
    assert_eq!(last["weight_pct"], 0.0);
    assert_eq!(last["switch_took_us"], 412);
    assert_eq!(last["reasons"][0]["samples_candidate"], 980);
}

#[test]
fn the_signals_hold_both_arms_at_every_decision() {
    let files = files_of(release(Outcome::RolledBack));
    let mut rows = csv::Reader::from_reader(files["signals/lines.csv"].as_bytes());
    let header = rows.headers().unwrap().iter().collect::<Vec<_>>().join(",");
    assert!(header.contains("contract_broken_rate") && header.contains("risk_events"), "{header}");
    assert_eq!(rows.records().count(), 2 * build::DECISIONS);
    let svg = &files["signals/quality.svg"];
    for word in ["stable", "candidate", "pause above", "roll back above", "rolled back", "(%)"] {
        assert!(svg.contains(word), "{word}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("<script"));
}

#[test]
fn the_rollback_says_what_when_by_which_rule_and_how_it_was_verified() {
    let text = &files_of(release(Outcome::RolledBack))["rollback.md"];
    for part in
        ["rule over_rollback on contract_broken_rate", "412 µs", "980 requests of 311 users"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("NOT VERIFIED"), "{text}");
    let mut unconfirmed = release(Outcome::RolledBack);
    unconfirmed.entries.pop();
    assert!(files_of(unconfirmed)["rollback.md"].contains("NOT VERIFIED"));
}

#[test]
fn the_page_is_closed_and_escaped() {
    let mut data = release(Outcome::RolledBack);
    data.failing[0].output = Some("<script src=//x></script><img onerror=a>\u{202e}".to_owned());
    data.release.by = "\"><svg onload=x>".to_owned();
    let page = &files_of(data)["report.html"];
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<svg onload"));
    assert!(page.contains("&lt;script src=//x&gt;") && page.contains("⟨U+202E⟩"));
    assert_eq!(page.matches("<svg ").count(), 4);
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("src=\"") && !outside.contains("href=") && !outside.contains("url("));
    assert!(page.contains("<pre lang=\"zh\">我要退货"), "samples name their language");
}

#[test]
fn a_reproduction_is_one_request_with_the_input() {
    let mut data = release(Outcome::RolledBack);
    data.failing[0].input = Some("it's $(id) 退货".to_owned());
    let files = files_of(data);
    let script = &files["samples/failing/refund-0.curl.sh"];
    assert!(script.starts_with("#!/bin/sh\n"));
    assert!(script.contains("\"content\":\"it'\\''s $(id) 退货\""), "{script}");
    assert!(script.contains(": \"${TIDEGATE_URL:=http://127.0.0.1:8787}\""), "{script}");
    let shell = std::process::Command::new("sh").arg("-n").arg("-c").arg(script).status();
    assert!(shell.unwrap().success());
}

#[test]
fn what_was_not_kept_is_not_reproduced() {
    let mut data = release(Outcome::RolledBack);
    data.failing[0].input = None;
    let files = files_of(data);
    assert!(!files.contains_key("samples/failing/refund-0.curl.sh"));
    assert!(files["report.html"].contains("Asked: not kept."));
}

#[test]
fn two_records_of_one_trace_are_two_files() {
    let mut data = release(Outcome::RolledBack);
    data.failing = vec![record("Same", true), record("same", true), record("..x", true)];
    let files = files_of(data);
    let names: Vec<&String> =
        files.keys().filter(|p| p.starts_with("samples/failing/") && p.ends_with("json")).collect();
    assert_eq!(names[0], "samples/failing/Same.json");
    assert_eq!(names[1], "samples/failing/same-2.json");
    assert!(names[2].starts_with("samples/failing/trace-"), "{names:?}");
}

#[test]
fn users_are_pseudonyms_and_the_same_user_is_the_same() {
    let mut data = release(Outcome::RolledBack);
    for record in &mut data.failing {
        record.user = Some("zhang.wei".to_owned());
    }
    let files = files_of(data);
    let users: Vec<String> = files
        .iter()
        .filter(|(path, _)| path.starts_with("samples/failing/") && path.ends_with(".json"))
        .map(|(_, text)| {
            serde_json::from_str::<serde_json::Value>(text).unwrap()["user"].to_string()
        })
        .collect();
    assert!(users.len() > 1 && users.iter().all(|u| *u == users[0] && u.starts_with("\"user-")));
    assert!(files.values().all(|text| !text.contains("zhang.wei")));
}

#[test]
fn gaps_are_told() {
    let mut data = release(Outcome::RolledBack);
    data.from = None;
    data.eval = None;
    data.gaps.push("the stable set: not found".to_owned());
    let manifest = manifest_of(data.clone());
    assert_eq!(manifest.gates["eval"].status, GateStatus::Inconclusive);
    assert_eq!(manifest.gates["way_back"].status, GateStatus::Inconclusive);
    assert!(files_of(data)["report.html"].contains("the stable set: not found"));
}

#[test]
fn samples_cover_every_kind_of_failure_first() {
    let mut records: Vec<_> = (0..20).map(|i| record(&format!("contract-{i}"), true)).collect();
    let mut timeout = record("timeout", true);
    timeout.failure = Some(Failure::TotalTimeout);
    records.push(timeout);
    let picked = pick_failing(records);
    assert_eq!(picked.len(), 10);
    assert_eq!(picked[1].trace_id.as_str(), "timeout");
}

#[test]
fn other_releases_stay_out_and_swaps_come_along() {
    let data = release(Outcome::RolledBack);
    let (whole, ours) = build::journal_with_strangers();
    let plan = &data.release.plan;
    let picked = of_release(&whole, &data.change_id, [&plan.from, &plan.to]).unwrap();
    assert_eq!(picked.iter().map(|e| e.seq).collect::<Vec<_>>(), ours);
}

#[test]
fn an_earlier_pack_is_replaced_whole_and_nothing_is_left_over() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("reports/2026-11-21");
    write_data(release(Outcome::Open), &parent).unwrap();
    // What a crash leaves behind.
    std::fs::create_dir(parent.join(".prompt-v3-a1b2c.new")).unwrap();
    let manifest = write_data(release(Outcome::RolledBack), &parent).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(&parent).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["prompt-v3-a1b2c"]);
    let outcome = verify(&parent.join("prompt-v3-a1b2c")).unwrap().into_result().unwrap();
    assert_eq!(outcome.verdict, Some(VerdictDecision::Rollback));
    assert_eq!(outcome.manifest, manifest);
    assert_eq!(outcome.redacted, 0);
    assert!(outcome.files > 15 && outcome.entries > 30, "{outcome:?}");
}

/// Whoever verifies a pack while it is written again sees the earlier one or the new one.
#[test]
fn a_pack_verifies_at_every_moment_while_it_is_replaced() {
    const TIMES: u64 = 30;
    let folder = tempfile::tempdir().unwrap();
    let write = |n: u64| {
        let data =
            PackData { written_at: UnixMs(1_767_610_000_000 + n), ..release(Outcome::RolledBack) };
        write_data(data, folder.path()).unwrap();
    };
    write(0);
    let pack = folder.path().join("prompt-v3-a1b2c");
    let manifests = std::thread::scope(|scope| {
        let writing = scope.spawn(|| (1..=TIMES).for_each(write));
        let mut manifests = BTreeSet::new();
        while !writing.is_finished() {
            let outcome = verify(&pack).unwrap();
            assert_eq!(outcome.problems, []);
            manifests.insert(outcome.manifest.to_string());
        }
        manifests
    });
    // It was replaced while it was looked at.
    assert!(manifests.len() > 1, "{manifests:?}");
}

/// Leaves the packs where `TIDEGATE_PACK_DIR` says, for a look at the page in a browser.
#[test]
fn every_outcome_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("TIDEGATE_PACK_DIR").map(std::path::PathBuf::from);
    for outcome in [Outcome::RolledBack, Outcome::Promoted, Outcome::Open] {
        let parent = kept.as_deref().unwrap_or(dir.path()).join(format!("{outcome:?}"));
        write_data(release(outcome), &parent).unwrap();
        let found = verify(&parent.join("prompt-v3-a1b2c")).unwrap();
        assert_eq!(found.problems, vec![], "{outcome:?}");
    }
}
