//! `random`: a peer is drawn by weight. `random two`: two are, and the better one is taken: the one with fewer live requests
//! for its weight, or the one that `least_time` would take. After twenty draws in vain it is round robin, as in nginx.

use super::least_time::score;
use super::peers::{Group, Slot};
use super::table::{Choose, Table};
use super::walk::{Refusals, Walk};
use super::{Request, Rival};
use std::time::Instant;

#[derive(Default)]
pub(super) struct Random {
    walk: Walk,
}

/// A sequence of numbers that one die begins (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

impl Choose for Random {
    fn choose(&mut self, table: &mut Table, group: Group, request: &Request<'_>, _: Instant) -> Option<Slot> {
        let mut draws = Draws(request.dice);
        self.walk.choose(table, group, request, || draws.next())
    }

    fn bytes(&self) -> usize {
        self.walk.bytes()
    }

    fn rebuild(&mut self, table: &Table) {
        self.walk.rebuild(&table.peers);
    }
}

pub(super) struct RandomTwo {
    rival: Rival,
    walk: Walk,
}

impl RandomTwo {
    pub(super) fn new(rival: Rival) -> RandomTwo {
        RandomTwo { rival, walk: Walk::default() }
    }

    /// The better one; the second of equals, as in nginx.
    fn better(&self, table: &Table, one: Slot, other: Slot) -> Slot {
        let is_worse = match self.rival {
            Rival::LeastConn => {
                let load = |slot, by| u64::from(table.peers.live(slot)) * u64::from(table.peers.whole_weight(by));
                load(other, one) > load(one, other)
            }
            Rival::LeastTime(metric) => score(table, other, metric, false) > score(table, one, metric, false),
        };
        if is_worse { one } else { other }
    }
}

impl Choose for RandomTwo {
    fn choose(&mut self, table: &mut Table, group: Group, request: &Request<'_>, _: Instant) -> Option<Slot> {
        let (mut draws, mut refusals, mut drawn) = (Draws(request.dice), Refusals::new(request), None);
        while !refusals.are_too_many() {
            let Some(slot) = self.walk.at(draws.next()) else { break };
            match drawn {
                _ if drawn == Some(slot) || !table.peers.is_open(slot, group) => refusals.note(table.peers.id(slot)),
                Some(one) => return Some(self.better(table, one, slot)),
                None => drawn = Some(slot),
            }
        }
        table.in_turn(group)
    }

    fn bytes(&self) -> usize {
        self.walk.bytes()
    }

    fn rebuild(&mut self, table: &Table) {
        self.walk.rebuild(&table.peers);
    }
}
