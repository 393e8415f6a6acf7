//! Smooth weighted round robin, as nginx does it.
//!
//! Before each choice every usable peer gains its effective weight; the richest is chosen and pays what all gained
//! together. With weights 5, 1, 1 the order is `a a b a c a a`, not `a a a a a b c`. A failure lowers a peer's effective
//! weight, and each choice that looks at the peer raises it by one again, up to its weight.
//!
//! A choice is one pass over the peers' columns. Blocks in which nobody's effective weight was lowered take a shorter path.

use super::Request;
use super::least::Ties;
use super::peers::{Group, Peers, Slot};
use super::scan::{BLOCK, OPEN};
use super::table::{Choose, Table, bytes_of};
use std::time::Instant;

/// Where the round stands.
#[derive(Default)]
pub(super) struct RoundRobin {
    /// What each peer has gained and not yet paid.
    current: Vec<i32>,
}

impl RoundRobin {
    /// Fits the columns to the table. The sums are brought back around zero: peers that left took theirs with them.
    pub(super) fn rebuild(&mut self, peers: &Peers) {
        self.current.resize(peers.columns_len(), 0);
        let members = || peers.slots().filter(|slot| peers.is_member(*slot));
        let sum: i64 = members().map(|slot| i64::from(self.current[slot])).sum();
        let count = i64::try_from(members().count().max(1)).expect("a count of peers is small");
        let mean = i32::try_from(sum / count).expect("a mean is not larger than what it is of");
        self.current.iter_mut().for_each(|current| *current = current.wrapping_sub(mean));
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.current)
    }

    /// Begins the round anew: the weights are counted in other units now.
    pub(super) fn restart(&mut self) {
        self.current.fill(0);
    }

    /// A new peer begins where all do.
    pub(super) fn admit(&mut self, slot: Slot) {
        if let Some(current) = self.current.get_mut(slot) {
            *current = 0;
        }
    }

    /// Gives everybody who is open in the group their gain, and the turn to the richest; the first of equals. With `ties`,
    /// those alone are asked.
    pub(super) fn choose(&mut self, peers: &mut Peers, group: Group, ties: Option<Ties<'_>>) -> Option<Slot> {
        let mut columns = peers.gains(group);
        let (mut total, mut most, mut richest) = (0i32, i32::MIN, 0);
        for (block, current) in self.current.as_chunks_mut().0.iter_mut().enumerate() {
            let (gained, best) = match ties.map(|ties| ties.of(block)) {
                None => columns.turn(block, None, current),
                Some(Some(ties)) => columns.turn(block, Some(ties), current),
                Some(None) => continue,
            };
            total = total.wrapping_add(gained);
            if best > most {
                (most, richest) = (best, block);
            }
        }
        let current = self.current.as_chunks_mut::<BLOCK>().0.get_mut(richest)?;
        let (open, scores) = (columns.open(richest), ties.and_then(|ties| ties.of(richest)));
        let is_among = |i: usize| open[i] == OPEN && scores.is_none_or(|(scores, score)| scores[i] == score);
        let within = (0..BLOCK).find(|&i| current[i] == most && is_among(i))?;
        current[within] = most.wrapping_sub(total);
        Some(richest * BLOCK + within)
    }

    /// The same for a handful of peers, given by their slots.
    pub(super) fn choose_of(&mut self, peers: &mut Peers, slots: &[u32]) -> Option<Slot> {
        let (mut total, mut best) = (0i32, None::<Slot>);
        for slot in slots.iter().map(|slot| *slot as Slot) {
            if !peers.is_open(slot, Group::Primary) {
                continue;
            }
            let gained = peers.gain(slot);
            total = total.wrapping_add(gained);
            self.current[slot] = self.current[slot].wrapping_add(gained);
            if best.is_none_or(|best| self.current[slot] > self.current[best]) {
                best = Some(slot);
            }
        }
        let best = best?;
        self.current[best] = self.current[best].wrapping_sub(total);
        Some(best)
    }
}

/// Round robin as a method: it is nothing but everybody's turn.
pub(super) struct InTurn;

impl Choose for InTurn {
    fn choose(&mut self, table: &mut Table, group: Group, _: &Request<'_>, _: Instant) -> Option<Slot> {
        table.in_turn(group)
    }
}
