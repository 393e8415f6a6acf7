//! `least_time`: the peer that would be done first, by its average time and what it has to do already.
//!
//! A peer's score is its expected time times one more than its live requests, divided by its weight; the least is chosen,
//! and equals take turns. nginx's documentation names these three quantities and no formula. Which time counts is the
//! [`Metric`]; [`super::times`] says how it is averaged. With `inflight`, requests that still wait count as well: a peer's
//! time is at least as long as those have waited on average, so that a peer that hangs is left before its first time-out.
//!
//! Scores change with time, and a pass that works all of them out would be too slow. So a choice works out a few in turn, and
//! the one that would be chosen, which is let go if it turns out to be worse.

use super::least::Least;
use super::peers::{Group, Slot};
use super::table::{Choose, Table};
use super::{Metric, Request};
use std::time::Instant;

/// How many scores a choice works out in turn.
const STRIDE: usize = 8;
/// How often a choice looks for another, when the best score turns out to be out of date.
const SECOND_LOOKS: usize = 2;

pub(super) struct LeastTime {
    metric: Metric,
    inflight: bool,
    scores: Least,
    /// Whose score is worked out next.
    cursor: Slot,
}

impl LeastTime {
    pub(super) fn new(metric: Metric, inflight: bool) -> LeastTime {
        LeastTime { metric, inflight, scores: Least::default(), cursor: 0 }
    }

    fn score(&self, table: &Table, slot: Slot) -> f32 {
        score(table, slot, self.metric, self.inflight)
    }

    fn update_some(&mut self, table: &Table) {
        let slots = table.peers.slots().len();
        for _ in 0..slots.min(STRIDE) {
            self.cursor = if self.cursor + 1 < slots { self.cursor + 1 } else { 0 };
            self.note(table, self.cursor);
        }
    }
}

/// The lower, the better.
pub(super) fn score(table: &Table, slot: Slot, metric: Metric, inflight: bool) -> f32 {
    let expected = table.times.expected(slot, metric);
    let time = if inflight { expected.max(table.times.waited(slot)) } else { expected };
    let weight = table.peers.weight(slot).max(1) as f32 / table.peers.unit() as f32;
    time * (table.peers.live(slot) as f32 + 1.0) / weight
}

impl Choose for LeastTime {
    fn choose(&mut self, table: &mut Table, group: Group, _: &Request<'_>, _: Instant) -> Option<Slot> {
        self.update_some(table);
        let mut low = self.scores.look(&table.peers, group);
        for _ in 0..SECOND_LOOKS {
            let Some(score) = low else { break };
            let best = self.scores.first(&table.peers, group, score)?;
            low = self.scores.worsen(&table.peers, group, best, self.score(table, best));
        }
        self.scores.choose(table, group)
    }

    fn bytes(&self) -> usize {
        self.scores.bytes()
    }

    fn rebuild(&mut self, table: &Table) {
        self.scores.resize(&table.peers);
        table.peers.slots().for_each(|slot| self.note(table, slot));
    }

    fn note(&mut self, table: &Table, slot: Slot) {
        self.scores.set(slot, self.score(table, slot));
    }
}
