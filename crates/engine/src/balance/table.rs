//! What all methods work on, and what a method is.

use super::Request;
use super::peers::{Group, Peers, Slot};
use super::round_robin::RoundRobin;
use super::times::Times;
use std::time::Instant;

/// Who there is, whose turn it is, and who is how fast.
pub(super) struct Table {
    pub(super) peers: Peers,
    pub(super) round: RoundRobin,
    pub(super) times: Times,
}

impl Table {
    pub(super) fn bytes(&self) -> usize {
        self.peers.bytes() + self.round.bytes() + self.times.bytes()
    }

    /// Chooses whose turn it is in a group.
    pub(super) fn in_turn(&mut self, group: Group) -> Option<Slot> {
        self.round.choose(&mut self.peers, group, None)
    }
}

/// How many bytes a vector has taken.
pub(super) fn bytes_of<T>(vector: &Vec<T>) -> usize {
    vector.capacity() * size_of::<T>()
}

/// A balancing method. It holds only what is its own.
pub(super) trait Choose: Send {
    /// Chooses among the open peers of a group.
    fn choose(&mut self, table: &mut Table, group: Group, request: &Request<'_>, now: Instant) -> Option<Slot>;

    /// Peers came, went or were given another weight or name: what was computed of all of them is to be computed anew.
    fn rebuild(&mut self, _table: &Table) {}

    /// How many bytes the method's own tables take.
    fn bytes(&self) -> usize {
        0
    }

    /// One peer's live count, weight or times changed.
    fn note(&mut self, _table: &Table, _slot: Slot) {}
}
