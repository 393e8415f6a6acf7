//! Upstreams at run time: peers, the balancer that chooses among them, connections and the pool that keeps them.
//!
//! ```text
//!   Generation ── Upstream ── what one configuration says ─┐
//!   Generation ── Upstream ── the next one's words         ├── Fleet: peers, counts, health, queue, sessions
//!   tunnels ───── Pick ────── a place on one peer ─────────┘
//! ```

pub(crate) mod background;
mod connect;
mod connection;
pub(crate) mod discovery;
mod endpoint;
mod fleet;
mod flood;
mod h2;
mod health;
mod pick;
pub(crate) mod pool;
pub(crate) mod ports;
mod queue;
pub(crate) mod rebalance;
mod settings;
mod sticky;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod way;

pub(crate) use connect::{ConnectError, Connected, Unconnected, connect, reuse};
pub(crate) use connection::Connection;
pub(crate) use endpoint::Endpoint;
pub(crate) use fleet::{Member, Peer, PeerStatus, Planned};
pub(crate) use flood::Line;
pub(crate) use pick::{Asker, Pick};
pub(crate) use ports::Scarce;
pub(crate) use queue::{NoServer, Turn, Waiting};
pub(crate) use settings::Keepalive;
pub(crate) use way::{Purpose, Source, Way};

use crate::observe::metrics::{PeerCounts, UpstreamCounts};
use culvert_conf::config;
use culvert_engine::balance::{Health, PeerId, PeerSpec};
use culvert_engine::rebalance::Load;
use fleet::Fleet;
use std::sync::{Arc, PoisonError};
use tls::Secure;
use tokio::time::Instant;

/// An upstream that requests can be sent to, as one configuration has it. Shared by all workers.
pub(crate) struct Upstream {
    /// Tells upstreams apart; it stays over reloads.
    pub(crate) id: u64,
    /// As `proxy_pass` names it.
    pub(crate) name: String,
    /// All that the configuration says.
    pub(crate) config: config::Upstream,
    /// TLS of the health checks, in their order.
    check_tls: Vec<Option<Secure>>,
    /// How idle connections are kept.
    pub(crate) keepalive: Keepalive,
    planned: Vec<Planned>,
    fleet: Arc<Fleet>,
}

impl Upstream {
    /// An upstream that is to have the `planned` peers, and goes on with what lives of the one `before` it.
    pub(crate) fn new(config: config::Upstream, planned: Vec<Planned>, before: Option<&Upstream>) -> Upstream {
        let fleet = before.map_or_else(|| Arc::new(Fleet::new(config.method)), |before| before.fleet.clone());
        Upstream {
            id: fleet.id,
            name: config.name.clone(),
            keepalive: Keepalive::of(&config),
            check_tls: Vec::new(),
            config,
            planned,
            fleet,
        }
    }

    /// The same, with the TLS of its health checks, in their order.
    pub(crate) fn with_check_tls(self, check_tls: Vec<Option<Secure>>) -> Upstream {
        Upstream { check_tls, ..self }
    }

    /// Puts what the configuration says into effect, for all who share what lives.
    pub(crate) fn take_effect(&self) {
        self.fleet.learning.lock().unwrap_or_else(PoisonError::into_inner).obey(self.config.sticky.as_ref());
        self.fleet.obey(&self.config, &self.planned);
    }

    /// How many requests and tunnels are live on all peers.
    #[cfg(test)]
    pub(crate) fn live(&self) -> u32 {
        let state = self.fleet.state();
        state.balancer.peers().map(|peer| state.balancer.live(peer)).sum()
    }

    /// How many tries one request may make at most.
    pub(crate) fn tries(&self) -> u32 {
        self.fleet.state().balancer.tries()
    }

    /// What becomes of a line that says that nobody could take a request.
    pub(crate) fn no_server_line(&self) -> Line {
        self.fleet.flood.line(Instant::now())
    }

    /// How many such lines were left out.
    pub(crate) fn lines_left_out(&self) -> u32 {
        self.fleet.flood.left_out()
    }

    /// What has happened that is no single peer's.
    pub(crate) fn counts(&self) -> &UpstreamCounts {
        &self.fleet.counts
    }

    /// What has happened on a peer; `None` where it is gone.
    pub(crate) fn peer_counts(&self, peer: PeerId) -> Option<Arc<PeerCounts>> {
        self.fleet.state().peer(peer).map(|peer| peer.counts.clone())
    }

    /// How many requests wait for a server.
    pub(crate) fn queued(&self) -> usize {
        self.fleet.state().queue.len()
    }

    /// All peers, and those that serve their last requests.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.fleet.members()
    }

    /// How all peers are.
    pub(crate) fn status(&self) -> Vec<PeerStatus> {
        self.fleet.status()
    }

    /// How many tunnels each peer carries, and whether it takes more.
    pub(crate) fn loads(&self) -> Vec<Load<PeerId>> {
        self.fleet.loads()
    }

    /// A peer of the `server` line of this number joins. One that is there already is told its parameters.
    pub(crate) fn add_peer(&self, server: usize, endpoint: Endpoint, spec: PeerSpec) -> PeerId {
        self.fleet.add(Planned { endpoint, spec, server })
    }

    /// A peer is told other parameters.
    pub(crate) fn respecify(&self, peer: PeerId, spec: PeerSpec) {
        self.fleet.respecify(peer, spec);
    }

    /// A peer gets no more requests, and goes with its last tunnel.
    pub(crate) fn retire(&self, peer: PeerId) {
        self.fleet.retire(peer);
    }

    /// Active checks say how a peer is.
    pub(crate) fn set_health(&self, peer: PeerId, health: Health) {
        self.fleet.set_health(peer, health);
    }
}
