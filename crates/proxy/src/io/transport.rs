//! A byte stream of whatever kind carries a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// One side's stream. A kind is one variant, so that the data path calls no virtual function.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// A pipe in memory, for tests under a paused clock.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

macro_rules! each {
    ($transport:expr, $stream:ident => $do:expr) => {
        match $transport {
            Transport::Tcp($stream) => $do,
            Transport::Unix($stream) => $do,
            #[cfg(test)]
            Transport::Memory($stream) => $do,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl Transport {
    /// Lets the kernel gather small writes (`tcp_nodelay off`). Where it can't, they go out as they are.
    pub(crate) fn delay(&self) {
        if let Transport::Tcp(stream) = self {
            let _ = stream.set_nodelay(false);
        }
    }

    /// Whether an idle connection is still good for another request: open, and nothing unasked has arrived on it.
    pub(crate) fn is_idle_and_open(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Transport::Tcp(stream) => stream.try_read(&mut byte),
            Transport::Unix(stream) => stream.try_read(&mut byte),
            #[cfg(test)]
            Transport::Memory(_) => return true,
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
