//! How a location speaks to its servers: by which protocol, over TLS or not, and what tells one connection from another.

use super::Endpoint;
use super::tls::{Offer, Secure};
use culvert_conf::config::{HttpVersion, ProxySettings};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How a request goes to whichever server is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// What may be spoken.
    pub(super) protocols: Protocols,
    /// The request opens a WebSocket, which HTTP/2 has a form for if the server takes it (RFC 8441).
    pub(crate) is_websocket: bool,
    /// TLS, and as whom and to whom.
    pub(super) secure: Option<Secure>,
    /// What a server is offered on a connection of HTTP/1.
    pub(super) own_offer: Offer,
    /// `proxy_connect_timeout`.
    pub(super) connect_timeout: Duration,
    /// `proxy_socket_keepalive`.
    pub(super) socket_keepalive: bool,
    /// `proxy_bind`.
    pub(super) source: Option<Source>,
    /// `proxy_protocol`: what the connection begins with.
    pub(super) greeting: Option<Arc<[u8]>>,
}

/// Which protocols a connection may turn out to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocols {
    /// HTTP/1.
    Http1,
    /// HTTP/2: by agreement over TLS, with prior knowledge without.
    Http2,
    /// Whichever the server chooses, over TLS.
    Either,
}

/// What kind of request it is, as far as the connection is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A request and its response.
    Plain,
    /// A WebSocket.
    WebSocket,
    /// A tunnel for something else, of which HTTP/1.1 alone knows how to open it.
    Upgrade,
}

impl Way {
    /// The way that `settings` want for a request of this kind.
    pub(crate) fn of(settings: &ProxySettings, purpose: Purpose, secure: Option<Secure>) -> Way {
        let version = settings.http_version;
        let protocols = match (version, purpose, &secure) {
            (HttpVersion::V1_0 | HttpVersion::V1_1, ..) | (_, Purpose::Upgrade, _) => Protocols::Http1,
            (HttpVersion::V2, ..) => Protocols::Http2,
            (HttpVersion::Auto, _, Some(_)) => Protocols::Either,
            (HttpVersion::Auto, _, None) => Protocols::Http1,
        };
        let own_offer = match version {
            HttpVersion::V1_0 | HttpVersion::V1_1 => Offer::Nothing,
            HttpVersion::V2 | HttpVersion::Auto => Offer::Http1,
        };
        Way {
            protocols,
            is_websocket: purpose == Purpose::WebSocket,
            secure,
            own_offer,
            connect_timeout: settings.connect_timeout,
            socket_keepalive: settings.socket_keepalive,
            source: None,
            greeting: None,
        }
    }

    /// Has connections come from an address, and begin with words in front.
    pub(crate) fn begin_as(&mut self, source: Option<Source>, greeting: Option<Vec<u8>>) {
        (self.source, self.greeting) = (source, greeting.map(Arc::from));
    }

    /// Whether a connection by this way is for nobody but the client that it names.
    pub(super) fn is_private(&self) -> bool {
        self.greeting.is_some()
    }

    /// Where a connection by this way to `endpoint` leads.
    pub(super) fn route(&self, endpoint: &Endpoint) -> Route {
        Route {
            endpoint: endpoint.clone(),
            secure: self.secure.clone(),
            source: self.source,
            greeting: self.greeting.clone(),
        }
    }

    /// What a server is offered on a connection that may be shared.
    pub(super) fn shared_offer(&self) -> Offer {
        if self.protocols == Protocols::Http2 { Offer::Http2 } else { Offer::Either }
    }

    /// `:scheme`.
    pub(super) fn scheme(&self) -> &'static str {
        if self.secure.is_some() { "https" } else { "http" }
    }
}

/// Where a connection leads, and as whom. Requests share connections of the same route alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    endpoint: Endpoint,
    secure: Option<Secure>,
    source: Option<Source>,
    greeting: Option<Arc<[u8]>>,
}

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// Port 0 leaves the port to the kernel.
    pub(crate) address: SocketAddr,
    /// It need not be one of this machine's.
    pub(crate) transparent: bool,
}
