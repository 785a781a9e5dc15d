//! Names that cannot be resolved, a resolver that never answers, and an address that takes no
//! connection.

use crate::client;
use crate::project::{Project, Server, wait_for};
use crate::upstream::Upstream;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A name in `.stall` is never answered, one in `.none` is not known, one in `.meta` is at the
/// address of a metadata service.
const CODE: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <netdb.h>
    #include <string.h>
    #include <unistd.h>
    static int is_in(const char *name, const char *zone) {
        size_t n = strlen(name), z = strlen(zone);
        return n > z && strcmp(name + n - z, zone) == 0;
    }
    int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                    struct addrinfo **found) {
        if (name && is_in(name, ".stall")) for (;;) pause();
        if (name && is_in(name, ".none")) return EAI_NONAME;
        const char *at = name && is_in(name, ".meta") ? "169.254.169.254" : name;
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
            dlsym(RTLD_NEXT, "getaddrinfo");
        return real(at, service, hints, found);
    }
"#;

/// A server whose model server has this name, on a system with such a resolver.
fn server_on(host: &str) -> (TempDir, Project, Server) {
    let folder = TempDir::new().unwrap();
    let (source, library) = (folder.path().join("names.c"), folder.path().join("names.so"));
    std::fs::write(&source, CODE).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut cc = Command::new(compiler);
    cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
    assert!(cc.status().unwrap().success());
    let project = Project::init();
    let kind = format!("    kind: openai\n    base_url: http://{host}/v1\n");
    project.edit("tidegate.yaml", "    kind: simulated\n", &kind);
    let max = "  max_concurrent: 64\n";
    project.edit("tidegate.yaml", max, "  max_concurrent: 1000\n");
    let server = Server::start(&project.root, &[("LD_PRELOAD", library.to_str().unwrap())]);
    (folder, project, server)
}

fn timed(address: SocketAddr) -> (client::Answer, Duration) {
    let asked = Instant::now();
    let answer = client::chat(address, None, "hello").unwrap();
    (answer, asked.elapsed())
}

fn threads(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().count()
}

#[test]
fn a_resolver_that_never_answers_takes_a_few_threads_and_no_more_than_the_deadline() {
    let (_folder, _project, server) = server_on("model.stall:8000");
    let (before, most) = (threads(&server), AtomicU64::new(0));
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                let (answer, took) = timed(server.address);
                answer.check_error(504, "upstream_timeout", &["could not be looked up within 2 s"]);
                assert!(took < Duration::from_secs(10), "{took:?}");
                answered.fetch_add(1, Ordering::SeqCst);
            });
        }
        wait_for("the answers", || {
            most.fetch_max(threads(&server) as u64, Ordering::SeqCst);
            (answered.load(Ordering::SeqCst) == 200).then_some(())
        });
    });
    // One thread looks the one name up; the rest are the system's for files and the like.
    let more = most.load(Ordering::SeqCst).saturating_sub(before as u64);
    assert!(more <= 16, "{more} threads more than {before}");
}

#[test]
fn a_name_that_is_not_known_is_said_at_once() {
    let (_folder, _project, server) = server_on("model.none:8000");
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let (answer, took) = timed(server.address);
        answer.check_error(502, "upstream_unreachable", &["its name cannot be resolved"]);
        fastest = fastest.min(took);
    }
    assert!(fastest < Duration::from_millis(300), "{fastest:?}");
}

#[test]
fn a_connection_that_is_never_made_is_waited_for_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody takes these; once the queue is full, the system drops what knocks.
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000);
    }
    let (_folder, _project, server) = server_on(&address.to_string());
    let (answer, took) = timed(server.address);
    answer.check_error(504, "upstream_timeout", &["no connection within 2 s"]);
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    assert!(took < Duration::from_millis(3_500), "{took:?} is more than one wait");
}

#[test]
fn a_name_that_leads_to_a_metadata_service_is_not_called() {
    let (_folder, project, server) = server_on("model.meta:80");
    let (answer, took) = timed(server.address);
    answer.check_error(502, "upstream_unreachable", &["a metadata service's, and is not called"]);
    assert!(took < Duration::from_secs(1), "{took:?}: no connection is tried");
    drop(server);
    let kind = "    base_url: http://model.meta:80/v1\n";
    for (url, what) in [
        ("http://169.254.169.254/v1", "link-local"),
        ("http://[fd00:ec2::254]/v1", "a metadata service's"),
        ("http://0.0.0.0:8000/v1", "unspecified"),
    ] {
        project.edit("tidegate.yaml", kind, &format!("    base_url: {url}\n"));
        let said = project.run(&["check"]);
        said.fails(2, &["base_url", what, "is not called"], &["`any_address: true`"]);
        project.edit("tidegate.yaml", &format!("    base_url: {url}\n"), kind);
    }
}

#[test]
fn no_proxy_of_the_environment_is_used() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let model = Upstream::answering("hello");
    let project = model.project("", "");
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let env: Vec<(&str, &str)> = names.iter().map(|name| (*name, url.as_str())).collect();
    let server = Server::start(&project.root, &env);
    assert_eq!(client::chat(server.address, None, "hello").unwrap().status, 200);
    assert_eq!(model.asked().len(), 1);
    let error = proxy.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "nobody called the proxy");
}
