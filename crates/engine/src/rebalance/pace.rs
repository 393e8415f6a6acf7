//! How many tunnels may be closed now, when it should not be all at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a second there is a portion: small ones, so that no herd comes back at once.
const TICKS_PER_SECOND: u32 = 10;
/// The time that the rate is about.
const SECOND: Duration = Duration::from_secs(1);

/// A rate that holds in every second, wherever it begins; for moves, and for the tunnels of a server that went down.
#[derive(Debug, Clone)]
pub struct Pace {
    rate: u32,
    /// What was spent within the last second: when, and how many.
    spent: VecDeque<(Instant, u64)>,
    next_tick: Option<Instant>,
}

impl Pace {
    /// At most `rate` a second; 0: none at all.
    pub fn new(rate: u32) -> Pace {
        Pace { rate, spent: VecDeque::new(), next_tick: None }
    }

    /// Another rate from now on.
    pub fn configure(&mut self, rate: u32) {
        self.rate = rate;
    }

    /// When there is another portion; `None` where there is never one.
    pub fn next_tick(&self, now: Instant) -> Option<Instant> {
        (self.rate > 0).then(|| self.next_tick.unwrap_or(now))
    }

    /// The portion of now: none before the next tick. It is for this tick alone; what is used of it is told to
    /// [`Pace::spend`].
    pub fn portion(&mut self, now: Instant) -> u64 {
        if self.rate == 0 || self.next_tick.is_some_and(|tick| now < tick) {
            return 0;
        }
        self.next_tick = Some(now + SECOND / TICKS_PER_SECOND);
        while self.spent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= SECOND) {
            self.spent.pop_front();
        }
        let rate = u64::from(self.rate);
        let recent: u64 = self.spent.iter().map(|(_, count)| count).sum();
        rate.saturating_sub(recent).min(rate.div_ceil(u64::from(TICKS_PER_SECOND)))
    }

    /// So many of the portion were used.
    pub fn spend(&mut self, now: Instant, count: u64) {
        if count > 0 {
            self.spent.push_back((now, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn portions_add_up_to_the_rate() {
        let start = Instant::now();
        let per_second = |rate: u32| {
            let mut pace = Pace::new(rate);
            let portions = (0..50_u32).map(|tick| {
                let now = start + Duration::from_millis(20) * tick;
                let portion = pace.portion(now);
                pace.spend(now, portion);
                portion
            });
            portions.sum::<u64>()
        };
        for rate in [0, 1, 3, 10, 25, 1000] {
            assert_eq!(per_second(rate), u64::from(rate));
        }
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_rate(
            rate in 1..200_u32,
            steps in prop::collection::vec((0..400_u64, 0..100_u64), 0..200),
        ) {
            let (mut pace, mut now, mut spent) = (Pace::new(rate), Instant::now(), Vec::new());
            for (millis, wanted) in steps {
                now += Duration::from_millis(millis);
                let count = pace.portion(now).min(wanted);
                pace.spend(now, count);
                spent.push((now, count));
            }
            for &(start, _) in &spent {
                let within = spent.iter().filter(|(at, _)| *at >= start && *at < start + SECOND);
                prop_assert!(within.map(|(_, count)| count).sum::<u64>() <= u64::from(rate));
            }
        }
    }
}
