//! One HTTP/2 connection to a server: the task that drives it, and who may begin another stream on it.

use super::stream::Stream;
use crate::io::{Transport, scratch};
use crate::lifecycle::worker::Seat;
use crate::upstream::Keepalive;
use crate::upstream::ports::PortUse;
use bytes::Bytes;
use h2::client::{self, Connection, SendRequest};
use h2::{Ping, PingPong};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How many streams a connection carries at most, whatever its server allows.
pub(super) const STREAMS_MAX: usize = 128;

/// How much of one response may be on its way or wait for a slow client: as much as one read of a socket brings.
const STREAM_WINDOW_BYTES: u32 = scratch::SCRATCH_BYTES as u32;

/// The window of all streams together is no bound of its own, so that those whose clients are slow stall no other.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MAX as u32;

/// How much one stream may leave to the task that writes, before its writer has to wait.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The longest list of a response's headers that is read at all; `proxy_buffer_size` bounds what is passed on.
const HEADER_LIST_BYTES_MAX: u32 = 256 * 1024;

/// A connection that streams can be begun on.
#[derive(Debug)]
pub(in crate::upstream) struct Session {
    send: SendRequest<Bytes>,
    state: Arc<State>,
    /// Whether the server takes WebSockets as streams (RFC 8441).
    pub(super) takes_websockets: bool,
    scheme: &'static str,
    limits: Keepalive,
    born: Instant,
    requests: u64,
    /// Since when nothing has been going on, as far as was noticed.
    idle_since: Option<Instant>,
}

/// What the session's streams and its task tell it.
#[derive(Debug, Default)]
struct State {
    live: AtomicU64,
    /// It begins no more streams: it has ended, its server says so, or it is not trusted any more.
    is_retired: AtomicBool,
}

/// One stream of a session, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Place(Arc<State>);

impl Place {
    fn take(state: &Arc<State>) -> Place {
        state.live.fetch_add(1, Ordering::Relaxed);
        Place(state.clone())
    }

    /// No more streams are begun on this connection.
    pub(super) fn retire_session(&self) {
        self.0.is_retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Begins HTTP/2 on a connection and waits until its server has said what it takes.
///
/// # Errors
/// Those of the connection, and those of a server that speaks something else.
pub(in crate::upstream) async fn open(
    transport: Transport,
    scheme: &'static str,
    limits: Keepalive,
    port: Option<PortUse>,
) -> io::Result<Session> {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    let (send, mut connection) = builder.handshake(Wire(transport)).await.map_err(into_io)?;
    let mut pings = connection.ping_pong().expect("nobody has taken it before");
    meet(&mut connection, &mut pings).await?;
    let state = Arc::new(State::default());
    let takes_websockets = send.is_extended_connect_protocol_enabled();
    tokio::spawn(drive(connection, state.clone(), (Seat::take(), port)));
    let (born, requests, idle_since) = (Instant::now(), 0, None);
    Ok(Session { send, state, takes_websockets, scheme, limits, born, requests, idle_since })
}

/// Waits for the answer to a PING: the server's SETTINGS come before it (RFC 9113 section 3.4), and with them whether it
/// speaks HTTP/2 at all, how many streams it takes, and whether they may be WebSockets.
async fn meet(connection: &mut Connection<Wire, Bytes>, pings: &mut PingPong) -> io::Result<()> {
    pings.send_ping(Ping::opaque()).map_err(into_io)?;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
            let error = ended.err().map_or_else(|| io::ErrorKind::UnexpectedEof.into(), into_io);
            return Poll::Ready(Err(error));
        }
        pings.poll_pong(cx).map(|pong| pong.map(drop).map_err(into_io))
    })
    .await
}

async fn drive(connection: Connection<Wire, Bytes>, state: Arc<State>, _held: (Seat, Option<PortUse>)) {
    // How it ended is told to each of its streams.
    let _ = connection.await;
    state.is_retired.store(true, Ordering::Relaxed);
}

fn into_io(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().expect("it has just said that it is one"),
        false => io::Error::other(error),
    }
}

impl Session {
    /// Begins a stream, if there is room.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Stream> {
        let live = usize::try_from(self.state.live.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        if live >= STREAMS_MAX.min(self.send.current_max_send_streams()) || !self.is_usable(now) {
            return None;
        }
        self.requests += 1;
        self.idle_since = None;
        Some(Stream::new(self.send.clone(), Place::take(&self.state), self.scheme, self.takes_websockets))
    }

    /// Whether another stream may be begun at some time: it is open, and neither worn nor idle for too long. One that is not
    /// ends with its last stream.
    pub(super) fn is_usable(&mut self, now: Instant) -> bool {
        if self.state.live.load(Ordering::Relaxed) > 0 {
            self.idle_since = None;
        } else {
            self.idle_since.get_or_insert(now);
        }
        let idles_too_long = self.idle_since.is_some_and(|since| now.duration_since(since) > self.limits.timeout);
        let is_worn = self.requests >= self.limits.requests || now.duration_since(self.born) >= self.limits.time;
        !idles_too_long && !is_worn && !self.state.is_retired.load(Ordering::Relaxed)
    }
}

/// A transport as the crate wants to read it.
struct Wire(Transport);

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let limit = buffer.remaining();
        ready!(scratch::poll_read(&mut self.get_mut().0, cx, limit, |_, bytes| buffer.put_slice(bytes)))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
