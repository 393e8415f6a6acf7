//! A connection's bytes on their way to and from the frames, counted.

use super::tally::Tally;
use crate::io::{Transport, scratch};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A transport as `h2` wants it.
#[derive(Debug)]
pub(super) struct Wire {
    io: Transport,
    /// What was read before it was known to be HTTP/2.
    ahead: Vec<u8>,
    tally: Arc<Tally>,
}

impl Wire {
    pub(super) fn new(io: Transport, ahead: Vec<u8>, tally: Arc<Tally>) -> Wire {
        Wire { io, ahead, tally }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if !wire.ahead.is_empty() {
            let length = wire.ahead.len().min(buffer.remaining());
            buffer.put_slice(&wire.ahead[..length]);
            wire.ahead.drain(..length);
            if wire.ahead.is_empty() {
                wire.ahead = Vec::new();
            }
            wire.tally.read(length);
            return Poll::Ready(Ok(()));
        }
        // Through the worker's buffer: `h2` asks with one whose bytes are not initialised, and mostly little comes.
        let read = scratch::poll_read(&mut wire.io, cx, buffer.remaining(), |_, bytes| {
            buffer.put_slice(bytes);
            bytes.len()
        });
        let length = ready!(read)?;
        wire.tally.read(length);
        Poll::Ready(Ok(()))
    }
}

impl Wire {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(length)) => self.tally.wrote(*length),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.tally.stuck(),
        }
        written
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let written = Pin::new(&mut wire.io).poll_write(cx, bytes);
        wire.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let written = Pin::new(&mut wire.io).poll_write_vectored(cx, parts);
        wire.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
