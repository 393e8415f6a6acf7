//! One of a tunnel's two streams, and the movement of bytes from one to the other.

use crate::io::{Backlog, Transport, scratch};
use culvert_engine::websocket::{self, Session};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::AsyncWrite;

/// A stream and what is known of it.
pub(super) struct Side {
    pub(super) io: Transport,
    /// Bytes for this stream that it has not taken yet.
    pub(super) backlog: Backlog,
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Bytes from this stream that its rate does not let pass yet; nothing more is read before they have.
    held: Option<Box<Held>>,
    /// The stream has ended: nothing more comes from it.
    read_ended: bool,
    /// The end of the other stream was passed on to this one.
    write_ended: bool,
}

/// The rest of one read, from `start` on.
struct Held {
    bytes: Vec<u8>,
    start: usize,
}

/// How much is read of a stream that pauses for its rate's sake: so its end is noticed, if it comes behind no more than that.
const READ_AHEAD_BYTES: usize = 4 * 1024;

/// Which call of a pump failed.
pub(super) enum Fault {
    Reading,
    Writing,
}

/// Who watches the bytes pass: the session, whose side they come from, and the time.
pub(super) type Watch<'a> = Option<(&'a mut Session, websocket::Side, Instant)>;

impl Side {
    pub(super) fn new(io: Transport, backlog: Backlog, received: u64, sent: u64) -> Side {
        Side { io, backlog, received, sent, held: None, read_ended: false, write_ended: false }
    }

    /// Writes what waits. Ready once the stream has taken all of it.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.backlog.poll_write(&mut self.io, cx, &mut self.sent)
    }

    /// Sends bytes of the gateway's own behind what waits.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        self.backlog.write_or_keep(&mut self.io, cx, bytes, &mut self.sent)
    }
}

/// Moves what there is in one direction. Ready once its end was passed on.
pub(super) fn pump(
    cx: &mut Context<'_>,
    from: &mut Side,
    to: &mut Side,
    mut watch: Watch<'_>,
) -> Poll<Result<(), (Fault, io::Error)>> {
    loop {
        ready!(to.backlog.poll_write(&mut to.io, cx, &mut to.sent)).map_err(|error| (Fault::Writing, error))?;
        to.backlog.shrink();
        if to.write_ended {
            return Poll::Ready(Ok(()));
        }
        if from.read_ended {
            // A stream that is gone already needs no half-close; its own reads tell.
            let _ = ready!(Pin::new(&mut to.io).poll_shutdown(cx));
            to.write_ended = true;
            return Poll::Ready(Ok(()));
        }
        let limit = watch.as_ref().map_or(usize::MAX, |(session, side, now)| session.allowance(*side, *now));
        let is_paused = limit == 0;
        if let Some(mut held) = from.held.take() {
            if is_paused {
                // The session's deadline wakes the tunnel.
                from.held = Some(held);
                return Poll::Pending;
            }
            let next = &held.bytes[held.start..];
            let passed = pass_on(cx, to, &mut watch, &next[..next.len().min(limit)]);
            held.start += passed.map_err(|error| (Fault::Writing, error))?;
            from.held = (held.start < held.bytes.len()).then_some(held);
            continue;
        }
        let held = &mut from.held;
        let limit = if is_paused { READ_AHEAD_BYTES } else { limit };
        let read = scratch::poll_read(&mut from.io, cx, limit, |cx, bytes| {
            let passed = if is_paused { 0 } else { pass_on(cx, to, &mut watch, bytes)? };
            if passed < bytes.len() {
                *held = Some(Box::new(Held { bytes: bytes[passed..].to_vec(), start: 0 }));
            }
            Ok(bytes.len())
        });
        match ready!(read).map_err(|error| (Fault::Reading, error))? {
            Ok(0) => {
                from.read_ended = true;
                if let Some((session, side, now)) = &mut watch {
                    session.end_of_stream(*side, *now);
                }
            }
            Ok(length) => from.received += length as u64,
            Err(error) => return Poll::Ready(Err((Fault::Writing, error))),
        }
    }
}

/// Shows bytes to who watches, and writes what passes to the other stream: how many of them that was.
fn pass_on(cx: &mut Context<'_>, to: &mut Side, watch: &mut Watch<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut written = Ok(());
    let mut pass = |bytes: &[u8]| {
        if written.is_ok() {
            written = to.send(cx, bytes);
        }
    };
    let length = match watch {
        Some((session, side, now)) => session.bytes_within_rate(*side, bytes, *now, pass),
        None => {
            pass(bytes);
            bytes.len()
        }
    };
    written.map(|()| length)
}
