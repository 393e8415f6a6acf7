//! One read buffer per worker thread, borrowed for the moment of a read, so that an idle connection owns none.

use super::Transport;
use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

/// 256 KiB: a payload of 64 KiB and its frame header never fit 65,536 bytes, and reading four at once costs 11 % less CPU.
pub(crate) const SCRATCH_BYTES: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Reads once from `stream`, at most `limit` bytes, and hands what came to `take`. No bytes are the end of the stream.
///
/// `take` runs while the buffer is lent, so it must not read through this function again.
pub(crate) fn poll_read<T>(
    stream: &mut Transport,
    cx: &mut Context<'_>,
    limit: usize,
    take: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let limit = limit.min(SCRATCH_BYTES);
        let length = ready!(stream.poll_receive(cx, &mut scratch[..limit]))?;
        Poll::Ready(Ok(take(cx, &scratch[..length])))
    })
}
