//! A service on the flawed model server, clients of every kind, and what must hold of each request.

use super::bytes::text;
use super::fault::{Expected, Fault};
use super::server::ModelServer;
use crate::client::{self, CHAT, request};
use crate::project::{Project, Server, wait_for};
use crate::upstream::project_at;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_core::evidence::Record;
use tidegate_core::text::estimate_tokens;
use tidegate_core::upstream::Failure;
use tidegate_store::{Access, RecordQuery, Records as _, SqliteStore};

/// A request, which of the model server's faults it meets, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) trace: String,
    pub(crate) fault: Fault,
    pub(crate) stream: bool,
    pub(crate) client: Client,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Reads to the end.
    Reads,
    /// Reads to the end, a few bytes at a time.
    ReadsSlowly,
    /// Leaves once the model server was asked, and has not answered.
    Leaves,
    /// Leaves by closing its writing half alone.
    LeavesByHalf,
    /// Leaves after it read so many events.
    LeavesAfter(u64),
    /// Leaves in the middle of its request.
    LeavesAsking,
    /// Sends what is no request.
    Nonsense,
}

/// What a client saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    status: u16,
    code: Option<String>,
    retry_after: Option<u64>,
    text: String,
    is_done: bool,
    /// When it left.
    left: Option<Instant>,
    /// How long after that the model server was let go of.
    pub(crate) released: Option<Duration>,
}

/// The service under test.
pub(crate) struct Service {
    // Ended before its project is deleted.
    pub(crate) server: Server,
    pub(crate) project: Project,
    model: Arc<ModelServer>,
}

/// Where clients ask.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) model: Arc<ModelServer>,
}

impl Service {
    /// On a model server that fails as it is asked to; a token costs a millionth of a dollar.
    pub(crate) fn start(limits: &str) -> Service {
        Service::through(limits, |model| model)
    }

    /// The same with a network before the model server, which is at the address that is given back.
    pub(crate) fn through(limits: &str, network: impl FnOnce(SocketAddr) -> SocketAddr) -> Service {
        let model = Arc::new(ModelServer::start());
        let address = network(model.address);
        let more = format!(
            "prices:\n  m1: {{input_per_million: 1, output_per_million: 1}}\n\
             limits:\n  stop_notice_ms: 0\n{limits}"
        );
        let project = project_at(address, "", &more);
        let server = project.serve();
        Service { server, project, model }
    }

    /// Where clients ask.
    pub(crate) fn front(&self) -> Front {
        Front { address: self.server.address, model: Arc::clone(&self.model) }
    }

    /// Descriptors that its process holds.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.server.pid())).unwrap().count()
    }

    /// What its process holds in memory, KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most that it ever held, KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Stops the server and gives its records, by trace: each has one.
    pub(crate) fn stop(self) -> BTreeMap<String, Record> {
        let Service { server, project, model: _ } = self;
        server.terminate();
        let log = server.log();
        assert!(!log.contains("panicked"), "{log}");
        assert_eq!(server.ended(), Some(0));
        project.run(&["check"]).exits(0);
        let store = SqliteStore::open(&project.root, Access::Read).unwrap();
        let query = RecordQuery { limit: 1_000_000, ..RecordQuery::default() };
        let mut by_trace = BTreeMap::new();
        for record in store.records(&query).unwrap() {
            let trace = record.trace_id.as_str().to_owned();
            let before = by_trace.insert(trace, record);
            assert!(before.is_none(), "two records of one request: {before:?}");
        }
        by_trace
    }
}

impl Front {
    /// Asks all, so many at a time; gives what each saw, in their order.
    pub(crate) fn ask_all(&self, asked: &[Asked], at_once: usize) -> Vec<Seen> {
        let mut seen: Vec<(usize, Seen)> = std::thread::scope(|scope| {
            let share = |first: usize| {
                scope.spawn(move || {
                    let mine = (first..asked.len()).step_by(at_once);
                    mine.map(|number| (number, self.ask(&asked[number]))).collect::<Vec<_>>()
                })
            };
            let threads: Vec<_> = (0..at_once).map(share).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        seen.sort_by_key(|(number, _)| *number);
        seen.into_iter().map(|(_, seen)| seen).collect()
    }

    /// Asks, as the client does, and checks all that can be seen before the end.
    #[track_caller]
    pub(crate) fn ask(&self, asked: &Asked) -> Seen {
        let bytes = asked.bytes();
        let mut seen = match asked.client {
            Client::Reads => asked.read(self, &bytes),
            Client::ReadsSlowly => asked.read_slowly(self, &bytes),
            Client::Leaves | Client::LeavesByHalf => self.leave(asked, &bytes),
            Client::LeavesAfter(events) => self.leave_after(asked, &bytes, events),
            Client::LeavesAsking => {
                let mut stream = TcpStream::connect(self.address).unwrap();
                stream.write_all(&bytes[..bytes.len() - 1]).unwrap();
                Seen { left: Some(Instant::now()), ..Seen::default() }
            }
            Client::Nonsense => {
                let mut bytes = bytes;
                let last = bytes.len() - 1;
                bytes[last] = b']';
                asked.read(self, &bytes)
            }
        };
        self.check_seen(asked, &seen);
        if matches!(asked.client, Client::Leaves | Client::LeavesByHalf | Client::LeavesAfter(_)) {
            let call = || self.model.call(&asked.trace);
            assert!((1..=2).contains(&call().tries), "{asked:?} {:?}", call());
            let released = wait_for("the end of the call", || call().released);
            seen.released = seen.left.map(|left| released.duration_since(left));
        }
        seen
    }

    fn check_seen(&self, asked: &Asked, seen: &Seen) {
        let call = self.model.call(&asked.trace);
        match asked.client {
            Client::Reads | Client::ReadsSlowly => {
                let expected = asked.fault.expected(asked.stream);
                let is = (seen.status, seen.code.as_deref());
                // A retry is not promised: all share a reserve.
                let without = (502, Some("upstream_error"));
                let is_refused = asked.fault == Fault::Once && is == without;
                let is_expected = is == (expected.status, expected.code) || is_refused;
                assert!(is_expected, "{asked:?} {seen:?}");
                let is_answered = asked.stream && seen.code.is_none();
                assert_eq!(seen.is_done, is_answered, "{asked:?} {seen:?}");
                if let Fault::RateLimited(wait_s) = asked.fault {
                    assert_eq!(seen.retry_after, Some(wait_s.min(300)), "{asked:?} {seen:?}");
                }
                let most = asked.fault.most_tries(asked.stream);
                assert!((1..=most).contains(&call.tries), "{asked:?} {call:?}");
            }
            Client::Leaves | Client::LeavesByHalf | Client::LeavesAfter(_) => {}
            Client::LeavesAsking => assert_eq!(call.tries, 0, "{asked:?}"),
            Client::Nonsense => {
                assert_eq!((seen.status, seen.code.as_deref()), (400, Some("invalid_json")));
                assert_eq!(call.tries, 0, "{asked:?}");
            }
        }
    }

    fn leave(&self, asked: &Asked, bytes: &[u8]) -> Seen {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(bytes).unwrap();
        wait_for("the call", || (self.model.call(&asked.trace).tries > 0).then_some(()));
        let left = Some(Instant::now());
        if asked.client == Client::LeavesByHalf {
            stream.shutdown(Shutdown::Write).unwrap();
            // The gateway closes it, without an answer or in the middle of one.
            let _ = stream.read_to_end(&mut Vec::new());
        }
        Seen { left, ..Seen::default() }
    }

    fn leave_after(&self, asked: &Asked, bytes: &[u8], events: u64) -> Seen {
        let mut open = client::open(self.address, bytes).unwrap();
        let mut read = String::new();
        while read.matches("data: ").count() < events as usize {
            read.push_str(&open.chunk().unwrap());
        }
        let (text, _) = said(&read);
        assert!(asked.stream && text.starts_with(&super::bytes::text(events)), "{asked:?} {read}");
        drop(open);
        Seen { left: Some(Instant::now()), text, ..Seen::default() }
    }
}

impl Asked {
    /// What is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "user": self.trace,
                          "stream": self.stream, "x_fault": self.fault});
        let headers = format!("x-trace-id: {}\r\n", self.trace);
        request("POST", CHAT, &headers, body.to_string().as_bytes())
    }

    fn read(&self, front: &Front, bytes: &[u8]) -> Seen {
        let answer = client::open(front.address, bytes).and_then(client::Open::finish);
        let answer = answer.unwrap_or_else(|error| panic!("{error} {self:?}"));
        Seen::of(answer.status, answer.header("retry-after"), &answer.body)
    }

    fn read_slowly(&self, front: &Front, bytes: &[u8]) -> Seen {
        let mut open = client::open(front.address, bytes).unwrap();
        if !self.stream {
            std::thread::sleep(Duration::from_millis(30));
            let answer = open.finish().unwrap();
            return Seen::of(answer.status, answer.header("retry-after"), &answer.body);
        }
        let is_error = self.fault.expected(true).status != 200;
        if is_error || self.fault == Fault::Once {
            let answer = open.finish().unwrap();
            return Seen::of(answer.status, answer.header("retry-after"), &answer.body);
        }
        let mut body = String::new();
        loop {
            std::thread::sleep(Duration::from_millis(3));
            let chunk = open.chunk().unwrap_or_else(|error| panic!("{error} {self:?}"));
            if chunk.is_empty() {
                return Seen::of(200, "", &body);
            }
            body.push_str(&chunk);
        }
    }

    /// Checks the record of a request beside what its client saw.
    #[track_caller]
    pub(crate) fn check_record(&self, seen: &Seen, record: Option<&Record>) {
        if matches!(self.client, Client::LeavesAsking | Client::Nonsense) {
            assert!(record.is_none(), "{self:?} {record:?}");
            return;
        }
        let record = record.unwrap_or_else(|| panic!("no record of {self:?}"));
        let expected = match self.client {
            Client::Reads | Client::ReadsSlowly => self.expected_of(seen),
            _ => Expected { status: 499, code: None, failure: Some(Failure::ClientGone) },
        };
        let is = (record.status, record.failure, record.streamed);
        assert_eq!(is, (expected.status, expected.failure, self.stream), "{self:?} {record:?}");
        self.check_spent(seen, record);
    }

    fn expected_of(&self, seen: &Seen) -> Expected {
        match (self.fault, seen.status) {
            (Fault::Once, 502) => Fault::Status(503).expected(self.stream),
            _ => self.fault.expected(self.stream),
        }
    }

    /// What was delivered is counted and costs; nothing else does.
    fn check_spent(&self, seen: &Seen, record: &Record) {
        let chars = seen.text.chars().count() as u64;
        match self.client {
            Client::Reads | Client::ReadsSlowly => {
                assert_eq!(record.response_length, chars, "{self:?} {record:?}");
            }
            // Some of it may have been on its way.
            _ => {
                let most = text(self.fault.events()).chars().count() as u64;
                let is_sent = (chars..=most).contains(&record.response_length);
                assert!(is_sent, "{chars} to {most}: {self:?} {record:?}");
            }
        }
        // What cannot be so many is not believed.
        let is_believed = !matches!(self.fault, Fault::Absurd | Fault::Negative);
        if record.failure.is_none() && is_believed {
            assert_eq!((record.tokens_in, record.tokens_out), (3, 5), "{self:?} {record:?}");
            assert!(!record.tokens_estimated, "{record:?}");
        } else if self.fault != Fault::NoText {
            let output = record.output.as_deref().unwrap_or_default();
            assert_eq!(output.chars().count() as u64, record.response_length, "{record:?}");
            assert_eq!(record.tokens_out, estimate_tokens(output), "{self:?} {record:?}");
            assert_eq!(record.tokens_out > 0, record.response_length > 0, "{record:?}");
            // A stream that began was read by the model, whatever came of it.
            let is_begun = record.response_length > 0;
            assert!(!is_begun || record.tokens_in > 0, "{self:?} {record:?}");
        }
        let tokens = record.tokens_in + record.tokens_out;
        assert_eq!(record.cost_micro_usd, tokens, "{self:?} {record:?}");
    }
}

impl Seen {
    /// Reads an answer strictly: a stream's end mark is its last event, and none follows an error.
    fn of(status: u16, retry_after: &str, body: &str) -> Seen {
        let (text, code, is_done) = match body.contains("data: ") && !body.starts_with('{') {
            true => {
                let (text, ends) = said(body);
                assert!(ends.len() == 1, "{ends:?} in {body}");
                let is_done = ends[0] == "[DONE]";
                let last = body.trim_end().lines().last().unwrap();
                let is_last = last.contains(if is_done { "[DONE]" } else { "\"error\"" });
                assert!(is_last, "something follows the end: {body}");
                (text, ends.into_iter().find(|end| end != "[DONE]"), is_done)
            }
            false => {
                let answer: Value =
                    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e} in {body}"));
                let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
                let code = answer["error"]["code"].as_str().map(str::to_owned);
                (text.to_owned(), code, false)
            }
        };
        Seen {
            status,
            code,
            retry_after: retry_after.parse().ok(),
            text,
            is_done,
            ..Seen::default()
        }
    }
}

/// The text of a stream's events, and what ended it: `[DONE]`, or the code of an error.
fn said(body: &str) -> (String, Vec<String>) {
    let (mut text, mut ends) = (String::new(), Vec::new());
    for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            ends.push(data.to_owned());
            continue;
        }
        let event: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e} in {data}"));
        if let Some(code) = event["error"]["code"].as_str() {
            ends.push(code.to_owned());
        }
        text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    (text, ends)
}
