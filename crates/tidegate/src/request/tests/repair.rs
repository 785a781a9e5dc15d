//! An answer that breaks the contract is asked for once more, and the arm is counted by the first.

use super::harness::{Answer, End, Say, Service, Setup, request, within};
use crate::store::Records as _;
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_core::evidence::RepairResult;
use tidegate_core::ids::TraceId;
use tidegate_core::money::Basis;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const CHAT: &str = "/v1/chat/completions";
const GOOD: &str = "{\"answer\": \"七天\"}";
const BAD: &str = "七天";

fn ask() -> Value {
    json!({"user": "mei", "messages": [{"role": "user", "content": "退款？"}]})
}

async fn service(more: Value, script: Vec<Say>) -> Service {
    let output = json!({"type": "object", "required": ["answer"]});
    let mut project = json!({"contract": {"output": output, "repair": true},
        "artifacts": {"tools": "tools.yaml"}});
    for (key, value) in more.as_object().unwrap() {
        project[key] = value.clone();
    }
    Service::with(Setup { project, ..Setup::default() }, script).await
}

async fn post(service: &Service, body: &Value) -> Answer {
    service.post_with(CHAT, "x-trace-id: r-1\r\n", body).await
}

/// How many answers were compared with the contract, and how many broke it.
fn compared(service: &Service) -> (u64, u64) {
    let window = service.gateway.parts.collector.take_baseline();
    (window.counts.contract_checked, window.counts.contract_broken)
}

async fn repairs(service: &Service, result: &str) -> bool {
    let page = service.get("/metrics").await.body;
    let line = format!("tidegate_contract_repairs_total{{arm=\"stable\",result=\"{result}\"}} 1");
    page.contains(&line)
}

#[tokio::test]
async fn a_second_answer_that_keeps_the_contract_goes_out_and_counts_as_broken() {
    let service = service(json!({}), vec![Say::text(BAD), Say::text(GOOD)]).await;
    let answer = post(&service, &ask()).await;
    assert_eq!((answer.status, answer.header("x-tidegate-repaired")), (200, "true"), "{answer:?}");
    assert_eq!(answer.json()["choices"][0]["message"]["content"], GOOD);
    let asked = service.asked();
    let [first, second] = &asked[..] else { panic!("{asked:?}") };
    let (first, second) = (&first["messages"], &second["messages"]);
    let both = first.as_array().unwrap().len();
    assert_eq!(first.as_array().unwrap()[..], second.as_array().unwrap()[..both], "the same set");
    assert_eq!(second[both]["content"], BAD);
    let order = second[both + 1]["content"].as_str().unwrap();
    assert!(order.contains("plain text, JSON was wanted"), "{order}");
    let record = service.record("r-1").await;
    assert_eq!(record.repair, Some(RepairResult::Repaired));
    assert_eq!(record.contract_problem.as_deref(), Some("plain text, JSON was wanted"));
    assert_eq!(record.output.as_deref(), Some(GOOD));
    assert_eq!((record.tokens_in, record.tokens_out), (24, 10), "of both");
    let charge = record.charge.unwrap();
    assert_eq!((charge.used.input, charge.used.output, charge.basis), (24, 10, Basis::Reported));
    assert!(repairs(&service, "repaired").await);
    assert_eq!(compared(&service), (1, 1));
}

#[tokio::test]
async fn an_answer_that_keeps_the_contract_is_asked_for_once() {
    let service = service(json!({}), vec![Say::text(GOOD)]).await;
    let answer = post(&service, &ask()).await;
    assert_eq!((answer.status, answer.header("x-tidegate-repaired")), (200, ""));
    assert_eq!(service.asked().len(), 1);
    assert_eq!(service.record("r-1").await.repair, None);
    assert_eq!(compared(&service), (1, 0));
}

#[tokio::test]
async fn the_first_answer_goes_its_way_where_the_second_is_no_better() {
    let failing = || Say::Body(500, "{}".to_owned());
    for (second, result, tokens) in [
        (Say::text("八天"), RepairResult::Broken, 24),
        (Say::text(" "), RepairResult::Broken, 24),
        (failing(), RepairResult::Failed, 12),
    ] {
        let service = service(json!({}), vec![Say::text(BAD), second]).await;
        let answer = post(&service, &ask()).await;
        assert_eq!((answer.status, answer.header("x-tidegate-repaired")), (200, ""), "{answer:?}");
        assert_eq!(answer.json()["choices"][0]["message"]["content"], BAD);
        let record = service.record("r-1").await;
        assert_eq!((record.repair, record.tokens_in), (Some(result), tokens));
        assert_eq!((service.asked().len(), compared(&service)), (2, (1, 1)));
        assert!(repairs(&service, result.as_str()).await);
    }
    let risk = json!({"risk": {"block": ["contract"]}});
    let service = service(risk, vec![Say::text(BAD), Say::text("八天")]).await;
    post(&service, &ask()).await.check_error(502, "answer_withheld");
    assert_eq!(compared(&service), (1, 1));
}

#[tokio::test]
async fn what_the_second_answer_gives_away_is_seen_though_it_does_not_go_out() {
    let script = vec![Say::text(BAD), Say::text("use AKIAIOSFODNN7EXAMPLE")];
    let service = service(json!({}), script).await;
    assert_eq!(post(&service, &ask()).await.status, 200);
    let record = service.record("r-1").await;
    assert!(record.pii && record.risk.len() == 1, "{record:?}");
}

#[tokio::test]
async fn streams_and_answers_that_are_kept_back_are_not_asked_for_again() {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": BAD}}]}).to_string();
    let service_a = service(json!({}), vec![Say::Stream(vec![chunk], End::Done)]).await;
    let mut body = ask();
    body["stream"] = json!(true);
    assert!(post(&service_a, &body).await.body.contains("[DONE]"));
    assert_eq!((service_a.asked().len(), compared(&service_a)), (1, (1, 1)));
    let risk = json!({"risk": {"planted": ["MARKER-81c2"]}});
    let service_b = service(risk, vec![Say::text("MARKER-81c2")]).await;
    post(&service_b, &ask()).await.check_error(502, "answer_withheld");
    assert_eq!(service_b.asked().len(), 1);
    assert!(repairs(&service_b, "not_asked").await);
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_does_not_take_the_first_answer_out_of_the_count() {
    let service = service(json!({}), vec![Say::text(BAD), Say::Nothing]).await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let bytes = request(CHAT, "x-trace-id: r-1\r\n", &ask().to_string());
    stream.write_all(bytes.as_bytes()).await.unwrap();
    within(async {
        while service.asked().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(stream);
    service.hung_up().await;
    let trace = TraceId::parse("r-1").unwrap();
    let record = within(async {
        loop {
            service.store.flush().await.unwrap();
            if let Some(record) = service.store.traces(&trace).unwrap().pop() {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(record.repair, Some(RepairResult::Failed));
    assert_eq!((record.tokens_in, record.tokens_out), (12, 5), "what is known");
    assert_eq!(record.charge.unwrap().basis, Basis::Unknown, "the second may have to be paid for");
    assert_eq!(compared(&service), (1, 1));
}

#[tokio::test]
async fn arguments_that_break_their_schema_are_asked_for_again() {
    let calling = |arguments: &str| {
        let call = json!({"id": "t-1", "type": "function",
            "function": {"name": "count", "arguments": arguments}});
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let choice = json!({"index": 0, "finish_reason": "tool_calls", "message": message});
        Say::Body(200, json!({"choices": [choice]}).to_string())
    };
    let script = vec![calling("{\"of\": \"x\"}"), calling("{\"of\": 7}")];
    let service = service(json!({}), script).await;
    let answer = post(&service, &ask()).await;
    assert_eq!((answer.status, answer.header("x-tidegate-repaired")), (200, "true"), "{answer:?}");
    assert!(answer.body.contains("7") && !answer.body.contains("x\\\""), "{answer:?}");
    let asked = service.asked();
    let messages = asked[1]["messages"].as_array().unwrap();
    let last = messages.last().unwrap();
    assert_eq!((&last["role"], &last["tool_call_id"]), (&json!("tool"), &json!("t-1")));
    assert!(last["content"].as_str().unwrap().contains("arguments of tool `count`"), "{last}");
}
