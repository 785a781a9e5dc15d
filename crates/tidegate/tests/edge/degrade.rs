//! A service that is degraded by one command: what each level switches off, that it is in force
//! whatever the disk does, and that no release is judged by it.

use crate::client::{self, Answer};
use crate::journal;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::preload::{Disk, Fault};
use crate::project::{Project, Server, wait_for};
use crate::upstream::{Upstream, completion};
use crate::way_back::long_release;
use serde_json::{Value, json};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::time::{Duration, Instant};
use tidegate_core::degrade::DegradeLevel;
use tidegate_core::journal::Event;

const CHAT: &str = "/v1/chat/completions";
const DEGRADE: &str = "degrade: {max_tokens: 64, model: m-small, allow: [mei], text: 稍后再试}\n";

fn project(upstream: &Upstream, degrade: &str) -> Project {
    let artifacts = "  tools: tools/tools.yaml\n  index: {version: v1, send_as: retrieval}\n";
    let project = upstream.project(artifacts, degrade);
    let tools = "tools:\n  - {name: lookup, permission: read}\n  \
                 - {name: research, permission: read, expensive: true}\n";
    project.write("tools/tools.yaml", tools);
    project
}

fn post(server: &Server, trace: &str, body: &Value) -> Answer {
    let headers = format!("x-trace-id: {trace}\r\n");
    let bytes = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

fn ask(user: &str) -> Value {
    json!({"user": user, "max_tokens": 900, "messages": [{"role": "user", "content": "退款？"}]})
}

fn degrade(project: &Project, level: &str) -> String {
    let order = ["degrade", level, "--by", "mei", "--reason", "P95 is over 2 s"];
    project.run(&order).exits(0).out
}

fn metric(server: &Server, name: &str) -> u64 {
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    let start = format!("{name} ");
    page.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
}

/// The levels in the journal, in order.
fn journalled(project: &Project) -> Vec<Option<DegradeLevel>> {
    let level = |event: Event| match event {
        Event::Degraded { level, .. } => Some(level),
        _ => None,
    };
    journal::read(&project.root).iter().filter_map(|it| level(it.event().unwrap())).collect()
}

#[test]
fn each_level_switches_off_what_it_says_and_off_ends_it() {
    let upstream = Upstream::by_rule(|_| ("200 OK", completion("sure")));
    let project = project(&upstream, DEGRADE);
    let server = project.serve();
    let sent = || upstream.asked().last().unwrap().clone();
    let answer = post(&server, "d-0", &ask("eve"));
    assert_eq!((answer.status, answer.header("x-tidegate-degraded")), (200, ""));
    assert_eq!(sent()["tools"].as_array().unwrap().len(), 2);
    assert_eq!((&sent()["max_tokens"], sent()["retrieval"].is_object()), (&json!(900), true));

    let said = degrade(&project, "1");
    assert!(said.contains("degraded to level 1") && !said.contains("no tool"), "{said}");
    let answer = post(&server, "d-1", &ask("eve"));
    assert_eq!(answer.header("x-tidegate-degraded"), "1");
    let body = sent();
    assert_eq!(body["tools"].as_array().unwrap().len(), 1, "{body}");
    assert_eq!(body["tools"][0]["function"]["name"], "lookup");
    assert_eq!((&body["max_tokens"], &body["model"]), (&json!(64), &json!("m1")));
    assert!(body["retrieval"].is_object());

    degrade(&project, "2");
    post(&server, "d-2", &ask("eve"));
    let body = sent();
    assert_eq!((&body["retrieval"], &body["model"]), (&Value::Null, &json!("m-small")));

    degrade(&project, "3");
    let asked = upstream.asked().len();
    let refused = post(&server, "d-3", &ask("eve"));
    refused.check_error(429, "service_degraded", &[]);
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(upstream.asked().len(), asked);
    assert_eq!(post(&server, "d-4", &ask("mei")).status, 200);
    assert_eq!(metric(&server, "tidegate_degrade_level"), 3);
    assert_eq!(metric(&server, "tidegate_degraded_requests_total{level=\"3\"}"), 2);

    let status = project.run(&["release", "status"]);
    assert!(status.out.contains("degraded to level 3"), "{status:?}");
    let said = project.run(&["degrade", "off", "--by", "mei"]).exits(0).out;
    assert!(said.contains("degraded no more"), "{said}");
    assert_eq!(post(&server, "d-5", &ask("eve")).header("x-tidegate-degraded"), "");
    wait_for("its record", || (project.run(&["trace", "d-2"]).code == 0).then_some(()));
    let record = project.run(&["trace", "d-2", "--json"]).exits(0).json();
    assert_eq!(record["record"]["degraded"], 2);
    let levels = [Some(1), Some(2), Some(3), None].map(|n| n.and_then(DegradeLevel::of));
    assert_eq!(journalled(&project), levels);
}

#[test]
fn at_the_last_level_everyone_gets_a_fixed_text_and_no_model_is_asked() {
    let upstream = Upstream::answering("sure");
    let project = project(&upstream, DEGRADE);
    let server = project.serve();
    degrade(&project, "4");
    let whole = post(&server, "f-1", &ask("eve"));
    assert_eq!((whole.status, whole.text().as_str()), (200, "稍后再试"), "{whole:?}");
    assert_eq!(whole.header("x-tidegate-degraded"), "4");
    let mut body = ask("eve");
    body["stream"] = json!(true);
    let streamed = post(&server, "f-2", &body);
    assert!(streamed.body.contains("[DONE]") && streamed.body.contains("稍"), "{streamed:?}");
    assert!(upstream.asked().is_empty());
    // It holds over a restart, until somebody ends it.
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let server = project.serve();
    assert_eq!(post(&server, "f-3", &ask("eve")).text(), "稍后再试");
    let status = project.run(&["degrade", "status", "--json"]).exits(0).json();
    assert_eq!((&status["level"], &status["by"]), (&json!(4), &json!("mei")));
}

#[test]
fn what_a_level_lacks_is_said_and_the_rest_is_done() {
    let upstream = Upstream::answering("sure");
    let project = upstream.project("", "");
    let server = project.serve();
    let said = degrade(&project, "3");
    for lack in ["`expensive`", "no index", "`degrade.model`", "`degrade.allow`"] {
        assert!(said.contains(lack), "{said}");
    }
    assert_eq!(post(&server, "l-1", &ask("eve")).status, 200, "everyone is still served");
    assert_eq!(upstream.asked().last().unwrap()["max_tokens"], 512);
    project.run(&["degrade", "2"]).fails(2, &["needs a reason"], &["--reason"]);
    project.run(&["degrade", "7", "--reason", "x"]).fails(2, &["1, 2, 3 or 4"], &[]);
    let level = project.run(&["degrade", "status"]).exits(0).out;
    assert!(level.contains("level 3") && level.contains("P95 is over 2 s"), "{level}");
}

#[test]
fn a_release_is_paused_and_judged_by_nothing_that_was_said_meanwhile() {
    let (project, server, change_id) = long_release();
    let counted = || {
        let status = project.run(&["release", "status", "--json"]).exits(0).json();
        let seen = &status["release"]["state"]["seen_candidate"]["counts"]["requests"];
        (status["release"]["state"]["phase"].clone(), seen.as_u64())
    };
    let said = degrade(&project, "1");
    assert!(said.contains(&format!("release {change_id} is paused")), "{said}");
    let (phase, before) = counted();
    assert_eq!(phase, "paused");
    assert!(before.is_some());
    for n in 0..60 {
        let answer = server.chat(&format!("user-{n}"), "hi");
        assert_eq!(answer.header("x-tidegate-degraded"), "1");
    }
    let said = project.run(&["degrade", "off"]).exits(0).out;
    assert!(said.contains("still paused") && said.contains("release resume"), "{said}");
    project.run(&["release", "resume", "--reason", "well again"]).exits(0);
    // Every order is decided on what was counted until then.
    let (phase, after) = counted();
    assert_eq!((phase, after), (json!("running"), before), "no such answer is counted");
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_disk_that_does_not_answer_keeps_no_level_out_of_force() {
    let upstream = Upstream::answering("sure");
    let project = project(&upstream, DEGRADE);
    let disk = Disk::new();
    let server = disk.serve(&project);
    post(&server, "s-0", &ask("eve"));
    disk.has(Fault::Stall);
    let began = Instant::now();
    let said = degrade(&project, "2");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(said.contains("not yet written to disk"), "{said}");
    assert_eq!(post(&server, "s-1", &ask("eve")).header("x-tidegate-degraded"), "2");
    assert_eq!(journalled(&project), []);
    disk.recovers_from(Fault::Stall);
    wait_for("the journal", || (journalled(&project).len() == 1).then_some(()));
    let status = project.run(&["degrade", "status", "--json"]).exits(0).json();
    assert_eq!(status["level"], 2);
}

/// The disk is busy with the first order while the next two come: the second is never in force
/// again, and the journal has what was in force when it could be written.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_later_order_is_not_undone_by_one_that_waited_for_the_disk() {
    let upstream = Upstream::answering("sure");
    let project = project(&upstream, DEGRADE);
    let disk = Disk::new();
    let server = disk.serve(&project);
    post(&server, "s-0", &ask("eve"));
    disk.has(Fault::Stall);
    for level in ["1", "4", "off"] {
        degrade(&project, level);
    }
    assert_eq!(post(&server, "s-1", &ask("eve")).header("x-tidegate-degraded"), "");
    disk.recovers_from(Fault::Stall);
    wait_for("the journal", || (journalled(&project).last() == Some(&None)).then_some(()));
    project.run(&["degrade", "status", "--json"]).exits(0);
    assert_eq!(journalled(&project), [Some(DegradeLevel::Short), None]);
}
