//! Files of cases in each of their forms.

use super::*;

/// A folder with one file in it, read by its name.
fn read_named(name: &str, content: impl AsRef<[u8]>) -> Result<Vec<Case>, CasesError> {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    let read = read_file(folder.path(), Path::new(name), Severity::Normal, &DEFAULTS);
    read.map(|cases| cases.unwrap())
}

#[test]
fn the_same_cases_in_four_forms() {
    let lines =
        "{\"case_id\": \"a\", \"input\": \"问\", \"max_length\": 9}\n{\"input\": \"返金\"}\n";
    let list = format!(
        "[\n {},\n\n {}\n]\n",
        &lines[..lines.find('\n').unwrap()],
        "{\"input\": \"返金\"}"
    );
    let yaml = "- case_id: a\n  input: 问\n  max_length: 9\n\n- {input: 返金}\n";
    let under = format!(
        "cases:\n{}",
        yaml.replace("- case_id", "  - case_id")
            .replace("\n  ", "\n    ")
            .replace("\n- {", "\n  - {")
    );
    for (name, content, sources) in [
        ("c.jsonl", lines, ["c.jsonl:1", "c.jsonl:2"]),
        ("c.json", lines, ["c.json:1", "c.json:2"]),
        ("c.json", &list, ["c.json:2", "c.json:4"]),
        ("c.yaml", yaml, ["c.yaml:1", "c.yaml:5"]),
        ("c.yml", &under, ["c.yml:2", "c.yml:6"]),
    ] {
        for marked in [content.to_owned(), format!("\u{feff}{}", content.replace('\n', "\r\n"))] {
            let cases = read_named(name, marked).unwrap();
            let found: Vec<&str> = cases.iter().map(|case| case.source.as_str()).collect();
            assert_eq!(found, sources, "{content}");
            assert_eq!((cases[0].id.as_str(), cases[1].id.as_str()), ("a", "c-41b4fc6c"));
            assert_eq!(cases[0].checks, checks(json!({"max_length": 9})), "{content}");
            assert_eq!(cases[1].input, "返金");
        }
    }
}

#[test]
fn the_tests_of_a_prompt_are_strict_in_yaml() {
    let cases =
        read_named("t.yaml", "test_cases:\n- {input: a, expected_keywords: [b]}\n").unwrap();
    assert!(cases[0].handling.strict);
}

#[test]
fn a_file_in_another_form_says_where_it_goes_wrong() {
    check_error(
        read_named("c.json", "[\n{\"input\": \"a\"},\n{\"input\": }]"),
        "c.json:3: not valid JSON at column 11",
    );
    check_error(
        read_named("c.json", "[{\"input\": \"a\"}"),
        "c.json:1: not valid JSON at column 15: EOF",
    );
    check_error(
        read_named("c.json", "[\n{\"input\": \"a\",\n \"inptu\": 1}]"),
        "c.json:2: there is no key `inptu`",
    );
    check_error(read_named("c.json", "[\n3]"), "c.json:2: the line is not a JSON object");
    check_error(
        read_named("c.json", "[\n{\"input\":\"a\",\"input\":\"b\"}]"),
        "`input` is given twice",
    );
    check_error(
        read_named("c.yaml", "- input: a\n- inptu: b\n"),
        "c.yaml:2: there is no key `inptu`; did you",
    );
    check_error(
        read_named("c.yaml", "- input: a\n  input: b\n"),
        "c.yaml:2:3: key `input` is given twice",
    );
    check_error(
        read_named("c.yaml", "cases: []\nmore: 1\n"),
        "c.yaml:1: the keys are not `cases` alone",
    );
    check_error(read_named("c.yaml", "a text"), "c.yaml:1: the file is not a list of cases");
    check_error(read_named("c.yaml", "- a\n"), "c.yaml:1: the case is not keys with values");
    check_error(read_named("c.yaml", "- input: a\n- input: a\n"), "c.yaml:2: case id `c-");
}

#[test]
fn lines_of_another_encoding_are_read_or_named() {
    let wide: Vec<u8> = std::iter::once(0xfeff_u16)
        .chain("{\"input\": \"问\"}\n".encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(read_named("c.jsonl", wide).unwrap()[0].input, "问");
    let bytes = [b"{\"input\": \"a\"}\n{\"input\": \"".as_slice(), b"\xb2\xe2\xca\xd4\"}"].concat();
    check_error(read_named("c.jsonl", bytes), "c.jsonl:2: byte 26 of the file, 0xb2, is not UTF-8");
}
