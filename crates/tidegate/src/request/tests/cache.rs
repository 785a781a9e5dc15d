//! A hit of the cache says nothing of the arm.

use super::harness::{Say, Service, Setup};
use serde_json::json;

#[tokio::test]
async fn a_hit_is_no_evidence_and_takes_no_tokens() {
    let project = json!({"cache": {"max_mb": 1}});
    let setup = Setup { project, ..Setup::default() };
    let service = Service::with(setup, vec![Say::text("once")]).await;
    let body = json!({"user": "mei", "messages": [{"role": "user", "content": "hello"}]});
    for (number, expected) in ["miss", "hit", "hit"].into_iter().enumerate() {
        let headers = format!("x-trace-id: c-{number}\r\n");
        let answer = service.post_with("/v1/chat/completions", &headers, &body).await;
        assert_eq!(answer.header("x-tidegate-cache"), expected);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "once");
    }
    assert_eq!(service.asked().len(), 1);
    assert_eq!(service.gateway.parts.collector.take_baseline().answered(), 1);
    let [first, hit] = [service.record("c-0").await, service.record("c-2").await];
    assert!(!first.cached && hit.cached);
    assert!(first.tokens_in > 0 && hit.tokens_in == 0 && hit.charge.is_none());
}
