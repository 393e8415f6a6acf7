//! The peers that one request has tried.

use super::PeerId;

/// A set of peers. It allocates only for upstreams of more than 64 peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    first: u64,
    rest: Vec<u64>,
}

impl Tried {
    /// No peer yet.
    pub const fn new() -> Tried {
        Tried { first: 0, rest: Vec::new() }
    }

    /// Adds a peer.
    pub fn insert(&mut self, peer: PeerId) {
        let (word, bit) = (peer / 64, 1 << (peer % 64));
        match word.checked_sub(1) {
            None => self.first |= bit,
            Some(index) => {
                if self.rest.len() <= index {
                    self.rest.resize(index + 1, 0);
                }
                self.rest[index] |= bit;
            }
        }
    }

    /// Whether the peer is in the set.
    pub fn contains(&self, peer: PeerId) -> bool {
        let (word, bit) = (peer / 64, 1 << (peer % 64));
        let bits = match word.checked_sub(1) {
            None => self.first,
            Some(index) => self.rest.get(index).copied().unwrap_or(0),
        };
        bits & bit != 0
    }

    /// How many peers are in the set.
    pub fn len(&self) -> usize {
        self.first.count_ones() as usize + self.rest.iter().map(|word| word.count_ones() as usize).sum::<usize>()
    }

    /// Whether no peer was tried yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_inserted_and_nothing_else() {
        let mut tried = Tried::new();
        assert!(tried.is_empty());
        let peers = [0, 63, 64, 127, 128, 1000];
        for peer in peers {
            assert!(!tried.contains(peer));
            tried.insert(peer);
            tried.insert(peer);
        }
        assert_eq!((0..2000).filter(|&peer| tried.contains(peer)).collect::<Vec<_>>(), peers);
        assert_eq!(tried.len(), peers.len());
    }

    #[test]
    fn sixty_four_peers_take_no_allocation() {
        let mut tried = Tried::new();
        (0..64).for_each(|peer| tried.insert(peer));
        assert_eq!(tried.rest.capacity(), 0);
    }
}
