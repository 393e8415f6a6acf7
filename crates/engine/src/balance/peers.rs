//! The peers of one upstream as a structure of arrays: what a choice looks at stands in columns of small numbers, by slot,
//! so that a pass over a thousand peers reads a few kilobytes in order. The rest is in [`Peer`].
//!
//! A peer may be chosen if it belongs to the upstream, is neither `down` nor draining nor unhealthy, does not rest after
//! failures, and has fewer than `max_conns` requests. That is kept as one column per group, `open`, which changes when the
//! reasons change, not when somebody asks. The reasons that time alone changes, the end of a rest and the growth of weights
//! in slow start, have deadlines, which [`Peers::wake`] and [`Peers::ramp`] look at before each choice.
//!
//! Weights are counted in units: one per weight, or [`FINE`] where peers start slowly, so that a weight of 1 can grow in
//! steps. Weights too large for sums of 32 bits are all halved until they fit.

mod weights;

use super::peer::{Peer, Stage};
use super::scan::{BLOCK, CLOSED, OPEN};
use super::table::bytes_of;
use super::{Health, PeerId, PeerSpec};
use std::time::Instant;
use weights::FINE;

/// A position in the columns.
pub(super) type Slot = usize;

/// The sum of all weights in units stays below this, so that the sums of round robin, which stay within a small multiple of
/// it, fit 32 bits.
const TOTAL_MAX: u64 = 1 << 28;

/// Primary peers are used while there are any, backup ones otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Primary = 0,
    Backup = 1,
}

pub(super) struct Peers {
    /// By group: who may be chosen.
    open: [Vec<i32>; 2],
    /// In units, and smaller in slow start.
    weights: Vec<i32>,
    /// What round robin gives per turn: the weight, less after failures.
    effective: Vec<i32>,
    /// By block: whether the effective weight of somebody who is open may not be the weight.
    uneven: Vec<bool>,
    /// By block: how often somebody's openness may have changed.
    stamps: Vec<u32>,
    live: Vec<u32>,
    slots: Vec<Peer>,
    members: usize,
    /// The members that are not `down`.
    tries: u32,
    /// Those that `max_conns` alone keeps from requests.
    full: [usize; 2],
    /// Those that rest, and some that no longer do.
    resting: Vec<u32>,
    /// When to look at them next.
    rest_ends: Option<Instant>,
    /// Those in slow start.
    ramping: Vec<u32>,
    /// When their weights grow next.
    ramp_due: Option<Instant>,
    /// Whether `slow_start` has an effect with the upstream's method.
    ramps: bool,
    unit: i32,
    halvings: u32,
}

impl Peers {
    /// No peers. `ramps` says whether `slow_start` has an effect.
    pub(super) fn new(ramps: bool) -> Peers {
        Peers {
            open: [Vec::new(), Vec::new()],
            weights: Vec::new(),
            effective: Vec::new(),
            uneven: Vec::new(),
            stamps: Vec::new(),
            live: Vec::new(),
            slots: Vec::new(),
            members: 0,
            tries: 0,
            full: [0; 2],
            resting: Vec::new(),
            rest_ends: None,
            ramping: Vec::new(),
            ramp_due: None,
            ramps,
            unit: 1,
            halvings: 0,
        }
    }

    /// Takes in whether `slow_start` has an effect, as far as the next [`Peers::rebuild`] is concerned.
    pub(super) fn set_ramps(&mut self, ramps: bool) {
        self.ramps = ramps;
    }

    // Membership.

    /// Takes a peer in, into the lowest free slot.
    pub(super) fn add(&mut self, spec: PeerSpec) -> Slot {
        let vacant = self.slots.iter().position(|peer| peer.stage == Stage::Vacant);
        let slot = vacant.unwrap_or_else(|| {
            self.slots.push(Peer::vacant());
            self.grow();
            self.slots.len() - 1
        });
        self.slots[slot].occupy(spec);
        // Whole, whatever the weight will be in units.
        self.effective[slot] = i32::MAX;
        self.recount();
        slot
    }

    fn grow(&mut self) {
        let columns = self.slots.len().next_multiple_of(BLOCK);
        if columns > self.weights.len() {
            self.open.iter_mut().for_each(|open| open.resize(columns, CLOSED));
            self.weights.resize(columns, 0);
            self.effective.resize(columns, 0);
            self.live.resize(columns, 0);
            self.uneven.resize(columns / BLOCK, false);
            self.stamps.resize(columns / BLOCK, 0);
        }
    }

    /// Replaces what the configuration says of a peer.
    pub(super) fn respecify(&mut self, slot: Slot, spec: PeerSpec) {
        self.slots[slot].spec = spec;
        self.recount();
    }

    /// Lets a peer leave. It stays in its slot while it has live requests.
    pub(super) fn retire(&mut self, slot: Slot) {
        self.slots[slot].stage = Stage::Retired;
        self.vacate(slot);
        self.refresh(slot);
        self.recount();
    }

    /// Takes a retired peer back.
    pub(super) fn restore(&mut self, slot: Slot, spec: PeerSpec) {
        self.slots[slot].stage = Stage::Member;
        self.respecify(slot, spec);
        self.refresh(slot);
    }

    /// Frees the slot of a retired peer without live requests.
    pub(super) fn vacate(&mut self, slot: Slot) -> bool {
        let leaves = self.slots[slot].stage == Stage::Retired && self.live[slot] == 0;
        if leaves {
            // Who was full is counted no more.
            self.refresh(slot);
            self.slots[slot].leave();
        }
        leaves
    }

    fn recount(&mut self) {
        let members = || self.slots.iter().filter(|peer| peer.stage == Stage::Member);
        self.members = members().count();
        self.tries = u32::try_from(members().filter(|peer| !peer.spec.down).count()).unwrap_or(u32::MAX);
    }

    /// Computes all weights and states anew. Returns whether weights are counted in other units than before.
    pub(super) fn rebuild(&mut self, now: Option<Instant>) -> bool {
        let members = || self.slots.iter().filter(|peer| peer.stage == Stage::Member);
        let fine = self.ramps && members().any(|peer| !peer.spec.slow_start.is_zero());
        let unit = if fine { FINE } else { 1 };
        let total: u64 =
            members().map(|peer| u64::from(peer.spec.weight.max(1)) * u64::from(unit.unsigned_abs())).sum();
        let halvings = (total / TOTAL_MAX).checked_ilog2().map_or(0, |log| log + 1);
        let differs = (unit, halvings) != (self.unit, self.halvings);
        (self.unit, self.halvings) = (unit, halvings);
        for slot in 0..self.slots.len() {
            self.reweigh(slot, now);
            let weight = self.weights[slot];
            self.effective[slot] = if differs { weight } else { self.effective[slot].min(weight) };
            self.refresh(slot);
        }
        self.uneven.fill(true);
        differs
    }

    // Who there is.

    /// All slots, vacant ones too.
    pub(super) fn slots(&self) -> std::ops::Range<Slot> {
        0..self.slots.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let columns = [&self.open[0], &self.open[1], &self.weights, &self.effective];
        let lists = [&self.live, &self.stamps, &self.resting, &self.ramping];
        columns.map(bytes_of).iter().sum::<usize>() + lists.map(bytes_of).iter().sum::<usize>() + bytes_of(&self.slots)
    }

    /// How long the columns are.
    pub(super) fn columns_len(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn peer(&self, slot: Slot) -> &Peer {
        &self.slots[slot]
    }

    /// The slot of a peer that is still there, retired or not.
    pub(super) fn find(&self, id: PeerId) -> Option<Slot> {
        let peer = self.slots.get(id.slot())?;
        (peer.generation == id.generation && peer.stage != Stage::Vacant).then_some(id.slot())
    }

    pub(super) fn id(&self, slot: Slot) -> PeerId {
        let number = u32::try_from(slot).expect("an upstream has fewer than four billion peers");
        PeerId { slot: number, generation: self.slots[slot].generation }
    }

    pub(super) fn is_member(&self, slot: Slot) -> bool {
        self.slots[slot].stage == Stage::Member
    }

    /// Whether the upstream has one peer alone: it is used whatever its failures are, as there is no other.
    pub(super) fn is_single(&self) -> bool {
        self.members == 1
    }

    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    // Openness.

    pub(super) fn open(&self, group: Group) -> &[i32] {
        &self.open[group as usize]
    }

    pub(super) fn is_open(&self, slot: Slot, group: Group) -> bool {
        self.open[group as usize][slot] == OPEN
    }

    /// Keeps a peer out of the choice until it is refreshed.
    pub(super) fn hide(&mut self, slot: Slot) {
        self.open.iter_mut().for_each(|open| open[slot] = CLOSED);
        self.stamp_block_of(slot);
    }

    /// A number that is another one when somebody's openness in the block may have changed.
    pub(super) fn stamp(&self, block: usize) -> u32 {
        self.stamps[block]
    }

    fn stamp_block_of(&mut self, slot: Slot) {
        let stamp = &mut self.stamps[slot / BLOCK];
        *stamp = stamp.wrapping_add(1);
    }

    /// Works out anew whether the peer may be chosen.
    pub(super) fn refresh(&mut self, slot: Slot) {
        let is_single = self.is_single();
        let peer = &mut self.slots[slot];
        let (serves, is_full, group) = (peer.serves(is_single), peer.is_full(self.live[slot]), peer.group());
        let full_in = (serves && is_full).then_some(group);
        let was_full_in = std::mem::replace(&mut peer.full_in, full_in);
        was_full_in.into_iter().for_each(|group| self.full[group as usize] -= 1);
        full_in.into_iter().for_each(|group| self.full[group as usize] += 1);
        let open = if serves && !is_full { OPEN } else { CLOSED };
        if self.open[group as usize][slot] != open {
            self.stamp_block_of(slot);
        }
        for each in [Group::Primary, Group::Backup] {
            self.open[each as usize][slot] = if each == group { open } else { CLOSED };
        }
        self.uneven[slot / BLOCK] |= open == OPEN && self.effective[slot] != self.weights[slot];
    }

    /// Whether a request that is bound to the peer can be served by it.
    pub(super) fn takes_bound(&self, slot: Slot) -> bool {
        let peer = &self.slots[slot];
        peer.serves_bound(self.is_single()) && !peer.is_full(self.live[slot])
    }

    /// How many peers of a group `max_conns` alone keeps from requests.
    pub(super) fn full(&self, group: Group) -> usize {
        self.full[group as usize]
    }

    // Live counts.

    pub(super) fn live(&self, slot: Slot) -> u32 {
        self.live[slot]
    }

    /// Counts a request that goes to the peer.
    pub(super) fn begin(&mut self, slot: Slot, now: Instant) {
        self.live[slot] = self.live[slot].saturating_add(1);
        if self.slots[slot].begin(now) {
            self.note_rest(slot);
        }
        self.refresh(slot);
    }

    /// Counts a request that ended.
    pub(super) fn end(&mut self, slot: Slot) {
        self.live[slot] = self.live[slot].saturating_sub(1);
        self.refresh(slot);
    }

    // Failures and health.

    /// Counts a failure. Returns whether it is the one that takes the peer out.
    pub(super) fn fail(&mut self, slot: Slot, now: Instant) -> bool {
        if self.is_single() {
            return false;
        }
        let failure = self.slots[slot].fail(now);
        let loss = self.in_units(failure.loss);
        self.effective[slot] = self.effective[slot].saturating_sub(loss).max(0);
        self.uneven[slot / BLOCK] = true;
        if self.slots[slot].rests {
            self.note_rest(slot);
        }
        self.refresh(slot);
        failure.is_last_straw
    }

    /// Notes that the peer did well. Returns whether it is back by that; it starts slowly then.
    pub(super) fn recover(&mut self, slot: Slot, now: Instant) -> bool {
        // Nothing was ever counted of most peers: this is on the path of every request.
        let is_back = !self.is_single() && self.slots[slot].fails() > 0 && self.slots[slot].recover();
        if is_back {
            self.start_slowly(slot, now);
            self.refresh(slot);
        }
        is_back
    }

    /// Takes in what active checks say. A peer that was unhealthy starts slowly.
    pub(super) fn set_health(&mut self, slot: Slot, health: Health, now: Instant) {
        let before = std::mem::replace(&mut self.slots[slot].health, health);
        if before == Health::Unhealthy && health == Health::Healthy {
            // A check that passes now knows better than failures of a while ago.
            self.slots[slot].forget_failures();
            self.start_slowly(slot, now);
        }
        self.refresh(slot);
    }

    fn note_rest(&mut self, slot: Slot) {
        let peer = &mut self.slots[slot];
        if !std::mem::replace(&mut peer.is_listed, true) {
            self.resting.push(u32::try_from(slot).expect("slots are numbered by 32 bits"));
        }
        self.rest_ends = sooner(self.rest_ends, peer.rests_until());
    }

    /// Opens those that have rested enough: a request may put them to the test.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.rest_ends.is_none_or(|end| now <= end) {
            return;
        }
        let (mut resting, mut ends) = (std::mem::take(&mut self.resting), None);
        resting.retain(|&number| {
            let slot = number as Slot;
            let peer = &mut self.slots[slot];
            peer.rests &= !peer.is_due(now);
            peer.is_listed = peer.rests;
            if peer.rests {
                ends = sooner(ends, peer.rests_until());
            } else {
                self.refresh(slot);
            }
            self.slots[slot].rests
        });
        (self.resting, self.rest_ends) = (resting, ends);
    }

    /// When the first of those that rest has rested enough.
    pub(super) fn rest_ends(&self) -> Option<Instant> {
        let resting = self.resting.iter().map(|number| &self.slots[*number as Slot]).filter(|peer| peer.rests);
        resting.filter_map(Peer::rests_until).min()
    }
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
