//! The data plane of the real binary.

use crate::client::{CHAT, get, open, post, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::Upstream;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A project whose only model server is at this address.
fn project_on(upstream: &Upstream) -> Project {
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{}/v1\n", upstream.address);
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    project
}

#[test]
fn a_stream_is_finished_before_the_end() {
    let project = Project::init();
    project.edit(
        "tidegate.yaml",
        "    kind: simulated\n",
        "    kind: simulated\n    first_token_ms: 1\n    ms_per_token: 8\n    sigma: 0\n",
    );
    let server = project.serve();
    let body = json!({"stream": true, "user": "mei",
                      "messages": [{"role": "user", "content": crate::users::long(1)}]});
    let bytes = request("POST", CHAT, "", body.to_string().as_bytes());
    let mut stream = open(server.address, &bytes).unwrap();
    let first = stream.chunk().unwrap();
    assert!(first.contains("chat.completion.chunk"), "{first}");
    server.terminate();
    // It takes no new connections from here on, and the log says that it is about to end.
    wait_for("the order to stop", || server.log().contains("stopping").then_some(()));
    let answer = stream.finish().unwrap();
    let events = answer.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{events:?}");
    assert!(events.len() > 5, "{events:?}");
    assert_eq!(server.ended(), Some(0));
    assert!(!project.root.join(".tidegate/admin.json").exists());
    let trace = project.run(&["trace", answer.header("x-trace-id"), "--json"]).exits(0).json();
    assert_eq!(trace["record"]["failure"], Value::Null, "{trace}");
}

#[test]
fn usage_is_streamed_where_it_is_asked_for() {
    let project = Project::fast();
    let server = project.serve();
    let ask = |more: Value| {
        let mut body = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = post(server.address, CHAT, &body).unwrap();
        let kind = answer.header("content-type");
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        let mut events = answer.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"));
        let events: Vec<Value> =
            events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        events
    };
    let with = ask(json!({"stream_options": {"include_usage": true}}));
    let usage = &with.last().unwrap()["usage"];
    let tokens = |key: &str| usage[key].as_u64().unwrap();
    assert_eq!(tokens("total_tokens"), tokens("prompt_tokens") + tokens("completion_tokens"));
    assert_eq!(with.last().unwrap()["choices"], json!([]));
    let without = ask(json!({}));
    assert!(without.iter().all(|event| event["usage"].is_null()), "{without:?}");
}

#[test]
fn unknown_members_reach_the_upstream() {
    let upstream = Upstream::answering(r#"{"answer": "はい", "citations": ["policy.md"]}"#);
    let project = project_on(&upstream);
    let server = project.serve();
    let body = json!({
        "model": "my-service", "user": "mei", "logit_bias": {"50256": -100}, "top_k": 7,
        "x_vendor": {"deep": [1, 2.5, null, "测试"]},
        "messages": [{"role": "user", "content": "営業時間は？", "name": "mei", "x_part": true}],
    });
    let answer = post(server.address, CHAT, &body).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text(), r#"{"answer": "はい", "citations": ["policy.md"]}"#);
    let asked = upstream.asked().pop().unwrap();
    for member in ["logit_bias", "top_k", "x_vendor"] {
        assert_eq!(asked[member], body[member], "{asked}");
    }
    let last = asked["messages"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["name"], &last["x_part"]), (&json!("mei"), &json!(true)), "{asked}");
    assert!(last["content"].as_str().unwrap().contains("営業時間は？"), "{asked}");
    // The version set decides on the model, not the client.
    assert_eq!(asked["model"], "sim-1");
}

#[test]
fn the_seed_form_feedback_and_metrics() {
    let project = Project::fast();
    let server = project.serve();
    let body = json!({"user_id": "u1", "prompt": "测试回滚", "budget_ms": 60_000});
    let bytes = body.to_string();
    let bytes = request("POST", "/chat", "x-trace-id: canary-test-001\r\n", bytes.as_bytes());
    let answer = open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-trace-id"), "canary-test-001");
    let said = answer.json();
    assert_eq!(said["trace_id"], "canary-test-001");
    assert_eq!(said["version_set"]["prompt"], "v1", "{said}");
    assert!(said["answer"].as_str().unwrap().contains("测试回滚"), "{said}");
    let like = json!({"trace_id": "canary-test-001", "like": true, "satisfaction_score": 0.9});
    let kept = post(server.address, "/v1/feedback", &like).unwrap().json();
    assert_eq!((&kept["accepted"], &kept["repeated"]), (&json!(2), &json!(0)), "{kept}");
    let kept = post(server.address, "/v1/feedback", &like).unwrap().json();
    assert_eq!((&kept["accepted"], &kept["repeated"]), (&json!(0), &json!(2)), "{kept}");
    let of_nobody = json!({"trace_id": "nobody-0", "like": true});
    let refused = post(server.address, "/v1/feedback", &of_nobody).unwrap();
    refused.check_error(404, "trace_not_found", &["nobody-0"]);
    let trace = project.run(&["trace", "canary-test-001", "--json"]).exits(0).json();
    assert_eq!(trace["feedback"].as_array().unwrap().len(), 2, "{trace}");
    let page = get(server.address, "/metrics", "").unwrap().body;
    for line in [
        "# HELP llm_requests_total Total LLM requests",
        "llm_requests_total{model_version=\"sim-1\",status=\"ok\"} 1",
        "# HELP llm_latency_seconds LLM inference latency",
        "llm_latency_seconds_bucket{model_version=\"sim-1\",le=\"0.25\"}",
        "# HELP llm_output_quality LLM output quality score",
        "llm_output_quality{model_version=\"sim-1\",metric=\"satisfaction\"}",
        "gateway_requests_total{status=\"ok\"} 3",
        "gateway_requests_latency_seconds_bucket{",
        "gateway_requests_latency_seconds_count",
    ] {
        assert!(page.contains(line), "no `{line}` in\n{page}");
    }
    assert!(get(server.address, "/health", "").unwrap().json().is_object());
    assert_eq!(get(server.address, "/readyz", "").unwrap().status, 200);
}

#[test]
fn a_user_stays_on_one_arm_and_rungs_only_add_users() {
    let project = Project::fast();
    project.edit(
        "tidegate.yaml",
        "look_s: 0.3}\n    - {weight_pct: 50, look_s: 0.3}",
        "look_s: 3600}\n    - {weight_pct: 50, look_s: 3600}",
    );
    let server = project.serve();
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2"]).exits(0);
    let at_first = arms(&server);
    let on_candidate = at_first.values().filter(|arm| *arm == "candidate").count();
    // 20 % of 100 is 20; the standard deviation is 4.
    assert!((4..=40).contains(&on_candidate), "{on_candidate}");
    for _ in 0..2 {
        assert_eq!(arms(&server), at_first);
    }
    project.run(&["release", "promote", "--by", "mei"]).exits(0);
    let later = arms(&server);
    for (user, arm) in &at_first {
        assert!(arm == "stable" || later[user] == "candidate", "{user} returned to stable");
    }
    assert!(later.values().filter(|arm| *arm == "candidate").count() > on_candidate);
    // A conversation that names no user is on one arm as well.
    let nobody = || {
        let answer = crate::client::chat(server.address, None, "hello").unwrap();
        answer.header("x-tidegate-arm").to_owned()
    };
    assert_eq!(nobody(), nobody());
}

fn arms(server: &Server) -> BTreeMap<String, String> {
    let users = (0..100).map(|n| format!("用户-{n}"));
    users
        .map(|user| {
            let arm = server.chat(&user, "hello").header("x-tidegate-arm").to_owned();
            (user, arm)
        })
        .collect()
}

#[test]
fn the_data_plane_needs_neither_admin_plane_nor_project_file() {
    let project = Project::fast();
    let server = project.serve();
    let (admin, token) = Server::admin(&project.root);
    // The project file is being edited, and somebody sits on the admin plane and says nothing.
    project.write("tidegate.yaml", "service: [");
    let idle: Vec<_> = (0..8).map(|_| std::net::TcpStream::connect(admin).unwrap()).collect();
    for n in 0..50 {
        server.chat(&format!("user-{n}"), "hello");
    }
    let refused = get(admin, "/admin/v1/status", "authorization: Bearer wrong\r\n").unwrap();
    assert_eq!(refused.status, 401);
    assert!(!refused.body.contains(&token));
    let refused = get(admin, "/admin/v1/status", "").unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(Server::admin_status(&project.root)["service"], "my-service");
    drop(idle);
    server.chat("mei", "hello");
}

/// From a slow bucket of a dashboard to the request: its trace id is the bucket's exemplar.
#[test]
fn a_scraper_that_reads_openmetrics_gets_a_trace_id_with_the_latency() {
    let project = Project::init();
    let server = project.serve();
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    let bytes = request("POST", CHAT, "x-trace-id: canary-test-001\r\n", body.as_bytes());
    let answer = open(server.address, &bytes).unwrap().finish().unwrap();
    assert_eq!(answer.status, 200);
    let accept = "accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.4\r\n";
    let exemplar = wait_for("the exemplar", || {
        let page = get(server.address, "/metrics", accept).unwrap();
        assert!(page.header("content-type").starts_with("application/openmetrics-text"));
        assert!(page.body.ends_with("# EOF\n"));
        let line = page.body.lines().find(|line| line.contains("canary-test-001"))?.to_owned();
        Some(line)
    });
    assert!(exemplar.starts_with("llm_latency_seconds_bucket{"), "{exemplar}");
    let plain = get(server.address, "/metrics", "").unwrap();
    assert!(!plain.body.contains("canary") && !plain.body.contains("# EOF"), "{}", plain.body);
}

/// Which tool was called, how long it took and whether it failed: from the request that brings its
/// result.
#[test]
fn the_result_of_a_tool_is_recorded_with_its_time() {
    let upstream = Upstream::by_rule(|body| {
        let brings_result = body["messages"].to_string().contains("tool_call_id");
        let call = json!({"id": "call_7", "type": "function",
                          "function": {"name": "lookup_order", "arguments": "{}"}});
        let mut answer: Value =
            serde_json::from_str(&crate::upstream::completion("在路上")).unwrap();
        if !brings_result {
            answer["choices"][0]["message"]["tool_calls"] = json!([call]);
        }
        ("200 OK", answer.to_string())
    });
    let project = project_on(&upstream);
    project.write("tools/tools.yaml", "tools:\n  - {name: lookup_order, permission: read}\n");
    let server = project.serve();
    let ask = json!({"role": "user", "content": "订单在哪里？"});
    let first = post(server.address, CHAT, &json!({"messages": [ask]})).unwrap();
    let call = first.json()["choices"][0]["message"].clone();
    assert_eq!(call["tool_calls"][0]["id"], "call_7", "{first:?}");
    let result =
        json!({"role": "tool", "tool_call_id": "call_7", "content": "{\"error\": \"no order\"}"});
    let second = post(server.address, CHAT, &json!({"messages": [ask, call, result]})).unwrap();
    let trace = wait_for("the record", || {
        let output = project.run(&["trace", second.header("x-trace-id"), "--json"]);
        (output.code == 0).then(|| output.json())
    });
    let results = &trace["record"]["tool_results"];
    assert_eq!(results[0]["name"], "lookup_order", "{trace}");
    assert_eq!(results[0]["failed"], true, "{results}");
    assert!(results[0]["took_us"].as_u64().unwrap() > 0, "{results}");
    let shown = project.run(&["trace", second.header("x-trace-id")]).exits(0);
    assert!(shown.out.contains("lookup_order"), "{shown:?}");
}
