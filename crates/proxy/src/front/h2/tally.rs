//! What a connection costs, counted, and when that is more than anybody needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The counts of one connection. Its task and those of its streams share them, all on one thread.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Bytes of frames in both directions.
    all: AtomicU64,
    /// Those among them that anybody wanted: heads as they read uncompressed, and bodies.
    payload: Arc<AtomicU64>,
    /// Streams that the client has reset before they were answered.
    cancelled: AtomicU32,
    /// Streams that were answered.
    completed: AtomicU32,
    /// The socket does not take what is written.
    is_stuck: AtomicBool,
    /// Bytes that it has taken.
    written: AtomicU64,
}

/// So much of a connection's bytes may be frames without payload, beside seven for each byte of payload: nginx's bound.
const OVERHEAD_BYTES_MAX: u64 = 1 << 20;

/// So many streams may be cancelled, beside one for each that was answered, however few may be open at once.
const CANCELLED_MIN: u32 = 100;

impl Tally {
    /// Counts bytes that were read.
    pub(super) fn read(&self, bytes: usize) {
        self.all.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that were written.
    pub(super) fn wrote(&self, bytes: usize) {
        self.all.fetch_add(bytes as u64, Ordering::Relaxed);
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        self.is_stuck.store(false, Ordering::Relaxed);
    }

    /// Notes that nothing can be written now.
    pub(super) fn stuck(&self) {
        self.is_stuck.store(true, Ordering::Relaxed);
    }

    /// Counts bytes that were wanted.
    pub(super) fn payload(&self, bytes: u64) {
        self.payload.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What counts such bytes where the tally is not at hand.
    pub(super) fn payload_counter(&self) -> Arc<AtomicU64> {
        self.payload.clone()
    }

    /// Counts the end of a stream.
    pub(super) fn ended(&self, cancelled: bool) {
        let counter = if cancelled { &self.cancelled } else { &self.completed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many bytes the socket has taken, if it takes no more now.
    pub(super) fn stuck_at(&self) -> Option<u64> {
        self.is_stuck.load(Ordering::Relaxed).then(|| self.written.load(Ordering::Relaxed))
    }

    /// Whether frames come that carry nothing, and nothing but them: pings, settings, empty ones.
    pub(super) fn is_flooded(&self) -> bool {
        let (all, payload) = (self.all.load(Ordering::Relaxed), self.payload.load(Ordering::Relaxed));
        all / 8 > payload + OVERHEAD_BYTES_MAX
    }

    /// Whether more streams are opened and reset (CVE-2023-44487) than browsers do that leave a page.
    pub(super) fn is_reset_too_often(&self, streams_max: u32) -> bool {
        let allowed = streams_max.saturating_mul(2).max(CANCELLED_MIN);
        let completed = self.completed.load(Ordering::Relaxed);
        self.cancelled.load(Ordering::Relaxed) > allowed.saturating_add(completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_without_payload_are_a_flood_only_where_there_are_far_more_of_them() {
        let tally = Tally::default();
        tally.read(8 << 20);
        assert!(!tally.is_flooded());
        tally.wrote(8);
        assert!(tally.is_flooded());
        tally.payload(1);
        assert!(!tally.is_flooded());
    }

    #[test]
    fn who_uses_answers_may_cancel_some() {
        let tally = Tally::default();
        (0..256).for_each(|_| tally.ended(true));
        assert!(!tally.is_reset_too_often(128));
        tally.ended(true);
        assert!(tally.is_reset_too_often(128));
        tally.ended(false);
        assert!(!tally.is_reset_too_often(128));
    }
}
