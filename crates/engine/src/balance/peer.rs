//! One peer apart from its numbers in the columns: what it is, and what its failures are.

use super::peers::Group;
use super::{Health, PeerSpec, State};
use std::time::Instant;

/// Whether a slot's peer is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody is in the slot.
    Vacant,
    /// It belongs to the upstream.
    Member,
    /// It left, and serves what it has to the end.
    Retired,
}

/// A slot of the table.
pub(super) struct Peer {
    pub(super) spec: PeerSpec,
    /// Which of the peers that lived in the slot this is.
    pub(super) generation: u32,
    pub(super) stage: Stage,
    pub(super) health: Health,
    /// Failures that nothing good came after.
    fails: u32,
    /// When the last failure was.
    failed_at: Option<Instant>,
    /// When the last failure was, or the last choice that put the peer to the test again.
    checked_at: Option<Instant>,
    /// It has failed too often, and `fail_timeout` is not over since the last failure or test.
    pub(super) rests: bool,
    /// It stands in the list of those that rest.
    pub(super) is_listed: bool,
    /// It is kept from requests by its `max_conns` alone, and counted for this group.
    pub(super) full_in: Option<Group>,
    /// Since when its weight grows.
    pub(super) ramps_since: Option<Instant>,
}

/// What a failure did to a peer.
pub(super) struct Failure {
    /// What the effective weight loses.
    pub(super) loss: u32,
    /// The peer now rests, and did not before.
    pub(super) is_last_straw: bool,
}

impl Peer {
    pub(super) fn vacant() -> Peer {
        Peer {
            spec: PeerSpec::default(),
            generation: 0,
            stage: Stage::Vacant,
            health: Health::Healthy,
            fails: 0,
            failed_at: None,
            checked_at: None,
            rests: false,
            is_listed: false,
            full_in: None,
            ramps_since: None,
        }
    }

    /// Takes a new peer into the vacant slot.
    pub(super) fn occupy(&mut self, spec: PeerSpec) {
        let generation = self.generation;
        *self = Peer { spec, generation, stage: Stage::Member, is_listed: self.is_listed, ..Peer::vacant() };
    }

    /// Vacates the slot. Identities that were given for it are void.
    pub(super) fn leave(&mut self) {
        let generation = self.generation.wrapping_add(1);
        *self = Peer { generation, is_listed: self.is_listed, ..Peer::vacant() };
    }

    pub(super) fn group(&self) -> Group {
        if self.spec.backup { Group::Backup } else { Group::Primary }
    }

    pub(super) fn is_full(&self, live: u32) -> bool {
        self.spec.max_conns > 0 && live >= self.spec.max_conns
    }

    /// Whether requests that are bound to the peer may go there. A peer without others is used whatever its failures are.
    pub(super) fn serves_bound(&self, is_single: bool) -> bool {
        let is_well = self.health == Health::Healthy && (is_single || !self.rests);
        self.stage == Stage::Member && !self.spec.down && is_well
    }

    /// Whether any request may go there.
    pub(super) fn serves(&self, is_single: bool) -> bool {
        !self.spec.drain && self.serves_bound(is_single)
    }

    pub(super) fn state(&self) -> State {
        match self.health {
            _ if self.spec.down => State::Down,
            Health::Unhealthy => State::Unhealthy,
            Health::Checking => State::Checking,
            Health::Healthy if self.spec.drain || self.stage == Stage::Retired => State::Draining,
            Health::Healthy if self.is_failing() => State::Unavail,
            Health::Healthy => State::Up,
        }
    }

    /// Failures that nothing good came after.
    pub(super) fn fails(&self) -> u32 {
        self.fails
    }

    /// Whether it has failed as often as it may.
    /// Lets bygones be bygones.
    pub(super) fn forget_failures(&mut self) {
        (self.fails, self.rests) = (0, false);
    }

    fn is_failing(&self) -> bool {
        self.spec.max_fails > 0 && self.fails >= self.spec.max_fails
    }

    /// Whether `fail_timeout` is over, so that the next request puts the peer to the test.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.checked_at.is_none_or(|checked| now.saturating_duration_since(checked) > self.spec.fail_timeout)
    }

    /// The last moment of its rest; `None` if that is too far away to be told.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.checked_at.and_then(|checked| checked.checked_add(self.spec.fail_timeout))
    }

    /// Notes that it was chosen. Returns whether it rests from now on: this request alone puts it to the test.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        if self.is_due(now) {
            self.checked_at = Some(now);
        }
        self.rests = self.is_failing();
        self.rests
    }

    pub(super) fn fail(&mut self, now: Instant) -> Failure {
        self.fails = self.fails.saturating_add(1);
        self.failed_at = Some(now);
        self.checked_at = Some(now);
        self.rests = self.is_failing();
        // Without `max_fails` failures cost nothing.
        let loss = self.spec.weight.checked_div(self.spec.max_fails).unwrap_or(0);
        Failure { loss, is_last_straw: self.rests && self.fails == self.spec.max_fails }
    }

    /// Forgets the failures if the peer was put to the test after the last of them. Returns whether it is back by that.
    pub(super) fn recover(&mut self) -> bool {
        let was_failing = self.is_failing();
        if self.failed_at < self.checked_at {
            self.fails = 0;
            self.rests = false;
        }
        was_failing && !self.is_failing()
    }
}
