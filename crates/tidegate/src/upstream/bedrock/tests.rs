//! What is sent to Bedrock, and how its answers, streams and errors are read: a simulated server.

use super::*;
use crate::config::{Reach, Thinking};
use crate::upstream::testing::server::{Act, Server};
use crate::upstream::testing::{call, http, stream, text, whole};
use serde_json::json;

fn config(server: &Server) -> config::Bedrock {
    config::Bedrock {
        region: "us-east-1".to_owned(),
        base_url: server.url.trim_end_matches("/v1").to_owned(),
        // HOME and PATH are set wherever tests run, and their values are allowed in headers.
        access_key_env: "HOME".to_owned(),
        secret_key_env: "PATH".to_owned(),
        session_token_env: Some("PATH".to_owned()),
        sampling: true,
        thinking: Thinking::Never,
        reach: Reach::default(),
    }
}

async fn ask(bytes: Vec<u8>, streamed: bool) -> (Result<Reply, UpstreamError>, String) {
    let mut server = Server::start(Act::Send(vec![bytes])).await;
    let upstream = Bedrock::new("main", &config(&server)).unwrap();
    let asked = call("anthropic.claude-3:0", "简短", "嗨");
    let reply = upstream.call(Call { stream: streamed, ..asked }).await;
    (reply, server.requests.recv().await.unwrap())
}

const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"七天"}]}},
    "stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#;

#[tokio::test]
async fn a_request_is_signed_and_its_answer_a_chat_completion() {
    let json = http("200 OK", "content-type: application/json\r\n", ANSWER);
    let (reply, request) = ask(json.into_bytes(), false).await;
    let (answer, _) = whole(reply);
    assert_eq!((text(&answer), &answer["usage"]["total_tokens"]), ("七天", &json!(5)));
    let (head, sent) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /model/anthropic.claude-3%3A0/converse HTTP/1.1\r\n"), "{head}");
    let body: Value = serde_json::from_str(sent).unwrap();
    let expected = json!({"system": [{"text": "简短"}], "inferenceConfig": {},
        "messages": [{"role": "user", "content": [{"text": "嗨"}]}]});
    assert_eq!(body, expected);
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
    };
    let (at, host) = (header("x-amz-date"), header("host"));
    let token = std::env::var("PATH").unwrap();
    assert_eq!(header("x-amz-security-token"), token.trim());
    // What the server would compute of what it got.
    let key = Key { id: std::env::var("HOME").unwrap(), secret: token.trim().to_owned() };
    let signed =
        [("host", host.as_str()), ("x-amz-date", &at), ("x-amz-security-token", token.trim())];
    let path = "/model/anthropic.claude-3%3A0/converse";
    let request = Signed { method: "POST", path, headers: &signed, body: sent.as_bytes() };
    let expected = sign::authorization(&request, &key, &at, ("us-east-1", "bedrock"));
    assert_eq!(header("authorization"), expected);
}

/// The bytes of a whole stream; another program made them, checksums included.
fn framed() -> Vec<u8> {
    let hex = include_str!("stream.hex");
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\r\n".to_vec()
}

#[tokio::test]
async fn a_stream_is_read_frame_by_frame() {
    let (reply, request) = ask([head(), framed()].concat(), true).await;
    assert!(
        request.starts_with("POST /model/anthropic.claude-3%3A0/converse-stream "),
        "{request}"
    );
    let got = stream(reply).await;
    got.end.unwrap();
    let said: String = got
        .chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(said, "七天");
    let usage = got.chunks.iter().find_map(|chunk| chunk["usage"]["total_tokens"].as_u64());
    assert_eq!(usage, Some(5));
}

#[tokio::test]
async fn a_stream_that_is_cut_or_broken_does_not_end_well() {
    let all = framed();
    let (reply, _) = ask([head(), all[..all.len() - 20].to_vec()].concat(), true).await;
    let failure = stream(reply).await.end.unwrap_err().failure;
    assert_eq!(failure, Failure::CutShort);
    let mut flipped = all.clone();
    let at = flipped.len() - 30;
    flipped[at] ^= 1;
    let (reply, _) = ask([head(), flipped].concat(), true).await;
    let error = stream(reply).await.end.unwrap_err();
    assert_eq!(error.failure, Failure::Malformed);
    assert!(error.message.contains("checksum"), "{}", error.message);
}

#[tokio::test]
async fn errors_say_whose_fault_they_are() {
    let check = async |status: &str, body: &str, failure, code: Option<&str>| {
        let answer = http(status, "content-type: application/json\r\n", body);
        let (reply, _) = ask(answer.into_bytes(), false).await;
        let error = reply.unwrap_err();
        assert_eq!((error.failure, error.said.code.as_deref()), (failure, code), "{body}");
        assert!(!error.message.contains("SECRET"), "{}", error.message);
    };
    let busy = r#"{"message":"Too many requests SECRET"}"#;
    check("429 x", busy, Failure::RateLimited, None).await;
    check("403 x", r#"{"Message":"not authorized"}"#, Failure::Credential, None).await;
    let long = r#"{"message":"Input is too long for requested model."}"#;
    check("400 x", long, Failure::Refused, Some("context_length_exceeded")).await;
    check("503 x", "{}", Failure::ServerError, None).await;
}

#[tokio::test]
async fn a_key_that_is_not_set_is_named() {
    let server = Server::start(Act::Hang(Vec::new())).await;
    let config =
        config::Bedrock { secret_key_env: "TIDEGATE_NO_SUCH_SECRET".to_owned(), ..config(&server) };
    let error = Bedrock::new("main", &config).unwrap_err().to_string();
    assert!(error.contains("`TIDEGATE_NO_SUCH_SECRET` (secret_key_env) is not set"), "{error}");
    let shown = format!("{:?}", Bedrock::new("main", &self::config(&server)).unwrap());
    assert!(!shown.contains(&std::env::var("PATH").unwrap()), "{shown}");
}
