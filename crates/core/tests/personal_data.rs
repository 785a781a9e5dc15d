//! How much personal data `find_private` sees, and how much it only thinks it sees, on labelled
//! lines in English, Chinese and Japanese.
//!
//! A line is a carrier of `personal_data/*.txt` with values of `values.rs` and `harmless.rs`, drawn
//! from a seed; its labels are where the personal values were put. A label is found when one
//! finding of its mark covers its letters and digits and no more of the line's. Any other finding
//! is wrong.
//!
//! What a carrier below `== held out` gives is counted and never shown, and its values come from
//! another seed: whoever improves a pattern sees the lines that fail above it and only these. The
//! carriers were all written before any of it was measured. `cargo test -p tidegate-core --test
//! personal_data -- --nocapture` prints the tables.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: what it cannot read stops it, and what it measures is read"
)]

#[path = "personal_data/harmless.rs"]
mod harmless;
#[path = "personal_data/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::ops::Range;
use tidegate_core::random::{Random, hash};
use tidegate_core::text::find_private;
use values::{Draw, Language, mark};

const TIMES: u64 = 6;
const LINES_MIN: usize = 900;
const RECALL_MIN: f64 = 0.95;
const PRECISION_MIN: f64 = 0.98;

const CARRIERS: [(Language, &str); 3] = [
    (Language::English, include_str!("personal_data/en.txt")),
    (Language::Chinese, include_str!("personal_data/zh.txt")),
    (Language::Japanese, include_str!("personal_data/ja.txt")),
];

#[derive(Debug)]
struct Label {
    range: Range<usize>,
    kind: &'static str,
    mark: &'static str,
}

struct Line {
    language: Language,
    is_held_out: bool,
    text: String,
    labels: Vec<Label>,
    /// Kinds of the values that are no one's.
    harmless: Vec<String>,
}

/// The kinds, so that a table names each once.
fn known(kind: &str) -> &'static str {
    const KINDS: [&str; 14] = [
        "email",
        "phone",
        "phone_any",
        "landline",
        "id",
        "hkid",
        "twid",
        "ssn",
        "ssn_any",
        "my_number",
        "passport",
        "card",
        "iban",
        "key",
    ];
    KINDS.iter().find(|known| **known == kind).copied().unwrap_or("password")
}

fn line(carrier: &str, draw: &mut Draw, is_held_out: bool) -> Line {
    let (mut text, mut labels, mut harmless) = (String::new(), Vec::new(), Vec::new());
    let mut rest = carrier;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        let kind = rest.find('}').map(|close| &rest[1..close]);
        // A brace of JSON or code is a part of the line.
        let is_name = |kind: &&str| {
            !kind.is_empty() && kind.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())
        };
        let Some(kind) = kind.filter(is_name) else {
            text.push('{');
            rest = &rest[1..];
            continue;
        };
        let from = text.len();
        text.push_str(&draw.value(kind));
        match mark(kind) {
            Some(mark) => labels.push(Label { range: from..text.len(), kind: known(kind), mark }),
            None => harmless.push(kind.to_owned()),
        }
        rest = &rest[kind.len() + 2..];
    }
    text.push_str(rest);
    Line { language: draw.language, is_held_out, text, labels, harmless }
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (language, carriers) in CARRIERS {
        let mut is_held_out = None;
        for carrier in carriers.lines() {
            match carrier {
                "== open" => is_held_out = Some(false),
                "== held out" => is_held_out = Some(true),
                carrier if carrier.starts_with('#') && is_held_out.is_none() => {}
                carrier => {
                    let is_held_out = is_held_out.unwrap();
                    let seed = hash(&[if is_held_out { "held out" } else { "open" }, carrier]);
                    for time in 0..TIMES {
                        let random = Random::nth(seed, time);
                        lines.push(line(carrier, &mut Draw { random, language }, is_held_out));
                    }
                }
            }
        }
    }
    lines
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    labels: u32,
    found: u32,
    wrong: u32,
}

impl Count {
    fn recall(&self) -> f64 {
        f64::from(self.found) / f64::from(self.labels.max(1))
    }

    fn precision(&self) -> f64 {
        f64::from(self.found) / f64::from((self.found + self.wrong).max(1))
    }
}

/// The letters and digits of a part of the text, by their places.
fn core_of(text: &str, range: &Range<usize>) -> (usize, usize) {
    let inside = &text[range.clone()];
    let from = inside.find(char::is_alphanumeric).unwrap_or(0);
    let to = inside.rfind(char::is_alphanumeric).unwrap_or(0);
    (range.start + from, range.start + to)
}

fn measure(line: &Line, counts: &mut BTreeMap<&'static str, Count>) {
    let findings = find_private(&line.text);
    let mut is_right = vec![false; findings.len()];
    for label in &line.labels {
        let count = counts.entry(label.kind).or_default();
        count.labels += 1;
        let mut all = findings.iter().enumerate();
        let found = all.find(|(_, found)| {
            core_of(&line.text, &found.range) == core_of(&line.text, &label.range)
                && found.kind.mark() == label.mark
        });
        match found {
            Some((at, _)) => {
                count.found += 1;
                is_right[at] = true;
            }
            None if line.is_held_out => {}
            None => println!(
                "missed {}: {:?} in {:?}",
                label.kind,
                &line.text[label.range.clone()],
                line.text
            ),
        }
    }
    for (found, _) in findings.iter().zip(is_right).filter(|(_, is_right)| !is_right) {
        let near = line.labels.iter().find(|label| {
            label.range.start < found.range.end && found.range.start < label.range.end
        });
        counts.entry(near.map_or("none of them", |label| label.kind)).or_default().wrong += 1;
        if !line.is_held_out {
            println!(
                "wrong {:?}: {:?} in {:?}",
                found.kind,
                &line.text[found.range.clone()],
                line.text
            );
        }
    }
}

#[test]
fn personal_data_is_seen_and_other_numbers_are_not() {
    let lines = lines();
    assert!(lines.len() >= LINES_MIN, "only {} lines", lines.len());
    let mut bad = Vec::new();
    for (language, _) in CARRIERS {
        for is_held_out in [false, true] {
            let of_them =
                |line: &&Line| line.language == language && line.is_held_out == is_held_out;
            let mut counts = BTreeMap::new();
            let (mut looked_at, mut harmless) = (0, 0);
            for line in lines.iter().filter(of_them) {
                looked_at += 1;
                harmless += line.harmless.len();
                measure(line, &mut counts);
            }
            let part = if is_held_out { "held out" } else { "open" };
            println!(
                "\n{language:?}, {part}: {looked_at} lines, {harmless} values that are no one's"
            );
            println!(
                "{:14} {:>6} {:>6} {:>6}  recall  precision",
                "kind", "labels", "found", "wrong"
            );
            let mut total = Count::default();
            for (kind, count) in &counts {
                show(kind, count);
                total.labels += count.labels;
                total.found += count.found;
                total.wrong += count.wrong;
            }
            show("all", &total);
            if total.recall() < RECALL_MIN || total.precision() < PRECISION_MIN {
                bad.push(format!("{language:?}, {part}: {total:?}"));
            }
        }
    }
    assert!(
        bad.is_empty(),
        "recall under {RECALL_MIN} or precision under {PRECISION_MIN}: {bad:#?}"
    );
}

fn show(kind: &str, count: &Count) {
    let Count { labels, found, wrong } = count;
    let (recall, precision) = (count.recall(), count.precision());
    println!("{kind:14} {labels:>6} {found:>6} {wrong:>6}  {recall:>6.3}  {precision:>9.3}");
}
