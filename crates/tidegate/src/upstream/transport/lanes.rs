//! The connections of one worker to one server.
//!
//! With HTTP/2 a client of hyper-util has one connection for all requests. A server that allows
//! fewer at a time makes those above wait for the end of another, and all end with the connection.
//! So there are several clients, and the next one is used when those before are full. With HTTP/1.1
//! one client has as many connections as there are requests.

use super::client::{self, Connector, HttpClient};
use crate::upstream::bounds;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Clients, each with how many requests it has.
#[derive(Debug)]
pub(super) struct Lanes(Vec<(HttpClient, Arc<AtomicUsize>)>);

/// A request's place on a connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// Makes the clients; several where connections are shared.
    pub(super) fn new(connector: &Connector, are_shared: bool) -> Lanes {
        let make = || (client::http_client(connector.clone(), bounds::POOL_MAX), Arc::default());
        let count = if are_shared { bounds::LANES } else { 1 };
        Lanes(std::iter::repeat_with(make).take(count).collect())
    }

    /// The client for the next request: the first that is not full, else the one with the fewest.
    pub(super) fn pick(&self) -> (&HttpClient, Option<Place>) {
        if let [(client, _)] = self.0.as_slice() {
            return (client, None);
        }
        let load = |(_, count): &&(_, Arc<AtomicUsize>)| count.load(Ordering::Relaxed);
        let free = self.0.iter().find(|lane| load(lane) < bounds::STREAMS_MAX);
        // There is one at least.
        let (client, count) = free.or(self.0.iter().min_by_key(load)).unwrap_or(&self.0[0]);
        count.fetch_add(1, Ordering::Relaxed);
        (client, Some(Place(Arc::clone(count))))
    }
}

/// An answer's body, which holds its request's place.
#[derive(Debug)]
pub(super) struct Body {
    incoming: Incoming,
    _place: Option<Place>,
}

impl Body {
    /// The body of an answer that came at this place.
    pub(super) fn new(incoming: Incoming, place: Option<Place>) -> Body {
        Body { incoming, _place: place }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Uri;

    #[test]
    fn a_connection_is_filled_before_the_next_one_is_made() {
        let address = Uri::from_static("http://127.0.0.1:1/v1");
        let connector =
            client::connector("main", &address, Default::default(), true, bounds::CONNECT_WAIT)
                .unwrap();
        let lanes = Lanes::new(&connector, true);
        let load = || -> Vec<usize> {
            lanes.0.iter().map(|(_, count)| count.load(Ordering::Relaxed)).collect()
        };
        let all = bounds::STREAMS_MAX * bounds::LANES;
        let mut places: Vec<_> = (0..bounds::STREAMS_MAX).map(|_| lanes.pick().1).collect();
        assert_eq!(load()[..2], [bounds::STREAMS_MAX, 0]);
        places.extend((places.len()..all + bounds::LANES).map(|_| lanes.pick().1));
        assert_eq!(load(), vec![bounds::STREAMS_MAX + 1; bounds::LANES]);
        drop(places);
        assert_eq!(load(), vec![0; bounds::LANES]);
        let one = Lanes::new(&connector, false);
        assert!(one.pick().1.is_none(), "nothing is counted where nothing is shared");
    }
}
