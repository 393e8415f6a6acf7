//! Load balancing: which peer of an upstream takes the next request.
//!
//! A balancer is asked with [`Balance::pick`] and told with [`Balance::done`] how it went; both get the time. Peers are
//! numbers: positions in the list that [`build`] was given.

mod round_robin;
mod tried;

#[cfg(test)]
mod laws;

pub use tried::Tried;

use round_robin::RoundRobin;
use std::time::{Duration, Instant};

/// How an upstream chooses among its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Smooth weighted round robin: nginx's way where no other is asked for.
    RoundRobin,
}

impl Method {
    /// Every method, so that the laws can be tested on all of them.
    pub const ALL: &[Method] = &[Method::RoundRobin];
}

/// A peer's position in the list that [`build`] was given.
pub type PeerId = usize;

/// One `server` of an `upstream` block, or one of several addresses that its name has.
#[derive(Debug, Clone)]
pub struct PeerSpec {
    /// The share of requests, relative to the other peers' weights. At least 1.
    pub weight: u32,
    /// So many failures within `fail_timeout` take the peer out for `fail_timeout`. 0: failures are not counted.
    pub max_fails: u32,
    /// See `max_fails`.
    pub fail_timeout: Duration,
    /// Used only while no primary peer can be.
    pub backup: bool,
    /// Never used.
    pub down: bool,
}

impl Default for PeerSpec {
    /// What nginx assumes of a `server` without parameters.
    fn default() -> PeerSpec {
        PeerSpec { weight: 1, max_fails: 1, fail_timeout: Duration::from_secs(10), backup: false, down: false }
    }
}

/// How a request to a peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The peer did its part.
    Good,
    /// The peer failed: counted against it.
    Failed,
    /// It ended for reasons that say nothing about the peer, such as a client that went away.
    Abandoned,
}

/// A balancing method over the peers of one upstream.
pub trait Balance: Send {
    /// Chooses a peer that is not in `tried`, and counts the request as live there until [`Balance::done`]. `None` where no
    /// peer can take it: nginx logs `no live upstreams` and answers 502.
    fn pick(&mut self, now: Instant, tried: &Tried) -> Option<PeerId>;

    /// Tells how a request that [`Balance::pick`] gave to `peer` ended. Every pick is followed by exactly one `done`.
    fn done(&mut self, peer: PeerId, now: Instant, ending: Ending);

    /// How many requests are live on `peer`.
    fn live(&self, peer: PeerId) -> u32;

    /// How many tries one request may make at most: nginx's count of the peers that are not `down`, and just one where the
    /// upstream has a single peer.
    fn tries(&self) -> u32;
}

/// Makes the balancer of an upstream with these peers.
pub fn build(method: Method, peers: &[PeerSpec]) -> Box<dyn Balance> {
    match method {
        Method::RoundRobin => Box::new(RoundRobin::new(peers)),
    }
}
