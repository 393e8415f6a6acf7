//! The peers that one request has tried.

use super::PeerId;

/// How many peers a set holds without an allocation: hardly any request tries more.
const INLINE: usize = 3;

/// A set of peers, in the order in which they were tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    first: [Option<PeerId>; INLINE],
    rest: Vec<PeerId>,
}

impl Tried {
    /// No peer yet.
    pub const fn new() -> Tried {
        Tried { first: [None; INLINE], rest: Vec::new() }
    }

    /// Adds a peer.
    pub fn insert(&mut self, peer: PeerId) {
        if self.contains(peer) {
            return;
        }
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(peer),
            None => self.rest.push(peer),
        }
    }

    /// Whether the peer is in the set.
    pub fn contains(&self, peer: PeerId) -> bool {
        self.iter().any(|tried| tried == peer)
    }

    /// The peers, in the order in which they were inserted.
    pub fn iter(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.first.iter().map_while(|place| *place).chain(self.rest.iter().copied())
    }

    /// How many peers are in the set.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether no peer was tried yet.
    pub fn is_empty(&self) -> bool {
        self.first[0].is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(slot: u32) -> PeerId {
        PeerId { slot, generation: 0 }
    }

    #[test]
    fn a_set_holds_what_was_inserted_and_nothing_else() {
        let mut tried = Tried::new();
        assert!(tried.is_empty());
        let slots = [7, 0, 63, 64, 127, 128, 1000];
        for slot in slots {
            assert!(!tried.contains(peer(slot)));
            tried.insert(peer(slot));
            tried.insert(peer(slot));
        }
        assert_eq!(tried.iter().map(|peer| peer.slot).collect::<Vec<_>>(), slots);
        assert!((0..2000).all(|slot| tried.contains(peer(slot)) == slots.contains(&slot)));
        assert_eq!(tried.len(), slots.len());
        assert!(!tried.is_empty());
    }

    #[test]
    fn the_next_peer_in_a_slot_is_another_one() {
        let mut tried = Tried::new();
        tried.insert(peer(1));
        assert!(!tried.contains(PeerId { slot: 1, generation: 1 }));
    }

    #[test]
    fn three_peers_take_no_allocation() {
        let mut tried = Tried::new();
        (0..3).for_each(|slot| tried.insert(peer(slot)));
        assert_eq!(tried.rest.capacity(), 0);
    }
}
