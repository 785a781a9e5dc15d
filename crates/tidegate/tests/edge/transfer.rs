//! Cases of other programs read as ours, and ours written for others.

use crate::project::{Output, Project};
use crate::upstream::{CASES, Upstream};
use serde_json::{Value, json};

/// A project with one file beside its own, and a command on it.
fn with(name: &str, text: &str, args: &[&str]) -> (Project, Output) {
    let project = Project::init();
    project.write(name, text);
    let output = project.run(args);
    (project, output)
}

/// The cases of a file of JSON lines.
fn lines(project: &Project, file: &str) -> Vec<Value> {
    project.read(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const PROMPTFOO: &str = "\
description: support
prompts: [file://prompt.txt]
providers: [openai:gpt-4o-mini]
defaultTest:
  assert:
    - type: latency
      threshold: 2000
tests:
  - description: names both hours
    vars: {question: '何時に開きますか？'}
    assert:
      - type: contains-all
        value: '9, 18'
      - type: not-icontains
        value: 'as an AI'
        weight: 2
  - vars: {question: [refund, 返金]}
    threshold: 0.5
    metadata: {lang: mixed, tags: [money]}
    assert:
      - type: word-count
        value: {min: 2, max: 80}
      - type: is-json
        value: {type: object, required: [answer]}
      - type: trajectory:tool-sequence
        value: {mode: exact, steps: [find, refund]}
";

#[test]
fn tests_of_promptfoo_become_cases_that_the_gate_takes() {
    let args = ["cases", "import", "pf.yaml", "--from", "promptfoo", "--out", "evals/pf.jsonl"];
    let (project, output) = with("pf.yaml", PROMPTFOO, &args);
    let output = output.exits(0);
    assert_eq!(output.out, "3 cases: evals/pf.jsonl\n", "{output:?}");
    let cases = lines(&project, "evals/pf.jsonl");
    assert_eq!(cases[0]["input"], "何時に開きますか？");
    assert_eq!(cases[0]["strict"], true);
    assert_eq!(cases[0]["expected_behavior"], "names both hours");
    assert_eq!(
        cases[0]["assert"],
        json!([
            {"check": "max_latency_ms", "value": 2000},
            {"check": "contains_all", "value": ["9", "18"]},
            {"check": "icontains", "value": "as an AI", "not": true, "weight": 2},
        ])
    );
    assert_eq!((&cases[1]["input"], &cases[2]["input"]), (&json!("refund"), &json!("返金")));
    assert_eq!(cases[1]["threshold"], 0.5);
    assert_eq!(
        (&cases[1]["tags"], &cases[1]["metadata"]["lang"]),
        (&json!(["money"]), &json!("mixed"))
    );
    assert_eq!(
        cases[1]["assert"].as_array().unwrap()[1..],
        [
            json!({"check": "word_count", "value": {"min": 2, "max": 80}}),
            json!({"check": "json_schema", "value": {"type": "object", "required": ["answer"]}}),
            json!({"check": "tools_exactly", "value": ["find", "refund"]}),
        ]
    );
    // They are asked.
    let upstream = Upstream::answering("9 18");
    let project = upstream.project("", "");
    project.write("evals/eval_cases.csv", CASES);
    project.write("evals/dataset.jsonl", cases[0].to_string());
    let report = project.run(&["eval", "--json"]).exits(0).json();
    assert_eq!(report["correct"], 6, "{report}");
}

#[test]
fn what_has_no_place_in_a_case_is_named_with_its_line_and_nothing_is_written() {
    let text = PROMPTFOO.to_owned()
        + "  - vars: {question: q, customer: Ann}\n    provider: other\n    assert:\n      \
           - type: llm-grader-of-mine\n        value: kind\n      - type: javascript\n        \
           value: output.length < 3\n      - {type: contains, value: a, transform: 'o.x'}\n      \
           - {type: regex, value: '(?=x)y'}\n      - {type: equals, value: 'file://answer.txt'}\n  \
           - file://more_tests.py\n";
    let args = ["cases", "import", "pf.yaml", "--from", "promptfoo", "--out", "evals/pf.jsonl"];
    let (project, output) = with("pf.yaml", &text, &args);
    let output = output.fails(
        2,
        &["pf.yaml: 8 parts of it have no place in a case; nothing was written"],
        &["--partial"],
    );
    for line in [
        "LOST  pf.yaml:27: the variable `customer` beside the question",
        "LOST  pf.yaml:28: `provider` of a test",
        "LOST  pf.yaml:30: the assertion `llm-grader-of-mine`: there is no check",
        "LOST  pf.yaml:32: the assertion `javascript`: there is no check",
        "LOST  pf.yaml:34: the assertion `contains`: its `transform` has no place in a check",
        "LOST  pf.yaml:35: the assertion `regex`: `regex` is not a regular expression",
        "LOST  pf.yaml:36: the assertion `equals`: its value is in `file://answer.txt`",
        "LOST  pf.yaml:37: tests that are made by `file://more_tests.py`",
    ] {
        assert!(output.err.contains(line), "no `{line}` in {}", output.err);
    }
    assert!(!project.root.join("evals/pf.jsonl").exists());
    let report = project.run(&[&args[..], &["--json"]].concat()).exits(2).json();
    assert_eq!(report["lost"].as_array().unwrap().len(), 8, "{report}");
    assert_eq!((&report["written"], &report["cases"]), (&Value::Null, &Value::Null));
    project.run(&[&args[..], &["--partial"]].concat()).exits(0);
    assert_eq!(lines(&project, "evals/pf.jsonl").len(), 4);
    let again = project.run(&[&args[..], &["--partial"]].concat());
    again.fails(2, &["evals/pf.jsonl exists"], &["--replace"]);
}

#[test]
fn a_table_and_a_result_of_promptfoo_are_read() {
    let table = "question,__expected1,__expected2,__description,__metadata:lang,__threshold\n\
        1+1?,contains:2,not-contains:3,sums,en,\n\"a, b\",levenshtein(2):a,,,,0.4\nc,Paris,,,,\n";
    let args = ["cases", "import", "t.csv", "--from", "promptfoo", "--json"];
    let (_project, output) = with("t.csv", table, &args);
    let cases = output.exits(0).json()["cases"].clone();
    assert_eq!(
        cases[0]["assert"][1],
        json!({"check": "expected_contains", "value": "3", "not": true})
    );
    assert_eq!((&cases[0]["metadata"]["lang"], &cases[0]["strict"]), (&json!("en"), &json!(true)));
    assert_eq!((&cases[1]["input"], &cases[1]["threshold"]), (&json!("a, b"), &json!(0.4)));
    assert_eq!(cases[2]["assert"], json!([{"check": "equals", "value": "Paris"}]));
    let test = |q: &str| json!({"vars": {"q": q}, "assert": [{"type": "icontains", "value": q}]});
    let rows = json!([
        {"testIdx": 0, "promptIdx": 0, "testCase": test("a")},
        {"testIdx": 0, "promptIdx": 1, "testCase": test("a")},
        {"testIdx": 1, "promptIdx": 0, "testCase": test("b")},
    ]);
    let result = json!({"evalId": "e", "results": {"version": 3, "results": rows}, "config": {}});
    let args = ["cases", "import", "r.json", "--from", "promptfoo", "--json"];
    let (_project, output) = with("r.json", &format!("{result:#}"), &args);
    let cases = output.exits(0).json()["cases"].clone();
    assert_eq!(cases.as_array().unwrap().len(), 2, "{cases}");
    assert_eq!((&cases[0]["input"], &cases[1]["input"]), (&json!("a"), &json!("b")));
}

#[test]
fn samples_of_openai_evals_are_read() {
    let samples = [
        json!({"input": [{"role": "system", "content": "Be brief."},
                         {"role": "user", "content": "2+2?"}], "ideal": "4"}),
        json!({"input": "capital?", "ideal": ["北京", "Beijing (a+b)"]}),
        json!({"input": "x", "ideal": "y", "args": {"a": 1}}),
    ];
    let text: String = samples.iter().map(|sample| format!("{sample}\n")).collect();
    let args = ["cases", "import", "s.jsonl", "--from", "openai-evals"];
    let (project, output) = with("s.jsonl", &text, &args);
    output.fails(2, &["do not say how `ideal` is compared"], &["--ideal match"]);
    let args = [&args[..], &["--ideal", "match"]].concat();
    let output = project.run(&args).fails(2, &["1 part of it has no place"], &[]);
    assert!(output.err.contains("LOST  s.jsonl:3: `args` has no place in a case"), "{output:?}");
    assert_eq!(output.out, "");
    let args = [&args[..], &["--partial", "--json"]].concat();
    let cases = project.run(&args).exits(0).json()["cases"].clone();
    assert_eq!(cases[0]["messages"][0]["role"], "system");
    assert_eq!(cases[0]["assert"], json!([{"check": "starts_with", "value": "4"}]));
    let regex = json!([{"check": "regex", "value": "^(?:北京|Beijing \\(a\\+b\\))"}]);
    assert_eq!(cases[1]["assert"], regex);
}

#[test]
fn a_dataset_of_langfuse_is_read() {
    let item = |id: &str, input: Value, expected: Value| {
        json!({
            "id": id, "status": "ACTIVE", "input": input, "expectedOutput": expected,
            "metadata": {"lang": "zh", "deep": {"a": 1}}, "sourceTraceId": "t-1",
            "sourceObservationId": null, "datasetId": "d", "datasetName": "n",
            "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
        })
    };
    let mut archived = item("c", json!("z"), Value::Null);
    archived["status"] = "ARCHIVED".into();
    let items = [
        item("a", json!({"question": "退款多久到账?"}), json!("十四天")),
        item("b", json!({"messages": [{"role": "user", "content": "hi"}]}), json!({"ok": true})),
        archived,
    ];
    let page = json!({"data": items, "meta": {"page": 1, "totalPages": 1}});
    let args = ["cases", "import", "d.json", "--from", "langfuse", "--partial", "--json"];
    let (_project, output) = with("d.json", &format!("{page:#}"), &args);
    let report = output.exits(0).json();
    let cases = &report["cases"];
    assert_eq!(report["count"], 2, "{report}");
    assert_eq!((&cases[0]["case_id"], &cases[0]["input"]), (&json!("a"), &json!("退款多久到账?")));
    assert_eq!(
        (&cases[0]["expected"], &cases[0]["source"]),
        (&json!("十四天"), &json!("trace t-1"))
    );
    assert_eq!(cases[0]["metadata"], json!({"lang": "zh"}));
    assert_eq!(cases[1]["assert"], json!([{"check": "equals", "value": {"ok": true}}]));
    let lost: Vec<&str> =
        report["lost"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!(lost.len(), 2, "{report}");
    assert!(lost[0].contains("`metadata.deep` is not a text"), "{report}");
}

#[test]
fn a_dataset_of_langfuse_is_read_from_a_table() {
    // As the export writes it: texts as they are, or as JSON; a cell of nothing for null.
    let text = "\"id\",\"status\",\"input\",\"expectedOutput\",\"metadata\",\"sourceTraceId\"\n\
        \"a\",\"ACTIVE\",\"{\"\"question\"\":\"\"退款, 几天?\"\"}\",\"十四天\",\
        \"{\"\"lang\"\":\"\"zh\"\"}\",\"t-1\"\n\
        \"b\",\"ACTIVE\",\"\"\"What time?\"\"\",\"\"\"9\"\"\",\"\"\"\"\"\",\"\"\"\"\"\"\n\
        \"c\",\"ACTIVE\",\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"hi\"\"}]\",\
        \"{\"\"ok\"\":true}\",\"\",\"\"\n\"d\",\"ARCHIVED\",\"old\",\"\",\"\",\"\"\n\
        \"e\",\"ACTIVE\",\"1+1?\",\"2\",\"\",\"\"\n";
    let args = ["cases", "import", "d.csv", "--from", "langfuse", "--json"];
    let (project, output) = with("d.csv", text, &args);
    let report = output.exits(0).json();
    let cases = &report["cases"];
    assert_eq!(report["count"], 4, "{report}");
    assert_eq!(
        (&cases[0]["input"], &cases[0]["expected"]),
        (&"退款, 几天?".into(), &"十四天".into())
    );
    assert_eq!(
        (&cases[0]["metadata"]["lang"], &cases[0]["source"]),
        (&"zh".into(), &"trace t-1".into())
    );
    assert_eq!((&cases[1]["input"], &cases[1]["expected"]), (&"What time?".into(), &"9".into()));
    assert_eq!((&cases[2]["input"], &cases[2]["case_id"]), (&"hi".into(), &"c".into()));
    assert_eq!(cases[2]["assert"], json!([{"check": "equals", "value": {"ok": true}}]));
    assert_eq!((&cases[3]["input"], &cases[3]["expected"]), (&"1+1?".into(), &"2".into()));
    let notes = report["notes"].to_string();
    assert!(notes.contains("d.csv:5") && notes.contains("archived"), "{notes}");
    for (text, says) in [
        ("id,question\n1,2\n", "d.csv:1: there is no column `input`; the header is `id,question`"),
        ("id,input\n1,a,b\n", "d.csv:2: the row has 3 cells, the header 2"),
        ("", "d.csv:1: there is no column `input`"),
    ] {
        project.write("d.csv", text);
        project.run(&args[..5]).fails(2, &[says], &[]);
    }
}

#[test]
fn a_log_of_inspect_is_read() {
    let sample = |epoch: u64, target: Value| {
        json!({
            "id": 1, "epoch": epoch, "input": "Say yes.", "target": target, "choices": null,
            "messages": [], "output": {}, "scores": {}, "metadata": {}, "store": {},
        })
    };
    let log = json!({
        "version": 2, "status": "success",
        "eval": {"task": "t", "config": {"epochs": 2},
                 "scorers": [{"name": "match"}, {"name": "model_graded_qa"}]},
        "samples": [sample(1, json!("Yes.")), sample(2, json!("Yes."))],
    });
    let args = ["cases", "import", "l.json", "--from", "inspect", "--partial", "--json"];
    let (project, output) = with("l.json", &log.to_string(), &args);
    let report = output.exits(0).json();
    assert_eq!(report["count"], 1, "{report}");
    let case = &report["cases"][0];
    assert_eq!((&case["case_id"], &case["repeat"]), (&json!("1"), &json!(2)));
    let regex = json!([{"check": "regex", "value": "(?i)(?:Yes)[\\s[:punct:]]*$"}]);
    assert_eq!(case["assert"], regex);
    assert!(report["lost"][0]["what"].as_str().unwrap().contains("`model_graded_qa`"), "{report}");
    project.write("l.eval", "PK\u{3}\u{4}");
    let args = ["cases", "import", "l.eval", "--from", "inspect"];
    project.run(&args).fails(2, &["is an archive"], &["inspect log convert"]);
}

#[test]
fn a_file_of_another_shape_is_refused() {
    let project = Project::init();
    for (name, text, from, says) in [
        ("a.yaml", "colour: red\n", "promptfoo", "a.yaml:1: there are no `tests`"),
        ("a.yaml", "tests:\n  - 3\n", "promptfoo", "a.yaml:2: the test is not keys with values"),
        ("a.yaml", "tests: [", "promptfoo", "a.yaml:"),
        ("a.json", "{\"a\":\n 1,}", "promptfoo", "a.json:2: not valid JSON at column 4"),
        ("a.jsonl", "{\"input\": \"a\"}\n{", "openai-evals", "a.jsonl:2: not valid JSON"),
        ("a.json", "{\"a\": 1}", "langfuse", "a.json:1: there is no list of items"),
        ("a.json", "{\"a\": 1}", "inspect", "a.json:1: the log has no `samples`"),
        ("none.json", "", "inspect", "not valid JSON"),
    ] {
        project.write(name, text);
        project.run(&["cases", "import", name, "--from", from]).fails(2, &[says], &[]);
    }
    let missing = project.run(&["cases", "import", "no.json", "--from", "langfuse"]);
    missing.fails(2, &["no.json does not exist"], &[]);
}
