//! What control can be asked for. The same words go over the admin plane and into a control that
//! runs without a server.

mod bound;

use crate::lang::Lang;
use crate::sentinel::SentinelResult;
use crate::shadow::ShadowResult;
use crate::version_set::PackOverrides;
use crate::view::Done;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tidegate_core::access::{Bounds, KeyError, KeyText, Priority, Role};
use tidegate_core::approval::Approver;
use tidegate_core::calendar::Day;
use tidegate_core::decide::{Metric, Order};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::evidence::GateRun;
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, IncidentId, UnixMs, VersionSetId};
use tidegate_core::money::{LineKey, Money, Sums};

/// One command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command", content = "with")]
pub(crate) enum Command {
    /// Start a release.
    Start(Box<StartRequest>),
    /// Start an A/B test.
    StartAb(Box<AbRequest>),
    /// Order something of the running release, or of the one that is named.
    Order {
        /// What, who and why.
        order: Order,
        /// The release it is meant for; left out, the running one.
        release: Option<ChangeId>,
        /// Whether to roll back without asking the version set before for an answer first.
        #[serde(default)]
        anyway: bool,
    },
    /// Pack the project's files into a kept version set.
    Pack(PackOverrides),
    /// Keep an eval run's report.
    RecordEval(Box<EvalReport>),
    /// Add to the books what calls cost that no user asked for.
    Book(Vec<(LineKey, Sums)>),
    /// Keep a run of the fixed cases.
    KeepSentinel(Box<SentinelResult>),
    /// Take a change of the model for good.
    AcceptSentinel {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Approve a version set.
    Approve(Box<ApproveRequest>),
    /// Open the entrance again after a black signal.
    Reopen {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Degrade the service to a level, or degrade it no more.
    Degrade {
        /// How much is switched off; left out, nothing.
        #[serde(default)]
        level: Option<DegradeLevel>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Start a shadow.
    StartShadow(Box<ShadowRequest>),
    /// Keep a shadow over recorded requests.
    KeepShadow(Box<ShadowResult>),
    /// End the shadow that runs.
    StopShadow {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Close an incident.
    CloseIncident {
        /// Its id.
        incident: IncidentId,
        /// Who.
        by: String,
        /// What was concluded.
        conclusion: String,
    },
    /// Make a key.
    MakeKey(Box<KeyRequest>),
    /// Make a successor of a key; the old one opens for a while.
    RotateKey {
        /// Its id, or the name of its owner.
        key: String,
        /// The successor, where it is of several services; left out, it is made here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<NewKey>,
        /// For how long the old one opens, ms.
        overlap_ms: u64,
        /// Who.
        by: String,
    },
    /// Revoke a key at once.
    RevokeKey {
        /// Its id, or the name of its owner.
        key: String,
        /// Who.
        by: String,
    },
    /// Price the books again, by the project's prices as they are now.
    Reprice {
        /// From this day on, UTC.
        from: Day,
        /// Who.
        #[serde(default)]
        by: String,
    },
    /// Delete records of a tenant or a user.
    DeleteRecords(Box<DeleteRequest>),
    /// Write the evidence pack of a release or an incident, again if there is one.
    WritePack {
        /// The release, or the incident by its id.
        change_id: ChangeId,
    },
}

impl Command {
    /// Whose name the journal has beside that of the key which it was given with.
    fn by(&mut self) -> Option<&mut String> {
        match self {
            Command::Start(request) => Some(&mut request.by),
            Command::StartAb(request) => Some(&mut request.start.by),
            Command::StartShadow(request) => Some(&mut request.by),
            Command::KeepShadow(result) => Some(&mut result.by),
            Command::Approve(request) => Some(&mut request.by),
            Command::Order { order, .. } => Some(&mut order.by),
            Command::MakeKey(request) => Some(&mut request.by),
            Command::DeleteRecords(request) => Some(&mut request.by),
            Command::Reopen { by, .. }
            | Command::AcceptSentinel { by, .. }
            | Command::Degrade { by, .. }
            | Command::StopShadow { by, .. }
            | Command::CloseIncident { by, .. }
            | Command::RotateKey { by, .. }
            | Command::RevokeKey { by, .. }
            | Command::Reprice { by, .. } => Some(by),
            Command::Pack(_)
            | Command::RecordEval(_)
            | Command::Book(_)
            | Command::KeepSentinel(_)
            | Command::WritePack { .. } => None,
        }
    }

    /// Says which key it was given with: a name alone is what its sender says.
    pub(super) fn sign(&mut self, key: &str) {
        if let Some(by) = self.by() {
            *by = format!("{by} (key {key})");
        }
    }

    /// The role that may give it.
    pub(super) fn needs(&self) -> Role {
        match self {
            Command::MakeKey(_)
            | Command::RotateKey { .. }
            | Command::RevokeKey { .. }
            | Command::DeleteRecords(_) => Role::Admin,
            Command::Start(_)
            | Command::StartAb(_)
            | Command::StartShadow(_)
            | Command::KeepShadow(_)
            | Command::StopShadow { .. }
            | Command::Approve(_)
            | Command::Order { .. }
            | Command::Pack(_)
            | Command::RecordEval(_)
            | Command::Book(_)
            | Command::KeepSentinel(_)
            | Command::AcceptSentinel { .. }
            | Command::Reopen { .. }
            | Command::Degrade { .. }
            | Command::CloseIncident { .. }
            | Command::Reprice { .. }
            | Command::WritePack { .. } => Role::Operate,
        }
    }
}

/// What a release starts with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct StartRequest {
    /// A kept set; left out, the project's files are packed.
    pub(crate) set: Option<VersionSetId>,
    /// What to pack instead of what the project says.
    pub(crate) overrides: PackOverrides,
    /// Who starts it.
    pub(crate) by: String,
    /// Why a blocked set is released all the same.
    pub(crate) override_reason: Option<String>,
    /// The smoke test of the candidate; whoever starts it ran it.
    #[serde(default)]
    pub(crate) smoke: Option<GateRun>,
    /// Whether it may start although there is no way back to the old behaviour.
    pub(crate) accept_one_way: bool,
}

/// What an A/B test starts with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbRequest {
    /// The candidate, and who starts it.
    pub(crate) start: StartRequest,
    /// What makes it an A/B test.
    pub(crate) ab: AbTerms,
}

/// What makes a release an A/B test.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbTerms {
    /// What people call it.
    pub(crate) name: String,
    /// What the arms are called, stable's first.
    pub(crate) arms: (String, String),
    /// What is compared.
    pub(crate) metrics: Vec<Metric>,
    /// The candidate's share of subjects, percent.
    pub(crate) split_pct: f64,
    /// The chance of finding a difference where there is none.
    pub(crate) alpha: f64,
    /// How long at most, ms.
    pub(crate) lasts_ms: u64,
}

/// What a shadow starts with; what is left out is as the project says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShadowRequest {
    /// A kept set; left out, the project's files are packed.
    #[serde(default)]
    pub(crate) set: Option<VersionSetId>,
    /// What to pack instead of what the project says.
    #[serde(default)]
    pub(crate) overrides: PackOverrides,
    /// Who starts it.
    #[serde(default)]
    pub(crate) by: String,
    /// Share of stable's requests, percent.
    #[serde(default)]
    pub(crate) sample_pct: Option<f64>,
    /// Most requests.
    #[serde(default)]
    pub(crate) max_requests: Option<u64>,
    /// Most money.
    #[serde(default)]
    pub(crate) max_cost: Option<Money>,
    /// How long at most, ms.
    #[serde(default)]
    pub(crate) lasts_ms: Option<u64>,
    /// How far back requests are taken that were recorded, ms; left out, they are mirrored.
    #[serde(skip)]
    pub(crate) recorded_ms: Option<u64>,
}

/// What is approved, who does it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ApproveRequest {
    /// A version set by its id, or a release, whose candidate is meant.
    pub(crate) change: String,
    /// Who approves it.
    pub(crate) by: String,
    /// Whether that is a person or a machine.
    pub(crate) approver: Approver,
    /// Why.
    pub(crate) reason: String,
    /// Whether a set that was rolled back may be approved again.
    #[serde(default)]
    pub(crate) again: bool,
}

/// What a key is made with. A member that is not known is refused: it may be a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// Whose it is.
    pub(crate) name: String,
    /// The tenant.
    pub(crate) tenant: Option<String>,
    /// What it is for.
    pub(crate) role: Role,
    /// The names of the service that it may ask for; none for all.
    #[serde(default)]
    pub(crate) models: BTreeSet<String>,
    /// The key, where it is of several services; left out, it is made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<NewKey>,
    /// How long it opens, ms; left out, until it is revoked.
    pub(crate) lasts_ms: Option<u64>,
    /// Whose requests go before whose; left out, that of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<Priority>,
    /// Most requests in a minute.
    #[serde(default, deserialize_with = "bound::requests_per_min")]
    pub(crate) requests_per_min: Option<u64>,
    /// Most tokens in a minute.
    #[serde(default, deserialize_with = "bound::tokens_per_min")]
    pub(crate) tokens_per_min: Option<u64>,
    /// Most requests at a time.
    #[serde(default, deserialize_with = "bound::concurrent")]
    pub(crate) concurrent: Option<u32>,
    /// Most money in a day.
    #[serde(default, deserialize_with = "bound::budget_day")]
    pub(crate) budget_day: Option<Money>,
    /// Most money in a calendar month.
    #[serde(default, deserialize_with = "bound::budget_month")]
    pub(crate) budget_month: Option<Money>,
    /// Who makes it.
    pub(crate) by: String,
}

impl KeyRequest {
    /// How much its owner may use.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            requests_per_min: self.requests_per_min,
            tokens_per_min: self.tokens_per_min,
            concurrent: self.concurrent,
            budget_day: self.budget_day,
            budget_month: self.budget_month,
        }
    }
}

/// Whose records are to be deleted: a tenant's, a user's, or those of a tenant's user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeleteRequest {
    /// The tenant.
    pub(crate) tenant: Option<String>,
    /// The user, as clients name it.
    pub(crate) user: Option<String>,
    /// Those that came in before this moment; left out, before the order.
    pub(crate) before: Option<UnixMs>,
    /// Who orders it.
    pub(crate) by: String,
}

/// The user's name may be personal data, so it is not shown.
impl fmt::Debug for DeleteRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeleteRequest")
    }
}

/// A key that was just made, on its way to the one who made it; its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NewKey(String);

impl NewKey {
    /// The whole key.
    pub(crate) fn of(key: &KeyText) -> NewKey {
        NewKey(key.reveal().to_owned())
    }

    /// The same, where it is a key.
    pub(super) fn text(&self) -> Result<KeyText, KeyError> {
        KeyText::parse(&self.0)
    }

    /// The key, to be shown once.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey")
    }
}

/// What control answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// One sentence for people, in English.
    pub(crate) text: String,
    /// What was done: the code and its numbers, of which the sentence is made.
    pub(crate) done: Done,
    /// Why it is not on disk yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_written: Option<String>,
    /// The release it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) change_id: Option<ChangeId>,
    /// The version set it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version_set: Option<VersionSetId>,
    /// The key that was made. It is nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new_key: Option<NewKey>,
    /// Its versions: `code_v`, `prompt_v`, `model_v`, `index_v`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) keys: BTreeMap<String, String>,
}

impl Answer {
    /// An answer that is about nothing in particular.
    pub(crate) fn of(done: Done) -> Answer {
        Answer::unwritten(done, None)
    }

    /// The same of what is in force and may not be on disk yet.
    pub(crate) fn unwritten(done: Done, not_written: Option<String>) -> Answer {
        Answer {
            text: done.sentence(Lang::En, not_written.as_deref()),
            done,
            not_written,
            change_id: None,
            version_set: None,
            new_key: None,
            keys: BTreeMap::new(),
        }
    }

    /// The sentence in a language.
    pub(crate) fn sentence(&self, lang: Lang) -> String {
        self.done.sentence(lang, self.not_written.as_deref())
    }
}
