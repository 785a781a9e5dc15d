//! What a pack is made from.

use super::buckets::Bucket;
use crate::version_set::PackedSet;
use tidegate_core::evidence::{EnvInfo, GateLevel, GateStatus, Record};
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, Digest, ServiceName, UnixMs};
use tidegate_core::incident::Incident;
use tidegate_core::journal::{Entry, Release};

/// Most failing records in a pack.
pub(super) const FAILING_MAX: usize = 10;
/// Most representative records in a pack.
pub(super) const REPRESENTATIVE_MAX: usize = 5;

/// Everything one pack is made from, as the store has it: not redacted yet.
#[derive(Clone)]
pub(crate) struct PackData {
    /// The release.
    pub(crate) change_id: ChangeId,
    /// The service it belongs to.
    pub(crate) service: ServiceName,
    /// What is known of the release.
    pub(crate) release: Release,
    /// Its incident, if it had one.
    pub(crate) incident: Option<Incident>,
    /// The release that shipped the set this one started from, where one did.
    pub(crate) shipped_from: Option<ChangeId>,
    /// The journal's entries that belong to the release, in order.
    pub(crate) entries: Vec<Entry>,
    /// The journal's last entry: sequence and hash.
    pub(crate) journal_head: (u64, Digest),
    /// The set it started from, with its files; absent where the store lost it.
    pub(crate) from: Option<PackedSet>,
    /// The candidate, with its files.
    pub(crate) to: Option<PackedSet>,
    /// The latest eval report on the candidate.
    pub(crate) eval: Option<EvalReport>,
    /// JUnit XML of that run, where one was made.
    pub(crate) junit: Option<String>,
    /// Other gates that were run: smoke tests, dry runs.
    pub(crate) gates: Vec<GateOutput>,
    /// Failing records of the candidate.
    pub(crate) failing: Vec<Record>,
    /// Records of the candidate that are like most.
    pub(crate) representative: Vec<Record>,
    /// Candidate beside stable, cut by tenant, language and length.
    pub(crate) buckets: Vec<Bucket>,
    /// Who saw the candidate.
    pub(crate) exposure: Exposure,
    /// Where the data plane listens, for the reproductions: `http://127.0.0.1:8787`.
    pub(crate) base_url: String,
    /// When the pack is written.
    pub(crate) written_at: UnixMs,
    /// Whether times come from the demo's clock.
    pub(crate) simulated_clock: bool,
    /// Where it ran.
    pub(crate) env: EnvInfo,
    /// What could not be found, one sentence each.
    pub(crate) gaps: Vec<String>,
}

/// Who saw the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Exposure {
    /// Requests it answered or failed.
    pub(crate) requests: u64,
    /// Distinct users behind them.
    pub(crate) users: u64,
}

/// The raw output of a gate beside the eval: a smoke test, a dry run.
#[derive(Debug, Clone)]
pub(crate) struct GateOutput {
    /// The gate's name; also the name of its file, `gates/<name>.txt`, after cleaning.
    pub(crate) name: String,
    /// How much it weighs.
    pub(crate) level: GateLevel,
    /// How it came out.
    pub(crate) status: GateStatus,
    /// What it printed.
    pub(crate) text: String,
}
