//! A connection to a peer: its stream and what has been read from it but not used yet.

use super::h2::Stream;
use super::ports::PortUse;
use super::tls::Secure;
use crate::io::clock::now;
use crate::io::{Backlog, Transport, scratch, spare};
use crate::lifecycle::worker::Seat;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// An open connection to an upstream server.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The stream.
    pub(crate) io: Wire,
    /// Bytes read and not used yet.
    pub(crate) inbox: Vec<u8>,
    /// Bytes to be written.
    pub(crate) outbox: Backlog,
    /// How many requests it has carried, the current one included.
    pub(crate) requests: u64,
    /// When it was opened.
    pub(crate) born: Instant,
    /// Bytes received for the current request.
    pub(crate) received: u64,
    /// Bytes sent for the current request.
    pub(crate) sent: u64,
    /// Its source port; a tunnel's pick takes it over.
    pub(crate) port: Option<PortUse>,
    /// As whom and to whom it was made over TLS.
    pub(super) secure: Option<Secure>,
    /// A stream of HTTP/2 has none: its connection has.
    _seat: Option<Seat>,
}

/// What carries a request: a connection of its own, or one stream of many.
#[derive(Debug)]
pub(crate) enum Wire {
    /// HTTP/1.
    Own(Transport),
    /// A stream of HTTP/2, whose near side is HTTP/1.
    Shared(Box<Stream>),
}

impl Wire {
    /// The bare stream, of a tunnel.
    pub(crate) fn into_transport(self) -> Transport {
        match self {
            Wire::Own(transport) => transport,
            Wire::Shared(stream) => Transport::Stream(Box::new(stream.into_bytes())),
        }
    }

    /// Reads once, at most `limit` bytes, and hands what came to `take`. No bytes are the end of the stream.
    pub(crate) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
        take: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        match self {
            Wire::Own(transport) => scratch::poll_read(transport, cx, limit, take),
            Wire::Shared(stream) => stream.poll_read(cx, limit, take),
        }
    }
}

impl Connection {
    /// A connection that has carried nothing yet.
    pub(crate) fn new(io: Transport) -> Box<Connection> {
        Connection::over(Wire::Own(io), Some(Seat::take()))
    }

    /// A request's part in a connection that others use as well.
    pub(super) fn shared(stream: Box<Stream>) -> Box<Connection> {
        Connection::over(Wire::Shared(stream), None)
    }

    // Boxed, since it is handed from step to step, and to those who keep it, for request after request.
    fn over(io: Wire, seat: Option<Seat>) -> Box<Connection> {
        let born = now();
        Box::new(Connection {
            io,
            inbox: Vec::new(),
            outbox: Backlog::default(),
            requests: 0,
            born,
            received: 0,
            sent: 0,
            port: None,
            secure: None,
            _seat: seat,
        })
    }

    /// Begins another request.
    pub(crate) fn begin(&mut self) {
        self.requests += 1;
        self.received = 0;
        self.sent = 0;
    }

    /// Reads once into the inbox. No bytes are the end of the stream.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        let inbox = &mut self.inbox;
        let read = ready!(self.io.poll_read(cx, limit, |_, bytes| {
            spare::append(inbox, bytes);
            bytes.len()
        }))?;
        self.received += read as u64;
        Poll::Ready(Ok(read))
    }

    /// Writes what waits in the outbox.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Wire::Own(transport) => self.outbox.poll_write(transport, cx, &mut self.sent),
            Wire::Shared(stream) => self.outbox.poll_write(&mut **stream, cx, &mut self.sent),
        }
    }

    /// Whether the server has certainly done nothing about the request, however much of it was sent.
    pub(crate) fn is_unprocessed(&self) -> bool {
        matches!(&self.io, Wire::Shared(stream) if stream.is_unprocessed())
    }

    /// Notes that the server did not answer in time. Requests that share the connection would find out one by one.
    pub(crate) fn distrust(&self) {
        if let Wire::Shared(stream) = &self.io {
            stream.distrust();
        }
    }
}
