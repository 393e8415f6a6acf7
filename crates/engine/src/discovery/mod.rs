//! `server … resolve`: which addresses a name has now, and when to ask again.
//!
//! ```text
//!            asked                     answered: the difference to the last answer; ask again when its time is over
//!   due ──────────────► asking ──────┤
//!    ▲                               failed: the last answer stays; ask again soon, then less often
//!    └───────────────────────────────┘
//! ```
//!
//! A [`Name`] is told what a resolver answered, and tells which [`Endpoint`]s came, went or changed. It asks nobody
//! itself.

mod answer;
mod name;
mod srv;

#[cfg(test)]
mod laws;

pub use answer::{Answer, Endpoint, Service, Trouble};
pub use name::{Changes, Name};
pub use srv::srv_name;

use std::time::Duration;

/// The most addresses of one name that are used. A resolver that sends more is not believed.
pub const ENDPOINTS_MAX: usize = 4096;

/// What a `server` line, and the `resolver` that it is resolved by, say about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The port of the addresses; services bring their own.
    pub port: u16,
    /// `weight=`. Other than 1, it stands before the weights of services.
    pub weight: u32,
    /// `backup`: only the services of the first priority are used, as backups.
    pub backup: bool,
    /// `valid=`: how long an answer holds, whatever its own time is.
    pub valid: Option<Duration>,
    /// The shortest time for which an answer holds.
    pub ttl_min: Duration,
    /// The longest one.
    pub ttl_max: Duration,
    /// When to ask again after a first failure; after each further one it is twice as long.
    pub retry_min: Duration,
    /// The longest time between two tries.
    pub retry_max: Duration,
    /// Whether IPv4 addresses are used.
    pub ipv4: bool,
    /// Whether IPv6 addresses are used.
    pub ipv6: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            port: 80,
            weight: 1,
            backup: false,
            valid: None,
            // Records with a time of 0 are asked for once a second.
            ttl_min: Duration::from_secs(1),
            // Records with a time of days are mistakes more often than promises.
            ttl_max: Duration::from_secs(3600),
            retry_min: Duration::from_secs(1),
            // As long as `resolver_timeout` by default.
            retry_max: Duration::from_secs(30),
            ipv4: true,
            ipv6: true,
        }
    }
}
