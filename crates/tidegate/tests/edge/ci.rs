//! `tidegate ci`: the workflow that it writes, and stages that it runs here.

use crate::project::{Project, Watching, wait_for};
use crate::users::{Users, long, short};
use serde_json::{Value, json};

/// A project with these stages, each a line of YAML.
fn with_stages(stages: &[&str]) -> Project {
    let project = Project::init();
    set_stages(&project, stages);
    project
}

fn set_stages(project: &Project, stages: &[&str]) {
    let stages: String = stages.iter().map(|stage| format!("  - {stage}\n")).collect();
    project.write("ci.yaml", format!("stages:\n{stages}"));
}

/// The stages of a report, each by name and status.
fn statuses(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let stages = report["stages"].as_array().unwrap().iter();
    stages.map(|stage| (text(&stage["name"]), text(&stage["status"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
}

#[test]
fn a_workflow_has_a_job_for_each_stage_and_calls_one_command_in_it() {
    let project = Project::init();
    for (host, file) in [("github", ".github/workflows/tidegate.yml"), ("gitlab", ".gitlab-ci.yml")]
    {
        let dry = project.run(&["ci", "init", host, "--dry-run"]).exits(0);
        assert!(!project.root.join(file).exists());
        project.run(&["ci", "init", host]).exits(0);
        let workflow = project.read(file);
        assert!(dry.out.ends_with(&workflow), "what is printed is what is written");
        let mut from = 0;
        for stage in [
            "lint",
            "unit-tests",
            "prompt-tests",
            "model-evaluation",
            "build",
            "deploy-staging",
            "deploy-production",
        ] {
            let calls = format!("tidegate ci run --only {stage}");
            assert_eq!(workflow.matches(&calls).count(), 1, "{stage}: {workflow}");
            let at = workflow.find(&calls).unwrap();
            assert!(at > from, "{stage} is not in its place");
            from = at;
        }
        project.run(&["ci", "init", host, "--check"]).exits(0);
        let again = project.run(&["ci", "init", host]);
        again.fails(2, &["is there already"], &["--force"]);
        project.append(file, "# by hand\n");
        let stale = project.run(&["ci", "init", host, "--check"]);
        stale.fails(1, &["is not what ci.yaml makes"], &[]);
        project.run(&["ci", "init", host, "--force"]).exits(0);
        assert_eq!(project.read(file), workflow);
    }
    let github = project.read(".github/workflows/tidegate.yml");
    for part in [
        "permissions:\n  contents: read\n",
        "needs: [\"unit-tests\",\"prompt-tests\"]\n    if: github.event_name == 'pull_request'\n",
        "environment: \"staging\"",
        "OPENAI_API_KEY: ${{ secrets.OPENAI_API_KEY }}",
        "name: eval-report",
        "cancel-in-progress: false",
    ] {
        assert!(github.contains(part), "no `{part}` in {github}");
    }
    // Nothing that somebody else may write is in a line of shell.
    for (at, _) in github.match_indices("${{") {
        let line = github[..at].rsplit('\n').next().unwrap();
        assert!(!line.contains("run:") && !line.trim_start().starts_with("- "), "{line}");
    }
    assert!(!github.contains("github.event."), "{github}");
    let uses = github.lines().filter_map(|line| line.split("uses: ").nth(1));
    for action in uses {
        let pin = action.split('@').nth(1).unwrap().split(' ').next().unwrap();
        assert!(pin.len() == 40 && pin.chars().all(|c| c.is_ascii_hexdigit()), "{action}");
    }
}

#[test]
fn the_pipeline_of_a_trained_model_begins_with_its_data() {
    let project = Project::init();
    project.run(&["ci", "init", "github", "--training"]).exits(0);
    let stages = project.read("ci.yaml");
    assert!(stages.contains("--min-samples, \"10000\""), "{stages}");
    let dry = project.run(&["ci", "run", "--dry-run"]).exits(0);
    let lines: Vec<&str> = dry.out.lines().map(|line| &line[..4]).collect();
    assert_eq!(lines, ["run ", "skip", "skip", "skip"], "{dry:?}");
    let again = project.run(&["ci", "init", "gitlab", "--training"]);
    again.fails(2, &["ci.yaml is there already"], &["--training"]);
    let failed = project.run(&["ci", "run", "--only", "data-validation"]);
    failed.fails(1, &["`data-validation`: `tidegate` ended with exit code 2"], &["--from"]);
}

#[test]
fn stages_run_in_order_and_leave_evidence_that_verifies() {
    let project = with_stages(&[
        "{name: one, run: [[echo, \"ann@example.com 一\"], {shell: \"echo $KIND | tr a-z A-Z\"}], \
         env: {KIND: shell}}",
        "{name: two, needs: [one], run: [[echo, \"v=${SECRET}\", \"${NONE:-dev}\"]], \
         secrets: [SECRET]}",
    ]);
    let env = [("SECRET", "hunter2; touch owned")];
    let output = project.run_with(&["ci", "run", "--json"], &env).exits(0);
    assert!(!output.out.contains("hunter2") && !output.err.contains("hunter2"), "{output:?}");
    let report = output.json();
    assert_eq!(statuses(&report), pairs(&[("one", "passed"), ("two", "passed")]));
    let pack = report["pack"].as_str().unwrap();
    project.run(&["verify", pack]).exits(0);
    let one = project.read(&format!("{pack}/gates/one.log"));
    assert!(one.contains("[email] 一\n") && one.contains("\nSHELL\n"), "{one}");
    let two = project.read(&format!("{pack}/gates/two.log"));
    assert!(two.ends_with("v=*** dev\n"), "{two}");
    assert!(!project.root.join("owned").exists());
    let manifest: Value =
        serde_json::from_str(&project.read(&format!("{pack}/manifest.json"))).unwrap();
    assert_eq!(manifest["gates"]["two"]["status"], "PASS", "{manifest}");
    assert_eq!(manifest["verdict"]["decision"], "SHIP", "{manifest}");
    let kept = project.read(&format!("{pack}/stages.jsonl"));
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(kept), report["stages"]);
    project.write(&format!("{pack}/gates/one.log"), "nothing\n");
    project.run(&["verify", pack]).exits(1);
}

#[test]
fn a_stage_that_fails_skips_those_that_need_it_and_no_others() {
    let project = with_stages(&[
        "{name: a, run: [[sh, -c, \"exit 7\"], [touch, never]]}",
        "{name: b, needs: [a], run: [[touch, never]]}",
        "{name: c, run: [[\"true\"]]}",
        "{name: d, run: [[\"true\"]], only: main}",
    ]);
    let output = project.run(&["ci", "run", "--json"]);
    let report = output.fails(1, &["`a`: `sh` ended with exit code 7"], &["--from a"]).json();
    let expected = [("a", "failed"), ("b", "skipped"), ("c", "passed"), ("d", "skipped")];
    assert_eq!(statuses(&report), pairs(&expected));
    assert_eq!(report["stages"][0]["exit_code"], 7);
    assert!(!project.root.join("never").exists());
    let summary = project.root.join("summary.md");
    let env = [("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())];
    let table = project.run_with(&["ci", "run", "--from", "c"], &env).exits(0);
    assert!(table.out.contains("passed   c  "), "{table:?}");
    assert!(project.read("summary.md").contains("| passed | c |"));
    let pushed = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", "refs/heads/main")];
    let report = project.run_with(&["ci", "run", "--from", "c", "--json"], &pushed).exits(0).json();
    assert_eq!(statuses(&report)[2..], pairs(&[("c", "passed"), ("d", "passed")]));
    project.run(&["ci", "run", "--only", "release"]).fails(
        2,
        &["no stage `release`"],
        &["stages: a, b"],
    );
}

#[test]
fn exit_codes_are_those_of_the_other_commands() {
    let project = with_stages(&["{name: a, run: [[no-such-program-here]]}"]);
    project.run(&["ci", "run"]).fails(4, &["cannot be started"], &[]);
    // Another program's 3 is a failure, Tidegate's an open question.
    set_stages(&project, &["{name: a, run: [[sh, -c, \"exit 3\"]]}"]);
    project.run(&["ci", "run"]).exits(1);
    project.edit(
        "tidegate.yaml",
        "    kind: simulated\n",
        "    kind: openai\n    base_url: http://127.0.0.1:9/v1\n",
    );
    set_stages(&project, &["{name: a, run: [[tidegate, gate]]}"]);
    project.run(&["ci", "run"]).fails(3, &["`a`: `tidegate` ended with exit code 3"], &[]);
    set_stages(&project, &["{name: a, run: [[echo, \"${NOT_SET_AT_ALL}\"]]}"]);
    project.run(&["ci", "run"]).fails(1, &["`NOT_SET_AT_ALL` is not set"], &[]);
    set_stages(
        &project,
        &[
            "{name: a, run: [[echo, x]], secrets: [NOT_SET_AT_ALL], optional: true}",
            "{name: b, needs: [a], run: [[\"true\"]]}",
        ],
    );
    let report = project.run(&["ci", "run", "--json"]).exits(0).json();
    assert_eq!(statuses(&report), pairs(&[("a", "skipped"), ("b", "passed")]));
    project.run(&["ci", "run", "--only", "a"]).exits(0);
    project.write("ci.yaml", "stages: [{name: a}]\n");
    project.run(&["ci", "run"]).fails(2, &["ci.yaml:1"], &[]);
    std::fs::remove_file(project.root.join("ci.yaml")).unwrap();
    project.run(&["ci", "run"]).fails(2, &["no such file"], &["tidegate ci init"]);
}

/// Whether a process is there and no zombie.
#[cfg(target_os = "linux")]
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

/// A stage that leaves a process in the background, and its command.
#[cfg(target_os = "linux")]
const SLEEPS: &str = "sleep 600 & echo $! > pid.new; mv pid.new pid; sleep 600";

#[cfg(target_os = "linux")]
#[test]
fn what_is_late_or_interrupted_ends_with_all_that_it_started() {
    let stage = format!("{{name: a, run: [{{shell: \"{SLEEPS}\"}}], timeout_s: 1}}");
    let project = with_stages(&[&stage, "{name: b, run: [[touch, never]]}"]);
    let late = project.run(&["ci", "run", "--only", "a"]);
    late.fails(1, &["was not done within 1 s"], &[]);
    let pid = project.read("pid");
    wait_for("the end of what the late stage left", || (!runs(&pid)).then_some(()));
    std::fs::remove_file(project.root.join("pid")).unwrap();
    project.edit("ci.yaml", "timeout_s: 1", "timeout_s: 3600");
    let watching = Watching::start(&project.root, &["ci", "run", "--json"]);
    let pid =
        wait_for("the stage's process", || std::fs::read_to_string(project.root.join("pid")).ok());
    let output = watching.interrupt();
    assert_eq!(output.code, 3, "{output:?}");
    assert_eq!(statuses(&output.json()), pairs(&[("a", "inconclusive"), ("b", "skipped")]));
    wait_for("the end of what the stage left", || (!runs(&pid)).then_some(()));
    assert!(!project.root.join("never").exists());
}

#[test]
fn what_a_command_leaves_in_the_background_does_not_hold_the_stage() {
    let project = with_stages(&["{name: a, run: [{shell: \"sleep 600 & echo done\"}]}"]);
    let report = project.run(&["ci", "run", "--json"]).exits(0).json();
    let took = report["stages"][0]["duration_ms"].as_u64().unwrap();
    assert!(took < 60_000, "{report}");
    let pack = report["pack"].as_str().unwrap();
    assert!(project.read(&format!("{pack}/gates/a.log")).ends_with("done\n"));
}

/// The stages that evaluate a candidate and release it.
const RELEASES: [&str; 2] = [
    "{name: evaluation, run: [[tidegate, eval, --prompt, \"${CANDIDATE}\"]]}",
    "{name: production, needs: [evaluation], only: main, \
     run: [[tidegate, release, start, --prompt, \"${CANDIDATE}\", --watch, --by, ci]]}",
];

#[test]
fn a_stage_that_releases_waits_for_the_verdict() {
    let project = Project::fast();
    set_stages(&project, &RELEASES);
    project.prompt_of_v2("v3", "max_tokens: 512", "max_tokens: 150");
    let server = project.serve();
    let run = ["ci", "run", "--event", "main", "--json"];
    let users = Users::of(server.address, 4, short);
    let report = project.run_with(&run, &[("CANDIDATE", "v2")]).exits(0).json();
    assert_eq!(project.phase(), "promoted");
    assert_eq!(statuses(&report), pairs(&[("evaluation", "passed"), ("production", "passed")]));
    drop(users);
    // Eval cases are short; long questions have answers that no longer fit.
    let users = Users::of(server.address, 4, |n| if n % 4 == 0 { short(n) } else { long(n) });
    let failed = project.run_with(&run, &[("CANDIDATE", "v3")]);
    drop(users);
    assert_eq!(project.phase(), "rolled_back", "{failed:?}");
    failed.fails(1, &["`production`: `tidegate` ended with exit code 1"], &[]);
}

#[test]
fn a_pipeline_does_not_wait_for_ever() {
    let project = Project::fast();
    let _server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    let start = ["release", "start", "--prompt", "v2", "--watch", "--within", "1"];
    project.run(&start).fails(3, &["is not over after 1 s"], &["it goes on"]);
    assert_eq!(project.phase(), "running");
}
