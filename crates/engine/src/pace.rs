//! How fast bytes may pass: so many per second, after a first amount that is free (`limit_rate`, `proxy_limit_rate`).

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// The pace of one response.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    bytes_per_second: NonZeroU64,
    free_bytes: u64,
    began: Instant,
}

/// What a [`Pace`] allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// So many bytes at once, at least one.
    Bytes(usize),
    /// Nothing before this.
    Wait(Instant),
}

/// So many times per second a stream that is held back goes on: less often it would be bumpy, more often it would cost.
const STEPS_PER_SECOND: u64 = 8;

impl Pace {
    /// A pace of so many bytes per second from `now` on, once `free_bytes` have passed. None for 0, which is no limit.
    pub fn new(bytes_per_second: u64, free_bytes: u64, now: Instant) -> Option<Pace> {
        Some(Pace { bytes_per_second: NonZeroU64::new(bytes_per_second)?, free_bytes, began: now })
    }

    /// How many more bytes may pass after the first `passed`. The first second's worth may pass at once, as in nginx.
    pub fn turn(&self, now: Instant, passed: u64) -> Turn {
        let rate = self.bytes_per_second.get();
        let elapsed = now.saturating_duration_since(self.began) + Duration::from_secs(1);
        let earned = u128::from(rate) * elapsed.as_millis() / 1000 + u128::from(self.free_bytes);
        let passed = u128::from(passed);
        let step = u128::from((rate / STEPS_PER_SECOND).max(1));
        if earned >= passed + step {
            return Turn::Bytes(usize::try_from(earned - passed).unwrap_or(usize::MAX));
        }
        let due = (passed + step - u128::from(self.free_bytes)) * 1000 / u128::from(rate) + 1;
        let due = Duration::from_millis(u64::try_from(due).unwrap_or(u64::MAX)).saturating_sub(Duration::from_secs(1));
        Turn::Wait(self.began.checked_add(due).unwrap_or(now + Duration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u64, free: u64) -> (Pace, Instant) {
        let now = Instant::now();
        (Pace::new(rate, free, now).expect("a rate"), now)
    }

    #[test]
    fn no_rate_is_no_pace() {
        assert!(Pace::new(0, 10, Instant::now()).is_none());
    }

    #[test]
    fn the_first_second_and_what_is_free_pass_at_once() {
        let (pace, now) = pace(1000, 500);
        assert_eq!(pace.turn(now, 0), Turn::Bytes(1500));
        assert_eq!(pace.turn(now, 1400), Turn::Wait(now + Duration::from_millis(26)));
    }

    #[test]
    fn a_stream_that_always_sends_what_it_may_keeps_the_rate() {
        for rate in [1, 7, 1000, 1 << 30] {
            let (pace, began) = pace(rate, 0);
            let (mut now, mut passed) = (began, 0);
            while now < began + Duration::from_secs(20) {
                match pace.turn(now, passed) {
                    Turn::Bytes(bytes) => passed += bytes as u64,
                    Turn::Wait(due) => {
                        assert!(due > now, "a wait has an end that is not now");
                        now = due;
                    }
                }
                let most = u128::from(rate) * ((now - began).as_millis() + 1000) / 1000;
                assert!(u128::from(passed) <= most, "{passed} bytes at {rate}/s");
            }
            assert!(passed >= rate * 19, "{passed} bytes at {rate}/s in 20 seconds");
        }
    }
}
