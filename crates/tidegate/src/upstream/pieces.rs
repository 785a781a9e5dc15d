//! An answer on its way to its reader: bounded in pieces and in bytes, so that a slow reader slows
//! the upstream.

use super::flight::Flight;
use super::{Piece, bounds};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tidegate_core::upstream::Failure;
use tidegate_wire::translate::Warnings;
use tokio::sync::{Semaphore, mpsc};

/// An answer in pieces, the first of which has arrived. Dropping it cancels the call upstream.
#[derive(Debug)]
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    room: Arc<Semaphore>,
    /// What was left out of the request.
    pub(super) warnings: Warnings,
    /// The endpoint's call, until it has ended.
    flight: Option<Flight>,
}

/// Who gives the pieces.
#[derive(Debug)]
pub(crate) struct PieceSender {
    sender: mpsc::Sender<Piece>,
    room: Arc<Semaphore>,
}

/// The reader is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Pieces {
    /// Both ends.
    pub(crate) fn channel() -> (PieceSender, Pieces) {
        let (sender, receiver) = mpsc::channel(bounds::PIECES);
        let room = Arc::new(Semaphore::new(bounds::PIECES_BYTES as usize));
        (
            PieceSender { sender, room: Arc::clone(&room) },
            Pieces { receiver, room, warnings: Warnings::default(), flight: None },
        )
    }

    /// What was left out of the request, once.
    pub(crate) fn take_warnings(&mut self) -> Warnings {
        std::mem::take(&mut self.warnings)
    }

    /// The same as an endpoint's call, which ends as the pieces do.
    pub(super) fn of(mut self, flight: Flight) -> Pieces {
        self.flight = Some(flight);
        self
    }

    /// The endpoint's call is over, if there is one and it is not yet.
    fn ended(&mut self, failure: Option<Failure>) {
        match (self.flight.take(), failure) {
            (Some(flight), None) => flight.answered(),
            (Some(flight), Some(failure)) => flight.failed(failure),
            (None, _) => {}
        }
    }

    /// The next piece; `None` when none follows.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Self::next`].
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let piece = ready!(self.receiver.poll_recv(cx));
        self.room.add_permits(piece.as_ref().map_or(0, share) as usize);
        match &piece {
            Some(Piece::Data { .. } | Piece::Ping) => {}
            Some(Piece::Done(_)) => self.ended(None),
            Some(Piece::Failed(error)) => self.ended(Some(error.failure)),
            None => self.ended(Some(Failure::CutShort)),
        }
        Poll::Ready(piece)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // A sender that waits for room has nobody to wait for any more.
        self.room.close();
    }
}

impl PieceSender {
    /// Sends a piece once there is room for it.
    pub(crate) async fn send(&self, piece: Piece) -> Result<(), Gone> {
        self.room.acquire_many(share(&piece)).await.map_err(|_| Gone)?.forget();
        self.sender.send(piece).await.map_err(|_| Gone)
    }

    /// Ready when the reader is gone.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// What a piece takes of the room; one that is larger than all of it takes all of it.
fn share(piece: &Piece) -> u32 {
    match piece {
        Piece::Data { bytes, says: _ } => {
            u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(bounds::PIECES_BYTES)
        }
        Piece::Ping | Piece::Done(_) | Piece::Failed(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn piece(size: usize) -> Piece {
        Piece::Data { bytes: vec![b'x'; size].into(), says: tidegate_wire::Piece::default() }
    }

    #[tokio::test]
    async fn pieces_wait_by_their_bytes_as_well() {
        let (sender, mut pieces) = Pieces::channel();
        let half = bounds::PIECES_BYTES as usize / 2;
        sender.send(piece(half)).await.unwrap();
        sender.send(piece(half)).await.unwrap();
        sender.send(Piece::Ping).await.unwrap();
        assert!(sender.send(piece(1)).now_or_never().is_none(), "there is no room");
        assert!(pieces.next().await.is_some());
        sender.send(piece(1)).await.unwrap();
        for _ in 0..3 {
            assert!(pieces.next().await.is_some());
        }
        sender.send(piece(16 * half)).await.unwrap();
        assert!(sender.send(piece(1)).now_or_never().is_none());
        drop(pieces);
        assert!(sender.send(piece(1)).await.is_err());
    }
}
