//! `least_conn`: the peer with the fewest live requests and tunnels for its weight. Equals take turns, as in nginx: by the
//! rules of round robin, among the equals alone.
//!
//! The ratio of live requests to weight is kept as a score of each peer. Equal ratios give equal scores; unequal ones do
//! while the product of both numbers is below 2^23, and beyond that the peers are as good as equal.

use super::Request;
use super::least::Least;
use super::peers::{Group, Slot};
use super::table::{Choose, Table};
use std::time::Instant;

#[derive(Default)]
pub(super) struct LeastConn {
    loads: Least,
}

impl Choose for LeastConn {
    fn choose(&mut self, table: &mut Table, group: Group, _: &Request<'_>, _: Instant) -> Option<Slot> {
        self.loads.look(&table.peers, group)?;
        self.loads.choose(table, group)
    }

    fn bytes(&self) -> usize {
        self.loads.bytes()
    }

    fn rebuild(&mut self, table: &Table) {
        self.loads.resize(&table.peers);
        table.peers.slots().for_each(|slot| self.note(table, slot));
    }

    fn note(&mut self, table: &Table, slot: Slot) {
        let weight = table.peers.weight(slot).max(1);
        self.loads.set(slot, table.peers.live(slot) as f32 / weight as f32);
    }
}
