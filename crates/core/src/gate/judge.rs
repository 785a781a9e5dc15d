//! What a check finds in an answer, for the kinds that need nothing but texts, numbers and tool
//! calls. Lengths and edits are counted in characters, never in bytes.

use super::check::Check;
use super::kind::CheckKind;
use super::likeness::{COMPARED_CHARS_MAX, measure};
use super::{markup, sql};
use crate::retrieval::{Retrieved, unsupported};
use crate::text::is_wide;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Longest text that a finding quotes, characters.
const QUOTED_CHARS: usize = 80;

/// What a check finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It holds.
    Holds,
    /// It does not; what is wrong.
    Wrong(String),
    /// A measure of 0 to 1, the more the better, and what to say where it is not enough.
    Share(f64, String),
    /// A number of edits, the fewer the better, and what to say where there are too many.
    Edits(f64, String),
    /// It is not known; why. Neither a right nor a wrong answer.
    Unknown(String),
}

impl Found {
    /// Wrong where there is a problem.
    pub fn of(problem: Option<String>) -> Found {
        problem.map_or(Found::Holds, Found::Wrong)
    }

    fn when(holds: bool, problem: impl FnOnce() -> String) -> Found {
        if holds { Found::Holds } else { Found::Wrong(problem()) }
    }
}

/// A tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CalledTool {
    /// The tool.
    pub name: String,
    /// Its arguments as the model wrote them.
    pub arguments: String,
    /// Why it is not a call of a declared tool with arguments that its schema allows.
    pub problem: Option<String>,
}

/// The text in lower case with full-width forms as ASCII, for matching keywords: `ＡＰＩ` is `api`.
pub fn fold_case_and_width(text: &str) -> String {
    text.chars().map(half_width).flat_map(char::to_lowercase).collect()
}

fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    }
}

/// What a check of a text finds; `None` for a kind that looks at something else.
pub fn judge_text(check: &Check, answer: &str, expected: Option<&str>) -> Option<Found> {
    use CheckKind as K;
    let value = &check.value;
    let text = value.as_str().unwrap_or_default();
    let length = || answer.chars().count() as u64;
    Some(match check.kind {
        K::Equals => equals(answer, value),
        K::ExpectedContains => {
            Found::when(answer.contains(text), || format!("does not contain `{text}`"))
        }
        K::Icontains => {
            let there = fold_case_and_width(answer).contains(&fold_case_and_width(text));
            Found::when(there, || format!("does not contain `{text}`, case and width aside"))
        }
        K::ContainsAll => all_of(texts(value), |word| answer.contains(word)),
        K::IcontainsAll => {
            let folded = fold_case_and_width(answer);
            all_of(texts(value), |word| folded.contains(&fold_case_and_width(word)))
        }
        K::ContainsAny => any_of(texts(value), |word| answer.contains(word)),
        K::MustIncludeAny => {
            let folded = fold_case_and_width(answer);
            any_of(texts(value), |word| folded.contains(&fold_case_and_width(word)))
        }
        K::ExpectedKeywords => keywords(answer, &texts(value)),
        K::ForbiddenKeywords => forbidden(answer, &texts(value)),
        K::StartsWith => Found::when(answer.starts_with(text), || {
            format!("starts with `{}`, not with `{text}`", head(answer, text))
        }),
        K::EndsWith => {
            Found::when(answer.ends_with(text), || format!("does not end with `{text}`"))
        }
        K::NotEmpty => Found::when(!answer.trim().is_empty(), || "the answer is empty".to_owned()),
        K::MinLength => at_least(length(), value, "characters long"),
        K::MaxLength => at_most(length(), value, "characters long"),
        K::WordCount => within(words(answer), value, "words long"),
        K::IsXml => Found::of(markup::xml_problem(answer)),
        K::ContainsXml => Found::when(markup::has_xml(answer), || "no XML in it".to_owned()),
        K::IsHtml => Found::of(markup::html_problem(answer)),
        K::ContainsHtml => Found::when(markup::has_html(answer), || "no HTML in it".to_owned()),
        K::IsSql => Found::of(sql::sql_problem(answer)),
        K::ContainsSql => Found::when(sql::has_sql(answer), || "no SQL in it".to_owned()),
        K::MinWords => at_least(words(answer), value, "words long"),
        K::MaxWords => at_most(words(answer), value, "words long"),
        // A service has no embedding of nothing.
        K::Similar if answer.trim().is_empty() => {
            Found::Share(0.0, "the answer is empty".to_owned())
        }
        K::Levenshtein => edits_from(answer, value.as_str().or(expected).unwrap_or_default()),
        _ => return judge_likeness(check, answer, expected),
    })
}

/// How far what an answer claims is in what was retrieved for it; `None` for an answer of a version
/// set that retrieves nothing. One that claims nothing is grounded.
pub fn judge_grounding(answer: &str, retrieved: Option<&Retrieved>) -> Found {
    let Some(retrieved) = retrieved else {
        return Found::Unknown("the version set retrieves nothing".to_owned());
    };
    let (claims, lacking) = unsupported(answer, retrieved);
    let first = lacking.first().map_or("", String::as_str);
    let share = 1.0 - lacking.len() as f64 / claims.made.max(1) as f64;
    let (count, made) = (lacking.len(), claims.made);
    let wrong = format!("{count} of {made} claims have no support in it: `{}`", cut(first.trim()));
    Found::Share(share, wrong)
}

/// What a check of tool calls finds; `None` for a kind that looks at something else.
pub fn judge_tools(check: &Check, calls: &[CalledTool]) -> Option<Found> {
    use CheckKind as K;
    let wanted = texts(&check.value);
    let called: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    let seen = || match called.is_empty() {
        true => "no tool is called".to_owned(),
        false => format!("the calls are {}", quoted(&called)),
    };
    Some(match check.kind {
        K::ValidToolCalls => match calls.iter().find_map(|call| call.problem.clone()) {
            Some(problem) => Found::Wrong(problem),
            None => Found::when(!calls.is_empty(), seen),
        },
        K::ToolsUsed => {
            let missing: Vec<&str> =
                wanted.iter().copied().filter(|name| !called.contains(name)).collect();
            Found::when(missing.is_empty(), || {
                format!("{} not called; {}", quoted(&missing), seen())
            })
        }
        K::ToolSequence => {
            let mut rest = called.iter();
            let missing = wanted.iter().find(|name| !rest.any(|call| call == *name));
            Found::of(missing.map(|name| format!("`{name}` is not called in its turn; {}", seen())))
        }
        K::ToolsExactly => Found::when(called == wanted, seen),
        K::ToolArguments => arguments(calls, check.value.as_object()),
        K::MinToolCalls => at_least(calls.len() as u64, &check.value, "tool calls"),
        K::MaxToolCalls => at_most(calls.len() as u64, &check.value, "tool calls"),
        K::ToolCallF1 => {
            let called: BTreeSet<&str> = called.iter().copied().collect();
            let wanted: BTreeSet<&str> = wanted.into_iter().collect();
            let f1 = f1_of_sets(&called, &wanted);
            Found::Share(f1, format!("F1 of the tools is {f1:.3}; {}", seen()))
        }
        _ => return None,
    })
}

/// Twice what both have over what each has; 1 where neither has anything.
fn f1_of_sets(one: &BTreeSet<&str>, other: &BTreeSet<&str>) -> f64 {
    let total = one.len() + other.len();
    if total == 0 { 1.0 } else { 2.0 * one.intersection(other).count() as f64 / total as f64 }
}

/// Whether each named tool has one call with these arguments among its own.
fn arguments(calls: &[CalledTool], wanted: Option<&Map<String, Value>>) -> Found {
    for (tool, needed) in wanted.into_iter().flatten() {
        let mut of_tool = calls.iter().filter(|call| call.name == *tool).peekable();
        if of_tool.peek().is_none() {
            return Found::Wrong(format!("`{tool}` is not called"));
        }
        let fits = |call: &CalledTool| {
            let given = serde_json::from_str(&call.arguments).unwrap_or(Value::Null);
            contains_value(&given, needed)
        };
        if !of_tool.any(fits) {
            return Found::Wrong(format!("no call of `{tool}` has the arguments {needed}"));
        }
    }
    Found::Holds
}

/// Whether the value has all that is wanted: members of objects by name, anything else as a whole.
fn contains_value(given: &Value, wanted: &Value) -> bool {
    match (given, wanted) {
        (Value::Object(given), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| given.get(key).is_some_and(|given| contains_value(given, wanted))),
        _ => same_value(given, wanted),
    }
}

/// Whether two JSON values are equal; `1` and `1.0` are, in whatever order members come.
fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        _ => one == other,
    }
}

fn equals(answer: &str, value: &Value) -> Found {
    let Value::String(text) = value else {
        let is_same =
            serde_json::from_str::<Value>(answer).is_ok_and(|given| same_value(&given, value));
        let wanted = cut(&value.to_string());
        return Found::when(is_same, || format!("is not JSON equal to `{wanted}`"));
    };
    Found::when(answer == text, || match answer.trim() == text.trim() {
        true => "differs from the text in the white space around it".to_owned(),
        false => format!("`{}` is not `{}`", cut(answer), cut(text)),
    })
}

fn keywords(answer: &str, words: &[&str]) -> Found {
    let folded = fold_case_and_width(answer);
    let absent = |word: &&str| !folded.contains(&fold_case_and_width(word));
    let missing: Vec<&str> = words.iter().copied().filter(absent).collect();
    let share = 1.0 - missing.len() as f64 / words.len().max(1) as f64;
    let s = if missing.len() == 1 { "" } else { "s" };
    Found::Share(share, format!("missing keyword{s} {}", quoted(&missing)))
}

fn forbidden(answer: &str, words: &[&str]) -> Found {
    let folded = fold_case_and_width(answer);
    let there = |word: &&str| folded.contains(&fold_case_and_width(word));
    let found: Vec<&str> = words.iter().copied().filter(there).collect();
    let s = if found.len() == 1 { "" } else { "s" };
    Found::when(found.is_empty(), || format!("contains forbidden keyword{s} {}", quoted(&found)))
}

fn all_of(words: Vec<&str>, there: impl Fn(&str) -> bool) -> Found {
    let missing: Vec<&str> = words.into_iter().filter(|word| !there(word)).collect();
    Found::when(missing.is_empty(), || format!("missing {}", quoted(&missing)))
}

fn any_of(words: Vec<&str>, there: impl Fn(&str) -> bool) -> Found {
    let any = words.iter().any(|word| there(word));
    Found::when(any, || format!("missing any of {}", quoted(&words)))
}

fn at_most(number: u64, most: &Value, unit: &str) -> Found {
    let most = most.as_u64().unwrap_or_default();
    Found::when(number <= most, || format!("{number} {unit}; at most {most} are allowed"))
}

fn at_least(number: u64, least: &Value, unit: &str) -> Found {
    let least = least.as_u64().unwrap_or_default();
    Found::when(number >= least, || format!("{number} {unit}; at least {least} are needed"))
}

/// A number that is exactly the wanted one, or within its `min` and `max`.
fn within(number: u64, wanted: &Value, unit: &str) -> Found {
    if let Some(exact) = wanted.as_u64() {
        return Found::when(number == exact, || format!("{number} {unit}; {exact} are wanted"));
    }
    let bound = |key: &str| Some(&wanted[key]).filter(|bound| !bound.is_null());
    let of =
        |judge: fn(u64, &Value, &str) -> Found, key| bound(key).map(|it| judge(number, it, unit));
    let found = [of(at_least, "min"), of(at_most, "max")];
    found.into_iter().flatten().find(|it| *it != Found::Holds).unwrap_or(Found::Holds)
}

/// Words between white space; a character of a script without spaces is a word.
fn words(text: &str) -> u64 {
    let (mut count, mut inside) = (0, false);
    for c in text.chars() {
        // A punctuation mark of such a script ends a word and is none.
        let is_word = is_wide(c) && c.is_alphanumeric();
        count += u64::from(is_word);
        let goes_on = !is_wide(c) && !c.is_whitespace();
        count += u64::from(goes_on && !inside);
        inside = goes_on;
    }
    count
}

fn too_long(characters: usize) -> String {
    format!("{characters} characters; at most {COMPARED_CHARS_MAX} are compared")
}

/// What a measure of likeness finds; `None` for a kind that is none.
fn judge_likeness(check: &Check, answer: &str, expected: Option<&str>) -> Option<Found> {
    let given = texts(&check.value);
    let references: Vec<&str> = if given.is_empty() { vec![expected?] } else { given };
    Some(match measure(check.kind, check.tokenize, answer, &references)? {
        Ok(measure) => {
            let (name, tokens) = (check.kind.name(), measure.tokens.as_str());
            Found::Share(measure.share, format!("{name}:{tokens} is {:.3}", measure.share))
        }
        Err(characters) => Found::Wrong(too_long(characters)),
    })
}

fn edits_from(answer: &str, reference: &str) -> Found {
    let longest = answer.chars().count().max(reference.chars().count());
    if longest > COMPARED_CHARS_MAX {
        return Found::Wrong(too_long(longest));
    }
    let edits = levenshtein(answer, reference);
    Found::Edits(edits as f64, format!("{edits} edits from the reference"))
}

/// The fewest inserted, deleted or replaced characters that make one text the other. Its time is
/// the product of both lengths.
pub fn levenshtein(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The texts of a list; one text is a list of it.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{}`", cut(word))).collect::<Vec<_>>().join(", ")
}

/// As much of the answer as the text is long.
fn head(answer: &str, like: &str) -> String {
    answer.chars().take(like.chars().count().min(QUOTED_CHARS)).collect()
}

fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut cut: String = chars.by_ref().take(QUOTED_CHARS).collect();
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}

/// Whether the values of a check are those that its kind takes.
///
/// # Errors
/// What it must be.
pub fn check_value(check: &Check) -> Result<(), &'static str> {
    use super::kind::Takes;
    let value = &check.value;
    let is_list = |items: &[Value]| !items.is_empty() && items.iter().all(Value::is_string);
    let good = match (check.kind.row().takes, value) {
        (Takes::List, Value::Array(items)) => is_list(items),
        (Takes::List, Value::String(text)) => !text.is_empty(),
        (Takes::Text, Value::String(text)) => !text.is_empty(),
        (Takes::Number, value) => value.as_u64().is_some(),
        (Takes::Range, Value::Object(bounds)) => is_range(bounds),
        (Takes::Range, value) => value.as_u64().is_some(),
        (Takes::Amount, value) => value.as_f64().is_some_and(|n| n >= 0.0),
        (Takes::Switch, Value::Bool(_)) => true,
        (Takes::Json, value) if check.kind == CheckKind::ToolArguments => value.is_object(),
        (Takes::Json, value) => !value.is_null(),
        (Takes::Share | Takes::Distance, Value::Null) => true,
        (Takes::Share, Value::Array(items)) => is_list(items),
        (Takes::Share | Takes::Distance, Value::String(text)) => !text.is_empty(),
        _ => false,
    };
    if good { Ok(()) } else { Err(must_be(check.kind)) }
}

/// Whether these are bounds of a whole number: `min`, `max` or both, in order.
fn is_range(bounds: &Map<String, Value>) -> bool {
    let known = |(key, value): (&String, &Value)| {
        ["min", "max"].contains(&key.as_str()) && value.as_u64().is_some()
    };
    let of = |key: &str| bounds.get(key).and_then(Value::as_u64);
    let in_order = of("min").zip(of("max")).is_none_or(|(least, most)| least <= most);
    !bounds.is_empty() && bounds.iter().all(known) && in_order
}

/// What the value of a kind must be.
fn must_be(kind: CheckKind) -> &'static str {
    use super::kind::Takes;
    match kind.row().takes {
        Takes::List => "one or more texts",
        Takes::Text => "a text",
        Takes::Number => "a whole number",
        Takes::Range => "a whole number, or `min` and `max` or one of them as whole numbers",
        Takes::Amount => "a number from 0",
        Takes::Switch => "`true` or `false`",
        Takes::Json if kind == CheckKind::ToolArguments => "a JSON object by tool",
        Takes::Json => "JSON",
        Takes::Share => "a reference text or several, or left out where the case has `expected`",
        Takes::Distance => "a reference text, or left out where the case has `expected`",
    }
}

/// Names that no table has twice, for results: `regex`, `regex#2`.
pub fn result_names(checks: &[Check]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let name = |check: &Check| {
        let name = check.name();
        let count = seen.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count == 1 { name } else { format!("{name}#{count}") }
    };
    checks.iter().map(name).collect()
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
