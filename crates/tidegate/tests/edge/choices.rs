//! Streams of several choices: their pieces come interleaved, and each choice is looked at.

use crate::client::{self, Answer};
use crate::project::{Project, Server, wait_for};
use crate::upstream::Upstream;
use serde_json::{Value, json};

/// A model server whose stream says these pieces, each of a choice.
fn upstream(pieces: &[(u64, Value)]) -> Upstream {
    let chunk = |index: &u64, delta: &Value, finish: Value| {
        let choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"choices": [choice]}))
    };
    let said: String = pieces.iter().map(|(i, delta)| chunk(i, delta, Value::Null)).collect();
    let ends: String = (0..2).map(|i| chunk(&i, &json!({}), json!("stop"))).collect();
    let body = format!("{said}{ends}data: [DONE]\n\n");
    Upstream::saying("200 OK", "text/event-stream", &body)
}

fn ask(server: &Server) -> Answer {
    let body = json!({"stream": true, "n": 2, "messages": [{"role": "user", "content": "hi"}]});
    let bytes = body.to_string();
    let headers = "x-trace-id: n-2\r\n";
    let bytes = client::request("POST", "/v1/chat/completions", headers, bytes.as_bytes());
    client::open(server.address, &bytes).unwrap().finish().unwrap()
}

fn record(project: &Project) -> Value {
    wait_for("its record", || (project.run(&["trace", "n-2"]).code == 0).then_some(()));
    project.run(&["trace", "n-2", "--json"]).exits(0).json()["record"].clone()
}

fn says(text: &str) -> Value {
    json!({ "content": text })
}

#[test]
fn a_stream_of_several_choices_reaches_the_client_whole() {
    let upstream = upstream(&[(0, says("one ")), (1, says("zwei ")), (0, says("two"))]);
    let project = upstream.project("", "");
    let server = project.serve();
    let answer = ask(&server);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(upstream.asked()[0]["n"], 2);
    for piece in ["one ", "zwei ", "two", "[DONE]"] {
        assert!(answer.body.contains(piece), "{piece} in {answer:?}");
    }
    let seen = record(&project);
    assert_eq!((seen["failure"].clone(), seen["output"].clone()), (Value::Null, json!("one two")));
}

#[test]
fn what_a_later_choice_says_is_looked_at_as_the_firsts() {
    let word = [(0, says("fine")), (1, says("try ac")), (0, says(", thanks")), (1, says("me now"))];
    let call = |name: &str| {
        json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
        "function": {"name": name, "arguments": ""}}]})
    };
    let tool = [(1, call("look")), (0, says("fine")), (1, call("look")), (1, call("up_all"))];
    let contract = [(1, says("{\"answer\"")), (0, says("{\"answer\": 1}")), (1, says(" oops"))];
    let tools = "tools:\n  - name: lookup\n    permission: read\n";
    let output = "  stop_path: stop it\n  output: {type: object, required: [answer]}\n";
    for (pieces, risk, held) in [
        (&word[..], "{words: [acme], block: [words]}", "me now"),
        (&tool[..], "{}", "up_all"),
        (&contract[..], "{block: [contract]}", "[DONE]"),
    ] {
        let upstream = upstream(pieces);
        let project = upstream.project("  tools: tools/tools.yaml\n", &format!("risk: {risk}\n"));
        project.write("tools/tools.yaml", tools);
        if risk.contains("contract") {
            project.edit("tidegate.yaml", "  stop_path: stop it\n", output);
        }
        let server = project.serve();
        let answer = ask(&server);
        assert!(answer.body.contains("answer_withheld"), "{answer:?}");
        assert!(!answer.body.contains(held) && !answer.body.contains("[DONE]"), "{answer:?}");
    }
}

#[test]
fn each_choice_is_compared_with_the_contract() {
    let pieces = [(0, says("{\"answer\": 1}")), (1, says("{\"other\": 1}"))];
    let upstream = upstream(&pieces);
    let project = upstream.project("", "");
    let output = "  stop_path: stop it\n  output: {type: object, required: [answer]}\n";
    project.edit("tidegate.yaml", "  stop_path: stop it\n", output);
    let server = project.serve();
    assert!(ask(&server).body.contains("[DONE]"));
    assert!(record(&project)["contract_problem"].is_string());
}
