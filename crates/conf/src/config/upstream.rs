//! `upstream` blocks: servers and how they are balanced.

use super::Place;
use culvert_engine::balance::Method;
use std::path::PathBuf;
use std::time::Duration;

/// An `upstream` block, or the single server that a `proxy_pass` names directly.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name, as `proxy_pass http://name` uses it. For an implicit one, the `host:port` as written.
    pub name: String,
    /// Whether `proxy_pass` named a server that no `upstream` block defines.
    pub implicit: bool,
    /// How servers are chosen.
    pub method: Method,
    /// The servers, in order.
    pub servers: Vec<UpstreamServer>,
    /// `keepalive`: how many idle connections one worker thread keeps; 0 keeps none.
    pub keepalive: usize,
    /// `keepalive_requests`: how many requests one kept connection may carry.
    pub keepalive_requests: u64,
    /// `keepalive_time`: how long one kept connection may live.
    pub keepalive_time: Duration,
    /// `keepalive_timeout`: how long a kept connection may idle.
    pub keepalive_timeout: Duration,
    /// Where the block (or the `proxy_pass`) stands.
    pub place: Place,
}

/// One `server` line of an `upstream`.
#[derive(Debug, Clone)]
pub struct UpstreamServer {
    /// Where it listens. A name may resolve to several addresses; each becomes a peer.
    pub addr: PeerAddr,
    /// The name as written, for log lines.
    pub name: String,
    /// `weight`.
    pub weight: u32,
    /// `max_fails`; 0 switches the accounting off.
    pub max_fails: u32,
    /// `fail_timeout`.
    pub fail_timeout: Duration,
    /// `backup`.
    pub backup: bool,
    /// `down`.
    pub down: bool,
    /// Where the line stands.
    pub place: Place,
}

/// An address before names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerAddr {
    /// A host name or IP address (IPv6 without brackets) and a port.
    Host(String, u16),
    /// A unix socket by its path.
    Unix(PathBuf),
}
