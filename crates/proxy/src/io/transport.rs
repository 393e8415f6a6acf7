//! A byte stream of whatever kind carries a connection.

use super::TcpInfo;
use super::reactor::{Ready, Registration};
use super::tls::TlsStream;
use super::{Socket, Stream};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// One side's stream. A kind is one variant, so that the data path calls no virtual function.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP or a unix socket.
    Socket(Socket),
    /// TLS over a socket.
    Tls(Box<TlsStream>),
    /// One stream of an HTTP/2 connection.
    Stream(Box<Stream>),
    /// A pipe in memory, for tests under a paused clock.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

macro_rules! each {
    ($transport:expr, $stream:ident => $do:expr) => {
        match $transport {
            Transport::Socket($stream) => $do,
            Transport::Tls($stream) => $do,
            Transport::Stream($stream) => $do,
            #[cfg(test)]
            Transport::Memory($stream) => $do,
        }
    };
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(&mut *stream).poll_shutdown(cx))
    }
}

impl Transport {
    /// Reads once, at most as much as `buffer` holds. No bytes are the end of the stream.
    #[inline]
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Transport::Socket(socket) => socket.poll_receive(cx, buffer),
            Transport::Tls(stream) => stream.poll_receive(cx, buffer),
            Transport::Stream(stream) => stream.poll_receive(cx, buffer),
            #[cfg(test)]
            Transport::Memory(pipe) => {
                let mut buffer = tokio::io::ReadBuf::new(buffer);
                std::task::ready!(tokio::io::AsyncRead::poll_read(Pin::new(pipe), cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// Whether there may be something to read, as far as is known without asking.
    #[inline]
    pub(crate) fn may_be_readable(&self) -> bool {
        match self {
            Transport::Socket(socket) => socket.registration().may_be(Ready::READ),
            Transport::Tls(stream) => stream.may_be_readable(),
            // Asking costs no system call.
            Transport::Stream(_) => true,
            #[cfg(test)]
            Transport::Memory(_) => true,
        }
    }

    /// Lets the kernel gather small writes (`tcp_nodelay off`). Where it can't, they go out as they are.
    pub(crate) fn delay(&self) {
        if let Some(socket) = self.underlying() {
            socket.delay();
        }
    }

    /// What the kernel knows of the connection, where it is one of TCP.
    pub(crate) fn tcp_info(&self) -> Option<TcpInfo> {
        self.underlying()?.tcp_info()
    }

    /// Makes its end a reset (`reset_timedout_connection`).
    pub(crate) fn reset_at_end(&self) {
        if let Some(socket) = self.underlying() {
            socket.reset_at_end();
        }
    }

    /// Whether an idle connection is still good for another request: open, and nothing unasked has arrived on it.
    pub(crate) fn is_idle_and_open(&mut self) -> bool {
        match self {
            Transport::Socket(socket) => socket.is_idle_and_open(),
            Transport::Tls(stream) => stream.is_idle_and_open(),
            // It is its connection that is kept, not the stream.
            Transport::Stream(_) => false,
            #[cfg(test)]
            Transport::Memory(_) => true,
        }
    }

    /// Whether what was read came before the end of a TLS handshake, so that it may be a replay.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Transport::Tls(stream) if stream.is_handshaking())
    }

    /// Says that nothing follows, where the protocol has words for it (TLS) and they can be said at once. A connection that
    /// is dropped without it has been cut off.
    pub(crate) fn farewell(&mut self) {
        if let Transport::Tls(stream) = self {
            stream.farewell();
        }
    }

    /// The stream of a multiplexed connection that this is, if so.
    pub(crate) fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Transport::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Forgets the task that used it last, so that it isn't kept in memory for an idle connection's sake.
    pub(crate) fn release(&self) {
        if let Some(registration) = self.registration() {
            registration.release();
        }
    }

    /// Its place in the reactor; `None` for a stream that the reactor does not know.
    pub(crate) fn registration(&self) -> Option<&Registration> {
        self.underlying().map(Socket::registration)
    }

    /// The socket whose bytes these are, as they are.
    pub(crate) fn socket(&self) -> Option<&Socket> {
        match self {
            Transport::Socket(socket) => Some(socket),
            Transport::Tls(_) | Transport::Stream(_) => None,
            #[cfg(test)]
            Transport::Memory(_) => None,
        }
    }

    fn underlying(&self) -> Option<&Socket> {
        match self {
            Transport::Socket(socket) => Some(socket),
            Transport::Tls(stream) => Some(stream.socket()),
            Transport::Stream(_) => None,
            #[cfg(test)]
            Transport::Memory(_) => None,
        }
    }
}
