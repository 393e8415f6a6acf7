//! What a pick is asked with and what it gives.

use super::{PeerId, Tried};
use std::net::IpAddr;
use std::time::Instant;

/// What the methods may want to know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The value of the key of `hash`.
    pub key: &'a [u8],
    /// The client's address, for `ip_hash`. `None` for a client on a unix socket.
    pub client: Option<IpAddr>,
    /// The peers that this request has tried: none of them is picked.
    pub tried: &'a Tried,
    /// The peer that the request is bound to by `sticky`. Another one is picked if it can't serve it.
    pub bound: Option<PeerId>,
    /// A random number, fresh for each pick; of no account where the method does not [draw](super::Method::draws).
    pub dice: u64,
}

impl<'a> Request<'a> {
    /// A request of which nothing is known but the peers that it tried.
    pub fn new(tried: &'a Tried) -> Request<'a> {
        Request { key: &[], client: None, tried, bound: None, dice: 0 }
    }
}

/// Why no peer was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPeer {
    /// No peer that was not tried yet is up: nginx logs `no live upstreams` and answers 502.
    Down,
    /// Peers are up that were not tried, and each of them has its `max_conns`: to wait may help.
    Full,
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
    /// A tunnel that the peer opened and gave up soon after: counted as a failure.
    EarlyClose,
}

/// A request's place on a peer, from [`super::Balancer::pick`] to [`super::Balancer::done`]. It can't be copied, so that
/// nothing is counted twice.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the peer counts the request as live until `done`"]
pub struct Ticket {
    pub(super) peer: PeerId,
    pub(super) picked: Instant,
    /// Whether it is counted among those that wait for an answer.
    pub(super) waits: bool,
    /// Whether [`super::Balancer::done`] was called.
    pub(super) over: bool,
}

impl Ticket {
    /// The peer that was picked.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// When it was picked.
    pub fn picked(&self) -> Instant {
        self.picked
    }
}
