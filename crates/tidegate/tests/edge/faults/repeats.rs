//! Requests that come again: under one key from several clients at once, and from the gateway
//! itself where the model server fails.

use super::asking::{Asked, Client, Front, Service};
use super::fault::Fault;
use crate::client::{self, CHAT, request};
use crate::dice::{Dice, setting};
use crate::project::wait_for;
use serde_json::json;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};

/// Clients that send one key at once.
const RACERS: usize = 3;
/// Races at a time.
const AT_ONCE: u64 = 6;

/// One race: who sends which body, and how long the model server takes.
struct Race {
    key: String,
    /// Whether a client's body is another one.
    differs: [bool; RACERS],
    slow_ms: u64,
}

impl Race {
    fn draw(dice: &mut Dice, number: u64) -> Race {
        let other = dice.below(4 * RACERS as u64) as usize;
        let differs = std::array::from_fn(|racer| racer == other);
        Race { key: format!("race-{number}"), differs, slow_ms: dice.below(4) }
    }

    fn trace(&self, racer: usize) -> String {
        format!("{}-{racer}", self.key)
    }

    fn send(&self, front: &Front, racer: usize) -> client::Answer {
        let text = if self.differs[racer] { "sell" } else { "buy" };
        let body = json!({"messages": [{"role": "user", "content": text}],
                          "x_fault": Fault::Slow(self.slow_ms)});
        let (key, trace) = (&self.key, self.trace(racer));
        let headers = format!("idempotency-key: {key}\r\nx-trace-id: {trace}\r\n");
        let bytes = request("POST", CHAT, &headers, body.to_string().as_bytes());
        client::open(front.address, &bytes).and_then(client::Open::finish).unwrap()
    }

    /// Runs it; gives how many clients were asked to wait.
    fn run(&self, front: &Front) -> u64 {
        let line = Barrier::new(RACERS);
        let racer = |racer: usize| {
            line.wait();
            self.send(front, racer)
        };
        let answers: Vec<client::Answer> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..RACERS).map(|number| scope.spawn(move || racer(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let is_new = |answer: &client::Answer| {
            answer.status == 200 && answer.header("idempotent-replayed").is_empty()
        };
        let first: Vec<usize> = (0..RACERS).filter(|racer| is_new(&answers[*racer])).collect();
        let [first] = first[..] else { panic!("{first:?} were carried out: {answers:?}") };
        let mut waiting = 0;
        for (racer, answer) in answers.iter().enumerate() {
            let is_other = self.differs[racer] != self.differs[first];
            match answer.status {
                200 if !is_other => assert_eq!(answer.text(), answers[first].text()),
                409 if !is_other => waiting += 1,
                422 if is_other => answer.check_error(422, "idempotency_key_reused", &[]),
                _ => panic!("{racer} of {}: {answers:?}", self.key),
            }
        }
        let again = self.send(front, first);
        assert_eq!(again.header("idempotent-replayed"), "true", "{again:?}");
        let tries = (0..RACERS).map(|racer| front.model.call(&self.trace(racer)).tries);
        assert_eq!(tries.sum::<u64>(), 1, "{answers:?}");
        waiting
    }
}

/// `TIDEGATE_FAULT_RACES` makes it longer.
#[test]
fn however_clients_race_under_one_key_the_model_server_is_asked_once() {
    let races = setting("TIDEGATE_FAULT_RACES", 200);
    let seed = setting("TIDEGATE_FAULT_SEED", 0x7164_6567);
    println!("TIDEGATE_FAULT_SEED={seed} with {races} races draws the same again");
    let service = Service::start("");
    let front = service.front();
    let dice = Mutex::new((Dice::new(seed), 0));
    let waiting = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let race = {
                        let (dice, number) = &mut *dice.lock().unwrap();
                        *number += 1;
                        if *number > races {
                            return;
                        }
                        Race::draw(dice, *number)
                    };
                    waiting.fetch_add(race.run(&front), Ordering::Relaxed);
                }
            });
        }
    });
    let waiting = waiting.load(Ordering::Relaxed);
    println!("{races} races of {RACERS} clients, {waiting} asked to wait, none carried out twice");
    assert!(waiting >= races / 10, "they did not meet: {waiting}");
    // What is given again was asked once, and is recorded once.
    assert_eq!(service.stop().len() as u64, races);
}

/// A request under a key, which the model server meets with a fault.
fn keyed(key: &str, fault: Fault) -> Vec<u8> {
    let body = json!({"messages": [{"role": "user", "content": "buy"}], "x_fault": fault});
    let headers = format!("idempotency-key: {key}\r\nx-trace-id: {key}\r\n");
    request("POST", CHAT, &headers, body.to_string().as_bytes())
}

#[test]
fn what_failed_or_was_left_is_carried_out_again_under_its_key() {
    let service = Service::start("  retries: 0\n");
    let front = service.front();
    let send =
        |bytes: &[u8]| client::open(front.address, bytes).and_then(client::Open::finish).unwrap();
    let broken = [Fault::CutGzip, Fault::TooShort, Fault::Cut(0), Fault::Html, Fault::Status(500)];
    for (number, fault) in broken.into_iter().enumerate() {
        let bytes = keyed(&format!("breaks-{number}"), fault);
        for time in 1..=2 {
            let answer = send(&bytes);
            assert_eq!((answer.status, answer.header("idempotent-replayed")), (502, ""));
            assert_eq!(front.model.call(&format!("breaks-{number}")).tries, time, "{fault:?}");
        }
    }
    let mut leaves = TcpStream::connect(front.address).unwrap();
    leaves.write_all(&keyed("leaves", Fault::Silent(0))).unwrap();
    let call = || front.model.call("leaves");
    wait_for("the call", || (call().tries == 1).then_some(()));
    send(&keyed("leaves", Fault::Silent(0))).check_error(409, "idempotency_in_progress", &[]);
    drop(leaves);
    wait_for("the end of the call", || call().released);
    // The model server may see the end before the key is free.
    wait_for("the key", || (send(&keyed("leaves", Fault::None)).status == 200).then_some(()));
}

/// `TIDEGATE_FAULT_RETRIES` makes it longer.
#[test]
fn retries_are_a_tenth_of_what_fails_and_each_request_has_two_tries() {
    let count = setting("TIDEGATE_FAULT_RETRIES", 600);
    let service = Service::start("");
    let front = service.front();
    let asked = |number: u64| Asked {
        trace: format!("fails-{number}"),
        fault: Fault::Status([500, 502, 503, 529][number as usize % 4]),
        stream: number.is_multiple_of(3),
        client: Client::Reads,
    };
    let asked: Vec<Asked> = (0..count).map(asked).collect();
    let seen = front.ask_all(&asked, 16);
    let tries = |asked: &Asked| front.model.call(&asked.trace).tries;
    let retries = asked.iter().map(tries).sum::<u64>() - count;
    println!("{count} requests that all fail, {retries} retries");
    // A reserve of ten, and one for ten requests.
    assert!((count / 20..=10 + count / 10).contains(&retries), "{retries} of {count}");
    let records = service.stop();
    for (asked, seen) in asked.iter().zip(&seen) {
        asked.check_record(seen, records.get(&asked.trace));
    }
}
