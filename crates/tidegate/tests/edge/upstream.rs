//! A model server that sends the given bytes, and remembers what it was asked; projects on it.

use crate::project::Project;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Cases that any answer passes.
pub(crate) const CASES: &str = "case_id,prompt,expected_behavior,risk,pass,notes\n\
    format_01,q1,b,format,,not_empty=true\ngrounding_01,q2,b,grounding,,not_empty=true\n\
    safety_01,q3,b,safety,,not_empty=true\nperformance_01,q4,b,performance,,not_empty=true\n\
    regression_01,q5,b,regression,,not_empty=true\n";

/// A fake model server; its thread ends with the test process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    shut: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Upstream {
    /// Answers every request with this head line, type and body.
    pub(crate) fn saying(status: &str, kind: &str, body: &str) -> Upstream {
        let answer = response(status, kind, body);
        Upstream::at(free(), move |_| answer.clone())
    }

    /// A whole answer with this text.
    pub(crate) fn answering(text: &str) -> Upstream {
        Upstream::saying("200 OK", "application/json", &completion(text))
    }

    /// Answers each request by a rule: a status line and a JSON body.
    pub(crate) fn by_rule(
        rule: impl Fn(&Value) -> (&'static str, String) + Send + 'static,
    ) -> Upstream {
        Upstream::at(free(), move |body| {
            let (status, body) = rule(body);
            response(status, "application/json", &body)
        })
    }

    /// The same with a rule that remembers.
    pub(crate) fn by_rule_mut(
        rule: impl FnMut(&Value) -> (&'static str, String) + Send + 'static,
    ) -> Upstream {
        let rule = Mutex::new(rule);
        Upstream::by_rule(move |body| (rule.lock().unwrap())(body))
    }

    /// Answers each request by a rule: a status line, a content type and a body.
    pub(crate) fn speaking(
        rule: impl Fn(&Value) -> (&'static str, &'static str, String) + Send + 'static,
    ) -> Upstream {
        Upstream::at(free(), move |body| {
            let (status, kind, body) = rule(body);
            response(status, kind, &body)
        })
    }

    /// A project that passes its requests on to this server's model `m1`, with more artifacts, each
    /// a line, and more keys.
    pub(crate) fn project(&self, artifacts: &str, more: &str) -> Project {
        project_at(self.address, artifacts, more)
    }

    fn at(listener: TcpListener, answer: impl Fn(&Value) -> String + Send + 'static) -> Upstream {
        let address = listener.local_addr().unwrap();
        let (asked, shut) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, ends) = (Arc::clone(&asked), Arc::clone(&shut));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                // A client that breaks off is its own concern.
                let _ = say(stream, &kept, &answer);
            }
        });
        Upstream { address, asked, shut, thread }
    }

    /// Shuts it off: from now on nobody listens on its address, which is given.
    pub(crate) fn shut(self) -> SocketAddr {
        self.shut.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).unwrap();
        self.thread.join().unwrap();
        self.address
    }

    /// Answers on the address of one that was shut off.
    pub(crate) fn again(address: SocketAddr, text: &str) -> Upstream {
        let answer = response("200 OK", "application/json", &completion(text));
        Upstream::at(TcpListener::bind(address).unwrap(), move |_| answer.clone())
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    /// The heads of what it was asked so far, in small letters.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(head, _)| head.clone()).collect()
    }

    /// An address where nobody listens.
    pub(crate) fn nobody() -> SocketAddr {
        free().local_addr().unwrap()
    }
}

/// A project that passes its requests on to the model `m1` of the server at this address, with more
/// artifacts, each a line, and more keys.
pub(crate) fn project_at(address: SocketAddr, artifacts: &str, more: &str) -> Project {
    let upstream = format!("kind: openai\n    base_url: http://{address}/v1");
    project_of(&upstream, artifacts, more)
}

/// The same with an upstream of any kind, its keys indented by four.
pub(crate) fn project_of(upstream: &str, artifacts: &str, more: &str) -> Project {
    let project = Project::init();
    std::fs::remove_dir_all(project.root.join("prompts")).unwrap();
    project.write(
        "tidegate.yaml",
        format!(
            "service: my-service\nlisten: 127.0.0.1:0\nupstreams:\n  up:\n    \
             {upstream}\nartifacts:\n  \
             prompt: {{mode: pass_through}}\n  \
             model: {{upstream: up, name: m1}}\n{artifacts}contract:\n  \
             endpoint: /v1/chat/completions\n  request_shape: messages\n  \
             response_shape: text\n  limits: none\n  stop_path: stop it\n{more}"
        ),
    );
    project
}

/// A free port, on a loopback address of this model server alone: a test beside this one must not
/// be given the port of a model server that was shut off.
fn free() -> TcpListener {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let host = match cfg!(target_os = "linux") {
        true => [127, 1 + (std::process::id() % 250) as u8, high, low | 1],
        // Elsewhere this machine has one loopback address.
        false => [127, 0, 0, 1],
    };
    TcpListener::bind((Ipv4Addr::from(host), 0)).unwrap()
}

/// The body of a whole answer with this text.
pub(crate) fn completion(text: &str) -> String {
    let body = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    });
    body.to_string()
}

/// An answer with this head line, type and body, as it is sent.
pub(crate) fn response(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one request, remembers it, and answers it.
pub(crate) fn say(
    stream: TcpStream,
    asked: &Mutex<Vec<(String, Value)>>,
    answer: impl Fn(&Value) -> String,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut head) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(given) = line.strip_prefix("content-length: ") {
            length = given.parse().map_err(std::io::Error::other)?;
        }
        if line.is_empty() {
            break;
        }
        head.push_str(&line);
        head.push('\n');
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    // Null for a request without a body.
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
    let answer = answer(&body);
    asked.lock().unwrap().push((head, body));
    reader.into_inner().write_all(answer.as_bytes())
}
