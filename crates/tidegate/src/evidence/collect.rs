//! From the store to a pack on disk.

use super::assemble::{assemble, manifest_for};
use super::buckets::buckets;
use super::clean::CleanData;
use super::data::{Exposure, FAILING_MAX, PackData, REPRESENTATIVE_MAX};
use super::error::{EvidenceError, Result};
use super::{journal, write};
use crate::clock::{Clock, rfc3339};
use crate::store::{Evals as _, Journal as _, RecordQuery, Records as _, Sets as _, Store};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use tidegate_core::decide::Phase;
use tidegate_core::evidence::{EnvInfo, PackRef, Record};
use tidegate_core::gate::{EvalReport, RowError, Rows};
use tidegate_core::ids::{ChangeId, Digest, VersionSetId};
use tidegate_core::journal::{ControlState, Release};
use tidegate_core::route::Arm;

/// How many records are looked through for samples. The oldest are looked at, since what fails
/// first is nearest to the cause.
const LOOKED_THROUGH: usize = 500;

/// Records of an arm that are compared bucket by bucket, the newest.
const COMPARED_MAX: usize = 2_000;

/// Results of a large run's report in a pack.
const RESULTS_MAX: usize = 1_000;

/// What gaps call it.
const JUNIT: &str = "the JUnit report";

/// What a pack is to be written of, and where.
pub(crate) struct PackInputs<'a> {
    /// Where everything is kept.
    pub(crate) store: &'a Store,
    /// The state of control.
    pub(crate) state: &'a ControlState,
    /// The release.
    pub(crate) change_id: &'a ChangeId,
    /// The project's folder; the pack goes under `reports/` in it.
    pub(crate) root: &'a Path,
    /// The clock.
    pub(crate) clock: &'a Clock,
    /// Where the data plane listens, for the reproductions: `http://127.0.0.1:8787`.
    pub(crate) base_url: &'a str,
    /// What is missing before anything is read: records that could not be written, say.
    pub(crate) gap: Option<&'a str>,
}

/// Writes the pack of a release as it is now and says where; the caller puts that into the
/// journal (`PackWritten`), and has flushed the store before. Another pack of the same release is
/// replaced.
///
/// # Errors
/// When the release is not known, or the store or the disk fails. What the store lacks is no
/// error: a pack with gaps is better evidence than none, and it names them.
pub(crate) async fn write_pack(inputs: &PackInputs<'_>) -> Result<PackRef> {
    let data = collect(inputs)?;
    let day = rfc3339(data.release.started_at).chars().take(10).collect::<String>();
    let change_id = data.change_id.clone();
    let parent = inputs.root.join("reports").join(&day);
    let manifest = tokio::task::spawn_blocking(move || write_data(data, &parent)).await??;
    Ok(PackRef { path: format!("reports/{day}/{change_id}"), manifest })
}

/// Redacts, assembles and writes; gives the digest of the manifest's file.
pub(super) fn write_data(data: PackData, parent: &Path) -> Result<Digest> {
    let data = CleanData::new(data)?;
    let files = assemble(&data)?;
    let manifest = manifest_for(&data, &files)
        .to_sealed_json()
        .map_err(EvidenceError::part("the manifest"))?;
    write::write_folder(parent, &data.change_id, &files, &manifest)?;
    Ok(Digest::of(manifest.as_bytes()))
}

/// The report of a large run with the first of the results that were not correct, and how many are
/// left out: a pack is for people, and is made in memory.
fn bounded(report: EvalReport) -> std::result::Result<(EvalReport, usize), RowError> {
    let Rows::Kept(_) = &report.results else { return Ok((report, 0)) };
    let mut results = Vec::new();
    for result in report.results.iter() {
        let result = result?;
        if !result.is_correct() && results.len() < RESULTS_MAX {
            results.push(result.into_owned());
        }
    }
    let left_out = report.total - results.len();
    Ok((EvalReport { results: results.into(), ..report }, left_out))
}

fn junit(report: &EvalReport) -> io::Result<String> {
    let mut page = Vec::new();
    crate::gate::junit(report, &mut page)?;
    String::from_utf8(page).map_err(io::Error::other)
}

fn collect(inputs: &PackInputs<'_>) -> Result<PackData> {
    let PackInputs { store, state, change_id, root: _, clock, base_url, gap } = *inputs;
    let mut gaps: Vec<String> = gap.map(str::to_owned).into_iter().collect();
    let release = state.releases.get(change_id).ok_or_else(|| unknown(state, change_id))?;
    let plan = &release.plan;
    let whole = store.journal(1)?;
    let journal_head = whole
        .last()
        .map(|entry| (entry.seq, entry.hash.clone()))
        .ok_or(EvidenceError::NoJournal)?;
    let entries = journal::of_release(&whole, change_id, [&plan.from, &plan.to])?;
    let mut keep = |what: &str, error: &dyn fmt::Display| gaps.push(format!("{what}: {error}"));
    let from = store.set(&plan.from).map_err(|e| keep("the stable set", &e)).ok();
    let to = store.set(&plan.to).map_err(|e| keep("the candidate's set", &e)).ok();
    let eval = store.latest_eval(&plan.to).map_err(|e| keep("the eval report", &e)).ok().flatten();
    let eval = eval.and_then(|eval| bounded(eval).map_err(|e| keep("the eval report", &e)).ok());
    let (eval, left_out) = eval.unzip();
    if let Some(left_out @ 1..) = left_out {
        keep("the eval report", &format!("{left_out} of its results are in the store alone"));
    }
    let junit = eval.as_ref().and_then(|eval| junit(eval).map_err(|e| keep(JUNIT, &e)).ok());
    let mut records = |failing_only| {
        let query = RecordQuery {
            change_id: Some(change_id.clone()),
            arm: Some(Arm::Candidate),
            failing_only,
            limit: LOOKED_THROUGH,
            ..RecordQuery::default()
        };
        store.records(&query).map_err(|e| keep("the records", &e)).unwrap_or_default()
    };
    let compared = [Arm::Stable, Arm::Candidate].map(|arm| {
        let (change_id, arm) = (Some(change_id.clone()), Some(arm));
        let limit = COMPARED_MAX;
        let query =
            RecordQuery { change_id, arm, newest_first: true, limit, ..RecordQuery::default() };
        store.records(&query).unwrap_or_default()
    });
    let failing = pick_failing(records(true));
    let representative = pick_representative(records(false));
    let (requests, users) = store
        .exposure(change_id, Arm::Candidate)
        .map_err(|e| keep("who saw it", &e))
        .unwrap_or_default();
    let gates = journal::written(&entries).into_iter();
    let gates = gates.chain(journal::smoke(&entries)).chain(journal::shadow(&entries)).collect();
    Ok(PackData {
        change_id: change_id.clone(),
        service: plan.service.clone(),
        release: Release::clone(release),
        incident: state.incident_of(change_id).cloned(),
        shipped_from: shipped(state, &plan.from, release),
        entries,
        journal_head,
        from,
        to,
        eval,
        junit,
        gates,
        failing,
        representative,
        buckets: buckets(&compared.concat()),
        exposure: Exposure { requests, users },
        base_url: base_url.to_owned(),
        written_at: clock.now(),
        simulated_clock: clock.is_demo(),
        env: env_info(clock),
        gaps,
    })
}

fn unknown(state: &ControlState, change_id: &ChangeId) -> EvidenceError {
    let known = state.releases.keys().cloned().collect();
    EvidenceError::UnknownRelease { release: change_id.clone(), known }
}

/// The latest release before `release` that made `set` stable.
fn shipped(state: &ControlState, set: &VersionSetId, release: &Release) -> Option<ChangeId> {
    state
        .releases
        .iter()
        .filter(|(_, r)| {
            r.plan.to == *set
                && r.state.phase == Phase::Promoted
                && r.started_at <= release.started_at
        })
        .max_by_key(|(_, r)| r.ended_at)
        .map(|(id, _)| id.clone())
}

/// Up to ten failing records: first one of every kind of failure, then the oldest.
pub(super) fn pick_failing(records: Vec<Record>) -> Vec<Record> {
    let kind = |r: &Record| {
        let risk = r.risk.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>().join("+");
        (r.failure.map(|f| f.as_str()), r.contract_problem.is_some(), risk)
    };
    let mut seen = BTreeSet::new();
    let (mut picked, rest): (Vec<Record>, Vec<Record>) =
        records.into_iter().partition(|record| seen.insert(kind(record)));
    picked.extend(rest);
    picked.truncate(FAILING_MAX);
    picked
}

/// Up to five records that did not fail, evenly spread.
pub(super) fn pick_representative(records: Vec<Record>) -> Vec<Record> {
    let good: Vec<Record> = records.into_iter().filter(|r| !r.is_failing()).collect();
    let wanted = good.len().min(REPRESENTATIVE_MAX);
    (0..wanted).filter_map(|i| good.get(i * good.len() / wanted)).cloned().collect()
}

pub(super) fn env_info(clock: &Clock) -> EnvInfo {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let profile = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    let simulated = if clock.is_demo() { ", simulated clock" } else { "" };
    EnvInfo {
        os: std::env::consts::OS.to_owned(),
        runtime: format!("tidegate {}, {profile}{simulated}", env!("CARGO_PKG_VERSION")),
        hardware: format!("{}, {cpus} processors", std::env::consts::ARCH),
    }
}
