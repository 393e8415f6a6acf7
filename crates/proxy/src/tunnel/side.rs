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
    /// The stream has ended: nothing more comes from it.
    read_ended: bool,
    /// The end of the other stream was passed on to this one.
    write_ended: bool,
}

/// Which call of a pump failed.
pub(super) enum Fault {
    Reading,
    Writing,
}

/// Who watches the bytes pass: the session, whose side they come from, and the time.
pub(super) type Watch<'a> = Option<(&'a mut Session, websocket::Side, Instant)>;

impl Side {
    pub(super) fn new(io: Transport, backlog: Backlog, received: u64, sent: u64) -> Side {
        Side { io, backlog, received, sent, read_ended: false, write_ended: false }
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
        if let Some((session, side, now)) = &watch
            && session.paused_until(*side).is_some_and(|until| until > *now)
        {
            // Over its rate: it is read again when the session's deadline wakes the tunnel.
            return Poll::Pending;
        }
        let (io, backlog, sent) = (&mut to.io, &mut to.backlog, &mut to.sent);
        let read = scratch::poll_read(&mut from.io, cx, scratch::SCRATCH_BYTES, |cx, bytes| {
            let mut written = Ok(());
            let mut pass = |bytes: &[u8]| {
                if written.is_ok() {
                    written = backlog.write_or_keep(io, cx, bytes, sent);
                }
            };
            match &mut watch {
                Some((session, side, now)) => session.bytes(*side, bytes, *now, pass),
                None => pass(bytes),
            }
            written.map(|()| bytes.len())
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
