//! One of a tunnel's two streams, and the movement of bytes from one to the other.

use super::large;
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
    /// Bytes for this stream that it has not taken yet. Hardly any stream has some, so it costs a pointer.
    waiting: Option<Box<Backlog>>,
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Bytes from this stream that its rate does not let pass yet; nothing more is read before they have.
    held: Option<Box<Held>>,
    /// The stream has ended: nothing more comes from it.
    read_ended: bool,
    /// The end of the other stream was passed on to this one.
    write_ended: bool,
    /// Large payloads come from it.
    pub(super) is_bulky: bool,
    /// So many bytes that come next are a header that the session has seen, and that has to be passed on.
    pub(super) owed: u8,
    /// There is more to read, and it was somebody else's turn.
    pub(super) is_unfinished: bool,
}

/// The rest of one read, from `start` on.
struct Held {
    bytes: Vec<u8>,
    start: usize,
}

/// How much is read of a stream that pauses for its rate's sake: so its end is noticed, if it comes behind no more than that.
const READ_AHEAD_BYTES: usize = 4 * 1024;

/// How often one side is read before others have their turn.
const READS_PER_TURN: usize = 16;

/// Which call of a pump failed.
pub(super) enum Fault {
    Reading,
    Writing,
}

/// Who watches the bytes pass: the session, whose side they come from, and the time.
pub(super) type Watch<'a> = Option<(&'a mut Session, websocket::Side, Instant)>;

impl Side {
    pub(super) fn new(io: Transport, backlog: Backlog, received: u64, sent: u64) -> Side {
        let mut side = Side {
            io,
            waiting: None,
            received,
            sent,
            held: None,
            read_ended: false,
            write_ended: false,
            is_bulky: false,
            owed: 0,
            is_unfinished: false,
        };
        side.keep(backlog);
        side
    }

    /// Whether nothing comes from this stream now, not even its end.
    pub(super) fn is_quiet(&self) -> bool {
        self.held.is_none() && !self.read_ended && !self.io.may_be_readable()
    }

    /// Whether nothing comes from this stream any more.
    pub(super) fn has_ended(&self) -> bool {
        self.read_ended
    }

    /// Whether bytes wait for this stream to take them.
    pub(super) fn is_stalled(&self) -> bool {
        self.waiting.is_some()
    }

    /// Writes what waits. Ready once the stream has taken all of it.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.poll_write(&mut self.io, cx, &mut self.sent))?;
            self.waiting = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the writing half of a stream; for a socket, its close will do.
    pub(super) fn end_stream(&mut self, cx: &mut Context<'_>) {
        if let Some(stream) = self.io.stream() {
            // One that is broken already has ended, too.
            let _ = Pin::new(stream).poll_shutdown(cx);
        }
    }

    /// What broke a stream of which nothing is read any more. A socket's end is known by then.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.io.stream().map_or(Poll::Pending, |stream| stream.poll_broken(cx))
    }

    /// Sends bytes behind what waits, and keeps what the stream does not take.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if let Some(waiting) = &mut self.waiting {
            return waiting.write_or_keep(&mut self.io, cx, bytes, &mut self.sent);
        }
        let mut backlog = Backlog::default();
        let written = backlog.write_or_keep(&mut self.io, cx, bytes, &mut self.sent);
        self.keep(backlog);
        written
    }

    /// Sends the last bytes before this direction ends: with them goes the end, where it can. Where there may be bytes that
    /// nobody reads any more, a close would be a reset, which drops what is held.
    fn send_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let is_alone = self.is_quiet() && !self.is_stalled() && !bytes.is_empty();
        let Some(socket) = self.io.socket().filter(|_| is_alone) else { return self.send(cx, bytes) };
        let sent = match socket.poll_send_last(cx, bytes) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        self.sent += sent as u64;
        let mut backlog = Backlog::default();
        backlog.push(&bytes[sent..]);
        self.keep(backlog);
        Ok(())
    }

    /// Whether nothing follows what a short read takes of this stream now.
    fn is_at_end(&self) -> bool {
        self.io.socket().is_some_and(|socket| socket.registration().has_ended())
    }

    pub(super) fn keep(&mut self, mut backlog: Backlog) {
        if backlog.is_empty() {
            backlog.shrink();
        } else {
            self.waiting = Some(Box::new(backlog));
        }
    }
}

/// Moves what there is in one direction. Ready once its end was passed on.
#[inline]
pub(super) fn pump(
    cx: &mut Context<'_>,
    from: &mut Side,
    to: &mut Side,
    watch: Watch<'_>,
) -> Poll<Result<(), (Fault, io::Error)>> {
    from.is_unfinished = false;
    if from.is_quiet() && !to.is_stalled() { Poll::Pending } else { pump_now(cx, from, to, watch) }
}

fn pump_now(
    cx: &mut Context<'_>,
    from: &mut Side,
    to: &mut Side,
    mut watch: Watch<'_>,
) -> Poll<Result<(), (Fault, io::Error)>> {
    for _ in 0..READS_PER_TURN {
        ready!(to.flush(cx)).map_err(|error| (Fault::Writing, error))?;
        if to.write_ended {
            return match from.poll_broken(cx) {
                Poll::Ready(error) => Poll::Ready(Err((Fault::Reading, error))),
                Poll::Pending => Poll::Ready(Ok(())),
            };
        }
        if from.read_ended {
            if watch.as_ref().is_some_and(|(session, ..)| session.is_closed_by_both()) {
                // The session ends both, once both have taken what waits for them. The last words are not held for so long.
                if from.is_stalled() {
                    let _ = Pin::new(&mut to.io).poll_shutdown(cx);
                }
                return Poll::Pending;
            }
            // Where both have ended, the close of a socket will do.
            let is_over = to.read_ended && from.write_ended && to.io.socket().is_some();
            if !is_over {
                // A stream that is gone already needs no half-close; its own reads tell.
                let _ = ready!(Pin::new(&mut to.io).poll_shutdown(cx));
            }
            to.write_ended = true;
            continue;
        }
        if from.is_quiet() {
            return Poll::Pending;
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
            let passed = pass_on(cx, to, &mut watch, &next[..next.len().min(limit)], false);
            held.start += passed.map_err(|error| (Fault::Writing, error))?;
            from.held = (held.start < held.bytes.len()).then_some(held);
            continue;
        }
        if ready!(large::pass(cx, from, to, &mut watch, limit))? {
            continue;
        }
        if from.owed > 0 {
            ready!(large::read_header(cx, from, to))?;
            continue;
        }
        let rest = large::rest(from, &watch);
        // Who has to pause may still hold some of it.
        let may_be_last = limit == usize::MAX && from.is_at_end();
        let limit = if is_paused { READ_AHEAD_BYTES } else { limit.min(rest.unwrap_or(usize::MAX)) };
        let limit = limit.min(scratch::SCRATCH_BYTES);
        let held = &mut from.held;
        let read = scratch::poll_read(&mut from.io, cx, limit, |cx, bytes| {
            let is_last = may_be_last && bytes.len() < limit;
            let passed = if is_paused { 0 } else { pass_on(cx, to, &mut watch, bytes, is_last)? };
            if passed < bytes.len() {
                *held = Some(Box::new(Held { bytes: bytes[passed..].to_vec(), start: 0 }));
            }
            Ok(bytes.len())
        });
        let length = match ready!(read).map_err(|error| (Fault::Reading, error))? {
            Ok(length) => length,
            Err(error) => return Poll::Ready(Err((Fault::Writing, error))),
        };
        from.received += length as u64;
        from.is_bulky = rest.is_some() || large::is_expected(from, to, &watch, length);
        if length == 0 || (may_be_last && length < limit && from.held.is_none()) {
            from.read_ended = true;
            if let Some((session, side, now)) = &mut watch {
                session.end_of_stream(*side, *now);
            }
        }
    }
    from.is_unfinished = true;
    Poll::Pending
}

/// Shows bytes to who watches, and writes what passes to the other stream: how many of them that was.
/// `is_last`: their stream ends with them.
fn pass_on(
    cx: &mut Context<'_>,
    to: &mut Side,
    watch: &mut Watch<'_>,
    bytes: &[u8],
    is_last: bool,
) -> io::Result<usize> {
    let mut written = Ok(());
    let mut pass = |bytes: &[u8]| {
        if written.is_ok() {
            written = if is_last { to.send_last(cx, bytes) } else { to.send(cx, bytes) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Socket, reactor};
    use std::os::unix::net::UnixStream;
    use std::task::Waker;

    #[test]
    fn a_side_whose_last_read_of_a_turn_drained_it_has_no_more_to_do() {
        reactor::install(reactor::descriptors().expect("a test has descriptors left"));
        let (left, right) = UnixStream::pair().expect("a test has descriptors left");
        let side = |stream: UnixStream| {
            let socket = Socket::new(stream.into()).expect("the reactor takes it");
            Side::new(Transport::Socket(socket), Backlog::default(), 0, 0)
        };
        let (mut from, mut to) = (side(left), side(right));
        from.is_unfinished = true;
        assert!(pump(&mut Context::from_waker(Waker::noop()), &mut from, &mut to, None).is_pending());
        assert!(!from.is_unfinished, "its tunnel would be run again and again, for nothing");
    }
}
