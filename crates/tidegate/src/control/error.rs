//! Why control refuses a command, or cannot carry it out.

use crate::clock::SPAN_MAX_MS;
use crate::config::ConfigError;
use crate::evidence::EvidenceError;
use crate::gate::{CasesError, GateError};
use crate::route::StaleTable;
use crate::sentinel::SentinelError;
use crate::store::StoreError;
use crate::version_set::SetError;
use std::collections::BTreeMap;
use std::path::PathBuf;
use thiserror::Error;
use tidegate_core::access::{BoundError, KeyError, KeyId};
use tidegate_core::decide::PlanError;
use tidegate_core::ids::{ChangeId, IdError, IncidentId, ServiceName, VersionSetId};
use tidegate_core::journal::ReplayError;

/// The result of what control does.
pub(super) type Result<T, E = ControlError> = std::result::Result<T, E>;

/// Why something was not done. What is refused changed nothing.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    /// The project file.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A version set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The cases, or writing them.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The fixed cases.
    #[error(transparent)]
    Sentinel(#[from] SentinelError),
    /// The evidence pack.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event does not fit the state.
    #[error(transparent)]
    Refused(#[from] ReplayError),
    /// The journal does not give a state.
    #[error("the journal in .tidegate/ cannot be replayed: {0}")]
    Unreplayable(ReplayError),
    /// A broken invariant: the table that was journalled does not follow the one in place.
    #[error(transparent)]
    Table(#[from] StaleTable),
    /// No `tidegate serve` ever took the project over.
    #[error("the service has no version set yet")]
    NoService,
    /// A name that is none.
    #[error(transparent)]
    ServiceName(IdError),
    /// A broken invariant: an incident's id is a change's as well.
    #[error(transparent)]
    PackName(IdError),
    /// An eval report without a JSON form.
    #[error("the eval report cannot be written: {0}")]
    EvalReport(serde_json::Error),
    /// The loop is over: the process ends.
    #[error("control has ended; stable traffic is not touched by that")]
    Ended,
    /// The store does not answer, and the command cannot do without it.
    #[error("control does not answer; this command needs the store")]
    Stalled,
    /// Nothing is shut.
    #[error("the entrance is open already")]
    AlreadyOpen,
    /// Why a release does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An order names a release, and another one runs.
    #[error("release `{named}` is not the running one")]
    NotTheRunning { named: ChangeId, running: ChangeId },
    /// An order names a release that is out already.
    #[error("release `{named}` is rolled back already")]
    RolledBackAlready { named: ChangeId },
    /// An order names a release that nothing moves; `promoted` made stable what it is.
    #[error("release `{named}` is neither running nor the stable one")]
    NotSteerable { named: ChangeId, promoted: Option<ChangeId> },
    /// The version set before does not answer, and the order does not say that it is meant all the
    /// same.
    #[error("{set}, which everyone would go to, fails: {why}")]
    WayBackFails { set: VersionSetId, why: String },
    /// What is ordered is of a ladder.
    #[error("an A/B test has one rung: it is not paused, resumed or promoted")]
    IsAb,
    /// What is ordered is of an A/B test.
    #[error("no A/B test is running")]
    NoAb { running: Option<ChangeId> },
    /// An order names none, and none runs.
    #[error("no release is running")]
    NoneRuns { promoted: Option<ChangeId> },
    /// What is to be approved is nothing that is here.
    #[error("this project has no version set or release `{}`", .given.escape_debug())]
    NothingToApprove { given: String },
    /// An approval without a reason says nothing to whoever reads it.
    #[error("an approval needs a reason: 1 to {max} characters")]
    NoReason { max: usize },
    /// The set was rolled back.
    #[error("version set `{set}` was rolled back by release `{release}`, so it is not approved")]
    ApprovesBlocked { set: VersionSetId, release: ChangeId },
    /// A pack of neither a release nor an incident.
    #[error("this project has no release `{name}`")]
    NoSuchRelease { name: ChangeId },
    /// No incident of this id.
    #[error("there is no incident `{incident}`")]
    NoSuchIncident { incident: IncidentId, known: Vec<IncidentId> },
    /// Records become cases by themselves only where they fail and their content is kept: what was
    /// rolled back by order before anybody saw it has none.
    #[error("incident `{incident}` cannot be closed: it has no case yet, and no record became one")]
    NoCase { incident: IncidentId, case_id: String, regression: PathBuf },
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyRefused),
    /// What keys are hashed with cannot be read or made.
    #[error("the secret of the keys, .tidegate/keys.secret: {0}")]
    KeySecret(std::io::Error),
    /// A deletion that would be of everything: that is what retention is for.
    #[error("whose records are to be deleted: a tenant's or a user's")]
    NobodysRecords,
    /// What pseudonyms are made with cannot be read or made.
    #[error("the key of the pseudonyms, .tidegate/log.key: {0}")]
    LogKey(std::io::Error),
    /// The records went; what is left of them in free space did not.
    #[error("{records} records were deleted, and their space in the file was not cleared: {why}")]
    NotScrubbed { records: u64, why: StoreError },
    /// What was asked is not what is served any more, or another run came between.
    #[error("the run asked {set}; stable serves {stable}, or another run came between")]
    SentinelMoved { set: VersionSetId, stable: VersionSetId },
    /// There is nothing to accept.
    #[error("the model behind stable has not changed: there is nothing to accept")]
    NothingChanged,
    /// A change of the model holds releases until it is accepted or gone.
    #[error("incident `{incident}` is of a model that changed: it ends when that is accepted")]
    ClosedByAccepting { incident: IncidentId },
    /// It was closed before.
    #[error("incident `{incident}` is closed already: {conclusion}")]
    ClosedAlready { incident: IncidentId, conclusion: String },
}

impl From<ConfigError> for ControlError {
    fn from(error: ConfigError) -> ControlError {
        ControlError::Project(error.into())
    }
}

impl From<CasesError> for ControlError {
    fn from(error: CasesError) -> ControlError {
        ControlError::Gate(error.into())
    }
}

/// Why the project file is of no use; kept, and said whenever something of it is asked for.
#[derive(Debug, Clone, Error)]
pub(crate) enum ProjectError {
    /// It cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A state is of one service: its sets, its days and its packs go by that name.
    #[error("the state in .tidegate/ is of service `{state}`, the project is `{project}`")]
    OtherService { state: ServiceName, project: String },
}

/// Why nothing was done with a key.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum KeyRefused {
    /// A name that cannot be shown everywhere.
    #[error(
        "{what} `{}`: allowed are 1 to 64 letters and digits of any script and `._:@/ -`",
        .given.escape_debug()
    )]
    Name { what: &'static str, given: String },
    /// The service has no such name.
    #[error("the service is not called `{}`, so no key can be for that", .given.escape_debug())]
    Model { given: String, names: Vec<String> },
    /// A number that is no bound.
    #[error(transparent)]
    Bound(#[from] BoundError),
    /// A key that would open never, or longer than anything lasts.
    #[error("{what}: given {given_ms} ms, allowed are {least_ms} to {SPAN_MAX_MS} (100 years)")]
    Span { what: &'static str, given_ms: u64, least_ms: u64 },
    /// The key that is to be kept is none.
    #[error(transparent)]
    Text(#[from] KeyError),
    /// A key of this id is there.
    #[error("key `{key}` is there already")]
    Taken { key: KeyId },
    /// No key is meant by it.
    #[error("no key that opens is called `{}`", .given.escape_debug())]
    Unknown { given: String, known: BTreeMap<KeyId, String> },
    /// Its time is over.
    #[error("key `{key}` has expired already")]
    Expired { key: KeyId },
    /// It opens no more.
    #[error("key `{key}` is revoked already")]
    Revoked { key: KeyId },
    /// Several keys of one owner open.
    #[error("{} keys of `{name}` open", .keys.len())]
    Several { name: String, keys: Vec<KeyId> },
    /// The file went, the keys are still in the state.
    #[error("the secret that the keys are hashed with, .tidegate/keys.secret, is not there")]
    SecretLost,
}

/// Why a release does not start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// What is in force is ahead of the journal.
    #[error("the last order is in force and not yet written to disk: {why}")]
    Unwritten { why: String },
    /// A service has one release at a time.
    #[error("release `{release}` is still running")]
    StillRunning { release: ChangeId },
    /// An A/B test is a release as well.
    #[error("A/B test `{name}` ({release}) is still running")]
    AbRunning { release: ChangeId, name: String },
    /// The contract's questions without an answer.
    #[error(
        "the service is still an experiment: its release contract does not answer {}",
        missing.join(", ")
    )]
    Contract { missing: Vec<&'static str> },
    /// The gate that the user wrote before the service is shared.
    #[error("{why}")]
    Written { why: String },
    /// The set is stable's.
    #[error("nothing to release: {set} ({label}) is what stable serves already")]
    NothingNew { set: VersionSetId, label: String },
    /// The old set could not read what the new one writes.
    #[error("there is no way back from {set}: {}", problems.join("; "))]
    NoWayBack { set: VersionSetId, problems: Vec<String> },
    /// The eval of the set, which `command` runs again.
    #[error("{set} ({label}) cannot be released: {problem}")]
    Eval { set: VersionSetId, label: String, problem: EvalProblem, command: String },
    /// What the gate demands of approvals; `missed` is why some do not count.
    #[error(
        "{set} ({label}) needs {needed} approval{} and has {}{}",
        if *needed == 1 { "" } else { "s" },
        counted,
        if missed.is_empty() { String::new() } else { format!("; {}", missed.join(", ")) }
    )]
    Approval { set: VersionSetId, label: String, needed: u32, counted: usize, missed: Vec<String> },
    /// The plan is not sound.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It is a shadow that does not start.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
}

/// Why a shadow does not start.
#[derive(Debug, Error)]
pub(crate) enum ShadowError {
    /// Stable became another set while recorded requests were asked.
    #[error("stable is {stable} now, and the requests were compared with {from}")]
    StableMoved { from: VersionSetId, stable: VersionSetId },
    /// The set is stable's.
    #[error("nothing to compare: {set} ({label}) is what stable serves already")]
    NothingNew { set: VersionSetId, label: String },
    /// What its answers cost would not be known.
    #[error("model `{model}` has no price, so the cap on what mirrored requests cost cannot hold")]
    Unpriced { model: String },
    /// A release that needs a shadow first, which `command` starts.
    #[error("{set} ({label}) cannot be released: {problem}")]
    Gate { set: VersionSetId, label: String, problem: ShadowProblem, command: String },
}

/// What is wrong with a set's shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ShadowProblem {
    #[error("it had no shadow beside what stable serves now")]
    None,
    #[error("its shadow is still running")]
    Running,
    #[error("its shadow found it worse than stable")]
    Worse,
    #[error("its shadow ended before it was known whether it is worse than stable")]
    NotYet,
}

/// What is wrong with a set's eval.
#[derive(Debug, Error)]
pub(crate) enum EvalProblem {
    #[error("it has no eval run")]
    None,
    #[error("the cases have changed since its eval run {run_id}")]
    OtherCases { run_id: String },
    #[error("its eval run {run_id} was not held to what the gate demands now")]
    OtherPolicy { run_id: String },
    #[error("its eval run {run_id} did not pass")]
    Failed { run_id: String },
}
