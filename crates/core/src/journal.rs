//! The journal: an append-only, hash-chained list of all control events. State is its replay.
//!
//! One decision is made durable in these steps: (1) `Decided` is appended, with the observation it
//! was made on and the table it intends; (2) the binary swaps the table; (3) `Applied` is appended.
//! After a crash between 1 and 3 the replayed state holds the intended table, so traffic goes on
//! with the weights of before the crash or of after the decision, never a third.

mod block;
mod event;
mod filing;
mod replay_error;
mod shadow;
mod state;
#[cfg(test)]
mod tests;

pub use block::Block;
pub use event::{Entry, Event, JournalError, verify_chain};
pub use replay_error::ReplayError;
pub use state::{ControlState, EvalRunRef, Release, SetRef};
