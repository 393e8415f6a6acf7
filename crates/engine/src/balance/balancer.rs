//! The balancer of one upstream: what its users see.

use super::peers::{Group, Peers, Slot};
use super::round_robin::RoundRobin;
use super::table::{Choose, Table};
use super::times::Times;
use super::{Ending, Health, Method, Metric, NoPeer, PeerId, PeerSpec, Request, State, Ticket};
use std::time::{Duration, Instant};

/// All that is known of an upstream's peers, and the method that chooses among them.
pub struct Balancer {
    method: Method,
    table: Table,
    chooser: Box<dyn Choose>,
    /// Peers came or went since the columns and the method's own tables were computed.
    is_stale: bool,
}

/// What followed from the end of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct After {
    /// It was the failure that takes the peer out for `fail_timeout`: nginx logs `upstream server temporarily disabled`.
    pub disabled: bool,
    /// The peer had `max_conns` requests and has room for one now: a request may be waiting for that.
    pub has_room: bool,
    /// The peer was retired and this was its last request: its slot is free.
    pub is_gone: bool,
}

/// How a peer is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// Whether it was retired and serves its last requests.
    pub is_retired: bool,
    /// Its live requests and tunnels.
    pub live: u32,
    /// The failures that nothing good came after.
    pub fails: u32,
    /// The part of its weight that it has regained in slow start; 1 otherwise.
    pub ramped: f32,
    /// The moving average of the time to the response head, if it was measured.
    pub header_time: Option<Duration>,
    /// The moving average of the time to the last byte, if it was measured.
    pub response_time: Option<Duration>,
}

impl Balancer {
    /// The balancer of an upstream with these peers, each in the slot of its position.
    pub fn new(method: Method, specs: impl IntoIterator<Item = PeerSpec>) -> Balancer {
        let table = Table { peers: Peers::new(method.ramps()), round: RoundRobin::default(), times: Times::default() };
        let mut balancer = Balancer { method, table, chooser: method.build(), is_stale: false };
        for spec in specs {
            balancer.add(spec);
        }
        balancer.rebuild(None);
        balancer
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Takes another method from the next pick on. Counts, failures and times stay.
    pub fn set_method(&mut self, method: Method) {
        if self.method != method {
            self.method = method;
            self.table.peers.set_ramps(method.ramps());
            self.chooser = method.build();
            self.is_stale = true;
        }
    }

    /// Adds a peer. It takes requests from the next pick on; see [`Balancer::start_slowly`].
    pub fn add(&mut self, spec: PeerSpec) -> PeerId {
        let slot = self.table.peers.add(spec);
        self.table.times.resize(self.table.peers.columns_len());
        self.table.times.forget(slot);
        self.table.round.admit(slot);
        self.is_stale = true;
        self.table.peers.id(slot)
    }

    /// Replaces what the configuration says of a peer. Its counts and its history stay.
    pub fn respecify(&mut self, peer: PeerId, spec: PeerSpec) {
        if let Some(slot) = self.table.peers.find(peer) {
            self.table.peers.respecify(slot, spec);
            self.is_stale = true;
        }
    }

    /// Lets a peer leave. It gets no more requests; its slot is freed when the last one ends.
    pub fn retire(&mut self, peer: PeerId) {
        if let Some(slot) = self.table.peers.find(peer) {
            self.table.peers.retire(slot);
            self.is_stale = true;
        }
    }

    /// Takes back a peer that was leaving and still has live requests: they count on.
    pub fn restore(&mut self, peer: PeerId, spec: PeerSpec) {
        if let Some(slot) = self.table.peers.find(peer) {
            self.table.peers.restore(slot, spec);
            self.is_stale = true;
        }
    }

    /// Takes in what changed by time alone, as a pick would: to be called before peers are looked at.
    pub fn pass(&mut self, now: Instant) {
        self.prepare(now);
    }

    /// Takes in what active health checks say of a peer. One that is no longer unhealthy starts slowly.
    pub fn set_health(&mut self, peer: PeerId, health: Health, now: Instant) {
        if let Some(slot) = self.table.peers.find(peer) {
            self.table.peers.set_health(slot, health, now);
            self.chooser.note(&self.table, slot);
        }
    }

    /// Lets a peer's weight grow over its `slow_start` from now on: for one that joins an upstream that is at work.
    pub fn start_slowly(&mut self, peer: PeerId, now: Instant) {
        if let Some(slot) = self.table.peers.find(peer) {
            self.prepare(now);
            self.table.peers.start_slowly(slot, now);
            self.chooser.note(&self.table, slot);
        }
    }

    /// Chooses a peer that was not tried, and counts the request as live there until [`Balancer::done`].
    pub fn pick(&mut self, request: &Request<'_>, now: Instant) -> Result<Ticket, NoPeer> {
        self.prepare(now);
        let slot = self.bound(request).or_else(|| self.choose(request, now));
        let slot = slot.ok_or_else(|| self.why_none(request))?;
        self.table.peers.begin(slot, now);
        let waits = self.method.metric().is_some();
        if waits {
            self.table.times.begin(slot, now);
        }
        self.chooser.note(&self.table, slot);
        Ok(Ticket { peer: self.table.peers.id(slot), picked: now, waits, over: false })
    }

    /// Tells that the peer gave an answer that is passed on: a response head, or the 101 of a handshake. The peer is put to
    /// the test no longer. Returns whether it was, and so is back.
    pub fn answered(&mut self, ticket: &mut Ticket, now: Instant) -> bool {
        let Some(slot) = self.slot_of(ticket) else { return false };
        self.table.times.pass(now);
        self.observe(slot, ticket, Metric::Header, now);
        let is_back = self.table.peers.recover(slot, now);
        self.chooser.note(&self.table, slot);
        is_back
    }

    /// Tells that the answer is complete: its last byte came, or it opened a tunnel.
    pub fn completed(&mut self, ticket: &mut Ticket, now: Instant) {
        let Some(slot) = self.slot_of(ticket) else { return };
        self.table.times.pass(now);
        self.observe(slot, ticket, Metric::LastByte, now);
        self.chooser.note(&self.table, slot);
    }

    /// Tells how it ended. Called a second time for one ticket, it does nothing.
    pub fn done(&mut self, ticket: &mut Ticket, now: Instant, ending: Ending) -> After {
        let Some(slot) = self.slot_of(ticket) else { return After::default() };
        ticket.over = true;
        self.end_wait(slot, ticket);
        let was_full = self.table.peers.peer(slot).full_in.is_some();
        self.table.peers.end(slot);
        let disabled = match ending {
            Ending::Failed | Ending::EarlyClose => self.table.peers.fail(slot, now),
            Ending::Good => {
                self.table.peers.recover(slot, now);
                false
            }
            Ending::Abandoned => false,
        };
        let is_gone = self.table.peers.vacate(slot);
        self.is_stale |= is_gone;
        self.chooser.note(&self.table, slot);
        After { disabled, has_room: was_full && self.table.peers.takes_bound(slot), is_gone }
    }

    /// How many tries one request may make at most: nginx's count of the peers that are not `down`, and just one where the
    /// upstream has a single peer.
    pub fn tries(&self) -> u32 {
        self.table.peers.tries()
    }

    /// When, by time alone, a peer may be up again that rests after failures. What waits for a peer may look again then.
    pub fn next_change(&self) -> Option<Instant> {
        self.table.peers.rest_ends()
    }

    /// All peers, in the order of their slots; retired ones too while they have live requests.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        let peers = &self.table.peers;
        peers.slots().map(|slot| peers.id(slot)).filter(|id| peers.find(*id).is_some())
    }

    /// What was said of a peer when it was added.
    pub fn spec(&self, peer: PeerId) -> Option<&PeerSpec> {
        self.table.peers.find(peer).map(|slot| &self.table.peers.peer(slot).spec)
    }

    /// How many requests are live on a peer.
    pub fn live(&self, peer: PeerId) -> u32 {
        self.table.peers.find(peer).map_or(0, |slot| self.table.peers.live(slot))
    }

    /// How a peer is; `None` if it is gone.
    pub fn status(&self, peer: PeerId) -> Option<Status> {
        let (peers, times) = (&self.table.peers, &self.table.times);
        let slot = peers.find(peer)?;
        let (about, whole) = (peers.peer(slot), peers.whole_weight(slot) as f32 * peers.unit() as f32);
        Some(Status {
            state: about.state(),
            is_retired: !peers.is_member(slot),
            live: peers.live(slot),
            fails: about.fails(),
            ramped: if about.ramps_since.is_some() { peers.weight(slot) as f32 / whole } else { 1.0 },
            header_time: times.average(slot, Metric::Header),
            response_time: times.average(slot, Metric::LastByte),
        })
    }

    /// Whether a request that is bound to this peer would be served by it now.
    pub fn takes_bound(&self, peer: PeerId) -> bool {
        self.table.peers.find(peer).is_some_and(|slot| self.table.peers.takes_bound(slot))
    }

    /// How many bytes all tables take, but for the texts in the peers' specs.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.chooser.bytes()
    }

    /// Computes now what the next pick would have to after peers came or went: microseconds, but milliseconds where a
    /// thousand servers stand on a ring and another one comes.
    pub fn settle(&mut self, now: Instant) {
        if self.is_stale {
            self.rebuild(Some(now));
        }
    }

    fn rebuild(&mut self, now: Option<Instant>) {
        self.is_stale = false;
        if self.table.peers.rebuild(now) {
            self.table.round.restart();
        }
        self.table.round.rebuild(&self.table.peers);
        self.chooser.rebuild(&self.table);
    }

    /// Takes in what changed by time alone.
    fn prepare(&mut self, now: Instant) {
        self.table.times.pass(now);
        self.settle(now);
        self.table.peers.wake(now);
        if self.table.peers.ramp_is_due(now) {
            for slot in self.table.peers.ramp(now) {
                self.chooser.note(&self.table, slot as Slot);
            }
        }
    }

    fn bound(&self, request: &Request<'_>) -> Option<Slot> {
        let bound = request.bound.filter(|bound| !request.tried.contains(*bound))?;
        self.table.peers.find(bound).filter(|slot| self.table.peers.takes_bound(*slot))
    }

    /// Chooses among the primary peers, then among the backup ones. A request that has come to those stays with them.
    fn choose(&mut self, request: &Request<'_>, now: Instant) -> Option<Slot> {
        let mut went_to_backup = false;
        for slot in tried_slots(&self.table.peers, request) {
            went_to_backup |= self.table.peers.peer(slot).group() == Group::Backup;
            self.table.peers.hide(slot);
        }
        let primary = if went_to_backup { None } else { self.choose_of(Group::Primary, request, now) };
        let chosen = primary.or_else(|| self.choose_of(Group::Backup, request, now));
        for slot in tried_slots(&self.table.peers, request) {
            self.table.peers.refresh(slot);
        }
        chosen
    }

    fn choose_of(&mut self, group: Group, request: &Request<'_>, now: Instant) -> Option<Slot> {
        // Where there is no choice, or nobody to choose by the method, it is as in round robin.
        let is_plain = self.table.peers.is_single() || (group == Group::Backup && !self.method.allows_backup());
        if is_plain { self.table.in_turn(group) } else { self.chooser.choose(&mut self.table, group, request, now) }
    }

    /// Tells why [`Balancer::choose`] found nobody.
    fn why_none(&self, request: &Request<'_>) -> NoPeer {
        let peers = &self.table.peers;
        let went_to_backup = tried_slots(peers, request).any(|slot| peers.peer(slot).group() == Group::Backup);
        let groups = if went_to_backup { &[Group::Backup][..] } else { &[Group::Primary, Group::Backup] };
        let is_full = |group: &Group| {
            let tried = tried_slots(peers, request).filter(|slot| peers.peer(*slot).full_in == Some(*group)).count();
            peers.full(*group) > tried
        };
        if groups.iter().any(is_full) { NoPeer::Full } else { NoPeer::Down }
    }

    /// The slot of a ticket that is not over.
    fn slot_of(&self, ticket: &Ticket) -> Option<Slot> {
        self.table.peers.find(ticket.peer).filter(|_| !ticket.over)
    }

    fn observe(&mut self, slot: Slot, ticket: &mut Ticket, metric: Metric, now: Instant) {
        let took = now.saturating_duration_since(ticket.picked);
        self.table.times.observe(slot, metric, took, now);
        if self.method.metric() == Some(metric) {
            self.end_wait(slot, ticket);
        }
    }

    fn end_wait(&mut self, slot: Slot, ticket: &mut Ticket) {
        if std::mem::take(&mut ticket.waits) {
            self.table.times.end(slot, ticket.picked);
        }
    }
}

/// The slots of the peers that were tried and are still there.
fn tried_slots<'a>(peers: &Peers, request: &Request<'a>) -> impl Iterator<Item = Slot> + use<'a> {
    let found: Vec<Slot> = request.tried.iter().filter_map(|id| peers.find(id)).collect();
    found.into_iter()
}
