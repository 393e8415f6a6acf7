//! Weights: in units, lowered by failures, growing in slow start; and what of them a turn of round robin gives.

use super::{Group, Peers, Slot, sooner};
use crate::balance::peer::Stage;
use crate::balance::scan::{self, BLOCK, Block};
use std::time::{Duration, Instant};

/// Units per weight in an upstream with `slow_start`.
pub(super) const FINE: i32 = 64;

/// The columns that a turn of round robin needs.
pub(in crate::balance) struct Gains<'a> {
    group: Group,
    open: [&'a [Block]; 2],
    weights: &'a [Block],
    effective: &'a mut [Block],
    uneven: &'a mut [bool],
    unit: i32,
}

impl<'a> Gains<'a> {
    /// Who may be chosen in a block.
    #[inline]
    pub(in crate::balance) fn open(&self, block: usize) -> &'a Block {
        &self.open[self.group as usize][block]
    }

    /// Gives their gains to the open ones of one block; with `ties`, to those alone who have this score. Returns all that
    /// was gained, and the highest sum of one of them.
    #[inline]
    pub(in crate::balance) fn turn(
        &mut self,
        block: usize,
        ties: Option<(&Block, i32)>,
        current: &mut Block,
    ) -> (i32, i32) {
        let (open, weights) = (self.open(block), &self.weights[block]);
        match ties {
            None if !self.uneven[block] => scan::gain(current, weights, open),
            Some((scores, score)) if !self.uneven[block] => scan::gain_ties(current, weights, open, scores, score),
            None => self.turn_unevenly(block, open, current),
            Some((scores, score)) => self.turn_unevenly(block, &scan::ties(scores, open, score), current),
        }
    }

    #[cold]
    fn turn_unevenly(&mut self, block: usize, open: &Block, current: &mut Block) -> (i32, i32) {
        let (weights, effective) = (&self.weights[block], &mut self.effective[block]);
        let gained = scan::gain_unevenly(current, effective, weights, open, self.unit);
        self.uneven[block] = scan::differs(effective, weights, self.open.map(|open| &open[block]));
        gained
    }
}

impl Peers {
    pub(in crate::balance) fn unit(&self) -> i32 {
        self.unit
    }

    /// The peer's weight as the blind methods use it: in no units, and never growing.
    pub(in crate::balance) fn whole_weight(&self, slot: Slot) -> u32 {
        (self.slots[slot].spec.weight >> self.halvings).max(1)
    }

    /// The peer's weight in units, as far as it has grown.
    pub(in crate::balance) fn weight(&self, slot: Slot) -> i32 {
        self.weights[slot]
    }

    /// What the peer gains by a turn; its effective weight regains a unit.
    pub(in crate::balance) fn gain(&mut self, slot: Slot) -> i32 {
        let gained = self.effective[slot];
        self.effective[slot] = gained.saturating_add(self.unit).min(self.weights[slot]);
        gained
    }

    pub(in crate::balance) fn gains(&mut self, group: Group) -> Gains<'_> {
        let open = [&self.open[0], &self.open[1]].map(|open| open.as_chunks().0);
        let (weights, effective) = (self.weights.as_chunks().0, self.effective.as_chunks_mut().0);
        Gains { group, open, weights, effective, uneven: &mut self.uneven, unit: self.unit }
    }

    pub(super) fn in_units(&self, weight: u32) -> i32 {
        let units = (u64::from(weight) * u64::from(self.unit.unsigned_abs())) >> self.halvings;
        i32::try_from(units).unwrap_or(i32::MAX)
    }

    /// Works out the peer's weight at this time. Returns whether it is whole.
    pub(super) fn reweigh(&mut self, slot: Slot, now: Option<Instant>) -> bool {
        let peer = &self.slots[slot];
        let (slow_start, whole) = (peer.spec.slow_start, self.in_units(peer.spec.weight).max(1));
        let share = match (peer.ramps_since, now) {
            (Some(since), Some(now)) if !slow_start.is_zero() => {
                now.saturating_duration_since(since).as_secs_f64() / slow_start.as_secs_f64()
            }
            _ => 1.0,
        };
        let grown = if share < 1.0 { ((f64::from(whole) * share) as i32).max(1) } else { whole };
        self.weights[slot] = if peer.stage == Stage::Vacant { 0 } else { grown };
        if share >= 1.0 {
            self.slots[slot].ramps_since = None;
        }
        share >= 1.0
    }

    /// Sets the peer's weight back, to grow over its `slow_start`.
    pub(in crate::balance) fn start_slowly(&mut self, slot: Slot, now: Instant) {
        let slow_start = self.slots[slot].spec.slow_start;
        if !self.ramps || slow_start.is_zero() || self.is_single() {
            return;
        }
        if self.slots[slot].ramps_since.replace(now).is_none() {
            self.ramping.push(u32::try_from(slot).expect("slots are numbered by 32 bits"));
        }
        self.ramp_due = sooner(self.ramp_due, Some(now));
        self.reweigh(slot, Some(now));
        self.effective[slot] = self.weights[slot];
        self.uneven[slot / BLOCK] = true;
    }

    /// Whether weights are to grow now.
    pub(in crate::balance) fn ramp_is_due(&self, now: Instant) -> bool {
        self.ramp_due.is_some_and(|due| now >= due)
    }

    /// Lets the weights of those in slow start grow, each in about as many steps as its weight has units, and tells whose
    /// weights these are.
    pub(in crate::balance) fn ramp(&mut self, now: Instant) -> Vec<u32> {
        let mut step = Duration::MAX;
        let all = self.ramping.clone();
        let mut ramping = std::mem::take(&mut self.ramping);
        ramping.retain(|&number| {
            let slot = number as Slot;
            step = step.min(self.slots[slot].spec.slow_start / FINE.unsigned_abs());
            self.uneven[slot / BLOCK] = true;
            !self.reweigh(slot, Some(now))
        });
        self.ramp_due = if ramping.is_empty() { None } else { now.checked_add(step) };
        self.ramping = ramping;
        all
    }
}
