//! What to do where the prompt hub refuses.

use super::{Explain, Meaning, none, one};
use crate::control::EvalProblem;
use crate::error::ErrorKind;
use crate::prompts::HubError;

impl Explain for HubError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Failed, Internal, Usage};
        match self {
            HubError::Set(error) => error.explain(),
            HubError::Cases(error) => error.explain(),
            HubError::Store(error) => error.explain(),
            HubError::Current { .. } => none(Usage),
            HubError::Lints { version, findings: _ } => (
                Failed,
                vec![
                    format!("see all of them: `tidegate prompt lint {version}`"),
                    "a rule that is wrong for this prompt is switched off in its config.yaml, with \
                     the reason: `lint_off: {role: \"a classifier\"}`"
                        .to_owned(),
                ],
            ),
            HubError::Gate { version, problem } => {
                let first = match problem {
                    EvalProblem::None
                    | EvalProblem::OtherCases { .. }
                    | EvalProblem::OtherPolicy { .. } => "run the cases",
                    EvalProblem::Failed { .. } => "fix the failures, then run the cases again",
                };
                one(Failed, format!("{first}: `tidegate eval --prompt {version}`"))
            }
            HubError::Unwritten { .. } => none(Internal),
            HubError::Unread { .. } => one(Usage, "restore the file, or remove the line"),
        }
    }
}
