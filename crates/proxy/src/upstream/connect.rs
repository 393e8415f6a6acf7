//! Opening a connection to a peer.

use super::Endpoint;
use crate::io::{Socket, Transport};
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Why a peer could not be connected to.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Nothing answered within `proxy_connect_timeout`.
    Timeout,
    /// The system said no.
    Failed(io::Error),
}

/// Connects to `endpoint` within `wait`; `keepalive` is `proxy_socket_keepalive`.
pub(crate) async fn connect(endpoint: &Endpoint, wait: Duration, keepalive: bool) -> Result<Transport, ConnectError> {
    match timeout(wait, open(endpoint, keepalive)).await {
        Ok(Ok(transport)) => Ok(transport),
        Ok(Err(error)) => Err(ConnectError::Failed(error)),
        Err(_) => Err(ConnectError::Timeout),
    }
}

async fn open(endpoint: &Endpoint, keepalive: bool) -> io::Result<Transport> {
    match endpoint {
        Endpoint::Inet(addr) => Ok(Transport::Socket(Socket::connect(*addr, keepalive).await?)),
        Endpoint::Unix(path) => Ok(Transport::Socket(Socket::connect_unix(path)?)),
        #[cfg(test)]
        Endpoint::Memory(name) => Ok(Transport::Memory(crate::world::network::connect(name).await?)),
    }
}
