use super::*;
use crate::gate::{Defaults, read_file};
use proptest::prelude::*;
use tidegate_core::gate::{Check, Handling, Risk};

/// Cases read back from what was written, without where they are.
fn back(name: &str, bytes: &[u8]) -> Vec<Case> {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let name = Path::new(name);
    let read = read_file(folder.path(), name, Severity::Normal, &Defaults::AS_WRITTEN);
    let mut cases = read.unwrap().unwrap();
    cases.iter_mut().for_each(|case| case.source = String::new());
    cases
}

/// A case without where it is, and with its checks as the list that is judged.
fn judged(case: &Case) -> (Case, Vec<String>) {
    let mut list: Vec<String> = case.checks.list().iter().map(|it| json!(it).to_string()).collect();
    list.sort();
    (Case { checks: Default::default(), source: String::new(), ..case.clone() }, list)
}

/// Texts as people and attackers write them: formulas, separators, quotes, lines, other scripts.
fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[=+@'\"|,;\t\r\n a-c1－＝你報🙂-]{1,12}").unwrap()
}

fn trimmed() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("{}x", text.trim_start()))
}

prop_compose! {
    fn case()(
        input in trimmed(),
        expected in proptest::option::of(trimmed()),
        keywords in proptest::collection::vec(text(), 0..3),
        listed in proptest::option::of(text()),
        tags in proptest::collection::vec("[=a-c你][a-c]{0,3}", 0..3),
        metadata in proptest::collection::btree_map("[a-cA]{1,3}", "[-a-c你]{1,4}", 0..3),
        (strict, max_length, repeat) in (any::<bool>(), proptest::option::of(0_u64..9), 1_u32..9),
        severity in proptest::sample::select(Severity::ALL.to_vec()),
    ) -> Case {
        let mut tags = tags;
        tags.dedup();
        tags.sort();
        tags.dedup();
        let listed = listed.map(|text| Check::new(CheckKind::Icontains, text.into()));
        Case {
            id: String::new(),
            input,
            system: None,
            expected_behavior: String::new(),
            expected,
            risk: Risk::Safety,
            severity,
            checks: tidegate_core::gate::Checks {
                expected_keywords: keywords,
                max_length,
                refusal: Some(false),
                listed: listed.into_iter().collect(),
                ..Default::default()
            },
            source: String::new(),
            handling: Handling {
                strict,
                repeat: Some(repeat),
                tags,
                metadata,
                ..Handling::default()
            },
        }
    }
}

fn numbered(cases: Vec<Case>) -> Vec<Case> {
    let id = |(n, case): (usize, Case)| Case { id: format!("=c_{n}"), ..case };
    cases.into_iter().enumerate().map(id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn what_is_written_as_lines_is_read_back(cases in proptest::collection::vec(case(), 5..8)) {
        let cases = numbered(cases);
        prop_assert_eq!(back("c.jsonl", lines(&cases).as_bytes()), cases);
    }

    #[test]
    fn what_is_written_as_a_table_is_read_back(cases in proptest::collection::vec(case(), 5..8)) {
        let cases = numbered(cases);
        let (bytes, lost) = table(&cases);
        prop_assert_eq!(lost, vec![]);
        let read: Vec<_> = back("c.csv", &bytes).iter().map(judged).collect();
        let expected: Vec<_> = cases.iter().map(judged).collect();
        prop_assert_eq!(read, expected);
    }

    /// No cell begins as a formula does, as another reader of CSV sees it.
    #[test]
    fn no_cell_is_a_formula(cases in proptest::collection::vec(case(), 5..8)) {
        let (bytes, _) = table(&numbered(cases));
        let text = String::from_utf8(bytes).unwrap();
        let starts = |text: &str| text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－']);
        for (at, c) in text.char_indices() {
            let cell = &text[at + c.len_utf8()..];
            let quoted = cell.strip_prefix('"').unwrap_or(cell);
            // A comma or line end inside a quoted cell is no start of one; an apostrophe or a quote
            // is before each that is.
            let in_quotes = text[..at].matches('"').count() % 2 == 1;
            if !in_quotes && matches!(c, ',' | '\n') {
                prop_assert!(!starts(quoted), "{:?}", cell.chars().take(20).collect::<String>());
            }
        }
    }
}

#[test]
fn white_space_that_a_table_loses_is_named() {
    let mut cases = numbered(Vec::new());
    cases.push(tidegate_core::gate::adversarial_cases(false)[0].clone());
    cases[0].input.push('\n');
    let (_, lost) = table(&cases);
    assert_eq!(lost[0].place, "case `adversarial_01`");
    assert!(lost[0].what.starts_with("`prompt` as it is written"), "{lost:?}");
}
