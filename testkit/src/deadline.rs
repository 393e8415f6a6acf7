//! A moment after which a wait is a failure.

use std::time::{Duration, Instant};

/// How often [`Deadline::until`] looks again at something that sends no notice of its own.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The moment by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Default for Deadline {
    /// Ten seconds from now: far beyond what anything on loopback takes, short enough to wait for in person.
    fn default() -> Self {
        Deadline::after(Duration::from_secs(10))
    }
}

impl Deadline {
    /// The moment that is `wait` from now.
    pub fn after(wait: Duration) -> Self {
        Deadline(Instant::now() + wait)
    }

    /// How long there is still to wait; `None` once the moment has passed.
    pub fn remaining(self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Asks `probe` until it gives a value; panics with `what` when the moment passes first.
    #[track_caller]
    pub fn until<T>(self, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        self.try_until(probe).unwrap_or_else(|| panic!("waited in vain for {what}"))
    }

    /// Asks `probe` until it gives a value; `None` when the moment passes first.
    pub fn try_until<T>(self, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            if let Some(value) = probe() {
                return Some(value);
            }
            std::thread::sleep(self.remaining()?.min(POLL_INTERVAL));
        }
    }
}
