//! What time it is, as a worker sees it: the moment at which its last wait ended, read once for all that follows.
//!
//! A request asks a dozen times, of which no two answers differ by what anybody would notice. nginx does the same
//! (`ngx_current_msec`).

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::Instant;

/// A moment in 8 bytes, also where there may be none: what lives for hours by the thousand keeps its times as this and
/// not as the 16 bytes of an [`Instant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(NonZeroU64);

/// Stamps count nanoseconds from [`BEFORE`] before this moment.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// 73 years in nanoseconds: more than a machine has been up for, and as much again is left behind the epoch.
const BEFORE: u64 = 1 << 61;

impl Stamp {
    /// The moment so much later.
    pub(crate) fn after(self, wait: Duration) -> Stamp {
        let nanoseconds = wait.as_secs().saturating_mul(1_000_000_000).saturating_add(wait.subsec_nanos().into());
        Stamp(self.0.saturating_add(nanoseconds))
    }
}

impl From<Instant> for Stamp {
    fn from(instant: Instant) -> Stamp {
        let of =
            |since: Duration| since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into());
        let nanoseconds = match instant.checked_duration_since(*EPOCH) {
            Some(after) => BEFORE.saturating_add(of(after)),
            None => BEFORE.saturating_sub(of(*EPOCH - instant)),
        };
        Stamp(NonZeroU64::new(nanoseconds).unwrap_or(NonZeroU64::MIN))
    }
}

impl From<Stamp> for Instant {
    fn from(stamp: Stamp) -> Instant {
        let since = stamp.0.get();
        match since.checked_sub(BEFORE) {
            Some(after) => *EPOCH + Duration::from_nanos(after),
            None => *EPOCH - Duration::from_nanos(BEFORE - since),
        }
    }
}

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

    #[test]
    fn a_stamp_is_the_instant_that_it_was_made_of_and_takes_8_bytes() {
        let epoch = *EPOCH;
        let year = Duration::from_secs(365 * 86_400);
        let moments =
            [epoch - Duration::from_nanos(1), epoch, epoch + Duration::from_nanos(1), now(), epoch + 30 * year];
        for moment in moments {
            assert_eq!(Instant::from(Stamp::from(moment)), moment);
        }
        assert!(moments.map(Stamp::from).is_sorted());
        assert!(Stamp::from(epoch + 30 * year) < Stamp::from(epoch + 31 * year));
        assert_eq!(size_of::<Option<Stamp>>(), 8);
    }

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
