//! From redacted data to the files of a pack, in memory.

use super::clean::CleanData;
use super::error::{EvidenceError, Result};
use super::{buckets, diff, gates, journal, report, rollback, samples, signals};
use crate::clock::rfc3339;
use crate::view::AbAnswer;
use serde::Deserialize;
use std::collections::BTreeMap;
use tidegate_core::decide::Phase;
use tidegate_core::evidence::{
    FileDigest, Manifest, Meta, PackVerdict, ROLLBACK_FILE, RandomControl, RollbackEntry,
    VerdictDecision,
};
use tidegate_core::version_set::ArtifactKind;

/// All files of the pack but the manifest, by path. The same data gives the same bytes.
pub(crate) fn assemble(data: &CleanData) -> Result<BTreeMap<String, Vec<u8>>> {
    let changes = diff::changes(data);
    let gate_list = gates::gates(data);
    let sample_list = samples::samples(&data.failing, &data.representative);
    let charts = signals::charts(data);
    let mut files = diff::files(data, &changes);
    files.extend(gates::files(data, &gate_list)?);
    files.extend(samples::files(&data.origin(), &sample_list)?);
    files.extend(signals::files(data, &charts)?);
    files.extend(buckets::files(&data.buckets)?);
    files.insert("journal.jsonl".to_owned(), journal::journal_jsonl(&data.journal)?);
    files.insert("decisions.jsonl".to_owned(), journal::decisions_jsonl(&data.steps)?);
    if let Some(ab) = AbAnswer::of(&data.release) {
        let json = serde_json::to_vec_pretty(&ab).map_err(EvidenceError::part("signals"))?;
        files.insert("signals/ab.json".to_owned(), json);
    }
    if let Some(step) = rollback::step(data) {
        files.insert(ROLLBACK_FILE.to_owned(), rollback::markdown(data, step).into_bytes());
    }
    let page = report::Page {
        data,
        verdict: verdict(data),
        changes: &changes,
        gates: &gate_list,
        samples: &sample_list,
        charts: &charts,
    };
    files.insert("report.html".to_owned(), report::html(&page).into_bytes());
    Ok(files)
}

/// The manifest over these files; its seal is set when it is written.
pub(crate) fn manifest_for(data: &CleanData, files: &BTreeMap<String, Vec<u8>>) -> Manifest {
    let gates = gates::gates(data).into_iter().map(|gate| (gate.name, gate.entry)).collect();
    let list = files.iter().map(|(path, bytes)| (path.clone(), FileDigest::of(bytes))).collect();
    Manifest {
        meta: Meta {
            timestamp: rfc3339(data.written_at),
            timestamp_ms: data.written_at,
            change_id: data.change_id.to_string(),
            builder: concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_owned(),
            operator: data.release.by.clone(),
        },
        version_set: version_set(data),
        gates,
        verdict: verdict(data),
        rollback: rollback_entry(data),
        env_info: data.env.clone(),
        random_control: RandomControl {
            seed: data.release.plan.salt.clone(),
            temperature: temperature(data),
        },
        files: list,
        journal_head: data.journal_head.clone(),
        seal: Manifest::unsealed(),
    }
}

fn version_set(data: &CleanData) -> BTreeMap<String, String> {
    let mut kinds = BTreeMap::from([("id".to_owned(), data.release.plan.to.to_string())]);
    if let Some(to) = &data.to {
        kinds.extend(to.set.artifacts.iter().map(|(kind, artifact)| {
            let name = format!("{} sha256:{}", artifact.version, artifact.digest);
            (kind.as_str().to_owned(), name)
        }));
        kinds.extend(to.set.keys().short());
    }
    kinds
}

fn verdict(data: &CleanData) -> PackVerdict {
    let decision = match data.release.state.phase {
        Phase::Promoted => VerdictDecision::Ship,
        Phase::RolledBack | Phase::ShutOff => VerdictDecision::Rollback,
        Phase::Running | Phase::Paused(_) | Phase::Ended => VerdictDecision::Hold,
    };
    match rollback::step(data).or(data.steps.last()) {
        Some(step) => {
            PackVerdict { decision, reason: rollback::why(step), reviewer: rollback::decider(step) }
        }
        None => PackVerdict {
            decision,
            reason: "no decision was made yet".to_owned(),
            reviewer: "tidegate".to_owned(),
        },
    }
}

fn rollback_entry(data: &CleanData) -> Option<RollbackEntry> {
    let from = &data.release.plan.from;
    // The phase, not the step, decides: a pack whose journal lacks the step must say so, not pass.
    match data.release.state.phase {
        Phase::RolledBack | Phase::ShutOff => Some(RollbackEntry {
            trigger: rollback::step(data).map(rollback::why).unwrap_or_default(),
            target_change_id: data
                .shipped_from
                .as_ref()
                .map_or_else(|| from.to_string(), ToString::to_string),
            target_version_set: from.clone(),
        }),
        Phase::Running | Phase::Paused(_) | Phase::Ended | Phase::Promoted => None,
    }
}

/// The sampling settings of a prompt, as far as the manifest needs them.
#[derive(Deserialize)]
struct Sampling {
    temperature: Option<f64>,
}

/// The sampling temperature in the candidate's prompt settings; `None` where it sets none.
fn temperature(data: &CleanData) -> Option<f64> {
    let to = data.to.as_ref()?;
    let file = to.set.artifacts.get(&ArtifactKind::Prompt)?.files.get("config.yaml")?;
    let text = std::str::from_utf8(to.blobs.get(&file.digest)?).ok()?;
    let sampling: Sampling = serde_saphyr::from_str(text).ok()?;
    sampling.temperature.filter(|t| t.is_finite())
}
