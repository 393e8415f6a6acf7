//! Settings read from the first bytes of an input. The rest is left as it is, so that a mutation of it stays a small one.

use culvert_engine::websocket::{Opcode, Opcodes, OverRate, Ping, Policy, Rate, Validation};
use std::time::Duration;

/// Bytes that are read one by one; after the last one come zeros, which stand for the plainest choice everywhere.
#[derive(Debug)]
pub struct Dials<'a>(&'a [u8]);

impl<'a> Dials<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// So many bytes as they are, or what is left.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// A limit: none for 0, then as the byte says, the largest ones in larger steps.
    fn limit(&mut self) -> Option<u64> {
        match self.byte() {
            0 => None,
            byte @ 1..200 => Some(u64::from(byte) - 1),
            255 => Some(u64::MAX),
            byte => Some(u64::from(byte - 199) * 150),
        }
    }

    fn seconds(&mut self) -> Option<Duration> {
        self.limit().map(|seconds| Duration::from_millis(seconds.saturating_mul(100)))
    }

    fn rate(&mut self) -> Option<Rate> {
        let per_second = self.limit()?;
        Some(Rate { per_second, burst: self.limit().unwrap_or(0) })
    }

    /// What a location wants; nothing where all bytes are 0.
    pub fn policy(&mut self) -> Policy {
        let flags = self.byte();
        let interval = self.seconds().filter(|interval| !interval.is_zero());
        let timeout = self.seconds().filter(|timeout| !timeout.is_zero()).unwrap_or(Duration::from_secs(5));
        Policy {
            ping: interval.map(|interval| Ping { interval, timeout }),
            message_bytes_max: self.limit(),
            frame_bytes_max: self.limit(),
            fragments_max: self.limit().map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            messages_rate: self.rate(),
            bytes_rate: self.rate(),
            over_rate: if flags & 1 == 0 { OverRate::Slow } else { OverRate::Close },
            opcodes: if flags & 2 == 0 { Opcodes::ALL } else { Opcodes::only([Opcode::TEXT, Opcode::PONG]) },
            age_max: self.seconds(),
            age_jitter: f64::from(flags >> 6) / 3.0,
            close_wait: None,
            idle_client: self.seconds(),
            idle_server: self.seconds(),
            validation: match flags >> 2 & 3 {
                0 => Validation::Off,
                1 => Validation::Report,
                _ => Validation::Enforce,
            },
        }
    }
}

/// Numbers that look random and are the same for the same seed: xorshift64*.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts anywhere.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A length of the next portion: mostly short, sometimes all there is.
    pub fn portion(&mut self) -> usize {
        match self.roll() >> 40 {
            roll if roll & 7 == 0 => usize::MAX,
            roll if roll & 1 == 0 => 1 + (roll >> 8) as usize % 4,
            roll => 1 + (roll >> 8) as usize % 200,
        }
    }
}
