//! Secrets and personal data planted in every text a pack is made from.

use super::build::{Outcome, release};
use crate::evidence::collect::write_data;
use crate::evidence::data::PackData;
use crate::evidence::verify::verify;
use std::path::Path;
use tidegate_core::decide::Signal;
use tidegate_core::evidence::RecordedToolCall;
use tidegate_core::guard::{RiskEvent, RiskKind};
use tidegate_core::ids::{Digest, TraceId};
use tidegate_core::journal::{Entry, Event};
use tidegate_core::version_set::{ArtifactKind, VersionSet};

const SECRETS: [&str; 3] =
    ["li.lei@example.com", "13812345678", "sk-proj-Zq8vT3nXw5Lk2Jh7Gf4Ds1Pa9Qw6Er0T"];

/// The text with all of them in it.
fn planted(text: &str) -> String {
    format!("{text} 邮箱 {} 电话 {} 密钥 {} 。", SECRETS[0], SECRETS[1], SECRETS[2])
}

fn infected() -> PackData {
    let mut data = release(Outcome::RolledBack);
    for record in data.failing.iter_mut().chain(&mut data.representative) {
        record.request_id = SECRETS[1].to_owned();
        record.traceparent = Some(planted(""));
        record.user = Some(SECRETS[0].to_owned());
        record.tenant = Some(planted("tenant"));
        record.tool_calls = vec![RecordedToolCall { name: planted("tool"), allowed: false }];
        record.finish_reason = Some(planted(""));
        record.upstream_model = Some(planted(""));
        record.contract_problem = Some(planted("contract"));
        record.risk = vec![RiskEvent { kind: RiskKind::Leak, detail: planted("leak") }];
        record.input = Some(planted("我要退货"));
        record.output = Some(planted("好的"));
        record.set.keys.model = planted("model");
    }
    data.failing[1].trace_id = TraceId::parse(SECRETS[1]).unwrap();
    if let Some(incident) = &mut data.incident {
        incident.reason = tidegate_core::decide::Cause::Words(planted("incident"));
        incident.case_ids.push(planted("case"));
    }
    if let Some(eval) = &mut data.eval {
        eval.model = planted("model");
        eval.reasons = vec![planted("reason")];
        eval.results.hold().unwrap()[1].actual = Some(planted("answer"));
        eval.failure_table[1].failed[0].1 = planted("why");
    }
    data.junit = Some(format!("<testsuite name=\"{}\"/>", planted("x")));
    data.gates[0].text = planted("smoke");
    data.gaps = vec![planted("gap")];
    for packed in [&mut data.from, &mut data.to].into_iter().flatten() {
        packed.label = planted("label");
    }
    plant_in_prompt(&mut data);
    plant_in_journal(&mut data);
    data
}

fn plant_in_prompt(data: &mut PackData) {
    let Some(to) = &mut data.to else { return };
    let mut artifacts = to.set.artifacts.clone();
    let prompt = artifacts.get_mut(&ArtifactKind::Prompt).unwrap();
    let text = planted("你是客服。").into_bytes();
    let file = prompt.files.get_mut("system.md").unwrap();
    (file.digest, file.bytes) = (Digest::of(&text), text.len() as u64);
    to.blobs.insert(file.digest.clone(), text);
    to.set = VersionSet::new(artifacts).unwrap();
}

fn plant_in_journal(data: &mut PackData) {
    let change_id = data.change_id.clone();
    let event = Event::IncidentOpened { change_id, signal: Signal::Red, reason: planted("red") };
    let last = data.entries.last().unwrap();
    let entry = Entry::following(Some(last), last.at, &event).unwrap();
    data.journal_head = (entry.seq, entry.hash.clone());
    data.entries.push(entry);
}

fn search(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(search(&entry.path()));
            continue;
        }
        let text = String::from_utf8(std::fs::read(entry.path()).unwrap()).unwrap();
        let path = entry.path().display().to_string();
        for secret in SECRETS.into_iter().filter(|s| text.contains(s) || path.contains(s)) {
            found.push(format!("{secret} in {path}"));
        }
    }
    found
}

#[test]
fn no_secret_reaches_the_pack_and_the_pack_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    write_data(infected(), dir.path()).unwrap();
    assert_eq!(search(dir.path()), Vec::<String>::new());
    let outcome = verify(&dir.path().join("prompt-v3-a1b2c")).unwrap().into_result().unwrap();
    assert_eq!(outcome.redacted, 1, "only the entry with the planted text lost its bytes");
    assert!(outcome.entries > 30);
}
