//! What is refused at the door, deadlines of connections, and the end of the service.

use super::harness::*;
use crate::http::Bounds;
use crate::request::bind;
use crate::request::bounds::CONNECTIONS;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn unknown_paths_and_methods_are_told_what_there_is() {
    let service = Service::start(Vec::new()).await;
    let error = service.get("/v1/completion").await.check_error(404, "unknown_endpoint");
    assert!(error["error"]["message"].as_str().unwrap().contains("/v1/chat/completions"));
    let answer = service.get(CHAT).await;
    answer.check_error(405, "wrong_method");
    assert_eq!(answer.header("allow"), "POST");
    let answer = service.post("/metrics", &json!({})).await;
    answer.check_error(405, "wrong_method");
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_before_the_upstream() {
    let service = Service::start(Vec::new()).await;
    let deep = format!("{{\"messages\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let cases: [(&str, &str); 6] = [
        ("{\"messages\":", "invalid_json"),
        ("", "invalid_json"),
        (&deep, "invalid_json"),
        (r#"{"model":"support-desk","model":"x","messages":[]}"#, "duplicate_parameter"),
        (r#"{"model":"support-desk"}"#, "missing_required_parameter"),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"api_base":"http://x"}"#,
            "unsupported_parameter",
        ),
    ];
    for (body, code) in cases {
        service.raw(request(CHAT, "", body)).await.check_error(400, code);
    }
    assert!(service.asked().is_empty());
}

#[tokio::test]
async fn too_large_is_said_before_the_rest_is_read() {
    let setup = Setup { project: json!({"limits": {"max_body_bytes": 1000}}), ..Setup::default() };
    let service = Service::with(setup, Vec::new()).await;
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1001\r\n\r\n";
    service.raw(head).await.check_error(413, "request_too_large");
    // The whole of a body that is far too large may still be on its way.
    let large = "x".repeat(500_000);
    service.raw(request(CHAT, "", &large)).await.check_error(413, "request_too_large");
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
        "x".repeat(1001)
    );
    service.raw(chunked).await.check_error(413, "request_too_large");
    let zipped = request(CHAT, "content-encoding: gzip\r\n", "x");
    service.raw(zipped).await.check_error(415, "unsupported_encoding");
}

#[tokio::test]
async fn a_wrong_key_opens_nothing_but_probes() {
    let setup = Setup { keyed: true, ..Setup::default() };
    let service = Service::with(setup, vec![Say::text("ok")]).await;
    for headers in ["", "authorization: Bearer wrong-key-0123456789\r\n", "x-api-key: test\r\n"] {
        for path in [CHAT, "/chat", "/v1/feedback"] {
            let answer = service.raw(request(path, headers, BODY)).await;
            answer.check_error(401, "invalid_api_key");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
    service.get("/v1/models").await.check_error(401, "invalid_api_key");
    service.get("/metrics").await.check_error(401, "invalid_api_key");
    assert_eq!(service.get("/health").await.status, 200);
    assert!(service.asked().is_empty());
    let headers = format!("authorization: Bearer {KEY}\r\n");
    assert_eq!(service.raw(request(CHAT, &headers, BODY)).await.status, 200);
}

#[tokio::test]
async fn heads_that_two_servers_may_read_differently_are_refused() {
    let service = Service::start(vec![Say::text("chunked is fine")]).await;
    let length = BODY.len();
    let chunks = format!("{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    let chunked = "transfer-encoding: chunked\r\n";
    let sized = format!("content-length: {length}\r\n");
    let close = "connection: close\r\n";
    let auth = "authorization: Bearer a\r\n";
    let cases = [
        (format!("host: localhost\r\n{sized}{chunked}"), &chunks),
        (format!("host: localhost\r\n{chunked}{sized}"), &chunks),
        (format!("host: localhost\r\n{chunked}Content-Length : 3\r\n"), &chunks),
        (format!("host: t\r\nhost: u\r\n{sized}"), &chunks),
        (sized.clone(), &chunks),
        (format!("host: localhost\r\n{auth}{auth}{sized}"), &chunks),
        (format!("host: localhost\r\nauthorization: Bearer 密钥\r\n{sized}"), &chunks),
    ];
    for (headers, body) in cases {
        let head = format!("POST {CHAT} HTTP/1.1\r\n{headers}\r\n");
        let answer = service.raw(format!("{head}{body}")).await;
        assert_eq!(answer.status, 400, "{headers:?} gave {answer:?}");
    }
    assert!(service.asked().is_empty());
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{close}{chunked}\r\n");
    assert_eq!(service.raw(format!("{head}{chunks}")).await.status, 200);
}

#[tokio::test]
async fn chunks_may_be_sent_but_not_pipelined_after_chunks() {
    let script = ["1", "2", "3", "4", "5", "6"].map(Say::text);
    let service = Service::start(script.into()).await;
    let one = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let open = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{BODY}\r\n0\r\n\r\n",
        BODY.len()
    );
    let two = open.replacen("host: localhost", "host: localhost\r\nconnection: close", 1);
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(one.as_bytes()).await.unwrap();
    within(stream.readable()).await.unwrap();
    stream.write_all(two.as_bytes()).await.unwrap();
    let mut all = String::new();
    within(stream.read_to_string(&mut all)).await.unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 2, "{all}");
    let piped = service.raw(format!("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n{two}")).await;
    assert!(piped.body.contains("HTTP/1.1 200 OK"), "{piped:?}");
    let both = two.replacen("host", "content-length: 3\r\nhost", 1);
    for after in [&one, &open] {
        let piped = service.raw(format!("{after}{both}")).await;
        assert!(piped.body.contains("bad_headers"), "{piped:?}");
    }
    let piped = service.raw(format!("{open}{two}")).await;
    assert!(piped.body.contains("pipelined"), "{piped:?}");
}

fn small() -> Bounds {
    let short = Duration::from_millis(40);
    Bounds {
        first_byte: short,
        head: short,
        idle: Some(short),
        body_total: short * 3,
        body_idle: short,
        ..CONNECTIONS
    }
}

#[tokio::test]
async fn connections_that_do_not_get_on_are_closed() {
    let setup = Setup { bounds: small(), ..Setup::default() };
    let service = Service::with(setup, Vec::new()).await;
    let half =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{";
    assert_eq!(service.raw("").await.status, 0, "no byte");
    assert_eq!(service.raw("GET /health HT").await.status, 0, "half a head");
    service.raw(half).await.check_error(408, "request_timeout");
    let kept = service.raw("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(kept.status, 200, "then the idle connection is closed, which ends the reading");
    let posts = [
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{BODY}",
            BODY.len()
        ),
        format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        "POST /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
    ];
    for post in posts {
        assert_ne!(service.raw(post).await.status, 0, "after a POST as well");
    }
}

#[tokio::test]
async fn a_dribble_of_header_bytes_does_not_hold_a_connection() {
    let setup = Setup { bounds: small(), ..Setup::default() };
    let service = Service::with(setup, Vec::new()).await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    within(async {
        while stream.write_all(b"G").await.is_ok() {
            ticks.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dribble_of_body_bytes_ends_with_the_time_for_the_whole() {
    let setup = Setup { bounds: small(), ..Setup::default() };
    let service = Service::with(setup, Vec::new()).await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 90000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let dribble = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while writer.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    });
    let mut answer = [0; 12];
    within(reader.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    within(dribble).await.unwrap();
}

#[tokio::test]
async fn a_connection_for_one_request_ends_after_it_and_any_ends_in_its_time() {
    let bounds = Bounds { idle: None, ..CONNECTIONS };
    let service = Service::with(Setup { bounds, ..Setup::default() }, Vec::new()).await;
    let two = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2);
    let answer = service.raw(two).await;
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    assert!(!answer.body.contains("HTTP/1.1"), "the second is not answered: {answer:?}");

    let bounds = Bounds { connection: Duration::from_millis(50), ..CONNECTIONS };
    let script = vec![Say::Nothing];
    let service = Service::with(Setup { bounds, ..Setup::default() }, script).await;
    let cut = service.post(CHAT, &json!({"messages": [{"role": "user", "content": "a"}]})).await;
    assert_eq!(cut.status, 0, "{cut:?}");
}

#[tokio::test]
async fn connections_over_the_cap_are_told() {
    let bounds = Bounds { max_connections: 1, ..CONNECTIONS };
    let service = Service::with(Setup { bounds, ..Setup::default() }, Vec::new()).await;
    let mut first = TcpStream::connect(service.address).await.unwrap();
    first.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    within(first.readable()).await.unwrap();
    let second = service.get("/health").await;
    assert_eq!((second.status, second.header("retry-after")), (503, "1"));
    assert_eq!(second.json()["error"]["code"], "overloaded");
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_finishes_what_is_in_flight() {
    let bounds = Bounds { stop_notice: Duration::from_secs(1), ..CONNECTIONS };
    let setup = Setup { bounds, ..Setup::default() };
    let mut service = Service::with(setup, vec![Say::pieces(&["a"], End::Done)]).await;
    let mut idle = TcpStream::connect(service.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    within(idle.readable()).await.unwrap();
    assert_eq!(service.get("/readyz").await.status, 200);
    service.order_stop();
    within(async {
        while service.get("/readyz").await.status != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    let last = service.post(CHAT, &body).await;
    assert_eq!(last.events().last(), Some(&"[DONE]"));
    let address = service.address;
    within(service.stop()).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named_with_a_way_out() {
    let first = bind("127.0.0.1:0").await.unwrap();
    let address = first.address();
    let error = bind(&address.to_string()).await.unwrap_err();
    let error = crate::error::CliError::from(error);
    assert!(error.message.contains(&address.to_string()), "{error}");
    assert!(error.hints.iter().any(|hint| hint.contains("--listen")), "{error:?}");
}

#[tokio::test]
async fn an_open_address_needs_credentials() {
    let service = Service::start(Vec::new()).await;
    let listener = bind("0.0.0.0:0").await.unwrap();
    let gateway = std::sync::Arc::clone(&service.gateway);
    let error = crate::request::serve(
        crate::request::Front::one(gateway),
        listener,
        std::future::pending(),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("no credentials"), "{error}");
}

#[tokio::test]
async fn the_pages_say_what_the_service_is() {
    let service = Service::start(Vec::new()).await;
    let health = service.get("/health").await.json();
    assert_eq!(
        (health["status"].as_str(), health["service"].as_str()),
        (Some("ok"), Some("support-desk"))
    );
    let models = service.get("/v1/models").await.json();
    let ids: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!((models["object"].as_str(), ids), (Some("list"), vec!["support-desk", "support"]));
    let head =
        service.raw("HEAD /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}
