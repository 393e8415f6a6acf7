//! What the configuration says of a peer, and the states that it can be in.

use std::sync::Arc;
use std::time::Duration;

/// A peer of a [`super::Balancer`]: its slot, and which of the peers that lived in this slot. It stays valid while the peer
/// is not retired or has live requests, and is never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl PeerId {
    /// The position in a list that callers keep beside the balancer. Peers that were given to [`super::Balancer::new`] have
    /// their positions there; later ones take the lowest free slot.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// One `server` of an `upstream` block, or one of several addresses that its name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSpec {
    /// The server as its `server` line has it, with its port (`host:port`, `unix:path`). The consistent hash places it by
    /// this, and takes turns among peers of the same name.
    pub name: Arc<str>,
    /// The share of requests, relative to the other peers' weights. At least 1.
    pub weight: u32,
    /// So many requests and tunnels at once; 0 is no limit.
    pub max_conns: u32,
    /// So many failures within `fail_timeout` take the peer out for `fail_timeout`. 0: failures are not counted.
    pub max_fails: u32,
    /// See `max_fails`.
    pub fail_timeout: Duration,
    /// How long a peer that comes back takes to regain its weight; zero: no time.
    pub slow_start: Duration,
    /// The word by which `sticky route` knows the peer. The balancer has no use of it itself.
    pub route: Option<Arc<str>>,
    /// Used only while no primary peer can be.
    pub backup: bool,
    /// Never used.
    pub down: bool,
    /// Used only for requests that are bound to it.
    pub drain: bool,
}

impl Default for PeerSpec {
    /// What nginx assumes of a `server` without parameters.
    fn default() -> PeerSpec {
        PeerSpec {
            name: Arc::from(""),
            weight: 1,
            max_conns: 0,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            slow_start: Duration::ZERO,
            route: None,
            backup: false,
            down: false,
            drain: false,
        }
    }
}

/// What active health checks say of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It passes them, or there are none.
    #[default]
    Healthy,
    /// It has still to pass the first one (`mandatory`).
    Checking,
    /// It fails them.
    Unhealthy,
}

/// The state of a peer, in the words of NGINX Plus. All but `Up` keep new requests away, but that a draining peer still
/// serves requests that are bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It takes requests.
    Up,
    /// `drain`.
    Draining,
    /// `down`.
    Down,
    /// `max_fails` failures of requests are remembered. After `fail_timeout` one request puts it to the test.
    Unavail,
    /// It has still to pass its first health check.
    Checking,
    /// It fails its health checks.
    Unhealthy,
}

impl State {
    /// As NGINX Plus writes it.
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Draining => "draining",
            State::Down => "down",
            State::Unavail => "unavail",
            State::Checking => "checking",
            State::Unhealthy => "unhealthy",
        }
    }
}
