//! The runs that are kept: one line each, chosen by a condition and put in an order, as an
//! experiment tracker lists them (`metrics.accuracy > 0.85`, `metrics.accuracy DESC`).
//!
//! A condition is comparisons joined by `and`. A field is a metric of the run, `total` or
//! `correct`, which are compared with numbers; or `model`, `set`, `verdict` or `run`, which are
//! compared with texts, equal or not. A run that lacks the metric does not fit.

use super::report::{EvalReport, GateVerdict};
use super::rows::RowError;
use super::tally::Tally;
use crate::ids::{UnixMs, VersionSetId};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Fields that are texts.
const TEXTS: [&str; 4] = ["model", "set", "verdict", "run"];
/// Fields that every run has as a number.
const NUMBERS: [&str; 2] = ["total", "correct"];

/// One run in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRow {
    /// Its id.
    pub run_id: String,
    /// When it ended.
    pub at: UnixMs,
    /// The model.
    pub model: String,
    /// The version set.
    pub version_set: VersionSetId,
    /// What came of it.
    pub verdict: GateVerdict,
    /// Its cases.
    pub total: usize,
    /// Those that were correct.
    pub correct: usize,
    /// What it measured, 0 to 1 each.
    pub metrics: BTreeMap<String, f64>,
}

/// Why a condition or an order is none.
#[derive(Debug, Error)]
pub enum QueryError {
    /// Not of the form.
    #[error("`{given}` is no comparison")]
    Form {
        /// The part.
        given: String,
    },
    /// An order is a field and a direction.
    #[error("`{given}` is no order")]
    Order {
        /// What was typed.
        given: String,
    },
    /// A number is needed.
    #[error("`{field}` is compared with a number, not with `{given}`")]
    Number {
        /// The field.
        field: String,
        /// What it is compared with.
        given: String,
    },
    /// A text has no order.
    #[error("`{field}` is a text: it is equal to another, `=`, or not, `!=`")]
    TextOrder {
        /// The field.
        field: String,
    },
    /// No run has this field.
    #[error("no run has `{given}`")]
    Field {
        /// The field.
        given: String,
        /// Those that runs have.
        fields: Vec<String>,
    },
}

impl RunRow {
    /// What is listed of a report.
    ///
    /// # Errors
    /// A report of an earlier version has no metrics, and its results cannot be read.
    pub fn of(report: &EvalReport) -> Result<RunRow, RowError> {
        Ok(RunRow {
            run_id: report.run_id.clone(),
            at: report.at,
            model: report.model.clone(),
            version_set: report.version_set.clone(),
            verdict: report.verdict,
            total: report.total,
            correct: report.correct,
            metrics: match report.metrics.is_empty() {
                true => Tally::of(&report.results)?.metrics(),
                false => report.metrics.clone(),
            },
        })
    }

    fn number(&self, field: &str) -> Option<f64> {
        match field {
            "total" => Some(self.total as f64),
            "correct" => Some(self.correct as f64),
            metric => self.metrics.get(metric).copied(),
        }
    }

    fn text(&self, field: &str) -> Option<&str> {
        match field {
            "model" => Some(&self.model),
            "set" => Some(self.version_set.as_str()),
            "run" => Some(&self.run_id),
            "verdict" => Some(match self.verdict {
                GateVerdict::Pass => "pass",
                GateVerdict::Fail => "fail",
                GateVerdict::Inconclusive => "inconclusive",
            }),
            _ => None,
        }
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
enum Comparison {
    Number { field: String, operator: Operator, value: f64 },
    Text { field: String, equal: bool, value: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
    NotEqual,
    Equal,
    Above,
    Below,
}

impl Operator {
    /// The longer ones first: `>=` begins with `>`.
    const ALL: [(&'static str, Operator); 8] = [
        (">=", Operator::AtLeast),
        ("<=", Operator::AtMost),
        ("!=", Operator::NotEqual),
        ("<>", Operator::NotEqual),
        ("==", Operator::Equal),
        ("=", Operator::Equal),
        (">", Operator::Above),
        ("<", Operator::Below),
    ];

    fn holds(self, one: f64, other: f64) -> bool {
        match self {
            Operator::AtLeast => one >= other,
            Operator::AtMost => one <= other,
            Operator::NotEqual => one != other,
            Operator::Equal => one == other,
            Operator::Above => one > other,
            Operator::Below => one < other,
        }
    }
}

/// Which runs are listed, and in which order.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    all: Vec<Comparison>,
    /// The field, and whether the lowest come first.
    order: Option<(String, bool)>,
}

impl RunQuery {
    /// From what was typed.
    ///
    /// # Errors
    /// A part of the condition is no comparison of a number or a text, or the order no field.
    pub fn parse(condition: Option<&str>, order: Option<&str>) -> Result<RunQuery, QueryError> {
        let parts = condition.map(split_at_and).unwrap_or_default();
        let all = parts.iter().map(|part| comparison(part)).collect::<Result<_, _>>()?;
        Ok(RunQuery { all, order: order.map(direction).transpose()? })
    }

    /// The runs that fit, in order: without one the newest first, as they are given.
    ///
    /// # Errors
    /// A field that no run has.
    pub fn of(&self, rows: Vec<RunRow>) -> Result<Vec<RunRow>, QueryError> {
        self.check_fields(&rows)?;
        let mut rows: Vec<RunRow> =
            rows.into_iter().filter(|row| self.all.iter().all(|one| one.holds(row))).collect();
        if let Some((field, lowest_first)) = &self.order {
            rows.sort_by(|a, b| {
                // What lacks the field comes last, whatever the order.
                match (a.number(field), b.number(field)) {
                    (Some(a), Some(b)) if *lowest_first => a.total_cmp(&b),
                    (Some(a), Some(b)) => b.total_cmp(&a),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => a.text(field).cmp(&b.text(field)),
                }
            });
        }
        Ok(rows)
    }

    fn check_fields(&self, rows: &[RunRow]) -> Result<(), QueryError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut fields: BTreeSet<&str> = TEXTS.into_iter().chain(NUMBERS).collect();
        fields.extend(rows.iter().flat_map(|row| row.metrics.keys()).map(String::as_str));
        let of_condition = self.all.iter().map(|one| match one {
            Comparison::Number { field, .. } | Comparison::Text { field, .. } => field,
        });
        let of_order = self.order.iter().map(|(field, _)| field);
        match of_condition.chain(of_order).find(|field| !fields.contains(field.as_str())) {
            None => Ok(()),
            Some(given) => Err(QueryError::Field {
                given: given.clone(),
                fields: fields.into_iter().map(str::to_owned).collect(),
            }),
        }
    }
}

impl Comparison {
    fn holds(&self, row: &RunRow) -> bool {
        match self {
            Comparison::Number { field, operator, value } => {
                row.number(field).is_some_and(|number| operator.holds(number, *value))
            }
            Comparison::Text { field, equal, value } => {
                row.text(field).is_some_and(|text| (text == value) == *equal)
            }
        }
    }
}

/// The parts between the words `and`, none of which is in quotes.
fn split_at_and(condition: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for word in condition.split_inclusive(char::is_whitespace) {
        let is_and = quote.is_none() && word.trim().eq_ignore_ascii_case("and");
        for c in word.chars().filter(|c| matches!(c, '\'' | '"')) {
            quote = match quote {
                None => Some(c),
                Some(open) if open == c => None,
                open => open,
            };
        }
        match parts.last_mut() {
            Some(last) if !is_and => last.push_str(word),
            _ => parts.push(String::new()),
        }
    }
    parts
}

fn comparison(part: &str) -> Result<Comparison, QueryError> {
    let wrong = || QueryError::Form { given: part.trim().to_owned() };
    let at = part.find(['<', '>', '=', '!']).ok_or_else(wrong)?;
    let (field, rest) = part.split_at(at);
    let found = Operator::ALL.into_iter().find(|(sign, _)| rest.starts_with(sign));
    let (sign, operator) = found.ok_or_else(wrong)?;
    let (field, given) = (field_of(field), rest[sign.len()..].trim());
    if field.is_empty() || given.is_empty() {
        return Err(wrong());
    }
    if TEXTS.contains(&field.as_str()) {
        let equal = match operator {
            Operator::Equal => true,
            Operator::NotEqual => false,
            Operator::AtLeast | Operator::AtMost | Operator::Above | Operator::Below => {
                return Err(QueryError::TextOrder { field });
            }
        };
        return Ok(Comparison::Text { field, equal, value: unquoted(given).to_owned() });
    }
    let value = given.parse::<f64>().ok().filter(|value| value.is_finite());
    let value =
        value.ok_or(QueryError::Number { field: field.clone(), given: given.to_owned() })?;
    Ok(Comparison::Number { field, operator, value })
}

/// A field as it is called here: `metrics.accuracy` is `accuracy`.
fn field_of(given: &str) -> String {
    let given = given.trim();
    given.strip_prefix("metrics.").unwrap_or(given).to_owned()
}

fn unquoted(text: &str) -> &str {
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    within('\'').or_else(|| within('"')).unwrap_or(text)
}

fn direction(order: &str) -> Result<(String, bool), QueryError> {
    let words: Vec<&str> = order.split_whitespace().collect();
    let lowest_first = match words.as_slice() {
        [_] => false,
        [_, word] if word.eq_ignore_ascii_case("desc") => false,
        [_, word] if word.eq_ignore_ascii_case("asc") => true,
        _ => return Err(QueryError::Order { given: order.to_owned() }),
    };
    Ok((words.first().map(|field| field_of(field)).unwrap_or_default(), lowest_first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(run: &str, model: &str, accuracy: f64, bleu: Option<f64>) -> RunRow {
        let bleu = bleu.map(|bleu| ("bleu".to_owned(), bleu));
        RunRow {
            run_id: run.to_owned(),
            at: UnixMs(0),
            model: model.to_owned(),
            version_set: VersionSetId::parse("vs-0f3a9c21d4e7").unwrap(),
            verdict: if accuracy > 0.85 { GateVerdict::Pass } else { GateVerdict::Fail },
            total: 10,
            correct: (accuracy * 10.0) as usize,
            metrics: [("accuracy".to_owned(), accuracy)].into_iter().chain(bleu).collect(),
        }
    }

    fn rows() -> Vec<RunRow> {
        vec![
            row("c", "m and m", 0.9, None),
            row("b", "m1", 0.7, Some(0.3)),
            row("a", "m1", 1.0, Some(0.5)),
        ]
    }

    fn query(condition: &str, order: &str) -> Result<Vec<String>, QueryError> {
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let found = RunQuery::parse(some(condition), some(order))?.of(rows())?;
        Ok(found.into_iter().map(|row| row.run_id).collect())
    }

    #[test]
    fn runs_that_fit_in_order() {
        fn check(condition: &str, order: &str, expected: &[&str]) {
            assert_eq!(query(condition, order).unwrap(), expected, "{condition} {order}");
        }
        check("", "", &["c", "b", "a"]);
        check("accuracy > 0.85", "accuracy", &["a", "c"]);
        check("metrics.accuracy>0.85", "metrics.accuracy DESC", &["a", "c"]);
        check("accuracy >= 0.7 AND accuracy < 1", "accuracy asc", &["b", "c"]);
        check("bleu != 0.3", "", &["a"]);
        check("model = 'm and m'", "", &["c"]);
        check("model != m1 and verdict = pass", "", &["c"]);
        check("run = a", "", &["a"]);
        // What lacks the metric comes last in both orders.
        check("", "bleu", &["a", "b", "c"]);
        check("", "bleu asc", &["b", "a", "c"]);
        check("total = 10 and correct <= 7", "", &["b"]);
        check("", "model", &["c", "b", "a"]);
    }

    #[test]
    fn what_is_no_condition_says_why() {
        fn check(condition: &str, order: &str, says: &str) {
            let error = query(condition, order).unwrap_err().to_string();
            assert!(error.contains(says), "{condition} {order}: {error}");
        }
        check("accuracy", "", "`accuracy` is no comparison");
        check("accuracy > 0.8 and", "", "`` is no comparison");
        check("> 0.8", "", "is no comparison");
        check("accuracy !", "", "is no comparison");
        check("accuracy > high", "", "compared with a number, not with `high`");
        check("accuracy > NaN", "", "compared with a number");
        check("model > m1", "", "`model` is a text");
        check("acuracy > 0.8", "", "no run has `acuracy`");
        check("", "accuracy up", "`accuracy up` is no order");
        check("", "zzz", "no run has `zzz`");
    }
}
