//! One stream of an HTTP/2 connection as a byte stream (RFC 8441): DATA frames are its bytes, END_STREAM its end.
//!
//! The window is the back-pressure: it is given back as bytes are used, and nothing is handed to the connection that the
//! other side has no window for. An idle stream owns no buffer.

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::AsyncWrite;

/// A stream of an HTTP/2 connection. Dropped before both sides have ended it, it is reset.
#[derive(Debug)]
pub(crate) struct Stream {
    receive: RecvStream,
    send: SendStream<Bytes>,
    /// What arrived and is not used yet: the rest of one frame.
    arrived: Bytes,
    /// Wakes the machine that it belongs to.
    waker: Option<Waker>,
    /// The end was sent.
    is_shut: bool,
    /// Counts the bytes of DATA in both directions.
    payload: Option<Arc<AtomicU64>>,
    /// What counts the stream among those of its connection, for as long as it lives.
    _counted: Option<Arc<dyn Any + Send + Sync>>,
}

/// How much is handed to the connection in one piece.
const PIECE_BYTES_MAX: usize = 64 * 1024;

impl Stream {
    /// Takes the two directions of a stream whose head was answered; `arrived` was read of it already.
    pub(crate) fn new(receive: RecvStream, send: SendStream<Bytes>, arrived: Bytes) -> Stream {
        Stream { receive, send, arrived, waker: None, is_shut: false, payload: None, _counted: None }
    }

    /// The same, with what counts the bytes of DATA in both directions.
    pub(crate) fn tallied(self, payload: Arc<AtomicU64>) -> Stream {
        Stream { payload: Some(payload), ..self }
    }

    fn count(&self, bytes: usize) {
        if let Some(payload) = &self.payload {
            payload.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// The same, with what is to be dropped when the stream is.
    pub(crate) fn counted(self, counted: Arc<dyn Any + Send + Sync>) -> Stream {
        Stream { _counted: Some(counted), ..self }
    }

    /// Takes what wakes the machine that the stream belongs to.
    pub(crate) fn wake_by(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    /// What wakes the machine that it belongs to.
    pub(crate) fn waker(&self) -> Option<Waker> {
        self.waker.clone()
    }

    /// Reads what is there. No bytes are the end of the stream.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.arrived.is_empty() {
                match self.receive.poll_data(cx) {
                    Poll::Ready(Some(Ok(bytes))) => self.arrived = bytes,
                    // What came before the end or the error is the reader's; it meets them at its next read.
                    Poll::Pending if filled == 0 => return Poll::Pending,
                    Poll::Ready(Some(Err(error))) if filled == 0 => return Poll::Ready(Err(broken(error))),
                    _ => break,
                }
                continue;
            }
            let length = self.arrived.len().min(buffer.len() - filled);
            self.arrived.copy_to_slice(&mut buffer[filled..filled + length]);
            filled += length;
            self.receive.flow_control().release_capacity(length).map_err(broken)?;
        }
        if self.arrived.is_empty() {
            // An empty slice would keep the frame that it was cut from.
            self.arrived = Bytes::new();
        }
        self.count(filled);
        Poll::Ready(Ok(filled))
    }

    /// Ready once the other side has reset the stream, or its connection is gone.
    pub(crate) fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match ready!(self.send.poll_reset(cx)) {
            Ok(reason) => Poll::Ready(broken(reason.into())),
            Err(error) => Poll::Ready(broken(error)),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let room = ready!(poll_room(&mut stream.send, cx, bytes.len().min(PIECE_BYTES_MAX)))?;
        let length = room.min(bytes.len());
        stream.send.send_data(Bytes::copy_from_slice(&bytes[..length]), false).map_err(broken)?;
        stream.count(length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if std::mem::replace(&mut stream.is_shut, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(stream.send.send_data(Bytes::new(), true).map_err(broken))
    }
}

/// Asks for room for `wanted` bytes in the windows of stream and connection. Ready with how many there may be now, at least
/// one.
pub(crate) fn poll_room(send: &mut SendStream<Bytes>, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
    if send.capacity() < wanted {
        send.reserve_capacity(wanted);
    }
    loop {
        match send.capacity() {
            0 => {}
            room => return Poll::Ready(Ok(room)),
        }
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

/// An error of a stream as one of a byte stream.
pub(crate) fn broken(error: h2::Error) -> io::Error {
    match error.reason() {
        _ if error.is_io() => error.into_io().expect("it has just said so"),
        Some(Reason::CANCEL | Reason::NO_ERROR) => {
            io::Error::new(io::ErrorKind::ConnectionReset, "stream was cancelled")
        }
        Some(reason) => io::Error::new(io::ErrorKind::ConnectionReset, format!("stream was reset: {reason}")),
        None => io::Error::other(error),
    }
}
