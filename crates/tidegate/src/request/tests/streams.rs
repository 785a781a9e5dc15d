//! Streams: passed on, hidden usage, cut, broken, left.

use super::harness::*;
use serde_json::{Value, json};
use tidegate_core::upstream::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CHAT: &str = "/v1/chat/completions";

fn ask() -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}], "user": "mei", "stream": true})
}

fn last_error(answer: &Answer) -> Value {
    let last: Value = serde_json::from_str(answer.events().last().unwrap()).unwrap();
    assert!(!answer.events().contains(&"[DONE]"), "{answer:?}");
    last["error"]["code"].clone()
}

#[tokio::test]
async fn a_stream_passes_through_without_the_usage_that_was_not_asked_for() {
    let service = Service::start(vec![Say::pieces(&["你", "好"], End::Done)]).await;
    let answer = service.post_with(CHAT, "x-trace-id: s-1\r\n", &ask()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    let events = answer.events();
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(events[0].contains("你") && events[1].contains("好"));
    assert_eq!(events[3], "[DONE]");
    assert_eq!(service.asked()[0]["stream_options"]["include_usage"], true);
    let record = service.record("s-1").await;
    assert_eq!((record.streamed, record.tokens_in, record.tokens_out), (true, 12, 3));
    assert_eq!(record.output.as_deref(), Some("你好"));
    assert_eq!(record.finish_reason.as_deref(), Some("stop"));
    let window = service.gateway.parts.collector.take_baseline();
    assert_eq!(window.first_token_us.count(), 1);
}

#[tokio::test]
async fn usage_that_was_asked_for_comes() {
    let service = Service::start(vec![Say::pieces(&["a"], End::Done)]).await;
    let mut body = ask();
    body["stream_options"] = json!({"include_usage": true, "extra": 1});
    let answer = service.post(CHAT, &body).await;
    assert!(answer.events()[2].contains("prompt_tokens"), "{answer:?}");
    assert_eq!(service.asked()[0]["stream_options"], json!({"include_usage": true, "extra": 1}));
}

#[tokio::test]
async fn a_cut_stream_ends_with_an_error_and_never_with_done() {
    let service = Service::start(vec![Say::pieces(&["a", "b"], End::Cut)]).await;
    let answer = service.post_with(CHAT, "x-trace-id: s-2\r\n", &ask()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(last_error(&answer), "upstream_cut_short");
    let record = service.record("s-2").await;
    assert_eq!(record.failure, Some(Failure::CutShort));
    assert_eq!(record.output.as_deref(), Some("ab"));
    assert!(record.tokens_estimated && record.tokens_out > 0, "what was delivered is counted");
    let window = service.gateway.parts.collector.take_baseline();
    assert_eq!((window.requests, window.errors()), (1, 1));
    let page = service.get("/metrics").await.body;
    assert!(page.contains("gateway_requests_total{status=\"error\"} 1"), "{page}");
}

#[tokio::test]
async fn a_stream_that_never_begins_is_an_error_with_a_status() {
    let service =
        Service::start(vec![Say::pieces(&[], End::Cut), Say::pieces(&[], End::Cut)]).await;
    let answer = service.post(CHAT, &ask()).await;
    assert!(answer.status >= 500, "{answer:?}");
}

#[tokio::test]
async fn a_planted_text_cuts_the_stream() {
    let setup = Setup {
        project: json!({"risk": {"planted": ["CANARY-7731"]}}),
        candidate: true,
        ..Setup::default()
    };
    let pieces = Say::pieces(&["it is ", "CANARY", "-7731", " and more"], End::Done);
    let service = Service::with(setup, vec![pieces]).await;
    let answer = service.post_with(CHAT, "x-trace-id: s-3\r\n", &ask()).await;
    assert_eq!(last_error(&answer), "answer_withheld");
    assert!(!answer.body.contains("7731") && !answer.body.contains("and more"), "{answer:?}");
    let (_, candidate, events) = service.gateway.parts.collector.snapshot();
    assert_eq!((events.len(), candidate.red_events), (1, 1));
    assert_eq!(service.record("s-3").await.output, None);
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_upstream_and_is_recorded() {
    let service = Service::start(vec![Say::pieces(&["one ", "two "], End::Open)]).await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let bytes = request(CHAT, "x-trace-id: s-4\r\n", &ask().to_string());
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("two") {
        let mut buffer = [0u8; 1024];
        let read = within(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(read, 0, "the stream ended by itself");
        seen.extend_from_slice(&buffer[..read]);
    }
    drop(stream);
    service.hung_up().await;
    // The model server hears of it just when the record is made.
    let gone = within(async {
        while service.gateway.parts.collector.find(None, &"s-4".parse().unwrap()).is_none() {
            tokio::task::yield_now().await;
        }
        service.record("s-4").await
    });
    let record = gone.await;
    assert_eq!((record.status, record.failure), (499, Some(Failure::ClientGone)));
    assert_eq!(record.output.as_deref(), Some("one two "));
    assert!(record.tokens_estimated && record.tokens_out > 0);
    let window = service.gateway.parts.collector.take_baseline();
    assert_eq!((window.requests, window.client_faults), (0, 1));
    assert_eq!(window.abandoned, 0, "it had some of the answer");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_recorded_too() {
    let service = Service::start(vec![Say::Nothing]).await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    stream.write_all(request(CHAT, "x-trace-id: s-5\r\n", &body).as_bytes()).await.unwrap();
    within(async {
        while service.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(stream);
    service.hung_up().await;
    within(async {
        while service.gateway.parts.collector.find(None, &"s-5".parse().unwrap()).is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(service.record("s-5").await.failure, Some(Failure::ClientGone));
    let window = service.gateway.parts.collector.take_baseline();
    assert_eq!((window.requests, window.client_faults, window.abandoned), (0, 1, 1));
}
