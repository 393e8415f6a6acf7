//! The primary peers laid end to end, each as long as its weight: a number points at one of them.
//!
//! As in nginx, peers that may not be chosen keep their stretch, so that what points at others stays where it is.

use super::peers::{Group, Peers, Slot};
use super::table::{Table, bytes_of};
use super::{PeerId, Request, Tried};

#[derive(Default)]
pub(super) struct Walk {
    /// Where each stretch ends.
    ends: Vec<u32>,
    slots: Vec<u32>,
}

impl Walk {
    pub(super) fn rebuild(&mut self, peers: &Peers) {
        self.ends.clear();
        self.slots.clear();
        let mut end = 0u32;
        for slot in peers.slots() {
            if peers.is_member(slot) && peers.peer(slot).group() == Group::Primary {
                end = end.saturating_add(peers.whole_weight(slot));
                self.ends.push(end);
                self.slots.push(peers.id(slot).slot);
            }
        }
        self.ends.shrink_to_fit();
        self.slots.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.ends) + bytes_of(&self.slots)
    }

    /// The first open peer that one of the numbers points at; in turn where too many refuse, or there is none.
    pub(super) fn choose(
        &self,
        table: &mut Table,
        group: Group,
        request: &Request<'_>,
        mut number: impl FnMut() -> u64,
    ) -> Option<Slot> {
        let mut refusals = Refusals::new(request);
        while !refusals.are_too_many() {
            let Some(slot) = self.at(number()) else { break };
            if table.peers.is_open(slot, group) {
                return Some(slot);
            }
            refusals.note(table.peers.id(slot));
        }
        table.in_turn(group)
    }

    /// The peer that the number points at, once around as often as it takes.
    pub(super) fn at(&self, number: u64) -> Option<Slot> {
        let total = u64::from(*self.ends.last()?);
        let within = u32::try_from(number % total).expect("a remainder of a 32-bit number has 32 bits");
        let index = self.ends.partition_point(|end| *end <= within);
        self.slots.get(index).map(|slot| *slot as Slot)
    }
}

/// How many peers a hash or a die may point at in vain before it is round robin: nginx's number.
const REFUSALS_MAX: u32 = 20;

/// Counts the peers that refuse a request. nginx keeps this count over all tries of a request, and does not count a peer
/// where it was the one to be tried: so the first sight of each that was tried is free.
pub(super) struct Refusals<'a> {
    tried: &'a Tried,
    seen: Tried,
    count: u32,
}

impl<'a> Refusals<'a> {
    pub(super) fn new(request: &Request<'a>) -> Refusals<'a> {
        Refusals { tried: request.tried, seen: Tried::new(), count: 0 }
    }

    pub(super) fn note(&mut self, peer: PeerId) {
        if self.tried.contains(peer) && !self.seen.contains(peer) {
            self.seen.insert(peer);
        } else {
            self.count += 1;
        }
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.count > REFUSALS_MAX
    }
}
