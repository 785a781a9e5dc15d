//! Files of cases as they should not be: each error says what was given, what is allowed, where,
//! and what to do; nothing is half-written, and the cases are read within bounds.

use crate::project::{Project, tidegate};
use std::time::{Duration, Instant};

/// A file of cases, and what is said of it.
struct Bad<'a> {
    name: &'a str,
    content: Vec<u8>,
    says: &'a [&'a str],
    hints: &'a [&'a str],
}

/// Reads the file by every command that reads cases: each refuses it in the same words, in no time,
/// and writes nothing.
#[track_caller]
fn check(bad: Bad<'_>) {
    let Bad { name, content, says, hints } = bad;
    let project = Project::init();
    project.write(name, content);
    let before = project.files();
    let began = Instant::now();
    for args in [
        vec!["cases", "check", name],
        vec!["cases", "export", name, "--to", "jsonl", "--out", "out.jsonl"],
        vec!["eval", "--cases", name],
    ] {
        project.run(&args).fails(2, says, hints);
    }
    // Milliseconds each, and processes that start on a busy machine.
    assert!(began.elapsed() < Duration::from_secs(60), "{name}: {:?}", began.elapsed());
    assert!(project.files() == before, "{name}: something was written");
}

/// Five rows, one of each risk.
const ROWS: &str = "case_id,prompt,expected_behavior,risk,pass,notes\n\
    format_01,q1,b,format,,\ngrounding_01,q2,b,grounding,,\nsafety_01,q3,b,safety,,\n\
    performance_01,q4,b,performance,,\nregression_01,q5,b,regression,,\n";

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn tables_that_are_none() {
    for (content, says, hints) in [
        (
            ROWS.replace("case_id,prompt", "number,text").into_bytes(),
            &["bad.csv:1: the header is `number,text,expected", "it must be `case_id,"][..],
            &["`case_id` and `prompt` are needed"][..],
        ),
        (
            ROWS.replace(',', "|").into_bytes(),
            &["bad.csv:1: the header is `case_id|prompt|"],
            &["columns are separated by `,`, `;` or a tab"],
        ),
        (
            ROWS.replace("safety_01", "format_01").into_bytes(),
            &["bad.csv:4: case id `format_01` was given on line 2"],
            &["give one of them another id"],
        ),
        (
            ROWS.replace("notes", "prompt").into_bytes(),
            &["bad.csv: the column `prompt` is there twice"],
            &[],
        ),
        (
            ROWS.replace("q3", "\"q3").into_bytes(),
            &["bad.csv:4: a quote `\"` opens here and is never closed"],
            &["written twice"],
        ),
        (
            wide(ROWS),
            &["bad.csv:1: byte 1 of the file, 0x00, is not UTF-8 text", "UTF-16 without a byte"],
            &["save it as UTF-8"],
        ),
        (
            [b"\xff\xfe".to_vec(), wide(ROWS), vec![0]].concat(),
            &["bad.csv: the file begins as UTF-16 and is not whole"],
            &["save it as UTF-8"],
        ),
        (
            ROWS.as_bytes().iter().map(|b| if *b == b'3' { 0xe9 } else { *b }).collect(),
            &["bad.csv:4: byte 114 of the file, 0xe9, is not UTF-8 text", "Windows-1252"],
            &["iconv -f Windows-1252 -t UTF-8"],
        ),
        (
            ROWS.replace("q3", &"a".repeat(10 << 20)).into_bytes(),
            &["bad.csv:4: the cell `prompt` has 10485760 bytes; at most 8388608 are read"],
            &[],
        ),
        (
            ROWS.replace("q5,b,regression,,", "q5,b,regression,,regex=(?=a)b").into_bytes(),
            &["bad.csv:6: case `regression_01`: `regex` is not a regular expression"],
            &[],
        ),
    ] {
        check(Bad { name: "bad.csv", content, says, hints });
    }
}

#[test]
fn lines_that_are_no_cases() {
    let schema = r##"{"input":"a","json_schema":{"$ref":"https://schemas.example/a.json"}}"##;
    let counted = format!(r#"{{"input":"a","regex":"{}"}}"#, "(?:a{1000}){1000}".repeat(9));
    for (content, says) in [
        (
            b"{\"input\":\"a\"}\n\n{\"input\":\"a\",\"input\":\"b\"}".to_vec(),
            ":3: `input` is given twice",
        ),
        (
            b"{\"id\":\"x\",\"input\":\"a\"}\n{\"id\":\"x\",\"input\":\"b\"}".to_vec(),
            ":2: case id `x` was given on line 1",
        ),
        (
            b"{\"input\":\"a\"}\n{\"input\":\"\xff\"}".to_vec(),
            ":2: byte 24 of the file, 0xff, is not UTF-8",
        ),
        (
            format!("{{\"input\":\"{}\"}}", "a".repeat(10 << 20)).into_bytes(),
            ":1: the line has more than 8388608 bytes, which is the limit",
        ),
        (schema.into(), ":1: case `bad-"),
        (counted.into_bytes(), "`regex` takes more than 10485760 bytes once compiled"),
        (vec![b'['; 100_000], ":1: the line has more than 32768 JSON values"),
    ] {
        check(Bad { name: "bad.jsonl", content, says: &[says], hints: &[] });
    }
    let project = Project::init();
    project.write("bad.jsonl", schema);
    let output = project.run(&["cases", "check", "bad.jsonl"]);
    output.fails(2, &["`json_schema` is not a JSON Schema", "https://schemas.example/a.json"], &[]);
}

#[test]
fn yaml_that_is_none_or_a_bomb() {
    let bomb: String = (1..12)
        .map(|i| format!("- &b{i} [{}]\n", vec![format!("*b{}", i - 1); 10].join(", ")))
        .collect();
    for (content, says, hints) in [
        (
            format!("- &b0 [x]\n{bomb}"),
            &["bad.yaml:", "more than 200000 values", "aliases (`*name`) repeat"][..],
            &["write out what the aliases stand for"][..],
        ),
        (
            "- input: a\n  input: b\n".to_owned(),
            &["bad.yaml:2:3: key `input` is given twice"],
            &["keep one of the two"],
        ),
        ("- input: a\n  max_length: long\n".to_owned(), &["bad.yaml:1: `max_length`"], &[]),
        (
            "- input: a\n- {input: b, expcted: c}\n".to_owned(),
            &["bad.yaml:2: there is no key `expcted`; did you mean `expected`?"],
            &[],
        ),
        ("- input: a\n".repeat(200_000), &["the file has 2200000 bytes; at most 1048576"], &[]),
        ("a: b\n---\nc: d\n".to_owned(), &["a second document (`---`)"], &[]),
        ("cases: 3\n".to_owned(), &["bad.yaml:1: the keys are not `cases` alone"], &[]),
    ] {
        check(Bad { name: "bad.yaml", content: content.into_bytes(), says, hints });
    }
}

/// What spreadsheets write is read: a byte order mark, Windows' lines, semicolons, UTF-16.
#[test]
fn tables_as_people_save_them_are_read() {
    let project = Project::init();
    let marked = format!("\u{feff}{}", ROWS.replace('\n', "\r\n").replace(',', ";"));
    let utf16 = [b"\xff\xfe".to_vec(), wide(&ROWS.replace(',', "\t"))].concat();
    for content in [marked.into_bytes(), utf16] {
        project.write("evals/people.csv", content);
        let checked = project.run(&["cases", "check", "evals/people.csv", "--json"]).exits(0);
        assert_eq!(checked.json()["files"][0]["risks"]["safety"], 1, "{checked:?}");
    }
}

/// A table that was exported is the same cases, whatever its cells begin with.
#[test]
fn formulas_leave_and_come_back() {
    let project = Project::init();
    let cases = ["=HYPERLINK(\"http://x\")", "+1", "-2+3", "@cmd", "'quoted", "＝全角"];
    let line = |(n, input): (usize, &&str)| {
        serde_json::json!({"case_id": format!("c_{n}"), "input": input, "max_words": 9}).to_string()
            + "\n"
    };
    project.write("a.jsonl", cases.iter().enumerate().map(line).collect::<String>());
    let export = |from: &str, to: &str, out: &str| {
        project.run(&["cases", "export", from, "--to", to, "--out", out]).exits(0)
    };
    export("a.jsonl", "csv", "b.csv");
    let table = project.read("b.csv");
    assert!(table.contains("c_0,\"'=HYPERLINK(\"\"http://x\"\")\""), "{table}");
    assert!(
        table.lines().skip(1).all(|line| !line.contains(",=") && !line.contains(",-")),
        "{table}"
    );
    export("b.csv", "jsonl", "c.jsonl");
    let inputs = |file: &str| -> Vec<String> {
        let input = |line: &str| {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            case["input"].as_str().unwrap().to_owned()
        };
        project.read(file).lines().map(input).collect()
    };
    assert_eq!(inputs("c.jsonl"), cases);
    let again = project.run(&["cases", "export", "a.jsonl", "--to", "csv", "--out", "b.csv"]);
    again.fails(2, &["b.csv exists"], &["--replace"]);
    // Outside a project a file is read as well.
    let elsewhere = tempfile::TempDir::new().unwrap();
    std::fs::write(elsewhere.path().join("a.jsonl"), project.read("a.jsonl")).unwrap();
    tidegate(elsewhere.path(), &["cases", "check", "a.jsonl"], &[]).exits(0);
    let schema = tidegate(elsewhere.path(), &["cases", "schema"], &[]).exits(0).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
