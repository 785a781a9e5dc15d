//! The admin plane under clients that mean it no good, or do not work: each is answered or closed
//! in bounded time, and neither commands nor the data plane wait for them.

use crate::client;
use crate::project::{Project, Server, wait_for};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest deadline of a head or of a piece of a body, with room for a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// What came back on a connection until its end, and how long that took.
struct Ended {
    text: String,
    after: Duration,
}

/// Sends bytes, then one `drip` every 100 ms for as long as the server takes it.
fn talk(address: SocketAddr, start: Vec<u8>, drip: &'static [u8]) -> JoinHandle<Ended> {
    let mut stream = TcpStream::connect(address).unwrap();
    std::thread::spawn(move || {
        let began = Instant::now();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        stream.write_all(&start).unwrap();
        let (mut text, mut piece) = (Vec::new(), [0u8; 4096]);
        while began.elapsed() < 4 * SOON {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => text.extend_from_slice(&piece[..read]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    // The server may have closed its side: the next read says so.
                    let _ = stream.write_all(drip);
                }
                // A reset is an end as well.
                Err(_) => break,
            }
        }
        Ended { text: String::from_utf8_lossy(&text).into_owned(), after: began.elapsed() }
    })
}

fn head(token: &str, length: usize) -> String {
    format!(
        "POST /admin/v1/commands HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\n\r\n"
    )
}

#[test]
fn slow_silent_and_oversized_clients_of_the_admin_plane_are_closed_in_time() {
    let project = Project::quick();
    let server = project.serve();
    let (admin, token) = Server::admin(&project.root);
    let long_path = "x".repeat(20_000);
    let clients = [
        ("says nothing", talk(admin, vec![], b""), ""),
        ("sends its head byte by byte", talk(admin, b"GET /admin".to_vec(), b"x"), ""),
        (
            "stops in the middle of its body",
            talk(admin, (head(&token, 100) + "{\"").into_bytes(), b""),
            "408",
        ),
        (
            "sends too long a head",
            talk(
                admin,
                format!("GET /{long_path} HTTP/1.1\r\nhost: localhost\r\n").into_bytes(),
                b"",
            ),
            "431",
        ),
        (
            "announces too large a body",
            talk(admin, head(&token, 100 << 20).into_bytes(), b""),
            "413",
        ),
        (
            "sends a compressed body",
            talk(
                admin,
                head(&token, 9)
                    .replace("host: localhost", "host: localhost\r\ncontent-encoding: gzip")
                    .into(),
                b"",
            ),
            "415",
        ),
    ];
    // While they all hang on, commands and requests have their answers.
    project.run(&["release", "status"]).exits(0);
    server.chat("mei", "hello");
    for (what, client, status) in clients {
        let Ended { text, after } = client.join().unwrap();
        assert!(after < SOON, "a client that {what} was kept for {after:?}");
        let found = text.split(' ').nth(1).unwrap_or_default();
        assert_eq!(found, status, "a client that {what} got {text:?}");
    }
    assert_eq!(Server::admin_status(&project.root)["service"], "my-service");
    server.chat("mei", "hello");
}

#[test]
fn a_flood_of_silent_connections_keeps_no_operator_out() {
    let project = Project::quick();
    let server = project.serve();
    let (admin, _) = Server::admin(&project.root);
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(admin).unwrap()).collect();
    // Those over the cap are answered at once.
    let mut over = TcpStream::connect(admin).unwrap();
    over.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = String::new();
    over.read_to_string(&mut answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    server.chat("mei", "hello");
    // The command waits until the silent ones are closed, and is then carried out by the server.
    project.run(&["rollback", "--by", "mei"]).fails(2, &["no release"], &[]);
    drop(silent);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn the_servers_end_waits_for_no_silent_client_of_the_admin_plane() {
    let project = Project::quick();
    let server = project.serve();
    let (admin, _) = Server::admin(&project.root);
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(admin).unwrap()).collect();
    server.chat("mei", "hello");
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    wait_for("the end of the admin plane", || {
        client::get(admin, "/admin/v1/status", "").is_err().then_some(())
    });
    drop(silent);
}
