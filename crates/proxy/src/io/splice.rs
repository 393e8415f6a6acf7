//! Moving bytes from socket to socket inside the kernel, where nobody has to look at them.

use super::reactor::Ready;
use super::{Backlog, Socket};
use rustix::io::Errno;
use rustix::pipe::{self, PipeFlags, SpliceFlags};
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

/// The pipe that the bytes go through. It is empty whenever nobody is at work on it, so a thread needs just one, and an idle
/// tunnel holds none.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// How much the pipe is to hold: what one read may hold, for both wait in memory when the other side takes nothing.
const PIPE_BYTES: usize = super::scratch::SCRATCH_BYTES;

thread_local! {
    static PIPE: RefCell<Option<Pipe>> = const { RefCell::new(None) };
}

/// What was moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spliced {
    /// Bytes taken from the one socket; 0 at the end of its stream.
    pub(crate) received: usize,
    /// Bytes given to the other; the others wait in its backlog.
    pub(crate) sent: usize,
}

/// Why nothing was moved.
#[derive(Debug)]
pub(crate) enum SpliceError {
    /// No pipe could be had, or the kernel lets nobody splice here: the bytes are to be read instead.
    NoPipe,
    /// The socket that bytes were to be taken from. It tells its error once.
    From(io::Error),
    /// The one that bytes were to be given to.
    To(io::Error),
}

/// Moves up to `most` bytes; what `to` does not take goes to `backlog`, which must be empty.
pub(crate) fn poll_splice(
    from: &Socket,
    to: &Socket,
    most: usize,
    backlog: &mut Backlog,
    cx: &mut Context<'_>,
) -> Poll<Result<Spliced, SpliceError>> {
    // Taken out while it is used: after an error it may hold bytes of a tunnel that is gone, and is thrown away.
    let Ok(pipe) = PIPE.take().map_or_else(Pipe::new, Ok) else { return Poll::Ready(Err(SpliceError::NoPipe)) };
    let moved = pipe.poll_move(from, to, most.min(PIPE_BYTES), backlog, cx);
    if !matches!(moved, Poll::Ready(Err(_))) {
        PIPE.set(Some(pipe));
    }
    moved
}

impl SpliceError {
    fn of_source(error: io::Error) -> SpliceError {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::NOMEM) => SpliceError::NoPipe,
            _ => SpliceError::From(error),
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Pipe> {
        let (read, write) = pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused to a user with many pipes: then it takes more calls.
        let _ = pipe::fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Pipe { read, write })
    }

    fn poll_move(
        &self,
        from: &Socket,
        to: &Socket,
        most: usize,
        backlog: &mut Backlog,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Spliced, SpliceError>> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let take = from.poll(Ready::READ, cx, |socket| pipe::splice(socket, None, &self.write, None, most, flags));
        let received = ready!(take).map_err(SpliceError::of_source)?;
        let mut sent = 0;
        while sent < received {
            let left = received - sent;
            let give = to.poll(Ready::WRITE, cx, |socket| pipe::splice(&self.read, None, socket, None, left, flags));
            match give {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(SpliceError::To(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(length)) => sent += length,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SpliceError::To(error))),
                Poll::Pending => {
                    self.empty_into(backlog, left).map_err(SpliceError::To)?;
                    break;
                }
            }
        }
        Poll::Ready(Ok(Spliced { received, sent }))
    }

    /// Reads what is left in the pipe, so that it is free for others.
    fn empty_into(&self, backlog: &mut Backlog, left: usize) -> io::Result<()> {
        let mut bytes = vec![0; left];
        let mut filled = 0;
        while filled < left {
            filled += rustix::io::read(&self.read, &mut bytes[filled..])?;
        }
        backlog.push(&bytes);
        Ok(())
    }
}
