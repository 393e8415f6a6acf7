//! A client's side of a connection over TLS.

use super::client::{connect, open_all, shake_hands};
use crate::bench::certificate;
use crate::bench::peer::Running;
use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client that trusts the bench's certificate alone, and makes a full handshake each time.
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Client {
    pub(super) fn new(peer: &Running) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate::read(&peer.directory)?)?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Client { address: peer.address, connector: Arc::new(config).into() })
    }

    /// A WebSocket that has just opened.
    pub(super) async fn websocket(&self) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(certificate::NAME)?;
        let connected = self.connector.connect(name, connect(self.address).await?).await;
        let mut stream = connected.context("TLS could not begin")?;
        shake_hands(&mut stream).await?;
        Ok(stream)
    }

    /// Opens so many.
    pub(super) async fn websockets(&self, count: usize) -> Result<Vec<TlsStream<TcpStream>>> {
        let client = self.clone();
        let open = move || {
            let client = client.clone();
            async move { client.websocket().await }
        };
        open_all(count, open).await
    }
}
