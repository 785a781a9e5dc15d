//! An outage is said: in the log, by `/readyz` and by `/metrics`.

use crate::client::{self, get};
use crate::journal;
use crate::project::{Project, Server, wait_for};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidegate_core::journal::Event;
use tidegate_core::observe::OutageRun;
use tidegate_core::upstream::Failure;

const ANSWER: &str = r#"{"answer": "hello", "citations": ["policy.md"]}"#;

/// A project whose only model server is at this address.
fn project_on(upstream: &Upstream) -> Project {
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    project
}

fn ask(server: &Server, expected: u16) {
    let answer = client::chat(server.address, Some("mei"), "hello").unwrap();
    assert_eq!(answer.status, expected, "{answer:?}");
}

fn readyz(server: &Server) -> Value {
    let answer = get(server.address, "/readyz", "").unwrap();
    // Taking every replica out because the model server is down would make it worse.
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn check_metric(server: &Server, line: &str) {
    let page = get(server.address, "/metrics", "").unwrap().body;
    assert!(page.lines().any(|l| l == line), "no `{line}` in\n{page}");
}

fn said(server: &Server, text: &str) -> Vec<String> {
    server.log().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

#[test]
fn an_upstream_that_is_shut_off_is_said_without_a_release_and_so_is_its_return() {
    let upstream = Upstream::answering(ANSWER);
    let project = project_on(&upstream);
    let server = project.serve();
    for _ in 0..5 {
        ask(&server, 200);
    }
    let ready = readyz(&server);
    assert_eq!((&ready["upstream"], &ready["outages"]), (&json!("ok"), &json!([])), "{ready}");
    check_metric(&server, r#"tidegate_arm_failing{arm="stable",upstream="main"} 0"#);

    let address = upstream.shut();
    // Five failures begin it; many more say it once.
    for _ in 0..40 {
        ask(&server, 502);
    }
    let ready = readyz(&server);
    assert_eq!((&ready["status"], &ready["upstream"]), (&json!("ready"), &json!("failing")));
    let outage = &ready["outages"][0];
    assert_eq!(outage["arm"], "stable", "{ready}");
    assert_eq!(outage["failure"], "unreachable", "{ready}");
    assert_eq!(outage["failed"], 40, "{ready}");
    let text = outage["text"].as_str().unwrap();
    assert!(text.contains("requests failed (unreachable)"), "{text}");
    assert!(text.contains("check that the model server runs"), "{text}");
    check_metric(&server, r#"tidegate_arm_failing{arm="stable",upstream="main"} 1"#);
    check_metric(&server, r#"tidegate_arm_failures_total{arm="stable",failure="unreachable"} 40"#);
    check_metric(&server, r#"tidegate_release_phase{phase="none"} 1"#);
    let began = wait_for("the outage in the log", || {
        Some(said(&server, "OUTAGE of stable")).filter(|lines| !lines.is_empty())
    });
    assert_eq!(began.len(), 1, "{began:?}");
    assert!(began[0].contains("requests failed (unreachable)"), "{began:?}");

    let _upstream = Upstream::again(address, ANSWER);
    wait_for("the end of the outage", || {
        ask(&server, 200);
        (readyz(&server)["upstream"] == "ok").then_some(())
    });
    check_metric(&server, r#"tidegate_arm_failing{arm="stable",upstream="main"} 0"#);
    let ended = wait_for("the end in the log", || {
        Some(said(&server, "outage of stable is over")).filter(|lines| !lines.is_empty())
    });
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0].contains(": 40 of "), "{ended:?}");
    assert_eq!(said(&server, "OUTAGE of stable").len(), 1, "{}", server.log());
}

/// Events of outages in the journal: those that lasted, and those that were over.
fn journalled(project: &Project) -> [Vec<OutageRun>; 2] {
    let events = journal::read(&project.root).into_iter().map(|entry| entry.event().unwrap());
    let outages = events.filter_map(|event| match event {
        Event::OutageSeen { incident: _, outage } => Some(*outage),
        _ => None,
    });
    let (over, lasting) = outages.partition(|outage| outage.ended_at.is_some());
    [lasting, over]
}

/// The only incident, as `incident list --json` has it.
fn incident(project: &Project) -> Value {
    let all = project.run(&["incident", "list", "--json"]).exits(0).json();
    let all = all.as_object().unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    let (id, incident) = all.iter().next().unwrap();
    assert!(id.starts_with("inc-outage-"), "{id}");
    let mut incident = incident.clone();
    incident["id"] = id.as_str().into();
    incident
}

/// What a failing model server quotes of a user.
const PRIVATE: &str = "mei.tan@example.com";

/// A service whose account has no credit while `is_well` is off.
struct OnAccount {
    is_well: Arc<AtomicBool>,
    project: Project,
    server: Server,
}

impl OnAccount {
    fn start() -> OnAccount {
        let is_well = Arc::new(AtomicBool::new(true));
        let well = Arc::clone(&is_well);
        let upstream = Upstream::by_rule(move |_| match well.load(Ordering::SeqCst) {
            true => ("200 OK", completion(ANSWER)),
            false => {
                let message = format!("no balance is left of {PRIVATE}");
                let error = json!({"message": message, "type": "insufficient_quota",
                                   "code": "insufficient_quota"});
                ("429 Too Many Requests", json!({ "error": error }).to_string())
            }
        });
        let project = project_on(&upstream);
        // Far more looks than the second between two of them.
        project.edit("tidegate.yaml", "  preset: ladder\n", "  preset: ladder\n  tick_ms: 50\n");
        let server = project.serve();
        (0..5).for_each(|_| ask(&server, 200));
        OnAccount { is_well, project, server }
    }

    /// Failed requests, until the outage is in the journal, and many more.
    fn fail(&self) {
        self.is_well.store(false, Ordering::SeqCst);
        let fails = || {
            let answer = client::chat(self.server.address, Some("mei"), "hello").unwrap();
            assert!(answer.status >= 429, "{answer:?}");
        };
        (0..6).for_each(|_| fails());
        wait_for("the incident", || (!journalled(&self.project)[0].is_empty()).then_some(()));
        (0..200).for_each(|_| fails());
    }

    /// Good answers, until the end is in the journal.
    fn recover(&self) {
        self.is_well.store(true, Ordering::SeqCst);
        wait_for("the end in the journal", || {
            ask(&self.server, 200);
            (!journalled(&self.project)[1].is_empty()).then_some(())
        });
    }
}

#[test]
fn an_outage_without_a_release_is_one_incident_that_its_end_closes() {
    let on = OnAccount::start();
    on.fail();
    // Many more failures are many more looks, and one entry of the journal.
    let [lasting, over] = journalled(&on.project);
    assert_eq!((lasting.len(), over.len()), (1, 0), "{lasting:?} {over:?}");
    let found = incident(&on.project);
    assert_eq!((&found["about"], &found["upstream"]), (&json!("outage"), &json!("main")));
    assert_eq!((&found["signal"], &found["closed"]), (&json!("red"), &Value::Null));
    assert_eq!(found["reason"]["failure"], "account_limit", "{found}");
    let shown = on.project.run(&["incident", "list"]).exits(0).out;
    for text in ["open since", "upstream `main` fails", "credit or spend limit is used up"] {
        assert!(shown.contains(text), "no `{text}` in {shown}");
    }
    let chinese = on.project.run(&["--lang", "zh", "incident", "list"]).exits(0).out;
    assert!(chinese.contains("余额"), "{chinese}");
    check_metric(&on.server, "tidegate_incidents_open 1");
    let id = found["id"].as_str().unwrap();
    let said = said(&on.server, &format!("incident {id} is open"));
    assert_eq!(said.len(), 1, "{}", on.server.log());
    on.recover();
    let found = incident(&on.project);
    assert_eq!(found["closed"][1], "", "nobody closed it: {found}");
    let shown = on.project.run(&["incident", "list"]).exits(0).out;
    assert!(shown.contains("over after"), "{shown}");
    check_metric(&on.server, "tidegate_incidents_open 0");
    // A restart says nothing new of it.
    drop(on.server);
    let server = on.project.serve();
    ask(&server, 200);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert_eq!(journalled(&on.project).map(|events| events.len()), [1, 1]);
}

#[test]
fn the_end_of_an_outage_is_kept_with_its_numbers_and_without_personal_data() {
    let on = OnAccount::start();
    on.fail();
    on.recover();
    let [lasting, over] = journalled(&on.project);
    assert_eq!((lasting.len(), over.len()), (1, 1), "{lasting:?} {over:?}");
    let (began, ended) = (&lasting[0], &over[0]);
    assert_eq!((ended.since, ended.came_again), (began.since, 0));
    assert!(ended.failed() > 200 && ended.requests > ended.failed(), "{ended:?}");
    assert!(ended.ended_at > Some(ended.last_failed_at), "{ended:?}");
    assert_eq!(ended.failure(), Failure::AccountLimit);
    assert_eq!((ended.traces.len(), ended.said.len()), (20, 1));
    assert!(ended.said[0].contains("no balance is left"), "{ended:?}");
    assert!(!format!("{:?}", journal::read(&on.project.root)).contains(PRIVATE));
    let pack = wait_for("the pack", || {
        let pack = incident(&on.project)["pack"]["path"].as_str().map(str::to_owned);
        let page = |path: &str| on.project.read(&format!("{path}/incident.md"));
        pack.filter(|path| page(path).contains("over since"))
    });
    on.project.run(&["verify", &pack]).exits(0);
    let page = on.project.read(&format!("{pack}/incident.md"));
    for text in ["account_limit", "no balance is left", "| over |", "| lasts |", "Duration: "] {
        assert!(page.contains(text), "no `{text}` in {page}");
    }
    assert!(!page.contains(PRIVATE), "{page}");
}

#[test]
fn an_outage_that_a_restart_interrupts_is_one_incident_and_a_person_may_close_it() {
    let upstream = Upstream::answering(ANSWER);
    let project = project_on(&upstream);
    let server = project.serve();
    let address = upstream.shut();
    (0..12).for_each(|_| ask(&server, 502));
    wait_for("the incident", || (!journalled(&project)[0].is_empty()).then_some(()));
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert_eq!(incident(&project)["outage"]["failures"]["unreachable"], 12);
    let server = project.serve();
    (0..12).for_each(|_| ask(&server, 502));
    let id = incident(&project)["id"].as_str().unwrap().to_owned();
    let close = ["incident", "close", &id, "--conclusion", "the power was off"];
    project.run(&close).exits(0);
    let _upstream = Upstream::again(address, ANSWER);
    wait_for("the end in the journal", || {
        ask(&server, 200);
        (!journalled(&project)[1].is_empty()).then_some(())
    });
    let found = incident(&project);
    assert_eq!(found["closed"][1], "the power was off", "{found}");
    assert_eq!(found["outage"]["failures"]["unreachable"], 24, "{found}");
    drop(server);
}

#[test]
fn an_outage_while_a_release_runs_is_said_of_both_arms_and_is_no_verdict() {
    let upstream = Upstream::answering(ANSWER);
    let project = project_on(&upstream);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let rungs = "  rungs:\n    - {weight_pct: 50, look_s: 3600}\n    \
                 - {weight_pct: 100, look_s: 3600}\n  tick_ms: 50\n";
    project.edit("tidegate.yaml", "  preset: ladder\n", rungs);
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    upstream.shut();
    for n in 0..60 {
        let answer = client::chat(server.address, Some(&format!("user-{n}")), "hello").unwrap();
        assert_eq!(answer.status, 502, "{answer:?}");
    }
    let ready = readyz(&server);
    let arms: Vec<_> = ready["outages"].as_array().unwrap().iter().map(|o| &o["arm"]).collect();
    assert_eq!(arms, ["stable", "candidate"], "{ready}");
    check_metric(&server, r#"tidegate_arm_failing{arm="candidate",upstream="main"} 1"#);
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 1"#);
    project.run(&["rollback", "--by", "mei"]).exits(0);
    // Nobody asks the candidate any more; stable's outage lasts.
    let ready = readyz(&server);
    assert_eq!(ready["outages"].as_array().unwrap().len(), 1, "{ready}");
    assert_eq!(ready["outages"][0]["arm"], "stable", "{ready}");
    assert_eq!(said(&server, "OUTAGE of").len(), 2, "{}", server.log());
}

/// What providers say of an account that is used up or shut off: status line, error.
fn account_errors() -> Vec<(&'static str, Value)> {
    let spent = json!({"error_code": "enforced_spend_limit_reached"});
    vec![
        ("429 Too Many Requests", json!({"code": "insufficient_quota"})),
        ("429 Too Many Requests", json!({"code": "credit_balance_exhausted"})),
        ("429 Too Many Requests", json!({"type": "rate_limit_error", "details": spent})),
        ("429 Too Many Requests", json!({"type": "exceeded_current_quota_error"})),
        ("400 Bad Request", json!({"code": "Arrearage"})),
        ("401 Unauthorized", json!({"code": "account_deactivated"})),
        ("402 Payment Required", json!({"message": "pay first"})),
    ]
}

/// The account is both arms': it says nothing of the candidate, and no retry helps.
#[test]
fn an_account_that_is_used_up_is_an_incident_of_its_own_and_no_verdict_on_a_candidate() {
    let is_well = Arc::new(AtomicBool::new(true));
    let (well, next) = (Arc::clone(&is_well), std::cell::Cell::new(0));
    let upstream = Upstream::by_rule(move |_| {
        if well.load(Ordering::SeqCst) {
            return ("200 OK", completion(ANSWER));
        }
        let errors = account_errors();
        let (status, error) = &errors[next.replace(next.get() + 1) % errors.len()];
        (status, json!({ "error": error }).to_string())
    });
    let project = project_on(&upstream);
    std::fs::remove_file(project.root.join("evals/dataset.jsonl")).unwrap();
    project.write("evals/eval_cases.csv", CASES);
    let rungs = "  rungs:\n    - {weight_pct: 50, look_s: 3600}\n    \
                 - {weight_pct: 100, look_s: 3600}\n  tick_ms: 50\n";
    project.edit("tidegate.yaml", "  preset: ladder\n", rungs);
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    (0..20).for_each(|n| drop(server.chat(&format!("user-{n}"), "hello")));
    let asked = upstream.asked().len();
    is_well.store(false, Ordering::SeqCst);
    for n in 0..140 {
        let answer = client::chat(server.address, Some(&format!("user-{n}")), "hello").unwrap();
        answer.check_error(503, "upstream_account_limit", &[]);
    }
    assert_eq!(upstream.asked().len(), asked + 140, "it was asked again");
    let found = wait_for("the incident", || {
        let all = project.run(&["incident", "list", "--json"]).exits(0).json();
        all.as_object()?.values().next().cloned()
    });
    assert_eq!((&found["about"], &found["upstream"]), (&json!("outage"), &json!("main")));
    assert_eq!(found["reason"]["failure"], "account_limit", "{found}");
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 1"#);
    check_metric(&server, "tidegate_release_weight_pct 50");
    is_well.store(true, Ordering::SeqCst);
    wait_for("the end of the outage", || {
        (0..20).for_each(|n| ask_any(&server, n));
        (readyz(&server)["upstream"] == "ok").then_some(())
    });
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 1"#);
    check_metric(&server, "tidegate_release_weight_pct 50");
}

fn ask_any(server: &Server, n: u64) {
    let answer = client::chat(server.address, Some(&format!("user-{n}")), "hello").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn the_release_is_in_the_metrics() {
    let project = Project::fast();
    let server = project.serve();
    check_metric(&server, r#"tidegate_release_phase{phase="none"} 1"#);
    check_metric(&server, r#"tidegate_signal{signal="green"} 0"#);
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 1"#);
    for n in 0..20 {
        server.chat(&format!("user-{n}"), "hello");
    }
    project.run(&["rollback", "--by", "mei"]).exits(0);
    check_metric(&server, r#"tidegate_release_phase{phase="rolled_back"} 1"#);
    check_metric(&server, r#"tidegate_release_phase{phase="running"} 0"#);
    let page = get(server.address, "/metrics", "").unwrap().body;
    let kept = |arm: &str| -> u64 {
        let head = format!("tidegate_contract_checks_total{{arm=\"{arm}\",result=\"kept\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&head));
        line.unwrap_or_else(|| panic!("no {head} in\n{page}")).parse().unwrap()
    };
    assert_eq!(kept("stable") + kept("candidate"), 20, "{page}");
    assert!(kept("candidate") > 0, "{page}");
    let signals = page.lines().filter(|l| l.starts_with("tidegate_signal{") && l.ends_with(" 1"));
    assert_eq!(signals.count(), 1, "{page}");
}
