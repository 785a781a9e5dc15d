//! Several services in one process.

use crate::client::{self, Answer, CHAT};
use crate::project::{Project, Server, tidegate, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tempfile::TempDir;

/// Two projects and the workspace file that lists them.
pub(crate) struct Workspace {
    folder: TempDir,
    pub(crate) desk: Project,
    pub(crate) shop: Project,
}

impl Workspace {
    pub(crate) fn new() -> Workspace {
        let folder = TempDir::new().unwrap();
        let [desk, shop] = ["desk", "shop"].map(|name| {
            let project = Project::fast();
            project.edit("tidegate.yaml", "service: \"my-service\"", &format!("service: {name}"));
            project
        });
        let list = format!(
            "services:\n  - {}\n  - {}\n",
            desk.root.display(),
            shop.root.join("tidegate.yaml").display()
        );
        std::fs::write(folder.path().join("services.yaml"), list).unwrap();
        Workspace { folder, desk, shop }
    }

    /// Writes a file beside the workspace file.
    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    /// Adds a line to the workspace file.
    pub(crate) fn set(&self, line: &str) {
        let file = self.folder.path().join("services.yaml");
        self.write("services.yaml", &format!("{line}{}", std::fs::read_to_string(file).unwrap()));
    }

    /// That it does not start, what is said and hinted.
    pub(crate) fn refuses(&self, says: &str, hints: &str) {
        let args = ["serve", "--workspace", "services.yaml", "--listen", "127.0.0.1:0"];
        tidegate(self.folder.path(), &args, &[]).fails(2, &[says], &[hints]);
    }

    pub(crate) fn serve(&self, env: &[(&str, &str)]) -> Server {
        Server::start_with(self.folder.path(), &["--workspace", "services.yaml"], env)
    }
}

fn ask(address: SocketAddr, model: Option<&str>, user: &str) -> Answer {
    let mut body = json!({ "messages": [{ "role": "user", "content": "退款?" }], "user": user });
    if let Some(model) = model {
        body["model"] = json!(model);
    }
    client::post(address, CHAT, &body).unwrap()
}

fn models(address: SocketAddr, headers: &str) -> Vec<String> {
    let list = client::get(address, "/v1/models", headers).unwrap().json();
    let ids = list["data"].as_array().unwrap().iter();
    ids.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

fn requests(project: &Project) -> u64 {
    let status = project.run(&["release", "status", "--json"]).exits(0).json();
    let seen = &status["release"]["state"];
    let count = |arm: &str| seen[arm]["requests"].as_u64().unwrap_or_default();
    count("seen_stable") + count("seen_candidate")
}

fn start_v2(project: &Project) {
    project.run(&["eval", "--prompt", "v2"]).exits(0);
    project.run(&["release", "start", "--prompt", "v2", "--by", "mei"]).exits(0);
}

#[test]
fn the_model_picks_the_service_and_releases_do_not_touch_each_other() {
    let workspace = Workspace::new();
    let (desk, shop) = (&workspace.desk, &workspace.shop);
    let server = workspace.serve(&[]);
    assert_eq!(models(server.address, ""), ["desk", "shop"]);

    let first = ask(server.address, Some("shop"), "u1");
    assert_eq!(first.status, 200, "{first:?}");
    ask(server.address, None, "u1").check_error(400, "model_required", &["`desk`", "`shop`"]);
    ask(server.address, Some("no"), "u1").check_error(404, "model_not_found", &["`no`", "`desk`"]);

    // Both at once; what one is asked counts for it alone.
    start_v2(desk);
    start_v2(shop);
    wait_for("the desk's release is over", || {
        for user in 0..120 {
            assert_eq!(ask(server.address, Some("desk"), &format!("u{user}")).status, 200);
        }
        (desk.phase() != "running").then_some(())
    });
    assert_eq!(desk.phase(), "promoted");
    assert_eq!((shop.phase().as_str(), requests(shop)), ("running", 0));
    shop.run(&["rollback", "--reason", "complaints", "--by", "mei"]).exits(0);
    assert_eq!((shop.phase().as_str(), desk.phase().as_str()), ("rolled_back", "promoted"));

    // Feedback finds the service that answered.
    let trace = first.header("x-trace-id").to_owned();
    let said = json!({ "trace_id": trace, "like": true });
    let kept = client::post(server.address, "/v1/feedback", &said).unwrap();
    assert_eq!((kept.status, kept.json()["accepted"].as_u64()), (200, Some(1)), "{kept:?}");
    shop.run(&["trace", &trace]).exits(0);
    desk.run(&["trace", &trace]).exits(2);

    let health = client::get(server.address, "/health", "").unwrap().json();
    let names: Vec<&Value> =
        health["services"].as_array().unwrap().iter().map(|s| &s["service"]).collect();
    assert_eq!(names, ["desk", "shop"]);
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    for service in ["desk", "shop"] {
        let sample = format!("gateway_requests_total{{service=\"{service}\",status=\"ok\"}} ");
        assert!(page.contains(&sample), "{page}");
    }
    assert_eq!(page.matches("# TYPE gateway_requests_total counter").count(), 1);
    let ready = client::get(server.address, "/readyz", "").unwrap().json();
    for (service, pct) in [("desk", "promoted"), ("shop", "rolled_back")] {
        let phase = format!("tidegate_release_phase{{service=\"{service}\",phase=\"{pct}\"}} 1");
        assert!(page.contains(&phase), "{page}");
        assert_eq!(ready["services"][service]["upstream"], "ok", "{ready}");
        // Of two services a line of the log must say which it is about.
        let said = format!(" {service}: release prompt-v2-");
        assert!(server.log().contains(&said), "{}", server.log());
    }
    server.terminate();
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn a_key_opens_its_own_service_only() {
    let workspace = Workspace::new();
    for (project, name) in [(&workspace.desk, "DESK_KEY"), (&workspace.shop, "SHOP_KEY")] {
        let credential = format!("credentials:\n  - {{name: app, key_env: {name}}}\n");
        project.append("tidegate.yaml", &credential);
    }
    let (desk, shop) = ("desk-key-0123456789", "shop-key-0123456789");
    let server = workspace.serve(&[("DESK_KEY", desk), ("SHOP_KEY", shop)]);
    let bearer = |key: &str| format!("authorization: Bearer {key}\r\n");
    assert_eq!(models(server.address, &bearer(desk)), ["desk"]);
    assert_eq!(models(server.address, &bearer(shop)), ["shop"]);
    let post = |key: &str, model: Option<&str>| {
        let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        if let Some(model) = model {
            body["model"] = json!(model);
        }
        let body = body.to_string();
        let request = client::request("POST", CHAT, &bearer(key), body.as_bytes());
        client::open(server.address, &request).unwrap().finish().unwrap()
    };
    // A key that opens one service needs no model; another's service is as good as none.
    assert_eq!(post(shop, None).status, 200);
    post(shop, Some("desk")).check_error(404, "model_not_found", &["this service is `shop`"]);
    post("no-such-key-0123456789", Some("desk")).check_error(401, "invalid_api_key", &[]);
    let page = client::get(server.address, "/metrics", &bearer(shop)).unwrap().body;
    assert!(page.contains("service=\"shop\"") && !page.contains("desk"), "{page}");
}

fn chat(server: &Server, key: &str, model: Option<&str>) -> Answer {
    let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
    if let Some(model) = model {
        body["model"] = json!(model);
    }
    let headers = format!("authorization: Bearer {key}\r\n");
    let request = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
    client::open(server.address, &request).unwrap().finish().unwrap()
}

#[test]
fn a_key_of_several_services_opens_these_by_the_names_that_it_may_ask_for() {
    let workspace = Workspace::new();
    workspace.desk.append("tidegate.yaml", "aliases: [desk-fast]\n");
    let server = workspace.serve(&[]);
    let run = |args: &[&str]| tidegate(workspace.folder.path(), args, &[]);
    let both = ["--services", "desk,shop"];
    let made = run(&[&["key", "create", "web", "--models", "desk-fast,shop"][..], &both].concat());
    let made = made.exits(0);
    let key = made.out.trim();
    assert!(key.starts_with("tg-") && key.len() == 84, "{made:?}");
    let headers = format!("authorization: Bearer {key}\r\n");
    assert_eq!(models(server.address, &headers), ["desk-fast", "shop"]);
    assert_eq!(chat(&server, key, Some("desk-fast")).status, 200);
    assert_eq!(chat(&server, key, Some("shop")).status, 200);
    chat(&server, key, None).check_error(400, "model_required", &["`desk-fast`, `shop`"]);
    // Another name of a service that it opens is as unknown as one that nobody has.
    let other = chat(&server, key, Some("desk"));
    other.check_error(404, "model_not_found", &["`desk` does not exist", "`desk-fast`, `shop`"]);
    chat(&server, key, Some("none")).check_error(404, "model_not_found", &["`desk-fast`, `shop`"]);
    for (id, status) in [("desk-fast", 200), ("shop", 200), ("desk", 404), ("none", 404)] {
        let seen = client::get(server.address, &format!("/v1/models/{id}"), &headers).unwrap();
        assert_eq!(seen.status, status, "{id}: {seen:?}");
    }
    // Rotated and revoked in both. The two states have two hashes of the one key.
    let rotated = run(&[&["key", "rotate", "web", "--overlap", "0s"][..], &both].concat()).exits(0);
    let next = rotated.out.trim();
    for model in ["desk-fast", "shop"] {
        chat(&server, key, Some(model)).check_error(401, "invalid_api_key", &["revoked"]);
        assert_eq!(chat(&server, next, Some(model)).status, 200);
    }
    chat(&server, next, Some("desk")).check_error(404, "model_not_found", &["`desk-fast`"]);
    run(&[&["key", "revoke", &next[..11]][..], &both].concat()).exits(0);
    for model in ["desk-fast", "shop"] {
        chat(&server, next, Some(model)).check_error(401, "invalid_api_key", &["revoked"]);
    }
}

#[test]
fn a_key_of_several_services_opens_all_or_none_of_them() {
    let workspace = Workspace::new();
    let server = workspace.serve(&[]);
    let run = |args: &[&str]| tidegate(workspace.folder.path(), args, &[]);
    let create = |more: &[&str]| run(&[&["key", "create", "web"], more].concat());
    create(&["--services", "desk,shp"]).fails(2, &["shp"], &["desk, shop"]);
    create(&["--services", "desk", "--models", "desk,shop"]).fails(2, &["`shop`"], &["desk"]);
    create(&["--services", "desk,shop", "--models", "desk"]).fails(2, &["`shop`"], &["leave"]);
    create(&["--services", "desk", "--service", "desk"]).exits(2);
    // A name that the second service refuses only when it is asked: its secret is lost.
    workspace.shop.run(&["key", "create", "old"]).exits(0);
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    std::fs::remove_file(workspace.shop.root.join(".tidegate/keys.secret")).unwrap();
    let _server = workspace.serve(&[]);
    create(&["--services", "desk,shop"]).fails(4, &["shop:", "keys.secret"], &["`desk`", "again"]);
    let list = workspace.desk.run(&["key", "list", "--json"]).exits(0).json();
    let keys: Vec<&Value> = list.as_object().unwrap().values().collect();
    assert!(keys.len() == 1 && keys[0]["revoked_at"].is_u64(), "{list}");
}

#[test]
fn a_bad_workspace_starts_nothing() {
    let workspace = Workspace::new();
    let root = workspace.folder.path();
    let serve = |args: &[&str]| tidegate(root, &[&["serve"], args].concat(), &[]);
    let desk = workspace.desk.root.to_str().unwrap();
    serve(&[desk, "no/such/folder"]).fails(2, &["no/such/folder"], &["tidegate init"]);
    serve(&[desk, desk]).fails(2, &["listed twice"], &[]);
    workspace.shop.edit("tidegate.yaml", "service: shop", "service: desk");
    serve(&["--workspace", "services.yaml"]).fails(2, &["the name `desk`"], &["`service`"]);
    assert!(!workspace.desk.root.join(".tidegate/state.db").exists());
}

/// `--service` finds the project in the workspace above the folder; `check` reads all of them.
#[test]
fn commands_take_a_service_of_the_workspace_by_its_name() {
    let workspace = Workspace::new();
    let inner = workspace.folder.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let run = |args: &[&str]| tidegate(&inner, args, &[]);
    run(&["--service", "desk", "eval", "--prompt", "v2"]).exits(0);
    let gate = run(&["gate", "--service", "desk", "--prompt", "v2", "--json"]).exits(0).json();
    assert_eq!(gate["passed"], true, "{gate}");
    run(&["--service", "dsk", "release", "status"]).fails(
        2,
        &["--service dsk", "not listed in", "services.yaml"],
        &["desk, shop"],
    );
    let file = workspace.folder.path().join("services.yaml");
    let check = ["check", "--workspace", file.to_str().unwrap()];
    let all = run(&check).exits(0);
    assert!(all.out.contains("service `desk`") && all.out.contains("service `shop`"), "{all:?}");
    // One that cannot be read hides none of the others.
    workspace.desk.append("tidegate.yaml", "no_such_key: 1\n");
    let all = run(&[&check[..], &["--json"]].concat());
    let rows = all.json();
    assert_eq!(rows[0]["checks"][0]["ok"], false, "{rows}");
    assert_eq!(rows[1]["checks"][0]["ok"], true, "{rows}");
    all.exits(2);
    run(&["--service", "shop", "release", "status"]).exits(2);
    std::fs::remove_file(&file).unwrap();
    run(&["--service", "shop", "check"]).fails(2, &["no services.yaml here"], &["--config"]);
}

#[test]
fn beside_a_workspace_file_an_error_says_how_to_name_a_service() {
    let workspace = Workspace::new();
    // The only server that runs has nothing to do with this workspace: no command may reach it.
    let stranger = Project::fast();
    let _server = stranger.serve();
    let commands: [&[&str]; 5] = [
        &["check"],
        &["release", "start", "--prompt", "v2"],
        &["release", "status"],
        &["incident", "list"],
        &["rollback", "--reason", "complaints"],
    ];
    for command in commands {
        let said = tidegate(workspace.folder.path(), command, &[]);
        said.fails(2, &[], &["`--service NAME`", "desk, shop"]);
    }
}

/// Orders that change what is served next are given in a project; only the way back is found from
/// anywhere.
#[test]
fn outside_of_a_project_no_release_is_started_on_the_only_server_that_runs() {
    let project = Project::fast();
    let _server = project.serve();
    let away = TempDir::new().unwrap();
    for command in [["eval", "--prompt", "v2"].as_slice(), &["release", "start", "--prompt", "v2"]]
    {
        tidegate(away.path(), command, &[]).fails(2, &["tidegate.yaml"], &["tidegate init"]);
    }
}
