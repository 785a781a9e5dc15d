//! The two halves of a connection, with TLS or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::server::TlsStream;

/// What comes from the client.
pub(super) enum Reads {
    Plain(OwnedReadHalf),
    Tls(ReadHalf<TlsStream<TcpStream>>),
}

/// What goes to the client.
pub(super) enum Writes {
    Plain(OwnedWriteHalf),
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

/// Both halves of a connection without TLS.
pub(super) fn plain(stream: TcpStream) -> (Reads, Writes) {
    let (read, write) = stream.into_split();
    (Reads::Plain(read), Writes::Plain(write))
}

/// Both halves of a connection with TLS.
pub(super) fn tls(stream: TlsStream<TcpStream>) -> (Reads, Writes) {
    let (read, write) = tokio::io::split(stream);
    (Reads::Tls(read), Writes::Tls(write))
}

impl AsyncRead for Reads {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Reads::Plain(read) => Pin::new(read).poll_read(cx, buf),
            Reads::Tls(read) => Pin::new(read).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Writes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Writes::Plain(write) => Pin::new(write).poll_write(cx, buf),
            Writes::Tls(write) => Pin::new(write).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Writes::Plain(write) => Pin::new(write).poll_write_vectored(cx, bufs),
            Writes::Tls(write) => Pin::new(write).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Writes::Plain(write) => write.is_write_vectored(),
            Writes::Tls(write) => write.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Writes::Plain(write) => Pin::new(write).poll_flush(cx),
            Writes::Tls(write) => Pin::new(write).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Writes::Plain(write) => Pin::new(write).poll_shutdown(cx),
            Writes::Tls(write) => Pin::new(write).poll_shutdown(cx),
        }
    }
}
