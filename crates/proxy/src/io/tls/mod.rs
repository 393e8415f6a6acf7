//! TLS over a socket, in either role, with no buffer of its own while it is idle.
//!
//! ```text
//!  socket ──read──► the thread's record buffer ──decrypt──► the reader's buffer     a record that is not whole yet, and
//!  socket ◄─write── the thread's record buffer ◄─encrypt─── the writer's bytes      what the socket did not take, are kept
//! ```
//!
//! What the socket does not take counts as not written: `poll_write` says `Pending` until it is out, and then how much that
//! was. Whoever writes has to come back with the same bytes, as with OpenSSL's partial writes; all writers here do.

mod engine;

#[cfg(test)]
mod tests;

use super::Socket;
use super::reactor::Ready;
use engine::{Engine, Processed, Sink};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, ServerConfig, SupportedCipherSuite};
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// A record's header, its longest content and what encryption adds (RFC 8446 section 5.2).
const RECORD_BYTES_MAX: usize = 5 + 16_384 + 256;

/// How much is encrypted at a time, and kept at most where the socket takes nothing: a payload of 64 KiB and its frame
/// header are five records.
const WRITE_BYTES_MAX: usize = 5 * 16 * 1024;

/// What a thread reads ciphertext into and writes it from: as much plaintext as the thread's read buffer holds, and a
/// message of a handshake in front of it.
const RECORDS_BYTES: usize = super::scratch::SCRATCH_BYTES + 128 * 1024;

thread_local! {
    static RECORDS: RefCell<Box<[u8]>> = RefCell::new(vec![0; RECORDS_BYTES].into_boxed_slice());
}

/// A TLS connection over a socket.
pub(crate) struct TlsStream {
    socket: Socket,
    engine: Engine,
    /// Ciphertext whose record, or message, is not whole yet.
    partial: Vec<u8>,
    /// Plaintext that the last reader had no room for.
    plain: Vec<u8>,
    plain_start: usize,
    /// Ciphertext that the socket has not taken yet. Hardly any stream has some.
    unsent: Option<Box<Unsent>>,
    /// Nothing more comes from the other side.
    read_ended: bool,
    /// Nothing more can be said.
    write_ended: bool,
}

#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    start: usize,
    /// How many bytes of the writer's these are.
    plain: usize,
}

/// What both sides have agreed on.
pub(crate) struct Negotiated<'a> {
    /// The version of TLS.
    pub(crate) version: Option<ProtocolVersion>,
    /// The cipher suite.
    pub(crate) suite: Option<SupportedCipherSuite>,
    /// The group of the key exchange; a resumed TLS 1.2 session has none.
    pub(crate) group: Option<NamedGroup>,
    /// The protocol chosen by ALPN.
    pub(crate) alpn: Option<&'a [u8]>,
    /// An earlier session was resumed.
    pub(crate) is_resumed: bool,
    /// The other side's certificates, its own first.
    pub(crate) certificates: &'a [CertificateDer<'static>],
}

impl TlsStream {
    /// The server's side of a connection whose client has sent `hello` so far. The handshake is still to be made.
    ///
    /// # Errors
    /// A configuration that rustls refuses.
    pub(crate) fn accept(socket: Socket, config: Arc<ServerConfig>, hello: Vec<u8>) -> io::Result<TlsStream> {
        let engine = UnbufferedServerConnection::new(config).map_err(engine::to_io)?;
        Ok(TlsStream::new(socket, Engine::Server(engine), hello))
    }

    /// The client's side of a connection to `name`. The handshake is still to be made.
    ///
    /// # Errors
    /// A configuration that rustls refuses.
    pub(crate) fn connect(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<TlsStream> {
        let engine = UnbufferedClientConnection::new(config, name).map_err(engine::to_io)?;
        Ok(TlsStream::new(socket, Engine::Client(engine), Vec::new()))
    }

    fn new(socket: Socket, engine: Engine, partial: Vec<u8>) -> TlsStream {
        TlsStream {
            socket,
            engine,
            partial,
            plain: Vec::new(),
            plain_start: 0,
            unsent: None,
            read_ended: false,
            write_ended: false,
        }
    }

    /// Makes the handshake, or as much of it as has to come before the first bytes (RFC 8446 section 2.3, early data).
    ///
    /// # Errors
    /// Those of the socket; `UnexpectedEof` where the other side leaves; `InvalidData` around a [`rustls::Error`].
    pub(crate) async fn handshake(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_handshake(cx)).await
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.digest(cx)?;
            ready!(self.poll_unsent(cx))?;
            if !self.engine.is_handshaking() || self.has_plain() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_records(cx, &mut []))?.is_none() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Whether the handshake is not complete: what was read so far is early data, which somebody may have recorded.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.engine.is_handshaking()
    }

    /// What both sides have agreed on.
    pub(crate) fn negotiated(&self) -> Negotiated<'_> {
        Negotiated {
            version: self.engine.protocol_version(),
            suite: self.engine.negotiated_cipher_suite(),
            group: self.engine.negotiated_key_exchange_group().map(|group| group.name()),
            alpn: self.engine.alpn_protocol(),
            is_resumed: self.engine.handshake_kind() == Some(HandshakeKind::Resumed),
            certificates: self.engine.peer_certificates().unwrap_or_default(),
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether there may be something to read, as far as is known without asking.
    pub(crate) fn may_be_readable(&self) -> bool {
        self.has_plain() || self.read_ended || self.socket.registration().may_be(Ready::READ)
    }

    fn has_plain(&self) -> bool {
        self.plain_start < self.plain.len()
    }

    /// Reads once, at most as much as `buffer` holds. No bytes are the end of the stream.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if self.has_plain() {
                return Poll::Ready(Ok(self.take_plain(buffer)));
            }
            if self.read_ended {
                return Poll::Ready(Ok(0));
            }
            match ready!(self.poll_records(cx, buffer))? {
                None => return Poll::Ready(self.note_truncation()),
                Some(0) => {}
                Some(length) => return Poll::Ready(Ok(length)),
            }
        }
    }

    fn take_plain(&mut self, buffer: &mut [u8]) -> usize {
        let plain = &self.plain[self.plain_start..];
        let length = plain.len().min(buffer.len());
        buffer[..length].copy_from_slice(&plain[..length]);
        self.plain_start += length;
        if !self.has_plain() {
            self.plain = Vec::new();
            self.plain_start = 0;
        }
        length
    }

    /// The socket ended where TLS did not. A client's requests and messages say themselves where they end, so to a server it
    /// is an end like another, as it is for nginx; a server's response may end with its stream.
    fn note_truncation(&mut self) -> io::Result<usize> {
        self.read_ended = true;
        match self.engine {
            Engine::Server(_) => Ok(0),
            Engine::Client(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads ciphertext once and decrypts it into `buffer`. Returns how much plaintext that was, `None` at the socket's end.
    fn poll_records(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Option<usize>>> {
        if self.unsent.is_some() {
            // Answers to what was read before. Where they can't go out now, a later read or write tries again.
            let _ = self.poll_unsent(cx)?;
        }
        RECORDS.with_borrow_mut(|records| {
            let start = self.partial.len();
            let end = (start + buffer.len().max(RECORD_BYTES_MAX)).min(records.len());
            let length = ready!(self.socket.poll_receive(cx, &mut records[start..end]))?;
            if length == 0 {
                return Poll::Ready(Ok(None));
            }
            Poll::Ready(self.decrypt(cx, records, start + length, buffer).map(Some))
        })
    }

    /// Decrypts what was read, which stands in `records` behind room for what was kept of earlier reads.
    fn decrypt(
        &mut self,
        cx: &mut Context<'_>,
        records: &mut [u8],
        end: usize,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        records[..self.partial.len()].copy_from_slice(&self.partial);
        let mut sink = Sink { room: buffer, filled: 0, spill: &mut self.plain };
        let mut answer = Vec::new();
        let processed = self.engine.process(&mut records[..end], &mut sink, &mut answer);
        let filled = sink.filled;
        let left = &records[processed.used..end];
        if !(left.is_empty() && self.partial.is_empty()) {
            self.partial = left.to_vec();
        }
        self.conclude(cx, processed, &answer)?;
        Ok(filled)
    }

    /// Processes what was kept of earlier reads alone.
    fn digest(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut partial = std::mem::take(&mut self.partial);
        let mut sink = Sink { room: &mut [], filled: 0, spill: &mut self.plain };
        let mut answer = Vec::new();
        let processed = self.engine.process(&mut partial, &mut sink, &mut answer);
        partial.drain(..processed.used);
        self.partial = partial;
        self.conclude(cx, processed, &answer)
    }

    fn conclude(&mut self, cx: &mut Context<'_>, processed: Processed, answer: &[u8]) -> io::Result<()> {
        self.read_ended |= processed.peer_closed;
        if !answer.is_empty() {
            self.unsent.get_or_insert_default().bytes.extend_from_slice(answer);
        }
        let Some(error) = processed.failed else { return Ok(()) };
        // The alert goes out if it can; the reason is the error.
        let _ = self.poll_unsent(cx);
        (self.read_ended, self.write_ended) = (true, true);
        Err(engine::to_io(error))
    }

    /// Writes ciphertext that waits. Ready once all of it is out.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(unsent) = &mut self.unsent else { return Poll::Ready(Ok(())) };
        while unsent.start < unsent.bytes.len() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &unsent.bytes[unsent.start..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            unsent.start += sent;
        }
        if unsent.plain == 0 {
            self.unsent = None;
        } else {
            // The writer has not been told yet.
            (unsent.bytes, unsent.start) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what `write` puts into the thread's record buffer, and keeps what the socket does not take.
    fn send(
        &mut self,
        cx: &mut Context<'_>,
        plain: usize,
        write: impl FnOnce(&mut Engine, &mut [u8], &mut [u8]) -> io::Result<usize>,
    ) -> Poll<io::Result<()>> {
        RECORDS.with_borrow_mut(|records| {
            let length = write(&mut self.engine, &mut self.partial, records)?;
            let sent = match Pin::new(&mut self.socket).poll_write(cx, &records[..length]) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => 0,
            };
            if sent < length {
                let bytes = records[sent..length].to_vec();
                self.unsent = Some(Box::new(Unsent { bytes, start: 0, plain }));
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Says that nothing follows, if that can be said at once.
    pub(crate) fn farewell(&mut self) {
        if self.write_ended || self.unsent.is_some() {
            return;
        }
        self.write_ended = true;
        let written = RECORDS.with_borrow_mut(|records| {
            let length = self.engine.close(&mut self.partial, records)?;
            self.socket.try_send(&records[..length])
        });
        // Nobody may be there to hear it.
        drop(written);
    }

    /// Whether it is idle: open, and nothing has arrived on it but what TLS keeps to itself (session tickets, RFC 8446
    /// section 4.6.1).
    pub(crate) fn is_idle_and_open(&mut self) -> bool {
        while self.socket.registration().may_be(Ready::READ) {
            let mut byte = [0];
            let read = RECORDS.with_borrow_mut(|records| {
                let start = self.partial.len();
                let length = self.socket.try_receive(&mut records[start..start + RECORD_BYTES_MAX])?;
                if length == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let mut context = Context::from_waker(std::task::Waker::noop());
                self.decrypt(&mut context, records, start + length, &mut byte)
            });
            match read {
                Ok(0) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => return false,
            }
        }
        !self.read_ended && !self.has_plain()
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        ready!(stream.poll_unsent(cx))?;
        if let Some(unsent) = stream.unsent.take() {
            return Poll::Ready(Ok(unsent.plain.min(bytes.len())));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if stream.write_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // Nothing is encrypted for a socket that takes nothing.
        ready!(stream.socket.registration().poll_ready(Ready::WRITE, cx));
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        if stream.send(cx, bytes.len(), |engine, partial, room| engine.encrypt(partial, bytes, room))?.is_pending() {
            // Asked again, so that the task is woken.
            ready!(stream.poll_unsent(cx))?;
            stream.unsent = None;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        let (first, second) = (filled.next(), filled.next());
        match (first, second) {
            (None, _) => self.poll_write(cx, &[]),
            (Some(first), second) if second.is_none() || first.len() >= WRITE_BYTES_MAX => self.poll_write(cx, first),
            _ => {
                let mut together = Vec::new();
                for part in parts {
                    let room = WRITE_BYTES_MAX - together.len();
                    together.extend_from_slice(&part[..part.len().min(room)]);
                }
                self.poll_write(cx, &together)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(cx)
    }

    /// Says that nothing follows, and ends the socket's direction.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        ready!(stream.poll_unsent(cx))?;
        stream.unsent = None;
        if !std::mem::replace(&mut stream.write_ended, true)
            && stream.send(cx, 0, |engine, partial, room| engine.close(partial, room))?.is_pending()
        {
            ready!(stream.poll_unsent(cx))?;
        }
        Pin::new(&mut stream.socket).poll_shutdown(cx)
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}
