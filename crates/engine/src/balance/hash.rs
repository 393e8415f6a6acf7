//! `hash key`: requests of one key come to one peer, as in nginx (and in Perl's Cache::Memcached). Fifteen bits of the
//! key's CRC-32 point at a stretch of the primary peers laid end to end. Where that one can't take the request, the checksum
//! of the number of the attempt and the key is added; after twenty refusals, or without a key, it is round robin.

use super::Request;
use super::crc32::Crc32;
use super::peers::{Group, Slot};
use super::table::{Choose, Table};
use super::walk::Walk;
use std::io::Write;
use std::time::Instant;

#[derive(Default)]
pub(super) struct Hash {
    walk: Walk,
}

impl Choose for Hash {
    fn choose(&mut self, table: &mut Table, group: Group, request: &Request<'_>, _: Instant) -> Option<Slot> {
        if request.key.is_empty() {
            return table.in_turn(group);
        }
        let (mut hash, mut attempt) = (0u32, 0u32);
        self.walk.choose(table, group, request, || {
            hash = hash.wrapping_add(checksum(attempt, request.key));
            attempt += 1;
            u64::from(hash)
        })
    }

    fn bytes(&self) -> usize {
        self.walk.bytes()
    }

    fn rebuild(&mut self, table: &Table) {
        self.walk.rebuild(&table.peers);
    }
}

/// The checksum of the key, which the number of the attempt precedes unless it is the first.
fn checksum(attempt: u32, key: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    if attempt > 0 {
        let mut digits = [0u8; 10];
        let mut rest = &mut digits[..];
        write!(rest, "{attempt}").expect("ten digits hold every 32-bit number");
        let unwritten = rest.len();
        crc = crc.and(&digits[..digits.len() - unwritten]);
    }
    crc.and(key).value() >> 16 & 0x7FFF
}
