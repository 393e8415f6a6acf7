//! Buffers of the size that heads need, kept per worker thread. A connection has one while there is something in it and none
//! while it idles, and goes from one to the other with every request.

use std::cell::RefCell;

/// Most heads, with a small body behind them, are no longer.
const BYTES: usize = 1024;

/// A larger one, which a long head has made of it, is not kept.
const BYTES_MAX: usize = 4 * BYTES;

/// How many are kept.
const BUFFERS_MAX: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, with room for a head.
pub(super) fn take() -> Vec<u8> {
    // A runtime that is being dropped outlives the thread's other variables.
    let kept = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| Vec::with_capacity(BYTES))
}

/// Takes a buffer back, and whatever is in it is forgotten.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if !(BYTES..=BYTES_MAX).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < BUFFERS_MAX {
            spare.push(buffer);
        }
    });
}

/// Appends to a buffer that owns no memory while it is empty.
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    if buffer.capacity() == 0 && bytes.len() <= BYTES {
        *buffer = take();
    }
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_given_back_is_the_next_that_is_taken_and_is_empty() {
        let mut buffer = Vec::new();
        append(&mut buffer, b"GET");
        let at = buffer.as_ptr();
        give(buffer);
        let again = take();
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
    }

    #[test]
    fn neither_large_buffers_nor_many_are_kept() {
        give(Vec::with_capacity(BYTES_MAX + 1));
        give(Vec::new());
        assert_eq!(SPARE.with_borrow(Vec::len), 0);
        (0..BUFFERS_MAX + 9).for_each(|_| give(Vec::with_capacity(BYTES)));
        assert_eq!(SPARE.with_borrow(Vec::len), BUFFERS_MAX);
    }
}
