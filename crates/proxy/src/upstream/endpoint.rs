//! Where a peer listens.

use crate::io::address::write_socket_addr;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

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

/// The family of an address, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Endpoint {
    /// Which of the two IP families it is of.
    pub(super) fn family(&self) -> Option<Family> {
        match self {
            Endpoint::Inet(SocketAddr::V4(_)) => Some(Family::V4),
            Endpoint::Inet(SocketAddr::V6(_)) => Some(Family::V6),
            Endpoint::Unix(_) => None,
            #[cfg(test)]
            Endpoint::Memory(name) if name.ends_with("-v4") => Some(Family::V4),
            #[cfg(test)]
            Endpoint::Memory(name) if name.ends_with("-v6") => Some(Family::V6),
            #[cfg(test)]
            Endpoint::Memory(_) => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Inet(addr) => write_socket_addr(f, *addr),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(test)]
            Endpoint::Memory(name) => f.write_str(name),
        }
    }
}
