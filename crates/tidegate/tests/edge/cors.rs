//! Web pages of other sites, as browsers ask for them.

use crate::client::{Answer, CHAT, open, request};
use crate::project::{Project, Server};
use crate::upstream::{Upstream, completion};
use crate::upstream_faults::ANSWER;
use serde_json::json;

const APP: &str = "https://app.example.com";

fn serving(cors: &str) -> (Project, Server, Upstream) {
    let upstream = Upstream::saying("200 OK", "application/json", &completion(ANSWER));
    let project = crate::upstream_faults::project_on(upstream.address);
    project.append("tidegate.yaml", cors);
    let server = project.serve();
    (project, server, upstream)
}

fn asked(server: &Server, method: &str, path: &str, head: &str) -> Answer {
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    let body = if method == "POST" { body.as_bytes() } else { b"" };
    open(server.address, &request(method, path, head, body)).unwrap().finish().unwrap()
}

fn preflight(server: &Server, path: &str, origin: &str) -> Answer {
    let head = format!(
        "origin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: authorization,content-type,x-trace-id\r\n"
    );
    let bytes = request("OPTIONS", path, &head, b"");
    // An answer 204 has no body and no length.
    let open = open(server.address, &bytes).unwrap();
    match open.status() {
        204 => open.head(),
        _ => open.finish().unwrap(),
    }
}

#[test]
fn a_page_of_a_listed_origin_may_call_and_read() {
    let (_project, server, upstream) =
        serving(&format!("\ncors:\n  allow_origins: [{APP}, \"http://localhost:5173\"]\n"));
    let may = preflight(&server, CHAT, APP);
    assert_eq!(may.status, 204, "{may:?}");
    assert_eq!(may.header("access-control-allow-origin"), APP);
    assert_eq!(may.header("access-control-allow-methods"), "POST");
    let headers = may.header("access-control-allow-headers");
    assert_eq!(headers, "authorization,content-type,x-trace-id");
    assert!(may.header("vary").contains("origin"), "{may:?}");
    assert_eq!(may.header("access-control-max-age"), "7200");
    assert!(upstream.asked().is_empty(), "a preflight is no request");

    let head = format!("origin: {APP}\r\n");
    let answer = asked(&server, "POST", CHAT, &head);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), APP);
    assert_eq!(answer.header("vary"), "origin");
    let exposed = answer.header("access-control-expose-headers").to_owned();
    for name in ["x-request-id", "x-trace-id", "x-ratelimit-remaining-tokens", "retry-after"] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{name}: {exposed}");
    }
    // An error can be read by the page as well.
    let refused = asked(&server, "POST", "/v1/nothing", &head);
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (404, APP));
    for answer in [may, answer, refused] {
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{answer:?}");
    }
}

#[test]
fn any_other_page_is_refused_as_before() {
    let (_project, server, upstream) = serving(&format!("\ncors:\n  allow_origins: [{APP}]\n"));
    let (_other, without, _) = serving("");
    let pages = ["https://app.example.com.evil.example", "http://app.example.com", "null"];
    for (server, origin) in pages.iter().map(|page| (&server, *page)).chain([(&without, APP)]) {
        for refused in [
            preflight(server, CHAT, origin),
            asked(server, "POST", CHAT, &format!("origin: {origin}\r\n")),
        ] {
            refused.check_error(403, "origin_not_allowed", &["`Origin`", "cors.allow_origins"]);
            assert_eq!(refused.header("access-control-allow-origin"), "", "{origin} {refused:?}");
        }
    }
    // Without an origin all is as it was, but for what caches must know.
    let answer = asked(&server, "POST", CHAT, "");
    assert_eq!((answer.status, answer.header("vary")), (200, "origin"));
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(asked(&without, "POST", CHAT, "").header("vary"), "");
    assert_eq!(upstream.asked().len(), 1);
    // A path or a method that is none of ours.
    let head = format!("origin: {APP}\r\naccess-control-request-method: DELETE\r\n");
    assert_eq!(asked(&server, "OPTIONS", CHAT, &head).status, 405);
    assert_eq!(preflight(&server, "/v1/nothing", APP).status, 404);
}

#[test]
fn all_origins_need_keys_and_never_get_credentials() {
    let (_project, server, _upstream) =
        serving("\nrequire_keys: true\ncors:\n  allow_origins: [\"*\"]\n");
    let may = preflight(&server, CHAT, APP);
    assert_eq!((may.status, may.header("access-control-allow-origin")), (204, "*"), "{may:?}");
    let refused = asked(&server, "POST", CHAT, &format!("origin: {APP}\r\n"));
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "*"));
    assert_eq!(refused.header("access-control-allow-credentials"), "");
    assert_eq!(refused.header("vary"), "");

    let project = Project::init();
    project.append("tidegate.yaml", "\ncors:\n  allow_origins: [\"*\"]\n");
    let says = ["cors.allow_origins", "any page"];
    project.run(&["check"]).fails(2, &says, &["require_keys: true"]);
}
