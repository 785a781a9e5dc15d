//! A server that sends the given bytes, on a free port of this machine.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// What the server does with a connection once it has read the request.
pub(in crate::upstream) enum Act {
    /// Sends these parts, each flushed, and closes.
    Send(Vec<Vec<u8>>),
    /// Sends the bytes and keeps the connection open without a word.
    Hang(Vec<u8>),
    /// Sends the bytes, and then the other ones again and again for as long as it can.
    Repeat(Vec<u8>, Vec<u8>),
}

/// A running server.
pub(in crate::upstream) struct Server {
    /// Its base URL.
    pub(in crate::upstream) url: String,
    /// The requests as they came.
    pub(in crate::upstream) requests: mpsc::UnboundedReceiver<String>,
    /// Resolves once the client has closed the (first) connection.
    pub(in crate::upstream) closed: oneshot::Receiver<()>,
}

impl Server {
    /// Starts a server that does this with every connection.
    pub(in crate::upstream) async fn start(act: Act) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::unbounded_channel();
        let (on_closed, closed) = oneshot::channel();
        tokio::spawn(async move {
            let mut on_closed = Some(on_closed);
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some(request) = read_request(&mut socket).await else { continue };
                let _ = seen.send(request);
                serve(&mut socket, &act).await;
                if let Some(on_closed) = on_closed.take() {
                    let _ = on_closed.send(());
                }
            }
        });
        Server { url, requests, closed }
    }
}

async fn serve(socket: &mut TcpStream, act: &Act) {
    match act {
        Act::Send(parts) => {
            for part in parts {
                if socket.write_all(part).await.is_err() {
                    return;
                }
                // The client gets a turn, so that parts arrive apart as often as not.
                tokio::task::yield_now().await;
            }
            let _ = socket.shutdown().await;
        }
        Act::Hang(bytes) => {
            let _ = socket.write_all(bytes).await;
            let mut byte = [0];
            while matches!(socket.read(&mut byte).await, Ok(1)) {}
        }
        Act::Repeat(first, again) => {
            let mut wrote = socket.write_all(first).await;
            while wrote.is_ok() {
                wrote = socket.write_all(again).await;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Reads one request with its body; `None` when the client leaves first.
pub(in crate::upstream) async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        let mut part = [0; 4096];
        match socket.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&part[..count]),
        }
    }
}
