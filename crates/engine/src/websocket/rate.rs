//! A rate with a burst, as one number: the time at which everything so far would have been due.

use super::policy::Rate;

const SECOND: u128 = 1_000_000_000;

/// What has passed, measured in time (the generic cell rate algorithm). Times are nanoseconds since any start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    due: u64,
}

impl Bucket {
    /// Counts `amount`. Where that is more than `rate` allows by now: the time at which it is not any more.
    pub(super) fn charge(&mut self, rate: &Rate, amount: u64, now: u64) -> Option<u64> {
        let per_second = u128::from(rate.per_second.max(1));
        let span = |amount: u128| u64::try_from(amount * SECOND / per_second).unwrap_or(u64::MAX);
        self.due = self.due.max(now).saturating_add(span(u128::from(amount)));
        let allowed_at = self.due.saturating_sub(span(per_second + u128::from(rate.burst)));
        (allowed_at > now).then_some(allowed_at)
    }

    /// The most that can be charged `now` without being over `rate`.
    pub(super) fn room(&self, rate: &Rate, now: u64) -> u64 {
        let per_second = u128::from(rate.per_second.max(1));
        let taken = u128::from(self.due.saturating_sub(now));
        let span = (per_second + u128::from(rate.burst)) * SECOND / per_second;
        // A product over the type's range stands for more than anyone sends at once.
        let room = span.saturating_sub(taken).saturating_mul(per_second) / SECOND;
        u64::try_from(room).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };
    const MS: u64 = 1_000_000;

    #[test]
    fn a_second_and_the_burst_pass_at_once_and_then_the_rate() {
        let mut bucket = Bucket::default();
        for _ in 0..15 {
            assert_eq!(bucket.charge(&RATE, 1, 0), None);
        }
        assert_eq!(bucket.charge(&RATE, 1, 0), Some(100 * MS));
        assert_eq!(bucket.charge(&RATE, 1, 200 * MS), None);
        assert_eq!(bucket.charge(&RATE, 3, 200 * MS), Some(500 * MS));
    }

    #[test]
    fn what_there_is_room_for_is_not_over_the_rate_and_more_is() {
        for rate in [RATE, Rate { per_second: 3, burst: 0 }, Rate { per_second: 7_777, burst: 13 }] {
            let mut bucket = Bucket::default();
            // Where a second can't be divided evenly, the last one may not fit in.
            assert!((0..2).contains(&(rate.per_second + rate.burst - bucket.room(&rate, 0))));
            for now in [0, 0, 150 * MS, 1_000 * MS, 1_001 * MS, 9_000 * MS] {
                let room = bucket.room(&rate, now);
                assert!(room == 0 || bucket.charge(&rate, room, now).is_none());
                assert_eq!(bucket.room(&rate, now), 0);
                assert!(bucket.charge(&rate, 2, now).is_some());
                assert_eq!(bucket.room(&rate, now), 0);
            }
        }
    }

    #[test]
    fn rest_is_not_saved_beyond_the_burst() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.charge(&RATE, 15, 0), None);
        assert_eq!(bucket.charge(&RATE, 16, 3_600_000 * MS), Some(3_600_100 * MS));
    }

    #[test]
    fn amounts_and_rates_at_the_limits_of_their_types_are_just_big() {
        let mut bucket = Bucket::default();
        let rate = Rate { per_second: 0, burst: 0 };
        assert_eq!(bucket.charge(&rate, u64::MAX, u64::MAX), None);
        assert_eq!(bucket.room(&rate, 0), 0);
        let most = Rate { per_second: u64::MAX, burst: u64::MAX };
        assert_eq!(Bucket::default().room(&most, 0), u64::MAX);
        let mut bucket = Bucket::default();
        assert!(bucket.charge(&rate, u64::MAX, 5).is_some());
        assert_eq!(Bucket::default().charge(&Rate { per_second: u64::MAX, burst: u64::MAX }, u64::MAX, 0), None);
    }
}
