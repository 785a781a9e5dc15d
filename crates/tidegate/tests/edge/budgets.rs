//! Budgets: what is spent never exceeds them, whoever leaves, fails or is killed.

use crate::client::{self, Answer, CHAT};
use crate::dice::setting;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::preload::{Disk, Fault};
use crate::project::{Project, wait_for};
use crate::upstream::{Upstream, completion};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A dollar for each token of an answer, so that one of [`LENGTH`] costs as many dollars.
const PRICES: &str = "prices:\n  m1: {input_per_million: 0, output_per_million: 1000000}\n";
/// Tokens of every answer of the model server.
const LENGTH: u64 = 5;
/// Kills; more by `TIDEGATE_BUDGET_KILLS`.
const KILLS: u64 = 10;

fn key(project: &Project, args: &[&str]) -> String {
    let made = project.run(&[&["key", "create"], args].concat()).exits(0);
    made.out.trim().to_owned()
}

fn request(key: &str, text: &str, more: &Value) -> Vec<u8> {
    let mut body = json!({ "messages": [{ "role": "user", "content": text }] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let headers = format!("content-type: application/json\r\nauthorization: Bearer {key}\r\n");
    client::request("POST", CHAT, &headers, body.to_string().as_bytes())
}

fn ask(address: SocketAddr, key: &str) -> Answer {
    let request = request(key, "退款?", &json!({ "max_tokens": LENGTH }));
    client::open(address, &request).unwrap().finish().unwrap()
}

/// What was spent of a key's budget of the month, as `tidegate key list` has it.
fn spent(project: &Project, key: &str) -> String {
    let list = project.run(&["key", "list", "--json"]).exits(0).json();
    list[&key[..11]]["spent_month"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_length_of_null_says_nothing_of_the_length() {
    let upstream = Upstream::answering("ok");
    let project = upstream.project("", PRICES);
    let server = project.serve();
    let web = key(&project, &["web", "--budget-month", "12usd"]);
    let length = json!({ "max_completion_tokens": null, "max_tokens": LENGTH });
    let answer = client::open(server.address, &request(&web, "退款?", &length)).unwrap();
    assert_eq!(answer.finish().unwrap().status, 200, "5 dollars are reserved and not 32,768");
}

#[test]
fn of_two_lengths_the_longer_one_is_reserved() {
    let upstream = Upstream::answering("ok");
    let project = upstream.project("", PRICES);
    let server = project.serve();
    let web = key(&project, &["web", "--budget-month", "12usd"]);
    for (length, most) in [
        (json!({ "max_completion_tokens": 1, "max_tokens": 100 }), "up to $100.00"),
        (json!({ "max_completion_tokens": 100, "max_tokens": 1 }), "up to $100.00"),
        (json!({ "max_tokens": 1, "n_predict": 100 }), "up to $100.00"),
        (json!({ "max_tokens": 1, "n_predict": -1 }), "up to $32768.00"),
    ] {
        let answer = client::open(server.address, &request(&web, "退款?", &length)).unwrap();
        answer.finish().unwrap().check_error(429, "insufficient_quota", &[most]);
    }
    assert!(upstream.asked().is_empty());
}

#[test]
fn a_budget_reserves_both_calls_where_a_broken_answer_is_asked_for_again() {
    let good = "{\"answer\": 1}";
    let upstream = Upstream::by_rule(move |body| {
        let is_again = body["messages"].to_string().contains("breaks the required format");
        ("200 OK", completion(if is_again { good } else { "plain text" }))
    });
    let project = upstream.project("", PRICES);
    let output = "  output: {type: object, required: [answer]}\n  repair: true\n";
    let before = "  stop_path: stop it\n";
    project.edit("tidegate.yaml", before, &format!("{before}{output}"));
    let server = project.serve();
    let little = key(&project, &["little", "--budget-month", "9usd"]);
    assert_eq!(ask(server.address, &little).status, 429, "10 dollars are needed");
    let web = key(&project, &["web", "--budget-month", "12usd"]);
    let answer = ask(server.address, &web);
    assert_eq!((answer.status, answer.header("x-tidegate-repaired")), (200, "true"));
    assert_eq!(answer.text(), good);
    wait_for("what both calls cost", || (spent(&project, &web).starts_with("10")).then_some(()));
    assert_eq!(ask(server.address, &web).status, 429, "2 dollars are left");
}

#[test]
fn while_degraded_a_budget_reserves_what_the_level_lets_a_request_cost() {
    let upstream = Upstream::answering("ok");
    let small = "  small: {input_per_million: 0, output_per_million: 100000}\n";
    let degrade = "degrade: {max_tokens: 5, model: small}\n";
    let project = upstream.project("", &format!("{PRICES}{small}{degrade}"));
    let server = project.serve();
    let degrade = |level: &str| {
        project.run(&["degrade", level, "--by", "mei", "--reason", "budgets"]).exits(0);
    };
    let ask = |key: &str, more: &Value| {
        client::open(server.address, &request(key, "退款?", more)).unwrap().finish().unwrap()
    };
    let (asked, unbounded) = (json!({ "max_tokens": LENGTH }), json!({}));
    let web = key(&project, &["web", "--budget-month", "6usd"]);
    ask(&web, &unbounded).check_error(429, "insufficient_quota", &["up to $32768.00"]);
    // Level 1: no answer is longer than five tokens, a dollar each.
    degrade("1");
    assert_eq!(ask(&web, &unbounded).status, 200);
    assert_eq!(spent(&project, &web), "5.00");
    ask(&web, &asked).check_error(429, "insufficient_quota", &["$1.00 left", "up to $5.00"]);
    // Level 2: the smaller model, at a tenth.
    degrade("2");
    assert_eq!(ask(&web, &asked).status, 200);
    wait_for("the price of the smaller model", || (spent(&project, &web) == "5.50").then_some(()));
    // Level 4: no model is asked, and nothing costs anything.
    degrade("4");
    let none = key(&project, &["none", "--budget-month", "0"]);
    assert_eq!(ask(&none, &unbounded).status, 200);
    assert_eq!(spent(&project, &none), "0.00");
    degrade("off");
    ask(&none, &asked).check_error(429, "insufficient_quota", &["$0.00 left"]);
    assert_eq!(upstream.asked().len(), 2);
}

#[test]
fn a_smaller_model_without_a_price_is_not_called_under_a_budget() {
    let upstream = Upstream::answering("ok");
    let project = upstream.project("", &format!("{PRICES}degrade: {{model: small}}\n"));
    let server = project.serve();
    let web = key(&project, &["web", "--budget-month", "6usd"]);
    assert_eq!(ask(server.address, &web).status, 200);
    project.run(&["degrade", "2", "--by", "mei", "--reason", "budgets"]).exits(0);
    ask(server.address, &web).check_error(503, "model_unpriced", &["no price"]);
    assert_eq!(spent(&project, &web), "5.00");
}

#[test]
fn a_budget_holds_says_what_is_left_and_survives_a_restart() {
    let upstream = Upstream::answering("ok");
    let project = upstream.project("", PRICES);
    let server = project.serve();
    let web = key(&project, &["web", "--budget-month", "12usd", "--budget-day", "1000"]);
    let free = key(&project, &["batch"]);
    assert_eq!((ask(server.address, &web).status, ask(server.address, &web).status), (200, 200));
    let over = ask(server.address, &web);
    let says = ["key `web` has $2.00 left of its budget of $12.00 for this month", "up to $5.00"];
    over.check_error(429, "insufficient_quota", &says);
    assert!(over.body.contains("the next month begins at 20"), "{over:?}");
    assert_eq!(over.header("x-should-retry"), "false", "{over:?}");
    // As many tokens as the answer may have are reserved; of no bound on it, many.
    let unbounded = request(&web, "hi", &json!({}));
    let unbounded = client::open(server.address, &unbounded).unwrap().finish().unwrap();
    unbounded.check_error(429, "insufficient_quota", &["up to $32768.00"]);
    let many = request(&web, "hi", &json!({ "max_tokens": 1, "n": 3 }));
    let many = client::open(server.address, &many).unwrap().finish().unwrap();
    many.check_error(429, "insufficient_quota", &["up to $3.00"]);
    assert_eq!(upstream.asked().len(), 2, "what is refused is not sent");
    assert_eq!(ask(server.address, &free).status, 200);
    let table = project.run(&["key", "list"]).exits(0);
    assert!(table.out.contains("$10.00/12.00 a month"), "{table:?}");

    server.terminate();
    assert_eq!(server.ended(), Some(0));
    let server = project.serve();
    ask(server.address, &web).check_error(429, "insufficient_quota", &["$2.00 left"]);
    assert_eq!(spent(&project, &web), "10.00");
    // A successor gives no more; another owner has a budget as well.
    let next = project.run(&["key", "rotate", "web"]).exits(0).out.trim().to_owned();
    ask(server.address, &next).check_error(429, "insufficient_quota", &["$2.00 left"]);
    for wrong in ["5eur", "-1", "1e3", "9000001"] {
        assert_eq!(project.run(&["key", "create", "a", "--budget-day", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn what_fails_costs_nothing_and_what_nobody_knows_costs_all_that_it_may() {
    let upstream = Upstream::by_rule(|body| match body["messages"][0]["content"].as_str() {
        Some("fail") => ("500 Internal Server Error", "{}".to_owned()),
        Some("refuse") => ("400 Bad Request", r#"{"error":{"message":"no"}}"#.to_owned()),
        // More tokens than any answer has: then they are estimated, not billed.
        Some("lie") => ("200 OK", completion("ok").replace(":5,", ":1e30,")),
        Some("half") => ("200 OK", "{\"choices\": [".to_owned()),
        Some("slow") => {
            std::thread::sleep(Duration::from_millis(800));
            ("200 OK", completion("ok"))
        }
        _ => ("200 OK", completion("ok")),
    });
    let project = upstream.project("", &format!("{PRICES}limits:\n  retries: 0\n"));
    let server = project.serve();
    let ask = |key: &str, text: &str| {
        let request = request(key, text, &json!({ "max_tokens": 100 }));
        client::open(server.address, &request).unwrap().finish().unwrap().status
    };
    let spends = |name: &str, text: &str, status: u16, expected: &str| {
        let key = key(&project, &[name, "--budget-month", "150"]);
        assert_eq!(ask(&key, text), status, "{text}");
        assert_eq!(spent(&project, &key), expected, "{text}");
    };
    spends("a", "fail", 502, "0.00");
    spends("b", "refuse", 400, "0.00");
    spends("c", "hi", 200, "5.00");
    spends("d", "lie", 200, "1.00");
    spends("e", "half", 502, "100.00");
    // A client that leaves before the answer.
    let left = key(&project, &["f", "--budget-month", "150"]);
    let request = request(&left, "slow", &json!({ "max_tokens": 100 }));
    let before = upstream.asked().len();
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    std::io::Write::write_all(&mut stream, &request).unwrap();
    wait_for("the reservation", || (spent(&project, &left) == "100.00").then_some(()));
    drop(stream);
    wait_for("the model server", || (upstream.asked().len() > before).then_some(()));
    assert_eq!(spent(&project, &left), "100.00");
}

#[test]
fn tenants_and_the_service_have_budgets_beside_their_keys() {
    let upstream = Upstream::answering("ok");
    let bounds = "bounds: {budget_month_usd: 20}\n\
                  tenants:\n  acme: {budget_month_usd: 10, requests_per_min: 3}\n  \
                  b: {concurrent: 3}\n";
    let project = upstream.project("", &format!("{PRICES}{bounds}"));
    let server = project.serve();
    let acme = ["one", "two"].map(|name| key(&project, &[name, "--tenant", "acme"]));
    let other = key(&project, &["three", "--tenant", "b", "--requests-per-min", "3"]);
    assert_eq!(ask(server.address, &acme[0]).status, 200);
    let second = ask(server.address, &acme[1]);
    assert_eq!(second.status, 200);
    // Both keys take of what the tenant has.
    assert_eq!(second.header("x-ratelimit-remaining-requests"), "1", "{second:?}");
    let over = ask(server.address, &acme[1]);
    over.check_error(429, "insufficient_quota", &["tenant `acme` has $0.00 left of", "$10.00"]);
    assert_eq!(
        (ask(server.address, &other).status, ask(server.address, &other).status),
        (200, 200)
    );
    // The service's budget is used up; what others spent is not shown.
    let shut = ask(server.address, &other);
    shut.check_error(429, "insufficient_quota", &["the budget of the service for this month"]);
    assert!(!shut.body.contains("20.00") && !shut.body.contains("$0.00"), "{shut:?}");
    // What one scope refused was taken from no other: the key may have three a minute.
    for _ in 0..3 {
        ask(server.address, &other).check_error(429, "insufficient_quota", &["of the service"]);
    }
    server.terminate();
    assert_eq!(server.ended(), Some(0));
    project.edit(
        "tidegate.yaml",
        "bounds: {budget_month_usd: 20}",
        "bounds: {budget_month_usd: 25}",
    );
    let server = project.serve();
    let again = ask(server.address, &other);
    assert_eq!(again.status, 200, "a larger budget, with what was spent: {again:?}");
    ask(server.address, &other).check_error(429, "insufficient_quota", &["of the service"]);
    ask(server.address, &acme[0]).check_error(429, "insufficient_quota", &["tenant `acme`"]);
}

#[test]
fn a_model_without_a_price_is_not_called_under_a_budget() {
    let upstream = Upstream::answering("ok");
    let project = upstream.project("", "");
    let server = project.serve();
    let web = key(&project, &["web", "--budget-day", "5"]);
    let free = key(&project, &["batch", "--tokens-per-min", "1000"]);
    let refused = ask(server.address, &web);
    refused.check_error(503, "model_unpriced", &["has no price"]);
    assert_eq!(refused.header("x-should-retry"), "false", "{refused:?}");
    assert_eq!(ask(server.address, &free).status, 200);
}

/// A hundred who ask at once.
fn hundred(address: SocketAddr, key: &str) -> Vec<JoinHandle<std::io::Result<u16>>> {
    let request = request(key, "hi", &json!({ "max_tokens": LENGTH }));
    let ask = move |request: Vec<u8>| {
        client::open(address, &request).and_then(client::Open::finish).map(|answer| answer.status)
    };
    (0..100)
        .map(|_| {
            let request = request.clone();
            std::thread::spawn(move || ask(request))
        })
        .collect()
}

/// A budget for ten, a hundred who ask at once, a kill in between: never more than ten are sent,
/// and all that were sent are known afterwards.
#[test]
fn a_budget_for_ten_sends_ten_whatever_is_killed() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let upstream = Upstream::by_rule(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        ("200 OK", completion("ok"))
    });
    let project = upstream.project("", PRICES);
    let kills = setting("TIDEGATE_BUDGET_KILLS", KILLS);
    let (mut server, mut cut) = (project.serve(), 0);
    for kill in 0..kills {
        let budget = (10 * LENGTH).to_string();
        let web = key(&project, &[&format!("web-{kill}"), "--budget-month", &budget]);
        sent.store(0, Ordering::SeqCst);
        let asking = hundred(server.address, &web);
        wait_for("the moment", || (sent.load(Ordering::SeqCst) >= kill % 11).then_some(()));
        server.kill();
        let answers: Vec<_> = asking.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(answers.iter().flatten().all(|status| [200, 429].contains(status)), "{answers:?}");
        let before = sent.load(Ordering::SeqCst);
        cut += u64::from(before < 10);
        server = project.serve();
        let known: f64 = spent(&project, &web).parse().unwrap();
        let least = (before * LENGTH) as f64;
        assert!(known >= least, "kill {kill}: {before} were sent, ${known} are known");
        for one in hundred(server.address, &web) {
            one.join().unwrap().unwrap();
        }
        let all = sent.load(Ordering::SeqCst);
        assert!(all <= 10, "kill {kill}: {all} were sent, {before} of them before the kill");
    }
    // Without a kill it is ten, not fewer.
    let budget = (10 * LENGTH).to_string();
    let whole = key(&project, &["whole", "--budget-month", &budget]);
    sent.store(0, Ordering::SeqCst);
    hundred(server.address, &whole).into_iter().for_each(|one| drop(one.join()));
    assert_eq!(sent.load(Ordering::SeqCst), 10);
    println!("budgets: {kills} kills, {cut} of them before the tenth request");
    assert!(cut > 0, "every kill came too late");
}

/// The disk does not answer: a request under a budget is refused within its time, others pass.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn what_cannot_be_written_is_not_sent() {
    let upstream = Upstream::answering("ok");
    let project = upstream.project("", PRICES);
    let disk = Disk::new();
    let server = disk.serve(&project);
    let web = key(&project, &["web", "--budget-month", "1000"]);
    let free = key(&project, &["batch"]);
    assert_eq!(ask(server.address, &web).status, 200);
    disk.has(Fault::Stall);
    // A hundredth of the budget is written ahead; then the disk is needed.
    let refused = wait_for("the end of what is written ahead", || {
        let answer = ask(server.address, &web);
        (answer.status != 200).then_some(answer)
    });
    refused.check_error(503, "store_unavailable", &["could not be written to disk"]);
    assert_eq!(ask(server.address, &free).status, 200);
    disk.recovers_from(Fault::Stall);
    wait_for("the disk", || (ask(server.address, &web).status == 200).then_some(()));
}
