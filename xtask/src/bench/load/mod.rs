//! The generator: what the clients do, and what is measured while they do it.

mod client;
mod closed;
mod idle;
mod secure;
mod steady;
mod streams;

pub(super) use closed::exchange;
pub(super) use idle::{SOCKETS_BEFORE, open, settle};
pub(super) use steady::Steady;

use super::peer::Running;
use super::sample::Sample;
use anyhow::Result;
use std::time::Duration;

/// What the generator does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// This many WebSockets send a binary message of so many bytes each and wait for its echo.
    Echo { sockets: usize, message_bytes: usize },
    /// This many WebSockets take turns in sending a message, at an even pace, whether or not the last was answered.
    Steady { sockets: usize, messages_per_second: u32, message_bytes: usize },
    /// This many clients open a WebSocket each, close it, and open the next.
    Handshake { at_once: usize },
    /// This many connections send a small GET each and wait for its answer.
    Http { connections: usize },
    /// The same in the large configuration: each connection asks many servers for many locations.
    HttpBig { connections: usize },
    /// This many WebSockets open and say nothing, and are weighed.
    IdleMemory { sockets: usize },
    /// As `Echo`, over TLS.
    TlsEcho { sockets: usize, message_bytes: usize },
    /// As `Handshake`, each with a full handshake of TLS before.
    TlsHandshake { at_once: usize },
    /// As `IdleMemory`, over TLS.
    TlsIdleMemory { sockets: usize },
    /// As `IdleMemory`, each a stream of an HTTP/2 connection.
    StreamIdleMemory { sockets: usize },
    /// This many WebSockets open and say nothing, and the proxy's CPU time is taken for ten seconds.
    IdleCpu { sockets: usize },
}

/// How long all connections may take to be there.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a load runs before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

impl Load {
    /// How many connections are measured at the same time.
    pub(super) fn connections(&self) -> usize {
        match *self {
            Load::Echo { sockets, .. } | Load::Steady { sockets, .. } => sockets,
            Load::IdleMemory { sockets } | Load::IdleCpu { sockets } => sockets,
            Load::TlsIdleMemory { sockets } | Load::StreamIdleMemory { sockets } => sockets,
            Load::TlsEcho { sockets, .. } => sockets,
            Load::Handshake { at_once } | Load::TlsHandshake { at_once } => at_once,
            Load::Http { connections } | Load::HttpBig { connections } => connections,
        }
    }

    /// Whether it needs the large configuration.
    pub(super) fn is_big(&self) -> bool {
        matches!(self, Load::HttpBig { .. })
    }

    /// Whether its clients speak TLS.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Load::TlsEcho { .. } | Load::TlsHandshake { .. } | Load::TlsIdleMemory { .. })
    }

    /// Whether its WebSockets say nothing.
    pub(super) fn is_idle(&self) -> bool {
        use Load::{IdleCpu, IdleMemory, StreamIdleMemory, TlsIdleMemory};
        matches!(self, IdleMemory { .. } | IdleCpu { .. } | TlsIdleMemory { .. } | StreamIdleMemory { .. })
    }

    /// The same with fewer or more sockets, where they are what is measured.
    pub(super) fn with_idle_sockets(self, sockets: usize) -> Load {
        match self {
            Load::IdleMemory { .. } => Load::IdleMemory { sockets },
            Load::IdleCpu { .. } => Load::IdleCpu { sockets },
            Load::TlsIdleMemory { .. } => Load::TlsIdleMemory { sockets },
            Load::StreamIdleMemory { .. } => Load::StreamIdleMemory { sockets },
            other => other,
        }
    }

    /// Opens the connections, lets them run warm, and measures for the length of `window`.
    pub(super) async fn measure(&self, peer: &Running, window: Duration) -> Result<Sample> {
        match *self {
            Load::Steady { sockets, messages_per_second, message_bytes } => {
                let mut steady = Steady::new(message_bytes);
                steady.read_from(client::websockets(peer.address, sockets).await?);
                steady.measure(peer, messages_per_second, window).await
            }
            Load::IdleMemory { sockets } => idle::weigh(peer, sockets).await,
            Load::IdleCpu { sockets } => idle::watch(peer, sockets).await,
            Load::TlsIdleMemory { sockets } => {
                let client = secure::Client::new(peer)?;
                idle::weigh_by(peer, sockets, async |count| client.websockets(count).await).await
            }
            Load::StreamIdleMemory { sockets } => {
                idle::weigh_by(peer, sockets, async |count| streams::websockets(peer.address, count).await).await
            }
            ref closed => closed::measure(closed, peer, window).await,
        }
    }
}
