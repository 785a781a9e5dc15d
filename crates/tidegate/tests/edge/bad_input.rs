//! Bad input: every error names the thing and the way out, and leaves nothing half-written.

use crate::client::{self, CHAT, get, open, post, request};
use crate::project::{Project, Server, tidegate, wait_for};
use crate::upstream::Upstream;
use serde_json::json;
use std::net::TcpListener;

/// What is spoilt, which command meets it, and what must be said.
struct Bad {
    spoil: fn(&Project),
    args: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
    hints: &'static [&'static str],
}

/// Runs the command in a spoilt project, as text and as JSON: it fails as expected and writes
/// nothing.
#[track_caller]
fn check(bad: Bad) {
    let Bad { spoil, args, code, says, hints } = bad;
    let project = Project::init();
    spoil(&project);
    let before = project.files();
    project.run(args).fails(code, says, hints);
    let args = [args, &["--json"]].concat();
    let error = project.run(&args).exits(code).json()["error"].clone();
    assert_eq!(error["exit_code"], code, "{error}");
    for text in says {
        assert!(error["message"].as_str().unwrap().contains(text), "no `{text}` in {error}");
    }
    assert!(project.files() == before, "{args:?} wrote something");
    check_nothing_adopted(&project);
}

/// There is no state, or one in which nothing has happened.
#[track_caller]
fn check_nothing_adopted(project: &Project) {
    let has_state = project.root.join(".tidegate/state.db").exists();
    assert!(!has_state || crate::journal::read(&project.root).is_empty());
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

#[test]
fn keys_of_the_project_file() {
    check(Bad {
        spoil: |p| p.edit("tidegate.yaml", "  preset: ladder", "  presett: ladder"),
        args: SERVE,
        code: 2,
        says: &["tidegate.yaml:", "unknown key `presett`"],
        hints: &["preset"],
    });
    check(Bad {
        spoil: |p| p.edit("tidegate.yaml", "    kind: simulated", "    kind: simulatd"),
        args: &["check"],
        code: 2,
        says: &["upstreams.main.kind", "`simulatd`", "openai"],
        hints: &["simulated"],
    });
    check(Bad {
        spoil: |p| p.append("tidegate.yaml", "colour: red\n"),
        args: &["release", "start", "--prompt", "v2"],
        code: 2,
        says: &["unknown key `colour`"],
        hints: &[""],
    });
    check(Bad {
        spoil: |p| p.edit("tidegate.yaml", "min_samples: 50", "min_samples: many"),
        args: &["eval"],
        code: 2,
        says: &["tidegate.yaml:", "release.min_samples", "many"],
        hints: &[],
    });
    check(Bad {
        spoil: |p| p.edit("tidegate.yaml", "preset: ladder", "preset: stairs"),
        args: &["check"],
        code: 2,
        says: &["release.preset", "stairs", "careful", "ladder", "simple"],
        hints: &[],
    });
    check(Bad {
        spoil: |p| p.append("tidegate.yaml", "lines: {latency_p59: {off: true}}\n"),
        args: SERVE,
        code: 2,
        says: &["tidegate.yaml:", "unknown metric `latency_p59`"],
        hints: &["latency_p95"],
    });
    check(Bad {
        spoil: |p| std::fs::remove_file(p.root.join("tidegate.yaml")).unwrap(),
        args: SERVE,
        code: 2,
        says: &["tidegate.yaml: there is no such file"],
        hints: &["tidegate init"],
    });
}

#[test]
fn files_of_a_version_set() {
    check(Bad {
        spoil: |p| std::fs::remove_file(p.root.join("prompts/v1/system.md")).unwrap(),
        args: SERVE,
        code: 2,
        says: &["prompts/v1/system.md", "does not exist"],
        hints: &["user_template.md"],
    });
    check(Bad {
        spoil: |p| std::fs::remove_file(p.root.join("prompts/current")).unwrap(),
        args: SERVE,
        code: 2,
        says: &["prompts/current", "does not exist"],
        hints: &["v1"],
    });
    check(Bad {
        spoil: |p| p.write("prompts/v1/user_template.md", "Dear {{ customer_name }}: {{ input }}"),
        args: SERVE,
        code: 2,
        says: &["user_template.md", "customer_name"],
        hints: &["metadata.customer_name"],
    });
    check(Bad {
        spoil: |p| p.write("prompts/v1/system.md", [0xff, 0xfe, 0x00]),
        args: SERVE,
        code: 2,
        says: &["prompts/v1/system.md", "UTF-8"],
        hints: &[],
    });
    check(Bad {
        spoil: |p| std::fs::remove_dir_all(p.root.join("knowledge")).unwrap(),
        args: SERVE,
        code: 2,
        says: &["artifacts.index.path", "knowledge", "does not exist"],
        hints: &["tidegate.yaml"],
    });
    check(Bad {
        spoil: |p| p.write("prompts/v1/config.yaml", "temprature: 0.2\n"),
        args: SERVE,
        code: 2,
        says: &["prompts/v1/config.yaml:1", "unknown key `temprature`"],
        hints: &["temperature"],
    });
}

/// The eval's files are read after the state was made, so only the reports must not be there.
#[track_caller]
fn check_eval(spoil: fn(&Project), args: &[&str], says: &[&str], hints: &[&str]) {
    let project = Project::init();
    spoil(&project);
    project.run(args).fails(2, says, hints);
    assert!(!project.root.join("reports").exists());
    let checked = project.run(&["check"]).exits(2);
    assert!(checked.out.contains('✗') && checked.out.contains(says[0]), "{checked:?}");
}

#[test]
fn eval_cases() {
    let csv = "evals/eval_cases.csv";
    assert!(
        Project::init().read(csv).starts_with("case_id,prompt,expected_behavior,risk,pass,notes")
    );
    check_eval(
        |p| p.edit("evals/eval_cases.csv", "case_id,prompt,", "id,question,"),
        &["eval"],
        &[
            "evals/eval_cases.csv:1",
            "id,question",
            "case_id,prompt,expected_behavior,risk,pass,notes",
        ],
        &[],
    );
    check_eval(
        |p| {
            // With the case that the prompt brings, four are left.
            let text = p.read("evals/eval_cases.csv");
            let three: Vec<&str> = text.lines().take(4).collect();
            p.write("evals/eval_cases.csv", three.join("\n"));
            std::fs::remove_file(p.root.join("evals/dataset.jsonl")).unwrap();
        },
        &["eval"],
        &["the eval set needs at least 5 cases and has 4"],
        &["evals/eval_cases.csv, one for each risk"],
    );
    check_eval(
        |p| std::fs::remove_file(p.root.join("evals/eval_cases.csv")).unwrap(),
        &["gate"],
        &["evals/eval_cases.csv"],
        &[""],
    );
    check_eval(
        |p| p.write("evals/eval_cases.csv", [0xff, 0xfe, 0x41]),
        &["eval"],
        &["evals/eval_cases.csv", "UTF-16", "not whole"],
        &["UTF-8"],
    );
    check_eval(
        |p| {
            std::fs::remove_file(p.root.join("evals/dataset.jsonl")).unwrap();
            std::fs::create_dir(p.root.join("evals/dataset.jsonl")).unwrap();
        },
        &["eval"],
        &["evals/dataset.jsonl"],
        &[],
    );
    check_eval(
        |p| p.append("evals/dataset.jsonl", "{\"input\": \"x\", \"riskk\": \"format\"}\n"),
        &["eval"],
        &["evals/dataset.jsonl:5", "riskk"],
        &[],
    );
}

#[test]
fn listening() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let project = Project::init();
    let before = project.files();
    let in_use = project.run(&["serve", "--listen", &address]);
    in_use.fails(2, &[&address, "is in use"], &["--listen 127.0.0.1:0"]);
    let open_to_all = project.run(&["serve", "--listen", "0.0.0.0:0"]);
    open_to_all.fails(2, &["0.0.0.0", "other machines", "no credentials"], &["credentials:"]);
    project.run(&["serve", "--listen", "here"]).fails(2, &["`--listen here`"], &["host:port"]);
    assert_eq!(project.files(), before);
    assert!(!project.root.join(".tidegate/state.db").exists());
    check(Bad {
        spoil: |p| p.edit("tidegate.yaml", "listen: 127.0.0.1:8787", "listen: 0.0.0.0:8787"),
        args: &["serve"],
        code: 2,
        says: &["tidegate.yaml:", "`0.0.0.0:8787`", "`credentials`"],
        hints: &["listen: 127.0.0.1:8787", "key_env"],
    });
}

#[test]
fn keys_that_are_not_in_the_environment() {
    let project = Project::init();
    let kind =
        "    kind: openai\n    base_url: http://127.0.0.1:1/v1\n    api_key_env: TG_EDGE_KEY\n";
    project.edit("tidegate.yaml", "    kind: simulated\n", kind);
    let before = project.files();
    for args in [SERVE, &["eval"]] {
        let failed = project.run(args).fails(2, &["`main`", "TG_EDGE_KEY"], &["TG_EDGE_KEY"]);
        assert!(!failed.out.contains("listening"), "{failed:?}");
    }
    assert!(project.files() == before);
    check_nothing_adopted(&project);
    let project = Project::init();
    project.append("tidegate.yaml", "credentials: [{name: app, key_env: TG_EDGE_APP}]\n");
    project.run(SERVE).fails(2, &["`app`", "`TG_EDGE_APP` is not set"], &["export TG_EDGE_APP"]);
    let short = project.run_with(SERVE, &[("TG_EDGE_APP", "short-secret")]);
    let short = short.fails(2, &["`TG_EDGE_APP`", "12 characters", "16"], &["export TG_EDGE_APP"]);
    assert!(!short.err.contains("short-secret"), "{short:?}");
    let server = Server::start(&project.root, &[("TG_EDGE_APP", "long-enough-0123456789")]);
    let refused = client::chat(server.address, None, "hello").unwrap();
    refused.check_error(401, "invalid_api_key", &[]);
}

#[test]
fn ids_that_are_none() {
    let project = Project::init();
    project.run(&["version", "diff", "vs-000000000000"]).fails(
        2,
        &["there is no state yet"],
        &["tidegate serve"],
    );
    let server = project.serve();
    let check = |args: &[&str], says: &[&str], hints: &[&str]| {
        project.run(args).fails(2, says, hints);
        let args = [args, &["--json"]].concat();
        assert_eq!(project.run(&args).exits(2).json()["error"]["exit_code"], 2, "{args:?}");
    };
    check(&["version", "show", "v2"], &["`v2`", "vs-"], &["version list"]);
    check(
        &["version", "show", "vs-000000000000"],
        &["`vs-000000000000`", "not kept"],
        &["nearest"],
    );
    check(&["version", "diff", "vs-XYZ"], &["vs-XYZ"], &["version list"]);
    check(&["release", "start", "--version-set", "latest"], &["`latest`"], &["version list"]);
    check(&["trace", "no-such-trace"], &["`no-such-trace`"], &["x-trace-id"]);
    check(&["trace", "not an id!"], &["not an id!"], &[]);
    check(
        &["release", "status", "prompt-v9-00000"],
        &["`prompt-v9-00000`"],
        &["no release was started yet"],
    );
    check(&["evidence", "prompt-v9-00000"], &["`prompt-v9-00000`"], &["release status"]);
    check(&["verify", "reports/none"], &["reports/none"], &[]);
    check(&["eval", "--prompt", "v9"], &["prompts/v9"], &["v1"]);
    check(&["eval", "--threshold", "85"], &["85"], &[]);
    check(&["eval", "--cases", "none.csv"], &["none.csv"], &[]);
    let unknown = project.run(&["release", "stat"]).exits(2);
    assert!(unknown.err.contains("status"), "{unknown:?}");
    server.chat("mei", "hello");
}

#[test]
fn releases_that_cannot_be() {
    let project = Project::fast();
    let server = project.serve();
    let check = |args: &[&str], code: i32, says: &[&str], hints: &[&str]| {
        let before = crate::journal::read(&project.root).len();
        project.run(args).fails(code, says, hints);
        let args = [args, &["--json"]].concat();
        assert_eq!(project.run(&args).exits(code).json()["error"]["exit_code"], code);
        let after = crate::journal::read(&project.root);
        // A set that was packed for the release may be kept, a look may be reported, and the pack
        // and the cases of a release that has ended may come.
        let harmless = |body: &str| {
            let kept = ["set_packed", "pack_written", "cases_written", "samples_written"];
            kept.iter().any(|event| body.starts_with(&format!(r#"{{"event":"{event}""#)))
                || body.starts_with(r#"{"event":"decided""#) && body.contains(r#""order":null"#)
        };
        for entry in &after[before..] {
            assert!(harmless(&entry.body), "{args:?} did {}", entry.body);
        }
    };
    let start = ["release", "start", "--prompt", "v2"];
    check(&start, 1, &["has no eval run"], &["tidegate eval --prompt v2"]);
    let same = ["release", "start", "--prompt", "v1"];
    check(&same, 2, &["nothing to release", "what stable serves already"], &["--prompt v2"]);
    check(&["release", "promote"], 2, &["no release is running"], &["release status"]);
    check(&["rollback"], 2, &["no release is running"], &["release status"]);
    check(&["release", "reopen"], 2, &["open already"], &[]);
    check(&["incident", "close", "prompt-v2-00000", "--conclusion", "x"], 2, &["no incident"], &[]);
    check(&["release", "pause", "--by", ""], 2, &["needs a name"], &["--by NAME"]);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&start).exits(0);
    check(&start, 1, &["is still running"], &["tidegate rollback"]);
    project.edit("tidegate.yaml", "  stop_path:", "  # stop_path:");
    project.run(&["rollback"]).exits(0);
    check(&start, 1, &["still an experiment", "stop_path"], &["contract:"]);
    project.run(&["gate"]).fails(1, &["stop_path"], &["contract:"]);
    server.chat("mei", "hello");
}

#[test]
fn a_second_server_on_the_same_state() {
    let project = Project::init();
    let server = project.serve();
    let second = project.run(SERVE);
    second.fails(4, &["another tidegate (pid ", "uses this state"], &["another project folder"]);
    // The first one goes on, and its address file is still there.
    server.chat("mei", "hello");
    project.run(&["version", "pack", "--prompt", "v2"]).exits(0);
}

#[test]
fn a_pack_that_was_touched() {
    let project = Project::fast();
    let _server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    project.run(&["rollback", "--reason", "for the test"]).exits(0);
    // The rollback is answered once it is in force; its pack may come a moment later.
    let pack = wait_for("the pack", || {
        let status = project.run(&["release", "status", "--json"]).exits(0).json();
        status["release"]["pack"]["path"].as_str().map(str::to_owned)
    });
    project.run(&["verify", &pack]).exits(0);
    let rollback = format!("{pack}/rollback.md");
    let untouched = project.read(&rollback);
    project.write(&rollback, untouched.replace("for the test", "for the best"));
    let touched = project.run(&["verify", &pack]);
    assert!(touched.err.contains("rollback.md"), "{touched:?}");
    touched.fails(1, &[&pack, "does not verify"], &[]);
    let shown = project.run(&["verify", &pack, "--json"]).exits(1).json();
    assert!(!shown["problems"].as_array().unwrap().is_empty(), "{shown}");
    std::fs::remove_file(project.root.join(&rollback)).unwrap();
    project.run(&["verify", &pack]).fails(1, &["does not verify"], &[]);
    project.write(&rollback, untouched);
    project.run(&["verify", &pack]).exits(0);
}

#[test]
fn requests_that_cannot_be_read() {
    let project = Project::init();
    project.edit(
        "tidegate.yaml",
        "  max_concurrent: 64\n",
        "  max_concurrent: 64\n  max_body_bytes: 1000\n",
    );
    let server = project.serve();
    let check = |path: &str, body: &str, status: u16, code: &str, says: &[&str]| {
        let bytes = request("POST", path, "", body.as_bytes());
        let answer = open(server.address, &bytes).unwrap().finish().unwrap();
        answer.check_error(status, code, says);
    };
    check(CHAT, "messages: []", 400, "invalid_json", &["JSON"]);
    check(CHAT, "[]", 400, "invalid_json", &[]);
    let twice = r#"{"model":"my-service","model":"x","messages":[{"role":"user","content":"x"}]}"#;
    check(CHAT, twice, 400, "duplicate_parameter", &["model"]);
    check(CHAT, r#"{"model":"my-service"}"#, 400, "missing_required_parameter", &["messages"]);
    let other = r#"{"model":"gpt-4","messages":[{"role":"user","content":"x"}]}"#;
    check(CHAT, other, 404, "model_not_found", &["`gpt-4`", "`my-service`"]);
    check(CHAT, &"x".repeat(1001), 413, "request_too_large", &["1000 bytes"]);
    check("/chat", r#"{"user_id":"u"}"#, 400, "missing_required_parameter", &["prompt"]);
    let late = r#"{"user_id":"u","prompt":"x","budget_ms":0}"#;
    check("/chat", late, 400, "invalid_value", &["budget_ms", "1 to 600000"]);
    check("/v1/feedback", r#"{"trace_id":"a b","like":true}"#, 400, "invalid_value", &["trace_id"]);
    check("/v1/chat", "{}", 404, "unknown_endpoint", &[CHAT]);
    get(server.address, CHAT, "").unwrap().check_error(405, "wrong_method", &["POST"]);
    server.chat("mei", "hello");
}

#[test]
fn an_upstream_that_is_down_or_no_model_server() {
    let project = Project::init();
    let html = Upstream::saying("200 OK", "text/html", "<!doctype html><p>Sign in, SECRET");
    let set = |address: std::net::SocketAddr, project: &Project| {
        let kind = format!("    kind: openai\n    base_url: http://{address}/v1\n");
        project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    };
    set(html.address, &project);
    let server = project.serve();
    let ask = |server: &Server| client::chat(server.address, Some("mei"), "hello").unwrap();
    let answer = ask(&server);
    answer.check_error(502, "upstream_malformed", &["HTML, not JSON"]);
    assert!(!answer.body.contains("SECRET"), "{answer:?}");
    let streamed = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let streamed = post(server.address, CHAT, &streamed).unwrap();
    streamed.check_error(502, "upstream_malformed", &["HTML"]);
    let eval = project.run(&["eval"]);
    assert!([1, 3].contains(&eval.code) && eval.err.contains("error: "), "{eval:?}");
    let down = Project::init();
    set(Upstream::nobody(), &down);
    let server = down.serve();
    let answer = ask(&server);
    answer.check_error(502, "upstream_unreachable", &[]);
    let trace = answer.header("x-trace-id").to_owned();
    let shown = wait_for("the failed request's record", || {
        let output = down.run(&["trace", &trace]);
        (output.code == 0).then_some(output.out)
    });
    assert!(shown.contains("502") && shown.contains("unreachable"), "{shown}");
    down.run(&["eval"]).fails(3, &["is inconclusive"], &["run it again"]);
}

#[test]
fn folders_that_are_none() {
    let folder = tempfile::TempDir::new().unwrap();
    let run = |args: &[&str]| tidegate(folder.path(), args, &[]);
    run(&["init", "My Service!"]).fails(2, &["named after its folder"], &["tidegate init"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    run(&["init", "."]).fails(2, &["not"], &[]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = run(&["init", ".", "--json"]).exits(2).json();
    assert_eq!(error["error"]["exit_code"], 2, "{error}");
    run(&["status"]).exits(2);
}
