//! HTTP/2 to model servers: one that speaks it behind TLS, and a client whose requests share a
//! connection as well.

use crate::project::{Project, Server};
use crate::tls::{AUTHORITY, ONE};
use crate::upstream::{completion, project_of};
use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::{Request, Response};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A client's connection.
pub(crate) struct Client(SendRequest<Bytes>);

/// Begins a connection of HTTP/2 over this one.
pub(crate) async fn connect(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Client {
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(async move {
        // Its requests see how it ends.
        let _ = connection.await;
    });
    Client(client)
}

impl Client {
    /// The answers to so many requests for a chat, all sent at once.
    pub(crate) async fn chats(&mut self, count: usize) -> Vec<(u16, String)> {
        let body =
            Bytes::from(json!({"messages": [{"role": "user", "content": "hi"}]}).to_string());
        let mut asked = Vec::new();
        for _ in 0..count {
            let request = Request::post("http://127.0.0.1/v1/chat/completions");
            let request = request.header("content-type", "application/json").body(()).unwrap();
            let (response, mut send) = self.0.send_request(request, false).unwrap();
            send.send_data(body.clone(), true).unwrap();
            asked.push(response);
        }
        let mut answers = Vec::new();
        for response in asked {
            let (head, mut body) = response.await.unwrap().into_parts();
            let mut bytes = Vec::new();
            while let Some(data) = body.data().await {
                bytes.extend_from_slice(&data.unwrap());
            }
            answers.push((head.status.as_u16(), String::from_utf8(bytes).unwrap()));
        }
        answers
    }
}

/// What the model server does with a request.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    /// Answers.
    Answer,
    /// Answers, and takes no more on this connection.
    AnswerLast,
    /// Says that it has not looked at it, or something else.
    Reset(Reason),
    /// Nothing more is heard of this connection.
    Freeze,
}

/// A model server.
struct Model {
    port: u16,
    runtime: Runtime,
    /// How many requests each connection had.
    connections: Arc<Mutex<Vec<usize>>>,
}

/// What is done with each request, by its number.
type Acts = Arc<dyn Fn(usize) -> Act + Send + Sync>;

impl Model {
    /// Starts one that does this.
    fn start(act: impl Fn(usize) -> Act + Send + Sync + 'static) -> Model {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let act: Acts = Arc::new(act);
        runtime.spawn(accept(listener, Arc::clone(&connections), act));
        Model { port, runtime, connections }
    }

    /// A project that calls it, and its running server.
    fn serve(&self, more: &str) -> (Project, Server) {
        let port = self.port;
        let upstream = format!("kind: openai\n    base_url: https://localhost:{port}/v1\n{more}");
        let project = project_of(&upstream, "", "");
        project.write("ca.pem", AUTHORITY);
        let authority = project.root.join("ca.pem");
        let env = [("SSL_CERT_FILE", authority.to_str().unwrap())];
        let server = Server::start(&project.root, &env);
        (project, server)
    }

    /// What so many requests on one connection come to.
    fn ask(&self, address: SocketAddr, count: usize) -> Vec<(u16, String)> {
        self.runtime.block_on(async {
            let mut client = connect(TcpStream::connect(address).await.unwrap()).await;
            client.chats(count).await
        })
    }

    fn connections(&self) -> Vec<usize> {
        self.connections.lock().unwrap().iter().copied().filter(|count| *count > 0).collect()
    }
}

async fn accept(listener: TcpListener, connections: Arc<Mutex<Vec<usize>>>, act: Acts) {
    let certificate = CertificateDer::from_pem_slice(ONE[0].as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(ONE[1].as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let requests = Arc::new(AtomicUsize::new(0));
    while let Ok((socket, _)) = listener.accept().await {
        let number = connections.lock().unwrap().len();
        connections.lock().unwrap().push(0);
        let (connections, act) = (Arc::clone(&connections), Arc::clone(&act));
        let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
        tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(socket).await else { return };
            let Ok(mut connection) = h2::server::handshake(tls).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                connections.lock().unwrap()[number] += 1;
                match act(requests.fetch_add(1, Ordering::SeqCst)) {
                    Act::Answer => drop(tokio::spawn(answer(request, respond))),
                    Act::AnswerLast => {
                        tokio::spawn(answer(request, respond));
                        connection.graceful_shutdown();
                    }
                    Act::Reset(reason) => respond.send_reset(reason),
                    Act::Freeze => std::future::pending().await,
                }
            }
        });
    }
}

async fn answer(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
    // So long that requests that are sent at once are here at once.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let json = Response::builder().header("content-type", "application/json").body(()).unwrap();
    let Ok(mut send) = respond.send_response(json, false) else { return };
    let _ = send.send_data(completion("by HTTP/2").into(), true);
}

#[track_caller]
fn all_answered(answers: Vec<(u16, String)>) {
    for (status, body) in answers {
        assert!(status == 200 && body.contains("by HTTP/2"), "{status} {body}");
    }
}

#[test]
fn requests_share_a_connection_to_the_model_server() {
    let model = Model::start(|_| Act::Answer);
    let (_project, server) = model.serve("");
    all_answered(model.ask(server.address, 1));
    all_answered(model.ask(server.address, 40));
    let connections = model.connections();
    assert_eq!(connections.iter().sum::<usize>(), 41);
    // The two asked on a connection each, which may be two workers'; of the second's requests some
    // began before it was known that one connection is enough.
    assert!(connections.iter().any(|count| *count >= 20), "{connections:?}");
}

#[test]
fn a_request_that_was_refused_unread_is_sent_once_more() {
    let model = Model::start(|number| match number {
        0 => Act::Reset(Reason::REFUSED_STREAM),
        _ => Act::Answer,
    });
    let (_project, server) = model.serve("");
    all_answered(model.ask(server.address, 1));
    assert_eq!(model.connections().iter().sum::<usize>(), 2);
}

#[test]
fn a_connection_that_takes_no_more_is_left_and_what_runs_on_it_ends_well() {
    let model = Model::start(|number| match number % 3 {
        1 => Act::AnswerLast,
        _ => Act::Answer,
    });
    let (_project, server) = model.serve("");
    for _ in 0..5 {
        all_answered(model.ask(server.address, 6));
    }
}

#[test]
fn other_resets_are_failures_of_the_model_server() {
    let model = Model::start(|_| Act::Reset(Reason::INTERNAL_ERROR));
    let (_project, server) = model.serve("");
    let answers = model.ask(server.address, 1);
    let (status, body) = &answers[0];
    assert!(*status == 502 && body.contains("reset the request"), "{status} {body}");
}

#[test]
fn a_dead_connection_is_noticed_and_the_request_is_sent_elsewhere() {
    let model = Model::start(|number| if number == 0 { Act::Freeze } else { Act::Answer });
    let (_project, server) = model.serve("");
    let began = Instant::now();
    all_answered(model.ask(server.address, 1));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3), "{took:?}: it was not the frozen one");
    assert!(took < Duration::from_secs(40), "{took:?}");
}

#[test]
fn it_is_not_offered_where_the_project_says_so() {
    let model = Model::start(|_| Act::Answer);
    let (_project, server) = model.serve("    http2: false\n");
    let answers = model.ask(server.address, 1);
    assert_eq!(answers[0].0, 502, "the model server speaks nothing else: {answers:?}");
    assert!(model.connections().is_empty());
}
