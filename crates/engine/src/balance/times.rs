//! How fast the peers answer.
//!
//! Of each peer two moving averages are kept, of the time to the response head and of the time to the last byte. An
//! observation moves an average by an eighth of the difference, as TCP's smoothed round-trip time moves (RFC 6298 section
//! 2.3). What nobody confirms fades: an average that was last touched ten seconds ago counts half for itself and half for
//! the average of the whole upstream, so that a peer that was slow once gets a chance to show that it no longer is. A peer
//! that was never measured counts as the upstream's average.

use super::Metric;
use super::peers::Slot;
use super::table::bytes_of;
use std::time::{Duration, Instant};

/// By which part of its difference from the average an observation moves it.
const GAIN: f32 = 1.0 / 8.0;
/// The same for the average of the whole upstream, which has many more observations.
const COMMON_GAIN: f32 = 1.0 / 64.0;
/// After so long an average has half faded.
const FADE: Duration = Duration::from_secs(10);
/// Differences below this are noise. Milliseconds.
const FLOOR: f32 = 1.0;

/// The times of all peers, by slot.
#[derive(Default)]
pub(super) struct Times {
    peers: Vec<PeerTimes>,
    /// By metric, in milliseconds.
    common: [Option<f32>; 2],
    /// The time, as far as anybody has told.
    now: Option<Instant>,
    /// What the starts of waiting requests are counted from.
    epoch: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct PeerTimes {
    averages: [Average; 2],
    /// Requests without an answer, and the sum of their starts in microseconds since the epoch.
    waiting: u32,
    starts: u64,
}

#[derive(Clone, Copy, Default)]
struct Average {
    milliseconds: f32,
    at: Option<Instant>,
}

impl Times {
    pub(super) fn resize(&mut self, slots: usize) {
        self.peers.resize(slots, PeerTimes::default());
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.peers)
    }

    /// Takes in what time it is.
    pub(super) fn pass(&mut self, now: Instant) {
        self.now = Some(self.now.map_or(now, |before| before.max(now)));
    }

    /// Forgets all of a slot, for its next peer.
    pub(super) fn forget(&mut self, slot: Slot) {
        if let Some(peer) = self.peers.get_mut(slot) {
            *peer = PeerTimes::default();
        }
    }

    /// Takes in how long a peer took.
    pub(super) fn observe(&mut self, slot: Slot, metric: Metric, took: Duration, now: Instant) {
        let observed = took.as_secs_f32() * 1e3;
        let average = &mut self.peers[slot].averages[metric as usize];
        average.milliseconds = match average.at {
            Some(_) => average.milliseconds + (observed - average.milliseconds) * GAIN,
            None => observed,
        };
        average.at = Some(now);
        let common = &mut self.common[metric as usize];
        *common = Some(common.map_or(observed, |common| common + (observed - common) * COMMON_GAIN));
    }

    /// The peer's own average; `None` if it was never measured.
    pub(super) fn average(&self, slot: Slot, metric: Metric) -> Option<Duration> {
        let average = self.peers.get(slot)?.averages[metric as usize];
        average.at.map(|_| Duration::from_micros((average.milliseconds * 1e3).round() as u64))
    }

    /// What the peer's time counts as now, in milliseconds.
    pub(super) fn expected(&self, slot: Slot, metric: Metric) -> f32 {
        let common = self.common[metric as usize].unwrap_or(0.0);
        let average = self.peers[slot].averages[metric as usize];
        let expected = average.at.map_or(common, |at| {
            let age = self.now.map_or(Duration::ZERO, |now| now.saturating_duration_since(at));
            common + (average.milliseconds - common) / (1.0 + age.as_secs_f32() / FADE.as_secs_f32())
        });
        expected.max(FLOOR)
    }

    /// How long the requests that wait for an answer have waited on average, in milliseconds.
    pub(super) fn waited(&self, slot: Slot) -> f32 {
        let peer = &self.peers[slot];
        if peer.waiting == 0 {
            return 0.0;
        }
        let start = peer.starts / u64::from(peer.waiting);
        self.now.map_or(0, |now| self.since_epoch(now)).saturating_sub(start) as f32 / 1e3
    }

    /// A request waits from now on.
    pub(super) fn begin(&mut self, slot: Slot, now: Instant) {
        self.epoch.get_or_insert(now);
        let start = self.since_epoch(now);
        let peer = &mut self.peers[slot];
        peer.waiting = peer.waiting.saturating_add(1);
        peer.starts = peer.starts.saturating_add(start);
    }

    /// A request that waited since `picked` waits no longer.
    pub(super) fn end(&mut self, slot: Slot, picked: Instant) {
        let start = self.since_epoch(picked);
        let peer = &mut self.peers[slot];
        peer.waiting = peer.waiting.saturating_sub(1);
        peer.starts = if peer.waiting == 0 { 0 } else { peer.starts.saturating_sub(start) };
    }

    fn since_epoch(&self, at: Instant) -> u64 {
        let since = self.epoch.map_or(Duration::ZERO, |epoch| at.saturating_duration_since(epoch));
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn times() -> (Times, Instant) {
        let mut times = Times::default();
        times.resize(2);
        (times, Instant::now())
    }

    #[test]
    fn an_average_follows_what_is_observed() {
        let (mut times, now) = times();
        assert_eq!(times.average(0, Metric::Header), None);
        times.observe(0, Metric::Header, ms(80), now);
        assert_eq!(times.average(0, Metric::Header).map(|average| average.as_millis()), Some(80));
        times.observe(0, Metric::Header, ms(160), now);
        assert_eq!(times.average(0, Metric::Header).map(|average| average.as_millis()), Some(90));
        assert_eq!(times.average(0, Metric::LastByte), None);
    }

    #[test]
    fn what_was_never_measured_counts_as_the_common_average() {
        let (mut times, now) = times();
        assert_eq!(times.expected(1, Metric::Header), FLOOR);
        times.observe(0, Metric::Header, ms(50), now);
        assert_eq!(times.expected(1, Metric::Header), 50.0);
    }

    #[test]
    fn an_old_average_fades_into_the_common_one() {
        let (mut times, now) = times();
        times.observe(0, Metric::Header, ms(10), now);
        times.observe(1, Metric::Header, ms(1000), now);
        let mut expected_at = |at| {
            times.pass(at);
            times.expected(1, Metric::Header)
        };
        let (fresh, later, much_later) = (expected_at(now), expected_at(now + FADE), expected_at(now + FADE * 100));
        assert_eq!(fresh, 1000.0);
        assert!((510.0..515.0).contains(&later), "{later}");
        assert!(much_later < 40.0, "{much_later}");
    }

    #[test]
    fn those_that_wait_are_counted_until_they_are_answered() {
        let (mut times, now) = times();
        times.begin(0, now);
        times.begin(0, now + ms(100));
        times.pass(now + ms(200));
        assert_eq!(times.waited(0), 150.0);
        times.end(0, now);
        assert_eq!(times.waited(0), 100.0);
        times.end(0, now + ms(100));
        assert_eq!(times.waited(0), 0.0);
    }
}
