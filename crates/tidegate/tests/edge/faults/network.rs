//! Networks that delay, throttle, cut, reset, swallow, close by half and garble what is sent, on
//! either side of the server: whoever can read an answer reads an honest one, and each request has
//! one record, which says what its client saw.

use super::asking::{Front, Service};
use super::bytes::text;
use super::fault::{EVENTS, Fault};
use super::proxy::Proxy;
use crate::client::{self, Answer, CHAT, request};
use crate::dice::setting;
use crate::project::wait_for;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests at a time.
const AT_ONCE: u64 = 12;
/// The numbers of the first requests begin here.
const FIRST: u64 = 1 << 20;
/// What is waited for is waited for less long than by default.
const LIMITS: &str = "  first_byte_ms: 1000\n  idle_ms: 1000\n  total_ms: 20000\n";

/// Every other one is streamed. The model server closes its connection afterwards: of those that
/// are kept, only the harmless ones would last.
fn ask(at: SocketAddr, number: u64) -> io::Result<Answer> {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "user": format!("u{number}"),
                      "stream": number.is_multiple_of(2), "x_fault": Fault::ThenCloses(0)});
    let headers = format!("x-trace-id: net-{number}\r\n");
    let bytes = request("POST", CHAT, &headers, body.to_string().as_bytes());
    client::open(at, &bytes)?.finish()
}

/// Whether a whole answer says all; otherwise it must be an error, or end in one.
#[track_caller]
fn is_answered(answer: &Answer, number: u64) -> bool {
    if answer.status != 200 {
        let code = answer.json()["error"]["code"].as_str().unwrap().to_owned();
        let is_known = [502, 504].contains(&answer.status) && code.starts_with("upstream_");
        assert!(is_known, "{number}: {answer:?}");
        return false;
    }
    if !number.is_multiple_of(2) {
        assert_eq!(answer.text(), text(EVENTS), "{number}: {answer:?}");
        return true;
    }
    let events = answer.events();
    let (last, before) = events.split_last().unwrap();
    assert!(!before.iter().any(|event| event == "[DONE]"), "{number}: {answer:?}");
    if last != "[DONE]" {
        let last: Value = serde_json::from_str(last).unwrap();
        assert!(last["error"]["code"].is_string(), "{number}: {answer:?}");
        return false;
    }
    let said = |event: &String| {
        let event: Value = serde_json::from_str(event).unwrap();
        event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(before.iter().map(said).collect::<String>(), text(EVENTS), "{number}: {answer:?}");
    true
}

/// Asks all at an address, from this number on; gives what each client read to its end.
fn ask_all(at: SocketAddr, first: u64, count: u64) -> Vec<(u64, io::Result<Answer>)> {
    let next = AtomicU64::new(first);
    let mine = || {
        let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        let mine = numbers.take_while(|number| *number < first + count);
        mine.map(|number| (number, ask(at, number))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(mine)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// What the first requests open stays open.
fn warm_up(service: &Service) -> usize {
    drop(ask_all(service.front().address, FIRST, 2 * AT_ONCE));
    service.front().model.hang_up();
    service.descriptors()
}

/// Nothing is left open once the networks are gone.
fn check_ends(service: &Service, front: &Front, before: usize) {
    wait_for("the connections' end", || (front.model.hang_up() == 0).then_some(()));
    wait_for("the descriptors' end", || (service.descriptors() <= before + 4).then_some(()));
}

fn drawn() -> (u64, u64) {
    let seed = setting("TIDEGATE_FAULT_SEED", 0x7164_6567);
    let count = setting("TIDEGATE_FAULT_NETWORKS", 150);
    println!("TIDEGATE_FAULT_SEED={seed} with {count} requests draws the same networks again");
    (seed, count)
}

/// `TIDEGATE_FAULT_NETWORKS` makes it longer.
#[test]
fn whatever_the_network_to_a_model_server_does_answers_are_whole_or_errors() {
    let (seed, count) = drawn();
    let mut proxy = None;
    let service = Service::through(LIMITS, |model| proxy.insert(Proxy::start(model, seed)).address);
    let proxy = proxy.unwrap();
    let front = service.front();
    let before = warm_up(&service);
    let mut seen = ask_all(front.address, 0, count);
    seen.sort_by_key(|(number, _)| *number);
    let answered: Vec<bool> =
        seen.into_iter().map(|(number, answer)| is_answered(&answer.unwrap(), number)).collect();
    check_ends(&service, &front, before);
    let records = service.stop();
    for (number, answered) in answered.iter().enumerate() {
        let record = &records[&format!("net-{number}")];
        assert_eq!(record.failure.is_none(), *answered, "{record:?}");
    }
    assert_eq!(records.len() as u64, count + 2 * AT_ONCE);
    let whole = answered.iter().filter(|answered| **answered).count();
    println!("{} networks did harm; {whole} of {count} answers are whole", proxy.harmed());
    assert!(proxy.harmed() >= count / 20 && whole as u64 >= count / 3, "{whole}");
}

/// `TIDEGATE_FAULT_NETWORKS` makes it longer.
#[test]
fn whatever_the_network_to_clients_does_what_arrives_whole_is_true_and_recorded_once() {
    let (seed, count) = drawn();
    let service = Service::through(LIMITS, |model| model);
    let front = service.front();
    let proxy = Proxy::start(front.address, seed);
    let before = warm_up(&service);
    let seen = ask_all(proxy.address, 0, count);
    check_ends(&service, &front, before);
    let records = service.stop();
    let mut whole = 0;
    for (number, answer) in &seen {
        let record = records.get(&format!("net-{number}"));
        // What is garbled is no HTTP, no UTF-8 or no request.
        let Ok(answer) = answer else { continue };
        if answer.status == 200 {
            whole += 1;
            let record = record.unwrap_or_else(|| panic!("no record of {answer:?}"));
            assert_eq!(record.failure.is_none(), is_answered(answer, *number), "{record:?}");
        }
    }
    println!("{} networks did harm; {whole} of {count} answers arrived whole", proxy.harmed());
    assert!(proxy.harmed() >= count / 10 && whole >= count / 3, "{whole}");
    assert!(records.len() as u64 <= count + 2 * AT_ONCE, "{}", records.len());
}
