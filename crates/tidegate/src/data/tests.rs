use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::fmt::Write as _;

fn checked(bytes: &[u8], change: impl FnOnce(&mut Check<'_>)) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("training.jsonl");
    std::fs::write(&input, bytes).unwrap();
    let mut check = Check {
        input: &input,
        schema: None,
        min_samples: 0,
        cases: Vec::new(),
        refused: BTreeSet::new(),
    };
    change(&mut check);
    check.run(|_| ()).unwrap()
}

/// The lines of a kind, with what is said of them.
fn lines(report: &Report, kind: Kind) -> Vec<(u64, &str)> {
    let found = report.found.get(&kind).map_or(&[][..], |found| &found.first);
    found.iter().map(|named| (named.line, named.why.as_str())).collect()
}

#[test]
fn each_line_that_is_no_object_is_named_with_its_number_and_place() {
    let text = b"\xEF\xBB\xBF{\"a\": \"x\"}\r\n\r\n{\"a\": 1,}\n[1]\n\
                 {\"a\": \"\xFF\"}\n{\"a\":1,\"a\":2}\n{}";
    let report = checked(text, |_| ());
    assert_eq!(report.rows, 2);
    assert_eq!(
        lines(&report, Kind::Unreadable),
        [
            (3, "not valid JSON at column 9"),
            (4, "a list; a JSON object is expected"),
            (5, "not valid UTF-8 at byte 7"),
            (6, "`a` is given twice in one object"),
        ]
    );
    assert!(!report.is_passed());
    assert_eq!(report.digest, Some(Digest::of(text)));
}

#[test]
fn what_only_notes_fails_where_it_is_refused() {
    let text = "{\"a\": \"x\", \"b\": 1}\n{\"b\": 1, \"a\": \"x\"}\n{\"a\": \"ann@example.com\"}\n";
    let report = checked(text.as_bytes(), |_| ());
    assert_eq!(lines(&report, Kind::Duplicate), [(2, "repeats line 1")]);
    assert_eq!(lines(&report, Kind::Personal), [(3, "has [email]")]);
    assert!(report.is_passed());
    let refused =
        |kind| checked(text.as_bytes(), |check| check.refused = BTreeSet::from([kind])).is_passed();
    assert!(!refused(Kind::Duplicate) && !refused(Kind::Personal));
    assert!(refused(Kind::NearDuplicate), "there is none");
}

#[test]
fn nearly_the_same_text_is_named_with_its_part() {
    let text = "Our customers may send a parcel back within thirty days after it was delivered, \
                and get their money once it has reached the warehouse in Osaka. Whoever pays by \
                card gets it on the card; whoever pays at the door names an account, which takes \
                three working days more, and five where the bank is in another country.";
    let row = |text: &str| json!({"answer": text}).to_string();
    let other = row(&text.replace("thirty", "sixty"));
    let strange = row(&"今天的天气很好，我们去公园散步吧。".repeat(4));
    let all = [row(text), strange, other].join("\n");
    let report = checked(all.as_bytes(), |_| ());
    let [(3, why)] = lines(&report, Kind::NearDuplicate)[..] else { panic!("{report:?}") };
    assert!(why.ends_with("% the same as line 1"), "{why}");
}

#[test]
fn an_input_of_a_case_in_the_data_fails_it() {
    let row = json!({"messages": [{"role": "user", "content": "Hm. 退款需要多长时间到账？谢谢"}]});
    let report = checked(row.to_string().as_bytes(), |check| {
        check.cases = vec![
            ("short".into(), "hm".into()),
            ("refund_01".into(), "退款需要多长时间到账".into()),
        ];
    });
    assert_eq!(lines(&report, Kind::Leaked), [(1, "has the input of the case `refund_01`")]);
    assert!(!report.is_passed());
}

#[test]
fn too_few_samples_and_another_file_than_dvc_knows_fail() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("d.jsonl");
    std::fs::write(&input, "{}\n").unwrap();
    let dvc = folder.path().join("d.jsonl.dvc");
    let check = Check {
        input: &input,
        schema: None,
        min_samples: 2,
        cases: Vec::new(),
        refused: BTreeSet::new(),
    };
    let changed = |says: &str| {
        std::fs::write(&dvc, format!("outs:\n- {says}\n  hash: md5\n  path: d.jsonl\n")).unwrap();
        let report = check.run(|_| ()).unwrap();
        assert_eq!(lines(&report, Kind::TooFew), [(0, "1 samples, at least 2 are asked for")]);
        lines(&report, Kind::Changed).first().map(|(_, why)| (*why).to_owned())
    };
    assert_eq!(changed("md5: 8a80554c91d9fca8acb82f023de02f11\n  size: 3"), None);
    let why = changed("md5: 8a80554c91d9fca8acb82f023de02f12\n  size: 3").unwrap();
    assert!(why.starts_with("md5 8a80554c91d9fca8acb82f023de02f11, "), "{why}");
    let why = changed("md5: 8a80554c91d9fca8acb82f023de02f11\n  size: 4").unwrap();
    assert!(why.starts_with("3 bytes, ") && why.ends_with("says 4"), "{why}");
}

#[test]
fn pointers_are_no_data() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("d.jsonl");
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    std::fs::write(&input, lfs).unwrap();
    let check = Check {
        input: &input,
        schema: None,
        min_samples: 0,
        cases: Vec::new(),
        refused: BTreeSet::new(),
    };
    let error = check.run(|_| ()).unwrap_err();
    let says = "is a pointer of Git LFS (oid sha256:4d7a, size 12345), not the data";
    assert!(error.to_string().ends_with(says), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A row counts as a duplicate when a row before it has the same content, and never otherwise.
    #[test]
    fn duplicates_are_the_rows_with_the_content_of_one_before(
        rows in proptest::collection::vec((0..6_u8, any::<bool>()), 1..40),
    ) {
        let mut text = String::new();
        let mut expected = Vec::new();
        let mut first = std::collections::BTreeMap::new();
        for (number, (content, turned)) in rows.iter().enumerate() {
            let row = match turned {
                false => format!("{{\"a\": {content}, \"b\": [\"{content}\"]}}"),
                true => format!("{{ \"b\":[\"{content}\"],\"a\":{content} }}"),
            };
            writeln!(text, "{row}").unwrap();
            let line = number as u64 + 1;
            match first.get(content) {
                Some(first) => expected.push((line, format!("repeats line {first}"))),
                None => drop(first.insert(content, line)),
            }
        }
        let report = checked(text.as_bytes(), |_| ());
        let count = report.found.get(&Kind::Duplicate).map_or(0, |found| found.count);
        prop_assert_eq!(count, expected.len() as u64);
        let named = lines(&report, Kind::Duplicate);
        let named: Vec<_> = named.into_iter().map(|(line, why)| (line, why.to_owned())).collect();
        prop_assert_eq!(&named[..], &expected[..named.len()]);
    }
}
