//! Opening a connection to a peer.

use super::Endpoint;
use crate::io::Transport;
use std::io;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
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
        Endpoint::Inet(addr) => {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_nodelay(true)?;
            if keepalive {
                socket.set_keepalive(true)?;
            }
            let stream: TcpStream = socket.connect(*addr).await?;
            Ok(Transport::Tcp(stream))
        }
        Endpoint::Unix(path) => Ok(Transport::Unix(UnixStream::connect(path).await?)),
        #[cfg(test)]
        Endpoint::Memory(name) => Ok(Transport::Memory(crate::world::network::connect(name).await?)),
    }
}
