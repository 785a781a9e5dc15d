//! The failure table's upstream part (U1 to U13) against a server that says anything.

use super::*;
use crate::upstream::testing::server::{Act, Server, read_request};
use crate::upstream::testing::{Streamed, call, http, stream, text, whole};
use crate::upstream::{Deadlines, Piece, bounds};
use std::time::Duration;
use tidegate_core::upstream::Failure;

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"七天"},"finish_reason":"stop"}]}"#;
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const HI: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"嗨\"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn json(body: &str) -> String {
    http("200 OK", "content-type: application/json\r\n", body)
}

async fn ask(act: Act, change: impl FnOnce(&mut Call)) -> Result<Reply, UpstreamError> {
    let server = Server::start(act).await;
    let mut call = call("m", "", "hi");
    change(&mut call);
    OpenAi::new("main", &server.url, None, true, true).unwrap().call(call).await
}

async fn say(answer: &str, wants_stream: bool) -> Result<Reply, UpstreamError> {
    let act = Act::Send(vec![answer.as_bytes().to_vec()]);
    ask(act, |call| call.stream = wants_stream).await
}

/// Checks that a whole answer fails like this, and says nothing of the upstream's text.
async fn check_failure(answer: &str, failure: Failure, message: &str) -> UpstreamError {
    let error = say(answer, false).await.unwrap_err();
    assert_eq!(error.failure, failure, "{answer}: {error:?}");
    assert!(error.message.contains(message), "{}", error.message);
    assert!(!error.message.contains("SECRET"), "{}", error.message);
    error
}

async fn say_stream(body: &str) -> Streamed {
    stream(say(&format!("{HEAD}{body}"), true).await).await
}

/// Checks how a stream that began well ends.
async fn check_end(body: &str, expected: Result<(), Failure>) {
    let got = say_stream(body).await;
    let said = got.end.as_ref().map_or_else(|error| error.message.as_str(), |_| "");
    assert!(!said.contains("SECRET"), "{said}");
    assert_eq!(got.end.map(|_| ()).map_err(|error| error.failure), expected, "{body:?}");
}

/// Checks that a stream fails before its first event, so that it may be tried again.
async fn check_no_stream(answer: &str, failure: Failure) {
    let error = say(answer, true).await.unwrap_err();
    assert_eq!(error.failure, failure, "{answer}: {}", error.message);
}

#[tokio::test]
async fn a_whole_answer_goes_through_unchanged() {
    let (answer, elapsed) = whole(say(&json(ANSWER), false).await);
    assert_eq!(text(&answer), "七天");
    assert!(elapsed.total > Duration::ZERO && elapsed.first_token == elapsed.total);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{chunked}{:x}\r\n{ANSWER}\r\n0\r\n\r\n", ANSWER.len());
    assert_eq!(text(&whole(say(&chunked, false).await).0), "七天");
}

#[tokio::test]
async fn only_our_own_headers_are_sent() {
    let mut server = Server::start(Act::Send(vec![json(ANSWER).into_bytes()])).await;
    // PATH is set wherever tests run, and its value is allowed in a header.
    let upstream =
        OpenAi::new("main", &format!("{}/", server.url), Some("PATH"), true, true).unwrap();
    let mut call = call("m", "", "你好");
    call.trace_id = Some("canary-1".to_owned());
    call.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    upstream.call(call).await.unwrap();
    let request = server.requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /v1/chat/completions HTTP/1.1"));
    let mut names: Vec<&str> = lines.map(|line| line.split_once(':').unwrap().0).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "traceparent",
        "user-agent",
        "x-request-id",
        "x-trace-id",
    ];
    assert_eq!(names, expected);
    assert!(head.contains(&format!("authorization: Bearer {}", std::env::var("PATH").unwrap())));
    assert!(head.contains("x-request-id: req-1") && head.contains("user-agent: tidegate/"));
    assert_eq!(body, r#"{"model":"m","messages":[{"role":"user","content":"你好"}]}"#);
    assert!(!format!("{upstream:?}").contains(&std::env::var("PATH").unwrap()));
}

#[tokio::test]
async fn u1_nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error =
        OpenAi::new("main", &url, None, true, true).unwrap().call(call("m", "", "hi")).await;
    let error = error.unwrap_err();
    assert_eq!((error.failure, error.status), (Failure::Unreachable, None));
    assert_eq!(error.message, "the upstream could not be reached: connection refused");
    assert!(error.elapsed.total < Duration::from_secs(2), "{error:?}");

    let no_name = OpenAi::new("main", "http://name.invalid/v1", None, true, true).unwrap();
    let error = no_name.call(call("m", "", "hi")).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unreachable);
    assert!(error.message.contains("its name cannot be resolved"), "{}", error.message);

    let error = say("", false).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unreachable);
    assert!(error.message.contains("closed the connection"), "{}", error.message);
    check_failure("SECRET nonsense\r\n\r\n", Failure::Malformed, "something other than HTTP").await;
}

#[tokio::test]
async fn tls_is_asked_for_where_the_url_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    let Ok(upstream) = OpenAi::new("main", &url, None, true, true) else {
        // No certificates on this machine; that it says so is the next test's.
        return;
    };
    let answering = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut first = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut socket, &mut first).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 no\r\n\r\n").await.unwrap();
        first[0]
    };
    let (reply, first) = tokio::join!(upstream.call(call("m", "", "hi")), answering);
    assert_eq!(first, 0x16, "a TLS handshake record");
    let error = reply.unwrap_err();
    assert_eq!(error.failure, Failure::Unreachable);
    assert!(error.message.contains("TLS"), "{}", error.message);
}

fn short(call: &mut Call, first_byte: u64, idle: u64, total: u64) {
    let ms = Duration::from_millis;
    call.deadlines = Deadlines { first_byte: ms(first_byte), idle: ms(idle), total: ms(total) };
}

/// Checks which deadline ends a call, and that it ends then and not much later.
async fn check_late(act: Act, wants_stream: bool, limits: (u64, u64, u64), failure: Failure) {
    let (first_byte, idle, total) = limits;
    let reply = ask(act, |call| {
        call.stream = wants_stream;
        short(call, first_byte, idle, total);
    });
    let error = match reply.await {
        Ok(reply) => stream(Ok(reply)).await.end.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.failure, failure, "{error:?}");
    assert!(error.elapsed.total < Duration::from_secs(10), "{error:?}");
}

#[tokio::test]
async fn u2_u11_deadlines() {
    let long = 60_000;
    let hang = |text: &str| Act::Hang(text.as_bytes().to_vec());
    check_late(hang(""), false, (50, long, long), Failure::FirstByteTimeout).await;
    check_late(hang(""), true, (50, long, long), Failure::FirstByteTimeout).await;
    check_late(hang(""), false, (long, long, 50), Failure::TotalTimeout).await;
    // Headers and comments are not yet an answer.
    check_late(hang(HEAD), true, (50, long, long), Failure::FirstByteTimeout).await;
    let started = json(ANSWER).replace("\"}]}", "");
    check_late(hang(&started), false, (long, long, 50), Failure::TotalTimeout).await;
    let begun = format!("{HEAD}{HI}");
    check_late(hang(&begun), true, (long, 50, long), Failure::IdleTimeout).await;
    check_late(hang(&begun), true, (long, long, 80), Failure::TotalTimeout).await;
    let repeat = |first: &str, again: &str| Act::Repeat(first.into(), again.into());
    // Only data moves the idle deadline: no comment, and no chunk that says nothing.
    let empty = "data: {\"choices\":[{\"index\":0,\"delta\":{}}]}\n\n";
    for life in [": ping\n\n", "data: {\"choices\":[]}\n\n", empty] {
        check_late(repeat(HEAD, life), true, (50, 50, long), Failure::IdleTimeout).await;
        check_late(repeat(&begun, life), true, (50, 50, long), Failure::IdleTimeout).await;
        check_late(repeat(HEAD, life), true, (long, 50, 200), Failure::TotalTimeout).await;
    }
    check_late(repeat(&begun, HI), true, (50, 50, 200), Failure::TotalTimeout).await;
}

#[tokio::test]
async fn u3_u4_u5_statuses() {
    let secret = r#"{"error":{"message":"SECRET","code":"x"}}"#;
    let limited = http("429 Too Many Requests", "retry-after: 9999\r\n", secret);
    let error = check_failure(&limited, Failure::RateLimited, "(status 429)").await;
    assert_eq!((error.status, error.retry_after_s()), (Some(429), Some(300)));
    let quota = r#"{"error":{"message":"SECRET","code":"insufficient_quota"}}"#;
    check_failure(&http("429 x", "", quota), Failure::AccountLimit, "credit or limit").await;
    check_failure(&http("500 x", "", secret), Failure::ServerError, "failed (status 500)").await;
    check_failure(&http("503 x", "", "<p>SECRET"), Failure::ServerError, "(status 503)").await;
    check_failure(&http("529 x", "", ""), Failure::ServerError, "(status 529)").await;
    let refused = "refused our credential (status 401)";
    check_failure(&http("401 x", "", secret), Failure::Credential, refused).await;
    check_failure(&http("404 x", "", secret), Failure::Refused, "refused the request").await;
    check_failure(&http("204 No Content", "", ""), Failure::Malformed, "empty body").await;
    // The body of an error may be endless or never come.
    let endless = format!("HTTP/1.1 500 x\r\n\r\n{}", "SECRET".repeat(20_000));
    check_failure(&endless, Failure::ServerError, "(status 500)").await;
    check_no_stream(&limited, Failure::RateLimited).await;
}

#[tokio::test]
async fn u13_a_redirect_is_not_followed() {
    let mut other = Server::start(Act::Send(vec![json(ANSWER).into_bytes()])).await;
    for status in [301, 302, 307, 308] {
        let location = format!("location: {}/chat/completions\r\n", other.url);
        let answer = http(&format!("{status} Moved"), &location, "");
        check_failure(&answer, Failure::Malformed, "redirect").await;
    }
    assert!(other.requests.try_recv().is_err());
}

#[tokio::test]
async fn u10_u12_bodies() {
    let html = http("200 OK", "content-type: text/html; charset=utf-8\r\n", "<html>SECRET");
    check_failure(&html, Failure::Malformed, "answered with HTML, not JSON").await;
    check_failure(&json("<html>SECRET"), Failure::Malformed, "HTML").await;
    check_failure(&json(r#"{"choices":[]}"#), Failure::Malformed, "no choices").await;
    check_failure(&json("SECRET"), Failure::Malformed, "not valid JSON").await;
    check_failure(&json(r#"{"error":{"message":"SECRET"}}"#), Failure::ServerError, "error").await;
    let gzip = http("200 OK", "content-encoding: gzip\r\n", "SECRET SECRET SECRET");
    check_failure(&gzip, Failure::Malformed, "not what its content-encoding says").await;
    let brotli = http("200 OK", "content-encoding: br\r\n", "SECRET");
    check_failure(&brotli, Failure::Malformed, "compressed as `br`").await;
    let events = http("200 OK", "content-type: text/event-stream\r\n", HI);
    check_failure(&events, Failure::Malformed, "was not asked for").await;
    let length = ANSWER.len();
    let longer = json(ANSWER).replace(&length.to_string(), &(length + 1).to_string());
    check_failure(&longer, Failure::CutShort, "broke in the middle").await;
    let shorter = json(ANSWER).replace(&length.to_string(), &(length - 1).to_string());
    check_failure(&shorter, Failure::CutShort, "middle of its JSON").await;
    let unended = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"cho";
    check_failure(unended, Failure::CutShort, "broke in the middle").await;
}

#[tokio::test]
async fn u9_a_whole_answer_has_a_bound() {
    let promised = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{\"choices\":";
    check_failure(promised, Failure::TooLarge, "over 33554432 bytes").await;
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let error = ask(Act::Repeat(head, vec![b' '; 1 << 16]), |_| {}).await.unwrap_err();
    assert_eq!(error.failure, Failure::TooLarge);
}

#[tokio::test]
async fn u9_a_line_of_a_stream_has_a_bound() {
    let endless = Act::Repeat(format!("{HEAD}data: \"").into(), vec![b'x'; 1 << 16]);
    let error = ask(endless, |call| call.stream = true).await.unwrap_err();
    assert_eq!(error.failure, Failure::TooLarge, "{error:?}");
    let long = format!("{HI}data: \"{}\"\n\n", "x".repeat(tidegate_wire::sse::LINE_MAX));
    check_end(&long, Err(Failure::TooLarge)).await;
}

#[tokio::test]
async fn u7_how_a_stream_may_end() {
    check_end(&format!("{HI}{DONE}"), Ok(())).await;
    check_end(&format!("{HI}{STOP}{DONE}{DONE}{HI}not even a field"), Ok(())).await;
    check_end(&format!("{HI}{STOP}data: [DONE]"), Ok(())).await;
    check_end(&format!("{HI}{STOP}"), Ok(())).await;
    check_end(HI, Err(Failure::CutShort)).await;
    let empty = HI.replace("}}]}", "},\"finish_reason\":\"\"}]}");
    check_end(&empty, Err(Failure::CutShort)).await;
    check_end(&format!("{HI}{STOP}data: {{\"choi"), Err(Failure::CutShort)).await;
    let other = HI.replace("\"index\":0", "\"index\":1");
    check_end(&format!("{HI}{other}{STOP}"), Err(Failure::CutShort)).await;
    // A body that HTTP itself says is cut has not ended well, whatever it held.
    let head = HEAD.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("{HI}{STOP}");
    let cut = format!("{head}{:x}\r\n{chunk}\r\n", chunk.len());
    let got = stream(say(&cut, true).await).await;
    assert_eq!(got.end.unwrap_err().failure, Failure::CutShort);
    assert_eq!(got.text, "嗨");
}

#[tokio::test]
async fn u8_what_a_stream_may_hold() {
    check_end(&format!("{HI}data: SECRET\n\n{DONE}"), Err(Failure::Malformed)).await;
    check_end(&format!("{HI}data: [1]\n\n"), Err(Failure::Malformed)).await;
    check_end(&format!("{HI}data: {{\"choices\":7}}\n\n"), Err(Failure::Malformed)).await;
    check_end(&format!("{HI}data: {{\"a\":1}} x\n\n"), Err(Failure::Malformed)).await;
    check_end(&format!("{HI}data:\n\n{DONE}"), Ok(())).await;
    let error = "data: {\"error\":{\"message\":\"SECRET\",\"code\":503}}\n\n";
    check_end(&format!("{HI}{error}{DONE}"), Err(Failure::ServerError)).await;
    let inside = error.replace("\"error\"", "\"choices\":[{\"error\"").replace("}\n", "}]}\n");
    check_end(&format!("{HI}{inside}{DONE}"), Err(Failure::ServerError)).await;
    let ended = STOP.replace("stop", "error");
    check_end(&format!("{HI}{ended}{DONE}"), Err(Failure::ServerError)).await;
    let event = "event: error\ndata: {\"message\":\"SECRET\"}\n\n";
    check_end(&format!("{HI}{event}{DONE}"), Err(Failure::ServerError)).await;
    check_end(&format!("{HI}event: error\ndata: SECRET\n\n"), Err(Failure::ServerError)).await;
    check_end(&format!("{HI}data: {{\"new\":\"member\"}}\n\n{DONE}"), Ok(())).await;
    check_end(&format!("{HI}data: {{\"error\":null}}\n\n{DONE}"), Ok(())).await;
    check_no_stream(&format!("{HEAD}data: SECRET\n\n"), Failure::Malformed).await;
    check_no_stream(&format!("{HEAD}{error}"), Failure::ServerError).await;
    check_no_stream(&format!("{HEAD}{DONE}"), Failure::Malformed).await;
    check_end(": ping\n\n", Err(Failure::CutShort)).await;
    check_end(&format!(": ping\n\n{HI}: ping\n\n{DONE}"), Ok(())).await;
    let mut broken = format!("{HEAD}data: ").into_bytes();
    broken.extend(b"{\"a\":\"\xFF\"}\n\n");
    let error = ask(Act::Send(vec![broken]), |call| call.stream = true).await.unwrap_err();
    assert_eq!(error.failure, Failure::Malformed);
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_heard_all_the_same() {
    assert_eq!(text(&whole(say(&json(ANSWER), true).await).0), "七天");
    let html = http("200 OK", "content-type: text/html\r\n", "<html>");
    check_no_stream(&html, Failure::Malformed).await;
}

/// U8: a stream in two parts, split at every byte, is the same stream.
#[tokio::test]
async fn u8_parts_of_a_stream_do_not_matter() {
    let whole = format!("{HEAD}: 心跳\r\n\r\n{HI}{STOP}{DONE}").into_bytes();
    for at in HEAD.len()..whole.len() {
        let parts = vec![whole[..at].to_vec(), whole[at..].to_vec()];
        let got = stream(ask(Act::Send(parts), |call| call.stream = true).await).await;
        assert_eq!((got.text.as_str(), got.finish.as_deref()), ("嗨", Some("stop")), "{at}");
        assert!(got.end.is_ok() && got.chunks.len() == 2, "{at}");
    }
}

#[tokio::test]
async fn data_of_several_lines_becomes_one() {
    let got = say(&format!("{HEAD}data: {{\"choices\":\ndata: []}}\n\n{DONE}"), true).await;
    let Reply::Stream(mut pieces) = got.unwrap() else { panic!("a whole answer") };
    let Some(Piece::Data { bytes: data, .. }) = pieces.next().await else { panic!("no data") };
    assert_eq!(&data[..], b"{\"choices\": []}");
}

/// C1: whoever lets go of an answer, at whatever moment, stops the upstream within a second.
async fn check_cancel(act: Act, wants_stream: bool, read: usize) {
    let mut server = Server::start(act).await;
    let upstream = OpenAi::new("main", &server.url, None, true, true).unwrap();
    let mut call = call("m", "", "hi");
    call.stream = wants_stream;
    let calling = tokio::spawn(async move {
        let Ok(Reply::Stream(mut pieces)) = upstream.call(call).await else { return };
        for _ in 0..read {
            pieces.next().await.unwrap();
        }
    });
    server.requests.recv().await.unwrap();
    if read == 0 {
        calling.abort();
    }
    tokio::time::timeout(Duration::from_secs(1), server.closed).await.unwrap().unwrap();
}

#[tokio::test]
async fn c1_letting_go_closes_the_connection() {
    let begun = format!("{HEAD}{HI}");
    check_cancel(Act::Hang(Vec::new()), false, 0).await;
    check_cancel(Act::Hang(json(ANSWER)[..80].into()), false, 0).await;
    check_cancel(Act::Hang(Vec::new()), true, 0).await;
    check_cancel(Act::Hang(HEAD.into()), true, 0).await;
    check_cancel(Act::Hang(begun.clone().into()), true, 1).await;
    check_cancel(Act::Repeat(begun.clone().into(), HI.into()), true, 3).await;
    check_cancel(Act::Repeat(begun.into(), ": ping\n\n".into()), true, 1).await;
}

#[tokio::test]
async fn c2_a_reader_that_stands_still_stops_the_upstream_at_the_total_deadline() {
    let endless = Act::Repeat(format!("{HEAD}{HI}").into(), HI.into());
    let server = Server::start(endless).await;
    let mut call = call("m", "", "hi");
    call.stream = true;
    short(&mut call, 60_000, 60_000, 100);
    let reply = OpenAi::new("main", &server.url, None, true, true).unwrap().call(call).await;
    let Reply::Stream(mut pieces) = reply.unwrap() else { panic!("a whole answer") };
    server.closed.await.unwrap();
    let mut count = 0;
    let error = loop {
        match pieces.next().await.unwrap() {
            Piece::Ping | Piece::Data { .. } => count += 1,
            Piece::Failed(error) => break error,
            Piece::Done(_) => panic!("done"),
        }
    };
    assert_eq!((count, error.failure), (bounds::PIECES, Failure::TotalTimeout));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                   transfer-encoding: chunked\r\n\r\n";
    let body = format!("{HI}{DONE}");
    let answer = format!("{chunked}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            read_request(&mut socket).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await.unwrap();
        }
    });
    let upstream = OpenAi::new("main", &url, None, true, true).unwrap();
    for _ in 0..3 {
        let mut call = call("m", "", "hi");
        call.stream = true;
        let got = stream(upstream.call(call).await).await;
        assert!(got.end.is_ok());
    }
    serving.await.unwrap();
}

fn check_url(url: &str, expected: Result<&str, &str>) {
    let got = endpoint("main", url, CHAT_COMPLETIONS);
    match (got, expected) {
        (Ok(uri), Ok(expected)) => assert_eq!(uri.to_string(), expected),
        (Err(error), Err(expected)) => {
            let message = error.to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("upstream `main`"), "{message}");
            assert!(!message.contains("SECRET"), "{message}");
        }
        (got, _) => panic!("{url}: {got:?}"),
    }
}

#[test]
fn base_urls() {
    check_url("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080/chat/completions"));
    check_url("https://api.x.com/v1/", Ok("https://api.x.com/v1/chat/completions"));
    check_url("http://[::1]:80/a/b", Ok("http://[::1]:80/a/b/chat/completions"));
    check_url("ftp://x/v1", Err("must start with"));
    check_url("api.x.com/v1", Err("must start with"));
    check_url("api.x.com", Err("must start with"));
    check_url("", Err("must start with"));
    check_url("https://", Err("has no host"));
    check_url("https:///v1", Err("has no host"));
    check_url("http://:80/v1", Err("has no host"));
    check_url("http://x:port/v1", Err("has a port"));
    check_url("http://x:/v1", Err("has a port"));
    check_url("http://x:99999/v1", Err("has a port"));
    check_url("https://x/v1?key=1", Err("has a query"));
    check_url("https://x/v1#a", Err("has a query or a fragment"));
    check_url("https://me:SECRET@x/v1", Err("has credentials"));
    check_url("https://x/v1/chat/completions", Err("leave out"));
    check_url("https://x y/v1", Err("is not a URL"));
}

#[test]
fn a_missing_key_is_named() {
    let error =
        OpenAi::new("main", "http://x/v1", Some("TIDEGATE_NO_SUCH_KEY"), true, true).unwrap_err();
    let error = crate::error::CliError::from(error);
    assert!(error.message.contains("`TIDEGATE_NO_SUCH_KEY` (api_key_env) is not set"), "{error}");
    assert_eq!(error.kind, crate::error::ErrorKind::Usage);
    assert!(error.hints[0].contains("export TIDEGATE_NO_SUCH_KEY"));
}
