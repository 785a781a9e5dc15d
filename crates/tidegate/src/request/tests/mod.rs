//! The data plane over real sockets: raw bytes in, raw bytes out, with a model server whose answers
//! each test writes itself.

mod audit;
mod cache;
mod chat;
mod edges;
mod faults;
mod guard;
mod harness;
mod http2;
mod repair;
mod streams;
