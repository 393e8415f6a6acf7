//! What lives of an upstream: its peers, their counts and health, who waits for them, and which sessions are whose.
//!
//! A fleet outlives configurations. Each [`Upstream`](super::Upstream) is what one configuration says of it, and all of the
//! same name share one fleet: a reload compares what it plans with who is there. A peer is the same one if its address and the
//! name in its `server` line are; it keeps its live count, failures, health and sessions, and is told its new parameters.
//! Others are added, or retired: those get no more requests and go with their last tunnel. Peers that were found by
//! `resolve` stay for as long as their line does. Another balancing method takes over the counts of the one before.
//!
//! All workers share the fleet. Its counts are exact, not summed from parts: a pick and its end take the lock for less than a
//! microsecond each, once per request or tunnel and never per message.

use super::flood::Flood;
use super::sticky::Learning;
use super::{Endpoint, ports};
use crate::observe::metrics::{PeerCounts, UpstreamCounts};
use culvert_conf::config;
use culvert_engine::balance::{Balancer, Health, Method, PeerId, PeerSpec, Status};
use culvert_engine::queue::Queue;
use culvert_engine::rebalance::Load;
use culvert_engine::sticky::{Routes, server_id};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A peer as its picks and the log know it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Which peer of its upstream.
    pub(crate) id: PeerId,
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    /// The server as its `server` line has it.
    pub(crate) name: Arc<str>,
    /// The id by which `sticky` knows it.
    pub(super) server_id: Arc<str>,
    /// Its `server` line: an index into the configuration's list.
    pub(super) server: usize,
    /// Its live tunnels.
    pub(crate) tunnels: Arc<AtomicU64>,
    /// The source ports towards it; `None` for what is not TCP.
    pub(super) ports: Option<Arc<ports::Ports>>,
    /// What has happened on it.
    pub(crate) counts: Arc<PeerCounts>,
}

/// A peer as the background work sees it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Which peer.
    pub(crate) id: PeerId,
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    /// Its `server` line: an index into the configuration's list.
    pub(crate) server: usize,
    /// Whether it has left and serves its last requests.
    pub(crate) is_retired: bool,
}

/// A peer and how it is.
#[derive(Debug, Clone)]
pub(crate) struct PeerStatus {
    /// The peer.
    pub(crate) peer: Arc<Peer>,
    /// How it is.
    pub(crate) status: Status,
}

/// A peer that a configuration has.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    /// What its line says.
    pub(crate) spec: PeerSpec,
    /// Its `server` line: an index into the configuration's list.
    pub(crate) server: usize,
}

/// See the module's page.
pub(super) struct Fleet {
    /// Tells fleets apart in the pools of the workers.
    pub(super) id: u64,
    state: Mutex<State>,
    /// `sticky learn`.
    pub(super) learning: Mutex<Learning>,
    /// Lines about requests that nobody could take.
    pub(super) flood: Flood,
    /// What has happened that is no single peer's.
    pub(super) counts: UpstreamCounts,
    /// Whether a server has addresses of both families.
    is_dual: AtomicBool,
}

/// What is guarded by the lock.
pub(super) struct State {
    pub(super) balancer: Balancer,
    /// By slot.
    peers: Vec<Option<Arc<Peer>>>,
    pub(super) routes: Routes<PeerId>,
    pub(super) queue: Queue<Arc<Notify>>,
}

impl Fleet {
    /// A fleet without peers.
    pub(super) fn new(method: Method) -> Fleet {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Fleet {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(State {
                balancer: Balancer::new(method, []),
                peers: Vec::new(),
                routes: Routes::default(),
                queue: Queue::new(0, Duration::ZERO),
            }),
            learning: Mutex::default(),
            flood: Flood::default(),
            counts: UpstreamCounts::default(),
            is_dual: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another thread while it held the lock leaves numbers that are still numbers.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a server has addresses of both families, so that connects may race.
    pub(super) fn is_dual(&self) -> bool {
        self.is_dual.load(Ordering::Relaxed)
    }

    /// Takes over what a configuration says.
    pub(super) fn obey(&self, config: &config::Upstream, planned: &[Planned]) {
        let now = Instant::now().into_std();
        let mut state = self.state();
        state.balancer.set_method(config.method);
        let (length, wait) = config.queue.map_or((0, Duration::ZERO), |queue| (queue.length_max, queue.timeout));
        state.queue.configure(length, wait);
        let mut leaving = state.members();
        let is_at_work = leaving.iter().any(|peer| state.balancer.live(peer.id) > 0);
        for peer in planned {
            let is_it = |other: &&Arc<Peer>| other.endpoint == peer.endpoint && other.name == peer.spec.name;
            match leaving.iter().position(|other| is_it(&other)) {
                Some(at) => {
                    let known = leaving.remove(at);
                    state.respecify(&known, peer.server, peer.spec.clone());
                }
                None => {
                    let id = state.add_or_restore(peer.clone());
                    if is_at_work {
                        state.balancer.start_slowly(id, now);
                    }
                }
            }
        }
        for peer in leaving {
            let resolving = |server: &config::UpstreamServer| server.resolve && server.spec.name == peer.name;
            match config.servers.iter().position(resolving) {
                Some(server) => {
                    let spec = state.found_spec(&peer, &config.servers[server]);
                    state.respecify(&peer, server, spec);
                }
                None => state.retire(peer.id),
            }
        }
        state.balancer.settle(now);
        state.wake_all();
        self.note_families(&state);
    }

    fn note_families(&self, state: &State) {
        let has_rival = |peer: &Arc<Peer>| state.rivals_of(peer).next().is_some();
        self.is_dual.store(state.members().iter().any(has_rival), Ordering::Relaxed);
    }

    /// A peer joins, or is known already and is told its parameters.
    pub(super) fn add(&self, peer: Planned) -> PeerId {
        let now = Instant::now().into_std();
        let mut state = self.state();
        let is_it = |other: &Arc<Peer>| other.endpoint == peer.endpoint && other.name == peer.spec.name;
        if let Some(known) = state.members().into_iter().find(is_it) {
            state.respecify(&known, peer.server, peer.spec);
            state.balancer.settle(now);
            return known.id;
        }
        let is_at_work = state.members().iter().any(|peer| state.balancer.live(peer.id) > 0);
        let id = state.add_or_restore(peer);
        if is_at_work {
            state.balancer.start_slowly(id, now);
        }
        state.balancer.settle(now);
        state.wake_all();
        self.note_families(&state);
        id
    }

    /// A peer is told other parameters.
    pub(super) fn respecify(&self, id: PeerId, spec: PeerSpec) {
        let mut state = self.state();
        if let Some(peer) = state.peer(id) {
            state.respecify(&peer, peer.server, spec);
            state.balancer.settle(Instant::now().into_std());
            state.wake_all();
        }
    }

    /// A peer leaves.
    pub(super) fn retire(&self, id: PeerId) {
        let mut state = self.state();
        state.retire(id);
        state.balancer.settle(Instant::now().into_std());
        state.wake_all();
        self.note_families(&state);
    }

    /// Active checks say how a peer is.
    pub(super) fn set_health(&self, id: PeerId, health: Health) {
        let mut state = self.state();
        if state.peer(id).is_some() {
            state.balancer.set_health(id, health, Instant::now().into_std());
            state.wake_all();
        }
    }

    /// All peers, and those that serve their last requests.
    pub(super) fn members(&self) -> Vec<Member> {
        let state = self.state();
        let of = |id: PeerId| {
            let (peer, status) = (state.peer(id)?, state.balancer.status(id)?);
            Some(Member { id, endpoint: peer.endpoint.clone(), server: peer.server, is_retired: status.is_retired })
        };
        state.balancer.peers().filter_map(of).collect()
    }

    /// How all peers are.
    pub(super) fn status(&self) -> Vec<PeerStatus> {
        let mut state = self.state();
        state.balancer.pass(Instant::now().into_std());
        let of = |id| Some(PeerStatus { peer: state.peer(id)?, status: state.balancer.status(id)? });
        state.balancer.peers().filter_map(of).collect()
    }

    /// How many tunnels each peer carries.
    pub(super) fn loads(&self) -> Vec<Load<PeerId>> {
        let mut state = self.state();
        state.balancer.pass(Instant::now().into_std());
        let of = |id: PeerId| {
            let (peer, spec) = (state.peer(id)?, state.balancer.spec(id)?);
            let accepting = state.balancer.takes_bound(id) && !spec.drain && !spec.backup;
            let live = peer.tunnels.load(Ordering::Relaxed);
            Some(Load { peer: id, live, leaving: 0, weight: spec.weight, accepting })
        };
        state.balancer.peers().filter_map(of).collect()
    }
}

impl State {
    /// The peer of an id, which may have retired.
    pub(super) fn peer(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.peers.get(id.slot())?.as_ref().filter(|peer| peer.id == id).cloned()
    }

    /// Those that have not retired.
    fn members(&self) -> Vec<Arc<Peer>> {
        let stays = |id: &PeerId| self.balancer.status(*id).is_some_and(|status| !status.is_retired);
        self.balancer.peers().filter(stays).filter_map(|id| self.peer(id)).collect()
    }

    /// The other addresses of the peer's server that are of the other family.
    pub(super) fn rivals_of(&self, peer: &Peer) -> impl Iterator<Item = PeerId> {
        let family = peer.endpoint.family();
        let is_rival = move |other: &&Arc<Peer>| {
            other.name == peer.name && family.is_some() && other.endpoint.family().is_some_and(|f| Some(f) != family)
        };
        self.peers.iter().flatten().filter(is_rival).map(|peer| peer.id)
    }

    /// A peer joins, or comes back while requests of its former days are still live on it.
    fn add_or_restore(&mut self, planned: Planned) -> PeerId {
        let is_it = |other: &Arc<Peer>| other.endpoint == planned.endpoint && other.name == planned.spec.name;
        let Some(known) = self.balancer.peers().filter_map(|id| self.peer(id)).find(is_it) else {
            return self.add(planned);
        };
        let server_id = server_id(&known.endpoint.to_string(), planned.spec.route.as_deref()).into();
        self.balancer.restore(known.id, planned.spec);
        self.place(Peer {
            id: known.id,
            endpoint: planned.endpoint,
            name: known.name.clone(),
            server_id,
            server: planned.server,
            tunnels: known.tunnels.clone(),
            ports: known.ports.clone(),
            counts: known.counts.clone(),
        });
        known.id
    }

    fn add(&mut self, planned: Planned) -> PeerId {
        let Planned { endpoint, spec, server } = planned;
        let (name, route) = (spec.name.clone(), spec.route.clone());
        let id = self.balancer.add(spec);
        let ports = match &endpoint {
            Endpoint::Inet(address) => Some(ports::to(*address)),
            _ => None,
        };
        let server_id = server_id(&endpoint.to_string(), route.as_deref()).into();
        let (tunnels, counts) = (Arc::default(), Arc::default());
        self.place(Peer { id, endpoint, name, server_id, server, tunnels, ports, counts });
        id
    }

    fn place(&mut self, peer: Peer) {
        let slot = peer.id.slot();
        if self.peers.len() <= slot {
            self.peers.resize(slot + 1, None);
        }
        self.routes.insert(&peer.server_id, peer.id);
        self.peers[slot] = Some(Arc::new(peer));
    }

    fn respecify(&mut self, peer: &Arc<Peer>, server: usize, spec: PeerSpec) {
        let server_id: Arc<str> = server_id(&peer.endpoint.to_string(), spec.route.as_deref()).into();
        if server != peer.server || server_id != peer.server_id {
            self.routes.remove(&peer.server_id, peer.id);
            self.place(Peer {
                id: peer.id,
                endpoint: peer.endpoint.clone(),
                name: peer.name.clone(),
                server_id,
                server,
                tunnels: peer.tunnels.clone(),
                ports: peer.ports.clone(),
                counts: peer.counts.clone(),
            });
        }
        if self.balancer.spec(peer.id).is_some_and(|before| *before != spec) {
            self.balancer.respecify(peer.id, spec);
        }
    }

    /// What a line says of a peer that was found by its name; weight and rank are those of an SRV record where that is asked.
    fn found_spec(&self, peer: &Peer, server: &config::UpstreamServer) -> PeerSpec {
        let said = server.spec.clone();
        match self.balancer.spec(peer.id).filter(|_| server.service.is_some()) {
            Some(found) => PeerSpec { weight: found.weight, backup: found.backup, ..said },
            None => said,
        }
    }

    fn retire(&mut self, id: PeerId) {
        let Some(peer) = self.peer(id) else { return };
        self.routes.remove(&peer.server_id, id);
        self.balancer.retire(id);
        self.forget_if_gone(id);
    }

    /// Forgets a retired peer whose last request has ended.
    pub(super) fn forget_if_gone(&mut self, id: PeerId) {
        if self.peer(id).is_some() && self.balancer.status(id).is_none() {
            self.peers[id.slot()] = None;
        }
    }

    /// Wakes the next in the queue: a server may have room.
    pub(super) fn wake_one(&mut self) {
        if let Some((_, waiter)) = self.queue.slot_freed() {
            waiter.notify_one();
        }
    }

    /// Wakes all who wait: servers came, went, or changed.
    pub(super) fn wake_all(&mut self) {
        while let Some((_, waiter)) = self.queue.slot_freed() {
            waiter.notify_one();
        }
    }
}
