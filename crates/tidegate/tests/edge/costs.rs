//! What requests cost: the books, by whatever they are added up, and priced again.

use crate::client::{self, CHAT};
use crate::project::{Project, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::net::SocketAddr;

const PRICES: &str = "\
prices:
  m1: {input_per_million: 0.1, output_per_million: 0.4}
price_list:
  - {model: m1, from: 2020-01-01, input_per_million: 0.15, output_per_million: 0.6,
     cache_read_per_million: 0.0375}
";

fn key(project: &Project, args: &[&str]) -> String {
    project.run(&[&["key", "create"], args].concat()).exits(0).out.trim().to_owned()
}

fn ask(address: SocketAddr, key: &str, text: &str) -> u16 {
    let body = json!({ "messages": [{ "role": "user", "content": text }] });
    let headers = format!("content-type: application/json\r\nauthorization: Bearer {key}\r\n");
    let request = client::request("POST", CHAT, &headers, body.to_string().as_bytes());
    client::open(address, &request).unwrap().finish().unwrap().status
}

fn metrics(address: SocketAddr, key: &str) -> String {
    let headers = format!("authorization: Bearer {key}\r\n");
    client::get(address, "/metrics", &headers).unwrap().body
}

/// The books of all days, once they have so many requests.
fn books(project: &Project, by: &str, requests: u64) -> Value {
    wait_for("the books", || {
        let args = ["cost", "--by", by, "--since", "1970-01-01", "--json"];
        let books = project.run(&args).exits(0).json();
        (books["total"]["requests"] == requests).then_some(books)
    })
}

fn upstream() -> Upstream {
    Upstream::by_rule(|body| match body["messages"][0]["content"].as_str() {
        Some("fail") => ("500 Internal Server Error", "{}".to_owned()),
        Some("half") => ("200 OK", "{\"choices\": [".to_owned()),
        Some("silent") => ("200 OK", completion("好的").replace("usage", "used")),
        Some("cached") => {
            let usage = r#""prompt_tokens_details":{"cached_tokens":2},"prompt_tokens":3"#;
            ("200 OK", completion("ok").replace("\"prompt_tokens\":3", usage))
        }
        _ => ("200 OK", completion("ok")),
    })
}

/// Tiers, sound and long prompts, whole and streamed: what has no row is marked.
#[test]
fn a_call_costs_what_its_tier_and_its_length_say() {
    let upstream = Upstream::by_rule(|body| {
        let (said, usage) = match body["messages"][0]["content"].as_str() {
            Some("flex") => (r#""service_tier":"flex","#, r#""prompt_tokens":10"#),
            Some("rare") => (r#""service_tier":"priority","#, r#""prompt_tokens":10"#),
            Some("long") => ("", r#""prompt_tokens":1001"#),
            Some("sound") => {
                ("", r#""prompt_tokens":10,"prompt_tokens_details":{"audio_tokens":4}"#)
            }
            _ => ("", r#""prompt_tokens":10"#),
        };
        let answer = completion("ok").replace("\"prompt_tokens\":3", usage);
        ("200 OK", answer.replacen('{', &format!("{{{said}"), 1))
    });
    let prices = "\
price_list:
  - {model: m1, input_per_million: 1, output_per_million: 0, audio_input_per_million: 10}
  - {model: m1, tier: flex, input_per_million: 0.5, output_per_million: 0}
  - {model: m1, above_prompt_tokens: 1000, input_per_million: 2, output_per_million: 0}
";
    let project = upstream.project("", prices);
    let server = project.serve();
    for text in ["hi", "flex", "rare", "long", "sound"] {
        assert_eq!(server.chat("mei", text).status, 200, "{text}");
    }
    let books = books(&project, "tier", 5);
    let rows: Vec<(Value, Value, Value)> = books["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let part = |name: &str| row[name].clone();
            (part("tier"), part("total_cost"), part("other_tier_requests"))
        })
        .collect();
    let row = |tier: Value, cost: &str, marked: u64| (tier, json!(cost), json!(marked));
    // 10 plain tokens, and 6 with 4 of sound: 10 + 6 + 40 millionths.
    assert_eq!(
        rows,
        [
            row(json!(null), "0.000056", 0),
            row(json!(">1000"), "0.002002", 0),
            row(json!("flex"), "0.000005", 0),
            row(json!("priority"), "0.00001", 1),
        ],
        "{books}"
    );
    let shown = project.run(&["cost", "--by", "tier", "--since", "1970-01-01"]).exits(0);
    assert!(
        shown.out.contains("1 requests of a tier that `price_list` does not have"),
        "{shown:?}"
    );
    let page = client::get(server.address, "/metrics", "").unwrap().body;
    let counted = "tidegate_mispriced_requests_total{model_version=\"m1\",why=\"other_tier\"} 1";
    assert!(page.contains(counted), "{page}");
    // A row for the tier puts it right, also for what was used.
    project.append("tidegate.yaml", "  - {model: m1, tier: priority, input_per_million: 3}\n");
    project.run(&["cost", "reprice", "--from", "2020-01-01"]).exits(0);
    let args = ["cost", "--by", "tier", "--since", "1970-01-01", "--json"];
    let again = project.run(&args).exits(0).json();
    assert_eq!(again["total"]["other_tier_requests"], 0, "{again}");
    assert_eq!(again["rows"][3]["total_cost"], "0.00003", "{again}");
    assert_eq!(again["rows"][1]["total_cost"], "0.002002", "{again}");
}

#[test]
fn the_books_say_what_it_costs_by_whom_and_by_what() {
    let upstream = upstream();
    let project = upstream.project("", &format!("{PRICES}limits:\n  retries: 0\n"));
    let server = project.serve();
    let acme = key(&project, &["web", "--tenant", "acme"]);
    let other = key(&project, &["batch"]);
    for (key, text, status) in [
        (&acme, "hi", 200),
        (&acme, "cached", 200),
        (&acme, "fail", 502),
        (&other, "silent", 200),
        (&other, "half", 502),
    ] {
        assert_eq!(ask(server.address, key, text), status, "{text}");
    }
    let by_tenant = books(&project, "tenant,key", 4);
    let [none, acme_row] = by_tenant["rows"].as_array().unwrap().as_slice() else { panic!() };
    // Twice 3 and 5 tokens, of which 2 are read from a cache: 4 × 0.15 + 2 × 0.0375 + 10 × 0.6.
    let expected = json!({
        "tenant": "acme", "key": "web", "requests": 2, "input_tokens": 4, "cache_read_tokens": 2,
        "output_tokens": 10, "input_cost": "0.000000675", "output_cost": "0.000006",
        "compute_cost": "0.00", "total_cost": "0.000006675", "estimated_requests": 0,
        "unknown_requests": 0, "unpriced_requests": 0,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&acme_row[name], value, "{name} in {acme_row}");
    }
    assert_eq!((&none["tenant"], &none["key"]), (&Value::Null, &json!("batch")), "{none}");
    let marked = ["requests", "estimated_requests", "unknown_requests"].map(|name| &none[name]);
    assert_eq!(marked, [2, 1, 1], "{none}");
    let by_model = books(&project, "service,arm,model", 4);
    let row = &by_model["rows"][0];
    assert_eq!((&row["service"], &row["arm"]), (&json!("my-service"), &json!("stable")));
    assert_eq!(row["model_version"], "m1", "{row}");
    assert_eq!(by_model["total"], by_tenant["total"]);

    // By day is what people and spreadsheets read.
    let table = project.run(&["cost", "--since", "1970-01-01"]).exits(0);
    assert!(table.out.lines().next().unwrap().starts_with("day"), "{table:?}");
    assert!(table.out.contains("1 requests with an estimated usage"), "{table:?}");
    assert!(table.out.contains("nothing came of them"), "{table:?}");
    let csv = project.run(&["cost", "--by", "key", "--csv"]).exits(0).out;
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 3, "{csv}");
    assert!(rows[0].starts_with("key,purpose,requests,input_tokens,"), "{csv}");
    assert!(rows[2].starts_with("web,serve,2,4,2,"), "{csv}");
    assert!(rows[2].ends_with(",0.000000675,0.000006,0.00,0.000006675"), "{csv}");
    let page = metrics(server.address, &other);
    assert!(page.contains("tidegate_cost_usd_total{arm=\"stable\"} 0.0000"), "{page}");
    project.run(&["cost", "--since", "2026-12-01", "--until", "2026-11-01"]).fails(
        2,
        &["after"],
        &[],
    );
    for wrong in ["2026-02-30", "yesterday", "1e3", ""] {
        assert_eq!(project.run(&["cost", "--since", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn a_wrong_price_is_put_right_for_what_was_used() {
    let upstream = upstream();
    let project = upstream.project("", "");
    let server = project.serve();
    let web = key(&project, &["web"]);
    assert_eq!(ask(server.address, &web, "hi"), 200);
    let unpriced = books(&project, "model", 1);
    assert_eq!(unpriced["total"]["unpriced_requests"], 1, "{unpriced}");
    assert_eq!(unpriced["total"]["total_cost"], "0.00", "{unpriced}");
    let table = project.run(&["cost"]).exits(0);
    assert!(table.out.contains("1 requests of a model without a price"), "{table:?}");
    let page = metrics(server.address, &web);
    let marked = "tidegate_mispriced_requests_total{model_version=\"m1\",why=\"unpriced\"} 1";
    assert!(page.contains(marked), "{page}");

    let price = "prices:\n  m1: {input_per_million: 0.15, output_per_million: 0.6}\n\
                 price_list:\n  - {model: m1, from: 2999-01-01, compute_per_hour: 3}\n";
    project.append("tidegate.yaml", price);
    let done = project.run(&["cost", "reprice", "--from", "2020-01-01"]).exits(0);
    assert!(done.out.contains("costs $0.00000345; before, it was $0.00"), "{done:?}");
    let priced = books(&project, "model", 1);
    assert_eq!(priced["total"]["unpriced_requests"], 0, "{priced}");
    assert_eq!(priced["total"]["total_cost"], "0.00000345", "{priced}");
    // Days before the first day stay as they are.
    project.edit("tidegate.yaml", "input_per_million: 0.15", "input_per_million: 9");
    project.run(&["cost", "reprice", "--from", "2998-01-01"]).exits(0);
    assert_eq!(books(&project, "model", 1), priced);
    // Without a server as well.
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let done = project.run(&["cost", "reprice", "--from", "2020-01-01"]).exits(0);
    assert!(done.out.contains("costs $0.00003; before, it was $0.00000345"), "{done:?}");
    project.run(&["cost", "reprice"]).exits(2);
}
