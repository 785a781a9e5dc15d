//! What to do about cases and runs of them.

use super::{Explain, Meaning, none, one};
use crate::error::ErrorKind;
use crate::gate::{CasesError, EncodingProblem, GateError, TapeError};
use crate::near;
use tidegate_core::gate::{CaseSetError, QueryError, RowError};

const SAVE: &str = "save it as UTF-8: in Excel or WPS `CSV UTF-8 (comma delimited)`, in \
                    LibreOffice with the character set `Unicode (UTF-8)`";

/// How a run that was cut off is ended.
const GO_ON: &str = "give the same command with `--resume`: it asks only for what is missing";

impl Explain for GateError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Inconclusive, Internal, Usage};
        match self {
            GateError::Cases(error) => error.explain(),
            GateError::Set(error) => error.explain(),
            GateError::Store(error) => error.explain(),
            GateError::Threshold { .. } => one(Usage, "0.85 is 85 %"),
            GateError::Tape(error) => error.explain(),
            GateError::Unkept { .. } => one(Internal, format!("make room, then {GO_ON}")),
            GateError::Interrupted { kept: true, .. } => one(Inconclusive, GO_ON),
            GateError::Interrupted { kept: false, .. } => none(Inconclusive),
            GateError::NothingToReplay { .. } => none(Usage),
            GateError::NoJson { .. }
            | GateError::Unread { .. }
            | GateError::Unwritten { .. }
            | GateError::Row(_) => none(Internal),
        }
    }
}

impl Explain for QueryError {
    fn explain(&self) -> Meaning {
        use ErrorKind::Usage;
        match self {
            QueryError::Form { .. } => {
                one(Usage, "such as `--where 'accuracy > 0.85 and model = m1'`")
            }
            QueryError::Order { .. } => one(Usage, "such as `accuracy` or `accuracy asc`"),
            QueryError::Number { .. } => one(Usage, "metrics are from 0 to 1"),
            QueryError::TextOrder { .. } => none(Usage),
            QueryError::Field { given, fields } => {
                let meant = near::nearest(given, fields.iter().map(String::as_str));
                let all = format!("runs have {}", fields.join(", "));
                (Usage, meant.map(near::question).into_iter().chain([all]).collect())
            }
        }
    }
}

impl Explain for RowError {
    fn explain(&self) -> Meaning {
        none(ErrorKind::Internal)
    }
}

impl Explain for TapeError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            TapeError::File { .. } => none(Internal),
            TapeError::InUse { .. } => one(Usage, "wait for its end, or end it with Ctrl-C"),
            TapeError::Line { .. } | TapeError::Empty { .. } => {
                one(Usage, "`tidegate eval --record FILE` writes such a file")
            }
            TapeError::OtherSet { .. } => one(
                Usage,
                "an answer counts for the set that gave it: record it again, or name that set's \
                 prompt and model",
            ),
        }
    }
}

impl Explain for CasesError {
    fn explain(&self) -> Meaning {
        use ErrorKind::{Internal, Usage};
        match self {
            CasesError::Config(error) => error.explain(),
            CasesError::NotPacked { .. } | CasesError::Lost(_) => none(Internal),
            CasesError::Unkept { .. } => one(Internal, "make room on the disk, then run it again"),
            CasesError::Unreadable { .. }
            | CasesError::TooLarge { .. }
            | CasesError::Field { .. } => none(Usage),
            CasesError::NoFile { file: _, header } => (
                Usage,
                vec![
                    format!("make the file with the header `{header}` and five rows or more"),
                    "or name another one in `evals.cases`".to_owned(),
                ],
            ),
            CasesError::Encoding { place: _, problem } => (Usage, of_encoding(problem)),
            CasesError::OpenQuote { .. } => {
                one(Usage, "a quote inside a quoted cell is written twice: `\"\"`")
            }
            CasesError::Header { place: _, given, header: _ } => (Usage, of_header(given)),
            CasesError::Row { .. } => {
                one(Usage, "put a cell with a separator in it in double quotes")
            }
            CasesError::ShiftedRow { cells, columns, .. } => one(
                Usage,
                format!(
                    "the row has {cells} cells, the header {columns}: put a cell with a separator \
                     in it in double quotes"
                ),
            ),
            CasesError::TwiceInTable { .. } => one(Usage, "give one of them another id"),
            CasesError::TwiceInLines { .. } => (
                Usage,
                vec![
                    "give one of them another id, or remove it".to_owned(),
                    "a line without id is named by its content".to_owned(),
                ],
            ),
            CasesError::NoSource { key, .. } => one(Usage, of_source(key)),
            CasesError::NoSet { problem, file } => {
                let file = file.display();
                match problem {
                    CaseSetError::TooFew(_) => one(
                        Usage,
                        format!(
                            "add rows to {file}, one for each risk: format, grounding, safety, \
                             performance, regression"
                        ),
                    ),
                    CaseSetError::RiskMissing(_) => one(
                        Usage,
                        format!("add a row with the class in the column `risk` to {file}"),
                    ),
                    CaseSetError::Twice { .. } => {
                        one(Usage, "give one of them another id, or remove it")
                    }
                    CaseSetError::Unread(_) => none(Internal),
                }
            }
        }
    }
}

/// What sets up what a check asks.
fn of_source(key: &str) -> String {
    let value = match key {
        "evals.embeddings" => "{url: \"http://127.0.0.1:8000/v1/embeddings\", model: NAME}",
        "evals.judge" => "{upstream: NAME, model: NAME}",
        _ => "[PROGRAM, ARGUMENT]",
    };
    format!("add `{key}: {value}` to `tidegate.yaml`, or take the check out")
}

fn of_encoding(problem: &EncodingProblem) -> Vec<String> {
    let save = SAVE.to_owned();
    match problem {
        // One with a blank in it is a description, which `iconv` does not know.
        EncodingProblem::NotUtf8 { looks_like: Some(code), .. } if !code.contains(' ') => {
            vec![save, format!("or convert it: `iconv -f {code} -t UTF-8 old.csv > new.csv`")]
        }
        EncodingProblem::NotUtf8 { .. } | EncodingProblem::HalfUtf16 | EncodingProblem::Archive => {
            vec![save]
        }
    }
}

fn of_header(given: &str) -> Vec<String> {
    let needed =
        "of these `case_id` and `prompt` are needed, in any order; other columns are ignored";
    let separators = "columns are separated by `,`, `;` or a tab";
    let has_another = given.contains(['，', '、', '；', '|']);
    let hints = std::iter::once(needed).chain(has_another.then_some(separators));
    hints.map(str::to_owned).collect()
}
