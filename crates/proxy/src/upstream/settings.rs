//! What the configuration says of an upstream's requests, in the form in which they need it.

use culvert_conf::config;
use culvert_engine::balance::PeerSpec;
use std::time::Duration;

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

impl Keepalive {
    pub(super) fn of(config: &config::Upstream) -> Keepalive {
        Keepalive {
            connections: config.keepalive,
            requests: config.keepalive_requests,
            time: config.keepalive_time,
            timeout: config.keepalive_timeout,
        }
    }
}

/// What a `server` line says of each of its peers.
pub(crate) fn spec_of(server: &config::UpstreamServer) -> PeerSpec {
    PeerSpec {
        name: server.name.as_str().into(),
        weight: server.weight,
        max_conns: server.max_conns,
        max_fails: server.max_fails,
        fail_timeout: server.fail_timeout,
        slow_start: server.slow_start,
        route: server.route.clone(),
        backup: server.backup,
        down: server.down,
        drain: server.drain,
    }
}
