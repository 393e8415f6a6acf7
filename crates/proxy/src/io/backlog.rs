//! Bytes that a stream could not take yet.

use super::{Transport, spare};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// What still has to be written to one stream, oldest first. Holds no memory while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: Vec<u8>,
    start: usize,
}

impl Backlog {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `bytes` behind what waits.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.tail().extend_from_slice(bytes);
    }

    /// Direct access to append to, for writers that format in place.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        // What was written is dropped once it outweighs what waits, or a stream that is never quite empty would keep it all.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = spare::take();
        }
        &mut self.bytes
    }

    /// Writes as much as the stream takes, counting it in `sent`; ready once nothing waits.
    pub(crate) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.start..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += written;
            *sent += written as u64;
        }
        self.release();
        Poll::Ready(Ok(()))
    }

    /// Writes `bytes` behind what waits, both in one call, keeping what the stream does not take. Never waits.
    pub(crate) fn write_or_keep(
        &mut self,
        stream: &mut Transport,
        cx: &mut Context<'_>,
        mut bytes: &[u8],
        sent: &mut u64,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self.is_empty() {
                true => Pin::new(&mut *stream).poll_write(cx, bytes),
                false => {
                    let parts = [IoSlice::new(&self.bytes[self.start..]), IoSlice::new(bytes)];
                    Pin::new(&mut *stream).poll_write_vectored(cx, &parts)
                }
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    *sent += written as u64;
                    let waited = written.min(self.len());
                    self.start += waited;
                    bytes = &bytes[written - waited..];
                    if self.is_empty() {
                        self.release();
                    }
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.push(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    fn release(&mut self) {
        // A large buffer goes back at once; a small one stays for the next response of a busy connection.
        self.start = 0;
        if self.bytes.capacity() > 16 * 1024 { self.bytes = Vec::new() } else { self.bytes.clear() }
    }

    /// Gives the memory back, for a connection that begins to idle.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            spare::give(std::mem::take(&mut self.bytes));
            self.start = 0;
        }
    }
}
