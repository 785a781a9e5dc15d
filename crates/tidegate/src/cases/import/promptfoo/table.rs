//! Tests as a table: a column a variable, and columns whose names begin with `__`.

use super::super::super::error::{Result, TransferError};
use super::super::template::scalar;
use super::Test;
use crate::gate::{Table, read_bytes};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads the rows of a file.
///
/// # Errors
/// It cannot be read as a table.
pub(super) fn read(path: &Path) -> Result<Vec<Test>> {
    let bytes = read_bytes(Path::new(""), path)?;
    let bytes = bytes.ok_or_else(|| TransferError::NoFile(path.to_owned()))?;
    let table = Table::read(bytes, &path.display().to_string(), &[])?;
    let mut tests = Vec::new();
    for row in &table.rows {
        let place = format!("{}:{}", path.display(), row.line);
        let cells = (0..table.columns().len())
            .map(|at| (table.header(at).trim().to_owned(), table.cell(row, at).into_owned()));
        tests.push(test(place, cells));
    }
    Ok(tests)
}

fn test(place: String, cells: impl Iterator<Item = (String, String)>) -> Test {
    let mut test = Test { place: place.clone(), ..Test::default() };
    let mut metadata = Map::new();
    let mut thresholds = BTreeMap::new();
    let mut expected = Vec::new();
    for (name, cell) in cells.filter(|(_, cell)| !cell.trim().is_empty()) {
        let rest = |prefix: &str| name.strip_prefix(prefix);
        if let Some(key) = rest("__metadata:") {
            match key.strip_suffix("[]") {
                None => drop(metadata.insert(key.to_owned(), cell.into())),
                Some("tags") => {
                    let tags: Vec<&str> = cell.split(',').map(str::trim).collect();
                    test.labels.insert("tags".to_owned(), tags.into());
                }
                Some(_) => test.lose(&place, format!("the list `{name}`")),
            }
        } else if let Some(key) = rest("__config:") {
            match (key.split_once(':'), cell.trim().parse::<f64>()) {
                (Some((of, "threshold")), Ok(least)) => {
                    thresholds.insert(of.to_owned(), least);
                }
                _ => test.lose(&place, format!("the setting `{name}`")),
            }
        } else if name.starts_with("__expected") {
            expected.push((name, cell));
        } else {
            match name.as_str() {
                "__description" => test.description = Some(cell),
                "__threshold" => match cell.trim().parse::<f64>() {
                    Ok(least) => test.threshold = Some(least.into()),
                    Err(_) => test.lose(&place, format!("the threshold `{cell}`, no number")),
                },
                other if other.starts_with("__") => {
                    test.lose(&place, format!("the column `{other}`"))
                }
                _ => drop(test.vars.insert(name, cell.into())),
            }
        }
    }
    if !metadata.is_empty() {
        test.labels.insert("metadata".to_owned(), metadata.into());
    }
    for (name, cell) in expected {
        let mut assertion = written(&cell);
        if let (Some(least), Value::Object(members)) = (thresholds.get(&name), &mut assertion) {
            members.insert("threshold".to_owned(), (*least).into());
        }
        test.asserts.push((place.clone(), assertion));
    }
    test
}

/// Types that a cell may begin with although their names are not in our list.
const OTHERS: [(&str, &str); 7] = [
    ("javascript", "javascript"),
    ("fn", "javascript"),
    ("eval", "javascript"),
    ("python", "python"),
    ("grade", "llm-rubric"),
    ("llm-rubric", "llm-rubric"),
    ("file", "file"),
];

/// The assertion that a cell is: `type`, `type:value`, `type(threshold):value`; any other text is
/// what the answer must equal.
fn written(cell: &str) -> Value {
    let (head, value) = match cell.split_once(':') {
        Some((head, value)) => (head, Some(value)),
        None => (cell, None),
    };
    if let Some((_, kind)) = OTHERS.iter().find(|(name, _)| *name == head && value.is_some()) {
        return json!({"type": kind, "value": value});
    }
    let (name, threshold) = match head.strip_suffix(')').and_then(|head| head.split_once('(')) {
        Some((name, number)) => (name, number.parse::<f64>().ok()),
        None => (head, None),
    };
    let plain = name.strip_prefix("not-").unwrap_or(name);
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !super::assertion::is_type(plain) || !name.chars().all(is_name) {
        return json!({"type": "equals", "value": cell});
    }
    let value = value.map(|value| match plain {
        "contains-all" | "contains-any" | "icontains-all" | "icontains-any" => {
            value.split(',').map(str::trim).collect::<Vec<&str>>().into()
        }
        _ => Value::from(value),
    });
    let mut members = Map::from_iter([("type".to_owned(), Value::from(name))]);
    members.extend(
        value
            .filter(|it| scalar(it).is_none_or(|text| !text.is_empty()))
            .map(|value| ("value".to_owned(), value)),
    );
    members.extend(threshold.map(|least| ("threshold".to_owned(), least.into())));
    members.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cell_means() {
        for (cell, expected) in [
            ("Paris", json!({"type": "equals", "value": "Paris"})),
            ("note: be kind", json!({"type": "equals", "value": "note: be kind"})),
            ("contains:a:b", json!({"type": "contains", "value": "a:b"})),
            ("not-icontains-any:a, b", json!({"type": "not-icontains-any", "value": ["a", "b"]})),
            ("is-json", json!({"type": "is-json"})),
            (
                "levenshtein(3):abc",
                json!({"type": "levenshtein", "value": "abc", "threshold": 3.0}),
            ),
            ("fn:output.length > 3", json!({"type": "javascript", "value": "output.length > 3"})),
            ("grade:is kind", json!({"type": "llm-rubric", "value": "is kind"})),
            ("latency(2000)", json!({"type": "latency", "threshold": 2000.0})),
        ] {
            assert_eq!(written(cell), expected, "{cell}");
        }
    }
}
