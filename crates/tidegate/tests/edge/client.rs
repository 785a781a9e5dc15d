//! A blocking HTTP/1.1 client: one connection for each request, nothing hidden.

use serde_json::{Value, json};
use std::borrow::Cow;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

/// Ends a test that hangs; no answer takes this long.
const WITHIN: Duration = Duration::from_secs(60);

/// The path of OpenAI clients.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All values of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.head.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// The text of a chat completion.
    pub(crate) fn text(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// The data of a stream's events.
    pub(crate) fn events(&self) -> Vec<String> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(str::to_owned).collect()
    }

    /// Checks an error: status, code, and a message that holds all of `says`.
    #[track_caller]
    pub(crate) fn check_error(&self, status: u16, code: &str, says: &[&str]) {
        let error = &self.json()["error"];
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{self:?}");
        let message = error["message"].as_str().unwrap_or_default();
        for text in says {
            assert!(message.contains(text), "no `{text}` in {message:?}");
        }
        assert_ne!(self.header("x-trace-id"), "", "{self:?}");
    }
}

/// A request whose answer has begun; its body is read piece by piece.
pub(crate) struct Open {
    reader: BufReader<TcpStream>,
    answer: Answer,
}

impl Open {
    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.answer.status
    }

    /// How many bytes of the body are here and not read, 1 MiB at most.
    #[cfg(target_os = "linux")]
    pub(crate) fn unread(&self) -> io::Result<usize> {
        let peeked = self.reader.get_ref().peek(&mut vec![0; 1 << 20])?;
        Ok(self.reader.buffer().len() + peeked)
    }

    /// The answer without its body.
    pub(crate) fn head(self) -> Answer {
        self.answer
    }

    /// The next chunk of a chunked body, empty at its end.
    pub(crate) fn chunk(&mut self) -> io::Result<String> {
        let mut size = String::new();
        self.reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk)?;
        chunk.truncate(size);
        String::from_utf8(chunk).map_err(io::Error::other)
    }

    /// The answer with the rest of its body.
    pub(crate) fn finish(mut self) -> io::Result<Answer> {
        if self.answer.header("transfer-encoding") == "chunked" {
            loop {
                let chunk = self.chunk()?;
                if chunk.is_empty() {
                    return Ok(self.answer);
                }
                self.answer.body.push_str(&chunk);
            }
        }
        let length = self.answer.header("content-length").parse::<usize>();
        let mut body = vec![0; length.map_err(io::Error::other)?];
        self.reader.read_exact(&mut body)?;
        self.answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(self.answer)
    }
}

/// Sends bytes and reads the head of what comes back.
pub(crate) fn open(address: SocketAddr, request: &[u8]) -> io::Result<Open> {
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {line:?}")))?;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => head.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    check_described(request, status, &head);
    Ok(Open { reader, answer: Answer { status, head, body: String::new() } })
}

/// The path as the document has it, with a name for what is each model's.
fn described_as(path: &str) -> Cow<'_, str> {
    for models in ["/v1/models/", "/v1beta/models/"] {
        let Some(model) = path.strip_prefix(models) else { continue };
        let models = if model.contains(':') { "/v1beta/models/" } else { models };
        let verb = model.rfind(':').map_or("", |at| &model[at..]);
        return Cow::Owned(format!("{models}{{id}}{verb}"));
    }
    Cow::Borrowed(path)
}

/// Checks that the data plane's own document has what was answered at one of its paths: the status,
/// and every header that is not HTTP's own.
#[track_caller]
fn check_described(request: &[u8], status: u16, headers: &[(String, String)]) {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../src/request/openapi.json")).unwrap()
    });
    let head = request.split(|b| *b == b'\n').next().unwrap_or_default();
    let Ok(head) = std::str::from_utf8(head) else { return };
    let [method, path, _] = head.trim_end().splitn(3, ' ').collect::<Vec<_>>()[..] else { return };
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let Some(item) = DOCUMENT["paths"].get(&*described_as(path)) else { return };
    // What a browser asks before it asks is no operation.
    if method == "OPTIONS" {
        return;
    }
    // An answer to another method is always the same one.
    let described = item.get(method.to_lowercase()).or_else(|| item.as_object()?.values().next());
    let responses = &described.unwrap()["responses"];
    let exact = responses.get(status.to_string());
    let refused = || responses.get("4XX").filter(|_| (400..500).contains(&status));
    let Some(response) = exact.or_else(refused) else {
        panic!("openapi.json has no {status} for {method} {path}");
    };
    let response = match response["$ref"].as_str() {
        Some(place) => DOCUMENT.pointer(place.trim_start_matches('#')).unwrap(),
        None => response,
    };
    const NAMED: [&str; 3] = ["request-id", "retry-after", "idempotent-replayed"];
    for (name, _) in headers {
        let is_ours = name.starts_with("x-") || NAMED.contains(&&**name);
        let is_described = response["headers"].get(name).is_some();
        assert!(!is_ours || is_described, "openapi.json has no {name} for {status} of {path}");
    }
}

/// The bytes of a request that closes its connection.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// One POST, to the end of its answer.
pub(crate) fn post(address: SocketAddr, path: &str, body: &Value) -> io::Result<Answer> {
    let body = body.to_string();
    open(address, &request("POST", path, "", body.as_bytes()))?.finish()
}

/// One GET, to the end of its answer.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> io::Result<Answer> {
    open(address, &request("GET", path, headers, b""))?.finish()
}

/// A chat request of a user; without a name nobody in particular asks.
pub(crate) fn chat(address: SocketAddr, user: Option<&str>, text: &str) -> io::Result<Answer> {
    let mut body = json!({ "messages": [{ "role": "user", "content": text }] });
    if let Some(user) = user {
        body["user"] = json!(user);
    }
    post(address, CHAT, &body)
}
