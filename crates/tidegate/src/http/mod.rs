//! One server kit for both planes: connections within caps, each with its deadlines; bodies read in
//! time and within bounds; an end in order. What a request means is its [`Service`]'s to say.

mod body;
mod bounds;
mod conn;
mod descriptors;
mod frames;
mod halves;
mod http2;
mod listener;
mod percent;
mod service;
mod site;
mod tls;
mod workers;
mod x509;

pub(crate) use body::{BodyError, Collected, UnreadBody};
pub(crate) use bounds::Bounds;
pub(crate) use descriptors::connections;
pub(crate) use listener::Listener;
pub(crate) use percent::percent_decoded;
pub(crate) use service::{Received, Service};
pub(crate) use site::{Foreign, check as check_site};
pub(crate) use tls::{Tls, certificate_ends_at, ends_soon};
pub(crate) use workers::{PerWorker, Workers, aside};
