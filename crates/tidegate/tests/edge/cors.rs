//! Web pages of other sites, as browsers ask for them.

use crate::client::{Answer, CHAT, open, request};
use crate::project::{Project, Server};
use crate::services::Workspace;
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

fn chat_from(server: &Server, origin: &str, model: &str) -> Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let head = format!("origin: {origin}\r\n");
    let bytes = request("POST", CHAT, &head, body.to_string().as_bytes());
    open(server.address, &bytes).unwrap().finish().unwrap()
}

#[test]
fn the_origins_of_one_service_open_no_other() {
    const SHOP: &str = "https://shop.example.com";
    let workspace = Workspace::new();
    let list = |origin| format!("\ncors:\n  allow_origins: [\"{origin}\"]\n");
    workspace.desk.append("tidegate.yaml", &list(APP));
    workspace.shop.append("tidegate.yaml", &list(SHOP));
    let server = workspace.serve(&[]);
    for (origin, own, other) in [(APP, "desk", "shop"), (SHOP, "shop", "desk")] {
        assert_eq!(preflight(&server, CHAT, origin).status, 204);
        let answer = chat_from(&server, origin, own);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
        let refused = chat_from(&server, origin, other);
        refused.check_error(404, "model_not_found", &[&format!("this service is `{own}`")]);
        let models = asked(&server, "GET", "/v1/models", &format!("origin: {origin}\r\n")).body;
        assert!(models.contains(own) && !models.contains(&format!("\"{other}\"")), "{models}");
        // What is said of both is shown to a page of neither.
        let health = asked(&server, "GET", "/health", &format!("origin: {origin}\r\n"));
        assert_eq!((health.status, health.header("access-control-allow-origin")), (200, ""));
    }
    let refused = chat_from(&server, "https://other.example.com", "desk");
    refused.check_error(403, "origin_not_allowed", &[]);
    drop(server);

    // One that is open to every page, and asks for keys, beside one that asks for none.
    workspace.shop.edit("tidegate.yaml", SHOP, "*");
    workspace.shop.append("tidegate.yaml", "require_keys: true\n");
    let server = workspace.serve(&[]);
    for model in ["desk", "shop"] {
        let refused = chat_from(&server, "https://other.example.com", model);
        refused.check_error(401, "invalid_api_key", &[]);
    }
    assert_eq!(chat_from(&server, APP, "desk").status, 200);
}
