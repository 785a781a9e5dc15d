//! A gateway on a free port, a scripted model server, and a client that speaks bytes.

use crate::clock::Clock;
use crate::config::{Loaded, Project};
use crate::http::Bounds;
use crate::observe::Collector;
use crate::request::auth::Authenticator;
use crate::request::bounds::CONNECTIONS;
use crate::request::{Front, Gateway, GatewayOptions, Parts, bind, serve};
use crate::route::{LiveTable, Router};
use crate::store::{Access, Records as _, Store};
use crate::version_set::{LiveSet, PackOverrides, pack};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_core::evidence::Record;
use tidegate_core::ids::{ChangeId, Generation, TraceId};
use tidegate_core::route::{Audience, Split, Table, Weight};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

/// A key that is long enough.
pub(super) const KEY: &str = "test-key-0123456789";

/// How the model server answers one request.
pub(super) enum Say {
    /// This status and body.
    Body(u16, String),
    /// Nothing: it waits for the gateway to hang up.
    Nothing,
    /// These events, then as said.
    Stream(Vec<String>, End),
}

/// How a stream ends.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// With `[DONE]`.
    Done,
    /// In the middle.
    Cut,
    /// Not at all: it waits for the gateway to hang up.
    Open,
}

impl Say {
    /// A usual answer.
    pub(super) fn text(text: &str) -> Say {
        let body = json!({
            "id": "c-1", "object": "chat.completion", "model": "gpt-4o-mini-0718", "extra": [1],
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        });
        Say::Body(200, body.to_string())
    }

    /// A usual stream of these pieces of text, with a usage chunk.
    pub(super) fn pieces(texts: &[&str], end: End) -> Say {
        let mut events: Vec<String> = texts
            .iter()
            .map(|text| json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string())
            .collect();
        if matches!(end, End::Done) {
            let stop = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
            let usage = json!({"prompt_tokens": 12, "completion_tokens": 3});
            events.push(stop.to_string());
            events.push(json!({"choices": [], "usage": usage}).to_string());
        }
        Say::Stream(events, end)
    }
}

#[derive(Default)]
struct Server {
    script: Mutex<VecDeque<Say>>,
    asked: Mutex<Vec<Value>>,
    hung_up: Notify,
}

/// A service under test.
pub(super) struct Service {
    pub(super) gateway: Arc<Gateway>,
    pub(super) store: Store,
    pub(super) address: SocketAddr,
    server: Arc<Server>,
    upstream: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

/// What can be different about a service.
pub(super) struct Setup {
    /// Merged into the project.
    pub(super) project: Value,
    /// Bounds on connections.
    pub(super) bounds: Bounds,
    /// Whether callers need [`KEY`], which belongs to tenant `acme`.
    pub(super) keyed: bool,
    /// Whether all requests with a user go to the candidate.
    pub(super) candidate: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let bounds = CONNECTIONS;
        Setup { project: json!({}), bounds, keyed: false, candidate: false }
    }
}

impl Service {
    /// A usual service whose model server answers as scripted.
    pub(super) async fn start(script: Vec<Say>) -> Service {
        Service::with(Setup::default(), script).await
    }

    /// A service set up otherwise.
    pub(super) async fn with(setup: Setup, script: Vec<Say>) -> Service {
        let server = Arc::new(Server { script: Mutex::new(script.into()), ..Server::default() });
        let upstream = model_server(Arc::clone(&server)).await;
        let mut yaml = json!({
            "service": "support-desk", "aliases": ["support"],
            "upstreams": {"main": {"kind": "openai", "base_url": format!("http://{upstream}/v1")}},
            "prices": {"gpt-4o-mini": {"input_per_million": 0.5, "output_per_million": 2.0}},
        });
        for (key, value) in setup.project.as_object().unwrap() {
            yaml[key] = value.clone();
        }
        let project: Project = serde_json::from_value(yaml).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_prompt(folder.path());
        let loaded = Loaded { project, root: folder.path().to_owned() };
        let packed = pack(&loaded, &PackOverrides::default()).unwrap();
        let set = Arc::new(LiveSet::new(&packed, folder.path(), &Clock::Real).unwrap());
        let store = Store::open(folder.path(), Access::Exclusive).unwrap();
        let parts = Parts {
            keys: Arc::default(),
            bounds: Arc::default(),
            router: Arc::new(Router::new(live_table(&set, setup.candidate))),
            collector: Arc::new(Collector::default()),
            store: store.clone(),
            clock: Clock::Real,
            log_key: None,
        };
        if setup.candidate {
            parts.collector.begin(change_id(), Default::default(), Default::default());
        }
        let keys = json!([{"name": "app", "key_env": "APP", "tenant": "acme"}]);
        let keys: Vec<crate::config::Credential> =
            if setup.keyed { serde_json::from_value(keys).unwrap() } else { Vec::new() };
        let authenticator =
            Authenticator::new(&keys, false, Arc::default(), |_| Some(KEY.to_owned())).unwrap();
        let options = GatewayOptions { log_requests: false, bounds: setup.bounds };
        let gateway = Gateway::with_authenticator(&loaded.project, parts, options, authenticator);
        let gateway = Arc::new(gateway);
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve(Front::one(Arc::clone(&gateway)), listener, async move {
            let _ = stopped.await;
        });
        let served = tokio::spawn(async move { serving.await.unwrap() });
        let stop = Some(stop);
        Service { gateway, store, address, server, upstream, stop, served, _folder: folder }
    }

    /// The project's upstreams, for another service on the same model server.
    pub(super) fn upstreams(&self) -> Value {
        json!({"main": {"kind": "openai", "base_url": format!("http://{}/v1", self.upstream)}})
    }

    /// Orders the service to stop and waits until it has.
    pub(super) async fn stop(mut self) {
        drop(self.stop.take());
        self.served.await.unwrap();
    }

    /// Orders the service to stop.
    pub(super) fn order_stop(&mut self) {
        drop(self.stop.take());
    }

    /// The bodies that the model server was sent.
    pub(super) fn asked(&self) -> Vec<Value> {
        self.server.asked.lock().unwrap().clone()
    }

    /// Waits until the gateway has hung up on the model server in mid-stream.
    pub(super) async fn hung_up(&self) {
        within(self.server.hung_up.notified()).await;
    }

    /// Sends bytes and reads to the end of the connection.
    pub(super) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A gateway that refuses early may close before all is written.
        let _ = stream.write_all(bytes.as_ref()).await;
        read_answer(stream).await
    }

    /// One request with a JSON body on a new connection.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, "", body).await
    }

    /// The same with more header lines.
    pub(super) async fn post_with(&self, path: &str, headers: &str, body: &Value) -> Answer {
        self.raw(request(path, headers, &body.to_string())).await
    }

    /// One GET.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
            .await
    }

    /// The record of a trace, once it is on disk.
    pub(super) async fn record(&self, trace: &str) -> Record {
        self.store.flush().await.unwrap();
        let trace = TraceId::parse(trace).unwrap();
        self.store.traces(&trace).unwrap().into_iter().next().expect("a record")
    }
}

/// The release that runs on a service with a candidate.
pub(super) fn change_id() -> ChangeId {
    ChangeId::parse("prompt-v3-a1b2c").unwrap()
}

/// A table of one set on both arms.
pub(super) fn live_table(set: &Arc<LiveSet>, candidate: bool) -> LiveTable {
    let mut table = Table::first(set.set.id.clone());
    if candidate {
        table.split = Some(Split {
            change_id: change_id(),
            candidate: set.set.id.clone(),
            weight: Weight::FULL,
            salt: "salt".to_owned(),
            audience: Audience::Users,
        });
    }
    let candidate = candidate.then(|| Arc::clone(set));
    table.generation = Generation(1);
    LiveTable { table, stable: Arc::clone(set), candidate }
}

/// A POST that closes its connection.
pub(super) fn request(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Waits for what must come; the bound only ends a test that has failed.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// A header's value; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default()
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// The data of a stream's events.
    pub(super) fn events(&self) -> Vec<&str> {
        self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    /// Checks an error: status and code, in a whole envelope.
    pub(super) fn check_error(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        let got = (self.status, body["error"]["code"].as_str());
        assert_eq!(got, (status, Some(code)), "{self:?}");
        let error = body["error"].as_object().unwrap();
        for member in ["message", "type", "param", "code"] {
            assert!(error.contains_key(member), "no {member} in {self:?}");
        }
        assert_ne!(self.header("x-request-id"), "", "{self:?}");
        assert_ne!(self.header("x-trace-id"), "", "{self:?}");
        body
    }
}

/// Reads one answer to the end of its connection.
pub(super) async fn read_answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer does not matter, one before it shows as no answer.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let Some(end) = end else {
        return Answer { status: 0, head: String::new(), body: String::new() };
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut body = bytes[end + 4..].to_vec();
    if head.contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[end + 2..];
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
    panic!("the chunked body is cut short: {:?}", String::from_utf8_lossy(&out));
}

fn write_prompt(root: &Path) {
    let folder = root.join("prompts/v1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("system.md"), "You are the support desk of 北风 shop.").unwrap();
    std::fs::write(folder.join("user_template.md"), "{{ input }}").unwrap();
    let config = "version: \"1.0\"\nmodel: gpt-4o-mini\ntemperature: 0.2\nmax_tokens: 100\n";
    std::fs::write(folder.join("config.yaml"), config).unwrap();
    std::fs::write(root.join("prompts/current"), "v1\n").unwrap();
    let search = "  - name: search\n    description: Searches.\n    permission: read\n";
    let count =
        "  - name: count\n    description: Counts.\n    permission: read\n    parameters:\n";
    let schema = "      type: object\n      properties: {of: {type: integer}}\n";
    let tools = format!("tools:\n{search}{count}{schema}");
    std::fs::write(root.join("tools.yaml"), tools).unwrap();
}

async fn model_server(server: Arc<Server>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(say(Arc::clone(&server), stream));
        }
    });
    address
}

async fn say(server: Arc<Server>, mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let body = loop {
        let mut buffer = [0u8; 8192];
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
        if bytes.len() >= end + 4 + length.parse::<usize>().unwrap() {
            break serde_json::from_slice(&bytes[end + 4..])?;
        }
    };
    server.asked.lock().unwrap().push(body);
    let next = server.script.lock().unwrap().pop_front();
    match next.unwrap_or(Say::Body(500, "{}".to_owned())) {
        Say::Body(status, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await
        }
        Say::Nothing => wait_for_hang_up(&server, stream).await,
        Say::Stream(events, end) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                        connection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            for event in events {
                stream.write_all(format!("data: {event}\n\n").as_bytes()).await?;
            }
            match end {
                End::Done => stream.write_all(b"data: [DONE]\n\n").await,
                End::Cut => Ok(()),
                End::Open => wait_for_hang_up(&server, stream).await,
            }
        }
    }
}

async fn wait_for_hang_up(server: &Server, mut stream: TcpStream) -> std::io::Result<()> {
    while let Ok(1..) = stream.read(&mut [0u8; 64]).await {}
    server.hung_up.notify_one();
    Ok(())
}
