//! Payloads of pings and masking keys, from one random number per socket.

use std::hash::{DefaultHasher, Hasher};

/// Where unguessable numbers come from: each is a hash of a state that is never shown.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        let shown = self.hash(0);
        self.0 = self.hash(1);
        shown
    }

    fn hash(&self, purpose: u8) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write_u8(purpose);
        hasher.finish()
    }
}
