//! Every fault by itself, of a whole answer and of a stream.

use super::asking::{Asked, Client, Service};
use super::fault::{EVENTS, Fault};

#[test]
fn each_fault_of_a_model_server_ends_in_an_honest_answer_and_one_record() {
    let service = Service::start("");
    let mut asked = Vec::new();
    for (number, stream) in (0..EVENTS).zip([false, true].into_iter().cycle()) {
        for (of, fault) in Fault::all(number).into_iter().enumerate() {
            let trace = format!("each-{number}-{of}");
            asked.push(Asked { trace, fault, stream, client: Client::Reads });
        }
    }
    let front = service.front();
    let seen = front.ask_all(&asked, 8);
    assert_eq!(front.model.strayed(), 0, "a redirect was followed");
    let records = service.stop();
    assert_eq!(records.len(), asked.len());
    for (asked, seen) in asked.iter().zip(&seen) {
        asked.check_record(seen, records.get(&asked.trace));
    }
}
