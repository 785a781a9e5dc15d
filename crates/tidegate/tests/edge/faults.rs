//! Model servers that fail in every way they are known to fail, clients that do, and both at once,
//! drawn from a seed: whoever is left to read an answer reads an honest one, and each request is
//! recorded once.
//!
//! `TIDEGATE_FAULT_SEED` draws other faults; each test names the variable that makes it longer.

mod asking;
mod bytes;
mod connections;
mod each;
mod endless;
mod fault;
mod load;
mod mix;
mod network;
mod proxy;
mod repeats;
mod server;
mod switches;
