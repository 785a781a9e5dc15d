//! Bounds as they come over the admin plane. An error names the member, what was given and what is
//! allowed: the number alone could be any of five.

use serde::{Deserialize as _, Deserializer};
use serde_json::Value;
use tidegate_core::access::bounds::{CONCURRENT_MAX, PER_MIN_MAX, parse_budget};
use tidegate_core::money::Money;

/// Longest value that an error repeats, characters.
const SHOWN_MAX: usize = 40;

pub(super) fn requests_per_min<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<u64>, D::Error> {
    count("requests_per_min", PER_MIN_MAX, from)
}

pub(super) fn tokens_per_min<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    count("tokens_per_min", PER_MIN_MAX, from)
}

pub(super) fn concurrent<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    count("concurrent", u64::from(CONCURRENT_MAX), from)
}

pub(super) fn budget_day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Money>, D::Error> {
    budget("budget_day", from)
}

pub(super) fn budget_month<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Money>, D::Error> {
    budget("budget_month", from)
}

fn count<'de, D: Deserializer<'de>, N: TryFrom<u64>>(
    member: &str,
    most: u64,
    from: D,
) -> Result<Option<N>, D::Error> {
    let given = Value::deserialize(from)?;
    if given.is_null() {
        return Ok(None);
    }
    let count = given.as_u64().filter(|count| (1..=most).contains(count));
    let count = count.and_then(|count| N::try_from(count).ok());
    let allowed = || format!("allowed are whole numbers from 1 to {most}, or null for no bound");
    count.map(Some).ok_or_else(|| refused(member, &given, &allowed()))
}

/// Dollars are text: a number of JSON is read as a fraction of two by most who write it.
fn budget<'de, D: Deserializer<'de>>(member: &str, from: D) -> Result<Option<Money>, D::Error> {
    let given = Value::deserialize(from)?;
    let text = match &given {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let allowed = "a budget is text, such as \"5usd\" or \"0.25\", or null for no bound";
            return Err(refused(member, &given, allowed));
        }
    };
    let read = parse_budget(text);
    read.map(Some).map_err(|error| refused(member, &given, &error.to_string()))
}

fn refused<E: serde::de::Error>(member: &str, given: &Value, allowed: &str) -> E {
    let given = given.to_string();
    let shown: String = given.chars().take(SHOWN_MAX).collect();
    E::custom(format_args!("{member}: given {shown}, {allowed}"))
}
