//! A connection to a peer: its stream and what has been read from it but not used yet.

use super::ports::PortUse;
use crate::io::{Backlog, Transport, scratch};
use crate::lifecycle::worker::Seat;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// An open connection to an upstream server.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The stream.
    pub(crate) io: Transport,
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
    _seat: Seat,
}

impl Connection {
    /// A connection that has carried nothing yet.
    pub(crate) fn new(io: Transport) -> Connection {
        let born = Instant::now();
        Connection {
            io,
            inbox: Vec::new(),
            outbox: Backlog::default(),
            requests: 0,
            born,
            received: 0,
            sent: 0,
            port: None,
            _seat: Seat::take(),
        }
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
        let read = ready!(scratch::poll_read(&mut self.io, cx, limit, |_, bytes| {
            inbox.extend_from_slice(bytes);
            bytes.len()
        }))?;
        self.received += read as u64;
        Poll::Ready(Ok(read))
    }

    /// Writes what waits in the outbox.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.poll_write(&mut self.io, cx, &mut self.sent)
    }
}
