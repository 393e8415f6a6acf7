//! Connections of the main thread's own runtime, which probes use.

use crate::upstream::Endpoint;
use crate::upstream::tls::Secure;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// Both directions of a connection, whatever it is made of.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects to a peer, or to another port of its host.
pub(super) async fn dial(endpoint: &Endpoint, port: Option<u16>) -> io::Result<Box<dyn Duplex>> {
    match endpoint {
        Endpoint::Inet(address) => {
            let mut address = *address;
            address.set_port(port.unwrap_or(address.port()));
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        #[cfg(test)]
        Endpoint::Memory(name) => Ok(Box::new(crate::world::network::connect(name).await?)),
    }
}

/// Makes TLS of a connection.
pub(super) async fn secure(secure: &Secure, stream: Box<dyn Duplex>) -> io::Result<Box<dyn Duplex>> {
    let (config, name) = secure.parts()?;
    Ok(Box::new(TlsConnector::from(config).connect(name, stream).await?))
}

/// Whether the gateway itself could not, which says nothing of the peer.
pub(super) fn is_our_fault(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let ours = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|number| ours.contains(&Errno::from_raw(number)))
}
