//! Request: the data plane. Connections, deadlines, credentials, limits and error bodies are here;
//! what a request says is read by `tidegate_wire`.
//!
//! A request goes through these files in this order: `listener` (bytes in time, by `http`),
//! `serve` (which endpoint), `front` (which service), `auth`, `incoming` (the body), then `chat`
//! (admission, route, render, call, answer) or another endpoint; `exchange` counts and records what
//! happened, whatever happened.

mod bounds;
mod listener;

mod strict;

mod arrival;
mod front;
mod serve;

mod admission;
mod auth;
mod incoming;

mod body;
mod cache;
mod code;
mod ids;
mod levels;
mod meter;
mod priority;
mod problem;
mod respond;

mod chat;
mod cors;
mod count;
mod dialect;
mod endpoint;
mod google;
mod moderating;
mod redacting;
mod relief;
mod repeats;
mod reply;
mod stream;

mod feedback;
mod pages;

mod exchange;

mod gateway;
mod guesses;

#[cfg(test)]
mod tests;

pub(crate) use auth::CredentialError;
pub(crate) use exchange::{Asker, NoPair, Question, Stable};
pub(crate) use front::Front;
pub(crate) use gateway::{Gateway, GatewayOptions, Parts};
pub(crate) use listener::{ListenError, bind, serve};
