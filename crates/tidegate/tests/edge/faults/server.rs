//! A model server that does what each request's `x_fault` says, and remembers what it saw.

use super::bytes::{gzip, long_event, stream_bytes, whole_body};
use super::fault::{EVENTS, Fault};
use crate::upstream::completion;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// Ends a thread whose client never goes.
const WITHIN: Duration = Duration::from_secs(120);

/// A head that has begun takes no longer.
const HEAD_WITHIN: Duration = Duration::from_secs(3);

/// What was seen of one request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Call {
    /// How often it came.
    pub(crate) tries: u64,
    /// When the gateway let go of an answer that would not have ended.
    pub(crate) released: Option<Instant>,
}

#[derive(Default)]
struct Seen {
    /// By `x-trace-id`.
    calls: Mutex<HashMap<String, Call>>,
    /// Connections that are open.
    sockets: Mutex<HashMap<u64, TcpStream>>,
    /// Requests that came to the other host, where no redirect may lead.
    strayed: AtomicU64,
    /// What the model `m2` does with a request that says nothing.
    of_m2: Mutex<Option<Fault>>,
    /// Requests that it failed so.
    failed_by_m2: AtomicU64,
}

/// The server; its threads end with their connections.
pub(crate) struct ModelServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ModelServer {
    /// Starts it, and the other host of its redirects.
    pub(crate) fn start() -> ModelServer {
        let seen = Arc::new(Seen::default());
        let stray = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = stray.local_addr().unwrap();
        let counted = Arc::clone(&seen);
        spawn(move || {
            for _ in stray.incoming() {
                counted.strayed.fetch_add(1, Ordering::SeqCst);
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::clone(&seen);
        spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                let seen = Arc::clone(&kept);
                spawn(move || {
                    lock(&seen.sockets).insert(number, stream.try_clone().unwrap());
                    // A gateway that breaks off is what is tested.
                    let _ = Connection { stream, seen: &seen, elsewhere }.serve();
                    lock(&seen.sockets).remove(&number);
                });
            }
        });
        ModelServer { address, seen }
    }

    /// What was seen of a request.
    pub(crate) fn call(&self, trace: &str) -> Call {
        lock(&self.seen.calls).get(trace).copied().unwrap_or_default()
    }

    /// Requests, retries among them.
    pub(crate) fn tries(&self) -> u64 {
        lock(&self.seen.calls).values().map(|call| call.tries).sum()
    }

    /// Requests that followed a redirect.
    pub(crate) fn strayed(&self) -> u64 {
        self.seen.strayed.load(Ordering::SeqCst)
    }

    /// What the model `m2` does from now on with requests that say nothing.
    pub(crate) fn fails_as_m2(&self, fault: Option<Fault>) {
        *lock(&self.seen.of_m2) = fault;
        self.seen.failed_by_m2.store(0, Ordering::SeqCst);
    }

    /// Requests that it failed since then.
    pub(crate) fn failed_by_m2(&self) -> u64 {
        self.seen.failed_by_m2.load(Ordering::SeqCst)
    }

    /// Closes every connection; gives how many there were.
    pub(crate) fn hang_up(&self) -> usize {
        let sockets = lock(&self.seen.sockets);
        for socket in sockets.values() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        sockets.len()
    }
}

/// A request whose body's last byte is not read yet: closing the socket then resets it.
struct Request {
    trace: String,
    fault: Fault,
    stream: bool,
    wants_usage: bool,
}

struct Connection<'a> {
    stream: TcpStream,
    seen: &'a Seen,
    elsewhere: SocketAddr,
}

/// Whether the connection serves another request.
enum After {
    Open,
    Closed,
}

impl Connection<'_> {
    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(request) = self.read()? {
            let tries = {
                let mut calls = lock(&self.seen.calls);
                let call = calls.entry(request.trace.clone()).or_default();
                call.tries += 1;
                call.tries
            };
            match self.answer(&request, tries) {
                Ok(After::Open) => {}
                Ok(After::Closed) => return Ok(()),
                Err(error) => {
                    // It may let go while something is being sent.
                    self.released(&request);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<Option<Request>> {
        let mut seen = vec![0; 64 * 1024];
        let mut begun: Option<Instant> = None;
        let head = loop {
            let count = self.stream.peek(&mut seen)?;
            if count == 0 {
                return Ok(None);
            }
            match seen[..count].windows(4).position(|end| end == b"\r\n\r\n") {
                Some(end) => break end + 4,
                // The rest comes in a moment, or the network took it: an end is not peeked at
                // behind bytes.
                None if begun.is_some_and(|begun| begun.elapsed() > HEAD_WITHIN) => {
                    return Ok(None);
                }
                None => {
                    begun.get_or_insert_with(Instant::now);
                    sleep(Duration::from_millis(1));
                }
            }
        };
        let mut text = vec![0; head];
        self.stream.read_exact(&mut text)?;
        let text = String::from_utf8(text).map_err(io::Error::other)?.to_ascii_lowercase();
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let length: usize =
            header("content-length: ").unwrap_or("0").parse().map_err(io::Error::other)?;
        let mut body = vec![b'}'; length];
        self.stream.read_exact(&mut body[..length - 1])?;
        let body: Value = serde_json::from_slice(&body).map_err(io::Error::other)?;
        let mut fault = match body.get("x_fault") {
            Some(fault) => serde_json::from_value(fault.clone()).map_err(io::Error::other)?,
            None => Fault::None,
        };
        if body["model"] == "m2"
            && fault == Fault::None
            && let Some(of_m2) = *lock(&self.seen.of_m2)
        {
            fault = of_m2;
            self.seen.failed_by_m2.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Some(Request {
            trace: header("x-trace-id: ").unwrap_or_default().to_owned(),
            fault,
            stream: body["stream"] == true,
            wants_usage: body["stream_options"]["include_usage"] == true,
        }))
    }

    /// Takes the last byte of the request: the connection is closed in order from here on.
    fn take(&mut self) -> io::Result<()> {
        self.stream.read_exact(&mut [0])
    }

    fn answer(&mut self, request: &Request, tries: u64) -> io::Result<After> {
        let fault = request.fault;
        if !matches!(fault, Fault::ResetAtOnce | Fault::Reset(_)) {
            self.take()?;
        }
        if let Fault::Slow(ms) = fault {
            sleep(Duration::from_millis(ms));
        }
        if let Fault::Hints(count) = fault {
            let hint = "HTTP/1.1 103 Early Hints\r\nx-hint: yes\r\n\r\n";
            self.send(hint.repeat(count as usize).as_bytes())?;
        }
        match fault {
            Fault::Close | Fault::ResetAtOnce => return Ok(After::Closed),
            Fault::NotHttp => self.send(b"\x16\x03\x03 who is there\r\n\r\n")?,
            Fault::LongHead => {
                let long = format!("x-long: {}\r\n", "y".repeat(200_000));
                self.whole("200 OK", &long, completion("x").as_bytes())?;
            }
            Fault::Html => {
                self.whole("200 OK", "content-type: text/html\r\n", b"<html>sign in</html>")?;
            }
            Fault::Redirect(status) => {
                let to = format!("location: http://{}/v1/chat/completions\r\n", self.elsewhere);
                self.whole(&format!("{status} Moved"), &to, b"")?;
            }
            Fault::Once if tries == 1 => self.error(503, "", "")?,
            Fault::Status(status) => self.error(status, "", "")?,
            Fault::RateLimited(wait_s) => {
                self.error(429, &format!("retry-after: {wait_s}\r\n"), "rate_limit_exceeded")?;
            }
            Fault::Endless | Fault::Flood => return self.without_end(request),
            Fault::Account => self.error(429, "", "insufficient_quota")?,
            _ if request.stream => return self.events(request),
            _ => return self.body(request),
        }
        Ok(match fault {
            Fault::NotHttp | Fault::LongHead => After::Closed,
            _ => After::Open,
        })
    }

    fn error(&mut self, status: u16, headers: &str, code: &str) -> io::Result<()> {
        let code = Some(code).filter(|code| !code.is_empty());
        let body = json!({"error": {"message": "no", "code": code}}).to_string();
        self.whole(&format!("{status} X"), headers, body.as_bytes())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn whole(&mut self, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
        bytes.push_str(std::str::from_utf8(body).map_err(io::Error::other)?);
        self.send(bytes.as_bytes())
    }

    /// A whole answer.
    fn body(&mut self, request: &Request) -> io::Result<After> {
        let body = whole_body(request.fault);
        // Behind a text, and not in the middle of a character.
        let half = body.len() / 2;
        let half = half + body[half..].iter().position(|byte| *byte == b'-').unwrap_or(0);
        let (sent, promised) = match request.fault {
            Fault::Cut(_) | Fault::Reset(_) | Fault::Silent(1..) => (&body[..half], body.len()),
            Fault::Silent(_) => (&body[..0], body.len()),
            Fault::TooShort => (&body[..body.len() - 1], body.len()),
            Fault::Unended(_) | Fault::CutGzip => (&body[..half], half),
            _ => (&body[..], body.len()),
        };
        let encoding = match request.fault {
            Fault::Gzip | Fault::CutGzip => "content-encoding: gzip\r\n",
            _ => "",
        };
        if !matches!(request.fault, Fault::Silent(0)) {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{encoding}\
                 content-length: {promised}\r\n\r\n"
            );
            self.send(head.as_bytes())?;
            self.in_steps(request.fault, sent)?;
        }
        self.end(request)
    }

    /// A stream.
    fn events(&mut self, request: &Request) -> io::Result<After> {
        let fault = request.fault;
        if let Fault::Silent(0) = fault {
            return self.end(request);
        }
        let encoding = match fault {
            Fault::Gzip | Fault::CutGzip => "content-encoding: gzip\r\n",
            _ => "",
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{encoding}\
             transfer-encoding: chunked\r\n\r\n"
        );
        self.send(head.as_bytes())?;
        let mut bytes = stream_bytes(request.fault, request.wants_usage);
        match fault {
            Fault::Gzip => bytes = gzip(&bytes),
            Fault::CutGzip => {
                bytes = gzip(&bytes);
                bytes.truncate(bytes.len() / 2);
            }
            _ => {}
        }
        // A body that is split at every byte is split there in its chunks too.
        let size = if fault == Fault::Dribble { 1 } else { bytes.len().max(1) };
        let mut chunks = Vec::new();
        for chunk in bytes.chunks(size) {
            chunks.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            chunks.extend(chunk);
            chunks.extend(b"\r\n");
        }
        let is_broken = matches!(fault, Fault::Cut(_) | Fault::Reset(_) | Fault::TooShort);
        if !is_broken && !matches!(fault, Fault::Silent(_) | Fault::Heartbeats(_)) {
            chunks.extend(b"0\r\n\r\n");
        }
        self.in_steps(fault, &chunks)?;
        self.end(request)
    }

    fn in_steps(&mut self, fault: Fault, bytes: &[u8]) -> io::Result<()> {
        match fault {
            Fault::Dribble => bytes.iter().try_for_each(|byte| self.send(&[*byte])),
            Fault::Paced(ms) => {
                bytes.chunks(bytes.len() / EVENTS as usize + 1).try_for_each(|piece| {
                    sleep(Duration::from_millis(ms));
                    self.send(piece)
                })
            }
            _ => self.send(bytes),
        }
    }

    /// Sends on until the gateway lets go.
    fn without_end(&mut self, request: &Request) -> io::Result<After> {
        let kind = if request.stream { "text/event-stream" } else { "application/json" };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
        self.send(head.as_bytes())?;
        let (first, piece) = match request.fault {
            Fault::Flood => (String::new(), long_event()),
            _ if request.stream => ("data: {\"x\": \"".to_owned(), vec![b'x'; 1 << 16]),
            _ => ("{\"x\": \"".to_owned(), vec![b'x'; 1 << 16]),
        };
        self.send(first.as_bytes())?;
        while self.send(&piece).is_ok() {}
        self.released(request);
        Ok(After::Closed)
    }

    fn released(&self, request: &Request) {
        let mut calls = lock(&self.seen.calls);
        calls.entry(request.trace.clone()).or_default().released = Some(Instant::now());
    }

    /// What follows an answer.
    fn end(&mut self, request: &Request) -> io::Result<After> {
        match request.fault {
            Fault::Silent(_) => self.until_released(request, b"", WITHIN)?,
            Fault::Heartbeats(_) => {
                let every = Duration::from_millis(20);
                self.until_released(request, b"8\r\n: ping\n\n\r\n", every)?;
            }
            Fault::ThenCloses(ms) => sleep(Duration::from_millis(ms)),
            Fault::Reset(_) => {
                // What was sent is on its way before the reset can overtake it.
                sleep(Duration::from_millis(5));
            }
            Fault::Cut(_) | Fault::TooShort => {}
            _ => return Ok(After::Open),
        }
        Ok(After::Closed)
    }

    /// Sends something again and again until the gateway lets go, and notes when.
    fn until_released(
        &mut self,
        request: &Request,
        again: &[u8],
        every: Duration,
    ) -> io::Result<()> {
        self.stream.set_read_timeout(Some(every))?;
        let until = Instant::now() + WITHIN;
        while Instant::now() < until {
            match self.stream.read(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.send(again)?,
                // The end, or a reset.
                Ok(_) | Err(_) => break,
            }
        }
        self.released(request);
        Ok(())
    }
}
