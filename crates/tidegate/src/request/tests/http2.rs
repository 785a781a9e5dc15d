//! HTTP/2 of the data plane: requests at the same time, its deadlines and caps, and frames of
//! clients that mean harm.

use super::harness::*;
use crate::http::Bounds;
use crate::request::bounds::CONNECTIONS;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_core::upstream::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CHAT: &str = "/v1/chat/completions";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection of a client that knows that HTTP/2 is spoken.
async fn connect(service: &Service) -> SendRequest<Bytes> {
    connect_with(service, h2::client::Builder::new()).await
}

async fn connect_with(service: &Service, builder: h2::client::Builder) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(service.address).await.unwrap();
    let (client, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // How it ends is seen by its requests.
        let _ = connection.await;
    });
    within(client.ready()).await.unwrap()
}

/// Begins a POST; its body is the caller's to send.
fn begin(client: &mut SendRequest<Bytes>, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
    let uri = format!("http://localhost{path}");
    let request = Request::post(uri).header("content-type", "application/json").body(()).unwrap();
    client.send_request(request, false).unwrap()
}

fn post(client: &mut SendRequest<Bytes>, path: &str, body: &Value) -> ResponseFuture {
    let (response, mut send) = begin(client, path);
    send.send_data(Bytes::from(body.to_string()), true).unwrap();
    response
}

fn hello(stream: bool) -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}], "stream": stream})
}

async fn whole(response: Response<RecvStream>) -> (u16, String) {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    (head.status.as_u16(), String::from_utf8(bytes).unwrap())
}

async fn answer(response: ResponseFuture) -> (u16, String) {
    within(async { whole(response.await.unwrap()).await }).await
}

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn requests_run_at_the_same_time_on_one_connection() {
    let mut script = vec![Say::pieces(&["first", "last"], End::Open)];
    script.extend((0..20).map(|n| Say::text(&format!("answer {n}"))));
    let service = Service::start(script).await;
    let mut client = connect(&service).await;
    let open = within(post(&mut client, CHAT, &hello(true))).await.unwrap();
    assert_eq!((open.status(), open.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    assert_ne!(open.headers()["x-trace-id"], "");
    let (_, mut stream) = open.into_parts();
    let piece = within(stream.data()).await.unwrap().unwrap();
    assert!(piece.starts_with(b"data: {"), "{piece:?}");
    let many: Vec<_> = (0..20).map(|_| post(&mut client, CHAT, &hello(false))).collect();
    for response in many {
        let (status, body) = answer(response).await;
        assert!(status == 200 && body.contains("answer "), "{status} {body}");
    }
    // The one that is still open is left, and the model server with it.
    drop(stream);
    service.hung_up().await;
    drop(client);
}

#[tokio::test]
async fn a_client_that_resets_its_request_is_recorded_as_gone() {
    let service = Service::start(vec![Say::Nothing]).await;
    let mut client = connect(&service).await;
    let request = Request::post(format!("http://localhost{CHAT}")).header("x-trace-id", "reset-1");
    let request = request.header("content-type", "application/json").body(()).unwrap();
    let (response, mut send) = client.send_request(request, false).unwrap();
    send.send_data(hello(false).to_string().into(), true).unwrap();
    within(async {
        while service.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    send.send_reset(Reason::CANCEL);
    drop(response);
    service.hung_up().await;
    let record = service.record("reset-1").await;
    assert_eq!((record.status, record.failure), (499, Some(Failure::ClientGone)));
}

/// What is checked of a head holds for both versions.
#[tokio::test]
async fn heads_that_two_servers_read_differently_are_refused() {
    let service = Service::start(Vec::new()).await;
    let mut client = connect(&service).await;
    let cases: [(&str, &[(&str, &str)]); 4] = [
        ("http://localhost/health", &[("host", "other")]),
        ("http://a@localhost/health", &[]),
        ("http://localhost/health", &[("host", "localhost"), ("host", "localhost")]),
        ("http://localhost/health", &[("authorization", "Bearer a"), ("authorization", "b")]),
    ];
    for (uri, headers) in cases {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        let (status, body) = answer(response).await;
        assert_eq!((status, code(&body).as_str()), (400, "bad_headers"), "{uri} {headers:?}");
    }
    let health = Request::get("http://localhost/health").header("host", "LOCALHOST").body(());
    let (response, _) = client.send_request(health.unwrap(), true).unwrap();
    assert_eq!(answer(response).await.0, 200);
    let elsewhere = Request::get("http://evil.example/health").body(()).unwrap();
    let (response, _) = client.send_request(elsewhere, true).unwrap();
    assert_eq!(answer(response).await.0, 421, "names of other hosts, as with HTTP/1.1");
    let connect = Request::connect("http://localhost:80").body(()).unwrap();
    let (response, _) = client.send_request(connect, true).unwrap();
    let refused = within(response).await;
    assert!(refused.is_err() || refused.is_ok_and(|r| r.status().is_client_error()));
}

fn small() -> Bounds {
    let short = Duration::from_millis(40);
    Bounds {
        first_byte: short * 5,
        head: short * 5,
        idle: Some(short),
        body_total: short * 6,
        body_idle: short * 3,
        write_stall: short,
        ..CONNECTIONS
    }
}

#[tokio::test]
async fn bodies_have_their_bounds() {
    let project = json!({"limits": {"max_body_bytes": 4096}});
    let setup = Setup { bounds: small(), project, ..Setup::default() };
    let service = Service::with(setup, vec![Say::Nothing, Say::text("fine")]).await;
    let mut client = connect(&service).await;
    // It keeps the connection in use.
    let waiting = post(&mut client, CHAT, &hello(false));
    let (response, mut send) = begin(&mut client, CHAT);
    send.send_data("{".into(), false).unwrap();
    let (status, body) = answer(response).await;
    assert_eq!((status, code(&body).as_str()), (408, "request_timeout"));
    let (response, mut send) = begin(&mut client, CHAT);
    send.send_data(vec![b' '; 4097].into(), false).unwrap();
    let (status, body) = answer(response).await;
    assert_eq!((status, code(&body).as_str()), (413, "request_too_large"));
    assert_eq!(answer(post(&mut client, CHAT, &hello(false))).await.0, 200, "it goes on");
    drop(waiting);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let setup = Setup { bounds: small(), ..Setup::default() };
    let service = Service::with(setup, Vec::new()).await;
    let mut client = connect(&service).await;
    assert_eq!(answer(post(&mut client, "/nowhere", &json!({}))).await.0, 404);
    within(async {
        while client.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Silent, or with the preface alone, or with half of it.
    for greeting in [&b""[..], &PREFACE[..10], PREFACE] {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(greeting).await.unwrap();
        within(stream.read_to_end(&mut Vec::new())).await.unwrap_or_default();
    }
}

/// Of a text that begins like the preface nothing is lost to HTTP/1.1.
#[tokio::test]
async fn the_preface_may_come_in_pieces_and_what_only_begins_like_it_is_http1() {
    let service = Service::start(Vec::new()).await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in PREFACE {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut head = [0; 9];
    within(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], SETTINGS, "a frame is answered with frames");
    for text in ["P", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx"] {
        let rest = "/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answer = service.raw(format!("{text} {rest}")).await;
        assert!((400..500).contains(&answer.status), "{text:?}: {answer:?}");
    }
    let mut split = TcpStream::connect(service.address).await.unwrap();
    split.set_nodelay(true).unwrap();
    for part in ["P", "OST /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"] {
        split.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    read_answer(split).await.check_error(404, "unknown_endpoint");
}

#[tokio::test]
async fn requests_over_the_cap_are_answered_503() {
    let bounds = Bounds { max_connections: 2, ..CONNECTIONS };
    let setup = Setup { bounds, ..Setup::default() };
    let service = Service::with(setup, vec![Say::Nothing, Say::Nothing]).await;
    let mut client = connect(&service).await;
    let held: Vec<_> = (0..2).map(|_| post(&mut client, CHAT, &hello(false))).collect();
    within(async {
        while service.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let response = within(post(&mut client, CHAT, &hello(false))).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    let (status, body) = within(whole(response)).await;
    assert_eq!((status, code(&body).as_str()), (503, "overloaded"));
    drop(held);
    within(async { while answer(post(&mut client, "/nowhere", &json!({}))).await.0 == 503 {} })
        .await;
}

/// A client that takes nothing of one answer, and its others.
#[tokio::test]
async fn an_answer_that_is_not_taken_ends_alone() {
    let text = "long ".repeat(40_000);
    let script = vec![Say::text(&text), Say::Nothing, Say::text("fine")];
    let service = Service::with(Setup { bounds: small(), ..Setup::default() }, script).await;
    let mut client = connect(&service).await;
    let stalled = within(post(&mut client, CHAT, &hello(false))).await.unwrap();
    let waiting = post(&mut client, CHAT, &hello(false));
    let (_, mut body) = stalled.into_parts();
    let error = within(async {
        loop {
            // What was sent is not given back, so no more comes.
            match body.data().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        }
    })
    .await;
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    // What it holds of the connection's window is given back.
    drop(body);
    assert_eq!(answer(post(&mut client, CHAT, &hello(false))).await.0, 200);
    drop(waiting);
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_takes_nothing_more() {
    let script = vec![Say::pieces(&["a", "b"], End::Done)];
    let mut service = Service::start(script).await;
    let mut client = connect(&service).await;
    let idle = connect(&service).await;
    let (response, mut send) = begin(&mut client, CHAT);
    send.send_data("{".into(), false).unwrap();
    assert_eq!(service.get("/readyz").await.status, 200);
    service.order_stop();
    within(async {
        while idle.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let rest = hello(true).to_string()[1..].to_owned();
    send.send_data(rest.into(), true).unwrap();
    let (status, body) = answer(response).await;
    assert!(status == 200 && body.ends_with("data: [DONE]\n\n"), "{status} {body}");
    assert!(client.ready().await.is_err(), "no more is taken");
    within(service.stop()).await;
}

#[tokio::test]
async fn what_is_cut_at_the_end_says_so() {
    let bounds = Bounds { drain: Duration::from_millis(100), ..CONNECTIONS };
    let script = vec![Say::pieces(&["a"], End::Open), Say::Nothing];
    let mut service = Service::with(Setup { bounds, ..Setup::default() }, script).await;
    let mut client = connect(&service).await;
    let stream = within(post(&mut client, CHAT, &hello(true))).await.unwrap();
    let waiting = post(&mut client, CHAT, &hello(false));
    service.order_stop();
    let (status, body) = answer(waiting).await;
    assert_eq!((status, code(&body).as_str()), (503, "server_stopping"));
    let (_, body) = within(whole(stream)).await;
    assert!(body.contains("\"error\"") && !body.contains("[DONE]"), "{body}");
    within(service.stop()).await;
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(content.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(content);
    frame
}

/// The headers of a POST to `/v1/chat/completions`, without an index.
fn headers() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (index, value) in [(0x04, CHAT), (0x01, "localhost")] {
        block.extend([index, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

/// Sends the frames until the connection ends, `count` times at most. Gives how often it could.
async fn flood(
    service: &Service,
    count: u32,
    mut frames: impl FnMut(u32) -> Vec<u8>,
) -> (u32, Vec<u8>) {
    let stream = TcpStream::connect(service.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        // It ends with the connection, in order or not.
        let _ = reader.read_to_end(&mut all).await;
        all
    });
    let mut sent = 0;
    within(async {
        let mut start = PREFACE.to_vec();
        start.extend(frame(SETTINGS, 0, 0, &[]));
        writer.write_all(&start).await.unwrap();
        while sent < count && writer.write_all(&frames(sent)).await.is_ok() {
            sent += 1;
        }
    })
    .await;
    // Those that were taken as a whole must end as well.
    let all = within(reading).await.unwrap();
    (sent, all)
}

/// Whether the last thing that was said is a refusal of the connection with this reason; nothing
/// may be said where a reset overtakes it.
fn ends_with_goaway(bytes: &[u8], reason: Reason) -> bool {
    let number = u32::from(reason).to_be_bytes();
    bytes.windows(4).rev().take(8).any(|window| window == number)
}

#[tokio::test]
async fn floods_end_their_connection_and_nobody_elses() {
    let script = (0..100).map(|_| Say::text("fine")).collect();
    let service = Service::start(script).await;
    let mut other = connect(&service).await;
    let most = 200_000;
    let (resets, _) = flood(&service, most, |n| {
        let stream = 2 * n + 1;
        let mut both = frame(HEADERS, 4, stream, &headers());
        both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        both
    })
    .await;
    assert!(resets < 20_000, "{resets} requests were begun and cancelled");
    let floods: [(&str, Vec<u8>); 6] = [
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])),
        ("pings", frame(PING, 0, 0, &[0; 8])),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0])),
        ("unknown frames", frame(99, 0, 0, &[])),
        ("resets of nothing", frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())),
        ("priorities", frame(2, 0, 1, &[0, 0, 0, 0, 1])),
    ];
    for (name, one) in floods {
        let (sent, _) = flood(&service, most, |_| one.clone()).await;
        assert!(sent < most, "{name}: all {sent} were taken");
    }
    let (sent, _) = flood(&service, most, |n| match n {
        0 => frame(HEADERS, 4, 1, &headers()),
        _ => frame(DATA, 0, 1, &[]),
    })
    .await;
    assert!(sent < most, "data without a byte: all {sent} were taken");
    assert_eq!(answer(post(&mut other, CHAT, &hello(false))).await.0, 200);
}

#[tokio::test]
async fn headers_without_an_end_are_refused() {
    let service = Service::start(Vec::new()).await;
    let block = [0x40, 1, b'a', 100].into_iter().chain([b'x'; 100]).collect::<Vec<u8>>();
    let (sent, said) = flood(&service, 200_000, |n| match n {
        0 => frame(HEADERS, 0, 1, &headers()),
        _ => frame(CONTINUATION, 0, 1, &block),
    })
    .await;
    assert!(sent < 20_000, "{sent} continuations were taken");
    let said_so = ends_with_goaway(&said, Reason::ENHANCE_YOUR_CALM);
    assert!(said_so || sent > 0, "{said:?}");
    // In one piece they are too long; the connection goes on.
    let mut client = connect(&service).await;
    let long = Request::get("http://localhost/health").header("x-long", "x".repeat(70_000));
    let (response, _) = client.send_request(long.body(()).unwrap(), true).unwrap();
    let refused = within(response).await;
    assert!(
        refused.as_ref().is_err() || refused.as_ref().is_ok_and(|r| r.status() == 431),
        "{refused:?}"
    );
    let mut client = connect(&service).await;
    assert_eq!(answer(post(&mut client, "/nowhere", &json!({}))).await.0, 404);
}

#[tokio::test]
async fn a_frame_that_dribbles_does_not_hold_a_connection() {
    let setup = Setup { bounds: small(), ..Setup::default() };
    let service = Service::with(setup, vec![Say::Nothing]).await;
    let waiting = hello(false).to_string();
    let mut start = PREFACE.to_vec();
    start.extend(frame(SETTINGS, 0, 0, &[]));
    start.extend(frame(HEADERS, 4, 1, &headers()));
    start.extend(frame(DATA, 1, 1, waiting.as_bytes()));
    let slow = frame(HEADERS, 0, 3, &headers());
    let more = frame(CONTINUATION, 0, 3, &[]).repeat(1_000);
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(&start).await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    within(async {
        for byte in slow.into_iter().chain(more) {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            ticks.tick().await;
        }
        panic!("all of it was taken");
    })
    .await;
}

#[tokio::test]
async fn more_requests_at_a_time_than_allowed_are_refused_unread() {
    let bounds = Bounds { streams: 3, ..CONNECTIONS };
    let script = (0..3).map(|_| Say::Nothing).collect();
    let service = Service::with(Setup { bounds, ..Setup::default() }, script).await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let mut start = PREFACE.to_vec();
    start.extend(frame(SETTINGS, 0, 0, &[]));
    for stream in [1, 3, 5, 7] {
        start.extend(frame(HEADERS, 4, stream, &headers()));
        start.extend(frame(DATA, 1, stream, hello(false).to_string().as_bytes()));
    }
    stream.write_all(&start).await.unwrap();
    within(async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut content = vec![0; length];
            stream.read_exact(&mut content).await.unwrap();
            if head[3] == RST_STREAM {
                assert_eq!((head[8], content[3]), (7, 7), "stream 7, REFUSED_STREAM");
                return;
            }
        }
    })
    .await;
}
