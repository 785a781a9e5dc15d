//! What to do where control refuses, or a server cannot be put together.

use super::{Explain, Meaning, none, one};
use crate::control::{
    AdminError, ControlError, EvalProblem, KeyRefused, LIFE, ProjectError, ShadowError,
    ShadowProblem, StartError,
};
use crate::error::ErrorKind;
use crate::host::HostError;
use std::path::Path;
use tidegate_core::access::KeyId;
use tidegate_core::decide::PlanError;
use tidegate_core::ids::{ChangeId, IncidentId};
use tidegate_core::journal::ReplayError;

const KEEP_A_COPY: &str = "keep a copy of .tidegate/ and start from a backup; nothing was changed";
const START_ONCE: &str =
    "start it once with `tidegate serve`: it takes the project as the first set";
const AGAIN_WITH_ROOM: &str =
    "give the same command again; it needs as much free space as .tidegate/ has";
const KEY_FILE: &str =
    "it is a file of 32 bytes that only its owner reads; restore it from a backup";
const TEST_FIRST: &str =
    "`tidegate ab status` shows it; `tidegate ab stop` ends it, then release the better set";
const ASK_AGAIN: &str = "run it again: `tidegate sentinel run`";
const WHY: &str = "`--reason 'read the 3 answers that changed'`: it is kept as evidence";

impl Explain for ControlError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            ControlError::Project(error) => error.explain(),
            ControlError::Set(error) => error.explain(),
            ControlError::Gate(error) => error.explain(),
            ControlError::Sentinel(error) => error.explain(),
            ControlError::Evidence(error) => error.explain(),
            ControlError::Store(error) => error.explain(),
            ControlError::Start(error) => error.explain(),
            ControlError::Refused(error) => of_refusal(error),
            ControlError::Unreplayable(_) => one(Internal, KEEP_A_COPY),
            ControlError::NoService => one(Usage, START_ONCE),
            ControlError::ServiceName(_)
            | ControlError::AlreadyOpen
            | ControlError::NobodysRecords => none(Usage),
            ControlError::NotScrubbed { .. } => one(Internal, AGAIN_WITH_ROOM),
            ControlError::Table(_)
            | ControlError::PackName(_)
            | ControlError::EvalReport(_)
            | ControlError::LogKey(_)
            | ControlError::Ended
            | ControlError::Stalled => none(Internal),
            ControlError::NotTheRunning { named: _, running } => {
                one(Usage, format!("the running one is `{running}`"))
            }
            ControlError::RolledBackAlready { named } => {
                one(Usage, format!("when and why: `tidegate release status {named}`"))
            }
            ControlError::WayBackFails { .. } => two(
                ErrorKind::Failed,
                "nothing was changed; roll back all the same: `tidegate rollback --anyway`",
                "let the candidate serve at its weight meanwhile: `tidegate release pause`",
            ),
            ControlError::IsAb => one(Usage, TEST_FIRST),
            ControlError::NoAb { running } => one(Usage, no_ab(running.as_ref())),
            ControlError::NotSteerable { named: _, promoted } => one(Usage, take_back(promoted)),
            ControlError::NoneRuns { promoted } => one(Usage, take_back(promoted)),
            ControlError::NothingToApprove { .. } => two(
                Usage,
                "`tidegate version list` shows the sets, `tidegate release status` the releases",
                "`tidegate version pack` keeps the project's files as a set",
            ),
            ControlError::NoReason { .. } => one(Usage, WHY),
            ControlError::ApprovesBlocked { set, release } => two(
                ErrorKind::Failed,
                &format!("when and why: `tidegate release status {release}`"),
                &format!("approve it all the same: `tidegate approve {set} --again --reason …`"),
            ),
            ControlError::NoSuchRelease { .. } => {
                one(Usage, "`tidegate release status` lists the releases")
            }
            ControlError::NoSuchIncident { incident: _, known } => one(Usage, incidents(known)),
            ControlError::NoCase { incident: _, case_id, regression } => {
                (ErrorKind::Failed, write_a_case(case_id, regression))
            }
            ControlError::ClosedAlready { .. } => none(Usage),
            ControlError::SentinelMoved { .. } => one(ErrorKind::Inconclusive, ASK_AGAIN),
            ControlError::NothingChanged => {
                one(Usage, "what the last run says: `tidegate sentinel status`")
            }
            ControlError::ClosedByAccepting { .. } => two(
                ErrorKind::Failed,
                "take the model as it is now: `tidegate sentinel accept --reason …`",
                "or run the cases again: it closes when the model is as before",
            ),
            ControlError::Key(error) => error.explain(),
            ControlError::KeySecret(_) => one(Internal, KEY_FILE),
        }
    }
}

impl Explain for KeyRefused {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            KeyRefused::Name { .. } | KeyRefused::Text(_) => none(Usage),
            KeyRefused::Bound(_) => one(Usage, "leave it out for a key without this bound"),
            KeyRefused::Span { what, .. } if *what == LIFE => {
                one(Usage, "leave it out for a key that opens until it is revoked")
            }
            KeyRefused::Span { .. } => none(Usage),
            KeyRefused::Taken { .. } => one(Usage, "`tidegate key list` shows all keys"),
            KeyRefused::Model { given: _, names } => {
                let names = names.join(", ");
                one(
                    Usage,
                    format!("clients call it {names}; `aliases` in tidegate.yaml adds names"),
                )
            }
            KeyRefused::Unknown { given: _, known } if known.is_empty() => {
                one(Usage, "no key opens; `tidegate key create NAME` makes one")
            }
            KeyRefused::Unknown { given: _, known } => {
                let named = known.iter().map(|(key, name)| format!("{key} ({name})"));
                one(Usage, format!("keys that open: {}", named.collect::<Vec<_>>().join(", ")))
            }
            KeyRefused::Expired { .. } | KeyRefused::Revoked { .. } => {
                one(Usage, "`tidegate key list` shows all keys")
            }
            KeyRefused::Several { name: _, keys } => {
                let keys: Vec<&str> = keys.iter().map(KeyId::as_str).collect();
                one(Usage, format!("say which: {}", keys.join(", ")))
            }
            KeyRefused::SecretLost => (
                Internal,
                vec![
                    "restore it from a backup: without it no key opens".to_owned(),
                    "or revoke the keys that `tidegate key list` shows, then make new ones"
                        .to_owned(),
                ],
            ),
        }
    }
}

fn no_ab(running: Option<&ChangeId>) -> String {
    match running {
        Some(running) => format!("release `{running}` ends by `tidegate rollback`"),
        None => "`tidegate ab status` shows the last one".to_owned(),
    }
}

/// Two things to do.
fn two(kind: ErrorKind, first: &str, second: &str) -> Meaning {
    (kind, vec![first.to_owned(), second.to_owned()])
}

fn incidents(known: &[IncidentId]) -> String {
    let known: Vec<&str> = known.iter().map(IncidentId::as_str).collect();
    match known.as_slice() {
        [] => "there has been none".to_owned(),
        known => format!("known incidents: {}", known.join(", ")),
    }
}

fn take_back(promoted: &Option<ChangeId>) -> String {
    match promoted {
        Some(promoted) => format!(
            "to take back the one that made stable what it is: `tidegate rollback {promoted}`"
        ),
        None => "`tidegate release status` shows the last one".to_owned(),
    }
}

/// The line that closes an incident, whole: only its question is to be put in.
fn write_a_case(case_id: &str, regression: &Path) -> Vec<String> {
    let case = serde_json::json!({ "case_id": case_id, "risk": "regression", "input": "…" });
    let file = regression.display();
    vec![
        format!("add this line to {file}, with the question that went wrong as its input: {case}"),
        "then close it again; docs/how-to-write-a-case.md says what a case can check".to_owned(),
    ]
}

fn of_refusal(error: &ReplayError) -> Meaning {
    use ReplayError as E;
    let hint = match error {
        E::Blocked { .. } => {
            "release a set that fixes it, or override by name: `--override --by NAME --reason WHY`"
        }
        E::ReleaseRunning(_) => {
            "`tidegate release status`; `tidegate rollback` or `tidegate ab stop` ends it"
        }
        E::ShadowRunning(_) => "`tidegate shadow status`; `tidegate shadow stop` ends it",
        E::NoShadow => "`tidegate shadow start` starts one",
        E::ShadowPlan(_) => return none(ErrorKind::Usage),
        E::ApprovedAlready { .. } => "an approval counts once; another person may give another",
        E::UnknownSet(_) => "`tidegate version list` shows the sets",
        E::Journal(_)
        | E::UnknownRelease(_)
        | E::ReleaseOver(_)
        | E::ReleaseExists(_)
        | E::StaleTable { .. }
        | E::NoIncident(_)
        | E::CasesMissing(_)
        | E::NoService
        | E::KeyExists(_)
        | E::NoKey(_)
        | E::Adopted => return none(ErrorKind::Failed),
    };
    one(ErrorKind::Failed, hint)
}

impl Explain for ProjectError {
    fn explain(&self) -> Meaning {
        match self {
            ProjectError::Config(error) => error.explain(),
            ProjectError::OtherService { state, project: _ } => (
                ErrorKind::Usage,
                vec![
                    format!("a service keeps its name: set `service: {state}` in the project file"),
                    "or move .tidegate/ away: without it the project begins as a new service"
                        .to_owned(),
                ],
            ),
        }
    }
}

impl Explain for StartError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Failed, Internal, Usage};
        match self {
            StartError::Unwritten { .. } => one(Internal, "a release can start once it is written"),
            StartError::StillRunning { .. } => {
                one(Failed, "`tidegate release status`, then promote it or `tidegate rollback`")
            }
            StartError::AbRunning { .. } => {
                one(Failed, "`tidegate ab status` shows it; `tidegate ab stop` ends it")
            }
            StartError::Contract { .. } => {
                one(Failed, "answer them under `contract:` in tidegate.yaml, one line each")
            }
            StartError::Written { .. } => {
                one(Failed, "the gate is written in the file that `evals.gate` names")
            }
            StartError::NothingNew { .. } => one(
                Usage,
                "change a prompt, the model or another artifact, or name one: `--prompt v2`",
            ),
            StartError::NoWayBack { .. } => one(
                Failed,
                "keep the old format readable, or accept it by name: `--accept-one-way`",
            ),
            StartError::Eval { problem, command, .. } => {
                let first = match problem {
                    EvalProblem::None
                    | EvalProblem::OtherCases { .. }
                    | EvalProblem::OtherPolicy { .. } => "run the cases: ",
                    EvalProblem::Failed { .. } => "fix the failures, then run the cases again: ",
                };
                one(Failed, format!("{first}`{command}`"))
            }
            StartError::Approval { set, .. } => one(
                Failed,
                format!(
                    "somebody else than who starts it: `tidegate approve {set} --reason WHY --by \
                     NAME`"
                ),
            ),
            StartError::Plan(PlanError::Ab(_)) => {
                one(Usage, "`tidegate ab start --help` says what each flag takes")
            }
            StartError::Plan(_) => none(Usage),
            StartError::Shadow(error) => error.explain(),
        }
    }
}

impl Explain for ShadowError {
    fn explain(&self) -> Meaning {
        match self {
            ShadowError::StableMoved { .. } => {
                one(ErrorKind::Inconclusive, "run it again: of this one only what it cost is kept")
            }
            ShadowError::NothingNew { .. } => one(
                ErrorKind::Usage,
                "change a prompt, the model or another artifact, or name one: `--prompt v2`",
            ),
            ShadowError::Gate { problem, command, .. } => (
                ErrorKind::Failed,
                match problem {
                    ShadowProblem::None => vec![format!("compare it first: `{command}`")],
                    ShadowProblem::Running => vec!["`tidegate shadow status` shows it".to_owned()],
                    ShadowProblem::NotYet => vec![
                        format!("compare it again, with more requests or time: `{command}`"),
                        "`tidegate shadow status` shows how many more pairs it takes".to_owned(),
                    ],
                    ShadowProblem::Worse => vec![
                        "fix what `tidegate shadow status` shows, and compare it again".to_owned(),
                        "`release.shadow.gate: false` releases without a shadow".to_owned(),
                    ],
                },
            ),
            ShadowError::Unpriced { model } => one(
                ErrorKind::Usage,
                format!(
                    "say what it costs, 0 where it costs nothing: `prices: {{{model}: \
                     {{input_per_million: 0, output_per_million: 0}}}}`, and restart the server"
                ),
            ),
        }
    }
}

impl Explain for AdminError {
    fn explain(&self) -> Meaning {
        match self {
            AdminError::Listen { .. } => {
                one(ErrorKind::Usage, "set `admin_listen: 127.0.0.1:0` to take a free port")
            }
            AdminError::Random(_) | AdminError::File(_) => none(ErrorKind::Internal),
        }
    }
}

impl Explain for HostError {
    fn explain(&self) -> Meaning {
        match self {
            HostError::Set(error) => error.explain(),
            HostError::Store(error) => error.explain(),
            HostError::Control(error) => error.explain(),
            HostError::Admin(error) => error.explain(),
            HostError::Credential(error) => error.explain(),
            HostError::NotWritten { records: _, order } => {
                let hint = match order {
                    true => "give the order again if `tidegate release status` is without it",
                    false => "`tidegate release status` shows what is on disk",
                };
                one(ErrorKind::Internal, hint)
            }
            HostError::NotTheFirstStart { provider } => one(
                ErrorKind::Usage,
                format!("release the change: `tidegate release start --upstream {provider}`"),
            ),
        }
    }
}
