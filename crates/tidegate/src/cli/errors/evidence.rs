//! What to do about a pack that is none.

use super::{Explain, Meaning, none, one};
use crate::error::ErrorKind;
use crate::evidence::EvidenceError;
use tidegate_core::ids::ChangeId;

impl Explain for EvidenceError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Failed, Internal, Usage};
        match self {
            EvidenceError::Store(error) => error.explain(),
            EvidenceError::UnknownRelease { release: _, known } => {
                let known: Vec<&str> = known.iter().map(ChangeId::as_str).collect();
                let hint = match known.as_slice() {
                    [] => "there is no release yet".to_owned(),
                    known => format!("known releases: {}", known.join(", ")),
                };
                one(Usage, hint)
            }
            EvidenceError::UnknownIncident { .. } => none(Usage),
            EvidenceError::NoService
            | EvidenceError::NoJournal
            | EvidenceError::Journal(_)
            | EvidenceError::Entry { .. }
            | EvidenceError::NotRedacted(_)
            | EvidenceError::Part { .. }
            | EvidenceError::BrokeOff(_)
            | EvidenceError::PathLeadsOut { .. }
            | EvidenceError::Unreadable { .. } => none(Internal),
            EvidenceError::Unwritten { .. } => one(
                Internal,
                "check that the folder is writable and the disk is not full, then write it again",
            ),
            EvidenceError::NoPack { .. } => {
                one(Usage, "give the folder of one release: reports/YYYY-MM-DD/<change-id>")
            }
            EvidenceError::StrangeManifest { .. } => none(Failed),
            EvidenceError::DoesNotVerify { .. } => {
                one(Failed, "compare with another copy, or write the pack again from the store")
            }
        }
    }
}
