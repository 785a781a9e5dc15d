//! Many requests at once, each with a fault of the model server and a client that follow from the
//! seed.

use super::asking::{Asked, Client, Seen, Service};
use super::fault::{EVENTS, Fault};
use crate::dice::{Dice, setting};
use crate::project::wait_for;
use std::time::Duration;

/// Requests at a time.
const AT_ONCE: usize = 16;

/// Any client at any fault.
fn any(dice: &mut Dice, trace: String) -> Asked {
    let asked = |fault, stream, client| Asked { trace, fault, stream, client };
    let stream = dice.below(2) == 0;
    match dice.below(20) {
        0 => asked(Fault::None, stream, Client::LeavesAsking),
        1 => asked(Fault::None, stream, Client::Nonsense),
        2..=6 => leaving(dice, asked),
        7 => asked(Fault::Once, stream, Client::Reads),
        8..=9 => asked(Fault::draw(dice), stream, Client::ReadsSlowly),
        _ => asked(Fault::draw(dice), stream, Client::Reads),
    }
}

/// A client that leaves an answer that would not end.
fn leaving(dice: &mut Dice, asked: impl FnOnce(Fault, bool, Client) -> Asked) -> Asked {
    let events = dice.below(EVENTS);
    let endless = dice.one_of(&[Fault::Silent(events), Fault::Heartbeats(events)]);
    match dice.below(5) {
        0 => asked(Fault::Silent(events), false, Client::Leaves),
        1 => asked(Fault::Silent(events), false, Client::LeavesByHalf),
        2 => asked(endless, true, Client::Leaves),
        3 => asked(endless, true, Client::LeavesByHalf),
        _ if events == 0 => asked(endless, true, Client::Leaves),
        _ => asked(endless, true, Client::LeavesAfter(1 + dice.below(events))),
    }
}

/// What a run held.
struct Run {
    seen: Vec<(Asked, Seen)>,
    memory_kib: [u64; 2],
}

/// Asks as often as is said, and checks each request, its record, and that nothing is left over.
fn run(what: &str, count: u64, draw: fn(&mut Dice, String) -> Asked) -> Run {
    let seed = setting("TIDEGATE_FAULT_SEED", 0x7164_6567);
    // Shown when it fails.
    println!("TIDEGATE_FAULT_SEED={seed} with {count} requests draws the same {what} again");
    let mut dice = Dice::new(seed);
    let service = Service::start("");
    let front = service.front();
    let first = |n: usize| {
        let (trace, fault) = (format!("first-{what}-{n}"), Fault::None);
        Asked { trace, fault, stream: n.is_multiple_of(2), client: Client::Reads }
    };
    let first: Vec<Asked> = (0..AT_ONCE).map(first).collect();
    front.ask_all(&first, AT_ONCE);
    front.model.hang_up();
    let asked: Vec<Asked> =
        (0..count).map(|number| draw(&mut dice, format!("{what}-{number}"))).collect();
    let before = (service.descriptors(), service.memory_kib());
    let seen = front.ask_all(&asked, AT_ONCE);
    assert_eq!(front.model.strayed(), 0, "a redirect was followed");
    // The model server ends what is kept open, and the gateway must let go of it.
    wait_for("the connections' end", || (front.model.hang_up() == 0).then_some(()));
    wait_for("the descriptors' end", || (service.descriptors() <= before.0 + 4).then_some(()));
    let memory_kib = [before.1, service.memory_kib()];
    let mut records = service.stop();
    for asked in &first {
        records.remove(&asked.trace);
    }
    for (asked, seen) in asked.iter().zip(&seen) {
        asked.check_record(seen, records.remove(&asked.trace).as_ref());
    }
    assert!(records.is_empty(), "records of nothing that was asked: {records:?}");
    Run { seen: asked.into_iter().zip(seen).collect(), memory_kib }
}

impl Run {
    /// Model servers are let go of within a second, and says how long it took.
    fn check_released(&self, what: &str) {
        let mut took: Vec<Duration> = self.seen.iter().filter_map(|(_, s)| s.released).collect();
        took.sort();
        let count = took.len();
        let at = |share: usize| took[(count * share / 100).min(count - 1)];
        let [before, after] = self.memory_kib;
        println!(
            "{what}: {} requests, {count} left by their clients, the model server let go of after \
             {:?} (median), {:?} (99 %), {:?} at most; memory {before} to {after} KiB",
            self.seen.len(),
            at(50),
            at(99),
            took[count - 1],
        );
        // One in a hundred may have met a machine that was busy with other tests.
        assert!(at(98) < Duration::from_secs(1), "{took:?}");
    }
}

/// `TIDEGATE_FAULT_REQUESTS` makes it longer.
#[test]
fn whatever_fails_clients_read_honest_answers_and_each_request_has_one_record() {
    let run = run("mix", setting("TIDEGATE_FAULT_REQUESTS", 400), any);
    run.check_released("mix");
}

/// `TIDEGATE_FAULT_CUTS` makes it longer.
#[test]
fn cut_streams_are_said_to_be_cut_and_what_came_of_them_is_counted() {
    let cut = |dice: &mut Dice, trace: String| {
        let (fault, client) = (Fault::cut(dice), Client::Reads);
        Asked { trace, fault, stream: true, client }
    };
    let count = setting("TIDEGATE_FAULT_CUTS", 200);
    let run = run("cuts", count, cut);
    let [before, after] = run.memory_kib;
    println!("{count} cut streams, all said and recorded; memory {before} to {after} KiB");
}

/// `TIDEGATE_FAULT_LEAVES` makes it longer.
#[test]
fn clients_that_leave_stop_the_model_server_and_leave_one_record_each() {
    let leaves = |dice: &mut Dice, trace: String| {
        leaving(dice, |fault, stream, client| Asked { trace, fault, stream, client })
    };
    let run = run("leaves", setting("TIDEGATE_FAULT_LEAVES", 200), leaves);
    run.check_released("leaves");
}
