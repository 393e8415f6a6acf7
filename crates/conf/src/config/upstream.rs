//! `upstream` blocks: servers, how they are balanced, and how it is found out that they are well.

use super::{Place, ProxyTls};
use bytes::Bytes;
use culvert_engine::balance::{Method, PeerSpec};
use culvert_engine::health::{Check, EarlyClose};
use culvert_engine::rebalance::Rebalance;
use culvert_engine::sticky::Sticky;
use culvert_engine::template::Template;
use std::path::PathBuf;
use std::sync::Arc;
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
    /// The key of `hash`; there exactly where `method` is [`Method::Hash`].
    pub hash_key: Option<Template>,
    /// The servers, in order.
    pub servers: Vec<UpstreamServer>,
    /// `zone`: the name that the group's state is known by. It changes nothing else.
    pub zone: Option<Box<str>>,
    /// `queue`: who waits while all servers are full. `None`: nobody.
    pub queue: Option<QueueSettings>,
    /// `sticky`.
    pub sticky: Option<Sticky>,
    /// `keepalive`: how many idle connections one worker thread keeps; 0 keeps none.
    pub keepalive: usize,
    /// `keepalive_requests`: how many requests one kept connection may carry.
    pub keepalive_requests: u64,
    /// `keepalive_time`: how long one kept connection may live.
    pub keepalive_time: Duration,
    /// `keepalive_timeout`: how long a kept connection may idle.
    pub keepalive_timeout: Duration,
    /// `resolver` of the block or of `http`: who resolves the servers with `resolve`. There is one where such a server is.
    pub resolver: Option<Arc<Resolver>>,
    /// `resolver_timeout` of the block or of `http`.
    pub resolver_timeout: Duration,
    /// `health_check`s of the block and of the locations that pass requests to it.
    pub health_checks: Vec<HealthCheck>,
    /// `early_close` (Culvert's own): which tunnels count as failures because they died young. `None`: none do.
    pub early_close: Option<EarlyClose>,
    /// `on_server_down` (Culvert's own).
    pub on_server_down: OnServerDown,
    /// `rebalance` (Culvert's own); its default is off.
    pub rebalance: Rebalance,
    /// Where the block (or the `proxy_pass`) stands.
    pub place: Place,
}

impl Upstream {
    /// A group without servers, with nginx's defaults.
    pub fn new(name: String, implicit: bool, place: Place) -> Upstream {
        Upstream {
            name,
            implicit,
            method: Method::RoundRobin,
            hash_key: None,
            servers: Vec::new(),
            zone: None,
            queue: None,
            sticky: None,
            keepalive: 0,
            keepalive_requests: 1000,
            keepalive_time: Duration::from_secs(3600),
            keepalive_timeout: Duration::from_secs(60),
            resolver: None,
            resolver_timeout: Duration::from_secs(30),
            health_checks: Vec::new(),
            early_close: None,
            on_server_down: OnServerDown::Keep,
            rebalance: Rebalance::default(),
            place,
        }
    }
}

/// One `server` line of an `upstream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// Where it listens. A name may resolve to several addresses; each becomes a peer. With `service` the port means
    /// nothing.
    pub addr: PeerAddr,
    /// What the line says of each of its peers.
    pub spec: PeerSpec,
    /// `resolve`: the name is resolved again and again while the gateway runs. Never for an address or a socket, whose
    /// `resolve` means nothing.
    pub resolve: bool,
    /// `service`: the name's SRV records of this service are asked for instead of its addresses (`http`, or with dots as it
    /// is: `_http._tcp`). Only with `resolve`.
    pub service: Option<Box<str>>,
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

/// `queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How many requests may wait.
    pub length_max: usize,
    /// How long each of them waits at most.
    pub timeout: Duration,
}

/// `resolver`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// The name servers, asked in turn; port 53 where none is written. A host name among them is resolved at the start.
    pub servers: Vec<PeerAddr>,
    /// `valid=`: how long an answer holds; `None`: as long as it says itself.
    pub valid: Option<Duration>,
    /// `ipv4=`: whether IPv4 addresses are asked for.
    pub ipv4: bool,
    /// `ipv6=`: whether IPv6 addresses are asked for.
    pub ipv6: bool,
    /// `status_zone=`: the name under which its requests are counted.
    pub status_zone: Option<Box<str>>,
    /// Where the line stands.
    pub place: Place,
}

/// A `health_check`.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    /// When and what is asked.
    pub check: Check,
    /// What probes over HTTP and WebSocket say as `Host`: that of `proxy_set_header`, else the group's name. Variables of a
    /// request have no value in it.
    pub host: Template,
    /// Further headers of the probe: the `proxy_set_header`s that hold there, but for `Host` and those of the connection and
    /// the handshake. One whose value renders empty is not sent.
    pub headers: Vec<(Box<str>, Template)>,
    /// `proxy_connect_timeout` that holds there.
    pub connect_timeout: Duration,
    /// `proxy_read_timeout` that holds there: between two reads of a probe over HTTP.
    pub read_timeout: Duration,
    /// `proxy_send_timeout` that holds there.
    pub send_timeout: Duration,
    /// TLS, where the location's `proxy_pass` is to `https://`.
    pub tls: Option<CheckTls>,
    /// Where the line stands.
    pub place: Place,
}

/// TLS of a health check.
#[derive(Debug, Clone)]
pub struct CheckTls {
    /// The `proxy_ssl_` directives that hold there.
    pub settings: Arc<ProxyTls>,
    /// The name that servers have to prove where `proxy_ssl_name` says nothing.
    pub name: Bytes,
}

/// `on_server_down`: what becomes of the live tunnels of a server that its health checks find unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnServerDown {
    /// `keep`: they stay for as long as they can.
    #[default]
    Keep,
    /// `close`: their clients get a Close with 1012 and come back to another server.
    Close {
        /// At most so many a second.
        rate: u32,
    },
}
