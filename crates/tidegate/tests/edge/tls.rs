//! TLS of the data plane, with a client that checks the certificate.

use crate::client::{CHAT, request};
use crate::project::{Project, Server, wait_for};
use crate::services::Workspace;
use crate::upstream::Upstream;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const AUTHORITY: &[u8] = include_bytes!("tls/ca.pem");
pub(crate) const ONE: [&str; 2] = [include_str!("tls/one.pem"), include_str!("tls/one.key")];
const TWO: [&str; 2] = [include_str!("tls/two.pem"), include_str!("tls/two.key")];

#[cfg(unix)]
const EXPIRED: &str = include_str!("tls/expired.pem");

/// A project behind TLS with this certificate.
fn project(upstream: &Upstream, [cert, key]: [&str; 2]) -> Project {
    let project = upstream.project("", "tls: {cert: cert.pem, key: key.pem}\n");
    project.write("cert.pem", cert);
    project.write("key.pem", key);
    project
}

/// A client that trusts the certificates' authority.
fn trusting() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// What the server of this name answers to some bytes.
fn ask(address: SocketAddr, name: &str, bytes: &[u8]) -> io::Result<String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(trusting()), name).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(client, socket);
    stream.write_all(bytes)?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // What breaks off after an answer has answered.
        Err(error) if answer.is_empty() => Err(error),
        Ok(_) | Err(_) => Ok(answer),
    }
}

fn chat(stream: bool) -> Vec<u8> {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": stream});
    request("POST", CHAT, "connection: close\r\n", body.to_string().as_bytes())
}

#[cfg(unix)]
#[test]
fn a_key_that_every_user_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let upstream = Upstream::answering("from behind TLS");
    for (mode, is_open) in [(0o644, true), (0o600, false)] {
        let project = project(&upstream, ONE);
        let key = project.root.join("key.pem");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
        let server = project.serve();
        let answer = ask(server.address, "one.test", &chat(false)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let warned = server.log().contains("can be read by every user");
        assert_eq!(warned, is_open, "{mode:o}: {}", server.log());
    }
}

#[test]
fn requests_are_answered_behind_tls_and_only_there() {
    let upstream = Upstream::answering("from behind TLS");
    let server = project(&upstream, ONE).serve();
    let answer = ask(server.address, "one.test", &chat(false)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("from behind TLS"), "{answer}");
    assert!(ask(server.address, "two.test", &chat(false)).is_err(), "it is not its name");
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.write_all(&chat(false)).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "nobody is answered in plain text");
    assert_eq!(upstream.asked().len(), 1);
}

/// Answers to so many requests for a chat on one connection, whose version the handshake says.
async fn ask_http2(address: SocketAddr, requests: usize) -> Vec<(u16, String)> {
    let mut config = trusting();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("one.test").unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let tls = tls.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    crate::http2::connect(tls).await.chats(requests).await
}

#[test]
fn http2_is_spoken_where_the_handshake_says_so() {
    let upstream = Upstream::answering("from behind TLS");
    let project = project(&upstream, ONE);
    let server = project.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers = runtime.block_on(ask_http2(server.address, 40));
    for (status, body) in answers {
        assert!(status == 200 && body.contains("behind TLS"), "{status} {body}");
    }
    assert_eq!(upstream.asked().len(), 40);
    drop(runtime);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
}

/// A client that leaves is seen behind TLS too, and one that says nothing is let go of.
#[test]
fn connections_have_their_deadlines_behind_tls() {
    let upstream = Upstream::answering("hello");
    let server = project(&upstream, ONE).serve();
    let mut silent = TcpStream::connect(server.address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let started = std::time::Instant::now();
    let mut byte = [0];
    assert!(matches!(silent.read(&mut byte), Ok(0) | Err(_)));
    let took = started.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&took), "{took:?}");
    let garbage = ask(server.address, "one.test", b"GARBAGE\r\n\r\n").unwrap();
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");
}

#[test]
fn a_certificate_is_changed_without_a_restart() {
    let upstream = Upstream::answering("hello");
    let project = project(&upstream, ONE);
    let server = project.serve();
    // Half of a change: the certificate of one pair and the key of another.
    project.write("cert.pem", TWO[0]);
    wait_for("what is said of it", || {
        let log = server.log();
        log.contains("is not that of the certificate").then_some(())
    });
    let answer = ask(server.address, "one.test", &chat(false)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "the one before stays: {answer}");
    project.write("key.pem", TWO[1]);
    wait_for("the new one", || ask(server.address, "two.test", &chat(false)).ok());
    assert!(ask(server.address, "one.test", &chat(false)).is_err());
}

/// The seconds of `/metrics` until the certificate ends.
fn ends_in_s(server: &Server) -> f64 {
    let page = request("GET", "/metrics", "connection: close\r\n", b"");
    let page = ask(server.address, "one.test", &page).unwrap();
    let name = "tidegate_tls_certificate_expires_in_seconds ";
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}in {page}")).parse().unwrap()
}

#[cfg(unix)]
#[test]
fn sighup_reads_the_certificate_again_and_its_end_is_seen() {
    let upstream = Upstream::answering("hello");
    let project = project(&upstream, ONE);
    let server = project.serve();
    let left = ends_in_s(&server);
    assert!(left > 86_400.0 * 365.0, "it holds until 2126: {left}");
    let says = |text: &str| {
        wait_for(text, || server.log().contains(text).then_some(()));
    };
    server.signal("-HUP");
    says("SIGHUP: the certificate of the listener is read again; keys change with `tidegate key`");
    says("read again: it is as before");
    assert!(!server.log().contains("expire"), "{}", server.log());
    let status = || project.run(&["release", "status"]).exits(0);
    assert!(!status().out.contains("certificate"), "{:?}", status());
    // Half of a change, asked for: the certificate of another pair.
    project.write("cert.pem", TWO[0]);
    server.signal("-HUP");
    says("is not that of the certificate");
    project.write("cert.pem", EXPIRED);
    server.signal("-HUP");
    says("has expired, and clients refuse it");
    says("it holds until 2021-01-01T00:00:00");
    assert!(status().out.contains("expired on 2021-01-01"), "{:?}", status());
    let json = project.run(&["release", "status", "--json"]).exits(0).json();
    assert!(json["notes"].to_string().contains("expired on 2021-01-01"), "{json}");
    assert!(ask(server.address, "one.test", &chat(false)).is_err(), "no client takes it");
    project.write("cert.pem", ONE[0]);
    wait_for("the good one", || ask(server.address, "one.test", &chat(false)).ok());
    assert!(ends_in_s(&server) > 0.0);
    assert!(!status().out.contains("certificate"), "{:?}", status());
}

#[test]
fn a_workspace_has_one_certificate() {
    let workspace = Workspace::new();
    workspace.write("c.pem", ONE[0]);
    workspace.write("k.pem", ONE[1]);
    workspace.desk.append("tidegate.yaml", "tls: {cert: other.pem, key: other.key}\n");
    workspace.refuses("different certificates", "set `tls` in the workspace file");
    workspace.set("tls: {cert: c.pem, key: k.pem}\n");
    let server = workspace.serve(&[]);
    for name in ["desk", "shop"] {
        let body = json!({"model": name, "messages": [{"role": "user", "content": "hi"}]});
        let chat = request("POST", CHAT, "connection: close\r\n", body.to_string().as_bytes());
        let answer = ask(server.address, "one.test", &chat).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn files_that_are_no_certificate_are_named() {
    let upstream = Upstream::answering("hello");
    let check = |[cert, key]: [&str; 2], says: &[&str]| {
        let project = project(&upstream, [cert, key]);
        let hints = ["both are PEM files"];
        project.run(&["serve", "--listen", "127.0.0.1:0"]).fails(2, says, &hints);
    };
    check([ONE[0], TWO[1]], &["key.pem", "is not that of the certificate"]);
    check(["not a certificate", ONE[1]], &["cert.pem", "has no certificate in PEM form"]);
    check([ONE[0], ONE[0]], &["key.pem", "has no private key in PEM form"]);
    let project = project(&upstream, ONE);
    std::fs::remove_file(project.root.join("key.pem")).unwrap();
    project.run(&["serve", "--listen", "127.0.0.1:0"]).fails(
        2,
        &["key.pem", "cannot be read"],
        &[],
    );
}
