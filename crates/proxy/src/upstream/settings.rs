//! What the configuration says of an upstream's requests, in the form in which they need it.

use culvert_conf::config;
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
