//! The methods, and what each of them promises.

use super::consistent::Consistent;
use super::hash::Hash;
use super::ip_hash::IpHash;
use super::least_conn::LeastConn;
use super::least_time::LeastTime;
use super::random::{Random, RandomTwo};
use super::round_robin::InTurn;
use super::table::Choose;

/// How an upstream chooses among its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Smooth weighted round robin: nginx's way where no other is asked for.
    RoundRobin,
    /// `least_conn`: the fewest live requests and tunnels for its weight; equals take turns.
    LeastConn,
    /// `ip_hash`: by the client's network (the first three octets of IPv4, all of IPv6).
    IpHash,
    /// `hash key [consistent]`: by [`super::Request::key`].
    Hash {
        /// Whether peers stand on a ring, so that one that comes or goes moves few keys.
        consistent: bool,
    },
    /// `random`: by weight.
    Random,
    /// `random two`: the better one of two that were drawn by weight.
    RandomTwo(Rival),
    /// `least_time`: the quickest for its load and weight; equals take turns.
    LeastTime {
        /// Which time counts.
        metric: Metric,
        /// Whether requests that wait for their answer count as long as they have waited.
        inflight: bool,
    },
}

/// What `random two` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rival {
    /// Live requests and tunnels, for the weight.
    LeastConn,
    /// As `least_time` does.
    LeastTime(Metric),
}

/// A time that `least_time` goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// From the pick to the response head, or to the answer to a handshake.
    Header,
    /// From the pick to the last byte of the response, or to the answer to a handshake.
    LastByte,
}

impl Method {
    /// Every method, so that the laws can be tested on all of them.
    pub const ALL: &[Method] = &[
        Method::RoundRobin,
        Method::LeastConn,
        Method::IpHash,
        Method::Hash { consistent: false },
        Method::Hash { consistent: true },
        Method::Random,
        Method::RandomTwo(Rival::LeastConn),
        Method::RandomTwo(Rival::LeastTime(Metric::Header)),
        Method::RandomTwo(Rival::LeastTime(Metric::LastByte)),
        Method::LeastTime { metric: Metric::Header, inflight: false },
        Method::LeastTime { metric: Metric::Header, inflight: true },
        Method::LeastTime { metric: Metric::LastByte, inflight: false },
        Method::LeastTime { metric: Metric::LastByte, inflight: true },
    ];

    /// Whether `backup` servers may stand in an upstream with this method; nginx refuses them where not.
    pub fn allows_backup(self) -> bool {
        self.ramps()
    }

    /// Whether it looks at [`Request::dice`](super::Request::dice).
    pub fn draws(self) -> bool {
        match self {
            Method::Random | Method::RandomTwo(_) => true,
            Method::RoundRobin
            | Method::LeastConn
            | Method::LeastTime { .. }
            | Method::IpHash
            | Method::Hash { .. } => false,
        }
    }

    /// Whether `slow_start` has an effect: the methods that choose blindly by weight ignore it.
    pub fn ramps(self) -> bool {
        match self {
            Method::RoundRobin | Method::LeastConn | Method::LeastTime { .. } => true,
            Method::IpHash | Method::Hash { .. } | Method::Random | Method::RandomTwo(_) => false,
        }
    }

    /// Which time the method goes by, if by any. Without one nobody needs to measure.
    pub fn metric(self) -> Option<Metric> {
        match self {
            Method::LeastTime { metric, .. } | Method::RandomTwo(Rival::LeastTime(metric)) => Some(metric),
            _ => None,
        }
    }

    pub(super) fn build(self) -> Box<dyn Choose> {
        match self {
            Method::RoundRobin => Box::new(InTurn),
            Method::LeastConn => Box::new(LeastConn::default()),
            Method::IpHash => Box::new(IpHash::default()),
            Method::Hash { consistent: false } => Box::new(Hash::default()),
            Method::Hash { consistent: true } => Box::new(Consistent::default()),
            Method::Random => Box::new(Random::default()),
            Method::RandomTwo(rival) => Box::new(RandomTwo::new(rival)),
            Method::LeastTime { metric, inflight } => Box::new(LeastTime::new(metric, inflight)),
        }
    }
}
