//! What time it is, as a worker sees it: the moment at which its last wait ended, read once for all that follows.
//!
//! A request asks a dozen times, of which no two answers differ by what anybody would notice. nginx does the same
//! (`ngx_current_msec`).

use std::cell::Cell;
use tokio::time::Instant;

#[derive(Clone, Copy)]
enum Known {
    /// Nobody says on this thread when a wait has ended: the clock is read each time.
    Never,
    /// A wait has ended, or may have.
    NotYet,
    Since(Instant),
}

thread_local! {
    static NOW: Cell<Known> = const { Cell::new(Known::Never) };
}

/// What time it is. Late by what this thread has been busy with since its last wait.
pub(crate) fn now() -> Instant {
    match NOW.get() {
        Known::Since(now) => now,
        Known::NotYet => {
            let now = Instant::now();
            NOW.set(Known::Since(now));
            now
        }
        Known::Never => Instant::now(),
    }
}

/// This thread is about to wait, or has waited: whoever asks next has the clock read.
pub(super) fn forget() {
    NOW.set(Known::NotYet);
}

/// A wait of this thread has ended now.
pub(super) fn set(now: Instant) {
    if !matches!(NOW.get(), Known::Never) {
        NOW.set(Known::Since(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_clock_is_read_once_between_two_waits_and_each_time_where_nobody_tells_of_waits() {
        let first = now();
        assert!(now() >= first);
        assert!(matches!(NOW.get(), Known::Never));
        set(first + Duration::from_secs(5));
        assert!(now() < first + Duration::from_secs(5), "nobody tells of waits yet");
        forget();
        let read = now();
        assert_eq!(now(), read);
        set(read + Duration::from_secs(5));
        assert_eq!(now(), read + Duration::from_secs(5));
        forget();
        assert!(now() < read + Duration::from_secs(5));
    }
}
