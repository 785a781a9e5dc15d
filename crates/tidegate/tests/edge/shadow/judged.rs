//! A judge and embeddings beside the pairs of a shadow: sampled, within its caps, and no
//! verdict where none comes.

use super::{line, project, start, until_over};
use crate::project::{Project, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};

/// A project whose pairs a judge at this address compares, with these keys of the shadow.
fn judged(stable: &Upstream, candidate: &Upstream, judge: SocketAddr, keys: &str) -> Project {
    let more = "evals:\n  check_timeout_ms: 300\n  judge: {upstream: judges, model: j1}\n";
    let project = project(stable, candidate.address, more);
    let upstream = format!("  judges: {{kind: openai, base_url: \"http://{judge}/v1\"}}\n");
    project.edit("tidegate.yaml", "artifacts:\n", &format!("{upstream}artifacts:\n"));
    let price = "prices:\n  j1: {input_per_million: 1, output_per_million: 1}\n";
    project.edit("tidegate.yaml", "prices:\n", price);
    project.edit("tidegate.yaml", "shadow: {lines", &format!("shadow: {{{keys}, lines"));
    project
}

/// A judge that finds this answer the better one, wherever it is.
fn liking(text: &'static str) -> Upstream {
    Upstream::by_rule(move |body| {
        let asked = body["messages"][1]["content"].as_str().unwrap_or_default();
        let first = asked.split_once("<<begin first ").map_or("", |(_, rest)| rest);
        let first = first.split("<<end first ").next().unwrap_or_default();
        let better = if first.contains(text) { "first" } else { "second" };
        ("200 OK", completion(&json!({"reason": "r", "better": better}).to_string()))
    })
}

fn cost(project: &Project, purpose: &str) -> Value {
    let args = ["cost", "--purpose", purpose, "--since", "1970-01-01", "--json"];
    project.run(&args).exits(0).json()["total"].clone()
}

#[test]
fn a_candidate_that_the_judge_likes_less_is_worse() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let judge = liking("good");
    let project = judged(&stable, &candidate, judge.address, "judge_pct: 100");
    let server = project.serve();
    start(&project, &[]);
    let (status, _) = until_over(&project, &server, 2_000);
    assert_eq!(status["verdict"], "worse", "{status}");
    let judged = line(&status, "judge");
    assert_eq!((&judged["verdict"], &judged["mean"]), (&json!("over"), &json!(1.0)), "{status}");
    // It was asked in both orders, and what that cost is in the books and within the caps.
    let orders = judge.asked().len() as u64;
    assert!(orders >= 2 * judged["pairs"].as_u64().unwrap(), "{orders}: {status}");
    let booked = wait_for("the books", || {
        let judge = cost(&project, "judge");
        (judge["requests"].as_u64()? >= 2 * judged["pairs"].as_u64()?).then_some(judge)
    });
    assert_eq!(booked["unpriced_requests"], 0, "{booked}");
}

/// Nonsense, an error, silence: no verdict, and no loss.
#[test]
fn a_judge_that_gives_no_verdict_makes_none() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nonsense = Upstream::answering("both are lovely");
    let down = Upstream::saying("500 Internal Server Error", "application/json", "{}");
    for judge in [nonsense.address, down.address, silent.local_addr().unwrap()] {
        let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
        let project = judged(&stable, &candidate, judge, "judge_pct: 100");
        let server = project.serve();
        start(&project, &["--max-requests", "12"]);
        let (status, _) = until_over(&project, &server, 400);
        assert_eq!(status["verdict"], "not_yet", "{status}");
        assert_eq!(line(&status, "judge")["pairs"], 0, "{status}");
    }
}

#[test]
fn what_a_judge_needs_is_said() {
    let (stable, candidate) = (Upstream::answering("good"), Upstream::answering("fine"));
    let judge = liking("good");
    let project = judged(&stable, &candidate, judge.address, "judge_pct: 50");
    let check = |from: &str, to: &str, says: &str| {
        project.edit("tidegate.yaml", from, to);
        project.run(&["check"]).fails(2, &[says], &[]);
        project.edit("tidegate.yaml", to, from);
    };
    check("judge_pct: 50", "judge_pct: 101", "judge_pct");
    check("judge_pct: 50", "distance_pct: 1", "evals.embeddings");
    check("lines: {latency", "lines: {distance: 0.5, latency", "distance_pct");
    project.edit("tidegate.yaml", "  j1: {", "  j2: {");
    let _server = project.serve();
    let args = ["shadow", "start", "--upstream", "cand", "--model", "m2"];
    project.run(&args).fails(2, &["model `j1` has no price"], &["prices:"]);
}
