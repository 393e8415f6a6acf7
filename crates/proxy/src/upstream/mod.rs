//! Upstreams at run time: resolved peers, the balancer that chooses among them, connections and the pool that keeps them.

mod connect;
mod connection;
pub(crate) mod pool;

pub(crate) use connect::{ConnectError, connect};
pub(crate) use connection::Connection;

use culvert_conf::config;
use culvert_engine::balance::{self, Balancer, Ending, NoPeer, PeerId, PeerSpec, Request, Ticket, Tried};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// A resolved address of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// TCP.
    Inet(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
    /// A backend of a test, by its name.
    #[cfg(test)]
    Memory(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Inet(addr) => addr.fmt(f),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(test)]
            Endpoint::Memory(name) => f.write_str(name),
        }
    }
}

/// An upstream that requests can be sent to. Shared by all workers and, where nothing about it changed, by generations.
pub(crate) struct Upstream {
    /// Tells upstreams apart in the pools of the workers.
    pub(crate) id: u64,
    /// As `proxy_pass` names it.
    pub(crate) name: String,
    /// In the order of the configuration, each address of a name one peer.
    pub(crate) peers: Vec<Endpoint>,
    /// How idle connections are kept.
    pub(crate) keepalive: Keepalive,
    specs: Vec<PeerSpec>,
    method: balance::Method,
    /// Held for the few nanoseconds of a pick or its end, once per request or tunnel, never per message.
    balancer: Mutex<Balancer>,
}

/// `keepalive` and its relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// How many idle connections one worker keeps.
    pub(crate) connections: usize,
    /// How many requests one connection may carry.
    pub(crate) requests: u64,
    /// How long one connection may live.
    pub(crate) time: Duration,
    /// How long one connection may idle.
    pub(crate) timeout: Duration,
}

impl Upstream {
    /// An upstream over `peers`: each an address and the `server` line that it came from.
    pub(crate) fn new(config: &config::Upstream, peers: Vec<(Endpoint, PeerSpec)>) -> Upstream {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let (peers, specs): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
        Upstream {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: config.name.clone(),
            peers,
            keepalive: Keepalive {
                connections: config.keepalive,
                requests: config.keepalive_requests,
                time: config.keepalive_time,
                timeout: config.keepalive_timeout,
            },
            balancer: Mutex::new(Balancer::new(config.method, specs.iter().cloned())),
            method: config.method,
            specs,
        }
    }

    /// Whether `other` would behave the same, so that a reload can keep this one with all that it knows of its peers.
    pub(crate) fn is_same_as(&self, other: &Upstream) -> bool {
        self.name == other.name
            && self.method == other.method
            && self.peers == other.peers
            && self.keepalive == other.keepalive
            && self.specs == other.specs
    }

    /// Chooses a peer that is not in `tried`.
    pub(crate) fn pick(self: &Arc<Self>, tried: &Tried) -> Result<Pick, NoPeer> {
        let picked = Instant::now();
        let ticket = self.balancer().pick(&Request::new(tried), picked.into_std())?;
        Ok(Pick { upstream: self.clone(), peer: ticket.peer(), ticket, picked, ending: Ending::Abandoned })
    }

    /// How many requests and tunnels are live on all peers.
    #[cfg(test)]
    pub(crate) fn live(&self) -> u32 {
        let balancer = self.balancer();
        balancer.peers().map(|peer| balancer.live(peer)).sum()
    }

    /// How many tries one request may make at most.
    pub(crate) fn tries(&self) -> u32 {
        self.balancer().tries()
    }

    fn balancer(&self) -> MutexGuard<'_, Balancer> {
        // A panic of another thread while it held the lock leaves numbers that are still numbers.
        self.balancer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A guard on one peer: it counts as busy until this is dropped, and the balancer learns how it ended.
pub(crate) struct Pick {
    upstream: Arc<Upstream>,
    /// Which peer.
    pub(crate) peer: PeerId,
    /// When it was picked.
    pub(crate) picked: Instant,
    ticket: Ticket,
    ending: Ending,
}

impl Pick {
    /// The peer's address.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.upstream.peers[self.peer.slot()]
    }

    /// Notes how it went so far; the last word counts when the guard is dropped.
    pub(crate) fn ends(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        // Only a failure's time matters to the balancer.
        let now = if self.ending == Ending::Failed { Instant::now() } else { self.picked };
        self.upstream.balancer().done(&mut self.ticket, now.into_std(), self.ending);
    }
}
