//! `limit_req`: a leaky bucket per key, counted in thousandths of a request and in milliseconds, as nginx counts.
//!
//! A zone is bounded by its size. Keys stand in the order of their last use, and the one that was used longest ago
//! makes room for a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What nginx's state of one key takes besides the key itself, in bytes, before its allocator rounds it up.
const STATE_BYTES: usize = 80;

/// No entry.
const NONE: u32 = u32::MAX;

/// The buckets of a `limit_req_zone`. Times are milliseconds since any moment that stays the same.
#[derive(Debug)]
pub struct Rates {
    bytes_max: usize,
    bytes: usize,
    index: HashMap<Arc<[u8]>, u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
}

#[derive(Debug)]
struct Entry {
    key: Arc<[u8]>,
    /// Thousandths of a request in the bucket.
    excess: u64,
    /// When it was last counted; `None`: never yet.
    last: Option<u64>,
    /// Requests that are being decided upon: such an entry stays.
    held: u32,
    older: u32,
    newer: u32,
}

/// One `limit_req` that a request has to pass.
#[derive(Debug)]
pub struct RateLimit<'a> {
    /// Its zone.
    pub zone: &'a Mutex<Rates>,
    /// The request's key; an empty one is not counted.
    pub key: &'a [u8],
    /// The zone's rate in thousandths of a request per second.
    pub rate: u64,
    /// `burst` in thousandths.
    pub burst: u64,
    /// `delay` in thousandths; without end for `nodelay`.
    pub delay: u64,
}

/// What is decided about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// No limit has anything to count.
    Uncounted,
    /// It goes on.
    Pass,
    /// It goes on after so many milliseconds. `limit` is the one that wants it, `excess` its thousandths.
    Delay {
        /// How long.
        milliseconds: u64,
        /// Thousandths of a request.
        excess: u64,
        /// Which of the limits.
        limit: usize,
    },
    /// It is refused.
    Reject {
        /// Thousandths of a request.
        excess: u64,
        /// Which of the limits.
        limit: usize,
    },
    /// A zone has no room for it: all of its keys are being decided upon.
    NoRoom {
        /// Which of the limits.
        limit: usize,
    },
}

enum Looked {
    Busy(u64),
    Counted(u64),
    Held(u32),
    NoRoom,
}

impl Rates {
    /// An empty zone of this size in bytes.
    pub fn new(bytes_max: usize) -> Rates {
        Rates {
            bytes_max,
            bytes: 0,
            index: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
        }
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn look(&mut self, limit: &RateLimit<'_>, count: bool, now: u64) -> Looked {
        let Some(&at) = self.index.get(limit.key) else { return self.begin(limit, count, now) };
        self.unlink(at);
        self.append(at);
        let (excess, moved) = self.excess(at, limit.rate, now);
        if excess > limit.burst {
            return Looked::Busy(excess);
        }
        let entry = &mut self.entries[at as usize];
        if !count {
            entry.held += 1;
            return Looked::Held(at);
        }
        entry.excess = excess;
        if moved {
            entry.last = Some(now);
        }
        Looked::Counted(excess)
    }

    fn begin(&mut self, limit: &RateLimit<'_>, count: bool, now: u64) -> Looked {
        self.expire(limit.rate, now);
        let bytes = bytes_of(limit.key);
        while self.bytes + bytes > self.bytes_max {
            if self.oldest == NONE || self.entries[self.oldest as usize].held > 0 {
                return Looked::NoRoom;
            }
            self.forget(self.oldest);
        }
        let key: Arc<[u8]> = limit.key.into();
        let (last, held) = if count { (Some(now), 0) } else { (None, 1) };
        let entry = Entry { key: key.clone(), excess: 0, last, held, older: NONE, newer: NONE };
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("a zone's size bounds its keys")
            }
        };
        self.bytes += bytes;
        self.index.insert(key, at);
        self.append(at);
        if count { Looked::Counted(0) } else { Looked::Held(at) }
    }

    /// What is in the bucket with this request, and whether time has passed since it was counted last.
    fn excess(&self, at: u32, rate: u64, now: u64) -> (u64, bool) {
        let entry = &self.entries[at as usize];
        let Some(last) = entry.last else { return (0, true) };
        let passed = now.saturating_sub(last);
        let drained = u128::from(rate) * u128::from(passed) / 1000;
        let excess = (u128::from(entry.excess) + 1000).saturating_sub(drained);
        (u64::try_from(excess).unwrap_or(u64::MAX), passed > 0)
    }

    /// Counts a request that was held.
    fn count_held(&mut self, at: u32, rate: u64, now: u64) -> u64 {
        let (excess, moved) = self.excess(at, rate, now);
        let entry = &mut self.entries[at as usize];
        if moved {
            entry.last = Some(now);
        }
        entry.excess = excess;
        entry.held -= 1;
        excess
    }

    fn release(&mut self, at: u32) {
        self.entries[at as usize].held -= 1;
    }

    /// Forgets one or two keys that have been idle for a minute and have nothing in their bucket.
    fn expire(&mut self, rate: u64, now: u64) {
        for _ in 0..2 {
            let Some(entry) = self.entries.get(self.oldest as usize) else { return };
            let passed = now.saturating_sub(entry.last.unwrap_or(0));
            let drained = u128::from(rate) * u128::from(passed) / 1000;
            if entry.held > 0 || passed < 60_000 || u128::from(entry.excess) > drained {
                return;
            }
            self.forget(self.oldest);
        }
    }

    fn forget(&mut self, at: u32) {
        self.unlink(at);
        let entry = &mut self.entries[at as usize];
        let key = std::mem::take(&mut entry.key);
        self.bytes -= bytes_of(&key);
        self.index.remove(&key);
        self.free.push(at);
    }

    fn append(&mut self, at: u32) {
        let before = self.newest;
        let entry = &mut self.entries[at as usize];
        (entry.older, entry.newer) = (before, NONE);
        match before {
            NONE => self.oldest = at,
            _ => self.entries[before as usize].newer = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, .. } = self.entries[at as usize];
        match older {
            NONE => self.oldest = newer,
            _ => self.entries[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.entries[newer as usize].older = older,
        }
    }
}

/// What nginx's allocator takes for a key: a power of two.
fn bytes_of(key: &[u8]) -> usize {
    (STATE_BYTES + key.len()).next_power_of_two()
}

/// Decides whether a request passes all limits. Only if it does is it counted, in all of them.
pub fn admit(limits: &[RateLimit<'_>], now: u64) -> Admission {
    let mut held: Vec<(usize, u32)> = Vec::new();
    let mut counted = None;
    let last = limits.len().saturating_sub(1);
    let mut seen = false;
    for (nth, limit) in limits.iter().enumerate().filter(|(_, limit)| !limit.key.is_empty()) {
        seen = true;
        match lock(limit.zone).look(limit, nth == last, now) {
            Looked::Counted(excess) => counted = Some((nth, excess)),
            Looked::Held(at) => held.push((nth, at)),
            Looked::Busy(excess) => {
                release(limits, &held);
                return Admission::Reject { excess, limit: nth };
            }
            Looked::NoRoom => {
                release(limits, &held);
                return Admission::NoRoom { limit: nth };
            }
        }
    }
    if seen { count(limits, &held, counted, now) } else { Admission::Uncounted }
}

/// Counts a request in the limits that only looked at it, and finds the longest delay that any limit wants.
fn count(limits: &[RateLimit<'_>], held: &[(usize, u32)], counted: Option<(usize, u64)>, now: u64) -> Admission {
    let mut longest = (0, 0, 0);
    let mut consider = |nth: usize, excess: u64| {
        let limit = &limits[nth];
        let beyond = excess.saturating_sub(limit.delay);
        let milliseconds = u128::from(beyond) * 1000 / u128::from(limit.rate.max(1));
        let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        if milliseconds > longest.0 {
            longest = (milliseconds, excess, nth);
        }
    };
    if let Some((nth, excess)) = counted {
        consider(nth, excess);
    }
    for &(nth, at) in held.iter().rev() {
        let excess = lock(limits[nth].zone).count_held(at, limits[nth].rate, now);
        consider(nth, excess);
    }
    match longest {
        (0, ..) => Admission::Pass,
        (milliseconds, excess, limit) => Admission::Delay { milliseconds, excess, limit },
    }
}

fn release(limits: &[RateLimit<'_>], held: &[(usize, u32)]) {
    for &(nth, at) in held {
        lock(limits[nth].zone).release(at);
    }
}

/// A zone stays usable whatever happened to a thread that held it: each step leaves it consistent.
fn lock(zone: &Mutex<Rates>) -> MutexGuard<'_, Rates> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOMY: usize = 1 << 20;

    type Zone = (Mutex<Rates>, u64);

    fn zone(per_second: u64) -> Zone {
        (Mutex::new(Rates::new(ROOMY)), per_second * 1000)
    }

    fn limit(zone: &Zone, burst: u64, delay: u64) -> RateLimit<'_> {
        let (zone, rate) = (&zone.0, zone.1);
        RateLimit { zone, key: b"key", rate, burst: burst * 1000, delay: delay.saturating_mul(1000) }
    }

    #[test]
    fn without_a_burst_a_second_request_in_the_same_moment_is_refused() {
        let zone = zone(10);
        let ask = |now| admit(&[limit(&zone, 0, 0)], now);
        assert_eq!(ask(0), Admission::Pass);
        assert_eq!(ask(0), Admission::Reject { excess: 1000, limit: 0 });
        assert_eq!(ask(99), Admission::Reject { excess: 10, limit: 0 });
        assert_eq!(ask(100), Admission::Pass);
    }

    #[test]
    fn a_burst_is_delayed_so_that_the_rate_holds() {
        let zone = zone(10);
        let ask = |now| admit(&[limit(&zone, 3, 0)], now);
        assert_eq!(ask(0), Admission::Pass);
        assert_eq!(ask(0), Admission::Delay { milliseconds: 100, excess: 1000, limit: 0 });
        assert_eq!(ask(0), Admission::Delay { milliseconds: 200, excess: 2000, limit: 0 });
        assert_eq!(ask(50), Admission::Delay { milliseconds: 250, excess: 2500, limit: 0 });
        assert_eq!(ask(50), Admission::Reject { excess: 3500, limit: 0 });
    }

    #[test]
    fn the_first_requests_of_a_burst_may_go_undelayed() {
        let zone = zone(10);
        let ask = |now| admit(&[limit(&zone, 3, 2)], now);
        assert_eq!([ask(0), ask(0), ask(0)], [Admission::Pass; 3]);
        assert_eq!(ask(0), Admission::Delay { milliseconds: 100, excess: 3000, limit: 0 });
        let zone = self::zone(10);
        let ask = |now| admit(&[limit(&zone, 3, u64::MAX)], now);
        assert_eq!([ask(0), ask(0), ask(0), ask(0)], [Admission::Pass; 4]);
        assert_eq!(ask(0), Admission::Reject { excess: 4000, limit: 0 });
    }

    #[test]
    fn of_several_limits_the_longest_delay_holds_and_a_refusal_counts_nowhere() {
        let (slow, fast) = (zone(1), zone(100));
        let ask = |now| admit(&[limit(&slow, 2, 0), limit(&fast, 0, 0)], now);
        assert_eq!(ask(0), Admission::Pass);
        assert_eq!(ask(0), Admission::Reject { excess: 1000, limit: 1 });
        assert_eq!(ask(10), Admission::Delay { milliseconds: 990, excess: 990, limit: 0 });
        assert_eq!(ask(20), Admission::Delay { milliseconds: 1980, excess: 1980, limit: 0 });
        assert_eq!(ask(30), Admission::Reject { excess: 2970, limit: 0 });
    }

    #[test]
    fn an_empty_key_is_not_counted() {
        let zone = zone(1);
        let limit = || RateLimit { key: b"", ..limit(&zone, 0, 0) };
        assert_eq!(admit(&[limit()], 0), Admission::Uncounted);
        assert_eq!(admit(&[], 0), Admission::Uncounted);
        assert!(zone.0.lock().expect("no panic").is_empty());
    }

    #[test]
    fn a_full_zone_forgets_the_key_that_was_used_longest_ago() {
        let zone = Mutex::new(Rates::new(4 * 128));
        let ask = |key: &[u8]| admit(&[RateLimit { zone: &zone, key, rate: 1000, burst: 0, delay: 0 }], 0);
        for key in [b"a", b"b", b"c", b"d"] {
            assert_eq!(ask(key), Admission::Pass);
        }
        assert!(matches!(ask(b"a"), Admission::Reject { .. }), "a is known, and used again");
        assert_eq!(ask(b"e"), Admission::Pass);
        assert_eq!(ask(b"b"), Admission::Pass, "b was forgotten for e");
        assert!(matches!(ask(b"a"), Admission::Reject { .. }));
        assert_eq!(zone.lock().expect("no panic").len(), 4);
    }

    #[test]
    fn idle_keys_are_forgotten_in_passing() {
        let zone = zone(1);
        for n in 0..10_u8 {
            admit(&[RateLimit { key: &[n], ..limit(&zone, 0, 0) }], 0);
        }
        for n in 10..20_u8 {
            admit(&[RateLimit { key: &[n], ..limit(&zone, 0, 0) }], 60_000);
        }
        assert_eq!(zone.0.lock().expect("no panic").len(), 10);
    }

    proptest! {
        #[test]
        fn no_more_requests_pass_than_rate_and_burst_allow(
            per_second in 1_u64..50,
            burst in 0_u64..5,
            gaps in prop::collection::vec(0_u64..200, 1..200),
        ) {
            let zone = zone(per_second);
            let mut now = 0;
            let mut passed = 0;
            for gap in gaps {
                now += gap;
                if !matches!(admit(&[limit(&zone, burst, 0)], now), Admission::Reject { .. }) {
                    passed += 1;
                }
                prop_assert!((passed - 1) * 1000 <= burst * 1000 + per_second * now, "{passed} by {now} ms");
            }
        }

        #[test]
        fn a_zone_never_grows_beyond_its_size(keys in prop::collection::vec((0_u8..40, 0_usize..100), 0..300)) {
            let zone = Mutex::new(Rates::new(2048));
            for (nth, (key, length)) in keys.into_iter().enumerate() {
                let key = vec![key; length + 1];
                admit(&[RateLimit { zone: &zone, key: &key, rate: 1000, burst: 0, delay: 0 }], nth as u64 * 1000);
                let zone = zone.lock().expect("no panic");
                prop_assert!(zone.bytes <= 2048);
                prop_assert_eq!(zone.index.len() + zone.free.len(), zone.entries.len());
            }
        }
    }
}
