//! `limit_conn`: how many connections of a key are open at the same time.

use std::collections::HashMap;

/// What nginx's state of one key takes besides the key itself, in bytes, before its allocator rounds it up.
const STATE_BYTES: usize = 36;

/// The counts of a `limit_conn_zone`.
#[derive(Debug)]
pub struct Connections {
    bytes_max: usize,
    bytes: usize,
    counts: HashMap<Box<[u8]>, u32>,
}

/// What became of a connection that wants in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It is counted.
    Counted,
    /// There are as many as may be.
    Limited,
    /// The zone has no room for another key.
    NoRoom,
}

impl Connections {
    /// An empty zone of this size in bytes.
    pub fn new(bytes_max: usize) -> Connections {
        Connections { bytes_max, bytes: 0, counts: HashMap::new() }
    }

    /// Counts a connection, unless there are `most` already.
    pub fn enter(&mut self, key: &[u8], most: u32) -> Entered {
        if let Some(count) = self.counts.get_mut(key) {
            if *count >= most {
                return Entered::Limited;
            }
            *count += 1;
            return Entered::Counted;
        }
        let bytes = bytes_of(key);
        if self.bytes + bytes > self.bytes_max {
            return Entered::NoRoom;
        }
        self.bytes += bytes;
        self.counts.insert(key.into(), 1);
        Entered::Counted
    }

    /// A counted connection has ended.
    pub fn leave(&mut self, key: &[u8]) {
        let Some(count) = self.counts.get_mut(key) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(key);
            self.bytes -= bytes_of(key);
        }
    }

    /// How many connections of a key are counted.
    pub fn count(&self, key: &[u8]) -> u32 {
        self.counts.get(key).copied().unwrap_or(0)
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// What nginx's allocator takes for a key: a power of two.
fn bytes_of(key: &[u8]) -> usize {
    (STATE_BYTES + key.len()).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_be_are_counted_and_a_leaver_makes_room() {
        let mut zone = Connections::new(1 << 16);
        assert_eq!([zone.enter(b"a", 2), zone.enter(b"a", 2)], [Entered::Counted; 2]);
        assert_eq!(zone.enter(b"a", 2), Entered::Limited);
        assert_eq!(zone.enter(b"b", 2), Entered::Counted);
        zone.leave(b"a");
        assert_eq!(zone.enter(b"a", 2), Entered::Counted);
        for key in [b"a", b"a", b"b"] {
            zone.leave(key);
        }
        assert!(zone.is_empty() && zone.bytes == 0);
    }

    #[test]
    fn a_full_zone_counts_no_further_key() {
        let mut zone = Connections::new(128);
        assert_eq!([zone.enter(b"a", 9), zone.enter(b"b", 9)], [Entered::Counted; 2]);
        assert_eq!(zone.enter(b"c", 9), Entered::NoRoom);
        assert_eq!(zone.enter(b"a", 9), Entered::Counted);
    }
}
